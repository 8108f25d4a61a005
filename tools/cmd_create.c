/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: makes a prefix. One in memory lasts while somebody has it attached, so the command
 * stays.
 */
#include <signal.h>

#include "commands.h"
#include "message.h"
#include "session.h"
#include "stop.h"

/* Blocked signals are waited for, so none can slip in between a look at the flag and the sleep. */
static void stay(const struct args *args, const sigset_t *ends)
{
	int number;
	complain("%s is in memory for as long as this command runs, or another has it attached; "
	         "^C ends it",
	         args->operand[0]);
	sigwait(ends, &number);
}

static int run(const struct args *args)
{
	struct session s;
	sigset_t ends;
	uint32_t flags = DUR_CREATE | DUR_EXCLUSIVE;

	if (args->raw)
		flags |= DUR_RAW;
	if (args->memory) {
		flags |= DUR_MEMORY;
		sigemptyset(&ends);
		sigaddset(&ends, SIGINT);
		sigaddset(&ends, SIGTERM);
		sigprocmask(SIG_BLOCK, &ends, NULL);
	}
	int status = session_open(&s, args, flags);
	if (status == 0 && args->memory)
		stay(args, &ends);
	return session_close(&s, status);
}

static const struct option options[] = {
	TEXT("keep", "POLICY", keep,
	     "which states stay readable: all (the default), or\n"
	     "last:N, the newest N"),
	FLAG("raw", raw, "keys are plain byte strings instead of typed values"),
	FLAG("memory", memory,
	     "in memory only: stay in the foreground and keep it until\n"
	     "interrupted"),
	OPTIONS_END
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
		    "  duramen create site/hits --keep last:1000\n"
		    "  duramen create scratch --memory &",
	.run = run,
};
