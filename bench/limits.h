/* SPDX-License-Identifier: Apache-2.0 */
/* Figures beside what they may be: the table of the benchmarks that compare with a limit, not with a peer. */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H
#include <stdbool.h>
#include <stddef.h>

/* A row of the table. limit 0: none; the value may be at most that, or with `least` at least. */
struct limit {
	const char *name, *unit;
	double      value, limit;
	bool        least;
};
extern bool limits_json;                /* rows as lines of JSON */
extern unsigned limits_over;            /* rows beyond their limit so far */
extern char limits_dir[4000];           /* a folder for this run, removed at its end */
void report(const struct limit *row);

/* Makes limits_dir below dir, or TMPDIR, or /var/tmp; ends the program if it cannot. */
void limits_open(const char *dir);
void limits_close(void);
/* A number of the command line, from 1 on; ends the program if it is none. */
unsigned long limits_number(const char *text);

/* What must not fail: says what did, and where, and ends the run. */
#define NEED(call) need((call), #call, __FILE__, __LINE__)
int need(int result, const char *call, const char *file, int line);
/* What must be so. */
#define SURE(truth, what) sure((truth), (what), __FILE__, __LINE__)
void sure(bool truth, const char *what, const char *file, int line);

double seconds(void);
/* Sorts. */
double median(double *list, size_t n);

#endif /* BENCH_LIMITS_H */
