/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Release: from "retired" to "free", under I1 and I2. Entries wait in two queues in the order of death, for
 * durability (system pages) and for retention as well (data pages); dead lists of the system tree are
 * drained into memory when retention lets go of them. What a pin holds moves to that pin's bucket and is
 * looked at again when the pin is gone, so that a scan costs what it frees and not what an old pin holds.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	RELEASE_ENTRIES = 16384,        /* looked at in one call, so that no commit pauses for long */
	DRAIN_LISTS = 64,               /* dead lists taken over in one call */
};

int history_queue_push(struct queue *queue, const struct pending *entry)
{
	if (queue->n == queue->cap) {
		if (queue->head > queue->cap / 2) {
			queue->n -= queue->head;
			memmove(queue->items, queue->items + queue->head, queue->n * sizeof *entry);
			queue->head = 0;
		} else {
			size_t cap = queue->cap ? queue->cap * 2 : 64;
			struct pending *grown = realloc(queue->items, cap * sizeof *grown);
			if (!grown)
				return error_system(ENOMEM, "noting retired pages");
			queue->items = grown;
			queue->cap = cap;
		}
	}
	queue->items[queue->n++] = *entry;
	return 0;
}

void history_queues_clear(struct history *history)
{
	history->data.head = history->data.n = history->system.head = history->system.n = 0;
	history->kept.head = history->kept.n = history->loose.head = history->loose.n = 0;
	history->bases.head = history->bases.n = 0;
	history->kept_pages = history->n_dropped = 0;
	for (size_t i = 0; i < history->n_buckets; i++)
		free(history->buckets[i].entries.items);
	history->n_buckets = 0;
	history->n_gone = 0;
	history->pending_pages = history->pending_data_pages = 0;
	history->dead_pages = 0;
}

int history_gone_reserve(struct history *history)
{
	if (history->n_gone == history->cap_gone) {
		size_t cap = history->cap_gone ? history->cap_gone * 2 : 64;
		uint64_t *grown = realloc(history->gone, cap * sizeof *grown);
		if (!grown)
			return error_system(ENOMEM, "noting free space");
		history->gone = grown;
		history->cap_gone = cap;
	}
	return 0;
}

/* ---- Pins ---- */

static bool pinned(const struct store_pins *pins, uint64_t state)
{
	size_t low = 0, high = pins->n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (pins->states[mid] < state)
			low = mid + 1;
		else
			high = mid;
	}
	return (low < pins->n && pins->states[low] == state) || pins->from <= state;
}

/* A pinned state in [birth, death); 0: none. */
static uint64_t pin_in(const struct store_pins *pins, uint64_t birth, uint64_t death)
{
	size_t low = 0, high = pins->n;

	if (pins->from < death)
		return pins->from > birth ? pins->from : birth;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (pins->states[mid] < birth)
			low = mid + 1;
		else
			high = mid;
	}
	return low < pins->n && pins->states[low] < death ? pins->states[low] : 0;
}

static struct queue *bucket_of(struct history *history, uint64_t pin)
{
	for (size_t i = 0; i < history->n_buckets; i++)
		if (history->buckets[i].pin == pin)
			return &history->buckets[i].entries;
	if (history->n_buckets == history->cap_buckets) {
		size_t cap = history->cap_buckets ? history->cap_buckets * 2 : 8;
		struct bucket *grown = realloc(history->buckets, cap * sizeof *grown);
		if (!grown)
			return NULL;
		history->buckets = grown;
		history->cap_buckets = cap;
	}
	history->buckets[history->n_buckets] = (struct bucket){ .pin = pin };
	return &history->buckets[history->n_buckets++].entries;
}

/*
 * A page that retention gives up, and that packed pages may decode through. Who pinned a state that still
 * retains those may read it: so it counts as reached up to the state that gave it up, which is `durable` or
 * one before it (I2). From here on it is held by pins alone, as pages of the system are.
 */
static struct pending given_up(const struct history *history, const struct pending *from)
{
	struct pending entry = *from;

	if (entry.class == CLASS_DATA && entry.birth <= history->packed) {
		entry.class = CLASS_SYSTEM;
		if (entry.death < history->release_durable)
			entry.death = history->release_durable;
	}
	return entry;
}

/*
 * I7: a kept state may decode through any node that is older than the horizon of packs, though the
 * node died after it, as long as the packs that the node may be a base in are not whole: those of
 * deaths up to its birth.
 */
static bool may_be_base(const struct history *history, const struct pending *entry)
{
	return entry->class == CLASS_DATA && entry->n == 1 && entry->birth <= history->packed &&
	       entry->birth > history->whole && history->pack_pages &&
	       (history->n_low || history->gap.n);
}

/*
 * Frees the entry, or leaves it to a kept state or puts it under a pin that holds it. On failure it stays
 * where it is.
 */
static int settle(struct history *history, const struct pending *from, const struct store_pins *pins)
{
	const struct pending entry = given_up(history, from);
	uint64_t pin = pin_in(pins, entry.birth, entry.death);
	bool kept = false;
	int rc = from->class == CLASS_DATA ?
		history_kept_in(history, from->birth, from->death, &kept) : 0;

	if (rc < 0)
		return rc;
	if (kept)
		return history_queue_push(&history->kept, from);
	if (may_be_base(history, from))
		return history_queue_push(&history->bases, from);
	if (pin) {
		struct queue *bucket = bucket_of(history, pin);
		rc = bucket ? history_queue_push(bucket, &entry) :
			error_system(ENOMEM, "noting pinned pages");
	} else {
		rc = entry.persisted ? history_gone_reserve(history) : 0;
		if (rc == 0)
			rc = history_free_add(history, entry.no, entry.n);
		if (rc == 0 && entry.persisted)
			history->gone[history->n_gone++] = entry.no;
		if (rc == 0)
			history->pending_pages -= entry.n;
	}
	if (rc == 0 && from->class == CLASS_DATA && (!pin || entry.class != CLASS_DATA))
		history->pending_data_pages -= entry.n;
	return rc;
}

/* ---- Dead lists ---- */

static int note_first(void *ctx, uint64_t number, const struct cell *cell)
{
	(void)cell;
	*(uint64_t *)ctx = number;
	return 2; /* one is enough */
}

static int note_pack(void *ctx, uint64_t number, const struct cell *cell)
{
	struct pack_run run;
	int rc = pack_cell(number, cell, &run);

	if (rc == 0)
		*(uint64_t *)ctx = run.last;
	return rc < 0 ? rc : 2;
}

int history_dead_next(struct history *history)
{
	const struct pager pager = { .file = history->file };
	uint64_t raw = history->packed > history->drained ? history->packed : history->drained;
	int rc;

	history->dead_next = history->raw_next = history->drop_next = UINT64_MAX;
	rc = history_each(&pager, &history->tree, KEY_DEAD, history->drained + 1, UINT64_MAX - 1, note_first,
	                  &history->dead_next);
	if (rc >= 0)
		rc = history_each(&pager, &history->tree, KEY_DEAD, raw + 1, UINT64_MAX - 1, note_first,
		                  &history->raw_next);
	if (rc >= 0 && history->pack_pages)
		rc = history_each(&pager, &history->tree, KEY_PACK, history->sweep_next, UINT64_MAX,
		                  note_pack, &history->drop_next);
	return rc < 0 ? rc : 0;
}

struct drain {
	struct retired *list;
	size_t n;
};

static int drain_part(void *ctx, uint64_t death, const struct cell *cell)
{
	struct drain *drain = ctx;

	return retired_decode(cell->bytes + 1, cell->len - 1, death, &drain->list, &drain->n);
}

/* Takes the dead list of dead_next into memory: to the end of the data queue, where it may go at once. */
static int drain_one(struct history *history, const struct store_pins *pins)
{
	const struct pager pager = { .file = history->file };
	struct drain drain = { 0 };
	uint64_t death = history->dead_next;
	int rc = history_each(&pager, &history->tree, KEY_DEAD, death, death, drain_part, &drain);

	for (size_t i = 0; i < drain.n && rc == 0; i++) {
		const struct retired *r = &drain.list[i];
		struct pending entry = { .no = r->no, .birth = r->birth, .death = death, .n = r->n,
			.class = CLASS_DATA };
		history->pending_pages += r->n;
		history->pending_data_pages += r->n;
		history->dead_pages -= r->n < history->dead_pages ? r->n : history->dead_pages;
		rc = settle(history, &entry, pins);
	}
	free(drain.list);
	if (rc < 0)
		return rc;
	history->drained = death;
	return history_dead_next(history);
}

/* ---- Release ---- */

bool history_release_due(const struct history *history, uint64_t durable, uint64_t durable_oldest)
{
	const struct queue *s = &history->system, *d = &history->data;

	return (s->head < s->n && s->items[s->head].death <= durable) ||
	       (d->head < d->n && d->items[d->head].death <= durable_oldest) ||
	       history->dead_next <= durable_oldest || history->n_buckets != 0 ||
	       history->loose.head < history->loose.n ||
	       (history->bases_due && history->bases.head < history->bases.n);
}

static int release_buckets(struct history *history, const struct store_pins *pins, size_t *budget)
{
	int rc = 0;

	for (size_t i = 0; i < history->n_buckets && rc == 0 && *budget; i++) {
		if (pinned(pins, history->buckets[i].pin))
			continue;
		/* settle() may move the array of buckets: take this one's entries out by value */
		struct queue entries = history->buckets[i].entries;
		history->buckets[i].entries = (struct queue){ 0 };
		for (; entries.head < entries.n && rc == 0 && *budget; --*budget) {
			rc = settle(history, &entries.items[entries.head], pins);
			entries.head += rc == 0;
		}
		if (entries.head < entries.n) { /* the rest another time */
			history->buckets[i].entries = entries;
			break;
		}
		free(entries.items);
		history->buckets[i] = history->buckets[--history->n_buckets];
		i--;
	}
	return rc;
}

static int release_queue(struct history *history, struct queue *queue, uint64_t death_max,
                         uint64_t birth_max, const struct store_pins *pins, size_t *budget)
{
	for (; queue->head < queue->n && *budget; --*budget) {
		const struct pending *entry = &queue->items[queue->head];
		if (entry->death > death_max || entry->birth > birth_max)
			break;
		int rc = settle(history, entry, pins);
		if (rc < 0)
			return rc;
		queue->head++;
	}
	return 0;
}

/* Looks at each once; those that are needed still go to the end. */
static int release_bases(struct history *history, const struct store_pins *pins, size_t *budget)
{
	struct queue *q = &history->bases;
	int rc = 0;

	for (size_t left = q->n - q->head; left && *budget && rc == 0; left--, --*budget) {
		const struct pending entry = q->items[q->head];
		rc = settle(history, &entry, pins);
		q->head += rc == 0;
	}
	if (rc == 0 && *budget)
		history->bases_due = false;
	return rc;
}

int history_release(struct history *history, uint64_t durable, uint64_t durable_oldest, uint64_t safe_base,
                    const struct store_pins *pins)
{
	size_t budget = RELEASE_ENTRIES;
	uint64_t data_max = durable < durable_oldest ? durable : durable_oldest;
	int rc;

	history->release_durable = durable;
	if (pins->everything)
		return 0;
	rc = release_buckets(history, pins, &budget);
	/* system: records from the durable state back to the safe slot's base stay (I1) */
	if (rc == 0)
		rc = release_queue(history, &history->system, durable, safe_base, pins, &budget);
	/* I2: a state dropped by a commit that a crash may undo is retained still */
	if (rc < 0 || durable < history->drop_gate)
		return rc;
	rc = release_queue(history, &history->loose, UINT64_MAX, UINT64_MAX, pins, &budget);
	if (rc == 0 && history->bases_due)
		rc = release_bases(history, pins, &budget);
	for (int i = 0; i < DRAIN_LISTS && rc == 0 && history->dead_next <= data_max; i++)
		rc = drain_one(history, pins);
	if (rc == 0 && history->dead_next > data_max)
		rc = release_queue(history, &history->data, data_max, UINT64_MAX, pins, &budget);
	return rc;
}
