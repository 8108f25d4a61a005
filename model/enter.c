/* SPDX-License-Identifier: Apache-2.0 */
/* Handles to collections within others: dur_enter(), dur_make(), dur_leave(). */
#include "model/collection.h"
#include "model/write.h"

static int not_one(const struct cell *cell)
{
	return error_set(DUR_E_TYPE, "no collection is there, but a value of type %u",
	                 cell->bytes[0] & NEST_KIND);
}

/* In a snapshot, or within a value that a transaction has lent: the place of the cell. */
static int enter_cell(dur_coll c, const dur_value *key, dur_coll *out)
{
	struct place p;
	struct cell cell;
	bool self;
	int rc = collection_find(c, key, &p, &cell, &self);

	if (rc != 0)
		return rc;
	if (self) {
		*out = c;
		return 0;
	}
	if (kind_is_set(p.kind) || !(nest_is_collection(cell.bytes) || cell_is_text(&cell)))
		return not_one(&cell);
	return place_handle(c.view, &cell, out);
}

static int enter_row(dur_coll c, const dur_value *key, dur_coll *out)
{
	struct element_key k;
	struct place p;
	struct row *row;
	struct cell cell;
	bool self;
	int rc = collection_find(c, key, &p, &cell, &self);

	if (rc == 0 && !self && !kind_is_set(p.kind) && cell_is_text(&cell))
		return place_handle(c.view, &cell, out); /* to be read, until the next write */
	if (rc == 0 && !self && (kind_is_set(p.kind) || !nest_is_collection(cell.bytes)))
		return not_one(&cell);
	if (rc == 0)
		rc = collection_reach(c, key, false, &row, &k, &self);
	if (rc == 0 && !self)
		rc = row_child(c.view, row, &k, &row);
	if (rc == 0)
		*out = row_handle(c.view, row);
	return rc;
}

int dur_enter(dur_coll c, const dur_value *key, dur_coll *out)
{
	int rc = collection_check(c);

	if (rc == 0 && !out)
		return error_set(DUR_E_MISUSE, "dur_enter() needs a place for the collection");
	if (out)
		*out = (dur_coll){ 0 };
	if (rc < 0)
		return rc;
	if (c.view->kind == VIEW_TXN && c.stamp == c.view->stamp)
		return enter_row(c, key, out);
	return enter_cell(c, key, out);
}

static int make(dur_coll c, const dur_value *key, uint32_t kind, dur_coll *out)
{
	struct element_key k;
	struct row *row;
	struct place p;
	struct cell cell;
	uint8_t empty[2];
	bool self;
	int rc = collection_reach(c, key, true, &row, &k, &self);

	if (rc == 0 && !self) {
		row_place(c.view, row, &p);
		rc = element_check_position(c.view, row, &k);
		if (rc == 0)
			rc = place_get(&p, &k, &cell);
		if (rc == 0 && !kind_is_set(row->kind) && !nest_is_collection(cell.bytes))
			return not_one(&cell);
		if (rc >= 0 && kind_is_set(row->kind))
			return error_set(DUR_E_TYPE, "a set holds no collections");
		if (rc == 1)
			rc = write_put(c.view, row, &k, empty, small_empty(kind, empty));
		if (rc == 0)
			rc = row_child(c.view, row, &k, &row);
	}
	if (rc == 0 && row->kind != kind)
		return error_set(DUR_E_TYPE, "%s is there, not %s", kind_name(row->kind),
		                 kind_name(kind));
	if (rc == 0)
		*out = row_handle(c.view, row);
	return rc;
}

int dur_make(dur_coll c, const dur_value *key, uint32_t kind, dur_coll *out)
{
	dur_coll made = { 0 };
	int rc;

	if (out)
		*out = made;
	rc = collection_begin_write(c);
	if (rc < 0)
		return rc;
	if (!kind_can_be_made(kind))
		rc = error_set(DUR_E_TYPE, "this version cannot make a collection of kind %u", kind);
	if (rc == 0)
		rc = make(c, key, kind, &made);
	rc = collection_end_write(c, rc);
	if (rc == 0 && out)
		*out = made;
	else if (rc == 0)
		dur_leave(made);
	return rc;
}

void dur_leave(dur_coll c)
{
	struct row *row;

	if (!c.view || !c.kind || c.at == 0 || c.view->generation != registry_generation ||
	    c.view->stamp != c.stamp || !rows_used(c.view))
		return;
	row = row_by_number(c);
	if (row)
		row_leave(c.view, row);
}
