/* SPDX-License-Identifier: Apache-2.0 */
/* What the seq_*.c files share: meeting pages, the path of a write, growing and mending. */
#ifndef DURAMEN_ENGINE_SEQ_PRIVATE_H
#define DURAMEN_ENGINE_SEQ_PRIVATE_H

#include "engine/seq.h"
#include "engine/tree_private.h"

/* The 16 bits of a page header that hold kind and level. */
static inline unsigned seq_level_kind(enum seq_kind kind, unsigned level)
{
	return level ? PAGE_SEQ_BRANCH | level << 8 : kind;
}

/* The node at ptr, which must be of this level: no file can make a walk go round in circles. */
static inline int seq_page(const struct pager *pager, struct page_ptr ptr, enum seq_kind kind,
                           unsigned level, const struct page **page)
{
	int r = page_get(pager, ptr, page);
	if (unlikely(r))
		return r;
	if (unlikely((*page)->no_kind_level >> 48 != seq_level_kind(kind, level)))
		return tree_corrupt(ptr, "it is not of the kind and level that its parent says");
	return 0;
}

/* ---- seq_path.c: the pages from the root to a leaf, owned by the transaction ---- */

struct seq_path {
	unsigned depth;
	uint64_t first;                         /* position of the leaf's first unit */
	struct page *page[TREE_DEPTH_MAX];      /* [0] the leaf */
	unsigned at[TREE_DEPTH_MAX];            /* [0] a unit; above: the child taken */
};

enum seq_side {
	SEQ_ITEM,       /* to the item at a position */
	SEQ_GAP,        /* to the gap before it: behind the item before, if there is one */
};

int seq_own_root(struct dirty *d, struct tree *tree, enum seq_kind kind, struct page **root);
/* Owns child `at` of a branch that is owned. */
int seq_own_child(struct dirty *d, const struct tree *tree, enum seq_kind kind,
                  struct page *parent, unsigned at, struct page **child);
/*
 * Owns the pages down to a position that exists, those of levels from `lowest` up. On the way the
 * counts are verified as far as later sums rely on them. Owning a page that is not changed later is
 * harmless.
 */
int seq_path_own_to(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t position,
                    enum seq_side side, unsigned lowest, struct seq_path *path);
static inline int seq_path_own(struct dirty *d, struct tree *tree, enum seq_kind kind,
                               uint64_t position, enum seq_side side, struct seq_path *path)
{
	return seq_path_own_to(d, tree, kind, position, side, 0, path);
}
struct page_ptr seq_path_ptr(const struct tree *tree, const struct seq_path *path, unsigned level);
/* Adds to the counts above level, and the refs bit. */
void seq_path_add(const struct seq_path *path, unsigned level, int64_t count, bool refs);
/* Writes what is below into the entry of the node at `level`, which is not the root. */
void seq_path_sum(const struct seq_path *path, unsigned level);

/* ---- seq_grow.c ---- */

/*
 * How a full node is cut. Even: in the middle. Fill: full pages one after the other; what comes
 * next goes behind. Gap: behind the units that are put, if both sides fit: more of them are to
 * come.
 */
enum seq_cut_at { SEQ_EVEN, SEQ_FILL, SEQ_CUT_GAP };

/* Units that go into the node of a path at a level, before its unit `at`. */
struct seq_put {
	unsigned level, at;
	unsigned skip;                  /* so many units there go away for it */
	const struct page *units;       /* a page image of that level's kind, all of its units */
	enum seq_cut_at cut;
};
/*
 * Puts them, whatever it takes; level may be the tree's depth: then a new root is put above the old
 * one. Counts above are raised by `count`, tree->count stays. On failure nothing was changed.
 */
int seq_put(struct dirty *d, struct tree *tree, enum seq_kind kind, struct seq_path *path,
            const struct seq_put *put, int64_t count);
/* An empty page image on the stack. */
void seq_image(union node_copy *image, enum seq_kind kind, unsigned level);

/* ---- seq_mend.c ---- */

/* A merged node keeps some room, lest the next insert splits it again. */
enum { SEQ_MERGE_MAX = SEQ_ROOM - SEQ_ROOM / 8 };

/* Drops the emptied leaf of a path, and the branches that are empty without it. */
void seq_drop_empty(struct dirty *d, struct tree *tree, const struct seq_path *path);
/*
 * Joins underfull nodes down along the path of a position with their neighbours, as far as these
 * can be read, and lowers the root. Only space is at stake: nothing is reported.
 */
void seq_mend(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t position);
/* Two neighbours, children left and left + 1 of parent, all owned: made one, or evened out. */
void seq_pair(struct dirty *d, const struct tree *tree, struct page *parent, unsigned left);

/* The pages moved; where the last insert was is known still. */
static inline void seq_lose_finger(struct tree *tree)
{
	tree->finger.moves = UINT64_MAX;
}

/* seq_remove() of cells whose pages the caller keeps. */
int seq_remove_moved(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t from,
                     uint64_t to);

/* As tree_shape(), and the count agrees with them. */
int seq_shape(const struct tree *tree);
/* DUR_E_RANGE. */
int seq_out_of_range(uint64_t at, uint64_t count);

#endif
