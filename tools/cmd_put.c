/* SPDX-License-Identifier: Apache-2.0 */
/* put: sets one value in a commit of its own. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "commands.h"
#include "context.h"
#include "json_value.h"
#include "message.h"

/* All of standard input, in one piece of the arena. */
static bool read_stdin(struct arena *a, const char **text, size_t *len)
{
	size_t cap = 64u << 10;
	char *buffer = arena_alloc(a, cap);
	*len = 0;
	for (;;) {
		*len += fread(buffer + *len, 1, cap - *len, stdin);
		if (*len < cap)
			break;
		char *more = arena_alloc(a, 2 * cap);
		memcpy(more, buffer, cap);
		buffer = more;
		cap *= 2;
	}
	*text = buffer;
	if (ferror(stdin))
		complain("cannot read standard input: %s", strerror(errno));
	return !ferror(stdin);
}

static int read_value(const struct args *args, struct arena *a, dur_value *v)
{
	const char *text = args->operand[2];
	size_t len = strlen(text);
	struct json_fault f;

	if (strcmp(text, "-") == 0 && !read_stdin(a, &text, &len))
		return EXIT_FAILED;
	if (args->raw) {
		*v = DUR_BYTES(text, len);
		return 0;
	}
	bool good = json_read_value(a, text, len, v, &f);
	if (!good && !f.is_json)
		return refuse(EXIT_USAGE, "VALUE is not JSON, at byte %" PRIu64 ": %s", f.at.byte,
		              f.text);
	if (!good)
		return refuse(EXIT_USAGE, "VALUE is not one that can be stored: %s", f.text);
	if (v->type & DUR_LITERAL)
		return refuse(EXIT_USAGE, "VALUE is not one that can be stored: " ONLY_SCALARS);
	return 0;
}

static int run(const struct args *args)
{
	struct context s = { 0 };
	struct arena arena = { 0 };
	dur_value value;

	int status = read_value(args, &arena, &value);
	if (status == 0)
		status = context_open(&s, args, 0);
	if (status == 0)
		status = context_begin(&s);
	if (status == 0) {
		int rc = dur_put(dur_root(s.view), &DUR_PATH(args->operand[1]), &value);
		status = rc < 0 ? fail(rc) : context_commit(&s, NULL);
	}
	arena_free(&arena);
	return context_close(&s, status);
}

static const struct option_row options[] = {
	FLAG("raw", raw, "VALUE is a string of bytes, not JSON"), OPTIONS_WRITE, OPTIONS_END
};

const struct command cmd_put = {
	.name = "put",
	.summary = "set the value at a path",
	.operands = { "PREFIX", "PATH", "VALUE" },
	.required = 3,
	.about = "Sets the value at PATH, a JSON Pointer such as /alice, and commits: when the\n"
		 "command returns the value is on disk and readers have been woken. VALUE is\n"
		 "JSON: null, true, 25, 0.5, \"text\". What JSON lacks has forms such as\n"
		 "{\"~x\":\"00ff\"} for bytes, {\"~t\":\"2026-11-20T10:00:00Z\"} for a time and\n"
		 "{\"~p\":[1,\"a\"]} for a tuple; duramen(1) lists them all. \"-\" takes VALUE\n"
		 "from standard input.",
	.options = options,
	.examples = "  duramen put demo /alice 25\n"
		    "  duramen put demo /motd '\"good morning\"' --label 'new text'\n"
		    "  duramen put demo /logo --raw - < logo.png",
	.run = run,
};
