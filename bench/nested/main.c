/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "nested.h"

static struct settings settings = {
	.entries = 1000000,
	.big = 10000000,
	.documents = 1000000,
	.commits = 2000,
	.rounds = 5,
};

static const char usage[] =
	"Usage: duramen-bench-nested [OPTION]...\n"
	"Measures what nesting costs, each figure beside what it may be.\n"
	"\n"
	"  --entries N         of a map (1000000)\n"
	"  --big N             of one that is cloned (10000000)\n"
	"  --documents N       of five fields each (1000000)\n"
	"  --commits N         of one key (2000)\n"
	"  --rounds N          of what is done two ways in turns (5)\n"
	"  --only NAME         keys, commits, clones or documents\n"
	"  --quick             few of all: shows that it runs, its figures mean nothing\n"
	"  --dir DIR           where to work (TMPDIR, else /var/tmp)\n"
	"  --json              a line of JSON for each row\n"
	"  --strict            exit status 1 if a figure is beyond its limit\n";

static void quick(void)
{
	settings.entries = 5000;
	settings.big = 20000;
	settings.documents = 3000;
	settings.commits = 100;
	settings.rounds = 2;
}

struct section {
	const char *name;
	void (*run)(dur_workspace *ws, const struct settings *o);
};
static const struct section sections[] = {
	{ "keys", section_keys }, { "commits", section_commits }, { "clones", section_clones },
	{ "documents", section_documents },
};
enum { SECTIONS = sizeof(sections) / sizeof(*sections) };

enum { O_ENTRIES = 256, O_BIG, O_DOCUMENTS, O_COMMITS, O_ROUNDS, O_ONLY, O_QUICK, O_DIR, O_JSON,
	O_STRICT, O_HELP };

static const struct option long_options[] = {
	{ "entries", required_argument, NULL, O_ENTRIES },
	{ "big", required_argument, NULL, O_BIG },
	{ "documents", required_argument, NULL, O_DOCUMENTS },
	{ "commits", required_argument, NULL, O_COMMITS },
	{ "rounds", required_argument, NULL, O_ROUNDS },
	{ "only", required_argument, NULL, O_ONLY },
	{ "quick", no_argument, NULL, O_QUICK },
	{ "dir", required_argument, NULL, O_DIR },
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
		case O_BIG: settings.big = limits_number(optarg); break;
		case O_DOCUMENTS: settings.documents = limits_number(optarg); break;
		case O_COMMITS: settings.commits = limits_number(optarg); break;
		case O_ROUNDS: settings.rounds = (uint32_t)limits_number(optarg); break;
		case O_ONLY: only = optarg; break;
		case O_QUICK: quick(); break;
		case O_DIR: dir = optarg; break;
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
