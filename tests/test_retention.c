/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which states stay: policies over a clock of the test's, names, and both at random with pins,
 * crashes and power cuts, compared with a plain model (retention_model.h); and that pages are
 * given back exactly.
 */
#include "store_kit.h"

#include "duramen.h"
#include "engine/history.h"
#include "engine/store_private.h"
#include "internal/error.h"
#include "prefix_kit.h"
#include "tests/ipc_kit.h"
#include "tests/retention_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t SECOND = 1000000000;
static const char *const name_of[MODEL_NAMES] = {
	"release-1",  "release-2", "before the audit",
	"a",          "b",         "c",
	"B\xc3\xa4r", "z/y",       "x.y",
	"q",          "_",         "last",
};

static struct machine m;
static struct process process;
static struct model model;
static struct values now;     /* of the newest state */
static struct values *values; /* of model.of[i] */
static uint64_t rng;

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

static void ok(int rc)
{
	ck_assert_msg(rc == 0, "%d: %s", rc, error_text());
}

/* ---- Steps ---- */

static void begin(const char *policy, int64_t start)
{
	struct state newest;

	if (!values)
		values = malloc(MODEL_STATES * sizeof *values);
	ck_assert_ptr_nonnull(values);
	memset(&model, 0, sizeof model);
	memset(&now, 0, sizeof now);
	ok(policy_parse(policy, &model.policy));
	machine_make_at(&m, kit_seed(), policy, start);
	ok(process_attach(&m, &process));
	ok(store_state(process.store, m.words.visible, m.words.record, &newest));
	ck_assert_int_eq(newest.time_ns, start);
	values[0] = now;
	model_commit(&model, newest.number, newest.time_ns);
	model_step(&model);
}

static void end(void)
{
	ok(process_detach(&process));
	machine_free(&m);
	free(values);
	values = NULL;
}

static int try_commit(bool async, struct state *made)
{
	unsigned key = (unsigned)below(KIT_KEYS);
	uint32_t value = 1 + (uint32_t)below(1000);
	int rc = process_commit(&process, key, value, async, made);

	/* whether it failed or not: it may be there */
	values[model.n] = now;
	values[model.n].of[key] = value;
	return rc;
}

static void note_commit(const struct state *made)
{
	now = values[model.n];
	model_commit(&model, made->number, made->time_ns);
	model_step(&model);
}

static void commit(bool async)
{
	struct state made;

	ok(try_commit(async, &made));
	note_commit(&made);
	ck_assert_uint_eq(made.states, model_retained(&model));
}

static int change(const struct commit_options *options)
{
	struct state made;
	struct txn *txn;
	int rc = store_begin(process.store, 1000, 0, &txn);

	if (rc < 0)
		return rc;
	rc = store_commit(txn, options, &made);
	if (rc < 0 && rc != DUR_E_FAILED)
		store_abort(txn);
	return rc;
}

static void keep(const char *policy)
{
	ok(policy_parse(policy, &model.policy));
	ok(change(&(struct commit_options){ .keep = policy }));
	model_step(&model);
}

static void name(unsigned i, uint64_t state)
{
	struct commit_options o = { .name = name_of[i], .state = state, .unname = !state };

	ok(change(&o));
	model.names[i] = state;
	model_step(&model);
}

static void reopen(void)
{
	ok(process_detach(&process));
	ok(process_attach(&m, &process));
}

/* ---- Comparing ---- */

static void newest_read(struct state *newest)
{
	ok(store_state(process.store, m.words.visible, m.words.record, newest));
}

/* The whole list, either way, in pieces. */
static void list_agrees(const struct state *newest, bool upward)
{
	struct state piece[37];
	uint64_t from = 0;
	unsigned seen = 0, all = model_retained(&model);
	uint32_t n;

	do {
		ok(store_states(process.store, newest, from, upward, piece, 37, &n));
		for (uint32_t i = 0; i < n; i++, seen++) {
			const struct model_state *s =
				model_back(&model, upward ? all - 1 - seen : seen);
			uint32_t names = 0;
			ck_assert_msg(s && s->number == piece[i].number,
			              "place %u of %u: state %" PRIu64 ", not %" PRIu64, seen, all,
			              piece[i].number, s ? s->number : 0);
			for (int k = 0; k < MODEL_NAMES; k++)
				names += model.names[k] == s->number;
			ck_assert_uint_eq(piece[i].names, names);
			ck_assert_int_eq(piece[i].time_ns, s->time_ns);
			from = upward ? s->number + 1 : s->number - 1;
		}
	} while (n == 37 && from);
	ck_assert_uint_eq(seen, all);
}

static void look_up(const struct state *newest, unsigned i)
{
	const struct model_state *s = &model.of[i], *want;
	unsigned back = (unsigned)below(model_retained(&model) + 2);
	int64_t time = s->time_ns - (int64_t)below(3);
	struct state found;
	struct values got;
	uint64_t number;
	int rc = store_find(process.store, newest, s->number, &found);
	ck_assert_msg(rc == (s->retained ? 0 : DUR_E_GONE), "state %" PRIu64 ": %d", s->number, rc);
	if (rc == 0 && below(8) == 0) {
		ok(values_read_tree(&process, &found.catalog, &got));
		ck_assert_msg(memcmp(&got, &values[i], sizeof got) == 0, "state %" PRIu64,
		              s->number);
	}
	want = model_back(&model, back);
	rc = store_back(process.store, newest, back, &number);
	ck_assert_int_eq(rc, !want);
	ck_assert(rc || number == want->number);
	want = model_at(&model, time);
	rc = store_find_time(process.store, newest, time, &number);
	ck_assert_int_eq(rc, !want);
	ck_assert_msg(rc || number == want->number, "%" PRId64 ": %" PRIu64, time, number);
}

static void names_agree(const struct state *newest)
{
	struct state_name list[MODEL_NAMES + 1];
	uint64_t state;
	uint32_t n, want = 0;

	for (int i = 0; i < MODEL_NAMES; i++) {
		want += model.names[i] != 0;
		ck_assert_int_eq(store_name_find(process.store, newest, name_of[i], &state),
		                 !model.names[i]);
		ck_assert(!model.names[i] || state == model.names[i]);
	}
	ok(store_names(process.store, newest, 0, list, MODEL_NAMES + 1, &n));
	ck_assert_uint_eq(n, want);
	for (uint32_t i = 1; i < n; i++)
		ck_assert_int_lt(strcmp(list[i - 1].name, list[i].name), 0);
	if (n > 1) {
		ok(store_names(process.store, newest, n - 1, &list[0], 1, &n));
		ck_assert_str_eq(list[0].name, list[want - 1].name);
	}
}

/* Readers, a new writer's load and the check all come to what the model says. */
static void agrees(void)
{
	struct state newest;

	newest_read(&newest);
	ck_assert_uint_eq(newest.states, model_retained(&model));
	list_agrees(&newest, false);
	list_agrees(&newest, true);
	for (unsigned i = 0; i < 30; i++)
		look_up(&newest, (unsigned)below(model.n));
	names_agree(&newest);
	ok(process_check(&process));
}

/* ---- Policies ---- */

static const char *const policies[40] = {
	"all",
	"last:1",
	"last:2",
	"last:7",
	"last:100",
	"last:300",
	"last:5000",
	"for:1s",
	"for:90s",
	"for:10m",
	"for:1h",
	"for:12h",
	"for:2d",
	"for:52w",
	"every:1s",
	"every:90s",
	"every:7m",
	"every:1h",
	"every:12h",
	"every:1d",
	"every:2w",
	"last:5,for:10m",
	"last:100,for:1m",
	"last:3,every:1h",
	"last:50,every:10m",
	"last:1,every:1d",
	"for:1h,every:1d",
	"for:10m,every:1h",
	"for:90s,every:90s",
	"for:1d,every:1w",
	"last:10,for:5m,every:1h",
	"last:40,for:1h,every:12h",
	"last:1,for:1s,every:1s",
	"last:200,for:1d,every:1w",
	"all,last:3",
	"all,for:1s,every:1w",
	"every:3333s",
	"for:3333s",
	"last:256,every:30m",
	"for:9999999999s,last:2",
};

/* Bursts, steady work and pauses, from before 1970 too. */
static void time_passes(void)
{
	switch (below(12)) {
	case 0: break;
	case 1: m.now_ns += (int64_t)below(1000); break;
	case 2: m.now_ns += (int64_t)below(40) * 3600 * SECOND; break;
	case 3:
		m.now_ns += (int64_t)(1 + below(3)) * 3600 * SECOND - m.now_ns % (3600 * SECOND);
		break;
	default: m.now_ns += (int64_t)below(120) * SECOND; break;
	}
}

START_TEST(policy_over_time)
{
	unsigned commits = kit_rounds(330);

	rng = kit_seed() + (uint64_t)_i;
	begin(policies[_i], _i % 5 == 0 ? -40 * 86400 * SECOND : (int64_t)1763700000 * SECOND + 1);
	for (unsigned i = 0; i < commits; i++) {
		time_passes();
		commit(below(8) != 0);
		if (i % 50 == 49)
			agrees();
		if (below(100) == 0)
			reopen();
	}
	agrees();
	reopen();
	agrees();
	end();
}
END_TEST

/* ---- All of it at random ---- */

enum { BACK_MAX = 24, PIN_MAX = KIT_PINS };

/* What the world was like after each step that a crash may take back; [0] is on disk. */
static struct back {
	uint64_t number;
	struct model model;
	struct values now;
} * backs;
static unsigned n_backs;
static struct {
	struct tree catalog;
	struct values values;
} pinned[PIN_MAX];

static void note_back(bool durable)
{
	if (durable)
		n_backs = 0;
	ck_assert_uint_lt(n_backs, BACK_MAX);
	backs[n_backs++] = (struct back){ m.words.visible, model, now };
}

static void pins_hold(void)
{
	struct values got;

	for (int i = 0; i < PIN_MAX; i++)
		if (m.pins[i]) {
			ok(values_read_tree(&process, &pinned[i].catalog, &got));
			ck_assert_msg(memcmp(&got, &pinned[i].values, sizeof got) == 0,
			              "pinned state %" PRIu64 " has changed", m.pins[i]);
		}
}

static void pin(unsigned i)
{
	const struct model_state *s = model_back(&model, (unsigned)below(model_retained(&model)));
	struct state newest, found;

	if (m.pins[i]) {
		m.pins[i] = 0;
		return;
	}
	newest_read(&newest);
	ok(store_find(process.store, &newest, s->number, &found));
	m.pins[i] = s->number;
	pinned[i].catalog = found.catalog;
	pinned[i].values = values[s - model.of];
}

/*
 * A step whose writer may be about to die. Its outcome is unknown then: model is as if it was
 * done.
 */
static int step(bool *durable, bool *is_commit)
{
	static const char *const some[] = { "all",
		                            "last:1",
		                            "last:5",
		                            "last:40",
		                            "every:1h",
		                            "for:30m",
		                            "last:3,every:10m",
		                            "for:5m,every:1d",
		                            "last:4097,every:90s" };
	const struct model_state *s = model_back(&model, (unsigned)below(model_retained(&model)));
	struct commit_options o = { 0 };
	unsigned i = (unsigned)below(MODEL_NAMES);
	struct state made;
	int rc;

	*durable = n_backs > BACK_MAX - 4 || below(2);
	*is_commit = false;
	o.async = !*durable;
	switch (below(10)) {
	case 0:
		o.keep = some[below(9)];
		rc = change(&o);
		ok(policy_parse(o.keep, &model.policy));
		break;
	case 1:
	case 2:
		o.name = name_of[i];
		o.unname = model.names[i] && below(2);
		o.state = o.unname ? 0 : s->number;
		rc = change(&o);
		model.names[i] = o.state;
		break;
	case 3:
		o.maintain = true;
		rc = change(&o);
		break;
	default:
		rc = try_commit(!*durable, &made);
		now = values[model.n];
		*is_commit = true;
		if (rc == 0)
			model_commit(&model, made.number, made.time_ns);
		return rc;
	}
	return rc;
}

/* Attaches again, and finds out what there is. */
static void come_back(bool power, bool is_commit, bool unknown)
{
	struct state newest;
	unsigned i = 0;

	process_kill(&process);
	if (power)
		machine_power_cut(&m, (enum fault_cut)machine_random(&m, 4));
	ok(process_attach(&m, &process));
	newest_read(&newest);
	while (i < n_backs && backs[i].number != newest.number)
		i++;
	if (i < n_backs) {
		model = backs[i].model;
		now = backs[i].now;
	} else {
		ck_assert_msg(unknown, "state %" PRIu64 " was never made", newest.number);
		if (is_commit)
			model_commit(&model, newest.number, newest.time_ns);
		model_step(&model);
	}
	note_back(true);
}

static void crash(void)
{
	bool durable, is_commit;
	int rc;

	fault_kill_at(process.io, 1 + below(6));
	rc = step(&durable, &is_commit);
	if (rc == 0) {
		model_step(&model);
		note_back(durable);
	}
	come_back(below(2), is_commit, rc != 0);
}

START_TEST(at_random)
{
	unsigned steps = kit_rounds(700);
	bool durable, is_commit;

	rng = kit_seed() * 31 + (uint64_t)_i;
	backs = malloc(BACK_MAX * sizeof *backs);
	n_backs = 0;
	begin("all", (int64_t)1763700000 * SECOND);
	note_back(true);
	for (unsigned i = 0; i < steps && model.n < MODEL_STATES - 2; i++) {
		time_passes();
		switch (below(25)) {
		case 0: crash(); break;
		case 1:
			reopen();
			note_back(true);
			break;
		case 2:
			pins_hold();
			pin((unsigned)below(PIN_MAX));
			break;
		default:
			ok(step(&durable, &is_commit));
			model_step(&model);
			note_back(durable);
		}
		if (i % 100 == 99) {
			agrees();
			pins_hold();
		}
	}
	agrees();
	pins_hold();
	free(backs);
	end();
}
END_TEST

/* ---- Space ---- */

static void maintain(unsigned n)
{
	for (; n; n--)
		ok(change(&(struct commit_options){ .maintain = true }));
}

/* What one commit retires waits for the next; else there is nothing but the newest state. */
static void nothing_is_held(void)
{
	struct state newest;

	newest_read(&newest);
	ck_assert_uint_eq(newest.states, 1);
	ck_assert_uint_le(newest.retained_pages, 8);
	ok(process_check(&process));
}

/* Names and a series hold pages each of its own; dropped in any order, all of them come back. */
/* When async commits that hold back much are to wait for the disk. */
START_TEST(what_lets_go_before_a_flush)
{
	static const struct {
		const char *keep;
		uint32_t flush_ms;
		bool lets_go;
	} rows[] = {
		{ "all", 100, false },
		{ "last:1", 100, true },
		{ "last:100000", 1, true },
		{ "every:1h", 100, true },
		{ "last:3,every:1s", 100, true },
		{ "for:1s", 100, false },
		{ "for:1s", 999, false },
		{ "for:1s", 1000, true },
		{ "for:1s,every:1s", 5000, true },
		{ "for:30d", 60000, false },
		{ "last:3,for:1h", 100, false },
	};

	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		ck_assert_msg(history_lets_go(rows[i].keep, rows[i].flush_ms) == rows[i].lets_go,
		              "%s, a flush every %u ms", rows[i].keep, (unsigned)rows[i].flush_ms);
}
END_TEST

/* What an idle writer does until there is nothing left; how many states it makes of it. */
static unsigned maintain_all(void)
{
	uint64_t state, mark;
	unsigned n = 0;

	do {
		state = m.words.visible;
		mark = history_work_mark(process.store->history);
		ok(store_maintain(process.store));
		n += m.words.visible != state;
	} while (history_work_mark(process.store->history) != mark);
	ck_assert(!history_work_due(process.store->history));
	return n;
}

/*
 * What a policy that keeps less lets go of takes few states of maintenance, in proportion to those
 * that are looked at in one, and then no more.
 */
START_TEST(narrowing_takes_few_states)
{
	static const char *const series[] = { "every:1s", "every:1m", "every:1h", "last:3" };
	unsigned commits = kit_rounds(300) < 300 ? 300 : 3500;
	struct state newest;

	rng = kit_seed();
	begin(_i ? series[0] : "all", SECOND);
	for (unsigned i = 0; i < commits; i++) {
		m.now_ns += SECOND;
		commit(i % 50 != 0);
	}
	for (unsigned i = (unsigned)_i; i < 4; i++) {
		unsigned made, most;
		newest_read(&newest);
		most = 2 * ((unsigned)newest.states / 1024 + 2);
		keep(series[i]);
		made = maintain_all();
		ck_assert_msg(made <= most, "%s: %u states for %u", series[i], made,
		              (unsigned)newest.states);
		agrees();
	}
	newest_read(&newest);
	ck_assert_uint_eq(newest.states, 1); /* the others were let go of by every: */
	ck_assert_uint_le(newest.retained_pages, 8);
	end();
}
END_TEST

START_TEST(all_comes_back)
{
	rng = kit_seed() + (uint64_t)_i;
	begin(_i % 2 ? "last:2,every:1h" : "last:2", SECOND);
	for (unsigned i = 0; i < kit_rounds(600); i++) {
		m.now_ns += (int64_t)below(1200) * SECOND;
		commit(below(4) != 0);
		if (below(i / 100 % 2 ? 3 : 20) == 0) /* neighbours share pages */
			name((unsigned)below(MODEL_NAMES),
			     model_back(&model, (unsigned)below(model_retained(&model) < 4 ? 1 : 4))
			             ->number);
		if (below(60) == 0)
			reopen();
	}
	agrees();
	if (_i == 2) {
		keep("last:1,every:1d");
		maintain(4);
		agrees();
	}
	for (unsigned i = 0, k = (unsigned)below(MODEL_NAMES); i < MODEL_NAMES;
	     i++, k = (k + 5) % MODEL_NAMES) {
		if (!model.names[k])
			continue;
		name(k, 0);
		if (below(2))
			commit(true);
		if (below(3) == 0)
			agrees();
	}
	keep("last:1");
	maintain(4);
	commit(false);
	maintain(300);
	nothing_is_held();
	agrees();
	end();
}
END_TEST

/* ---- Recovery ---- */

/*
 * A group of commits that one flush was to carry: the slot reached the disk, and all pages but
 * one, which only a kept state reaches. So the group is not whole.
 */
START_TEST(kept_states_of_a_group)
{
	static const uint8_t zeros[4096];
	struct state made, kept, newest;

	rng = kit_seed() + 77;
	begin("last:1,every:1s", SECOND);
	for (int i = 0; i < 30; i++)
		commit(false);
	newest_read(&newest);
	for (int i = 0; i < 4; i++) {
		m.now_ns += SECOND;
		ok(try_commit(true, &made));
		kept = i == 1 ? made : kept;
	}
	fault_kill_at(process.io, 3); /* its run and its slot are written, and no flush begins */
	ck_assert_int_ne(try_commit(false, &made), 0);
	process_kill(&process);
	machine_power_cut(&m, FAULT_KEEP_ALL);
	ck_assert_int_eq(pwrite(m.fd, zeros, sizeof zeros, (off_t)kept.catalog.root.no * 4096),
	                 sizeof zeros);
	ok(process_attach(&m, &process));
	ck_assert_uint_eq(m.words.visible, newest.number);
	agrees();
	end();
}
END_TEST

/*
 * I2 of a kept state: until a commit that dropped it is on disk, a power cut brings it back, so
 * its pages must not be reused before.
 */
START_TEST(dropped_but_not_on_disk)
{
	rng = kit_seed() + 99;
	for (unsigned round = 0; round < kit_rounds(20); round++) {
		struct commit_options o = { .name = name_of[0], .unname = true, .async = true };
		struct state newest;
		begin("last:1", SECOND);
		for (int i = 0; i < 20; i++)
			commit(false);
		name(0, model_back(&model, 0)->number);
		for (uint64_t i = 20 + below(20); i; i--)
			commit(false);
		reopen(); /* what it holds stands in the file */
		commit(false);
		ok(change(&(struct commit_options){ .maintain = true }));
		ok(change(&o));
		for (uint64_t i = 1 + below(30); i; i--)
			ok(process_commit(&process, (unsigned)below(KIT_KEYS),
			                  1 + (uint32_t)below(1000), true, NULL));
		process_kill(&process);
		machine_power_cut(&m, FAULT_PAGES);
		/* what was written and not flushed is lost; the state is there again, whole */
		ok(process_attach(&m, &process));
		newest_read(&newest);
		ck_assert_uint_eq(newest.states, 2);
		agrees();
		end();
	}
}
END_TEST

/* I3 of kept states: no name and no wider policy brings a state back that was let go. */
START_TEST(gone_stays_gone)
{
	uint64_t old;

	rng = kit_seed() + 5;
	begin("last:2", SECOND);
	for (int i = 0; i < 10; i++)
		commit(false);
	old = model_back(&model, 1)->number;
	name(0, old);
	name(1, old);
	for (int i = 0; i < 300; i++)
		commit(true);
	name(0, 0);
	agrees(); /* the other name keeps it */
	name(1, 0);
	agrees();
	ck_assert_int_eq(change(&(struct commit_options){ .name = name_of[0], .state = old }),
	                 DUR_E_GONE);
	for (int i = 0; i < 5; i++) /* let go of since the index was written */
		commit(false);
	keep("all");
	commit(false);
	ck_assert_int_eq(change(&(struct commit_options){ .name = name_of[0], .state = old }),
	                 DUR_E_GONE);
	agrees();
	end();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("retention");
	TCase *time = tcase_create("time"), *random = tcase_create("random");
	TCase *space = tcase_create("space"), *recovery = tcase_create("recovery");

	tcase_set_timeout(random, 120);
	tcase_add_loop_test(random, at_random, 0, 6);
	suite_add_tcase(s, random);
	tcase_set_timeout(recovery, 120);
	tcase_add_test(recovery, kept_states_of_a_group);
	tcase_add_test(recovery, dropped_but_not_on_disk);
	suite_add_tcase(s, recovery);
	tcase_set_timeout(space, 120);
	tcase_add_loop_test(space, all_comes_back, 0, 3);
	tcase_add_test(space, gone_stays_gone);
	tcase_add_loop_test(space, narrowing_takes_few_states, 0, 2);
	tcase_add_test(space, what_lets_go_before_a_flush);
	suite_add_tcase(s, space);

	tcase_set_timeout(time, 120);
	tcase_add_loop_test(time, policy_over_time, 0, 40);
	suite_add_tcase(s, time);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
