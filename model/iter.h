/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Iterators over changes: diff, log, watch. Each brings a state of its own and two calls; the frame
 * (model/iter.c) checks the handle, keeps it with its view and ends it.
 *
 * A diff's iterator is its view's and ends with it. One of a prefix (log, watch) has a view that
 * nobody else knows: a snapshot it reads, or an anchor (view_anchor()); it counts as open for
 * dur_detach() and is closed with the iterator.
 */
#ifndef DURAMEN_MODEL_ITER_H
#define DURAMEN_MODEL_ITER_H

#include "prefixes/prefix.h"

/* What a view that is closed ends: iterators, rows, kept cells; forget: their memory too. */
void model_end(dur_view *v, bool forget);

struct change_kind {
	/*
	 * The next change into *change, which is zero. 0, DUR_NONE or an error, after which *change
	 * means nothing. What it lends lasts until the next call.
	 */
	int (*next)(void *changes, dur_change *change);
	/*
	 * Frees it, closes the views it has opened (not the iterator's own). In the child of a fork
	 * too, where dur_close() knows what may be done.
	 */
	void (*end)(void *changes);
};

/*
 * Opens an iterator over changes in v. changes is taken over, and with own_view v too: on failure
 * both are ended. -ENOMEM.
 */
int iter_open_changes(dur_view *v, bool own_view, const struct change_kind *kind, void *changes,
                      dur_iter **it);

/* Iterators over entries that are put together from others (dur_combine()). */
struct entry_kind {
	/* As dur_next(); memory in the arena lasts until the next step. */
	int (*next)(void *entries, struct key_arena *arena, dur_value *key, dur_value *value);
	int (*seek)(void *entries, const dur_value *key);
	int (*left)(void *entries, uint64_t *n);
	struct change_kind frame; /* its end() */
};

/* As iter_open_changes(), of a view of the user's. */
int iter_open_entries(dur_view *v, const struct entry_kind *kind, void *entries, dur_iter **it);

#endif
