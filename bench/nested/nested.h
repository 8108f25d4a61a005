/* SPDX-License-Identifier: Apache-2.0 */
/*
 * duramen-bench-nested: what nesting costs. Ratios between two ways of doing the same work here, taken
 * in turns, and few times of their own; each beside what it may be. docs/performance.md says what the
 * rows mean.
 */
#ifndef BENCH_NESTED_H
#define BENCH_NESTED_H
#include <duramen.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bench/limits.h"

struct settings {
	uint64_t entries;       /* of a map or set */
	uint64_t big;           /* of one ten times as large */
	uint64_t few;           /* of a set that is small beside another */
	uint64_t documents;     /* objects of five fields */
	uint64_t text;          /* MB of NDJSON */
	uint64_t commits;       /* durable, of one key */
	uint64_t rounds;
};

void section_keys(dur_workspace *ws, const struct settings *o);        /* keys.c */
void section_commits(dur_workspace *ws, const struct settings *o);     /* depth.c */
void section_clones(dur_workspace *ws, const struct settings *o);      /* clones.c */
void section_documents(dur_workspace *ws, const struct settings *o);   /* documents.c */
void section_sets(dur_workspace *ws, const struct settings *o);        /* sets.c */
void section_load(dur_workspace *ws, const struct settings *o);        /* load.c */

#endif /* BENCH_NESTED_H */
