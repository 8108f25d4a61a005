/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of a prefix, read through snapshots as anybody reads them: so the writer goes on
 * meanwhile, and what is read is pinned. Of a history, each state is opened before the one before
 * it is closed, and their difference is taken. States that retention lets go while it runs are
 * left out, as from then on they are not there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "prefixes/copy.h"

enum { TELL_MS = 100 };

/* ---- Progress ---- */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int copy_interrupted(void *ctx)
{
	struct copy_meter *meter = ctx;

	meter->told_ms = now_ms();
	if (!meter->progress || !meter->progress->call ||
	    meter->progress->call(meter->progress->ctx, meter->done, meter->total) == 0)
		return 0;
	return error_set(-ECANCELED, "the work was canceled");
}

int copy_step(struct copy_meter *meter)
{
	if (!meter->progress || !meter->progress->call || now_ms() - meter->told_ms < TELL_MS)
		return 0;
	return copy_interrupted(meter);
}

/* ---- What to copy ---- */

/*
 * What is known of the state of a snapshot: looked up in the one that is pinned for that. A state
 * of maintenance counts as the one whose data it holds, which is the one that people know of.
 */
static int state_of(const dur_view *v, struct state *out)
{
	struct store *store = v->prefix->shared->store;
	struct state newest;
	uint64_t number = v->state;
	int rc = store_state(store, v->newest, v->newest_record, &newest);

	if (rc < 0)
		return rc;
	if (v->state == newest.number && !(newest.flags & STATE_MAINTENANCE)) {
		*out = newest;
		return 0;
	}
	if (v->state == newest.number)
		rc = store_back(store, &newest, 0, &number);
	if (rc == 1)
		return error_set(DUR_E_GONE, "no state of prefix %s is retained", v->prefix->name);
	if (rc == 0)
		rc = store_find(store, &newest, number, out);
	if (rc == 0 && newest.flags & STATE_MAINTENANCE && v->state == newest.number)
		memcpy(out->keep, newest.keep,
		       sizeof out->keep); /* it may have changed the policy */
	return rc;
}

/* All as of the snapshot, but for those of later states. */
static int plan_names(struct copy_plan *plan)
{
	const dur_view *v = plan->snap;
	struct store *store = v->prefix->shared->store;
	struct copy_names *names = &plan->names;
	struct state newest;
	size_t n = 0;
	int rc = store_state(store, v->newest, v->newest_record, &newest);

	if (rc == 0)
		rc = copy_names_all(store, &newest, names);
	for (size_t i = 0; i < names->n; i++)
		if (names->of[i].state <= plan->last.number)
			names->of[n++] = names->of[i];
	names->n = n;
	return rc;
}

/* Of a state of maintenance, as a snapshot may be of, the one with data before it. */
static int find_since(dur_prefix *p, uint64_t *since)
{
	struct coord_pin pin;
	struct state newest, state;
	int rc = prefix_newest(p, &pin, &newest);

	if (rc < 0)
		return rc;
	rc = store_find_before(p->shared->store, &newest, *since, &state);
	if (rc == 0)
		*since = state.number;
	coord_unpin(p->shared->coord, &pin);
	return rc;
}

int copy_plan_make(dur_view *snap, uint64_t since, bool history, struct copy_plan *plan)
{
	int rc;

	*plan = (struct copy_plan){ .snap = snap, .history = history };
	rc = state_of(snap, &plan->last);
	if (rc == 0)
		rc = plan_names(plan);
	if (rc == 0 && since && since <= snap->state)
		rc = find_since(snap->prefix, &since);
	if (rc == 0 && since > plan->last.number)
		rc = error_set(DUR_E_RANGE,
		               "state %" PRIu64 " comes after state %" PRIu64 ": nothing leads "
		               "back from one to the other",
		               since, plan->last.number);
	if (rc == 0 && since)
		rc = dur_snapshot(snap->prefix, since, NULL, &plan->base);
	if (rc == 0 && since)
		rc = state_of(plan->base, &plan->since);
	if (rc < 0)
		copy_plan_end(plan);
	return rc;
}

void copy_plan_end(struct copy_plan *plan)
{
	dur_close(plan->base);
	plan->base = NULL;
	copy_names_free(&plan->names);
}

/* ---- States ---- */

/* Those of the state; with the last one all that are left. */
static int give_names(const struct copy_giving *g, struct copy_plan *plan, uint64_t number)
{
	struct copy_names *names = &plan->names;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < names->n; i++) {
		if (names->of[i].state != number && number != plan->last.number)
			names->of[n++] = names->of[i];
		else if (rc == 0)
			rc = g->sink->name(g->ctx, &names->of[i]);
	}
	names->n = n;
	return rc;
}

static int give_state(const struct copy_giving *g, struct copy_plan *plan, const dur_view *before,
                      const dur_view *v, const struct state *s)
{
	struct copy_state state = {
		.number = s->number,
		.commits = s->commits,
		.entries = v->catalog->count,
		.time_ns = s->time_ns,
	};
	int rc;

	memcpy(state.label, s->label, sizeof state.label);
	memcpy(state.keep, s->keep, sizeof state.keep);
	rc = g->sink->state(g->ctx, &state);
	if (rc == 0)
		rc = give_names(g, plan, s->number);
	if (rc == 0)
		rc = copy_give(g, before, v);
	return rc == 0 ? g->sink->state_end(g->ctx) : rc;
}

/* The retained state after one and before the last; 1: there is none. */
static int open_next(const struct copy_plan *plan, uint64_t after, dur_view **next)
{
	dur_prefix *p = plan->snap->prefix;
	dur_state_info info;
	uint32_t n;
	int rc;

	do {
		rc = dur_states(p, after + 1, DUR_REVERSE, &info, 1, &n);
		if (rc < 0 || n == 0 || info.state >= plan->last.number)
			return rc < 0 ? rc : 1;
		rc = dur_snapshot(p, info.state, NULL, next);
		after = info.state;
	} while (rc == DUR_E_GONE);
	return rc;
}

static int give_history(struct copy_plan *plan, const struct copy_giving *g, dur_view **before)
{
	uint64_t after = plan->since.number;
	struct state s;
	dur_view *v;
	int rc;

	while ((rc = open_next(plan, after, &v)) == 0) {
		rc = state_of(v, &s);
		if (rc == 0)
			rc = give_state(g, plan, *before, v, &s);
		if (*before != plan->base)
			dur_close(*before);
		*before = v;
		after = v->state;
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : 0;
}

int copy_plan_run(struct copy_plan *plan, struct copy_meter *meter, const struct copy_sink *sink,
                  void *ctx)
{
	const struct copy_giving g = { meter, sink, ctx };
	dur_view *before = plan->base;
	int rc = 0;

	if (plan->base && plan->since.number == plan->last.number)
		return 0;
	if (!plan->base && !plan->history)
		meter->total = plan->snap->catalog->count;
	if (plan->history)
		rc = give_history(plan, &g, &before);
	if (rc == 0)
		rc = give_state(&g, plan, before, plan->snap, &plan->last);
	if (before != plan->base)
		dur_close(before);
	return rc;
}
