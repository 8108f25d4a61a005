/* SPDX-License-Identifier: Apache-2.0 */
/* Counts, ranks, the n-th entry, and clearing a range. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/range.h"

int dur_count(dur_coll c, const dur_range *r, uint64_t *n)
{
	struct selection s;
	int rc = collection_check(c);

	if (rc == 0 && !n)
		rc = error_set(DUR_E_MISUSE, "dur_count() needs a place for the number");
	if (rc == 0)
		rc = range_select(c, r, &s);
	if (rc == 0)
		*n = s.end - s.first;
	return rc;
}

int dur_rank(dur_coll c, const dur_value *key, uint64_t *rank)
{
	struct element_key k;
	bool self;
	int rc = collection_check(c);

	if (rc == 0 && !rank)
		rc = error_set(DUR_E_MISUSE, "dur_rank() needs a place for the number");
	if (rc == 0)
		rc = collection_key(c, key, false, &k, &self);
	if (rc == DUR_NONE || (rc == 0 && self))
		rc = error_set(DUR_E_MISUSE, "dur_rank() needs a key of the collection");
	return rc < 0 ? rc : tree_rank(&c.view->pager, c.view->catalog, k.bytes, k.len, rank);
}

/* The view's cursor for dur_nth(): keys are assembled in it. */
static int nth_cursor(dur_view *v, struct cursor **cursor)
{
	if (!v->nth && !(v->nth = malloc(sizeof **cursor)))
		return error_system(ENOMEM, "looking up an entry by its number");
	*cursor = v->nth;
	cursor_open(*cursor, &v->pager, v->catalog);
	return 0;
}

int dur_nth(dur_coll c, int64_t n, dur_value *key, dur_value *value)
{
	struct cursor *cursor = NULL;
	struct cell cell;
	const void *bytes;
	uint64_t count;
	size_t len;
	int rc = collection_check(c);

	if (rc < 0)
		return rc;
	collection_reclaim(c.view);
	count = c.view->catalog->count;
	if (n < 0 ? (uint64_t) - (n + 1) >= count : (uint64_t)n >= count)
		return DUR_NONE;
	rc = nth_cursor(c.view, &cursor);
	if (rc == 0)
		rc = cursor_nth(cursor, n < 0 ? count - 1 - (uint64_t) - (n + 1) : (uint64_t)n);
	if (rc != 0)
		return rc < 0 ? rc
		              : error_set(DUR_E_CORRUPT, "the counts of the tree are wrong: run "
		                                         "`duramen check`");
	cursor_entry(cursor, &bytes, &len, &cell);
	if (key)
		rc = collection_key_value(c.view, bytes, len, &c.view->arena, key);
	if (rc == 0 && value)
		rc = collection_value(c.view, &cell, &c.view->arena, value);
	return rc;
}

/* The key at a rank as a bound; past the last: none. */
static int bound(dur_view *v, uint64_t rank, struct element_key *k, const void **key)
{
	struct cursor *cursor = NULL;
	const void *bytes;
	int rc;

	*key = NULL;
	if (rank >= v->catalog->count)
		return 0;
	rc = nth_cursor(v, &cursor);
	if (rc == 0)
		rc = cursor_nth(cursor, rank);
	if (rc != 0)
		return rc < 0 ? rc
		              : error_set(DUR_E_CORRUPT, "the counts of the tree are wrong: run "
		                                         "`duramen check`");
	cursor_entry(cursor, &bytes, &k->len, NULL);
	memcpy(k->buf, bytes, k->len);
	*key = k->buf;
	return 0;
}

static int clear(dur_coll c, const dur_range *r, uint64_t *n)
{
	struct element_key from, to;
	const void *from_key, *to_key;
	struct selection s;
	int rc = range_select(c, r, &s);

	*n = 0;
	if (rc < 0 || s.first == s.end)
		return rc;
	rc = bound(c.view, s.first, &from, &from_key);
	if (rc == 0)
		rc = bound(c.view, s.end, &to, &to_key);
	if (rc < 0)
		return rc;
	return tree_clear(&c.view->txn->dirty, c.view->catalog, s.first ? from_key : NULL, from.len,
	                  to_key, to_key ? to.len : 0, n);
}

int dur_clear(dur_coll c, const dur_range *r, uint64_t *n)
{
	uint64_t gone;
	int rc = collection_begin_write(c);

	if (rc < 0)
		return rc;
	rc = collection_end_write(c, clear(c, r, &gone));
	if (rc == 0 && n)
		*n = gone;
	return rc;
}
