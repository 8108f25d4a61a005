/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk through the states of a prefix, for reads that look at many of them: opening the next
 * one costs two pins and a look-up in an index that stays open, not a search along the records
 * since the last fold.
 *
 * Pins are points (I2): the newest state M that the walk is as of keeps nothing of the states
 * before it. So each state is pinned on its own before it is read, then the newest is loaded and
 * pinned anew; if it is M still, what M said of the state holds; if not, the state is looked up
 * in the newer one, as any snapshot of an old state is. The walk's own pin of M serves the state
 * index alone. A state that is gone by then makes the walk begin anew as of the newest state: it
 * goes on with what is still retained.
 *
 * A walk is used by one thread at a time; its views count as open ones of the prefix.
 */
#ifndef DURAMEN_PREFIXES_WALK_H
#define DURAMEN_PREFIXES_WALK_H

#include "prefixes/prefix.h"

struct walk;

int  walk_open(dur_prefix *p, struct walk **walk);
/* Its views stay open. NULL is fine. */
void walk_close(struct walk *walk);
/* Opens the newest retained state below a number; *state tells of it. 1: there is none. */
int  walk_before(struct walk *walk, uint64_t number, dur_view **view, struct state *state);
/*
 * Since when the keys of an open state (bounds as of tree_since()) are what they are in it, as far as
 * retained states tell: at most the state's own number. Of one key the cell too; bytes NULL: it is
 * not there. Opens another state where a page alone does not tell, a few at most.
 */
int  walk_since(struct walk *walk, const dur_view *view, const struct state *state,
                const struct tree_key *from, const struct tree_key *to, uint64_t *since,
                struct cell *cell);
/* How many states it has opened. */
uint64_t walk_opened(const struct walk *walk);
/* Tells of the oldest retained state above a number, without opening it. 1: there is none. */
int  walk_after(struct walk *walk, uint64_t number, struct state *state);

#endif
