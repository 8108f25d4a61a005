/* SPDX-License-Identifier: Apache-2.0 */
/* Counts, ranks, the n-th entry, and clearing a range. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/range.h"
#include "model/write.h"

int dur_count(dur_coll c, const dur_range *r, uint64_t *n)
{
	struct selection s;
	struct place p;
	int rc = collection_check(c);

	if (rc == 0 && !n)
		rc = error_set(DUR_E_MISUSE, "dur_count() needs a place for the number");
	if (rc == 0)
		rc = place_open(c, &p);
	if (rc == 0)
		rc = range_select(&p, r, &s);
	if (rc == 0)
		*n = s.end - s.first;
	return rc;
}

int dur_rank(dur_coll c, const dur_value *key, uint64_t *rank)
{
	struct element_key k;
	struct place p;
	bool self;
	int rc = collection_check(c);

	if (rc == 0 && !rank)
		rc = error_set(DUR_E_MISUSE, "dur_rank() needs a place for the number");
	if (rc == 0)
		rc = collection_look(c, key, &p, &k, &self);
	if (rc == DUR_NONE || (rc == 0 && self))
		rc = error_set(DUR_E_MISUSE, "dur_rank() needs a key of the collection");
	return rc < 0 ? rc : place_rank(&p, &k, rank);
}

/* The view's cursor for dur_nth(): keys are assembled in it. */
static int nth_cursor(const struct place *p, struct place_cursor **cursor)
{
	dur_view *v = p->view;

	if (!v->nth && !(v->nth = malloc(sizeof **cursor)))
		return error_system(ENOMEM, "looking up an entry by its number");
	*cursor = v->nth;
	place_cursor_open(*cursor, p);
	return 0;
}

/* Of a rope: the piece from the n-th byte on. */
static int nth_piece(const struct place *p, int64_t n, dur_value *key, dur_value *value)
{
	const uint8_t *bytes;
	uint64_t first, len;
	int rc = place_piece(p, (uint64_t)n, &first, &bytes, &len);

	if (rc == 0 && key)
		*key = DUR_INT(n);
	if (rc == 0 && value)
		*value = DUR_BYTES(bytes + ((uint64_t)n - first), len - ((uint64_t)n - first));
	return rc;
}

int dur_nth(dur_coll c, int64_t n, dur_value *key, dur_value *value)
{
	struct place_cursor *cursor = NULL;
	struct place p;
	struct cell cell;
	const void *bytes;
	uint64_t count;
	size_t len;
	int rc = collection_check(c);

	if (rc == 0) {
		collection_reclaim(c.view);
		rc = place_open(c, &p);
	}
	if (rc < 0)
		return rc;
	count = place_count(&p);
	if (n < 0 ? (uint64_t) - (n + 1) >= count : (uint64_t)n >= count)
		return DUR_NONE;
	if (n < 0)
		n += (int64_t)count;
	if (p.kind == DUR_ROPE)
		return nth_piece(&p, n, key, value);
	rc = nth_cursor(&p, &cursor);
	if (rc == 0)
		rc = place_cursor_nth(cursor, (uint64_t)n);
	if (rc < 0)
		return rc;
	place_cursor_entry(cursor, &bytes, &len, &cell);
	if (key && p.kind == DUR_LIST)
		*key = DUR_INT(n);
	else if (key)
		rc = collection_key_value(kind_is_raw(p.kind), bytes, len, &c.view->arena, key);
	if (rc < 0 || !value)
		return rc;
	if (kind_is_set(p.kind))
		return collection_key_value(kind_is_raw(p.kind), bytes, len, &c.view->arena, value);
	return collection_value(c.view, &cell, &c.view->arena, value);
}

static int clear(dur_coll c, const dur_range *r, uint64_t *n)
{
	struct selection s;
	struct row *row;
	struct place p;
	int rc = row_of(c, &row);

	*n = 0;
	if (rc == 0)
		rc = row_find(c.view, row);
	if (rc < 0)
		return rc;
	row_place(c.view, row, &p);
	rc = range_select(&p, r, &s);
	if (rc < 0 || s.first == s.end)
		return rc;
	return write_clear(c.view, row, s.first, s.end, n);
}

int dur_clear(dur_coll c, const dur_range *r, uint64_t *n)
{
	uint64_t gone = 0;
	int rc = collection_begin_write(c);

	if (rc < 0)
		return rc;
	rc = collection_end_write(c, clear(c, r, &gone));
	if (rc == 0 && n)
		*n = gone;
	return rc;
}
