/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a state holds, or what led to it from another: entries in the order of keys, and behind a
 * cell the parts that it names. The trees under way are on a list, not on the stack.
 *
 * Parts are matched by their paths. A page of the copy that stays where it is, or is changed there,
 * holds what it held at that path in the states before, and so the copy's log is right; a part from
 * another path would lend it the past of that one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/run.h"
#include "engine/seq.h"
#include "engine/seq_diff.h"
#include "engine/small.h"
#include "engine/tree_diff.h"
#include "prefixes/copy.h"

enum { PIECE_BYTES = 1 << 20 };

/* A part of an old cell: [from, from + len); none: len 0. */
struct span {
	uint32_t from, len;
};

/* A tree under way. */
struct giving {
	struct giving *outer;
	uint32_t kind;
	bool changes;                   /* from an old tree to this one */
	bool begun;
	struct nest_way way;
	/* the entry whose parts are being given */
	size_t len, old_len;
	unsigned given, parts;
	uint8_t cell[TREE_CELL_MAX], old[TREE_CELL_MAX];
	struct span was;                /* where the entry was in the pool's old cell */
	const struct giving *pool;      /* whose old cell parts are taken from */
	struct span within;             /* whole: the embedded collection that it was there */
	union {
		struct cursor keyed;
		struct seq_cursor list;
		struct tree_diff diff;
		struct {
			struct seq_diff runs;
			struct tree old, now;
			size_t next;            /* run */
			uint64_t done;          /* items of it */
		} items;
	};
};

struct giver {
	const struct copy_giving *g;
	const dur_view *before, *v;
	struct giving *top;
};

/* ---- Where a part was before ---- */

static uint8_t kind_of(const uint8_t *cell)
{
	return cell[0] & NEST_KIND;
}

/* The entry of an embedded collection that has a path's step; of lists the same position. */
static struct span step_into(const uint8_t *old, struct span in, const uint8_t *key, size_t key_len,
                             unsigned position)
{
	struct nest_entry entry;
	bool list = kind_of(old + in.from) == DUR_LIST;
	int rc = list ? small_nth(old + in.from, in.len, position, &entry)
	              : small_find(old + in.from, in.len, key, key_len, &entry, NULL);

	if (rc != 0 || !entry.cell)
		return (struct span){ 0 };
	return (struct span){ (uint32_t)(entry.cell - old), entry.cell_len };
}

/* What stood in the old cell, in `was`, at the path that leads to a reference of the new cell. */
static struct span find_old(const uint8_t *old, struct span was, const uint8_t *cell, size_t len,
                            const struct nest_ref *ref)
{
	const uint8_t *at = cell;

	while (was.len && (uint32_t)(at - cell) != ref->from) {
		struct nest_entries it;
		struct nest_entry entry;
		unsigned n = 0;
		if (!nest_is_embedded(old + was.from) || kind_of(old + was.from) != kind_of(at))
			return (struct span){ 0 };
		nest_entries_open(&it, at, len);
		while (nest_entries_next(&it, &entry) == 0 &&
		       (uint32_t)(at - cell) + entry.end <= ref->from)
			n++;
		was = step_into(old, was, entry.key, entry.key_len, n);
		at = entry.cell;
		len = entry.cell_len;
	}
	return was;
}

/* Which of the old cell's references stands at a place. */
static bool nth_of(const struct giving *pool, uint32_t from, unsigned *nth, struct nest_ref *ref)
{
	for (*nth = 0; copy_ref(pool->old, pool->old_len, *nth, ref) == 0; ++*nth)
		if (ref->from == from)
			return true;
	return false;
}

/* ---- Trees ---- */

static int begin(struct giver *a, const struct tree *tree, struct giving **top)
{
	struct giving *t = malloc(sizeof *t);

	if (!t)
		return error_system(ENOMEM, "copying a state");
	t->outer = a->top;
	t->changes = t->begun = false;
	t->given = t->parts = 0;
	t->old_len = 0;
	t->within = t->was = (struct span){ 0 };
	t->pool = a->top ? a->top->pool : t;
	t->way = a->top ? a->top->way : (struct nest_way){ 0 };
	*top = a->top = t;
	return nest_way_enter(&t->way, tree->root);
}

static struct tree tree_of(const struct nest_ref *ref)
{
	return (struct tree){ .root = ref->ptr,
		              .count = ref->tree.count,
		              .depth = ref->tree.depth,
		              .class = CLASS_DATA };
}

static int begin_whole(struct giver *a, uint32_t kind, const struct tree *tree)
{
	struct giving *t;
	int rc = begin(a, tree, &t);

	if (rc < 0)
		return rc;
	t->kind = kind;
	if (kind == DUR_LIST)
		seq_cursor_open(&t->list, &a->v->pager, tree, SEQ_LIST);
	else
		cursor_open(&t->keyed, &a->v->pager, tree);
	return 0;
}

static int begin_changes(struct giver *a, uint32_t kind, const struct tree *old,
                         const struct tree *now)
{
	const struct tree_bounds all = { 0 };
	struct giving *t;
	int rc = begin(a, now, &t);

	if (rc < 0)
		return rc;
	t->kind = kind;
	t->changes = true;
	t->pool = t;
	if (kind == DUR_LIST) {
		memset(&t->items, 0, sizeof t->items);
		t->items.old = *old;
		t->items.now = *now;
		return seq_diff_make(&t->items.runs, &a->before->pager, old, &a->v->pager, now,
		                     SEQ_LIST);
	}
	return tree_diff_open(&t->diff, &a->before->pager, old, &a->v->pager, now, &all);
}

/* ---- Parts ---- */

/* Its bytes pass one piece at a time: they are a mapping's, and need not be in memory at once. */
static int give_run(const struct giver *a, const struct nest_ref *ref)
{
	const struct copy_giving *g = a->g;
	const void *bytes;
	int rc = run_read(a->v->pager.file, ref->ptr, ref->length, &bytes);

	if (rc == 0)
		rc = g->sink->part(g->ctx, COPY_WHOLE, 0);
	for (uint64_t at = 0, n; at < ref->length && rc == 0; at += n) {
		n = ref->length - at < PIECE_BYTES ? ref->length - at : PIECE_BYTES;
		rc = g->sink->piece(g->ctx, (const uint8_t *)bytes + at, (size_t)n);
		if (rc == 0)
			rc = copy_step(g->meter);
	}
	return rc == 0 ? g->sink->bytes_end(g->ctx) : rc;
}

static int give_rope(const struct giver *a, const struct nest_ref *ref)
{
	const struct copy_giving *g = a->g;
	const struct tree tree = tree_of(ref);
	struct seq_cursor c;
	const uint8_t *bytes;
	uint32_t n;
	int rc, more;

	rc = g->sink->part(g->ctx, COPY_WHOLE, 0);
	seq_cursor_open(&c, &a->v->pager, &tree, SEQ_ROPE);
	more = seq_cursor_seek(&c, 0);
	while (rc == 0 && more == 0) {
		n = seq_cursor_piece(&c, &bytes);
		rc = g->sink->piece(g->ctx, bytes, n);
		if (rc == 0)
			rc = copy_step(g->meter);
		more = seq_cursor_next(&c);
	}
	if (rc == 0 && more < 0)
		rc = more;
	return rc == 0 ? g->sink->bytes_end(g->ctx) : rc;
}

/* All of it; within: the embedded collection that it was, so that what that named can be kept. */
static int give_whole(struct giver *a, const struct nest_ref *ref, struct span within)
{
	const struct tree tree = tree_of(ref);
	int rc;

	if (!ref->is_tree)
		return give_run(a, ref);
	if (ref->tree.kind == DUR_ROPE)
		return give_rope(a, ref);
	rc = a->g->sink->part(a->g->ctx, COPY_WHOLE, 0);
	if (rc == 0)
		rc = begin_whole(a, ref->tree.kind, &tree);
	if (rc == 0)
		a->top->within = within;
	return rc;
}

static int give_part(struct giver *a)
{
	struct giving *t = a->top;
	const struct giving *pool = t->pool;
	struct nest_ref ref, old;
	struct span was;
	unsigned nth;

	copy_ref(t->cell, t->len, t->given++, &ref);
	was = find_old(pool->old, t->was, t->cell, t->len, &ref);
	if (was.len && nest_is_embedded(pool->old + was.from))
		return give_whole(a, &ref, was);
	if (!was.len || !nth_of(pool, was.from, &nth, &old) || old.is_tree != ref.is_tree)
		return give_whole(a, &ref, (struct span){ 0 });
	if (old.ptr.no == ref.ptr.no && old.ptr.birth == ref.ptr.birth)
		return a->g->sink->part(a->g->ctx, COPY_KEPT, nth);
	if (!ref.is_tree || old.tree.kind != ref.tree.kind ||
	    ref.tree.kind == DUR_ROPE)
		return give_whole(a, &ref, (struct span){ 0 });
	const struct tree from = tree_of(&old), to = tree_of(&ref);
	int rc = a->g->sink->part(a->g->ctx, COPY_CHANGED, nth);
	return rc == 0 ? begin_changes(a, ref.tree.kind, &from, &to) : rc;
}

/* ---- Entries ---- */

/* Page numbers and depths are this file's: nobody else is to see them. */
static void blank(uint8_t *cell, size_t len)
{
	struct nest_ref ref;

	for (unsigned i = 0; copy_ref(cell, len, i, &ref) == 0; i++) {
		nest_ref_set(cell, &ref, (struct page_ptr){ .no = PAGE_FIRST });
		if (ref.is_tree)
			cell[ref.from + NEST_DEPTH_AT] = 1;
	}
}

/* Where the entry of a tree that was embedded before was. */
static struct span find_entry(const struct giving *t, const void *key, size_t len)
{
	const uint8_t *old = t->pool->old;

	if (!t->within.len || kind_of(old + t->within.from) != t->kind)
		return (struct span){ 0 };
	return step_into(old, t->within, key, len,
	                 t->kind == DUR_LIST ? (unsigned)seq_cursor_position(&t->list) : 0);
}

/* An entry whose cell names pages: its parts come next, and it is told with those blank. */
static void keep_entry(struct giving *t, const void *key, size_t len, const struct cell *old,
                       struct cell *cell, uint8_t blanked[TREE_CELL_MAX])
{
	struct nest_ref ref;

	if (!(cell->bytes[0] & NEST_REFS))
		return;
	t->len = cell->len;
	memcpy(t->cell, cell->bytes, cell->len);
	memcpy(blanked, cell->bytes, cell->len);
	blank(blanked, cell->len);
	cell->bytes = blanked;
	for (t->given = t->parts = 0; copy_ref(t->cell, t->len, t->parts, &ref) == 0;)
		t->parts++;
	if (!t->changes) {
		t->was = find_entry(t, key, len);
		return;
	}
	t->old_len = old->bytes ? old->len : 0;
	if (t->old_len)
		memcpy(t->old, old->bytes, t->old_len);
	t->was = (struct span){ 0, (uint32_t)t->old_len };
}

static int give_put(struct giver *a, const void *key, size_t len, const struct cell *old,
                    const struct cell *cell)
{
	const struct copy_giving *g = a->g;
	uint8_t blanked[TREE_CELL_MAX];
	struct cell out = *cell;

	keep_entry(a->top, key, len, old, &out, blanked);
	return g->sink->put(g->ctx, key, len, &out);
}

/* 0, 1 at the end. */
static int give_change(struct giver *a)
{
	const struct copy_giving *g = a->g;
	struct tree_change c;
	int rc = tree_diff_next(&a->top->diff, &c);

	if (rc != 0)
		return rc;
	return c.now.bytes ? give_put(a, c.key, c.len, &c.old, &c.now)
	                   : g->sink->del(g->ctx, c.key, c.len);
}

static int item_at(const struct pager *pager, const struct tree *list, uint64_t at,
                   struct cell *cell)
{
	int rc = list_get(pager, list, at, cell);

	return rc == 1 ? error_set(DUR_E_CORRUPT, "the counts of a list are wrong: run `duramen check`")
	               : rc;
}

/* One more item of a run of a list's changes. */
static int give_of_run(struct giver *a, const struct seq_run *run, uint64_t i)
{
	const struct copy_giving *g = a->g;
	struct giving *t = a->top;
	uint8_t blanked[TREE_CELL_MAX];
	struct cell old = { 0 }, now;
	int rc = 0;

	if (i < run->old_n)
		rc = item_at(&a->before->pager, &t->items.old, run->old_at + i, &old);
	if (rc == 0)
		rc = item_at(&a->v->pager, &t->items.now, run->now_at + i, &now);
	if (rc < 0)
		return rc;
	keep_entry(t, NULL, 0, &old, &now, blanked);
	return g->sink->item(g->ctx, i < run->old_n ? COPY_SET : COPY_INSERT, run->now_at + i, &now);
}

/* A run's items that stand for each other are set, then those that are more inserted, or cut. */
static int give_list_change(struct giver *a)
{
	const struct copy_giving *g = a->g;
	struct giving *t = a->top;
	const struct seq_run *run;

	if (t->items.next == t->items.runs.n)
		return 1;
	run = &t->items.runs.runs[t->items.next];
	if (t->items.done < run->now_n)
		return give_of_run(a, run, t->items.done++);
	t->items.next++;
	t->items.done = 0;
	return run->old_n > run->now_n
	               ? g->sink->cut(g->ctx, run->now_at + run->now_n, run->old_n - run->now_n)
	               : 0;
}

static int give_item(struct giver *a)
{
	struct giving *t = a->top;
	int rc = t->begun ? seq_cursor_next(&t->list) : seq_cursor_seek(&t->list, 0);
	struct cell cell;

	t->begun = true;
	if (rc != 0)
		return rc;
	cell = seq_cursor_cell(&t->list);
	return give_put(a, NULL, 0, &(struct cell){ 0 }, &cell);
}

static int give_entry(struct giver *a)
{
	struct giving *t = a->top;
	int rc = t->begun ? cursor_next(&t->keyed) : cursor_first(&t->keyed);
	struct cell cell;
	const void *key;
	size_t len;

	t->begun = true;
	if (rc != 0)
		return rc;
	cursor_entry(&t->keyed, &key, &len, &cell);
	return give_put(a, key, len, &(struct cell){ 0 }, &cell);
}

static void end(struct giver *a)
{
	struct giving *top = a->top;

	a->top = top->outer;
	if (top->changes && top->kind == DUR_LIST)
		seq_diff_free(&top->items.runs);
	free(top);
}

/* A part, an entry, or the end of a tree. */
static int give_next(struct giver *a)
{
	struct giving *t = a->top;
	int rc;

	if (t->given < t->parts)
		return give_part(a);
	if (t->changes)
		rc = t->kind == DUR_LIST ? give_list_change(a) : give_change(a);
	else
		rc = t->kind == DUR_LIST ? give_item(a) : give_entry(a);
	if (rc != 1) {
		a->g->meter->done += !t->outer;
		return rc;
	}
	end(a);
	return a->top ? a->g->sink->close(a->g->ctx) : 0;
}

int copy_give(const struct copy_giving *g, const dur_view *before, const dur_view *v)
{
	struct giver a = { .g = g, .before = before, .v = v };
	int rc = before ? begin_changes(&a, DUR_MAP, before->catalog, v->catalog)
	                : begin_whole(&a, DUR_MAP, v->catalog);

	while (rc == 0 && a.top) {
		rc = give_next(&a);
		if (rc == 0)
			rc = copy_step(g->meter);
	}
	while (a.top)
		end(&a);
	return rc;
}
