/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t tally[TALLIES];

uint64_t tally_wanted(uint64_t quick, uint64_t slow)
{
	const char *given = getenv("WRITES");

	if (given)
		return strtoull(given, NULL, 10);
	return getenv("DURAMEN_SLOW") ? slow : getenv("DURAMEN_BRIEF") ? quick / 10 + 1 : quick;
}

void tally_say(const char *test, uint64_t seed)
{
	static const char *const what[TALLIES] = {
		[TALLY_WRITES] = "writes",
		[TALLY_READS] = "reads compared",
		[TALLY_COMMITS] = "commits",
		[TALLY_ABORTS] = "aborts",
		[TALLY_MARKS] = "marks",
		[TALLY_ROLLBACKS] = "rollbacks",
		[TALLY_RESTORES] = "restores",
		[TALLY_CLONES_OWN] = "clones within a transaction",
		[TALLY_CLONES] = "clones across transactions",
		[TALLY_CLONES_PAST] = "clones from old states",
		[TALLY_SPLICES] = "splices",
		[TALLY_SPLICES_PAST] = "splices from old states",
		[TALLY_HELD] = "held snapshots read again",
		[TALLY_OLD] = "old states read again",
		[TALLY_GONE] = "old states gone",
		[TALLY_PACKINGS] = "packings",
		[TALLY_CHECKS] = "checks",
	};

	fprintf(stderr, "did: %s, SEED=%" PRIu64 ":", test, seed);
	for (unsigned i = 0, n = 0; i < TALLIES; i++)
		if (tally[i])
			fprintf(stderr, "%s %" PRIu64 " %s", n++ ? "," : "", tally[i], what[i]);
	fprintf(stderr, "\n");
}
