/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: one background thread for each page file that this process writes. It makes async commits
 * durable in time, packs history, confirms the newest state after idleness and lets the lock go when
 * others want it. It rests while nothing is due, so that a process that stopped writing has no timer
 * running.
 */
#include <errno.h>
#include <signal.h>
#include <syslog.h>
#include <time.h>

#include "prefixes/prefix.h"

void keeper_init(struct shared *s)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&s->keeper_mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->keeper_wake, &attr);
	pthread_condattr_destroy(&attr);
	atomic_store(&s->keeper_rest, KEEPER_RESTS);
}

static struct timespec in_ms(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

static void *keeper_run(void *arg)
{
	struct shared *s = arg;

	pthread_mutex_lock(&s->keeper_mutex);
	while (!s->keeper_ends) {
		int next_ms = -1;

		/* said before looking: a commit made after the look finds it and wakes us */
		atomic_store(&s->keeper_rest, KEEPER_RESTS);
		atomic_store(&s->keeper_packs, false);
		pthread_mutex_unlock(&s->keeper_mutex);
		if (store_tick(s->store, &next_ms) < 0)
			s->host.log(s->host.ctx, LOG_ERR, error_text());
		pthread_mutex_lock(&s->keeper_mutex);
		if (s->keeper_ends || atomic_load(&s->keeper_rest) == KEEPER_WORKS ||
		    atomic_load(&s->keeper_packs))
			continue;
		if (next_ms < 0) {
			pthread_cond_wait(&s->keeper_wake, &s->keeper_mutex);
		} else {
			/* a commit need not wake a keeper that wakes by itself in time */
			struct timespec until = in_ms(next_ms);
			bool soon = (uint32_t)next_ms <= s->async_ms;
			atomic_store(&s->keeper_rest, soon ? KEEPER_WORKS : KEEPER_NAPS);
			pthread_cond_timedwait(&s->keeper_wake, &s->keeper_mutex, &until);
		}
	}
	pthread_mutex_unlock(&s->keeper_mutex);
	return NULL;
}

int keeper_wake(struct shared *s, bool async)
{
	bool packs = store_pack_due(s->store) && !atomic_exchange(&s->keeper_packs, true);
	sigset_t all, before;
	int rc = 0;

	if (!packs && atomic_load(&s->keeper_rest) < (async ? KEEPER_NAPS : KEEPER_RESTS))
		return 0;
	pthread_mutex_lock(&s->keeper_mutex);
	atomic_store(&s->keeper_rest, KEEPER_WORKS);
	if (!s->keeper_runs) {
		sigfillset(&all); /* signals are for the program's own threads */
		pthread_sigmask(SIG_SETMASK, &all, &before);
		rc = pthread_create(&s->keeper, NULL, keeper_run, s);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		s->keeper_runs = rc == 0;
	}
	pthread_cond_signal(&s->keeper_wake);
	pthread_mutex_unlock(&s->keeper_mutex);
	return rc ? error_system(rc, "starting the thread that flushes async commits") : 0;
}

void keeper_end(struct shared *s)
{
	pthread_mutex_lock(&s->keeper_mutex);
	s->keeper_ends = true;
	pthread_cond_signal(&s->keeper_wake);
	pthread_mutex_unlock(&s->keeper_mutex);
	if (s->keeper_runs)
		pthread_join(s->keeper, NULL);
	s->keeper_runs = false;
	pthread_cond_destroy(&s->keeper_wake);
	pthread_mutex_destroy(&s->keeper_mutex);
}
