/* SPDX-License-Identifier: Apache-2.0 */
#include "model/where.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/utf8.h"
#include "model/path.h"

/* ---- The path ---- */

/* One more step of the text. */
static int add_text(struct where *w, const dur_value *step)
{
	size_t cap = 64, need;
	char *grown;
	int rc;

	do {
		grown = realloc(w->text, w->len + cap + 2);
		if (!grown)
			return error_system(ENOMEM, "following a path");
		w->text = grown;
		rc = path_format_key(step, w->text + w->len + 1, cap, &need);
		cap = need;
	} while (rc == -ENOSPC);
	if (rc < 0)
		return rc;
	w->text[w->len] = '/';
	w->len += need + 1;
	w->text[w->len] = '\0';
	return 0;
}

/* All steps of the text, which does not move any more. */
static int take_steps(struct where *w)
{
	const dur_value text = { .type = DUR_PATH, .len = w->len, .str = w->text };
	struct path path;
	dur_value step;
	int rc = path_open(&path, &text);

	while (rc == 0 && (rc = path_next(&path, &w->arena, &step)) == 0)
		w->n++;
	if (rc < 0 || w->n == 0)
		return rc < 0 ? rc : 0;
	w->steps = key_arena_take(&w->arena, w->n * sizeof *w->steps);
	if (!w->steps)
		return -ENOMEM;
	rc = path_open(&path, &text);
	for (uint32_t i = 0; rc == 0 && i < w->n; i++)
		rc = path_next(&path, &w->arena, &w->steps[i]);
	return rc;
}

/* The catalog's raw keys that are text are told as text: as a step it means the same bytes. */
static dur_value own_step(const struct where *w, const dur_value *step, bool raw)
{
	dur_value own = *step;

	if (raw && w->len == 0 && own.type == DUR_BYTES && own.ptr &&
	    utf8_valid(own.ptr, own.len) == own.len)
		own.type = DUR_STR;
	return own;
}

/* Each step in the one text that it has. */
static int take_text(struct where *w, const dur_value *path, bool raw)
{
	struct key_arena scratch = { 0 };
	struct path from;
	dur_value step;
	int rc = path_open(&from, path);

	while (rc == 0 && (rc = path_next(&from, &scratch, &step)) == 0) {
		step = own_step(w, &step, raw);
		rc = add_text(w, &step);
	}
	key_arena_free(&scratch);
	return rc < 0 ? rc : 0;
}

int where_open(struct where *w, const dur_value *path, bool raw)
{
	int rc = 0;

	*w = (struct where){ .text = calloc(1, 1) };
	if (!w->text)
		return error_system(ENOMEM, "following a path");
	if (path && path->type == DUR_PATH) {
		rc = take_text(w, path, raw);
	} else if (path) {
		const dur_value *steps = path->type == DUR_STEPS ? path->items : path;
		uint64_t n = path->type == DUR_STEPS ? path->len : 1;
		if (n && !steps)
			return error_set(DUR_E_MISUSE, "DUR_STEPS without steps");
		for (uint64_t i = 0; rc == 0 && i < n; i++) {
			dur_value step = own_step(w, &steps[i], raw);
			rc = add_text(w, &step);
		}
	}
	return rc == 0 ? take_steps(w) : rc;
}

void where_free(struct where *w)
{
	free(w->text);
	key_arena_free(&w->arena);
	*w = (struct where){ 0 };
}

/* ---- Looking ---- */

/* One step in the collection at p. *since: of the pages that it took, or as it was. */
static int step(const struct place *p, const dur_value *key, struct cell *cell, uint64_t *since)
{
	struct element_key k;
	struct tree_place leaf;
	int rc = place_key(p, key, &k);

	if (rc == DUR_E_TYPE || rc == DUR_E_RANGE || rc == DUR_E_LIMIT || rc == DUR_E_PATH)
		return 1; /* nothing can be there in a collection of this kind */
	if (rc < 0)
		return rc;
	if (!p->tree)
		return place_get(p, &k, cell);
	if (!kind_is_keyed(p->kind)) { /* positions shift: the list as a whole speaks */
		*since = p->tree->root.birth;
		return place_get(p, &k, cell);
	}
	const struct tree_key one = { k.bytes, k.len };
	rc = tree_since(&p->view->pager, p->tree, &one, &one, since, &leaf, cell);
	if (rc >= 0 && *since == UINT64_MAX)
		*since = p->tree->root.birth;
	return rc;
}

/* within: the kind of the collection that the cell is in. */
static int find(const struct where *w, dur_view *v, struct cell *cell, uint64_t *since,
                uint32_t *within)
{
	uint64_t placed = 0, pages = 0;
	struct place p;
	int rc = place_open(dur_root(v), &p);

	*cell = (struct cell){ 0 };
	for (uint32_t i = 0; rc == 0 && i < w->n; i++) {
		if (i) {
			if (!nest_is_collection(cell->bytes)) {
				rc = 1;
				break;
			}
			place_of_cell(v, cell, &p);
			if (p.tree) {
				uint64_t put = get_u64(cell->bytes + NEST_PLACED_AT);
				placed = put > placed ? put : placed;
			}
		}
		rc = step(&p, &w->steps[i], cell, &pages);
	}
	if (since)
		*since = placed > pages ? placed : pages;
	if (rc != 0)
		*cell = (struct cell){ 0 };
	*within = p.kind;
	return rc;
}

int where_find(const struct where *w, dur_view *v, struct cell *cell, uint64_t *since)
{
	uint32_t within;

	return find(w, v, cell, since, &within);
}

int where_place(const struct where *w, dur_view *v, struct where_end *end, struct place *p)
{
	int rc;

	*end = (struct where_end){ .within = 0 };
	if (w->n == 0)
		return place_open(dur_root(v), p);
	rc = find(w, v, &end->cell, NULL, &end->within);
	if (rc != 0)
		return rc;
	if (kind_is_set(end->within) || !nest_is_collection(end->cell.bytes))
		return 1;
	place_of_cell(v, &end->cell, p);
	return 0;
}
