/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep: packs whose pages all died before the range are looked at from the oldest on. One of
 * which nothing is retained is dropped. Of one that kept states need something, that is rescued into a
 * pack of the same number that is whole (pack_rescue.h); so whatever older packs decoded through it is
 * needed no more when its own turn comes, and a kept state holds its own pages alone. When kept states
 * are dropped the sweep begins again, and makes those packs anew of which a good part has gone.
 *
 * One pack a commit, which bounds how long others wait: a batch has made it of some hundred commits.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/pack_batch.h"
#include "engine/pack_rescue.h"
#include "engine/run.h"
#include "internal/error.h"

enum { LOOK_PACKS = 16 };       /* in one turn */

static uint64_t oldest(const struct history *history)
{
	return history->recent[history->n_recent - 1].oldest;
}

static bool keeps_any(const struct history *history)
{
	return history->n_low || history->gap.n;
}

bool history_sweep_due(const struct history *history)
{
	return history->drop_next <= oldest(history);
}

/* ---- One pack ---- */

struct sweep {
	uint64_t number;
	struct pack_run run;
	struct pack pack;
	struct rescued *entries;
	size_t n_held;
};

static int sweep_open(struct history *history, uint64_t number, const struct pack_run *run,
                      struct sweep *s)
{
	const void *bytes;
	int rc = run_read(history->file, run->ptr, run->length, &bytes);

	*s = (struct sweep){ .number = number, .run = *run };
	if (rc == 0)
		rc = pack_open(bytes, run->length, &s->pack);
	if (rc == 0)
		rc = pack_entries(&s->pack, &s->entries);
	for (size_t i = 0; rc == 0 && keeps_any(history) && i < s->pack.entries; i++) {
		const struct pack_entry *e = &s->entries[i].entry;
		rc = history_retained_between(history, e->page.birth, e->death, &s->entries[i].held);
		s->n_held += s->entries[i].held;
	}
	return rc;
}

/* ---- Which is next ---- */

struct look {
	struct history *history;
	struct batch *batch;
	unsigned left;
};

static int is_to_do(struct history *history, uint64_t number, const struct pack_run *run, bool *to_do)
{
	struct sweep s = { 0 };
	int rc = 0;

	*to_do = !keeps_any(history) || run->last > history->whole;
	if (!*to_do) {
		rc = sweep_open(history, number, run, &s);
		*to_do = s.n_held < run->entries - run->entries / 4;
		free(s.entries);
	}
	return rc;
}

static int look_at(void *ctx, uint64_t number, const struct cell *cell)
{
	struct look *look = ctx;
	struct history *history = look->history;
	struct pack_run run;
	int rc = pack_cell(number, cell, &run);

	if (rc < 0)
		return rc;
	history->sweep_next = number;
	history->drop_next = run.last;
	if (run.last > oldest(history))
		return 3;
	if (run.last > history->sweep_skip) {
		if (look->left-- == 0)
			return 2;
		rc = is_to_do(history, number, &run, &look->batch->sweeps);
		if (rc < 0 || look->batch->sweeps)
			return rc < 0 ? rc : 3;
	}
	history->sweep_next = number + 1;
	history->drop_next = UINT64_MAX;
	return 0;
}

int history_sweep_find(struct history *history, struct batch *batch)
{
	const struct pager pager = { .file = history->file };
	struct look look = { history, batch, LOOK_PACKS };
	int rc;

	if (!history_sweep_due(history))
		return 1;
	rc = history_each(&pager, &history->tree, KEY_PACK, history->sweep_next, UINT64_MAX, look_at,
	                  &look);
	batch->sweep = history->sweep_next;
	return rc < 0 || rc == 2 ? rc : batch->sweeps ? 0 : 1;
}

/* ---- In a transaction ---- */

/* The cell that is replaced, or goes, takes its run with it. */
static int sweep_run(struct history *history, struct txn *txn, struct sweep *s)
{
	struct pack_writer writer = { 0 };
	int rc;

	history->packing.pack_pages -= run_pages(s->run.length);
	if (s->n_held == 0)
		return history_pack_drop(txn, s->number);
	rc = pack_rescue(history->file, &history->tree, &s->pack, s->entries, &writer);
	if (rc == 0)
		rc = history_pack_put(history, txn, &writer);
	pack_writer_free(&writer);
	return rc;
}

int history_sweep(struct history *history, struct txn *txn, uint64_t number)
{
	const struct pager pager = { .file = history->file };
	struct pack_run run;
	struct sweep s = { 0 };
	int rc = pack_run(&pager, &history->tree, number, &run);

	history->packing.sweep_next = number + 1;
	if (rc != 0 || run.last > oldest(history))
		return rc < 0 ? rc : 0; /* another process was here meanwhile */
	rc = sweep_open(history, number, &run, &s);
	if (rc == 0)
		rc = sweep_run(history, txn, &s);
	free(s.entries);
	if (run.last > history->packing.whole)
		history->packing.whole = run.last;
	return rc == 1 ? history_damaged("a pack is missing") : rc;
}
