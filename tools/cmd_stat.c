/* SPDX-License-Identifier: Apache-2.0 */
/* stat: what a prefix is made of. One table serves both forms of output. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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
		printf("%-18s%s\n", f->title, bytes_format(f->value, text));
	else if (f->kind == KIND_PID && f->value == 0)
		printf("%-18snone\n", f->title);
	else
		printf("%-18s%" PRIu64 "\n", f->title, f->value);
}

static void print_text(const char *title, const char *text)
{
	printf("%-18s", title);
	print_last_column(text);
}

/* What is held back, as far as nobody else does: by processes that read, and by names. */
struct held {
	dur_reader *readers;
	dur_state_name *names;
	size_t n_readers, n_names;
};

static void *make_room(void *list, size_t n, size_t size)
{
	list = realloc(list, (n + AT_ONCE) * size);
	if (list == NULL)
		out_of_memory();
	return list;
}

static int add_readers(dur_prefix *p, struct held *h)
{
	uint32_t n = AT_ONCE;
	int rc = 0;

	for (; rc == 0 && n == AT_ONCE; h->n_readers += n) {
		h->readers = make_room(h->readers, h->n_readers, sizeof *h->readers);
		rc = dur_readers(p, h->n_readers, h->readers + h->n_readers, AT_ONCE, &n);
	}
	return rc;
}

static int add_names(dur_prefix *p, struct held *h)
{
	uint32_t n = AT_ONCE;
	int rc = 0;

	for (; rc == 0 && n == AT_ONCE; h->n_names += n) {
		h->names = make_room(h->names, h->n_names, sizeof *h->names);
		rc = dur_names(p, h->n_names, h->names + h->n_names, AT_ONCE, &n);
	}
	return rc;
}

static void print_held(const struct held *h)
{
	const char *title = "held back";
	char text[BYTES_TEXT];

	for (size_t i = 0; i < h->n_readers; i++, title = "")
		printf("%-18s%s by process %" PRIu32 ", from state %" PRIu64 " on\n", title,
		       bytes_format(h->readers[i].held_bytes, text), h->readers[i].pid,
		       h->readers[i].oldest);
	for (size_t i = 0; i < h->n_names; i++) {
		if (!h->names[i].held_bytes)
			continue;
		printf("%-18s%s by name, state %" PRIu64 ": ", title,
		       bytes_format(h->names[i].held_bytes, text), h->names[i].state);
		print_last_column(h->names[i].name);
		title = "";
	}
}

static void print_json_held(struct json_writer *w, const struct held *h)
{
	json_name(w, "held");
	json_begin(w, '[');
	for (size_t i = 0; i < h->n_readers; i++) {
		json_begin(w, '{');
		json_member_int(w, "pid", h->readers[i].pid);
		json_member_int(w, "oldest", h->readers[i].oldest);
		json_member_int(w, "held_bytes", h->readers[i].held_bytes);
		json_end(w, '}');
	}
	for (size_t i = 0; i < h->n_names; i++) {
		if (!h->names[i].held_bytes)
			continue;
		json_begin(w, '{');
		json_member_text(w, "name", h->names[i].name);
		json_member_int(w, "state", h->names[i].state);
		json_member_int(w, "held_bytes", h->names[i].held_bytes);
		json_end(w, '}');
	}
	json_end(w, ']');
}

static void print_stat(const dur_prefix_stat *s, uint64_t entries, const struct held *held,
                       bool json)
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
		{ "removing", "removed, not free", KIND_NUMBER, s->removing },
		{ "commits", "commits", KIND_NUMBER, s->commits },
		{ "epoch", "takeovers", KIND_NUMBER, s->epoch },
		{ "writer_pid", "writer", KIND_PID, s->writer_pid },
		{ "readers", "attached", KIND_NUMBER, s->readers },
	};
	const unsigned n = sizeof fields / sizeof fields[0];
	char uuid[37];

	uuid_format(s->uuid, uuid);
	if (json) {
		struct json_writer w = json_line();
		json_member_text(&w, "name", s->name);
		json_member_text(&w, "uuid", uuid);
		json_member_text(&w, "keep", s->keep);
		json_member_text(&w, "io", s->io);
		for (unsigned i = 0; i < n; i++)
			json_member_int(&w, fields[i].name, fields[i].value);
		print_json_held(&w, held);
		json_line_end(&w);
		return;
	}
	print_text("prefix", s->name);
	print_text("uuid", uuid);
	print_text("keep", s->keep);
	print_text("io", s->io);
	for (unsigned i = 0; i < n; i++)
		print_field(&fields[i]);
	print_held(held);
}

static int run(const struct args *args)
{
	struct context s;
	dur_prefix_stat stat;
	struct held held = { .readers = NULL };
	uint64_t entries;
	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0) {
		int rc = dur_stat(s.prefix, &stat);
		if (rc == 0)
			rc = add_readers(s.prefix, &held);
		if (rc == 0)
			rc = add_names(s.prefix, &held);
		if (rc == 0)
			rc = dur_snapshot(s.prefix, DUR_LATEST, NULL, &s.view);
		if (rc == 0)
			rc = dur_count(dur_root(s.view), NULL, &entries);
		if (rc < 0)
			status = fail(rc);
		else
			print_stat(&stat, entries, &held, args->json);
	}
	free(held.readers);
	free(held.names);
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
