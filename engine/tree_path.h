/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The path of a write: the pages from the root to a leaf, owned by the transaction, and what is
 * changed along it. Owning a page that is not changed later is harmless: it is a copy with the same
 * contents.
 */
#ifndef DURAMEN_ENGINE_TREE_PATH_H
#define DURAMEN_ENGINE_TREE_PATH_H

#include "engine/node_seq.h"
#include "engine/tree_private.h"

struct path {
	unsigned depth;
	struct page *page[TREE_DEPTH_MAX];      /* [0] the leaf */
	unsigned at[TREE_DEPTH_MAX];            /* [0] an entry; above: the child taken */
	bool found;                             /* that entry is the key */
};

/* An edge of the key space: where a descent without a key goes. */
enum path_to { PATH_KEY, PATH_FIRST, PATH_LAST };

/*
 * Owns the pages down to the leaf that holds the key (or the first, the last leaf); at[0] is set to
 * the first entry not below the key (PATH_FIRST: 0, PATH_LAST: n). On the way the counts are
 * verified as far as later sums rely on them.
 */
int path_own(struct dirty *d, struct tree *tree, enum path_to to, const uint8_t *key, size_t len,
             struct path *path);
/* Owns child `at` of a branch that is owned. */
int path_own_child(struct dirty *d, const struct tree *tree, struct page *parent, unsigned at,
                   struct page **child);
/* Owns the root. */
int path_own_root(struct dirty *d, struct tree *tree, struct page **root);

enum side { SIDE_LOW, SIDE_HIGH };
/*
 * The separator below (or not below) all keys of child `at` of the path's node at level: into buf
 * (TREE_KEY_MAX bytes), its length into *len. NULL: there is none, the node is at the tree's edge.
 */
const uint8_t *path_fence(const struct path *path, unsigned level, unsigned at, enum side side,
                          uint8_t *buf, unsigned *len);
/* The key of every node on the path lies between its fences: what splits and merges rely on. */
int path_check(const struct tree *tree, const struct path *path);
/* Adds to the counts above level, and the runs bit. */
void path_add(const struct path *path, unsigned level, int64_t count, bool runs);
/* Writes what is below into the entry of the node at `level`. */
void path_sum(const struct path *path, unsigned level);

static inline struct page_ptr path_ptr(const struct tree *tree, const struct path *path, unsigned level)
{
	if (level + 1 == path->depth)
		return tree->root;
	return node_child_ptr(path->page[level + 1], path->at[level + 1]);
}

/*
 * A cell goes away: so does what it names. Only of a collection can it fail half-way, for want of memory,
 * which bars the transaction.
 */
int tree_drop_cell(struct dirty *d, const struct tree *tree, const struct cell *cell);

/* ---- tree_balance.c ---- */

/*
 * Owns the neighbours that tree_balance() will want once an entry of this size is gone from the
 * leaf: so that it cannot fail. The path itself is as it was.
 */
int  tree_balance_prepare(struct dirty *d, struct tree *tree, const struct path *path, unsigned gone);
/*
 * Drops empty nodes, joins underfull ones with an owned neighbour, lowers the root. From the leaf
 * up.
 */
void tree_balance(struct dirty *d, struct tree *tree, const struct path *path);
/*
 * After a cut: joins underfull nodes down along the path of a key (or an edge), as far as their
 * neighbours can be read.
 */
void tree_mend(struct dirty *d, struct tree *tree, enum path_to to, const uint8_t *key, size_t len);

#endif
