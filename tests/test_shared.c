/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a transaction that several places name: trees built by hand which share what they can,
 * written to, spilled, marked and rolled back, with writes that fail. What they hold is kept
 * beside, and the parents of every page are counted.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/dirty_private.h"
#include "engine/node.h"
#include "engine/refs.h"
#include "internal/error.h"
#include "tests/io_fault.h"
#include "tests/ipc_kit.h"
#include "tests/page_kit.h"
#include "tests/scratch.h"

enum { STATE = 7, FAN = 6, TREES = 5, LEAVES = FAN * FAN, MARKS = 4 };

static int fd;
static struct fault_disk *disk;
static struct file *file;
static struct kit_space space;
static struct dirty d;
static struct page_ptr root[TREES];
static uint64_t rng;

/* What each tree holds: a number a leaf; the first is 0 where there is no tree. */
struct model {
	unsigned leaf[TREES][LEAVES];
};
static struct model model, marked[MARKS];

static void setup(void)
{
	file_close(kit_file(&fd, NULL));
	disk = fault_disk_new(fd, kit_seed());
	file = kit_file_again(fd, fault_io(disk));
	space = (struct kit_space){ .file = file, .next = 100 };
	struct dirty_host host = kit_host(&space);
	ck_assert_int_eq(dirty_open(&d, file, STATE, 0, &host), 0);
	memset(&model, 0, sizeof model);
	memset(root, 0, sizeof root);
	for (unsigned i = 0; i < TREES; i++)
		dirty_root(&d, &root[i]);
	const uint8_t *bytes;
	ck_assert_int_eq(file_map(file, PAGE_FIRST, 1, &bytes), 0);
}

static void teardown(void)
{
	dirty_close(&d);
	file_close(file);
	fault_disk_free(disk);
	close(fd);
}

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

/* ---- Trees of three levels ---- */

static void leaf_write(struct page *page, unsigned number)
{
	memcpy((uint8_t *)page + PAGE_SIZE - 4, &number, sizeof number);
}

static struct page_ptr build(unsigned level, unsigned *leaf)
{
	struct page_ptr ptr, children[FAN];
	struct page *page;

	for (unsigned i = 0; i < FAN && level; i++)
		children[i] = build(level - 1, leaf);
	ck_assert_int_eq(dirty_new(&d, level ? PAGE_BRANCH : PAGE_LEAF, level, CLASS_DATA, &ptr, &page), 0);
	for (unsigned i = 0; i < FAN && level; i++) {
		uint8_t child[NODE_CHILD], key[1] = { (uint8_t)i };
		node_child_write(child, &(struct node_child){ children[i], 1, false });
		ck_assert(node_insert(page, i, key, i ? 1 : 0, child, sizeof child));
	}
	if (!level) {
		uint8_t cell[5] = { 1 };
		ck_assert(node_insert(page, 0, (const uint8_t *)"k", 1, cell, sizeof cell));
		leaf_write(page, (*leaf)++);
	}
	return ptr;
}

static void make(unsigned tree, unsigned first)
{
	unsigned leaf = first;

	root[tree] = build(2, &leaf);
	for (unsigned i = 0; i < LEAVES; i++)
		model.leaf[tree][i] = first + i;
}

static void drop(unsigned tree)
{
	const struct page_ref ref = { .kind = REF_CHILD, .ptr = root[tree], .of = DUR_MAP, .level = 2 };

	ck_assert_msg(!ref_release(&d, &ref, CLASS_DATA), "%s", error_text());
	root[tree] = (struct page_ptr){ 0 };
	memset(model.leaf[tree], 0, sizeof model.leaf[tree]);
}

static void copy(unsigned to, unsigned from)
{
	ck_assert_int_eq(ref_share(&d, root[from]), 0);
	root[to] = root[from];
	memcpy(model.leaf[to], model.leaf[from], sizeof model.leaf[to]);
}

static void put(unsigned tree, unsigned leaf, unsigned number)
{
	struct page *page;

	ck_assert_int_eq(dirty_own(&d, &root[tree], CLASS_DATA, &page), 0);
	for (unsigned level = 2; level > 0; level--) {
		unsigned at = level == 2 ? leaf / FAN : leaf % FAN;
		struct page_ptr ptr = node_child_ptr(page, at);
		struct page *below;
		ck_assert_int_eq(dirty_own(&d, &ptr, CLASS_DATA, &below), 0);
		node_set_child_ptr(page, at, ptr);
		page = below;
	}
	leaf_write(page, number);
	model.leaf[tree][leaf] = number;
}

/* ---- What there is ---- */

struct met {
	uint64_t no;
	uint64_t parents;
};
static struct met met[TREES * (1 + FAN + LEAVES)];
static size_t n_met;

static const struct page *page_at(struct page_ptr ptr)
{
	const struct pager pager = { .file = file, .dirty = &d };
	const struct page *page;

	ck_assert_msg(!page_get(&pager, ptr, &page), "%s", error_text());
	return page;
}

static void check_tree(struct page_ptr ptr, unsigned level, const unsigned **leaf)
{
	const struct page *page = page_at(ptr);
	unsigned number;

	ck_assert_uint_eq(page_level(page), level);
	for (unsigned i = 0; i < FAN && level; i++)
		check_tree(node_child_ptr(page, i), level - 1, leaf);
	if (level)
		return;
	memcpy(&number, (const uint8_t *)page + PAGE_SIZE - 4, sizeof number);
	ck_assert_uint_eq(number, *(*leaf)++);
}

/* One more parent; what is below has it from the first one. */
static void count(struct page_ptr ptr, unsigned level)
{
	size_t i = 0;

	while (i < n_met && met[i].no != ptr.no)
		i++;
	met[i].no = ptr.no;
	if (i < n_met) {
		met[i].parents++;
		return;
	}
	met[n_met++].parents = 1;
	for (unsigned c = 0; c < FAN && level; c++)
		count(node_child_ptr(page_at(ptr), c), level - 1);
}

/* Content, and of each page as many parents as are counted, and no page too many. */
static void check_all(bool marks)
{
	uint64_t live = 0, extra;

	n_met = 0;
	for (unsigned i = 0; i < TREES; i++) {
		const unsigned *leaf = model.leaf[i];
		ck_assert_int_eq(root[i].no != 0, leaf[0] != 0);
		if (!root[i].no)
			continue;
		check_tree(root[i], 2, &leaf);
		count(root[i], 2);
	}
	for (size_t i = 0; i < n_met; i++) {
		ck_assert_int_eq(ref_extra(&d, (struct page_ptr){ met[i].no, STATE }, &extra), 0);
		ck_assert_uint_eq(extra, met[i].parents - 1);
		live += (met[i].no & PAGE_DIRTY) != 0;
	}
	ck_assert_uint_eq(d.live, live);
	if (!marks)
		ck_assert_uint_eq(space.taken - space.given, n_met - live);
}

static int relieve(void)
{
	d.limit_bytes = 1;
	int r = dirty_relieve(&d);
	d.limit_bytes = 0;
	return r;
}

/* ---- Tests ---- */

START_TEST(sharing_writes_nothing_and_copies_nothing)
{
	make(0, 1);
	uint32_t live = d.live;
	copy(1, 0);
	copy(2, 0);
	ck_assert_uint_eq(d.live, live);
	ck_assert_uint_eq(space.taken, 0);
	ck_assert_uint_eq(d.n_shared, 1);
	check_all(false);
	/* A path is three pages; the other one's is its own again once both others have left it. */
	put(1, 0, 1000);
	ck_assert_uint_eq(d.live, live + 3);
	put(1, 0, 1001);
	ck_assert_uint_eq(d.live, live + 3);
	put(2, 0, 2000);
	ck_assert_uint_eq(d.live, live + 6);
	put(0, 0, 3000);
	ck_assert_uint_eq(d.live, live + 6);
	ck_assert_uint_eq(space.taken, 0);
	check_all(false);
	drop(0);
	drop(2);
	ck_assert_uint_eq(d.n_shared, 0);
	ck_assert_uint_eq(d.live, live);
	check_all(false);
}
END_TEST

START_TEST(a_commit_without_counts_is_refused)
{
	struct written *out;
	size_t n;

	make(0, 1);
	copy(1, 0);
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ 5000, 100 }, 1, &out, &n), DUR_E_MISUSE);
	ck_assert(ref_changed(&d));
	uint32_t live = d.live;
	put(1, 0, 1000);
	ck_assert_int_eq(dirty_settle_shared(&d), 0);
	/* What only one of the two names is placed with the commit: a path each. */
	ck_assert_uint_eq(d.live, 6);
	ck_assert_uint_eq(space.taken - space.given, live - 3);
	check_all(false);
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ 5000, 6 }, 1, &out, &n), 0);
	ck_assert_uint_eq(n, live + 3);
	free(out);
}
END_TEST

/* A place that no walk comes to would keep the page's former name. */
START_TEST(a_place_that_hangs_nowhere_stops_the_spill)
{
	make(0, 1);
	ck_assert_int_eq(ref_share(&d, root[0]), 0);
	ck_assert_int_eq(relieve(), 0);
	ck_assert_uint_eq(space.taken, 0);
	ck_assert_int_eq(dirty_mark(&d), DUR_E_MISUSE);
	root[1] = root[0];
	memcpy(model.leaf[1], model.leaf[0], sizeof model.leaf[1]);
	check_all(false);
	ck_assert_int_eq(relieve(), 0);
	check_all(false);
	ck_assert_uint_eq(d.live, 0);
}
END_TEST

/* One write after the other fails: all can be read still; a mark that fails bars nothing. */
START_TEST(failed_writes_change_nothing)
{
	bool mark = _i % 2;
	unsigned nth = (unsigned)_i / 2 + 1;

	space.most = 16;
	make(0, 1);
	for (unsigned i = 1; i < TREES; i++) {
		copy(i, i - 1);
		put(i, i * 5, 1000 * i);
		put(i - 1, i * 3, 2000 * i);
	}
	fault_fail(disk, FAULT_WRITE, nth, EIO, false);
	ck_assert_int_eq(mark ? dirty_mark(&d) : relieve(), -EIO);
	check_all(false);
	if (mark) {
		put(2, 2, 9999);
		check_all(false);
		ck_assert_int_eq(dirty_mark(&d), 1);
		check_all(true);
		ck_assert_uint_eq(d.live, 0);
	} else {
		ck_assert_int_eq(relieve(), -EIO);
		ck_assert_int_eq(dirty_settle_shared(&d), -EIO);
	}
	dirty_abort(&d);
	ck_assert_uint_eq(space.taken, space.given);
}
END_TEST

static void step(unsigned *n_marks)
{
	unsigned a = (unsigned)below(TREES), b = (unsigned)below(TREES);

	switch (below(12)) {
	case 0:
		if (!root[a].no)
			make(a, 1 + (unsigned)below(1 << 20));
		break;
	case 1:
		if (root[a].no && below(2))
			drop(a);
		break;
	case 2:
	case 3:
		if (a == b || !root[b].no)
			break;
		if (root[a].no)
			drop(a);
		copy(a, b);
		break;
	case 4:
		/* a failed spill bars the transaction, until it goes back to a mark */
		if (*n_marks && below(4) == 0)
			fault_fail(disk, FAULT_WRITE, 1 + (unsigned)below(3), EIO, false);
		if (relieve()) {
			check_all(true);
			ck_assert_int_eq(dirty_rollback(&d, *n_marks), 0);
			model = marked[*n_marks - 1];
		}
		fault_fail(disk, FAULT_WRITE, 0, 0, false);
		break;
	case 5:
		if (*n_marks == MARKS || below(3))
			break;
		fault_fail(disk, FAULT_WRITE, (unsigned)below(4), EIO, false);
		if (dirty_mark(&d) > 0)
			marked[(*n_marks)++] = model;
		fault_fail(disk, FAULT_WRITE, 0, 0, false);
		check_all(*n_marks);
		break;
	case 6:
		if (!*n_marks || below(3))
			break;
		*n_marks = 1 + (unsigned)below(*n_marks);
		ck_assert_int_eq(dirty_rollback(&d, *n_marks), 0);
		model = marked[*n_marks - 1];
		break;
	case 7:
		ck_assert_int_eq(dirty_settle_shared(&d), 0);
		break;
	default:
		if (root[a].no)
			put(a, (unsigned)below(LEAVES), 1 + (unsigned)below(1 << 20));
	}
}

START_TEST(random_sharing_keeps_the_books)
{
	unsigned n_marks = 0;

	rng = kit_seed() + (uint64_t)_i;
	space.most = _i % 3 == 0 ? 5 : 0;
	for (unsigned i = 0; i < 3000; i++) {
		step(&n_marks);
		if (below(10) == 0)
			check_all(n_marks);
		if (n_marks && below(300) == 0) {
			dirty_marks_end(&d);
			n_marks = 0;
			check_all(false);
		}
	}
	check_all(n_marks);
	dirty_abort(&d);
	ck_assert_uint_eq(space.taken, space.given);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("shared");
	TCase *tc = tcase_create("shared");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, sharing_writes_nothing_and_copies_nothing);
	tcase_add_test(tc, a_commit_without_counts_is_refused);
	tcase_add_test(tc, a_place_that_hangs_nowhere_stops_the_spill);
	tcase_add_loop_test(tc, failed_writes_change_nothing, 0, 8);
	tcase_add_loop_test(tc, random_sharing_keeps_the_books, 0, 6);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	srunner_run_all(runner, CK_ENV);
	int failed_cases = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_cases != 0;
}
