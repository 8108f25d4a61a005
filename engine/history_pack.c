/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing, as far as it is about the system tree and the writer's memory: which pages come next, whether a
 * batch still stands, and putting its pack into a folding transaction. Nothing but the fold's commit changes
 * what is under 'D' and 'B', so that a batch that passes history_pack_check() is in order with what
 * history_pack() finds.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/pack_batch.h"
#include "engine/run.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum { DUE_STATES = 32 };              /* so many states' deaths make a batch worth its commit */

/* ---- What comes next ---- */

static uint64_t oldest(const struct history *history)
{
	return history->recent[history->n_recent - 1].oldest;
}

static bool is_copy(const struct history *history)
{
	return store_is_copy(&history->recent[history->n_recent - 1]);
}

bool history_pack_due(const struct history *history)
{
	if (!history->loaded || history->n_recent == 0 || is_copy(history))
		return false;
	return history_sweep_due(history) || (!history_few_states(history) && history->raw_next != UINT64_MAX &&
	                              history->fold >= history->raw_next + DUE_STATES);
}

bool history_pack_waits(const struct history *history)
{
	return history->n_recent && !is_copy(history) && !history_few_states(history) &&
	       history->data.head < history->data.n;
}

struct gather {
	struct batch *batch;
	size_t deaths, in_death;        /* so far; pages before the last death */
};

/* A commit that replaced nearly everything stays as it is. */
static void leave_large(struct gather *g)
{
	if (g->batch->n_pages - g->in_death > BATCH_COMMIT_PAGES)
		g->batch->n_pages = g->in_death;
}

static int gather_part(void *ctx, uint64_t death, const struct cell *cell)
{
	struct gather *g = ctx;
	struct batch *batch = g->batch;
	struct retired *list = NULL;
	size_t n = 0;
	int rc;

	if (death != batch->last) {
		leave_large(g);
		if (g->deaths == BATCH_DEATHS || batch->n_pages >= BATCH_PAGES)
			return 2; /* the next batch's */
		g->deaths++;
		g->in_death = batch->n_pages;
		batch->last = death;
		if (!batch->first)
			batch->first = death;
	}
	rc = retired_decode(cell->bytes + 1, cell->len - 1, death, &list, &n);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (list[i].n == 1)
			rc = batch_add_page(batch, (struct page_ptr){ list[i].no, list[i].birth }, death);
	free(list);
	return rc;
}

static int gather_root(void *ctx, uint64_t number, const struct cell *cell)
{
	struct batch *batch = ctx;
	struct state state;
	int rc = history_state_decode(number, cell, &state);

	if (rc == 0)
		rc = batch_add_root(batch, number, &state.catalog);
	return rc < 0 ? rc : number >= batch->last ? 2 : 0;
}

int history_pack_gather(struct history *history, struct batch *batch)
{
	const struct pager pager = { .file = history->file };
	struct gather gather = { .batch = batch };
	uint64_t after = history->packed;
	int rc = 0;

	*batch = (struct batch){ .after = history->packed, .last = history->packed };
	if (history->n_recent == 0 || is_copy(history))
		return 1;
	if (after < history->drained)
		after = history->drained;
	if (after < oldest(history)) /* what died before is given up as it is */
		after = oldest(history);
	if (!history_few_states(history))
		rc = history_each(&pager, &history->tree, KEY_DEAD, after + 1, UINT64_MAX - 1, gather_part,
		                  &gather);
	leave_large(&gather);
	if (rc >= 0 && batch->first)
		rc = history_each(&pager, &history->tree, KEY_STATE, batch->first, UINT64_MAX - 1,
		                  gather_root, batch);
	if (rc >= 0)
		rc = history_merge_find(history, batch);
	if (rc < 0)
		return rc;
	rc = history_sweep_find(history, batch);
	return rc == 1 && (batch->first || batch->n_merged) ? 0 : rc;
}

/* ---- Does it stand? ---- */

struct check {
	struct batch *batch;
	size_t found;
};

static int check_part(void *ctx, uint64_t death, const struct cell *cell)
{
	struct check *c = ctx;
	struct retired *list = NULL;
	size_t n = 0;
	int rc = retired_decode(cell->bytes + 1, cell->len - 1, death, &list, &n);

	for (size_t i = 0; i < n && rc == 0; i++) {
		struct page_ptr ptr = { list[i].no, list[i].birth };
		if (list[i].n == 1 && batch_find(c->batch, ptr, death))
			c->found++;
		else
			rc = batch_add_rest(c->batch, ptr, list[i].n, death);
	}
	free(list);
	return rc;
}

int history_pack_check(struct history *history, struct batch *batch)
{
	const struct pager pager = { .file = history->file };
	struct check check = { .batch = batch };
	bool retained = true;
	int rc = 0;

	history->merge_fails += batch->merge_failed;
	if (!batch->first)
		return 0; /* nothing but packs to go through */
	if (history->packed != batch->after || history->drained >= batch->first ||
	    oldest(history) >= batch->first)
		return 1;
	/* bases were looked for in these states: what they reach must still be there */
	for (size_t i = 0; i < batch->n_roots && rc == 0 && retained; i++)
		rc = history_retained(history, batch->roots[i].state, &retained);
	if (rc < 0 || !retained)
		return rc < 0 ? rc : 1;
	rc = history_each(&pager, &history->tree, KEY_DEAD, batch->first, batch->last, check_part, &check);
	return rc < 0 ? rc : check.found != batch->n_packed;
}

/* ---- Into a transaction ---- */

/* The dead lists of the batch's deaths, less what is packed. */
static int put_rest(struct txn *txn, const struct batch *batch)
{
	uint8_t from[SYSTEM_KEY_MAX], to[SYSTEM_KEY_MAX];
	struct retired *list = malloc((batch->n_rest + 1) * sizeof *list);
	uint64_t n;
	int rc;

	if (!list)
		return error_system(ENOMEM, "packing old pages");
	history_key(from, KEY_DEAD, batch->first);
	history_key(to, KEY_DEAD, batch->last + 1);
	rc = tree_clear(&txn->dirty, &txn->system, from, 9, to, 9, &n);
	for (size_t i = 0, k; i < batch->n_rest && rc == 0; i = k) {
		uint64_t death = batch->rest[i].death;
		for (k = i; k < batch->n_rest && batch->rest[k].death == death; k++)
			list[k - i] = (struct retired){ .no = batch->rest[k].ptr.no, .n = batch->rest_n[k],
				.birth = batch->rest[k].ptr.birth, .class = CLASS_DATA };
		rc = history_fold_list(txn, death, list, k - i);
	}
	free(list);
	return rc;
}

/* The raw pages go when nobody pins a state up to this one any more. */
static int retire_raw(struct txn *txn, const struct batch *batch)
{
	int rc = 0;

	for (size_t i = 0; i < batch->n_pages && rc == 0; i++)
		if (batch->pages[i].offset)
			rc = dirty_drop_run(&txn->dirty, batch->pages[i].ptr, 1, CLASS_SYSTEM);
	if (rc == 0) /* they were no pages of the system before */
		txn->dirty.system_pages += (int64_t)batch->n_packed;
	return rc;
}

int history_pack_put(struct history *history, struct txn *txn, const struct pack_writer *writer)
{
	struct pack_run run = { .length = writer->len, .last = writer->last, .entries = writer->entries };
	uint8_t key[SYSTEM_KEY_MAX], cell[PACK_CELL_MAX];
	uint64_t pages = run_pages(run.length);
	int rc = run_write(&txn->dirty, writer->bytes, run.length, &run.ptr);

	if (rc < 0)
		return rc;
	txn->dirty.system_pages += (int64_t)pages;
	history->packing.pack_pages += pages;
	return history_put(txn, key, history_key(key, KEY_PACK, run.last), cell, pack_cell_put(cell, &run));
}

int history_pack_drop(struct txn *txn, uint64_t last)
{
	uint8_t key[SYSTEM_KEY_MAX];

	return tree_del(&txn->dirty, &txn->system, key, history_key(key, KEY_PACK, last));
}

static int put_pack(struct history *history, struct txn *txn, const struct batch *batch)
{
	int rc = history_pack_put(history, txn, &batch->writer);

	return rc < 0 ? rc : retire_raw(txn, batch);
}

/* ---- The transaction ---- */

int history_pack(struct history *history, struct txn *txn, struct batch *batch)
{
	struct packing *packing = &history->packing;
	int rc = 0;

	*packing = (struct packing){
		.active = true,
		.packed = batch->last > history->packed ? batch->last : history->packed,
		.pages_before = batch->n_packed,
		.pack_pages = history->pack_pages,
		.whole = history->whole,
		.sweep_next = history->sweep_next,
	};
	if (batch->sweeps)
		rc = history_sweep(history, txn, batch->sweep);
	if (rc == 0 && batch->first)
		rc = put_rest(txn, batch);
	if (rc == 0 && batch->n_merged)
		rc = history_merge(history, txn, batch);
	if (rc == 0 && batch->n_packed)
		rc = put_pack(history, txn, batch);
	return rc < 0 ? rc : history_fold_header(history, txn);
}

/* ---- For readers ---- */

int history_packed(struct file *file, const struct tree *system, uint64_t *packed, uint64_t *pack_pages)
{
	const struct pager pager = { .file = file };
	uint8_t key[SYSTEM_KEY_MAX];
	struct cell cell;
	int rc;

	*packed = *pack_pages = 0;
	if (system->depth == 0)
		return 0;
	rc = tree_get(&pager, system, key, history_key(key, KEY_HEADER, 0), &cell);
	if (rc != 0)
		return rc < 0 ? rc : history_damaged("its header is missing");
	if (cell.len != HEADER_CELL)
		return history_damaged("its header");
	*packed = get_u64(cell.bytes + 49);
	*pack_pages = get_u64(cell.bytes + 65);
	return 0;
}
