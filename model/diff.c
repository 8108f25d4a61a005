/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_diff(): what leads from one collection to another. The range becomes key bounds, the same for
 * both sides; its part is cut by the counts of one of them. In a transaction a write makes the
 * places doubtful: the next step then begins anew, behind the last change that was given.
 */
#include <errno.h>
#include <stdlib.h>

#include "model/changes.h"
#include "model/iter.h"
#include "model/range.h"

struct diff {
	dur_coll old, now;
	uint64_t writes[2];             /* the views' counts when it began */
	uint64_t skip, left;
	bool back;
	uint64_t from, to;              /* of lists: positions [from, to) */
	struct key_range keys;
	bool bounded_low, bounded_high;
	struct changes changes;
};

static uint64_t writes_of(dur_coll c)
{
	return c.view ? c.view->writes : 0;
}

/* The collections as they are now; NULL: {0}, which is empty. */
static int sides(struct diff *d, struct place place[2], const struct place *side[2])
{
	const dur_coll *of[2] = { &d->old, &d->now };

	for (unsigned i = 0; i < 2; i++) {
		int rc = of[i]->view ? collection_check(*of[i]) : 0;
		if (rc == 0 && of[i]->view)
			rc = place_open(*of[i], &place[i]);
		if (rc < 0)
			return rc;
		side[i] = of[i]->view ? &place[i] : NULL;
		d->writes[i] = writes_of(*of[i]);
	}
	return 0;
}

static int begin(struct diff *d, bool again)
{
	struct tree_bounds bounds = {
		.from = d->bounded_low ? d->keys.lo : NULL, .from_len = d->keys.lo_len,
		.to = d->bounded_high ? d->keys.hi : NULL, .to_len = d->keys.hi_len,
		.back = d->back,
	};
	const struct place *side[2];
	struct place place[2];
	int rc = sides(d, place, side);

	if (rc < 0)
		return rc;
	return again ? changes_again(&d->changes, side[DIFF_OLD], side[DIFF_NOW])
	             : changes_open(&d->changes, side[DIFF_OLD], side[DIFF_NOW], &bounds);
}

/* Of lists: whether the change lies outside of the positions that were asked for. */
static bool is_outside(const struct diff *d)
{
	struct nest_step first;

	nest_diff_step(&d->changes.diff, 0, &first);
	return !first.key && (first.at < d->from || first.at >= d->to);
}

static int diff_next(void *ctx, dur_change *change)
{
	struct diff *d = ctx;
	struct nest_change step;
	int rc = d->old.view ? collection_check(d->old) : 0;

	if (rc == 0 && d->now.view)
		rc = collection_check(d->now);
	if (rc == 0 && (writes_of(d->old) != d->writes[DIFF_OLD] ||
	                writes_of(d->now) != d->writes[DIFF_NOW]))
		rc = begin(d, true);
	if (rc < 0 || d->left == 0)
		return rc < 0 ? rc : DUR_NONE;
	do {
		do
			rc = changes_step(&d->changes, &step);
		while (rc == 0 && is_outside(d));
		if (rc != 0)
			return rc;
	} while (d->skip > 0 && d->skip--);
	d->left -= d->left != UINT64_MAX;
	return changes_row(&d->changes, &step, change);
}

static void diff_end(void *ctx)
{
	struct diff *d = ctx;

	changes_end(&d->changes);
	free(d);
}

static const struct change_kind diff_kind = { diff_next, diff_end };

/* ---- Opening ---- */

/* The key at a rank of p becomes a bound. */
static int cut_at(const struct place *p, uint64_t rank, uint8_t *bound, size_t *len)
{
	struct place_cursor *cursor = malloc(sizeof *cursor);
	const void *key;
	int rc;

	if (!cursor)
		return error_system(ENOMEM, "cutting a part");
	place_cursor_open(cursor, p);
	rc = place_cursor_nth(cursor, rank);
	if (rc == 0) {
		place_cursor_entry(cursor, &key, len, NULL);
		memcpy(bound, key, *len);
	}
	free(cursor);
	return rc;
}

/*
 * The part: pieces with equal counts of p's entries. The first piece begins and the last one ends
 * where the range does, so that together they hold all keys of the range, p's or not.
 */
static int cut_part(struct diff *d, const struct place *p, const struct selection *s,
                    const dur_range *r)
{
	uint64_t n = s->high - s->low;
	uint64_t first = s->low + (uint64_t)((unsigned __int128)n * r->part / r->parts);
	uint64_t end = s->low + (uint64_t)((unsigned __int128)n * (r->part + 1) / r->parts);
	bool low = n > 0 && r->part > 0, high = n > 0 && r->part + 1 < r->parts;
	int rc = 0;

	if (n == 0 && r->part + 1 < r->parts) /* nothing to cut: the last piece has it all */
		d->left = 0;
	if (p->kind == DUR_LIST) {
		d->from = low ? first : d->from;
		d->to = high ? end : d->to;
		return 0;
	}
	if (low)
		rc = cut_at(p, first, d->keys.lo, &d->keys.lo_len);
	if (rc == 0 && high)
		rc = cut_at(p, end, d->keys.hi, &d->keys.hi_len);
	d->bounded_low |= low;
	d->bounded_high |= high;
	return rc;
}

static int take_range(struct diff *d, dur_coll c, const dur_range *r)
{
	struct selection whole, s;
	struct place p;
	int rc;

	d->left = d->to = UINT64_MAX;
	if (!r)
		return 0;
	rc = place_open(c, &p);
	if (rc == 0)
		rc = range_select(&p, r, &s);
	if (rc < 0)
		return rc;
	d->back = s.reverse;
	d->skip = r->skip;
	d->left = s.limit;
	if (p.kind == DUR_LIST) {
		if (s.reverse)
			return error_set(DUR_E_MISUSE, "a diff of lists goes upward: leave "
			                               "DUR_REVERSE out");
		d->from = s.bounded_low ? s.from : 0;
		d->to = s.bounded_high ? s.to : UINT64_MAX;
	} else {
		d->bounded_low = s.bounded_low;
		d->bounded_high = s.bounded_high;
		d->keys = s.keys;
	}
	if (!r->parts)
		return 0;
	dur_range bounds = *r;
	bounds.part = bounds.parts = 0;
	rc = range_select(&p, &bounds, &whole);
	return rc < 0 ? rc : cut_part(d, &p, &whole, r);
}

static int check_pair(dur_coll old, dur_coll now)
{
	bool no_old = !old.view && !old.kind, no_now = !now.view && !now.kind;
	int rc = no_old ? 0 : collection_check(old);

	if (rc == 0 && !no_now)
		rc = collection_check(now);
	if (rc < 0)
		return rc;
	if (no_old && no_now)
		return error_set(DUR_E_MISUSE,
		                 "dur_diff() needs a collection: only one of the two may be {0}");
	if (old.kind == DUR_ROPE || now.kind == DUR_ROPE)
		return error_set(DUR_E_TYPE, "a rope is one value to dur_diff(): compare the collections "
		                             "that hold the two");
	if (no_old || no_now)
		return 0;
	if (old.view->prefix != now.view->prefix)
		return error_set(DUR_E_MISUSE,
		                 "dur_diff() compares collections of one prefix, of views from "
		                 "one dur_attach(); these are of %s and %s",
		                 old.view->prefix->name, now.view->prefix->name);
	if (old.kind != now.kind)
		return error_set(DUR_E_TYPE, "dur_diff() compares collections of one kind");
	return 0;
}

int dur_diff(dur_coll old, dur_coll now, const dur_range *r, dur_iter **it)
{
	struct diff *d;
	int rc;

	if (!it)
		return error_set(DUR_E_MISUSE, "dur_diff() needs a place for the iterator");
	*it = NULL;
	rc = check_pair(old, now);
	if (rc < 0)
		return rc;
	d = calloc(1, sizeof *d);
	if (!d)
		return error_system(ENOMEM, "opening a diff");
	d->old = old;
	d->now = now;
	rc = take_range(d, old.view ? old : now, r);
	if (rc == 0)
		rc = begin(d, false);
	if (rc < 0) {
		diff_end(d);
		return rc;
	}
	return iter_open_changes(now.view ? now.view : old.view, false, &diff_kind, d, it);
}
