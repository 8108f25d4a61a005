/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a cell holds what a value says: type, tag and content; of collections the kind and all
 * entries in order, whether they are embedded or trees, on either side.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/run.h"
#include "engine/tree_diff.h"
#include "engine/value.h"
#include "model/collection.h"
#include "model/write.h"

/* 0: the cell holds exactly this scalar; DUR_NONE: another one. */
static int same_scalar(dur_view *v, const struct cell *cell, const dur_value *expected)
{
	uint8_t bytes[TREE_CELL_MAX], head[VALUE_HEAD_MAX];
	const void *payload, *stored;
	struct value_run run;
	uint64_t payload_len;
	size_t len;
	int rc;

	if (nest_is_collection(cell->bytes) || !value_is_run(cell->bytes, cell->len)) {
		rc = value_encode(expected, bytes, sizeof bytes, &len);
		if (rc == -ENOSPC)
			return DUR_NONE;
		return rc < 0 ? rc : len != cell->len || memcmp(bytes, cell->bytes, len) != 0;
	}
	rc = value_encode(expected, bytes, 0, &len);
	if (rc < 0 && rc != -ENOSPC)
		return rc;
	if (value_cell_bound(expected) <= VALUE_SMALL)
		return DUR_NONE;
	rc = value_head(expected, &v->arena, head, &len, &payload, &payload_len);
	if (rc == DUR_E_TYPE)
		return DUR_NONE;
	if (rc == 0)
		rc = value_run(cell->bytes, cell->len, &run);
	if (rc < 0)
		return rc;
	if (run.bytes != payload_len || (head[0] | VALUE_IN_RUN) != cell->bytes[0] ||
	    memcmp(head + 1, cell->bytes + 1, len - 1) != 0)
		return DUR_NONE;
	rc = run_read(v->pager.file, (struct page_ptr){ run.page, run.birth }, run.bytes, &stored);
	return rc < 0 ? rc : memcmp(stored, payload, payload_len) != 0;
}

/* ---- Collections ---- */

static int ropes_same(const struct place *a, const struct place *b)
{
	const struct place *of[2] = { a, b };
	uint64_t count = place_count(a), at = 0;

	while (at < count) {
		const uint8_t *bytes[2];
		uint64_t first, n[2];
		for (int i = 0; i < 2; i++) {
			int rc = place_piece(of[i], at, &first, &bytes[i], &n[i]);
			if (rc < 0)
				return rc;
			bytes[i] += at - first;
			n[i] -= at - first;
		}
		uint64_t both = n[0] < n[1] ? n[0] : n[1];
		if (memcmp(bytes[0], bytes[1], both) != 0)
			return DUR_NONE;
		at += both;
	}
	return 0;
}

struct pair {
	struct pair *outer;
	uint32_t kind;
	uint64_t left;
	bool begun;
	struct nest_way way;            /* of the first side: both would have to go round */
	struct place_cursor side[2];
};

static int pair_open(const struct place *a, const struct place *b, struct pair **top)
{
	struct pair *pair;
	int rc = 0;

	if (a->kind != b->kind || place_count(a) != place_count(b))
		return DUR_NONE;
	if (place_count(a) == 0)
		return 0;
	if (a->kind == DUR_ROPE)
		return ropes_same(a, b);
	pair = malloc(sizeof *pair);
	if (!pair)
		return error_system(ENOMEM, "comparing collections");
	pair->outer = *top;
	pair->kind = a->kind;
	pair->left = place_count(a);
	pair->begun = false;
	pair->way = *top ? (*top)->way : (struct nest_way){ 0 };
	if (a->tree)
		rc = nest_way_enter(&pair->way, a->tree->root);
	place_cursor_open(&pair->side[0], a);
	place_cursor_open(&pair->side[1], b);
	*top = pair;
	return rc;
}

static int pair_step(struct pair *pair)
{
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++)
		rc = pair->begun ? place_cursor_next(&pair->side[i])
		                 : place_cursor_nth(&pair->side[i], 0);
	pair->begun = true;
	return rc == 1 ? error_set(DUR_E_CORRUPT,
	                           "the counts of the tree are wrong: run `duramen check`")
	               : rc;
}

/* The next entry of the innermost pair, or its end. */
static int pair_next(dur_view *const v[2], struct pair **top)
{
	struct pair *pair = *top;
	const void *key[2] = { NULL, NULL };
	size_t len[2] = { 0, 0 };
	struct cell cell[2];
	struct place p[2];
	int rc;

	if (pair->left-- == 0) {
		*top = pair->outer;
		free(pair);
		return 0;
	}
	rc = pair_step(pair);
	if (rc < 0)
		return rc;
	for (int i = 0; i < 2; i++)
		place_cursor_entry(&pair->side[i], &key[i], &len[i], &cell[i]);
	if (pair->kind != DUR_LIST && (len[0] != len[1] || memcmp(key[0], key[1], len[0]) != 0))
		return DUR_NONE;
	if (cell[0].len == cell[1].len && !(cell[0].bytes[0] & NEST_REFS))
		if (memcmp(cell[0].bytes, cell[1].bytes, cell[0].len) == 0)
			return 0;
	if (!nest_is_collection(cell[0].bytes) || !nest_is_collection(cell[1].bytes))
		return tree_cells_differ(&v[0]->pager, &cell[0], &v[1]->pager, &cell[1], NULL);
	place_of_cell(v[0], &cell[0], &p[0]);
	place_of_cell(v[1], &cell[1], &p[1]);
	return pair_open(&p[0], &p[1], top);
}

static int same_collection(const struct place *a, const struct place *b)
{
	dur_view *const v[2] = { a->view, b->view };
	struct pair *top = NULL;
	int rc = pair_open(a, b, &top);

	while (rc == 0 && top)
		rc = pair_next(v, &top);
	while (top) {
		struct pair *outer = top->outer;
		free(top);
		top = outer;
	}
	return rc;
}

/* A literal is built for the comparison, and let go. */
static int same_literal(dur_view *v, const struct place *mine, const dur_value *expected)
{
	struct made_cell m;
	struct place p;
	int rc = cell_make_literal(v, expected, 0, &m);

	if (rc < 0)
		return rc;
	place_of_cell(v, &(struct cell){ m.bytes, (uint32_t)m.len }, &p);
	rc = same_collection(mine, &p);
	cell_unmake(v, &m);
	return rc;
}

int cell_same(dur_view *v, const struct cell *cell, const dur_value *expected)
{
	struct place mine, other;
	int rc;

	if (expected->type < DUR_MAP || expected->type == DUR_PATH || expected->type == DUR_STEPS)
		return same_scalar(v, cell, expected);
	if (!(expected->type & DUR_LITERAL)) {
		rc = collection_check(expected->coll);
		if (rc == 0)
			rc = place_open(expected->coll, &other);
		if (rc < 0)
			return rc;
	}
	if (!nest_is_collection(cell->bytes))
		return DUR_NONE;
	place_of_cell(v, cell, &mine);
	return expected->type & DUR_LITERAL ? same_literal(v, &mine, expected)
	                                    : same_collection(&mine, &other);
}
