/* SPDX-License-Identifier: Apache-2.0 */
/* receive: makes or extends a copy from what backup has written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "context.h"
#include "message.h"
#include "progress.h"
#include "stop.h"

struct receive {
	struct context context;
	struct progress progress;
	int fd;
};

static int show_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct receive *r = ctx;
	r->progress.total = total;
	progress_step(&r->progress, done, done >> 20);
	return stop_requested();
}

static int open_file(struct receive *r)
{
	const char *name = r->context.args->operand[1];

	if (name == NULL || strcmp(name, "-") == 0) {
		if (isatty(STDIN_FILENO) == 1)
			return refuse(EXIT_USAGE, "a backup does not come from a terminal: name a "
			                          "file, or pipe it in");
		r->fd = STDIN_FILENO;
		return 0;
	}
	r->fd = open(name, O_RDONLY | O_CLOEXEC);
	return r->fd >= 0 ? 0 : refuse(EXIT_FAILED, "cannot open %s: %s", name, strerror(errno));
}

static int run(const struct args *args)
{
	struct receive r = { .fd = -1 };
	const dur_progress progress = { show_progress, &r };

	stop_catch();
	int status = context_workspace(&r.context, args);
	if (status == 0)
		status = open_file(&r);
	if (status == 0) {
		progress_start(&r.progress, "receiving", "MiB", 0);
		int rc = dur_receive(r.context.ws, args->operand[0], r.fd, &progress);
		progress_clear();
		if (rc < 0)
			status = fail(rc);
		else if (rc == DUR_NONE)
			complain("%s has all of it already", args->operand[0]);
	}
	if (r.fd > STDIN_FILENO)
		close(r.fd);
	return context_close(&r.context, status);
}

static const struct option_row options[] = { OPTIONS_END };

const struct command cmd_receive = {
	.name = "receive",
	.summary = "make or extend a copy from a backup",
	.operands = { "PREFIX", "FILE" },
	.required = 1,
	.about =
		"Reads what backup has written, from FILE or standard input. A whole backup makes\n"
		"PREFIX, which must not be there; one --since a state adds to the copy whose\n"
		"newest state that is. What is damaged or does not fit changes nothing.",
	.options = options,
	.examples = "  duramen receive demo-copy demo.backup\n"
		    "  ssh host duramen backup demo | duramen receive demo-copy",
	.run = run,
};
