/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: entries from a file, in batches. A batch is read and parsed as a whole before the
 * transaction begins, so the writer lock is not held while a slow pipe is read, and an error in a
 * batch commits nothing of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "arena.h"
#include "commands.h"
#include "context.h"
#include "entries.h"
#include "message.h"
#include "progress.h"
#include "stop.h"
#include "target.h"

#define BATCH_MAX   (16u << 20)
#define BATCH_BYTES ((size_t)64 << 20) /* a batch of large values ends here */

struct place {
	uint64_t line, column;
};

struct load {
	struct context context;
	struct entry_reader reader;
	struct arena arena;
	struct progress progress;
	dur_value *keys, *values;
	struct place *places; /* where each entry begins, for messages */
	uint32_t n, cap;
	dur_coll into;    /* of the transaction */
	bool stored;      /* the batch, because its last value does not fit in memory */
	const char *name; /* of the file, for messages */
	uint64_t entries, commits, state; /* committed so far; state: the newest */
};

/* What the user needs after a failure, to mend the file and go on. */
static int stopped(const struct load *l)
{
	if (l->commits == 0)
		return refuse(EXIT_FAILED, "nothing was committed");
	return refuse(EXIT_FAILED,
	              "the first %" PRIu64 " entries are committed, in %" PRIu64
	              " commits up to state %" PRIu64 "; nothing after them",
	              l->entries, l->commits, l->state);
}

static void make_room(struct load *l)
{
	if (l->n < l->cap)
		return;
	l->cap = l->cap ? 2 * l->cap : 1024;
	l->keys = realloc(l->keys, l->cap * sizeof *l->keys);
	l->values = realloc(l->values, l->cap * sizeof *l->values);
	l->places = realloc(l->places, l->cap * sizeof *l->places);
	if (l->keys == NULL || l->values == NULL || l->places == NULL)
		out_of_memory();
}

/* Reads the next batch; l->n 0: there is none. */
static int read_batch(struct load *l)
{
	arena_reset(&l->arena);
	l->stored = false;
	for (l->n = 0; l->n < l->context.args->batch && l->arena.total < BATCH_BYTES; l->n++) {
		make_room(l);
		int rc = entry_read(&l->reader, &l->arena, &l->keys[l->n], &l->values[l->n]);
		if (stop_requested()) {
			complain("interrupted");
			return stopped(l);
		}
		if (rc < 0 && l->reader.builder.status == 0)
			complain("%s: %s", l->name, l->reader.error);
		if (rc < 0)
			return stopped(l);
		if (rc == 1)
			break;
		l->places[l->n] = (struct place){ l->reader.line, l->reader.column };
		progress_step(&l->progress, l->reader.bytes, l->entries + l->n + 1);
		if (l->stored) {
			l->n++;
			break;
		}
	}
	return 0;
}

/* What goes into a map can be told to be right without a look at what went before. */
static bool takes_many(dur_coll c)
{
	return c.kind == DUR_MAP || c.kind == DUR_RAW_MAP;
}

/* dur_put_many() does not tell which entry it refused: the same ones again, one by one, do. */
static int put_each(struct load *l, int result)
{
	for (uint32_t i = 0; i < l->n; i++) {
		const char *why;
		int rc = target_entry(l->into, &l->keys[i], &l->values[i], &why);
		if (rc < 0) {
			return refuse(EXIT_FAILED, "%s: line %" PRIu64 ", column %" PRIu64 ": %s",
			              l->name, l->places[i].line, l->places[i].column, why);
		}
	}
	return result == 0 ? 0 : fail(result);
}

static int put_batch(struct load *l)
{
	const struct args *args = l->context.args;
	int rc = 0, status = context_begin(&l->context);
	if (status == 0)
		status = target_collection(l->context.view, args->operand[2], args->parents,
		                           &l->into);
	if (status != 0)
		return status;
	if (takes_many(l->into))
		rc = dur_put_many(l->into, l->keys, l->values, l->n);
	return rc < 0 || !takes_many(l->into) ? put_each(l, rc) : 0;
}

/* Before a value has ended that is to be stored while it is read: with those before it. */
static int begin_value(void *ctx, dur_coll *c, const dur_value **key)
{
	struct load *l = ctx;
	if (l->reader.key == NULL)
		return refuse(EXIT_FAILED,
		              "%s: line %" PRIu64 ", column %" PRIu64 ": the key of "
		              "an entry of more than %zu MiB must stand before its value",
		              l->name, l->reader.line, l->reader.column, JSON_MEMORY >> 20);
	int status = put_batch(l);
	if (status == 0 && !takes_many(l->into) && l->into.kind != DUR_LIST)
		return refuse(EXIT_FAILED,
		              "%s: line %" PRIu64 ", column %" PRIu64 ": a set or a rope takes no "
		              "arrays and objects",
		              l->name, l->reader.line, l->reader.column);
	l->stored = status == 0;
	*c = l->into;
	*key = l->reader.key;
	return status;
}

static int commit_batch(struct load *l)
{
	int status = l->stored ? 0 : put_batch(l);
	if (status == 0)
		status = context_commit(&l->context, &l->state);
	if (status != 0) {
		stopped(l);
		return status;
	}
	l->entries += l->n;
	l->commits++;
	return 0;
}

static int load_all(struct load *l)
{
	int status;
	do {
		status = read_batch(l);
		if (status == 0 && l->n > 0)
			status = commit_batch(l);
	} while (status == 0 && l->n > 0);
	progress_clear();
	return status;
}

static int open_file(struct load *l, enum format format)
{
	struct stat st;
	bool standard = strcmp(l->name, "-") == 0;
	FILE *f = standard ? stdin : fopen(l->name, "re");
	if (f == NULL)
		return refuse(EXIT_FAILED, "cannot open %s: %s", l->name, strerror(errno));
	if (standard)
		l->name = "standard input";
	bool sized = fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);
	entry_reader_init(&l->reader, f, format);
	l->reader.builder.begin = begin_value;
	l->reader.builder.ctx = l;
	progress_start(&l->progress, "loading", "entries", sized ? (uint64_t)st.st_size : 0);
	return 0;
}

static void close_file(struct load *l)
{
	if (l->reader.file != NULL && l->reader.file != stdin)
		fclose(l->reader.file);
	entry_reader_free(&l->reader);
	arena_free(&l->arena);
	free(l->keys);
	free(l->values);
	free(l->places);
}

static int run(const struct args *args)
{
	struct load l = { .name = args->operand[1] };
	enum format format;

	if (!format_parse(args->format, &format))
		return EXIT_USAGE;
	stop_catch();
	int status = context_open(&l.context, args, 0);
	if (status == 0)
		status = open_file(&l, format);
	if (status == 0)
		status = load_all(&l);
	close_file(&l);
	return context_close(&l.context, status);
}

static const struct option_row options[] = {
	OPTION_FORMAT, NUMBER("batch", "N", batch, 1, BATCH_MAX, "entries a commit (default 1000)"),
	OPTION_PARENTS, OPTIONS_WRITE, OPTIONS_END
};

const struct command cmd_load = {
	.name = "load",
	.summary = "put the entries of a file",
	.operands = { "PREFIX", "FILE", "PATH" },
	.required = 2,
	.about =
		"Puts the entries of FILE, or of standard input for \"-\", a batch of them a\n"
		"commit, into the prefix or the collection at PATH. What was there under other\n"
		"keys stays. ndjson has one {\"key\":KEY,\"value\":VALUE} a line; json is an array of\n"
		"these, or an object of keys and values; tsv has KEY, a tab, VALUE a line. An\n"
		"error names line and column, and how much was committed before: of the batch\n"
		"that it stands in, nothing is.",
	.options = options,
	.examples = "  duramen load demo entries.ndjson\n"
		    "  duramen load demo --format tsv table.tsv --batch 10000\n"
		    "  duramen load demo users.ndjson /teams/red --parents\n"
		    "  zcat dump.ndjson.gz | duramen load demo -",
	.run = run,
};
