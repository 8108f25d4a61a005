/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_combine(): several ordered collections side by side. Each has a cursor at its next key; which key
 * comes out is told by comparing those. Who is behind catches up with a few steps, then with a leap down
 * its tree: what lies between is not looked at.
 *
 * Downward all is the same with the order turned round; `sign` is 1 or -1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/iter.h"
#include "model/range.h"

/* So many that, of one packed state, what the cursors are at stays in memory. */
enum { SOURCES_MAX = 64, STEPS = 6 /* before a leap */ };

struct source {
	dur_coll coll;
	uint64_t writes;        /* its view's count when the cursor was placed */
	bool ended;             /* no more keys, or none within the bounds */
	struct place_cursor cursor;
	size_t len;
	uint8_t key[DUR_MAX_KEY]; /* the next one */
};

struct combination {
	uint32_t how, n;
	bool raw, reverse, begun;
	int sign;
	uint64_t skip, left;    /* left: of the limit */
	struct key_range keys;
	bool bounded_low, bounded_high;
	struct source source[];
};

/* ---- Sources ---- */

static int order(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return c ? c : (a_len > b_len) - (a_len < b_len);
}

/* The key that the cursor is at; whether it still lies within the bounds. */
static int learn(const struct combination *c, struct source *s, int rc)
{
	const void *key;

	if (rc < 0)
		return rc;
	s->ended = rc == 1;
	if (s->ended)
		return 0;
	place_cursor_entry(&s->cursor, &key, &s->len, NULL);
	memcpy(s->key, key, s->len);
	if (c->reverse)
		s->ended = c->bounded_low && order(s->key, s->len, c->keys.lo, c->keys.lo_len) < 0;
	else
		s->ended = c->bounded_high && order(s->key, s->len, c->keys.hi, c->keys.hi_len) >= 0;
	return 0;
}

/* To the first key that does not come before this one (with `behind`: that comes after it). */
static int leap(const struct combination *c, struct source *s, const uint8_t *key, size_t len,
                bool behind)
{
	const struct form_ops *ops = &form_ops[s->cursor.form];
	uint8_t above[DUR_MAX_KEY + 2];

	/* nothing lies between a key and that key with 00 behind it */
	if (behind != c->reverse) {
		memcpy(above, key, len);
		above[len++] = 0;
		key = above;
	}
	return learn(c, s, c->reverse ? ops->seek_before(&s->cursor, key, len)
	                              : ops->seek(&s->cursor, key, len));
}

static int source_open(struct source *s, struct place *p)
{
	int rc = collection_check(s->coll);

	if (rc == 0)
		rc = place_open(s->coll, p);
	if (rc < 0)
		return rc;
	place_cursor_open(&s->cursor, p);
	s->writes = s->coll.view->writes;
	return 0;
}

/* Before the first step: at the bound, or at the end that it begins from. */
static int source_begin(const struct combination *c, struct source *s)
{
	struct place p;
	int rc = source_open(s, &p);

	if (rc < 0)
		return rc;
	if (c->reverse ? c->bounded_high : c->bounded_low) {
		const struct form_ops *ops = &form_ops[s->cursor.form];
		return learn(c, s, c->reverse
		                           ? ops->seek_before(&s->cursor, c->keys.hi, c->keys.hi_len)
		                           : ops->seek(&s->cursor, c->keys.lo, c->keys.lo_len));
	}
	if (place_count(&p) == 0)
		return learn(c, s, 1);
	return learn(c, s, place_cursor_nth(&s->cursor, c->reverse ? place_count(&p) - 1 : 0));
}

/* Its view may have been closed, its pages written to or gone. */
static int source_check(const struct combination *c, struct source *s)
{
	struct place p;
	int rc = collection_check(s->coll);

	if (rc < 0 || s->writes == s->coll.view->writes)
		return rc;
	rc = source_open(s, &p);
	return rc < 0 || s->ended ? rc : leap(c, s, s->key, s->len, false);
}

static int source_next(const struct combination *c, struct source *s)
{
	return learn(c, s, c->reverse ? place_cursor_prev(&s->cursor) : place_cursor_next(&s->cursor));
}

/* To the first key that does not come before that of another. */
static int catch_up(const struct combination *c, struct source *s, const struct source *to)
{
	int rc = 0;

	for (int i = 0; i < STEPS && rc == 0 && !s->ended; i++) {
		if (c->sign * order(s->key, s->len, to->key, to->len) >= 0)
			return 0;
		rc = source_next(c, s);
	}
	if (rc < 0 || s->ended || c->sign * order(s->key, s->len, to->key, to->len) >= 0)
		return rc;
	return leap(c, s, to->key, to->len, false);
}

/* ---- Combining ---- */

static bool same_key(const struct source *a, const struct source *b)
{
	return a->len == b->len && memcmp(a->key, b->key, a->len) == 0;
}

/* All at one key, or *found is NULL: one of them has ended. */
static int find_common(struct combination *c, struct source **found)
{
	struct source *at = &c->source[0];
	uint32_t agree = 1, i = 0;
	int rc = 0;

	*found = NULL;
	if (at->ended)
		return 0;
	while (agree < c->n) {
		i = (i + 1) % c->n;
		struct source *s = &c->source[i];
		rc = catch_up(c, s, at);
		if (rc < 0 || s->ended)
			return rc;
		agree = same_key(s, at) ? agree + 1 : 1;
		at = s;
	}
	*found = &c->source[0];
	return 0;
}

/* The first's next key that no other has. */
static int find_own(struct combination *c, struct source **found)
{
	struct source *first = &c->source[0];
	int rc = 0;

	*found = NULL;
	while (!first->ended) {
		bool other = false;
		for (uint32_t i = 1; i < c->n && !other; i++) {
			struct source *s = &c->source[i];
			if (s->ended)
				continue;
			rc = catch_up(c, s, first);
			if (rc < 0)
				return rc;
			other = !s->ended && same_key(s, first);
		}
		if (!other) {
			*found = first;
			return 0;
		}
		rc = source_next(c, first);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The next key of any; *many: how many have it. */
static struct source *find_any(struct combination *c, uint32_t *many)
{
	struct source *best = NULL;

	*many = 0;
	for (uint32_t i = 0; i < c->n; i++) {
		struct source *s = &c->source[i];
		if (s->ended)
			continue;
		int o = best ? c->sign * order(s->key, s->len, best->key, best->len) : -1;
		if (o < 0) {
			best = s;
			*many = 0;
		}
		*many += o <= 0;
	}
	return best;
}

/* Every source that is at the key goes on. */
static int pass(struct combination *c, const struct source *at)
{
	uint8_t key[DUR_MAX_KEY];
	size_t len = at->len;
	int rc = 0;

	memcpy(key, at->key, len);
	for (uint32_t i = 0; i < c->n && rc == 0; i++) {
		struct source *s = &c->source[i];
		if (!s->ended && s->len == len && memcmp(s->key, key, len) == 0)
			rc = source_next(c, s);
	}
	return rc;
}

/* The source that is at the next key to give and gives its value; NULL: there is none. */
static int find(struct combination *c, struct source **found)
{
	uint32_t many;
	int rc = 0;

	if (c->how == DUR_INTERSECTION)
		return find_common(c, found);
	if (c->how == DUR_DIFFERENCE)
		return find_own(c, found);
	while ((*found = find_any(c, &many)) && c->how == DUR_EITHER && many % 2 == 0) {
		rc = pass(c, *found);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int give(const struct combination *c, struct source *s, struct key_arena *arena,
                dur_value *key, dur_value *value)
{
	uint8_t *bytes = key_arena_take(arena, s->len + 1);
	struct cell cell;
	int rc = 0;

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, s->key, s->len); /* the cursor goes on */
	if (key)
		rc = collection_key_value(c->raw, bytes, s->len, arena, key);
	if (rc < 0 || !value)
		return rc;
	if (kind_is_set(s->coll.kind))
		return collection_key_value(c->raw, bytes, s->len, arena, value);
	place_cursor_entry(&s->cursor, NULL, NULL, &cell);
	return collection_value(s->coll.view, &cell, arena, value);
}

/* One step; without arena nothing is given. */
static int step(struct combination *c, struct key_arena *arena, dur_value *key, dur_value *value)
{
	struct source *s = NULL;
	int rc = 0;

	if (c->left == 0)
		return DUR_NONE;
	for (;;) {
		for (uint32_t i = 0; i < c->n && rc == 0; i++)
			rc = c->begun ? source_check(c, &c->source[i]) : source_begin(c, &c->source[i]);
		c->begun = c->begun || rc == 0;
		if (rc == 0)
			rc = find(c, &s);
		if (rc < 0 || !s)
			return rc < 0 ? rc : DUR_NONE;
		bool wanted = c->skip == 0;
		if (wanted && arena)
			rc = give(c, s, arena, key, value);
		if (rc == 0)
			rc = pass(c, s);
		if (rc < 0)
			return rc;
		if (wanted)
			break;
		c->skip--;
	}
	c->left -= c->left != UINT64_MAX;
	return 0;
}

static int combine_next(void *ctx, struct key_arena *arena, dur_value *key, dur_value *value)
{
	return step(ctx, arena, key, value);
}

static int combine_left(void *ctx, uint64_t *n)
{
	const struct combination *c = ctx;
	size_t size = sizeof *c + c->n * sizeof c->source[0];
	struct combination *ahead = malloc(size);
	int rc;

	if (!ahead)
		return error_system(ENOMEM, "counting ahead");
	memcpy(ahead, c, size);
	for (uint32_t i = 0; i < c->n; i++) /* cursors keep to themselves: theirs are opened anew */
		ahead->source[i].writes = c->source[i].coll.view ? ~c->source[i].coll.view->writes : 0;
	for (*n = 0; (rc = step(ahead, NULL, NULL, NULL)) == 0;)
		++*n;
	free(ahead);
	return rc < 0 ? rc : 0;
}

static int combine_seek(void *ctx, const dur_value *key)
{
	struct combination *c = ctx;
	struct element_key k;
	struct place p = { .kind = c->raw ? DUR_RAW_SET : DUR_SET };
	int rc;

	if (key_is_path(key))
		return error_set(DUR_E_MISUSE, "dur_seek() needs a key here, no path");
	rc = place_key(&p, key, &k);
	for (uint32_t i = 0; i < c->n && rc == 0; i++) {
		struct source *s = &c->source[i];
		bool out;
		rc = source_begin(c, s);
		if (rc < 0)
			break;
		out = s->ended || c->sign * order(s->key, s->len, k.bytes, k.len) >= 0;
		if (!out)
			rc = leap(c, s, k.bytes, k.len, false);
	}
	c->begun = c->begun || rc == 0;
	return rc;
}

static void combine_end(void *ctx)
{
	free(ctx);
}

static const struct entry_kind combine_kind = {
	combine_next, combine_seek, combine_left, { NULL, combine_end },
};

/* ---- Opening ---- */

static int check(uint32_t how, const dur_coll *sets, uint32_t n, dur_iter **it)
{
	int rc = 0;

	if (it)
		*it = NULL;
	if (!it || !sets || how < DUR_UNION || how > DUR_EITHER || n == 0 || n > SOURCES_MAX)
		return error_set(DUR_E_MISUSE, "dur_combine() needs one of the combinations, 1 to %d "
		                 "collections and a place for the iterator", SOURCES_MAX);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		rc = collection_check(sets[i]);
		if (rc == 0 && !kind_is_keyed(sets[i].kind))
			rc = error_set(DUR_E_TYPE, "dur_combine() takes sets and maps, not %s",
			               kind_name(sets[i].kind));
		if (rc == 0 && kind_is_raw(sets[i].kind) != kind_is_raw(sets[0].kind))
			rc = error_set(DUR_E_TYPE, "typed and raw keys have no order in common");
	}
	return rc;
}

/* The key at a rank of the first one becomes a bound. */
static int cut_at(struct combination *c, const struct place *p, uint64_t rank, uint8_t *bound,
                  size_t *len)
{
	struct place_cursor *cursor = &c->source[0].cursor;
	const void *key;
	int rc;

	place_cursor_open(cursor, p);
	rc = place_cursor_nth(cursor, rank);
	if (rc < 0)
		return rc;
	place_cursor_entry(cursor, &key, len, NULL);
	memcpy(bound, key, *len);
	return 0;
}

/* Pieces with equal counts of the first one's; together they hold all keys, its or not. */
static int cut_part(struct combination *c, const struct place *p, const dur_range *r)
{
	dur_range whole = *r;
	struct selection s;
	uint64_t n;
	int rc;

	whole.part = whole.parts = 0;
	rc = range_select(p, &whole, &s);
	if (rc < 0)
		return rc;
	n = s.high - s.low;
	if (n == 0) { /* nothing to cut: the last piece has it all */
		c->left = r->part + 1 < r->parts ? 0 : c->left;
		return 0;
	}
	if (r->part > 0) {
		rc = cut_at(c, p, s.low + (uint64_t)((unsigned __int128)n * r->part / r->parts),
		            c->keys.lo, &c->keys.lo_len);
		c->bounded_low = true;
	}
	if (rc == 0 && r->part + 1 < r->parts) {
		rc = cut_at(c, p, s.low + (uint64_t)((unsigned __int128)n * (r->part + 1) / r->parts),
		            c->keys.hi, &c->keys.hi_len);
		c->bounded_high = true;
	}
	return rc;
}

static int take_range(struct combination *c, const dur_range *r)
{
	struct selection s;
	struct place p;
	int rc;

	c->left = UINT64_MAX;
	c->sign = 1;
	if (!r)
		return 0;
	rc = place_open(c->source[0].coll, &p);
	if (rc == 0)
		rc = range_select(&p, r, &s);
	if (rc < 0)
		return rc;
	c->reverse = s.reverse;
	c->sign = s.reverse ? -1 : 1;
	c->bounded_low = s.bounded_low;
	c->bounded_high = s.bounded_high;
	if (s.bounded_low || s.bounded_high)
		c->keys = s.keys;
	c->skip = r->skip;
	c->left = s.limit;
	return r->parts ? cut_part(c, &p, r) : 0;
}

int dur_combine(uint32_t how, const dur_coll *sets, uint32_t n, const dur_range *r, dur_iter **it)
{
	struct combination *c;
	int rc = check(how, sets, n, it);

	if (rc < 0)
		return rc;
	c = calloc(1, sizeof *c + n * sizeof c->source[0]);
	if (!c)
		return error_system(ENOMEM, "combining collections");
	c->how = how;
	c->n = n;
	c->raw = kind_is_raw(sets[0].kind);
	for (uint32_t i = 0; i < n; i++)
		c->source[i].coll = sets[i];
	rc = take_range(c, r);
	if (rc < 0) {
		free(c);
		return rc;
	}
	return iter_open_entries(sets[0].view, &combine_kind, c, it);
}
