/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog through the public header against a plain sorted array: random transactions, committed and
 * thrown away, every reading call in them and in snapshots of now and of long ago.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duramen.h>

#include "random_values.h"
#include "tally.h"

enum { KEYS = 3000, KEEP = 40, VALUE_MAX = 9000 };

#define ck_ok(call) do { int r_ = (call); ck_assert_msg(r_ == 0, "%s: %d %s", #call, r_, dur_message()); } while (0)

struct entry {
	int64_t key;
	uint32_t len, seed;             /* of the value, which is bytes made from the seed */
};

struct model {
	struct entry entries[KEYS];
	uint32_t n;
};

struct kept {
	uint64_t state;
	struct model *model;
};

static uint64_t rng, run_seed;
static dur_workspace *ws;
static dur_prefix *p;
static char dir[256];
static uint8_t scratch[VALUE_MAX];

static void setup(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof dir, "%s/map.XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_ok(dur_workspace_open(dir, NULL, &ws));
}

static void teardown(void)
{
	char command[300];

	ck_ok(dur_workspace_close(ws));
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

/* ---- Model ---- */

static uint32_t lower(const struct model *m, int64_t key)
{
	uint32_t low = 0, high = m->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		if (m->entries[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void model_put(struct model *m, int64_t key, uint32_t len, uint32_t seed)
{
	uint32_t at = lower(m, key);

	if (at == m->n || m->entries[at].key != key) {
		memmove(&m->entries[at + 1], &m->entries[at], (m->n - at) * sizeof *m->entries);
		m->n++;
	}
	m->entries[at] = (struct entry){ key, len, seed };
}

static void model_cut(struct model *m, uint32_t from, uint32_t to)
{
	memmove(&m->entries[from], &m->entries[to], (m->n - to) * sizeof *m->entries);
	m->n -= to - from;
}

static const uint8_t *bytes_of(uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		scratch[i] = (uint8_t)(seed + i * 31 + (i >> 8));
	return scratch;
}

static void same_entry(const struct entry *e, const dur_value *key, const dur_value *value)
{
	tally[TALLY_READS]++;
	if (key) {
		ck_assert_uint_eq(key->type, DUR_INT);
		ck_assert_int_eq(key->i, e->key);
	}
	ck_assert_uint_eq(value->type, DUR_BYTES);
	ck_assert_uint_eq(value->len, e->len);
	ck_assert_mem_eq(value->ptr, bytes_of(e->len, e->seed), e->len);
}

/* ---- Reading ---- */

/* The entries of the model that a range selects. */
static void select_range(const struct model *m, const dur_range *r, uint32_t *first, uint32_t *end)
{
	uint64_t a = 0, b = m->n, n;

	if (r->from)
		a = lower(m, r->from->i + !!(r->flags & DUR_AFTER_FROM));
	if (r->to)
		b = lower(m, r->to->i + !!(r->flags & DUR_WITH_TO));
	b = b < a ? a : b;
	n = b - a;
	if (r->parts) {
		b = a + n * (r->part + 1) / r->parts;
		a += n * r->part / r->parts;
		n = b - a;
	}
	uint64_t skip = r->skip < n ? r->skip : n, give = n - skip;
	if (r->limit && give > r->limit)
		give = r->limit;
	a = r->flags & DUR_REVERSE ? b - skip - give : a + skip;
	*first = (uint32_t)a;
	*end = (uint32_t)(a + give);
}

static void random_range(dur_range *r, dur_value *from, dur_value *to)
{
	*r = (dur_range){ 0 };
	if (random_below(&rng, 2)) {
		*from = DUR_INT((int64_t)random_below(&rng, KEYS));
		r->from = from;
		r->flags |= random_below(&rng, 3) ? 0 : DUR_AFTER_FROM;
	}
	if (random_below(&rng, 2)) {
		*to = DUR_INT((int64_t)random_below(&rng, KEYS));
		r->to = to;
		r->flags |= random_below(&rng, 3) ? 0 : DUR_WITH_TO;
	}
	if (random_below(&rng, 4) == 0) {
		r->parts = 1 + (uint32_t)random_below(&rng, 5);
		r->part = (uint32_t)random_below(&rng, r->parts);
	}
	r->flags |= random_below(&rng, 2) ? DUR_REVERSE : 0;
	r->skip = random_below(&rng, 3) ? 0 : random_below(&rng, 50);
	r->limit = random_below(&rng, 3) ? 0 : 1 + random_below(&rng, 50);
}

static void read_range(dur_coll c, const struct model *m)
{
	dur_value from, to, key, value;
	uint32_t first, end;
	uint64_t n;
	dur_range r;
	dur_iter *it;

	random_range(&r, &from, &to);
	select_range(m, &r, &first, &end);
	ck_ok(dur_count(c, &r, &n));
	ck_assert_uint_eq(n, end - first);
	ck_ok(dur_scan(c, &r, &it));
	while (first < end) {
		ck_ok(dur_left(it, &n));
		ck_assert_uint_eq(n, end - first);
		ck_ok(dur_next(it, &key, &value));
		same_entry(&m->entries[r.flags & DUR_REVERSE ? --end : first++], &key, &value);
	}
	ck_assert_int_eq(dur_next(it, &key, &value), DUR_NONE);
	ck_assert_int_eq(dur_next(it, NULL, NULL), DUR_NONE);
	dur_iter_close(it);
}

static void read_one(dur_coll c, const struct model *m)
{
	int64_t k = (int64_t)random_below(&rng, KEYS);
	uint32_t at = lower(m, k);
	bool there = at < m->n && m->entries[at].key == k;
	dur_value key, value;
	uint64_t rank;

	ck_assert_int_eq(dur_get(c, &DUR_INT(k), &value), there ? 0 : DUR_NONE);
	if (there)
		same_entry(&m->entries[at], NULL, &value);
	ck_assert_int_eq(dur_rank(c, &DUR_INT(k), &rank), there ? 0 : DUR_NONE);
	ck_assert_uint_eq(rank, at);
	int64_t n = (int64_t)random_below(&rng, m->n + 2) - (random_below(&rng, 2) ? 0 : (int64_t)m->n + 1);
	int64_t pos = n < 0 ? n + (int64_t)m->n : n;
	there = pos >= 0 && pos < (int64_t)m->n;
	ck_assert_int_eq(dur_nth(c, n, &key, &value), there ? 0 : DUR_NONE);
	if (there)
		same_entry(&m->entries[pos], &key, &value);
}

static void read_many(dur_coll c, const struct model *m)
{
	dur_value keys[70], values[70];
	uint32_t n = (uint32_t)random_below(&rng, 70);

	for (uint32_t i = 0; i < n; i++)
		keys[i] = DUR_INT((int64_t)random_below(&rng, KEYS));
	ck_ok(dur_get_many(c, keys, n, values));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = lower(m, keys[i].i);
		if (at < m->n && m->entries[at].key == keys[i].i)
			same_entry(&m->entries[at], NULL, &values[i]);
		else
			ck_assert_uint_eq(values[i].type, DUR_ABSENT);
	}
}

static void read_seeks(dur_coll c, const struct model *m)
{
	bool reverse = random_below(&rng, 2);
	dur_range r = { .flags = reverse ? DUR_REVERSE : 0 };
	dur_value key, value;
	dur_iter *it;

	ck_ok(dur_scan(c, &r, &it));
	for (int i = 0; i < 5; i++) {
		int64_t k = (int64_t)random_below(&rng, KEYS);
		int64_t at = lower(m, k);
		ck_ok(dur_seek(it, &DUR_INT(k)));
		if (reverse && (at == (int64_t)m->n || m->entries[at].key != k))
			at--;
		for (int steps = 0; steps < 3; steps++, at += reverse ? -1 : 1) {
			bool there = at >= 0 && at < (int64_t)m->n;
			ck_assert_int_eq(dur_next(it, &key, &value), there ? 0 : DUR_NONE);
			if (!there)
				break;
			same_entry(&m->entries[at], &key, &value);
		}
	}
	dur_iter_close(it);
}

static void read_all(dur_coll c, const struct model *m)
{
	dur_value key, value;
	uint64_t n;
	dur_iter *it;

	ck_ok(dur_count(c, NULL, &n));
	ck_assert_uint_eq(n, m->n);
	ck_ok(dur_scan(c, NULL, &it));
	for (uint32_t i = 0; i < m->n; i++) {
		ck_ok(dur_next(it, &key, &value));
		same_entry(&m->entries[i], &key, &value);
	}
	ck_assert_int_eq(dur_next(it, &key, &value), DUR_NONE);
	dur_iter_close(it);
}

static void read_some(dur_coll c, const struct model *m)
{
	for (int i = 0; i < 8; i++)
		read_one(c, m);
	read_range(c, m);
	read_seeks(c, m);
	read_many(c, m);
}

/* ---- Writing ---- */

static uint32_t random_len(void)
{
	uint64_t kind = random_below(&rng, 20);

	return (uint32_t)(kind == 0 ? random_below(&rng, VALUE_MAX) : kind < 4 ? random_below(&rng, 1500) :
	                  random_below(&rng, 120));
}

static void write_one(dur_coll c, struct model *m)
{
	int64_t k = (int64_t)random_below(&rng, KEYS);
	uint32_t at = lower(m, k), len = random_len(), seed = (uint32_t)random_u64(&rng);
	bool there = at < m->n && m->entries[at].key == k;
	dur_value value = DUR_BYTES(bytes_of(len, seed), len);

	tally[TALLY_WRITES]++;
	switch (random_below(&rng, 8)) {
	case 0:
	case 1:
		ck_assert_int_eq(dur_del(c, &DUR_INT(k)), there ? 0 : DUR_NONE);
		if (there)
			model_cut(m, at, at + 1);
		break;
	case 2: { /* put if it is as expected: sometimes it is */
		uint8_t old[VALUE_MAX];
		struct entry e = there ? m->entries[at] : (struct entry){ k, 3, 1 };
		if (random_below(&rng, 3) == 0)
			e.seed++;
		memcpy(old, bytes_of(e.len, e.seed), e.len);
		value.ptr = bytes_of(len, seed);
		bool same = there && (e.seed == m->entries[at].seed || e.len == 0);
		ck_assert_int_eq(dur_swap(c, &DUR_INT(k), &DUR_BYTES(old, e.len), &value),
		                 same ? 0 : DUR_NONE);
		if (same)
			model_put(m, k, len, seed);
		break;
	}
	case 3:
		ck_assert_int_eq(dur_swap(c, &DUR_INT(k), NULL, &value), there ? DUR_NONE : 0);
		if (!there)
			model_put(m, k, len, seed);
		break;
	default:
		ck_ok(dur_put(c, &DUR_INT(k), &value));
		model_put(m, k, len, seed);
	}
}

static void clear_some(dur_coll c, struct model *m)
{
	dur_value from, to;
	uint32_t first, end;
	dur_range r;
	uint64_t n;

	random_range(&r, &from, &to);
	if (!r.from && !r.to && !r.parts)
		r.limit = 30;
	select_range(m, &r, &first, &end);
	ck_ok(dur_clear(c, &r, &n));
	ck_assert_uint_eq(n, end - first);
	tally[TALLY_WRITES]++;
	model_cut(m, first, end);
}

/* An iterator goes on through writes around it: after the last key it gave. */
static void scan_and_write(dur_coll c, struct model *m)
{
	bool reverse = random_below(&rng, 2);
	dur_range r = { .flags = reverse ? DUR_REVERSE : 0 };
	dur_value key, value;
	int64_t last = reverse ? INT64_MAX : INT64_MIN;
	dur_iter *it;

	ck_ok(dur_scan(c, &r, &it));
	for (int i = 0; i < 60; i++) {
		int64_t at = reverse ? (int64_t)lower(m, last) - 1 :
			last == INT64_MIN ? 0 : (int64_t)lower(m, last + 1);
		int rc = dur_next(it, &key, &value);
		ck_assert_int_eq(rc, at < 0 || at >= (int64_t)m->n ? DUR_NONE : 0);
		if (rc == DUR_NONE)
			break;
		same_entry(&m->entries[at], &key, &value);
		last = key.i;
		if (random_below(&rng, 2))
			write_one(c, m);
		if (random_below(&rng, 10) == 0) {
			uint32_t gone = lower(m, last); /* or already: write_one() may have hit it */
			bool there = gone < m->n && m->entries[gone].key == last;
			ck_assert_int_eq(dur_del(c, &DUR_INT(last)), there ? 0 : DUR_NONE);
			if (there)
				model_cut(m, gone, gone + 1);
		}
	}
	dur_iter_close(it);
}

static uint64_t transaction(struct model *m, bool async)
{
	struct model *work = malloc(sizeof *work);
	dur_view_options o = { .memory_bytes = random_below(&rng, 4) ? 0 : 64 << 10 };
	dur_view *txn;
	uint64_t state = 0;
	uint64_t n = random_below(&rng, 4) ? random_below(&rng, 10) : random_below(&rng, 400);

	*work = *m;
	ck_ok(dur_begin(p, &o, &txn));
	dur_coll c = dur_root(txn);
	for (uint64_t i = 0; i <= n; i++) {
		write_one(c, work);
		if (random_below(&rng, 40) == 0)
			read_some(c, work);
		if (random_below(&rng, 100) == 0)
			clear_some(c, work);
	}
	if (random_below(&rng, 5) == 0)
		scan_and_write(c, work);
	if (random_below(&rng, 5) != 0) {
		ck_ok(dur_commit(txn, &(dur_commit_options){ .flags = async ? DUR_ASYNC : 0 }, &state));
		tally[TALLY_COMMITS]++;
		*m = *work;
		read_some(dur_root(txn), m); /* it is a snapshot now, and its handles stay good */
	} else {
		tally[TALLY_ABORTS]++;
	}
	dur_close(txn);
	free(work);
	return state;
}

/* ---- Whole runs ---- */

static void read_kept(const struct kept *kept, size_t n, uint64_t oldest)
{
	for (size_t i = 0; i < n; i++) {
		dur_view *snap;
		int rc;
		if (!kept[i].state)
			continue;
		rc = dur_snapshot(p, kept[i].state, NULL, &snap);
		if (kept[i].state < oldest) {
			ck_assert_int_eq(rc, DUR_E_GONE);
			tally[TALLY_GONE]++;
			continue;
		}
		ck_assert_msg(rc == 0, "%s", dur_message());
		read_some(dur_root(snap), kept[i].model);
		if (random_below(&rng, 4) == 0)
			read_all(dur_root(snap), kept[i].model);
		tally[TALLY_OLD]++;
		dur_close(snap);
	}
}

static void sound(const char *name)
{
	ck_assert_msg(dur_check(ws, name, DUR_HISTORY, NULL, NULL, NULL) == 0, "%s", dur_message());
	tally[TALLY_CHECKS]++;
}

static void run(const char *keep, uint64_t writes)
{
	struct model *m = calloc(1, sizeof *m);
	struct kept kept[KEEP] = { 0 };
	dur_prefix_stat stat;
	dur_view *held = NULL;
	struct model *held_model = malloc(sizeof *held_model);

	ck_ok(dur_attach(ws, "map", DUR_CREATE, &(dur_attach_options){ .keep = keep }, &p));
	for (uint64_t most = tally[TALLY_WRITES] + writes; tally[TALLY_WRITES] < most;) {
		uint64_t state = transaction(m, random_below(&rng, 3) == 0);
		struct kept *k = &kept[random_below(&rng, KEEP)];
		if (state) {
			k->state = state;
			k->model = k->model ? k->model : malloc(sizeof *m);
			*k->model = *m;
		}
		if (random_below(&rng, 30) == 0) { /* a snapshot held open through many commits */
			if (held)
				read_all(dur_root(held), held_model);
			tally[TALLY_HELD] += held != NULL;
			dur_close(held);
			ck_ok(dur_snapshot(p, DUR_LATEST, NULL, &held));
			*held_model = *m;
		}
		if (random_below(&rng, 100) == 0) { /* what is known of free space comes from the file */
			dur_close(held);
			held = NULL;
			ck_ok(dur_detach(p));
			sound("map");
			ck_ok(dur_attach(ws, "map", 0, NULL, &p));
		}
		if (random_below(&rng, 50) == 0) {
			ck_ok(dur_stat(p, &stat));
			read_kept(kept, KEEP, stat.oldest);
		}
	}
	if (held)
		read_all(dur_root(held), held_model);
	dur_close(held);
	ck_ok(dur_stat(p, &stat));
	read_kept(kept, KEEP, stat.oldest);
	sound("map");
	ck_ok(dur_detach(p));
	sound("map");
	ck_ok(dur_drop(ws, "map"));
	for (size_t i = 0; i < KEEP; i++)
		free(kept[i].model);
	free(held_model);
	free(m);
}

static uint64_t writes(void)
{
	return tally_wanted(8000, 320000);
}

START_TEST(all_states_agree)
{
	run("all", writes());
	tally_say("map, all states", run_seed);
}
END_TEST

START_TEST(few_states_agree)
{
	run("last:1", writes());
	run("last:7", writes());
	tally_say("map, few states", run_seed);
}
END_TEST

START_TEST(bounded_states_agree)
{
	run("last:300", writes() * 2);
	tally_say("map, bounded states", run_seed);
}
END_TEST

/* The policy may change at any time; what it lets go of is gone at once, and its pages are used again. */
START_TEST(retention_changes)
{
	struct model *m = calloc(1, sizeof *m);
	dur_prefix_stat before, after;

	ck_ok(dur_attach(ws, "map", DUR_CREATE, NULL, &p));
	for (unsigned i = 0; i < 400; i++)
		transaction(m, false);
	ck_ok(dur_stat(p, &before));
	ck_assert_uint_gt(before.states, 200);
	ck_ok(dur_keep(p, "last:3"));
	ck_ok(dur_stat(p, &after));
	ck_assert_uint_eq(after.states, 3);
	for (unsigned i = 0; i < 400; i++)
		transaction(m, false);
	ck_ok(dur_stat(p, &after));
	ck_assert_uint_le(after.retained_bytes, before.retained_bytes / 4);
	ck_assert_uint_le(after.file_bytes, before.file_bytes + (8 << 20));
	sound("map");
	ck_ok(dur_keep(p, "all"));
	for (unsigned i = 0; i < 300; i++)
		transaction(m, false);
	ck_ok(dur_stat(p, &after));
	ck_assert_uint_gt(after.states, 200);
	sound("map");
	ck_ok(dur_detach(p));
	free(m);
}
END_TEST

/* A large value is read in place, whatever the memory limit. */
START_TEST(large_values)
{
	size_t len = getenv("DURAMEN_SLOW") ? (size_t)1 << 30 :
		getenv("DURAMEN_BRIEF") ? (size_t)2 << 20 : (size_t)24 << 20;
	uint8_t *big = malloc(len);
	dur_value value;
	dur_view *v;

	ck_assert_ptr_nonnull(big);
	for (size_t i = 0; i < len; i += 8)
		memcpy(big + i, &(uint64_t){ i * 0x9e3779b97f4a7c15u }, 8);
	ck_ok(dur_attach(ws, "big", DUR_CREATE, &(dur_attach_options){ .keep = "last:1" }, &p));
	for (int round = 0; round < 2; round++) {
		ck_ok(dur_begin(p, &(dur_view_options){ .memory_bytes = 1 << 20 }, &v));
		big[len / 2] = (uint8_t)round;
		ck_ok(dur_put(dur_root(v), &DUR_STR("big"), &DUR_BYTES(big, len)));
		ck_ok(dur_get(dur_root(v), &DUR_STR("big"), &value));
		ck_assert_uint_eq(value.len, len);
		ck_ok(dur_commit(v, NULL, NULL));
		dur_close(v);
	}
	ck_ok(dur_detach(p));
	ck_ok(dur_attach(ws, "big", DUR_READ_ONLY, NULL, &p));
	ck_ok(dur_snapshot(p, DUR_LATEST, NULL, &v));
	ck_ok(dur_get(dur_root(v), &DUR_STR("big"), &value));
	ck_assert_uint_eq(value.len, len);
	ck_assert(memcmp(value.ptr, big, len) == 0);
	dur_close(v);
	ck_ok(dur_detach(p));
	sound("big");
	free(big);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("map");
	TCase *tc = tcase_create("model"), *policies = tcase_create("policies");
	SRunner *runner;
	int failed;

	rng = run_seed = random_seed("map");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, all_states_agree);
	tcase_add_test(tc, few_states_agree);
	tcase_add_test(tc, bounded_states_agree);
	tcase_add_test(tc, large_values);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(policies, setup, teardown);
	tcase_add_test(policies, retention_changes);
	suite_add_tcase(suite, policies);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
