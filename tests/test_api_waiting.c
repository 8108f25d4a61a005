/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for states and for the disk, within one process: what returns, when, with what. */
#include "prefix_kit.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static dur_workspace *ws;
static dur_prefix *p, *q;

static void setup(void)
{
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", NULL);
	q = prefix_attach(ws, "q", "last:1");
}

static void teardown(void)
{
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_detach(q));
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct writer {
	dur_prefix *prefix;
	int commits;
	bool async;
	uint64_t state;         /* the last one's */
};

static void *write_later(void *arg)
{
	struct writer *w = arg;

	for (int i = 0; i < w->commits; i++) {
		kit_sleep_ms(20);
		w->state = prefix_put(w->prefix, "n", i, w->async);
	}
	return NULL;
}

static pthread_t start(struct writer *w)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_later, w), 0);
	return thread;
}

START_TEST(wait_returns_the_newest)
{
	uint64_t newest = prefix_put(p, "n", 1, false), state = 0;

	EXPECT(0, dur_wait(p, 0, -1, &state)); /* at once */
	ck_assert_uint_eq(state, newest);
	state = 0;
	EXPECT(0, dur_wait(p, newest - 1, -1, &state));
	ck_assert_uint_eq(state, newest);
	for (int timeout = 0; timeout < 20; timeout += 7) {
		uint64_t begin = now_ms();
		state = 0;
		EXPECT(DUR_NONE, dur_wait(p, newest, timeout, &state));
		ck_assert_uint_eq(state, newest); /* on a time-out too */
		ck_assert_uint_ge(now_ms() - begin + 1, (uint64_t)timeout);
	}
	state = 0;
	EXPECT(DUR_NONE, dur_wait(p, newest + 1000, 1, &state));
	ck_assert_uint_eq(state, newest);
	EXPECT(0, dur_keep(p, "last:5")); /* a state too */
	EXPECT(0, dur_wait(p, newest, -1, &state));
	ck_assert_uint_gt(state, newest);
}
END_TEST

START_TEST(wait_is_woken)
{
	uint64_t state = prefix_newest_state(p), seen = 0;

	for (int async = 0; async < 2; async++) {
		struct writer w = { .prefix = p, .commits = 15, .async = async };
		pthread_t thread = start(&w);

		for (int i = 0; i < 15; i++) {
			uint64_t before = state;
			EXPECT(0, dur_wait(p, state, -1, &state));
			ck_assert_uint_gt(state, before);
			ck_assert_uint_eq(state, prefix_newest_state(p));
			seen++;
			if (i == 14 || prefix_int(p, state, "n", -1) == 14)
				break;
		}
		pthread_join(thread, NULL);
		ck_assert_uint_eq(state, w.state);
	}
	ck_assert_uint_gt(seen, 0);
}
END_TEST

static void *wait_in_thread(void *arg)
{
	EXPECT(0, dur_wait(p, *(uint64_t *)arg, -1, arg));
	return NULL;
}

START_TEST(every_waiting_thread_is_woken)
{
	enum { N = 12 };
	uint64_t states[N], newest = prefix_newest_state(p);
	pthread_t threads[N];

	for (int i = 0; i < N; i++) {
		states[i] = newest;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, wait_in_thread, &states[i]), 0);
	}
	kit_sleep_ms(30);
	newest = prefix_put(p, "n", 1, false);
	for (int i = 0; i < N; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_uint_eq(states[i], newest);
	}
}
END_TEST

static void on_signal(int signal)
{
	(void)signal;
}

static void *signals_first(void *arg)
{
	pthread_t *waiter = arg;

	for (int i = 0; i < 10; i++) {
		kit_sleep_ms(5);
		pthread_kill(*waiter, SIGUSR1);
	}
	prefix_put(p, "n", 1, false);
	return NULL;
}

START_TEST(signals_do_not_end_a_wait)
{
	struct sigaction action = { .sa_handler = on_signal };
	uint64_t newest = prefix_newest_state(p), state;
	pthread_t thread, self = pthread_self();

	sigaction(SIGUSR1, &action, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, signals_first, &self), 0);
	EXPECT(0, dur_wait(p, newest, -1, &state));
	ck_assert_uint_gt(state, newest);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(wait_any)
{
	dur_prefix *both[] = { p, q, p };
	uint64_t seen[3] = { 0, 0, 0 }, of_p = prefix_put(p, "n", 1, false);
	uint64_t of_q = prefix_put(q, "n", 1, false);
	struct writer w = { .prefix = q, .commits = 1 };
	pthread_t thread;

	EXPECT(0, dur_wait_any(both, seen, 3, -1));
	ck_assert_uint_eq(seen[0], of_p);
	ck_assert_uint_eq(seen[1], of_q);
	ck_assert_uint_eq(seen[2], of_p); /* one twice is fine */
	EXPECT(DUR_NONE, dur_wait_any(both, seen, 3, 0));
	EXPECT(DUR_NONE, dur_wait_any(both, seen, 3, 10));
	ck_assert_uint_eq(seen[1], of_q);
	of_p = prefix_put(p, "n", 2, true);
	EXPECT(0, dur_wait_any(both, seen, 2, -1));
	ck_assert_uint_eq(seen[0], of_p);
	ck_assert_uint_eq(seen[1], of_q);
	thread = start(&w);
	EXPECT(0, dur_wait_any(both, seen, 2, -1));
	pthread_join(thread, NULL);
	ck_assert_uint_eq(seen[0], of_p);
	ck_assert_uint_eq(seen[1], w.state);
}
END_TEST

START_TEST(wait_for_very_many)
{
	dur_prefix *all[128];
	uint64_t seen[128];

	for (int i = 0; i < 128; i++) {
		all[i] = i % 2 ? q : p;
		seen[i] = prefix_newest_state(all[i]);
	}
	EXPECT(DUR_NONE, dur_wait_any(all, seen, 128, 5));
	prefix_put(q, "n", 1, false);
	EXPECT(0, dur_wait_any(all, seen, 128, -1));
	ck_assert_uint_eq(seen[127], prefix_newest_state(q));
	ck_assert_uint_eq(seen[126], prefix_newest_state(p));
}
END_TEST

/* Async commits reach the disk by themselves within async_ms, and at once when asked. */
START_TEST(sync_to_disk)
{
	dur_prefix *slow, *soon;
	dur_prefix_stat stat;
	uint64_t state;

	EXPECT(0, dur_attach(ws, "slow", DUR_CREATE,
	                     &(dur_attach_options){ .async_ms = 3600 * 1000 }, &slow));
	EXPECT(0, dur_attach(ws, "soon", DUR_CREATE, &(dur_attach_options){ .async_ms = 10 },
	                     &soon));
	EXPECT(0, dur_sync(slow, DUR_LATEST, 0));
	EXPECT(0, dur_sync(slow, 1, -1));
	state = prefix_put(slow, "n", 1, true);
	EXPECT(DUR_NONE, dur_sync(slow, state, 0));
	EXPECT(0, dur_sync(slow, state, -1));
	EXPECT(0, dur_stat(slow, &stat));
	ck_assert_uint_eq(stat.durable, state);
	state = prefix_put(slow, "n", 2, true);
	EXPECT(0, dur_sync(slow, DUR_LATEST, 60000));
	EXPECT(0, dur_stat(slow, &stat));
	ck_assert_uint_eq(stat.durable, state);
	prefix_put(slow, "n", 3, true);
	state = prefix_put(slow, "n", 4, false); /* a durable one takes those below it along */
	EXPECT(0, dur_sync(slow, DUR_LATEST, 0));
	state = prefix_put(soon, "n", 1, true);
	do
		EXPECT(0, dur_stat(soon, &stat));
	while (stat.durable != state);
	EXPECT(0, dur_sync(soon, state, 0));
	prefix_put(slow, "n", 5, true);
	EXPECT(0, dur_detach(slow)); /* makes it durable */
	EXPECT(0, dur_attach(ws, "slow", DUR_READ_ONLY, NULL, &slow));
	EXPECT(0, dur_sync(slow, DUR_LATEST, 0));
	ck_assert_int_eq(prefix_int(slow, DUR_LATEST, "n", 0), 5);
	EXPECT(0, dur_detach(slow));
	EXPECT(0, dur_detach(soon));
}
END_TEST

static bool readable(int fd, int timeout_ms)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };
	int rc = poll(&one, 1, timeout_ms);

	HOLDS(rc >= 0 && !(one.revents & ~POLLIN), "%d, 0x%x", rc, one.revents);
	return rc == 1;
}

START_TEST(poll_fd)
{
	uint64_t state, newest;
	dur_prefix *twin;
	int fd = -1, same = -1, other = -1;

	newest = prefix_put(p, "n", 1, false);
	EXPECT(0, dur_poll_fd(p, &fd));
	EXPECT(0, dur_poll_fd(p, &same));
	ck_assert_int_eq(fd, same);
	EXPECT(0, dur_poll_fd(q, &other));
	ck_assert_int_ne(fd, other);
	ck_assert(readable(fd, -1)); /* nothing was waited for yet */
	EXPECT(DUR_NONE, dur_wait(p, newest, 0, &state));
	EXPECT(DUR_NONE, dur_wait(q, prefix_newest_state(q), 0, &state));
	ck_assert(!readable(fd, 20));
	ck_assert(!readable(other, 0));
	for (int i = 0; i < 20; i++) {
		newest = prefix_put(p, "n", i, i % 2);
		ck_assert(readable(fd, -1));
		ck_assert(readable(fd, 0)); /* until it is quieted */
		EXPECT(0, dur_wait(p, newest - 1, 0, &state));
		ck_assert_uint_eq(state, newest);
		ck_assert(!readable(fd, i % 4 ? 0 : 5));
	}
	ck_assert(!readable(other, 0));
	EXPECT(0, dur_attach(ws, "p", DUR_READ_ONLY, NULL, &twin));
	EXPECT(0, dur_poll_fd(twin, &same));
	ck_assert_int_eq(fd, same); /* shared, and what quiets it too */
	newest = prefix_put(p, "n", 99, false);
	ck_assert(readable(fd, -1));
	EXPECT(0, dur_wait(twin, newest - 1, 0, &state));
	ck_assert(!readable(fd, 5));
	EXPECT(0, dur_detach(twin));
	newest = prefix_put(p, "n", 100, false);
	ck_assert(readable(fd, -1));
	EXPECT(0, dur_wait_any(&p, &state, 1, 0)); /* that quiets it as well */
	ck_assert(!readable(fd, 5));
}
END_TEST

/* A descriptor asked for before a state comes, polled by a thread of its own. */
START_TEST(poll_fd_wakes)
{
	struct writer w = { .prefix = p, .commits = 10, .async = true };
	uint64_t state = prefix_newest_state(p);
	pthread_t thread;
	int fd;

	EXPECT(0, dur_poll_fd(p, &fd));
	MUST(dur_wait(p, state, 0, &state));
	thread = start(&w);
	do {
		ck_assert(readable(fd, -1));
		MUST(dur_wait(p, state, 0, &state));
	} while (prefix_int(p, state, "n", -1) != 9);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(state, w.state);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("api_waiting");
	TCase *tc = tcase_create("waiting");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, wait_returns_the_newest);
	tcase_add_test(tc, wait_is_woken);
	tcase_add_test(tc, every_waiting_thread_is_woken);
	tcase_add_test(tc, signals_do_not_end_a_wait);
	tcase_add_test(tc, wait_any);
	tcase_add_test(tc, wait_for_very_many);
	tcase_add_test(tc, sync_to_disk);
	tcase_add_test(tc, poll_fd);
	tcase_add_test(tc, poll_fd_wakes);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
