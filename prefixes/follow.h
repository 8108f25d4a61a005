/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following a prefix: from one state on, the states that came after it, in order, each opened as a
 * snapshot. None is left out: commits are counted, so a state that retention has taken away in
 * between is noticed. States that hold maintenance alone are no steps.
 *
 * What is opened belongs to the caller; as long as it stays open its pages stay, whatever retention
 * does. So it is the states not opened yet that a follower who lags can miss.
 */
#ifndef DURAMEN_PREFIXES_FOLLOW_H
#define DURAMEN_PREFIXES_FOLLOW_H

#include "prefixes/prefix.h"

enum { FOLLOW_LIST = 16 };

struct follow {
	dur_prefix *prefix;
	uint64_t at;                    /* the state it came to last */
	uint64_t commits;               /* the number of that commit */
	uint64_t level;                 /* nothing came after `at` up to this state */
	struct state list[FOLLOW_LIST]; /* the next steps, as far as they were looked up */
	uint32_t n, next;
};

/* From a state on (DUR_LATEST: the newest), which is opened. DUR_E_GONE: it is not retained. */
int follow_start(struct follow *f, dur_prefix *p, uint64_t after, dur_view **snap);
/*
 * The next state, or with coalesce the newest, opened; *time_ns its time. 1: there is none.
 * DUR_E_GONE: the next one is not retained any more (never with coalesce). Looks, never waits.
 */
int follow_next(struct follow *f, bool coalesce, dur_view **snap, int64_t *time_ns);

#endif
