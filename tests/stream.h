/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of random commits that can be told again: what the c-th commit of a stream does follows
 * from the seed, the stream and c alone, so that any process can say what must be there after it.
 * Streams share a prefix and own keys of their own in it; a process or a thread writes each.
 *
 * Every value says which commit put it there and has bytes that follow from that. Every state holds
 * for each stream how many commits it has had and a sum over what is there; so a reader can tell a
 * state that is not whole without knowing what it ought to be.
 *
 * A board is memory that test and peers share: how far each stream has come, what readers have
 * seen.
 */
#ifndef DURAMEN_TESTS_STREAM_H
#define DURAMEN_TESTS_STREAM_H

#include "prefix_kit.h"

#include <stdatomic.h>

enum {
	STREAMS_MAX = 8,
	STREAM_KEYS = 200, /* of each stream */
	STREAM_READERS_MAX = 4,
	STREAM_NAMES = 6,
};

struct board {
	uint64_t seed;
	bool nested; /* the streams have collections */
	struct board_stream {
		_Atomic uint64_t begun; /* the commit the writer is at */
		_Atomic uint64_t acked; /* the last one it was told is there */
		_Atomic uint64_t state; /* its state */
		uint64_t room[5];
	} streams[STREAMS_MAX];
	struct board_reader {
		_Atomic uint64_t state; /* the newest it has seen */
		_Atomic uint64_t looks;
		uint64_t room[6];
	} readers[STREAM_READERS_MAX];
	struct board_name { /* the state of a name, 0: none */
		_Atomic uint64_t begun, acked; /* where it is being moved to, where it is for sure */
	} names[STREAM_NAMES];
	_Atomic uint64_t verified; /* the newest state a verifying peer has seen */
	_Atomic uint64_t packed;   /* packed states that were verified */
};

/* The board in the file at path, which the first one makes. */
struct board *board_open(const char *path, uint64_t seed);

/* How a stream commits. */
enum stream_mode {
	STREAM_DURABLE = 0,
	STREAM_ASYNC = 1, /* half of the commits are async */
	STREAM_NAMED = 2, /* beside them names and the retention change */
	STREAM_NESTED = 4, /* there are collections in collections */
};

/*
 * One transaction of stream s: its next commit, or now and then an aborted try. random is the
 * writer's own, for what may differ when the commit is made again. True: it was committed.
 */
bool stream_step(dur_prefix *p, struct board *board, unsigned s, unsigned mode, uint64_t *random);

/*
 * Gives a name of the board to a state, takes one away, or sets another retention than all. Of one
 * process alone. Names that it was told of stay, with their states, whatever happens to it.
 */
void stream_name_step(dur_prefix *p, struct board *board, uint64_t *random);
/* To begin with: recovers what a killed one has left and looks where the names are then. */
void stream_names_settle(dur_prefix *p, struct board *board);
/*
 * Every name of the board is where it was put, or where it was being put; its state and each other
 * one that is retained can be read. Nobody makes commits meanwhile.
 */
void stream_names_verify(dur_prefix *p, struct board *board, unsigned streams);

/* What a commit does to the collections of its stream; and whether they are as after the last one. */
void stream_nest_step(dur_view *txn, const struct board *board, unsigned s, uint64_t commit);
void stream_nest_compare(dur_view *v, const struct board *board, unsigned s, uint64_t commits);

/* What one stream is in a view. */
struct stream_look {
	uint64_t commits, sum, entries;
};
/* Reads all of stream s and finds every value right and the sum as recorded. */
struct stream_look stream_look(dur_view *v, const struct board *board, unsigned s);
/*
 * Compares stream s in a view with what its commits, told again, make of it: exactly that is there.
 * Returns how many commits.
 */
uint64_t stream_compare(dur_view *v, const struct board *board, unsigned s);
/*
 * Every state from the first on, by its label: no stream has a commit left out or twice. For
 * prefixes that keep all.
 */
void stream_history(dur_prefix *p, unsigned streams);

#endif
