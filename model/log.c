/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of keys: from state to state, downward, skipping from birth to birth. What tree_since()
 * says of the keys in state S holds down to a birth b; so the next state to look at is the newest
 * retained one before b. If the keys are something else there, the change came with the oldest
 * retained state above that one: the state that made it, or, where retention has taken states
 * away, the first that shows it.
 *
 * What is followed may be of any depth (where.h); the two states are compared there, by a diff where it
 * is a collection.
 *
 * Two snapshots are open at a time, the states on both sides of the last step: what a row lends
 * is theirs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/changes.h"
#include "model/iter.h"
#include "model/range.h"
#include "prefixes/walk.h"

/* A state that is being looked at, open, and what it holds. */
struct side {
	dur_view *view; /* NULL: none */
	struct state state;
	uint64_t since; /* what is followed is what it is from this state on */
};

enum step {
	STEP_DUE,  /* the older side is still to be opened */
	STEP_OPEN, /* it is, and has rows left */
	STEP_DONE, /* it has none left */
};

struct log {
	struct walk *walk;
	uint64_t below; /* the first state is the newest one below this */
	uint64_t skip, limit;
	struct where where;
	struct element_key key; /* of a path of one step */
	uint8_t step;   /* enum step */
	struct side now, old;
	uint64_t state; /* the rows of this step are of this state */
	int64_t time_ns;
	struct selection range; /* of the keys of what stands at the path */
	struct changes changes; /* between the two sides */
};

/* ---- States ---- */

static void side_close(struct side *s)
{
	dur_close(s->view);
	*s = (struct side){ 0 };
}

static int look(struct log *l, struct side *s)
{
	const struct selection *r = &l->range;
	const struct tree_key one = { l->key.bytes, l->key.len };
	const struct tree_key low = { r->bounded_low ? r->keys.lo : NULL, r->keys.lo_len };
	const struct tree_key high = { r->bounded_high ? r->keys.hi : NULL, r->keys.hi_len };
	struct cell cell;
	int rc;

	if (l->where.n < 2)
		return walk_since(l->walk, s->view, &s->state, l->where.n ? &one : &low,
		                  l->where.n ? &one : &high, &s->since, &cell);
	rc = where_find(&l->where, s->view, &cell, &s->since);
	if (s->since > s->state.number)
		s->since = s->state.number;
	return rc < 0 ? rc : 0;
}

/* The newest retained state below a number. 1: there is none. */
static int side_open(struct log *l, struct side *s, uint64_t below)
{
	int rc = walk_before(l->walk, below, &s->view, &s->state);

	if (rc == 0)
		rc = look(l, s);
	if (rc < 0)
		side_close(s);
	return rc;
}

/*
 * The state that the rows of this step are of: the oldest retained one above the older side;
 * never above the newer one, which shows the same.
 */
static int made_by(struct log *l)
{
	struct state state;
	int rc = walk_after(l->walk, l->old.state.number, &state);

	if (rc < 0)
		return rc;
	if (rc == 1 || state.number > l->now.state.number)
		state = l->now.state;
	l->state = state.number;
	l->time_ns = state.time_ns;
	return 0;
}

/* To the next two states. 1: there is no older one. */
static int step(struct log *l)
{
	const struct key_range *keys = &l->range.keys;
	struct tree_bounds bounds = {
		.from = l->range.bounded_low ? keys->lo : NULL, .from_len = keys->lo_len,
		.to = l->range.bounded_high ? keys->hi : NULL, .to_len = keys->hi_len,
	};
	int rc = 0;

	if (l->step == STEP_DONE) { /* the older side is the newer one now */
		side_close(&l->now);
		l->now = l->old;
		l->old = (struct side){ 0 };
		l->step = STEP_DUE;
	}
	if (!l->now.view)
		rc = side_open(l, &l->now, l->below);
	if (rc == 0)
		rc = side_open(l, &l->old, l->now.since);
	if (rc != 0)
		return rc;
	rc = made_by(l);
	if (rc == 0)
		rc = changes_open_at(&l->changes, l->old.view, l->now.view, &l->where, &bounds);
	if (rc == 0)
		l->step = STEP_OPEN;
	return rc;
}

/* ---- Rows ---- */

static int log_next(void *changes, dur_change *change)
{
	struct log *l = changes;
	struct nest_change row;
	int rc = 0;

	if (l->limit == 0)
		return DUR_NONE;
	while (rc == 0) {
		if (l->step != STEP_OPEN)
			rc = step(l);
		if (rc != 0)
			break;
		rc = changes_step(&l->changes, &row);
		if (rc == 1) {
			l->step = STEP_DONE;
			rc = 0;
		} else if (rc == 0 && l->skip > 0) {
			l->skip--;
		} else if (rc == 0) {
			l->limit -= l->limit != UINT64_MAX;
			change->state = l->state;
			change->time_ns = l->time_ns;
			return changes_row(&l->changes, &row, change);
		}
	}
	if (rc < 0) { /* who asks again meets it again */
		side_close(&l->old);
		l->step = STEP_DUE;
	}
	return rc;
}

static void log_end(void *changes)
{
	struct log *l = changes;

	side_close(&l->now);
	side_close(&l->old);
	changes_end(&l->changes);
	where_free(&l->where);
	walk_close(l->walk);
	free(l);
}

static const struct change_kind log_kind = { log_next, log_end };

/* ---- Opening ---- */

/* The bounds of r, of the keys of what stands at the path in the newest state. */
static int take_bounds(struct log *l, dur_prefix *prefix, const dur_range *r)
{
	dur_view *newest;
	struct where_end end;
	struct place p;
	int rc = dur_snapshot(prefix, DUR_LATEST, NULL, &newest);

	if (rc < 0)
		return rc;
	rc = where_place(&l->where, newest, &end, &p);
	if (rc == 0 && !kind_is_keyed(p.kind))
		rc = 1;
	if (rc == 0)
		rc = range_select(&p, r, &l->range);
	else if (rc == 1)
		rc = error_set(DUR_E_TYPE, "a range of keys is for maps and sets, and the path leads to "
		                           "neither");
	dur_close(newest);
	return rc;
}

static int take_range(struct log *l, dur_prefix *prefix, const dur_range *r)
{
	int rc = 0;

	l->limit = UINT64_MAX;
	if (!r)
		return 0;
	if (r->flags & DUR_REVERSE || r->parts)
		return error_set(DUR_E_MISUSE, "a log goes from the newest change down: its range takes "
		                 "neither DUR_REVERSE nor parts");
	if (r->from || r->to || r->flags || r->pad)
		rc = take_bounds(l, prefix, r);
	l->skip = r->skip;
	if (r->limit)
		l->limit = r->limit;
	return rc;
}

static int log_open(struct log *l, dur_view *anchor, const dur_value *path, const dur_range *r,
                    uint64_t from)
{
	const struct place catalog = { .view = anchor, .kind = anchor->raw ? DUR_RAW_MAP : DUR_MAP };
	int rc = where_open(&l->where, path, anchor->raw);

	if (rc == 0 && l->where.n == 1)
		rc = place_key(&catalog, &l->where.steps[0], &l->key);
	if (rc < 0)
		return rc;
	if (l->where.n == 1 && l->key.bytes != l->key.buf) { /* the step's own */
		memcpy(l->key.buf, l->key.bytes, l->key.len);
		l->key.bytes = l->key.buf;
	}
	l->below = from && from < UINT64_MAX ? from + 1 : UINT64_MAX;
	rc = take_range(l, anchor->prefix, r);
	return rc < 0 ? rc : walk_open(anchor->prefix, &l->walk);
}

int dur_log(dur_prefix *p, const dur_value *path, const dur_range *r, uint64_t from, dur_iter **it)
{
	dur_view *anchor;
	struct log *l;
	int rc = prefix_check(p);

	if (it)
		*it = NULL;
	if (rc < 0)
		return rc;
	if (!it)
		return error_set(DUR_E_MISUSE, "dur_log() needs a place for the iterator");
	rc = view_anchor(p, &anchor);
	if (rc < 0)
		return rc;
	l = calloc(1, sizeof *l);
	rc = l ? log_open(l, anchor, path, r, from) : error_system(ENOMEM, "opening a log");
	if (rc < 0) {
		if (l)
			log_end(l);
		dur_close(anchor);
		return rc;
	}
	return iter_open_changes(anchor, true, &log_kind, l, it);
}
