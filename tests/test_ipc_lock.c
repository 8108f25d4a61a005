/* SPDX-License-Identifier: Apache-2.0 */
/* The writer lock: one holder, known by name, in turn, and never the lock of a dead process. */
#include "ipc_kit.h"

#include "internal/error.h"

#include <duramen.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { LOOPERS = 4 };

/* What the lock protects: two plain counters that are equal whenever nobody is at them. */
struct shared {
	volatile uint64_t before, after;
	_Atomic uint64_t turns[LOOPERS], wrong;
};

static struct coord *coord;
static char path[4200], pages[4300];
static int fd;

static int pages_open(const char *of)
{
	snprintf(pages, sizeof pages, "%s.pages", of);
	return open(pages, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static struct shared *shared_map(int file)
{
	void *p;

	if (ftruncate(file, sizeof(struct shared)) != 0)
		abort();
	p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (p == MAP_FAILED)
		abort();
	return p;
}

static void setup(void)
{
	snprintf(path, sizeof path, "%s", kit_path("c"));
	coord = kit_open(path, 0);
	fd = pages_open(path);
	ck_assert_int_ge(fd, 0);
}

static void teardown(void)
{
	coord_close(coord);
	close(fd);
	kit_clean();
}

/* ---- Peers ---- */

/*
 * hold PATH NAME: L locks, U unlocks, W waits until somebody wants the lock, F forks a child that
 * goes on with its handles dead and its descriptors closed, as the library's fork handler leaves
 * it.
 */
static int role_hold(int argc, char **argv)
{
	int file = pages_open(argv[0]);
	struct coord *c;
	bool ok = true;

	(void)argc;
	prctl(PR_SET_NAME, argv[1]);
	c = kit_open(argv[0], 0);
	for (char what; (what = test_hear()) != 0;) {
		switch (what) {
		case 'L': ok = coord_lock(c, file, -1) == 0; break;
		case 'U': coord_unlock(c, file); break;
		case 'W':
			while (!coord_wanted(c))
				kit_sleep_ms(1);
			break;
		case 'F':
			if (fork() == 0) {
				coord_forked(c);
				close(file);
				test_say('c');
				for (;;)
					pause();
			}
			continue;
		default: ok = false;
		}
		test_say(ok ? '+' : '-');
	}
	return 0;
}

/* loop PATH NUMBER: takes turns for ever. */
static int role_loop(int argc, char **argv)
{
	int file = pages_open(argv[0]);
	struct shared *s = shared_map(file);
	struct coord *c = kit_open(argv[0], 0);
	unsigned me = (unsigned)atoi(argv[1]);

	(void)argc;
	while (coord_lock(c, file, -1) == 0) {
		/*
		 * A predecessor may have been killed between the two; a living one never stops
		 * there.
		 */
		s->after = s->before;
		s->before++;
		for (unsigned i = 0; i < 200; i++)
			atomic_signal_fence(memory_order_seq_cst);
		if (s->before != s->after + 1)
			atomic_fetch_add(&s->wrong, 1);
		s->after++;
		atomic_fetch_add(&s->turns[me], 1);
		coord_unlock(c, file);
	}
	return 1;
}

static void tell(const struct peer *peer, char what)
{
	peer_say(peer, what);
	ck_assert_int_eq(peer_hear(peer), '+');
}

/* ---- Cases ---- */

START_TEST(taken_and_let_go)
{
	struct coord_holder holder;
	struct timespec now;

	coord_holder_get(coord, &holder);
	ck_assert_uint_eq(holder.pid, 0);
	ck_assert_int_eq(coord_lock(coord, fd, 0), 0);
	coord_holder_get(coord, &holder);
	clock_gettime(CLOCK_REALTIME, &now);
	ck_assert_uint_eq(holder.pid, (uint32_t)getpid());
	ck_assert_str_eq(holder.name, "test_ipc_lock");
	ck_assert_int_le(now.tv_sec - holder.since_ns / 1000000000, 3600);
	ck_assert_int_ge(now.tv_sec - holder.since_ns / 1000000000, 0);
	ck_assert(!coord_wanted(coord));
	coord_unlock(coord, fd);
	coord_holder_get(coord, &holder);
	ck_assert_uint_eq(holder.pid, 0);
}
END_TEST

START_TEST(message_says_who)
{
	struct peer peer;
	char who[64];

	peer_start(&peer, "hold", path, "my\nwriter", NULL);
	tell(&peer, 'L');
	snprintf(who, sizeof who, "locked by process %d (my?writer) since ", (int)peer.pid);
	for (int timeout_ms = 0; timeout_ms < 40; timeout_ms += 30) {
		const char *at;

		ck_assert_int_eq(coord_lock(coord, fd, timeout_ms), DUR_E_LOCKED);
		ck_assert_msg(strncmp(error_text(), who, strlen(who)) == 0, "%s", error_text());
		at = error_text() + strlen(who);
		ck_assert(at[2] == ':' && at[5] == ':');
		ck_assert_str_eq(at + 8, "; wait, or stop that process");
	}
	tell(&peer, 'U');
	ck_assert_int_eq(coord_lock(coord, fd, 0), 0);
	coord_unlock(coord, fd);
	peer_kill(&peer);
}
END_TEST

START_TEST(waiter_asks_and_gets_it)
{
	struct peer peer;

	peer_start(&peer, "hold", path, "peer", NULL);
	for (unsigned i = 0; i < 20; i++) {
		tell(&peer, 'L');
		peer_say(&peer, 'W'); /* it lets us in when it sees that we want to */
		peer_say(&peer, 'U');
		ck_assert_int_eq(coord_lock(coord, fd, -1), 0);
		ck_assert_int_eq(peer_hear(&peer), '+');
		ck_assert_int_eq(peer_hear(&peer), '+');
		coord_unlock(coord, fd);
	}
	/* Nobody waits any more: the word is clear after an unlock or two. */
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(coord_lock(coord, fd, -1), 0);
		coord_unlock(coord, fd);
	}
	ck_assert(!coord_wanted(coord));
	peer_kill(&peer);
}
END_TEST

START_TEST(killed_holder)
{
	struct coord_holder holder;
	struct peer peer;

	peer_start(&peer, "hold", path, "peer", NULL);
	tell(&peer, 'L');
	ck_assert_int_eq(coord_lock(coord, fd, 5), DUR_E_LOCKED);
	kill(peer.pid, SIGKILL); /* and wakes nobody */
	ck_assert_int_eq(coord_lock(coord, fd, -1), 0);
	coord_holder_get(coord, &holder);
	ck_assert_uint_eq(holder.pid, (uint32_t)getpid());
	coord_unlock(coord, fd);
	peer_kill(&peer);
}
END_TEST

START_TEST(forked_child_does_not_keep_a_dead_parents_lock)
{
	struct peer peer;

	peer_start(&peer, "hold", path, "peer", NULL);
	tell(&peer, 'L');
	peer_say(&peer, 'F');
	ck_assert_int_eq(peer_hear(&peer), 'c');
	ck_assert_int_eq(coord_lock(coord, fd, 0), DUR_E_LOCKED);
	peer_kill(&peer);
	ck_assert_int_eq(coord_lock(coord, fd, 0), 0);
	coord_unlock(coord, fd);
}
END_TEST

static void start_loopers(struct peer *peers, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char number[16];

		snprintf(number, sizeof number, "%u", i);
		peer_start(&peers[i], "loop", path, number, NULL);
	}
}

/* flock alone would let the same process in again and again; here everybody's turn comes. */
START_TEST(everybody_gets_a_turn)
{
	struct shared *s = shared_map(fd);
	struct peer peers[LOOPERS];
	unsigned turns = kit_rounds(100);

	start_loopers(peers, LOOPERS);
	for (unsigned i = 0; i < LOOPERS; i++)
		while (atomic_load(&s->turns[i]) < turns)
			kit_sleep_ms(1);
	for (unsigned i = 0; i < LOOPERS; i++)
		peer_kill(&peers[i]);
	ck_assert_uint_eq(atomic_load(&s->wrong), 0);
	munmap(s, sizeof *s);
}
END_TEST

START_TEST(killed_at_random)
{
	struct shared *s = shared_map(fd);
	struct peer peers[LOOPERS];
	uint64_t random = kit_seed();

	start_loopers(peers, LOOPERS);
	for (unsigned round = 0; round < kit_rounds(50); round++) {
		unsigned i = (unsigned)(kit_random(&random) % LOOPERS);
		uint64_t before = atomic_load(&s->turns[(i + 1) % LOOPERS]);
		char number[16];

		peer_kill(&peers[i]);
		while (atomic_load(&s->turns[(i + 1) % LOOPERS]) == before)
			kit_sleep_ms(1);
		snprintf(number, sizeof number, "%u", i);
		peer_start(&peers[i], "loop", path, number, NULL);
	}
	for (unsigned i = 0; i < LOOPERS; i++)
		peer_kill(&peers[i]);
	ck_assert_uint_eq(atomic_load(&s->wrong), 0);
	ck_assert_int_eq(coord_lock(coord, fd, -1), 0);
	coord_unlock(coord, fd);
	munmap(s, sizeof *s);
}
END_TEST

START_TEST(anonymous_memory)
{
	struct coord_identity id = kit_identity(1);
	struct coord *c;
	bool fresh;
	int file = memfd_create("pages", MFD_CLOEXEC);

	ck_assert_int_eq(coord_open(NULL, 0, &id, &c, &fresh), 0);
	ck_assert_int_eq(coord_lock(c, file, 0), 0);
	coord_unlock(c, file);
	coord_close(c);
	close(file);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ipc_lock");
	TCase *t = tcase_create("all");

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, taken_and_let_go);
	tcase_add_test(t, message_says_who);
	tcase_add_test(t, waiter_asks_and_gets_it);
	tcase_add_test(t, killed_holder);
	tcase_add_test(t, forked_child_does_not_keep_a_dead_parents_lock);
	tcase_add_test(t, everybody_gets_a_turn);
	tcase_add_test(t, killed_at_random);
	tcase_add_test(t, anonymous_memory);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{ "hold", role_hold },
		{ "loop", role_loop },
		{ NULL, NULL },
	};

	return kit_main(argc, argv, roles, suite());
}
