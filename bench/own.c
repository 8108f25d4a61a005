/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the other stores do not have, or nobody compares: how soon a waiting process is awake, and
 * what attaching costs. Beside them the one commit that is looked at under strace, for any peer.
 */
#include <duramen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"

static int own_fail(const char *call, int rc)
{
	return driver_fail("duramen: %s: %s: %s", call, dur_strerror(rc), dur_message());
}

static int own_attach(const char *dir, const char *name, uint32_t flags, dur_workspace **ws,
                      dur_prefix **p)
{
	dur_attach_options options = { .keep = "last:1" };
	int rc = dur_workspace_open(dir, NULL, ws);

	if (rc)
		return own_fail("dur_workspace_open", rc);
	rc = dur_attach(*ws, name, flags, &options, p);
	return rc ? own_fail("dur_attach", rc) : 0;
}

static int own_detach(dur_workspace *ws, dur_prefix *p)
{
	int rc = dur_detach(p);

	if (!rc)
		rc = dur_workspace_close(ws);
	return rc ? own_fail("dur_detach", rc) : 0;
}

/* ---- wake: a process that sleeps in dur_wait() ---- */

struct wake {
	_Atomic uint32_t start, ready;
	_Atomic uint64_t seen;          /* the newest state the waiting process was told of */
	_Atomic int64_t  at;            /* when it was awake; set before seen */
};

static void wake_wait(const char *dir, struct wake *w)
{
	dur_workspace *ws;
	dur_prefix *p;
	uint64_t state = 0;

	while (!atomic_load(&w->start))
		usleep(200);
	if (own_attach(dir, "wake", DUR_READ_ONLY, &ws, &p))
		return;
	atomic_store(&w->ready, 1);
	for (;;) {      /* until it is killed */
		int rc = dur_wait(p, state, -1, &state);

		atomic_store(&w->at, place_now());
		if (rc)
			return;
		atomic_store(&w->seen, state);
	}
}

static int wake_commit(dur_prefix *p, uint64_t n, uint32_t flags, uint64_t *state)
{
	dur_commit_options options = { .flags = flags };
	dur_view *txn;
	int rc = dur_begin(p, NULL, &txn);

	if (rc)
		return own_fail("dur_begin", rc);
	rc = dur_put(dur_root(txn), &DUR_INT(1), &DUR_INT((int64_t)n));
	if (!rc)
		rc = dur_commit(txn, &options, state);
	dur_close(txn);
	return rc ? own_fail("dur_commit", rc) : 0;
}

static int wake_samples(struct job *j, dur_prefix *p, struct wake *w, pid_t waiter, uint32_t flags,
                        enum metric m)
{
	uint32_t n, count = j->options->quick ? 200 : 1000;
	int64_t *ns = malloc(count * sizeof(*ns));
	uint64_t state;

	if (!ns)
		return driver_fail("out of memory");
	for (n = 0; n < count; n++) {
		int64_t called, returned;

		usleep(1000);   /* the other process has to be asleep */
		called = place_now();
		if (wake_commit(p, n, flags, &state))
			return -1;
		returned = place_now();
		while (atomic_load(&w->seen) < state) {
			if (waitpid(waiter, NULL, WNOHANG) != 0)
				return driver_fail("duramen: the waiting process has ended");
			usleep(100);
		}
		ns[n] = atomic_load(&w->at) - (flags & DUR_ASYNC ? called : returned);
	}
	job_latencies(j, m, ns, count);
	job_measured(j, m, j->result->m[m].p50);
	free(ns);
	return 0;
}

int job_wake(struct job *j)
{
	struct wake *w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	                      -1, 0);
	dur_workspace *ws;
	dur_prefix *p;
	pid_t waiter;
	int rc;

	if (w == MAP_FAILED)
		return driver_fail("out of memory");
	waiter = fork();
	if (waiter < 0)
		return driver_fail("fork failed");
	if (waiter == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wake_wait(j->scratch, w);
		_exit(1);
	}
	rc = own_attach(j->scratch, "wake", DUR_CREATE, &ws, &p);
	if (!rc) {
		atomic_store(&w->start, 1);
		while (!atomic_load(&w->ready) && waitpid(waiter, NULL, WNOHANG) == 0)
			usleep(200);
		rc = wake_samples(j, p, w, waiter, DUR_ASYNC, M_WAKE);
	}
	if (!rc)
		rc = wake_samples(j, p, w, waiter, 0, M_WAKEDURABLE);
	kill(waiter, SIGKILL);
	waitpid(waiter, NULL, 0);
	munmap(w, sizeof(*w));
	return rc ? rc : own_detach(ws, p);
}

/* ---- attach: a small and a big prefix in turn, each time in a new process ---- */

#define ATTACH_VALUE 4000u
#define ATTACH_SAMPLES 50u

static int attach_fill(dur_prefix *p, uint64_t bytes)
{
	static unsigned char value[ATTACH_VALUE];
	uint64_t i = 0, n = bytes / (ATTACH_VALUE + 96), state = 0, w;
	dur_commit_options options = { .flags = DUR_ASYNC };
	int rc = 0;

	while (i < n && !rc) {
		dur_view *txn;

		rc = dur_begin(p, NULL, &txn);
		if (rc)
			break;
		do {
			for (w = 0; w < ATTACH_VALUE / 8; w++) {
				uint64_t x = data_mix(i * ATTACH_VALUE + w);

				memcpy(value + 8 * w, &x, 8);
			}
			rc = dur_put(dur_root(txn), &DUR_INT((int64_t)i),
			             &DUR_BYTES(value, ATTACH_VALUE));
		} while (++i % 4096 != 0 && i < n && !rc);
		if (!rc)
			rc = dur_commit(txn, &options, &state);
		dur_close(txn);
	}
	if (!rc)
		rc = dur_sync(p, state, -1);
	return rc ? own_fail("filling a prefix", rc) : 0;
}

static int attach_make(const char *dir, const char *name, uint64_t bytes)
{
	dur_workspace *ws;
	dur_prefix *p;

	if (own_attach(dir, name, DUR_CREATE | DUR_EXCLUSIVE, &ws, &p) || attach_fill(p, bytes))
		return -1;
	return own_detach(ws, p);
}

/* What is timed: attach, look at one entry, detach. */
static int attach_once(const char *dir, const char *name)
{
	dur_workspace *ws;
	dur_prefix *p;
	dur_view *snap;
	dur_value v;
	int rc;

	if (own_attach(dir, name, 0, &ws, &p))
		return -1;
	rc = dur_snapshot(p, DUR_LATEST, NULL, &snap);
	if (rc)
		return own_fail("dur_snapshot", rc);
	rc = dur_get(dur_root(snap), &DUR_INT(300), &v);
	if (rc || v.type != DUR_BYTES || v.len != ATTACH_VALUE)
		return rc ? own_fail("dur_get", rc) : driver_fail("duramen: a wrong value");
	dur_close(snap);
	return own_detach(ws, p);
}

/* In a child, so that nothing is left from the time before. */
static int attach_sample(const char *dir, const char *name, struct result *shared, int64_t *ns)
{
	struct measured *m = &shared->m[M_ATTACHRATIO];
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return driver_fail("fork failed");
	if (pid == 0) {
		int64_t start = place_now();
		int rc = attach_once(dir, name);

		m->value = (double)(place_now() - start);
		if (rc)
			snprintf(shared->error, sizeof(shared->error), "%s", driver_message());
		_exit(rc ? 1 : 0);
	}
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return driver_fail("%s", shared->error[0] ? shared->error : "attach crashed");
	*ns = (int64_t)m->value;
	return 0;
}

int job_attach(struct job *j)
{
	static const char *const name[2] = { "small", "big" };
	const uint64_t bytes[2] = { UINT64_C(2) << 20,
	                            j->options->quick ? UINT64_C(128) << 20 : UINT64_C(2) << 30 };
	int64_t ns[2][ATTACH_SAMPLES];
	uint32_t n, b;

	if (j->round > 0)
		return 0;       /* the samples are rounds enough, and the prefix is big */
	for (b = 0; b < 2; b++)
		if (attach_make(j->scratch, name[b], bytes[b]))
			return -1;
	for (n = 0; n < ATTACH_SAMPLES; n++)
		for (b = 0; b < 2; b++)
			if (attach_sample(j->scratch, name[b], j->result, &ns[b][n]))
				return -1;
	for (b = 0; b < 2; b++) {
		enum metric m = b ? M_ATTACHBIG : M_ATTACHSMALL;

		job_latencies(j, m, ns[b], ATTACH_SAMPLES);
		job_measured(j, m, j->result->m[m].p50);
	}
	job_measured(j, M_ATTACHRATIO,
	             j->result->m[M_ATTACHBIG].value / j->result->m[M_ATTACHSMALL].value);
	return 0;
}

/* ---- One commit, to look at ---- */

static void mark(const char *text)
{
	/* Fails by intention: strace shows it (32 bytes of it), and nobody else sees it. */
	ssize_t n = write(-1, text, strlen(text));

	(void)n;
}

static int put_generation(const struct driver *d, driver_handle *h, const struct data *data,
                          uint64_t i, uint32_t generation)
{
	unsigned char key[DATA_KEY], value[DATA_VALUE];

	data_key(data, i, key);
	data_value(data, i, generation, value);
	return d->put(h, key, value, false);
}

int own_one_commit(const struct driver *d, const char *dir)
{
	struct data data;
	driver_handle *h;
	uint32_t n;
	uint64_t i;

	data_init(&data, 1000, 1);
	if (d->open(d, dir, DRIVER_CREATE, &h) || d->begin(h))
		return -1;
	for (i = 0; i < data.entries; i++)
		if (put_generation(d, h, &data, i, 0))
			return -1;
	if (d->commit(h))
		return -1;
	for (n = 1; n <= 4; n++) {      /* three to get into step, then the one */
		if (n == 4)
			mark("BEGIN one durable commit");
		if (d->begin(h) || put_generation(d, h, &data, 500, n) || d->commit(h))
			return -1;
	}
	mark("END one durable commit");
	return d->close(h);
}
