/* SPDX-License-Identifier: Apache-2.0 */
#include "model/changes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/utf8.h"
#include "model/kept.h"
#include "model/path.h"

/* ---- Paths ---- */

static int path_room(struct change_path *path, size_t need)
{
	char *grown;

	if (need <= path->cap)
		return 0;
	need = need < 128 ? 128 : need + need / 2;
	grown = realloc(path->text, need);
	if (!grown)
		return error_system(ENOMEM, "writing the path of a change");
	path->text = grown;
	path->cap = need;
	return 0;
}

static int path_begin(struct change_path *path, const struct where *where)
{
	size_t len = where ? where->len : 0;
	int rc = path_room(path, len + 1);

	if (rc < 0)
		return rc;
	if (len)
		memcpy(path->text, where->text, len);
	path->text[len] = '\0';
	path->len = len;
	return 0;
}

/* A raw key that is text is written as text: as a step it means the same bytes. */
static int path_add_key(struct change_path *path, const struct nest_step *step)
{
	enum { GUESS = 64 };
	struct key_arena scratch = { 0 };
	bool raw = kind_is_raw(step->kind);
	dur_value value;
	size_t need = 0;
	int rc = collection_key_value(raw, step->key, step->len, &scratch, &value);

	if (rc == 0 && raw && utf8_valid(step->key, step->len) == step->len)
		value.type = DUR_STR;
	if (rc == 0)
		rc = path_room(path, path->len + GUESS);
	if (rc == 0)
		rc = path_format_key(&value, path->text + path->len + 1, path->cap - path->len - 2,
		                     &need);
	if (rc == -ENOSPC) {
		rc = path_room(path, path->len + need + 2);
		if (rc == 0)
			rc = path_format_key(&value, path->text + path->len + 1,
			                     path->cap - path->len - 2, &need);
	}
	key_arena_free(&scratch);
	if (rc < 0)
		return rc;
	path->text[path->len] = '/';
	path->len += need + 1;
	path->text[path->len] = '\0';
	return 0;
}

static int path_add(struct change_path *path, const struct nest_step *step)
{
	enum { POSITION = 24 };
	int rc;

	if (step->key)
		return path_add_key(path, step);
	rc = path_room(path, path->len + POSITION);
	if (rc == 0)
		path->len += (size_t)snprintf(path->text + path->len, POSITION, "/%" PRIu64,
		                              step->at);
	return rc;
}

/* ---- Opening ---- */

void changes_source(struct nest_source *source, const struct place *p, const struct pager *pager)
{
	*source = (struct nest_source){ .pager = pager };
	if (!p)
		return;
	source->kind = p->kind;
	if (p->tree) {
		source->tree = *p->tree;
	} else {
		source->cell = p->cell.bytes;
		source->len = p->cell.len;
	}
}

static int open_sources(struct changes *c, const struct place *old, const struct place *now,
                        const struct tree_bounds *bounds, bool again)
{
	struct nest_source a, b;
	dur_view *any = now ? now->view : old->view;

	c->view[DIFF_OLD] = old ? old->view : NULL;
	c->view[DIFF_NOW] = now ? now->view : NULL;
	c->whole = false;
	changes_source(&a, old, &(old ? old->view : any)->pager);
	changes_source(&b, now, &any->pager);
	return again ? nest_diff_again(&c->diff, &a, &b)
	             : nest_diff_open(&c->diff, &a, &b, bounds);
}

int changes_open(struct changes *c, const struct place *old, const struct place *now,
                 const struct tree_bounds *bounds)
{
	c->where = NULL;
	return open_sources(c, old, now, bounds, false);
}

int changes_again(struct changes *c, const struct place *old, const struct place *now)
{
	return open_sources(c, old, now, NULL, true);
}

int changes_open_at(struct changes *c, dur_view *old, dur_view *now, const struct where *where,
                    const struct tree_bounds *bounds)
{
	struct place a, b;
	int x = where_place(where, old, &c->stands[DIFF_OLD], &a);
	int y = x < 0 ? x : where_place(where, now, &c->stands[DIFF_NOW], &b);

	c->where = where;
	if (x < 0 || y < 0)
		return x < 0 ? x : y;
	if (x == 0 && y == 0 && a.kind == b.kind && a.kind != DUR_ROPE)
		return open_sources(c, &a, &b, bounds, false);
	c->view[DIFF_OLD] = old;
	c->view[DIFF_NOW] = now;
	c->whole = true;
	c->told = false;
	return 0;
}

/* ---- Steps ---- */

/* What stands at the path, if it is not the same. 0, or 1. */
static int whole_step(struct changes *c, struct nest_change *step)
{
	int r;

	if (c->told)
		return 1;
	c->told = true;
	*step = (struct nest_change){ .old = c->stands[DIFF_OLD].cell,
		                        .now = c->stands[DIFF_NOW].cell };
	if (!step->old.bytes || !step->now.bytes)
		return step->old.bytes == step->now.bytes;
	r = tree_cells_differ(&c->view[DIFF_OLD]->pager, &step->old, &c->view[DIFF_NOW]->pager,
	                      &step->now, NULL);
	return r < 0 ? r : r == 0;
}

int changes_step(struct changes *c, struct nest_change *step)
{
	int rc;

	if (c->whole)
		return whole_step(c, step);
	rc = nest_diff_next(&c->diff, step);
	for (unsigned i = 0; i < 2; i++)
		if (c->view[i])
			c->view[i]->pages_read += nest_diff_pages(&c->diff, i);
	return rc;
}

/* A cell as a value. A collection's handle is to last as long as its view. */
static int value_of(struct changes *c, dur_view *v, const struct cell *cell, bool copy,
                    dur_value *value)
{
	struct cell lasting = *cell;

	if (copy && nest_is_collection(cell->bytes)) {
		lasting.bytes = kept_cell(v, cell->bytes, cell->len);
		if (!lasting.bytes)
			return -ENOMEM;
	}
	return collection_value(v, &lasting, &c->arena, value);
}

/* Of a set the member itself, as dur_get() gives it: the last step of the path. */
static int member_of(struct changes *c, const struct nest_step *place, uint32_t within,
                     dur_value *value)
{
	if (!c->whole)
		return collection_key_value(kind_is_raw(place->kind), place->key, place->len, &c->arena,
		                            value);
	*value = c->where->steps[c->where->n - 1];
	if (kind_is_raw(within))
		value->type = DUR_BYTES;
	return 0;
}

/* The value of one side. */
static int side_of(struct changes *c, unsigned side, const struct nest_change *step,
                   const struct nest_step *place, dur_value *value)
{
	const struct cell *cell = side == DIFF_OLD ? &step->old : &step->now;
	uint32_t within = c->whole ? c->stands[side].within : place->kind;

	if (!cell->bytes)
		return 0;
	if (kind_is_set(within))
		return member_of(c, place, within, value);
	return value_of(c, c->view[side], cell, step->copies, value);
}

int changes_row(struct changes *c, const struct nest_change *step, dur_change *row)
{
	struct nest_step place = { 0 };
	int rc = path_begin(&c->path, c->where);

	for (uint32_t i = 0; rc == 0 && !c->whole && i < nest_diff_steps(&c->diff); i++) {
		nest_diff_step(&c->diff, i, &place);
		rc = path_add(&c->path, &place);
	}
	if (rc < 0)
		return rc;
	key_arena_reset(&c->arena);
	row->kind = !step->old.bytes ? DUR_ADDED : !step->now.bytes ? DUR_REMOVED : DUR_CHANGED;
	row->path = DUR_STRN(c->path.text, c->path.len);
	row->path.type = DUR_PATH;
	rc = side_of(c, DIFF_OLD, step, &place, &row->old);
	return rc == 0 ? side_of(c, DIFF_NOW, step, &place, &row->now) : rc;
}

void changes_end(struct changes *c)
{
	nest_diff_free(&c->diff);
	free(c->path.text);
	key_arena_free(&c->arena);
}
