/* SPDX-License-Identifier: Apache-2.0 */
/* log: the states that are still readable, newest first. */
#include "commands.h"
#include "context.h"
#include "message.h"
#include "output.h"

#include <stdio.h>

#define AT_ONCE 128

/*
 * The library gives a list from a state on, that state included: after the first page it is left
 * out.
 */
static int print_states(dur_prefix *p, uint64_t limit, bool json)
{
	dur_state_info list[AT_ONCE];
	uint64_t printed = 0, from = 0;
	uint32_t n = AT_ONCE;

	while (n == AT_ONCE && !ferror(stdout)) {
		int rc = dur_states(p, from, 0, list, AT_ONCE, &n);
		if (rc < 0)
			return fail(rc);
		for (uint32_t i = from != 0 && n > 0 && list[0].state == from; i < n; i++) {
			if (limit != 0 && printed == limit)
				return EXIT_DONE;
			print_state(&list[i], json);
			printed++;
		}
		if (n > 0)
			from = list[n - 1].state;
	}
	return EXIT_DONE;
}

static int run(const struct args *args)
{
	struct context s;
	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0) {
		if (!args->json)
			print_state_titles();
		status = print_states(s.prefix, args->limit, args->json);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTION_LIMIT, OPTION_JSON, OPTIONS_END };

const struct command cmd_log = {
	.name = "log",
	.summary = "list the states, newest first",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Prints one line a state that is still readable: its number, the time of its\n"
		 "commit, the number of entries, the bytes it wrote, and its label. Each number\n"
		 "and each time is good for --at.",
	.options = options,
	.examples = "  duramen log demo --limit 10\n"
		    "  duramen log demo --json | jq 'select(.label != \"\")'",
	.run = run,
};
