/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One word: FUTEX_WAIT, which every kernel has. Several: futex_waitv (Linux 5.16), which seccomp
 * filters of containers may refuse; whoever asks for several words gets -ENOSYS then and must do
 * with one.
 */
#include "futex_private.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* the same number on every architecture */
#endif

#define NS_PER_S INT64_C(1000000000)

/* As the kernel lays it out; headers older than 5.16 do not have it. */
struct waitv {
	uint64_t value, address;
	uint32_t flags, reserved;
};
enum { WAITV_32 = 2, WAITV_PRIVATE = 128 };

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
		                  .tv_nsec = (long)(ns % NS_PER_S) };
}

static int park_one(const struct futex_word *word, int64_t ns)
{
	struct timespec t = timespec_of(ns);
	int op = word->shared ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE;
	long rc =
		syscall(SYS_futex, word->address, op, word->value, ns == FUTEX_FOREVER ? NULL : &t);

	return rc != 0 && errno == ETIMEDOUT;
}

static int park_many(const struct futex_word *words, uint32_t n, int64_t ns)
{
	struct waitv v[FUTEX_GROUP];
	struct timespec t = { 0, 0 }, *until = ns == FUTEX_FOREVER ? NULL : &t;

	for (uint32_t i = 0; i < n; i++) {
		v[i] = (struct waitv){
			.value = words[i].value,
			.address = (uint64_t)(uintptr_t)words[i].address,
			.flags = words[i].shared ? WAITV_32 : WAITV_32 | WAITV_PRIVATE,
		};
	}
	if (ns != FUTEX_FOREVER)
		t = timespec_of(clock_ns() + ns); /* a moment, where FUTEX_WAIT takes a span */
	if (syscall(SYS_futex_waitv, v, n, 0, until, CLOCK_MONOTONIC) >= 0)
		return 0;
	switch (errno) {
	case ETIMEDOUT: return 1;
	case EAGAIN:
	case EINTR: return 0;
	default: /* ENOSYS from an old kernel, EPERM, EACCES or whatever a filter was told to say */
		return -ENOSYS;
	}
}

int futex_park(const struct futex_word *words, uint32_t n, int64_t ns)
{
	return n == 1 ? park_one(words, ns) : park_many(words, n, ns);
}

int futex_wake(const void *address, int count, bool shared)
{
	long n = syscall(SYS_futex, address, shared ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, count, NULL);

	return n > 0 ? (int)n : 0;
}

int64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? FUTEX_FOREVER : clock_ns() + (int64_t)timeout_ms * 1000000;
}

int64_t clock_left(int64_t deadline)
{
	int64_t left;

	if (deadline == FUTEX_FOREVER)
		return FUTEX_FOREVER;
	left = deadline - clock_ns();
	return left > 0 ? left : 0;
}
