/* SPDX-License-Identifier: Apache-2.0 */
/* del: removes one entry in a commit of its own. */
#include "commands.h"
#include "context.h"
#include "message.h"

static int run(const struct args *args)
{
	struct context s = { 0 };
	if (*args->operand[1] == '\0')
		return refuse(EXIT_USAGE,
		              "del: \"\" is the whole prefix: `duramen put %s \"\" '{}'` empties it, "
		              "`duramen drop %s` deletes it with its history",
		              args->operand[0], args->operand[0]);
	int status = context_open(&s, args, 0);
	if (status == 0)
		status = context_begin(&s);
	if (status == 0) {
		int rc = dur_del(dur_root(s.view), &DUR_PATH(args->operand[1]));
		if (rc < 0)
			status = fail(rc);
		else
			status = rc == DUR_NONE ? EXIT_NO : context_commit(&s, NULL);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTIONS_WRITE, OPTIONS_END };

const struct command cmd_del = {
	.name = "del",
	.summary = "remove the entry at a path",
	.operands = { "PREFIX", "PATH" },
	.required = 2,
	.about = "Removes the entry at PATH and commits. Old states still have it. Where nothing\n"
		 "is there it makes no new state and ends with status 1.",
	.options = options,
	.examples = "  duramen del demo /alice --label 'alice left'",
	.run = run,
};
