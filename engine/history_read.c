/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading states of the past, through a newest state that the caller has pinned: first along the
 * records back to the last fold, then in the state index of the system tree. Below the range only
 * kept states count; of those that left it since the fold, history_keeps() says which they are.
 */
#include "engine/history_read.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

static int gone(const struct record *newest, uint64_t number)
{
	const struct state *s = &newest->state;

	if (number > s->number)
		return error_set(DUR_E_GONE, "state %llu does not exist yet; the newest is %llu",
		                 (unsigned long long)number, (unsigned long long)s->number);
	if (number < s->oldest)
		return error_set(DUR_E_GONE,
		                 "state %llu is no longer retained (policy %s); `duramen log` "
		                 "lists what there is",
		                 (unsigned long long)number, s->keep);
	return error_set(DUR_E_GONE,
	                 "state %llu was never committed, or changed no data; `duramen log` "
	                 "lists what there is",
	                 (unsigned long long)number);
}

/* The record before *at, without its lists. */
static int step_back(struct file *file, struct record *at)
{
	uint64_t number = at->state.previous, record = at->previous_record;
	struct hash128 expect = at->previous_hash;

	return record_read(file, record, number, &expect, false, at);
}

/* What an entry of the index leaves out. */
void history_complete(const struct record *newest, struct state *out)
{
	out->oldest = newest->state.oldest;
	memcpy(out->keep, newest->state.keep, sizeof out->keep);
}

/* ---- The records since the fold, newest first ---- */

static int decide(struct steps *steps, uint64_t number, int64_t time_ns, int64_t next_ns,
                  bool *retained)
{
	int rc = 0;

	*retained = number >= steps->newest->state.oldest;
	if (*retained)
		return 0;
	if (!steps->retention_read)
		rc = history_retention(steps->file, steps->newest, &steps->retention);
	steps->retention_read = rc == 0;
	if (rc == 0 && number < steps->retention.kept_below)
		*retained = true; /* it would not be in the index */
	else if (rc == 0)
		rc = history_keeps(&steps->retention, number, time_ns, next_ns, retained);
	return rc;
}

/* The next data state back, to steps->at; 1: the fold's record was the last. */
int history_step(struct steps *steps, bool *retained)
{
	int rc;

	do {
		if (!steps->begun)
			steps->at = *steps->newest;
		else if (steps->at.state.number <= steps->newest->fold)
			return 1;
		else if ((rc = step_back(steps->file, &steps->at)) < 0)
			return rc;
		steps->begun = true;
	} while (steps->at.state.flags & STATE_MAINTENANCE);
	rc = decide(steps, steps->at.state.number, steps->at.state.time_ns, steps->next_ns,
	            retained);
	steps->has_next = true;
	steps->next_ns = steps->at.state.time_ns;
	return rc;
}

/* ---- The index as a sequence ---- */

int history_state_rank(struct index *index, uint64_t number, uint64_t *rank)
{
	uint8_t key[SYSTEM_KEY_MAX];
	int rc = tree_rank(&index->cursor.pager, &index->cursor.tree, key,
	                   history_key(key, KEY_STATE, number), rank);

	return rc < 0 ? rc : 0;
}

int history_index_open(struct steps *steps, struct index **out)
{
	const struct pager pager = { .file = steps->file };
	const struct tree *tree = &steps->newest->state.system;
	struct index *index = calloc(1, sizeof *index);
	uint8_t key[SYSTEM_KEY_MAX];
	int rc = 0;

	*out = index;
	if (!index)
		return error_system(ENOMEM, "reading the state index");
	index->steps = steps;
	cursor_open(&index->cursor, &pager, tree);
	if (tree->depth == 0)
		return 0;
	if (!steps->retention_read)
		rc = history_retention(steps->file, steps->newest, &steps->retention);
	steps->retention_read = rc == 0;
	if (rc == 0)
		rc = history_state_rank(index, 0, &index->first);
	if (rc == 0)
		rc = history_state_rank(index, steps->retention.kept_below, &index->gap);
	if (rc == 0)
		rc = history_state_rank(index, steps->newest->state.oldest, &index->low);
	if (rc == 0)
		rc = tree_rank(&pager, tree, key, history_key(key, KEY_STATE + 1, 0), &index->high);
	if (rc >= 0 &&
	    (index->gap < index->first || index->low < index->gap || index->high < index->low))
		rc = history_damaged("the state index");
	if (rc < 0) {
		free(index);
		*out = NULL;
	}
	return rc < 0 ? rc : 0;
}

static int index_entry(struct index *index, struct state *out)
{
	struct cell cell;
	const void *key;
	size_t len;

	cursor_entry(&index->cursor, &key, &len, &cell);
	if (len != 9 || *(const uint8_t *)key != KEY_STATE)
		return history_damaged("an entry is not of its kind");
	return history_state_decode(get_be64((const uint8_t *)key + 1), &cell, out);
}

static int index_at(struct index *index, uint64_t rank, struct state *out)
{
	int rc = cursor_nth(&index->cursor, rank);

	return rc < 0 ? rc : rc == 1 ? history_damaged("the state index") : index_entry(index, out);
}

/*
 * The entry, and whether it is retained; the time of the one after it decides of those that left.
 */
int history_index_look(struct index *index, uint64_t rank, struct state *out, bool *retained)
{
	struct steps *steps = index->steps;
	bool ignored;
	struct state next;
	int rc = 0;

	*retained = rank < index->gap || rank >= index->low;
	if (*retained)
		return index_at(index, rank, out);
	if (rank + 1 < index->high) {
		rc = index_at(index, rank + 1, &next);
	} else {
		while (rc == 0) /* to the first record since the fold */
			rc = history_step(steps, &ignored);
		rc = rc < 0 ? rc : steps->has_next ? 0 : history_damaged("the state index");
		next.time_ns = steps->next_ns;
	}
	if (rc == 0)
		rc = index_at(index, rank, out);
	return rc < 0 ? rc : decide(steps, out->number, out->time_ns, next.time_ns, retained);
}

/* ---- Finding one ---- */

int history_find(struct file *file, const struct record *newest, uint64_t number, struct state *out)
{
	struct steps steps = { .file = file, .newest = newest };
	struct index *index;
	bool retained = false;
	uint64_t rank;
	int rc = 0;

	if (number == newest->state.number) {
		*out = newest->state;
		return 0;
	}
	if (number > newest->state.number)
		return gone(newest, number);
	if (number >= newest->fold) {
		do
			rc = history_step(&steps, &retained);
		while (rc == 0 && steps.at.state.number > number);
		if (rc == 0 && steps.at.state.number == number && retained) {
			*out = steps.at.state;
			return 0;
		}
		return rc < 0 ? rc : gone(newest, number);
	}
	if (newest->state.system.depth == 0)
		return gone(newest, number);
	rc = history_index_open(&steps, &index);
	if (rc < 0)
		return rc;
	rc = history_state_rank(index, number, &rank);
	if (rc == 0 && rank < index->high)
		rc = history_index_look(index, rank, out, &retained);
	if (rc == 0 && (!retained || out->number != number))
		rc = gone(newest, number);
	history_complete(newest, out);
	free(index);
	return rc;
}

int history_find_time(struct file *file, const struct record *newest, int64_t time_ns,
                      uint64_t *number)
{
	struct steps steps = { .file = file, .newest = newest };
	struct index *index;
	bool retained = false;
	struct state s;
	uint64_t low, high;
	int rc;

	while ((rc = history_step(&steps, &retained)) == 0)
		if (retained && steps.at.state.time_ns <= time_ns) {
			*number = steps.at.state.number;
			return 0;
		}
	rc = rc < 0 ? rc : history_index_open(&steps, &index);
	if (rc < 0)
		return rc;
	low = index->first;
	high = index->high;
	while (low < high && rc == 0) { /* the first state after the time */
		uint64_t mid = low + (high - low) / 2;
		rc = index_at(index, mid, &s);
		if (s.time_ns <= time_ns)
			low = mid + 1;
		else
			high = mid;
	}
	for (retained = false; rc == 0 && low > index->first && !retained; low--)
		rc = history_index_look(index, low - 1, &s, &retained);
	if (rc == 0 && retained)
		*number = s.number;
	free(index);
	return rc < 0 ? rc : !retained;
}

/* The n-th retained one of the index, from its end. */
static int index_back(struct index *index, uint64_t n, struct state *out)
{
	bool retained;
	int rc = 0;

	if (n < index->high - index->low)
		return index_at(index, index->high - 1 - n, out);
	n -= index->high - index->low;
	for (uint64_t rank = index->low; rank > index->gap; rank--) {
		rc = history_index_look(index, rank - 1, out, &retained);
		if (rc < 0 || (retained && n-- == 0))
			return rc;
	}
	return n < index->gap - index->first ? index_at(index, index->gap - 1 - n, out) : 1;
}

int history_back(struct file *file, const struct record *newest, uint64_t n, uint64_t *number)
{
	struct steps steps = { .file = file, .newest = newest };
	struct index *index;
	bool retained;
	struct state s;
	int rc;

	while ((rc = history_step(&steps, &retained)) == 0)
		if (retained && n-- == 0) {
			*number = steps.at.state.number;
			return 0;
		}
	rc = rc < 0 ? rc : history_index_open(&steps, &index);
	if (rc < 0)
		return rc;
	rc = index_back(index, n, &s);
	if (rc == 0)
		*number = s.number;
	free(index);
	return rc;
}

/* ---- Listing ---- */

struct listing {
	const struct record *newest;
	struct file *file;
	struct state *out;
	uint32_t cap, n;
};

static int list_add(struct listing *l, const struct state *s)
{
	const struct pager pager = { .file = l->file };
	struct state *out = &l->out[l->n++];

	*out = *s;
	history_complete(l->newest, out);
	return history_named(&pager, &l->newest->state.system, s->number, NULL, &out->names);
}

/* Retained states of the index from `from` on, in one direction. */
static int list_index(struct listing *l, struct steps *steps, uint64_t from, bool upward)
{
	struct index *index;
	struct state s;
	uint64_t rank;
	bool retained;
	int rc = history_index_open(steps, &index);

	if (rc < 0)
		return rc;
	rank = upward ? index->first : index->high;
	if (index->first < index->high && upward)
		rc = history_state_rank(index, from, &rank);
	else if (index->first < index->high && from < UINT64_MAX - 1)
		rc = history_state_rank(index, from + 1, &rank);
	while (rc == 0 && l->n < l->cap && (upward ? rank < index->high : rank > index->first)) {
		rc = history_index_look(index, upward ? rank : rank - 1, &s, &retained);
		if (rc == 0 && retained)
			rc = list_add(l, &s);
		rank += upward ? 1 : UINT64_MAX;
	}
	free(index);
	return rc;
}

/* Retained states among the records, upward: they are read downward. */
static int list_records_upward(struct listing *l, uint64_t from)
{
	struct steps steps = { .file = l->file, .newest = l->newest };
	struct state *recent = NULL;
	size_t k = 0, room = 0;
	bool retained;
	int rc;

	while ((rc = history_step(&steps, &retained)) == 0 && steps.at.state.number >= from) {
		if (!retained)
			continue;
		if (k == room) {
			struct state *grown =
				realloc(recent, (room = room * 2 + 64) * sizeof *grown);
			if (!grown) {
				rc = error_system(ENOMEM, "listing states");
				break;
			}
			recent = grown;
		}
		recent[k++] = steps.at.state;
	}
	while (rc >= 0 && k > 0 && l->n < l->cap)
		rc = list_add(l, &recent[--k]);
	free(recent);
	return rc < 0 ? rc : 0;
}

int history_states(struct file *file, const struct record *newest, uint64_t from, bool upward,
                   struct state *out, uint32_t cap, uint32_t *n)
{
	struct listing l = { .newest = newest, .file = file, .out = out, .cap = cap };
	struct steps steps = { .file = file, .newest = newest };
	bool retained;
	int rc = 0;

	*n = 0;
	if (from == 0 && !upward)
		from = UINT64_MAX - 1;
	if (upward) {
		rc = list_index(&l, &steps, from, true);
		if (rc == 0 && l.n < cap)
			rc = list_records_upward(&l, from);
	} else {
		while (l.n < cap && rc == 0 && (rc = history_step(&steps, &retained)) == 0)
			if (retained && steps.at.state.number <= from)
				rc = list_add(&l, &steps.at.state);
		if (rc == 1)
			rc = list_index(&l, &steps, from, false);
	}
	if (rc == 0)
		*n = l.n;
	return rc;
}
