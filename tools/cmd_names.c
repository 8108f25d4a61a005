/* SPDX-License-Identifier: Apache-2.0 */
/* names: the names of states, in the order of their bytes. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "json_write.h"
#include "message.h"
#include "output.h"

#define AT_ONCE 64

static void print_name(const dur_state_name *n, bool json)
{
	char held[BYTES_TEXT];

	if (!json) {
		printf("%10" PRIu64 "  %10s  ", n->state, bytes_format(n->held_bytes, held));
		print_last_column(n->name);
		return;
	}
	struct json_writer w = json_line();
	json_member_text(&w, "name", n->name);
	json_member_int(&w, "state", n->state);
	json_member_int(&w, "held_bytes", n->held_bytes);
	json_line_end(&w);
}

static int run(const struct args *args)
{
	struct context s;
	dur_state_name list[AT_ONCE];
	uint32_t n = AT_ONCE;
	int status = context_open(&s, args, DUR_READ_ONLY);

	if (status == 0 && !args->json)
		print_titles("     STATE        HELD  NAME");
	for (uint64_t skip = 0; status == 0 && n == AT_ONCE; skip += n) {
		int rc = dur_names(s.prefix, skip, list, AT_ONCE, &n);
		if (rc < 0)
			status = fail(rc);
		for (uint32_t i = 0; status == 0 && i < n; i++)
			print_name(&list[i], args->json);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTION_JSON, OPTIONS_END };

const struct command cmd_names = {
	.name = "names",
	.summary = "list the names of states",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Prints one line a name: the state that has it, how many bytes are kept for this\n"
		 "name alone, and the name. Each is good for --at.",
	.options = options,
	.examples = "  duramen names demo\n"
		    "  duramen names demo --json | jq -r .name",
	.run = run,
};
