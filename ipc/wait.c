/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a state, model m4:
 *   F1 the "has waiters" flag is never cleared while the file is in use
 *   F2 flag, fence, word on this side; word, fence, flag on the writer's
 *   F3 the writer wakes a few, and each that it wakes passes the wake on before it returns,
 *   F4 for words that differ from what it parked on and for no other: else sleepers whose word
 *      stands still would wake each other for ever,
 *   F5 for every such word, not only for the one that woke it
 *   F6 parks are bounded: a writer killed between store and wake, or a woken waiter killed before
 *      it passed the wake on, costs some time and nothing else
 *   F7 visible and durable have a word each
 *
 * States are compared in 64 bits, the kernel compares their low halves. State numbers move less
 * than 2^31 during a park (the ceiling keeps them so), and F6 covers even that.
 *
 * Waiting on more words than the kernel takes, or where it may not wait on several, is done in
 * short parks on some of them, in turn; every park ends with a look at all.
 */
#include "coord_private.h"

#include "internal/error.h"

#include "duramen.h"
#include "fence_private.h"
#include "futex_private.h"

#include <errno.h>

#define NS_PER_MS INT64_C(1000000)

/* F6. A thousand idle waiters cost 4,000 wakes a second, about a tenth of one core. */
#define PARK_NS (250 * NS_PER_MS)
/* Parks that cover only some of the words: from the first to the last while nothing happens. */
#define PARK_PART_FIRST_NS NS_PER_MS
#define PARK_PART_LAST_NS  (8 * NS_PER_MS)

/* Looks before parking: about 2 us in all, where a park and a wake cost 27. */
enum { SPINS = 50, WAKE_PASS = 2 };

static uint64_t load(const struct coord *coord, enum coord_what what)
{
	return load_acquire(wait_word(coord, what));
}

static const void *low_half(const struct coord *coord, enum coord_what what)
{
	return wait_word(coord, what); /* little-endian */
}

void wait_announce(struct coord *const *coords, uint32_t n, enum coord_what what)
{
	for (uint32_t i = 0; i < n; i++) {
		struct layout *shared = coords[i]->shared;
		shared_u32 *flag =
			what == COORD_VISIBLE ? &shared->waiters.visible : &shared->waiters.durable;

		/* Mostly it is set already: leave the line shared. */
		if (!load_relaxed(flag))
			store_seq_cst(flag, 1);
	}
	fence_full(); /* F2 */
}

bool wait_park(struct coord *const *coords, const uint64_t *loaded, uint32_t n,
               enum coord_what what, const shared_u32 *kick, uint32_t kick_value, int64_t ns)
{
	struct futex_word words[FUTEX_GROUP];
	uint32_t all = n;
	bool partly;

	for (uint32_t i = 0; i < n; i++)
		words[i] =
			(struct futex_word){ low_half(coords[i], what), (uint32_t)loaded[i], true };
	if (kick)
		words[all++] = (struct futex_word){ kick, kick_value, false };
	partly = futex_park(words, all, ns) == -ENOSYS;
	if (partly)
		futex_park(words, 1, ns < PARK_PART_LAST_NS ? ns : PARK_PART_LAST_NS);
	for (uint32_t i = 0; i < n; i++)
		if ((uint32_t)load(coords[i], what) != (uint32_t)loaded[i]) /* F4, F5 */
			futex_wake(low_half(coords[i], what), WAKE_PASS, true);
	return partly;
}

static bool look(struct coord *const *coords, const uint64_t *after, uint32_t n,
                 enum coord_what what)
{
	for (uint32_t i = 0; i < n; i++)
		if (load(coords[i], what) > after[i])
			return true;
	return false;
}

/* Parks on the coords from first on, as many as go at once, unless one of them is newer. */
static bool park_from(struct coord *const *coords, const uint64_t *after, uint32_t n,
                      uint32_t first, enum coord_what what, int64_t ns)
{
	uint64_t loaded[FUTEX_GROUP];
	uint32_t group = n - first < FUTEX_GROUP ? n - first : FUTEX_GROUP;

	for (uint32_t i = 0; i < group; i++) {
		loaded[i] = load(coords[first + i], what);
		if (loaded[i] > after[first + i])
			return false;
	}
	return wait_park(coords + first, loaded, group, what, NULL, 0, ns);
}

static void sleep_until_newer(struct coord *const *coords, const uint64_t *after, uint32_t n,
                              enum coord_what what, int64_t deadline)
{
	bool partly = n > FUTEX_GROUP;
	int64_t part_ns = PARK_PART_FIRST_NS;
	uint32_t first = 0;

	wait_announce(coords, n, what);
	while (!look(coords, after, n, what)) {
		int64_t ns = clock_left(deadline), most = partly ? part_ns : PARK_NS;

		if (ns == 0)
			return;
		if (park_from(coords, after, n, first, what, ns < most ? ns : most))
			partly = true;
		if (!partly)
			continue;
		part_ns = part_ns * 2 < PARK_PART_LAST_NS ? part_ns * 2 : PARK_PART_LAST_NS;
		/* Where only one word can be waited on, the turn moves by one. */
		first += n > FUTEX_GROUP ? FUTEX_GROUP : 1;
		if (first >= n)
			first = 0;
	}
}

int coord_wait(struct coord *const *coords, uint64_t *after, uint32_t n, enum coord_what what,
               int timeout_ms)
{
	int64_t deadline;
	int rc = 1;

	if (n == 0)
		return error_set(DUR_E_MISUSE, "waiting for nothing: give at least one prefix");
	for (uint32_t i = 0; i < n; i++)
		if (coords[i]->dead)
			return coord_dead();
	if (timeout_ms != 0 && !look(coords, after, n, what)) {
		bool newer = false;

		deadline = clock_deadline(timeout_ms);
		for (uint32_t i = 0; i < SPINS && !newer; i += n) {
			cpu_relax();
			newer = look(coords, after, n, what);
		}
		if (!newer)
			sleep_until_newer(coords, after, n, what, deadline);
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t state = load(coords[i], what);

		if (state > after[i])
			rc = 0;
		after[i] = state;
	}
	return rc;
}
