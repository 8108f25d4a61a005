/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a collection that is already somewhere is cloning it. What the transaction itself reaches is
 * shared, at no cost but a count (engine/refs.h); from anywhere else it is copied, since a page that was
 * retired never comes back to life (I3): cell by cell, and a tree that a cell names before the cell, so
 * that the copies under way are on a list and not on the stack. Of a state of the past what is there now
 * may be cloned instead (origin.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/refs.h"
#include "engine/run.h"
#include "model/collection.h"
#include "model/write.h"

/* A cell that is being copied, entry after entry of a tree; the outermost one is of none. */
struct copying {
	struct copying *outer;
	uint32_t kind;
	uint64_t left;                  /* entries of the tree, this one included */
	struct tree to;
	struct nest_refs refs;          /* of the cell */
	struct nest_ref tree;           /* the one that the inner copy is of */
	struct element_key key;
	struct place_cursor from;
	struct nest_way way;
	size_t len;
	uint8_t old[TREE_CELL_MAX], cell[TREE_CELL_MAX];
};

static void take_cell(struct copying *c, const struct cell *cell)
{
	c->len = cell->len;
	memcpy(c->old, cell->bytes, cell->len);
	memcpy(c->cell, cell->bytes, cell->len);
	nest_refs_open(&c->refs, c->old, c->len);
}

/* The entry that the cursor is at. */
static void take_entry(struct copying *c)
{
	struct cell cell;
	const void *key = NULL;

	c->key.len = 0;
	place_cursor_entry(&c->from, &key, &c->key.len, &cell);
	if (c->kind == DUR_LIST) {
		c->key.bytes = NULL;
		c->key.len = 0;
	} else {
		memcpy(c->key.buf, key, c->key.len);
		c->key.bytes = c->key.buf;
	}
	take_cell(c, &cell);
}

static int begin(dur_view *from, struct copying *outer, const struct nest_ref *ref,
                 struct copying **top)
{
	struct copying *c = malloc(sizeof *c);
	struct place p = { .view = from, .kind = ref->tree.kind, .form = form_of_tree(ref->tree.kind) };
	int rc;

	if (!c)
		return error_system(ENOMEM, "copying a collection");
	c->outer = outer;
	c->way = outer->way;
	c->kind = p.kind;
	c->left = ref->tree.count;
	c->to = (struct tree){ .class = CLASS_DATA };
	c->key.position = 0;
	p.own = (struct tree){ .root = ref->ptr, .count = ref->tree.count, .depth = ref->tree.depth };
	p.tree = &p.own;
	place_cursor_open(&c->from, &p);
	rc = nest_way_enter(&c->way, ref->ptr);
	if (rc == 0)
		rc = place_cursor_nth(&c->from, 0);
	if (rc < 0) {
		free(c);
		return rc;
	}
	take_entry(c);
	*top = c;
	return 0;
}

static int copy_run(dur_view *v, dur_view *from, struct copying *c, const struct nest_ref *ref)
{
	struct page_ptr copy;
	const void *data;
	int rc = run_read(from->pager.file, ref->ptr, ref->length, &data);

	if (rc == 0)
		rc = run_write(&v->txn->dirty, data, ref->length, &copy);
	if (rc == 0)
		nest_ref_set(c->cell, ref, copy);
	return rc;
}

/* The cell that names a tree learns where its copy is. */
static void tell_copy(dur_view *v, struct copying *c, const struct nest_ref *ref,
                      const struct tree *copy)
{
	nest_tree_write(c->cell + ref->at - NEST_ROOT_AT, &(struct nest_tree){
		.kind = ref->tree.kind, .depth = copy->depth, .placed = v->txn->number,
		.root = copy->root, .count = copy->count,
	});
}

/* A rope's pages name no others. */
static int copy_rope(dur_view *v, dur_view *from, struct copying *c, const struct nest_ref *ref)
{
	struct tree to = { .class = CLASS_DATA };
	struct place p = { .view = from, .kind = DUR_ROPE, .form = FORM_ROPE };
	const uint8_t *bytes;
	uint64_t first, n;
	int rc = 0;

	p.own = (struct tree){ .root = ref->ptr, .count = ref->tree.count, .depth = ref->tree.depth };
	p.tree = &p.own;
	while (rc == 0 && to.count < ref->tree.count) {
		rc = place_piece(&p, to.count, &first, &bytes, &n);
		if (rc == 0)
			rc = rope_insert(&v->txn->dirty, &to, to.count, bytes, n);
	}
	if (rc == 0)
		tell_copy(v, c, ref, &to);
	return rc;
}

static void end_tree(dur_view *v, struct copying **top)
{
	struct copying *c = *top, *outer = c->outer;

	tell_copy(v, outer, &outer->tree, &c->to);
	free(c);
	*top = outer;
}

/* The cell is whole: into the tree with it, and on to the next entry. */
static int end_cell(dur_view *v, struct copying **top)
{
	struct copying *c = *top;
	int rc = form_ops[form_of_tree(c->kind)].put(&v->txn->dirty, &c->to, &c->key, c->cell, c->len,
	                                             true);

	if (rc < 0)
		return rc;
	if (--c->left == 0) {
		end_tree(v, top);
		return 0;
	}
	rc = place_cursor_next(&c->from);
	if (rc == 1)
		return error_set(DUR_E_CORRUPT,
		                 "the counts of the tree are wrong: run `duramen check`");
	if (rc == 0) {
		c->key.position++;
		take_entry(c);
	}
	return rc;
}

int cell_copy(dur_view *v, dur_view *from, struct made_cell *m)
{
	struct copying *top;
	struct nest_ref ref;
	int rc = 0;

	if (!(m->bytes[0] & NEST_REFS))
		return 0;
	top = malloc(sizeof *top);
	if (!top)
		return error_system(ENOMEM, "copying a collection");
	top->outer = NULL;
	top->way = (struct nest_way){ 0 };
	take_cell(top, &(struct cell){ m->bytes, (uint32_t)m->len });
	while (rc >= 0) {
		rc = nest_refs_next(&top->refs, &ref);
		if (rc == 0 && ref.is_tree && ref.tree.kind == DUR_ROPE) {
			rc = copy_rope(v, from, top, &ref);
		} else if (rc == 0 && ref.is_tree) {
			top->tree = ref;
			rc = begin(from, top, &ref, &top);
		} else if (rc == 0) {
			rc = copy_run(v, from, top, &ref);
		} else if (top->outer) {
			rc = end_cell(v, &top);
		} else {
			memcpy(m->bytes, top->cell, m->len);
			break;
		}
	}
	/* Half a copy hangs nowhere. */
	if (rc < 0 && !v->txn->dirty.failed)
		v->txn->dirty.failed = rc;
	while (top) {
		struct copying *outer = top->outer;
		free(top);
		top = outer;
	}
	return rc < 0 ? rc : 0;
}

/* What a place is as a cell, which names the same pages. */
static void as_cell(dur_view *v, const struct place *p, struct made_cell *m)
{
	if (p->tree && p->tree->count) {
		nest_tree_write(m->bytes, &(struct nest_tree){
			.kind = p->kind, .depth = p->tree->depth, .placed = v->txn->number,
			.root = p->tree->root, .count = p->tree->count,
		});
		m->len = NEST_TREE_CELL;
	} else if (p->tree) {
		m->len = small_empty(p->kind, m->bytes);
	} else {
		memcpy(m->bytes, p->cell.bytes, p->cell.len);
		m->len = p->cell.len;
	}
}

/* All that the cell names has been put here now: a log must not lend it its source's past. */
static void place_now(dur_view *v, struct made_cell *m)
{
	struct nest_refs refs;
	struct nest_ref ref;

	nest_refs_open(&refs, m->bytes, m->len);
	while (nest_refs_next(&refs, &ref) == 0)
		if (ref.is_tree)
			put_u64(m->bytes + ref.at - NEST_ROOT_AT + NEST_PLACED_AT, v->txn->number);
}

int cell_make_clone(dur_view *v, dur_coll source, size_t key_len, struct made_cell *m)
{
	struct place p;
	int rc = collection_check(source);

	if (rc == 0)
		rc = place_open(source, &p);
	if (rc < 0)
		return rc;
	if (p.form == FORM_BYTES && !nest_is_collection(p.cell.bytes))
		return cell_make_rope(v, p.bytes, p.length, key_len, m); /* a string read as one */
	as_cell(v, &p, m);
	if (m->bytes[0] & NEST_REFS) {
		rc = source.view != v ? cell_copy(v, source.view, m)
		                      : ref_share_cell(&v->txn->dirty, m->bytes, m->len);
		/* Pages are no longer the transaction's own; where lent cells lie nothing was written. */
		v->lent_writes += v->lent_writes == v->writes;
		v->writes++;
	}
	if (rc < 0) {
		m->len = 0;
		return rc;
	}
	place_now(v, m);
	return cell_fit(v, key_len, m);
}
