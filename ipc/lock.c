/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer lock is the flock; the words here only tell waiters when to try again. A waiter reads
 * `turn`, counts `wanted` up, tries the flock, and parks on `turn`; who unlocks lets the flock go,
 * counts `turn` up, and wakes one waiter if `wanted` is not zero. The next to unlock wakes the
 * next. If the wake found nobody, `wanted` goes back to zero, unless somebody has counted it up
 * meanwhile: a waiter that counted before that read an old `turn` and does not park on it.
 *
 * Nobody wakes anybody when a holder is killed, or a waiter between being woken and having the
 * lock: so parks are short at first and bounded always.
 */
#include "coord_private.h"

#include "internal/error.h"

#include "duramen.h"
#include "fence_private.h"
#include "futex_private.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* How soon at least a waiter notices that the holder was killed: at first, and in the end. */
#define PARK_FIRST_NS (2 * NS_PER_MS)
#define PARK_LAST_NS  (50 * NS_PER_MS)

/*
 * A woken process has the lock within some 50 us, on a busy machine later; it may also have been
 * killed.
 */
#define GIVE_WAY_NS NS_PER_MS

/* ---- The holder's words: pid is 0 while they change ---- */

static void holder_enter(struct coord *coord)
{
	struct layout *shared = coord->shared;
	struct timespec t;
	uint64_t name[2];

	memcpy(name, coord->name, sizeof name);
	clock_gettime(CLOCK_REALTIME, &t);
	store_release(&shared->holder.pid, 0);
	store_release(&shared->holder.name[0], name[0]);
	store_release(&shared->holder.name[1], name[1]);
	store_release(&shared->holder.since_ns,
	              (uint64_t)t.tv_sec * (uint64_t)NS_PER_S + (uint64_t)t.tv_nsec);
	store_release(&shared->holder.pid, (uint32_t)getpid());
}

void coord_holder_get(const struct coord *coord, struct coord_holder *out)
{
	struct layout *shared = coord->shared;
	uint64_t name[2];

	memset(out, 0, sizeof *out);
	if (coord->dead)
		return;
	/*
	 * The words are those of pid if it was there before and after; some tries, then no answer.
	 */
	for (unsigned tries = 0; tries < 100; tries++) {
		uint32_t pid = load_acquire(&shared->holder.pid);

		name[0] = load_acquire(&shared->holder.name[0]);
		name[1] = load_acquire(&shared->holder.name[1]);
		out->since_ns = (int64_t)load_acquire(&shared->holder.since_ns);
		if (pid != 0 && pid == load_relaxed(&shared->holder.pid)) {
			out->pid = pid;
			memcpy(out->name, name, sizeof out->name);
			out->name[sizeof out->name - 1] = '\0';
			return;
		}
		if (pid == 0)
			break;
	}
	memset(out, 0, sizeof *out);
}

/* "12:03:04", with the date if it is not within the last half day. */
static void since_text(int64_t since_ns, char *text, size_t size)
{
	time_t now = time(NULL), since = (time_t)(since_ns / NS_PER_S);
	struct tm tm;
	bool recent = since <= now && now - since < 12 * 3600;

	if (!localtime_r(&since, &tm) ||
	    !strftime(text, size, recent ? "%H:%M:%S" : "%F %H:%M:%S", &tm))
		snprintf(text, size, "an unknown time");
}

static int locked_by_another(const struct coord *coord)
{
	struct coord_holder holder;
	char since[64];

	coord_holder_get(coord, &holder);
	if (holder.pid == 0)
		return error_set(DUR_E_LOCKED,
		                 "locked by another process, which did not give its name; wait, "
		                 "or find it with fuser");
	since_text(holder.since_ns, since, sizeof since);
	for (char *p = holder.name; *p; p++)
		if (*p < ' ' || *p == 127)
			*p = '?'; /* a process may call itself anything */
	return error_set(DUR_E_LOCKED,
	                 "locked by process %u (%s) since %s; wait, or stop that process",
	                 holder.pid, holder.name, since);
}

/* ---- Locking ---- */

/* 0, 1: somebody else has it, or an error. */
static int try_flock(int fd)
{
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			return 1;
		if (errno != EINTR)
			return error_system(errno,
			                    "cannot lock the page file; use a file system that "
			                    "has flock");
	}
	return 0;
}

/*
 * Readers and writers who attach from now on use another coordination file, and do not see us, nor
 * we them.
 */
static int check_not_replaced(const struct coord *coord)
{
	struct stat st;

	if (coord->anonymous)
		return 0;
	if (fstat(coord->fd, &st) != 0)
		return error_system(errno, "coordination file");
	if (st.st_nlink == 0)
		return error_set(-ESTALE,
		                 "the coordination file was removed or replaced while the prefix "
		                 "was attached: detach and attach again");
	return 0;
}

/*
 * The waiter that our last unlock woke needs some time to get here; without this the same process
 * would take the lock again and again.
 */
static void give_way(struct coord *coord)
{
	struct layout *shared = coord->shared;
	int64_t deadline;

	if (!coord->unlocked_to_waiter)
		return;
	coord->unlocked_to_waiter = false;
	deadline = clock_ns() + GIVE_WAY_NS;
	while (load_relaxed(&shared->lock.turn) == coord->unlocked_turn &&
	       load_relaxed(&shared->holder.pid) == 0 && clock_left(deadline) > 0)
		sched_yield();
}

static int wait_for_lock(struct coord *coord, int fd, int64_t deadline)
{
	struct layout *shared = coord->shared;
	int64_t park_ns = PARK_FIRST_NS;

	for (;;) {
		struct futex_word turn = { .address = &shared->lock.turn, .shared = true };
		int64_t left = clock_left(deadline);
		int rc;

		if (left == 0)
			return locked_by_another(coord);
		turn.value = load_seq_cst(&shared->lock.turn);
		if (atomic_fetch_add_explicit(&shared->lock.wanted, 1, memory_order_seq_cst) ==
		    UINT32_MAX)
			atomic_fetch_add_explicit(&shared->lock.wanted, 1, memory_order_seq_cst);
		rc = try_flock(fd);
		if (rc != 1)
			return rc;
		futex_park(&turn, 1, left < park_ns ? left : park_ns);
		park_ns = park_ns * 2 < PARK_LAST_NS ? park_ns * 2 : PARK_LAST_NS;
	}
}

int coord_lock(struct coord *coord, int fd, int timeout_ms)
{
	int rc;

	if (coord->dead)
		return coord_dead();
	if (timeout_ms != 0)
		give_way(coord);
	rc = try_flock(fd);
	if (rc == 1)
		rc = timeout_ms == 0 ? locked_by_another(coord)
		                     : wait_for_lock(coord, fd, clock_deadline(timeout_ms));
	if (rc != 0)
		return rc;
	rc = check_not_replaced(coord);
	if (rc != 0) {
		flock(fd, LOCK_UN);
		return rc;
	}
	holder_enter(coord);
	return 0;
}

void coord_unlock(struct coord *coord, int fd)
{
	struct layout *shared = coord->shared;
	uint32_t before;

	if (coord->dead) /* the lock is the parent's */
		return;
	before = load_seq_cst(&shared->lock.wanted);
	store_release(&shared->holder.pid, 0);
	flock(fd, LOCK_UN);
	coord->unlocked_turn =
		atomic_fetch_add_explicit(&shared->lock.turn, 1, memory_order_seq_cst) + 1;
	coord->unlocked = true;
	coord->unlocked_to_waiter = false;
	if (load_seq_cst(&shared->lock.wanted) == 0)
		return;
	coord->unlocked_to_waiter = futex_wake(&shared->lock.turn, 1, true) > 0;
	if (!coord->unlocked_to_waiter && before != 0)
		atomic_compare_exchange_strong_explicit(&shared->lock.wanted, &before, 0,
		                                        memory_order_seq_cst, memory_order_relaxed);
}

bool coord_lock_was_ours(const struct coord *coord)
{
	return coord->unlocked && load_seq_cst(&coord->shared->lock.turn) == coord->unlocked_turn;
}

bool coord_wanted(const struct coord *coord)
{
	return !coord->dead && load_relaxed(&coord->shared->lock.wanted) != 0;
}
