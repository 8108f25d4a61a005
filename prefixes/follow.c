/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each look is made through the newest state, pinned for it; a state found there is then opened by
 * number.
 */
#include "prefixes/follow.h"

/*
 * A state that was found may be dropped before it is opened; whoever asks for the newest looks
 * again.
 */
enum { NEWEST_TRIES = 1000 };

static int open_state(struct follow *f, const struct state *state, dur_view **snap)
{
	int rc = dur_snapshot(f->prefix, state->number, NULL, snap);

	if (rc == 0) {
		f->at = state->number;
		f->commits = state->commits;
	}
	return rc;
}

/* The newest state with data, as of now. */
static int find_newest(struct follow *f, struct state *state, uint64_t *level)
{
	struct coord *coord = f->prefix->shared->coord;
	struct store *store = f->prefix->shared->store;
	struct coord_pin pin;
	struct state newest;
	uint64_t number = 0;
	int rc = prefix_newest(f->prefix, &pin, &newest);

	if (rc < 0)
		return rc;
	rc = store_back(store, &newest, 0, &number);
	if (rc == 1) { /* maintenance came after the only state there is */
		number = newest.number;
		rc = 0;
	}
	if (rc == 0)
		rc = store_find(store, &newest, number, state);
	*level = newest.number;
	coord_unpin(coord, &pin);
	return rc;
}

static int open_newest(struct follow *f, dur_view **snap, struct state *state)
{
	uint64_t level = 0;
	int rc = DUR_E_GONE;

	for (unsigned tries = 0; rc == DUR_E_GONE && tries < NEWEST_TRIES; tries++) {
		rc = find_newest(f, state, &level);
		if (rc == 0)
			rc = state->number == f->at ? 1 : open_state(f, state, snap);
	}
	if (rc >= 0)
		f->level = level;
	return rc;
}

int follow_start(struct follow *f, dur_prefix *p, uint64_t after, dur_view **snap)
{
	struct coord_pin pin;
	struct state newest, state;
	int rc;

	f->prefix = p;
	f->at = f->commits = f->level = 0;
	f->n = f->next = 0;
	if (after == DUR_LATEST)
		return open_newest(f, snap, &state);
	rc = prefix_newest(p, &pin, &newest);
	if (rc < 0)
		return rc;
	rc = store_find_before(p->shared->store, &newest, after, &state);
	if (rc == 0)
		rc = open_state(f, &state, snap);
	coord_unpin(p->shared->coord, &pin);
	return rc;
}

/* The list of steps anew, from behind the last one on. */
static int list_steps(struct follow *f)
{
	struct coord_pin pin;
	struct state newest;
	int rc = prefix_newest(f->prefix, &pin, &newest);

	if (rc < 0)
		return rc;
	f->n = f->next = 0;
	if (newest.previous == f->at && !(newest.flags & STATE_MAINTENANCE))
		f->list[f->n++] = newest; /* the usual case: no need to look further back */
	else if (newest.number != f->at)
		rc = store_states(f->prefix->shared->store, &newest, f->at + 1, true, f->list,
		                  FOLLOW_LIST, &f->n);
	if (rc == 0 && f->n == 0 && newest.commits != f->commits)
		rc = error_set(DUR_E_GONE,
		               "what came after state %llu is no longer there (policy %s)",
		               (unsigned long long)f->at, newest.keep);
	if (rc == 0 && f->n == 0)
		f->level = newest.number;
	coord_unpin(f->prefix->shared->coord, &pin);
	return rc;
}

int follow_next(struct follow *f, bool coalesce, dur_view **snap, int64_t *time_ns)
{
	struct coord_published now;
	struct state newest;
	const struct state *step;
	int rc = prefix_check(f->prefix);

	*snap = NULL;
	if (rc < 0)
		return rc;
	coord_load(f->prefix->shared->coord, &now);
	if (now.state == f->level)
		return 1;
	if (coalesce) {
		rc = open_newest(f, snap, &newest);
		*time_ns = newest.time_ns;
		return rc;
	}
	if (f->next == f->n) {
		rc = list_steps(f);
		if (rc < 0 || f->n == 0)
			return rc < 0 ? rc : 1;
	}
	step = &f->list[f->next];
	if (step->commits != f->commits + 1)
		return error_set(
			DUR_E_GONE,
			"the state after %llu is no longer retained: the next one that "
			"is there is %llu; start again from it, or follow coalesced, which needs "
			"no state in between",
			(unsigned long long)f->at, (unsigned long long)step->number);
	*time_ns = step->time_ns;
	rc = open_state(f, step, snap);
	f->next += rc == 0;
	return rc;
}
