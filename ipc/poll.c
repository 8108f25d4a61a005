/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor for poll: an eventfd, and a thread that waits for the visible state as everybody
 * does and raises it. The thread sleeps on two words: the visible state, unless the eventfd is
 * raised already, and `kick`, by which coord_poll_seen() and coord_close() tell it to look again.
 * Raising and lowering go under one mutex, each after a look at the state, so the last of them is
 * right.
 */
#include "coord_private.h"

#include "internal/error.h"

#include "futex_private.h"
#include "publish_private.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)
#define PARK_NS   (250 * NS_PER_MS) /* as in wait.c */
/* The thread needs little, sanitizers' checks need more. */
enum { STACK_BYTES = 256 * 1024 };

void poll_init(struct coord *coord)
{
	pthread_mutex_init(&coord->poll.mutex, NULL);
	coord->poll.fd = -1;
}

/* Makes the eventfd readable if a newer state than seen is visible, else not. Under the mutex. */
static void level(struct coord *coord, uint64_t state)
{
	bool newer = state > coord->poll.seen;
	uint64_t count = 1;
	ssize_t moved;

	if (coord->poll.fd < 0 || newer == coord->poll.raised)
		return;
	/* Neither can fail: the counter is 0 or 1, and only we may change it. */
	if (newer)
		moved = write(coord->poll.fd, &count, sizeof count);
	else
		moved = read(coord->poll.fd, &count, sizeof count);
	(void)moved;
	coord->poll.raised = newer;
}

static void *poll_run(void *argument)
{
	struct coord *coord = argument;
	struct layout_published *published = &coord->shared->published;
	bool stop, raised;

	do {
		uint32_t kick = load_acquire(&coord->poll.kick);
		uint64_t state;

		wait_announce(&coord, 1, COORD_VISIBLE);
		pthread_mutex_lock(&coord->poll.mutex);
		state = load_acquire(&published->visible);
		level(coord, state);
		stop = coord->poll.stop;
		raised = coord->poll.raised;
		pthread_mutex_unlock(&coord->poll.mutex);
		if (stop)
			break;
		if (raised) {
			struct futex_word word = { &coord->poll.kick, kick, false };

			futex_park(&word, 1, FUTEX_FOREVER);
		} else {
			wait_park(&coord, &state, 1, COORD_VISIBLE, &coord->poll.kick, kick,
			          PARK_NS);
		}
	} while (true);
	return NULL;
}

static void kick(struct coord *coord)
{
	atomic_fetch_add_explicit(&coord->poll.kick, 1, memory_order_release);
	futex_wake(&coord->poll.kick, INT_MAX, false);
}

/* All signals blocked: none of the program's handlers shall run on our thread. */
static int thread_start(struct coord *coord)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int e;

	e = pthread_attr_init(&attributes);
	if (e)
		return e;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&coord->poll.thread, &attributes, poll_run, coord);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (e == 0)
		pthread_setname_np(coord->poll.thread, "duramen-poll");
	return e;
}

int coord_poll_fd(struct coord *coord, int *fd)
{
	int rc = 0, e;

	if (coord->dead)
		return coord_dead();
	pthread_mutex_lock(&coord->poll.mutex);
	if (coord->poll.fd < 0) {
		coord->poll.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (coord->poll.fd < 0)
			rc = error_system(errno, "descriptor for poll");
	}
	if (rc == 0 && !coord->poll.running) {
		level(coord, published_state(coord));
		e = thread_start(coord);
		coord->poll.running = e == 0;
		if (e)
			rc = error_system(e, "thread for poll");
	}
	if (rc == 0)
		*fd = coord->poll.fd;
	pthread_mutex_unlock(&coord->poll.mutex);
	return rc;
}

void coord_poll_seen(struct coord *coord, uint64_t state)
{
	bool woken;

	if (coord->dead)
		return;
	pthread_mutex_lock(&coord->poll.mutex);
	coord->poll.seen = state;
	woken = coord->poll.raised;
	level(coord, published_state(coord));
	/* While the eventfd was raised the thread slept on kick alone. */
	woken = woken && !coord->poll.raised;
	pthread_mutex_unlock(&coord->poll.mutex);
	if (woken)
		kick(coord);
}

void poll_close(struct coord *coord)
{
	pthread_mutex_lock(&coord->poll.mutex);
	coord->poll.stop = true;
	pthread_mutex_unlock(&coord->poll.mutex);
	if (coord->poll.running) {
		kick(coord);
		pthread_join(coord->poll.thread, NULL);
		coord->poll.running = false;
	}
	if (coord->poll.fd >= 0)
		close(coord->poll.fd);
	coord->poll.fd = -1;
}

/* The thread stayed in the parent, and so did whoever held the mutex. */
void poll_forked(struct coord *coord)
{
	if (coord->poll.fd >= 0)
		close(coord->poll.fd);
	coord->poll.fd = -1;
	coord->poll.running = false;
}
