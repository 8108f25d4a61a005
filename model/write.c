/* SPDX-License-Identifier: Apache-2.0 */
#include "model/write.h"

#include <errno.h>
#include <string.h>

#include "engine/refs.h"

int write_bar(dur_view *v, int rc)
{
	if (rc < 0 && !v->txn->dirty.failed)
		v->txn->dirty.failed = rc;
	return rc;
}

static const struct form_ops *ops_of(const struct row *row)
{
	return &form_ops[form_of_tree(row->kind)];
}

static void key_of(const struct row *row, struct element_key *key)
{
	key->bytes = row->parent->kind == DUR_LIST ? NULL : row->key;
	key->len = row->key_len;
	key->position = row->position;
}

/* ---- Embedded collections ---- */

/* The way from the outermost embedded collection, whose row it returns, to this one. */
static struct row *way_to(struct row *row, struct small *s)
{
	struct row *outermost = row;
	unsigned depth = 0;

	while (!outermost->parent->is_tree) {
		outermost = outermost->parent;
		depth++;
	}
	small_open(s, outermost->cell, outermost->cell_len);
	s->depth = depth;
	for (struct row *at = row; depth > 0; at = at->parent, depth--) {
		s->in[depth].at = (uint16_t)(at->cell - outermost->cell);
		s->in[depth].len = (uint16_t)at->cell_len;
	}
	return outermost;
}

/* A cell in the place of a collection that lies in a tree's leaf; what the old one named is in it. */
static int replace(dur_view *v, struct row *row, const uint8_t *cell, size_t len)
{
	struct row *home = row->parent;
	struct element_key key;
	int rc = row_own(v, home);

	if (rc < 0)
		return rc;
	key_of(row, &key);
	rc = ops_of(home)->put(&v->txn->dirty, row_tree(v, home), &key, cell, len, true);
	row_store(v, home);
	return rc;
}

/* The outermost embedded collection becomes a tree of its own, which is put in its place. */
static int grow(dur_view *v, struct row *outermost)
{
	uint8_t old[TREE_CELL_MAX], cell[NEST_TREE_CELL];
	size_t len = outermost->cell_len;
	struct tree tree;
	int rc = row_own(v, outermost->parent);

	if (rc == 0)
		rc = row_find(v, outermost);
	if (rc < 0)
		return rc;
	memcpy(old, outermost->cell, len);
	rc = ops_of(outermost)->grow(&v->txn->dirty, old, len, &tree);
	if (rc < 0)
		return rc;
	nest_tree_write(cell, &(struct nest_tree){
		.kind = outermost->kind, .depth = tree.depth, .placed = v->txn->number,
		.root = tree.root, .count = tree.count,
	});
	return write_bar(v, replace(v, outermost, cell, sizeof cell));
}

int write_small(dur_view *v, struct row *row, const struct small_splice *splice)
{
	uint8_t cell[SMALL_ROOM];
	struct small s;
	struct row *outermost = way_to(row, &s);
	struct small_out out = { .cell = cell, .room = small_room(outermost->key_len) };
	int rc = small_splice(&s, splice, &out);

	if (rc == 0)
		return replace(v, outermost, cell, out.len);
	rc = grow(v, outermost);
	return rc < 0 ? rc : WRITE_AGAIN;
}

/* What an entry's cell names, for when the entry is gone. */
struct old_cell {
	size_t len;
	uint8_t bytes[TREE_CELL_MAX];
};

static void keep_old(struct old_cell *old, const uint8_t *cell, size_t len)
{
	old->len = len && cell[0] & NEST_REFS ? len : 0;
	if (old->len)
		memcpy(old->bytes, cell, old->len);
}

static int release(dur_view *v, const struct old_cell *old)
{
	return old->len ? write_bar(v, ref_release_cell(&v->txn->dirty, old->bytes, old->len)) : 0;
}

/* The entry of a key in an embedded collection, or where it would stand. */
static int find_small(const struct row *row, const struct element_key *key, struct nest_entry *entry)
{
	if (row->kind == DUR_LIST)
		return small_nth(row->cell, row->cell_len,
		                 key->position < UINT32_MAX ? (unsigned)key->position : UINT32_MAX,
		                 entry);
	return small_find(row->cell, row->cell_len, key->bytes, key->len, entry, NULL);
}

static int put_small(dur_view *v, struct row *row, const struct element_key *key,
                     const uint8_t *cell, size_t len)
{
	uint8_t bytes[TREE_ENTRY_MAX + 4];
	struct small_splice splice = { .bytes = bytes };
	struct nest_entry entry;
	struct old_cell old;
	int rc = find_small(row, key, &entry);

	splice.from = entry.at;
	splice.to = entry.end;
	splice.more = rc;
	splice.refs = cell[0] & NEST_REFS;
	keep_old(&old, rc == 0 ? entry.cell : NULL, rc == 0 ? entry.cell_len : 0);
	splice.len = small_entry(row->kind, key->bytes, key->len, cell, len, bytes);
	rc = write_small(v, row, &splice);
	return rc == 0 ? release(v, &old) : rc;
}

static int del_small(dur_view *v, struct row *row, const struct element_key *key)
{
	struct row *home = row->home;
	struct nest_entry entry;
	struct old_cell old;
	int rc = find_small(row, key, &entry);

	if (rc != 0)
		return rc;
	keep_old(&old, entry.cell, entry.cell_len);
	rc = write_small(v, row, &(struct small_splice){
		.from = entry.at, .to = entry.end, .more = -1, .bytes = (const uint8_t *)"",
	});
	if (rc == 0)
		rc = release(v, &old);
	return rc == 0 ? write_shrink(v, home) : rc;
}

/* ---- Back into the parent's page ---- */

/*
 * The tree's one page goes; what its cells name has moved. If others have that page, too, they have it
 * still, and what it names has one parent more: so it is owned first.
 */
static int drop_root(dur_view *v, struct row *row)
{
	struct dirty *d = &v->txn->dirty;
	struct tree *tree = &row->tree;
	struct page *page;
	int rc = tree->depth ? dirty_own(d, &tree->root, CLASS_DATA, &page) : 0;

	if (rc == 0 && tree->depth)
		rc = dirty_drop(d, tree->root, CLASS_DATA);
	row->structure++;
	return write_bar(v, rc);
}

int write_shrink(dur_view *v, struct row *row)
{
	enum { ENOUGH = SMALL_ROOM / 2 };
	uint8_t cell[ENOUGH], outer[SMALL_ROOM];
	struct row *parent = row->parent;
	struct small_out out = { .cell = outer };
	struct small_splice splice = { .bytes = cell };
	struct small s;
	int rc;

	if (!parent || !row->is_tree || row->tree.depth > 1)
		return 0;
	splice.len = ops_of(row)->shrink(&v->pager, &row->tree, row->kind, cell, ENOUGH);
	if (splice.len == 0)
		return 0;
	rc = row_own(v, row);
	if (rc < 0)
		return rc;
	if (parent->is_tree) {
		rc = replace(v, row, cell, splice.len);
		return rc < 0 ? rc : drop_root(v, row);
	}
	/* The length before the cell is written anew with it. */
	unsigned at = (unsigned)(row->cell - parent->cell);
	uint8_t entry[ENOUGH + 2];
	size_t head = small_length(entry, (unsigned)splice.len);
	memcpy(entry + head, cell, splice.len);
	struct row *outermost = way_to(parent, &s);
	splice = (struct small_splice){
		.from = at - 1, .to = at + NEST_TREE_CELL, .bytes = entry,
		.len = head + splice.len, .refs = cell[0] & NEST_REFS,
	};
	out.room = small_room(outermost->key_len);
	if (small_splice(&s, &splice, &out))
		return 0; /* it stays a tree, so that the outer one need not become one */
	rc = replace(v, outermost, outer, out.len);
	return rc < 0 ? rc : drop_root(v, row);
}

/* ---- Any collection ---- */

static int put_tree(dur_view *v, struct row *row, const struct element_key *key,
                    const uint8_t *cell, size_t len)
{
	int rc = row_own(v, row);

	if (rc < 0)
		return rc;
	rc = ops_of(row)->put(&v->txn->dirty, row_tree(v, row), key, cell, len, false);
	row_store(v, row);
	return rc;
}

int write_put(dur_view *v, struct row *row, const struct element_key *key, const uint8_t *cell,
              size_t len)
{
	int rc;

	do {
		rc = row_find(v, row);
		if (rc == 0)
			rc = row->is_tree ? put_tree(v, row, key, cell, len)
			                  : put_small(v, row, key, cell, len);
	} while (rc == WRITE_AGAIN);
	if (rc == 0)
		row_gone(v, row, key);
	return rc;
}

static int del_tree(dur_view *v, struct row *row, const struct element_key *key)
{
	struct place p;
	struct cell cell;
	int rc;

	row_place(v, row, &p);
	rc = place_get(&p, key, &cell);
	if (rc == 0)
		rc = row_own(v, row);
	if (rc != 0)
		return rc;
	rc = ops_of(row)->del(&v->txn->dirty, row_tree(v, row), key);
	row_store(v, row);
	return rc == 0 ? write_shrink(v, row) : rc;
}

int write_del(dur_view *v, struct row *row, const struct element_key *key)
{
	int rc;

	do {
		rc = row_find(v, row);
		if (rc == 0)
			rc = row->is_tree ? del_tree(v, row, key) : del_small(v, row, key);
	} while (rc == WRITE_AGAIN);
	if (rc != 0)
		return rc;
	row_gone(v, row, key);
	if (row->kind == DUR_LIST)
		row_shift(v, row, key->position + 1, -1);
	return 0;
}

/* ---- Items of lists ---- */

/* 1: they do not fit, and never will, an embedded list. */
static int insert_small(dur_view *v, struct row *row, uint64_t at, const struct cell *cells,
                        size_t n)
{
	uint8_t bytes[SMALL_ROOM];
	struct small_splice splice = { .bytes = bytes, .more = (int)n };
	struct nest_entry entry;

	for (size_t i = 0; i < n; i++) {
		if (splice.len + cells[i].len + 2 > sizeof bytes)
			return 1;
		splice.len += small_entry(DUR_LIST, NULL, 0, cells[i].bytes, cells[i].len,
		                          bytes + splice.len);
		splice.refs |= (cells[i].bytes[0] & NEST_REFS) != 0;
	}
	if (row->parent->is_tree && nest_count(row->cell, row->cell_len) == 0 &&
	    1 + node_length_size((unsigned)n) + splice.len > small_room(row->key_len))
		return 1; /* empty, it cannot grow out of its place */
	small_nth(row->cell, row->cell_len, (unsigned)at, &entry);
	splice.from = splice.to = entry.at;
	return write_small(v, row, &splice);
}

int write_make_tree(dur_view *v, struct row *row)
{
	struct small s;
	int rc;

	while ((rc = row_find(v, row)) == 0 && !row->is_tree) {
		struct row *outermost = way_to(row, &s);
		if (outermost == row && nest_count(row->cell, row->cell_len) == 0)
			break;
		rc = grow(v, outermost);
		if (rc < 0)
			break;
	}
	return rc;
}

int write_take_tree(dur_view *v, struct row *row, const struct tree *tree)
{
	uint8_t cell[NEST_TREE_CELL];

	nest_tree_write(cell, &(struct nest_tree){
		.kind = row->kind, .depth = tree->depth, .placed = v->txn->number,
		.root = tree->root, .count = tree->count,
	});
	return replace(v, row, cell, sizeof cell);
}

static int insert_tree(dur_view *v, struct row *row, uint64_t at, const struct cell *cells,
                       size_t n)
{
	struct tree fresh = { .class = CLASS_DATA };
	int rc;

	if (!row->is_tree) {
		rc = list_insert(&v->txn->dirty, &fresh, 0, cells, n);
		return rc == 0 ? write_bar(v, write_take_tree(v, row, &fresh)) : rc;
	}
	rc = row_own(v, row);
	if (rc < 0)
		return rc;
	rc = list_insert(&v->txn->dirty, row_tree(v, row), at, cells, n);
	row_store(v, row);
	return rc;
}

int write_insert(dur_view *v, struct row *row, uint64_t at, const struct cell *cells, size_t n)
{
	int rc;

	do {
		rc = row_find(v, row);
		if (rc < 0)
			return rc;
		rc = row->is_tree ? 1 : insert_small(v, row, at, cells, n);
	} while (rc == WRITE_AGAIN);
	if (rc == 1) {
		rc = write_make_tree(v, row);
		if (rc == 0)
			rc = insert_tree(v, row, at, cells, n);
	}
	if (rc == 0)
		row_shift(v, row, at, (int64_t)n);
	return rc;
}

int write_insert_tree(dur_view *v, struct row *row, uint64_t at, struct tree *tree)
{
	uint64_t n = tree->count;
	int rc = write_make_tree(v, row);

	if (rc == 0 && row->is_tree) {
		rc = row_own(v, row);
		if (rc == 0) {
			rc = seq_insert_tree(&v->txn->dirty, row_tree(v, row),
			                     seq_kind_of(row->kind), at, tree);
			row_store(v, row);
		}
	} else if (rc == 0) {
		rc = write_take_tree(v, row, tree);
	}
	if (rc == 0 && row->kind == DUR_LIST)
		row_shift(v, row, at, (int64_t)n);
	return write_bar(v, rc);
}

/* ---- Clearing ---- */

static int clear_bytes(dur_view *v, struct row *row, unsigned first, unsigned end)
{
	struct row *home = row->home;
	int rc = write_small(v, row, &(struct small_splice){
		.from = 1 + first, .to = 1 + end, .bytes = (const uint8_t *)"",
	});

	return rc == 0 ? write_shrink(v, home) : rc;
}

static int clear_small(dur_view *v, struct row *row, unsigned first, unsigned end)
{
	uint8_t gone[2 * TREE_CELL_MAX];
	size_t len = row->cell_len, n_gone = 0;
	struct row *home = row->home;
	struct nest_entries it;
	struct nest_entry entry, from = { 0 }, to = { 0 };
	unsigned i = 0;
	int rc = 0;

	nest_entries_open(&it, row->cell, len);
	while (nest_entries_next(&it, &entry) == 0 && i < end) {
		if (i == first)
			from = entry;
		to = entry;
		if (i++ >= first && entry.cell_len && entry.cell[0] & NEST_REFS) {
			uint16_t size = (uint16_t)entry.cell_len;
			memcpy(gone + n_gone, &size, sizeof size);
			memcpy(gone + n_gone + sizeof size, entry.cell, size);
			n_gone += sizeof size + size;
		}
	}
	rc = write_small(v, row, &(struct small_splice){
		.from = from.at, .to = to.end, .more = -(int)(end - first),
		.bytes = (const uint8_t *)"",
	});
	for (size_t at = 0; at < n_gone && rc == 0;) {
		uint16_t size;
		memcpy(&size, gone + at, sizeof size);
		rc = write_bar(v, ref_release_cell(&v->txn->dirty, gone + at + sizeof size, size));
		at += sizeof size + size;
	}
	return rc == 0 ? write_shrink(v, home) : rc;
}

/* The key of a rank; NULL: past the last. */
static int key_at(struct place_cursor *c, const struct place *p, uint64_t rank,
                  struct element_key *key, const struct element_key **out)
{
	const void *bytes;
	int rc;

	*out = NULL;
	if (rank >= place_count(p))
		return 0;
	key->position = rank;
	key->bytes = NULL;
	if (!kind_is_positional(p->kind)) {
		place_cursor_open(c, p);
		rc = place_cursor_nth(c, rank);
		if (rc < 0)
			return rc;
		place_cursor_entry(c, &bytes, &key->len, NULL);
		memcpy(key->buf, bytes, key->len);
		key->bytes = key->buf;
	}
	*out = key;
	return 0;
}

static int clear_tree(dur_view *v, struct row *row, const struct element_key *from,
                       const struct element_key *to, uint64_t *n)
{
	int rc = row_own(v, row);

	if (rc < 0)
		return rc;
	if (kind_is_positional(row->kind))
		rc = seq_remove(&v->txn->dirty, row_tree(v, row), seq_kind_of(row->kind),
		                from ? from->position : 0,
		                to ? to->position : row_tree(v, row)->count);
	else
		rc = tree_clear(&v->txn->dirty, row_tree(v, row), from ? from->bytes : NULL,
		                from ? from->len : 0, to ? to->bytes : NULL, to ? to->len : 0,
		                n);
	row_store(v, row);
	return rc == 0 ? write_shrink(v, row) : rc;
}

int write_clear(dur_view *v, struct row *row, uint64_t first, uint64_t end, uint64_t *n)
{
	struct element_key from_key, to_key;
	const struct element_key *from = NULL, *to = NULL;
	struct place_cursor c;
	struct place p;
	int rc = row_find(v, row);

	if (rc < 0)
		return rc;
	row_place(v, row, &p);
	if (first > 0)
		rc = key_at(&c, &p, first, &from_key, &from);
	if (rc == 0)
		rc = key_at(&c, &p, end, &to_key, &to);
	if (rc < 0)
		return rc;
	do {
		*n = end - first;
		rc = row->is_tree ? clear_tree(v, row, from, to, n)
		     : row->kind == DUR_ROPE
		             ? clear_bytes(v, row, (unsigned)first, (unsigned)end)
		             : clear_small(v, row, (unsigned)first, (unsigned)end);
		if (rc == WRITE_AGAIN && (rc = row_find(v, row)) == 0)
			rc = WRITE_AGAIN;
	} while (rc == WRITE_AGAIN);
	if (rc != 0)
		return rc;
	row_gone_range(v, row, from, to);
	if (row->kind == DUR_LIST)
		row_shift(v, row, end, -(int64_t)*n);
	return 0;
}
