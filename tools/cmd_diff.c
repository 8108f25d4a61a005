/* SPDX-License-Identifier: Apache-2.0 */
/* diff: what leads from one state to another. */
#include <stdio.h>

#include "changes.h"
#include "commands.h"
#include "context.h"
#include "message.h"

/*
 * A bound stands for all keys that start with its items. The first of them is the key itself, if it
 * is there; path is that of a row, c where its key is.
 */
static int is_of_key(dur_coll c, const char *key, const dur_value *path)
{
	uint64_t a = 0, b = 0;
	int rc = dur_rank(c, &DUR_PATH(key), &a);

	if (rc == 0)
		rc = dur_rank(c, path, &b);
	return rc < 0 ? rc : rc == 0 && a == b;
}

/* Returns an exit status: whether there was any. */
static int print_rows(dur_iter *it, dur_coll old, dur_coll now, const char *key)
{
	int status = EXIT_DONE, rc;
	dur_change c;

	while ((rc = dur_next_change(it, &c)) == 0 && !ferror(stdout)) {
		if (key != NULL) {
			rc = is_of_key(c.kind == DUR_REMOVED ? old : now, key, &c.path);
			if (rc <= 0)
				break;
		}
		print_change(&c, true);
		status = EXIT_NO;
	}
	return rc < 0 ? fail(rc) : status;
}

static int print_diff(dur_view *old, dur_view *now, const char *key)
{
	dur_value bound = DUR_PATH(key != NULL ? key : "");
	dur_range r = { .from = &bound, .to = &bound, .flags = DUR_WITH_TO, .limit = 1 };
	dur_iter *it;
	int rc = dur_diff(dur_root(old), dur_root(now), key != NULL ? &r : NULL, &it);

	if (rc < 0)
		return fail(rc);
	int status = print_rows(it, dur_root(old), dur_root(now), key);
	dur_iter_close(it);
	return status;
}

static int run(const struct args *args)
{
	struct context s;
	dur_view *old = NULL;
	const char *now = args->operand[2], *key = args->operand[3];

	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0)
		status = context_past(&s, args->operand[1], &old);
	if (status == 0)
		status = context_past(&s, now != NULL ? now : "latest", &s.view);
	if (status == 0)
		status = print_diff(old, s.view, key != NULL && *key != '\0' ? key : NULL);
	dur_close(old);
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTIONS_END };

const struct command cmd_diff = {
	.name = "diff",
	.summary = "print what differs between two states",
	.operands = { "PREFIX", "OLD", "NEW", "PATH" },
	.required = 2,
	.about = "Prints what leads from state OLD to state NEW (default: the newest), in key\n"
		 "order, one JSON object a line: kind (added, removed or changed), path, the old\n"
		 "value and the one now. OLD and NEW are what --at takes, and either may be the\n"
		 "older one. With PATH only the entry there is compared. Its time depends on what\n"
		 "differs, not on what is there. The exit status is 1 if anything differs.",
	.options = options,
	.examples = "  duramen diff demo -1\n"
		    "  duramen diff demo 2026-11-20T10:00:00Z latest\n"
		    "  duramen diff demo 12 15 /alice || echo 'not the same'",
	.run = run,
};
