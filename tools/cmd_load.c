/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: entries from a file, in batches. A batch is read and parsed as a whole before its
 * transaction begins, so the writer lock is not held while a slow pipe is read, and an error in a
 * batch commits nothing of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "batches.h"
#include "commands.h"
#include "context.h"
#include "message.h"
#include "progress.h"
#include "stop.h"
#include "target.h"

#define BATCH_MAX   (16u << 20)
#define KEPT_MEMORY (64 << 20)

struct load {
	struct context context;
	struct batches batches;
	struct progress progress;
	FILE *file;
	dur_coll into;    /* of the transaction */
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

/* What goes into a map can be told to be right without a look at what went before. */
static bool takes_many(dur_coll c)
{
	return c.kind == DUR_MAP || c.kind == DUR_RAW_MAP;
}

static int refuse_at(const struct load *l, struct batch_place at, const char *why)
{
	return refuse(EXIT_FAILED, "%s: line %" PRIu64 ", column %" PRIu64 ": %s", l->name, at.line,
	              at.column, why);
}

/* dur_put_many() does not tell which entry it refused: the same ones again, one by one, do. */
static int put_each(struct load *l, const struct batch *b, int result)
{
	for (uint32_t i = 0; i < b->n; i++) {
		const char *why;
		int rc = target_entry(l->into, &b->keys[i], &b->values[i], &why);
		if (rc < 0)
			return refuse_at(l, b->places[i], why);
	}
	return result == 0 ? 0 : fail(result);
}

static int put_batch(struct load *l, const struct batch *b)
{
	const struct args *args = l->context.args;
	int rc = 0, status = context_begin(&l->context);
	if (status == 0)
		status = target_collection(l->context.view, args->operand[2], args->parents,
		                           &l->into);
	if (status != 0)
		return status;
	if (takes_many(l->into))
		rc = dur_put_many(l->into, b->keys, b->values, b->n);
	return rc < 0 || !takes_many(l->into) ? put_each(l, b, rc) : 0;
}

/* Before a value has ended that is to be stored while it is read: with those before it. */
static int begin_value(void *ctx, struct batch *b, struct batch_place at, dur_coll *c,
                       const dur_value **key)
{
	struct load *l = ctx;
	if (*key == NULL) {
		char why[80];
		snprintf(why, sizeof why,
		         "the key of an entry of more than %zu MiB must stand before its value",
		         JSON_MEMORY >> 20);
		return refuse_at(l, at, why);
	}
	int status = put_batch(l, b);
	if (status == 0 && !takes_many(l->into) && l->into.kind != DUR_LIST)
		return refuse_at(l, at, "a set or a rope takes no arrays and objects");
	*c = l->into;
	return status;
}

static int commit_batch(struct load *l, const struct batch *b)
{
	int status = b->stored ? 0 : put_batch(l, b);
	if (status == 0)
		status = context_commit(&l->context, &l->state);
	if (status != 0) {
		stopped(l);
		return status;
	}
	l->entries += b->n;
	l->commits++;
	progress_step(&l->progress, b->bytes, l->entries);
	return 0;
}

static int wrong(struct load *l, const struct batch *b)
{
	progress_clear();
	if (b->error[0] != '\0' && stop_requested())
		complain("%s", b->error);
	else if (b->error[0] != '\0')
		complain("%s: %s", l->name, b->error);
	return stopped(l);
}

static int load_all(struct load *l, enum format format)
{
	const struct batch *b;
	int status = batches_start(&l->batches, l->file, format);
	if (status != 0)
		return status;
	do {
		b = batches_next(&l->batches);
		if (b->end == BATCH_WRONG)
			status = wrong(l, b);
		else if (b->n > 0)
			status = commit_batch(l, b);
	} while (status == 0 && b->end == BATCH_MORE);
	progress_clear();
	batches_end(&l->batches);
	return status;
}

static int open_file(struct load *l)
{
	struct stat st;
	bool standard = strcmp(l->name, "-") == 0;
	l->file = standard ? stdin : fopen(l->name, "re");
	if (l->file == NULL)
		return refuse(EXIT_FAILED, "cannot open %s: %s", l->name, strerror(errno));
	if (standard)
		l->name = "standard input";
	bool sized = fstat(fileno(l->file), &st) == 0 && S_ISREG(st.st_mode);
	progress_start(&l->progress, "loading", "entries", sized ? (uint64_t)st.st_size : 0);
	return 0;
}

static int run(const struct args *args)
{
	struct load l = { .name = args->operand[1] };
	enum format format;

	if (!format_parse(args->format, &format))
		return EXIT_USAGE;
	stop_catch();
	/* What a batch takes the next one takes again: it does not go back to the system meanwhile. */
	mallopt(M_MMAP_THRESHOLD, KEPT_MEMORY / 8);
	mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
	int status = context_open(&l.context, args, 0);
	if (status == 0)
		status = open_file(&l);
	l.batches.begin = begin_value;
	l.batches.ctx = &l;
	l.batches.most = (uint32_t)args->batch;
	if (status == 0)
		status = load_all(&l, format);
	if (l.file != NULL && l.file != stdin)
		fclose(l.file);
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
