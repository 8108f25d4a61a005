/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for new states and for the disk. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "prefixes/prefix.h"

enum { WAIT_MAX = 128 };

static void note_seen(dur_prefix *p, uint64_t state)
{
	__atomic_store_n(&p->waited, state, __ATOMIC_RELAXED);
	coord_poll_seen(p->shared->coord, state);
}

int dur_wait(dur_prefix *p, uint64_t after, int timeout_ms, uint64_t *state)
{
	int rc = prefix_check(p);

	if (rc < 0)
		return rc;
	if (!state || timeout_ms < -1)
		return error_set(DUR_E_MISUSE, "dur_wait() needs a place for the state and a timeout of -1 or "
		                 "more milliseconds");
	rc = coord_wait(&p->shared->coord, &after, 1, COORD_VISIBLE, timeout_ms);
	if (rc < 0)
		return rc;
	*state = after;
	note_seen(p, after);
	return rc;
}

int dur_wait_any(dur_prefix *const *p, uint64_t *seen, uint32_t n, int timeout_ms)
{
	struct coord *coords[WAIT_MAX];
	uint64_t after[WAIT_MAX];
	int rc;

	if (!p || !seen || n == 0 || timeout_ms < -1)
		return error_set(DUR_E_MISUSE, "dur_wait_any() needs prefixes, what was seen of each, and a "
		                 "timeout of -1 or more milliseconds");
	if (n > WAIT_MAX)
		return error_set(DUR_E_LIMIT, "dur_wait_any() waits for at most %d prefixes", WAIT_MAX);
	for (uint32_t i = 0; i < n; i++) {
		rc = prefix_check(p[i]);
		if (rc < 0)
			return rc;
		coords[i] = p[i]->shared->coord;
		after[i] = seen[i];
	}
	rc = coord_wait(coords, after, n, COORD_VISIBLE, timeout_ms);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		seen[i] = after[i];
		note_seen(p[i], after[i]);
	}
	return rc;
}

int dur_sync(dur_prefix *p, uint64_t state, int timeout_ms)
{
	struct coord_published now;
	struct store_stat stat;
	uint64_t after;
	int rc = prefix_check(p);

	if (rc < 0)
		return rc;
	if (timeout_ms < -1)
		return error_set(DUR_E_MISUSE, "a timeout is -1 or more milliseconds");
	coord_load(p->shared->coord, &now);
	if (state == DUR_LATEST)
		state = now.state;
	if (state <= now.durable)
		return 0;
	if (state > now.state)
		return error_set(DUR_E_RANGE, "state %llu does not exist yet: the newest is %llu",
		                 (unsigned long long)state, (unsigned long long)now.state);
	if (timeout_ms == 0)
		return DUR_NONE;
	/* where this process made it, it need not wait for its own background thread */
	rc = store_stat(p->shared->store, NULL, &stat);
	if (rc == 0 && stat.failed)
		rc = error_set(DUR_E_FAILED, "an earlier flush failed: state %llu never will be on disk; detach "
		               "and attach", (unsigned long long)state);
	if (rc == 0 && stat.holds_lock)
		rc = store_sync(p->shared->store);
	after = state - 1;
	if (rc == 0)
		rc = coord_wait(&p->shared->coord, &after, 1, COORD_DURABLE, timeout_ms);
	return rc;
}

int dur_poll_fd(dur_prefix *p, int *fd)
{
	int rc = prefix_check(p);

	if (rc == 0 && !fd)
		rc = error_set(DUR_E_MISUSE, "dur_poll_fd() needs a place for the descriptor");
	return rc < 0 ? rc : coord_poll_fd(p->shared->coord, fd);
}
