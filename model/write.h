/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing into a collection of a transaction, wherever it is. An embedded one is written anew with the
 * outermost one that it lies in; what outgrows its room becomes a tree on the way, and a tree that has
 * shrunk far enough is embedded again. Rows of what is replaced or removed are gone afterwards.
 */
#ifndef DURAMEN_MODEL_WRITE_H
#define DURAMEN_MODEL_WRITE_H

#include "model/rows.h"

/* A value as a cell that no entry has yet. What it names is its own: put it, or let it go. */
struct made_cell {
	size_t len;             /* 0: none */
	uint8_t bytes[TREE_CELL_MAX];
};

/* What can stand beside a key of this length: a scalar, or an embedded collection. */
static inline size_t scalar_room(size_t key_len)
{
	size_t room = TREE_ENTRY_MAX - key_len;

	return room < TREE_CELL_MAX ? room : TREE_CELL_MAX;
}

/*
 * Any value: a scalar is written inline or as a run, a literal with all that is in it, a collection is
 * cloned. On failure nothing is left of it. value_cell.c, literal.c, clone.c.
 */
int cell_make(dur_view *v, const dur_value *value, size_t key_len, struct made_cell *m);
int cell_make_scalar(dur_view *v, const dur_value *value, size_t key_len, struct made_cell *m);
int cell_make_literal(dur_view *v, const dur_value *value, size_t key_len, struct made_cell *m);
int cell_make_clone(dur_view *v, dur_coll source, size_t key_len, struct made_cell *m);
/*
 * What a cell of a state of the past, or of another prefix, names is copied; the cell then names the copy.
 * A failure bars the transaction.
 */
int cell_copy(dur_view *v, dur_view *from, struct made_cell *m);
/*
 * Whether cell_make() can refuse the value; and the cell that it would make, unless that takes pages: then
 * 1, and nothing is in m.
 */
int cell_prepare(const dur_value *value, size_t key_len, struct made_cell *m);
int cell_check(const dur_value *value);
int literal_check(const dur_value *value);
/* Whether there can be literals of its kind, with so many items. */
int literal_kind(const dur_value *value);
/*
 * A literal as an embedded collection, if that takes no more than room bytes (at most SMALL_ROOM) and no
 * pages. 1: it does; then not all of it was checked. embed.c.
 */
int literal_embed(const dur_value *value, size_t room, uint8_t *cell, size_t *len);
/* 0: the cell holds this value, a collection with all that is in it; DUR_NONE: another one. */
int cell_same(dur_view *v, const struct cell *cell, const dur_value *expected);
/* It is not put after all. Cannot fail; the transaction is barred if what it names cannot be freed. */
void cell_unmake(dur_view *v, struct made_cell *m);
/* An embedded collection that is longer than may stand beside this key becomes a tree. */
int cell_fit(dur_view *v, size_t key_len, struct made_cell *m);

/* element.c: a value into the collection of a row. A set takes none. */
int element_put(dur_view *v, struct row *row, const struct element_key *key, const dur_value *value);
/* DUR_E_RANGE: a list has no gaps, behind its last item stands the next and nothing beyond. */
int element_check_position(dur_view *v, struct row *row, const struct element_key *key);
/* Where a writing call with a key leads to; "" is refused. */
int element_reach(dur_coll c, const dur_value *key, struct row **row, struct element_key *k);

/* Puts a cell at a key, whose entry it replaces; of a list at a position that is there. */
int write_put(dur_view *v, struct row *row, const struct element_key *key, const uint8_t *cell,
              size_t len);
/* 0, 1: nothing was there. */
int write_del(dur_view *v, struct row *row, const struct element_key *key);
/*
 * Items in front of position `at` of a list, at most its count. What the cells name is the list's then.
 * They do not lie in pages of the transaction.
 */
int write_insert(dur_view *v, struct row *row, uint64_t at, const struct cell *cells, size_t n);
/* All items of a tree that nobody names; on failure the transaction is barred. */
int write_insert_tree(dur_view *v, struct row *row, uint64_t at, struct tree *tree);
/* The entries of ranks [first, end), of which there is one at least. *n: how many they were. */
int write_clear(dur_view *v, struct row *row, uint64_t first, uint64_t end, uint64_t *n);

/*
 * Replaces a piece of an embedded collection; the row is found. WRITE_AGAIN: it does not fit, and the
 * outermost one has become a tree: find the row and begin again.
 */
enum { WRITE_AGAIN = 2 };
int write_small(dur_view *v, struct row *row, const struct small_splice *splice);
/* A tree that was written to is embedded again if it is small enough by now. */
int write_shrink(dur_view *v, struct row *row);

/*
 * Bytes at an offset of a rope, at most its count: the first `over` of them over what is there, the
 * others inserted behind these. They do not lie in pages that this changes. rope.c.
 */
int write_bytes(dur_view *v, struct row *row, uint64_t at, uint64_t over, const void *bytes,
                uint64_t len);
/* Bytes as a rope's cell, which no entry has yet. */
int cell_make_rope(dur_view *v, const void *bytes, uint64_t len, size_t key_len,
                   struct made_cell *m);
/* Of ropes what dur_append(), dur_insert() and dur_splice() do; the row is found. */
int rope_put_pieces(dur_view *v, struct row *row, uint64_t at, const dur_value *items, uint64_t n);
int rope_splice(dur_view *v, struct row *row, uint64_t at, const struct place *src, uint64_t first,
                uint64_t end);
/* The bytes of what can be a piece of a rope: DUR_E_TYPE, DUR_E_MISUSE. */
int rope_piece(const dur_value *piece, const uint8_t **bytes, size_t *len);

/* Half a change cannot be taken back: the transaction is barred. Returns rc. */
int write_bar(dur_view *v, int rc);
/*
 * An embedded list or rope becomes a tree; or it is empty and lies in a tree's leaf afterwards, where
 * write_take_tree() gives it one.
 */
int write_make_tree(dur_view *v, struct row *row);
int write_take_tree(dur_view *v, struct row *row, const struct tree *tree);

#endif
