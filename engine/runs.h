/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered set of disjoint runs of pages, each with a number of the owner's (payload). A treap by start,
 * augmented with the longest run of each subtree, so that first fit by address is O(log n).
 */
#ifndef DURAMEN_ENGINE_RUNS_H
#define DURAMEN_ENGINE_RUNS_H

#include <stdbool.h>
#include <stdint.h>

struct runs_node {
	uint64_t start, n, longest, payload;
	uint32_t left, right, priority; /* indexes into nodes; 0: none */
};

struct runs {
	struct runs_node *nodes;        /* [0] unused */
	uint32_t n_nodes, cap_nodes, free_node, root;
	uint64_t seed;
	uint64_t total;                 /* pages in all runs */
	uint32_t count;
};

void runs_init(struct runs *runs);
void runs_free(struct runs *runs);
void runs_clear(struct runs *runs);
/* Adds a run that overlaps none; merge: joins neighbours (payload 0). -ENOMEM. */
int runs_add(struct runs *runs, uint64_t start, uint64_t n, uint64_t payload, bool merge);
/* Takes [start, start + n) out of whatever overlaps it (runs are cut). *removed: how many pages were in. */
int runs_remove(struct runs *runs, uint64_t start, uint64_t n, uint64_t *removed);
/* The run that holds `no`, or the first behind it. false: none. */
bool runs_at_or_after(const struct runs *runs, uint64_t no, uint64_t *start, uint64_t *n, uint64_t *payload);
bool runs_holds(const struct runs *runs, uint64_t no, uint64_t *start, uint64_t *n, uint64_t *payload);
/* The lowest run of at least n pages that starts at or after from. */
bool runs_first_fit(const struct runs *runs, uint64_t n, uint64_t from, uint64_t *start, uint64_t *len);
/* The highest run of at least n pages that starts below `below`. */
bool runs_last_fit(const struct runs *runs, uint64_t n, uint64_t below, uint64_t *start, uint64_t *len);

/* From run to run in order, in constant time each on average. The set must not change meanwhile. */
enum { RUNS_PATH = 64 };
struct runs_walk {
	const struct runs *runs;
	uint64_t from;                  /* the runs to come start here or later */
	uint32_t path[RUNS_PATH];       /* nodes to come whose left subtrees are done, the next last */
	unsigned n;
	bool     cut;                   /* there are more than path has */
};
/* Before the run that holds `no`, or the first behind it. */
void runs_walk_open(struct runs_walk *walk, const struct runs *runs, uint64_t no);
bool runs_walk_next(struct runs_walk *walk, uint64_t *start, uint64_t *n);

uint64_t runs_longest(const struct runs *runs);

#endif
