/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits: what one writes and in which order, several in turn by processes and by threads, groups
 * that share a flush, async ones, large ones, empty ones, and those that fail before anything is
 * written.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/file.h"
#include "engine/run.h"
#include "internal/error.h"
#include "tests/ipc_kit.h"
#include "tests/scratch.h"
#include "tests/store_kit.h"

#define ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, error_text())

enum { THREADS = 8, GROUP = 3 };

static struct machine m;
static struct process p;

static void start(const char *keep)
{
	machine_make(&m, kit_seed(), keep);
	ok(process_attach(&m, &p));
	fault_log_clear(m.disk);
}

static void end(void)
{
	ok(process_detach(&p));
	ck_assert(m.words.clean && !m.holder);
	machine_free(&m);
}

static uint32_t get(struct process *process, unsigned key)
{
	struct values values;

	struct store_shared words = machine_words(&m);

	ok(values_read(process, words.visible, words.record, &values));
	return values.of[key];
}

static bool is_slot(const struct fault_event *e)
{
	return e->op == FAULT_WRITE && e->offset < PAGE_FIRST * PAGE_SIZE;
}

/*
 * What holds for every log: a slot is written only after the flush of the one before it, and never
 * over the slot that the last flush made safe. Returns how many slots were written.
 */
static unsigned slots_must_alternate(uint64_t last)
{
	size_t n;
	const struct fault_event *log = fault_log(m.disk, &n);
	uint64_t unflushed = 0;
	unsigned slots = 0;

	for (size_t i = 0; i < n; i++) {
		if (is_slot(&log[i])) {
			ck_assert_uint_eq(unflushed, 0);
			ck_assert_uint_ne(log[i].offset, last);
			unflushed = log[i].offset;
			slots++;
		} else if (log[i].op == FAULT_FLUSH && unflushed) {
			last = unflushed;
			unflushed = 0;
		}
	}
	return slots;
}

/* ---- One writer ---- */

START_TEST(a_commit_is_two_writes_and_a_flush)
{
	size_t n;

	start("all");
	ok(process_commit(&p, 1, 1, false, NULL));
	for (uint32_t i = 0; i < 100; i++) {
		fault_log_clear(m.disk);
		ok(process_commit(&p, i % KIT_RUN_KEYS, i + 1, false, NULL));
		const struct fault_event *log = fault_log(m.disk, &n);
		ck_assert_uint_eq(n, 3);
		ck_assert(log[0].op == FAULT_WRITE && !is_slot(&log[0]));
		ck_assert(is_slot(&log[1]));
		ck_assert(log[2].op == FAULT_FLUSH);
	}
	end();
}
END_TEST

START_TEST(commits_one_after_the_other)
{
	struct state s;

	start("all");
	for (uint32_t i = 1; i <= 1000; i++) {
		ok(process_commit(&p, i % KIT_KEYS, i, false, &s));
		ck_assert_uint_eq(s.number, i + 1); /* no gaps without a reason */
		ck_assert_uint_eq(m.words.visible, s.number);
		ck_assert_uint_eq(m.words.durable, s.number);
	}
	for (unsigned k = 0; k < KIT_KEYS; k++)
		ck_assert_uint_eq(get(&p, k) % KIT_KEYS, k);
	ok(process_check(&p));
	ok(process_detach(&p));
	slots_must_alternate(0);
	machine_power_cut(&m, FAULT_LOSE_ALL);
	ok(process_attach(&m, &p));
	ck_assert_uint_eq(get(&p, 0), 1000);
	ok(process_check(&p));
	end();
}
END_TEST

START_TEST(nothing_changed_makes_no_state)
{
	struct commit_options labelled = { .label = "it was Tuesday" }, plain = { 0 };
	struct commit_options policy = { .keep = "last:3" };
	struct state s, before;
	struct txn *txn;

	start("all");
	ok(process_commit(&p, 1, 1, false, &before));
	fault_log_clear(m.disk);
	ok(store_begin(p.store, 0, 0, &txn));
	ok(store_commit(txn, &plain, &s));
	ck_assert_uint_eq(s.number, before.number);
	ck_assert_uint_eq(fault_count(m.disk, FAULT_ANY), 0);
	ok(store_begin(p.store, 0, 0, &txn));
	ok(store_commit(txn, &labelled, &s));
	ck_assert_uint_gt(s.number, before.number);
	ck_assert_str_eq(s.label, labelled.label);
	ck_assert_uint_eq(s.flags, 0);
	ok(store_begin(p.store, 0, 0, &txn));
	ok(store_commit(txn, &policy, &s));
	ck_assert_str_eq(s.keep, "last:3");
	ck_assert_uint_eq(s.flags, STATE_MAINTENANCE);
	ok(process_check(&p));
	end();
}
END_TEST

START_TEST(a_label_that_is_too_long)
{
	char label[100];
	struct commit_options options = { .label = label };
	struct state s;
	struct txn *txn;

	memset(label, 'x', sizeof label);
	label[sizeof label - 1] = '\0';
	start("all");
	ok(store_begin(p.store, 0, 0, &txn));
	ok(values_put(txn, 1, 7));
	ck_assert_int_eq(store_commit(txn, &options, &s), DUR_E_LIMIT);
	label[63] = '\0'; /* mended */
	ok(store_commit(txn, &options, &s));
	ck_assert_uint_eq(get(&p, 1), 7);
	end();
}
END_TEST

/* A full disk is met before anything is placed: the transaction is as it was, and commits later. */
START_TEST(a_full_disk_and_room_again)
{
	enum { BIG = 3 << 20 };
	struct commit_options options = { 0 };
	uint8_t *big = calloc(1, BIG);
	struct page_ptr ptr;
	struct state s;
	struct txn *txn;
	int rc = 0;

	start("all");
	ok(process_commit(&p, 1, 1, false, &s));
	fault_capacity(m.disk, s.file_pages * PAGE_SIZE);
	for (unsigned i = 0; i < 3 && rc == 0; i++) {
		ok(store_begin(p.store, 0, 0, &txn));
		ok(values_put(txn, 2, i + 1));
		rc = run_write(&txn->dirty, big, BIG, &ptr);
		if (rc == 0)
			rc = dirty_drop_run(&txn->dirty, ptr, (uint32_t)run_pages(BIG), CLASS_DATA);
		if (rc == 0)
			rc = run_write(&txn->dirty, big, 2 * BIG / 3, &ptr);
		if (rc == 0)
			rc = dirty_drop_run(&txn->dirty, ptr, (uint32_t)run_pages(2 * BIG / 3),
			                    CLASS_DATA);
		ok(store_commit(txn, &options, &s));
		ck_assert_uint_eq(get(&p, 2), i + 1);
	}
	for (rc = 0; rc == 0;) /* every state is kept: the file is full at last */
		rc = process_commit(&p, 3, 5, false, NULL);
	ck_assert_int_eq(rc, -ENOSPC);
	fault_capacity(m.disk, UINT64_MAX);
	ok(process_commit(&p, 3, 6, false, NULL));
	ck_assert_uint_eq(get(&p, 3), 6);
	ok(process_check(&p));
	free(big);
	end();
}
END_TEST

START_TEST(spilled_commits)
{
	struct commit_options options = { 0 };
	struct state s;
	struct txn *txn;

	start("last:1");
	for (uint32_t round = 1; round <= 20; round++) {
		ok(store_begin(p.store, 0, 2 * PAGE_SIZE, &txn));
		for (unsigned k = 0; k < KIT_KEYS; k++)
			ok(values_put(txn, k, round * 1000 + k));
		ck_assert_uint_gt(txn->dirty.spilled_bytes, 0);
		if (round % 4 == 0) {
			store_abort(txn);
			continue;
		}
		ok(store_commit(txn, &options, &s));
		for (unsigned k = 0; k < KIT_KEYS; k++)
			ck_assert_uint_eq(get(&p, k), round * 1000 + k);
		if (round % 5 == 0) {
			process_kill(&p);
			machine_power_cut(&m, FAULT_LOSE_ALL);
			ok(process_attach(&m, &p));
			ck_assert_uint_eq(m.words.visible, s.number);
		}
		ok(process_check(&p));
	}
	end();
}
END_TEST

/* ---- Large commits ---- */

static int commit_large(struct state *state, bool async)
{
	enum { LARGE = 20 << 20 };
	struct commit_options options = { .async = async };
	uint8_t *data = calloc(1, LARGE), cell[23] = { DUR_BYTES | CELL_RUN };
	struct page_ptr ptr;
	struct txn *txn;
	int rc;

	ok(store_begin(p.store, 0, 0, &txn));
	ok(values_put(txn, 5, 55));
	memset(data, 'd', LARGE);
	rc = run_write(&txn->dirty, data, LARGE, &ptr);
	free(data);
	if (rc == 0) {
		put_u64(cell + 1, ptr.birth);
		put_u48(cell + 9, ptr.no);
		put_u64(cell + 15, LARGE);
		rc = tree_put(&txn->dirty, &txn->catalog, "large", 5, cell, sizeof cell, NULL);
	}
	if (rc < 0) {
		store_abort(txn);
		return rc;
	}
	rc = store_commit(txn, &options, state);
	return rc;
}

START_TEST(a_large_commit_is_flushed_before_its_slot)
{
	struct state s;
	size_t n, slot = 0, flushes = 0;

	start("all");
	ok(commit_large(&s, true)); /* large: durable, whatever was asked */
	ck_assert_uint_eq(m.words.durable, s.number);
	ck_assert_uint_eq(s.flags, 0);
	const struct fault_event *log = fault_log(m.disk, &n);
	for (size_t i = 0; i < n; i++) {
		flushes += log[i].op == FAULT_FLUSH;
		if (is_slot(&log[i])) {
			slot = i;
			ck_assert_uint_eq(flushes, 1);
		}
	}
	ck_assert(slot == n - 2 && log[n - 1].op == FAULT_FLUSH && flushes == 2);
	ok(process_commit(&p, 6, 66, false, NULL));
	process_kill(&p);
	machine_power_cut(&m, FAULT_LOSE_ALL);
	ok(process_attach(&m, &p));
	ck_assert_uint_eq(get(&p, 5), 55);
	ck_assert_uint_eq(get(&p, 6), 66);
	ok(process_check(&p));
	end();
}
END_TEST

START_TEST(a_large_commit_is_cut_off)
{
	struct state s;
	unsigned op = 1;
	bool done = false;

	for (; !done; op++) {
		start("all");
		ok(process_commit(&p, 5, 1, false, NULL));
		fault_kill_at(p.io, op + 20);
		done = commit_large(&s, false) == 0;
		process_kill(&p);
		if (op % 2)
			ok(process_attach(&m, &p));
		if (p.store)
			process_kill(&p);
		machine_power_cut(&m, (enum fault_cut)(op % 4));
		ok(process_attach(&m, &p));
		ck_assert(get(&p, 5) == 55 || (get(&p, 5) == 1 && !done));
		ok(process_check(&p));
		end();
	}
}
END_TEST

/* ---- Async ---- */

START_TEST(async_commits_are_visible_at_once)
{
	struct state s;
	int next_ms;

	start("all");
	fault_log_clear(m.disk);
	for (uint32_t i = 0; i < 50; i++) {
		ok(process_commit(&p, 1, i + 1, true, &s));
		ck_assert_uint_eq(m.words.visible, s.number);
		ck_assert_uint_eq(s.flags, STATE_ASYNC);
	}
	ck_assert_uint_eq(fault_count(m.disk, FAULT_FLUSH), 0);
	ck_assert_uint_eq(slots_must_alternate(0), 0); /* they write no slot */
	ck_assert_uint_lt(m.words.durable, s.number);
	ck_assert(m.holder == &p); /* only who made it durable lets go */
	ok(store_tick(p.store, &next_ms));
	ck_assert_int_gt(next_ms, 0);
	ok(store_sync(p.store));
	ck_assert_uint_eq(m.words.durable, s.number);
	ck_assert_uint_eq(fault_count(m.disk, FAULT_FLUSH), 1);
	ck_assert(!m.holder && m.words.clean);
	end();
}
END_TEST

START_TEST(idleness_confirms)
{
	int next_ms;
	struct slot slots[2];

	start("all");
	ok(process_commit(&p, 1, 1, false, NULL));
	ok(store_tick(p.store, &next_ms));
	ck_assert(next_ms > 0 && next_ms <= 1000);
	while (next_ms >= 0) {
		kit_sleep_ms((unsigned)next_ms + 1);
		ok(store_tick(p.store, &next_ms));
	}
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(file_slot_read(store_file(p.store), i, &slots[i]), 0);
	ck_assert(slots[0].state == slots[1].state);
	ck_assert(slots[0].base == slots[0].state || slots[1].base == slots[1].state);
	ck_assert(!m.holder && m.words.clean);
	fault_log_clear(m.disk);
	ok(store_tick(p.store, &next_ms));
	ck_assert_int_eq(next_ms, -1);
	ck_assert_uint_eq(fault_count(m.disk, FAULT_ANY), 0);
	end();
}
END_TEST

/* ---- Groups ---- */

struct task {
	pthread_t thread;
	struct process *process;
	unsigned key, rounds;
	uint32_t value;
	bool async, all;
	int rc;
	unsigned done;
	uint64_t state;
};

static void *task_run(void *arg)
{
	struct task *t = arg;
	struct commit_options options = { .async = t->async };

	for (unsigned i = 0; i < t->rounds && t->rc == 0; i++) {
		struct txn *txn;
		struct state s;
		t->rc = store_begin(t->process->store, 60000, 0, &txn);
		if (t->rc < 0)
			break;
		t->rc = values_put(txn, t->key, t->value + i);
		for (unsigned k = 20; t->all && k < KIT_RUN_KEYS && t->rc == 0; k++)
			t->rc = values_put(txn, k, t->value);
		if (t->rc < 0) {
			store_abort(txn);
			break;
		}
		t->rc = store_commit(txn, &options, &s);
		t->state = s.number;
		t->done += t->rc == 0;
	}
	return NULL;
}

static void task_start(struct task *t, struct process *process, unsigned key, uint32_t value,
                       bool all)
{
	*t = (struct task){
		.process = process, .key = key, .value = value, .rounds = 1, .all = all
	};
	ck_assert_int_eq(pthread_create(&t->thread, NULL, task_run, t), 0);
}

static void task_join(struct task *t)
{
	pthread_join(t->thread, NULL);
}

/* Waits until n runs were written that no slot names yet. */
static void wait_submitted(unsigned n)
{
	for (;;) {
		struct txn *txn;
		uint64_t number;
		ok(store_begin(p.store, -1, 0, &txn));
		number = txn->base.number;
		store_abort(txn);
		if (number >= machine_words(&m).visible + n)
			return;
		kit_sleep_ms(1);
	}
}

/* A flush in flight (tasks[0]'s), and the rest of the group submitted behind it. */
static void group_start(struct task *tasks)
{
	m.gated = true;
	ok(process_detach(&p));
	ok(process_attach(&m, &p));
	ok(process_commit(&p, 0, 10, false, NULL));
	fault_log_clear(m.disk);
	gate_close(&p);
	task_start(&tasks[0], &p, 1, 100, true);
	gate_wait_held(&p);
	for (unsigned i = 1; i <= GROUP; i++)
		task_start(&tasks[i], &p, 1 + i, 100 + i, true);
	while (fault_count(m.disk, FAULT_WRITE) != 2 + GROUP) /* with the first one's slot */
		kit_sleep_ms(1);
}

START_TEST(a_group_shares_a_flush)
{
	struct task tasks[1 + GROUP];
	uint64_t before;

	start("all");
	group_start(tasks);
	before = machine_words(&m).visible;
	ck_assert_uint_eq(slots_must_alternate(0), 1); /* none while the flush is in flight */
	ck_assert_uint_eq(get(&p, 1), 0);
	gate_open(&p);
	for (unsigned i = 0; i <= GROUP; i++) {
		task_join(&tasks[i]);
		ck_assert_int_eq(tasks[i].rc, 0);
		ck_assert_uint_le(tasks[i].state, machine_words(&m).durable);
		ck_assert_uint_eq(get(&p, 1 + i), 100 + i);
	}
	ck_assert_uint_gt(m.words.visible, before);
	ck_assert_uint_eq(fault_count(m.disk, FAULT_FLUSH),
	                  2); /* one for the first, one for the group */
	slots_must_alternate(0);
	end();
}
END_TEST

START_TEST(a_group_learns_that_its_flush_failed)
{
	struct task tasks[1 + GROUP];

	start("all");
	group_start(tasks);
	fault_fail(m.disk, FAULT_FLUSH, 1, EIO, false);
	gate_open(&p);
	for (unsigned i = 0; i <= GROUP; i++) {
		task_join(&tasks[i]);
		ck_assert_int_eq(tasks[i].rc, DUR_E_FAILED);
	}
	ck_assert_uint_eq(fault_count(m.disk, FAULT_FLUSH), 1);
	ck_assert(!m.words.clean && !m.holder);
	ck_assert_int_eq(process_detach(&p), DUR_E_FAILED);
	m.gated = false;
	ok(process_attach(&m, &p));
	ck_assert_uint_eq(get(&p, 0), 10);
	end();
}
END_TEST

/*
 * The group's slot reached the disk, a page of a commit in its middle did not: none of it is there.
 */
START_TEST(a_group_loses_a_page_of_its_middle)
{
	struct task tasks[1 + GROUP];
	struct state newest;
	size_t n, runs = 0;
	uint64_t lost = 0, first;

	start("all");
	group_start(tasks);
	const struct fault_event *log = fault_log(m.disk, &n);
	for (size_t i = 0; i < n; i++)
		if (log[i].op == FAULT_WRITE && !is_slot(&log[i]) && ++runs == 3)
			lost = log[i].offset + log[i].len - PAGE_SIZE; /* the middle one's record */
	gate_open(&p);
	task_join(&tasks[0]);
	first = tasks[0].state;
	for (unsigned i = 1; i <= GROUP; i++)
		task_join(&tasks[i]);
	ok(store_state(p.store, m.words.visible, m.words.record, &newest));
	process_kill(&p); /* unconfirmed: as if the power had failed before the flush ended */
	machine_power_cut(&m, FAULT_KEEP_ALL);
	scratch_write(m.fd, (uint8_t[PAGE_SIZE]){ 0 }, PAGE_SIZE, lost);
	m.gated = false;
	ok(process_attach(&m, &p));
	ck_assert_uint_eq(m.words.visible, first);
	ck_assert_uint_eq(get(&p, 1), 100);
	for (unsigned i = 1; i <= GROUP; i++)
		ck_assert_uint_eq(get(&p, 1 + i), 0);
	ok(process_check(&p));
	end();
}
END_TEST

/* Nobody sees an async state before the durable one below it is on disk. */
START_TEST(async_waits_for_an_unflushed_durable_one)
{
	struct task durable, async;
	uint64_t before;

	machine_make(&m, kit_seed(), "all");
	m.gated = true;
	ok(process_attach(&m, &p));
	ok(process_commit(&p, 1, 1, false, NULL));
	before = machine_words(&m).visible;
	gate_close(&p);
	task_start(&durable, &p, 1, 2, false);
	gate_wait_held(&p);
	async = (struct task){ .process = &p, .key = 2, .value = 3, .rounds = 1, .async = true };
	ck_assert_int_eq(pthread_create(&async.thread, NULL, task_run, &async), 0);
	wait_submitted(2);
	ck_assert_uint_eq(machine_words(&m).visible, before);
	gate_open(&p);
	task_join(&durable);
	task_join(&async);
	ck_assert_int_eq(async.rc, 0);
	ck_assert_uint_eq(m.words.visible, async.state);
	ck_assert_uint_ge(m.words.durable, durable.state);
	end();
}
END_TEST

/* What a power cut now would leave is whole: on a machine of its own. */
static void image_must_be_whole(enum fault_cut how)
{
	int image = scratch_open();
	struct machine other;
	struct process q;

	ok(fault_cut(m.disk, how, image));
	machine_make(&other, machine_random(&m, UINT64_MAX), "all");
	fault_disk_free(other.disk);
	close(other.fd);
	other.fd = image;
	other.disk = fault_disk_new(image, how);
	ok(process_attach(&other, &q));
	ok(process_check(&q));
	ok(process_detach(&q));
	machine_free(&other);
}

/*
 * I2: while a flush is in flight, transactions take no page that the state on disk still reaches:
 * not what the commits in flight retired, and after the first flush not what those behind it did.
 */
START_TEST(nothing_is_reused_before_its_retirer_is_durable)
{
	struct task tasks[1 + GROUP], more[GROUP];
	size_t flushes;

	start("last:1");
	group_start(tasks);
	for (unsigned how = FAULT_LOSE_ALL; how <= FAULT_TORN; how++)
		image_must_be_whole((enum fault_cut)how);
	flushes = fault_count(m.disk, FAULT_FLUSH);
	gate_pass(&p);
	while (fault_count(m.disk, FAULT_FLUSH) == flushes)
		kit_sleep_ms(1);
	task_join(&tasks[0]);
	gate_wait_held(&p);
	for (unsigned i = 0; i < GROUP; i++)
		task_start(&more[i], &p, 9 + i, 900 + i, false); /* small: they fit the holes */
	while (fault_count(m.disk, FAULT_WRITE) != 3 + 2 * GROUP)
		kit_sleep_ms(1);
	for (unsigned round = 0; round < 20; round++)
		image_must_be_whole((enum fault_cut)(round % 4));
	gate_open(&p);
	for (unsigned i = 1; i <= GROUP; i++)
		task_join(&tasks[i]);
	for (unsigned i = 0; i < GROUP; i++)
		task_join(&more[i]);
	end();
}
END_TEST

START_TEST(threads_commit_in_groups)
{
	struct task tasks[THREADS];
	unsigned rounds = 200;

	start("last:10");
	for (unsigned i = 0; i < THREADS; i++) {
		tasks[i] = (struct task){
			.process = &p, .key = i, .value = 1, .rounds = rounds, .async = i % 4 == 3
		};
		ck_assert_int_eq(pthread_create(&tasks[i].thread, NULL, task_run, &tasks[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		task_join(&tasks[i]);
		ck_assert_msg(tasks[i].rc == 0, "thread %u: %d", i, tasks[i].rc);
	}
	ok(store_sync(p.store));
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_uint_eq(get(&p, i), rounds);
	slots_must_alternate(0);
	ck_assert(!m.went_back);
	ok(process_check(&p));
	end();
}
END_TEST

/* ---- Several processes ---- */

START_TEST(processes_take_turns)
{
	struct process q;

	start("last:2");
	ok(process_attach(&m, &q));
	for (uint32_t i = 1; i <= 700; i++) {
		struct process *who = i % 3 ? &p : &q;
		ok(process_commit(who, i % KIT_KEYS, i, false, NULL));
		ck_assert_uint_eq(get(i % 2 ? &p : &q, i % KIT_KEYS), i);
	}
	ok(process_check(&q));
	ok(process_detach(&q));
	slots_must_alternate(0);
	end();
}
END_TEST

/* Threads of two processes: whoever holds the lock lets the other process in. */
START_TEST(threads_of_two_processes)
{
	struct task tasks[THREADS];
	struct process q;
	unsigned rounds = 100;

	start("last:1");
	ok(process_attach(&m, &q));
	for (unsigned i = 0; i < THREADS; i++) {
		tasks[i] = (struct task){
			.process = i % 2 ? &p : &q, .key = i, .value = 1, .rounds = rounds
		};
		ck_assert_int_eq(pthread_create(&tasks[i].thread, NULL, task_run, &tasks[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		task_join(&tasks[i]);
		ck_assert_msg(tasks[i].rc == 0, "thread %u: %d", i, tasks[i].rc);
	}
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_uint_eq(get(&p, i), rounds);
	ok(process_check(&p));
	ok(process_detach(&q));
	slots_must_alternate(0);
	end();
}
END_TEST

START_TEST(a_held_lock_stays)
{
	struct process q;

	start("all");
	ok(process_attach(&m, &q));
	store_hold(p.store, true);
	ok(process_commit(&p, 1, 1, false, NULL));
	ck_assert(m.holder == &p);
	struct txn *txn;
	ck_assert_int_eq(store_begin(q.store, 1, 0, &txn), DUR_E_LOCKED);
	ok(store_let_go(p.store));
	ok(process_commit(&q, 2, 2, false, NULL));
	ok(process_commit(&p, 1, 3, false, NULL));
	ck_assert(m.holder == &p);
	store_hold(p.store, false);
	ck_assert(!m.holder && m.words.clean);
	ok(process_detach(&q));
	end();
}
END_TEST

/* ---- Turns ---- */

static void *begin_elsewhere(void *arg)
{
	struct txn *txn;

	*(int *)arg = store_begin(p.store, 1, 0, &txn);
	return NULL;
}

START_TEST(turns)
{
	struct txn *txn, *second;
	pthread_t thread;
	int rc = 0;

	start("all");
	ok(store_begin(p.store, 0, 0, &txn));
	ck_assert_int_eq(store_begin(p.store, -1, 0, &second), -EDEADLK);
	pthread_create(&thread, NULL, begin_elsewhere, &rc);
	pthread_join(thread, NULL);
	ck_assert_int_eq(rc, DUR_E_LOCKED);
	store_abort(txn);
	ck_assert(!m.holder && m.words.clean); /* nothing was written, nobody waits */
	ok(store_begin(p.store, 0, 0, &txn));
	store_abort(txn);
	end();
}
END_TEST

/* ---- Threads and kills ---- */

/*
 * Each thread counts up its own key; a kill anywhere leaves each at what it was told, or one more.
 */
START_TEST(threads_are_killed)
{
	for (unsigned round = 0; round < kit_rounds(20); round++) {
		struct task tasks[THREADS];
		uint32_t floor[THREADS] = { 0 };

		machine_make(&m, kit_seed() + round, "last:3");
		for (unsigned again = 0; again < 3; again++) {
			ok(process_attach(&m, &p));
			struct values values;
			ok(values_read(&p, m.words.visible, m.words.record, &values));
			for (unsigned i = 0; i < THREADS; i++) {
				ck_assert_uint_ge(values.of[i], floor[i]);
				ck_assert_uint_le(values.of[i], floor[i] + 1);
				floor[i] = values.of[i];
			}
			ok(process_check(&p));
			fault_kill_at(p.io, 1 + machine_random(&m, 200));
			for (unsigned i = 0; i < THREADS; i++) {
				tasks[i] = (struct task){ .process = &p,
					                  .key = i,
					                  .value = floor[i] + 1,
					                  .rounds = 1000 };
				pthread_create(&tasks[i].thread, NULL, task_run, &tasks[i]);
			}
			for (unsigned i = 0; i < THREADS; i++)
				task_join(&tasks[i]);
			for (unsigned i = 0; i < THREADS; i++) {
				ck_assert_int_ne(tasks[i].rc, 0);
				floor[i] = tasks[i].done ? tasks[i].value + tasks[i].done - 1
				                         : floor[i];
			}
			process_kill(&p);
			if (again % 2 || machine_random(&m, 2))
				machine_power_cut(&m, (enum fault_cut)machine_random(&m, 4));
		}
		machine_free(&m);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("commit");
	TCase *t = tcase_create("commit");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 600);
	tcase_add_test(t, a_commit_is_two_writes_and_a_flush);
	tcase_add_test(t, commits_one_after_the_other);
	tcase_add_test(t, nothing_changed_makes_no_state);
	tcase_add_test(t, a_label_that_is_too_long);
	tcase_add_test(t, a_full_disk_and_room_again);
	tcase_add_test(t, spilled_commits);
	tcase_add_test(t, a_large_commit_is_flushed_before_its_slot);
	tcase_add_test(t, a_large_commit_is_cut_off);
	tcase_add_test(t, async_commits_are_visible_at_once);
	tcase_add_test(t, idleness_confirms);
	tcase_add_test(t, a_group_shares_a_flush);
	tcase_add_test(t, a_group_learns_that_its_flush_failed);
	tcase_add_test(t, a_group_loses_a_page_of_its_middle);
	tcase_add_test(t, async_waits_for_an_unflushed_durable_one);
	tcase_add_test(t, nothing_is_reused_before_its_retirer_is_durable);
	tcase_add_test(t, threads_commit_in_groups);
	tcase_add_test(t, processes_take_turns);
	tcase_add_test(t, threads_of_two_processes);
	tcase_add_test(t, a_held_lock_stays);
	tcase_add_test(t, turns);
	tcase_add_test(t, threads_are_killed);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
