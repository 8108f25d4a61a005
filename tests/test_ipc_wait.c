/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for states: on one coordination file or many, with or without futex_waitv, by call or by
 * poll.
 */
#include "ipc_kit.h"

#include "internal/error.h"
#include "ipc/layout_private.h"

#include <duramen.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 3, MANY = 300, WAITERS = 40, FUTEX_WAITV = 449 };

static struct coord *coord, *files[FILES];
static const char *path;

static void setup(void)
{
	char name[16];

	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "c%u", i);
		path = kit_path(name);
		files[i] = kit_open(path, i);
		coord_publish(files[i], 1, 1, true);
	}
	path = kit_path("c0");
	coord = files[0];
}

static void teardown(void)
{
	for (unsigned i = 0; i < FILES; i++)
		coord_close(files[i]);
	kit_clean();
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * From now on futex_waitv fails as a container's filter may have it. Only this test's process is
 * changed.
 */
static void forbid_waitv(int e)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAITV, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)e),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* ---- Somebody who publishes a little later ---- */

struct later {
	pthread_t thread;
	struct coord *coord;
	uint64_t state;
	bool durable_only;
	unsigned ms;
};

static void *publish_later(void *argument)
{
	struct later *later = argument;

	kit_sleep_ms(later->ms);
	if (later->durable_only)
		coord_set_durable(later->coord, later->state);
	else
		coord_publish(later->coord, later->state, later->state, true);
	return NULL;
}

static void later_start(struct later *later)
{
	ck_assert_int_eq(pthread_create(&later->thread, NULL, publish_later, later), 0);
}

/* ---- One word ---- */

START_TEST(looking_only)
{
	uint64_t after = 0;

	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, 0), 0);
	ck_assert_uint_eq(after, 1);
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, 0), 1);
	ck_assert_uint_eq(after, 1);
	after = 9; /* a state yet to come; it says what is the newest */
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, 0), 1);
	ck_assert_uint_eq(after, 1);
	ck_assert_int_eq(coord_wait(&coord, &after, 0, COORD_VISIBLE, 0), DUR_E_MISUSE);
}
END_TEST

START_TEST(times_out)
{
	uint64_t after = 1;
	int64_t begin = now_ms();

	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, 40), 1);
	ck_assert_int_ge(now_ms() - begin, 40);
}
END_TEST

START_TEST(woken_by_a_thread)
{
	struct later later = { .coord = coord, .state = 2, .ms = 20 };
	uint64_t after = 1;

	later_start(&later);
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, -1), 0);
	ck_assert_uint_eq(after, 2);
	pthread_join(later.thread, NULL);
}
END_TEST

/* It waits for a state further on than the next. */
START_TEST(sleeps_through_older_states)
{
	struct later first = { .coord = coord, .state = 2, .ms = 10 };
	struct later second = { .coord = coord, .state = 7, .ms = 30 };
	uint64_t after = 5;

	later_start(&first);
	later_start(&second);
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, -1), 0);
	ck_assert_uint_eq(after, 7);
	pthread_join(first.thread, NULL);
	pthread_join(second.thread, NULL);
}
END_TEST

/* m4 F7: a durable state is not a visible one. */
START_TEST(durable_has_its_own_word)
{
	struct later later = { .coord = coord, .state = 2, .durable_only = true, .ms = 60 };
	uint64_t after = 1;

	coord_publish(coord, 2, 2, false);
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_DURABLE, 30), 1);
	ck_assert_uint_eq(after, 1);
	later_start(&later);
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_DURABLE, -1), 0);
	ck_assert_uint_eq(after, 2);
	pthread_join(later.thread, NULL);
}
END_TEST

/* m4 F6: the writer stored the state and was killed before it could wake anybody. */
static void *store_without_wake(void *argument)
{
	struct layout *file = argument;

	kit_sleep_ms(20);
	store_release(&file->published.visible, 2);
	return NULL;
}

START_TEST(writer_killed_before_its_wake)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *file = mmap(NULL, LAYOUT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t after = 1;
	pthread_t thread;

	ck_assert(file != MAP_FAILED);
	ck_assert_int_eq(pthread_create(&thread, NULL, store_without_wake, file), 0);
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, -1), 0);
	pthread_join(thread, NULL);
	munmap(file, LAYOUT_BYTES);
	close(fd);
}
END_TEST

static void on_signal(int number)
{
	(void)number;
}

static void *shower(void *argument)
{
	for (unsigned i = 0; i < 20; i++) {
		kit_sleep_ms(2);
		pthread_kill(*(pthread_t *)argument, SIGUSR1);
	}
	return NULL;
}

START_TEST(signals_do_not_end_a_wait)
{
	struct sigaction action = { .sa_handler = on_signal };
	uint64_t after = 1, several[FILES] = { 1, 1, 1 };
	pthread_t me = pthread_self(), thread;
	int64_t begin = now_ms();

	sigaction(SIGUSR1, &action, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, shower, &me), 0);
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, 20), 1);
	ck_assert_int_eq(coord_wait(files, several, FILES, COORD_VISIBLE, 20), 1);
	ck_assert_int_ge(now_ms() - begin, 40);
	pthread_join(thread, NULL);
}
END_TEST

/* ---- Several words ---- */

static void wait_on_several(void)
{
	for (unsigned which = 0; which < FILES; which++) {
		struct later later = { .coord = files[which], .state = 2 + which, .ms = 20 };
		uint64_t after[FILES];
		int64_t begin = now_ms();

		for (unsigned i = 0; i < FILES; i++) {
			struct coord_published p;

			coord_load(files[i], &p);
			after[i] = p.state;
		}
		ck_assert_int_eq(coord_wait(files, after, FILES, COORD_VISIBLE, 30), 1);
		ck_assert_int_ge(now_ms() - begin, 30);
		later_start(&later);
		ck_assert_int_eq(coord_wait(files, after, FILES, COORD_VISIBLE, -1), 0);
		ck_assert_uint_eq(after[which], 2 + which);
		ck_assert_uint_eq(after[(which + 1) % FILES], which == FILES - 1 ? 2 : 1);
		pthread_join(later.thread, NULL);
	}
}

START_TEST(several)
{
	wait_on_several();
}
END_TEST

/* More than the kernel takes at once; the one that moves is among the last. */
static void wait_on_many(void)
{
	struct later later = { .coord = files[2], .state = 2, .ms = 40 };
	struct coord *many[MANY];
	uint64_t after[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		many[i] = files[i == MANY - 1 ? 2 : i % 2];
		after[i] = 1;
	}
	ck_assert_int_eq(coord_wait(many, after, MANY, COORD_VISIBLE, 30), 1);
	later_start(&later);
	ck_assert_int_eq(coord_wait(many, after, MANY, COORD_VISIBLE, -1), 0);
	ck_assert_uint_eq(after[MANY - 1], 2);
	ck_assert_uint_eq(after[MANY - 2], 1);
	pthread_join(later.thread, NULL);
}

START_TEST(many)
{
	wait_on_many();
}
END_TEST

START_TEST(without_futex_waitv)
{
	forbid_waitv(_i == 0 ? ENOSYS : EPERM);
	wait_on_several();
	teardown();
	setup();
	wait_on_many();
}
END_TEST

/* ---- Many waiters ---- */

static _Atomic uint64_t arrived;
static bool only_one; /* we are a peer: we have one file open */

static void *waiter(void *argument)
{
	uint64_t after[FILES] = { 1, 1, 1 }, last = *(uint64_t *)argument;

	/* Some on one word, some on all of them (m4 F5). */
	bool all = atomic_fetch_add(&arrived, 1) % 3 == 0 && !only_one;

	while (after[0] < last)
		if (coord_wait(files, after, all ? FILES : 1, COORD_VISIBLE, -1) != 0)
			return argument;
	return NULL;
}

/* wait PATH LAST: three threads wait until state LAST. */
static int role_wait(int argc, char **argv)
{
	uint64_t last = strtoull(argv[1], NULL, 0);
	pthread_t threads[3];

	(void)argc;
	files[0] = kit_open(argv[0], 0);
	only_one = true;
	for (unsigned i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, waiter, &last) != 0)
			return 1;
	test_say('+');
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	coord_close(files[0]);
	return 0;
}

/* Each is told of the last state, though the writer wakes but a few (m4 F3). */
START_TEST(everybody_is_woken)
{
	uint64_t last = 2 + kit_rounds(30), random = kit_seed();
	pthread_t threads[WAITERS];
	struct peer peers[4];
	char text[32];

	snprintf(text, sizeof text, "%llu", (unsigned long long)last);
	for (unsigned i = 0; i < 4; i++) {
		peer_start(&peers[i], "wait", path, text, NULL);
		ck_assert_int_eq(peer_hear(&peers[i]), '+');
	}
	for (unsigned i = 0; i < WAITERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, waiter, &last), 0);
	for (uint64_t state = 2; state <= last; state++) {
		kit_sleep_ms((unsigned)(kit_random(&random) % 4));
		if (state ==
		    last / 2) { /* among the first to be woken, it may not pass the wake on */
			peer_kill(&peers[0]);
			coord_publish(files[1], state, 1, true);
		}
		coord_publish(coord, state, state, true);
	}
	for (unsigned i = 0; i < WAITERS; i++) {
		void *bad;

		pthread_join(threads[i], &bad);
		ck_assert_ptr_null(bad);
	}
	for (unsigned i = 1; i < 4; i++)
		ck_assert_int_eq(peer_end(&peers[i]), 0);
}
END_TEST

/* ---- poll ---- */

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void poll_follows(void)
{
	int fd = -1, again = -1;

	coord_poll_seen(coord, 1);
	ck_assert_int_eq(coord_poll_fd(coord, &fd), 0);
	ck_assert_int_eq(coord_poll_fd(coord, &again), 0);
	ck_assert_int_eq(fd, again);
	ck_assert(!readable(fd, 20));
	for (uint64_t state = 2; state < 30; state++) {
		coord_publish(coord, state, state, true);
		ck_assert(readable(fd, -1));
		ck_assert(readable(fd, 0)); /* it stays so until the state has been seen */
		coord_poll_seen(coord, state - 1);
		ck_assert(readable(fd, 0));
		coord_poll_seen(coord, state);
		ck_assert(!readable(fd, 0));
	}
	coord_publish(coord, 30, 30, true);
	coord_publish(coord, 31, 31, true);
	ck_assert(readable(fd, -1));
	coord_poll_seen(coord, 30);
	ck_assert(readable(fd, 0));
	coord_poll_seen(coord, 31);
	ck_assert(!readable(fd, 10));
}

START_TEST(poll_descriptor)
{
	poll_follows();
}
END_TEST

START_TEST(poll_without_futex_waitv)
{
	forbid_waitv(EPERM);
	poll_follows();
}
END_TEST

START_TEST(poll_readable_from_the_start)
{
	int fd;

	ck_assert_int_eq(coord_poll_fd(coord, &fd), 0);
	ck_assert(readable(fd, 0));
	coord_poll_seen(coord, 1);
	ck_assert(!readable(fd, 0));
}
END_TEST

START_TEST(poll_thread_takes_no_signals)
{
	sigset_t usr1, pending;
	int fd;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	ck_assert_int_eq(coord_poll_fd(coord, &fd), 0);
	/* Were it not blocked there, the default action would end the process. */
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	kill(getpid(), SIGUSR1);
	kit_sleep_ms(5);
	sigpending(&pending);
	ck_assert(sigismember(&pending, SIGUSR1));
}
END_TEST

START_TEST(poll_and_fork)
{
	int fd, status;
	pid_t child;

	coord_poll_seen(coord, 1);
	ck_assert_int_eq(coord_poll_fd(coord, &fd), 0);
	child = fork();
	if (child == 0) {
		for (unsigned i = 0; i < FILES; i++) {
			coord_forked(files[i]);
			coord_close(files[i]);
		}
		_exit(fcntl(fd, F_GETFD) == -1 && errno == EBADF ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(!readable(fd, 0));
	coord_publish(coord, 2, 2, true);
	ck_assert(readable(fd, -1));
}
END_TEST

START_TEST(poll_ends_with_its_coord)
{
	for (unsigned i = 0; i < kit_rounds(50); i++) {
		struct coord *c = kit_open(kit_path("other"), 9);
		int fd;

		if (i % 2)
			coord_poll_seen(c, 1);
		if (i % 3)
			coord_publish(c, 1, 1, true);
		ck_assert_int_eq(coord_poll_fd(c, &fd), 0);
		if (i % 5 == 0)
			kit_sleep_ms(1);
		coord_close(c);
		ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ipc_wait");
	TCase *t = tcase_create("all");

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, looking_only);
	tcase_add_test(t, times_out);
	tcase_add_test(t, woken_by_a_thread);
	tcase_add_test(t, sleeps_through_older_states);
	tcase_add_test(t, durable_has_its_own_word);
	tcase_add_test(t, writer_killed_before_its_wake);
	tcase_add_test(t, signals_do_not_end_a_wait);
	tcase_add_test(t, several);
	tcase_add_test(t, many);
	tcase_add_loop_test(t, without_futex_waitv, 0, 2);
	tcase_add_test(t, everybody_is_woken);
	tcase_add_test(t, poll_descriptor);
	tcase_add_test(t, poll_without_futex_waitv);
	tcase_add_test(t, poll_readable_from_the_start);
	tcase_add_test(t, poll_thread_takes_no_signals);
	tcase_add_test(t, poll_and_fork);
	tcase_add_test(t, poll_ends_with_its_coord);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = { { "wait", role_wait }, { NULL, NULL } };

	return kit_main(argc, argv, roles, suite());
}
