/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on collections in collections, in a view and in the plain ones at once: what a
 * call answers is what those say. The world is a prefix as one process sees it.
 */
#ifndef DURAMEN_TESTS_NESTED_STEPS_H
#define DURAMEN_TESTS_NESTED_STEPS_H

#include "nested_model.h"

enum { WORLD_HANDLES = 40, WORLD_SNAPSHOTS = 3 };

struct handle {
	dur_coll coll;
	struct plain *node;     /* NULL: none */
};

struct world {
	uint64_t rng;
	bool each;              /* say each operation on stderr */
	size_t heaviest;        /* nothing is cloned into more than that */
	dur_view *txn;          /* what operations write to, */
	struct plain *root;     /* and what is in it */
	struct handle handles[WORLD_HANDLES];
	struct old {            /* snapshots that are open */
		dur_view *view; /* NULL: none */
		struct plain *root;
	} olds[WORLD_SNAPSHOTS];
	bool marked;            /* there are marks: handles to what is gone may be good again */
};

extern struct world world;

uint64_t below(uint64_t n);
void random_operation(void);
/* The transaction becomes what a snapshot is. */
void random_restore(void);
/* All handles are let go of. */
void handles_forget(void);
/* Those that are open end with the transaction. */
void iterators_forget(void);
void handle_must_be_stale(dur_coll c);

#endif
