/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States that come with their numbers, on a machine that dies at any operation: what is there after
 * it is a state of the origin and no other, under the number it has there, and receiving goes on
 * from it. Numbers that were burnt, skipped or promised are no obstacle; what somebody saw is (I5).
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "internal/error.h"
#include "tests/ipc_kit.h"
#include "tests/store_kit.h"

#define ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, error_text())

enum { STATES = 300 };

static const uint8_t ORIGIN[16] = "where it is from";

static struct machine m;
static struct process p;

/* The origin: its states, and what each changed. */
static struct origin {
	uint64_t number;
	unsigned key;
	uint32_t value;
	struct values all;
} states[STATES];

static void origin_make(void)
{
	struct values all = { 0 };
	uint64_t number = 1;

	for (unsigned i = 0; i < STATES; i++) {
		/* now and then far ahead of what any slot has promised */
		number += machine_random(&m, 30) ? 1 + machine_random(&m, 3) : 5000;
		states[i].number = number;
		states[i].key = (unsigned)machine_random(&m, KIT_KEYS);
		states[i].value = 1 + (uint32_t)machine_random(&m, 1000);
		all.of[states[i].key] = states[i].value;
		states[i].all = all;
	}
}

static int receive(const struct origin *state, bool async)
{
	struct store_received received = { .time_ns = INT64_MAX / 2 + (int64_t)state->number,
		                           .commits = state->number };
	struct commit_options options = { .async = async, .received = &received };
	struct state made;
	struct txn *txn;
	int rc;

	memcpy(received.origin, ORIGIN, sizeof ORIGIN);
	rc = store_begin_at(p.store, state->number, 1000, 0, &txn);
	if (rc < 0)
		return rc;
	ck_assert_uint_eq(txn->number, state->number);
	rc = values_put(txn, state->key, state->value);
	if (rc == 0)
		rc = store_commit(txn, &options, &made);
	if (rc < 0 && rc != DUR_E_FAILED)
		store_abort(txn);
	if (rc == 0)
		ck_assert_uint_eq(made.number, state->number);
	return rc;
}

/* A number that nobody sees a state of. */
static void burn(void)
{
	struct txn *txn;

	ok(store_begin(p.store, 1000, 0, &txn));
	ok(values_put(txn, 0, 99999));
	store_abort(txn);
}

/* Which state of the origin is there, from `from` on; -1: the empty one. */
static int which(int from)
{
	struct store_shared words = machine_words(&m);
	struct state newest;
	struct values values;

	ok(store_state(p.store, words.visible, words.record, &newest));
	if (newest.number == 1 && from == -1)
		return -1;
	ck_assert(memcmp(newest.origin, ORIGIN, sizeof ORIGIN) == 0);
	for (int i = from < 0 ? 0 : from; i < STATES; i++)
		if (states[i].number == newest.number) {
			ok(values_read(&p, words.visible, words.record, &values));
			ck_assert(memcmp(&values, &states[i].all, sizeof values) == 0);
			ck_assert_uint_eq(newest.commits, newest.number);
			return i;
		}
	ck_abort_msg("state %llu is none of the origin's, or went back",
	             (unsigned long long)newest.number);
	return -1;
}

START_TEST(cut_off_anywhere)
{
	for (unsigned round = 0; round < kit_rounds(30); round++) {
		int at = -1, durable = -1;

		machine_make(&m, kit_seed() + round, round % 3 ? "all" : "last:3");
		origin_make();
		ok(process_attach(&m, &p));
		while (at + 1 < STATES) {
			int before = at, rc = 0;
			bool cut;
			fault_kill_at(p.io, 1 + machine_random(&m, 150));
			while (rc == 0 && at + 1 < STATES) {
				bool async = machine_random(&m, 4) != 0;
				rc = receive(&states[at + 1], async);
				at += rc == 0;
				durable = rc == 0 && !async ? at : durable;
			}
			cut = machine_random(&m, 2) != 0;
			process_kill(&p);
			if (cut) /* what was async may be gone: the origin has it still */
				machine_power_cut(&m, (enum fault_cut)machine_random(&m, 4));
			ok(process_attach(&m, &p));
			at = which(cut ? durable : before);
			durable = at;
			if (machine_random(&m, 3) == 0)
				burn();
		}
		ok(process_check(&p));
		ok(process_detach(&p));
		machine_free(&m);
	}
}
END_TEST

START_TEST(not_above_the_newest)
{
	struct txn *txn;

	machine_make(&m, kit_seed(), "all");
	origin_make();
	ok(process_attach(&m, &p));
	for (int i = 0; i < 10; i++)
		ok(receive(&states[i], i % 2));
	for (int i = 0; i < 3; i++)
		burn();
	ck_assert_int_eq(store_begin_at(p.store, states[9].number, 1000, 0, &txn), DUR_E_RANGE);
	ck_assert_int_eq(store_begin_at(p.store, states[2].number + 1, 1000, 0, &txn), DUR_E_RANGE);
	ok(receive(&states[10], false));
	ck_assert_int_eq(which(9), 10);
	ok(process_detach(&p));
	machine_free(&m);
}
END_TEST

/*
 * I5: a state of the copy's own that somebody saw is never lost, so none with its number comes from
 * elsewhere. Without the rule an async one would be.
 */
START_TEST(own_commits_are_not_lost)
{
	for (unsigned how = 0; how < 4; how++) {
		struct state mine;
		struct txn *txn;

		machine_make(&m, kit_seed() + how, "all");
		origin_make();
		ok(process_attach(&m, &p));
		for (int i = 0; i < 5; i++)
			ok(receive(&states[i], false));
		ok(process_commit(&p, 1, 12345, true, &mine));
		ck_assert_uint_ge(machine_words(&m).visible, mine.number);
		process_kill(&p);
		machine_power_cut(&m, (enum fault_cut)how);
		ok(process_attach(&m, &p));
		ck_assert_uint_eq(machine_words(&m).visible, mine.number);
		ck_assert_int_eq(store_begin_at(p.store, mine.number, 1000, 0, &txn), DUR_E_RANGE);
		ok(store_begin(p.store, 1000, 0, &txn)); /* it is a copy no more */
		ck_assert(memcmp(txn->base.origin, (uint8_t[16]){ 0 }, 16) == 0);
		store_abort(txn);
		ok(process_detach(&p));
		machine_free(&m);
	}
}
END_TEST

/* A change of names or policy alone would take a number that is the origin's: a copy has none. */
START_TEST(maintenance_of_a_copy)
{
	const struct commit_options refused[] = {
		{ .keep = "last:2" }, { .name = "n", .state = 1 }, { .name = "n", .unname = true },
		{ .maintain = true },
	};
	struct state made;
	struct txn *txn;

	machine_make(&m, kit_seed(), "all");
	origin_make();
	ok(process_attach(&m, &p));
	ok(receive(&states[0], false));
	for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
		ok(store_begin(p.store, 1000, 0, &txn));
		ck_assert_int_eq(store_commit(txn, &refused[i], &made), DUR_E_CONFLICT);
		ck_assert_ptr_nonnull(strstr(error_text(), "is a copy"));
		store_abort(txn);
	}
	ok(receive(&states[1], false)); /* nothing has taken its number */
	ok(process_commit(&p, 1, 12345, false, &made)); /* it is a copy no more */
	ok(store_begin(p.store, 1000, 0, &txn));
	ok(store_commit(txn, &refused[0], &made));
	ck_assert_uint_eq(made.flags & STATE_MAINTENANCE, STATE_MAINTENANCE);
	ok(process_detach(&p));
	machine_free(&m);
}
END_TEST

/* Idleness makes no states in a copy: their numbers are its origin's to give. */
START_TEST(idleness_of_a_copy)
{
	struct store_received received = { 0 };
	struct commit_options options = { .keep = "last:2", .received = &received };
	struct state made;
	struct txn *txn;
	int next_ms = 0;

	memcpy(received.origin, ORIGIN, sizeof ORIGIN);
	machine_make(&m, kit_seed(), "last:2,every:1s");
	ok(process_attach(&m, &p));
	for (uint64_t n = 2; n < 2600; n++) { /* more than one commit looks at */
		struct commit_options one = { .async = n % 500 != 0, .received = &received };
		received.time_ns = INT64_MAX / 2 + (int64_t)n * 1000000000;
		ok(store_begin_at(p.store, n, 1000, 0, &txn));
		ok(values_put(txn, (unsigned)n % KIT_RUN_KEYS, (uint32_t)n));
		ok(store_commit(txn, &one, &made));
	}
	ok(store_begin_at(p.store, 2600, 1000, 0, &txn));
	ok(store_commit(txn, &options, &made));
	for (int i = 0; i < 5 && next_ms >= 0; i++) {
		ok(store_tick(p.store, &next_ms));
		kit_sleep_ms(next_ms > 0 && next_ms < 100 ? (unsigned)next_ms : 0);
	}
	ck_assert_uint_eq(machine_words(&m).visible, made.number);
	ok(process_check(&p));
	ok(process_detach(&p));
	machine_free(&m);
}
END_TEST

/* Nor does packing, by itself or asked for. Once somebody commits, it is a copy no more, and packs. */
START_TEST(a_copy_does_not_pack)
{
	struct store_received received = { .time_ns = INT64_MAX / 2 };
	struct state made;
	uint64_t pages;
	int next_ms = 0;

	memcpy(received.origin, ORIGIN, sizeof ORIGIN);
	machine_make(&m, kit_seed(), "all");
	ok(process_attach(&m, &p));
	for (uint64_t n = 2; n < 1200; n++) {
		struct commit_options one = { .async = n % 500 != 0, .received = &received };
		struct txn *txn;
		ok(store_begin_at(p.store, n, 1000, 0, &txn));
		ok(values_put(txn, (unsigned)n % KIT_RUN_KEYS, (uint32_t)n));
		ok(store_commit(txn, &one, &made));
	}
	ck_assert(!store_pack_due(p.store));
	ok(store_pack(p.store, STORE_PACK_ALL, 1000, -1, &pages));
	ck_assert_uint_eq(pages, 0);
	for (int i = 0; i < 5 && next_ms >= 0; i++) {
		ok(store_tick(p.store, &next_ms));
		kit_sleep_ms(next_ms > 0 && next_ms < 100 ? (unsigned)next_ms : 0);
	}
	ck_assert_uint_eq(machine_words(&m).visible, made.number);
	ok(process_commit(&p, 1, 12345, false, &made));
	ck_assert(store_pack_due(p.store));
	ok(store_pack(p.store, STORE_PACK_ALL, 1000, -1, &pages));
	ck_assert_uint_gt(pages, 1000);
	ok(process_check(&p));
	ok(process_detach(&p));
	machine_free(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("received");
	TCase *t = tcase_create("received");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 600);
	tcase_add_test(t, cut_off_anywhere);
	tcase_add_test(t, not_above_the_newest);
	tcase_add_test(t, own_commits_are_not_lost);
	tcase_add_test(t, maintenance_of_a_copy);
	tcase_add_test(t, idleness_of_a_copy);
	tcase_add_test(t, a_copy_does_not_pack);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
