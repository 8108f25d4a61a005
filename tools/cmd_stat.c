/* SPDX-License-Identifier: Apache-2.0 */
/* stat: what a prefix is made of. One table serves both forms of output. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "json_write.h"
#include "message.h"
#include "output.h"

#define AT_ONCE 64

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

/* What each process that reads holds back, as far as nobody else does. */
static int add_readers(dur_prefix *p, json_t *pins)
{
	dur_reader list[AT_ONCE];
	uint32_t n = AT_ONCE;
	int rc = 0;

	for (uint64_t skip = 0; rc == 0 && n == AT_ONCE; skip += n) {
		rc = dur_readers(p, skip, list, AT_ONCE, &n);
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			json_array_append_new(pins, json_pack("{s:I,s:I,s:I}", "pid",
			                                      (json_int_t)list[i].pid, "oldest",
			                                      (json_int_t)list[i].oldest,
			                                      "held_bytes",
			                                      (json_int_t)list[i].held_bytes));
	}
	return rc;
}

/* The names that alone keep a state, and what goes with each. */
static int add_names(dur_prefix *p, json_t *pins)
{
	dur_state_name list[AT_ONCE];
	uint32_t n = AT_ONCE;
	int rc = 0;

	for (uint64_t skip = 0; rc == 0 && n == AT_ONCE; skip += n) {
		rc = dur_names(p, skip, list, AT_ONCE, &n);
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			if (list[i].held_bytes)
				json_array_append_new(pins,
					json_pack("{s:s,s:I,s:I}", "name", list[i].name, "state",
				                  (json_int_t)list[i].state, "held_bytes",
				                  (json_int_t)list[i].held_bytes));
	}
	return rc;
}

static void print_held(const json_t *pins)
{
	char text[BYTES_TEXT];
	const char *name;
	size_t i;
	json_t *pin;

	json_array_foreach(pins, i, pin) {
		uint64_t held = (uint64_t)json_integer_value(json_object_get(pin, "held_bytes"));
		printf("%-16s%s by ", i ? "" : "held back", bytes_format(held, text));
		name = json_string_value(json_object_get(pin, "name"));
		if (name) {
			printf("name, state %" JSON_INTEGER_FORMAT ": ",
			       json_integer_value(json_object_get(pin, "state")));
			print_last_column(name);
			continue;
		}
		printf("process %" JSON_INTEGER_FORMAT ", from state %"
		       JSON_INTEGER_FORMAT " on\n",
		       json_integer_value(json_object_get(pin, "pid")),
		       json_integer_value(json_object_get(pin, "oldest")));
	}
}

/* Frees pins. */
static void print_stat(const dur_prefix_stat *s, uint64_t entries, json_t *pins, bool json)
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
		{ "kept_bytes", "    kept states", KIND_BYTES, s->kept_bytes },
		{ "packed_bytes", "  packed", KIND_BYTES, s->packed_bytes },
		{ "free_bytes", "  free", KIND_BYTES, s->free_bytes },
		{ "metadata_bytes", "  metadata", KIND_BYTES, s->metadata_bytes },
		{ "disk_bytes", "on the disk", KIND_BYTES, s->disk_bytes },
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
		json_object_set_new(line, "held", pins);
		json_print(line);
		return;
	}
	print_text("prefix", s->name);
	print_text("uuid", uuid);
	print_text("keep", s->keep);
	print_text("io", s->io);
	for (unsigned i = 0; i < n; i++)
		print_field(&fields[i]);
	print_held(pins);
	json_decref(pins);
}

static int run(const struct args *args)
{
	struct context s;
	dur_prefix_stat stat;
	json_t *pins = json_array();
	uint64_t entries;
	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0) {
		int rc = dur_stat(s.prefix, &stat);
		if (rc == 0)
			rc = add_readers(s.prefix, pins);
		if (rc == 0)
			rc = add_names(s.prefix, pins);
		if (rc == 0)
			rc = dur_snapshot(s.prefix, DUR_LATEST, NULL, &s.view);
		if (rc == 0)
			rc = dur_count(dur_root(s.view), NULL, &entries);
		if (rc < 0)
			status = fail(rc);
		else
			print_stat(&stat, entries, json_incref(pins), args->json);
	}
	json_decref(pins);
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTION_JSON, OPTIONS_END };

const struct command cmd_stat = {
	.name = "stat",
	.summary = "show what a prefix is made of",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Prints the states, the sizes and the processes of a prefix. The file's bytes\n"
		 "belong to the newest state, to older states only (packed or not), are free to be\n"
		 "used, or hold what the library itself keeps. \"kept states\" is what names and\n"
		 "every: keep beyond the rest of the policy. \"on the disk\" leaves out what was\n"
		 "given back to the file system. Last comes what each reading process, and each\n"
		 "name, alone holds back.",
	.options = options,
	.examples = "  duramen stat demo\n"
		    "  duramen stat demo --json | jq .file_bytes",
	.run = run,
};
