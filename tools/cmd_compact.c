/* SPDX-License-Identifier: Apache-2.0 */
/* compact: writes the page file afresh. */
#include "commands.h"
#include "context.h"
#include "message.h"
#include "progress.h"
#include "stop.h"

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct progress *p = ctx;
	p->total = total;
	progress_step(p, done, done);
	return stop_requested();
}

static int run(const struct args *args)
{
	struct context s;
	struct progress shown;
	const dur_progress progress = { show_progress, &shown };

	if (args->history && args->newest)
		return refuse(EXIT_USAGE, "--history and --newest exclude each other");
	stop_catch();
	int status = context_open(&s, args, 0);
	if (status == 0) {
		progress_start(&shown, "compacting", "changes", 0);
		int rc = dur_compact(s.prefix, args->newest ? 0 : DUR_HISTORY, &progress);
		progress_clear();
		if (rc < 0)
			status = fail(rc);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = {
	FLAG("history", history, "with every readable state (the default)"),
	FLAG("newest", newest, "with the newest state alone: the others are gone"), OPTIONS_END
};

const struct command cmd_compact = {
	.name = "compact",
	.summary = "write the file afresh, without free space",
	.operands = { "PREFIX" },
	.required = 1,
	.about =
		"Writes the prefix to a new file, its pages in order, and puts it in the place of\n"
		"the old one. Nobody else may have the prefix attached; there must be room for\n"
		"both files. Interrupted, it has changed nothing.",
	.options = options,
	.examples = "  duramen compact demo\n"
		    "  duramen compact demo --newest",
	.run = run,
};
