/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file under a policy that bounds its history stays small, whatever readers do: one-key commits at
 * random on 100,000 entries that keep the last 100 states. What the file takes up on the disk is
 * watched all the time: at most one and a half times what the same entries need when they are
 * written afresh, and 16 MiB; with a snapshot held since the start, at most twice the live data
 * more. In the end the newest state, states on the way back, and the one held are what a model says.
 *
 * Quick runs make 30,000 commits, with DURAMEN_SLOW=1 a million.
 */
#include "prefix_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENTRIES = 100000,
	KEEP = 100,
	VALUE = 100,
	VALUE_MOST = 400,
	SLACK = 16 << 20,
};

struct change {
	uint32_t entry, before; /* the generation it had */
};

struct model {
	uint32_t of[ENTRIES]; /* generation */
	uint32_t start[ENTRIES];
	struct change last[KEEP]; /* of the newest commits, by number modulo KEEP */
	uint64_t commits;
	bool varies; /* values differ in length from one generation to the next */
};

static struct model model;
static const char *root;
static dur_workspace *ws;
static uint64_t rng;

static void setup(void)
{
	rng = kit_seed();
	root = kit_path("root");
	ws = prefix_workspace(root);
	model = (struct model){ 0 };
}

static void teardown(void)
{
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

/* ---- Entries ---- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static dur_value key_of(uint32_t entry, uint8_t key[16])
{
	uint64_t high = __builtin_bswap64(entry * (UINT64_MAX / ENTRIES)), low = mix(entry);

	memcpy(key, &high, 8);
	memcpy(key + 8, &low, 8);
	return DUR_BYTES(key, 16);
}

static dur_value value_of(uint32_t entry, uint32_t generation, uint8_t value[VALUE_MOST])
{
	uint64_t seed = mix((uint64_t)entry << 32 | generation);
	size_t len = model.varies ? 20 + seed % (VALUE_MOST - 20) : VALUE;

	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t word = mix(seed + i);
		memcpy(value + i, &word, 8);
	}
	memset(value + len / 8 * 8, (int)(seed & 255), len % 8);
	return DUR_BYTES(value, len);
}

static void put(dur_view *txn, uint32_t entry, uint32_t generation)
{
	uint8_t key[16], value[VALUE_MOST];
	dur_value k = key_of(entry, key), v = value_of(entry, generation, value);

	EXPECT(0, dur_put(dur_root(txn), &k, &v));
}

static dur_prefix *load(const char *name, const char *keep)
{
	dur_prefix *p;
	dur_view *txn;

	EXPECT(0, dur_attach(ws, name, DUR_CREATE | DUR_RAW, &(dur_attach_options){ .keep = keep },
	                     &p));
	EXPECT(0, dur_begin(p, NULL, &txn));
	for (uint32_t i = 0; i < ENTRIES; i++)
		put(txn, i, model.of[i]);
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	return p;
}

/* A view holds exactly these generations. */
static void must_hold(dur_view *v, const uint32_t *generations)
{
	uint8_t key[16], value[VALUE_MOST];
	dur_value k, have, want;
	dur_iter *it;

	EXPECT(0, dur_scan(dur_root(v), NULL, &it));
	for (uint32_t i = 0; i < ENTRIES; i++) {
		EXPECT(0, dur_next(it, &k, &have));
		want = key_of(i, key);
		HOLDS(k.len == 16 && memcmp(k.ptr, want.ptr, 16) == 0, "entry %u", (unsigned)i);
		want = value_of(i, generations[i], value);
		HOLDS(have.len == want.len && memcmp(have.ptr, want.ptr, want.len) == 0,
		      "state %" PRIu64 ": the value of entry %u", dur_state(v), (unsigned)i);
	}
	EXPECT(DUR_NONE, dur_next(it, NULL, NULL));
	dur_iter_close(it);
}

/* ---- What it takes up ---- */

static uint64_t disk_bytes(dur_prefix *p)
{
	dur_prefix_stat s;

	EXPECT(0, dur_stat(p, &s));
	return s.disk_bytes;
}

/* What the entries need when nothing else is there: less than any file that holds them. */
static uint64_t compact_bytes(void)
{
	dur_prefix *p = load("compact", "last:1");
	dur_prefix_stat s;

	EXPECT(0, dur_stat(p, &s));
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_drop(ws, "compact"));
	return s.live_bytes + s.metadata_bytes;
}

/* ---- Commits ---- */

static void commit(dur_prefix *p, uint32_t flags)
{
	uint32_t entry = (uint32_t)(kit_random(&rng) % ENTRIES);
	dur_view *txn;

	model.last[model.commits++ % KEEP] = (struct change){ entry, model.of[entry] };
	EXPECT(0, dur_begin(p, NULL, &txn));
	put(txn, entry, ++model.of[entry]);
	EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = flags }, NULL));
	dur_close(txn);
}

/* The states back from the newest, by undoing what the last commits did. */
static void old_states_must_hold(dur_prefix *p)
{
	static uint32_t then[ENTRIES];
	uint64_t state;
	char at[16];
	dur_view *v;

	memcpy(then, model.of, sizeof then);
	for (unsigned back = 1; back < KEEP; back++) {
		const struct change *c = &model.last[(model.commits - back) % KEEP];
		then[c->entry] = c->before;
		if (back % 33 != 0)
			continue;
		snprintf(at, sizeof at, "-%u", back);
		EXPECT(0, dur_resolve(p, at, &state));
		EXPECT(0, dur_snapshot(p, state, NULL, &v));
		must_hold(v, then);
		dur_close(v);
	}
	snprintf(at, sizeof at, "-%d", KEEP);
	EXPECT(DUR_NONE, dur_resolve(p, at, &state));
}

static void play(unsigned commits, uint32_t flags, bool held)
{
	dur_prefix *p = load("space", "last:100");
	dur_prefix_stat s;
	dur_view *v = NULL, *old = NULL;
	uint64_t most = 0, limit;

	memcpy(model.start, model.of, sizeof model.start);
	if (held)
		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &old));
	for (unsigned i = 0; i < commits; i++) {
		commit(p, flags);
		if (i % 500 == 0 || i + 1 == commits) {
			uint64_t now = disk_bytes(p);
			most = now > most ? now : most;
		}
	}
	EXPECT(0, dur_stat(p, &s));
	/*
	 * Leaves of values that come and go are two thirds full: that is not history's doing. What
	 * lives 48 MiB may have half of that free, and a quarter waiting for the next flush.
	 */
	limit = model.varies ? s.live_bytes * 7 / 4 : compact_bytes() * 3 / 2;
	limit += SLACK + (held ? 2 * s.live_bytes : 0);
	fprintf(stderr, "%u commits: at most %" PRIu64 " KiB of %" PRIu64 "; live %" PRIu64
	                ", retained %" PRIu64 ", free %" PRIu64 ", metadata %" PRIu64 "\n",
	        commits, most >> 10, limit >> 10, s.live_bytes >> 10, s.retained_bytes >> 10,
	        s.free_bytes >> 10, s.metadata_bytes >> 10);
	HOLDS(most <= limit, "%" PRIu64 " of %" PRIu64 " bytes", most, limit);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	must_hold(v, model.of);
	dur_close(v);
	old_states_must_hold(p);
	if (held)
		must_hold(old, model.start);
	dur_close(old);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "space", DUR_HISTORY);
}

static unsigned rounds(unsigned quick, unsigned slow)
{
	return getenv("DURAMEN_SLOW") ? slow : kit_rounds(quick);
}

START_TEST(async_commits)
{
	play(rounds(30000, 1000000), DUR_ASYNC, false);
}
END_TEST

START_TEST(async_commits_with_a_snapshot_held)
{
	play(rounds(30000, 1000000), DUR_ASYNC, true);
}
END_TEST

START_TEST(durable_commits)
{
	play(rounds(3000, 100000), 0, _i != 0);
}
END_TEST

/* Values that grow and shrink: leaves split, and are rewritten when they are full of holes. */
START_TEST(values_of_all_lengths)
{
	model.varies = true;
	play(rounds(30000, 300000), DUR_ASYNC, _i != 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("space");
	TCase *tc = tcase_create("last_100");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, async_commits);
	tcase_add_test(tc, async_commits_with_a_snapshot_held);
	tcase_add_loop_test(tc, durable_commits, 0, 2);
	tcase_add_loop_test(tc, values_of_all_lengths, 0, 2);
	suite_add_tcase(suite, tc);
	return kit_main(0, NULL, (const struct role[]){ { 0 } }, suite);
}
