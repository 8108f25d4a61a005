/* SPDX-License-Identifier: Apache-2.0 */
/* The growth of a prefix, drawn. */
#ifndef DURAMEN_TOOLS_GROWTH_H
#define DURAMEN_TOOLS_GROWTH_H

#include <duramen.h>

/*
 * Three charts of the newest `limit` states that are retained (0: of all), oldest at the left:
 * bytes written by a state, written in all, entries. Returns an exit status.
 */
int print_growth(dur_prefix *p, const char *name, uint64_t limit);

#endif
