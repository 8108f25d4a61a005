/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under seccomp filters, as containers have them: without io_uring and futex_waitv everything
 * works; and what is said to make no system call makes none.
 */
#include "prefix_kit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* For this thread: the calls in the list do `listed`, all others `others` (SECCOMP_RET_*). */
static void filter(const long *calls, unsigned n, uint32_t listed, uint32_t others)
{
	struct sock_filter program[16], *at = program;
	struct sock_fprog whole;

	*at++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                                     offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < n; i++)
		*at++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i],
		                                     (uint8_t)(n - i), 0);
	*at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, others);
	*at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, listed);
	whole = (struct sock_fprog){ (unsigned short)(at - program), program };
	HOLDS(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "%s", strerror(errno));
	HOLDS(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0, "%s", strerror(errno));
}

static void refuse(const long *calls, unsigned n, int error)
{
	filter(calls, n, SECCOMP_RET_ERRNO | (uint32_t)error, SECCOMP_RET_ALLOW);
}

static void use_prefix(dur_workspace *ws, dur_prefix *p)
{
	dur_prefix_stat stat;
	uint64_t state;

	EXPECT(0, dur_stat(p, &stat));
	HOLDS(strcmp(stat.io, "pwritev") == 0, "io is %s", stat.io);
	for (int n = 0; n < 50; n++) {
		state = prefix_put(p, "n", n, n % 3 == 0);
		HOLDS(prefix_int(p, DUR_LATEST, "n", -1) == n, "commit %d", n);
		if (n % 3 == 0)
			EXPECT(0, dur_sync(p, state, -1));
	}
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_attach(ws, "boxed", 0, NULL, &p));
	HOLDS(prefix_int(p, DUR_LATEST, "n", -1) == 49, "after an attach");
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "boxed", DUR_HISTORY);
}

/* ROOT ERRNO */
static int role_no_ring(int argc, char **argv)
{
	static const long ring[] = { SYS_io_uring_setup };
	dur_workspace *ws;
	dur_prefix *p;
	int error = atoi(argv[1]);

	(void)argc;
	refuse(ring, 1, error);
	ws = prefix_workspace(argv[0]);
	use_prefix(ws, prefix_attach(ws, "boxed", NULL));
	setenv("DURAMEN_IO", "io_uring", 1); /* whoever insists is told */
	EXPECT(-error, dur_attach(ws, "boxed", 0, NULL, &p));
	HOLDS(strstr(dur_message(), "io_uring"), "%s", dur_message());
	setenv("DURAMEN_IO", "carrier pigeon", 1);
	EXPECT(DUR_E_MISUSE, dur_attach(ws, "boxed", 0, NULL, &p));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

START_TEST(without_io_uring)
{
	static const char *const errors[] = { "1", "38", "13",
		                              "12" }; /* EPERM, ENOSYS, EACCES, ENOMEM */
	struct peer peer;

	peer_start(&peer, "no-ring", kit_path("root"), errors[_i], NULL);
	ck_assert_int_eq(peer_end(&peer), 0);
}
END_TEST

/* ROOT: says when it is about to wait, and is woken through any of its prefixes. */
static int role_no_waitv(int argc, char **argv)
{
	static const long calls[] = { SYS_io_uring_setup, SYS_futex_waitv };
	enum { N = 3 };
	dur_workspace *ws = prefix_workspace(argv[0]);
	dur_prefix *p[N];
	uint64_t seen[N], before;

	(void)argc;
	refuse(calls, 2, EPERM);
	for (int i = 0; i < N; i++) {
		p[i] = prefix_attach(ws, (const char *[]){ "a", "b", "c" }[i], NULL);
		seen[i] = prefix_newest_state(p[i]);
	}
	EXPECT(DUR_NONE, dur_wait_any(p, seen, N, 20));
	for (int i = 0; i < N; i++) {
		before = seen[i];
		test_say('w');
		EXPECT(0, dur_wait_any(p, seen, N, -1));
		HOLDS(seen[i] > before, "prefix %d", i);
	}
	for (int i = 0; i < N; i++)
		EXPECT(0, dur_detach(p[i]));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

START_TEST(without_futex_waitv)
{
	const char *root = kit_path("root");
	dur_workspace *ws = prefix_workspace(root);
	struct peer peer;

	peer_start(&peer, "no-waitv", root, NULL);
	for (int i = 0; i < 3; i++) {
		dur_prefix *p;

		ck_assert_int_eq(peer_hear(&peer), 'w');
		p = prefix_attach(ws, (const char *[]){ "a", "b", "c" }[i], NULL);
		kit_sleep_ms(i ? 10 : 0);
		prefix_put(p, "n", i, false);
		EXPECT(0, dur_detach(p));
	}
	ck_assert_int_eq(peer_end(&peer), 0);
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

/* ROOT: any system call but the last ones would kill it. */
static int role_no_calls(int argc, char **argv)
{
	static const long calls[] = { SYS_write, SYS_exit_group };
	dur_workspace *ws = prefix_workspace(argv[0]);
	dur_prefix *p = prefix_attach(ws, "quiet", NULL);
	uint64_t old = 0, state, seen = 0;
	dur_view *v, *kept;
	dur_iter *it;
	dur_value value;

	(void)argc;
	for (int n = 0; n < 20; n++) {
		state = prefix_put(p, "n", n, false);
		old = old ? old : state;
	}
	EXPECT(0, prefix_int(p, old, "n", -1) == 0 ? 0 : 1);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &kept));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	dur_close(v);
	filter(calls, 2, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
	for (int n = 0; n < 10000; n++) {
		if (dur_snapshot(p, DUR_LATEST, NULL, &v) < 0 ||
		    dur_get(dur_root(v), &DUR_STR("n"), &value) != 0 || value.i != 19 ||
		    dur_scan(dur_root(v), NULL, &it) < 0 || dur_next(it, NULL, &value) != 0)
			_exit(4);
		dur_iter_close(it);
		dur_close(v);
		if (dur_wait(p, seen, -1, &seen) < 0)
			_exit(5);
		seen = n % 2 ? 0 : seen - 1;
	}
	syscall(SYS_exit_group, 0);
	return 0;
}

START_TEST(snapshots_make_no_system_call)
{
	struct peer peer;

	if (SANITIZED)
		return; /* sanitizers make calls of their own */
	peer_start(&peer, "no-calls", kit_path("root"), NULL);
	ck_assert_int_eq(peer_end(&peer), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("sandbox");
	TCase *tc = tcase_create("sandbox");

	tcase_add_checked_fixture(tc, NULL, kit_clean);
	tcase_add_loop_test(tc, without_io_uring, 0, 4);
	tcase_add_test(tc, without_futex_waitv);
	tcase_add_test(tc, snapshots_make_no_system_call);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{ "no-ring", role_no_ring },
		{ "no-waitv", role_no_waitv },
		{ "no-calls", role_no_calls },
		{ 0 },
	};

	return kit_main(argc, argv, roles, suite());
}
