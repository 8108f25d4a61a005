/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One element: get, put, swap, del, add, and many at a time. Keys of the catalog take a way of their
 * own, without a look at where the collection is.
 */
#include <errno.h>
#include <string.h>

#include "engine/value.h"
#include "model/batch.h"
#include "model/collection.h"
#include "model/lent.h"
#include "model/origin.h"

enum { BATCH = 32 }; /* keys encoded at a time for dur_get_many() */

dur_coll dur_root(dur_view *v)
{
	if (!v || v->kind == VIEW_CLOSED)
		return (dur_coll){ 0 };
	if (unlikely(v->kind == VIEW_TXN && !v->txn))
		return (dur_coll){ .view = v }; /* its commit failed: every call says so */
	return (dur_coll){ .view = v, .stamp = v->stamp, .kind = v->raw ? DUR_RAW_MAP : DUR_MAP };
}

/* ---- Reading ---- */

/* A key of the catalog; bytes as a key of a raw one are looked up where they are. */
static inline int catalog_key(dur_coll c, const dur_value *key, struct element_key *out)
{
	if (c.kind == DUR_RAW_MAP && key->type == DUR_BYTES && key->len <= DUR_MAX_KEY && key->ptr) {
		out->bytes = key->ptr;
		out->len = key->len;
		return 0;
	}
	out->bytes = out->buf;
	return c.kind == DUR_RAW_MAP ? key_encode_raw(key, out->buf, sizeof out->buf, &out->len)
	                             : key_encode(key, out->buf, sizeof out->buf, &out->len);
}

static int get_slow(dur_coll c, const dur_value *key, dur_value *value)
{
	struct element_key k;
	struct place p;
	struct cell cell;
	bool self;
	int rc = collection_look(c, key, &p, &k, &self);

	if (rc == 0 && self)
		return value ? collection_self(c, value) : 0;
	if (rc == 0)
		rc = place_get(&p, &k, &cell);
	if (rc != 0 || !value)
		return rc;
	if (kind_is_set(p.kind))
		return collection_member(c.view, p.kind, &k, value);
	return collection_value(c.view, &cell, &c.view->arena, value);
}

int dur_get(dur_coll c, const dur_value *key, dur_value *value)
{
	struct element_key k;
	struct cell cell;
	int rc = collection_check(c);

	if (unlikely(rc < 0))
		return rc;
	collection_reclaim(c.view);
	if (unlikely(c.at != 0 || key_is_path(key)))
		return get_slow(c, key, value);
	rc = catalog_key(c, key, &k);
	if (unlikely(rc != 0))
		return rc;
	rc = tree_get(&c.view->pager, c.view->catalog, k.bytes, k.len, &cell);
	if (rc == 0 && value)
		rc = collection_value(c.view, &cell, &c.view->arena, value);
	return rc;
}

static int get_batch(const struct place *p, const dur_value *keys, uint32_t n, dur_value *values)
{
	uint8_t bytes[BATCH][DUR_MAX_KEY + 1];
	struct tree_key list[BATCH];
	struct cell cells[BATCH];
	dur_view *v = p->view;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		list[i].key = bytes[i];
		rc = p->kind == DUR_RAW_MAP
		             ? key_encode_raw(&keys[i], bytes[i], sizeof bytes[i], &list[i].len)
		             : key_encode(&keys[i], bytes[i], sizeof bytes[i], &list[i].len);
	}
	if (rc == 0)
		rc = tree_get_many(&v->pager, p->tree, list, n, cells);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (cells[i].bytes)
			rc = collection_value(v, &cells[i], &v->arena, &values[i]);
		else
			values[i] = (dur_value){ .type = DUR_ABSENT };
	}
	return rc;
}

/* Whether dur_get_many() can take the keys in batches: paths may lead anywhere. */
static bool plain(const struct place *p, const dur_value *keys, uint32_t n)
{
	if (p->form != FORM_KEYED || kind_is_set(p->kind))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (key_is_path(&keys[i]))
			return false;
	return true;
}

/* One by one; what is lent stays until the call is over. */
static int get_each(dur_coll c, const dur_value *keys, uint32_t n, dur_value *values)
{
	int rc = 0;

	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		rc = get_slow(c, &keys[i], &values[i]);
		if (rc == DUR_NONE)
			values[i] = (dur_value){ .type = DUR_ABSENT };
	}
	return rc < 0 ? rc : 0;
}

int dur_get_many(dur_coll c, const dur_value *keys, uint32_t n, dur_value *values)
{
	struct place p;
	int rc = collection_check(c);

	if (rc < 0)
		return rc;
	if (n && (!keys || !values))
		return error_set(DUR_E_MISUSE,
		                 "dur_get_many() needs keys and room for as many values");
	collection_reclaim(c.view);
	rc = place_open(c, &p);
	if (rc < 0)
		return rc;
	if (!plain(&p, keys, n))
		return get_each(c, keys, n, values);
	for (uint32_t i = 0; i < n && rc == 0; i += BATCH)
		rc = get_batch(&p, keys + i, n - i < BATCH ? n - i : BATCH, values + i);
	return rc;
}

/* ---- Writing ---- */

static int no_element(void)
{
	return error_set(DUR_E_TYPE,
	                 "the path leads to the collection itself: name an element of it");
}

int element_reach(dur_coll c, const dur_value *key, struct row **row, struct element_key *k)
{
	bool self;
	int rc = collection_reach(c, key, false, row, k, &self);

	return rc == 0 && self ? no_element() : rc;
}

int element_check_position(dur_view *v, struct row *row, const struct element_key *k)
{
	struct place p;

	if (row->kind != DUR_LIST)
		return 0;
	row_place(v, row, &p);
	if (k->position <= place_count(&p))
		return 0;
	return error_set(DUR_E_RANGE, "position %lld is beyond the list's %llu items",
	                 (long long)k->position, (unsigned long long)place_count(&p));
}

/* A put that can go to the catalog's tree at once: nobody has a handle to anything in it. */
static inline bool is_flat(dur_coll c, const dur_value *key, const dur_value *value)
{
	return c.at == 0 && !key_is_path(key) && value &&
	       (value->type < DUR_MAP || value->type & DUR_LITERAL) && !rows_used(c.view);
}

static int put_flat(dur_coll c, const dur_value *key, const dur_value *value)
{
	struct made_cell m;
	struct element_key k;
	dur_view *v = c.view;
	int rc;

	k.bytes = k.buf;
	rc = c.kind == DUR_RAW_MAP ? key_encode_raw(key, k.buf, sizeof k.buf, &k.len)
	                           : key_encode(key, k.buf, sizeof k.buf, &k.len);
	if (rc == 0)
		rc = cell_make(v, value, k.len, &m);
	if (rc < 0)
		return rc;
	rc = tree_put(&v->txn->dirty, v->catalog, k.bytes, k.len, m.bytes, m.len, NULL);
	if (rc < 0)
		cell_unmake(v, &m);
	return rc;
}

/* Into the collection of a row, at its key. A set takes no value. */
int element_put(dur_view *v, struct row *row, const struct element_key *k, const dur_value *value)
{
	struct made_cell m;
	int rc = element_check_position(v, row, k);

	m.len = 0;
	if (rc < 0)
		return rc;
	if (kind_is_set(row->kind)) {
		if (value)
			return error_set(DUR_E_TYPE, "a set's members have no values: dur_add() "
			                             "puts one, or dur_put() with none");
		m.bytes[0] = DUR_NULL;
		m.len = 1;
	} else {
		rc = origin_put(v, row, k, value, false);
		if (rc != DUR_NONE)
			return rc;
		rc = cell_make(v, value, k->len, &m);
	}
	if (rc == 0)
		rc = write_put(v, row, k, m.bytes, m.len);
	if (rc < 0)
		cell_unmake(v, &m);
	return rc;
}

static int put(dur_coll c, const dur_value *key, const dur_value *value)
{
	struct element_key k;
	struct row *row;
	int rc;

	if (likely(is_flat(c, key, value)))
		return put_flat(c, key, value);
	rc = element_reach(c, key, &row, &k);
	return rc == 0 ? element_put(c.view, row, &k, value) : rc;
}

int dur_put(dur_coll c, const dur_value *key, const dur_value *value)
{
	int rc = collection_begin_write(c);

	return rc < 0 ? rc : collection_end_write(c, put(c, key, value));
}

/* ---- Many at a time ---- */

/*
 * Keys and cells that the check has made anyway, as many as there is room for: number of the put (4
 * bytes), length of key and cell (2 each), both.
 */
struct ready {
	uint8_t *at, *end;      /* free, or, once all are there, the next one */
	uint8_t *first;
};
enum { READY_HEAD = 8, READY_MAX = READY_HEAD + DUR_MAX_KEY + TREE_CELL_MAX };
enum { READY_BYTES = 1 << 20 };

/* 1: there is no room. */
static int ready_add(struct ready *r, dur_view *v, uint32_t i, uint32_t n,
                     const struct element_key *k, const struct made_cell *m)
{
	if (!r->first) {
		size_t room = (uint64_t)(n - i) * READY_MAX;
		room = room < READY_BYTES ? room : READY_BYTES;
		r->first = r->at = key_arena_take(&v->arena, room);
		if (!r->first)
			return -ENOMEM;
		r->end = r->first + room;
	}
	if (READY_HEAD + k->len + m->len > (size_t)(r->end - r->at))
		return 1;
	put_u32(r->at, i);
	put_u16(r->at + 4, (uint16_t)k->len);
	put_u16(r->at + 6, (uint16_t)m->len);
	memcpy(r->at + READY_HEAD, k->bytes, k->len);
	memcpy(r->at + READY_HEAD + k->len, m->bytes, m->len);
	r->at += READY_HEAD + k->len + m->len;
	return 0;
}

/* The key and cell of put i, if they are there: of each in turn. */
static bool ready_take(struct ready *r, uint32_t i, struct element_key *k, struct cell *cell)
{
	if (r->at == r->end || get_u32(r->at) != i)
		return false;
	k->bytes = r->at + READY_HEAD;
	k->len = get_u16(r->at + 4);
	cell->bytes = k->bytes + k->len;
	cell->len = get_u16(r->at + 6);
	r->at += READY_HEAD + k->len + cell->len;
	return true;
}

/* Everything that can be refused about a put; m->len: what it puts at the key of c itself. */
static int check_put(dur_coll c, const dur_value *key, const dur_value *value,
                     struct element_key *k, struct made_cell *m)
{
	struct row *row;
	int rc;

	m->len = 0;
	/* plain bytes under plain bytes: nothing about them can be refused */
	if (c.at == 0 && c.kind == DUR_RAW_MAP && key->type == DUR_BYTES && key->ptr &&
	    key->len <= DUR_MAX_KEY && value && value->type == DUR_BYTES && value->ptr &&
	    value->len <= VALUE_BYTES_MAX && !text_is_lent(c.view, value)) {
		k->len = key->len;
		return 0;
	}
	if (c.at == 0 && !key_is_path(key)) {
		rc = catalog_key(c, key, k);
		return rc == 0 ? cell_prepare(value, k->len, m) : rc;
	}
	rc = element_reach(c, key, &row, k);
	if (rc == 0)
		rc = element_check_position(c.view, row, k);
	if (rc == 0 && kind_is_set(row->kind))
		return value ? error_set(DUR_E_TYPE, "a set's members have no values") : 0;
	if (rc == 0 && kind_is_keyed(c.kind) && !key_is_path(key))
		return cell_prepare(value, k->len, m);
	return rc == 0 ? cell_check(value) : rc;
}

/* Values that lie in pages of the transaction must not be spilled before their turn. */
static bool borrows(const dur_value *value)
{
	return value && value->type >= DUR_MAP;
}

/*
 * Whether an earlier put may remove where it lies: a collection of this very transaction, or what
 * may hold one; a text in its pages; a large value, whose pages are used again if the transaction
 * wrote them.
 */
static bool may_go(const dur_view *v, const dur_value *value, size_t key_len)
{
	if (!value)
		return false;
	if (value_is_text(value))
		return value->len + VALUE_HEAD_MAX > scalar_room(key_len) || text_is_lent(v, value);
	if (!borrows(value))
		return value->type == DUR_TUPLE;
	return value->type & DUR_LITERAL ||
	       ((value->type < DUR_OBJECT || value->type == DUR_COLL) && value->coll.view == v);
}

/* The cells of what may go, once all puts are known to be good; len: of the key, one up. */
static int make_early(dur_view *v, const dur_value *values, struct batch *early)
{
	int rc = 0;

	for (size_t i = 0; i < early->n && rc == 0; i++) {
		struct made_cell m;
		size_t key_len = early->cells[i].len;
		if (key_len == 0)
			continue;
		rc = cell_make(v, &values[i], key_len - 1, &m);
		if (rc == 0 && (rc = batch_put(early, i, &m)) < 0)
			cell_unmake(v, &m);
	}
	batch_done(early);
	return rc;
}

static int check_many(dur_coll c, const dur_value *keys, const dur_value *values, uint32_t n,
                      struct ready *ready, struct batch *early, bool *may_spill)
{
	struct made_cell m;
	struct element_key k;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		const dur_value *value = values ? &values[i] : NULL;
		rc = check_put(c, &keys[i], value, &k, &m);
		if (rc >= 0)
			rc = m.len ? ready_add(ready, c.view, i, n, &k, &m) : 1;
		if (rc == 1) {
			bool is_early = may_go(c.view, value, k.len);
			rc = is_early && !early->n ? batch_open(early, n) : 0;
			if (is_early && rc == 0)
				early->cells[i].len = (uint32_t)k.len + 1;
		}
		*may_spill = *may_spill && !borrows(value);
	}
	ready->end = ready->at;
	ready->at = ready->first;
	return rc == 0 ? make_early(c.view, values, early) : rc;
}

static int put_ready(dur_coll c, const struct element_key *k, const struct cell *cell)
{
	dur_view *v = c.view;
	struct row *row;
	int rc;

	if (c.at == 0 && !rows_used(v))
		return tree_put(&v->txn->dirty, v->catalog, k->bytes, k->len, cell->bytes, cell->len,
		                NULL);
	rc = row_of(c, &row);
	return rc == 0 ? write_put(v, row, k, cell->bytes, cell->len) : rc;
}

/* A cell that was made early; it is out of the batch then. */
static int put_early(dur_coll c, const dur_value *key, struct cell *cell)
{
	struct made_cell m = { .len = cell->len };
	struct element_key k;
	struct row *row;
	int rc = element_reach(c, key, &row, &k);

	memcpy(m.bytes, cell->bytes, m.len);
	cell->bytes = NULL;
	if (rc == 0)
		rc = element_check_position(c.view, row, &k);
	if (rc == 0 && kind_is_set(row->kind)) /* an earlier put of the call made it one */
		rc = error_set(DUR_E_TYPE, "a set's members have no values");
	if (rc == 0)
		rc = cell_fit(c.view, k.len, &m);
	if (rc == 0)
		rc = write_put(c.view, row, &k, m.bytes, m.len);
	if (rc < 0)
		cell_unmake(c.view, &m);
	return rc;
}

int dur_put_many(dur_coll c, const dur_value *keys, const dur_value *values, uint32_t n)
{
	struct batch early = { 0 };
	struct ready ready = { 0 };
	struct element_key k;
	struct cell cell;
	bool may_spill = true;
	dur_view *v = c.view;
	int rc = collection_begin_write(c);

	if (rc < 0)
		return rc;
	if (n && (!keys || (!values && !kind_is_set(c.kind))))
		rc = error_set(DUR_E_MISUSE, "dur_put_many() needs keys and as many values");
	else
		rc = keys_own(v, &keys, n);
	if (rc == 0)
		rc = check_many(c, keys, values, n, &ready, &early, &may_spill);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (ready_take(&ready, i, &k, &cell))
			rc = put_ready(c, &k, &cell);
		else if (early.n && early.cells[i].bytes)
			rc = put_early(c, &keys[i], &early.cells[i]);
		else
			rc = put(c, &keys[i], values ? &values[i] : NULL);
		if (rc == 0 && may_spill && i % BATCH == BATCH - 1) {
			rc = dirty_relieve(&v->txn->dirty);
			v->writes++;
		}
	}
	batch_close(v, &early, true);
	return collection_end_write(c, rc);
}

static int swap(dur_coll c, const dur_value *key, const dur_value *expected, const dur_value *value)
{
	struct element_key k;
	struct row *row;
	struct place p;
	struct cell cell;
	int rc = element_reach(c, key, &row, &k);

	if (rc < 0)
		return rc;
	if (!value && !kind_is_set(row->kind))
		return error_set(DUR_E_MISUSE, "there is no value to put");
	row_place(c.view, row, &p);
	rc = place_get(&p, &k, &cell);
	if (rc < 0)
		return rc;
	if (rc == 1 && expected)
		return DUR_NONE;
	if (rc == 0) {
		rc = expected ? cell_same(c.view, &cell, expected) : DUR_NONE;
		if (rc != 0)
			return rc;
	}
	return element_put(c.view, row, &k, value);
}

int dur_swap(dur_coll c, const dur_value *key, const dur_value *expected, const dur_value *value)
{
	int rc = collection_begin_write(c);

	return rc < 0 ? rc : collection_end_write(c, swap(c, key, expected, value));
}

static int del(dur_coll c, const dur_value *key)
{
	struct element_key k;
	struct place p;
	struct row *row;
	bool self;
	int rc = collection_look(c, key, &p, &k, &self);

	if (rc == 0 && self)
		return error_set(DUR_E_TYPE,
		                 "the path leads to the collection itself: dur_clear() empties it");
	if (rc == 0)
		rc = collection_reach(c, key, false, &row, &k, &self);
	return rc == 0 ? write_del(c.view, row, &k) : rc;
}

int dur_del(dur_coll c, const dur_value *key)
{
	int rc = collection_begin_write(c);

	return rc < 0 ? rc : collection_end_write(c, del(c, key));
}

static int add(dur_coll set, const dur_value *member)
{
	struct element_key k;
	struct row *row;
	struct place p;
	struct cell cell;
	int rc = element_reach(set, member, &row, &k);

	if (rc == 0 && !kind_is_set(row->kind))
		rc = error_set(DUR_E_TYPE, "this is %s: dur_add() puts members into sets",
		               kind_name(row->kind));
	if (rc < 0)
		return rc;
	row_place(set.view, row, &p);
	rc = place_get(&p, &k, &cell);
	if (rc <= 0)
		return rc < 0 ? rc : DUR_NONE;
	return element_put(set.view, row, &k, NULL);
}

int dur_add(dur_coll set, const dur_value *member)
{
	int rc = collection_begin_write(set);

	return rc < 0 ? rc : collection_end_write(set, add(set, member));
}
