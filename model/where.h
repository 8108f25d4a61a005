/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path from the catalog that is looked at in many states (log, watch): its steps, kept as text, and
 * since when what stands at its end has been as it is.
 */
#ifndef DURAMEN_MODEL_WHERE_H
#define DURAMEN_MODEL_WHERE_H

#include "model/collection.h"

struct where {
	char *text;                     /* as DUR_PATH; a NUL behind it */
	size_t len;
	uint32_t n;                     /* steps; 0: the catalog */
	dur_value *steps;               /* in arena */
	struct key_arena arena;
};

/*
 * path: DUR_PATH, DUR_STEPS or a key of the catalog, copied; NULL: the catalog. raw: it has raw keys.
 * DUR_E_MISUSE, DUR_E_PATH, -ENOMEM, or what says that a step can be no key; free it in any case.
 */
int where_open(struct where *w, const dur_value *path, bool raw);
void where_free(struct where *w);

/*
 * What stands there in a view; 0, or 1: nothing, also where the path leads through a scalar. *since (may
 * be NULL): in every state from that one to the view's it was the same; of two steps at least.
 *
 * A collection that has a tree was put in its place in the state that its cell tells (`placed`); from
 * then on its tree is one that was only written to, so what a page of it says of keys holds from the
 * page's birth on, as tree_since.c shows. A page that is shared with a clone is older than the clone:
 * that is why the cell's state counts too. Of an embedded collection the page that it lies in speaks.
 */
int where_find(const struct where *w, dur_view *v, struct cell *cell, uint64_t *since);

/* What stands there: an entry's cell (no bytes: nothing, or the catalog), and of which kind it is one. */
struct where_end {
	struct cell cell;
	uint32_t within;
};
/* The collection there. 0, 1: no collection. */
int where_place(const struct where *w, dur_view *v, struct where_end *end, struct place *p);

#endif
