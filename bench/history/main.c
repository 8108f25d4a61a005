/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, the table, and what ends a run. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "bench/bench.h"
#include "history.h"

static struct settings settings = {
	.entries = 100000,
	.commits = 100000,
	.space_commits = 1000000,
	.big = 1000000,
	.samples = 1000,
	.seed = 1,
};
static unsigned over;           /* rows beyond their limit */
static _Thread_local char message[512];

/* ---- What the drivers of the other benchmark ask for ---- */

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

static void clean(void)
{
	if (settings.dir[0])
		place_remove(settings.dir);
}

int need(int result, const char *call, const char *file, int line)
{
	if (result < 0) {
		fprintf(stderr, "%s:%d: %s: %s\n", file, line, call,
		        result == -1 ? driver_message() : dur_message());
		clean();
		_exit(1);
	}
	return result;
}

void sure(bool truth, const char *what, const char *file, int line)
{
	if (!truth) {
		fprintf(stderr, "%s:%d: wrong: %s\n", file, line, what);
		clean();
		_exit(1);
	}
}

/* ---- The table ---- */

void report(const struct row *row)
{
	bool within = row->limit <= 0 ||
	              (row->least ? row->value >= row->limit : row->value <= row->limit);

	over += !within;
	if (settings.json) {
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

static const char usage[] =
	"Usage: duramen-bench-history [OPTION]...\n"
	"Measures what history costs, each figure beside the most that it may be.\n"
	"\n"
	"  --entries N         of the prefix whose history is looked at (100000)\n"
	"  --commits N         one-key commits on it (100000)\n"
	"  --space-commits N   under last:100 (1000000)\n"
	"  --big N             entries of the prefix that is compared (1000000)\n"
	"  --samples N         of what is timed one by one (1000)\n"
	"  --only NAME         past, space or changes\n"
	"  --quick             few of all: shows that it runs, its figures mean nothing\n"
	"  --dir DIR           where to work (TMPDIR, else /var/tmp)\n"
	"  --seed N            of what is random (1)\n"
	"  --json              a line of JSON for each row\n"
	"  --strict            exit status 1 if a figure is beyond its limit\n";

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || n == 0 || n > UINT32_MAX) {
		fprintf(stderr, "duramen-bench-history: %s is not a number that will do\n", text);
		exit(2);
	}
	return n;
}

static void quick(void)
{
	settings.entries = 4000;
	settings.commits = 1500;
	settings.space_commits = 5000;
	settings.big = 30000;
	settings.samples = 50;
}

struct section {
	const char *name;
	void (*run)(dur_workspace *ws, const struct settings *o);
};
static const struct section sections[] = {
	{ "past", section_past }, { "space", section_space }, { "changes", section_changes },
};
enum { SECTIONS = sizeof(sections) / sizeof(*sections) };

enum { O_ENTRIES = 256, O_COMMITS, O_SPACE, O_BIG, O_SAMPLES, O_ONLY, O_QUICK, O_DIR, O_SEED,
	O_JSON, O_STRICT, O_HELP };

static const struct option long_options[] = {
	{ "entries", required_argument, NULL, O_ENTRIES },
	{ "commits", required_argument, NULL, O_COMMITS },
	{ "space-commits", required_argument, NULL, O_SPACE },
	{ "big", required_argument, NULL, O_BIG },
	{ "samples", required_argument, NULL, O_SAMPLES },
	{ "only", required_argument, NULL, O_ONLY },
	{ "quick", no_argument, NULL, O_QUICK },
	{ "dir", required_argument, NULL, O_DIR },
	{ "seed", required_argument, NULL, O_SEED },
	{ "json", no_argument, NULL, O_JSON },
	{ "strict", no_argument, NULL, O_STRICT },
	{ "help", no_argument, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

static void make_folder(const char *dir)
{
	if (!dir)
		dir = getenv("TMPDIR");
	snprintf(settings.dir, sizeof(settings.dir), "%s/duramen-bench-history.XXXXXX",
	         dir && *dir ? dir : "/var/tmp");
	if (!mkdtemp(settings.dir)) {
		fprintf(stderr, "duramen-bench-history: %s: %s\n", settings.dir, strerror(errno));
		exit(1);
	}
	if (place_in_memory(settings.dir))
		fprintf(stderr, "%s is in memory: commits cost nothing there, and nothing is cold\n",
		        settings.dir);
}

int main(int argc, char **argv)
{
	const char *only = NULL, *dir = NULL;
	dur_workspace *ws;
	bool strict = false;
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		switch (c) {
		case O_ENTRIES: settings.entries = number(optarg); break;
		case O_COMMITS: settings.commits = number(optarg); break;
		case O_SPACE: settings.space_commits = number(optarg); break;
		case O_BIG: settings.big = number(optarg); break;
		case O_SAMPLES: settings.samples = (uint32_t)number(optarg); break;
		case O_ONLY: only = optarg; break;
		case O_QUICK: quick(); break;
		case O_DIR: dir = optarg; break;
		case O_SEED: settings.seed = number(optarg); break;
		case O_JSON: settings.json = true; break;
		case O_STRICT: strict = true; break;
		case O_HELP: fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	make_folder(dir);
	NEED(dur_workspace_open(settings.dir, NULL, &ws));
	for (int i = 0; i < SECTIONS; i++)
		if (!only || strcmp(only, sections[i].name) == 0)
			sections[i].run(ws, &settings);
	NEED(dur_workspace_close(ws));
	clean();
	return strict && over ? 1 : 0;
}
