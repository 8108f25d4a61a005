/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leads from one collection to another, at any depth: an element that is a collection of the same
 * kind on both sides is gone into, so that what is told is the innermost thing that differs. Everything
 * else that differs is told whole: an added collection is one change.
 *
 * Maps and sets that both have trees are compared by tree_diff.h, which passes over what they share;
 * lists by positions (seq_diff.h); where one of the two is embedded, entry by entry. Whether a collection
 * is embedded or has a tree is no difference, nor is the state in which it was put in place.
 *
 * A flat diff goes into nothing: elements that are collections are told as changes if they may
 * differ. So who writes to one of the sides can go from collection to collection as it likes
 * (model/become.h).
 *
 * Nothing recurses: frames are taken from the heap, one for each collection on the way, and kept.
 */
#ifndef DURAMEN_ENGINE_NEST_DIFF_H
#define DURAMEN_ENGINE_NEST_DIFF_H

#include "engine/nest.h"
#include "engine/seq_diff.h"
#include "engine/tree_diff.h"

/* One side's collection. */
struct nest_source {
	const struct pager *pager;      /* copied */
	uint32_t kind;                  /* 0: there is none; it counts as empty */
	const uint8_t *cell;            /* embedded: its cell, copied; else NULL */
	size_t len;
	struct tree tree;               /* else */
};
/* Of a collection's cell. */
void nest_source_of(struct nest_source *source, const struct pager *pager, const struct cell *cell);

/* An element that differs; bytes NULL: not there. Good until the next step. */
struct nest_change {
	struct cell old, now;
	bool copies;                    /* the cells are the diff's copies: they end with the step */
};

/* A step of the path to it: the element's place in the collection at that depth. */
struct nest_step {
	uint32_t kind;                  /* of the collection */
	const void *key;                /* of a list NULL */
	size_t len;
	uint64_t at;                    /* of a list: its position, of one that was removed in the old list */
	uint64_t now_at;                /* where it is, or would follow, in the new one */
};

struct nest_frame;

struct nest_diff {
	struct nest_frame **frames;
	uint32_t depth, made, cap;      /* in use, there, room for */
	bool back;
	bool flat;                      /* set it before opening */
	uint32_t resume;                /* frames that begin at the place noted in them; 0: none */
	uint64_t pages_read[2];         /* by frames that have ended; nest_diff_pages() */
};

/*
 * Before the first change. bounds: of the outermost collection's keys, and the direction (NULL: all,
 * upward). The kinds of two sides that are there must be the same. *d is {0}, or was used before.
 * -ENOMEM; DUR_E_CORRUPT.
 */
int nest_diff_open(struct nest_diff *d, const struct nest_source *old, const struct nest_source *now,
                   const struct tree_bounds *bounds);
/* The next change. 0, 1 at the end, or an error. Good until one of the sides is written to. */
int nest_diff_next(struct nest_diff *d, struct nest_change *change);
/*
 * Of lists instead of stepping, right after opening: all positions that differ, with the runs'
 * owner. They hold whatever is written later.
 */
int nest_diff_runs(struct nest_diff *d, struct seq_diff *runs);
/*
 * After writes: goes on with the sides as they are now, behind the change last told; if none was told, at
 * the first. The kinds are the same as before.
 */
int nest_diff_again(struct nest_diff *d, const struct nest_source *old, const struct nest_source *now);
/* How many steps lead to the change just told; the first is the outermost. At least 1. */
static inline uint32_t nest_diff_steps(const struct nest_diff *d)
{
	return d->depth;
}
void nest_diff_step(const struct nest_diff *d, uint32_t i, struct nest_step *step);
/* Pages that one side (DIFF_OLD, DIFF_NOW) has read since this was last asked. */
uint64_t nest_diff_pages(struct nest_diff *d, unsigned side);
void nest_diff_free(struct nest_diff *d);

#endif
