/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going through the states of the past one by one, at the cost of a look-up each: the records
 * since the last fold are read once, when it is opened; for the states before it a cursor stays
 * in the state index.
 */
#include "engine/past.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/history_private.h"
#include "engine/store_private.h"
#include "internal/bytes.h"
#include "internal/error.h"

struct past {
	uint64_t newest, oldest;        /* states that are retained lie between, both included */
	char     keep[64];
	uint64_t fold;                  /* recent[] has what is retained from it on */
	struct state *recent;           /* newest first */
	size_t   n, cap;
	struct cursor cursor;           /* in the state index */
};

static int add(struct past *past, const struct state *state)
{
	if (state->flags & STATE_MAINTENANCE || state->number < past->oldest)
		return 0;
	if (past->n == past->cap) {
		size_t cap = past->cap ? past->cap * 2 : 64;
		struct state *grown = realloc(past->recent, cap * sizeof *grown);
		if (!grown)
			return error_system(ENOMEM, "reading the history");
		past->recent = grown;
		past->cap = cap;
	}
	past->recent[past->n++] = *state;
	return 0;
}

static int read_recent(struct file *file, const struct record *newest, struct past *past)
{
	struct record at = *newest;
	int rc = add(past, &at.state);

	while (rc == 0 && at.state.number > newest->fold && at.state.number > past->oldest) {
		struct hash128 expect = at.previous_hash;
		rc = record_read(file, at.previous_record, at.state.previous, &expect, false, &at);
		if (rc == 0)
			rc = add(past, &at.state);
	}
	return rc;
}

int past_open(struct store *store, const struct state *newest, struct past **out)
{
	struct past *past = calloc(1, sizeof *past);
	struct record record;
	int rc;

	*out = NULL;
	if (!past)
		return error_system(ENOMEM, "reading the history");
	rc = record_read(store->file, newest->record, newest->number, NULL, false, &record);
	if (rc == 0) {
		past->newest = newest->number;
		past->oldest = record.state.oldest;
		memcpy(past->keep, record.state.keep, sizeof past->keep);
		past->fold = record.fold;
		cursor_open(&past->cursor, &(struct pager){ .file = store->file },
		            &record.state.system);
		rc = read_recent(store->file, &record, past);
	}
	if (rc < 0) {
		past_close(past);
		return rc;
	}
	*out = past;
	return 0;
}

void past_close(struct past *past)
{
	if (past)
		free(past->recent);
	free(past);
}

uint64_t past_newest(const struct past *past)
{
	return past->newest;
}

static int give(const struct past *past, const struct state *state, struct state *out)
{
	*out = *state;
	out->oldest = past->oldest;
	memcpy(out->keep, past->keep, sizeof out->keep);
	return 0;
}

/* The state index from the cursor on, one way, to the first that is retained. 1: there is none. */
static int from_index(struct past *past, int rc, bool upward, struct state *out)
{
	struct cursor *c = &past->cursor;
	struct state state;
	struct cell cell;
	const void *key;
	size_t len;

	for (; rc == 0; rc = upward ? cursor_next(c) : cursor_prev(c)) {
		cursor_entry(c, &key, &len, &cell);
		if (len != 9 || *(const uint8_t *)key != KEY_STATE)
			return 1;
		uint64_t number = get_be64((const uint8_t *)key + 1);
		if (number < past->oldest)
			return 1;
		rc = history_state_decode(number, &cell, &state);
		if (rc < 0)
			return rc;
		if (!(state.flags & STATE_MAINTENANCE))
			return give(past, &state, out);
	}
	return rc;
}

int past_before(struct past *past, uint64_t number, struct state *out)
{
	uint8_t key[SYSTEM_KEY_MAX];
	size_t low = 0, high = past->n;

	while (low < high) { /* the first below number */
		size_t mid = low + (high - low) / 2;
		if (past->recent[mid].number < number)
			high = mid;
		else
			low = mid + 1;
	}
	if (low < past->n)
		return give(past, &past->recent[low], out);
	if (past->cursor.tree.depth == 0)
		return 1;
	if (number > past->fold)
		number = past->fold;
	history_key(key, KEY_STATE, number);
	return from_index(past, cursor_seek_before(&past->cursor, key, 9), false, out);
}

int past_after(struct past *past, uint64_t number, struct state *out)
{
	uint8_t key[SYSTEM_KEY_MAX];
	size_t low = 0, high = past->n;
	int rc = 1;

	if (number == UINT64_MAX)
		return 1;
	if (number < past->oldest)
		number = past->oldest - 1;
	if (number + 1 < past->fold && past->cursor.tree.depth > 0) {
		history_key(key, KEY_STATE, number + 1);
		rc = from_index(past, cursor_seek(&past->cursor, key, 9), true, out);
		if (rc <= 0)
			return rc;
	}
	while (low < high) { /* the last above number */
		size_t mid = low + (high - low) / 2;
		if (past->recent[mid].number > number)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 ? give(past, &past->recent[low - 1], out) : 1;
}
