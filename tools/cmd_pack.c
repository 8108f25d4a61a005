/* SPDX-License-Identifier: Apache-2.0 */
/* pack: rewrites history as what differs, now. */
#include "commands.h"
#include "context.h"
#include "message.h"
#include "progress.h"

enum { SLICE_MS = 200 }; /* between two looks at the progress */

static int pack(struct context *s)
{
	struct progress progress;
	dur_prefix_stat stat;
	uint64_t before;
	int rc = dur_stat(s->prefix, &stat);

	if (rc < 0)
		return fail(rc);
	before = stat.retained_bytes;
	progress_start(&progress, "packing", "MiB", before >> 20);
	while ((rc = dur_pack_history(s->prefix, SLICE_MS)) == 0 &&
	       (rc = dur_stat(s->prefix, &stat)) == 0) {
		uint64_t done = before > stat.retained_bytes ? before - stat.retained_bytes : 0;
		progress_step(&progress, done >> 20, done >> 20);
	}
	progress_clear();
	return rc < 0 ? fail(rc) : EXIT_DONE;
}

static int run(const struct args *args)
{
	struct context s;
	int status = context_open(&s, args, 0);
	if (status == 0)
		status = pack(&s);
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTIONS_END };

const struct command cmd_pack = {
	.name = "pack",
	.summary = "rewrite history as what differs from state to state",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Rewrites pages that older states alone need as what differs from their\n"
		 "successors, some hundred bytes a commit, and frees their space for new commits.\n"
		 "Every state stays readable. A process that writes does this by itself as it\n"
		 "goes; this packs what is left over. Others may read and write meanwhile.\n"
		 "Nothing is packed where at most 4096 states are kept.",
	.options = options,
	.examples = "  duramen pack my-org/app/settings",
	.run = run,
};
