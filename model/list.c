/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists and ropes: append, insert, splice; what is of ropes alone is in rope.c. All items are made into
 * cells before the first one is put, so that a list has all of them or none, and so that items may lie
 * in the list itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/refs.h"
#include "model/batch.h"
#include "model/collection.h"
#include "model/origin.h"
#include "model/range.h"

/* ---- Items ---- */

static int batch_make(dur_view *v, struct batch *b, const dur_value *items, uint64_t n)
{
	struct made_cell m;
	int rc = batch_open(b, n);

	for (uint64_t i = 0; i < n && rc == 0; i++) {
		rc = cell_prepare(&items[i], 0, &m);
		rc = rc == 0 ? batch_put(b, i, &m) : rc < 0 ? rc : 0;
	}
	/* What takes pages. */
	for (uint64_t i = 0; i < n && rc == 0; i++) {
		if (b->cells[i].bytes)
			continue;
		rc = cell_make(v, &items[i], 0, &m);
		if (rc == 0 && (rc = batch_put(b, i, &m)) < 0)
			cell_unmake(v, &m);
	}
	if (b->cells)
		batch_done(b);
	return rc;
}

/* ---- Positions ---- */

/* The row of a list or rope, and how many items or bytes it has. */
static int seq_row(dur_coll c, struct row **row, uint64_t *count)
{
	struct place p;
	int rc;

	if (!kind_is_positional(c.kind))
		return error_set(DUR_E_TYPE, "this is %s: only lists and ropes are by position",
		                 kind_name(c.kind));
	rc = row_of(c, row);
	if (rc == 0)
		rc = row_find(c.view, *row);
	if (rc < 0)
		return rc;
	row_place(c.view, *row, &p);
	*count = place_count(&p);
	return 0;
}

static int gap_of(int64_t at, uint64_t count, uint64_t *gap)
{
	if (at >= 0 ? (uint64_t)at > count : (uint64_t) - (at + 1) >= count)
		return error_set(DUR_E_RANGE, "position %lld is beyond the end, which is at %llu",
		                 (long long)at, (unsigned long long)count);
	*gap = at >= 0 ? (uint64_t)at : count - 1 - (uint64_t) - (at + 1);
	return 0;
}

/* ---- Append, insert ---- */

/* The usual case: without a copy. */
static int insert_one(dur_coll c, struct row *row, uint64_t at, const dur_value *value)
{
	const struct element_key key = { .position = at };
	struct made_cell m;
	int rc = origin_put(c.view, row, &key, value, true);

	if (rc != DUR_NONE)
		return rc;
	rc = cell_make(c.view, value, 0, &m);
	if (rc < 0)
		return rc;
	rc = write_insert(c.view, row, at, &(struct cell){ m.bytes, (uint32_t)m.len }, 1);
	if (rc < 0)
		cell_unmake(c.view, &m);
	return rc;
}

static int insert(dur_coll c, struct row *row, uint64_t at, const dur_value *items, uint64_t n)
{
	struct batch b;
	int rc;

	if (row->kind == DUR_ROPE)
		return rope_put_pieces(c.view, row, at, items, n);
	if (n == 1)
		return insert_one(c, row, at, items);
	rc = batch_make(c.view, &b, items, n);
	if (rc == 0)
		rc = write_insert(c.view, row, at, b.cells, b.n);
	batch_close(c.view, &b, rc < 0);
	return rc;
}

static int append(dur_coll c, const dur_value *value)
{
	struct row *row;
	uint64_t count;
	int rc = value ? seq_row(c, &row, &count)
	               : error_set(DUR_E_MISUSE, "there is no value to put");

	return rc < 0 ? rc : insert(c, row, count, value, 1);
}

int dur_append(dur_coll c, const dur_value *value)
{
	int rc = collection_begin_write(c);

	return rc < 0 ? rc : collection_end_write(c, append(c, value));
}

int dur_insert(dur_coll c, int64_t at, const dur_value *items, uint64_t n)
{
	struct row *row;
	uint64_t count, gap = 0;
	int rc = collection_begin_write(c);

	if (rc < 0)
		return rc;
	rc = seq_row(c, &row, &count);
	if (rc == 0 && n && !items)
		rc = error_set(DUR_E_MISUSE, "dur_insert() needs as many items as it is told");
	if (rc == 0)
		rc = gap_of(at, count, &gap);
	if (rc == 0 && n)
		rc = insert(c, row, gap, items, n);
	return collection_end_write(c, rc);
}

/* ---- Splice ---- */

/* Of a clone, all of which is the caller's: the items that are not wanted are let go of. */
static int splice_small(dur_view *v, struct row *row, uint64_t at, const struct made_cell *m,
                        uint64_t first, uint64_t end)
{
	struct cell cells[TREE_CELL_MAX / 2];
	struct nest_entries it;
	struct nest_entry entry;
	uint64_t i = 0, n = 0;
	int rc = 0;

	nest_entries_open(&it, m->bytes, m->len);
	for (; nest_entries_next(&it, &entry) == 0 && rc == 0; i++) {
		if (i >= first && i < end)
			cells[n++] = (struct cell){ entry.cell, entry.cell_len };
		else if (entry.cell[0] & NEST_REFS)
			rc = ref_release_cell(&v->txn->dirty, entry.cell, entry.cell_len);
	}
	return rc == 0 ? write_insert(v, row, at, cells, n) : rc;
}

static int splice_tree(dur_view *v, struct row *row, uint64_t at, const struct made_cell *m,
                       uint64_t first, uint64_t end)
{
	struct nest_tree from;
	struct tree whole = { .class = CLASS_DATA }, part;
	int rc = 0;

	nest_tree_read(m->bytes, &from);
	whole.root = from.root;
	whole.depth = from.depth;
	whole.count = from.count;
	part = whole;
	if (end - first < whole.count) {
		rc = seq_slice(&v->txn->dirty, &whole, seq_kind_of(from.kind), first, end, &part);
		if (rc == 0)
			rc = ref_release_cell(&v->txn->dirty, m->bytes, m->len);
	}
	return rc == 0 ? write_insert_tree(v, row, at, &part) : rc;
}

/* From this view: a clone, which costs nothing, is cut to size. */
static int splice_shared(dur_view *v, struct row *row, uint64_t at, dur_coll src, uint64_t first,
                         uint64_t end)
{
	struct made_cell m;
	int rc = cell_make_clone(v, src, 0, &m);

	if (rc < 0)
		return rc;
	rc = nest_is_tree(m.bytes) ? splice_tree(v, row, at, &m, first, end)
	                           : splice_small(v, row, at, &m, first, end);
	if (rc < 0 && !v->txn->dirty.failed)
		v->txn->dirty.failed = rc; /* what part of it hangs where is not known any more */
	return rc;
}

/* From another view: copied, some hundred items at a time. */
static int splice_copied(dur_view *v, struct row *row, uint64_t at, const struct place *src,
                         uint64_t first, uint64_t end)
{
	enum { STEP = 256 };
	struct place_cursor c;
	struct made_cell m;
	struct cell cell;
	int rc;

	place_cursor_open(&c, src);
	rc = place_cursor_nth(&c, first);
	for (uint64_t i = first; i < end && rc == 0;) {
		struct batch b;
		uint64_t n = end - i < STEP ? end - i : STEP;
		rc = batch_open(&b, n);
		for (uint64_t k = 0; k < n && rc == 0; k++) {
			if (src->view->pager.unpack) /* reading what cells name takes its pages' place */
				rc = place_cursor_nth(&c, i + k);
			if (rc < 0)
				break;
			place_cursor_entry(&c, NULL, NULL, &cell);
			memcpy(m.bytes, cell.bytes, m.len = cell.len);
			rc = cell_copy(v, src->view, &m);
			if (rc == 0)
				rc = batch_put(&b, k, &m);
			if (rc == 0 && i + k + 1 < end)
				rc = place_cursor_next(&c);
		}
		if (b.cells)
			batch_done(&b);
		if (rc == 0)
			rc = write_insert(v, row, at, b.cells, n);
		batch_close(v, &b, rc < 0);
		i += n;
		at += n;
	}
	if (rc < 0 && !v->txn->dirty.failed)
		v->txn->dirty.failed = rc;
	return rc == 1 ? error_set(DUR_E_CORRUPT,
	                           "the counts of the tree are wrong: run `duramen check`")
	               : rc;
}

static int splice(dur_coll c, int64_t at, dur_coll src, const dur_range *range)
{
	struct selection s;
	struct place p;
	struct row *row;
	uint64_t count, gap = 0;
	int rc = seq_row(c, &row, &count);

	if (rc == 0)
		rc = gap_of(at, count, &gap);
	if (rc == 0)
		rc = collection_check(src);
	if (rc == 0 && src.kind != c.kind)
		rc = error_set(DUR_E_TYPE, "%s cannot be spliced into %s", kind_name(src.kind),
		               kind_name(c.kind));
	if (rc == 0)
		rc = place_open(src, &p);
	if (rc == 0)
		rc = range_select(&p, range, &s);
	if (rc == 0 && s.reverse)
		rc = error_set(DUR_E_MISUSE, "dur_splice() copies in order: DUR_REVERSE does not go "
		                             "with it");
	if (rc < 0 || s.first == s.end)
		return rc;
	if (c.kind == DUR_ROPE && !(p.tree && src.view == c.view && s.end - s.first > PAGE_SIZE))
		return rope_splice(c.view, row, gap, &p, s.first, s.end);
	if (src.view != c.view)
		return splice_copied(c.view, row, gap, &p, s.first, s.end);
	return splice_shared(c.view, row, gap, src, s.first, s.end);
}

int dur_splice(dur_coll c, int64_t at, dur_coll src, const dur_range *range)
{
	int rc = collection_begin_write(c);

	return rc < 0 ? rc : collection_end_write(c, splice(c, at, src, range));
}
