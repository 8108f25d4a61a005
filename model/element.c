/* SPDX-License-Identifier: Apache-2.0 */
/* One element: get, put, swap, del, and many at a time. */
#include <errno.h>
#include <string.h>

#include "engine/run.h"
#include "engine/value.h"
#include "model/collection.h"

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

int dur_get(dur_coll c, const dur_value *key, dur_value *value)
{
	struct element_key k;
	struct cell cell;
	bool self;
	int rc = collection_check(c);

	if (unlikely(rc < 0))
		return rc;
	collection_reclaim(c.view);
	rc = collection_key(c, key, false, &k, &self);
	if (unlikely(rc != 0))
		return rc;
	if (unlikely(self)) {
		if (value)
			collection_self(c, value);
		return 0;
	}
	rc = tree_get(&c.view->pager, c.view->catalog, k.bytes, k.len, &cell);
	if (rc == 0 && value)
		rc = collection_value(c.view, &cell, &c.view->arena, value);
	return rc;
}

static int get_batch(dur_coll c, const dur_value *keys, uint32_t n, dur_value *values)
{
	uint8_t bytes[BATCH][DUR_MAX_KEY + 1];
	struct tree_key list[BATCH];
	struct cell cells[BATCH];
	int rc = 0;

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		list[i].key = bytes[i];
		rc = c.kind == DUR_RAW_MAP
		             ? key_encode_raw(&keys[i], bytes[i], sizeof bytes[i], &list[i].len)
		             : key_encode(&keys[i], bytes[i], sizeof bytes[i], &list[i].len);
	}
	if (rc == 0)
		rc = tree_get_many(&c.view->pager, c.view->catalog, list, n, cells);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (cells[i].bytes)
			rc = collection_value(c.view, &cells[i], &c.view->arena, &values[i]);
		else
			values[i] = (dur_value){ .type = DUR_ABSENT };
	}
	return rc;
}

/* Whether dur_get_many() can take the keys in batches: paths may lead anywhere. */
static bool plain(const dur_value *keys, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (keys[i].type == DUR_PATH || keys[i].type == DUR_STEPS)
			return false;
	return true;
}

int dur_get_many(dur_coll c, const dur_value *keys, uint32_t n, dur_value *values)
{
	int rc = collection_check(c);

	if (rc < 0)
		return rc;
	if (n && (!keys || !values))
		return error_set(DUR_E_MISUSE,
		                 "dur_get_many() needs keys and room for as many values");
	collection_reclaim(c.view);
	if (!plain(keys, n)) {
		for (uint32_t i = 0; i < n && rc >= 0; i++) {
			rc = dur_get(c, &keys[i], &values[i]);
			if (rc == DUR_NONE)
				values[i] = (dur_value){ .type = DUR_ABSENT };
		}
		return rc < 0 ? rc : 0;
	}
	for (uint32_t i = 0; i < n && rc == 0; i += BATCH)
		rc = get_batch(c, keys + i, n - i < BATCH ? n - i : BATCH, values + i);
	return rc;
}

/* ---- Writing ---- */

/* A value as a cell: inline if it fits beside its key, else in a run, which is written now. */
static int make_cell(dur_view *v, const dur_value *value, size_t key_len,
                     uint8_t cell[TREE_CELL_MAX], size_t *len, struct page_ptr *run,
                     uint64_t *run_bytes)
{
	size_t room =
		TREE_ENTRY_MAX - key_len < TREE_CELL_MAX ? TREE_ENTRY_MAX - key_len : TREE_CELL_MAX;
	uint8_t head[VALUE_HEAD_MAX];
	const void *payload;
	uint64_t bytes;
	size_t n;
	int rc;

	*run = (struct page_ptr){ 0 };
	*run_bytes = 0;
	if (!value)
		return error_set(DUR_E_MISUSE, "there is no value to put");
	if (value->type == DUR_BYTES && value->tag == 0 && value->len < room && value->ptr) {
		cell[0] = DUR_BYTES; /* nothing to check: the short way */
		memcpy(cell + 1, value->ptr, value->len);
		*len = value->len + 1;
		return 0;
	}
	if (value_cell_bound(value) <= room)
		return value_encode(value, cell, room, len);
	rc = value_encode(value, cell, room, len); /* the bound is generous */
	if (rc != -ENOSPC)
		return rc;
	rc = value_head(value, &v->arena, head, &n, &payload, &bytes);
	if (rc == 0)
		rc = run_write(&v->txn->dirty, payload, bytes, run);
	if (rc < 0)
		return rc;
	*run_bytes = bytes;
	memcpy(cell, head, n);
	*len = value_put_run(cell, n, &(struct value_run){ run->birth, run->no, bytes });
	return 0;
}

/* The key of an element that is to change. */
static int element_key(dur_coll c, const dur_value *key, struct element_key *k)
{
	bool self;
	int rc = collection_key(c, key, true, k, &self);

	if (rc != 0 || !self)
		return rc;
	return error_set(DUR_E_TYPE,
	                 "the path leads to the collection itself: name an element of it");
}

static int put(dur_coll c, const dur_value *key, const dur_value *value)
{
	uint8_t cell[TREE_CELL_MAX];
	struct element_key k;
	struct page_ptr run;
	uint64_t run_bytes = 0;
	size_t len;
	int rc = element_key(c, key, &k);

	if (rc != 0)
		return rc;
	rc = make_cell(c.view, value, k.len, cell, &len, &run, &run_bytes);
	if (rc < 0)
		return rc;
	rc = tree_put(&c.view->txn->dirty, c.view->catalog, k.bytes, k.len, cell, len, NULL);
	if (rc < 0 && run.no)
		dirty_drop_run(&c.view->txn->dirty, run, (uint32_t)run_pages(run_bytes),
		               CLASS_DATA);
	return rc < 0 ? rc : 0;
}

int dur_put(dur_coll c, const dur_value *key, const dur_value *value)
{
	int rc = collection_begin_write(c);

	return rc < 0 ? rc : collection_end_write(c, put(c, key, value));
}

/* Everything that can be refused about a put, before the first of many is done. */
static int check_put(dur_coll c, const dur_value *key, const dur_value *value)
{
	/* plain bytes under plain bytes: nothing about them can be refused */
	if (c.kind == DUR_RAW_MAP && key->type == DUR_BYTES && key->ptr && key->len <= DUR_MAX_KEY &&
	    value->type == DUR_BYTES && value->ptr && value->len <= VALUE_BYTES_MAX)
		return 0;

	uint8_t cell[TREE_CELL_MAX];
	struct element_key k;
	size_t len;
	int rc = element_key(c, key, &k);

	if (rc != 0)
		return rc;
	rc = value_encode(value, cell, sizeof cell, &len);
	if (rc == -ENOSPC) {
		uint8_t head[VALUE_HEAD_MAX];
		const void *payload;
		uint64_t bytes;
		rc = value_head(value, &c.view->arena, head, &len, &payload, &bytes);
	}
	return rc;
}

int dur_put_many(dur_coll c, const dur_value *keys, const dur_value *values, uint32_t n)
{
	int rc = collection_begin_write(c);

	if (rc < 0)
		return rc;
	if (n && (!keys || !values))
		rc = error_set(DUR_E_MISUSE, "dur_put_many() needs keys and as many values");
	for (uint32_t i = 0; i < n && rc == 0; i++)
		rc = check_put(c, &keys[i], &values[i]);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		rc = put(c, &keys[i], &values[i]);
		if (rc == 0 && i % BATCH == BATCH - 1)
			rc = dirty_relieve(&c.view->txn->dirty);
	}
	return collection_end_write(c, rc);
}

/* 0: the cell holds exactly this value (type, tag, content); DUR_NONE: another one. */
static int same(dur_view *v, const struct cell *cell, const dur_value *expected)
{
	uint8_t bytes[TREE_CELL_MAX], head[VALUE_HEAD_MAX];
	const void *payload, *stored;
	struct value_run run;
	uint64_t payload_len;
	size_t len;
	int rc;

	if (!value_is_run(cell->bytes, cell->len)) {
		rc = value_encode(expected, bytes, sizeof bytes, &len);
		if (rc == -ENOSPC)
			return DUR_NONE;
		return rc < 0 ? rc : len != cell->len || memcmp(bytes, cell->bytes, len) != 0;
	}
	rc = value_encode(expected, bytes, 0, &len);
	if (rc < 0 && rc != -ENOSPC)
		return rc;
	if (value_cell_bound(expected) <= VALUE_SMALL)
		return DUR_NONE;
	rc = value_head(expected, &v->arena, head, &len, &payload, &payload_len);
	if (rc == DUR_E_TYPE)
		return DUR_NONE;
	if (rc == 0)
		rc = value_run(cell->bytes, cell->len, &run);
	if (rc < 0)
		return rc;
	if (run.bytes != payload_len || (head[0] | VALUE_IN_RUN) != cell->bytes[0] ||
	    memcmp(head + 1, cell->bytes + 1, len - 1) != 0)
		return DUR_NONE;
	rc = run_read(v->pager.file, (struct page_ptr){ run.page, run.birth }, run.bytes, &stored);
	return rc < 0 ? rc : memcmp(stored, payload, payload_len) != 0;
}

static int swap(dur_coll c, const dur_value *key, const dur_value *expected, const dur_value *value)
{
	struct element_key k;
	struct cell cell;
	int rc = element_key(c, key, &k);

	if (rc != 0)
		return rc;
	if (!value)
		return error_set(DUR_E_MISUSE, "there is no value to put");
	rc = tree_get(&c.view->pager, c.view->catalog, k.bytes, k.len, &cell);
	if (rc < 0)
		return rc;
	if (rc == 1 && expected)
		return DUR_NONE;
	if (rc == 0) {
		rc = expected ? same(c.view, &cell, expected) : DUR_NONE;
		if (rc != 0)
			return rc;
	}
	return put(c, key, value);
}

int dur_swap(dur_coll c, const dur_value *key, const dur_value *expected, const dur_value *value)
{
	int rc = collection_begin_write(c);

	return rc < 0 ? rc : collection_end_write(c, swap(c, key, expected, value));
}

int dur_del(dur_coll c, const dur_value *key)
{
	struct element_key k;
	bool self;
	int rc = collection_begin_write(c);

	if (rc < 0)
		return rc;
	rc = collection_key(c, key, false, &k, &self);
	if (rc == 0 && self)
		rc = error_set(DUR_E_TYPE,
		               "the path leads to the collection itself: dur_clear() empties it");
	if (rc == 0)
		rc = tree_del(&c.view->txn->dirty, c.view->catalog, k.bytes, k.len);
	return collection_end_write(c, rc);
}
