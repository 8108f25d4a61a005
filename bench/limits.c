/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/limits.h"
#include <duramen.h>
#include <errno.h>
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

void limits_close(void)
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

void report(const struct limit *row)
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
		printf("}\n");
	} else if (row->limit > 0) {
		printf("%-52s %12.6g  %-8s %s %-10.6g %s\n", row->name, row->value, row->unit,
		       row->least ? ">=" : "<=", row->limit, within ? "" : "OVER");
	} else {
		printf("%-52s %12.6g  %s\n", row->name, row->value, row->unit);
	}
	fflush(stdout);
}

/* ---- The command line ---- */

unsigned long limits_number(const char *text)
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

void limits_open(const char *dir)
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
