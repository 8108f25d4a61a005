/* SPDX-License-Identifier: Apache-2.0 */
/* keep: which states stay readable. */
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "message.h"

static int run(const struct args *args)
{
	struct context s;
	dur_prefix_stat stat;
	bool set = args->operand[1] != NULL;
	int status = context_open(&s, args, set ? 0 : DUR_READ_ONLY);

	if (status == 0 && set) {
		int rc = dur_keep(s.prefix, args->operand[1]);
		status = rc < 0 ? fail(rc) : 0;
	} else if (status == 0) {
		int rc = dur_stat(s.prefix, &stat);
		if (rc < 0)
			status = fail(rc);
		else
			puts(stat.keep);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTIONS_END };

const struct command cmd_keep = {
	.name = "keep",
	.summary = "show or change which states stay readable",
	.operands = { "PREFIX", "POLICY" },
	.required = 1,
	.about = "POLICY is one part or more, joined by commas; a state stays if any part keeps\n"
		 "it, or a name, or while somebody has it open:\n"
		 "  all         every state\n"
		 "  last:N      the newest N\n"
		 "  for:SPAN    those not older than SPAN before the newest, and the one before\n"
		 "  every:SPAN  of each interval of that length, from 1970 UTC on, the last one\n"
		 "SPAN is a number and s, m, h, d or w. A wider policy brings nothing back.\n"
		 "Without POLICY, prints the one that there is.",
	.options = options,
	.examples = "  duramen keep demo\n"
		    "  duramen keep demo last:100,for:30d,every:1h",
	.run = run,
};
