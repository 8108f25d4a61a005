/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore: a commit that makes the newest state equal to an old one. The state is looked up with
 * the writer lock held, so that "-1" means what it says.
 */
#include "commands.h"
#include "context.h"
#include "message.h"

static int run(const struct args *args)
{
	struct context s;
	dur_view *then = NULL;

	int status = context_open(&s, args, 0);
	if (status == 0)
		status = context_begin(&s);
	if (status == 0)
		status = context_past(&s, args->operand[1], &then);
	if (status == 0) {
		int rc = dur_restore(s.view, then);
		status = rc < 0 ? fail(rc) : context_commit(&s, NULL);
	}
	dur_close(then);
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTIONS_WRITE, OPTIONS_END };

const struct command cmd_restore = {
	.name = "restore",
	.summary = "make the newest state equal to an old one",
	.operands = { "PREFIX", "STATE" },
	.required = 2,
	.about = "Commits a state that holds exactly what STATE holds: a number, -N (N states\n"
		 "back), a name, or a time. Nothing of the history is lost, and the state before the\n"
		 "restore can be restored in turn. Only what differs is written. If nothing does,\n"
		 "no state is made.",
	.options = options,
	.examples = "  duramen restore demo -1 --label 'undo'\n"
		    "  duramen restore demo 2026-11-20T10:00:00Z",
	.run = run,
};
