/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing here is undone on failure: the command calls context_close() whatever happened. */
#include "context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include "message.h"

/* Takeovers and recoveries are rare, and worth knowing. */
static void print_log(void *ctx, int level, const char *text)
{
	(void)ctx;
	if (level <= LOG_NOTICE)
		complain("%s", text);
}

int context_workspace(struct context *s, const struct args *args)
{
	dur_workspace_options o = { .log = print_log };
	struct stat st;

	*s = (struct context){ .args = args };
	/* Opening makes the folder; a mistyped --root must not. */
	if (strcmp(args->command->name, "create") != 0 &&
	    strcmp(args->command->name, "receive") != 0 && stat(args->root, &st) != 0 &&
	    errno == ENOENT)
		return refuse(EXIT_FAILED,
		              "there is no workspace at %s: name it with --root or "
		              "$DURAMEN_ROOT, or let `duramen create PREFIX` make one",
		              args->root);
	int rc = dur_workspace_open(args->root, &o, &s->ws);
	return rc < 0 ? fail(rc) : 0;
}

int context_fail(const struct args *args, int result)
{
	if (result == -ENOENT)
		return refuse(EXIT_FAILED,
		              "there is no prefix %s in %s: `duramen create %s` makes it, "
		              "`duramen ls` lists those that are there",
		              args->operand[0], args->root, args->operand[0]);
	return fail(result);
}

int context_open(struct context *s, const struct args *args, uint32_t attach_flags)
{
	dur_attach_options o = { .keep = args->keep };
	int status = context_workspace(s, args);
	if (status != 0)
		return status;
	int rc = dur_attach(s->ws, args->operand[0], attach_flags, &o, &s->prefix);
	return rc < 0 ? context_fail(args, rc) : 0;
}

int context_state(struct context *s, const char *text, uint64_t *state)
{
	int rc = dur_resolve(s->prefix, text, state);
	if (rc == DUR_NONE)
		return refuse(EXIT_NO,
		              "there is no state %s in %s, or no longer: `duramen log %s` lists "
		              "those that are there",
		              text, s->args->operand[0], s->args->operand[0]);
	return rc < 0 ? fail(rc) : 0;
}

int context_past(struct context *s, const char *text, dur_view **snap)
{
	uint64_t state;
	int status = context_state(s, text, &state);
	if (status != 0)
		return status;
	int rc = dur_snapshot(s->prefix, state, NULL, snap);
	return rc < 0 ? fail(rc) : 0;
}

int context_snapshot(struct context *s)
{
	if (s->args->at != NULL)
		return context_past(s, s->args->at, &s->view);
	int rc = dur_snapshot(s->prefix, DUR_LATEST, NULL, &s->view);
	return rc < 0 ? fail(rc) : 0;
}

int context_begin(struct context *s)
{
	dur_view_options o = { .lock_ms = (uint32_t)s->args->lock_ms };
	if (o.lock_ms == 0)
		o.flags = DUR_NO_WAIT;
	int rc = dur_begin(s->prefix, &o, &s->view);
	return rc < 0 ? fail(rc) : 0;
}

int context_commit(struct context *s, uint64_t *state)
{
	dur_commit_options o = {
		.label = s->args->label,
		.flags = s->args->async ? DUR_ASYNC : 0,
	};
	int rc = dur_commit(s->view, &o, state);
	int status = rc < 0 ? fail(rc) : 0;
	dur_close(s->view);
	s->view = NULL;
	return status;
}

int context_collection(struct context *s, const char *path, dur_coll *c)
{
	dur_value v;
	*c = dur_root(s->view);
	if (path == NULL || *path == '\0')
		return 0;
	int rc = dur_get(*c, &DUR_PATH(path), &v);
	if (rc < 0)
		return fail(rc);
	if (rc == DUR_NONE)
		return refuse(EXIT_NO, "there is nothing at %s", path);
	if (v.type < DUR_MAP)
		return refuse(EXIT_FAILED,
		              "%s is a single value, not a collection: "
		              "`duramen get` prints it",
		              path);
	*c = v.coll;
	return 0;
}

int context_after(struct context *s, uint64_t *after)
{
	const char *text = s->args->after;
	char *end;
	/*
	 * A number need not be a state that is there: 0 is before the first, and old ones may be
	 * gone.
	 */
	errno = 0;
	*after = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0)
		return 0;
	return context_state(s, text, after);
}

int context_close(struct context *s, int status)
{
	dur_close(s->view);
	int rc = dur_detach(s->prefix);
	int closed = dur_workspace_close(s->ws);
	/* The first failure has been reported; what follows from it would only hide it. */
	if (status == EXIT_DONE && (rc < 0 || closed < 0))
		status = fail(rc < 0 ? rc : closed);
	*s = (struct context){ 0 };
	return status;
}
