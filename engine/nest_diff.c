/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame is one pair of collections. How it is stepped depends on what they are: keyed trees (by
 * tree_diff.h), keyed with one of them embedded (both sides entry by entry, merged by key), lists and
 * ropes (by spans of positions, then position by position).
 *
 * A frame owns copies of embedded cells and of the entries it compares: the pages that they came from
 * need not last while others are read.
 */
#include "engine/nest_diff.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/run.h"
#include "internal/error.h"

enum way { BY_TREES, BY_ENTRIES, BY_POSITION };

/* An embedded collection's cell and where its entries begin, so that they can be had from either end. */
struct embedded {
	size_t len;
	uint8_t cell[TREE_CELL_MAX];
	uint16_t n, at[TREE_CELL_MAX / 2];
};

/* One side of a frame that is stepped entry by entry. */
struct entries {
	bool there, is_tree, ended, loaded;
	struct embedded small;
	uint32_t next, end;             /* of small: entries still to come, [next, end) */
	struct cursor cursor;           /* else */
	bool begun;
	size_t key_len, cell_len;       /* the entry at the head */
	uint8_t key[TREE_KEY_MAX], cell[TREE_CELL_MAX];
};

/* A frame of lists. */
struct positions {
	bool is_tree[2];
	struct embedded small[2];
	struct tree tree[2];
	struct seq_diff runs;           /* of two trees; made with the first step */
	bool made;
	size_t next;                    /* run */
	struct seq_run run;             /* at hand; */
	uint64_t done;                  /* rows told of it */
};

struct nest_frame {
	struct pager pager[2];
	struct nest_way down;           /* of what is now: both would have to go round */
	uint32_t kind;
	enum way way;
	bool back;
	uint64_t pages[2];              /* read, not reported yet */
	/* where the change last told is */
	bool placed;                    /* a place was looked at */
	const uint8_t *key;
	size_t key_len;
	uint64_t at, now_at;
	/* the same, kept for nest_diff_again() */
	uint8_t place[TREE_KEY_MAX];
	size_t place_len;
	uint64_t place_at, place_now;
	/* what to look at: keys in [low, high), or of a list, places from one on */
	bool bounded_low, bounded_high;
	size_t low_len, high_len;
	uint8_t low[TREE_KEY_MAX + 1], high[TREE_KEY_MAX + 1];
	uint64_t from_at, from_now;
	bool from_behind;
	union {
		struct tree_diff trees;
		struct entries side[2];
		struct positions lists;
	};
};

/* ---- Sources ---- */

void nest_source_of(struct nest_source *source, const struct pager *pager, const struct cell *cell)
{
	*source = (struct nest_source){ .pager = pager, .kind = cell->bytes[0] & NEST_KIND };
	if (nest_is_embedded(cell->bytes)) {
		source->cell = cell->bytes;
		source->len = cell->len;
	} else {
		struct nest_tree tree;
		nest_tree_read(cell->bytes, &tree);
		source->tree = (struct tree){
			.root = tree.root,
			.count = tree.count,
			.depth = tree.depth,
			.class = CLASS_DATA,
		};
	}
}

static void embed(struct embedded *e, const struct nest_source *source)
{
	struct nest_entries it;
	struct nest_entry entry;

	e->len = source->len;
	e->n = 0;
	memcpy(e->cell, source->cell, source->len);
	nest_entries_open(&it, e->cell, e->len);
	while (nest_entries_next(&it, &entry) == 0)
		e->at[e->n++] = (uint16_t)entry.at;
}

static void embedded_entry(const struct embedded *e, unsigned i, struct nest_entry *entry)
{
	struct nest_entries it = {
		.cell = e->cell,
		.next = e->cell + e->at[i],
		.end = e->cell + e->len,
		.kind = e->cell[0] & NEST_KIND,
		.left = 1,
	};
	nest_entries_next(&it, entry);
}

/* A set's members have the cell that they have in a tree. */
static struct cell entry_cell(const struct nest_entry *entry)
{
	static const uint8_t member[1] = { DUR_NULL };

	return entry->cell ? (struct cell){ entry->cell, entry->cell_len }
	                   : (struct cell){ member, sizeof member };
}

/* ---- Entry by entry ---- */

static int compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

/* Entries of small within the frame's bounds. */
static void bound_small(const struct nest_frame *f, struct entries *s)
{
	struct nest_entry entry;

	s->next = 0;
	s->end = s->small.n;
	for (; s->next < s->end && f->bounded_low; s->next++) {
		embedded_entry(&s->small, s->next, &entry);
		if (compare(entry.key, entry.key_len, f->low, f->low_len) >= 0)
			break;
	}
	for (; s->end > s->next && f->bounded_high; s->end--) {
		embedded_entry(&s->small, s->end - 1, &entry);
		if (compare(entry.key, entry.key_len, f->high, f->high_len) < 0)
			break;
	}
}

static void entries_open(const struct nest_frame *f, struct entries *s, const struct pager *pager,
                         const struct nest_source *source)
{
	s->there = source->kind != 0;
	s->is_tree = s->there && !source->cell;
	s->loaded = s->begun = false;
	s->ended = !s->there;
	if (s->is_tree) {
		cursor_open(&s->cursor, pager, &source->tree);
	} else if (s->there) {
		embed(&s->small, source);
		bound_small(f, s);
	}
}

/* The tree's next entry, or its first. 0, or 1 at the end. */
static int move_cursor(const struct nest_frame *f, struct entries *s)
{
	const void *key;
	size_t len;
	int r;

	if (s->begun)
		r = f->back ? cursor_prev(&s->cursor) : cursor_next(&s->cursor);
	else if (f->back)
		r = f->bounded_high ? cursor_seek_before(&s->cursor, f->high, f->high_len)
		                    : cursor_last(&s->cursor);
	else
		r = f->bounded_low ? cursor_seek(&s->cursor, f->low, f->low_len)
		                   : cursor_first(&s->cursor);
	s->begun = true;
	if (r != 0)
		return r;
	cursor_entry(&s->cursor, &key, &len, NULL);
	if (f->back)
		return f->bounded_low && compare(key, len, f->low, f->low_len) < 0;
	return f->bounded_high && compare(key, len, f->high, f->high_len) >= 0;
}

/* The entry at the head of a side, as a copy. 0; at its end too: ended. */
static int load(struct nest_frame *f, unsigned side)
{
	struct entries *s = &f->side[side];
	const void *key;
	struct cell cell;

	if (s->loaded || s->ended)
		return 0;
	if (s->is_tree) {
		int r = move_cursor(f, s);
		s->ended = r != 0;
		if (r != 0)
			return r < 0 ? r : 0;
		cursor_entry(&s->cursor, &key, &s->key_len, &cell);
	} else {
		struct nest_entry entry;
		s->ended = s->next == s->end;
		if (s->ended)
			return 0;
		embedded_entry(&s->small, f->back ? --s->end : s->next++, &entry);
		key = entry.key;
		s->key_len = entry.key_len;
		cell = entry_cell(&entry);
	}
	memcpy(s->key, key, s->key_len);
	memcpy(s->cell, cell.bytes, cell.len);
	s->cell_len = cell.len;
	s->loaded = true;
	return 0;
}

static int next_entry(struct nest_frame *f, struct nest_change *change)
{
	struct entries *a = &f->side[DIFF_OLD], *b = &f->side[DIFF_NOW];
	int r = load(f, DIFF_OLD);

	if (r == 0)
		r = load(f, DIFF_NOW);
	if (r < 0 || (a->ended && b->ended))
		return r < 0 ? r : 1;
	int order = a->ended ? 1 : b->ended ? -1 : compare(a->key, a->key_len, b->key, b->key_len);
	if (f->back && !a->ended && !b->ended)
		order = -order;
	const struct entries *s = order <= 0 ? a : b;
	f->key = s->key;
	f->key_len = s->key_len;
	*change = (struct nest_change){ .copies = true };
	if (order <= 0) {
		change->old = (struct cell){ a->cell, (uint32_t)a->cell_len };
		a->loaded = false;
	}
	if (order >= 0) {
		change->now = (struct cell){ b->cell, (uint32_t)b->cell_len };
		b->loaded = false;
	}
	return 0;
}

/* ---- Keyed trees ---- */

static int next_key(struct nest_frame *f, struct nest_change *change)
{
	struct tree_change step;
	int r = tree_diff_next(&f->trees, &step);

	for (unsigned i = 0; i < 2; i++) {
		f->pages[i] += f->trees.side[i].pages_read;
		f->trees.side[i].pages_read = 0;
	}
	if (r != 0)
		return r;
	f->key = step.key;
	f->key_len = step.len;
	*change = (struct nest_change){ step.old, step.now, false };
	return 0;
}

/* ---- Lists ---- */

static int list_cell(const struct nest_frame *f, unsigned side, uint64_t at, struct cell *cell)
{
	const struct positions *l = &f->lists;
	struct nest_entry entry;

	if (l->is_tree[side]) {
		int r = list_get(&f->pager[side], &l->tree[side], at, cell);
		return r == 1 ? error_set(DUR_E_CORRUPT, "a list has fewer items than it says: run "
		                                         "`duramen check`")
		              : r;
	}
	embedded_entry(&l->small[side], (unsigned)at, &entry);
	*cell = (struct cell){ entry.cell, entry.cell_len };
	return 0;
}

/* Whether the items at two positions have the same cells. 1: they do. */
static int same_item(struct nest_frame *f, uint64_t old, uint64_t now)
{
	struct cell a, b;
	int r = list_cell(f, DIFF_OLD, old, &a);

	if (r == 0)
		r = list_cell(f, DIFF_NOW, now, &b);
	if (r == 0)
		r = tree_cells_differ(&f->pager[DIFF_OLD], &a, &f->pager[DIFF_NOW], &b,
		                      &f->pages[DIFF_OLD]);
	return r < 0 ? r : r == 0;
}

/* What is left of two lists without what they begin and end with in common. */
static int trim(struct nest_frame *f, struct seq_run *s)
{
	int r = 1;

	while (s->old_n && s->now_n && (r = same_item(f, s->old_at, s->now_at)) == 1) {
		s->old_at++;
		s->now_at++;
		s->old_n--;
		s->now_n--;
	}
	while (r >= 0 && s->old_n && s->now_n &&
	       (r = same_item(f, s->old_at + s->old_n - 1, s->now_at + s->now_n - 1)) == 1) {
		s->old_n--;
		s->now_n--;
	}
	return r < 0 ? r : 0;
}

static void side_open(struct positions *l, unsigned side, const struct nest_source *source)
{
	l->is_tree[side] = !source->cell;
	l->tree[side] = source->tree;
	if (source->cell)
		embed(&l->small[side], source);
}

static uint64_t side_count(const struct positions *l, unsigned side)
{
	return l->is_tree[side] ? l->tree[side].count : l->small[side].n;
}

static void positions_open(struct nest_frame *f, const struct nest_source *old,
                           const struct nest_source *now)
{
	struct positions *l = &f->lists;

	l->runs = (struct seq_diff){ 0 };
	l->made = false;
	l->next = 0;
	l->done = 0;
	l->run = (struct seq_run){ 0 };
	side_open(l, DIFF_OLD, old);
	side_open(l, DIFF_NOW, now);
}

/* Two trees are compared by what they share, else item by item. */
static int make_runs(struct nest_frame *f)
{
	struct positions *l = &f->lists;
	int r;

	l->made = true;
	if (l->is_tree[DIFF_OLD] && l->is_tree[DIFF_NOW]) {
		r = seq_diff_make(&l->runs, &f->pager[DIFF_OLD], &l->tree[DIFF_OLD],
		                  &f->pager[DIFF_NOW], &l->tree[DIFF_NOW], SEQ_LIST);
		f->pages[DIFF_OLD] += l->runs.pages_read;
		return r;
	}
	l->run.old_n = side_count(l, DIFF_OLD);
	l->run.now_n = side_count(l, DIFF_NOW);
	return trim(f, &l->run);
}

/* Rows that were told before this diff began anew. */
static bool is_past(const struct nest_frame *f)
{
	if (!f->bounded_low || f->now_at > f->from_now)
		return false;
	return f->now_at < f->from_now || f->at < f->from_at ||
	       (f->at == f->from_at && f->from_behind);
}

static int next_position(struct nest_frame *f, struct nest_change *change)
{
	struct positions *l = &f->lists;
	int r = l->made ? 0 : make_runs(f);

	do {
		const struct seq_run *run = &l->run;
		uint64_t both = run->old_n < run->now_n ? run->old_n : run->now_n;
		uint64_t n = run->old_n + run->now_n - both;

		if (r < 0)
			return r;
		if (l->done == n) {
			if (l->next == l->runs.n)
				return 1;
			l->run = l->runs.runs[l->next++];
			l->done = 0;
			f->at = UINT64_MAX;
			continue;
		}
		uint64_t i = l->done++;
		bool old = i < run->old_n, now = i < run->now_n;
		f->now_at = run->now_at + (now ? i : run->now_n);
		f->at = now ? f->now_at : run->old_at + i;
		*change = (struct nest_change){ .copies = !l->is_tree[0] || !l->is_tree[1] };
		if (old)
			r = list_cell(f, DIFF_OLD, run->old_at + i, &change->old);
		if (r == 0 && now)
			r = list_cell(f, DIFF_NOW, run->now_at + i, &change->now);
	} while (r < 0 || f->at == UINT64_MAX || is_past(f));
	return 0;
}

/* Whether a rope with a tree holds what an embedded one does. 1: it does. */
static int rope_is(struct nest_frame *f, const struct nest_source *small, unsigned side,
                   const struct tree *tree)
{
	uint8_t bytes[TREE_CELL_MAX];
	uint64_t got;
	int r;

	if (tree->count != small->len - 1)
		return 0;
	r = rope_read(&f->pager[side], tree, 0, bytes, tree->count, &got);
	return r < 0 ? r : got == tree->count && memcmp(bytes, small->cell + 1, got) == 0;
}

/* Whether two ropes hold other bytes. 0: they do, 1: not. */
static int ropes_differ(struct nest_frame *f, const struct nest_source *old,
                        const struct nest_source *now)
{
	struct seq_diff runs = { 0 };
	int r;

	if (old->cell && now->cell)
		return old->len == now->len && memcmp(old->cell, now->cell, old->len) == 0;
	if (old->cell || now->cell)
		return rope_is(f, old->cell ? old : now, old->cell ? DIFF_NOW : DIFF_OLD,
		               old->cell ? &now->tree : &old->tree);
	r = seq_diff_make(&runs, &f->pager[DIFF_OLD], &old->tree, &f->pager[DIFF_NOW], &now->tree,
	                  SEQ_ROPE);
	f->pages[DIFF_OLD] += runs.pages_read;
	r = r < 0 ? r : runs.n == 0;
	seq_diff_free(&runs);
	return r;
}

/* ---- Frames ---- */

/* Begins at the place noted in the frame, or behind it. */
static void narrow(struct nest_frame *f, bool behind)
{
	uint8_t *bound = f->back ? f->high : f->low;
	size_t *len = f->back ? &f->high_len : &f->low_len;

	if (f->kind == DUR_LIST) {
		f->from_at = f->place_at;
		f->from_now = f->place_now;
		f->from_behind = behind;
		f->bounded_low = true;
		return;
	}
	memcpy(bound, f->place, f->place_len);
	*len = f->place_len;
	if (f->back != behind) { /* nothing lies between a key and that key with 00 behind it */
		bound[f->place_len] = 0;
		++*len;
	}
	*(f->back ? &f->bounded_high : &f->bounded_low) = true;
}

static void take_bounds(struct nest_frame *f, const struct tree_bounds *bounds)
{
	f->bounded_low = bounds->from != NULL;
	f->bounded_high = bounds->to != NULL;
	f->low_len = bounds->from ? bounds->from_len : 0;
	f->high_len = bounds->to ? bounds->to_len : 0;
	if (bounds->from)
		memcpy(f->low, bounds->from, bounds->from_len);
	if (bounds->to)
		memcpy(f->high, bounds->to, bounds->to_len);
}

/* A frame on top; its contents are of a former use. */
static int take_frame(struct nest_diff *d, struct nest_frame **frame)
{
	if (d->depth == d->made) {
		if (d->made == d->cap) {
			uint32_t cap = d->cap ? 2 * d->cap : 4;
			struct nest_frame **grown = realloc(d->frames, cap * sizeof(struct nest_frame *));
			if (!grown)
				return error_system(ENOMEM, "comparing nested collections");
			d->frames = grown;
			d->cap = cap;
		}
		d->frames[d->made] = malloc(sizeof **d->frames);
		if (!d->frames[d->made])
			return error_system(ENOMEM, "comparing nested collections");
		d->made++;
	}
	*frame = d->frames[d->depth];
	return 0;
}

static int push(struct nest_diff *d, const struct nest_source *old, const struct nest_source *now,
                const struct tree_bounds *bounds)
{
	struct nest_frame *f = NULL;
	int r = take_frame(d, &f);

	if (r < 0)
		return r;
	f->down = d->depth ? d->frames[d->depth - 1]->down : (struct nest_way){ 0 };
	if (now->kind && !now->cell)
		r = nest_way_enter(&f->down, now->tree.root);
	if (r < 0)
		return r;
	f->kind = old->kind ? old->kind : now->kind;
	f->pager[DIFF_OLD] = *old->pager;
	f->pager[DIFF_NOW] = *now->pager;
	f->back = d->back;
	f->pages[DIFF_OLD] = f->pages[DIFF_NOW] = 0;
	f->placed = false;
	f->key_len = 0;
	take_bounds(f, bounds);
	if (d->resume > d->depth)
		narrow(f, d->resume == d->depth + 1);
	if (f->kind == DUR_LIST) {
		f->way = BY_POSITION;
		positions_open(f, old, now);
	} else if (old->cell || now->cell) {
		f->way = BY_ENTRIES;
		entries_open(f, &f->side[DIFF_OLD], &f->pager[DIFF_OLD], old);
		entries_open(f, &f->side[DIFF_NOW], &f->pager[DIFF_NOW], now);
	} else {
		f->way = BY_TREES;
		r = tree_diff_open(&f->trees, &f->pager[DIFF_OLD], &old->tree, &f->pager[DIFF_NOW],
		                   &now->tree, &(struct tree_bounds){
			.from = f->bounded_low ? f->low : NULL, .from_len = f->low_len,
			.to = f->bounded_high ? f->high : NULL, .to_len = f->high_len,
			.back = f->back,
		});
	}
	d->depth += r == 0;
	return r;
}

static void pop(struct nest_diff *d)
{
	struct nest_frame *f = d->frames[--d->depth];

	for (unsigned i = 0; i < 2; i++)
		d->pages_read[i] += f->pages[i];
	if (f->way == BY_POSITION)
		seq_diff_free(&f->lists.runs);
}

/* ---- Steps ---- */

static int frame_next(struct nest_frame *f, struct nest_change *change)
{
	switch (f->way) {
	case BY_TREES:
		return next_key(f, change);
	case BY_ENTRIES:
		return next_entry(f, change);
	case BY_POSITION:
		return next_position(f, change);
	}
	return 1;
}

/* Both cells are there: gone into, equal (1), or a change (0). */
static int compare_cells(struct nest_diff *d, struct nest_frame *f, struct nest_change *change,
                         bool *entered)
{
	const struct cell *old = &change->old, *now = &change->now;
	struct nest_source a, b;

	*entered = false;
	if (nest_is_collection(old->bytes) && nest_is_collection(now->bytes) &&
	    (old->bytes[0] & NEST_KIND) == (now->bytes[0] & NEST_KIND)) {
		if (old->len == now->len && memcmp(old->bytes, now->bytes, old->len) == 0)
			return 1;
		if (d->flat)
			return 0;
		nest_source_of(&a, &f->pager[DIFF_OLD], old);
		nest_source_of(&b, &f->pager[DIFF_NOW], now);
		if (a.kind == DUR_ROPE)
			return ropes_differ(f, &a, &b);
		*entered = true;
		return push(d, &a, &b, &(struct tree_bounds){ 0 });
	}
	int r = tree_cells_differ(&f->pager[DIFF_OLD], old, &f->pager[DIFF_NOW], now,
	                          &f->pages[DIFF_OLD]);
	return r < 0 ? r : r == 0;
}

/* Whether the frame is where the last diff was: then what lies below begins where that was, too. */
static bool at_place(const struct nest_frame *f)
{
	return f->kind == DUR_LIST ? f->at == f->place_at && f->now_at == f->place_now
	                           : f->key_len == f->place_len &&
	                             memcmp(f->key, f->place, f->key_len) == 0;
}

int nest_diff_next(struct nest_diff *d, struct nest_change *change)
{
	while (d->depth) {
		struct nest_frame *f = d->frames[d->depth - 1];
		bool entered = false;
		int r = frame_next(f, change);

		if (r == 1) {
			pop(d);
			d->resume = 0;
			continue;
		}
		f->placed = r == 0;
		if (r == 0 && d->resume && !at_place(f))
			d->resume = 0;
		if (r == 0 && change->old.bytes && change->now.bytes)
			r = compare_cells(d, f, change, &entered);
		if (r == 0 && !entered)
			d->resume = 0;
		if (r < 0 || (r == 0 && !entered))
			return r;
	}
	return 1;
}

/* ---- Beginning ---- */

int nest_diff_open(struct nest_diff *d, const struct nest_source *old, const struct nest_source *now,
                   const struct tree_bounds *bounds)
{
	static const struct tree_bounds all;

	while (d->depth)
		pop(d);
	d->resume = 0;
	d->back = bounds && bounds->back;
	return push(d, old, now, bounds ? bounds : &all);
}

int nest_diff_runs(struct nest_diff *d, struct seq_diff *runs)
{
	struct positions *l = &d->frames[0]->lists;
	int r = make_runs(d->frames[0]);

	*runs = l->runs;
	l->runs = (struct seq_diff){ 0 };
	if (r < 0 || (l->run.old_n == 0 && l->run.now_n == 0))
		return r;
	/* of an embedded list it is one */
	runs->runs = malloc(sizeof *runs->runs);
	if (!runs->runs)
		return error_system(ENOMEM, "comparing nested collections");
	runs->runs[0] = l->run;
	runs->n = runs->cap = 1;
	return 0;
}

int nest_diff_again(struct nest_diff *d, const struct nest_source *old, const struct nest_source *now)
{
	struct nest_frame *top = d->frames[0];
	uint8_t low[TREE_KEY_MAX + 1], high[TREE_KEY_MAX + 1];
	struct tree_bounds bounds = {
		.from = top->bounded_low ? low : NULL, .from_len = top->low_len,
		.to = top->bounded_high ? high : NULL, .to_len = top->high_len,
		.back = d->back,
	};

	memcpy(low, top->low, top->low_len);
	memcpy(high, top->high, top->high_len);
	/* at its end all has been told up to the outermost place that was looked at last */
	for (d->resume = 0; d->resume < d->depth || d->resume < 1; d->resume++) {
		struct nest_frame *f = d->frames[d->resume];
		if (!f->placed)
			break;
		memcpy(f->place, f->key, f->key_len);
		f->place_len = f->key_len;
		f->place_at = f->at;
		f->place_now = f->now_at;
	}
	while (d->depth)
		pop(d);
	return push(d, old, now, &bounds);
}

void nest_diff_step(const struct nest_diff *d, uint32_t i, struct nest_step *step)
{
	const struct nest_frame *f = d->frames[i];

	*step = (struct nest_step){ .kind = f->kind };
	if (f->kind == DUR_LIST) {
		step->at = f->at;
		step->now_at = f->now_at;
	} else {
		step->key = f->key;
		step->len = f->key_len;
	}
}

uint64_t nest_diff_pages(struct nest_diff *d, unsigned side)
{
	uint64_t n = d->pages_read[side];

	d->pages_read[side] = 0;
	for (uint32_t i = 0; i < d->depth; i++) {
		n += d->frames[i]->pages[side];
		d->frames[i]->pages[side] = 0;
	}
	return n;
}

void nest_diff_free(struct nest_diff *d)
{
	while (d->depth)
		pop(d);
	for (uint32_t i = 0; i < d->made; i++)
		free(d->frames[i]);
	free(d->frames);
	*d = (struct nest_diff){ 0 };
}
