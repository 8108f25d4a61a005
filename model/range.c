/* SPDX-License-Identifier: Apache-2.0 */
#include "model/range.h"

#include "model/path.h"

enum { RANGE_FLAGS = DUR_REVERSE | DUR_AFTER_FROM | DUR_WITH_TO | DUR_STARTS };

static int rank_of(const struct place *p, const uint8_t *key, size_t len, uint64_t *rank)
{
	struct element_key k;
	int rc;

	k.bytes = key;
	k.len = len;
	rc = place_rank(p, &k, rank);
	return rc < 0 ? rc : 0;
}

int range_ranks(const struct place *p, struct selection *s)
{
	uint64_t n = place_count(p);
	int rc = 0;

	s->low = 0;
	s->high = n;
	if (kind_is_positional(p->kind)) {
		if (s->bounded_low)
			s->low = s->from < n ? s->from : n;
		if (s->bounded_high)
			s->high = s->to < n ? s->to : n;
	} else {
		if (s->bounded_low)
			rc = rank_of(p, s->keys.lo, s->keys.lo_len, &s->low);
		if (rc == 0 && s->bounded_high)
			rc = rank_of(p, s->keys.hi, s->keys.hi_len, &s->high);
	}
	if (s->high < s->low)
		s->high = s->low;
	return rc;
}

/* n * part / parts without overflow. */
static uint64_t share(uint64_t n, uint64_t part, uint64_t parts)
{
	return (uint64_t)((unsigned __int128)n * part / parts);
}

/* A bound that is a path stands for its one step. 0 or DUR_E_PATH, ... */
static int bound_of(const dur_value *key, struct key_arena *scratch, dur_value *step,
                    const dur_value **bound)
{
	struct path path;
	dur_value more;
	int rc;

	*bound = key;
	if (!key || (key->type != DUR_PATH && key->type != DUR_STEPS))
		return 0;
	*bound = step;
	if (key->type == DUR_STEPS) {
		if (key->len != 1 || !key->items)
			return error_set(DUR_E_PATH, "a bound of a range is one step, not %llu",
			                 (unsigned long long)key->len);
		*step = key->items[0];
		return 0;
	}
	rc = path_open(&path, key);
	if (rc == 0)
		rc = path_next(&path, scratch, step);
	if (rc == 0 && (rc = path_next(&path, scratch, &more)) == DUR_NONE)
		return 0;
	return rc < 0 ? rc : error_set(DUR_E_PATH, "a bound of a range is one step, a key");
}

int range_position(const struct place *p, const dur_value *key, uint64_t *at)
{
	struct key_arena scratch = { 0 };
	struct element_key k;
	dur_value step;
	int rc = key ? bound_of(key, &scratch, &step, &key)
	             : error_set(DUR_E_MISUSE, "the position is NULL");

	if (rc == 0)
		rc = place_position(p, key, &k);
	if (rc == 0)
		*at = k.position;
	key_arena_free(&scratch);
	return rc;
}

/* A position before the beginning is the beginning. */
static int position_bound(const struct place *p, const dur_value *bound, unsigned more, uint64_t *at)
{
	struct element_key k;
	int rc = place_position(p, bound, &k);

	if (rc < 0)
		return rc;
	*at = k.position == UINT64_MAX ? 0 : k.position + more;
	return 0;
}

static int list_bounds(const struct place *p, const dur_value *from, const dur_value *to,
                       uint32_t flags, struct selection *s)
{
	int rc = 0;

	if (flags & DUR_STARTS)
		return error_set(DUR_E_MISUSE, "DUR_STARTS is for keys; %s has positions",
		                 kind_name(p->kind));
	s->bounded_low = from != NULL;
	s->bounded_high = to != NULL;
	if (from)
		rc = position_bound(p, from, !!(flags & DUR_AFTER_FROM), &s->from);
	if (rc == 0 && to)
		rc = position_bound(p, to, !!(flags & DUR_WITH_TO), &s->to);
	return rc;
}

static int take_bounds(const struct place *p, const dur_range *r, struct selection *s)
{
	struct key_arena scratch = { 0 };
	const dur_value *from, *to;
	dur_value from_step, to_step;
	int rc = bound_of(r->from, &scratch, &from_step, &from);

	if (rc == 0)
		rc = bound_of(r->to, &scratch, &to_step, &to);
	if (rc == 0 && kind_is_positional(p->kind)) {
		rc = list_bounds(p, from, to, r->flags, s);
	} else if (rc == 0) {
		rc = key_range(from, to, r->flags & ~(uint32_t)DUR_REVERSE, kind_is_raw(p->kind),
		               &s->keys);
		s->bounded_low = rc == 0 && s->keys.lo_len > 0;
		s->bounded_high = rc == 0 && !s->keys.open;
	}
	key_arena_free(&scratch);
	return rc;
}

int range_select(const struct place *p, const dur_range *r, struct selection *s)
{
	uint64_t n;
	int rc = 0;

	s->bounded_low = s->bounded_high = s->reverse = false;
	s->limit = UINT64_MAX;
	if (!r) {
		s->low = s->first = 0;
		s->high = s->end = place_count(p);
		return 0;
	}
	if (r->flags & ~(uint32_t)RANGE_FLAGS || r->pad)
		return error_set(DUR_E_MISUSE, "a dur_range does not take the flags 0x%x",
		                 r->flags & ~(uint32_t)RANGE_FLAGS);
	if (r->parts ? r->part >= r->parts : r->part != 0)
		return error_set(DUR_E_RANGE, "part %u of %u: parts count from 0", r->part,
		                 r->parts);
	s->reverse = r->flags & DUR_REVERSE;
	if (r->from || r->to || r->flags & (DUR_STARTS | DUR_AFTER_FROM | DUR_WITH_TO))
		rc = take_bounds(p, r, s);
	if (rc == 0)
		rc = range_ranks(p, s);
	if (rc < 0)
		return rc;
	n = s->high - s->low;
	if (r->parts) {
		s->high = s->low + share(n, (uint64_t)r->part + 1, r->parts);
		s->low += share(n, r->part, r->parts);
		n = s->high - s->low;
	}
	s->limit = r->limit ? r->limit : UINT64_MAX;
	uint64_t skip = r->skip < n ? r->skip : n;
	uint64_t give = n - skip < s->limit ? n - skip : s->limit;
	s->first = s->reverse ? s->high - skip - give : s->low + skip;
	s->end = s->first + give;
	return 0;
}
