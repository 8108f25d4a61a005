/* SPDX-License-Identifier: Apache-2.0 */
/* Values on their way in: what an entry's cell is to be, before there is an entry. */
#include <errno.h>
#include <string.h>

#include "engine/refs.h"
#include "engine/run.h"
#include "engine/value.h"
#include "model/collection.h"
#include "model/write.h"

/* Inline if it fits beside its key, else in a run, which is written now. */
int cell_make_scalar(dur_view *v, const dur_value *value, size_t key_len, struct made_cell *m)
{
	size_t room = scalar_room(key_len), n;
	uint8_t head[VALUE_HEAD_MAX];
	struct page_ptr run;
	const void *payload;
	uint64_t bytes;
	int rc;

	if (value->type == DUR_BYTES && value->tag == 0 && value->len < room && value->ptr) {
		m->bytes[0] = DUR_BYTES; /* nothing to check: the short way */
		memcpy(m->bytes + 1, value->ptr, value->len);
		m->len = value->len + 1;
		return 0;
	}
	rc = value_encode(value, m->bytes, room, &n);
	m->len = rc == 0 ? n : 0;
	if (rc != -ENOSPC)
		return rc;
	rc = value_head(value, &v->arena, head, &n, &payload, &bytes);
	if (rc == 0)
		rc = run_write(&v->txn->dirty, payload, bytes, &run);
	if (rc < 0)
		return rc;
	memcpy(m->bytes, head, n);
	m->len = value_put_run(m->bytes, n, &(struct value_run){ run.birth, run.no, bytes });
	return 0;
}

int cell_make(dur_view *v, const dur_value *value, size_t key_len, struct made_cell *m)
{
	m->len = 0;
	if (!value)
		return error_set(DUR_E_MISUSE, "there is no value to put");
	if (likely(value->type < DUR_MAP))
		return cell_make_scalar(v, value, key_len, m);
	if (value->type & DUR_LITERAL)
		return cell_make_literal(v, value, key_len, m);
	if (value->type < DUR_OBJECT || value->type == DUR_COLL)
		return cell_make_clone(v, value->coll, key_len, m);
	return cell_make_scalar(v, value, key_len, m);
}

static int prepare_scalar(const dur_value *value, size_t room, struct made_cell *m)
{
	struct key_arena scratch = { 0 };
	const void *payload;
	uint64_t bytes;
	int rc = value_encode(value, m->bytes, room, &m->len);

	if (rc != -ENOSPC)
		return rc;
	rc = value_head(value, &scratch, m->bytes, &m->len, &payload, &bytes);
	key_arena_free(&scratch);
	m->len = 0;
	return rc < 0 ? rc : 1;
}

int cell_prepare(const dur_value *value, size_t key_len, struct made_cell *m)
{
	struct place p;
	int rc;

	m->len = 0;
	if (!value)
		return error_set(DUR_E_MISUSE, "there is no value to put");
	if (value->type & DUR_LITERAL) {
		rc = literal_embed(value, small_room(key_len), m->bytes, &m->len);
		if (rc != 1)
			return rc;
		rc = literal_check(value);
	} else if ((value->type < DUR_MAP || value->type >= DUR_OBJECT) && value->type != DUR_COLL) {
		return prepare_scalar(value, scalar_room(key_len), m);
	} else {
		rc = collection_check(value->coll);
		if (rc == 0)
			rc = place_open(value->coll, &p);
	}
	return rc < 0 ? rc : 1;
}

int cell_check(const dur_value *value)
{
	struct made_cell m;
	int rc = cell_prepare(value, 0, &m);

	return rc < 0 ? rc : 0;
}

void cell_unmake(dur_view *v, struct made_cell *m)
{
	int rc = 0;

	if (m->len && m->bytes[0] & NEST_REFS)
		rc = ref_release_cell(&v->txn->dirty, m->bytes, m->len);
	if (rc < 0 && !v->txn->dirty.failed)
		v->txn->dirty.failed = rc;
	m->len = 0;
}

int cell_fit(dur_view *v, size_t key_len, struct made_cell *m)
{
	uint8_t old[TREE_CELL_MAX];
	uint32_t kind = m->bytes[0] & NEST_KIND;
	struct tree tree;
	int rc;

	if (!nest_is_embedded(m->bytes) || m->len <= small_room(key_len))
		return 0;
	memcpy(old, m->bytes, m->len);
	rc = form_ops[form_of_tree(kind)].grow(&v->txn->dirty, old, m->len, &tree);
	if (rc < 0)
		return rc;
	nest_tree_write(m->bytes, &(struct nest_tree){
		.kind = kind, .depth = tree.depth, .placed = v->txn->number,
		.root = tree.root, .count = tree.count,
	});
	m->len = NEST_TREE_CELL;
	return 0;
}
