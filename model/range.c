/* SPDX-License-Identifier: Apache-2.0 */
#include "model/range.h"

#include "model/path.h"

enum { RANGE_FLAGS = DUR_REVERSE | DUR_AFTER_FROM | DUR_WITH_TO | DUR_STARTS };

static int rank_of(dur_view *v, const uint8_t *key, size_t len, uint64_t *rank)
{
	int rc = tree_rank(&v->pager, v->catalog, key, len, rank);

	return rc < 0 ? rc : 0;
}

int range_ranks(dur_view *v, struct selection *s)
{
	int rc = 0;

	s->low = 0;
	s->high = v->catalog->count;
	if (s->bounded_low)
		rc = rank_of(v, s->keys.lo, s->keys.lo_len, &s->low);
	if (rc == 0 && s->bounded_high)
		rc = rank_of(v, s->keys.hi, s->keys.hi_len, &s->high);
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
	return rc < 0 ? rc : error_set(DUR_E_PATH, "a bound of a range is a path of one step");
}

static int key_bounds(dur_view *v, const dur_range *r, struct key_range *keys)
{
	struct key_arena scratch = { 0 };
	const dur_value *from, *to;
	dur_value from_step, to_step;
	int rc = bound_of(r->from, &scratch, &from_step, &from);

	if (rc == 0)
		rc = bound_of(r->to, &scratch, &to_step, &to);
	if (rc == 0)
		rc = key_range(from, to, r->flags & ~(uint32_t)DUR_REVERSE, v->raw, keys);
	key_arena_free(&scratch);
	return rc;
}

int range_select(dur_coll c, const dur_range *r, struct selection *s)
{
	dur_view *v = c.view;
	uint64_t n;
	int rc = 0;

	s->bounded_low = s->bounded_high = s->reverse = false;
	s->limit = UINT64_MAX;
	if (!r) {
		s->low = s->first = 0;
		s->high = s->end = v->catalog->count;
		return 0;
	}
	if (r->flags & ~(uint32_t)RANGE_FLAGS || r->pad)
		return error_set(DUR_E_MISUSE, "a dur_range does not take the flags 0x%x",
		                 r->flags & ~(uint32_t)RANGE_FLAGS);
	if (r->parts ? r->part >= r->parts : r->part != 0)
		return error_set(DUR_E_RANGE, "part %u of %u: parts count from 0", r->part,
		                 r->parts);
	s->reverse = r->flags & DUR_REVERSE;
	if (r->from || r->to || r->flags & (DUR_STARTS | DUR_AFTER_FROM | DUR_WITH_TO)) {
		rc = key_bounds(v, r, &s->keys);
		if (rc < 0)
			return rc;
		s->bounded_low = s->keys.lo_len > 0;
		s->bounded_high = !s->keys.open;
	}
	rc = range_ranks(v, s);
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
