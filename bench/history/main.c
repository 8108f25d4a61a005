/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#include "history.h"

static struct settings settings = {
	.entries = 100000,
	.commits = 100000,
	.space_commits = 1000000,
	.big = 1000000,
	.samples = 1000,
	.seed = 1,
};

static const struct limits_option options[] = {
	{ "entries", &settings.entries, 4000, "of the prefix whose history is looked at" },
	{ "commits", &settings.commits, 1500, "one-key commits on it" },
	{ "space-commits", &settings.space_commits, 5000, "under last:100" },
	{ "big", &settings.big, 30000, "entries of the prefix that is compared" },
	{ "samples", &settings.samples, 50, "of what is timed one by one" },
	{ "seed", &settings.seed, 1, "of what is random" },
	{ 0 },
};

static const struct {
	const char *name;
	void (*run)(dur_workspace *ws, const struct settings *o);
} sections[] = {
	{ "past", section_past }, { "space", section_space }, { "changes", section_changes },
};

int main(int argc, char **argv)
{
	dur_workspace *ws;

	limits_open(argc, argv, &(struct limits_program){
		.name = "duramen-bench-history",
		.about = "Measures what history costs",
		.options = options,
		.sections = "past, space or changes",
	});
	NEED(dur_workspace_open(limits_dir, NULL, &ws));
	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++)
		if (limits_wanted(sections[i].name))
			sections[i].run(ws, &settings);
	NEED(dur_workspace_close(ws));
	return limits_end();
}
