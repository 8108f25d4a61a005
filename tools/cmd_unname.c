/* SPDX-License-Identifier: Apache-2.0 */
/* unname: takes a name away. */
#include "commands.h"
#include "context.h"
#include "message.h"

static int run(const struct args *args)
{
	struct context s;
	int status = context_open(&s, args, 0);

	if (status == 0) {
		int rc = dur_unname(s.prefix, args->operand[1]);
		if (rc < 0)
			status = fail(rc);
		else if (rc == DUR_NONE)
			status = refuse(EXIT_NO,
			                "there is no name %s in %s: `duramen names %s` lists those "
			                "that are there",
			                args->operand[1], args->operand[0], args->operand[0]);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTIONS_END };

const struct command cmd_unname = {
	.name = "unname",
	.summary = "take a name away from its state",
	.operands = { "PREFIX", "NAME" },
	.required = 2,
	.about = "The state goes at once if no other name and no part of the policy keeps it.",
	.options = options,
	.examples = "  duramen unname demo release-1",
	.run = run,
};
