/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retained states in order, as of a newest state that the caller has pinned: the records since the
 * last fold, newest first, and before them the state index, by rank. history_read.c looks states up
 * with them, past.c keeps them open.
 */
#ifndef DURAMEN_ENGINE_HISTORY_READ_H
#define DURAMEN_ENGINE_HISTORY_READ_H

#include "engine/history_private.h"

/* Along the records. {0} but for file and newest, which stay as long as this: before the first. */
struct steps {
	struct file *file;
	const struct record *newest;
	struct retention retention;     /* read when a state below the range is met */
	bool     retention_read, begun;
	struct record at;
	bool     has_next;              /* a data state was met */
	int64_t  next_ns;               /* the one met last */
};
/* The next data state back, to steps->at; 1: the fold's record was the last. */
int  history_step(struct steps *steps, bool *retained);

struct index {
	struct cursor cursor;
	struct steps *steps;            /* at its end */
	/* ranks: kept [first, gap), to be decided [gap, low), range [low, high) */
	uint64_t first, gap, low, high;
};
/* steps stays as long as the index does. Caller frees *index. */
int  history_index_open(struct steps *steps, struct index **index);
int  history_state_rank(struct index *index, uint64_t number, uint64_t *rank);
/* The entry, and whether it is retained: of those that left, the time of the next one decides. */
int  history_index_look(struct index *index, uint64_t rank, struct state *out, bool *retained);

/* What an entry of the index leaves out. */
void history_complete(const struct record *newest, struct state *out);

#endif
