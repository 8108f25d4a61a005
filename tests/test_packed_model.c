/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A long history of random one-key updates, all of it packed, against a model: the value of a key in a
 * state follows from the last commit up to it that wrote that key. Random single reads, and scans of
 * whole states, before and after the prefix is attached anew.
 *
 * Quick runs have 4,000 entries and 6,000 commits, most of them async; with DURAMEN_SLOW=1 it is 100,000
 * durable commits on 100,000 entries.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prefix_kit.h"

enum { VALUE = 100, KEY = 16, READS = 2000, SCANS = 50 };

static uint64_t rng;
static dur_workspace *ws;
static dur_prefix *p;
static bool slow;
static uint32_t n_entries, n_commits;
static uint32_t *changed;       /* the key of each commit, from 1 on */
static uint64_t *states;        /* by commit; 0: the load */
static uint32_t *first, *by_key;        /* the commits of a key, in order, at by_key[first[key]] on */

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

/* ---- The model ---- */

static const uint8_t *value_of(uint32_t key, uint32_t commit)
{
	static uint8_t bytes[VALUE];
	uint64_t seed = (uint64_t)key << 32 | commit;

	for (unsigned i = 0; i < VALUE; i += 4) {
		uint32_t word = (uint32_t)kit_random(&seed);
		memcpy(bytes + i, &word, 4);
	}
	return bytes;
}

static const char *key_of(uint32_t key)
{
	static char text[KEY + 1];

	snprintf(text, sizeof text, "key-%012u", key);
	return text;
}

static void model_make(void)
{
	first = calloc(n_entries + 2u, sizeof *first);
	by_key = calloc(n_commits + 1u, sizeof *by_key);
	for (uint32_t c = 1; c <= n_commits; c++)
		first[changed[c] + 2]++;
	for (uint32_t key = 1; key < n_entries + 2; key++)
		first[key] += first[key - 1];
	for (uint32_t c = 1; c <= n_commits; c++)
		by_key[first[changed[c] + 1]++] = c;
}

/* The commit that wrote a key last, as of another; 0: the load. */
static uint32_t writer_of(uint32_t key, uint32_t commit)
{
	uint32_t low = first[key], high = first[key + 1];

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (by_key[mid] <= commit)
			low = mid + 1;
		else
			high = mid;
	}
	return low > first[key] ? by_key[low - 1] : 0;
}

static void is_right(const dur_value *value, uint32_t key, uint32_t commit)
{
	HOLDS(value->len == VALUE && memcmp(value->ptr, value_of(key, writer_of(key, commit)), VALUE) == 0,
	      "key %u after commit %u is not what commit %u wrote", key, commit,
	      writer_of(key, commit));
}

/* ---- The history ---- */

static void put(dur_view *v, uint32_t key, uint32_t commit)
{
	EXPECT(0, dur_put(dur_root(v), &DUR_STRN(key_of(key), KEY),
	                  &DUR_BYTES(value_of(key, commit), VALUE)));
}

static void setup(void)
{
	dur_prefix_stat before, after;
	dur_view *v;

	rng = kit_seed();
	slow = getenv("DURAMEN_SLOW") != NULL;
	n_entries = slow ? 100000 : kit_rounds(4000);
	n_commits = slow ? 100000 : kit_rounds(6000);
	changed = calloc(n_commits + 1u, sizeof *changed);
	states = calloc(n_commits + 1u, sizeof *states);
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", "all");
	for (uint32_t c = 0; c <= n_commits; c++) {
		dur_commit_options o = { .flags = slow || c % 100 == 0 ? 0 : DUR_ASYNC };

		EXPECT(0, dur_begin(p, NULL, &v));
		for (uint32_t key = 0; key < n_entries && c == 0; key++)
			put(v, key, 0);
		changed[c] = (uint32_t)below(n_entries);
		if (c)
			put(v, changed[c], c);
		EXPECT(0, dur_commit(v, &o, &states[c]));
		dur_close(v);
		if (c == 0)
			EXPECT(0, dur_stat(p, &before));
	}
	EXPECT(DUR_NONE, dur_pack_history(p, -1));
	EXPECT(0, dur_stat(p, &after));
	ck_assert_uint_eq(after.retained_bytes, 0);
	fprintf(stderr, "%u commits: the file grew by %.0f bytes each, packs take %.0f\n", n_commits,
	        (double)(after.file_bytes - before.file_bytes) / n_commits,
	        (double)after.packed_bytes / n_commits);
	model_make();
}

static void teardown(void)
{
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
	free(changed);
	free(states);
	free(first);
	free(by_key);
}

/* ---- Reading ---- */

static dur_view *open_commit(uint32_t commit)
{
	dur_view *v;

	EXPECT(0, dur_snapshot(p, states[commit], NULL, &v));
	return v;
}

/* Closes it; what was read of all but the newest states came out of packs. */
static void close_packed(dur_view *v, uint32_t commit)
{
	dur_view_cost cost;

	EXPECT(0, dur_cost(v, &cost));
	HOLDS(cost.pages_unpacked > 0 || commit > n_commits - 10, "commit %u is not packed", commit);
	dur_close(v);
}

static void read_some(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t commit = (uint32_t)below(n_commits + 1), key = (uint32_t)below(n_entries);
		dur_view *v = open_commit(commit);
		dur_value value;

		EXPECT(0, dur_get(dur_root(v), &DUR_STRN(key_of(key), KEY), &value));
		is_right(&value, key, commit);
		close_packed(v, commit);
	}
}

static void scan_some(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t commit = (uint32_t)below(n_commits + 1), key = 0;
		dur_view *v = open_commit(commit);
		dur_value name, value;
		dur_iter *it;

		EXPECT(0, dur_scan(dur_root(v), NULL, &it));
		for (; MUST(dur_next(it, &name, &value)) == 0; key++) {
			HOLDS(name.len == KEY && memcmp(name.str, key_of(key), KEY) == 0, "key %u", key);
			is_right(&value, key, commit);
		}
		ck_assert_uint_eq(key, n_entries);
		dur_iter_close(it);
		close_packed(v, commit);
	}
}

START_TEST(agrees_with_a_model)
{
	read_some(READS / 2);
	scan_some(SCANS / 2);
	EXPECT(0, dur_detach(p));
	p = prefix_attach(ws, "p", "all");
	read_some(READS / 2);
	scan_some(SCANS / 2);
	prefix_check_sound(ws, "p", slow ? 0 : DUR_HISTORY);
}
END_TEST

static Suite *packed_model_suite(void)
{
	Suite *suite = suite_create("packed_model");
	TCase *c = tcase_create("model");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, agrees_with_a_model);
	suite_add_tcase(suite, c);
	return suite;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, packed_model_suite());
}
