/* SPDX-License-Identifier: Apache-2.0 */
/* Trees against a sorted array, at random; special trees; trees out of damaged files. */
#include "engine/tree.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/node.h"
#include "internal/error.h"
#include "tests/random_values.h"
#include "tests/scratch.h"
#include "tests/tree_kit.h"

static uint64_t seed;

static void setup(void)
{
	seed = random_seed("test_tree");
}

static unsigned rounds(unsigned quick)
{
	return getenv("DURAMEN_SLOW") ? 10 * quick : getenv("DURAMEN_BRIEF") ? quick / 10 + 1 : quick;
}

/* ---- At random ---- */

/* Keys of one look each; all make keys that come again. */
enum shape {
	SHAPE_RANDOM,           /* 16 random bytes, some thousand different */
	SHAPE_PREFIXES,         /* long prefixes in common */
	SHAPE_DECIMAL,          /* "user:00001234" */
	SHAPE_ANY_LENGTH,       /* 0 .. 1024 bytes of an alphabet with 0 and 255 */
	SHAPE_ZEROS,            /* 0 .. 7 zeros and ones: equal heads of different lengths */
	SHAPE_CLUSTERS,         /* groups that grow at their ends */
	SHAPE_DOWN,             /* falling numbers */
	SHAPES
};

static size_t make_key(struct bed *b, enum shape shape, uint8_t key[TREE_KEY_MAX])
{
	static const uint8_t letters[4] = { 0, 1, 'a', 255 };
	static uint32_t grown[64];
	uint64_t n = random_below(&b->seed, 4000);
	size_t len;
	switch (shape) {
	case SHAPE_PREFIXES:
		len = 40 + n % 3 * 330;
		memset(key, 'p' + (int)(n % 3), len);
		put_be64(key + len, n);
		return len + 8;
	case SHAPE_DECIMAL:
		return (size_t)sprintf((char *)key, "user:%08u", (unsigned)n);
	case SHAPE_ANY_LENGTH:
		n %= 500;
		len = n < 10 ? n : n * n % (TREE_KEY_MAX + 1);
		for (size_t i = 0; i < len; i++)
			key[i] = letters[(n >> (i % 8) ^ (i > 90 ? n * i >> 4 : 0)) & 3];
		return len;
	case SHAPE_ZEROS:
		len = n % 9;
		for (size_t i = 0; i < len; i++)
			key[i] = n >> (4 + i) & 1;
		return len;
	case SHAPE_CLUSTERS:
		n %= 64;
		if (random_below(&b->seed, 20) == 0)
			grown[n] = (uint32_t)random_below(&b->seed, 200);
		return (size_t)sprintf((char *)key, "group %llu/%06u", (unsigned long long)n, grown[n]++);
	case SHAPE_DOWN:
		put_be64(key, 100000 - b->n_made + random_below(&b->seed, 3));
		return 8;
	default:
		put_u64(key, n * 0x9e3779b97f4a7c15);
		put_u64(key + 8, n);
		return 16;
	}
}

static void random_put(struct bed *b, enum shape shape)
{
	uint8_t key[TREE_KEY_MAX + 8], cell[TREE_CELL_MAX];
	size_t len = make_key(b, shape, key), most = TREE_ENTRY_MAX - len, cell_len;
	if (most > TREE_CELL_MAX)
		most = TREE_CELL_MAX;
	switch (random_below(&b->seed, 40)) {
	case 0:
		bed_put_run(b, key, len, 1 + random_below(&b->seed, 9000));
		return;
	case 1:
	case 2:
		cell_len = 1 + random_below(&b->seed, most);
		break;
	default:
		cell_len = 1 + random_below(&b->seed, shape == SHAPE_ANY_LENGTH ? 10 : 200);
	}
	memset(cell, (int)random_below(&b->seed, DUR_MAP), cell_len);
	bed_put(b, key, len, cell, cell_len);
}

static void random_clear(struct bed *b, enum shape shape)
{
	uint8_t from[TREE_KEY_MAX + 8], to[TREE_KEY_MAX + 8];
	size_t from_len = make_key(b, shape, from), to_len = make_key(b, shape, to);
	uint64_t how = random_below(&b->seed, 20);
	bed_clear(b, how == 0 ? NULL : from, from_len, how == 1 ? NULL : to, to_len);
}

static void random_step(struct bed *b, enum shape shape, unsigned puts)
{
	uint8_t key[TREE_KEY_MAX + 8];
	uint64_t dice = random_below(&b->seed, 1000);
	size_t len;
	if (dice < puts) {
		random_put(b, shape);
	} else if (dice < 980) {
		len = make_key(b, shape, key);
		bed_del(b, key, len);
	} else if (dice < 982) {
		random_clear(b, shape);
	} else {
		len = make_key(b, shape, key);
		bed_check_key(b, key, len);
	}
}

static void random_run(struct bed *b, enum shape shape, unsigned commits)
{
	unsigned puts = 700;
	for (unsigned i = 0; i < commits; i++) {
		unsigned steps = (unsigned)random_below(&b->seed, 600);
		if (random_below(&b->seed, 10) == 0)
			puts = 200 + (unsigned)random_below(&b->seed, 780);
		for (unsigned k = 0; k < steps; k++)
			random_step(b, shape, puts);
		bed_check(b);
		if (!b->writing)
			continue;
		if (random_below(&b->seed, 4))
			bed_commit(b);
		else
			bed_abort(b);
		bed_check(b);
	}
}

START_TEST(random_trees_are_sorted_arrays)
{
	struct bed b;
	bed_open(&b, seed + (uint64_t)_i);
	random_run(&b, (enum shape)_i, rounds(12));
	bed_close(&b);
}
END_TEST

START_TEST(random_trees_with_early_writes_are_sorted_arrays)
{
	struct bed b;
	bed_open(&b, seed + (uint64_t)_i);
	b.limit_bytes = 40000;
	random_run(&b, (enum shape)_i, rounds(6));
	bed_close(&b);
}
END_TEST

/* ---- Special trees ---- */

START_TEST(an_empty_tree_has_nothing)
{
	struct bed b;
	bed_open(&b, seed);
	bed_check(&b);
	bed_check_key(&b, "", 0);
	bed_check_key(&b, "a", 1);
	bed_begin(&b);
	bed_del(&b, "a", 1);
	bed_clear(&b, NULL, 0, NULL, 0);
	bed_check(&b);
	ck_assert_uint_eq(b.tree.root.no, 0);
	bed_close(&b);
}
END_TEST

START_TEST(one_entry_comes_and_goes)
{
	struct bed b;
	bed_open(&b, seed);
	bed_put(&b, "", 0, "X", 1);
	bed_check_key(&b, "", 0);
	bed_check_key(&b, "a", 1);
	bed_check(&b);
	bed_commit(&b);
	bed_check(&b);
	bed_put(&b, "", 0, "Longer", 6);
	bed_check(&b);
	bed_del(&b, "", 0);
	bed_check(&b);
	ck_assert_uint_eq(b.tree.depth, 0);
	bed_commit(&b);
	ck_assert_uint_eq(b.pages, 0);
	bed_check(&b);
	bed_close(&b);
}
END_TEST

START_TEST(too_long_is_an_error_that_changes_nothing)
{
	struct bed b;
	uint8_t big[4096] = { 1 };
	bool existed = true;
	bed_open(&b, seed);
	bed_begin(&b);
	ck_assert_int_eq(tree_put(&b.dirty, &b.tree, big, TREE_KEY_MAX + 1, "x", 1, &existed),
	                 DUR_E_LIMIT);
	ck_assert_int_eq(tree_put(&b.dirty, &b.tree, "a", 1, big, TREE_CELL_MAX + 1, NULL), DUR_E_LIMIT);
	ck_assert_int_eq(tree_put(&b.dirty, &b.tree, big, 1000, big, 991, NULL), DUR_E_LIMIT);
	ck_assert_int_eq(tree_put(&b.dirty, &b.tree, "a", 1, big, 0, NULL), DUR_E_LIMIT);
	bed_put(&b, big, 1000, big, 990);
	bed_put(&b, big, TREE_KEY_MAX, "X", 1);
	bed_put(&b, "a", 1, big, TREE_CELL_MAX);
	bed_check(&b);
	bed_close(&b);
}
END_TEST

static void put_number(struct bed *b, unsigned i)
{
	char key[32], cell[100];
	int len = snprintf(key, sizeof key, "user:%010u", i);
	memset(cell, 'A' + (int)(i % 26), sizeof cell);
	bed_put(b, key, (size_t)len, cell, sizeof cell);
}

/* Entries of 15 + 100 bytes; about 36 to a page when their common beginnings are not stored. */
START_TEST(loads_in_order_leave_full_pages)
{
	enum { N = 20000 };
	for (int down = 0; down < 2; down++) {
		struct bed b;
		bed_open(&b, seed);
		for (unsigned i = 0; i < N; i++)
			put_number(&b, down ? N - i : i);
		bed_commit(&b);
		bed_check(&b);
		/* 100 bytes, 2 lengths, at least 4 of the head and 2 of the offset. */
		uint64_t least = N * 108 / NODE_ROOM;
		ck_assert_uint_lt(b.pages, least + least / 10);
		bed_close(&b);
	}
}
END_TEST

/* Puts that go on at the end of a group in the middle do so as well. */
START_TEST(loads_in_order_in_the_middle_leave_full_pages)
{
	enum { GROUPS = 20, N = 500 };
	struct bed b;
	bed_open(&b, seed);
	for (unsigned i = 0; i < GROUPS; i++)
		put_number(&b, i * 1000000);
	for (unsigned group = GROUPS; group-- > 0;)
		for (unsigned i = 1; i < N; i++)
			put_number(&b, group * 1000000 + i);
	bed_commit(&b);
	bed_check(&b);
	uint64_t least = GROUPS * N * 108 / NODE_ROOM;
	ck_assert_uint_lt(b.pages, least + least / 4);
	bed_close(&b);
}
END_TEST

START_TEST(equal_cells_change_one_leaf_byte_for_byte)
{
	struct bed b;
	union node_copy before;
	const struct page *page;
	bed_open(&b, seed);
	for (unsigned i = 0; i < 30; i++)
		put_number(&b, i);
	bed_commit(&b);
	struct pager pager = bed_pager(&b);
	ck_assert_int_eq(page_get(&pager, b.tree.root, &page), 0);
	memcpy(&before, page, PAGE_SIZE);
	char cell[100];
	memset(cell, 'E', sizeof cell);
	bed_put(&b, "user:0000000007", 15, cell, sizeof cell);
	bed_commit(&b);
	ck_assert_int_eq(page_get(&pager, b.tree.root, &page), 0);
	unsigned changed = 0;
	for (unsigned i = PAGE_HEADER; i < PAGE_SIZE; i++)
		changed += before.bytes[i] != node_bytes(page)[i];
	ck_assert_uint_eq(changed, 100);
	bed_close(&b);
}
END_TEST

/* A great clear reads no leaf: damage there goes unnoticed, and all pages are retired. */
START_TEST(clearing_reads_no_leaves)
{
	enum { N = 20000 };
	struct bed b;
	uint64_t n;
	bed_open(&b, seed);
	for (unsigned i = 0; i < N; i++)
		put_number(&b, i);
	bed_commit(&b);
	struct file *again = kit_file_again(b.fd, NULL);
	struct dirty d;
	struct dirty_host host = kit_host(&b.space);
	struct tree tree = b.tree;
	ck_assert_int_eq(dirty_open(&d, again, b.state + 1, 0, &host), 0);
	dirty_root(&d, &tree.root);
	ck_assert_int_eq(tree_clear(&d, &tree, "user:0000000100", 15, "user:0000019900", 15, &n), 0);
	ck_assert_uint_eq(n, 19800);
	ck_assert_uint_eq(tree.count, 200);
	unsigned met = 0;
	for (uint64_t no = PAGE_FIRST; no < b.space.next; no++)
		met += file_is_seen(again, no);
	ck_assert_uint_lt(met, 30);
	ck_assert_uint_gt(d.n_retired, b.pages - 20);
	ck_assert_uint_lt(d.live, 15);
	dirty_abort(&d);
	file_close(again);
	bed_close(&b);
}
END_TEST

/*
 * Two transactions one after the other, and an aborted one: the finger of one is not used by the
 * next.
 */
START_TEST(fingers_do_not_outlive_their_pages)
{
	struct bed b;
	bed_open(&b, seed);
	for (unsigned round = 0; round < 6; round++) {
		b.limit_bytes = round % 2 ? 20000 : 0;
		for (unsigned i = 0; i < 1000; i++)
			put_number(&b, round * 10000 + i);
		bed_check(&b);
		if (round % 3 == 2)
			bed_abort(&b);
		else
			bed_commit(&b);
		bed_check(&b);
	}
	bed_close(&b);
}
END_TEST

START_TEST(runs_go_with_their_entries)
{
	struct bed b;
	char key[16];
	bed_open(&b, seed);
	for (unsigned i = 0; i < 3000; i++) {
		int len = snprintf(key, sizeof key, "%05u", i * 7 % 3000);
		if (i % 10 == 0)
			bed_put_run(&b, key, (size_t)len, 1 + i * 3);
		else
			bed_put(&b, key, (size_t)len, "Small", 5);
	}
	bed_commit(&b);
	bed_check(&b);
	bed_put(&b, "00000", 5, "Not a run any more", 18);
	bed_put_run(&b, "00070", 5, 100);
	bed_clear(&b, "00500", 5, "02000", 5);
	bed_check(&b);
	bed_commit(&b);
	bed_check(&b);
	bed_clear(&b, NULL, 0, NULL, 0);
	bed_commit(&b);
	ck_assert_uint_eq(b.pages, 0);
	bed_close(&b);
}
END_TEST

/* ---- Damaged files ---- */

static bool fine(int r)
{
	return r == 0 || r == 1 || r == DUR_E_CORRUPT || r == DUR_E_LIMIT;
}

static int no_page(void *ctx, struct page_ptr ptr, uint64_t n, unsigned level)
{
	(void)ctx, (void)ptr, (void)n, (void)level;
	return 0;
}

static void count_problem(void *ctx, struct page_ptr ptr, const char *text)
{
	(void)ptr;
	ck_assert(*text);
	++*(unsigned *)ctx;
}

/* Changes some bytes of a node, more often where they matter, and makes the checksum right. */
static void damage(struct bed *b, struct file *file, uint64_t no)
{
	union node_copy u;
	ssize_t got = pread(b->fd, &u, PAGE_SIZE, (off_t)(no << PAGE_SHIFT));
	ck_assert_int_eq(got, PAGE_SIZE);
	for (uint64_t i = 1 + random_below(&b->seed, 3); i-- > 0;) {
		uint64_t where = random_below(&b->seed, 4);
		unsigned at = (unsigned)random_below(&b->seed, PAGE_SIZE - 8) + 8;
		if (where == 0)
			at = 24 + (unsigned)random_below(&b->seed, 16);
		else if (where == 1 && u.page.n && u.page.capacity < 600)
			at = PAGE_HEADER + (unsigned)random_below(&b->seed, 6u * u.page.capacity + 1);
		else if (where == 2 && u.page.heap >= PAGE_HEADER && u.page.heap < PAGE_SIZE - 64)
			at = u.page.heap + (unsigned)random_below(&b->seed, 64);
		if (random_below(&b->seed, 2))
			u.bytes[at]++;
		else
			u.bytes[at] = (uint8_t)random_u64(&b->seed);
	}
	file_seal(file, &u.page);
	ck_assert_int_eq(pwrite(b->fd, &u, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)), PAGE_SIZE);
}

static void use_damaged(struct bed *b, struct file *file, enum shape shape)
{
	struct dirty d;
	struct cursor c;
	struct cell cell;
	struct tree tree = b->tree;
	struct dirty_host host = kit_host(&b->space);
	uint8_t key[TREE_KEY_MAX + 8], to[TREE_KEY_MAX + 8], value[TREE_CELL_MAX] = { 0 };
	unsigned problems = 0;
	uint64_t n;
	const void *at;
	size_t len;
	ck_assert_int_eq(dirty_open(&d, file, b->state + 1, 0, &host), 0);
	dirty_root(&d, &tree.root);
	struct pager pager = { .file = file, .dirty = &d };
	for (unsigned i = 0; i < 300; i++) {
		len = make_key(b, shape, key);
		ck_assert(fine(tree_get(&pager, &tree, key, len, &cell)));
		ck_assert(fine(tree_rank(&pager, &tree, key, len, &n)));
		if (random_below(&b->seed, 3))
			ck_assert(fine(tree_put(&d, &tree, key, len, value,
			                        1 + random_below(&b->seed, 100), NULL)));
		else
			ck_assert(fine(tree_del(&d, &tree, key, len)));
		if (random_below(&b->seed, 100) == 0)
			ck_assert(fine(tree_clear(&d, &tree, key, len, to, make_key(b, shape, to), &n)));
		if (d.failed)
			break;
	}
	cursor_open(&c, &pager, &tree);
	int r = cursor_first(&c);
	for (unsigned i = 0; i < 100000 && r == 0; i++, r = cursor_next(&c)) {
		cursor_entry(&c, &at, &len, &cell);
		ck_assert_uint_le(len, TREE_KEY_MAX);
	}
	ck_assert(fine(r));
	ck_assert(fine(cursor_nth(&c, random_below(&b->seed, tree.count + 1))));
	ck_assert(fine(tree_walk(&pager, &tree, &(struct tree_visitor){
		.ctx = &problems, .page = no_page, .problem = count_problem,
	})));
	dirty_abort(&d);
}

START_TEST(damaged_pages_are_errors_and_no_more)
{
	enum shape shape = (enum shape)(_i % SHAPES);
	struct bed b;
	bed_open(&b, seed + (uint64_t)_i);
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t key[TREE_KEY_MAX + 8], cell[60] = { 0 };
		size_t len = make_key(&b, shape, key);
		bed_put(&b, key, len, cell, 1 + random_below(&b.seed, sizeof cell));
	}
	bed_commit(&b);
	uint64_t pages = b.space.next;
	for (unsigned i = 0; i < rounds(15); i++) {
		uint64_t no = PAGE_FIRST + random_below(&b.seed, pages - PAGE_FIRST);
		union node_copy good;
		ck_assert_int_eq(pread(b.fd, &good, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)), PAGE_SIZE);
		damage(&b, b.file, no);
		struct file *again = kit_file_again(b.fd, NULL);
		use_damaged(&b, again, shape);
		file_close(again);
		ck_assert_int_eq(pwrite(b.fd, &good, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)), PAGE_SIZE);
	}
	bed_close(&b);
}
END_TEST

/* Does one thing to tree and model; if the tree refuses, the model stays as it was. */
static void try_step(struct bed *b, unsigned *refused)
{
	uint8_t key[TREE_KEY_MAX + 8], to[TREE_KEY_MAX + 8], cell[50] = { 1 };
	size_t len = make_key(b, SHAPE_DECIMAL, key), to_len = make_key(b, SHAPE_DECIMAL, to);
	uint64_t n, count = b->tree.count;
	bool found;
	struct model *m = &b->model;
	size_t at = model_find(m, key, len, &found), end = model_find(m, to, to_len, &(bool){ 0 });
	uint64_t dice = random_below(&b->seed, 100);
	int r;
	if (dice < 30) {
		r = tree_put(&b->dirty, &b->tree, key, len, cell, sizeof cell, NULL);
		count += r == 0 && !found;
		if (r == 0)
			model_remember(b, key, len, cell, sizeof cell);
	} else if (dice < 97) {
		r = tree_del(&b->dirty, &b->tree, key, len);
		count -= r == 0;
		ck_assert(r < 0 || r == !found);
		if (r == 0)
			model_forget(m, at, at + 1);
	} else {
		end = end < at + 30 ? end : at;
		r = at < end ? tree_clear(&b->dirty, &b->tree, key, len, to, to_len, &n) : 0;
		count -= r || at >= end ? 0 : n;
		if (r == 0 && at < end)
			model_forget(m, at, end);
	}
	ck_assert_uint_eq(b->tree.count, count);
	ck_assert_msg(r >= 0 || r == DUR_E_CORRUPT, "%s", error_text());
	*refused += r < 0;
}

/* A damaged leaf is refused; nothing beside it suffers, and no page is lost. */
START_TEST(a_refused_write_changes_nothing)
{
	struct bed b;
	struct cell cell;
	unsigned refused = 0, unreadable = 0;
	bed_open(&b, seed);
	for (unsigned i = 0; i < 4000; i++) {
		char key[16];
		bed_put(&b, key, (size_t)sprintf(key, "user:%08u", i), "Some thirty bytes of a value.", 30);
	}
	bed_commit(&b);
	/* The file is opened anew, so that no page was met; a leaf is one whose level is 0. */
	for (uint64_t no = PAGE_FIRST + 5; no < PAGE_FIRST + 15; no += 3)
		scratch_flip(b.fd, (no << PAGE_SHIFT) + 2000, 3);
	file_close(b.file);
	b.file = b.space.file = kit_file_again(b.fd, NULL);
	bed_begin(&b);
	for (unsigned i = 0; i < 3000 && !b.dirty.failed; i++)
		try_step(&b, &refused);
	ck_assert_int_eq(b.dirty.failed, 0);
	ck_assert_uint_gt(refused, 0);
	struct pager pager = bed_pager(&b);
	for (size_t i = 0; i < b.model.n; i++) {
		const struct entry *e = b.model.entries[i];
		int r = tree_get(&pager, &b.tree, e->bytes, e->key_len, &cell);
		ck_assert(r == 0 || r == DUR_E_CORRUPT);
		unreadable += r != 0;
		if (r == 0)
			ck_assert(cell.len == e->cell_len && !memcmp(cell.bytes, e->bytes + e->key_len, cell.len));
	}
	ck_assert_uint_gt(unreadable, 0);
	ck_assert_uint_eq(b.model.n, b.tree.count);
	/* Placing would fail if a page of the transaction were not reached. */
	bed_commit(&b);
	bed_close(&b);
}
END_TEST

static Suite *tree_suite(void)
{
	int shapes = getenv("DURAMEN_BRIEF") ? 1 : SHAPES;
	Suite *suite = suite_create("tree");
	TCase *c = tcase_create("special");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 120);
	tcase_add_test(c, an_empty_tree_has_nothing);
	tcase_add_test(c, one_entry_comes_and_goes);
	tcase_add_test(c, too_long_is_an_error_that_changes_nothing);
	tcase_add_test(c, loads_in_order_leave_full_pages);
	tcase_add_test(c, loads_in_order_in_the_middle_leave_full_pages);
	tcase_add_test(c, equal_cells_change_one_leaf_byte_for_byte);
	tcase_add_test(c, clearing_reads_no_leaves);
	tcase_add_test(c, fingers_do_not_outlive_their_pages);
	tcase_add_test(c, runs_go_with_their_entries);
	suite_add_tcase(suite, c);
	c = tcase_create("random");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 600);
	tcase_add_loop_test(c, random_trees_are_sorted_arrays, 0, shapes);
	tcase_add_loop_test(c, random_trees_with_early_writes_are_sorted_arrays, 0, shapes);
	suite_add_tcase(suite, c);
	c = tcase_create("damage");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 600);
	tcase_add_test(c, a_refused_write_changes_nothing);
	tcase_add_loop_test(c, damaged_pages_are_errors_and_no_more, 0, shapes);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(tree_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
