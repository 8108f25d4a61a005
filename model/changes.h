/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences between two views as rows of a dur_change: kind, path and both values. What diff, log and
 * watch have in common.
 */
#ifndef DURAMEN_MODEL_CHANGES_H
#define DURAMEN_MODEL_CHANGES_H

#include "engine/nest_diff.h"
#include "model/where.h"

/* The path of a change: "/" and a step, again and again; a NUL behind it. {0} is an empty one. */
struct change_path {
	char *text;
	size_t len, cap;
};

struct changes {
	dur_view *view[2]; /* DIFF_OLD, DIFF_NOW; NULL: an empty collection. Not both. */
	const struct where *where;      /* from the catalog; NULL: from the collections given */
	bool whole;                     /* what stands there is the one change that there may be */
	bool told;                      /* it was */
	struct where_end stands[2];     /* that, until the views are read again: the first step's */
	struct nest_diff diff;
	struct change_path path;
	struct key_arena arena;         /* what the last row put together */
};

/* One side of a diff; p may be NULL. */
void changes_source(struct nest_source *source, const struct place *p, const struct pager *pager);
/*
 * Between two collections, before the first change; NULL: there is none. {0} before the first use; may be
 * called again. What is read later is read in the places' views.
 */
int changes_open(struct changes *c, const struct place *old, const struct place *now,
                 const struct tree_bounds *bounds);
/* The same after writes: goes on behind the change last told. */
int changes_again(struct changes *c, const struct place *old, const struct place *now);
/*
 * Between what stands at a path in two views: where it is a collection of one kind in both, what
 * differs in it, else all of it. The first step follows at once, before the views are read again.
 */
int changes_open_at(struct changes *c, dur_view *old, dur_view *now, const struct where *where,
                    const struct tree_bounds *bounds);
/*
 * The next difference, without making a row of it. 0, 1 at the end. What it read is entered in the
 * views' cost.
 */
int changes_step(struct changes *c, struct nest_change *step);
/* Its row; state and time are left as they are. */
int changes_row(struct changes *c, const struct nest_change *step, dur_change *row);
/* Frees what it has put together; closes no view. */
void changes_end(struct changes *c);

#endif
