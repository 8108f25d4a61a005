/* SPDX-License-Identifier: Apache-2.0 */
#include "model/collection.h"

#include "engine/run.h"
#include "engine/value.h"
#include "model/path.h"

int collection_check_slow(dur_coll c)
{
	if (c.view && c.view->generation == registry_generation && c.view->kind == VIEW_TXN &&
	    !c.view->txn)
		return error_set(DUR_E_FAILED, "this transaction failed to commit: close it, detach the "
		                 "prefix and attach it anew");
	if (!c.view || !c.kind)
		return error_set(DUR_E_MISUSE, "the collection is {0}: take it from dur_root()");
	if (c.view->generation != registry_generation)
		return error_set(DUR_E_FORKED,
		                 "this collection belongs to the parent process: attach anew "
		                 "after a fork");
	return error_set(DUR_E_STALE, "this collection's view has been closed");
}

int collection_begin_write(dur_coll c)
{
	int rc = collection_check(c);
	dur_view *v = c.view;

	if (rc < 0)
		return rc;
	if (v->kind != VIEW_TXN)
		return error_set(DUR_E_READ_ONLY,
		                 "this view is a snapshot: write in a transaction, from "
		                 "dur_begin()");
	v->writes++;
	key_arena_reset(&v->arena);
	return collection_end_write(c, dirty_relieve(&v->txn->dirty));
}

int collection_end_write(dur_coll c, int rc)
{
	if (rc < 0 && c.view->failed == 0)
		c.view->failed = rc;
	return rc;
}

/* ---- Keys ---- */

/* A path of more than one step needs a collection on the way, and there are none yet. */
static int lead_on(dur_coll c, const struct element_key *first, bool writing)
{
	struct cell cell;
	int rc = tree_get(&c.view->pager, c.view->catalog, first->bytes, first->len, &cell);

	if (rc < 0)
		return rc;
	if (rc == 0)
		return error_set(DUR_E_TYPE,
		                 "the path leads through a scalar, which has no elements");
	return writing ? error_set(DUR_E_PARENT,
	                           "the path's parent is not there; this version stores "
	                           "scalars in the catalog only, so a path has one step")
	               : DUR_NONE;
}

static int encode(dur_coll c, const dur_value *step, struct element_key *out)
{
	out->bytes = out->buf;
	return c.kind == DUR_RAW_MAP
	               ? key_encode_raw(step, out->buf, sizeof out->buf, &out->len)
	               : key_encode(step, out->buf, sizeof out->buf, &out->len);
}

int collection_key_path(dur_coll c, const dur_value *key, bool writing, struct element_key *out,
                        bool *self)
{
	struct key_arena scratch = { 0 };
	struct path path;
	dur_value step;
	int rc;

	*self = false;
	if (!key)
		return error_set(DUR_E_MISUSE, "the key is NULL");
	if (key->type == DUR_STEPS) {
		*self = key->len == 0;
		if (*self)
			return 0;
		if (!key->items)
			return error_set(DUR_E_MISUSE, "DUR_STEPS without steps");
		rc = encode(c, &key->items[0], out);
		return rc < 0 || key->len == 1 ? rc : lead_on(c, out, writing);
	}
	rc = path_open(&path, key);
	if (rc == 0)
		rc = path_next(&path, &scratch, &step);
	if (rc == DUR_NONE) {
		*self = true;
		rc = 0;
	} else if (rc == 0) {
		rc = encode(c, &step, out);
		if (rc == 0) {
			unsigned more = 0;
			while ((rc = path_next(&path, &scratch, &step)) == 0)
				more++;
			rc = rc < 0 ? rc : more ? lead_on(c, out, writing) : 0;
		}
	}
	key_arena_free(&scratch);
	return rc;
}

/* ---- Values ---- */

int collection_value_slow(dur_view *v, const struct cell *cell, struct key_arena *arena,
                          dur_value *value)
{
	struct value_run run;
	const void *payload;
	int rc;

	if (likely(!value_is_run(cell->bytes, cell->len)))
		return value_decode(cell->bytes, cell->len, arena, value);
	rc = value_run(cell->bytes, cell->len, &run);
	if (rc == 0)
		rc = run_read(v->pager.file, (struct page_ptr){ run.page, run.birth }, run.bytes,
		              &payload);
	return rc < 0 ? rc : value_decode_run(cell->bytes, cell->len, payload, arena, value);
}

void collection_self(dur_coll c, dur_value *value)
{
	*value = (dur_value){ .type = c.kind, .len = c.view->catalog->count, .coll = c };
}
