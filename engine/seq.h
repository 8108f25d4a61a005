/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positional trees: lists (cells by position) and ropes (a byte string by offset). The same
 * copy-on-write B+tree for both, without keys: a branch knows how many items each child holds, so
 * an item is found by adding counts. Everything is O(log n): getting, setting, inserting, removing,
 * splitting, joining; slicing and splicing share whole subtrees with their source and copy only the
 * pages at the seams.
 *
 * `struct tree` of tree.h holds such a tree too; what kind it is the caller knows (from the cell
 * that names it). Its count is items, of a rope bytes. Its finger remembers where the last insert
 * went, so that appending and inserting in a row skip the descent.
 *
 * Nothing here recurses on what a page says: depth is bounded by TREE_DEPTH_MAX and every level is
 * checked to be one below its parent's. A write that fails leaves the tree as it was, but for
 * seq_insert_tree() and seq_remove() that run out of memory half-way; that bars the transaction
 * (dirty.failed).
 *
 * Nodes below a third are merged with a neighbour or filled from it, as far as that can be read.
 * Inserts in a row, at the tree's ends or anywhere, leave full pages behind them.
 */
#ifndef DURAMEN_ENGINE_SEQ_H
#define DURAMEN_ENGINE_SEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/seq_page.h"
#include "engine/tree.h"

enum seq_kind { SEQ_LIST = PAGE_SEQ_LEAF, SEQ_ROPE = PAGE_ROPE_LEAF };

/* ---- Reading ---- */

/* The cell at a position. 0, 1: there are not so many, DUR_E_CORRUPT. */
int list_get(const struct pager *pager, const struct tree *tree, uint64_t at, struct cell *cell);
/*
 * The same, for gets in order: they end in the leaf of the one before. n 0: there was none. Good as
 * long as the pages of the pager are: its owner sets n to 0 before they go.
 */
struct list_near {
	struct page_ptr root;
	uint64_t first;                 /* position of the leaf's first item */
	const struct page *leaf;
	uint32_t n;
};
int list_get_near(const struct pager *pager, const struct tree *tree, uint64_t at,
                  struct list_near *near, struct cell *cell);
/* Copies up to len bytes from `at` on; *got < len: the rope ended. */
int rope_read(const struct pager *pager, const struct tree *tree, uint64_t at, void *buf,
              uint64_t len, uint64_t *got);

/*
 * A cursor keeps its path and prefetches the next leaf. It is at an item, or past the last one, or
 * before the first one. Of a rope it goes from leaf to leaf: at a byte, from which a piece can be
 * read in place. Good until a write; then seek again.
 */
struct seq_cursor {
	struct pager pager;
	struct tree tree;
	enum seq_kind kind;
	uint32_t depth;                 /* levels on the path; 0: nowhere */
	uint64_t first;                 /* position of the leaf's first unit */
	const uint8_t *ahead, *ahead_end; /* what of the next leaf has not been asked for */
	uint64_t moved;                 /* of a packed state: unpack_moved() when it met the leaf */
	struct {
		struct page_ptr ptr;
		const struct page *page;
		uint32_t at, n;
	} level[TREE_DEPTH_MAX];        /* [0] the leaf */
};

void seq_cursor_open(struct seq_cursor *c, const struct pager *pager, const struct tree *tree,
                     enum seq_kind kind);
/* To a position; at the count or above: past the last. 0, 1: there is none, DUR_E_CORRUPT. */
int seq_cursor_seek(struct seq_cursor *c, uint64_t at);
/* To the next item; of a rope to the next leaf's first byte. 0, or 1 at the end. */
int seq_cursor_next(struct seq_cursor *c);
/* To the item before; of a rope to the first byte of this leaf, at it of the leaf before. */
int seq_cursor_prev(struct seq_cursor *c);

static inline bool seq_cursor_valid(const struct seq_cursor *c)
{
	return c->depth && c->level[0].at < c->level[0].n;
}

/* Where it is. */
static inline uint64_t seq_cursor_position(const struct seq_cursor *c)
{
	return c->first + c->level[0].at;
}

/* The cell of a list that it is at. */
static inline struct cell seq_cursor_cell(const struct seq_cursor *c)
{
	return seq_cell(c->level[0].page, c->level[0].at);
}

/* The bytes of a rope from where it is to the end of the leaf; returns how many. */
static inline uint32_t seq_cursor_piece(const struct seq_cursor *c, const uint8_t **bytes)
{
	*bytes = seq_rope_bytes(c->level[0].page) + c->level[0].at;
	return c->level[0].n - c->level[0].at;
}

/* ---- Writing (tree's pages in d; call dirty_relieve() between operations) ---- */

/*
 * Inserts n cells so that the first stands at position `at`, at most the count. What the cells name
 * is the tree's from then on. They must not lie in the transaction's own pages. DUR_E_RANGE,
 * DUR_E_LIMIT: a cell is longer than TREE_CELL_MAX.
 */
int list_insert(struct dirty *d, struct tree *tree, uint64_t at, const struct cell *cells,
                size_t n);
/*
 * Another cell at a position; what the old one named is released, unless the caller has `moved` it.
 * DUR_E_RANGE.
 */
int list_set(struct dirty *d, struct tree *tree, uint64_t at, const struct cell *cell, bool moved);
/* The cell at a position in a page of the transaction's own, to be changed in place. */
int list_own(struct dirty *d, struct tree *tree, uint64_t at, uint8_t **cell, uint32_t *len);

/* Inserts bytes at an offset, at most the count. */
int rope_insert(struct dirty *d, struct tree *tree, uint64_t at, const void *bytes, uint64_t len);
/* Writes over bytes that are there. DUR_E_RANGE. */
int rope_write(struct dirty *d, struct tree *tree, uint64_t at, const void *bytes, uint64_t len);

/* Removes [from, to), and what its cells name. DUR_E_RANGE. Whole subtrees go unread. */
int seq_remove(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t from, uint64_t to);

/* What stands from `at` on becomes a tree of its own, *right. DUR_E_RANGE. */
int seq_split(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t at,
              struct tree *right);
/* Appends all of `right`, whose pages become the tree's; right is empty then. */
int seq_join(struct dirty *d, struct tree *tree, enum seq_kind kind, struct tree *right);

/*
 * A tree of items [from, to) of src that shares its pages with it. DUR_E_RANGE. Changes to either are
 * not seen by the other.
 */
int seq_slice(struct dirty *d, struct tree *src, enum seq_kind kind, uint64_t from, uint64_t to,
              struct tree *out);
/* Inserts all of `middle`, whose pages become the tree's, in front of position `at`. */
int seq_insert_tree(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t at,
                    struct tree *middle);

#endif
