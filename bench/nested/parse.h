/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing lines of JSON and nothing else. True: they are values, so many as they should be. */
#ifndef BENCH_NESTED_PARSE_H
#define BENCH_NESTED_PARSE_H
#include <stdbool.h>
#include <stdint.h>

/* Each line as jansson gives it: a tree of values. parse_jansson.c. */
bool parse_jansson(const char *path, uint64_t lines);
/* parse_own.c: the values that `duramen load` makes of them; the events that these are made of. */
bool parse_values(const char *path, uint64_t lines);
bool parse_events(const char *path, uint64_t lines);

#endif /* BENCH_NESTED_PARSE_H */
