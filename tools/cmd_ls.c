/* SPDX-License-Identifier: Apache-2.0 */
/* ls: the prefixes of the workspace, in name order. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "json_write.h"
#include "message.h"
#include "output.h"

#define AT_ONCE 64

static void print_prefix(const dur_prefix_info *p, bool json)
{
	bool memory = (p->flags & DUR_MEMORY) != 0;
	char size[BYTES_TEXT], uuid[37];
	if (!json) {
		printf("%10" PRIu64 "  %10s  %-6s  ", p->newest, bytes_format(p->file_bytes, size),
		       memory ? "memory" : "file");
		print_last_column(p->name);
		return;
	}
	struct json_writer w = json_line();
	json_member_text(&w, "name", p->name);
	json_member_text(&w, "uuid", uuid_format(p->uuid, uuid));
	json_member_int(&w, "newest", p->newest);
	json_member_int(&w, "file_bytes", p->file_bytes);
	json_member_bool(&w, "memory", memory);
	json_line_end(&w);
}

static int run(const struct args *args)
{
	struct context s;
	dur_prefix_info list[AT_ONCE];
	uint32_t n = AT_ONCE;
	int status = context_workspace(&s, args);

	if (status == 0 && !args->json)
		print_titles("     STATE        SIZE  KIND    PREFIX");
	for (uint64_t skip = 0; status == 0 && n == AT_ONCE; skip += n) {
		int rc = dur_prefixes(s.ws, skip, list, AT_ONCE, &n);
		if (rc < 0)
			status = fail(rc);
		for (uint32_t i = 0; status == 0 && i < n; i++)
			print_prefix(&list[i], args->json);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTION_JSON, OPTIONS_END };

const struct command cmd_ls = {
	.name = "ls",
	.summary = "list the prefixes of the workspace",
	.about = "Prints one line a prefix: its newest state, the size of its file, and its name.",
	.options = options,
	.examples = "  duramen ls\n"
		    "  duramen ls --json | jq -r .name",
	.run = run,
};
