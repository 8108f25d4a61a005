/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#include "nested.h"

static struct settings settings = {
	.entries = 1000000,
	.big = 10000000,
	.few = 1000,
	.documents = 1000000,
	.text = 200,
	.commits = 2000,
	.rounds = 5,
};

static const struct limits_option options[] = {
	{ "entries", &settings.entries, 5000, "of a map or set" },
	{ "big", &settings.big, 20000, "of one that is cloned" },
	{ "few", &settings.few, 20, "of a set that is small beside another" },
	{ "documents", &settings.documents, 3000, "of five fields each" },
	{ "text", &settings.text, 1, "MB of NDJSON" },
	{ "commits", &settings.commits, 100, "of one key" },
	{ "rounds", &settings.rounds, 2, "of what is done two ways in turns" },
	{ 0 },
};

static const struct {
	const char *name;
	void (*run)(dur_workspace *ws, const struct settings *o);
} sections[] = {
	{ "keys", section_keys },
	{ "commits", section_commits },
	{ "clones", section_clones },
	{ "documents", section_documents },
	{ "sets", section_sets },
	{ "load", section_load },
};

int main(int argc, char **argv)
{
	dur_workspace *ws;

	limits_open(argc, argv, &(struct limits_program){
		.name = "duramen-bench-nested",
		.about = "Measures what nesting costs",
		.options = options,
		.sections = "keys, commits, clones, documents, sets or load",
	});
	NEED(dur_workspace_open(limits_dir, NULL, &ws));
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++)
		if (limits_wanted(sections[i].name))
			sections[i].run(ws, &settings);
	NEED(dur_workspace_close(ws));
	return limits_end();
}
