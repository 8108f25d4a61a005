/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leads from one tree to another, in the order of keys, either way. Two pointers to a page are
 * equal only if the page is the same, so subtrees that both trees share are passed over unread, and
 * the cost is in proportion to what differs. The trees may have any heights and be split anywhere:
 * it is keys and cells that are compared, never shapes.
 *
 * Each tree has a pager of its own: one of them may be of a transaction, or of a state of the past.
 */
#ifndef DURAMEN_ENGINE_TREE_DIFF_H
#define DURAMEN_ENGINE_TREE_DIFF_H

#include "engine/tree.h"

struct diff_frame {
	struct page_ptr ptr;
	const struct page *page;
	uint32_t begin, end;            /* entries within the range */
	uint32_t at;
};

struct diff_side {
	struct pager pager;
	struct tree tree;
	uint32_t level;                 /* of the page it is in; tree.depth: in none yet */
	bool ended;
	uint64_t pages_read;            /* of nodes and of runs whose contents were compared */
	struct diff_frame frame[TREE_DEPTH_MAX];        /* from level up to the root */
};

enum { DIFF_OLD, DIFF_NOW };

struct tree_diff {
	struct diff_side side[2];
	bool back;                      /* from the highest key down */
	bool bounded_low, bounded_high;
	size_t from_len, to_len;
	const struct page *met[2];      /* leaves whose prefixes were compared last */
	bool same_prefix;               /* and were equal */
	uint8_t from[TREE_KEY_MAX + 1], to[TREE_KEY_MAX + 1];
	uint8_t key[TREE_KEY_MAX];
};

/* A key whose cells differ; bytes NULL: not there. Good until the next step. */
struct tree_change {
	const void *key;
	size_t len;
	struct cell old, now;
};

/* Which keys: [from, to); NULL: no bound. At most TREE_KEY_MAX + 1 bytes each, copied. */
struct tree_bounds {
	const void *from, *to;
	size_t from_len, to_len;
	bool back;
};

/* Before the first change. DUR_E_CORRUPT: a tree's root and depth cannot be. Reads no page. */
int tree_diff_open(struct tree_diff *d, const struct pager *old_pager, const struct tree *old,
                   const struct pager *now_pager, const struct tree *now,
                   const struct tree_bounds *bounds);
/*
 * The next change. 0, 1 at the end, DUR_E_CORRUPT. Good until one of the trees is written to. Every
 * page that is entered is checked to lie between its parent's fences, so that no file can make it
 * go on for ever.
 */
int tree_diff_next(struct tree_diff *d, struct tree_change *change);
/*
 * Whether two cells hold the same value: equal bytes, or runs of equal type, length and content.
 * 0: they do, 1: not, DUR_E_CORRUPT. *pages (may be NULL) grows by those of runs that were read.
 */
int tree_cells_differ(const struct pager *a_pager, const struct cell *a,
                      const struct pager *b_pager, const struct cell *b, uint64_t *pages);

#endif
