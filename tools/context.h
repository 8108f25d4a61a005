/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nearly every command does first and last: open the workspace, attach the prefix of its
 * first operand, open a view; and close all of it. Each call prints its own message and returns an
 * exit status, 0 to go on.
 */
#ifndef DURAMEN_TOOLS_CONTEXT_H
#define DURAMEN_TOOLS_CONTEXT_H

#include <duramen.h>

#include "options.h"

struct context {
	const struct args *args;
	dur_workspace *ws;
	dur_prefix *prefix;
	dur_view *view;
};

/* The workspace only. It must be there; create and receive alone make it. */
int context_workspace(struct context *s, const struct args *args);
/* The workspace, and the prefix of operand 0 attached with these flags. */
int context_open(struct context *s, const struct args *args, uint32_t attach_flags);
/* A snapshot of --at, else of the newest state. */
int context_snapshot(struct context *s);
/* The state that a text for --at means. */
int context_state(struct context *s, const char *text, uint64_t *state);
/* A snapshot of it; the caller closes it. */
int context_past(struct context *s, const char *text, dur_view **snap);
/* A transaction, after at most --lock-timeout. */
int context_begin(struct context *s);
/* Commits it with --label and --async and closes it. *state may be NULL. */
int context_commit(struct context *s, uint64_t *state);
/* The collection at path in the view; "" or NULL: the catalog. */
int context_collection(struct context *s, const char *path, dur_coll *c);
/* The retained or future state that --after means. */
int context_after(struct context *s, uint64_t *after);
/* Closes what is open. Returns status, or the exit status of a failure to close. */
int context_close(struct context *s, int status);

/* fail(), but a prefix that is not there is told with what to do about it. */
int context_fail(const struct args *args, int result);

#endif
