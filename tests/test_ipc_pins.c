/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins, the scan, and slots of the dead; rules m3 and m3b. Reuse under pins is in test_ipc_reuse.c.
 */
#include "ipc_kit.h"

#include "internal/error.h"
#include "ipc/layout_private.h"

#include <duramen.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *path;
static struct coord *coord;
static struct coord_pins pins;

static void setup(void)
{
	path = kit_path("c");
	coord = kit_open(path, 0);
	memset(&pins, 0, sizeof pins);
}

static void teardown(void)
{
	coord_close(coord);
	coord_pins_free(&pins);
	kit_clean();
}

static void publish(uint64_t state)
{
	coord_publish(coord, state, state * 10, true);
}

static struct coord_pin pin_latest(uint64_t expect)
{
	struct coord_published p;
	struct coord_pin pin;

	ck_assert_int_eq(coord_pin_latest(coord, &pin, &p), 0);
	ck_assert_uint_eq(p.state, expect);
	ck_assert_uint_eq(p.record, expect * 10);
	return pin;
}

static struct coord_pin pin_state(uint64_t state)
{
	struct coord_pin pin;

	ck_assert_int_eq(coord_pin_state(coord, &pin, state), 0);
	return pin;
}

static void expect_pins(size_t n, const uint64_t *states)
{
	ck_assert_int_eq(coord_scan(coord, &pins), 0);
	ck_assert_uint_eq(pins.n, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(pins.states[i], states[i]);
	ck_assert(!pins.everything);
}

#define EXPECT_PINS(...) \
	expect_pins(sizeof((uint64_t[]){ __VA_ARGS__ }) / 8, (uint64_t[]){ __VA_ARGS__ })

/* ---- Peers ---- */

/*
 * pins PATH: L pins the latest, 0..9 pins that state, O pins state 1 until the overflow cell has
 * it, S scans, F forks a child that sleeps with its handles dead; the child answers.
 */
static int role_pins(int argc, char **argv)
{
	struct coord *c = kit_open(argv[0], 0);
	struct coord_pins seen = { 0 };
	struct coord_published p;
	struct coord_pin pin;
	bool ok = true;

	(void)argc;
	for (char what; (what = test_hear()) != 0;) {
		switch (what) {
		case 'L': ok = coord_pin_latest(c, &pin, &p) == 0; break;
		case 'O':
			for (unsigned i = 0; i < LAYOUT_CELLS + 3; i++)
				ok = ok && coord_pin_state(c, &pin, 1) == 0;
			break;
		case 'S': ok = coord_scan(c, &seen) == 0; break;
		case 'F':
			if (fork() == 0) {
				coord_forked(c);
				test_say('c');
				for (;;)
					pause();
			}
			continue;
		default: ok = coord_pin_state(c, &pin, (uint64_t)(what - '0')) == 0; break;
		}
		test_say(ok ? '+' : '-');
	}
	return 0;
}

static void peer_pins(struct peer *peer, const char *what)
{
	peer_start(peer, "pins", path, NULL);
	for (; *what; what++) {
		peer_say(peer, *what);
		ck_assert_int_eq(peer_hear(peer), '+');
	}
}

/* lockslots PATH: takes the record locks of all slots, as 512 processes would. */
static int role_lockslots(int argc, char **argv)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = LAYOUT_SLOTS_AT,
		.l_len = LAYOUT_BYTES - LAYOUT_SLOTS_AT,
	};
	int fd = open(argv[0], O_RDWR | O_CLOEXEC);

	(void)argc;
	test_say(fcntl(fd, F_SETLK, &lock) == 0 ? '+' : '-');
	test_hear();
	return 0;
}

/* ---- Pins of one process ---- */

START_TEST(nothing_published)
{
	struct coord_published p = { 1, 2, 3 };
	struct coord_pin pin = { 1, 1 };

	ck_assert_int_eq(coord_pin_latest(coord, &pin, &p), 1);
	ck_assert_uint_eq(pin.kind, 0);
	ck_assert_uint_eq(p.state, 0);
	coord_unpin(coord, &pin);
	expect_pins(0, NULL);
}
END_TEST

START_TEST(scan_is_sorted_and_distinct)
{
	struct coord_pin a, b, c, d, e;

	publish(50);
	a = pin_latest(50);
	b = pin_state(9);
	publish(60);
	c = pin_latest(60);
	d = pin_state(50);
	e = pin_state(3);
	EXPECT_PINS(3, 9, 50, 60);
	coord_unpin(coord, &a);
	EXPECT_PINS(3, 9, 50, 60);
	coord_unpin(coord, &d);
	EXPECT_PINS(3, 9, 60);
	coord_unpin(coord, &d); /* twice is harmless */
	coord_unpin(coord, &b);
	coord_unpin(coord, &e);
	EXPECT_PINS(60);
	coord_unpin(coord, &c);
	expect_pins(0, NULL);
}
END_TEST

START_TEST(no_such_state)
{
	struct coord_pin pin = { 7, 7 };

	ck_assert_int_eq(coord_pin_state(coord, &pin, 0), DUR_E_RANGE);
	ck_assert_uint_eq(pin.kind, 0);
	ck_assert_int_eq(coord_pin_state(coord, &pin, UINT64_MAX), DUR_E_RANGE);
	expect_pins(0, NULL);
}
END_TEST

/* More pins than cells: all others go into one cell that pins from its oldest on (m3b O3, O4). */
START_TEST(overflow)
{
	enum { MANY = LAYOUT_CELLS + 50 };
	struct coord_pin pin[MANY];
	struct coord_reader reader;
	uint32_t n;

	for (unsigned i = 0; i < MANY; i++) {
		publish(1000 + i);
		pin[i] = i == LAYOUT_CELLS + 20 ? pin_state(500) : pin_latest(1000 + i);
		ck_assert_int_eq(coord_scan(coord, &pins), 0);
		ck_assert_uint_eq(pins.from, i < LAYOUT_CELLS        ? UINT64_MAX
		                             : i < LAYOUT_CELLS + 20 ? 1000 + LAYOUT_CELLS
		                                                     : 500);
	}
	ck_assert_uint_eq(pins.n, LAYOUT_CELLS);
	ck_assert_int_eq(coord_readers(coord, 0, &reader, 1, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(reader.pins, MANY);
	ck_assert_uint_eq(reader.oldest, 500);
	ck_assert_uint_eq(reader.pid, (uint32_t)getpid());
	/* In any order: the minimum stays until the last member leaves. */
	for (unsigned i = LAYOUT_CELLS; i < MANY; i++) {
		ck_assert_int_eq(coord_scan(coord, &pins), 0);
		ck_assert_uint_eq(pins.from, 500);
		coord_unpin(coord, &pin[i]);
	}
	ck_assert_int_eq(coord_scan(coord, &pins), 0);
	ck_assert_uint_eq(pins.from, UINT64_MAX);
	/* A freed cell is used again, before the overflow cell. */
	coord_unpin(coord, &pin[17]);
	pin[17] = pin_state(4);
	ck_assert_int_eq(coord_scan(coord, &pins), 0);
	ck_assert_uint_eq(pins.from, UINT64_MAX);
	ck_assert_uint_eq(pins.states[0], 4);
	for (unsigned i = 0; i < LAYOUT_CELLS; i++)
		coord_unpin(coord, &pin[i]);
	expect_pins(0, NULL);
}
END_TEST

START_TEST(overflow_before_anything_is_published)
{
	struct coord_pin pin[LAYOUT_CELLS], more;
	struct coord_published p;

	for (unsigned i = 0; i < LAYOUT_CELLS; i++)
		pin[i] = pin_state(1);
	ck_assert_int_eq(coord_pin_latest(coord, &more, &p), 1);
	ck_assert_uint_eq(more.kind, 0);
	ck_assert_int_eq(coord_scan(coord, &pins), 0);
	ck_assert_uint_eq(pins.from, UINT64_MAX);
	ck_assert(!pins.everything);
	for (unsigned i = 0; i < LAYOUT_CELLS; i++)
		coord_unpin(coord, &pin[i]);
}
END_TEST

/* ---- Other processes ---- */

START_TEST(all_slots_taken)
{
	struct peer peer;
	struct coord_pin pin;
	struct coord_published p;

	publish(5);
	peer_start(&peer, "lockslots", path, NULL);
	ck_assert_int_eq(peer_hear(&peer), '+');
	ck_assert_int_eq(coord_pin_latest(coord, &pin, &p), -EUSERS);
	ck_assert_uint_eq(pin.kind, 0);
	ck_assert_ptr_nonnull(strstr(error_text(), "512 reader slots"));
	ck_assert_int_eq(coord_pin_state(coord, &pin, 5), -EUSERS);
	peer_kill(&peer);
	pin = pin_latest(5);
	coord_unpin(coord, &pin);
}
END_TEST

START_TEST(dead_reader_stops_counting)
{
	struct coord_reader readers[4];
	struct peer peer;
	uint32_t n;

	publish(5);
	peer_pins(&peer, "L3");
	publish(6);
	EXPECT_PINS(3, 5);
	ck_assert_int_eq(coord_readers(coord, 0, readers, 4, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(readers[0].pid, (uint32_t)peer.pid);
	ck_assert_uint_eq(readers[0].pins, 2);
	ck_assert_uint_eq(readers[0].oldest, 3);
	ck_assert_int_eq(coord_attached(coord, &n), 0);
	ck_assert_uint_eq(n, 2);
	peer_kill(&peer);
	ck_assert_int_eq(coord_readers(coord, 0, readers, 4, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(coord_attached(coord, &n), 0);
	ck_assert_uint_eq(n, 1);
	expect_pins(0, NULL);
}
END_TEST

/* It pins the newest state, so it is not in the way; the next commit puts it there. */
START_TEST(dead_reader_of_the_newest_state)
{
	struct peer peer;

	publish(5);
	peer_pins(&peer, "L");
	peer_kill(&peer);
	publish(6);
	expect_pins(0, NULL);
}
END_TEST

/* A zombie has a pid still, and its locks no more. */
START_TEST(zombie_stops_counting)
{
	siginfo_t info;
	struct peer peer;

	publish(5);
	peer_pins(&peer, "3");
	ck_assert_int_eq(kill(peer.pid, SIGKILL), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)peer.pid, &info, WEXITED | WNOWAIT), 0);
	expect_pins(0, NULL);
	peer_kill(&peer);
}
END_TEST

START_TEST(stopped_reader_counts)
{
	struct peer peer;

	publish(5);
	peer_pins(&peer, "3");
	ck_assert_int_eq(kill(peer.pid, SIGSTOP), 0);
	EXPECT_PINS(3);
	peer_kill(&peer);
	expect_pins(0, NULL);
}
END_TEST

START_TEST(dead_overflow_is_wiped)
{
	struct peer peer;

	publish(5);
	peer_pins(&peer, "O");
	ck_assert_int_eq(coord_scan(coord, &pins), 0);
	ck_assert_uint_eq(pins.from, 1);
	peer_kill(&peer);
	expect_pins(0, NULL);
	ck_assert_uint_eq(pins.from, UINT64_MAX);
}
END_TEST

/* An inherited descriptor does not keep record locks, and the child's handles are dead. */
START_TEST(forked_child_does_not_keep_a_dead_parents_pins)
{
	struct peer peer;

	publish(5);
	peer_pins(&peer, "3");
	peer_say(&peer, 'F');
	ck_assert_int_eq(peer_hear(&peer), 'c');
	EXPECT_PINS(3);
	peer_kill(&peer);
	expect_pins(0, NULL);
}
END_TEST

/* A process that probes does not lose its own slot by it (m3 R4), nor by scanning over the dead. */
START_TEST(scanning_keeps_ones_own_slot)
{
	struct peer peer, dead;

	publish(5);
	peer_pins(&dead, "1");
	peer_pins(&peer, "3");
	peer_kill(&dead);
	peer_say(&peer, 'S');
	ck_assert_int_eq(peer_hear(&peer), '+');
	EXPECT_PINS(3); /* our probe finds it locked */
	peer_kill(&peer);
	expect_pins(0, NULL);
}
END_TEST

/* m3 R5: who claims the slot of a process that was killed does not inherit its pins. */
START_TEST(claimer_wipes_stale_pins)
{
	struct peer peer;
	struct coord_pin pin;

	publish(5);
	peer_pins(&peer, "1234O");
	peer_kill(&peer);
	pin = pin_state(4); /* claims the lowest free slot: that one */
	EXPECT_PINS(4);
	ck_assert_uint_eq(pins.from, UINT64_MAX);
	coord_unpin(coord, &pin);
}
END_TEST

/* A scan probes only so many slots, and the next one goes on; a live one in between stays. */
START_TEST(many_dead)
{
	enum { MANY = 40 };
	struct peer peers[MANY];

	publish(5);
	for (unsigned i = 0; i < MANY; i++)
		peer_pins(&peers[i], i == 20 ? "4" : "3");
	EXPECT_PINS(3, 4);
	for (unsigned i = 0; i < MANY; i++)
		if (i != 20)
			peer_kill(&peers[i]);
	ck_assert_int_eq(coord_scan(coord, &pins), 0);
	ck_assert_int_eq(coord_scan(coord, &pins), 0);
	EXPECT_PINS(4);
	peer_kill(&peers[20]);
}
END_TEST

START_TEST(readers_in_pages)
{
	struct coord_reader readers[8];
	struct peer peers[5];
	struct coord_pin pin;
	uint32_t n, total = 0;

	publish(5);
	for (unsigned i = 0; i < 5; i++)
		peer_pins(&peers[i], "3");
	pin = pin_latest(5);
	for (unsigned skip = 0; skip < 8; skip += 2) {
		ck_assert_int_eq(coord_readers(coord, skip, readers, 2, &n), 0);
		ck_assert_uint_eq(n, skip < 6 ? 2 : 0);
		total += n;
	}
	ck_assert_uint_eq(total, 6);
	ck_assert_int_eq(coord_attached(coord, &n), 0);
	ck_assert_uint_eq(n, 6);
	kit_sleep_ms(20);
	ck_assert_int_eq(coord_readers(coord, 5, readers, 8, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_ge(readers[0].age_ms, 10);
	coord_unpin(coord, &pin);
	for (unsigned i = 0; i < 5; i++)
		peer_kill(&peers[i]);
}
END_TEST

/* ---- Threads ---- */

static _Atomic unsigned owners[LAYOUT_CELLS], in_overflow;

struct worker {
	pthread_t thread;
	uint64_t random;
};

static void give_back(struct coord_pin *pin)
{
	atomic_fetch_sub(pin->kind == 1 ? &owners[pin->cell] : &in_overflow, 1);
	coord_unpin(coord, pin);
}

/* Opens and closes at random; no cell may be given out twice. */
static void *work(void *argument)
{
	struct worker *w = argument;
	struct coord_pin pin[40];
	struct coord_published p;
	unsigned open = 0;

	for (unsigned i = 0; i < kit_rounds(20000); i++) {
		if (open && (open == 40 || kit_random(&w->random) % 3 == 0)) {
			struct coord_pin *which = &pin[kit_random(&w->random) % open];

			give_back(which);
			*which = pin[--open];
		} else {
			if (kit_random(&w->random) % 4)
				ck_assert_int_eq(coord_pin_latest(coord, &pin[open], &p), 0);
			else
				ck_assert_int_eq(coord_pin_state(coord, &pin[open], 77), 0);
			if (pin[open].kind == 1)
				ck_assert_uint_eq(atomic_fetch_add(&owners[pin[open].cell], 1), 0);
			else
				atomic_fetch_add(&in_overflow, 1);
			open++;
		}
	}
	while (open)
		give_back(&pin[--open]);
	return NULL;
}

START_TEST(threads_share_the_cells)
{
	struct worker workers[8];

	publish(100);
	for (unsigned i = 0; i < 8; i++) {
		workers[i].random = kit_seed() + i;
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (uint64_t state = 101; state < 400; state++) {
		publish(state);
		ck_assert_int_eq(coord_scan(coord, &pins), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		pthread_join(workers[i].thread, NULL);
	expect_pins(0, NULL);
	ck_assert_uint_eq(pins.from, UINT64_MAX);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ipc_pins");
	TCase *t = tcase_create("all");

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nothing_published);
	tcase_add_test(t, scan_is_sorted_and_distinct);
	tcase_add_test(t, no_such_state);
	tcase_add_test(t, overflow);
	tcase_add_test(t, overflow_before_anything_is_published);
	tcase_add_test(t, all_slots_taken);
	tcase_add_test(t, dead_reader_stops_counting);
	tcase_add_test(t, dead_reader_of_the_newest_state);
	tcase_add_test(t, zombie_stops_counting);
	tcase_add_test(t, stopped_reader_counts);
	tcase_add_test(t, dead_overflow_is_wiped);
	tcase_add_test(t, forked_child_does_not_keep_a_dead_parents_pins);
	tcase_add_test(t, scanning_keeps_ones_own_slot);
	tcase_add_test(t, claimer_wipes_stale_pins);
	tcase_add_test(t, many_dead);
	tcase_add_test(t, readers_in_pages);
	tcase_add_test(t, threads_share_the_cells);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{ "pins", role_pins },
		{ "lockslots", role_lockslots },
		{ NULL, NULL },
	};

	return kit_main(argc, argv, roles, suite());
}
