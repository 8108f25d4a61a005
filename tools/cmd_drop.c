/* SPDX-License-Identifier: Apache-2.0 */
/* drop: deletes a prefix. */
#include "commands.h"
#include "context.h"
#include "message.h"

static int run(const struct args *args)
{
	struct context s;
	int status = context_workspace(&s, args);
	if (status == 0) {
		int rc = dur_drop(s.ws, args->operand[0]);
		if (rc < 0)
			status = context_fail(args, rc);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTIONS_END };

const struct command cmd_drop = {
	.name = "drop",
	.summary = "delete a prefix and all its states",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Deletes the prefix with its whole history. There is no way back. It is refused\n"
		 "while any process has the prefix attached.",
	.options = options,
	.examples = "  duramen drop my-org/app/settings",
	.run = run,
};
