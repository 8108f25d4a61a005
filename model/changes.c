/* SPDX-License-Identifier: Apache-2.0 */
#include "model/changes.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/utf8.h"
#include "model/path.h"

/* ---- Paths ---- */

static int path_room(struct change_path *path, size_t need)
{
	char *grown;

	if (need <= path->cap)
		return 0;
	grown = realloc(path->text, need);
	if (!grown)
		return error_system(ENOMEM, "writing the path of a change");
	path->text = grown;
	path->cap = need;
	return 0;
}

int change_path_set(struct change_path *path, const dur_view *v, const void *key, size_t len)
{
	struct key_arena scratch = { 0 };
	dur_value value;
	size_t need = 0;
	int rc = collection_key_value(v->raw, key, len, &scratch, &value);

	if (rc == 0 && v->raw && utf8_valid(key, len) == len)
		value.type = DUR_STR;
	if (rc == 0)
		rc = path_room(path, 64);
	if (rc == 0)
		rc = path_format_key(&value, path->text + 1, path->cap - 2, &need);
	if (rc == -ENOSPC) {
		rc = path_room(path, need + 2);
		if (rc == 0)
			rc = path_format_key(&value, path->text + 1, path->cap - 2, &need);
	}
	key_arena_free(&scratch);
	if (rc < 0)
		return rc;
	path->text[0] = '/';
	path->len = need + 1;
	path->text[path->len] = '\0';
	return 0;
}

void change_path_free(struct change_path *path)
{
	free(path->text);
	*path = (struct change_path){ 0 };
}

/* ---- Rows ---- */

int changes_open(struct changes *c, dur_view *old, dur_view *now, const struct tree_bounds *bounds)
{
	static const struct tree empty;
	dur_view *any = now ? now : old;

	c->view[DIFF_OLD] = old;
	c->view[DIFF_NOW] = now;
	return tree_diff_open(&c->diff, old ? &old->pager : &any->pager,
	                      old ? old->catalog : &empty, now ? &now->pager : &any->pager,
	                      now ? now->catalog : &empty, bounds);
}

int changes_step(struct changes *c, struct tree_change *step)
{
	int rc = tree_diff_next(&c->diff, step);

	for (int i = 0; i < 2; i++)
		if (c->view[i]) {
			c->view[i]->pages_read += c->diff.side[i].pages_read;
			c->diff.side[i].pages_read = 0;
		}
	return rc;
}

int changes_row(struct changes *c, const struct tree_change *step, dur_change *row)
{
	dur_view *old = c->view[DIFF_OLD], *now = c->view[DIFF_NOW];
	int rc = change_path_set(&c->path, now ? now : old, step->key, step->len);

	if (rc < 0)
		return rc;
	key_arena_reset(&c->arena);
	row->kind = !step->old.bytes ? DUR_ADDED : !step->now.bytes ? DUR_REMOVED : DUR_CHANGED;
	row->path = DUR_STRN(c->path.text, c->path.len);
	row->path.type = DUR_PATH;
	if (step->old.bytes)
		rc = collection_value(old, &step->old, &c->arena, &row->old);
	if (rc == 0 && step->now.bytes)
		rc = collection_value(now, &step->now, &c->arena, &row->now);
	return rc;
}

void changes_end(struct changes *c)
{
	change_path_free(&c->path);
	key_arena_free(&c->arena);
}
