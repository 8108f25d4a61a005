/* SPDX-License-Identifier: Apache-2.0 */
/* get: prints one value, of now or of an old state. */
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "document.h"
#include "message.h"

/* A rope's bytes, a piece after the other. */
static int print_rope(const dur_value *rope)
{
	dur_value piece;
	dur_iter *it;
	int rc = dur_scan(rope->coll, NULL, &it);

	while (rc == 0 && (rc = dur_next(it, NULL, &piece)) == 0 && !ferror(stdout))
		fwrite(piece.ptr, 1, piece.len, stdout);
	dur_iter_close(it);
	return rc < 0 ? fail(rc) : EXIT_DONE;
}

static int print_value(const struct args *args, const dur_value *v)
{
	int rc = 0;
	if (args->raw && v->type == DUR_STR) {
		fwrite(v->str, 1, v->len, stdout);
	} else if (args->raw && v->type == DUR_BYTES) {
		fwrite(v->ptr, 1, v->len, stdout);
	} else if (args->raw && v->type == DUR_ROPE) {
		return print_rope(v);
	} else if (args->raw) {
		return refuse(EXIT_FAILED, "%s is neither a string, bytes nor a rope: get it without --raw",
		              args->operand[1]);
	} else {
		rc = document_write(&(struct json_writer){ .file = stdout }, v);
		putchar('\n');
	}
	return rc < 0 ? fail(rc) : EXIT_DONE;
}

static int run(const struct args *args)
{
	struct context s;
	dur_value value;
	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0)
		status = context_snapshot(&s);
	if (status == 0) {
		int rc = dur_get(dur_root(s.view), &DUR_PATH(args->operand[1]), &value);
		if (rc < 0)
			status = fail(rc);
		else if (rc == DUR_NONE)
			status = EXIT_NO;
		else
			status = print_value(args, &value);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = {
	OPTION_AT,
	FLAG("raw", raw, "print a string, bytes or a rope as they are, with\nnothing after them"),
	OPTIONS_END
};

const struct command cmd_get = {
	.name = "get",
	.summary = "print the value at a path, now or in an old state",
	.operands = { "PREFIX", "PATH" },
	.required = 2,
	.about =
		"Prints the value at PATH as JSON, a collection with all that is in it; \"\" is the\n"
		"whole prefix. Where nothing is there it prints nothing and ends with status 1.",
	.options = options,
	.examples = "  duramen get demo /alice\n"
		    "  duramen get demo /alice --at -1\n"
		    "  duramen get demo /alice --at 2026-11-20T10:00:00Z\n"
		    "  duramen get demo /logo --raw > logo.png",
	.run = run,
};
