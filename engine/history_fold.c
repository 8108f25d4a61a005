/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fold carries what stands in the records since the last one into the system tree: states into
 * the index, retired pages into dead lists (or, where the policy keeps few states or retention has
 * let go of them already, into single entries that come and go), changed chunks of free space. Then
 * the records are superfluous and are retired themselves.
 *
 * The free space written down is that before this commit's own pages are taken: a replay starts with the
 * folding record itself and takes them out.
 */
#include "engine/history_private.h"
#include "engine/refs.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	FOLD_ENTRIES = 1 << 17,         /* retired runs in memory that call for a fold before its time */
	KEPT_ENTRIES = 1 << 13,         /* those among them that go under 'K' */
	DROP_EVERY = 8,                 /* commits between two slices of letting kept states go */
};

bool history_fold_due(const struct history *history)
{
	return history->n_recent >= HISTORY_FOLD_EVERY ||
	       history->data.n - history->data.head >= FOLD_ENTRIES ||
	       history->kept.n >= KEPT_ENTRIES ||
	       (history->n_recent >= DROP_EVERY && history_slice_due(history));
}

bool history_shares(const struct history *history)
{
	return history->n_shared != 0;
}

bool history_removal_due(const struct history *history)
{
	return history->n_removed && !history->removal_stuck;
}

void history_removal_stuck(struct history *history)
{
	history->removal_stuck = true;
}

bool history_never_folded(const struct history *history)
{
	return history->tree.depth == 0;
}

bool history_slice_due(const struct history *history)
{
	return (history->n_dropped || history->thin_from != UINT64_MAX) &&
	       history->loose.head == history->loose.n; /* what the last slice let go of is free */
}

bool history_commit_due(const struct history *history)
{
	return history_removal_due(history) || history_slice_due(history) || history->more_leave ||
	       history_fold_due(history);
}

static const struct state *newest(const struct history *history)
{
	return &history->recent[history->n_recent - 1];
}

bool history_few_states(const struct history *history)
{
	uint64_t last = history_keep_last(newest(history)->keep);

	return last != 0 && last <= MEMORY_STATES;
}

/*
 * The data queue up to here stands in single entries, from here on in dead lists. What was drained and is
 * not free yet must not go back: nobody drains a list twice.
 */
static size_t singles_end(const struct history *history)
{
	const struct queue *q = &history->data;
	size_t i = q->head;

	if (history_few_states(history))
		return q->n;
	while (i < q->n && q->items[i].death <= history->drained)
		i++;
	return i;
}

static int clear_below(struct txn *txn, unsigned kind, uint64_t number)
{
	uint8_t from[SYSTEM_KEY_MAX], to[SYSTEM_KEY_MAX];
	uint64_t n;

	history_key(from, kind, 0);
	history_key(to, kind, number);
	return tree_clear(&txn->dirty, &txn->system, from, 9, to, 9, &n);
}

static int clear_states(struct txn *txn, uint64_t from, uint64_t to)
{
	uint8_t first[SYSTEM_KEY_MAX], end[SYSTEM_KEY_MAX];
	uint64_t n;

	history_key(first, KEY_STATE, from);
	history_key(end, KEY_STATE, to);
	return from < to ? tree_clear(&txn->dirty, &txn->system, first, 9, end, 9, &n) : 0;
}

/* What left the range since the last fold goes out of the index, but for kept states. */
static int fold_states(struct history *history, struct txn *txn)
{
	uint64_t oldest = newest(history)->oldest, from = history->kept_below;
	uint8_t key[SYSTEM_KEY_MAX], cell[256];
	int rc = 0;

	for (size_t i = 0; i < history->gap.n && rc >= 0; i++) {
		rc = clear_states(txn, from, history->gap.of[i]);
		from = history->gap.of[i] + 1;
	}
	if (rc >= 0)
		rc = clear_states(txn, from, oldest);
	for (size_t i = 0; i < history->n_recent && rc >= 0; i++) {
		const struct state *s = &history->recent[i];
		if (s->flags & STATE_MAINTENANCE ||
		    (s->number < oldest && !history_numbers_have(&history->gap, s->number)))
			continue;
		size_t len = history_key(key, KEY_STATE, s->number);
		rc = history_put(txn, key, len, cell, history_state_encode(s, cell));
	}
	return rc < 0 ? rc : 0;
}

int history_fold_list(struct txn *txn, uint64_t death, struct retired *list, size_t n)
{
	uint8_t key[SYSTEM_KEY_MAX], cell[1 + 10 + DEAD_PART * 30];
	int rc = 0;

	for (size_t i = 0, part = 0; i < n && rc == 0; i += DEAD_PART, part++) {
		size_t k = n - i < DEAD_PART ? n - i : DEAD_PART;
		if (part > UINT16_MAX)
			return error_set(DUR_E_LIMIT, "one commit retired too many pages: commit more often");
		cell[0] = DUR_BYTES;
		retired_sort(list + i, k);
		size_t len = (size_t)(retired_encode(list + i, k, death, cell + 1) - cell);
		rc = history_put(txn, key, history_key_dead(key, death, (unsigned)part), cell, len);
	}
	return rc;
}

/* Dead lists of what waits in the data queue: one a death. */
static int fold_dead(struct history *history, struct txn *txn)
{
	const struct queue *q = &history->data;
	struct retired *list = NULL;
	int rc = clear_below(txn, KEY_DEAD, history->drained + 1);

	for (size_t i = singles_end(history), n; i < q->n && rc == 0; i += n) {
		uint64_t death = q->items[i].death;
		for (n = 1; i + n < q->n && q->items[i + n].death == death;)
			n++;
		struct retired *grown = realloc(list, n * sizeof *list);
		if (!grown) {
			rc = error_system(ENOMEM, "folding dead lists");
			break;
		}
		list = grown;
		for (size_t k = 0; k < n; k++)
			list[k] = (struct retired){ .no = q->items[i + k].no, .n = q->items[i + k].n,
				.birth = q->items[i + k].birth, .class = CLASS_DATA };
		rc = history_fold_list(txn, death, list, n);
	}
	free(list);
	return rc;
}

static int fold_limbo_queue(struct txn *txn, const struct queue *q, size_t end)
{
	uint8_t key[SYSTEM_KEY_MAX], cell[48];
	int rc = 0;

	for (size_t i = q->head; i < end && rc == 0; i++) {
		const struct pending *e = &q->items[i];
		if (e->persisted)
			continue;
		rc = history_put(txn, key, history_key(key, KEY_LIMBO, e->no), cell,
		                 history_limbo_encode(e, cell));
	}
	return rc;
}

/* Before all that may put entries under 'L': the same page may have been retired again since. */
static int fold_gone(struct history *history, struct txn *txn)
{
	uint8_t key[SYSTEM_KEY_MAX];
	int rc = 0;

	for (size_t i = 0; i < history->n_gone && rc >= 0; i++)
		rc = tree_del(&txn->dirty, &txn->system, key, history_key(key, KEY_LIMBO, history->gone[i]));
	return rc < 0 ? rc : 0;
}

static int fold_limbo(struct history *history, struct txn *txn)
{
	uint8_t key[SYSTEM_KEY_MAX];
	size_t end = singles_end(history);
	int rc = 0;

	/* the policy keeps many states now: these stand in dead lists from here on */
	for (size_t i = end; i < history->data.n && rc >= 0; i++)
		if (history->data.items[i].persisted)
			rc = tree_del(&txn->dirty, &txn->system, key,
			              history_key(key, KEY_LIMBO, history->data.items[i].no));
	if (rc >= 0)
		rc = fold_limbo_queue(txn, &history->system, history->system.n);
	if (rc == 0)
		rc = fold_limbo_queue(txn, &history->data, end);
	if (rc == 0)
		rc = fold_limbo_queue(txn, &history->loose, history->loose.n);
	if (rc == 0)
		rc = fold_limbo_queue(txn, &history->bases, history->bases.n);
	for (size_t i = history->kept.head; i < history->kept.n && rc == 0; i++)
		if (!history->kept.items[i].held && !history->kept.items[i].persisted) {
			const struct queue one = { .items = &history->kept.items[i], .n = 1 };
			rc = fold_limbo_queue(txn, &one, 1);
		}
	for (size_t i = 0; i < history->n_buckets && rc == 0; i++) {
		const struct queue *q = &history->buckets[i].entries;
		rc = fold_limbo_queue(txn, q, q->n);
	}
	return rc;
}

static int fold_free(struct history *history, struct txn *txn)
{
	uint8_t key[SYSTEM_KEY_MAX], cell[2 + CHUNK_PAGES / 8 + 16];
	struct chunks *changed = &history->changed;
	int rc = history_chunks_reserve(&history->folding, changed->n ? changed->n - 1 : 0);

	for (uint64_t c = 0; c < changed->n && rc >= 0; c++) {
		if (!(changed->bits[c / 64] >> c % 64 & 1))
			continue;
		size_t len = history_chunk_encode(history, c, cell), key_len = history_key(key, KEY_FREE, c);
		if (len)
			rc = history_put(txn, key, key_len, cell, len);
		else
			rc = tree_del(&txn->dirty, &txn->system, key, key_len);
	}
	if (rc < 0)
		return rc;
	for (uint64_t w = 0; w < changed->n / 64; w++) {
		history->folding.bits[w] |= changed->bits[w];
		changed->bits[w] = 0;
	}
	return 0;
}

int history_fold_header(struct history *history, struct txn *txn)
{
	uint8_t key[SYSTEM_KEY_MAX], cell[HEADER_CELL];
	uint64_t dead = history->dead_pages, kept = history->kept_pages + history->sparse.kept_pages;
	const struct queue *loose = &history->sparse.loose;
	const struct packing *packing = &history->packing;

	for (size_t i = singles_end(history); i < history->data.n; i++)
		dead += history->data.items[i].n;
	if (packing->active)
		dead -= packing->pages_before;
	cell[0] = DUR_BYTES;
	put_u64(cell + 1, history->fold_pages);
	put_u64(cell + 9, dead);
	for (size_t i = 0; i < loose->n; i++)
		kept -= loose->items[i].n < kept ? loose->items[i].n : kept;
	put_u64(cell + 17, history->drained);
	put_u64(cell + 25, newest(history)->oldest);
	put_u64(cell + 33, kept);
	put_u64(cell + 41, history->sparse.thin_from);
	put_u64(cell + 49, packing->active ? packing->packed : history->packed);
	put_u64(cell + 57, 0);
	put_u64(cell + 65, packing->active ? packing->pack_pages : history->pack_pages);
	put_u64(cell + 73, packing->active ? packing->whole : history->whole);
	return history_put(txn, key, history_key(key, KEY_HEADER, 0), cell, HEADER_CELL);
}

/* The records since the last fold, that one's included, are reached by no later state. */
static int retire_records(struct history *history, struct txn *txn)
{
	int rc = 0;

	for (size_t i = 0; i < history->n_recent && rc == 0; i++) {
		const struct state *s = &history->recent[i];
		rc = dirty_drop_run(&txn->dirty, (struct page_ptr){ s->record, s->number }, s->record_pages,
		                    CLASS_SYSTEM);
	}
	return rc;
}

int history_fold(struct history *history, struct txn *txn, const struct history_change *change)
{
	int rc = fold_states(history, txn);

	/* what the file grows by from here on, for a pack, is behind the end as the fold tells it */
	history->fold_pages = history->file_pages;
	if (rc == 0 && !history_few_states(history))
		rc = fold_dead(history, txn);
	else if (rc == 0)
		rc = clear_below(txn, KEY_DEAD, history->drained + 1);
	if (rc == 0)
		rc = fold_gone(history, txn);
	if (rc == 0)
		rc = history_sparse_fold(history, txn, change);
	if (rc == 0)
		rc = fold_limbo(history, txn);
	if (rc == 0)
		rc = history_fold_header(history, txn);
	if (rc == 0)
		rc = fold_free(history, txn);
	if (rc == 0)
		rc = retire_records(history, txn);
	history->is_folding = true;
	if (rc < 0)
		history_fold_undo(history);
	return rc;
}

void history_fold_undo(struct history *history)
{
	history->is_folding = false;
	history_sparse_undo(history);
	history->packing.active = false;
	for (uint64_t w = 0; w < history->folding.n / 64; w++) {
		if (w < history->changed.n / 64)
			history->changed.bits[w] |= history->folding.bits[w];
		history->folding.bits[w] = 0;
	}
}

static void persisted(struct queue *q, size_t end)
{
	for (size_t i = q->head; i < end; i++)
		q->items[i].persisted = true;
}

static void packed_now(struct history *history, uint64_t state)
{
	const struct packing *packing = &history->packing;

	history->dead_pages -= packing->pages_before;
	history->packed = packing->packed;
	history->pack_pages = packing->pack_pages;
	history->sweep_next = packing->sweep_next;
	if (history->whole != packing->whole) { /* until it is durable the old packs may be needed */
		history->whole = packing->whole;
		history->drop_gate = state;
	}
	history->bases_due = true;
	history->packing.active = false;
}

/* What the fold said is now so. */
static int folded_now(struct history *history, const struct record *record)
{
	size_t end = singles_end(history);
	uint64_t dropped = history->sparse.dropped;
	int rc = history_sparse_folded(history, record->state.number);

	if (rc < 0)
		return rc;
	history->kept_below = newest(history)->oldest;
	history->n_low += history->gap.n - dropped;
	history->gap.n = 0;
	persisted(&history->system, history->system.n);
	persisted(&history->loose, history->loose.n);
	persisted(&history->bases, history->bases.n);
	for (size_t i = 0; i < history->n_buckets; i++)
		persisted(&history->buckets[i].entries, history->buckets[i].entries.n);
	persisted(&history->data, end);
	for (size_t i = end; i < history->data.n; i++) {
		const struct pending *e = &history->data.items[i];
		history->dead_pages += e->n;
		history->pending_pages -= e->n;
		history->pending_data_pages -= e->n;
	}
	history->data.n = end;
	history->n_gone = 0;
	if (history->packing.active)
		packed_now(history, record->state.number);
	if (dropped) { /* what they alone held is in any pack */
		history->sweep_next = history->sweep_skip = 0;
		history->bases_due = true;
	}
	if (history->folding.n)
		memset(history->folding.bits, 0, history->folding.n / 8);
	history->is_folding = false;
	history->n_recent = 0;
	history->fold = record->state.number;
	history->fold_record = record->state.record;
	history->tree = record->state.system;
	return history_dead_next(history);
}

int history_system_now(struct history *history, const struct tree *system)
{
	const struct pager pager = { .file = history->file };

	history->tree = *system;
	int rc = ref_count(&pager, system, REFS_KEY_COUNT, &history->n_shared);
	return rc < 0 ? rc : ref_count(&pager, system, REFS_KEY_QUEUE, &history->n_removed);
}

int history_committed(struct history *history, const struct record *record, bool folded)
{
	const struct state *s = &record->state;
	bool moved = history->tree.root.no != s->system.root.no;
	int rc = folded ? folded_now(history, record) : 0;

	if (rc == 0 && moved)
		rc = history_system_now(history, &s->system);
	if (rc == 0)
		rc = history_recent_push(history, s);
	if (rc == 0)
		rc = policy_parse(s->keep, &history->policy);
	if (rc == 0)
		history_leave(history, s);
	for (size_t i = 0; i < record->n_retired && rc == 0; i++) {
		const struct retired *r = &record->retired[i];
		struct pending entry = { .no = r->no, .birth = r->birth, .death = s->number, .n = r->n,
			.class = (uint8_t)r->class };
		rc = history_queue_push(r->class == CLASS_DATA ? &history->data : &history->system, &entry);
		if (rc == 0) {
			history->pending_pages += r->n;
			history->pending_data_pages += r->class == CLASS_DATA ? r->n : 0;
		}
	}
	history->at_state = s->number;
	history->at_record = s->record;
	history->newest_hash = record->hash;
	if (rc < 0)
		history->loaded = false; /* the next turn replays */
	return rc;
}
