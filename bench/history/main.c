/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "history.h"

static struct settings settings = {
	.entries = 100000,
	.commits = 100000,
	.space_commits = 1000000,
	.big = 1000000,
	.samples = 1000,
	.seed = 1,
};

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

int main(int argc, char **argv)
{
	const char *only = NULL, *dir = NULL;
	dur_workspace *ws;
	bool strict = false;
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		switch (c) {
		case O_ENTRIES: settings.entries = limits_number(optarg); break;
		case O_COMMITS: settings.commits = limits_number(optarg); break;
		case O_SPACE: settings.space_commits = limits_number(optarg); break;
		case O_BIG: settings.big = limits_number(optarg); break;
		case O_SAMPLES: settings.samples = (uint32_t)limits_number(optarg); break;
		case O_ONLY: only = optarg; break;
		case O_QUICK: quick(); break;
		case O_DIR: dir = optarg; break;
		case O_SEED: settings.seed = limits_number(optarg); break;
		case O_JSON: limits_json = true; break;
		case O_STRICT: strict = true; break;
		case O_HELP: fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	limits_open(dir);
	NEED(dur_workspace_open(limits_dir, NULL, &ws));
	for (int i = 0; i < SECTIONS; i++)
		if (!only || strcmp(only, sections[i].name) == 0)
			sections[i].run(ws, &settings);
	NEED(dur_workspace_close(ws));
	limits_close();
	return strict && limits_over ? 1 : 0;
}
