/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader processes open old states at the very moment the writer drops or packs them. Each is told
 * the truth: the state it asked for, exactly as it was made, for as long as it has it open, or
 * DUR_E_GONE, and that only of states that were to go.
 *
 * The writer goes through phases: few states are kept, then so many that they are packed, and packs
 * are dropped at the other end. What each state holds follows from its place in the series: the
 * n-th commit writes n under one key, and which one makes a round through all keys.
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
	KEYS = 2048,                   /* a power of two */
	STRIDE = 1237, INVERSE = 1149,  /* their product is 1 modulo KEYS */
	VALUE = 80,
	RING = 16384,
	MANY = 5000,                   /* so many are packed */
	HELD = 5,                      /* snapshots a reader has open beside the one it looks at */
	PACKING = 600,                 /* about so many commits back states are being packed */
};

static const struct phase {
	unsigned keep, commits;
} phases[] = { { 20, 1000 }, { MANY, MANY + 3000 }, { 3, 300 }, { 20, 500 }, { MANY, 3000 } };

enum { PHASES = sizeof phases / sizeof *phases };

struct board {
	_Atomic uint64_t n;            /* states made so far */
	_Atomic uint64_t state[RING];  /* the i-th, at i modulo RING */
	_Atomic uint64_t keep;         /* how many are kept, the newest included */
	_Atomic uint64_t sure;         /* from the i-th on they are, whatever is being done now */
	_Atomic uint64_t rounds;       /* through all phases */
	_Atomic uint64_t tries, gone, right, packed;
	_Atomic uint64_t wanted;       /* tries until all end */
};

static bool input_ended(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };

	return poll(&input, 1, 0) > 0;
}

/* ---- What a state holds ---- */

/* The commit that wrote a key last, as of the n-th; below 0: the one that filled the prefix. */
static int64_t writer_of(uint64_t n, uint64_t key)
{
	uint64_t first = key * INVERSE % KEYS;

	return (int64_t)n - (int64_t)((n - first) % KEYS);
}

static dur_value value_of(uint64_t key, int64_t commit, uint8_t bytes[VALUE])
{
	uint64_t random = key << 40 ^ (uint64_t)(commit > 0 ? commit : 0);

	for (unsigned i = 0; i < VALUE; i += 8) {
		uint64_t word = kit_random(&random);
		memcpy(bytes + i, &word, 8);
	}
	return DUR_BYTES(bytes, VALUE);
}

/* ---- The writer ---- */

static void put(dur_view *txn, uint64_t key, int64_t commit)
{
	uint8_t bytes[VALUE];
	dur_value value = value_of(key, commit, bytes);

	EXPECT(0, dur_put(dur_root(txn), &DUR_INT((int64_t)key), &value));
}

/* The n-th state, beginning with 0. */
static void make_state(dur_prefix *p, struct board *board, uint64_t *random)
{
	uint64_t n = atomic_load(&board->n), keep = atomic_load(&board->keep), state;
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (uint64_t key = 0; n == 0 && key < KEYS; key++)
		put(txn, key, 0);
	if (n)
		put(txn, n * STRIDE % KEYS, (int64_t)n);
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("me"), &DUR_INT((int64_t)n)));
	if (n + 1 > keep && n + 1 - keep > atomic_load(&board->sure))
		atomic_store(&board->sure, n + 1 - keep); /* before they go */
	EXPECT(0, dur_commit(txn, &(dur_commit_options){
		       .flags = kit_random(random) % 50 ? DUR_ASYNC : 0 }, &state));
	dur_close(txn);
	atomic_store(&board->state[n % RING], state);
	atomic_store(&board->n, n + 1);
}

static void keep(dur_prefix *p, struct board *board, unsigned keep)
{
	uint64_t n = atomic_load(&board->n);
	char policy[32];

	if (n > keep && n - keep > atomic_load(&board->sure))
		atomic_store(&board->sure, n - keep);
	atomic_store(&board->keep, keep);
	snprintf(policy, sizeof policy, "last:%u", keep);
	EXPECT(0, dur_keep(p, policy));
}

/* ROOT SEED BOARD: goes through the phases until its input ends. */
static int role_write(int argc, char **argv)
{
	dur_workspace *ws = prefix_workspace(argv[0]);
	uint64_t random = strtoull(argv[1], NULL, 10);
	struct board *board = shared_memory(argv[2], sizeof *board);
	dur_prefix *p = prefix_attach(ws, "old", NULL);

	(void)argc;
	make_state(p, board, &random);
	test_say('w');
	for (unsigned i = 0; !input_ended(); i++) {
		const struct phase *phase = &phases[i % PHASES];
		keep(p, board, phase->keep);
		for (unsigned k = 0; k < phase->commits && (k % 64 || !input_ended()); k++) {
			make_state(p, board, &random);
			if (phase->keep == MANY && kit_random(&random) % 200 == 0)
				MUST(dur_pack_history(p, 1));
		}
		if (i % PHASES == PHASES - 1)
			atomic_fetch_add(&board->rounds, 1);
	}
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

/* ---- Readers ---- */

static void value_must_be(uint64_t n, uint64_t key, const dur_value *value)
{
	uint8_t bytes[VALUE];
	dur_value want = value_of(key, writer_of(n, key), bytes);

	HOLDS(value->type == DUR_BYTES && value->len == VALUE &&
	              memcmp(value->ptr, want.ptr, VALUE) == 0,
	      "key %" PRIu64 " after commit %" PRIu64 " is not what commit %" PRId64 " wrote", key, n,
	      writer_of(n, key));
}

static void look(dur_view *v, uint64_t n, uint64_t key)
{
	dur_value value;

	EXPECT(0, dur_get(dur_root(v), &DUR_INT((int64_t)key), &value));
	value_must_be(n, key, &value);
}

/* All of it, or some keys, among them the one that the commit wrote and the next will write. */
static void must_be(dur_view *v, uint64_t n, uint64_t *random)
{
	dur_value key, value;
	uint64_t k = 0;
	dur_iter *it;

	EXPECT(0, dur_get(dur_root(v), &DUR_STR("me"), &value));
	HOLDS(value.i == (int64_t)n, "commit %" PRIu64 " says it is %" PRId64, n, value.i);
	look(v, n, n * STRIDE % KEYS);
	look(v, n, (n + 1) * STRIDE % KEYS);
	look(v, n, kit_random(random) % KEYS);
	if (kit_random(random) % 256)
		return;
	EXPECT(0, dur_scan(dur_root(v), &(dur_range){ .from = &DUR_INT(0), .to = &DUR_INT(KEYS) },
	                   &it));
	for (; MUST(dur_next(it, &key, &value)) == 0; k++) {
		HOLDS(key.i == (int64_t)k, "key %" PRId64 " for %" PRIu64, key.i, k);
		value_must_be(n, k, &value);
	}
	dur_iter_close(it);
	HOLDS(k == KEYS, "%" PRIu64 " entries after commit %" PRIu64, k, n);
}

/*
 * Where retention is just letting go, mostly: a few states on either side of it; where packing is
 * at work; anywhere.
 */
static uint64_t some_commit(struct board *board, uint64_t *random)
{
	uint64_t n = atomic_load(&board->n), keep = atomic_load(&board->keep), back;

	switch (kit_random(random) % 16) {
	case 0: back = 1 + kit_random(random) % (RING / 2); break;
	case 1: back = 1; break;
	case 2: back = n - atomic_load(&board->sure); break; /* after the policy has changed */
	case 3:
	case 4: back = 1 + kit_random(random) % PACKING; break;
	case 5:
	case 6: back = 1 + kit_random(random) % keep; break;
	default: back = keep + 4 - kit_random(random) % 10; break;
	}
	if (back < 1 || back > RING / 2)
		back = 1;
	return n - (back > n ? n : back);
}

struct held {
	dur_view *view;
	uint64_t n;
};

static void try_one(dur_prefix *p, struct board *board, uint64_t *random, struct held held[HELD])
{
	struct held *h = &held[kit_random(random) % HELD];
	uint64_t n = some_commit(board, random), state = atomic_load(&board->state[n % RING]);
	dur_view_cost cost;
	dur_view *v;
	int rc;

	if (atomic_load(&board->n) >= n + RING) { /* long asleep: it may be another one's number */
		atomic_fetch_sub(&board->tries, 1);
		return;
	}
	rc = dur_snapshot(p, state, NULL, &v);
	if (rc == DUR_E_GONE) {
		HOLDS(n < atomic_load(&board->sure), "commit %" PRIu64 " is gone, those from %" PRIu64
		      " on are kept", n, atomic_load(&board->sure));
		atomic_fetch_add(&board->gone, 1);
		return;
	}
	MUST(rc);
	HOLDS(dur_state(v) == state, "%" PRIu64 " for %" PRIu64, dur_state(v), state);
	must_be(v, n, random);
	EXPECT(0, dur_cost(v, &cost));
	atomic_fetch_add(&board->packed, cost.pages_unpacked != 0);
	atomic_fetch_add(&board->right, 1);
	if (kit_random(random) % 8) {
		dur_close(v);
		return;
	}
	if (h->view)
		must_be(h->view, h->n, random);
	dur_close(h->view);
	*h = (struct held){ v, n };
}

/* ROOT SEED BOARD: tries until all have tried enough, and the writer has been through its phases. */
static int role_read(int argc, char **argv)
{
	dur_workspace *ws = prefix_workspace(argv[0]);
	uint64_t random = strtoull(argv[1], NULL, 10);
	struct board *board = shared_memory(argv[2], sizeof *board);
	struct held held[HELD] = { { 0 } };
	dur_prefix *p;

	(void)argc;
	EXPECT(0, dur_attach(ws, "old", DUR_READ_ONLY, NULL, &p));
	while (atomic_fetch_add(&board->tries, 1) < atomic_load(&board->wanted) ||
	       atomic_load(&board->rounds) == 0)
		try_one(p, board, &random, held);
	for (int i = 0; i < HELD; i++) {
		if (held[i].view)
			must_be(held[i].view, held[i].n, &random);
		dur_close(held[i].view);
	}
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

/* ---- The test ---- */

START_TEST(as_they_are_dropped_and_packed)
{
	uint64_t random = kit_seed();
	const char *root = kit_path("root"), *path = kit_path("board");
	struct board *board = shared_memory(path, sizeof *board);
	struct peer writer, readers[READERS];
	dur_workspace *ws = prefix_workspace(root);
	char seed[READERS + 1][24];

	atomic_store(&board->wanted, getenv("DURAMEN_SLOW") ? 10000000 : kit_rounds(200000));
	atomic_store(&board->keep, phases[0].keep);
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
	fprintf(stderr, "did: %" PRIu64 " states; %" PRIu64 " tries: %" PRIu64 " right, %" PRIu64
	                " of them packed, %" PRIu64 " gone\n", atomic_load(&board->n),
	        atomic_load(&board->tries), atomic_load(&board->right),
	        atomic_load(&board->packed), atomic_load(&board->gone));
	ck_assert_uint_ge(atomic_load(&board->tries), atomic_load(&board->wanted));
	ck_assert_uint_gt(atomic_load(&board->gone), 0);
	ck_assert_uint_gt(atomic_load(&board->right), atomic_load(&board->packed));
	ck_assert_uint_gt(atomic_load(&board->packed), 0);
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
	tcase_add_test(tc, as_they_are_dropped_and_packed);
	suite_add_tcase(suite, tc);
	return kit_main(argc, argv, roles, suite);
}
