/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of one machine: two processes that commit in turn, durable and async, with kills
 * at any operation of theirs, failed flushes, evictions and power cuts, recovery itself cut off and
 * repeated. A model knows every state ever submitted. After each recovery: the newest state is one
 * of them, with exactly its values; nothing acknowledged is missing, nothing goes back on the same
 * boot, no number comes twice, what a reader has pinned stays, and every page of the file is
 * accounted for. Between all that free space is given back to the file system, to the last page.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "internal/error.h"
#include "tests/ipc_kit.h"
#include "tests/store_kit.h"

enum { PROCESSES = 2, KEYS_A_COMMIT = 6, SMALL_MEMORY = 3 * 4096 };

struct made {
	uint64_t number;
	struct values values;
};

struct world {
	struct machine m;
	uint64_t seed;
	struct process p[PROCESSES];
	struct made *made; /* what was submitted, ancestors first; the last may be absent */
	size_t n, cap;
	uint64_t acked; /* durable, as someone was told */
	uint64_t number_max;
	bool lost; /* a flush failed on this boot: the cache may be all there is */
	uint64_t pin_record[KIT_PINS];
	unsigned recoveries, fallbacks, commits;
	uint64_t given; /* pages, to the file system */
};

#define must(w, condition)                                                              \
	ck_assert_msg(condition, "history %llu: %s: %s", (unsigned long long)(w)->seed, \
	              #condition, error_text())

/* ---- The model ---- */

static struct made *made_find(struct world *w, uint64_t number)
{
	for (size_t i = w->n; i-- > 0;)
		if (w->made[i].number == number)
			return &w->made[i];
	return NULL;
}

static struct made *made_push(struct world *w, uint64_t number, const struct values *values)
{
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 64;
		w->made = realloc(w->made, w->cap * sizeof *w->made);
	}
	w->made[w->n] = (struct made){ number, *values };
	return &w->made[w->n++];
}

static void values_must_be(struct world *w, struct process *p, uint64_t state, uint64_t record)
{
	struct made *made = made_find(w, state);
	struct values values;

	must(w, made != NULL);
	must(w, values_read(p, state, record, &values) == 0);
	must(w, memcmp(&values, &made->values, sizeof values) == 0);
}

/* Some old states, through the state index. */
static void history_must_be(struct world *w, struct process *p)
{
	struct state newest, old;
	struct values values;

	must(w, store_state(p->store, w->m.words.visible, w->m.words.record, &newest) == 0);
	for (int i = 0; i < 3; i++) {
		struct made *made = &w->made[machine_random(&w->m, w->n)];
		if (made->number > newest.number)
			continue; /* submitted, and its writer died */
		int rc = store_find(p->store, &newest, made->number, &old);
		must(w, rc == 0 || (rc == DUR_E_GONE && made->number < newest.oldest));
		if (rc == 0) {
			must(w, values_read_tree(p, &old.catalog, &values) == 0);
			must(w, memcmp(&values, &made->values, sizeof values) == 0);
		}
	}
}

/* After a recovery, or at any quiet moment. */
static void all_must_be(struct world *w, struct process *p)
{
	uint64_t visible = w->m.words.visible;

	must(w, visible >= w->acked);
	must(w, !w->m.went_back);
	values_must_be(w, p, visible, w->m.words.record);
	history_must_be(w, p);
	must(w, process_check(p) == 0);
}

/* ---- What processes do ---- */

/* With $TRACE set, a history tells itself. */
static void trace(struct world *w, const char *what, int i, int rc)
{
	if (getenv("TRACE"))
		fprintf(stderr, "%s %d: %d; visible %llu durable %llu acked %llu newest %llu%s%s\n",
		        what, i, rc, (unsigned long long)w->m.words.visible,
		        (unsigned long long)w->m.words.durable, (unsigned long long)w->acked,
		        (unsigned long long)w->made[w->n - 1].number,
		        w->m.words.clean ? " clean" : "", w->m.holder ? " held" : "");
}

static void recovered(struct world *w, struct process *p)
{
	uint64_t visible = w->m.words.visible;

	must(w, made_find(w, visible) != NULL);
	while (w->made[w->n - 1].number != visible)
		w->n--; /* ruled absent: it must never come back */
	all_must_be(w, p);
	w->acked = visible;
	w->recoveries++;
}

static void power_cut(struct world *w)
{
	for (int k = 0; k < PROCESSES; k++)
		if (w->p[k].store)
			process_kill(&w->p[k]);
	machine_power_cut(&w->m, (enum fault_cut)machine_random(&w->m, 4));
	w->lost = false;
	trace(w, "power cut", 0, 0);
}

/* Attaches process i; recovery may be cut off, then again, and by a power cut. */
static bool attach(struct world *w, int i)
{
	struct machine *m = &w->m;
	struct process *p = &w->p[i];

	for (;;) {
		bool recovers = !m->holder && (m->words.visible == 0 || !m->words.clean);
		bool kills = false, fails = false;
		int rc;

		if (recovers && machine_random(m, 3) == 0) {
			kills = true;
			m->kill_attach = 1 + machine_random(m, 12);
		} else if (recovers && machine_random(m, 12) == 0) {
			fails = true;
			fault_fail(m->disk, FAULT_FLUSH, (unsigned)(1 + machine_random(m, 2)), EIO,
			           true);
		}
		rc = process_attach(m, p);
		trace(w, "attach", i, rc);
		fault_fail(m->disk, FAULT_ANY, 0, 0, false);
		if (rc == 0) {
			if (recovers)
				recovered(w, p);
			return true;
		}
		if (fails)
			w->lost = true;
		must(w, kills || rc == DUR_E_FAILED || rc == DUR_E_LOCKED ||
		                (w->lost && rc == DUR_E_CORRUPT));
		if (rc == DUR_E_LOCKED)
			return false;
		if (w->lost && machine_random(m, 2))
			fault_evict(m->disk, machine_random(m, 2));
		if ((w->lost && rc == DUR_E_CORRUPT) || machine_random(m, 3) == 0)
			power_cut(w);
	}
}

/* Nested maps are filled, emptied, written to, copied, removed. false: the process is dead. */
static bool change_maps(struct world *w, struct txn *txn, struct values *values)
{
	struct machine *m = &w->m;
	unsigned map = (unsigned)machine_random(m, KIT_MAPS), other = (unsigned)machine_random(m, KIT_MAPS);
	unsigned from = (unsigned)machine_random(m, KIT_MAP_KEYS), n = 1;
	uint32_t value = (uint32_t)(1 + machine_random(m, 1 << 30));

	switch (machine_random(m, 8)) {
	case 0:
		memset(values->map[map], 0, sizeof values->map[map]);
		return maps_remove(txn, map) == 0;
	case 1:
	case 2:
		memmove(values->map[map], values->map[other], sizeof values->map[map]);
		return map == other || maps_copy(txn, map, other) == 0;
	case 3:
		from = 0;
		n = KIT_MAP_KEYS;
		break;
	case 4:
		value = 0;
		n = 1 + (unsigned)machine_random(m, KIT_MAP_KEYS - from);
		break;
	}
	for (unsigned i = from; i < from + n; i++)
		values->map[map][i] = value;
	return maps_put(txn, map, from, n, value) == 0;
}

static void change(struct world *w, struct txn *txn, struct values *values)
{
	if (machine_random(&w->m, 3) == 0 && !change_maps(w, txn, values))
		return;

	unsigned keys = 1 + (unsigned)machine_random(&w->m, KEYS_A_COMMIT);

	for (unsigned k = 0; k < keys; k++) {
		unsigned key = (unsigned)machine_random(&w->m, KIT_KEYS);
		uint32_t value = machine_random(&w->m, 8)
		                         ? (uint32_t)(1 + machine_random(&w->m, 1 << 30))
		                         : 0;
		int rc = values_put(txn, key, value);
		if (rc < 0) /* dead, in a run or a spill: the commit will say so too */
			return;
		values->of[key] = value;
	}
}

static int commit(struct world *w, struct process *p, bool async)
{
	struct commit_options options = { .async = async };
	struct values values = w->made[w->n - 1].values;
	struct machine *m = &w->m;
	struct state state;
	struct txn *txn;
	uint64_t number;
	bool recovers = !m->words.clean && m->holder != p;
	int rc = store_begin(p->store, 0, machine_random(m, 4) ? 0 : SMALL_MEMORY, &txn);

	if (rc < 0)
		return rc;
	if (p->dead) { /* in a recovery, while publishing */
		store_abort(txn);
		return DUR_E_FAILED;
	}
	if (recovers) {
		recovered(w, p);
		values = w->made[w->n - 1].values;
	}
	number = txn->number;
	must(w, number > w->number_max);
	w->number_max = number;
	must(w, txn->base.number == w->made[w->n - 1].number);
	if (machine_random(m, 16))
		change(w, txn, &values);
	if (machine_random(m, 16) == 0) {
		store_abort(txn);
		return 0;
	}
	if (machine_random(m, 8) == 0)
		options.label = "label";
	made_push(w, number, &values);
	rc = store_commit(txn, &options, &state);
	if (rc == 0 && state.number != number)
		w->n--; /* nothing changed */
	if (rc == 0 && !async && !p->dead)
		w->acked = state.number;
	if (rc < 0 && rc != DUR_E_FAILED) {
		store_abort(txn);
		w->n--;
	}
	w->commits += rc == 0;
	return rc;
}

static void pin(struct world *w, struct process *p)
{
	unsigned i = (unsigned)machine_random(&w->m, KIT_PINS);

	if (w->m.pins[i]) {
		values_must_be(w, p, w->m.pins[i], w->pin_record[i]);
		w->m.pins[i] = 0;
	} else {
		w->m.pins[i] = w->m.words.visible;
		w->pin_record[i] = w->m.words.record;
	}
}

/* Gives back whatever is free, to the last page; it may be this that finds a recovery due. */
static int give_back(struct world *w, struct process *p)
{
	struct give_back how = { .run = 1 + machine_random(&w->m, 3),
		.reserve = machine_random(&w->m, 2) ? 0 : machine_random(&w->m, 1000),
		.pages = 1 + machine_random(&w->m, 400) };
	struct store_stat before, after;
	uint64_t given;
	int rc;

	store_stat(p->store, NULL, &before);
	rc = store_give_back(p->store, &how, &given);
	store_stat(p->store, NULL, &after);
	if (rc == 0 && !p->dead && after.epoch != before.epoch && !after.failed)
		recovered(w, p);
	w->given += given;
	return rc;
}

static int act(struct world *w, struct process *p)
{
	int rc = 0;

	switch (machine_random(&w->m, 20)) {
	case 0:
		rc = store_sync(p->store);
		if (rc == 0 && w->m.holder == p && !p->dead)
			w->acked = w->made[w->n - 1].number;
		break;
	case 1:
		rc = store_let_go(p->store);
		if (rc == 0 && w->m.words.clean)
			w->acked = w->m.words.visible;
		break;
	case 2:
	case 3: /* after a failed flush what was visible may have left the cache: reads then fail */
		if (w->lost)
			break;
		if (machine_random(&w->m, 2))
			pin(w, p);
		else
			all_must_be(w, p);
		break;
	case 5:
	case 6: rc = give_back(w, p); break;
	case 4:
		rc = process_detach(p);
		if (rc == 0 && w->m.words.clean)
			w->acked = w->m.words.visible;
		break;
	default: rc = commit(w, p, machine_random(&w->m, 3) == 0);
	}
	return rc;
}

/* One act of process i, perhaps with something going wrong in the middle of it. */
static void step(struct world *w, int i)
{
	struct machine *m = &w->m;
	struct process *p = &w->p[i];
	bool fails = false;
	int rc;

	if (!p->store && !attach(w, i))
		return;
	if (machine_random(m, 15) == 0)
		fault_kill_at(p->io, 1 + machine_random(m, 6));
	else if (machine_random(m, 30) == 0)
		p->kill_at_call = 1 + machine_random(m, 4);
	else if (machine_random(m, 60) == 0) {
		fails = true;
		fault_fail(m->disk, FAULT_FLUSH, 1, EIO, machine_random(m, 2));
	}
	rc = act(w, p);
	trace(w, fails ? "act, a flush fails" : fault_killed(p->io) ? "act, killed" : "act", i, rc);
	fault_fail(m->disk, FAULT_ANY, 0, 0, false);
	if (p->dead || (p->store && fault_killed(p->io))) {
		process_kill(p);
	} else {
		must(w, rc == 0 || rc == DUR_E_LOCKED || (fails && rc < 0) ||
		                (w->lost && rc == DUR_E_CORRUPT));
		if (rc == DUR_E_CORRUPT) {
			power_cut(w);
		} else if (fails && rc < 0 && rc != DUR_E_LOCKED) {
			w->lost = true;
			if (p->store && machine_random(m, 2))
				process_kill(p);
			else if (p->store)
				process_detach(p);
			if (machine_random(m, 2))
				fault_evict(m->disk, machine_random(m, 2));
		} else {
			fault_kill_at(p->io, 0);
			p->kill_at_call = 0;
		}
	}
	if (machine_random(m, 25) == 0)
		power_cut(w);
}

static void history(uint64_t seed, const char *keep, unsigned steps, unsigned totals[4])
{
	struct world w = { .seed = seed };

	machine_make(&w.m, seed, keep);
	made_push(&w, 1, &(struct values){ 0 });
	w.acked = w.number_max = 1;
	for (unsigned s = 0; s < steps; s++) {
		int i = machine_random(&w.m, 4) == 0;
		step(&w, i);
	}
	power_cut(&w);
	must(&w, attach(&w, 0));
	all_must_be(&w, &w.p[0]);
	must(&w, process_detach(&w.p[0]) == 0);
	totals[0] += w.recoveries;
	totals[1] += w.m.logged[4];
	totals[2] += w.commits;
	totals[3] += (unsigned)w.given;
	machine_free(&w.m);
	free(w.made);
}

static void histories(const char *keep, unsigned rounds, unsigned steps)
{
	unsigned totals[4] = { 0 };
	uint64_t seed = kit_seed();

	for (unsigned i = 0; i < rounds; i++)
		history(seed + i, keep, steps, totals);
	fprintf(stderr, "%s, %u histories: %u commits, %u recoveries, %u warnings, %u pages "
	        "given back\n", keep, rounds, totals[2], totals[0], totals[1], totals[3]);
	ck_assert_uint_gt(totals[3], 0);
}

START_TEST(random_histories_that_keep_all)
{
	histories("all", kit_rounds(100), 60);
}
END_TEST

START_TEST(random_histories_that_keep_one)
{
	histories("last:1", kit_rounds(100), 60);
}
END_TEST

START_TEST(random_histories_that_keep_some)
{
	histories("last:5", kit_rounds(60), 60);
}
END_TEST

/* Long enough for folds. */
START_TEST(long_random_histories)
{
	histories("last:3", kit_rounds(1), 1500);
	histories("all", kit_rounds(1), 1500);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recover");
	TCase *t = tcase_create("recover");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 600);
	tcase_add_test(t, random_histories_that_keep_all);
	tcase_add_test(t, random_histories_that_keep_one);
	tcase_add_test(t, random_histories_that_keep_some);
	tcase_add_test(t, long_random_histories);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
