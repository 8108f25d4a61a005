/* SPDX-License-Identifier: Apache-2.0 */
/* One node: its bytes, its edges, changes at random beside an array, and pages that are not nodes. */
#include "engine/node.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "engine/node_seq.h"
#include "tests/random_values.h"

static uint64_t seed;

static void setup(void)
{
	seed = random_seed("test_node");
}

/* A page of its own in the heap, so that sanitizers see every byte beyond it. */
static struct page *new_page(unsigned level)
{
	struct page *p = calloc(1, PAGE_SIZE);
	ck_assert_ptr_nonnull(p);
	p->heap = PAGE_SIZE;
	p->birth = 7;
	page_set_id(p, 9, level ? PAGE_BRANCH : PAGE_LEAF, level);
	return p;
}

static bool insert(struct page *p, unsigned at, const char *key, const char *cell)
{
	return node_insert(p, at, (const uint8_t *)key, strlen(key), cell, strlen(cell));
}

static void insert_child(struct page *p, unsigned at, const char *sep, uint64_t no)
{
	uint8_t bytes[NODE_CHILD];
	struct node_child child = { .ptr = { .no = no, .birth = 5 }, .count = no * 10 };
	node_child_write(bytes, &child);
	ck_assert(node_insert(p, at, (const uint8_t *)sep, strlen(sep), bytes, sizeof bytes));
}

static void check(const struct page *p)
{
	const char *why = NULL;
	if (node_check(p, &why))
		ck_abort_msg("%s", why);
}

/* Bytes that belong to nothing are zero. */
static void check_zeros(const struct page *p)
{
	uint8_t used[PAGE_SIZE] = { 0 };
	memset(used, 1, PAGE_HEADER + 4u * p->n);
	memset(used + PAGE_HEADER + 4 * p->capacity, 1, 2u * p->n);
	memset(used + node_end(p), 1, p->prefix_len);
	for (unsigned i = 0; i < p->n; i++)
		memset(used + node_offsets(p)[i], 1, node_entry(p, i).size);
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		if (!used[i] && node_bytes(p)[i] != 0)
			ck_abort_msg("byte %u is not zero", i);
}

/* ---- Bytes ---- */

START_TEST(a_leaf_has_the_bytes_that_its_table_draws)
{
	struct page *p = new_page(0);
	p->capacity = 2;
	ck_assert(insert(p, 0, "orange", "Juice"));
	ck_assert(insert(p, 0, "oak", "Wood"));
	const uint8_t *b = node_bytes(p);
	ck_assert(!memcmp(b + 40, "\0kao" "naro", 8));          /* heads, as little-endian numbers */
	ck_assert_uint_eq(get_u16(b + 48), PAGE_SIZE - 9 - 6);  /* offsets */
	ck_assert_uint_eq(get_u16(b + 50), PAGE_SIZE - 9);
	ck_assert(!memcmp(b + PAGE_SIZE - 9, "\6\5geJuice", 9));
	ck_assert(!memcmp(b + PAGE_SIZE - 15, "\3\4Wood", 6));
	ck_assert_uint_eq(p->heap, PAGE_SIZE - 15);
	ck_assert_uint_eq(p->n, 2);
	check(p);
	check_zeros(p);
	free(p);
}
END_TEST

START_TEST(a_branch_has_the_bytes_that_its_table_draws)
{
	struct page *p = new_page(1);
	p->capacity = 2;
	insert_child(p, 0, "", 3);
	insert_child(p, 1, "branch", 4);
	const uint8_t *b = node_bytes(p);
	ck_assert(!memcmp(b + 40, "\0\0\0\0" "narb", 8));
	ck_assert(!memcmp(b + PAGE_SIZE - 21, "\0\5\0\0\0\0\0\0\0\3\0\0\0\0\0\36\0\0\0\0\0", 21));
	ck_assert(!memcmp(b + PAGE_SIZE - 44, "\6\5\0\0\0\0\0\0\0\4\0\0\0\0\0\50\0\0\0\0\0ch", 23));
	struct node_child child = node_child(p, 1);
	ck_assert_uint_eq(child.ptr.no, 4);
	ck_assert_uint_eq(child.count, 40);
	ck_assert(!child.runs);
	child.runs = true;
	node_set_child(p, 1, &child);
	ck_assert_uint_eq(b[PAGE_SIZE - 44 + 20], 0x80);
	ck_assert_uint_eq(node_child_count(p, 1), 40);
	check(p);
	free(p);
}
END_TEST

START_TEST(long_lengths_take_two_bytes)
{
	struct page *p = new_page(0);
	uint8_t key[TREE_KEY_MAX], cell[900];
	memset(key, 'k', sizeof key);
	memset(cell, 'C', sizeof cell);
	ck_assert(node_insert(p, 0, key, 127, cell, 127));
	ck_assert_uint_eq(node_entry(p, 0).size, 2 + 123 + 127);
	ck_assert(node_insert(p, 1, key, 128, cell, 128));
	ck_assert_uint_eq(node_entry(p, 1).size, 4 + 124 + 128);
	ck_assert(node_insert(p, 2, key, TREE_KEY_MAX, cell, 900));
	ck_assert_uint_eq(node_cell(p, 2).len, 900);
	check(p);
	uint8_t out[TREE_KEY_MAX];
	ck_assert_uint_eq(node_key(p, 2, out), TREE_KEY_MAX);
	ck_assert(!memcmp(out, key, TREE_KEY_MAX));
	free(p);
}
END_TEST

/* ---- Order ---- */

/* Keys whose heads are equal, or would be but for their lengths, in order. */
static const struct {
	uint8_t len;
	const char *key;
} ordered[] = {
	{ 0, "" }, { 1, "\0" }, { 2, "\0\0" }, { 3, "\0\0\0" }, { 4, "\0\0\0\0" }, { 5, "\0\0\0\0\0" },
	{ 5, "\0\0\0\0\1" }, { 4, "\0\0\0\1" }, { 1, "\1" }, { 1, "a" }, { 2, "a\0" }, { 4, "a\0\0\0" },
	{ 6, "a\0\0\0\0\0" }, { 4, "aaaa" }, { 5, "aaaaa" }, { 6, "aaaaaa" }, { 6, "aaaaab" },
	{ 5, "aaaab" }, { 7, "aaaab\0\0" }, { 4, "aaab" }, { 1, "b" }, { 4, "\xff\xff\xff\xff" },
	{ 5, "\xff\xff\xff\xff\0" }, { 6, "\xff\xff\xff\xff\xff\xff" },
};
enum { ORDERED = sizeof ordered / sizeof *ordered };

START_TEST(keys_with_equal_heads_are_found)
{
	for (unsigned skip = 0; skip <= ORDERED; skip++) {
		struct page *p = new_page(0);
		for (unsigned i = ORDERED; i-- > 0;)
			if (i != skip)
				ck_assert(node_insert(p, 0, (const uint8_t *)ordered[i].key, ordered[i].len,
				                      &"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i], 1));
		check(p);
		for (unsigned i = 0; i < ORDERED; i++) {
			bool found;
			const uint8_t *key = (const uint8_t *)ordered[i].key;
			unsigned at = node_find(p, key, ordered[i].len, &found);
			ck_assert_uint_eq(at, i - (i > skip));
			ck_assert_int_eq(found, i != skip);
			ck_assert(at == p->n || (node_compare(p, at, key, ordered[i].len) == 0) == found);
		}
		free(p);
	}
}
END_TEST

START_TEST(children_are_routed_to)
{
	struct page *p = new_page(1);
	insert_child(p, 0, "", 3);
	for (unsigned i = 1; i < ORDERED; i++) {
		uint8_t bytes[NODE_CHILD];
		node_child_write(bytes, &(struct node_child){ .ptr = { 3 + i, 1 }, .count = 1 });
		ck_assert(node_insert(p, i, (const uint8_t *)ordered[i].key, ordered[i].len, bytes,
		                      sizeof bytes));
	}
	check(p);
	for (unsigned i = 0; i < ORDERED; i++) {
		uint8_t key[8];
		memcpy(key, ordered[i].key, ordered[i].len);
		ck_assert_uint_eq(node_route(p, key, ordered[i].len), i);
		key[ordered[i].len] = 0;
		unsigned next = i + 1 < ORDERED && ordered[i + 1].len == ordered[i].len + 1 &&
		                !memcmp(ordered[i + 1].key, key, ordered[i].len + 1u);
		ck_assert_uint_eq(node_route(p, key, ordered[i].len + 1u), i + next);
	}
	/* The first separator gone, its child stands for everything below the next. */
	node_remove(p, 0, 10);
	check(p);
	check_zeros(p);
	ck_assert_uint_eq(node_child(p, 0).ptr.no, 13);
	ck_assert_uint_eq(node_entry(p, 0).suffix_len, 0);
	ck_assert_uint_eq(node_route(p, (const uint8_t *)"", 0), 0);
	ck_assert_uint_eq(node_route(p, (const uint8_t *)"b", 1), 10);
	free(p);
}
END_TEST

START_TEST(a_key_without_the_prefix_is_beside_all_others)
{
	struct node_seq seq;
	struct page *p = new_page(0);
	static const char *const keys[] = { "prefix-of-all:a", "prefix-of-all:b", "prefix-of-all:c" };
	node_seq_open(&seq, false);
	for (unsigned i = 0; i < 3; i++)
		node_seq_entry(&seq, (const uint8_t *)keys[i], 15, "X", 1);
	for (unsigned prefix_len = 0; prefix_len <= 14; prefix_len++) {
		static const struct {
			const char *key;
			unsigned at;
		} others[] = {
			{ "", 0 }, { "p", 0 }, { "prefix", 0 }, { "prefix-of-all", 0 },
			{ "prefix-of-all:", 0 }, { "prefix-of-alk:b", 0 }, { "a", 0 }, { "prefixes", 3 },
			{ "q", 3 }, { "prefix-of-all;", 3 }, { "prefix-of-all:aa", 1 },
			{ "prefix-of-all:cc", 3 }, { "zzzzzzzzzzzzzzzzzzzzzzz", 3 },
		};
		node_seq_write(&seq, 0, 3, prefix_len, p);
		check(p);
		check_zeros(p);
		ck_assert_uint_eq(node_used(p), node_seq_used(&seq, 0, 3, prefix_len));
		for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
			const uint8_t *key = (const uint8_t *)others[i].key;
			size_t len = strlen(others[i].key);
			bool found = true;
			ck_assert_uint_eq(node_find(p, key, len, &found), others[i].at);
			ck_assert(!found);
			for (unsigned k = 0; k < 3; k++)
				ck_assert_int_eq(node_compare(p, k, key, len) < 0, k < others[i].at);
		}
	}
	free(p);
}
END_TEST

/* ---- Room ---- */

START_TEST(a_page_fills_to_the_last_byte)
{
	struct page *p = new_page(0);
	uint8_t cell[TREE_CELL_MAX] = { 0 };
	char key[8];
	unsigned n = 0;
	/* 4 + 2 slot, 2 lengths, 4 of the key in the head, 1 beyond: 9 and the cell. */
	for (;; n++) {
		unsigned left = PAGE_SIZE - node_used(p);
		unsigned cell_len = left >= 218 ? 100 : left - 9;
		if (left < 10)
			break;
		snprintf(key, sizeof key, "%05u", n);
		ck_assert(node_insert(p, n, (uint8_t *)key, 5, cell, cell_len));
		check(p);
	}
	ck_assert_uint_eq(node_used(p), PAGE_SIZE);
	snprintf(key, sizeof key, "%05u", n);
	struct page *before = new_page(0);
	memcpy(before, p, PAGE_SIZE);
	ck_assert(!node_insert(p, n, (uint8_t *)key, 5, cell, 1));
	ck_assert(!node_replace(p, 0, cell, 101));
	ck_assert(!memcmp(before, p, PAGE_SIZE));
	ck_assert(node_replace(p, 0, cell, 90));
	ck_assert(node_replace(p, 1, cell, 110));
	ck_assert_uint_eq(node_used(p), PAGE_SIZE);
	check(p);
	check_zeros(p);
	free(before);
	free(p);
}
END_TEST

START_TEST(two_largest_entries_fit_a_leaf)
{
	struct page *p = new_page(0);
	uint8_t key[TREE_KEY_MAX] = { 0 }, cell[TREE_CELL_MAX] = { 0 };
	ck_assert(node_insert(p, 0, key, 90, cell, TREE_CELL_MAX));
	ck_assert(node_insert(p, 1, key, TREE_KEY_MAX, cell, TREE_ENTRY_MAX - TREE_KEY_MAX));
	check(p);
	free(p);
}
END_TEST

START_TEST(a_leaf_never_moves_bytes)
{
	struct page *p = new_page(0), *before = new_page(0);
	char key[8], cell[50] = { 1 };
	for (unsigned i = 0; i < 30; i++) {
		snprintf(key, sizeof key, "k%03u", i);
		ck_assert(node_insert(p, i, (uint8_t *)key, 4, cell, sizeof cell));
	}
	memcpy(before, p, PAGE_SIZE);
	ck_assert(node_replace(p, 3, cell, 20));
	node_remove(p, 10, 11);
	ck_assert(insert(p, 5, "k004a", "New"));
	unsigned heap = before->heap;
	for (unsigned i = heap; i < PAGE_SIZE; i++)
		if (node_bytes(p)[i] != node_bytes(before)[i] && node_bytes(p)[i] != 0)
			ck_abort_msg("byte %u moved", i);
	ck_assert_uint_eq(p->holes, 52 + 52);
	check(p);
	check_zeros(p);
	free(before);
	free(p);
}
END_TEST

/* ---- At random ---- */

struct model {
	unsigned n;
	struct {
		uint8_t key[40], cell[300];
		unsigned key_len, cell_len;
	} entry[NODE_MAX];
};

static void compare_model(const struct page *p, const struct model *m)
{
	uint8_t key[TREE_KEY_MAX];
	check(p);
	check_zeros(p);
	ck_assert_uint_eq(p->n, m->n);
	for (unsigned i = 0; i < m->n; i++) {
		struct cell cell = node_cell(p, i);
		/* Assertions that hold cost a microsecond each. */
		if (node_key(p, i, key) != m->entry[i].key_len ||
		    memcmp(key, m->entry[i].key, m->entry[i].key_len) ||
		    cell.len != m->entry[i].cell_len || memcmp(cell.bytes, m->entry[i].cell, cell.len))
			ck_abort_msg("entry %u differs", i);
	}
}

static void random_step(struct page *p, struct model *m)
{
	uint8_t key[40], cell[300];
	unsigned key_len = (unsigned)random_below(&seed, 5);
	unsigned cell_len = 1 + (unsigned)random_below(&seed, random_below(&seed, 8) ? 12 : 300);
	bool found, taken;
	memset(key, 'x', sizeof key);
	for (unsigned i = 0; i < key_len; i++)
		key[i] = (uint8_t)(random_below(&seed, 7) * 40);
	key_len += random_below(&seed, 4) ? 0 : (unsigned)random_below(&seed, 30);
	memset(cell, (int)random_below(&seed, DUR_MAP), sizeof cell);
	unsigned at = node_find(p, key, key_len, &found);
	if (random_below(&seed, 3) == 0 && m->n) {
		at = at < m->n ? at : m->n - 1;
		node_remove(p, at, at + 1);
		memmove(&m->entry[at], &m->entry[at + 1], (--m->n - at) * sizeof *m->entry);
		return;
	}
	unsigned size = node_entry_size(false, key_len, cell_len);
	unsigned used = node_used(p) + size;
	if (found) {
		used -= node_entry(p, at).size;
		taken = node_replace(p, at, cell, cell_len);
	} else {
		used += NODE_SLOT;
		taken = node_insert(p, at, key, key_len, cell, cell_len);
	}
	ck_assert_int_eq(taken, used <= PAGE_SIZE);
	if (!taken)
		return;
	if (!found)
		memmove(&m->entry[at + 1], &m->entry[at], (m->n++ - at) * sizeof *m->entry);
	memcpy(m->entry[at].key, key, key_len);
	memcpy(m->entry[at].cell, cell, cell_len);
	m->entry[at].key_len = key_len;
	m->entry[at].cell_len = cell_len;
}

START_TEST(random_changes_are_those_of_an_array)
{
	struct page *p = new_page(0);
	struct model *m = calloc(1, sizeof *m);
	ck_assert_ptr_nonnull(m);
	for (unsigned i = 0; i < 4000; i++) {
		random_step(p, m);
		if (m->n)
			compare_model(p, m);
	}
	free(m);
	free(p);
}
END_TEST

/* ---- What is no node ---- */

/* Everything that may be done with a page that passed the check. */
static void use(struct page *p)
{
	uint8_t key[TREE_KEY_MAX], cell[64] = { 0 };
	uint64_t count;
	bool runs, found;
	unsigned n = p->n;
	for (unsigned i = 0; i < n; i++) {
		unsigned len = node_key(p, i, key);
		if (node_is_branch(p) ? i && node_route(p, key, len) != i :
		                        node_find(p, key, len, &found) != i || !found)
			ck_abort_msg("entry %u is not where its key leads", i);
	}
	node_sum(p, &count, &runs);
	if (node_is_branch(p)) {
		node_remove(p, 0, n / 2);
		check(p);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		node_replace(p, i, cell, 1 + (unsigned)random_below(&seed, sizeof cell));
	check(p);
	while (p->n > 1) {
		unsigned at = (unsigned)random_below(&seed, p->n);
		node_remove(p, at, at + 1);
		check(p);
	}
}

START_TEST(what_the_check_lets_pass_can_be_used)
{
	unsigned passed = 0;
	struct page *good = new_page((unsigned)_i), *p = new_page(0);
	char key[40];
	for (unsigned i = 0; i < 60; i++) {
		int len = snprintf(key, sizeof key, "%s%03u%s", i % 2 ? "same" : "", i, i % 3 ? "" : "tail");
		bool found;
		if (_i)
			insert_child(good, i, i ? (snprintf(key, sizeof key, "sep%04u", i), key) : "", i + 3);
		else
			node_insert(good, node_find(good, (uint8_t *)key, (size_t)len, &found),
			            (uint8_t *)key, (size_t)len, "Cell", 1 + i % 4);
	}
	node_remove(good, 20, 25);
	check(good);
	for (unsigned round = 0; round < 20000; round++) {
		const char *why = NULL;
		memcpy(p, good, PAGE_SIZE);
		for (uint64_t k = 1 + random_below(&seed, 2); k-- > 0;) {
			unsigned at = (unsigned)random_below(&seed, 3) ?
			              22 + (unsigned)random_below(&seed, 440) :
			              p->heap + (unsigned)random_below(&seed, PAGE_SIZE - p->heap);
			at = at < PAGE_SIZE ? at : PAGE_SIZE - 1;
			if (random_below(&seed, 3))
				((uint8_t *)p)[at] ^= (uint8_t)(1u << random_below(&seed, 8));
			else
				((uint8_t *)p)[at] = (uint8_t)random_u64(&seed);
		}
		if (node_check(p, &why)) {
			ck_assert_ptr_nonnull(why);
			continue;
		}
		passed++;
		use(p);
	}
	ck_assert_uint_gt(passed, 100);
	free(good);
	free(p);
}
END_TEST

static void expect_no(struct page *p, const char *word)
{
	const char *why = "";
	ck_assert_int_eq(node_check(p, &why), DUR_E_CORRUPT);
	ck_assert_msg(strstr(why, word) != NULL, "no \"%s\" in: %s", word, why);
}

START_TEST(each_rule_is_checked)
{
	struct page *good = new_page(0), *p = new_page(0);
	ck_assert(insert(good, 0, "apple", "A"));
	ck_assert(insert(good, 1, "banana", "B"));
	ck_assert(insert(good, 2, "cherry", "C"));
	uint8_t *b = (uint8_t *)p;
	unsigned slots = PAGE_HEADER + 4u * good->capacity;
#define BREAK(change, word) \
	do { \
		memcpy(p, good, PAGE_SIZE); \
		check(p); \
		change; \
		expect_no(p, word); \
	} while (0)
	BREAK(page_set_id(p, 9, PAGE_RUN, 0), "no leaf");
	BREAK(page_set_id(p, 9, PAGE_LEAF, 1), "no leaf");
	BREAK(page_set_id(p, 9, PAGE_BRANCH, 0), "no leaf");
	BREAK(page_set_id(p, 9, PAGE_BRANCH, TREE_DEPTH_MAX), "depth");
	BREAK(p->n = 0, "count");
	BREAK(p->n = (uint16_t)(p->capacity + 1), "count");
	BREAK(p->prefix_len = TREE_KEY_MAX + 1, "prefix length");
	BREAK(p->capacity = 676, "overlap");
	BREAK(p->heap = 4097, "overlap");
	BREAK(p->holes = 1, "add up");
	BREAK(p->heap--, "add up");
	BREAK(p->zero[1] = 1, "reserved");
	BREAK(put_u16(b + slots, 100), "outside");
	BREAK(put_u16(b + slots, 4095), "outside");
	BREAK(b[PAGE_SIZE - 4] = 200, "reaches out");
	BREAK((put_u16(b + slots + 2, get_u16(b + slots)), p->holes = 1), "overlap");
	BREAK(b[43] = 'z', "order");
	BREAK((put_u32(b + 44, get_u32(b + 40)), b[get_u16(b + slots + 2) + 2] = 'a'), "order");
#undef BREAK
	free(good);
	free(p);
}
END_TEST

static Suite *node_suite(void)
{
	Suite *suite = suite_create("node");
	TCase *c = tcase_create("layout");
	tcase_add_test(c, a_leaf_has_the_bytes_that_its_table_draws);
	tcase_add_test(c, a_branch_has_the_bytes_that_its_table_draws);
	tcase_add_test(c, long_lengths_take_two_bytes);
	suite_add_tcase(suite, c);
	c = tcase_create("search");
	tcase_add_test(c, keys_with_equal_heads_are_found);
	tcase_add_test(c, children_are_routed_to);
	tcase_add_test(c, a_key_without_the_prefix_is_beside_all_others);
	suite_add_tcase(suite, c);
	c = tcase_create("room");
	tcase_add_test(c, a_page_fills_to_the_last_byte);
	tcase_add_test(c, two_largest_entries_fit_a_leaf);
	tcase_add_test(c, a_leaf_never_moves_bytes);
	suite_add_tcase(suite, c);
	c = tcase_create("random");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 120);
	tcase_add_test(c, random_changes_are_those_of_an_array);
	tcase_add_loop_test(c, what_the_check_lets_pass_can_be_used, 0, 2);
	tcase_add_test(c, each_rule_is_checked);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(node_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
