/* SPDX-License-Identifier: Apache-2.0 */
#include "model/collection.h"

#include <errno.h>
#include <string.h>

#include "engine/run.h"
#include "engine/value.h"
#include "model/path.h"
#include "model/write.h"

int collection_check_slow(dur_coll c)
{
	dur_view *v = c.view;

	if (v && v->generation == registry_generation && v->kind == VIEW_TXN && !v->txn)
		return error_set(DUR_E_FAILED, "this transaction failed to commit: close it, detach the "
		                 "prefix and attach it anew");
	if (!v || !c.kind)
		return error_set(DUR_E_MISUSE, "the collection is {0}: take it from dur_root()");
	if (v->generation != registry_generation)
		return error_set(DUR_E_FORKED,
		                 "this collection belongs to the parent process: attach anew "
		                 "after a fork");
	if (v->kind == VIEW_TXN && v->lent_stamp && c.stamp == v->lent_stamp &&
	    v->lent_writes == v->writes)
		return 0; /* it stands within a value that was read since the last write */
	if (v->kind == VIEW_CLOSED || c.stamp == 0 || c.stamp < v->stamp)
		return error_set(DUR_E_STALE, "this collection's view has been closed");
	return error_set(DUR_E_STALE, "this collection came within a value and was kept beyond a write: "
	                 "open it with dur_enter()");
}

int collection_begin_write(dur_coll c)
{
	int rc = collection_check(c);

	if (rc < 0)
		return rc;
	if (c.view->kind != VIEW_TXN)
		return error_set(DUR_E_READ_ONLY,
		                 "this view is a snapshot: write in a transaction, from "
		                 "dur_begin()");
	rc = c.view->txn->dirty.failed;
	return rc < 0 ? collection_end_write(c, rc) : 0;
}

int collection_end_write(dur_coll c, int rc)
{
	dur_view *v = c.view;

	if (rc >= 0) {
		int spilled = dirty_relieve(&v->txn->dirty);
		rc = spilled < 0 ? spilled : rc;
	}
	v->writes++;
	key_arena_reset(&v->arena);
	if (rc < 0 && v->failed == 0)
		v->failed = rc;
	return rc;
}

/* ---- Paths ---- */

/* The steps of an argument, one after the other: of a plain key itself. */
struct steps {
	const dur_value *items;
	uint64_t left;
	struct path path;
	struct key_arena scratch;
	bool is_path;
};

static int steps_open(struct steps *s, const dur_value *key)
{
	s->scratch = (struct key_arena){ 0 };
	s->is_path = false;
	if (!key)
		return error_set(DUR_E_MISUSE, "the key is NULL");
	if (key->type == DUR_PATH) {
		s->is_path = true;
		return path_open(&s->path, key);
	}
	s->items = key;
	s->left = 1;
	if (key->type != DUR_STEPS)
		return 0;
	s->items = key->items;
	s->left = key->len;
	if (s->left && !s->items)
		return error_set(DUR_E_MISUSE, "DUR_STEPS without steps");
	return 0;
}

/* 0, or 1 at the end. */
static int steps_next(struct steps *s, dur_value *step)
{
	if (s->is_path)
		return path_next(&s->path, &s->scratch, step);
	if (s->left == 0)
		return 1;
	s->left--;
	*step = *s->items++;
	return 0;
}

/* Nothing is there, or no collection; but a path that is none is an error all the same. */
static int steps_rest(struct steps *s, int rc)
{
	dur_value step;
	int wrong;

	while ((wrong = steps_next(s, &step)) == 0)
		;
	if (wrong < 0 || rc != DUR_E_TYPE)
		return wrong < 0 ? wrong : rc;
	return error_set(DUR_E_TYPE, "the path leads through a scalar, which has no elements");
}

/* From the collection at p to the one that the key's element is. */
static int go_into(struct place *p, const struct element_key *key)
{
	struct cell cell;
	dur_view *v = p->view;
	int rc = place_get(p, key, &cell);

	if (rc != 0)
		return rc;
	if (!nest_is_collection(cell.bytes))
		return DUR_E_TYPE;
	place_of_cell(v, &cell, p);
	return 0;
}

int collection_look(dur_coll c, const dur_value *key, struct place *p, struct element_key *out,
                    bool *self)
{
	struct steps steps;
	dur_value step;
	int rc = place_open(c, p);

	*self = false;
	if (rc < 0)
		return rc;
	if (!key_is_path(key))
		return place_key(p, key, out);
	rc = steps_open(&steps, key);
	if (rc == 0)
		rc = steps_next(&steps, &step);
	*self = rc == 1;
	if (*self)
		rc = 0;
	while (rc == 0 && !*self) {
		rc = place_key(p, &step, out);
		if (rc != 0 || (rc = steps_next(&steps, &step)) != 0)
			break;
		rc = go_into(p, out);
		if (rc == DUR_NONE || rc == DUR_E_TYPE) {
			rc = steps_rest(&steps, rc);
			key_arena_free(&steps.scratch);
			return rc;
		}
	}
	key_arena_free(&steps.scratch);
	return rc < 0 ? rc : 0;
}

static int no_parent(void)
{
	return error_set(DUR_E_PARENT, "the collection that the path leads into is not there: "
	                               "dur_make() makes it, and the maps on the way to it");
}

static int make_on_the_way(dur_view *v, struct row *row, const struct element_key *key)
{
	uint8_t cell[2];
	size_t len = small_empty(DUR_MAP, cell);
	int rc = element_check_position(v, row, key);

	if (kind_is_set(row->kind))
		return error_set(DUR_E_TYPE, "a set holds no collections");
	return rc == 0 ? write_put(v, row, key, cell, len) : rc;
}

/* From a row to that of the element at the key. */
static int step_into(dur_view *v, struct row **row, const struct element_key *key, bool make)
{
	struct row *into;
	int rc = row_child(v, *row, key, &into);

	if (rc == 1 && make) {
		rc = make_on_the_way(v, *row, key);
		if (rc == 0)
			rc = row_child(v, *row, key, &into);
	}
	if (rc == 0)
		*row = into;
	return rc;
}

int collection_reach(dur_coll c, const dur_value *key, bool make, struct row **row,
                     struct element_key *out, bool *self)
{
	dur_view *v = c.view;
	struct steps steps;
	struct place p;
	dur_value step;
	int rc = row_of(c, row);

	*self = false;
	if (rc == 0)
		rc = row_find(v, *row);
	if (rc < 0)
		return rc;
	row_place(v, *row, &p);
	if (!key_is_path(key))
		return place_key(&p, key, out);
	rc = steps_open(&steps, key);
	if (rc == 0)
		rc = steps_next(&steps, &step);
	*self = rc == 1;
	while (rc == 0) {
		rc = place_key(&p, &step, out);
		if (rc != 0 || (rc = steps_next(&steps, &step)) != 0)
			break;
		rc = step_into(v, row, out, make);
		if (rc == DUR_NONE || rc == DUR_E_TYPE) {
			rc = steps_rest(&steps, rc);
			rc = rc == DUR_NONE ? no_parent() : rc;
		} else if (rc == 0) {
			rc = row_find(v, *row);
			row_place(v, *row, &p);
		}
	}
	key_arena_free(&steps.scratch);
	return rc < 0 ? rc : 0;
}

int collection_find(dur_coll c, const dur_value *key, struct place *p, struct cell *cell, bool *self)
{
	struct element_key k;
	int rc = collection_look(c, key, p, &k, self);

	return rc != 0 || *self ? rc : place_get(p, &k, cell);
}

/* ---- Values ---- */

int collection_value_slow(dur_view *v, const struct cell *cell, struct key_arena *arena,
                          dur_value *value)
{
	struct value_run run;
	const void *payload;
	int rc;

	if (unlikely(nest_is_collection(cell->bytes))) {
		struct place p;
		place_of_cell(v, cell, &p);
		*value = (dur_value){ .type = p.kind, .len = place_count(&p) };
		return place_handle(v, cell, &value->coll);
	}
	if (likely(!value_is_run(cell->bytes, cell->len)))
		return value_decode(cell->bytes, cell->len, arena, value);
	rc = value_run(cell->bytes, cell->len, &run);
	if (rc == 0)
		rc = run_read(v->pager.file, (struct page_ptr){ run.page, run.birth }, run.bytes,
		              &payload);
	return rc < 0 ? rc : value_decode_run(cell->bytes, cell->len, payload, arena, value);
}

int collection_member(dur_view *v, uint32_t kind, const struct element_key *key, dur_value *value)
{
	uint8_t *bytes = key_arena_take(&v->arena, key->len + 1);

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, key->bytes, key->len);
	return collection_key_value(kind_is_raw(kind), bytes, key->len, &v->arena, value);
}

int collection_self(dur_coll c, dur_value *value)
{
	struct place p;
	int rc = place_open(c, &p);

	if (rc == 0)
		*value = (dur_value){ .type = c.kind, .len = place_count(&p), .coll = c };
	return rc;
}
