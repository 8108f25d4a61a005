/* SPDX-License-Identifier: Apache-2.0 */
/* The published state and the writer's words, also after writers that were killed at it. */
#include "ipc_kit.h"

#include "ipc/layout_private.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct coord *coord;
static const char *path;

static void setup(void)
{
	path = kit_path("c");
	coord = kit_open(path, 0);
}

static void teardown(void)
{
	coord_close(coord);
	kit_clean();
}

static uint64_t record_of(uint64_t state)
{
	return state * 3 + 1;
}

START_TEST(what_is_published_is_loaded)
{
	struct coord_published p;
	uint64_t random = kit_seed(), state = 0, durable = 0;

	coord_load(coord, &p);
	ck_assert(p.state == 0 && p.record == 0 && p.durable == 0);
	for (unsigned i = 0; i < 1000; i++) {
		bool on_disk = kit_random(&random) % 2;

		state += 1 + kit_random(&random) % 5;
		if (on_disk)
			durable = state;
		coord_publish(coord, state, record_of(state), on_disk);
		coord_load(coord, &p);
		ck_assert_uint_eq(p.state, state);
		ck_assert_uint_eq(p.record, record_of(state));
		ck_assert_uint_eq(p.durable, durable);
	}
	/* The same state again, as a recovery publishes it. */
	coord_publish(coord, state, record_of(state), true);
	coord_load(coord, &p);
	ck_assert(p.state == state && p.record == record_of(state) && p.durable == state);
}
END_TEST

/* m1 R7: who is killed at publishing leaves the published entry as it was, whatever the gaps. */
START_TEST(published_entry_is_not_overwritten)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct layout *file = mmap(NULL, LAYOUT_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t random = kit_seed(), state = 0;

	ck_assert(file != MAP_FAILED);
	for (unsigned i = 0; i < 100; i++) {
		const struct layout_ring_entry *ring = file->published.ring;
		uint64_t before = state;

		state += 1 + kit_random(&random) % 3;
		coord_publish(coord, state, record_of(state), true);
		if (before == 0)
			continue;
		for (unsigned e = 0; e < LAYOUT_RING; e++) {
			uint64_t in = load_acquire(&ring[e].state);

			ck_assert(in == state || in == before);
			ck_assert_uint_eq(load_acquire(&ring[e].record), record_of(in));
		}
		ck_assert_uint_ne(load_acquire(&ring[0].state), load_acquire(&ring[1].state));
	}
	munmap((void *)(uintptr_t)file, LAYOUT_BYTES);
	close(fd);
}
END_TEST

START_TEST(durable_follows_and_never_goes_back)
{
	struct coord_published p;

	coord_publish(coord, 5, 50, false);
	coord_publish(coord, 6, 60, false);
	coord_set_durable(coord, 6);
	coord_set_durable(coord, 5);
	coord_load(coord, &p);
	ck_assert_uint_eq(p.durable, 6);
	ck_assert_uint_eq(p.state, 6);
}
END_TEST

START_TEST(numbers_above_32_bits)
{
	struct coord_published p;
	uint64_t high = UINT64_C(0x123456789abcdef0), after = high;
	struct coord_pin pin;

	coord_publish(coord, high, UINT64_C(0xfedcba9876543210), true);
	ck_assert_int_eq(coord_pin_latest(coord, &pin, &p), 0);
	ck_assert(p.state == high && p.record == UINT64_C(0xfedcba9876543210));
	coord_unpin(coord, &pin);
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, 0), 1);
	/* The low half is the same: only the look at all 64 bits finds it newer. */
	coord_publish(coord, high + (UINT64_C(1) << 32), 1, true);
	ck_assert_int_eq(coord_wait(&coord, &after, 1, COORD_VISIBLE, 0), 0);
	ck_assert_uint_eq(after, high + (UINT64_C(1) << 32));
}
END_TEST

START_TEST(writers_words)
{
	struct coord_writer words = { .next = 9, .epoch = 4, .unclean = true }, got;

	coord_writer_get(coord, &got);
	ck_assert(got.next == 0 && got.epoch == 0 && !got.unclean);
	coord_writer_set(coord, &words);
	coord_writer_get(coord, &got);
	ck_assert(got.next == 9 && got.epoch == 4 && got.unclean);
	words.unclean = false;
	coord_writer_set(coord, &words);
	coord_writer_get(coord, &got);
	ck_assert(got.next == 9 && got.epoch == 4 && !got.unclean);
}
END_TEST

/* ---- Writers that are killed ---- */

/*
 * publish PATH: publishes as fast as it can, with gaps, durable or not. It goes on from what is
 * published, as the next writer does, and sets the words: `unclean` is cleared only when next is
 * even.
 */
static int role_publish(int argc, char **argv)
{
	struct coord *c = kit_open(argv[0], 0);
	uint64_t random = (uint64_t)getpid();
	struct coord_published p;

	(void)argc;
	coord_load(c, &p);
	test_say('+');
	for (uint64_t state = p.state + 1; state; state += 1 + kit_random(&random) % 3) {
		coord_writer_set(c, &(struct coord_writer){ .next = state | 1, .unclean = true });
		coord_publish(c, state, record_of(state), state % 2);
		coord_writer_set(c, &(struct coord_writer){ .next = (state | 1) + 1 });
	}
	return 0;
}

static _Atomic bool stop;

/* Follows all writers: never backwards, never a record of another state. NULL if all was well. */
static void *follow(void *argument)
{
	uint64_t last = 0, loads = 0;

	(void)argument;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		struct coord_published p, q;
		struct coord_pin pin;

		coord_load(coord, &p);
		if (coord_pin_latest(coord, &pin, &q) != 0)
			return (void *)(uintptr_t) "cannot pin";
		coord_unpin(coord, &pin);
		if (p.record != record_of(p.state) || q.record != record_of(q.state))
			return (void *)(uintptr_t) "another state's record";
		if (p.state < last || q.state < p.state)
			return (void *)(uintptr_t) "backwards";
		last = q.state;
		loads++;
	}
	return loads ? NULL : (void *)(uintptr_t) "nothing loaded";
}

START_TEST(killed_while_publishing)
{
	uint64_t random = kit_seed(), last = 1;
	pthread_t thread;
	void *wrong;

	coord_publish(coord, 1, record_of(1), true);
	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, follow, NULL), 0);
	for (unsigned round = 0; round < kit_rounds(100); round++) {
		struct coord_published p;
		struct coord_writer words;
		struct peer peer;

		peer_start(&peer, "publish", path, NULL);
		ck_assert_int_eq(peer_hear(&peer), '+');
		for (uint64_t n = kit_random(&random) % 100000; n; n--)
			atomic_signal_fence(memory_order_seq_cst);
		peer_kill(&peer);
		coord_load(coord, &p);
		ck_assert_uint_ge(p.state, last);
		ck_assert_uint_eq(p.record, record_of(p.state));
		ck_assert_uint_le(p.durable, p.state);
		last = p.state;
		coord_writer_get(coord, &words);
		ck_assert(words.unclean || words.next % 2 == 0);
	}
	atomic_store(&stop, true);
	pthread_join(thread, &wrong);
	ck_assert_msg(!wrong, "%s", wrong ? (const char *)wrong : "");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ipc_publish");
	TCase *t = tcase_create("all");

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_published_is_loaded);
	tcase_add_test(t, published_entry_is_not_overwritten);
	tcase_add_test(t, durable_follows_and_never_goes_back);
	tcase_add_test(t, numbers_above_32_bits);
	tcase_add_test(t, writers_words);
	tcase_add_test(t, killed_while_publishing);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = { { "publish", role_publish }, { NULL, NULL } };

	return kit_main(argc, argv, roles, suite());
}
