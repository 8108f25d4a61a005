/* SPDX-License-Identifier: Apache-2.0 */
/* create: makes a prefix. */
#include "commands.h"
#include "context.h"

static int run(const struct args *args)
{
	struct context s;
	uint32_t flags = DUR_CREATE | DUR_EXCLUSIVE;

	if (args->raw)
		flags |= DUR_RAW;
	if (args->memory)
		flags |= DUR_MEMORY;
	return context_close(&s, context_open(&s, args, flags));
}

static const struct option_row options[] = {
	TEXT("keep", "POLICY", keep,
	     "which states stay readable: all (the default), last:N,\n"
	     "for:SPAN, every:SPAN, or several, joined by commas; see\n"
	     "`duramen keep --help`"),
	FLAG("raw", raw, "keys are plain byte strings instead of typed values"),
	FLAG("memory", memory, "in memory only: gone with a reboot"), OPTIONS_END
};

const struct command cmd_create = {
	.name = "create",
	.summary = "make a prefix",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Makes the prefix, and the workspace if it is not there yet. A prefix is one\n"
		 "partition of data with its own history, kept in one file; its name has parts\n"
		 "joined by slashes, like my-org/app/settings.",
	.options = options,
	.examples = "  duramen create my-org/app/settings\n"
		    "  duramen create site/hits --keep last:1000,every:1h\n"
		    "  duramen create scratch --memory",
	.run = run,
};
