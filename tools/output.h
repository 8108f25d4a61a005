/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share in printing results on stdout. */
#ifndef DURAMEN_TOOLS_OUTPUT_H
#define DURAMEN_TOOLS_OUTPUT_H

#include <duramen.h>
#include <stdbool.h>

#include "entries.h"

#define BYTES_TEXT 24

/* Prints the titles of a table, on a terminal only: what is piped is lines of data. */
void print_titles(const char *titles);
/* Text with control characters replaced by '?', and the end of the line. */
void print_last_column(const char *text);
/* "12.3 MiB". Returns out. */
const char *bytes_format(uint64_t bytes, char out[BYTES_TEXT]);

/* States, as log and watch print them. */
void print_state_titles(void);
/* names: of this and other states, so many; they stand before the label. */
void print_state(const dur_state_info *s, const dur_state_name *names, size_t n, bool json);

/*
 * What --from and its like say: one step of a path, whose slash may be left out. Returns path,
 * which lives as long as the arena and the text; NULL for NULL.
 */
const dur_value *range_bound(struct arena *a, const char *text, dur_value *path);
/*
 * The entries of a range of c (NULL: all). what: shows progress under this name; NULL: does not.
 * Returns an exit status.
 */
int print_entries(dur_coll c, const dur_range *r, enum format format, const char *what);

/* Nobody reads stdout any more: the pipe is closed at its other end. */
bool output_gone(void);
/*
 * Flushes stdout. Returns status, or EXIT_FAILED after a message if output was lost to anything
 * else.
 */
int output_finish(int status);

#endif
