/* SPDX-License-Identifier: Apache-2.0 */
/* scan: entries in key order, or how many they are. */
#include <inttypes.h>
#include <stdio.h>

#include "arena.h"
#include "commands.h"
#include "context.h"
#include "message.h"
#include "output.h"

static int print_count(dur_coll c, const dur_range *r)
{
	uint64_t n;
	int rc = dur_count(c, r, &n);
	if (rc < 0)
		return fail(rc);
	printf("%" PRIu64 "\n", n);
	return EXIT_DONE;
}

static int run(const struct args *args)
{
	struct context s;
	struct arena arena = { 0 };
	dur_value from, to;
	dur_coll c;
	dur_range r = {
		.from = range_bound(&arena, args->from, &from),
		.to = range_bound(&arena, args->to, &to),
		.flags = args->reverse ? DUR_REVERSE : 0,
		.limit = args->limit,
	};

	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0)
		status = context_snapshot(&s);
	if (status == 0)
		status = context_collection(&s, args->operand[1], &c);
	if (status == 0)
		status = args->count ? print_count(c, &r)
		                     : print_entries(c, &r, FORMAT_NDJSON, NULL);
	arena_free(&arena);
	return context_close(&s, status);
}

static const struct option_row options[] = { TEXT("from", "KEY", from,
	                                          "begin at this key, or the first after it"),
	                                     TEXT("to", "KEY", to, "end before this key"),
	                                     OPTION_REVERSE,
	                                     OPTION_LIMIT,
	                                     FLAG("count", count, "print only how many they are"),
	                                     OPTION_AT,
	                                     OPTIONS_END };

const struct command cmd_scan = {
	.name = "scan",
	.summary = "print entries in key order, now or in an old state",
	.operands = { "PREFIX", "PATH" },
	.required = 1,
	.about = "Prints the entries in key order, one {\"key\":...,\"value\":...} a line. KEY is\n"
		 "written as in a path: alice, or ~i42 for the integer 42. All of it comes from\n"
		 "one snapshot, whatever is committed meanwhile.",
	.options = options,
	.examples = "  duramen scan demo\n"
		    "  duramen scan demo --from a --to b\n"
		    "  duramen scan demo --reverse --limit 10\n"
		    "  duramen scan demo --count --at -100",
	.run = run,
};
