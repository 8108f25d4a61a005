/* SPDX-License-Identifier: Apache-2.0 */
/* wait: sleeps until there is a newer state. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "message.h"

static int wait_for_state(struct context *s)
{
	const struct args *args = s->args;
	uint64_t after, state;
	int timeout = args->timeout_ms == NOT_GIVEN ? -1 : (int)args->timeout_ms;
	int status = context_after(s, &after);
	if (status != 0)
		return status;
	int rc = dur_wait(s->prefix, after, timeout, &state);
	if (rc < 0)
		return fail(rc);
	if (rc == DUR_NONE)
		return EXIT_NO;
	if (args->json)
		printf("{\"state\":%" PRIu64 "}\n", state);
	else
		printf("%" PRIu64 "\n", state);
	return EXIT_DONE;
}

static int run(const struct args *args)
{
	struct context s;
	if (args->after == NULL)
		return refuse(EXIT_USAGE, "wait needs --after STATE: the state that you have seen");
	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0)
		status = wait_for_state(&s);
	return context_close(&s, status);
}

static const struct option_row options[] = {
	TEXT("after", "STATE", after, "wait for a state newer than this one"),
	NUMBER("timeout", "MS", timeout_ms, 0, INT_MAX,
	       "give up after so many milliseconds, with status 1"),
	OPTION_JSON, OPTIONS_END
};

const struct command cmd_wait = {
	.name = "wait",
	.summary = "sleep until there is a newer state",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Sleeps until the prefix has a state newer than --after, which must be given,\n"
		 "and prints the number of the newest one. It returns at once if there is one\n"
		 "already, so that nothing is missed between two calls.",
	.options = options,
	.examples = "  duramen wait demo --after 17\n"
		    "  duramen wait demo --after latest --timeout 5000 || echo 'nothing new'",
	.run = run,
};
