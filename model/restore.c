/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_restore(): the difference between the transaction and the snapshot is written into the
 * transaction, entry by entry. So what both have stays shared, as it is what the newest state
 * reaches, and everything else is written anew, large values too: no page that was retired comes
 * back to life (I3).
 *
 * The diff cannot go on over a tree that is being written to. It is taken in batches, as copies;
 * each batch begins behind the last key of the one before, up to which the two are equal then.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/run.h"
#include "engine/tree_diff.h"
#include "engine/value.h"
#include "model/collection.h"
#include "model/write.h"

enum { BATCH_BYTES = 256 << 10 };

/* An entry to be put, or with no cell to be removed; its bytes follow. */
struct patch {
	uint32_t key_len, cell_len;
};

struct restore {
	dur_view *txn, *snap;
	struct tree_diff diff;
	uint8_t *batch;
	size_t used;
	bool changed;                   /* something was written */
	size_t from_len;                /* where the next batch begins */
	uint8_t from[TREE_KEY_MAX + 1];
};

/* Copies differences while there is room. 0, or 1: there are no more. */
static int take_batch(struct restore *r)
{
	struct tree_bounds bounds = { .from = r->from_len ? r->from : NULL,
		                      .from_len = r->from_len };
	size_t most = sizeof(struct patch) + TREE_KEY_MAX + TREE_CELL_MAX;
	struct tree_change c;
	int rc = tree_diff_open(&r->diff, &r->txn->pager, r->txn->catalog, &r->snap->pager,
	                        r->snap->catalog, &bounds);

	r->used = 0;
	while (rc == 0 && r->used + most <= BATCH_BYTES) {
		rc = tree_diff_next(&r->diff, &c);
		if (rc != 0)
			break;
		struct patch patch = { (uint32_t)c.len, c.now.bytes ? c.now.len : 0 };
		uint8_t *to = r->batch + r->used;
		memcpy(to, &patch, sizeof patch);
		memcpy(to + sizeof patch, c.key, c.len);
		if (patch.cell_len)
			memcpy(to + sizeof patch + c.len, c.now.bytes, patch.cell_len);
		r->used += sizeof patch + c.len + patch.cell_len;
		memcpy(r->from, c.key, c.len);
		r->from[c.len] = 0; /* nothing lies between a key and that key with 00 behind it */
		r->from_len = c.len + 1;
	}
	r->txn->pages_read += r->diff.side[DIFF_OLD].pages_read;
	r->snap->pages_read += r->diff.side[DIFF_NOW].pages_read;
	return rc;
}

/* A large value is written anew; the cell then names the copy. */
static int copy_run(struct restore *r, uint8_t *cell, size_t len, struct page_ptr *copy,
                    struct value_run *run)
{
	const void *data;
	int rc = value_run(cell, len, run);

	if (rc == 0)
		rc = run_read(r->snap->pager.file, (struct page_ptr){ run->page, run->birth },
		              run->bytes, &data);
	if (rc == 0)
		rc = run_write(&r->txn->txn->dirty, data, run->bytes, copy);
	if (rc < 0)
		return rc;
	r->snap->pages_read += run_pages(run->bytes);
	value_put_run(cell, len - VALUE_RUN_CELL,
	              &(struct value_run){ copy->birth, copy->no, run->bytes });
	return 0;
}

/* A collection is copied with all that is in it. */
static int put_collection(struct restore *r, const uint8_t *key, size_t key_len,
                          const uint8_t *cell, size_t cell_len)
{
	struct made_cell m = { .len = cell_len };
	int rc;

	memcpy(m.bytes, cell, cell_len);
	rc = cell_copy(r->txn, r->snap, &m);
	if (rc < 0)
		return rc;
	rc = tree_put(&r->txn->txn->dirty, r->txn->catalog, key, key_len, m.bytes, m.len, NULL);
	if (rc < 0)
		cell_unmake(r->txn, &m);
	return rc;
}

static int apply(struct restore *r, const uint8_t *key, size_t key_len, uint8_t *cell,
                 size_t cell_len)
{
	struct dirty *dirty = &r->txn->txn->dirty;
	struct page_ptr copy = { 0 };
	struct value_run run = { 0 };
	int rc = 0;

	if (cell_len == 0) {
		rc = tree_del(dirty, r->txn->catalog, key, key_len);
		return rc == 1 ? error_set(DUR_E_CORRUPT,
		                           "an entry to remove is not there: run `duramen "
		                           "check`")
		               : rc;
	}
	if (nest_is_collection(cell))
		return put_collection(r, key, key_len, cell, cell_len);
	if (value_is_run(cell, cell_len))
		rc = copy_run(r, cell, cell_len, &copy, &run);
	if (rc == 0)
		rc = tree_put(dirty, r->txn->catalog, key, key_len, cell, cell_len, NULL);
	if (rc < 0 && copy.no)
		dirty_drop_run(dirty, copy, (uint32_t)run_pages(run.bytes), CLASS_DATA);
	return rc;
}

/* Handles to what was there are stale now. */
static void forget(struct restore *r, const uint8_t *key, size_t key_len)
{
	struct element_key k;

	if (!rows_used(r->txn))
		return;
	k.bytes = key;
	k.len = key_len;
	row_gone(r->txn, &r->txn->rows->root, &k);
	row_store(r->txn, &r->txn->rows->root);
}

static int apply_batch(struct restore *r)
{
	enum { RELIEVE_EVERY = 32 };
	unsigned n = 0;
	int rc = 0;

	for (size_t at = 0; at < r->used && rc == 0;) {
		struct patch patch;
		uint8_t *key = r->batch + at + sizeof patch;
		memcpy(&patch, r->batch + at, sizeof patch);
		rc = apply(r, key, patch.key_len, key + patch.key_len, patch.cell_len);
		r->changed |= rc == 0;
		forget(r, key, patch.key_len);
		at += sizeof patch + patch.key_len + patch.cell_len;
		if (rc == 0 && ++n % RELIEVE_EVERY == 0)
			rc = dirty_relieve(&r->txn->txn->dirty);
	}
	return rc;
}

static int restore(dur_view *txn, dur_view *snap)
{
	struct restore *r = malloc(sizeof *r);
	bool more = true;
	int rc = 0;

	if (r)
		*r = (struct restore){ .txn = txn, .snap = snap, .batch = malloc(BATCH_BYTES) };
	if (!r || !r->batch)
		rc = error_system(ENOMEM, "restoring a state");
	while (rc == 0 && more) {
		rc = take_batch(r);
		more = rc == 0;
		if (rc >= 0)
			rc = apply_batch(r);
	}
	/*
	 * Half a restored state must never be committed, whatever the user said of failed writes.
	 */
	if (rc < 0 && r && r->changed && !txn->txn->dirty.failed)
		txn->txn->dirty.failed = rc;
	if (r)
		free(r->batch);
	free(r);
	return rc;
}

static int check(dur_view *txn, dur_view *snap)
{
	int rc = view_check(snap);

	if (rc < 0)
		return rc;
	if (snap->kind != VIEW_SNAPSHOT)
		return error_set(DUR_E_MISUSE,
		                 "dur_restore() takes the state of a snapshot: this view is a "
		                 "transaction");
	if (txn->prefix->shared != snap->prefix->shared)
		return error_set(DUR_E_MISUSE,
		                 "the snapshot is of prefix %s, the transaction of %s: "
		                 "dur_restore() works within one prefix",
		                 snap->prefix->name, txn->prefix->name);
	return 0;
}

int dur_restore(dur_view *txn, dur_view *snap)
{
	int rc = view_check(txn);

	if (rc < 0)
		return rc;
	dur_coll root = dur_root(txn);
	rc = collection_begin_write(root);
	if (rc < 0)
		return rc;
	rc = check(txn, snap);
	return collection_end_write(root, rc < 0 ? rc : restore(txn, snap));
}
