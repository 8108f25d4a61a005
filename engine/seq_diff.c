/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Level by level, from the roots down. Of each tree there is a sequence of subtrees of one height
 * that are not known to be in both; they stand in gaps, between what is. In each gap those that are
 * in both are found: at its two ends, and between them those that occur once on each side, as far
 * as they are in the same order (as patience diff does with lines). What is left makes smaller
 * gaps, whose subtrees' children are the next level's. Items are matched in the same way in the
 * end, by hashes of their cells; of ropes only the ends of a gap are.
 *
 * What a gap holds is copied from the pages: those of packed states do not last while others are
 * read.
 */
#include "engine/seq_diff.h"

#include <stdlib.h>

#include "engine/grow.h"
#include "engine/hash.h"
#include "engine/seq_private.h"

enum {
	SIDES = 2,
	LEVEL_MOST = 1 << 18,           /* subtrees to be entered at a level; what is beyond is not */
	GAP_LEAVES = 256,               /* a gap with more leaves is not looked into for items */
};

/* A subtree, or an item (count 1); equal ids are the same. */
struct thing {
	uint64_t id[2];
	uint64_t count;
};

struct side {
	const struct pager *pager;
	int level;                      /* of the things */
	struct thing *things, *fresh;   /* this level's, and the next one's being made */
	size_t n, n_fresh, cap, cap_fresh;
};

/* Things [from, to) of each side and where they begin in the trees. */
struct gap {
	size_t from[SIDES], to[SIDES];
	uint64_t at[SIDES];
};

struct pair {
	size_t a, b;                    /* things that match */
	size_t before;                  /* in the chain found so far; SIZE_MAX: none */
};

struct work {
	struct seq_diff *diff;
	enum seq_kind kind;
	struct side side[SIDES];
	struct gap *gaps, *fresh;
	size_t n_gaps, n_fresh, cap_gaps, cap_fresh;
	struct pair *pairs;             /* of the gap at hand */
	size_t cap_pairs, *tops, cap_tops;
	struct order *order;
	size_t cap_order;
};

static const char doing[] = "comparing two lists or ropes";

static bool same(const struct thing *a, const struct thing *b)
{
	return a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

/* ---- Results ---- */

static int add_run(struct work *w, uint64_t old_at, uint64_t old_n, uint64_t now_at, uint64_t now_n)
{
	struct seq_diff *d = w->diff;
	if (old_n == 0 && now_n == 0)
		return 0;
	int r = grow_array(&d->runs, &d->cap, d->n + 1, sizeof *d->runs, doing);
	if (!r)
		d->runs[d->n++] = (struct seq_run){ old_at, old_n, now_at, now_n };
	return r;
}

static uint64_t count_of(const struct side *s, size_t from, size_t to)
{
	uint64_t n = 0;
	while (from < to)
		n += s->things[from++].count;
	return n;
}

static int add_gap(struct work *w, const struct gap *gap)
{
	if (gap->from[0] == gap->to[0] && gap->from[1] == gap->to[1])
		return 0;
	/* With nothing on one side there is nothing to be found. */
	if (gap->from[0] == gap->to[0] || gap->from[1] == gap->to[1])
		return add_run(w, gap->at[0], count_of(&w->side[0], gap->from[0], gap->to[0]),
		               gap->at[1], count_of(&w->side[1], gap->from[1], gap->to[1]));
	int r = grow_array(&w->fresh, &w->cap_fresh, w->n_fresh + 1, sizeof *w->fresh, doing);
	if (!r)
		w->fresh[w->n_fresh++] = *gap;
	return r;
}

/* ---- Matching within a gap ---- */

/* A thing's place, in the order of ids. */
struct order {
	const struct thing *thing;
	size_t at;
	unsigned side;
};

static int by_id(const void *x, const void *y)
{
	const struct order *a = x, *b = y;
	for (unsigned i = 0; i < 2; i++)
		if (a->thing->id[i] != b->thing->id[i])
			return a->thing->id[i] < b->thing->id[i] ? -1 : 1;
	return 0;
}

static int by_place(const void *x, const void *y)
{
	const struct pair *a = x, *b = y;
	return (a->a > b->a) - (a->a < b->a);
}

/* Things that are there once on each side, in the order of the first. */
static int find_pairs(struct work *w, const struct gap *g, size_t *n_pairs)
{
	size_t n = 0, total = g->to[0] - g->from[0] + g->to[1] - g->from[1];
	int r = grow_array(&w->order, &w->cap_order, total, sizeof *w->order, doing);
	if (!r)
		r = grow_array(&w->pairs, &w->cap_pairs, total, sizeof *w->pairs, doing);
	if (!r)
		r = grow_array(&w->tops, &w->cap_tops, total, sizeof *w->tops, doing);
	if (r)
		return r;
	for (unsigned side = 0; side < SIDES; side++)
		for (size_t i = g->from[side]; i < g->to[side]; i++)
			w->order[n++] = (struct order){ &w->side[side].things[i], i, side };
	qsort(w->order, n, sizeof *w->order, by_id);
	*n_pairs = 0;
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && same(w->order[i].thing, w->order[end].thing);)
			end++;
		if (end != i + 2 || w->order[i].side == w->order[i + 1].side)
			continue;
		const struct order *a = &w->order[i + w->order[i].side];
		const struct order *b = &w->order[i + !w->order[i].side];
		w->pairs[(*n_pairs)++] = (struct pair){ a->at, b->at, SIZE_MAX };
	}
	qsort(w->pairs, *n_pairs, sizeof *w->pairs, by_place);
	return 0;
}

/*
 * The longest chain of pairs that ascend on both sides: tops[k] is the lowest end of a chain of k +
 * 1. The chain's pairs are moved to the front; returns how many there are.
 */
static size_t chain_pairs(struct work *w, size_t n)
{
	size_t longest = 0;
	for (size_t i = 0; i < n; i++) {
		size_t low = 0, high = longest;
		while (low < high) {
			size_t mid = (low + high) / 2;
			if (w->pairs[w->tops[mid]].b < w->pairs[i].b)
				low = mid + 1;
			else
				high = mid;
		}
		w->pairs[i].before = low ? w->tops[low - 1] : SIZE_MAX;
		w->tops[low] = i;
		longest += low == longest;
	}
	/* Backwards along the chain; tops are used again for its places. */
	size_t at = longest ? w->tops[longest - 1] : SIZE_MAX;
	for (size_t k = longest; k-- > 0; at = w->pairs[at].before)
		w->tops[k] = at;
	for (size_t k = 0; k < longest; k++)
		w->pairs[k] = w->pairs[w->tops[k]];
	return longest;
}

/* Passes what is the same at the gap's two ends. */
static void trim(const struct work *w, struct gap *g)
{
	const struct thing *a = w->side[0].things, *b = w->side[1].things;
	while (g->from[0] < g->to[0] && g->from[1] < g->to[1] &&
	       same(&a[g->from[0]], &b[g->from[1]])) {
		g->at[0] += a[g->from[0]++].count;
		g->at[1] += b[g->from[1]++].count;
	}
	while (g->from[0] < g->to[0] && g->from[1] < g->to[1] &&
	       same(&a[g->to[0] - 1], &b[g->to[1] - 1])) {
		g->to[0]--;
		g->to[1]--;
	}
}

/* What is not the same in a gap becomes gaps of the next level. */
static int match(struct work *w, struct gap gap)
{
	size_t n;
	trim(w, &gap);
	if (gap.from[0] == gap.to[0] || gap.from[1] == gap.to[1])
		return add_gap(w, &gap);
	int r = find_pairs(w, &gap, &n);
	if (r)
		return r;
	n = chain_pairs(w, n);
	for (size_t i = 0; i <= n && !r; i++) {
		struct gap part = gap;
		part.to[0] = i < n ? w->pairs[i].a : gap.to[0];
		part.to[1] = i < n ? w->pairs[i].b : gap.to[1];
		for (unsigned side = 0; side < SIDES; side++) {
			gap.at[side] += count_of(&w->side[side], part.from[side], part.to[side]);
			gap.from[side] = part.to[side];
		}
		struct gap inner = part;
		trim(w, &inner);
		r = add_gap(w, &inner);
		if (i == n)
			break;
		for (unsigned side = 0; side < SIDES; side++)
			gap.at[side] += w->side[side].things[gap.from[side]++].count;
	}
	return r;
}

static int match_all(struct work *w)
{
	int r = 0;
	w->n_fresh = 0;
	for (size_t i = 0; i < w->n_gaps && !r; i++)
		r = match(w, w->gaps[i]);
	struct gap *gaps = w->gaps;
	size_t cap = w->cap_gaps;
	w->gaps = w->fresh;
	w->cap_gaps = w->cap_fresh;
	w->n_gaps = w->n_fresh;
	w->fresh = gaps;
	w->cap_fresh = cap;
	return r;
}

/* ---- A level down ---- */

static int add_thing(struct side *s, const struct thing *thing)
{
	int r = grow_array(&s->fresh, &s->cap_fresh, s->n_fresh + 1, sizeof *s->fresh, doing);
	if (!r)
		s->fresh[s->n_fresh++] = *thing;
	return r;
}

/* The children of a subtree, or the items of a leaf. */
static int open_thing(struct work *w, struct side *s, const struct thing *thing)
{
	const struct page_ptr ptr = { .no = thing->id[0], .birth = thing->id[1] };
	const struct page *page;
	uint64_t count;
	bool refs;
	int r = seq_page(s->pager, ptr, w->kind, (unsigned)s->level, &page);
	if (r)
		return r;
	w->diff->pages_read++;
	seq_sum(page, &count, &refs);
	if (count != thing->count)
		return tree_corrupt(ptr, "the number of items below it is not what its parent says");
	for (unsigned i = 0; i < page->n && !r; i++) {
		struct thing t = { .count = 1 };
		if (s->level > 0) {
			struct node_child child = seq_child(page, i);
			t = (struct thing){ { child.ptr.no, child.ptr.birth }, child.count };
		} else if (w->kind == SEQ_LIST) {
			struct cell cell = seq_cell(page, i);
			t.id[0] = hash64(cell.bytes, cell.len, 0);
			t.id[1] = hash64(cell.bytes, cell.len, ~(uint64_t)0);
		} else {
			t.id[0] = seq_rope_bytes(page)[i];
		}
		r = add_thing(s, &t);
	}
	return r;
}

static void swap_things(struct side *s)
{
	struct thing *things = s->things;
	size_t cap = s->cap;
	s->things = s->fresh;
	s->cap = s->cap_fresh;
	s->fresh = things;
	s->cap_fresh = cap;
}

/* Of one side: what its gaps hold gives way to what is in it. */
static int open_side(struct work *w, unsigned which)
{
	struct side *s = &w->side[which];
	int r = 0;
	s->n_fresh = 0;
	for (size_t i = 0; i < w->n_gaps && !r; i++) {
		struct gap *g = &w->gaps[i];
		size_t from = s->n_fresh;
		for (size_t k = g->from[which]; k < g->to[which] && !r; k++)
			r = open_thing(w, s, &s->things[k]);
		g->from[which] = from;
		g->to[which] = s->n_fresh;
	}
	swap_things(s);
	s->n = s->n_fresh;
	s->level--;
	return r;
}

/* ---- All of it ---- */

/* A gap whose things are not looked into. */
static int give_up(struct work *w, const struct gap *g)
{
	return add_run(w, g->at[0], count_of(&w->side[0], g->from[0], g->to[0]), g->at[1],
	               count_of(&w->side[1], g->from[1], g->to[1]));
}

/* Gaps that would take too much memory are runs as they are. */
static int close_large(struct work *w)
{
	size_t n = 0, most = w->side[0].level > 0 ? LEVEL_MOST :
	                     w->kind == SEQ_LIST  ? GAP_LEAVES : GAP_LEAVES / 8;
	int r = 0;
	for (size_t i = 0, total = 0; i < w->n_gaps && !r; i++) {
		const struct gap *g = &w->gaps[i];
		size_t old = g->to[0] - g->from[0], now = g->to[1] - g->from[1];
		total += old + now;
		if (old <= most && now <= most && total <= LEVEL_MOST)
			w->gaps[n++] = *g;
		else
			r = give_up(w, g);
	}
	w->n_gaps = n;
	return r;
}

/* What is left of items: as many on both sides stand for each other. */
static int compare_items(struct work *w, const struct gap *g)
{
	const struct thing *a = w->side[0].things + g->from[0];
	const struct thing *b = w->side[1].things + g->from[1];
	size_t n = g->to[0] - g->from[0], from, to = 0;
	int r = 0;
	if (n != g->to[1] - g->from[1])
		return give_up(w, g);
	while (!r && to < n) {
		for (from = to; from < n && same(&a[from], &b[from]);)
			from++;
		for (to = from; to < n && !same(&a[to], &b[to]);)
			to++;
		r = add_run(w, g->at[0] + from, to - from, g->at[1] + from, to - from);
	}
	return r;
}

static int by_position(const void *x, const void *y)
{
	const struct seq_run *a = x, *b = y;
	if (a->old_at != b->old_at)
		return a->old_at < b->old_at ? -1 : 1;
	return (a->now_at > b->now_at) - (a->now_at < b->now_at);
}

/* In order, and those that meet are one. */
static void sort_runs(struct seq_diff *d)
{
	size_t n = 0;
	if (d->n)
		qsort(d->runs, d->n, sizeof *d->runs, by_position);
	for (size_t i = 0; i < d->n; i++) {
		struct seq_run *last = n ? &d->runs[n - 1] : NULL, *run = &d->runs[i];
		if (last && last->old_at + last->old_n == run->old_at &&
		    last->now_at + last->now_n == run->now_at) {
			last->old_n += run->old_n;
			last->now_n += run->now_n;
		} else {
			d->runs[n++] = *run;
		}
	}
	d->n = n;
}

/* The items of a gap's leaves. */
static int compare_leaves(struct work *w, const struct gap *g)
{
	struct gap items = { .at = { g->at[0], g->at[1] } };
	int r = 0;
	for (unsigned side = 0; side < SIDES; side++) {
		struct side *s = &w->side[side];
		s->n_fresh = 0;
		for (size_t k = g->from[side]; k < g->to[side] && !r; k++)
			r = open_thing(w, s, &s->things[k]);
		items.to[side] = s->n_fresh;
	}
	if (r)
		return r;
	swap_things(&w->side[0]);
	swap_things(&w->side[1]);
	w->n_fresh = 0;
	if (w->kind == SEQ_LIST) {
		r = match(w, items);
	} else {
		trim(w, &items);
		r = add_gap(w, &items);
	}
	for (size_t i = 0; i < w->n_fresh && !r; i++)
		r = compare_items(w, &w->fresh[i]);
	swap_things(&w->side[0]);
	swap_things(&w->side[1]);
	return r;
}

static int descend(struct work *w)
{
	struct side *a = &w->side[0], *b = &w->side[1];
	int r = 0;
	while (!r && w->n_gaps && a->level != b->level)
		r = open_side(w, a->level < b->level);
	for (;;) {
		if (!r)
			r = match_all(w);
		if (!r)
			r = close_large(w);
		if (r || !w->n_gaps || a->level == 0)
			break;
		for (unsigned side = 0; side < SIDES && !r; side++)
			r = open_side(w, side);
	}
	for (size_t i = 0; i < w->n_gaps && !r; i++)
		r = compare_leaves(w, &w->gaps[i]);
	return r;
}

static int side_open(struct side *s, const struct pager *pager, const struct tree *tree)
{
	const struct thing root = { { tree->root.no, tree->root.birth }, tree->count };
	int r = seq_shape(tree);
	s->pager = pager;
	s->level = (int)tree->depth - 1;
	if (!r && tree->depth)
		r = add_thing(s, &root);
	swap_things(s);
	s->n = s->n_fresh;
	return r;
}

int seq_diff_make(struct seq_diff *diff, const struct pager *old_pager, const struct tree *old,
                  const struct pager *now_pager, const struct tree *now, enum seq_kind kind)
{
	struct work w = { .diff = diff, .kind = kind };
	*diff = (struct seq_diff){ 0 };
	int r = side_open(&w.side[0], old_pager, old);
	if (!r)
		r = side_open(&w.side[1], now_pager, now);
	if (!r)
		r = add_gap(&w, &(struct gap){ .to = { w.side[0].n, w.side[1].n } });
	w.gaps = w.fresh;
	w.n_gaps = w.n_fresh;
	w.cap_gaps = w.cap_fresh;
	w.fresh = NULL;
	w.cap_fresh = 0;
	if (!r)
		r = descend(&w);
	sort_runs(diff);
	for (unsigned i = 0; i < SIDES; i++) {
		free(w.side[i].things);
		free(w.side[i].fresh);
	}
	free(w.gaps);
	free(w.fresh);
	free(w.pairs);
	free(w.tops);
	free(w.order);
	return r;
}

void seq_diff_free(struct seq_diff *diff)
{
	free(diff->runs);
	*diff = (struct seq_diff){ 0 };
}
