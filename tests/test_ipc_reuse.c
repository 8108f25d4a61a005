/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pins are for: a page that a reader may still read is never used again. A world of pages, one
 * a state, in memory shared by all; a writer that publishes, retires, scans and reuses as fast as
 * it can; readers in threads and processes that open the latest or an old state and find on its
 * page that state's number for as long as they hold it. Processes are killed and started anew all
 * the time.
 *
 * Seen to fail, each in some runs of six, without m1 R1, R2, R3, R6, R8, m2 R4, m3 R4 and m3b O3:
 * the reader who is cheated finds another number.
 */
#include "ipc_kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGES = 24, MOST_RETAINED = 4, STATES = 1 << 20, PEERS = 4, THREADS = 2 };

struct world {
	_Atomic uint64_t page[PAGES];
	_Atomic uint32_t page_of[STATES];   /* one more than the page; 0: no such state */
	_Atomic uint32_t oldest_in[STATES]; /* the oldest state that is retained in a state */
	_Atomic uint64_t opens, old_opens, gone, wrong;
	_Atomic bool stop;
};

static struct world *world;
static struct coord *coord;

static struct world *world_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *p;

	if (fd < 0 || ftruncate(fd, sizeof *world) != 0)
		abort();
	p = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		abort();
	close(fd);
	return p;
}

/* ---- Readers ---- */

static void look(uint64_t state, uint64_t page, const char *how)
{
	uint64_t is =
		page < PAGES ? atomic_load_explicit(&world->page[page], memory_order_relaxed) : 0;

	if (is == state)
		return;
	if (atomic_fetch_add(&world->wrong, 1) < 10)
		fprintf(stderr, "process %d, %s: state %llu: page %llu says %llu\n", (int)getpid(),
		        how, (unsigned long long)state, (unsigned long long)page,
		        (unsigned long long)is);
}

static void hold(uint64_t *random, uint64_t state, uint64_t page, const char *how)
{
	unsigned long_one = kit_random(random) % 16 == 0;

	for (uint64_t n = kit_random(random) % 30; n; n--) {
		look(state, page, how);
		if (long_one)
			sched_yield();
	}
	look(state, page, how);
}

static bool read_latest(uint64_t *random)
{
	struct coord_published p;
	struct coord_pin pin;

	if (coord_pin_latest(coord, &pin, &p) != 0)
		return false;
	hold(random, p.state, p.record, pin.kind == 1 ? "latest" : "latest, overflow");
	coord_unpin(coord, &pin);
	atomic_fetch_add_explicit(&world->opens, 1, memory_order_relaxed);
	return true;
}

/* Pin S, pin the newest M anew, look S up in M; both stay pinned (m2 R1 to R4). */
static bool read_old(uint64_t *random)
{
	struct coord_published p;
	struct coord_pin s, m;
	uint64_t newest, state;
	uint32_t page;

	coord_load(coord, &p);
	newest = p.state;
	state = newest - kit_random(random) % (newest < 12 ? newest : 12);
	if (coord_pin_state(coord, &s, state) != 0)
		return false;
	if (coord_pin_latest(coord, &m, &p) != 0)
		return false;
	page = atomic_load_explicit(&world->page_of[state], memory_order_relaxed);
	if (page && state <= p.state && state >= atomic_load(&world->oldest_in[p.state])) {
		hold(random, state, page - 1, "old");
		look(p.state, p.record, "beside old");
		atomic_fetch_add_explicit(&world->old_opens, 1, memory_order_relaxed);
	} else {
		atomic_fetch_add_explicit(&world->gone, 1, memory_order_relaxed);
	}
	coord_unpin(coord, &m);
	coord_unpin(coord, &s);
	return true;
}

static void read_until_stopped(uint64_t seed)
{
	while (!atomic_load_explicit(&world->stop, memory_order_relaxed)) {
		if (!(kit_random(&seed) % 3 ? read_latest : read_old)(&seed)) {
			atomic_fetch_add(&world->wrong, 1);
			fprintf(stderr, "cannot open a state\n");
			return;
		}
		if (kit_random(&seed) % 64 == 0)
			sched_yield();
	}
}

static void *reader_thread(void *argument)
{
	read_until_stopped(*(uint64_t *)argument);
	return NULL;
}

/*
 * reader COORD WORLD SEED MODE: 0 reads in two threads, 1 in the overflow cell, which it leaves
 * often.
 */
static int role_reader(int argc, char **argv)
{
	uint64_t seeds[2] = { strtoull(argv[2], NULL, 0), strtoull(argv[2], NULL, 0) + 77 };
	pthread_t thread;

	(void)argc;
	world = world_map(argv[1]);
	coord = kit_open(argv[0], 0);
	test_say('+');
	if (argv[3][0] == '1') {
		struct coord_pin pin;

		while (coord_pin_state(coord, &pin, 1) == 0 && pin.kind == 1)
			;
		coord_unpin(coord, &pin);
		for (;;) {
			if (!(kit_random(seeds) % 3 ? read_latest : read_old)(seeds))
				return 1;
			if (kit_random(seeds) % 8 == 0)
				kit_sleep_ms(1);
		}
	}
	if (pthread_create(&thread, NULL, reader_thread, &seeds[1]) != 0)
		return 1;
	read_until_stopped(seeds[0]);
	pthread_join(thread, NULL);
	coord_close(coord);
	return 0;
}

/* ---- The writer ---- */

static struct {
	uint64_t born[PAGES]; /* 0: free */
	bool dropped[PAGES];
	uint64_t retained[MOST_RETAINED];
	unsigned keep, next; /* the last `keep` states are retained */
	struct coord_pins pins;
	pid_t stopped; /* the peer that is; 0: none */
} writer;

static struct peer peers[PEERS];

static bool pinned(uint64_t state)
{
	for (size_t i = 0; i < writer.pins.n; i++)
		if (writer.pins.states[i] == state)
			return true;
	return writer.pins.everything || state >= writer.pins.from;
}

static void free_pages(void)
{
	ck_assert_int_eq(coord_scan(coord, &writer.pins), 0);
	for (unsigned p = 0; p < PAGES; p++) {
		if (writer.born[p] && writer.dropped[p] && !pinned(writer.born[p])) {
			/*
			 * Spoilt at once, so that who still reads it is caught before it is used
			 * again.
			 */
			atomic_store_explicit(&world->page[p], 0, memory_order_relaxed);
			writer.born[p] = 0;
			writer.dropped[p] = false;
		}
	}
}

/*
 * Stops a reader at any instruction, in the middle of opening too, and lets it go on some commits
 * later.
 */
static void stop_or_go(uint64_t *random)
{
	if (writer.stopped) {
		kill(writer.stopped, SIGCONT);
		writer.stopped = 0;
	} else {
		writer.stopped = peers[kit_random(random) % PEERS].pid;
		if (writer.stopped)
			kill(writer.stopped, SIGSTOP);
	}
}

static unsigned free_page(void)
{
	for (;; sched_yield()) {
		for (unsigned p = 0; p < PAGES; p++)
			if (!writer.born[p])
				return p;
		if (writer.stopped)
			stop_or_go(NULL);
		free_pages();
	}
}

static void commit(uint64_t state)
{
	unsigned page = free_page();
	uint64_t out = writer.retained[writer.next], oldest = state;

	atomic_store_explicit(&world->page[page], state, memory_order_relaxed);
	writer.born[page] = state;
	writer.retained[writer.next] = state;
	writer.next = (writer.next + 1) % writer.keep;
	for (unsigned i = 0; i < writer.keep; i++)
		if (writer.retained[i] && writer.retained[i] < oldest)
			oldest = writer.retained[i];
	atomic_store(&world->page_of[state], page + 1);
	atomic_store(&world->oldest_in[state], (uint32_t)oldest);
	coord_publish(coord, state, page, true);
	for (unsigned p = 0; p < PAGES; p++)
		if (writer.born[p] == out && out)
			writer.dropped[p] = true;
	free_pages();
}

START_TEST(readers_keep_their_pages)
{
	char coord_path[4200], world_path[4200], seed_text[32];
	pthread_t threads[THREADS];
	uint64_t seeds[THREADS], random = kit_seed(), state = 0;
	unsigned rounds = kit_rounds(20000);

	snprintf(coord_path, sizeof coord_path, "%s", kit_path("c"));
	snprintf(world_path, sizeof world_path, "%s", kit_path("w"));
	/*
	 * With one, a reader who is late by one commit is too late; with four, old states can be
	 * opened.
	 */
	writer.keep = _i == 0 ? 1 : MOST_RETAINED;
	world = world_map(world_path);
	coord = kit_open(coord_path, 0);
	commit(++state);
	for (unsigned i = 0; i < THREADS; i++) {
		seeds[i] = random + i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, reader_thread, &seeds[i]), 0);
	}
	for (unsigned round = 0; round < rounds || atomic_load(&world->opens) < rounds; round++) {
		if (round % 500 == 0) {
			unsigned i = (unsigned)(kit_random(&random) % PEERS);

			if (round < 500 * PEERS)
				i = round / 500;
			if (writer.stopped)
				stop_or_go(NULL);
			if (peers[i].pid)
				peer_kill(&peers[i]);
			snprintf(seed_text, sizeof seed_text, "%llu",
			         (unsigned long long)kit_random(&random));
			peer_start(&peers[i], "reader", coord_path, world_path, seed_text,
			           i == 0 ? "1" : "0", NULL);
			ck_assert_int_eq(peer_hear(&peers[i]), '+');
		}
		if (kit_random(&random) % 3 == 0)
			stop_or_go(&random);
		state += kit_random(&random) % 4 == 0 ? 2 : 1;
		ck_assert_uint_lt(state, STATES);
		commit(state);
		if (atomic_load(&world->wrong))
			break;
	}
	atomic_store(&world->stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < PEERS; i++)
		peer_kill(&peers[i]);
	ck_assert_uint_eq(atomic_load(&world->wrong), 0);
	ck_assert(atomic_load(&world->old_opens) > 0 || writer.keep == 1);
	/* Nobody is left, and nothing stays pinned. */
	coord_publish(coord, state + 1, 0, true);
	ck_assert_int_eq(coord_scan(coord, &writer.pins), 0);
	ck_assert_uint_eq(writer.pins.n, 0);
	coord_pins_free(&writer.pins);
	coord_close(coord);
}
END_TEST

/*
 * Nothing but opening and closing, against nothing but commits: races of single stores (m1 R1, R2).
 */
static void *tight_thread(void *argument)
{
	struct coord_published p;
	struct coord_pin pin;

	(void)argument;
	while (!atomic_load_explicit(&world->stop, memory_order_relaxed)) {
		if (coord_pin_latest(coord, &pin, &p) != 0)
			break;
		for (unsigned i = 0; i < 3; i++)
			look(p.state, p.record, "tight");
		coord_unpin(coord, &pin);
	}
	return NULL;
}

START_TEST(tight)
{
	pthread_t threads[THREADS];
	uint64_t state = 0;

	writer.keep = 1;
	world = world_map(kit_path("w"));
	coord = kit_open(kit_path("c"), 0);
	commit(++state);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, tight_thread, NULL), 0);
	while (state < kit_rounds(100000))
		commit(++state);
	atomic_store(&world->stop, true);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(atomic_load(&world->wrong), 0);
	coord_pins_free(&writer.pins);
	coord_close(coord);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ipc_reuse");
	TCase *t = tcase_create("all");

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, NULL, kit_clean);
	tcase_add_loop_test(t, readers_keep_their_pages, 0, 2);
	tcase_add_test(t, tight);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = { { "reader", role_reader }, { NULL, NULL } };

	return kit_main(argc, argv, roles, suite());
}
