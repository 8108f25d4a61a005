/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of a file in batches. A thread reads the next one while the caller puts one, so that
 * a load takes as long as the slower of the two. No more than two batches are in memory.
 */
#ifndef DURAMEN_TOOLS_BATCHES_H
#define DURAMEN_TOOLS_BATCHES_H

#include <duramen.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "arena.h"
#include "entries.h"

enum batch_end {
	BATCH_MORE,  /* may follow */
	BATCH_LAST,  /* this one may be empty */
	BATCH_WRONG, /* what is in it does not count: error tells why, unless that was printed */
};

struct batch {
	struct arena arena;
	dur_value *keys, *values;
	struct batch_place {
		uint64_t line, column;
	} *places; /* where each entry begins, for messages */
	uint32_t n, cap;
	bool stored;    /* it is in the transaction: its last value did not fit in memory */
	uint64_t bytes; /* of the file up to its end */
	enum batch_end end;
	char error[ENTRY_ERROR];
};

struct batches {
	/*
	 * A value is to be stored while it is read, as json_builder's begin: of the entry that begins
	 * at `at`, under *key (NULL: that did not come yet), behind all that the batch has. Called in
	 * the thread; the caller waits in batches_next() meanwhile and has no other batch.
	 */
	int (*begin)(void *ctx, struct batch *b, struct batch_place at, dur_coll *c,
	             const dur_value **key);
	void *ctx;
	uint32_t most; /* entries of a batch */
	/* private */
	struct entry_reader reader;
	struct batch batch[2];
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint64_t read, put; /* batches so far; these and ended under the mutex */
	bool taken;         /* the caller has batch put */
	bool ended;         /* the thread has nothing more to do */
	atomic_bool stop;
};

/* The file stays the caller's, and is read from now on. 0, or an exit status, with message. */
int batches_start(struct batches *b, FILE *file, enum format format);
/* The next one; after one that is not BATCH_MORE there is none. The one before is void. */
struct batch *batches_next(struct batches *b);
/* At any time. Not if batches_start() failed. */
void batches_end(struct batches *b);

#endif
