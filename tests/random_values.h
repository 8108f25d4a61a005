/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random scalars and tuples, as keys and values may be. Small ranges, so that equal and near ones
 * occur.
 */
#ifndef DURAMEN_TESTS_RANDOM_VALUES_H
#define DURAMEN_TESTS_RANDOM_VALUES_H

#include "engine/key.h"

/* The seed: $SEED, or from the clock; printed, so that a failure can be run again. */
uint64_t random_seed(const char *suite);
uint64_t random_u64(uint64_t *state);
/* 0 .. n - 1 */
uint64_t random_below(uint64_t *state, uint64_t n);

/* Any scalar but a tuple; its text is in arena. */
dur_value random_scalar(uint64_t *state, struct key_arena *arena);
/* A scalar, or a tuple whose items nest at most depth deep. */
dur_value random_key(uint64_t *state, struct key_arena *arena, unsigned depth);

/* Equal in type and every bit, items too. A DUR_BIGINT within int64 counts as the integer it is. */
bool same_value(const dur_value *a, const dur_value *b);

#endif
