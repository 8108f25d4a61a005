/* SPDX-License-Identifier: Apache-2.0 */
/*
 * duramen-bench-history: what history costs. One table: what was measured, how much it may be, and
 * whether it is. Every answer is checked on the way (data.h tells whose a value is and how often it
 * was written), so a wrong one ends the run. docs/performance.md says what the rows mean.
 */
#ifndef BENCH_HISTORY_H
#define BENCH_HISTORY_H
#include <duramen.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bench/data.h"
#include "bench/limits.h"

struct settings {
	uint64_t entries;       /* of the prefix whose history is looked at */
	uint64_t commits;       /* one-key commits on it */
	uint64_t space_commits; /* under "last:100" */
	uint64_t big;           /* entries of the prefix that is compared */
	uint64_t samples;       /* of what is timed one by one */
	uint64_t seed;
};

/* A prefix of entries and what was done to it. */
struct past {
	dur_prefix   *prefix;
	struct data   data;
	uint64_t      random;
	uint32_t     *generation;       /* of each entry now */
	uint64_t      commits, wanted;  /* made so far, to be made */
	uint32_t     *entry;            /* that a commit put a new value to, by commit */
	uint64_t     *state;            /* that it made; [0] is that of the load */
};

/* ---- past.c ---- */

/* Makes the prefix `name` with all entries, in one commit, and memory for so many commits more. */
void past_open(struct past *past, dur_workspace *ws, const char *name, const char *keep,
               uint64_t entries, uint64_t commits, uint64_t seed);
void past_close(struct past *past);
/* A commit that gives a random entry its next value; PAST_RARE of them give it to entry 0 alone. */
void past_commit(struct past *past, uint32_t flags);
enum { PAST_RARE = 5 };
/* The generation that an entry had after the first so many commits. */
uint32_t past_generation(const struct past *past, uint32_t entry, uint64_t commits);
/* Reads all of the state after so many commits, and sees that it is right. Seconds. */
double past_scan(const struct past *past, uint64_t commits);
/* Opens that state, gets a random entry, closes it. Seconds; *wrong counts wrong answers. */
double past_get(struct past *past, uint64_t commits);
/* What the file takes up on the disk, once all is there. */
uint64_t past_disk_bytes(const struct past *past, const char *dir);
/* ---- The sections: one for each group of rows ---- */

void section_past(dur_workspace *ws, const struct settings *o);          /* commits.c */
void section_space(dur_workspace *ws, const struct settings *o);         /* space.c */
void section_changes(dur_workspace *ws, const struct settings *o);       /* changes.c */

#endif /* BENCH_HISTORY_H */
