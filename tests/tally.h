/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a random test has done, counted by sort and said at its end, and how much it is to do. Each
 * call that writes and was answered as the plain model says is a write; each entry, piece, count or
 * place read and compared is a read.
 */
#ifndef DURAMEN_TESTS_TALLY_H
#define DURAMEN_TESTS_TALLY_H

#include <stdint.h>

enum tally {
	TALLY_WRITES,
	TALLY_READS,
	TALLY_COMMITS,
	TALLY_ABORTS,
	TALLY_MARKS,
	TALLY_ROLLBACKS,
	TALLY_RESTORES,
	TALLY_CLONES_OWN,       /* of what the same transaction made */
	TALLY_CLONES,           /* of what an earlier one made */
	TALLY_CLONES_PAST,      /* out of a snapshot of an old state */
	TALLY_SPLICES,
	TALLY_SPLICES_PAST,
	TALLY_HELD,             /* snapshots read again after later commits */
	TALLY_OLD,              /* old states opened by number and read */
	TALLY_GONE,             /* refused, as retention had let go of them */
	TALLY_PACKINGS,
	TALLY_CHECKS,
	TALLIES
};

extern uint64_t tally[TALLIES];

/* How many writes to do: $WRITES, or those of a quick run (DURAMEN_BRIEF: a tenth), a slow one. */
uint64_t tally_wanted(uint64_t quick, uint64_t slow);
/* A line on stderr, which run.sh shows of slow runs that pass, too. */
void tally_say(const char *test, uint64_t seed);

#endif
