/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Free space that goes back to the file system and comes from there again: only what is free, only
 * what is worthwhile, never in the middle of a commit; and whoever starts finds out what is a hole.
 * The random histories of test_recover.c give back all the time, with kills and power cuts.
 */
#include "prefix_kit.h"
#include "store_kit.h"

#include "engine/run.h"
#include "engine/store_private.h"
#include "internal/bytes.h"
#include "internal/error.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB_PAGES = 256, FOLD = HISTORY_FOLD_EVERY };

static const struct give_back ALL = { .run = 1, .pages = UINT64_MAX };
static struct machine m;
static struct process p;

#define ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, error_text())

static void setup(void)
{
	machine_make(&m, kit_seed(), "last:1");
	ok(process_attach(&m, &p));
}

static void teardown(void)
{
	if (p.store)
		ok(process_detach(&p));
	machine_free(&m);
	kit_clean();
}

/* A value of so many MiB under key; 0: none any more. */
static int big_put(unsigned key, unsigned mib, bool async)
{
	struct commit_options options = { .async = async };
	uint8_t name[8] = "big.", cell[23] = { DUR_BYTES | CELL_RUN };
	size_t len = (size_t)mib << 20;
	struct page_ptr ptr;
	struct state state;
	struct txn *txn;
	int rc;

	ok(store_begin(p.store, 0, 0, &txn));
	name[7] = (uint8_t)key;
	if (mib == 0) {
		rc = tree_del(&txn->dirty, &txn->catalog, name, sizeof name);
	} else {
		uint8_t *data = malloc(len);
		memset(data, (int)key, len);
		rc = run_write(&txn->dirty, data, len, &ptr);
		free(data);
		put_u64(cell + 1, ptr.birth);
		put_u48(cell + 9, ptr.no);
		put_u64(cell + 15, len);
		if (rc == 0)
			rc = tree_put(&txn->dirty, &txn->catalog, name, sizeof name, cell, 23, NULL);
	}
	if (rc == 0)
		rc = store_commit(txn, &options, &state);
	if (rc < 0)
		store_abort(txn);
	return rc;
}

/* Puts MiBs and removes them: so much is free then, in one run. */
static void make_room(unsigned mib)
{
	struct state state;

	ok(big_put(7, mib, false));
	ok(big_put(7, 0, false));
	for (unsigned i = 0; i < 3; i++) /* releases what was retired */
		ok(process_commit(&p, 1, 1 + i, false, &state));
}

static uint64_t give(const struct give_back *how)
{
	uint64_t given;

	ok(store_give_back(p.store, how, &given));
	return given;
}

static struct history_size size_now(void)
{
	return p.store->size;
}

/* ---- What may be given back ---- */

/* Every punch lies in what was free; nothing of it is left as it was. */
START_TEST(all_that_is_free)
{
	const struct fault_event *log;
	struct history_size before, after;
	uint64_t punched = 0;
	size_t n;

	make_room(20);
	before = size_now();
	fault_log_clear(m.disk);
	ck_assert_uint_eq(give(&ALL), before.free_pages);
	after = size_now();
	ck_assert_uint_eq(after.free_pages, before.free_pages);
	ck_assert_uint_eq(after.hole_pages, before.free_pages);
	log = fault_log(m.disk, &n);
	for (size_t i = 0; i < n; i++)
		punched += log[i].op == FAULT_PUNCH ? log[i].len >> PAGE_SHIFT : 0;
	ck_assert_uint_eq(punched, before.free_pages);
	ck_assert_uint_eq(give(&ALL), 0);
	ok(process_check(&p));
}
END_TEST

/*
 * A fold retires the system tree's pages and the records before it. Until a slot that was flushed
 * names it, recovery needs those: none of them may be punched (I1).
 */
START_TEST(a_fold_that_is_not_on_disk)
{
	static const enum fault_cut cuts[] = { FAULT_LOSE_ALL, FAULT_KEEP_ALL, FAULT_PAGES,
		                               FAULT_TORN };
	struct values values;
	struct state state;
	uint64_t acked;

	for (unsigned i = 0; i < FOLD - 1; i++)
		ok(process_commit(&p, i % 10, 1 + i, false, &state));
	acked = state.number;
	for (unsigned i = 0; i < 8; i++) {
		ok(process_commit(&p, i, 1000 + i, true, &state));
		give(&ALL);
	}
	process_kill(&p);
	machine_power_cut(&m, cuts[_i]);
	ok(process_attach(&m, &p));
	ck_assert_uint_ge(m.words.visible, acked);
	ok(values_read(&p, m.words.visible, m.words.record, &values));
	ok(process_check(&p));
}
END_TEST

/* A durable fold: the safe slot's base is still before it, so the records back to that stay (I1). */
START_TEST(a_fold_and_the_base_before_it)
{
	struct values values;
	struct state state;

	for (unsigned i = 0; i < FOLD + 3; i++) {
		ok(process_commit(&p, i % 10, 1 + i, false, &state));
		if (i >= FOLD - 3) {
			give(&ALL);
			process_kill(&p);
			machine_power_cut(&m, (enum fault_cut)(_i + (int)i) % 4);
			ok(process_attach(&m, &p));
			ck_assert_uint_eq(m.words.visible, state.number);
			ok(values_read(&p, m.words.visible, m.words.record, &values));
			ok(process_check(&p));
		}
	}
}
END_TEST

/* What a snapshot holds is not free. */
START_TEST(what_is_pinned_stays)
{
	struct values values, before;
	struct state state;
	uint64_t record;

	ok(process_commit(&p, 3, 33, false, &state));
	m.pins[0] = state.number;
	record = state.record;
	ok(values_read(&p, state.number, record, &before));
	make_room(1);
	for (unsigned i = 0; i < 20; i++) {
		ok(process_commit(&p, i, 100 + i, false, &state));
		give(&ALL);
	}
	ok(values_read(&p, m.pins[0], record, &values));
	ck_assert_mem_eq(&values, &before, sizeof values);
	m.pins[0] = 0;
	ok(process_check(&p));
}
END_TEST

/* ---- Using it again ---- */

/* Commits come out of holes before the file grows, and zeros go there first. */
START_TEST(holes_before_growth)
{
	const struct fault_event *log;
	struct history_size before;
	uint64_t zeros = 0;
	struct state state;
	size_t n;

	make_room(20);
	give(&ALL);
	before = size_now();
	fault_log_clear(m.disk);
	ok(process_commit(&p, 1, 77, false, &state));
	ck_assert_uint_eq(size_now().file_pages, before.file_pages);
	ck_assert_uint_le(size_now().hole_pages + file_step(before.file_pages),
	                  before.hole_pages); /* ahead of use */
	log = fault_log(m.disk, &n);
	for (size_t i = 0; i < n; i++)
		zeros += log[i].op == FAULT_WRITE ? log[i].len >> PAGE_SHIFT : 0;
	ck_assert_uint_ge(zeros, file_step(before.file_pages));
	fault_log_clear(m.disk);
	ok(process_commit(&p, 2, 78, false, &state));
	log = fault_log(m.disk, &n);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_le(log[i].len, 16 << PAGE_SHIFT); /* nothing but the commit */
	ok(big_put(9, 15, false));
	ck_assert_uint_eq(size_now().file_pages, before.file_pages);
	ok(process_check(&p));
}
END_TEST

/* A full disk refuses the space before anything of the commit is written; the store goes on. */
START_TEST(a_full_disk)
{
	struct state state;

	make_room(8);
	give(&ALL);
	for (int i = 0; i < 2; i++) {
		fault_fail(m.disk, FAULT_WRITE, 1, ENOSPC, true);
		ok(process_commit(&p, 1, 900 + (unsigned)i, false, &state)); /* with less ahead */
		fault_fail(m.disk, FAULT_WRITE, 0, 0, false);
		give(&ALL);
	}
	/* both tries, for a step and for what is needed */
	fault_capacity(m.disk, 0);
	ck_assert_int_eq(process_commit(&p, 1, 5, false, &state), -ENOSPC);
	fault_capacity(m.disk, UINT64_MAX);
	ok(process_commit(&p, 1, 6, false, &state));
	ok(process_check(&p));
}
END_TEST

/* A file system that takes nothing back is asked once. */
START_TEST(no_holes_here)
{
	make_room(8);
	fault_log_clear(m.disk);
	fault_fail(m.disk, FAULT_PUNCH, 1, EOPNOTSUPP, false);
	ck_assert_uint_eq(give(&ALL), 0);
	ck_assert_uint_eq(give(&ALL), 0);
	ck_assert_uint_eq(fault_count(m.disk, FAULT_PUNCH), 1);
	ck_assert_uint_eq(size_now().hole_pages, 0);
	ok(big_put(9, 6, false));
	ok(process_check(&p));
}
END_TEST

/* The process dies while it gives back: nothing that was committed is touched. */
START_TEST(killed_in_the_middle)
{
	struct values values;
	uint64_t given;

	make_room(8);
	fault_kill_at(p.io, 1);
	store_give_back(p.store, &ALL, &given);
	process_kill(&p);
	machine_power_cut(&m, (enum fault_cut)_i);
	ok(process_attach(&m, &p));
	ok(values_read(&p, m.words.visible, m.words.record, &values));
	ok(process_check(&p));
	make_room(4);
	ok(process_check(&p));
}
END_TEST

/* Another process wrote since: what this one remembers as free is not. */
START_TEST(after_another_writer)
{
	struct process other;
	struct values values;
	struct state state;

	make_room(8);
	ok(store_let_go(p.store));
	ok(process_attach(&m, &other));
	for (unsigned i = 0; i < 50; i++)
		ok(process_commit(&other, i, 500 + i, i % 2, &state));
	ok(store_let_go(other.store));
	ck_assert_uint_eq(give(&ALL), 0);
	ok(values_read(&other, m.words.visible, m.words.record, &values));
	ok(process_check(&other));
	ok(process_detach(&other));
}
END_TEST

/* ---- When it is worthwhile ---- */

static uint64_t ticks(int64_t *now_ms, unsigned most)
{
	uint64_t before = size_now().hole_pages;
	int64_t next = *now_ms;

	for (unsigned i = 0; i < most && next >= 0; i++) {
		*now_ms = next > *now_ms ? next : *now_ms;
		next = give_back_tick(p.store, *now_ms);
	}
	return size_now().hole_pages - before;
}

START_TEST(a_reserve_stays)
{
	struct history_size size;
	int64_t now = 1000000;
	uint64_t ready;

	make_room(60);
	/* this much was used just now, so nothing is given at first */
	ck_assert_int_ge(give_back_tick(p.store, now), now);
	now += 1000;
	ck_assert_int_ge(give_back_tick(p.store, now), now);
	ck_assert_uint_eq(size_now().hole_pages, 0);
	ck_assert_uint_gt(ticks(&now, 1000), 20 * MIB_PAGES);
	size = size_now();
	ready = size.free_pages - size.hole_pages;
	ck_assert_uint_ge(ready, file_step(size.file_pages));
	ck_assert_uint_le(ready, 2 * file_step(size.file_pages));
	ck_assert_int_eq(give_back_tick(p.store, now), -1); /* it rests */
	fault_log_clear(m.disk);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(give_back_tick(p.store, now += 1000), -1);
	ck_assert_uint_eq(fault_count(m.disk, FAULT_ANY), 0);
}
END_TEST

/* Who uses up and frees the same space again and again keeps it. */
START_TEST(what_is_used_again_soon_stays)
{
	int64_t now = 1000000;

	for (int i = 0; i < 10; i++) {
		make_room(30);
		give_back_tick(p.store, now);
		give_back_tick(p.store, now += 1000);
	}
	ck_assert_uint_eq(size_now().hole_pages, 0);
	ck_assert_uint_gt(ticks(&now, 1000), 10 * MIB_PAGES);
}
END_TEST

/* ---- Real files ---- */

static uint64_t disk_bytes(dur_prefix *prefix)
{
	dur_prefix_stat s;

	EXPECT(0, dur_stat(prefix, &s));
	ck_assert_uint_eq(s.live_bytes + s.retained_bytes + s.packed_bytes + s.free_bytes +
	                          s.metadata_bytes,
	                  s.file_bytes);
	return s.disk_bytes;
}

static void fill(dur_prefix *prefix, unsigned n, char with)
{
	static char text[100000];
	dur_view *txn;

	memset(text, with, sizeof text);
	EXPECT(0, dur_begin(prefix, NULL, &txn));
	for (unsigned i = 0; i < n; i++)
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i), &DUR_BYTES(text, sizeof text)));
	if (n == 0)
		EXPECT(0, dur_clear(dur_root(txn), NULL, NULL));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}

/* Filled, emptied, left alone: the disk has its space again, and the file is as good as before. */
static void in_turn(dur_workspace *ws, uint32_t flags)
{
	enum { N = 400, MUCH = 20 << 20 };
	dur_prefix_stat before, after;
	dur_prefix *prefix;

	EXPECT(0, dur_attach(ws, "holes", flags | DUR_CREATE,
	                     &(dur_attach_options){ .keep = "last:1" }, &prefix));
	fill(prefix, N, 'a');
	EXPECT(0, dur_stat(prefix, &before));
	fill(prefix, 0, 'b');
	fill(prefix, 1, 'c');
	fill(prefix, 1, 'd');
	/* the background thread does it once it has seen that nobody needs it */
	while (disk_bytes(prefix) + MUCH > before.disk_bytes)
		kit_sleep_ms(20);
	EXPECT(0, dur_detach(prefix)); /* who starts anew finds the holes */
	EXPECT(0, dur_attach(ws, "holes", flags, NULL, &prefix));
	fill(prefix, N, 'e');
	EXPECT(0, dur_stat(prefix, &after));
	ck_assert_uint_ge(after.disk_bytes, (uint64_t)N * 100000);
	ck_assert_uint_le(after.file_bytes, before.file_bytes);
	EXPECT(0, dur_detach(prefix));
	prefix_check_sound(ws, "holes", DUR_HISTORY);
}

START_TEST(a_file_shrinks_on_the_disk)
{
	dur_workspace *ws = prefix_workspace(kit_path("root"));

	in_turn(ws, 0);
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

START_TEST(memory_is_given_back)
{
	dur_workspace *ws = prefix_workspace(kit_path("root"));

	in_turn(ws, DUR_MEMORY);
	EXPECT(0, dur_drop(ws, "holes"));
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("give_back");
	TCase *store = tcase_create("store"), *files = tcase_create("files");

	tcase_add_checked_fixture(store, setup, teardown);
	tcase_add_test(store, all_that_is_free);
	tcase_add_loop_test(store, a_fold_that_is_not_on_disk, 0, 4);
	tcase_add_loop_test(store, a_fold_and_the_base_before_it, 0, 4);
	tcase_add_test(store, what_is_pinned_stays);
	tcase_add_test(store, holes_before_growth);
	tcase_add_test(store, a_full_disk);
	tcase_add_test(store, no_holes_here);
	tcase_add_loop_test(store, killed_in_the_middle, 0, 4);
	tcase_add_test(store, after_another_writer);
	tcase_add_test(store, a_reserve_stays);
	tcase_add_test(store, what_is_used_again_soon_stays);
	suite_add_tcase(suite, store);
	tcase_add_checked_fixture(files, NULL, kit_clean);
	tcase_add_test(files, a_file_shrinks_on_the_disk);
	tcase_add_test(files, memory_is_given_back);
	suite_add_tcase(suite, files);
	return kit_main(0, NULL, (const struct role[]){ { 0 } }, suite);
}
