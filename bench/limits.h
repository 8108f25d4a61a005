/* SPDX-License-Identifier: Apache-2.0 */
/* Figures beside what they may be: the table of the benchmarks that compare with a limit, not with a peer. */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
/* The value is the median of what n rounds gave; the least and the greatest are told too. Sorts. */
void report_rounds(struct limit row, double *list, size_t n);

/* ---- The command line ---- */

/* A number from 1 on, as --name; its value at first is what it is without. */
struct limits_option {
	const char *name;
	uint64_t   *value;
	uint64_t    quick;      /* with --quick */
	const char *about;
};

struct limits_program {
	const char *name, *about;
	const struct limits_option *options;    /* up to one without a name: LIMITS_OPTIONS */
	const char *sections;   /* "this, that or those", for --help */
};
enum { LIMITS_OPTIONS = 12 };

/*
 * Takes the command line, and makes limits_dir below --dir, or TMPDIR, or /var/tmp. Ends the program
 * if it cannot, or was asked for --help.
 */
void limits_open(int argc, char **argv, const struct limits_program *program);
/* Whether --only does not leave this section out. */
bool limits_wanted(const char *section);
/* The exit status. */
int limits_end(void);

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
