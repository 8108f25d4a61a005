/* SPDX-License-Identifier: Apache-2.0 */
/* name: gives a state a name, which keeps it. */
#include "commands.h"
#include "context.h"
#include "message.h"

static int run(const struct args *args)
{
	const char *at = args->operand[2] != NULL ? args->operand[2] : "latest";
	struct context s;
	uint64_t state;
	int status = context_open(&s, args, 0);

	if (status == 0)
		status = context_state(&s, at, &state);
	if (status == 0) {
		int rc = dur_name(s.prefix, args->operand[1], state);
		status = rc < 0 ? fail(rc) : 0;
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTIONS_END };

const struct command cmd_name = {
	.name = "name",
	.summary = "name a state, which keeps it",
	.operands = { "PREFIX", "NAME", "STATE" },
	.required = 2,
	.about =
		"Names the newest state, or STATE: a number, -N (N states back), another name, or\n"
		"a time. A state with a name stays readable whatever `duramen keep` says, until\n"
		"the name is taken away or moved: if another state has it, it moves. Names have\n"
		"at most 63 bytes, no blanks, and do not begin with a digit, +, - or @.",
	.options = options,
	.examples = "  duramen name demo release-1\n"
		    "  duramen name demo before-cleanup -3\n"
		    "  duramen get demo /alice --at release-1",
	.run = run,
};
