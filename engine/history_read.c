/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading states of the past, through a newest state that the caller has pinned: first along the records
 * back to the last fold, then in the state index of the system tree.
 */
#include "engine/history_private.h"

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
		return error_set(DUR_E_GONE, "state %llu is no longer retained; the oldest is %llu (policy %s)",
		                 (unsigned long long)number, (unsigned long long)s->oldest, s->keep);
	return error_set(DUR_E_GONE, "state %llu was never committed, or changed no data; `duramen log` "
	                 "lists what there is", (unsigned long long)number);
}

/* The record before *at, without its lists. */
static int step_back(struct file *file, struct record *at)
{
	uint64_t number = at->state.previous, record = at->previous_record;
	struct hash128 expect = at->previous_hash;

	return record_read(file, record, number, &expect, false, at);
}

/* What an entry of the index leaves out. */
static void complete(const struct record *newest, struct state *out)
{
	out->oldest = newest->state.oldest;
	memcpy(out->keep, newest->state.keep, sizeof out->keep);
}

int history_find(struct file *file, const struct record *newest, uint64_t number, struct state *out)
{
	const struct pager pager = { .file = file };
	struct record at = *newest;
	uint8_t key[SYSTEM_KEY_MAX];
	struct cell cell;
	int rc = 0;

	if (number == newest->state.number) {
		*out = newest->state;
		return 0;
	}
	if (number > newest->state.number || number < newest->state.oldest)
		return gone(newest, number);
	while (at.state.number > number && at.state.number > newest->fold && rc == 0)
		rc = step_back(file, &at);
	if (rc < 0)
		return rc;
	if (at.state.number == number && !(at.state.flags & STATE_MAINTENANCE)) {
		*out = at.state;
		return 0;
	}
	if (at.state.number <= number || newest->state.system.depth == 0)
		return gone(newest, number);
	rc = tree_get(&pager, &newest->state.system, key, history_key(key, KEY_STATE, number), &cell);
	if (rc != 0)
		return rc < 0 ? rc : gone(newest, number);
	rc = history_state_decode(number, &cell, out);
	complete(newest, out);
	return rc;
}

/* ---- The index as a sequence ---- */

struct index {
	struct cursor cursor;
	uint64_t low, high;             /* ranks of retained states: [low, high) */
};

static int index_open(struct file *file, const struct record *newest, struct index **index)
{
	const struct pager pager = { .file = file };
	const struct tree *tree = &newest->state.system;
	uint8_t key[SYSTEM_KEY_MAX];
	int rc = 0;

	*index = calloc(1, sizeof **index);
	if (!*index)
		return error_system(ENOMEM, "reading the state index");
	cursor_open(&(*index)->cursor, &pager, tree);
	if (tree->depth == 0)
		return 0;
	rc = tree_rank(&pager, tree, key, history_key(key, KEY_STATE, newest->state.oldest), &(*index)->low);
	if (rc >= 0)
		rc = tree_rank(&pager, tree, key, history_key(key, KEY_STATE + 1, 0), &(*index)->high);
	if (rc < 0) {
		free(*index);
		*index = NULL;
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

int history_find_time(struct file *file, const struct record *newest, int64_t time_ns, uint64_t *number)
{
	struct record at = *newest;
	struct index *index;
	struct state s;
	uint64_t low, high;
	int rc = 0;

	for (;;) {
		if (at.state.number < newest->state.oldest)
			return 1;
		if (at.state.time_ns <= time_ns && !(at.state.flags & STATE_MAINTENANCE)) {
			*number = at.state.number;
			return 0;
		}
		if (at.state.number <= newest->fold)
			break;
		rc = step_back(file, &at);
		if (rc < 0)
			return rc;
	}
	rc = index_open(file, newest, &index);
	if (rc < 0)
		return rc;
	low = index->low;
	high = index->high;
	while (low < high && rc == 0) { /* the first state after the time */
		uint64_t mid = low + (high - low) / 2;
		rc = index_at(index, mid, &s);
		if (s.time_ns <= time_ns)
			low = mid + 1;
		else
			high = mid;
	}
	if (rc == 0 && low == index->low)
		rc = 1;
	if (rc == 0)
		rc = index_at(index, low - 1, &s);
	if (rc == 0)
		*number = s.number;
	free(index);
	return rc;
}

int history_back(struct file *file, const struct record *newest, uint64_t n, uint64_t *number)
{
	struct record at = *newest;
	struct index *index;
	struct state s;
	int rc = 0;

	for (;;) {
		if (at.state.number < newest->state.oldest)
			return 1;
		if (!(at.state.flags & STATE_MAINTENANCE) && n-- == 0) {
			*number = at.state.number;
			return 0;
		}
		if (at.state.number <= newest->fold)
			break;
		rc = step_back(file, &at);
		if (rc < 0)
			return rc;
	}
	rc = index_open(file, newest, &index);
	if (rc < 0)
		return rc;
	if (n >= index->high - index->low)
		rc = 1;
	if (rc == 0)
		rc = index_at(index, index->high - 1 - n, &s);
	if (rc == 0)
		*number = s.number;
	free(index);
	return rc;
}

/* ---- Listing ---- */

struct listing {
	const struct record *newest;
	struct state *out;
	uint32_t cap, n;
};

static void list_add(struct listing *l, const struct state *s)
{
	if (l->n == l->cap || s->flags & STATE_MAINTENANCE || s->number < l->newest->state.oldest)
		return;
	l->out[l->n++] = *s;
	complete(l->newest, &l->out[l->n - 1]);
}

/* States of the index from `from` on, in one direction. */
static int list_index(struct file *file, struct listing *l, uint64_t from, bool upward)
{
	uint8_t key[SYSTEM_KEY_MAX];
	struct index *index;
	struct state s;
	uint64_t left;
	int rc = index_open(file, l->newest, &index);

	if (rc < 0)
		return rc;
	if (index->low == index->high)
		goto out;
	if (upward) {
		uint64_t rank = index->low;
		if (from > l->newest->state.oldest)
			rc = tree_rank(&index->cursor.pager, &index->cursor.tree, key,
			               history_key(key, KEY_STATE, from), &rank);
		left = index->high > rank ? index->high - rank : 0;
		rc = rc < 0 || !left ? rc : cursor_nth(&index->cursor, rank);
	} else {
		uint64_t rank = index->high;
		if (from != UINT64_MAX)
			rc = tree_rank(&index->cursor.pager, &index->cursor.tree, key,
			               history_key(key, KEY_STATE, from + 1), &rank);
		left = rank > index->low ? rank - index->low : 0;
		rc = rc < 0 || !left ? rc : cursor_nth(&index->cursor, rank - 1);
	}
	for (rc = rc < 0 ? rc : 0; rc == 0 && left > 0 && l->n < l->cap; left--) {
		rc = index_entry(index, &s);
		if (rc < 0)
			break;
		list_add(l, &s);
		rc = upward ? cursor_next(&index->cursor) : cursor_prev(&index->cursor);
	}
out:
	free(index);
	return rc < 0 ? rc : 0;
}

int history_states(struct file *file, const struct record *newest, uint64_t from, bool upward,
                   struct state *out, uint32_t cap, uint32_t *n)
{
	struct listing l = { .newest = newest, .out = out, .cap = cap };
	struct record at = *newest;
	struct state *recent = NULL;
	size_t k = 0, room = 0;
	int rc = 0;

	*n = 0;
	if (from == 0 && !upward)
		from = UINT64_MAX - 1;
	if (upward)
		rc = list_index(file, &l, from, true);
	while (rc == 0 && l.n < cap) { /* the records since the fold, newest first */
		if (!upward) {
			if (at.state.number <= from)
				list_add(&l, &at.state);
		} else if (at.state.number >= from) {
			if (k == room) {
				struct state *grown = realloc(recent, (room = room * 2 + 64) * sizeof *grown);
				if (!grown) {
					rc = error_system(ENOMEM, "listing states");
					break;
				}
				recent = grown;
			}
			recent[k++] = at.state;
		}
		if (at.state.number <= newest->fold || at.state.number < newest->state.oldest)
			break;
		rc = step_back(file, &at);
	}
	if (rc == 0 && !upward && l.n < cap)
		rc = list_index(file, &l, from, false);
	while (rc == 0 && k > 0)
		list_add(&l, &recent[--k]);
	free(recent);
	if (rc == 0)
		*n = l.n;
	return rc;
}
