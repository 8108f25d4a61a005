/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing, batch by batch: the turn is taken to list what has died and again to commit the pack; what takes
 * time, encoding, happens between the two, while others commit. If a batch is stale by then, because
 * retention let go of a state that it builds on, it is thrown away and listed anew.
 */
#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/pack_batch.h"
#include "engine/store_private.h"
#include "engine/unpack.h"
#include "internal/error.h"

enum { UNREADABLE_TRIES = 5 }; /* retention may have let go of what was to be read */

bool store_pack_due(const struct store *store)
{
	return atomic_load_explicit(&store->pack_due, memory_order_relaxed) && !store->pack_failed;
}

/* What comes next. 1: nothing. */
static int gather(struct store *store, int what, int timeout_ms, struct batch *batch)
{
	struct txn *txn;
	int rc = store_begin(store, timeout_ms, 0, &txn);

	if (rc < 0)
		return rc;
	rc = what == STORE_PACK_ALL || history_pack_due(store->history) ?
		history_pack_gather(store->history, batch) : 1;
	store_abort(txn);
	return rc;
}

/*
 * Where all that is visible is on disk it stays so. Else a pack does not hurry what its writers left for
 * later.
 */
static bool is_ahead_of_disk(struct store *store)
{
	bool ahead;

	pthread_mutex_lock(&store->mutex);
	ahead = store->n_queue != 0;
	pthread_mutex_unlock(&store->mutex);
	return ahead;
}

/* 1: the batch is stale. */
static int put(struct store *store, int timeout_ms, struct batch *batch)
{
	struct commit_options options = { .batch = batch };
	struct state state;
	struct txn *txn;
	int rc = store_begin(store, timeout_ms, 0, &txn);

	if (rc < 0)
		return rc;
	options.async = is_ahead_of_disk(store);
	rc = history_pack_check(store->history, batch);
	if (rc == 0)
		rc = store_commit(txn, &options, &state);
	if (rc != 0 && rc != DUR_E_FAILED)
		store_abort(txn);
	return rc;
}

/* 0, 1: there was nothing to do. */
static int pack_batch(struct store *store, int what, int timeout_ms, uint64_t *pages)
{
	struct batch batch = { 0 };
	int rc = 0;

	for (int unreadable = 0; unreadable < UNREADABLE_TRIES;) {
		batch_free(&batch);
		rc = gather(store, what, timeout_ms, &batch);
		if (rc == 2)
			continue; /* the turn was held for long enough */
		if (rc != 0)
			break;
		rc = batch_encode(store->file, &batch);
		unreadable += rc == 1;
		if (rc == 0)
			rc = put(store, timeout_ms, &batch);
		if (rc == 0)
			*pages += batch.n_packed;
		if (rc != 1)
			break;
		rc = 2;
	}
	if (rc == 2)
		rc = error_set(DUR_E_CORRUPT, "pages of the states %llu to %llu cannot be packed: they are not "
		               "what they should be; run `duramen check --history`",
		               (unsigned long long)batch.first, (unsigned long long)batch.last);
	batch_free(&batch);
	return rc;
}

/* A commit that does nothing but fold: what died since the last one then stands in dead lists. */
static int fold(struct store *store, int timeout_ms)
{
	struct commit_options options = { 0 };
	struct batch none = { 0 };
	struct state state;
	struct txn *txn;
	int rc = store_begin(store, timeout_ms, 0, &txn);

	if (rc < 0)
		return rc;
	if (!history_pack_waits(store->history)) {
		store_abort(txn);
		return 0;
	}
	options.batch = &none;
	options.async = is_ahead_of_disk(store);
	rc = store_commit(txn, &options, &state);
	if (rc < 0 && rc != DUR_E_FAILED)
		store_abort(txn);
	batch_free(&none);
	return rc;
}

static int reclaim(struct store *store, int timeout_ms)
{
	struct txn *txn;
	int rc = store_begin(store, timeout_ms, 0, &txn);

	if (rc < 0)
		return rc;
	rc = store_reclaim(txn);
	store_abort(txn);
	return rc;
}

static int pack(struct store *store, int what, int timeout_ms, int64_t end, uint64_t *pages)
{
	int rc = 0;

	if (what == STORE_PACK_ALL)
		rc = fold(store, timeout_ms);
	while (rc == 0) {
		rc = pack_batch(store, what, timeout_ms, pages);
		if (rc == 0 && end >= 0 && store_now_ms() >= end)
			break;
	}
	if (rc < 0)
		return rc;
	int more = rc == 0;
	if (what == STORE_PACK_ALL)
		rc = reclaim(store, timeout_ms);
	return rc < 0 ? rc : more;
}

/* One thread of this process at a time: of two batches at once one would be stale. */
int store_pack(struct store *store, int what, int timeout_ms, int budget_ms, uint64_t *pages)
{
	int64_t end = store_deadline(budget_ms);
	int rc;

	*pages = 0;
	if (what == STORE_PACK_ALL)
		pthread_mutex_lock(&store->packing);
	else if (pthread_mutex_trylock(&store->packing) != 0)
		return 0;
	rc = pack(store, what, timeout_ms, end, pages);
	pthread_mutex_unlock(&store->packing);
	return rc;
}

int store_pager(struct store *store, const struct state *newest, uint64_t number, uint64_t *moved,
                struct unpack **unpack, struct pager *pager)
{
	uint64_t packed, pages;
	struct file *file;
	int rc = store_scattered(store, &file);

	if (rc == 0)
		rc = history_packed(file, &newest->system, &packed, &pages);
	if (rc < 0)
		return rc;
	*pager = (struct pager){ .file = file };
	if (number >= packed)
		return 0;
	if (!*unpack)
		rc = unpack_new(moved, unpack);
	if (rc < 0)
		return rc;
	unpack_start(*unpack, file, &newest->system, number);
	pager->unpack = *unpack;
	pager->detour = PAGE_DIRTY;
	return 0;
}
