/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A treap (Seidel and Aragon, 1996) in one array, by split and join; `longest` is kept as the maximum over
 * the subtree. Depth is logarithmic with overwhelming probability, so recursion on it is safe: priorities
 * come from our own generator, never from a file.
 */
#include "engine/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void runs_init(struct runs *runs)
{
	*runs = (struct runs){ .seed = 0x9e3779b97f4a7c15u };
}

void runs_free(struct runs *runs)
{
	free(runs->nodes);
	runs_init(runs);
}

void runs_clear(struct runs *runs)
{
	runs->n_nodes = runs->free_node = runs->root = runs->count = 0;
	runs->total = 0;
}

/* xorshift64*: priorities need no more. */
static uint32_t priority(struct runs *runs)
{
	runs->seed ^= runs->seed >> 12;
	runs->seed ^= runs->seed << 25;
	runs->seed ^= runs->seed >> 27;
	return (uint32_t)(runs->seed * 0x2545f4914f6cdd1du >> 32);
}

/* Makes sure that two more nodes can be had without failing. */
static int reserve(struct runs *runs)
{
	if (runs->n_nodes + 3 > runs->cap_nodes) {
		uint32_t cap = runs->cap_nodes ? runs->cap_nodes * 2 : 64;
		struct runs_node *grown = realloc(runs->nodes, cap * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		memset(grown + runs->cap_nodes, 0, (cap - runs->cap_nodes) * sizeof *grown);
		runs->nodes = grown;
		runs->cap_nodes = cap;
	}
	return 0;
}

static uint32_t node_new(struct runs *runs, uint64_t start, uint64_t n, uint64_t payload)
{
	uint32_t i = runs->free_node;

	if (i)
		runs->free_node = runs->nodes[i].left;
	else
		i = ++runs->n_nodes; /* 0 stands for none */
	runs->nodes[i] = (struct runs_node){ .start = start, .n = n, .longest = n, .payload = payload,
		.priority = priority(runs) };
	runs->count++;
	runs->total += n;
	return i;
}

static void node_drop(struct runs *runs, uint32_t i)
{
	runs->total -= runs->nodes[i].n;
	runs->count--;
	runs->nodes[i].left = runs->free_node;
	runs->free_node = i;
}

static void update(struct runs_node *nodes, uint32_t i)
{
	struct runs_node *x = &nodes[i];

	x->longest = x->n;
	if (x->left && nodes[x->left].longest > x->longest)
		x->longest = nodes[x->left].longest;
	if (x->right && nodes[x->right].longest > x->longest)
		x->longest = nodes[x->right].longest;
}

/* Splits into starts below key and starts from key on. */
static void split(struct runs_node *nodes, uint32_t i, uint64_t key, uint32_t *low, uint32_t *high)
{
	if (!i) {
		*low = *high = 0;
	} else if (nodes[i].start < key) {
		split(nodes, nodes[i].right, key, &nodes[i].right, high);
		*low = i;
		update(nodes, i);
	} else {
		split(nodes, nodes[i].left, key, low, &nodes[i].left);
		*high = i;
		update(nodes, i);
	}
}

static uint32_t join(struct runs_node *nodes, uint32_t low, uint32_t high)
{
	if (!low || !high)
		return low ? low : high;
	if (nodes[low].priority > nodes[high].priority) {
		nodes[low].right = join(nodes, nodes[low].right, high);
		update(nodes, low);
		return low;
	}
	nodes[high].left = join(nodes, low, nodes[high].left);
	update(nodes, high);
	return high;
}

/* The last run that starts at or before no; 0: none. */
static uint32_t at_or_before(const struct runs *runs, uint64_t no)
{
	uint32_t best = 0;

	for (uint32_t i = runs->root; i;) {
		if (runs->nodes[i].start <= no) {
			best = i;
			i = runs->nodes[i].right;
		} else {
			i = runs->nodes[i].left;
		}
	}
	return best;
}

static uint32_t first_from(const struct runs *runs, uint64_t no)
{
	uint32_t best = 0;

	for (uint32_t i = runs->root; i;) {
		if (runs->nodes[i].start >= no) {
			best = i;
			i = runs->nodes[i].left;
		} else {
			i = runs->nodes[i].right;
		}
	}
	return best;
}

static void insert(struct runs *runs, uint64_t start, uint64_t n, uint64_t payload)
{
	uint32_t low, high, i = node_new(runs, start, n, payload);

	split(runs->nodes, runs->root, start, &low, &high);
	runs->root = join(runs->nodes, join(runs->nodes, low, i), high);
}

/* `longest` from the root to the node that starts at start, after that one changed. */
static void refresh(struct runs_node *nodes, uint32_t i, uint64_t start)
{
	if (nodes[i].start < start)
		refresh(nodes, nodes[i].right, start);
	else if (nodes[i].start > start)
		refresh(nodes, nodes[i].left, start);
	update(nodes, i);
}

/* Gives a node other bounds, between those of its neighbours: the order stays. */
static void resize(struct runs *runs, uint32_t i, uint64_t start, uint64_t n)
{
	runs->total += n - runs->nodes[i].n;
	runs->nodes[i].start = start;
	runs->nodes[i].n = n;
	refresh(runs->nodes, runs->root, start);
}

/* Takes the node that starts exactly at start out of the tree. */
static void erase(struct runs *runs, uint64_t start)
{
	uint32_t low, mid, high;

	split(runs->nodes, runs->root, start, &low, &high);
	split(runs->nodes, high, start + 1, &mid, &high);
	runs->root = join(runs->nodes, low, high);
	if (mid)
		node_drop(runs, mid);
}

int runs_add(struct runs *runs, uint64_t start, uint64_t n, uint64_t payload, bool merge)
{
	int rc = reserve(runs);

	if (rc < 0 || n == 0)
		return rc;
	if (merge) {
		uint32_t below = at_or_before(runs, start), above = first_from(runs, start);
		if (below && runs->nodes[below].start + runs->nodes[below].n != start)
			below = 0;
		if (above && runs->nodes[above].start != start + n)
			above = 0;
		if (below && above) {
			n += runs->nodes[above].n;
			erase(runs, start + n - runs->nodes[above].n);
		}
		if (below) {
			resize(runs, below, runs->nodes[below].start, runs->nodes[below].n + n);
			return 0;
		}
		if (above) {
			resize(runs, above, start, runs->nodes[above].n + n);
			return 0;
		}
	}
	insert(runs, start, n, payload);
	return 0;
}

int runs_remove(struct runs *runs, uint64_t start, uint64_t n, uint64_t *removed)
{
	uint64_t end = start + n, gone = 0;

	for (;;) {
		int rc = reserve(runs);
		uint32_t i = at_or_before(runs, start);
		if (rc < 0)
			return rc;
		if (!i || runs->nodes[i].start + runs->nodes[i].n <= start)
			i = first_from(runs, start);
		if (!i || runs->nodes[i].start >= end)
			break;
		struct runs_node x = runs->nodes[i];
		uint64_t from = x.start > start ? x.start : start;
		uint64_t to = x.start + x.n < end ? x.start + x.n : end;
		if (x.start < from)
			resize(runs, i, x.start, from - x.start);
		else if (to < x.start + x.n)
			resize(runs, i, to, x.start + x.n - to);
		else
			erase(runs, x.start);
		if (x.start < from && to < x.start + x.n)
			insert(runs, to, x.start + x.n - to, x.payload);
		gone += to - from;
	}
	if (removed)
		*removed = gone;
	return 0;
}

static bool tell(const struct runs *runs, uint32_t i, uint64_t *start, uint64_t *n, uint64_t *payload)
{
	if (!i)
		return false;
	*start = runs->nodes[i].start;
	*n = runs->nodes[i].n;
	if (payload)
		*payload = runs->nodes[i].payload;
	return true;
}

bool runs_holds(const struct runs *runs, uint64_t no, uint64_t *start, uint64_t *n, uint64_t *payload)
{
	uint32_t i = at_or_before(runs, no);

	if (i && runs->nodes[i].start + runs->nodes[i].n <= no)
		i = 0;
	return tell(runs, i, start, n, payload);
}

bool runs_at_or_after(const struct runs *runs, uint64_t no, uint64_t *start, uint64_t *n, uint64_t *payload)
{
	return runs_holds(runs, no, start, n, payload) ||
	       tell(runs, first_from(runs, no), start, n, payload);
}

bool runs_first_fit(const struct runs *runs, uint64_t n, uint64_t from, uint64_t *start, uint64_t *len)
{
	const struct runs_node *nodes = runs->nodes;
	uint32_t i = runs->root, best = 0;

	/* Down along `from`: whatever lies right of the path starts at or after it. The lowest such
	 * candidate is the last one met. */
	uint32_t candidate = 0;
	bool whole = false; /* candidate is a subtree, not a single node */
	while (i && nodes[i].longest >= n) {
		if (nodes[i].start >= from) {
			if (nodes[i].n >= n) {
				candidate = i;
				whole = false;
			} else if (nodes[i].right && nodes[nodes[i].right].longest >= n) {
				candidate = nodes[i].right;
				whole = true;
			}
			i = nodes[i].left;
		} else {
			i = nodes[i].right;
		}
	}
	if (candidate && !whole)
		best = candidate;
	for (i = whole ? candidate : 0; i;) {
		if (nodes[i].left && nodes[nodes[i].left].longest >= n) {
			i = nodes[i].left;
		} else if (nodes[i].n >= n) {
			best = i;
			break;
		} else {
			i = nodes[i].right;
		}
	}
	return tell(runs, best, start, len, NULL);
}

static uint32_t last_fit(const struct runs_node *nodes, uint32_t i, uint64_t n, uint64_t below)
{
	while (i && nodes[i].longest >= n) {
		if (nodes[i].start < below) {
			uint32_t best = last_fit(nodes, nodes[i].right, n, below);
			if (best)
				return best;
			if (nodes[i].n >= n)
				return i;
		}
		i = nodes[i].left;
	}
	return 0;
}

bool runs_last_fit(const struct runs *runs, uint64_t n, uint64_t below, uint64_t *start, uint64_t *len)
{
	return tell(runs, last_fit(runs->nodes, runs->root, n, below), start, len, NULL);
}

/* ---- In order ---- */

/* The way to the lowest run of a subtree that starts at or after from. */
static void walk_down(struct runs_walk *walk, uint32_t i, uint64_t from)
{
	const struct runs_node *nodes = walk->runs->nodes;

	while (i) {
		if (nodes[i].start < from) {
			i = nodes[i].right;
			continue;
		}
		if (walk->n == RUNS_PATH) { /* hardly ever: what is given up is looked for anew */
			memmove(walk->path, walk->path + 1, --walk->n * sizeof *walk->path);
			walk->cut = true;
		}
		walk->path[walk->n++] = i;
		i = nodes[i].left;
	}
}

void runs_walk_open(struct runs_walk *walk, const struct runs *runs, uint64_t no)
{
	uint64_t start, n;

	walk->runs = runs;
	walk->from = runs_holds(runs, no, &start, &n, NULL) ? start : no;
	walk->n = 0;
	walk->cut = false;
	walk_down(walk, runs->root, walk->from);
}

bool runs_walk_next(struct runs_walk *walk, uint64_t *start, uint64_t *n)
{
	uint32_t i;

	if (walk->n == 0 && walk->cut) {
		walk->cut = false;
		walk_down(walk, walk->runs->root, walk->from);
	}
	if (walk->n == 0)
		return false;
	i = walk->path[--walk->n];
	tell(walk->runs, i, start, n, NULL);
	walk->from = *start + 1;
	walk_down(walk, walk->runs->nodes[i].right, 0);
	return true;
}

uint64_t runs_longest(const struct runs *runs)
{
	return runs->root ? runs->nodes[runs->root].longest : 0;
}
