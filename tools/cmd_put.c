/* SPDX-License-Identifier: Apache-2.0 */
/* put: sets one value in a commit of its own. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "commands.h"
#include "context.h"
#include "json_value.h"
#include "message.h"
#include "target.h"

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

struct put {
	struct context context;
	struct arena arena;
	struct target target;
	dur_value value;
};

static int begin(struct put *p)
{
	const struct args *args = p->context.args;
	int status = context_begin(&p->context);
	if (status == 0)
		status = target_find(&p->target, p->context.view, args->operand[1], args->parents);
	return status;
}

/* Where the value goes that is stored while it is read, as it does not fit in memory. */
static int begin_value(void *ctx, dur_coll *c, const dur_value **key)
{
	struct put *p = ctx;
	int status = begin(p);
	return status == 0 ? target_begin(&p->target, c, key) : status;
}

static int read_raw(struct put *p, const char *text)
{
	size_t len = strlen(text);
	if (strcmp(text, "-") == 0 && !read_stdin(&p->arena, &text, &len))
		return EXIT_FAILED;
	p->value = DUR_BYTES(text, len);
	return 0;
}

static int read_json(struct put *p, const char *text)
{
	struct json_builder b = { .begin = begin_value, .ctx = p };
	struct json_reader r;
	int status = 0;

	if (strcmp(text, "-") == 0)
		json_read_file(&r, STDIN_FILENO, JSON_ONE);
	else
		json_read_text(&r, text, strlen(text), JSON_ONE);
	bool good = json_build_all(&b, &r, &p->arena, &p->value);
	if (!good && b.status != 0)
		status = b.status;
	else if (!good && b.fault.is_json)
		status =
			refuse(EXIT_USAGE, "VALUE is not one that can be stored: %s", b.fault.text);
	else if (!good && b.fault.at.line > 1)
		status = refuse(EXIT_USAGE,
		                "VALUE is not JSON, at line %" PRIu64 ", column %" PRIu64 ": %s",
		                b.fault.at.line, b.fault.at.column, b.fault.text);
	else if (!good)
		status = refuse(EXIT_USAGE, "VALUE is not JSON, at byte %" PRIu64 ": %s",
		                b.fault.at.byte, b.fault.text);
	json_build_end(&b);
	json_read_close(&r);
	return status;
}

static int store(struct put *p)
{
	bool given = p->context.args->operand[2] != NULL;
	if (!given || p->value.type != DUR_ABSENT) { /* else it is there already */
		int status = begin(p);
		if (status == 0)
			status = target_put(&p->target, given ? &p->value : NULL);
		if (status != 0)
			return status;
	}
	return context_commit(&p->context, NULL);
}

static int run(const struct args *args)
{
	struct put p = { .value = DUR_NULL() };

	int status = context_open(&p.context, args, 0);
	if (status == 0 && args->operand[2] != NULL)
		status = args->raw ? read_raw(&p, args->operand[2])
		                   : read_json(&p, args->operand[2]);
	if (status == 0)
		status = store(&p);
	arena_free(&p.arena);
	return context_close(&p.context, status);
}

static const struct option_row options[] = {
	FLAG("raw", raw, "VALUE is a string of bytes, not JSON"), OPTION_PARENTS, OPTIONS_WRITE,
	OPTIONS_END
};

const struct command cmd_put = {
	.name = "put",
	.summary = "set the value at a path",
	.operands = { "PREFIX", "PATH", "VALUE" },
	.required = 2,
	.about =
		"Sets the value at PATH, a JSON Pointer such as /alice, and commits: when the\n"
		"command returns the value is on disk and readers have been woken. VALUE is\n"
		"JSON of any depth: objects become maps, arrays lists. What JSON lacks has forms\n"
		"such as {\"~x\":\"00ff\"} for bytes, {\"~t\":\"2026-11-20T10:00:00Z\"} for a time\n"
		"and {\"~s\":[1,\"a\"]} for a set; duramen(1) lists them all. \"-\" takes VALUE from\n"
		"standard input, of any length.\n"
		"\n"
		"What PATH leads into must be there, or --parents makes it: a map, and maps on the\n"
		"way. In a list the step \"-\" stands behind the last item, and in a rope at its\n"
		"end: /log/- appends. A member of a set has no VALUE. PATH \"\" replaces all that is\n"
		"in the prefix.",
	.options = options,
	.examples = "  duramen put demo /alice 25\n"
		    "  duramen put demo /bob '{\"age\":31,\"tags\":[\"new\",7]}'\n"
		    "  duramen put demo /motd '\"good morning\"' --label 'new text'\n"
		    "  duramen put demo /carol/address/city '\"Oslo\"' --parents\n"
		    "  duramen put demo /bob/tags/- '\"regular\"'\n"
		    "  duramen put demo /logo --raw - < logo.png",
	.run = run,
};
