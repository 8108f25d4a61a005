/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: states as a stream. A file gets its name when all of it is there and flushed, so that
 * what is called FILE is never half a backup; what is no regular file is written to as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "context.h"
#include "message.h"
#include "progress.h"
#include "stop.h"

struct backup {
	struct context context;
	struct progress progress;
	const char *name; /* NULL: standard output */
	char *part;       /* what the file is called until it is whole; NULL: nothing */
	int fd;
	uint64_t since;
};

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct backup *b = ctx;
	b->progress.total = total;
	progress_step(&b->progress, done, done);
	return stop_requested();
}

static int open_standard(struct backup *b)
{
	if (isatty(STDOUT_FILENO) == 1)
		return refuse(EXIT_USAGE,
		              "a backup is no text for a terminal: name a file, or pipe "
		              "it on");
	b->fd = STDOUT_FILENO;
	return 0;
}

static int open_file(struct backup *b)
{
	struct stat st;
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC;

	if (b->name == NULL)
		return open_standard(b);
	if (stat(b->name, &st) != 0 || S_ISREG(st.st_mode)) {
		if (asprintf(&b->part, "%s.part", b->name) < 0)
			out_of_memory();
		flags |= O_TRUNC;
	}
	b->fd = open(b->part != NULL ? b->part : b->name, flags, 0666);
	if (b->fd >= 0)
		return 0;
	int status = refuse(EXIT_FAILED, "cannot write %s: %s", b->name, strerror(errno));
	free(b->part);
	b->part = NULL;
	return status;
}

/* Flushed, and only then called what it shall be called. */
static int close_file(struct backup *b, int status)
{
	if (b->name == NULL || b->fd < 0)
		return status;
	/* A device or a pipe cannot be flushed, and need not. */
	if (status == 0 && b->part != NULL && fsync(b->fd) != 0)
		status = refuse(EXIT_FAILED, "cannot flush %s: %s", b->name, strerror(errno));
	if (close(b->fd) != 0 && status == 0)
		status = refuse(EXIT_FAILED, "cannot write %s: %s", b->name, strerror(errno));
	if (b->part != NULL && status == 0 && rename(b->part, b->name) != 0)
		status = refuse(EXIT_FAILED, "cannot make %s: %s", b->name, strerror(errno));
	if (b->part != NULL && status != 0)
		unlink(b->part);
	free(b->part);
	return status;
}

static int write_backup(struct backup *b)
{
	const dur_progress progress = { show_progress, b };
	const struct args *args = b->context.args;

	progress_start(&b->progress, "backing up", "changes", 0);
	int rc = dur_backup(b->context.view, b->since, args->history ? DUR_HISTORY : 0, b->fd,
	                    &progress);
	progress_clear();
	return rc < 0 ? fail(rc) : 0;
}

static int run(const struct args *args)
{
	struct backup b = { .name = args->operand[1], .fd = -1 };

	if (b.name != NULL && strcmp(b.name, "-") == 0)
		b.name = NULL;
	stop_catch();
	int status = context_open(&b.context, args, DUR_READ_ONLY);
	if (status == 0)
		status = context_snapshot(&b.context);
	if (status == 0 && args->since != NULL)
		status = context_state(&b.context, args->since, &b.since);
	if (status == 0)
		status = open_file(&b);
	if (status == 0)
		status = write_backup(&b);
	return context_close(&b.context, close_file(&b, status));
}

static const struct option_row options[] = {
	OPTION_AT, TEXT("since", "STATE", since, "only what changed after this state"),
	FLAG("history", history, "every readable state, not the last one alone"), OPTIONS_END
};

const struct command cmd_backup = {
	.name = "backup",
	.summary = "write states as a stream, for receive",
	.operands = { "PREFIX", "FILE" },
	.required = 1,
	.about = "Writes one state, compressed and with checksums, to FILE or to standard output,\n"
		 "while others go on reading and writing. With --since it holds only what changed\n"
		 "after that state, and fits a copy whose newest state that is.",
	.options = options,
	.examples = "  duramen backup demo demo.backup\n"
		    "  duramen backup demo --history | ssh host duramen receive demo-copy\n"
		    "  duramen backup demo --since 1200 increment.backup",
	.run = run,
};
