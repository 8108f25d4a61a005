/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_diff(): what leads from one collection to another. The range becomes key bounds, the same for
 * both sides; its part is cut by the counts of one of them. In a transaction a write makes the
 * places doubtful: the next step then begins anew, behind the last key that was given.
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
	struct key_range keys;          /* what is still to be looked at */
	bool bounded_low, bounded_high;
	struct changes changes;
};

static struct tree_bounds bounds_of(const struct diff *d)
{
	return (struct tree_bounds){
		.from = d->bounded_low ? d->keys.lo : NULL, .from_len = d->keys.lo_len,
		.to = d->bounded_high ? d->keys.hi : NULL, .to_len = d->keys.hi_len,
		.back = d->back,
	};
}

static uint64_t writes_of(dur_coll c)
{
	return c.view ? c.view->writes : 0;
}

static int begin(struct diff *d)
{
	struct tree_bounds bounds = bounds_of(d);

	d->writes[DIFF_OLD] = writes_of(d->old);
	d->writes[DIFF_NOW] = writes_of(d->now);
	return changes_open(&d->changes, d->old.view, d->now.view, &bounds);
}

/* Neither collection may have gone; {0} is empty and stays. */
static int check_sides(const struct diff *d)
{
	int rc = d->old.view ? collection_check(d->old) : 0;

	return rc == 0 && d->now.view ? collection_check(d->now) : rc;
}

/* The key just passed bounds what is left. */
static void move_bound(struct diff *d, const struct tree_change *step)
{
	uint8_t *bound = d->back ? d->keys.hi : d->keys.lo;

	memcpy(bound, step->key, step->len);
	if (d->back) {
		d->keys.hi_len = step->len;
		d->bounded_high = true;
	} else {
		/* nothing lies between a key and that key with 00 behind it */
		bound[step->len] = 0;
		d->keys.lo_len = step->len + 1;
		d->bounded_low = true;
	}
}

static int diff_next(void *ctx, dur_change *change)
{
	struct diff *d = ctx;
	struct tree_change step;
	int rc = check_sides(d);

	if (rc == 0 && (writes_of(d->old) != d->writes[DIFF_OLD] ||
	                writes_of(d->now) != d->writes[DIFF_NOW]))
		rc = begin(d);
	if (rc < 0 || d->left == 0)
		return rc < 0 ? rc : DUR_NONE;
	do {
		rc = changes_step(&d->changes, &step);
		if (rc != 0)
			return rc;
		move_bound(d, &step);
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

/* The key at a rank of c becomes a bound. */
static int cut_at(dur_coll c, uint64_t rank, uint8_t *bound, size_t *len)
{
	struct cursor cursor;
	const void *key;
	int rc;

	cursor_open(&cursor, &c.view->pager, c.view->catalog);
	rc = cursor_nth(&cursor, rank);
	if (rc != 0)
		return rc < 0 ? rc
		              : error_set(DUR_E_CORRUPT, "the counts of the tree are wrong: run "
		                                         "`duramen check`");
	cursor_entry(&cursor, &key, len, NULL);
	memcpy(bound, key, *len);
	return 0;
}

/*
 * The part: pieces with equal counts of c's entries. The first piece begins and the last one ends
 * where the range does, so that together they hold all keys of the range, c's or not.
 */
static int cut_part(struct diff *d, dur_coll c, const dur_range *r)
{
	dur_range whole = *r;
	struct selection s;
	struct place p;
	uint64_t n;
	int rc;

	whole.part = whole.parts = 0;
	rc = place_open(c, &p);
	if (rc == 0)
		rc = range_select(&p, &whole, &s);
	if (rc < 0)
		return rc;
	n = s.high - s.low;
	if (n == 0 && r->part + 1 < r->parts) { /* nothing to cut: the last piece has it all */
		d->left = 0;
		return 0;
	}
	if (n > 0 && r->part > 0) {
		rc = cut_at(c, s.low + (uint64_t)((unsigned __int128)n * r->part / r->parts),
		            d->keys.lo, &d->keys.lo_len);
		d->bounded_low = true;
	}
	if (rc == 0 && n > 0 && r->part + 1 < r->parts) {
		rc = cut_at(c, s.low + (uint64_t)((unsigned __int128)n * (r->part + 1) / r->parts),
		            d->keys.hi, &d->keys.hi_len);
		d->bounded_high = true;
	}
	return rc;
}

static int take_range(struct diff *d, dur_coll c, const dur_range *r)
{
	struct selection s;
	struct place p;
	int rc;

	d->left = UINT64_MAX;
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
	d->bounded_low = s.bounded_low;
	d->bounded_high = s.bounded_high;
	d->keys = s.keys;
	return r->parts ? cut_part(d, c, r) : 0;
}

static int check_pair(dur_coll old, dur_coll now)
{
	bool no_old = !old.view && !old.kind, no_now = !now.view && !now.kind;
	int rc = no_old ? 0 : collection_check(old);

	if (rc == 0 && !no_now)
		rc = collection_check(now);
	if (rc < 0)
		return rc;
	if ((!no_old && old.at) || (!no_now && now.at))
		return error_set(DUR_E_TYPE, "this version compares whole states: dur_diff() of two "
		                             "catalogs");
	if (no_old && no_now)
		return error_set(DUR_E_MISUSE,
		                 "dur_diff() needs a collection: only one of the two may be {0}");
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
		rc = begin(d);
	if (rc < 0) {
		diff_end(d);
		return rc;
	}
	return iter_open_changes(now.view ? now.view : old.view, false, &diff_kind, d, it);
}
