/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dur_range as what it selects: key bounds, and in the order of keys the ranks [first, end) that remain
 * after part, skip and limit. Subtree counts make both exact in O(log n).
 */
#ifndef DURAMEN_MODEL_RANGE_H
#define DURAMEN_MODEL_RANGE_H

#include "model/collection.h"

struct selection {
	struct key_range keys; /* bounds alone */
	uint64_t from, to;     /* of lists and ropes: positions, UINT64_MAX: no bound */
	bool bounded_low, bounded_high;
	bool reverse;
	uint64_t low, high;  /* ranks of the bounds and the part */
	uint64_t first, end; /* with skip and limit too */
	uint64_t limit;      /* UINT64_MAX: none */
};

int range_select(const struct place *p, const dur_range *r, struct selection *s);
/* The ranks of the key bounds, anew (after writes). */
int range_ranks(const struct place *p, struct selection *s);
/* A position in a list or rope that is to be sought; UINT64_MAX: before its beginning. */
int range_position(const struct place *p, const dur_value *key, uint64_t *at);

#endif
