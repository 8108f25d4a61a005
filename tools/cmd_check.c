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
	struct json_writer w = json_line();
	json_member_int(&w, "page", p->page);
	json_member_int(&w, "state", p->state);
	json_member_text(&w, "problem", p->text);
	json_line_end(&w);
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
		struct json_writer w = json_line();
		json_member_text(&w, "prefix", c->args->operand[0]);
		json_member_bool(&w, "sound", sound);
		json_member_int(&w, "problems", c->problems);
		json_line_end(&w);
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
