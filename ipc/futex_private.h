/* SPDX-License-Identifier: Apache-2.0 */
/* The futex system calls, and the clock that goes with them. */
#ifndef DURAMEN_IPC_FUTEX_PRIVATE_H
#define DURAMEN_IPC_FUTEX_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum { FUTEX_GROUP = 128 }; /* words that futex_waitv takes at once */

/* No deadline. */
#define FUTEX_FOREVER INT64_MAX

struct futex_word {
	const void *address; /* of 32 bits, aligned */
	uint32_t value;
	bool shared; /* with other processes */
};

/*
 * Sleeps until one of n words (1 to FUTEX_GROUP) is woken, or at once if one differs from its
 * value, for at most ns. 0: look again (also after a signal); 1: the time is over; -ENOSYS: n is
 * above 1 and the kernel cannot or may not wait on several words; it did not sleep.
 */
int futex_park(const struct futex_word *words, uint32_t n, int64_t ns);
/* Wakes up to count sleepers; returns how many. */
int futex_wake(const void *address, int count, bool shared);

/* CLOCK_MONOTONIC. */
int64_t clock_ns(void);
/* The moment timeout_ms from now (negative: FUTEX_FOREVER). */
int64_t clock_deadline(int timeout_ms);
/* Time left, 0 if it is over. */
int64_t clock_left(int64_t deadline);

#endif
