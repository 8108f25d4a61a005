/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Iterators over entries, and the frame of those over changes, which bring their own steps
 * (model/iter.h). What is left to give is a count, known from ranks when the iterator opens, so
 * that a step compares no keys. In a transaction a write makes the count and the cursor doubtful,
 * in a packed state the reading of other pages does: the iterator then finds its place again,
 * behind the last key it gave, and counts anew within its key bounds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/iter.h"
#include "model/kept.h"
#include "model/mark.h"
#include "model/range.h"

enum resume {
	FROM_START,
	AFTER_LAST, /* last[] is the key given last */
	AT_LAST,    /* last[] is where dur_seek() went */
};

struct dur_iter {
	dur_iter *next; /* of the view's open or spare ones */
	dur_view *view;
	uint32_t stamp;
	uint32_t of;     /* the collection's kind */
	dur_coll coll;
	bool open;
	bool own_view;   /* of changes: nobody else has its view, which is closed with it */
	const struct change_kind *kind; /* NULL: over entries, and all below is of those alone */
	const struct entry_kind *entries; /* of entries that are put together: kind is its frame */
	void *changes;
	bool reverse;
	bool placed;     /* the cursor stands at the next entry to give */
	uint8_t resume;  /* enum resume: where a place is found again after writes */
	uint64_t left;   /* entries still to give */
	uint64_t limit;  /* of the range, less what was given; UINT64_MAX: none */
	uint64_t writes; /* the view's count when the cursor was placed */
	struct selection range;
	uint64_t rank;   /* of the entry that the cursor is at */
	uint64_t last_position; /* of a list or rope, as last[] */
	struct place_cursor cursor;
	struct key_arena arena; /* what the last key or value put together */
	size_t last_len;
	uint8_t last[DUR_MAX_KEY];
};

/* ---- Pool ---- */

static void iter_end(dur_iter *it)
{
	dur_view *v = it->view;

	it->open = false;
	if (it->kind)
		it->kind->end(it->changes);
	key_arena_reset(&it->arena);
	it->next = v->iter_spare;
	v->iter_spare = it;
}

void model_end(dur_view *v, bool forget)
{
	rows_end(v, forget);
	kept_end(v);
	marks_end(v);
	for (dur_iter *it = v->iters, *next; it; it = next) {
		next = it->next;
		iter_end(it);
	}
	v->iters = NULL;
	if (!forget)
		return;
	for (dur_iter *it = v->iter_spare, *next; it; it = next) {
		next = it->next;
		key_arena_free(&it->arena);
		free(it);
	}
	v->iter_spare = NULL;
}

static dur_iter *iter_take(dur_view *v)
{
	dur_iter *it = v->iter_spare;

	v->model_end = model_end;
	if (it) {
		v->iter_spare = it->next;
	} else {
		it = malloc(sizeof *it);
		if (!it)
			return NULL;
		it->arena = (struct key_arena){ 0 };
		it->view = v;
	}
	it->stamp = v->stamp;
	it->open = true;
	it->own_view = false;
	it->kind = NULL;
	it->entries = NULL;
	it->resume = FROM_START;
	it->next = v->iters;
	v->iters = it;
	return it;
}

void dur_iter_close(dur_iter *it)
{
	dur_view *own = NULL;

	if (!it || !it->open)
		return;
	if (it->view->generation != registry_generation) {
		it->open = false;
		return;
	}
	for (dur_iter **at = &it->view->iters; *at; at = &(*at)->next)
		if (*at == it) {
			*at = it->next;
			break;
		}
	if (it->own_view)
		own = it->view;
	iter_end(it);
	dur_close(own);
}

/* A live iterator of the kind that the call is for. */
static int iter_check(const dur_iter *it, bool changes)
{
	if (!it)
		return error_set(DUR_E_MISUSE, "the iterator is NULL: %s first",
		                 changes ? "dur_diff() or another that opens one" : "dur_scan()");
	if (it->view->generation != registry_generation)
		return error_set(DUR_E_FORKED, "this iterator belongs to the parent process");
	if (!it->open || it->stamp != it->view->stamp)
		return error_set(DUR_E_STALE, "this iterator, or its view, has been closed");
	if (changes != (it->kind && !it->entries))
		return error_set(DUR_E_MISUSE, "this iterator is over %s gives the next one",
		                 changes ? "entries: dur_next()" : "changes: dur_next_change()");
	return 0;
}

/* ---- Places ---- */

/* In a transaction writes change pages, in a packed state others take their place in memory. */
static bool pages_go(const dur_view *v)
{
	return v->kind == VIEW_TXN || v->pager.unpack;
}

/* Puts the cursor at a rank; the caller knows that there is such an entry. */
static int place(dur_iter *it, const struct place *p, uint64_t rank)
{
	if (p->kind != DUR_ROPE) /* its pieces are looked up anew at each step */
		place_cursor_open(&it->cursor, p);
	it->writes = it->view->writes;
	it->placed = true;
	it->rank = rank;
	return p->kind == DUR_ROPE ? 0 : place_cursor_nth(&it->cursor, rank);
}

/* The key at a rank becomes a bound, so that a place can be found again after writes. */
static int bound_at(dur_iter *it, const struct place *p, uint64_t rank, uint8_t *bound, size_t *len)
{
	const void *key;
	int rc = place(it, p, rank);

	if (rc == 0) {
		place_cursor_entry(&it->cursor, &key, len, NULL);
		memcpy(bound, key, *len);
	}
	return rc;
}

/* Where pages go: part and skip narrow the key bounds themselves. */
static int fix_bounds(dur_iter *it, const struct place *p)
{
	struct selection *s = &it->range;
	uint64_t count = place_count(p), from = s->low, to = s->high;
	int rc = 0;

	if (s->reverse)
		to = s->end;
	else
		from = s->first;
	if (kind_is_positional(p->kind)) {
		s->bounded_low = s->bounded_low || from > 0;
		s->bounded_high = s->bounded_high || to < count;
		s->from = from;
		s->to = to;
		return 0;
	}
	if (from > 0 && from < count) {
		rc = bound_at(it, p, from, s->keys.lo, &s->keys.lo_len);
		s->bounded_low = true;
	}
	if (rc == 0 && to < count) {
		rc = bound_at(it, p, to, s->keys.hi, &s->keys.hi_len);
		s->bounded_high = true;
		s->keys.open = false;
	}
	return rc;
}

/* The rank of where it was last, and whether that entry is there. */
static int last_rank(const dur_iter *it, const struct place *p, uint64_t *rank, bool *there)
{
	struct element_key k;
	int rc;

	k.bytes = kind_is_positional(p->kind) ? NULL : it->last;
	k.len = it->last_len;
	k.position = it->last_position;
	rc = place_rank(p, &k, rank);
	*there = rc == 0;
	return rc < 0 ? rc : 0;
}

/* After writes: behind the last key given, within the bounds. */
static int place_again(dur_iter *it)
{
	struct selection *s = &it->range;
	uint64_t rank, low, high;
	struct place p;
	bool there;
	int rc = collection_check(it->coll);

	if (rc == 0)
		rc = place_open(it->coll, &p);
	if (rc == 0)
		rc = range_ranks(&p, s);
	if (rc < 0)
		return rc;
	low = s->low;
	high = s->high;
	if (it->resume != FROM_START) {
		rc = last_rank(it, &p, &rank, &there);
		if (rc < 0)
			return rc;
		/*
		 * upward the key itself is behind us if it was given, downward the other way round
		 */
		bool past = it->resume == AFTER_LAST;
		if (it->reverse)
			high = rank + (there && !past) < high ? rank + (there && !past) : high;
		else
			low = rank + (there && past) > low ? rank + (there && past) : low;
	}
	it->left = high > low ? high - low : 0;
	if (it->left > it->limit)
		it->left = it->limit;
	it->writes = it->view->writes;
	return it->left ? place(it, &p, it->reverse ? high - 1 : low) : 0;
}

static int open_at(dur_iter *it, const dur_range *r)
{
	struct place p;
	int rc = place_open(it->coll, &p);

	if (rc == 0)
		rc = range_select(&p, r, &it->range);
	if (rc == 0 && pages_go(it->view))
		rc = fix_bounds(it, &p);
	if (rc < 0)
		return rc;
	it->of = p.kind;
	it->reverse = it->range.reverse;
	it->limit = it->range.limit;
	it->left = it->range.end - it->range.first;
	it->writes = it->view->writes;
	it->cursor.form = p.form;
	return it->left ? place(it, &p, it->reverse ? it->range.end - 1 : it->range.first) : 0;
}

int dur_scan(dur_coll c, const dur_range *r, dur_iter **out)
{
	dur_iter *it;
	int rc = collection_check(c);

	if (out)
		*out = NULL;
	if (rc < 0)
		return rc;
	if (!out)
		return error_set(DUR_E_MISUSE, "dur_scan() needs a place for the iterator");
	it = iter_take(c.view);
	if (!it)
		return error_system(ENOMEM, "opening an iterator");
	it->coll = c;
	rc = open_at(it, r);
	if (rc < 0) {
		dur_iter_close(it);
		return rc;
	}
	*out = it;
	return 0;
}

/* ---- Steps ---- */

static inline int step(dur_iter *it)
{
	int rc;

	if (it->placed) {
		it->placed = false;
		return 0;
	}
	if (it->reverse) {
		rc = place_cursor_prev(&it->cursor);
		it->rank--;
	} else {
		rc = place_cursor_next(&it->cursor);
		it->rank++;
	}
	return unlikely(rc == 1)
	               ? error_set(DUR_E_CORRUPT,
	                           "the counts of the tree are wrong: run `duramen check`")
	               : rc;
}

/* What only sets and lists give: a position as key, the member as value. */
static int give_other(dur_iter *it, const void *bytes, size_t len, const struct cell *cell,
                      dur_value *key, dur_value *value)
{
	int rc = 0;

	if (it->of == DUR_LIST) {
		if (key)
			*key = DUR_INT((int64_t)it->rank);
		return value ? collection_value(it->view, cell, &it->arena, value) : 0;
	}
	if (key)
		rc = collection_key_value(kind_is_raw(it->of), bytes, len, &it->arena, key);
	if (rc == 0 && value)
		rc = collection_key_value(kind_is_raw(it->of), bytes, len, &it->arena, value);
	return rc;
}

/* Of a rope: what the range has of the piece that is next, and rank goes on to the next byte. */
static int next_piece(dur_iter *it, dur_value *key, dur_value *value)
{
	uint64_t first, n, from, to;
	const uint8_t *bytes;
	struct place p;
	int rc = place_open(it->coll, &p);

	if (rc == 0)
		rc = place_piece(&p, it->rank, &first, &bytes, &n);
	if (rc < 0)
		return rc;
	if (it->reverse) {
		to = it->rank + 1;
		from = to - first < it->left ? first : to - it->left;
		it->rank = from - 1;
		it->last_position = from;
	} else {
		from = it->rank;
		to = first + n - from < it->left ? first + n : from + it->left;
		it->rank = to;
		it->last_position = to - 1;
	}
	it->resume = AFTER_LAST;
	it->last_len = 0;
	it->left -= to - from;
	if (it->limit != UINT64_MAX)
		it->limit -= to - from;
	if (key)
		*key = DUR_INT((int64_t)from);
	if (value)
		*value = DUR_BYTES(bytes + (from - first), to - from);
	return 0;
}

static int next_slow(dur_iter *it, dur_value *key, dur_value *value)
{
	int rc = iter_check(it, false);

	if (rc < 0)
		return rc;
	key_arena_reset(&it->arena);
	return it->entries->next(it->changes, &it->arena, key, value);
}

int dur_next(dur_iter *it, dur_value *key, dur_value *value)
{
	struct cell cell;
	const void *bytes;
	dur_view *v;
	size_t len;
	int rc;

	if (unlikely(!it || !it->open || it->kind || it->stamp != it->view->stamp ||
	             it->view->generation != registry_generation))
		return next_slow(it, key, value);
	v = it->view;
	if (unlikely(it->writes != v->writes)) {
		rc = place_again(it);
		if (rc < 0)
			return rc;
	}
	if (it->left == 0)
		return DUR_NONE;
	if (unlikely(it->of == DUR_ROPE))
		return next_piece(it, key, value);
	rc = step(it);
	if (unlikely(rc < 0))
		return rc;
	if (unlikely(it->arena.chunks != NULL))
		key_arena_reset(&it->arena);
	bool keep = pages_go(v), other = it->of >= DUR_SET;
	place_cursor_entry(&it->cursor, key || keep || other ? &bytes : NULL, &len,
	                   value ? &cell : NULL);
	if (keep) {
		it->last_position = it->rank;
		it->last_len = it->of == DUR_LIST ? 0 : len;
		if (it->last_len)
			memcpy(it->last, bytes, it->last_len);
	}
	it->resume = AFTER_LAST;
	it->left--;
	if (it->limit != UINT64_MAX)
		it->limit--;
	if (unlikely(other))
		return give_other(it, bytes, len, &cell, key, value);
	if (key)
		rc = collection_key_value(kind_is_raw(it->of), bytes, len, &it->arena, key);
	if (rc == 0 && value)
		rc = collection_value(v, &cell, &it->arena, value);
	return rc;
}

int dur_seek(dur_iter *it, const dur_value *key)
{
	struct element_key k;
	struct place p;
	uint64_t rank;
	bool self;
	int rc = iter_check(it, false);

	if (rc == 0 && it->entries)
		return it->entries->seek(it->changes, key);
	if (rc == 0)
		rc = collection_check(it->coll);
	if (rc == 0 && it->of == DUR_ROPE) {
		self = false;
		k.bytes = NULL;
		rc = place_open(it->coll, &p);
		if (rc == 0)
			rc = range_position(&p, key, &k.position);
	} else if (rc == 0) {
		rc = collection_look(it->coll, key, &p, &k, &self);
	}
	if (rc < 0)
		return rc;
	if (self || rc == DUR_NONE)
		return error_set(DUR_E_MISUSE, "dur_seek() needs a key of the collection");
	if (it->writes != it->view->writes) {
		rc = place_again(it);
		if (rc < 0)
			return rc;
	}
	rc = place_rank(&p, &k, &rank);
	if (rc < 0)
		return rc;
	struct selection *s = &it->range;
	uint64_t low = s->low, high = s->high;
	if (it->reverse && rank + (rc == 0) < high)
		high = rank + (rc == 0);
	if (!it->reverse && rank > low)
		low = rank;
	it->left = high > low ? high - low : 0;
	if (it->left > it->limit)
		it->left = it->limit;
	if (pages_go(it->view)) { /* should writes come before the next step */
		it->last_position = k.position;
		it->last_len = kind_is_positional(p.kind) ? 0 : k.len;
		if (it->last_len)
			memcpy(it->last, k.bytes, it->last_len);
		it->resume = AT_LAST;
	}
	return it->left ? place(it, &p, it->reverse ? high - 1 : low) : 0;
}

int dur_left(dur_iter *it, uint64_t *n)
{
	int rc = iter_check(it, false);

	if (rc == 0 && !n)
		rc = error_set(DUR_E_MISUSE, "dur_left() needs a place for the number");
	if (rc == 0 && it->entries)
		return it->entries->left(it->changes, n);
	if (rc == 0 && it->writes != it->view->writes)
		rc = place_again(it);
	if (rc == 0)
		*n = it->left;
	return rc;
}

/* ---- Changes ---- */

int iter_open_changes(dur_view *v, bool own_view, const struct change_kind *kind, void *changes,
                      dur_iter **out)
{
	dur_iter *it = iter_take(v);

	if (!it) {
		kind->end(changes);
		if (own_view)
			dur_close(v);
		return error_system(ENOMEM, "opening an iterator");
	}
	it->own_view = own_view;
	it->kind = kind;
	it->changes = changes;
	*out = it;
	return 0;
}

int iter_open_entries(dur_view *v, const struct entry_kind *kind, void *entries, dur_iter **out)
{
	int rc = iter_open_changes(v, false, &kind->frame, entries, out);

	if (rc == 0)
		(*out)->entries = kind;
	return rc;
}

int dur_next_change(dur_iter *it, dur_change *change)
{
	dur_change next = { 0 };
	int rc = iter_check(it, true);

	if (rc == 0 && !change)
		rc = error_set(DUR_E_MISUSE, "dur_next_change() needs a place for the change");
	if (rc == 0)
		rc = it->kind->next(it->changes, &next);
	if (rc == 0)
		*change = next;
	return rc;
}
