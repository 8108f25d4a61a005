/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collections that are gone into are levels on a list, never on the stack. A diff cannot go on
 * over a tree that is being written to. So each level takes its differences in batches, as copies,
 * and begins anew behind the key up to which both sides are equal; of lists and ropes it takes all
 * positions that differ at once. They are gone through in order, so what lies before is equal:
 * where something is on the snapshot's side is where it is to be here.
 */
#include "model/become.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/refs.h"
#include "engine/seq_page.h"
#include "engine/tree_private.h"
#include "model/changes.h"

enum { BATCH_BYTES = 256 << 10, RELIEVE_EVERY = 32, STRETCH = 8 };

/* A difference: what is to be done at a key, which follows, with the cell behind it. */
enum what { PUT, REMOVE, ENTER };

struct patch {
	enum what what;
	uint32_t key_len, cell_len;
};

struct level {
	struct level *outer;
	struct row *row;
	struct place from;
	/* Keyed: where the next batch begins. */
	size_t low_len;
	uint8_t low[TREE_KEY_MAX + 1];
	/* By position. */
	struct seq_diff runs;
	size_t run;
	uint64_t done;                  /* of the run */
	struct nest_way way;
	uint8_t cell[];                 /* the snapshot's */
};

struct become {
	dur_view *v, *snap;
	struct level *top;
	struct nest_diff diff;
	uint8_t *batch;
	size_t used;
	bool may_spill;
	unsigned n;                     /* writes, for that */
	bool changed;
};

/* ---- Levels ---- */

static int begin(struct become *b, struct row *row, const struct place *from,
                 const struct cell *cell)
{
	size_t len = cell ? cell->len : 0;
	struct level *l = malloc(sizeof *l + len);

	if (!l)
		return error_system(ENOMEM, "comparing nested collections");
	*l = (struct level){ .outer = b->top, .row = row };
	if (cell) {
		memcpy(l->cell, cell->bytes, len);
		place_of_cell(b->snap, &(struct cell){ l->cell, (uint32_t)len }, &l->from);
	} else {
		l->from = *from;
		if (from->tree == &from->own)
			l->from.tree = &l->from.own;
	}
	row_handle(b->v, row);
	b->top = l;
	if (l->outer)
		l->way = l->outer->way;
	return l->from.tree && l->from.tree->depth ? nest_way_enter(&l->way, l->from.tree->root) : 0;
}

static void end(struct become *b)
{
	struct level *l = b->top;

	b->top = l->outer;
	if (l->row->parent)
		row_leave(b->v, l->row);
	seq_diff_free(&l->runs);
	free(l);
}

static int enter(struct become *b, const struct element_key *key, const struct cell *cell)
{
	struct row *row;
	int rc = row_child(b->v, b->top->row, key, &row);

	if (rc == DUR_NONE)
		rc = error_set(DUR_E_CORRUPT, "a collection is not there any more: run `duramen check`");
	return rc < 0 ? rc : begin(b, row, NULL, cell);
}

/* Whether an element's cell is changed by what differs in it (1), or replaced (0). */
static int goes_in(struct become *b, const struct element_key *key, const struct cell *mine,
                   const struct cell *theirs)
{
	struct place a, c;

	if (!nest_is_collection(mine->bytes) || !nest_is_collection(theirs->bytes) ||
	    (mine->bytes[0] & NEST_KIND) != (theirs->bytes[0] & NEST_KIND))
		return 0;
	place_of_cell(b->v, mine, &a);
	place_of_cell(b->snap, theirs, &c);
	if (row_known(b->v, b->top->row, key))
		return 1;
	return become_pays(&a, &c);
}

/* ---- Writing ---- */

/* Between two writes. */
static int relieve(struct become *b)
{
	b->changed = true;
	return !b->may_spill || ++b->n % RELIEVE_EVERY ? 0 : dirty_relieve(&b->v->txn->dirty);
}

/* A copy of a cell of the snapshot; of one that is new in a list, in front of what is there. */
static int put(struct become *b, const struct element_key *key, const struct cell *cell,
               bool insert)
{
	struct row *row = b->top->row;
	struct made_cell m = { .len = cell->len };
	int rc;

	memcpy(m.bytes, cell->bytes, cell->len);
	rc = cell_copy(b->v, b->snap, &m);
	if (rc < 0)
		return rc;
	rc = insert ? write_insert(b->v, row, key->position, &(struct cell){ m.bytes, (uint32_t)m.len }, 1)
	            : write_put(b->v, row, key, m.bytes, m.len);
	if (rc < 0)
		cell_unmake(b->v, &m);
	return rc < 0 ? rc : relieve(b);
}

static int not_there(void)
{
	return error_set(DUR_E_CORRUPT, "an entry to remove is not there: run `duramen check`");
}

/* ---- By key ---- */

static int change_of(struct become *b, const struct element_key *key, const struct nest_change *c,
                     struct patch *patch)
{
	int rc = 0;

	*patch = (struct patch){ .what = REMOVE, .key_len = (uint32_t)key->len };
	if (!c->now.bytes)
		return 0;
	if (c->old.bytes)
		rc = goes_in(b, key, &c->old, &c->now);
	patch->what = rc == 1 ? ENTER : PUT;
	patch->cell_len = c->now.len;
	return rc < 0 ? rc : 0;
}

/* Copies differences while there is room, up to one to go into. 0, or 1: there are no more. */
static int take_batch(struct become *b)
{
	struct level *l = b->top;
	struct tree_bounds bounds = { .from = l->low_len ? l->low : NULL, .from_len = l->low_len };
	size_t most = sizeof(struct patch) + TREE_KEY_MAX + TREE_CELL_MAX;
	struct nest_source mine, theirs;
	struct patch patch = { 0 };
	struct place p;
	int rc = row_find(b->v, l->row);

	b->used = 0;
	if (rc < 0)
		return rc;
	row_place(b->v, l->row, &p);
	changes_source(&mine, &p, &b->v->pager);
	changes_source(&theirs, &l->from, &b->snap->pager);
	rc = nest_diff_open(&b->diff, &mine, &theirs, &bounds);
	while (rc == 0 && patch.what != ENTER && b->used + most <= BATCH_BYTES) {
		struct nest_change change;
		struct nest_step step;
		rc = nest_diff_next(&b->diff, &change);
		if (rc != 0)
			break;
		nest_diff_step(&b->diff, 0, &step);
		struct element_key key = { .bytes = step.key, .len = step.len };
		uint8_t *to = b->batch + b->used;
		rc = change_of(b, &key, &change, &patch);
		memcpy(to, &patch, sizeof patch);
		memcpy(to + sizeof patch, step.key, step.len);
		if (patch.cell_len)
			memcpy(to + sizeof patch + step.len, change.now.bytes, patch.cell_len);
		b->used += sizeof patch + step.len + patch.cell_len;
		memcpy(l->low, step.key, step.len);
		l->low[step.len] = 0; /* nothing lies between a key and that key with 00 behind it */
		l->low_len = step.len + 1;
	}
	b->v->pages_read += nest_diff_pages(&b->diff, DIFF_OLD);
	b->snap->pages_read += nest_diff_pages(&b->diff, DIFF_NOW);
	return rc;
}

/* A patch of the batch; its end is returned. */
static size_t patch_at(const struct become *b, size_t at, struct patch *patch, struct element_key *key,
                       struct cell *cell)
{
	const uint8_t *bytes = b->batch + at + sizeof *patch;

	memcpy(patch, b->batch + at, sizeof *patch);
	*key = (struct element_key){ .bytes = bytes, .len = patch->key_len };
	*cell = (struct cell){ bytes + patch->key_len, patch->cell_len };
	return at + sizeof *patch + patch->key_len + patch->cell_len;
}

/* Many removals in a row, between which nothing stays, are one. *end: the patch behind them. */
static int remove_stretch(struct become *b, size_t at, size_t *end)
{
	struct element_key key, first, last;
	struct row *row = b->top->row;
	struct patch patch;
	struct cell cell;
	struct place p;
	uint64_t low, high, n = 0;
	int rc;

	for (size_t to = at; to < b->used; n++, *end = to) {
		to = patch_at(b, to, &patch, &key, &cell);
		if (patch.what != REMOVE)
			break;
		last = key;
		if (n == 0)
			first = key;
	}
	if (n < STRETCH)
		return 1;
	rc = row_find(b->v, row);
	if (rc < 0)
		return rc;
	row_place(b->v, row, &p);
	rc = place_rank(&p, &first, &low);
	if (rc == 0)
		rc = place_rank(&p, &last, &high);
	if (rc != 0)
		return rc < 0 ? rc : not_there();
	return high - low + 1 == n ? write_clear(b->v, row, low, high + 1, &n) : 1;
}

static int apply_batch(struct become *b)
{
	struct level *l = b->top;
	size_t tried = 0;
	int rc = 0;

	for (size_t at = 0; at < b->used && rc == 0 && b->top == l;) {
		struct element_key key;
		struct patch patch;
		struct cell cell;
		size_t end = patch_at(b, at, &patch, &key, &cell);
		if (patch.what == REMOVE && at >= tried) {
			tried = end;
			rc = remove_stretch(b, at, &tried);
			if (rc == 0) {
				at = tried;
				rc = relieve(b);
				continue;
			}
		}
		if (rc >= 0)
			rc = patch.what == PUT    ? put(b, &key, &cell, false)
			     : patch.what == ENTER ? enter(b, &key, &cell)
			                           : write_del(b->v, l->row, &key);
		if (rc == 0 && patch.what == REMOVE)
			rc = relieve(b);
		if (rc == 1)
			rc = not_there();
		at = end;
	}
	return rc;
}

static int step_keyed(struct become *b)
{
	struct level *l = b->top;
	int more = take_batch(b), rc = more < 0 ? more : apply_batch(b);

	if (rc == 0 && more == 1 && b->top == l)
		end(b);
	return rc;
}

/* ---- By position ---- */

/* An embedded rope is short: all of it differs. */
static int take_all(struct level *l, uint64_t count)
{
	l->runs.runs = malloc(sizeof *l->runs.runs);
	if (!l->runs.runs)
		return error_system(ENOMEM, "comparing nested collections");
	l->runs.runs[0] = (struct seq_run){ .old_n = count, .now_n = place_count(&l->from) };
	l->runs.n = l->runs.cap = 1;
	return 0;
}

static int take_runs(struct become *b)
{
	struct level *l = b->top;
	struct nest_source mine, theirs;
	struct place p;
	int rc = row_find(b->v, l->row);

	if (rc < 0)
		return rc;
	row_place(b->v, l->row, &p);
	if (l->row->kind == DUR_ROPE && (!p.tree || !l->from.tree)) {
		rc = take_all(l, place_count(&p));
	} else if (l->row->kind == DUR_ROPE) {
		rc = seq_diff_make(&l->runs, &b->v->pager, p.tree, &b->snap->pager, l->from.tree,
		                   SEQ_ROPE);
	} else {
		changes_source(&mine, &p, &b->v->pager);
		changes_source(&theirs, &l->from, &b->snap->pager);
		rc = nest_diff_open(&b->diff, &mine, &theirs, NULL);
		if (rc == 0)
			rc = nest_diff_runs(&b->diff, &l->runs);
	}
	b->v->pages_read += l->runs.pages_read;
	l->low_len = 1; /* they are there */
	return rc;
}

/* The item of both at a position. */
static int replace_item(struct become *b, const struct element_key *key)
{
	struct level *l = b->top;
	struct cell mine, theirs;
	struct place p;
	int rc = row_find(b->v, l->row);

	if (rc < 0)
		return rc;
	row_place(b->v, l->row, &p);
	rc = place_get(&p, key, &mine);
	if (rc == 0)
		rc = place_get(&l->from, key, &theirs);
	if (rc != 0)
		return rc < 0 ? rc : not_there();
	rc = tree_cells_differ(&b->v->pager, &mine, &b->snap->pager, &theirs, &b->v->pages_read);
	if (rc <= 0)
		return rc;
	rc = goes_in(b, key, &mine, &theirs);
	return rc < 0 ? rc : rc == 1 ? enter(b, key, &theirs) : put(b, key, &theirs, false);
}

static int insert_item(struct become *b, const struct element_key *key)
{
	struct cell cell;
	int rc = place_get(&b->top->from, key, &cell);

	return rc == 0 ? put(b, key, &cell, true) : rc < 0 ? rc : not_there();
}

/* Bytes of the run from its done-th on, at most those of one piece: over what is there, or inserted. */
static int write_piece(struct become *b, const struct seq_run *run, bool over)
{
	struct level *l = b->top;
	uint64_t at = run->now_at + l->done, both = run->old_n < run->now_n ? run->old_n : run->now_n;
	uint64_t first, n, most = (over ? both : run->now_n) - l->done;
	const uint8_t *bytes;
	int rc = place_piece(&l->from, at, &first, &bytes, &n);

	if (rc < 0)
		return rc;
	bytes += at - first;
	n -= at - first;
	n = n < most ? n : most;
	l->done += n;
	rc = write_bytes(b->v, l->row, at, over ? n : 0, bytes, n);
	return rc < 0 ? rc : relieve(b);
}

/* One item or piece of the run, or all that is to be removed at its end. */
static int step_run(struct become *b, const struct seq_run *run)
{
	struct level *l = b->top;
	struct element_key key = { .position = run->now_at + l->done };
	uint64_t both = run->old_n < run->now_n ? run->old_n : run->now_n, n;
	bool over = l->done < both;
	int rc;

	if (l->done < run->now_n) {
		if (l->row->kind == DUR_ROPE)
			return write_piece(b, run, over);
		l->done++;
		return over ? replace_item(b, &key) : insert_item(b, &key);
	}
	l->run++;
	l->done = 0;
	if (run->old_n == both)
		return 0;
	rc = write_clear(b->v, l->row, run->now_at + both, run->now_at + run->old_n, &n);
	return rc < 0 ? rc : relieve(b);
}

static int step_positions(struct become *b)
{
	struct level *l = b->top;
	int rc = l->low_len ? 0 : take_runs(b);

	while (rc == 0 && b->top == l && l->run < l->runs.n)
		rc = step_run(b, &l->runs.runs[l->run]);
	if (rc == 0 && b->top == l)
		end(b);
	return rc;
}

/* ---- All of it ---- */

int become(dur_view *v, struct row *row, const struct place *from, bool may_spill, bool *changed)
{
	struct become *b = calloc(1, sizeof *b);
	int rc = 0;

	*changed = false;
	if (b)
		*b = (struct become){ .v = v, .snap = from->view, .may_spill = may_spill,
			              .batch = malloc(BATCH_BYTES) };
	if (!b || !b->batch)
		rc = error_system(ENOMEM, "comparing nested collections");
	if (rc == 0) {
		b->diff.flat = true;
		rc = begin(b, row, from, NULL);
	}
	while (rc == 0 && b->top)
		rc = kind_is_positional(b->top->row->kind) ? step_positions(b) : step_keyed(b);
	while (b && b->top)
		end(b);
	if (b) {
		*changed = b->changed;
		nest_diff_free(&b->diff);
		free(b->batch);
	}
	free(b);
	return rc < 0 && *changed ? write_bar(v, rc) : rc;
}

/* ---- Whether it pays ---- */

/* What lies below a page of which the transaction's tree says that it is younger than the snapshot. */
struct young {
	const struct page *page;
	unsigned next;
};

/* Entries in leaves that were written since; *refs: cells in some of them may name pages. */
static int count_young(const struct place *mine, uint64_t state, uint64_t *n, bool *refs)
{
	const struct pager *pager = &mine->view->pager;
	struct young way[TREE_DEPTH_MAX];
	unsigned level = mine->tree->depth - 1, top = level;
	uint64_t pages = atomic_load_explicit(&pager->file->pages, memory_order_relaxed);
	bool keyed = kind_is_keyed(mine->kind);
	int rc = 0;

	*n = mine->tree->root.birth > state ? mine->tree->count : 0;
	*refs = level == 0;
	if (*n == 0 || level == 0)
		return 0;
	*n = 0;
	rc = ref_page(pager, mine->kind, level, mine->tree->root, &way[level].page);
	way[level].next = 0;
	while (rc == 0) {
		struct young *y = &way[level];
		if (y->next == y->page->n) {
			if (level++ == top)
				break;
			continue;
		}
		struct node_child child = keyed ? node_child(y->page, y->next) : seq_child(y->page, y->next);
		y->next++;
		if (child.ptr.birth <= state)
			continue;
		if (level == 1) {
			*n += child.count;
			*refs |= child.runs;
			continue;
		}
		level--;
		way[level].next = 0;
		if (pages-- == 0)
			return tree_corrupt(child.ptr, "more pages hang below its tree than the file has");
		rc = ref_page(pager, mine->kind, level, child.ptr, &way[level].page);
	}
	return rc;
}

int become_pays(const struct place *mine, const struct place *from)
{
	uint64_t young;
	bool refs;
	int rc;

	if (!mine->tree || !from->tree) /* what is embedded is as soon written, but for what it names */
		return mine->kind != DUR_ROPE && (mine->tree || mine->cell.bytes[0] & NEST_REFS) &&
		       (from->tree || from->cell.bytes[0] & NEST_REFS);
	rc = count_young(mine, from->view->state, &young, &refs);
	if (rc < 0)
		return rc;
	return refs || (mine->tree->count - young) * 4 >= from->tree->count;
}
