/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer's memory of history: loading it (the fold, then a replay of the records since) and describing
 * a new state. A replay cannot know when pages were given free, and need not: a page that a later record
 * lists as written was free by then; one that none lists waits again, to be released by the next scan.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

/* Pages beyond the file's end: 256 GiB, more than any transaction that was lost had asked for. */
#define MISSING_MAX ((uint64_t)1 << 26)

int history_open(struct file *file, struct history **history)
{
	struct history *h = calloc(1, sizeof *h);

	if (!h)
		return error_system(ENOMEM, "opening the history of a prefix");
	h->file = file;
	h->dead_next = h->raw_next = h->drop_next = h->thin_from = UINT64_MAX;
	runs_init(&h->free);
	runs_init(&h->holes);
	*history = h;
	return 0;
}

void history_close(struct history *history)
{
	if (!history)
		return;
	history_queues_clear(history);
	runs_free(&history->free);
	runs_free(&history->holes);
	free(history->looked.bits);
	free(history->changed.bits);
	free(history->folding.bits);
	free(history->data.items);
	free(history->system.items);
	free(history->kept.items);
	free(history->loose.items);
	free(history->bases.items);
	free(history->sparse.loose.items);
	free(history->gap.of);
	free(history->leaving.of);
	free(history->buckets);
	free(history->gone);
	free(history->recent);
	free(history);
}

bool history_stands_at(const struct history *history, uint64_t number, uint64_t record)
{
	return history->loaded && history->at_state == number && history->at_record == record;
}

int history_recent_push(struct history *history, const struct state *state)
{
	if (history->n_recent == history->cap_recent) {
		size_t cap = history->cap_recent ? history->cap_recent * 2 : 64;
		struct state *grown = realloc(history->recent, cap * sizeof *grown);
		if (!grown)
			return error_system(ENOMEM, "noting a new state");
		history->recent = grown;
		history->cap_recent = cap;
	}
	history->recent[history->n_recent++] = *state;
	return 0;
}

/* ---- Loading ---- */

/* Retired pages as the replay goes: entries by page, so that a write finds what it reuses. */
struct replay {
	struct history *history;
	struct runs     map;            /* payload: index + 1 into items */
	struct pending *items;
	size_t n, cap;
};

static int replay_add(struct replay *replay, const struct pending *entry)
{
	uint64_t start, n;

	if (entry->no < PAGE_FIRST || entry->no + entry->n > replay->history->file_pages ||
	    (runs_at_or_after(&replay->map, entry->no, &start, &n, NULL) && start < entry->no + entry->n))
		return history_damaged("a page is retired twice, or is not of the file");
	if (replay->n == replay->cap) {
		size_t cap = replay->cap ? replay->cap * 2 : 256;
		struct pending *grown = realloc(replay->items, cap * sizeof *grown);
		if (!grown)
			return error_system(ENOMEM, "replaying state records");
		replay->items = grown;
		replay->cap = cap;
	}
	replay->items[replay->n++] = *entry;
	if (runs_add(&replay->map, entry->no, entry->n, replay->n, false) < 0)
		return error_system(ENOMEM, "replaying state records");
	return 0;
}

/* Pages that a record wrote: they were free then, and are not now. */
static int replay_use(struct replay *replay, uint64_t no, uint64_t n)
{
	struct history *h = replay->history;
	uint64_t start, len, payload;
	int rc = 0;

	while (rc == 0 && runs_at_or_after(&replay->map, no, &start, &len, &payload) && start < no + n) {
		struct pending *entry = &replay->items[payload - 1];
		if (entry->persisted && entry->n) { /* freed since the fold: the next one takes it out of 'L' */
			rc = history_gone_reserve(h);
			if (rc < 0)
				return rc;
			h->gone[h->n_gone++] = entry->no;
		}
		entry->n = 0;
		if (runs_remove(&replay->map, start, len, NULL) < 0)
			return error_system(ENOMEM, "replaying state records");
		rc = history_free_add(h, start, len);
	}
	return rc < 0 ? rc : history_free_remove(h, no, n);
}

static int load_chunk(void *ctx, uint64_t chunk, const struct cell *cell)
{
	return history_chunk_decode(ctx, chunk, cell);
}

static int load_limbo(void *ctx, uint64_t no, const struct cell *cell)
{
	const uint8_t *at = cell->bytes + 2, *end = cell->bytes + cell->len;
	uint64_t n, death, age;

	if (cell->len < 2 || !(at = get_varint(at, end, &n)) || !(at = get_varint(at, end, &death)) ||
	    !get_varint(at, end, &age) || n == 0 || n > UINT32_MAX || age > death || cell->bytes[1] > 1)
		return history_damaged("a retired page");
	return replay_add(ctx, &(struct pending){ .no = no, .n = (uint32_t)n, .death = death,
		.birth = death - age, .class = cell->bytes[1], .persisted = true });
}

static int load_dead(void *ctx, uint64_t death, const struct cell *cell)
{
	struct replay *replay = ctx;
	struct retired *list = NULL;
	size_t n = 0;
	int rc = retired_decode(cell->bytes + 1, cell->len - 1, death, &list, &n);

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = replay_add(replay, &(struct pending){ .no = list[i].no, .n = list[i].n,
			.birth = list[i].birth, .death = death, .class = CLASS_DATA });
		replay->history->dead_pages -= list[i].n;
	}
	free(list);
	return rc;
}

static int load_dropped(void *ctx, uint64_t state, const struct cell *cell)
{
	struct history *history = ctx;

	(void)state;
	(void)cell;
	history->n_dropped++;
	return 0;
}

static int load_fold(struct replay *replay, uint64_t drained)
{
	struct history *h = replay->history;
	const struct pager pager = { .file = h->file };
	uint8_t key[SYSTEM_KEY_MAX];
	struct cell cell;
	uint64_t pages, start, n;
	int rc;

	h->drained = drained;
	h->thin_from = UINT64_MAX;
	h->drop_gate = h->fold;
	h->packed = h->pack_pages = h->whole = h->sweep_next = h->sweep_skip = 0;
	if (h->tree.depth == 0) { /* never folded: all there is to know stands in the records */
		h->dead_next = h->raw_next = h->drop_next = UINT64_MAX;
		return history_free_add(h, PAGE_FIRST, h->file_pages - PAGE_FIRST);
	}
	rc = tree_get(&pager, &h->tree, key, history_key(key, KEY_HEADER, 0), &cell);
	if (rc != 0)
		return rc < 0 ? rc : history_damaged("its header is missing");
	if (cell.len != HEADER_CELL)
		return history_damaged("its header");
	pages = get_u64(cell.bytes + 1);
	h->dead_pages = get_u64(cell.bytes + 9);
	h->kept_pages = get_u64(cell.bytes + 33);
	h->thin_from = get_u64(cell.bytes + 41);
	h->packed = get_u64(cell.bytes + 49);
	h->pack_pages = get_u64(cell.bytes + 65);
	h->whole = h->sweep_skip = get_u64(cell.bytes + 73);
	if (pages < PAGE_FIRST || pages > h->file_pages || h->dead_pages > pages || h->kept_pages > pages)
		return history_damaged("its header");
	rc = history_each(&pager, &h->tree, KEY_FREE, 0, UINT64_MAX, load_chunk, h);
	if (rc == 0 && runs_at_or_after(&h->free, 0, &start, &n, NULL) && start < PAGE_FIRST)
		rc = history_damaged("it lists the superblock as free");
	if (rc == 0 && runs_at_or_after(&h->free, pages, &start, &n, NULL))
		rc = history_damaged("it lists pages behind the end of the file as free");
	if (rc == 0 && pages < h->file_pages)
		rc = history_free_add(h, pages, h->file_pages - pages);
	if (rc == 0)
		rc = history_each(&pager, &h->tree, KEY_LIMBO, 0, UINT64_MAX, load_limbo, replay);
	if (rc == 0) /* what the fold knew to be drained is not there any more */
		rc = history_each(&pager, &h->tree, KEY_DEAD, get_u64(cell.bytes + 17) + 1, drained, load_dead,
		                  replay);
	if (rc == 0)
		rc = history_each(&pager, &h->tree, KEY_DROPPED, 0, UINT64_MAX, load_dropped, h);
	return rc < 0 ? rc : history_dead_next(h);
}

static int pending_compare(const void *a, const void *b)
{
	const struct pending *x = a, *y = b;

	if (x->death != y->death)
		return x->death < y->death ? -1 : 1;
	return x->no < y->no ? -1 : x->no > y->no;
}

static int replay_record(struct replay *replay, const struct record *record)
{
	struct history *h = replay->history;
	int rc = replay_use(replay, record->state.record, record->state.record_pages);

	for (size_t i = 0; i < record->n_written && rc == 0; i++)
		rc = replay_use(replay, record->written[i].no, record->written[i].n);
	for (size_t i = 0; i < record->n_retired && rc == 0; i++) {
		const struct retired *r = &record->retired[i];
		rc = replay_add(replay, &(struct pending){ .no = r->no, .n = r->n, .birth = r->birth,
			.death = record->state.number, .class = (uint8_t)r->class });
	}
	return rc < 0 ? rc : history_recent_push(h, &record->state);
}

static int replay_finish(struct replay *replay)
{
	struct history *h = replay->history;
	int rc = 0;

	if (replay->n > 1)
		qsort(replay->items, replay->n, sizeof *replay->items, pending_compare);
	for (size_t i = 0; i < replay->n && rc == 0; i++) {
		const struct pending *e = &replay->items[i];
		if (e->n == 0)
			continue;
		rc = history_queue_push(e->class == CLASS_DATA ? &h->data : &h->system, e);
		h->pending_pages += e->n;
		h->pending_data_pages += e->class == CLASS_DATA ? e->n : 0;
	}
	return rc;
}

/* Reads the records from newest back to its fold's, that included; *list oldest first. */
static int chain_read(struct file *file, const struct record *newest, struct record **list, size_t *n)
{
	size_t cap = 0, k = 0;
	struct record *chain = NULL;
	uint64_t number = newest->state.number, at = newest->state.record;
	struct hash128 expect = newest->hash;
	int rc = 0;

	for (;;) {
		if (k == cap) {
			cap = cap ? cap * 2 : 64;
			struct record *grown = realloc(chain, cap * sizeof *grown);
			if (!grown) {
				rc = error_system(ENOMEM, "replaying state records");
				break;
			}
			chain = grown;
		}
		rc = record_read(file, at, number, &expect, true, &chain[k]);
		if (rc < 0)
			break;
		k++;
		if (chain[k - 1].fold != newest->fold) {
			rc = history_damaged("its records disagree about the last fold");
			break;
		}
		if (number == newest->fold)
			break;
		number = chain[k - 1].state.previous;
		at = chain[k - 1].previous_record;
		expect = chain[k - 1].previous_hash;
	}
	for (size_t i = 0; i < k / 2; i++) {
		struct record swap = chain[i];
		chain[i] = chain[k - 1 - i];
		chain[k - 1 - i] = swap;
	}
	*list = chain;
	*n = k;
	return rc;
}

int history_check_pages(struct file *file, uint64_t pages)
{
	int rc = pages > atomic_load(&file->pages) ? file_refresh(file) : 0;

	if (rc == 0 && (pages < PAGE_FIRST || pages > atomic_load(&file->pages) + MISSING_MAX))
		rc = history_damaged("the number of its pages");
	return rc;
}

int history_load(struct history *history, const struct record *newest)
{
	struct replay replay = { .history = history };
	struct record *chain = NULL;
	size_t n = 0;
	int rc;

	history->loaded = false;
	history->is_folding = history->removal_stuck = false;
	history->packing.active = false;
	history->bases_due = false;
	history_space_clear(history);
	history_queues_clear(history);
	history->n_recent = 0;
	history->file_pages = newest->state.file_pages;
	history->tree = newest->state.system;
	history->fold = newest->fold;
	history->fold_record = newest->fold_record;
	runs_init(&replay.map);
	rc = history_check_pages(history->file, history->file_pages);
	if (rc == 0)
		rc = chain_read(history->file, newest, &chain, &n);
	if (rc == 0)
		rc = load_fold(&replay, newest->drained);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = replay_record(&replay, &chain[i]);
	if (rc == 0)
		rc = replay_finish(&replay);
	if (rc == 0)
		rc = history_load_kept(history, newest);
	if (rc == 0)
		rc = history_system_now(history, &newest->state.system);
	for (size_t i = 0; i < n; i++)
		record_free(&chain[i]);
	free(chain);
	free(replay.items);
	runs_free(&replay.map);
	if (rc < 0)
		return rc;
	history->at_state = newest->state.number;
	history->at_record = newest->state.record;
	history->newest_hash = newest->hash;
	history->loaded = true;
	return 0;
}

/* ---- Describing a new state ---- */

int history_describe(struct history *history, const struct record *previous, struct record *record)
{
	struct state *s = &record->state;
	uint64_t retired = 0, retired_data = 0;
	/* the packed ones are retired by this record as well as counted among the dead */
	uint64_t dead = history->dead_pages - (history->packing.active ? history->packing.pages_before : 0);
	int rc = history_advance(history, s);

	s->system_pages += s->record_pages;
	for (size_t i = 0; i < record->n_retired; i++) {
		retired += record->retired[i].n;
		s->system_pages -= record->retired[i].class == CLASS_SYSTEM ? record->retired[i].n : 0;
		retired_data += record->retired[i].class == CLASS_DATA ? record->retired[i].n : 0;
	}
	s->commits = previous->state.commits + !(s->flags & STATE_MAINTENANCE);
	s->file_pages = history->file_pages;
	s->retained_pages = history->pending_data_pages + dead + history->kept_pages + retired_data;
	s->live_pages = history->file_pages - PAGE_FIRST - history_free_total(history) -
		history->pending_pages - dead - history->kept_pages - retired;
	record->drained = history->drained;
	record->fold = history->is_folding ? s->number : history->fold;
	record->fold_record = history->is_folding ? s->record : history->fold_record;
	return rc;
}

/* ---- For check ---- */

static int visit_queue(const struct queue *q, const struct history_visitor *visitor)
{
	int rc = 0;

	for (size_t i = q->head; i < q->n && rc == 0; i++) {
		const struct pending *e = &q->items[i];
		struct retired r = { .no = e->no, .birth = e->birth, .n = e->n, .class = e->class };
		rc = visitor->retired(visitor->ctx, &r, e->death);
	}
	return rc;
}

struct visit_kept {
	const struct history_visitor *visitor;
	uint64_t pages;
};

static int visit_kept(void *ctx, uint64_t holder, const struct pending *e)
{
	struct visit_kept *visit = ctx;
	struct retired r = { .no = e->no, .birth = e->birth, .n = e->n, .class = CLASS_DATA };

	(void)holder;
	visit->pages += e->n;
	return visit->visitor->retired(visit->visitor->ctx, &r, e->death);
}

static int visit_dead(void *ctx, uint64_t death, const struct cell *cell)
{
	const struct history_visitor *visitor = ctx;
	struct retired *list = NULL;
	size_t n = 0;
	int rc = retired_decode(cell->bytes + 1, cell->len - 1, death, &list, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = visitor->retired(visitor->ctx, &list[i], death);
	free(list);
	return rc;
}

int history_visit(struct file *file, const struct record *newest, const struct history_visitor *visitor)
{
	const struct pager pager = { .file = file };
	const struct kept_range everything = { .holder_to = UINT64_MAX, .born_until = UINT64_MAX };
	struct visit_kept kept = { .visitor = visitor };
	struct history *h = NULL;
	uint64_t start, n;
	int rc = history_open(file, &h);

	if (rc < 0)
		return rc;
	rc = history_load(h, newest);
	for (uint64_t no = 0; rc == 0 && runs_at_or_after(&h->free, no, &start, &n, NULL); no = start + n)
		rc = visitor->free(visitor->ctx, start, n);
	if (rc == 0)
		rc = visit_queue(&h->data, visitor);
	if (rc == 0)
		rc = visit_queue(&h->system, visitor);
	if (rc == 0)
		rc = history_each(&pager, &h->tree, KEY_DEAD, h->drained + 1, UINT64_MAX, visit_dead,
		                  (void *)visitor);
	if (rc == 0)
		rc = history_each_kept(&pager, &h->tree, &everything, visit_kept, &kept);
	if (rc == 0 && kept.pages != h->kept_pages)
		rc = history_damaged("the number of pages that kept states hold");
	for (size_t i = 0; rc == 0 && i < h->n_recent; i++)
		rc = visitor->record(visitor->ctx, h->recent[i].record, h->recent[i].record_pages);
	history_close(h);
	return rc;
}
