/* SPDX-License-Identifier: Apache-2.0 */
/* dump: everything, in a form that load takes back. */
#include "commands.h"
#include "context.h"
#include "message.h"
#include "output.h"

static int run(const struct args *args)
{
	struct context s = { 0 };
	enum format format;
	dur_coll c;

	if (!format_parse(args->format, &format))
		return EXIT_USAGE;
	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0)
		status = context_snapshot(&s);
	if (status == 0)
		status = context_collection(&s, args->operand[1], &c);
	if (status == 0)
		status = print_entries(c, NULL, format, "dumping");
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTION_FORMAT, OPTION_AT, OPTIONS_END };

const struct command cmd_dump = {
	.name = "dump",
	.summary = "print everything in a form that load reads",
	.operands = { "PREFIX", "PATH" },
	.required = 1,
	.about = "Prints all entries of one state, or those of the collection at PATH. What load\n"
		 "makes of it is exactly the same, in every format and for every type.",
	.options = options,
	.examples = "  duramen dump demo > demo.ndjson\n"
		    "  duramen dump demo /users > users.ndjson\n"
		    "  duramen dump demo --format tsv --at -1 > yesterday.tsv\n"
		    "  duramen dump demo | duramen load copy -",
	.run = run,
};
