/* SPDX-License-Identifier: Apache-2.0 */
/* readers: which processes have snapshots open. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "json_write.h"
#include "message.h"
#include "output.h"

#define AT_ONCE 64

static void print_reader(const dur_reader *r, bool json)
{
	char held[BYTES_TEXT];
	if (!json) {
		printf("%8u  %6u  %10" PRIu64 "  %10.3f s  %10s\n", (unsigned)r->pid,
		       (unsigned)r->views, r->oldest, (double)r->age_ms / 1000,
		       bytes_format(r->held_bytes, held));
		return;
	}
	struct json_writer w = json_line();
	json_member_int(&w, "pid", r->pid);
	json_member_int(&w, "views", r->views);
	json_member_int(&w, "oldest", r->oldest);
	json_member_int(&w, "age_ms", r->age_ms);
	json_member_int(&w, "held_bytes", r->held_bytes);
	json_line_end(&w);
}

static int run(const struct args *args)
{
	struct context s;
	dur_reader list[AT_ONCE];
	uint32_t n = AT_ONCE;
	int status = context_open(&s, args, DUR_READ_ONLY);

	if (status == 0 && !args->json)
		print_titles("     PID   VIEWS       STATE           AGE        HELD");
	for (uint64_t skip = 0; status == 0 && n == AT_ONCE; skip += n) {
		int rc = dur_readers(s.prefix, skip, list, AT_ONCE, &n);
		if (rc < 0)
			status = fail(rc);
		for (uint32_t i = 0; status == 0 && i < n; i++)
			print_reader(&list[i], args->json);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTION_JSON, OPTIONS_END };

const struct command cmd_readers = {
	.name = "readers",
	.summary = "show which processes have snapshots open",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Prints one line a process that has snapshots of the prefix open: its pid, how\n"
		 "many, the oldest state it pins, for how long, and how many bytes are kept for\n"
		 "it alone.",
	.options = options,
	.examples = "  duramen readers demo\n"
		    "  duramen readers demo --json | jq 'select(.age_ms > 60000)'",
	.run = run,
};
