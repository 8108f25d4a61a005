/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of the past, one by one, as of a newest state: for who visits many of them and must
 * not pay for a look along all records each time. The caller keeps the newest state pinned as
 * long as this is open: the state index is read from its pages. What this tells of a state is no
 * claim to its pages: to read them pin the state, and see that a newest state found after that
 * still retains it (DESIGN, Readers).
 *
 * One thread at a time.
 */
#ifndef DURAMEN_ENGINE_PAST_H
#define DURAMEN_ENGINE_PAST_H

#include "engine/store.h"

struct past;

/* Cost: the records since the last fold are read, at most some hundred. */
int  past_open(struct store *store, const struct state *newest, struct past **past);
void past_close(struct past *past);
/* The number of the state that it was opened as of. */
uint64_t past_newest(const struct past *past);
/* The newest retained state below a number; 1: there is none. O(log states). */
int  past_before(struct past *past, uint64_t number, struct state *out);
/* The oldest retained state above a number; 1: there is none. O(log states). */
int  past_after(struct past *past, uint64_t number, struct state *out);

#endif
