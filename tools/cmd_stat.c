/* SPDX-License-Identifier: Apache-2.0 */
/* stat: what a prefix is made of. One table serves both forms of output. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "json_write.h"
#include "message.h"
#include "output.h"

enum kind { KIND_NUMBER, KIND_BYTES, KIND_PID };

struct field {
	const char *name; /* in JSON */
	const char *title;
	enum kind kind;
	uint64_t value;
};

static void print_field(const struct field *f)
{
	char text[BYTES_TEXT];
	if (f->kind == KIND_BYTES)
		printf("%-16s%s\n", f->title, bytes_format(f->value, text));
	else if (f->kind == KIND_PID && f->value == 0)
		printf("%-16snone\n", f->title);
	else
		printf("%-16s%" PRIu64 "\n", f->title, f->value);
}

static void print_text(const char *title, const char *text)
{
	printf("%-16s", title);
	print_last_column(text);
}

static void print_stat(const dur_prefix_stat *s, uint64_t entries, bool json)
{
	const struct field fields[] = {
		{ "entries", "entries", KIND_NUMBER, entries },
		{ "oldest", "oldest state", KIND_NUMBER, s->oldest },
		{ "newest", "newest state", KIND_NUMBER, s->newest },
		{ "durable", "on disk up to", KIND_NUMBER, s->durable },
		{ "states", "states kept", KIND_NUMBER, s->states },
		{ "file_bytes", "file", KIND_BYTES, s->file_bytes },
		{ "live_bytes", "  newest state", KIND_BYTES, s->live_bytes },
		{ "retained_bytes", "  older states", KIND_BYTES, s->retained_bytes },
		{ "packed_bytes", "  packed", KIND_BYTES, s->packed_bytes },
		{ "free_bytes", "  free", KIND_BYTES, s->free_bytes },
		{ "commits", "commits", KIND_NUMBER, s->commits },
		{ "epoch", "takeovers", KIND_NUMBER, s->epoch },
		{ "writer_pid", "writer", KIND_PID, s->writer_pid },
		{ "readers", "attached", KIND_NUMBER, s->readers },
	};
	const unsigned n = sizeof fields / sizeof fields[0];
	char uuid[37];

	uuid_format(s->uuid, uuid);
	if (json) {
		json_t *line = json_pack("{s:s,s:s,s:s,s:s}", "name", s->name, "uuid", uuid, "keep",
		                         s->keep, "io", s->io);
		for (unsigned i = 0; i < n; i++)
			json_object_set_new(line, fields[i].name,
			                    json_integer((json_int_t)fields[i].value));
		json_print(line);
		return;
	}
	print_text("prefix", s->name);
	print_text("uuid", uuid);
	print_text("keep", s->keep);
	print_text("io", s->io);
	for (unsigned i = 0; i < n; i++)
		print_field(&fields[i]);
}

static int run(const struct args *args)
{
	struct context s;
	dur_prefix_stat stat;
	uint64_t entries;
	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0) {
		int rc = dur_stat(s.prefix, &stat);
		if (rc == 0)
			rc = dur_snapshot(s.prefix, DUR_LATEST, NULL, &s.view);
		if (rc == 0)
			rc = dur_count(dur_root(s.view), NULL, &entries);
		if (rc < 0)
			status = fail(rc);
		else
			print_stat(&stat, entries, args->json);
	}
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTION_JSON, OPTIONS_END };

const struct command cmd_stat = {
	.name = "stat",
	.summary = "show what a prefix is made of",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Prints the states, the sizes and the processes of a prefix. The file's bytes\n"
		 "belong to the newest state, to older states only, or are free to be used.",
	.options = options,
	.examples = "  duramen stat demo\n"
		    "  duramen stat demo --json | jq .file_bytes",
	.run = run,
};
