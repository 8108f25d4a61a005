/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader processes open old states at the very moment the writer drops or packs them. Each is told
 * the truth: the state it asked for, whole, for as long as it has it open, or DUR_E_GONE. Every
 * state says of itself which one it is, and holds amounts that add up.
 *
 * Four readers; quick runs make 200,000 tries, with DURAMEN_SLOW=1 ten millions.
 */
#include "prefix_kit.h"

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	READERS = 4,
	ACCOUNTS = 150,
	RING = 4096,
	KEEP = 20,
	MANY = 5000, /* so many are packed */
	HELD = 5, /* snapshots a reader has open beside the one it looks at */
};

struct board {
	_Atomic uint64_t n;            /* states made so far */
	_Atomic uint64_t state[RING];  /* the i-th, at i modulo RING */
	_Atomic uint64_t keep;         /* how many are kept, the newest included */
	_Atomic uint64_t tries, gone, right;
	_Atomic uint64_t wanted;       /* tries until all end */
};

static bool input_ended(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };

	return poll(&input, 1, 0) > 0;
}

/* ---- The writer ---- */

static void pay(dur_view *txn, uint64_t *random)
{
	int64_t amount = (int64_t)(kit_random(random) % 1000);
	dur_value balance;

	for (int side = 0; side < 2; side++, amount = -amount) {
		dur_value key = DUR_INT((int64_t)(kit_random(random) % ACCOUNTS));
		EXPECT(0, dur_get(dur_root(txn), &key, &balance));
		EXPECT(0, dur_put(dur_root(txn), &key, &DUR_INT(balance.i + amount)));
	}
}

static uint64_t make_state(dur_prefix *p, struct board *board, uint64_t *random)
{
	uint64_t n = atomic_load(&board->n), state;
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (int64_t i = 0; n == 0 && i < ACCOUNTS; i++)
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i), &DUR_INT(0)));
	if (n)
		pay(txn, random);
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("me"), &DUR_INT((int64_t)dur_state(txn))));
	EXPECT(0, dur_commit(txn, &(dur_commit_options){
		       .flags = kit_random(random) % 50 ? DUR_ASYNC : 0 }, &state));
	dur_close(txn);
	atomic_store(&board->state[n % RING], state);
	atomic_store(&board->n, n + 1);
	return state;
}

/* ROOT SEED BOARD: commits until its input ends, and changes its mind about how much to keep. */
static int role_write(int argc, char **argv)
{
	static const unsigned keeps[] = { KEEP, KEEP, 3, MANY, MANY };
	dur_workspace *ws = prefix_workspace(argv[0]);
	uint64_t random = strtoull(argv[1], NULL, 10);
	struct board *board = shared_memory(argv[2], sizeof *board);
	dur_prefix *p = prefix_attach(ws, "old", NULL);

	(void)argc;
	make_state(p, board, &random);
	test_say('w');
	while (!input_ended()) {
		for (int i = 0; i < 100; i++)
			make_state(p, board, &random);
		if (atomic_load(&board->keep) == MANY && kit_random(&random) % 3 == 0)
			MUST(dur_pack_history(p, 1));
		if (kit_random(&random) % 20 == 0) {
			char policy[32];
			unsigned keep = keeps[kit_random(&random) % 5];
			snprintf(policy, sizeof policy, "last:%u", keep);
			EXPECT(0, dur_keep(p, policy));
			atomic_store(&board->keep, keep);
		}
	}
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

/* ---- Readers ---- */

static void must_be(dur_view *v, uint64_t state)
{
	dur_value value;
	int64_t sum = 0;
	uint64_t n = 0;
	dur_iter *it;

	HOLDS(dur_state(v) == state, "%" PRIu64 " for %" PRIu64, dur_state(v), state);
	EXPECT(0, dur_get(dur_root(v), &DUR_STR("me"), &value));
	HOLDS(value.i == (int64_t)state, "state %" PRIu64 " says it is %" PRId64, state, value.i);
	EXPECT(0, dur_scan(dur_root(v), &(dur_range){ .from = &DUR_INT(0) }, &it));
	for (; MUST(dur_next(it, NULL, &value)) == 0; n++)
		sum += value.i;
	dur_iter_close(it);
	HOLDS(n == ACCOUNTS && sum == 0, "state %" PRIu64 ": %" PRIu64 " accounts, %" PRId64,
	      state, n, sum);
}

/* Where retention is just letting go, mostly: a few states on either side of it. */
static uint64_t some_state(struct board *board, uint64_t *random)
{
	uint64_t n = atomic_load(&board->n), back = atomic_load(&board->keep);

	switch (kit_random(random) % 16) {
	case 0:
	case 2: back = 1 + kit_random(random) % RING; break;
	case 1: back = 1; break;
	default: back = back + 4 - kit_random(random) % 10; break;
	}
	if (back < 1 || back > INT32_MAX)
		back = 1;
	back = back > n ? n : back;
	return atomic_load(&board->state[(n - back) % RING]);
}

struct held {
	dur_view *view;
	uint64_t state;
};

static void try_one(dur_prefix *p, struct board *board, uint64_t *random, struct held held[HELD])
{
	struct held *h = &held[kit_random(random) % HELD];
	uint64_t state = some_state(board, random);
	dur_view *v;
	int rc = dur_snapshot(p, state, NULL, &v);

	if (rc == DUR_E_GONE) {
		atomic_fetch_add(&board->gone, 1);
		return;
	}
	MUST(rc);
	must_be(v, state);
	atomic_fetch_add(&board->right, 1);
	if (kit_random(random) % 8) {
		dur_close(v);
		return;
	}
	if (h->view)
		must_be(h->view, h->state);
	dur_close(h->view);
	*h = (struct held){ v, state };
}

/* ROOT SEED BOARD: tries until all have tried enough. */
static int role_read(int argc, char **argv)
{
	dur_workspace *ws = prefix_workspace(argv[0]);
	uint64_t random = strtoull(argv[1], NULL, 10);
	struct board *board = shared_memory(argv[2], sizeof *board);
	struct held held[HELD] = { { 0 } };
	dur_prefix *p;

	(void)argc;
	EXPECT(0, dur_attach(ws, "old", DUR_READ_ONLY, NULL, &p));
	while (atomic_fetch_add(&board->tries, 1) < atomic_load(&board->wanted))
		try_one(p, board, &random, held);
	for (int i = 0; i < HELD; i++) {
		if (held[i].view)
			must_be(held[i].view, held[i].state);
		dur_close(held[i].view);
	}
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

/* ---- The test ---- */

START_TEST(as_they_are_dropped)
{
	uint64_t random = kit_seed();
	const char *root = kit_path("root"), *path = kit_path("board");
	struct board *board = shared_memory(path, sizeof *board);
	struct peer writer, readers[READERS];
	dur_workspace *ws = prefix_workspace(root);
	char seed[READERS + 1][24];

	atomic_store(&board->wanted, getenv("DURAMEN_SLOW") ? 10000000 : kit_rounds(200000));
	atomic_store(&board->keep, KEEP);
	EXPECT(0, dur_detach(prefix_attach(ws, "old", "last:20")));
	for (int i = 0; i <= READERS; i++)
		snprintf(seed[i], sizeof seed[i], "%" PRIu64, kit_random(&random));
	peer_start(&writer, "write", root, seed[READERS], path, NULL);
	ck_assert_int_eq(peer_hear(&writer), 'w');
	for (int i = 0; i < READERS; i++)
		peer_start(&readers[i], "read", root, seed[i], path, NULL);
	for (int i = 0; i < READERS; i++)
		ck_assert_int_eq(peer_end(&readers[i]), 0);
	ck_assert_int_eq(peer_end(&writer), 0);
	fprintf(stderr, "%" PRIu64 " states; %" PRIu64 " tries: %" PRIu64 " right, %" PRIu64
	                " gone\n", atomic_load(&board->n), atomic_load(&board->tries),
	        atomic_load(&board->right), atomic_load(&board->gone));
	ck_assert_uint_ge(atomic_load(&board->tries), atomic_load(&board->wanted));
	ck_assert_uint_gt(atomic_load(&board->gone), 0);
	ck_assert_uint_gt(atomic_load(&board->right), 0);
	prefix_check_sound(ws, "old", DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{ "write", role_write },
		{ "read", role_read },
		{ 0 },
	};
	Suite *suite = suite_create("old_states");
	TCase *tc = tcase_create("old_states");

	tcase_add_checked_fixture(tc, NULL, kit_clean);
	tcase_add_test(tc, as_they_are_dropped);
	suite_add_tcase(suite, tc);
	return kit_main(argc, argv, roles, suite);
}
