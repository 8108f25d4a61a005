/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention said plainly, for tests to compare with: every state there ever was in one list, each
 * looked at after every step. What a step is, is up to the test.
 */
#ifndef DURAMEN_TESTS_RETENTION_MODEL_H
#define DURAMEN_TESTS_RETENTION_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/policy.h"

enum { MODEL_STATES = 8192, MODEL_NAMES = 12 };

struct model_state {
	uint64_t number;
	int64_t time_ns;
	bool retained;
	bool left; /* the range has moved past it, for good */
};

struct model {
	struct model_state of[MODEL_STATES];
	unsigned n;
	uint64_t names[MODEL_NAMES]; /* the state that name i has; 0: there is no such name */
	struct policy policy;
};

/* A new state; its time is not before the one before it. */
void model_commit(struct model *model, uint64_t number, int64_t time_ns);
/* Applies policy and names. */
void model_step(struct model *model);
unsigned model_retained(const struct model *model);
/* The n-th retained state back from the newest; NULL: not so many. */
const struct model_state *model_back(const struct model *model, unsigned n);
const struct model_state *model_at(const struct model *model, int64_t time_ns);

#endif
