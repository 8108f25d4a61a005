/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row that is to be found asks its parent first: the way up to one that is found still is linked
 * through row->down and then walked down, so that collections may be nested to any depth.
 */
#include "model/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/hash.h"
#include "model/collection.h"
#include "model/iter.h"

enum { IDLE_MAX = 64, GENERATION_SHIFT = 32 };

/* ---- The table ---- */

struct rows *rows_of(dur_view *v)
{
	struct rows *rows = v->rows;

	if (!rows) {
		rows = calloc(1, sizeof *rows);
		if (!rows) {
			error_system(ENOMEM, "remembering a collection's place");
			return NULL;
		}
		v->rows = rows;
		v->model_end = model_end;
	}
	if (!v->rows_used) {
		v->rows_used = true;
		rows->root.kind = v->raw ? DUR_RAW_MAP : DUR_MAP;
		rows->root.is_tree = true;
		rows->n = 1;
	}
	return rows;
}

static void free_row(struct row *row)
{
	if (row->key != row->near)
		free(row->key);
	free(row);
}

void rows_end(dur_view *v, bool forget)
{
	struct rows *rows = v->rows;

	v->rows_used = false;
	if (!rows)
		return;
	for (uint32_t i = 1; i < rows->n; i++)
		if (rows->by_number[i])
			free_row(rows->by_number[i]);
	if (forget) {
		free(rows->by_number);
		free(rows->generations);
		free(rows->free_numbers);
		free(rows->hash);
		free(rows);
		v->rows = NULL;
		return;
	}
	struct rows kept = {
		.by_number = rows->by_number, .generations = rows->generations,
		.cap = rows->cap, .free_numbers = rows->free_numbers,
		.hash = rows->hash, .hash_size = rows->hash_size,
	};
	if (kept.hash_size)
		memset(kept.hash, 0, kept.hash_size * sizeof *kept.hash);
	*rows = kept;
}

/* Room for one more number and one more in the hash. */
static int grow(struct rows *rows)
{
	if (rows->n >= rows->cap && rows->n_free == 0) {
		uint32_t cap = rows->cap ? rows->cap * 2 : 16;
		struct row **by_number = realloc(rows->by_number, cap * sizeof *by_number);
		if (by_number)
			rows->by_number = by_number;
		uint16_t *generations = realloc(rows->generations, cap * sizeof *generations);
		if (generations)
			rows->generations = generations;
		uint32_t *numbers = realloc(rows->free_numbers, cap * sizeof *numbers);
		if (numbers)
			rows->free_numbers = numbers;
		if (!by_number || !generations || !numbers)
			return error_system(ENOMEM, "remembering a collection's place");
		memset(generations + rows->cap, 0, (cap - rows->cap) * sizeof *generations);
		rows->cap = cap;
	}
	if (rows->n_hashed < rows->hash_size)
		return 0;
	uint32_t size = rows->hash_size ? rows->hash_size * 2 : 16;
	struct row **hash = calloc(size, sizeof *hash);
	if (!hash)
		return error_system(ENOMEM, "remembering a collection's place");
	for (uint32_t i = 0; i < rows->hash_size; i++)
		for (struct row *row = rows->hash[i], *next; row; row = next) {
			next = row->hash_next;
			row->hash_next = hash[row->hash & (size - 1)];
			hash[row->hash & (size - 1)] = row;
		}
	free(rows->hash);
	rows->hash = hash;
	rows->hash_size = size;
	return 0;
}

static void unhash(struct rows *rows, struct row *row)
{
	for (struct row **at = &rows->hash[row->hash & (rows->hash_size - 1)]; *at;
	     at = &(*at)->hash_next)
		if (*at == row) {
			*at = row->hash_next;
			rows->n_hashed--;
			return;
		}
}

/* ---- Rows that nobody holds ---- */

static void idle_remove(struct rows *rows, struct row *row)
{
	if (!row->idle_prev && rows->idle_first != row)
		return;
	*(row->idle_prev ? &row->idle_prev->idle_next : &rows->idle_first) = row->idle_next;
	*(row->idle_next ? &row->idle_next->idle_prev : &rows->idle_last) = row->idle_prev;
	row->idle_next = row->idle_prev = NULL;
	rows->n_idle--;
}

static void drop(struct rows *rows, struct row *row);

static void idle_add(struct rows *rows, struct row *row)
{
	row->idle_prev = rows->idle_last;
	*(rows->idle_last ? &rows->idle_last->idle_next : &rows->idle_first) = row;
	rows->idle_last = row;
	rows->n_idle++;
}

static bool is_idle(const struct row *row)
{
	return row->parent && row->handles == 0 && !row->child;
}

static void leave_siblings(struct row *row)
{
	*(row->prev ? &row->prev->next : &row->parent->child) = row->next;
	if (row->next)
		row->next->prev = row->prev;
}

/* Forgets a row that has no handle and no child. Its parent may then be idle. */
static void drop(struct rows *rows, struct row *row)
{
	struct row *parent = row->parent;

	idle_remove(rows, row);
	leave_siblings(row);
	if (!row->gone)
		unhash(rows, row);
	rows->by_number[row->number] = NULL;
	rows->generations[row->number]++;
	rows->free_numbers[rows->n_free++] = row->number;
	free_row(row);
	if (is_idle(parent))
		idle_add(rows, parent);
}

/* ---- One row for a collection ---- */

static uint64_t hash_of(const struct row *parent, const struct element_key *key)
{
	uint64_t seed = parent->number + ((uint64_t)parent->generation << 32);

	if (!key->bytes)
		return hash64(&key->position, sizeof key->position, seed);
	return hash64(key->bytes, key->len, seed);
}

static struct row *known(dur_view *v, const struct row *parent, const struct element_key *key,
                         uint64_t hash)
{
	struct rows *rows = v->rows;

	if (!rows->hash_size)
		return NULL;
	for (struct row *row = rows->hash[hash & (rows->hash_size - 1)]; row; row = row->hash_next)
		if (row->hash == hash && row->parent == parent &&
		    (key->bytes ? row->key_len == key->len &&
		                          memcmp(row->key, key->bytes, key->len) == 0
		                : row->position == key->position))
			return row;
	return NULL;
}

bool row_known(dur_view *v, const struct row *parent, const struct element_key *key)
{
	return known(v, parent, key, hash_of(parent, key)) != NULL;
}

static int make(dur_view *v, struct row *parent, const struct element_key *key, uint64_t hash,
                struct row **out)
{
	struct rows *rows = v->rows;
	int rc = grow(rows);
	struct row *row = rc == 0 ? calloc(1, sizeof *row) : NULL;

	if (rc < 0)
		return rc;
	if (row)
		row->key = key->len <= ROW_KEY_NEAR ? row->near : malloc(key->len);
	if (!row || !row->key) {
		free(row);
		return error_system(ENOMEM, "remembering a collection's place");
	}
	if (key->bytes)
		memcpy(row->key, key->bytes, key->len);
	row->key_len = key->bytes ? key->len : 0;
	row->position = key->position;
	row->number = rows->n_free ? rows->free_numbers[--rows->n_free] : rows->n++;
	row->generation = rows->generations[row->number];
	rows->by_number[row->number] = row;
	if (is_idle(parent))
		idle_remove(rows, parent);
	row->parent = parent;
	row->next = parent->child;
	if (row->next)
		row->next->prev = row;
	parent->child = row;
	row->hash = hash;
	row->hash_next = rows->hash[hash & (rows->hash_size - 1)];
	rows->hash[hash & (rows->hash_size - 1)] = row;
	rows->n_hashed++;
	row->writes = UINT64_MAX;
	*out = row;
	return 0;
}

/* ---- Finding ---- */

static bool is_found(const dur_view *v, const struct row *row)
{
	return !row->parent || row->writes == v->writes ||
	       (row->owned && v->txn && row->moves == v->txn->dirty.moves &&
	        row->home_structure == row->home->structure);
}

static struct row *home_of(struct row *row)
{
	return row->parent->is_tree ? row->parent : row->parent->home;
}

static int stale(void)
{
	return error_set(DUR_E_STALE, "this collection was removed or replaced");
}

static void row_key(const struct row *row, struct element_key *key)
{
	key->bytes = row->parent->kind == DUR_LIST ? NULL : row->key;
	key->len = row->key_len;
	key->position = row->position;
}

/* What the cell says about the collection. */
static void learn(dur_view *v, struct row *row, uint8_t *cell, uint32_t len)
{
	struct nest_tree tree;

	row->cell = cell;
	row->cell_len = len;
	row->home = home_of(row);
	row->home_structure = row->home->structure;
	row->writes = v->writes;
	row->moves = v->txn ? v->txn->dirty.moves : 0;
	row->kind = cell[0] & NEST_KIND;
	row->is_tree = nest_is_tree(cell);
	if (!row->is_tree)
		return;
	nest_tree_read(cell, &tree);
	if (row->tree.root.no != tree.root.no)
		row->tree.finger.dirty = NULL;
	row->tree.root = tree.root;
	row->tree.count = tree.count;
	row->tree.depth = tree.depth;
	row->tree.class = CLASS_DATA;
}

/* The cell of a row whose parent is found. 1: there is none. */
static int look(dur_view *v, struct row *row, struct cell *cell)
{
	struct element_key key;
	struct place p;

	row_place(v, row->parent, &p);
	row_key(row, &key);
	return place_get(&p, &key, cell);
}

static void bury(dur_view *v, struct row *row);

static int find_one(dur_view *v, struct row *row)
{
	struct cell cell;
	int rc = look(v, row, &cell);

	if (rc < 0)
		return rc;
	if (rc == 1 || !nest_is_collection(cell.bytes) ||
	    (row->kind && (cell.bytes[0] & NEST_KIND) != row->kind)) {
		bury(v, row);
		return stale();
	}
	row->owned = false;
	learn(v, row, (uint8_t *)(uintptr_t)cell.bytes, cell.len);
	return 0;
}

int row_find(dur_view *v, struct row *row)
{
	struct row *at = row;
	int rc = 0;

	if (unlikely(row->gone))
		return stale();
	while (!is_found(v, at)) {
		at->parent->down = at;
		at = at->parent;
	}
	while (at != row && rc == 0) {
		at = at->down;
		rc = find_one(v, at);
	}
	return rc;
}

void row_place(dur_view *v, struct row *row, struct place *p)
{
	p->view = v;
	if (!row->parent || row->is_tree) {
		p->kind = row->kind;
		p->form = form_of_tree(row->kind);
		p->tree = row_tree(v, row);
		return;
	}
	place_of_cell(v, &(struct cell){ row->cell, row->cell_len }, p);
}

/* ---- Owning ---- */

static bool is_owned(const dur_view *v, const struct row *row)
{
	return !row->parent || (row->owned && row->moves == v->txn->dirty.moves &&
	                        row->home_structure == row->home->structure);
}

/* What a tree's cell says of its root, in place. */
static void tell(dur_view *v, struct row *row)
{
	const struct tree *tree = row_tree(v, row);

	if (!row->parent)
		return;
	put_u64(row->cell + NEST_ROOT_AT, tree->root.birth);
	put_u48(row->cell + NEST_ROOT_AT + 8, tree->root.no);
	put_u48(row->cell + NEST_COUNT_AT, tree->count);
	row->cell[NEST_DEPTH_AT] = (uint8_t)tree->depth;
}

/* The row's parent is owned. */
static int own_one(dur_view *v, struct row *row)
{
	struct row *parent = row->parent;
	struct element_key key;
	struct cell found;
	uint8_t *cell = NULL;
	size_t len = 0;
	int rc;

	row_key(row, &key);
	if (parent->is_tree) {
		rc = form_ops[form_of_tree(parent->kind)].own(&v->txn->dirty, row_tree(v, parent),
		                                              &key, &cell, &len);
		tell(v, parent);
	} else {
		rc = look(v, row, &found);
		if (rc == 0) {
			cell = (uint8_t *)(uintptr_t)found.bytes; /* the parent's page is ours */
			len = found.len;
		}
	}
	if (rc < 0)
		return rc;
	if (rc == 1 || (cell[0] & NEST_KIND) != row->kind) {
		bury(v, row);
		return stale();
	}
	learn(v, row, cell, (uint32_t)len);
	row->owned = true;
	return 0;
}

int row_own(dur_view *v, struct row *row)
{
	struct row *at = row;
	int rc = row_find(v, row);

	if (rc < 0)
		return rc;
	while (!is_owned(v, at)) {
		at->parent->down = at;
		at = at->parent;
	}
	while (at != row && rc == 0) {
		at = at->down;
		rc = own_one(v, at);
	}
	return rc;
}

void row_store(dur_view *v, struct row *row)
{
	row->structure++;
	tell(v, row);
	v->writes++;
}

/* ---- Handles ---- */

struct row *row_by_number(dur_coll c)
{
	struct rows *rows = c.view->rows;
	uint32_t number = (uint32_t)c.at;

	if (!rows_used(c.view) || number == 0 || number >= rows->n || !rows->by_number[number] ||
	    rows->by_number[number]->generation != (uint16_t)(c.at >> GENERATION_SHIFT))
		return NULL;
	return rows->by_number[number];
}

int row_of(dur_coll c, struct row **out)
{
	struct rows *rows;

	if (c.at >> PLACE_LENGTH_SHIFT)
		return error_set(DUR_E_READ_ONLY,
		                 "this collection came within a value, or is a string read as a rope: "
		                 "to write to a collection open it with dur_enter()");
	if (c.at == 0) {
		rows = rows_of(c.view);
		*out = rows ? &rows->root : NULL;
		return rows ? 0 : -ENOMEM;
	}
	*out = row_by_number(c);
	return *out && !(*out)->gone ? 0 : stale();
}

dur_coll row_handle(dur_view *v, struct row *row)
{
	if (row->parent) {
		if (is_idle(row))
			idle_remove(v->rows, row);
		row->handles++;
	}
	return (dur_coll){
		.view = v,
		.at = row->parent ? row->number | (uint64_t)row->generation << GENERATION_SHIFT : 0,
		.stamp = v->stamp,
		.kind = row->kind,
	};
}

void row_leave(dur_view *v, struct row *row)
{
	if (!row->parent || row->handles == 0 || --row->handles || row->child)
		return;
	if (row->gone)
		drop(v->rows, row);
	else
		idle_add(v->rows, row);
}

int row_child(dur_view *v, struct row *parent, const struct element_key *key, struct row **out)
{
	struct rows *rows = v->rows;
	uint64_t hash = hash_of(parent, key);
	struct row *row = known(v, parent, key, hash);
	struct cell cell;
	struct place p;
	int rc;

	if (row) {
		if (is_idle(row)) {
			idle_remove(rows, row);
			idle_add(rows, row);
		}
		*out = row;
		return row_find(v, row);
	}
	rc = row_find(v, parent);
	if (rc < 0)
		return rc;
	row_place(v, parent, &p);
	rc = place_get(&p, key, &cell);
	if (rc != 0)
		return rc;
	if (!nest_is_collection(cell.bytes))
		return error_set(DUR_E_TYPE, "a scalar is there, which has no elements");
	rc = make(v, parent, key, hash, &row);
	if (rc < 0)
		return rc;
	learn(v, row, (uint8_t *)(uintptr_t)cell.bytes, cell.len);
	while (rows->n_idle >= IDLE_MAX)
		drop(rows, rows->idle_first);
	idle_add(rows, row);
	*out = row;
	return 0;
}

/* ---- Going ---- */

/* The row and all below it: nobody finds them any more. Those that have handles stay to say so. */
static void bury(dur_view *v, struct row *top)
{
	struct rows *rows = v->rows;
	struct row *row = top, *end = top->parent;

	/* Downward first, then rows without children are left behind one by one. */
	for (;;) {
		if (!row->gone) {
			row->gone = true;
			unhash(rows, row);
			idle_remove(rows, row);
		}
		struct row *fresh = row->child;
		while (fresh && fresh->gone)
			fresh = fresh->next;
		if (fresh) {
			row = fresh;
			continue;
		}
		struct row *parent = row->parent;
		if (row->handles == 0 && !row->child) {
			row->gone = true;
			drop(rows, row);
		}
		if (parent == end)
			return;
		row = parent;
	}
}

void row_gone(dur_view *v, struct row *parent, const struct element_key *key)
{
	struct row *row;

	if (!rows_used(v) || !parent->child)
		return;
	row = known(v, parent, key, hash_of(parent, key));
	if (row)
		bury(v, row);
}

static bool is_below(const struct row *row, const struct element_key *key)
{
	size_t shorter;
	int order;

	if (!key->bytes)
		return row->position < key->position;
	shorter = row->key_len < key->len ? row->key_len : key->len;
	order = memcmp(row->key, key->bytes, shorter);
	return order < 0 || (order == 0 && row->key_len < key->len);
}

void row_gone_range(dur_view *v, struct row *parent, const struct element_key *from,
                    const struct element_key *to)
{
	if (!rows_used(v))
		return;
	for (struct row *row = parent->child, *next; row; row = next) {
		next = row->next;
		if (!row->gone && !(from && is_below(row, from)) && (!to || is_below(row, to)))
			bury(v, row);
	}
}

void row_shift(dur_view *v, struct row *parent, uint64_t from, int64_t by)
{
	struct rows *rows = v->rows;
	struct element_key key;

	if (!rows_used(v) || by == 0 || !parent->child)
		return;
	key.bytes = NULL;
	key.len = 0;
	/* All are taken out first: a row may move to where another one was. */
	for (struct row *row = parent->child; row; row = row->next)
		if (!row->gone && row->position >= from)
			unhash(rows, row);
	for (struct row *row = parent->child; row; row = row->next) {
		if (row->gone || row->position < from)
			continue;
		row->position += (uint64_t)by;
		key.position = row->position;
		row->hash = hash_of(parent, &key);
		struct row **at = &rows->hash[row->hash & (rows->hash_size - 1)];
		row->hash_next = *at;
		*at = row;
		rows->n_hashed++;
	}
}

/* ---- Marks ---- */

int rows_save(const dur_view *v, struct rows_mark *mark)
{
	const struct rows *rows = v->rows;

	*mark = (struct rows_mark){ 0 };
	if (!rows_used(v) || rows->n <= 1)
		return 0;
	mark->row = malloc(rows->n * sizeof *mark->row);
	if (!mark->row)
		return error_system(ENOMEM, "remembering which collections are open");
	for (uint32_t i = 1; i < rows->n; i++) {
		const struct row *row = rows->by_number[i];
		if (row && !is_idle(row))
			mark->row[mark->n++] = (struct row_mark){
				.number = i, .generation = row->generation,
				.gone = row->gone, .position = row->position,
			};
	}
	return 0;
}

/* As it was, or gone. Nothing of where it was found holds. */
static void restore_row(struct row *row, const struct row_mark *was)
{
	row->gone = !was || was->gone;
	if (was)
		row->position = was->position;
	row->owned = false;
	row->writes = UINT64_MAX;
}

static void rehash(struct rows *rows, struct row *row)
{
	struct element_key key;
	struct row **at;

	row_key(row, &key);
	row->hash = hash_of(row->parent, &key);
	at = &rows->hash[row->hash & (rows->hash_size - 1)];
	row->hash_next = *at;
	*at = row;
	rows->n_hashed++;
}

void rows_restore(dur_view *v, const struct rows_mark *mark)
{
	struct rows *rows = v->rows;
	const struct row_mark *was = mark->row, *end = was + mark->n;

	if (!rows_used(v) || !rows->hash_size)
		return;
	memset(rows->hash, 0, rows->hash_size * sizeof *rows->hash);
	rows->n_hashed = 0;
	for (uint32_t i = 1; i < rows->n; i++) {
		struct row *row = rows->by_number[i];
		while (was < end && was->number < i)
			was++;
		if (!row)
			continue;
		bool same = was < end && was->number == i && was->generation == row->generation;
		restore_row(row, same ? was : NULL);
		if (!row->gone)
			rehash(rows, row);
	}
	/* those that nobody asks for any more, and then the ones they were in */
	for (uint32_t i = 1; i < rows->n; i++)
		for (struct row *row = rows->by_number[i], *parent; row && row->gone && is_idle(row);
		     row = parent) {
			parent = row->parent;
			drop(rows, row);
		}
}
