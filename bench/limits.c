/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/limits.h"
#include <duramen.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "bench/bench.h"

bool limits_json;
unsigned limits_over;
char limits_dir[4000];
static _Thread_local char message[512];

/* ---- What the drivers of the comparison with others ask for ---- */

int driver_fail(const char *format, ...)
{
	char text[sizeof(message)];     /* an argument may be the last message */
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(message, text, sizeof(message));
	return -1;
}

const char *driver_message(void)
{
	return message[0] ? message : "failed without a message";
}

/* ---- Ending ---- */

static void limits_close(void)
{
	if (limits_dir[0])
		place_remove(limits_dir);
}

int need(int result, const char *call, const char *file, int line)
{
	if (result < 0) {
		fprintf(stderr, "%s:%d: %s: %s\n", file, line, call,
		        result == -1 ? driver_message() : dur_message());
		limits_close();
		_exit(1);
	}
	return result;
}

void sure(bool truth, const char *what, const char *file, int line)
{
	if (!truth) {
		fprintf(stderr, "%s:%d: wrong: %s\n", file, line, what);
		limits_close();
		_exit(1);
	}
}

/* ---- The table ---- */

/* high 0: there were no rounds. */
static void print(const struct limit *row, double low, double high)
{
	bool within = row->limit <= 0 ||
	              (row->least ? row->value >= row->limit : row->value <= row->limit);

	limits_over += !within;
	if (limits_json) {
		printf("{\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"", row->name, row->value,
		       row->unit);
		if (row->limit > 0)
			printf(",\"%s\":%.6g,\"within\":%s", row->least ? "least" : "most",
			       row->limit, within ? "true" : "false");
		if (high > 0)
			printf(",\"low\":%.6g,\"high\":%.6g", low, high);
		printf("}\n");
	} else {
		printf("%-52s %12.6g  %-8s", row->name, row->value, row->unit);
		if (row->limit > 0)
			printf(" %s %-10.6g%s", row->least ? ">=" : "<=", row->limit,
			       within ? "" : " OVER");
		if (high > 0)
			printf(" (%.3g..%.3g)", low, high);
		printf("\n");
	}
	fflush(stdout);
}

void report(const struct limit *row)
{
	print(row, 0, 0);
}

void report_rounds(struct limit row, double *list, size_t n)
{
	row.value = median(list, n);
	print(&row, list[0], list[n - 1]);
}

/* ---- The command line ---- */

enum { O_NUMBER = 256, O_ONLY = O_NUMBER + LIMITS_OPTIONS, O_QUICK, O_DIR, O_JSON, O_STRICT,
	O_HELP };

static const char *only;
static bool found, strict;

static void usage(FILE *to, const struct limits_program *p)
{
	fprintf(to, "Usage: %s [OPTION]...\n%s, each figure beside what it may be.\n\n", p->name,
	        p->about);
	for (const struct limits_option *o = p->options; o->name; o++)
		fprintf(to, "  --%s N%*s%s (%llu)\n", o->name, (int)(16 - strlen(o->name)), "",
		        o->about, (unsigned long long)*o->value);
	fprintf(to,
	        "  --only NAME         %s\n"
	        "  --quick             few of all: shows that it runs, its figures mean nothing\n"
	        "  --dir DIR           where to work (TMPDIR, else /var/tmp)\n"
	        "  --json              a line of JSON for each row\n"
	        "  --strict            exit status 1 if a figure is beyond its limit\n",
	        p->sections);
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || n == 0 || n > UINT32_MAX) {
		fprintf(stderr, "%s is not a number that will do\n", text);
		exit(2);
	}
	return n;
}

static void make_dir(const char *dir)
{
	if (!dir)
		dir = getenv("TMPDIR");
	snprintf(limits_dir, sizeof(limits_dir), "%s/duramen-bench.XXXXXX",
	         dir && *dir ? dir : "/var/tmp");
	if (!mkdtemp(limits_dir)) {
		fprintf(stderr, "%s: %s\n", limits_dir, strerror(errno));
		exit(1);
	}
	if (place_in_memory(limits_dir))
		fprintf(stderr, "%s is in memory: commits cost nothing there, and nothing is cold\n",
		        limits_dir);
}

/* Those of all programs, then the numbers. */
static void fill(struct option *list, const struct limits_program *p)
{
	static const struct option all[] = {
		{ "only", required_argument, NULL, O_ONLY }, { "quick", no_argument, NULL, O_QUICK },
		{ "dir", required_argument, NULL, O_DIR },   { "json", no_argument, NULL, O_JSON },
		{ "strict", no_argument, NULL, O_STRICT },   { "help", no_argument, NULL, O_HELP },
	};
	size_t n = sizeof(all) / sizeof(*all);

	memcpy(list, all, sizeof(all));
	for (int i = 0; p->options[i].name; i++)
		list[n++] = (struct option){ p->options[i].name, required_argument, NULL,
			                     O_NUMBER + i };
	list[n] = (struct option){ 0 };
}

void limits_open(int argc, char **argv, const struct limits_program *p)
{
	struct option list[LIMITS_OPTIONS + 8];
	const char *dir = NULL;
	int c;

	fill(list, p);
	while ((c = getopt_long(argc, argv, "", list, NULL)) != -1)
		switch (c) {
		case O_ONLY: only = optarg; break;
		case O_QUICK:
			for (const struct limits_option *o = p->options; o->name; o++)
				*o->value = o->quick;
			break;
		case O_DIR: dir = optarg; break;
		case O_JSON: limits_json = true; break;
		case O_STRICT: strict = true; break;
		case O_HELP: usage(stdout, p); exit(0);
		case '?': usage(stderr, p); exit(2);
		default: *p->options[c - O_NUMBER].value = number(optarg); break;
		}
	if (optind < argc) {
		usage(stderr, p);
		exit(2);
	}
	make_dir(dir);
}

bool limits_wanted(const char *section)
{
	bool wanted = !only || strcmp(only, section) == 0;

	found = found || wanted;
	return wanted;
}

int limits_end(void)
{
	limits_close();
	if (!found) {
		fprintf(stderr, "there is no section %s\n", only);
		return 2;
	}
	return strict && limits_over ? 1 : 0;
}

/* ---- Time ---- */

double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *list, size_t n)
{
	qsort(list, n, sizeof(*list), order);
	return n ? list[n / 2] : 0;
}
