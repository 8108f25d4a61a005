/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nearly every command does first and last: open the workspace, attach the prefix of its
 * first operand, open a view; and close all of it. Each call prints its own message and returns an
 * exit status, 0 to go on.
 */
#ifndef DURAMEN_TOOLS_SESSION_H
#define DURAMEN_TOOLS_SESSION_H

#include <duramen.h>

#include "options.h"

struct session {
	const struct args *args;
	dur_workspace *ws;
	dur_prefix *prefix;
	dur_view *view;
};

/* The workspace only. It must be there; create alone makes it. */
int session_workspace(struct session *s, const struct args *args);
/* The workspace, and the prefix of operand 0 attached with these flags. */
int session_open(struct session *s, const struct args *args, uint32_t attach_flags);
/* A snapshot of --at, else of the newest state. */
int session_snapshot(struct session *s);
/* A transaction, after at most --lock-timeout. */
int session_begin(struct session *s);
/* Commits it with --label and --async and closes it. *state may be NULL. */
int session_commit(struct session *s, uint64_t *state);
/* The collection at path in the view; "" or NULL: the catalog. */
int session_collection(struct session *s, const char *path, dur_coll *c);
/* The retained or future state that --after means. */
int session_after(struct session *s, uint64_t *after);
/* Closes what is open. Returns status, or the exit status of a failure to close. */
int session_close(struct session *s, int status);

/* fail(), but a prefix that is not there is told with what to do about it. */
int session_fail(const struct args *args, int result);

#endif
