/* SPDX-License-Identifier: Apache-2.0 */
/* Changes as text: the rows of diff, of log with a path, of watch with a path. */
#ifndef DURAMEN_TOOLS_CHANGES_H
#define DURAMEN_TOOLS_CHANGES_H

#include <duramen.h>
#include <stdbool.h>

/* On a terminal. */
void print_change_titles(void);
/*
 * json: {"state":N,"time":"...","kind":"added","path":"/a","old":V,"now":V}, without what is not
 * there: state and time of a diff, old of what was added, now of what was removed. Else a line for
 * people: state, time, "+", "-" or "~", path, and the values as JSON.
 */
void print_change(const dur_change *c, bool json);
/* The JSON without its end: more members may follow, then a brace and the end of the line. */
void print_change_members(const dur_change *c);

#endif
