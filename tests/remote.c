/* SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct request {
	int64_t op, arg;
};

/* ---- The test's side ---- */

void remote_ask(const struct peer *peer, enum remote_op op, int64_t arg)
{
	struct request request = { op, arg };

	HOLDS(write(peer->in, &request, sizeof request) == sizeof request, "%s", strerror(errno));
}

int64_t remote_hear(const struct peer *peer)
{
	int64_t answer;
	ssize_t got = read(peer->out, &answer, sizeof answer);

	HOLDS(got == sizeof answer, "the remote %d has ended", (int)peer->pid);
	return answer;
}

int64_t remote_do(const struct peer *peer, enum remote_op op, int64_t arg)
{
	remote_ask(peer, op, arg);
	return remote_hear(peer);
}

bool remote_answered(const struct peer *peer)
{
	struct pollfd output = { .fd = peer->out, .events = POLLIN };

	return poll(&output, 1, 0) > 0;
}

void remote_start(struct peer *peer, const char *dir, const char *name, uint32_t flags)
{
	peer_start(peer, REMOTE_ROLE, dir, name, NULL);
	EXPECT(0, (int)remote_do(peer, REMOTE_ATTACH, flags));
}

/* ---- The peer's side ---- */

struct remote {
	const char *name;
	dur_workspace *ws;
	dur_prefix *p;
	dur_view *snaps[REMOTE_SNAPS], *txn;
	unsigned n_snaps;
};

static int64_t remote_snapshot(struct remote *r, uint64_t state)
{
	int rc;

	HOLDS(r->n_snaps < REMOTE_SNAPS, "too many snapshots");
	rc = dur_snapshot(r->p, state, NULL, &r->snaps[r->n_snaps]);
	return rc ? rc : (int64_t)dur_state(r->snaps[r->n_snaps++]);
}

static int64_t remote_begin(struct remote *r, int64_t ms)
{
	dur_view_options o = { .flags = ms == 0 ? DUR_NO_WAIT : 0,
		               .lock_ms = ms > 0 ? (uint32_t)ms : 0 };

	return dur_begin(r->p, &o, &r->txn);
}

static int64_t remote_fill(struct remote *r, uint64_t bytes)
{
	char *fill = malloc(bytes);
	int rc;

	HOLDS(fill, "no memory");
	memset(fill, 'f', bytes);
	rc = dur_put(dur_root(r->txn), &DUR_STR("fill"), &DUR_BYTES(fill, bytes));
	free(fill);
	return rc;
}

static int64_t remote_commit(struct remote *r, uint32_t flags)
{
	uint64_t state;
	int rc = dur_commit(r->txn, &(dur_commit_options){ .flags = flags }, &state);

	dur_close(r->txn);
	r->txn = NULL;
	return rc ? rc : (int64_t)state;
}

static int64_t remote_detach(struct remote *r)
{
	int rc = dur_detach(r->p);

	if (rc != -EBUSY)
		r->p = NULL;
	return rc;
}

static int64_t remote_poll(struct remote *r, uint64_t after)
{
	struct pollfd newer = { .events = POLLIN };
	uint64_t state;
	int rc = dur_wait(r->p, after, 0, &state);

	if (rc == DUR_NONE)
		rc = dur_poll_fd(r->p, &newer.fd);
	if (rc < 0)
		return rc;
	while (dur_wait(r->p, after, 0, &state) == DUR_NONE)
		HOLDS(poll(&newer, 1, -1) == 1, "%s", strerror(errno));
	return (int64_t)state;
}

static int64_t said(int64_t number)
{
	char text[24];
	const char *at;
	size_t len = (size_t)snprintf(text, sizeof text, "%" PRId64, number);

	for (at = dur_message(); (at = strstr(at, text)) != NULL; at++)
		if ((at[len] < '0' || at[len] > '9') &&
		    (at == dur_message() || at[-1] < '0' || at[-1] > '9'))
			return 1;
	return 0;
}

static int64_t remote_fork(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		close(0);
		close(1);
		for (;;)
			pause();
	}
	return pid;
}

static int64_t serve(struct remote *r, const struct request *request)
{
	int64_t arg = request->arg;
	uint64_t state;
	int rc;

	switch ((enum remote_op)request->op) {
	case REMOTE_ATTACH: return dur_attach(r->ws, r->name, (uint32_t)arg, NULL, &r->p);
	case REMOTE_DETACH: return remote_detach(r);
	case REMOTE_SNAPSHOT: return remote_snapshot(r, (uint64_t)arg);
	case REMOTE_READ: return view_int(r->snaps[r->n_snaps - 1], "n", -1);
	case REMOTE_CLOSE: dur_close(r->snaps[--r->n_snaps]); return 0;
	case REMOTE_BEGIN: return remote_begin(r, arg);
	case REMOTE_PUT: return dur_put(dur_root(r->txn), &DUR_STR("n"), &DUR_INT(arg));
	case REMOTE_FILL: return remote_fill(r, (uint64_t)arg);
	case REMOTE_COMMIT: return remote_commit(r, (uint32_t)arg);
	case REMOTE_ABORT:
		dur_close(r->txn);
		r->txn = NULL;
		return 0;
	case REMOTE_WAIT:
		rc = dur_wait(r->p, (uint64_t)arg, -1, &state);
		return rc ? rc : (int64_t)state;
	case REMOTE_POLL: return remote_poll(r, (uint64_t)arg);
	case REMOTE_SAID: return said(arg);
	case REMOTE_FORK: return remote_fork();
	}
	HOLDS(false, "request %" PRId64, request->op);
	return 0;
}

int remote_role(int argc, char **argv)
{
	struct remote r = { .name = argv[1], .ws = prefix_workspace(argv[0]) };
	struct request request;

	(void)argc;
	while (read(0, &request, sizeof request) == sizeof request) {
		int64_t answer = serve(&r, &request);

		HOLDS(write(1, &answer, sizeof answer) == sizeof answer, "%s", strerror(errno));
	}
	dur_close(r.txn);
	while (r.n_snaps > 0)
		dur_close(r.snaps[--r.n_snaps]);
	dur_detach(r.p); /* it may not like what the test has done to its files */
	EXPECT(0, dur_workspace_close(r.ws));
	return 0;
}
