/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going through the states of the past one by one, at the cost of a look-up each: the records since
 * the last fold are read once, when it is opened; for the states before it the index stays open.
 */
#include "engine/past.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/history_read.h"
#include "engine/store_private.h"
#include "internal/error.h"

struct past {
	struct record newest;
	struct steps steps;
	struct index *index;            /* NULL: nothing has been folded yet */
	struct state *recent;           /* retained since the fold, newest first */
	size_t   n, cap;
};

static int add(struct past *past, const struct state *state)
{
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

static int read_recent(struct past *past)
{
	bool retained = false;
	int rc;

	while ((rc = history_step(&past->steps, &retained)) == 0) {
		rc = retained ? add(past, &past->steps.at.state) : 0;
		if (rc < 0)
			break;
	}
	if (rc == 1)
		rc = history_index_open(&past->steps, &past->index);
	return rc;
}

int past_open(struct store *store, const struct state *newest, struct past **out)
{
	struct past *past = calloc(1, sizeof *past);
	int rc;

	*out = NULL;
	if (!past)
		return error_system(ENOMEM, "reading the history");
	past->steps = (struct steps){ .file = store->file, .newest = &past->newest };
	rc = record_read(store->file, newest->record, newest->number, NULL, false, &past->newest);
	if (rc == 0)
		rc = read_recent(past);
	if (rc < 0) {
		past_close(past);
		return rc;
	}
	*out = past;
	return 0;
}

void past_close(struct past *past)
{
	if (past) {
		free(past->index);
		free(past->recent);
	}
	free(past);
}

uint64_t past_newest(const struct past *past)
{
	return past->newest.state.number;
}

/* 0, with what the newest state says of all. */
static int give(const struct past *past, const struct state *state, struct state *out)
{
	*out = *state;
	history_complete(&past->newest, out);
	return 0;
}

/* The first of recent[] below a number. */
static size_t recent_below(const struct past *past, uint64_t number)
{
	size_t low = 0, high = past->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (past->recent[mid].number < number)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

int past_before(struct past *past, uint64_t number, struct state *out)
{
	size_t at = recent_below(past, number);
	bool retained = false;
	struct state state;
	uint64_t rank;
	int rc = 0;

	if (at < past->n)
		return give(past, &past->recent[at], out);
	rank = past->index->high;
	if (number < past->newest.fold && past->index->high > past->index->first)
		rc = history_state_rank(past->index, number, &rank);
	while (rc == 0 && !retained && rank > past->index->first)
		rc = history_index_look(past->index, --rank, &state, &retained);
	if (rc < 0)
		return rc;
	return retained ? give(past, &state, out) : 1;
}

int past_after(struct past *past, uint64_t number, struct state *out)
{
	bool retained = false;
	struct state state;
	uint64_t rank;
	size_t at;
	int rc = 0;

	if (number == UINT64_MAX)
		return 1;
	if (number + 1 < past->newest.fold && past->index->high > past->index->first) {
		rc = history_state_rank(past->index, number + 1, &rank);
		for (; rc == 0 && !retained && rank < past->index->high; rank++)
			rc = history_index_look(past->index, rank, &state, &retained);
		if (rc < 0 || retained)
			return rc < 0 ? rc : give(past, &state, out);
	}
	at = recent_below(past, number + 1);
	return at > 0 ? give(past, &past->recent[at - 1], out) : 1;
}
