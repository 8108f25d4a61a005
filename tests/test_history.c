/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of pages and states over time: runs of free pages, folds, the state index, dead
 * lists, pins, reuse. Every page is accounted for by the check after each reopening.
 */
#include "prefix_kit.h"
#include "store_kit.h"

#include "engine/history.h"
#include "engine/runs.h"
#include "internal/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Runs, against a run number a page ---- */

enum { PAGES = 1500 };

struct map {
	uint32_t of[PAGES]; /* 0: in no run */
	uint32_t next;
};

static uint64_t rng;

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

static bool run_at(const struct map *m, uint64_t no, uint64_t *start, uint64_t *n)
{
	uint64_t from = no, to = no;

	if (no >= PAGES || !m->of[no])
		return false;
	while (from > 0 && m->of[from - 1] == m->of[no])
		from--;
	while (to < PAGES && m->of[to] == m->of[no])
		to++;
	*start = from;
	*n = to - from;
	return true;
}

static void runs_agree(const struct runs *runs, const struct map *m)
{
	uint64_t start, n, payload, at, len, total = 0, longest = 0, no = below(PAGES);
	uint64_t want = 1 + below(40);
	uint32_t count = 0;
	bool there;

	for (uint64_t i = 0; i < PAGES; i = run_at(m, i, &start, &n) ? start + n : i + 1)
		if (run_at(m, i, &start, &n)) {
			total += n;
			count++;
			longest = n > longest ? n : longest;
		}
	ck_assert_uint_eq(runs->total, total);
	ck_assert_uint_eq(runs->count, count);
	ck_assert_uint_eq(runs_longest(runs), longest);

	there = run_at(m, no, &start, &n);
	ck_assert(runs_holds(runs, no, &at, &len, &payload) == there);
	if (there)
		ck_assert(at == start && len == n);
	uint64_t i = no;
	while (i < PAGES && !m->of[i])
		i++;
	there = run_at(m, i, &start, &n);
	ck_assert(runs_at_or_after(runs, no, &at, &len, &payload) == there);
	if (there)
		ck_assert(at == start && len == n);

	struct runs_walk walk; /* those behind it, one by one */
	runs_walk_open(&walk, runs, no);
	for (; i < PAGES; i = m->of[i] ? start + n : i + 1)
		if (run_at(m, i, &start, &n)) {
			ck_assert(runs_walk_next(&walk, &at, &len));
			ck_assert(at == start && len == n);
		}
	ck_assert(!runs_walk_next(&walk, &at, &len));

	there = false; /* the lowest run that is long enough and starts from no on */
	for (i = no; i < PAGES && !there; i++)
		there = run_at(m, i, &start, &n) && start == i && n >= want;
	ck_assert(runs_first_fit(runs, want, no, &at, &len) == there);
	if (there)
		ck_assert(at == start && len == n);

	there = false; /* the highest one that starts below no */
	for (i = no; i-- > 0 && !there;)
		there = run_at(m, i, &start, &n) && start == i && n >= want;
	ck_assert(runs_last_fit(runs, want, no, &at, &len) == there);
	if (there)
		ck_assert(at == start && len == n);
}

static void map_add(struct map *m, uint64_t start, uint64_t n, bool merge)
{
	uint32_t id = ++m->next;
	uint64_t from = start, to = start + n;

	if (merge) {
		while (from > 0 && m->of[from - 1])
			from--;
		while (to < PAGES && m->of[to])
			to++;
	}
	for (uint64_t i = from; i < to; i++)
		m->of[i] = id;
}

/* A run that was cut becomes two, which must not count as one when the gap is filled. */
static void map_remove(struct map *m, uint64_t start, uint64_t n)
{
	uint32_t cut;

	for (uint64_t i = start; i < start + n; i++)
		m->of[i] = 0;
	if (start + n == PAGES || !(cut = m->of[start + n]))
		return;
	m->next++;
	for (uint64_t i = start + n; i < PAGES && m->of[i] == cut; i++)
		m->of[i] = m->next;
}

static void runs_against_map(bool merge)
{
	static struct map m;
	uint64_t removed, start, n, len, payload;
	struct runs runs;

	m = (struct map){ 0 };
	runs_init(&runs);
	for (unsigned i = 0; i < kit_rounds(12000); i++) {
		uint64_t no = below(PAGES), most = below(8) ? 12 : 200;
		n = 1 + below(most);
		n = no + n > PAGES ? PAGES - no : n;
		if (below(100) < 50 + (i / 1000 % 2) * 15) {
			for (len = 0; len < n && !m.of[no + len]; len++)
				;
			if (len == 0)
				continue;
			ck_assert_int_eq(runs_add(&runs, no, len, merge ? 0 : m.next + 1, merge), 0);
			map_add(&m, no, len, merge);
			if (!merge) {
				ck_assert(runs_holds(&runs, no, &start, &n, &payload));
				ck_assert_uint_eq(payload, m.next);
			}
		} else {
			for (uint64_t k = len = 0; k < n; k++)
				len += m.of[no + k] != 0;
			ck_assert_int_eq(runs_remove(&runs, no, n, &removed), 0);
			ck_assert_uint_eq(removed, len);
			map_remove(&m, no, n);
		}
		runs_agree(&runs, &m);
	}
	ck_assert_int_eq(runs_remove(&runs, 0, PAGES, &removed), 0);
	ck_assert_uint_eq(runs.total + runs.count + runs_longest(&runs), 0);
	ck_assert(!runs_first_fit(&runs, 1, 0, &start, &n));
	runs_clear(&runs);
	ck_assert_int_eq(runs_add(&runs, UINT64_MAX - 10, 5, 0, true), 0);
	ck_assert(runs_first_fit(&runs, 5, 0, &start, &n));
	runs_free(&runs);
}

START_TEST(runs_that_merge)
{
	runs_against_map(true);
}
END_TEST

START_TEST(runs_that_stay_apart)
{
	runs_against_map(false);
}
END_TEST

/* ---- Prefixes over time ---- */

enum { KEYS = 300, LIST_MAX = 20000 };

struct made {
	uint64_t state;
	int64_t n, sum; /* what it holds: the number of its commit, a sum over all keys */
	int64_t time_ns;
};

static const char *root;
static dur_workspace *ws;
static dur_prefix *p;
static struct made made[LIST_MAX];
static uint32_t n_made, listed; /* the last `listed` of them are retained */
static int64_t keys[KEYS];

static void setup(void)
{
	rng = kit_seed();
	root = kit_path("root");
	ws = prefix_workspace(root);
	made[0] = (struct made){ .state = 1 };
	n_made = listed = 1;
	memset(keys, 0, sizeof keys);
}

static void teardown(void)
{
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static void commit(uint64_t last)
{
	static char filler[3000];
	unsigned puts = 1 + (unsigned)below(below(20) ? 4 : 120);
	dur_commit_options o = { .flags = below(8) ? DUR_ASYNC : 0 };
	struct made *m = &made[n_made];
	dur_value pair[2];
	dur_view *txn;

	ck_assert_uint_lt(n_made, LIST_MAX);
	EXPECT(0, dur_begin(p, NULL, &txn));
	if (below(10) == 0) {
		dur_close(txn); /* a gap in the numbers */
		EXPECT(0, dur_begin(p, NULL, &txn));
	}
	m->n = n_made;
	m->time_ns = 0;
	for (unsigned i = 0; i < puts; i++) {
		unsigned k = (unsigned)below(KEYS);
		keys[k] = (int64_t)below(1000);
		pair[0] = DUR_INT(keys[k]);
		pair[1] = DUR_STRN(filler, below(30) ? below(200) : below(sizeof filler));
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(k), &DUR_TUPLE(pair, 2)));
	}
	m->sum = 0;
	for (unsigned k = 0; k < KEYS; k++)
		m->sum += keys[k];
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(m->n)));
	EXPECT(0, dur_commit(txn, &o, &m->state));
	dur_close(txn);
	n_made++;
	listed = last && listed == last ? listed : listed + 1;
}

static void snapshot_is(dur_view *snap, const struct made *m, bool thorough)
{
	int64_t sum = 0;
	dur_value key, value;
	dur_iter *it;

	HOLDS(view_int(snap, "n", 0) == m->n, "state %" PRIu64, m->state);
	if (!thorough)
		return;
	EXPECT(0, dur_scan(dur_root(snap), &(dur_range){ .to = &DUR_INT(KEYS) }, &it));
	while (MUST(dur_next(it, &key, &value)) == 0)
		if (key.type == DUR_INT)
			sum += value.items[0].i;
	dur_iter_close(it);
	HOLDS(sum == m->sum, "state %" PRIu64 ": %" PRId64 ", not %" PRId64, m->state, sum, m->sum);
}

static void time_text(int64_t ns, char text[80])
{
	time_t sec = ns / 1000000000;
	struct tm tm;
	size_t n;

	gmtime_r(&sec, &tm);
	n = strftime(text, 64, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, 80 - n, ".%09dZ", (int)(ns % 1000000000));
}

/* By number, distance and time; what is not retained is not found. */
static void look_up(uint32_t i)
{
	bool there = i + listed >= n_made;
	char text[80];
	uint64_t state = 0;
	dur_view *snap;
	uint32_t same = i;

	EXPECT(there ? 0 : DUR_E_GONE, dur_snapshot(p, made[i].state, NULL, &snap));
	if (there) {
		ck_assert_uint_eq(dur_state(snap), made[i].state);
		snapshot_is(snap, &made[i], below(4) == 0);
		dur_close(snap);
	}
	snprintf(text, sizeof text, "-%u", n_made - 1 - i);
	EXPECT(there ? 0 : DUR_NONE, dur_resolve(p, text, &state));
	HOLDS(!there || state == made[i].state, "%s: %" PRIu64, text, state);
	snprintf(text, sizeof text, "%" PRIu64, made[i].state);
	EXPECT(there ? 0 : DUR_NONE, dur_resolve(p, text, &state));
	if (!there || made[i].time_ns == 0)
		return;
	time_text(made[i].time_ns, text);
	while (same + 1 < n_made && made[same + 1].time_ns == made[i].time_ns)
		same++;
	EXPECT(0, dur_resolve(p, text, &state));
	HOLDS(state == made[same].state || made[same + 1].time_ns == 0, "%s: %" PRIu64, text, state);
}

/* The whole list, and times for the look-ups. */
static void list_agrees(void)
{
	static dur_state_info info[LIST_MAX];
	uint32_t n;

	EXPECT(0, dur_states(p, 0, DUR_REVERSE, info, LIST_MAX, &n));
	ck_assert_uint_eq(n, listed);
	for (uint32_t i = 0; i < n; i++) {
		struct made *m = &made[n_made - listed + i];
		HOLDS(info[i].state == m->state, "place %u: %" PRIu64 ", not %" PRIu64, i,
		      info[i].state, m->state);
		HOLDS(m->time_ns == 0 || m->time_ns == info[i].time_ns, "place %u: time", i);
		m->time_ns = info[i].time_ns;
	}
	for (unsigned i = 0; i < 25; i++)
		look_up((uint32_t)below(n_made));
	look_up(0);
	look_up(n_made - 1);
	look_up(n_made - listed);
}

static void reopen(void)
{
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "p", DUR_HISTORY);
	p = prefix_attach(ws, "p", NULL);
}

static void over_time(const char *policy, uint64_t last)
{
	unsigned enough = kit_rounds(4 * HISTORY_FOLD_EVERY);

	p = prefix_attach(ws, "p", policy);
	while (n_made < enough) {
		for (uint64_t k = 1 + below(below(2) ? 20 : 290); k; k--)
			commit(last);
		if (below(3) == 0)
			prefix_check_sound(ws, "p", DUR_HISTORY);
		if (below(3))
			reopen();
		list_agrees();
	}
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "p", DUR_HISTORY);
}

START_TEST(all_over_time)
{
	over_time("all", 0);
}
END_TEST

START_TEST(one_over_time)
{
	over_time("last:1", 1);
}
END_TEST

START_TEST(few_over_time)
{
	over_time(_i ? "last:37" : "last:2", _i ? 37 : 2);
}
END_TEST

START_TEST(some_over_time)
{
	over_time("last:300", 300);
}
END_TEST

/* Policies that come and go: lists in the file are taken over into memory, and back. */
START_TEST(policies_over_time)
{
	static const uint64_t lasts[] = { 0, 1, 3, 40, 300, 5000 };
	char text[32] = "all";
	dur_view *snap = NULL;
	struct made held = { 0 };

	p = prefix_attach(ws, "p", NULL);
	for (unsigned round = 0; round < kit_rounds(14); round++) {
		uint64_t last = lasts[below(6)];
		if (last)
			snprintf(text, sizeof text, "last:%" PRIu64, last);
		else
			strcpy(text, "all");
		EXPECT(0, dur_keep(p, text));
		listed = last && listed > last ? (uint32_t)last : listed;
		for (uint64_t k = 1 + below(below(2) ? 30 : 300); k; k--)
			commit(last);
		if (snap) {
			snapshot_is(snap, &held, true);
			dur_close(snap);
			snap = NULL;
		} else {
			held = made[n_made - 1 - below(listed < 20 ? listed : 20)];
			EXPECT(0, dur_snapshot(p, held.state, NULL, &snap));
		}
		prefix_check_sound(ws, "p", DUR_HISTORY);
		if (!snap && below(3))
			reopen();
		list_agrees();
	}
	dur_close(snap);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "p", DUR_HISTORY);
}
END_TEST

/* ---- Space ---- */

enum { WIDE = 5000 };

static void fill_wide(void)
{
	static const char text[100];
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (int i = 0; i < WIDE; i++)
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i), &DUR_BYTES(text, sizeof text)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}

/* Commits of one put to a random key; only what is on disk can be freed, so now and then it is. */
static void small_commits(unsigned n)
{
	char text[100];

	memset(text, 'x', sizeof text);
	for (unsigned i = 0; i < n; i++) {
		dur_view *txn;
		EXPECT(0, dur_begin(p, NULL, &txn));
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT((int64_t)below(WIDE)),
		                  &DUR_BYTES(text, sizeof text)));
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
		dur_close(txn);
		if (i % 50 == 49)
			EXPECT(0, dur_sync(p, DUR_LATEST, -1));
	}
}

static void wide_is(dur_view *snap, char byte)
{
	dur_value key, value;
	dur_iter *it;
	int n = 0;

	EXPECT(0, dur_scan(dur_root(snap), NULL, &it));
	for (; MUST(dur_next(it, &key, &value)) == 0; n++)
		for (int i = 0; i < 100; i++)
			HOLDS(value.str[i] == byte, "key %d, byte %d", n, i);
	ck_assert_int_eq(n, WIDE);
	dur_iter_close(it);
}

/* A snapshot holds back its own pages, not those of states since; closed, they are used again. */
START_TEST(a_snapshot_holds_its_own_pages)
{
	dur_prefix_stat before, during, after;
	dur_view *snap;

	p = prefix_attach(ws, "p", "last:1");
	fill_wide();
	EXPECT(0, dur_stat(p, &before));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	small_commits(kit_rounds(2000));
	EXPECT(0, dur_stat(p, &during));
	/* live twice over, and what 50 commits that are not on disk yet retire */
	ck_assert_uint_le(during.file_bytes - during.free_bytes, 2 * before.live_bytes + (4 << 20));
	ck_assert_uint_le(during.file_bytes, 3 * before.live_bytes + (12 << 20));
	wide_is(snap, 0);
	dur_close(snap);
	small_commits(100);
	EXPECT(0, dur_stat(p, &after));
	/* nearly every leaf was held, in its old form */
	ck_assert_uint_ge(after.free_bytes, during.free_bytes + before.live_bytes / 2);
	small_commits(kit_rounds(2000));
	EXPECT(0, dur_stat(p, &after));
	ck_assert_uint_eq(after.file_bytes, during.file_bytes);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, "p", 0);
}
END_TEST

START_TEST(the_file_stays_bounded)
{
	dur_prefix_stat early, late;

	p = prefix_attach(ws, "p", "last:1");
	fill_wide();
	small_commits(2000);
	EXPECT(0, dur_stat(p, &early));
	for (int i = 0; i < 4; i++) {
		small_commits(kit_rounds(4500));
		EXPECT(0, dur_detach(p));
		p = prefix_attach(ws, "p", NULL);
	}
	EXPECT(0, dur_stat(p, &late));
	ck_assert_uint_eq(late.file_bytes, early.file_bytes);
	ck_assert_uint_le(late.live_bytes, early.live_bytes + (1 << 20));
	prefix_check_sound(ws, "p", 0);
	EXPECT(0, dur_detach(p));
}
END_TEST

/* ---- Releases that are put off ---- */

static struct machine m;
static struct process process;

static void ok(int rc)
{
	ck_assert_msg(rc == 0, "%d: %s", rc, error_text());
}

static void keep(const char *policy)
{
	struct commit_options options = { .keep = policy };
	struct state state;
	struct txn *txn;

	ok(store_begin(process.store, 0, 0, &txn));
	ok(store_commit(txn, &options, &state));
}

static void commits(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ok(process_commit(&process, (unsigned)below(KIT_KEYS), 1 + (uint32_t)below(1000000),
		                  i % 8 != 0, NULL));
	ok(process_check(&process));
}

/*
 * Dead lists taken over into memory, a new process, and readers between two stores at each commit
 * up to the next fold: what is not free by then must stay accounted for.
 */
START_TEST(release_put_off_across_a_fold)
{
	rng = kit_seed();
	machine_make(&m, rng, "all");
	ok(process_attach(&m, &process));
	commits(HISTORY_FOLD_EVERY + 40);
	keep("last:3");
	commits(HISTORY_FOLD_EVERY / 2);
	ok(process_detach(&process));
	ok(process_attach(&m, &process));
	m.pin_everything = true;
	keep("all");
	commits(HISTORY_FOLD_EVERY + 10);
	ok(process_detach(&process));
	ok(process_attach(&m, &process));
	ok(process_check(&process));
	m.pin_everything = false;
	commits(2 * HISTORY_FOLD_EVERY);
	keep("last:1");
	commits(2 * HISTORY_FOLD_EVERY);
	ok(process_detach(&process));
	machine_free(&m);
}
END_TEST

/* A pinned state's values, read through its record. */
static void pinned_are(const uint64_t records[KIT_PINS], const struct values values[KIT_PINS])
{
	struct values got;

	for (int i = 0; i < KIT_PINS; i++)
		if (m.pins[i]) {
			ok(values_read(&process, m.pins[i], records[i], &got));
			ck_assert_msg(memcmp(&got, &values[i], sizeof got) == 0,
			              "pinned state %" PRIu64 " has changed", m.pins[i]);
		}
}

/* Pins that come and go, moments in which all is pinned, policies, new processes, all at random. */
START_TEST(pins_and_policies)
{
	static const char *const policies[] = { "all", "last:1", "last:2", "last:60", "last:4097" };
	uint64_t records[KIT_PINS] = { 0 };
	struct values values[KIT_PINS];

	rng = kit_seed();
	machine_make(&m, rng, "all");
	ok(process_attach(&m, &process));
	for (unsigned step = 0; step < kit_rounds(150); step++) {
		unsigned i = (unsigned)below(KIT_PINS);
		switch (below(8)) {
		case 0: keep(policies[below(5)]); break;
		case 1: m.pin_everything = below(2); break;
		case 2:
			ok(process_detach(&process));
			ok(process_attach(&m, &process));
			break;
		case 3:
		case 4:
			pinned_are(records, values);
			m.pins[i] = m.pins[i] ? 0 : m.words.visible;
			records[i] = m.words.record;
			if (m.pins[i])
				ok(values_read(&process, m.pins[i], records[i], &values[i]));
			break;
		default: commits((unsigned)below(60)); break;
		}
	}
	pinned_are(records, values);
	m.pin_everything = false;
	memset(m.pins, 0, sizeof m.pins);
	keep("last:1");
	commits(2 * HISTORY_FOLD_EVERY);
	ok(process_detach(&process));
	machine_free(&m);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("history");
	TCase *runs = tcase_create("runs"), *time = tcase_create("time");
	TCase *machine = tcase_create("machine");

	tcase_add_test(runs, runs_that_merge);
	tcase_add_test(runs, runs_that_stay_apart);
	suite_add_tcase(s, runs);
	tcase_add_checked_fixture(time, setup, teardown);
	tcase_add_test(time, all_over_time);
	tcase_add_test(time, one_over_time);
	tcase_add_loop_test(time, few_over_time, 0, 2);
	tcase_add_test(time, some_over_time);
	tcase_add_test(time, policies_over_time);
	tcase_add_test(time, a_snapshot_holds_its_own_pages);
	tcase_add_test(time, the_file_stays_bounded);
	suite_add_tcase(s, time);
	tcase_add_test(machine, release_put_off_across_a_fold);
	tcase_add_test(machine, pins_and_policies);
	suite_add_tcase(s, machine);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
