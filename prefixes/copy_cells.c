/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells into trees. The collections that are open are levels on a list: the catalog, and above each
 * other the trees that parts build or change. A tree is whole before the cell that names it is put,
 * so until then its pages hang nowhere: when the transaction's memory is to be relieved, they are
 * written by themselves.
 *
 * A tree that changes stays where it is named until its cell is put anew. Its parents are the
 * transaction's own before it is written to, as refs.h wants it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/refs.h"
#include "engine/run.h"
#include "engine/seq.h"
#include "engine/value.h"
#include "prefixes/copy.h"

enum { REFS_MAX = TREE_CELL_MAX / CELL_RUN_BYTES + 1 };

struct level {
	struct level *outer;
	uint32_t kind;
	bool whole;             /* nothing of it was there before */
	struct tree *tree;      /* own, or the catalog */
	struct tree own;
	/* The put whose parts are coming; NULL: none. */
	uint8_t *cell;          /* allocated, with old and key behind it */
	size_t len;
	unsigned given, parts;
	uint8_t *old;           /* what it replaces, if that names pages; else NULL */
	size_t old_len;
	uint64_t used[REFS_MAX / 64 + 1]; /* of old: pages that parts have taken over */
	const uint8_t *key;     /* NULL: of a list */
	size_t key_len;
	enum copy_item what;    /* of a list: set or insert, */
	uint64_t at;            /* where */
	struct level *pool;     /* whose old cell parts speak of */
};

struct copy_cells {
	struct txn *txn;
	uint64_t state;
	struct level catalog, *top;
	struct run_writer *run;
	struct nest_ref ref;    /* of the run */
};

static int misfit(const struct copy_cells *c, const char *what)
{
	return error_set(DUR_E_CORRUPT,
	                 "state %" PRIu64 " of what is copied %s: it does not fit this copy", c->state,
	                 what);
}

int copy_ref(const uint8_t *cell, size_t len, unsigned n, struct nest_ref *ref)
{
	struct nest_refs it;

	if (!(cell[0] & NEST_REFS))
		return 1;
	nest_refs_open(&it, cell, len);
	do {
		if (nest_refs_next(&it, ref))
			return 1;
	} while (n--);
	return 0;
}

int copy_cells_open(struct copy_cells **cells, struct txn *txn, uint64_t state)
{
	struct copy_cells *c = calloc(1, sizeof *c);

	if (!c)
		return error_system(ENOMEM, "copying a state");
	c->txn = txn;
	c->state = state;
	c->top = &c->catalog;
	c->catalog.kind = DUR_MAP;
	c->catalog.tree = &txn->catalog;
	c->catalog.pool = &c->catalog;
	*cells = c;
	return 0;
}

static void pop(struct copy_cells *c)
{
	struct level *top = c->top;

	c->top = top->outer;
	free(top->cell);
	free(top);
}

void copy_cells_end(struct copy_cells *c)
{
	if (!c)
		return;
	if (c->run)
		run_abandon(c->run);
	while (c->top != &c->catalog)
		pop(c);
	free(c->catalog.cell);
	free(c);
}

/* ---- Memory ---- */

/* Writes the pages below a pointer, as it stands in cells, if they are in memory. */
static int settle(struct dirty *d, uint8_t *place)
{
	return get_u48(place + 8) & PAGE_DIRTY ? dirty_settle(d, place) : 0;
}

static int settle_level(struct dirty *d, struct level *l)
{
	uint8_t place[14];
	struct nest_ref ref;
	int rc = 0;

	for (unsigned i = 0; i < l->given && rc == 0; i++)
		if (copy_ref(l->cell, l->len, i, &ref) == 0)
			rc = settle(d, l->cell + ref.at);
	if (rc < 0 || l->tree != &l->own)
		return rc;
	ref_ptr_set(place, l->own.root);
	rc = settle(d, place);
	l->own.root = (struct page_ptr){ .birth = get_u64(place), .no = get_u48(place + 8) };
	return rc;
}

static int relieve(struct copy_cells *c)
{
	struct dirty *d = &c->txn->dirty;
	int rc = 0;

	if (d->limit_bytes && (uint64_t)d->live << PAGE_SHIFT > d->limit_bytes)
		for (struct level *l = c->top; l && rc == 0; l = l->outer)
			rc = settle_level(d, l);
	return rc < 0 ? rc : dirty_relieve(d);
}

/* ---- Entries ---- */

static int put(struct copy_cells *c, const void *key, size_t len, const struct cell *cell,
               bool moved)
{
	struct level *l = c->top;
	struct dirty *d = &c->txn->dirty;
	int rc;

	if (l->kind == DUR_LIST && l->what == COPY_SET)
		rc = list_set(d, l->tree, l->at, cell, moved);
	else if (l->kind == DUR_LIST)
		rc = list_insert(d, l->tree, l->at, cell, 1);
	else if (moved)
		rc = tree_put_moved(d, l->tree, key, len, cell->bytes, cell->len);
	else
		rc = tree_put(d, l->tree, key, len, cell->bytes, cell->len, NULL);
	return rc < 0 ? rc : relieve(c);
}

/* A cell with parts: it is put when they are there. */
static int begin(struct copy_cells *c, const void *key, size_t len, const struct cell *cell)
{
	struct level *l = c->top;
	struct nest_ref ref;
	uint8_t *old = NULL;
	size_t old_len = 0;
	uint32_t n = 0;
	int rc = 1;

	if (l->kind == DUR_LIST && l->what == COPY_SET) {
		rc = list_own(&c->txn->dirty, l->tree, l->at, &old, &n);
		old_len = n;
	} else if (l->kind != DUR_LIST && !l->whole) {
		rc = tree_own(&c->txn->dirty, l->tree, key, len, &old, &old_len);
	}
	if (rc < 0)
		return rc;
	if (rc == 1 || !(old[0] & NEST_REFS))
		old_len = 0;
	l->cell = malloc(cell->len + old_len + len);
	if (!l->cell)
		return error_system(ENOMEM, "copying a collection");
	l->len = cell->len;
	l->old = old_len ? l->cell + cell->len : NULL;
	l->old_len = old_len;
	l->key = key ? l->cell + cell->len + old_len : NULL;
	l->key_len = len;
	memcpy(l->cell, cell->bytes, cell->len);
	if (old_len)
		memcpy(l->old, old, old_len);
	if (key)
		memcpy(l->cell + cell->len + old_len, key, len);
	memset(l->used, 0, sizeof l->used);
	l->given = 0;
	for (l->parts = 0; copy_ref(l->cell, l->len, l->parts, &ref) == 0;)
		l->parts++;
	return 0;
}

/* What the old cell named and the new one does not. */
static int release_old(struct copy_cells *c, const struct level *l)
{
	struct nest_ref ref;
	struct page_ref page;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && l->old && copy_ref(l->old, l->old_len, i, &ref) == 0; i++) {
		if (l->used[i / 64] >> i % 64 & 1)
			continue;
		page_ref_of(&ref, 0, &page);
		rc = ref_release(&c->txn->dirty, &page, CLASS_DATA);
	}
	return rc;
}

/* A part is there. After the last one the cell is put. */
static int part_done(struct copy_cells *c)
{
	struct level *l = c->top;
	struct cell cell = { l->cell, (uint32_t)l->len };
	int rc;

	if (++l->given < l->parts)
		return 0;
	l->given = l->parts = 0; /* its pages hang in the tree from here on */
	rc = put(c, l->key, l->key_len, &cell, l->old != NULL);
	if (rc == 0)
		rc = release_old(c, l);
	free(l->cell);
	l->cell = NULL;
	return rc;
}

int copy_cells_put(struct copy_cells *c, const void *key, size_t len, const struct cell *cell)
{
	c->top->what = COPY_INSERT; /* of a list: at its end */
	c->top->at = c->top->tree->count;
	if (cell->bytes[0] & NEST_REFS)
		return begin(c, key, len, cell);
	return put(c, key, len, cell, false);
}

int copy_cells_del(struct copy_cells *c, const void *key, size_t len)
{
	int rc = tree_del(&c->txn->dirty, c->top->tree, key, len);

	if (rc == 1)
		return misfit(c, "removes what is not there");
	return rc < 0 ? rc : relieve(c);
}

int copy_cells_item(struct copy_cells *c, enum copy_item what, uint64_t at, const struct cell *cell)
{
	struct level *l = c->top;

	if (at >= l->tree->count + (what == COPY_INSERT))
		return misfit(c, "changes an item that a list does not have");
	l->what = what;
	l->at = at;
	return cell->bytes[0] & NEST_REFS ? begin(c, NULL, 0, cell) : put(c, NULL, 0, cell, false);
}

int copy_cells_cut(struct copy_cells *c, uint64_t at, uint64_t n)
{
	struct tree *list = c->top->tree;
	int rc;

	if (n == 0 || at >= list->count || n > list->count - at)
		return misfit(c, "removes items that a list does not have");
	rc = seq_remove(&c->txn->dirty, list, SEQ_LIST, at, at + n);
	return rc < 0 ? rc : relieve(c);
}

/* ---- Parts ---- */

static int open_tree(struct copy_cells *c, const struct nest_ref *ref, const struct tree *tree)
{
	struct level *l = calloc(1, sizeof *l);

	if (!l)
		return error_system(ENOMEM, "copying a collection");
	l->outer = c->top;
	l->kind = ref->tree.kind;
	l->whole = tree == NULL;
	l->own = tree ? *tree : (struct tree){ .class = CLASS_DATA };
	l->tree = &l->own;
	l->pool = l->whole ? c->top->pool : l;
	c->top = l;
	return 0;
}

/* The part's pages are those of the old cell; if they change, a tree's. */
static int take_old(struct copy_cells *c, const struct nest_ref *ref, unsigned nth,
                    struct nest_ref *old)
{
	struct level *pool = c->top->pool;

	if (!pool->old || copy_ref(pool->old, pool->old_len, nth, old) ||
	    pool->used[nth / 64] >> nth % 64 & 1 || old->is_tree != ref->is_tree ||
	    (ref->is_tree ? old->tree.kind != ref->tree.kind : old->length != ref->length))
		return misfit(c, "goes on from a value that is not there");
	pool->used[nth / 64] |= 1ull << nth % 64;
	return 0;
}

static void name_tree(struct level *l, const struct nest_ref *ref, struct page_ptr root,
                      uint32_t depth)
{
	nest_ref_set(l->cell, ref, root);
	l->cell[ref->from + NEST_DEPTH_AT] = (uint8_t)depth;
}

static int keep(struct copy_cells *c, const struct nest_ref *ref, const struct nest_ref *old)
{
	if (!ref->is_tree)
		nest_ref_set(c->top->cell, ref, old->ptr);
	else if (old->tree.count != ref->tree.count)
		return misfit(c, "keeps a collection that has other entries");
	else
		name_tree(c->top, ref, old->ptr, old->tree.depth);
	return part_done(c);
}

int copy_cells_part(struct copy_cells *c, enum copy_part how, unsigned nth)
{
	struct nest_ref ref, old;
	int rc;

	if (copy_ref(c->top->cell, c->top->len, c->top->given, &ref))
		return misfit(c, "has more parts than a cell names");
	if (how == COPY_WHOLE) {
		c->ref = ref;
		return ref.is_tree ? open_tree(c, &ref, NULL)
		                   : run_begin(&c->txn->dirty, ref.length, &c->run);
	}
	rc = take_old(c, &ref, nth, &old);
	if (rc < 0)
		return rc;
	if (how == COPY_KEPT)
		return keep(c, &ref, &old);
	return open_tree(c, &ref, &(struct tree){ .root = old.ptr,
	                                          .count = old.tree.count,
	                                          .depth = old.tree.depth,
	                                          .class = CLASS_DATA });
}

int copy_cells_piece(struct copy_cells *c, const void *data, size_t n)
{
	struct tree *rope = c->top->tree;
	int rc;

	if (c->run)
		return run_add(c->run, data, n);
	rc = rope_insert(&c->txn->dirty, rope, rope->count, data, n);
	return rc < 0 ? rc : relieve(c);
}

/* Of text and numbers as text every byte means something: what the run holds is looked at. */
static int check_run(const struct copy_cells *c, struct page_ptr ptr)
{
	size_t len = c->ref.at - c->ref.from + CELL_RUN_BYTES;
	struct key_arena arena = { 0 };
	const void *payload;
	int rc = run_read(c->txn->dirty.file, ptr, c->ref.length, &payload);

	if (rc == 0)
		rc = value_check(c->top->cell + c->ref.from, len, payload, &arena);
	key_arena_free(&arena);
	return rc;
}

int copy_cells_bytes_end(struct copy_cells *c)
{
	struct page_ptr ptr;
	int rc;

	if (!c->run)
		return copy_cells_close(c);
	rc = run_finish(c->run, &ptr);
	if (rc < 0)
		return rc;
	c->run = NULL;
	nest_ref_set(c->top->cell, &c->ref, ptr);
	rc = check_run(c, ptr);
	return rc < 0 ? rc : part_done(c);
}

int copy_cells_close(struct copy_cells *c)
{
	const struct tree tree = c->top->own;
	struct nest_ref ref;

	pop(c);
	if (copy_ref(c->top->cell, c->top->len, c->top->given, &ref) || !ref.is_tree ||
	    ref.tree.count != tree.count)
		return misfit(c, "leaves a collection with other entries than it says");
	name_tree(c->top, &ref, tree.root, tree.depth);
	return part_done(c);
}
