/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging of packs, as far as it is about the system tree. Packs that have left the range are the sweep's.
 * Under a policy that lets states go a merged pack covers an eighth of the range at most: a pack goes as a
 * whole, when all of it has left.
 */
#include "engine/history_private.h"

#include "duramen.h"
#include "engine/pack_batch.h"
#include "engine/run.h"
#include "internal/error.h"

enum { RANGE_PARTS = 8 };

static uint64_t span_of(const struct history *history)
{
	const struct state *newest = &history->recent[history->n_recent - 1];

	return history->policy.all ? UINT64_MAX : (newest->number - newest->oldest) / RANGE_PARTS;
}

int history_merge_find(struct history *history, struct batch *batch)
{
	const struct pager pager = { .file = history->file };
	uint64_t oldest = history->recent[history->n_recent - 1].oldest;
	struct pack_run runs[MERGE_PACKS];
	unsigned n, k, first;
	int rc = history->merge_fails < MERGE_TRIES ? pack_list_newest(&pager, &history->tree, runs,
	                                                              MERGE_PACKS, &n) : 1;

	if (rc != 0)
		return rc < 0 ? rc : 0;
	while (n > 0 && runs[n - 1].last <= oldest)
		n--;
	k = merge_choose(runs, n, span_of(history), &first);
	for (unsigned i = 0; i < k; i++)
		batch->merged[i] = runs[first + k - 1 - i];
	batch->n_merged = k;
	return 0;
}

/* Whether the packs still are what they were: no sweep and no other process has made them anew. */
static int stand(struct txn *txn, const struct batch *batch, bool *all)
{
	const struct pager pager = { .file = txn->dirty.file, .dirty = &txn->dirty };
	int rc = 0;

	*all = true;
	for (unsigned i = 0; i < batch->n_merged && rc == 0 && *all; i++) {
		const struct pack_run *was = &batch->merged[i];
		struct pack_run is;
		rc = pack_run(&pager, &txn->system, was->last, &is);
		*all = rc == 0 && is.ptr.no == was->ptr.no && is.ptr.birth == was->ptr.birth;
	}
	return rc < 0 ? rc : 0;
}

int history_merge(struct history *history, struct txn *txn, const struct batch *batch)
{
	bool all;
	int rc = stand(txn, batch, &all);

	if (rc < 0 || !all)
		return rc;
	for (unsigned i = 0; i < batch->n_merged && rc == 0; i++) {
		history->packing.pack_pages -= run_pages(batch->merged[i].length);
		if (i + 1 < batch->n_merged)
			rc = history_pack_drop(txn, batch->merged[i].last);
	}
	return rc < 0 ? rc : history_pack_put(history, txn, &batch->merger);
}
