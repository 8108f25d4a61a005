/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows: the collections that a transaction has handles to or writes into. A row says where its
 * collection is by its parent's row and its key there, which stay true through all writes; the place it
 * was found at last is kept beside and holds for as long as nothing there has moved. There is one row
 * for a collection, so that removing it is known to everybody who has it (`gone`); they outlive the
 * commit.
 *
 * A row's number and generation are what a handle has. Row 0 is the catalog. Rows without handles are
 * kept for the next write to the same place, some of them.
 *
 * When what was found is still right:
 *   - found at view->writes == now: nothing was written since;
 *   - owned, with home->structure and dirty->moves as they were: the cell lies in a page of the
 *     transaction's own, in a leaf of the tree `home`, none of whose bytes have moved. Writes in other
 *     trees do not matter, nor do those that change a nested tree's cell in place.
 * Whoever moves bytes of a tree's leaves raises structure, whoever shares or spills pages moves, every
 * write the view's count.
 */
#ifndef DURAMEN_MODEL_ROWS_H
#define DURAMEN_MODEL_ROWS_H

#include "model/place.h"

enum { ROW_KEY_NEAR = 24 };

struct row {
	uint32_t number, handles, kind;
	uint16_t generation;
	bool gone;                      /* removed or replaced: handles are stale */
	bool is_tree, owned;
	struct row *parent;             /* NULL: the catalog */
	struct row *child, *next, *prev; /* its first child; its siblings */
	struct row *hash_next, *idle_next, *idle_prev;
	struct row *down;               /* of the walk that is under way */
	uint64_t hash;
	uint8_t *key;                   /* near, or allocated */
	size_t key_len;
	uint64_t position;              /* in a list */
	uint64_t writes, moves, home_structure;
	struct row *home;
	uint8_t *cell;                  /* its own; of a tree NEST_TREE_CELL bytes */
	uint32_t cell_len;
	uint64_t structure;             /* of a tree: how often bytes of its leaves have moved */
	struct tree tree;               /* if it is one, but for the catalog's */
	uint8_t near[ROW_KEY_NEAR];
};

struct rows {
	struct row root;
	struct row **by_number;         /* [0] is the catalog's */
	uint16_t *generations;
	uint32_t n, cap, n_free, *free_numbers;
	struct row **hash;
	uint32_t hash_size, n_hashed;
	struct row *idle_first, *idle_last; /* without handles and children, oldest first */
	uint32_t n_idle;
};

/* The view's rows, made at their first use; NULL: no memory, with message. */
struct rows *rows_of(dur_view *v);
/* Forgets all rows (the view is closed); forget: frees everything. */
void rows_end(dur_view *v, bool forget);

static inline bool rows_used(const dur_view *v)
{
	return unlikely(v->rows_used);
}

static inline struct tree *row_tree(dur_view *v, struct row *row)
{
	return row->parent ? &row->tree : v->catalog;
}

/* Whose handle it is. The handle was checked; DUR_E_STALE, DUR_E_READ_ONLY: borrowed from a value. */
int row_of(dur_coll c, struct row **row);
/* The same of a handle to a row, without words: NULL if it is gone. */
struct row *row_by_number(dur_coll c);
/* The handle to a row, which then has one more. */
dur_coll row_handle(dur_view *v, struct row *row);
void row_leave(dur_view *v, struct row *row);
/*
 * The row of the collection at a key. DUR_NONE: nothing is there; DUR_E_TYPE: no collection. It has no
 * handle yet: the next row_child() of another collection may forget it, unless it is parent to that.
 */
int row_child(dur_view *v, struct row *parent, const struct element_key *key, struct row **row);
/* Whether there is one; without it nobody has a handle to that collection or to what is in it. */
bool row_known(dur_view *v, const struct row *parent, const struct element_key *key);

/* Finds it: row->cell, row->tree. 0, DUR_E_STALE, DUR_E_CORRUPT. */
int row_find(dur_view *v, struct row *row);
/* The same, and its cell lies in a page of the transaction, with all on the way to it. */
int row_own(dur_view *v, struct row *row);
/* As what reads take it; row_find() it before. */
void row_place(dur_view *v, struct row *row, struct place *p);
/* A tree that was written to: its cell learns of it. Bytes of its leaves have moved. */
void row_store(dur_view *v, struct row *row);
/* What was at the key is so no more, with all that was in it. */
void row_gone(dur_view *v, struct row *parent, const struct element_key *key);
/* The same for what lies from one key (position) up to another, NULL: no bound. */
void row_gone_range(dur_view *v, struct row *parent, const struct element_key *from,
                    const struct element_key *to);
/* Items of a list from a position on have moved by `by`. */
void row_shift(dur_view *v, struct row *parent, uint64_t from, int64_t by);

/*
 * For marks. What rows there are that somebody has handles to, or that have children. Going back to it,
 * those are as they were, also the ones that were gone since; all others are gone. As there is one row for
 * a collection, a handle opened since to one of the former is good. Everything is to be found anew, so
 * the view's count of writes goes on.
 */
struct rows_mark {
	size_t n;
	struct row_mark {
		uint64_t position;
		uint32_t number;
		uint16_t generation;
		bool gone;
	} *row;                 /* by ascending number; free() it */
};
int  rows_save(const dur_view *v, struct rows_mark *mark);
/* Cannot fail. */
void rows_restore(dur_view *v, const struct rows_mark *mark);

#endif
