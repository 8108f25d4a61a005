/* SPDX-License-Identifier: Apache-2.0 */
/* check: reads every page of a prefix and says what is wrong. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "json_write.h"
#include "message.h"
#include "output.h"
#include "progress.h"

struct check {
	const struct args *args;
	struct progress progress;
	uint64_t problems;
};

static void print_problem(void *ctx, const dur_problem *p)
{
	struct check *c = ctx;
	c->problems++;
	progress_clear();
	if (!c->args->json) {
		printf("page %" PRIu64 ", state %" PRIu64 ": ", p->page, p->state);
		print_last_column(p->text);
		return;
	}
	json_print(json_pack("{s:I,s:I,s:s}", "page", (json_int_t)p->page, "state",
	                     (json_int_t)p->state, "problem", p->text));
}

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct check *c = ctx;
	c->progress.total = total;
	progress_step(&c->progress, done, done >> 20);
	return 0;
}

static void print_verdict(const struct check *c, bool sound)
{
	if (c->args->json) {
		json_print(json_pack("{s:s,s:b,s:I}", "prefix", c->args->operand[0], "sound", sound,
		                     "problems", (json_int_t)c->problems));
	} else if (sound) {
		printf("%s is sound\n", c->args->operand[0]);
	} else {
		printf("%s is damaged: %" PRIu64 " problem%s\n", c->args->operand[0], c->problems,
		       c->problems == 1 ? "" : "s");
	}
}

static int run(const struct args *args)
{
	struct context s;
	struct check c = { .args = args };
	int status = context_workspace(&s, args);
	if (status == 0) {
		dur_progress progress = { show_progress, &c };
		progress_start(&c.progress, "checking", "MiB", 0);
		int rc = dur_check(s.ws, args->operand[0], args->history ? DUR_HISTORY : 0,
		                   print_problem, &c, &progress);
		progress_clear();
		if (rc == 0 || (rc == DUR_E_CORRUPT && c.problems > 0))
			print_verdict(&c, rc == 0);
		if (rc < 0)
			status = context_fail(args, rc);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = {
	FLAG("history", history, "check every retained state too, not the newest alone"),
	OPTION_JSON, OPTIONS_END
};

const struct command cmd_check = {
	.name = "check",
	.summary = "read every page and say what is wrong",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Reads the whole file: checksums, the order of keys, counts, and that every page\n"
		 "is accounted for exactly once. It repairs nothing, and it may run while others\n"
		 "read and write. Damage ends it with status 3.",
	.options = options,
	.examples = "  duramen check demo\n"
		    "  duramen check demo --history || mail -s 'demo is damaged' root < /dev/null",
	.run = run,
};
