/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between two trees, against two sorted arrays; what it reads; trees out of hostile
 * files.
 */
#include "engine/tree_diff.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/node.h"
#include "internal/error.h"
#include "tests/random_values.h"
#include "tests/tree_kit.h"

static uint64_t seed;

static void setup(void)
{
	seed = random_seed("test_tree_diff");
}

static unsigned rounds(unsigned quick)
{
	return getenv("DURAMEN_SLOW")    ? 10 * quick
	       : getenv("DURAMEN_BRIEF") ? quick / 10 + 1
	                                 : quick;
}

/* ---- Trees of the past, each with its array ---- */

struct past {
	struct tree tree;
	struct entry **entries;
	size_t n;
};

static struct past remember(const struct bed *b)
{
	struct past p = { .tree = b->tree, .n = b->model.n };

	p.entries = malloc((p.n + 1) * sizeof(struct entry *));
	ck_assert_ptr_nonnull(p.entries);
	if (p.n)
		memcpy(p.entries, b->model.entries, p.n * sizeof(struct entry *));
	return p;
}

enum shape { SHAPE_DECIMAL, SHAPE_RANDOM, SHAPE_PREFIXES, SHAPE_ZEROS, SHAPES };

static size_t make_key(struct bed *b, enum shape shape, uint8_t key[TREE_KEY_MAX])
{
	uint64_t n = random_below(&b->seed, 3000);
	size_t len;

	switch (shape) {
	case SHAPE_RANDOM:
		put_u64(key, n * 0x9e3779b97f4a7c15);
		put_u64(key + 8, n);
		return 16;
	case SHAPE_PREFIXES:
		len = 40 + n % 3 * 330;
		memset(key, 'p' + (int)(n % 3), len);
		put_be64(key + len, n);
		return len + 8;
	case SHAPE_ZEROS:
		len = n % 10;
		for (size_t i = 0; i < len; i++)
			key[i] = n >> (2 + i) & 1;
		return len;
	default:
		return (size_t)sprintf((char *)key, "user:%08u", (unsigned)n);
	}
}

static void change(struct bed *b, enum shape shape)
{
	uint8_t key[TREE_KEY_MAX + 8], to[TREE_KEY_MAX + 8], cell[200];
	size_t len = make_key(b, shape, key), cell_len = 1 + random_below(&b->seed, sizeof cell);
	uint64_t dice = random_below(&b->seed, 1000);

	memset(cell, (int)random_below(&b->seed, 3), cell_len);
	if (dice < 600)
		bed_put(b, key, len, cell, cell_len);
	else if (dice < 630) /* of few lengths: runs of equal content come about */
		bed_put_run(b, key, len, 5000 + random_below(&b->seed, 3));
	else if (dice < 998)
		bed_del(b, key, len);
	else
		bed_clear(b, key, len, to, make_key(b, shape, to));
}

/* ---- The model ---- */

static int compare(const struct entry *a, const struct entry *b)
{
	int c = memcmp(a->bytes, b->bytes, a->key_len < b->key_len ? a->key_len : b->key_len);
	return c ? c : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static bool same(const struct entry *a, const struct entry *b)
{
	if (a->run_length || b->run_length)
		return a->run_length == b->run_length; /* what is in it follows from the key */
	return a->cell_len == b->cell_len &&
	       !memcmp(a->bytes + a->key_len, b->bytes + b->key_len, a->cell_len);
}

struct row {
	const struct entry *old, *now;
};

static size_t expect(const struct past *a, const struct past *b, struct row *rows)
{
	size_t n = 0;

	for (size_t i = 0, k = 0; i < a->n || k < b->n;) {
		int c = i == a->n ? 1 : k == b->n ? -1 : compare(a->entries[i], b->entries[k]);
		if (c == 0 && same(a->entries[i], b->entries[k])) {
			i++, k++;
			continue;
		}
		rows[n++] = (struct row){ c <= 0 ? a->entries[i] : NULL,
			                  c >= 0 ? b->entries[k] : NULL };
		i += c <= 0;
		k += c >= 0;
	}
	return n;
}

static void same_cell(const struct cell *cell, const struct entry *e)
{
	ck_assert_int_eq(cell->bytes != NULL, e != NULL);
	if (!e)
		return;
	ck_assert_uint_eq(cell->len, e->cell_len);
	ck_assert(!memcmp(cell->bytes, e->bytes + e->key_len, e->cell_len));
}

/* ---- Both ---- */

struct pair {
	const struct past *old, *now;
	struct pager old_pager, now_pager;
	struct tree_bounds bounds;
};

static bool within(const struct tree_bounds *bounds, const struct entry *e)
{
	struct entry *from = NULL;
	bool in = true;

	for (int i = 0; i < 2; i++) {
		const void *key = i ? bounds->to : bounds->from;
		size_t len = i ? bounds->to_len : bounds->from_len;
		if (!key)
			continue;
		from = malloc(sizeof *from + len);
		from->key_len = (uint32_t)len;
		memcpy(from->bytes, key, len);
		in &= i ? compare(e, from) < 0 : compare(e, from) >= 0;
		free(from);
	}
	return in;
}

static uint64_t check_pair(const struct pair *p)
{
	struct row *rows = malloc((p->old->n + p->now->n + 1) * sizeof *rows);
	size_t n = expect(p->old, p->now, rows);
	struct tree_change c;
	struct tree_diff d;

	ck_assert_int_eq(tree_diff_open(&d, &p->old_pager, &p->old->tree, &p->now_pager,
	                                &p->now->tree, &p->bounds),
	                 0);
	for (size_t i = 0; i < n; i++) {
		const struct row *row = &rows[p->bounds.back ? n - 1 - i : i];
		const struct entry *e = row->old ? row->old : row->now;
		if (!within(&p->bounds, e))
			continue;
		int r = tree_diff_next(&d, &c);
		ck_assert_msg(r == 0, "row %zu of %zu: %d %s", i, n, r, error_text());
		ck_assert_uint_eq(c.len, e->key_len);
		ck_assert(!memcmp(c.key, e->bytes, c.len));
		same_cell(&c.old, row->old);
		same_cell(&c.now, row->now);
	}
	ck_assert_int_eq(tree_diff_next(&d, &c), 1);
	ck_assert_int_eq(tree_diff_next(&d, &c), 1);
	free(rows);
	return d.side[DIFF_OLD].pages_read + d.side[DIFF_NOW].pages_read;
}

/* All of it and some ranges, both ways. */
static void check_ranges(struct bed *b, struct pair *p, enum shape shape)
{
	uint8_t from[TREE_KEY_MAX + 8], to[TREE_KEY_MAX + 8];

	for (unsigned i = 0; i < 6; i++) {
		p->bounds = (struct tree_bounds){ .back = i & 1 };
		if (i >= 2 && random_below(&b->seed, 4)) {
			p->bounds.from = from;
			p->bounds.from_len = make_key(b, shape, from);
		}
		if (i >= 2 && random_below(&b->seed, 4)) {
			p->bounds.to = to;
			p->bounds.to_len = make_key(b, shape, to);
		}
		check_pair(p);
	}
}

START_TEST(random_trees_differ_as_their_arrays_do)
{
	enum { STATES = 12 };
	struct past past[STATES + 2] = { 0 }; /* the first is empty, the last uncommitted */
	struct bed b;

	bed_open(&b, seed + (uint64_t)_i);
	b.limit_bytes = _i % 2 ? 40000 : 0; /* with early writes */
	for (unsigned s = 1; s <= STATES; s++) {
		unsigned n = 1 + (unsigned)random_below(&b.seed, s % 4 == 1 ? 2000 : 30);
		for (unsigned i = 0; i < n; i++)
			change(&b, (enum shape)_i);
		bed_commit(&b);
		past[s] = remember(&b);
	}
	for (unsigned i = 0; i < 50; i++)
		change(&b, (enum shape)_i);
	past[STATES + 1] = remember(&b);
	for (unsigned i = 0; i < rounds(80); i++) {
		struct pair p = { 0 };
		for (int side = 0; side < 2; side++) {
			uint64_t s = random_below(&b.seed, STATES + 2);
			*(side ? &p.now : &p.old) = &past[s];
			*(side ? &p.now_pager : &p.old_pager) = (struct pager){
				.file = b.file, .dirty = s == STATES + 1 && b.writing ? &b.dirty : NULL,
			};
		}
		check_ranges(&b, &p, (enum shape)_i);
	}
	for (unsigned s = 0; s < STATES + 2; s++)
		free(past[s].entries);
	bed_close(&b);
}
END_TEST

/*
 * Entries that were put one by one and those that were loaded in order lie in pages of other
 * shapes.
 */
START_TEST(equal_contents_in_other_pages_do_not_differ)
{
	struct bed b;
	struct pair p = { 0 };
	struct past one, other;
	uint8_t key[8], cell[40] = { 1 };

	bed_open(&b, seed);
	for (uint64_t i = 0; i < 5000; i++) {
		put_be64(key, i);
		bed_put(&b, key, 8, cell, sizeof cell);
	}
	bed_commit(&b);
	one = remember(&b);
	for (uint64_t i = 0; i < 5000; i++) { /* all are replaced, in another order */
		put_be64(key, i * 7919 % 5000);
		bed_del(&b, key, 8);
		if (i == 4000)
			bed_commit(&b);
	}
	for (uint64_t i = 0; i < 5000; i++) {
		put_be64(key, i * 7919 % 5000);
		bed_put(&b, key, 8, cell, sizeof cell);
	}
	bed_commit(&b);
	other = remember(&b);
	p.old = &one;
	p.now = &other;
	p.old_pager = p.now_pager = (struct pager){ .file = b.file };
	ck_assert_uint_gt(check_pair(&p), 0);
	p.bounds.back = true;
	check_pair(&p);
	p.old = &other;
	ck_assert_uint_eq(check_pair(&p), 0); /* the same root */
	free(one.entries);
	free(other.entries);
	bed_close(&b);
}
END_TEST

/* ---- What is read ---- */

static void load(struct bed *b, uint64_t n)
{
	uint8_t key[16], cell[101] = { 1 };

	bed_begin(b);
	for (uint64_t i = 0; i < n; i++) {
		put_be64(key, i);
		put_be64(key + 8, i * 0x9e3779b97f4a7c15);
		ck_assert_int_eq(tree_put(&b->dirty, &b->tree, key, 16, cell, sizeof cell, NULL),
		                 0);
	}
	bed_commit(b);
}

static uint64_t count_rows(struct bed *b, const struct tree *old, const struct tree *now, bool back,
                           uint64_t *pages)
{
	const struct pager pager = { .file = b->file };
	struct tree_change c;
	struct tree_diff d;
	uint64_t n = 0;
	int r;

	ck_assert_int_eq(tree_diff_open(&d, &pager, old, &pager, now,
	                                &(struct tree_bounds){ .back = back }), 0);
	while ((r = tree_diff_next(&d, &c)) == 0)
		n++;
	ck_assert_int_eq(r, 1);
	*pages = d.side[DIFF_OLD].pages_read + d.side[DIFF_NOW].pages_read;
	return n;
}

/*
 * Ten changes anywhere, of every kind, are found in at most a hundred pages, whichever way one
 * looks.
 */
START_TEST(pages_are_read_for_what_differs_alone)
{
	uint64_t entries = getenv("DURAMEN_SLOW") ? 1000000 : 200000, pages;
	struct bed b;

	bed_open(&b, seed);
	load(&b, entries);
	struct tree old = b.tree;
	for (unsigned round = 0; round < rounds(10); round++) {
		b.tree = old;
		bed_begin(&b);
		for (unsigned i = 0; i < 10; i++) {
			uint64_t n = (random_below(&b.seed, entries / 10) * 10 + i) ;
			uint8_t key[17] = { 0 }, cell[150] = { 2 };
			put_be64(key, n);
			put_be64(key + 8, n * 0x9e3779b97f4a7c15);
			if (i % 3 == 0)
				ck_assert_int_eq(tree_del(&b.dirty, &b.tree, key, 16), 0);
			else /* another value, or a key that was not there */
				ck_assert_int_eq(tree_put(&b.dirty, &b.tree, key, 16 + i % 3 / 2,
				                          cell, sizeof cell, NULL),
				                 0);
		}
		bed_commit(&b);
		for (unsigned way = 0; way < 4; way++) {
			const struct tree *from = way & 1 ? &b.tree : &old,
					  *to = way & 1 ? &old : &b.tree;
			ck_assert_uint_eq(count_rows(&b, from, to, way & 2, &pages), 10);
			ck_assert_uint_gt(pages, 0);
			ck_assert_uint_le(pages, 100);
		}
	}
	bed_close(&b);
}
END_TEST

/* A range at whose ends nothing differs reads the way there, not what lies beside it. */
START_TEST(a_range_reads_no_more_than_it_holds)
{
	uint8_t from[8], to[8];
	struct tree_change c;
	struct tree_diff d;
	struct bed b;

	bed_open(&b, seed);
	load(&b, 50000);
	struct pager pager = { .file = b.file };
	struct tree none = { 0 };
	put_be64(from, 30000);
	put_be64(to, 30010);
	ck_assert_int_eq(tree_diff_open(&d, &pager, &none, &pager, &b.tree, &(struct tree_bounds){
		.from = from, .from_len = 8, .to = to, .to_len = 8 }), 0);
	for (uint64_t i = 0; i < 10; i++) {
		ck_assert_int_eq(tree_diff_next(&d, &c), 0);
		ck_assert_uint_eq(get_be64(c.key), 30000 + i);
		ck_assert(!c.old.bytes && c.now.bytes);
	}
	ck_assert_int_eq(tree_diff_next(&d, &c), 1);
	ck_assert_uint_le(d.side[DIFF_NOW].pages_read, b.tree.depth + 2);
	ck_assert_uint_eq(d.side[DIFF_OLD].pages_read, 0);
	ck_assert_int_eq(tree_diff_open(&d, &pager, &none, &pager, &b.tree, &(struct tree_bounds){
		.from = b.file, .from_len = TREE_KEY_MAX + 2 }), DUR_E_LIMIT);
	bed_close(&b);
}
END_TEST

/* ---- Hostile files ---- */

/* Changes some bytes of a node and makes the checksum right. */
static void damage(struct bed *b, uint64_t no)
{
	union node_copy u;

	ck_assert_int_eq(pread(b->fd, &u, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)), PAGE_SIZE);
	for (uint64_t i = 1 + random_below(&b->seed, 3); i-- > 0;) {
		unsigned at = 8 + (unsigned)random_below(&b->seed, PAGE_SIZE - 8);
		if (random_below(&b->seed, 2) && u.page.heap >= PAGE_HEADER &&
		    u.page.heap < PAGE_SIZE - 64)
			at = u.page.heap + (unsigned)random_below(&b->seed, 64);
		u.bytes[at] = (uint8_t)(u.bytes[at] + 1 + random_below(&b->seed, 3));
	}
	file_seal(b->file, &u.page);
	ck_assert_int_eq(pwrite(b->fd, &u, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)), PAGE_SIZE);
}

static void use_damaged(struct bed *b, struct file *file, const struct tree *old,
                        const struct tree *now, bool back)
{
	const struct pager pager = { .file = file };
	uint8_t last[TREE_KEY_MAX];
	struct tree_change c;
	struct tree_diff d;
	size_t len = 0;
	int r = tree_diff_open(&d, &pager, old, &pager, now, &(struct tree_bounds){ .back = back });

	for (uint64_t n = 0; r == 0 && (r = tree_diff_next(&d, &c)) == 0; n++) {
		ck_assert_uint_le(c.len, TREE_KEY_MAX);
		ck_assert(c.old.bytes || c.now.bytes);
		ck_assert_uint_lt(n, b->model.n * 50 + 10000);
		if (n > 0) { /* whatever the file says, rows are in order */
			int order = memcmp(last, c.key, len < c.len ? len : c.len);
			order = order ? order : (len > c.len) - (len < c.len);
			ck_assert(back ? order > 0 : order < 0);
		}
		memcpy(last, c.key, len = c.len);
	}
	ck_assert(r == 1 || r == DUR_E_CORRUPT);
}

START_TEST(damaged_pages_are_errors_and_no_more)
{
	enum shape shape = (enum shape)_i;
	struct bed b;

	bed_open(&b, seed + (uint64_t)_i);
	for (unsigned i = 0; i < 2000; i++)
		change(&b, shape);
	bed_commit(&b);
	struct tree old = b.tree;
	for (unsigned i = 0; i < 300; i++)
		change(&b, shape);
	bed_commit(&b);
	uint64_t pages = b.space.next;
	for (unsigned i = 0; i < rounds(60); i++) {
		uint64_t no = PAGE_FIRST + random_below(&b.seed, pages - PAGE_FIRST);
		union node_copy good;
		ck_assert_int_eq(pread(b.fd, &good, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)),
		                 PAGE_SIZE);
		damage(&b, no);
		struct file *again = kit_file_again(b.fd, NULL);
		use_damaged(&b, again, &old, &b.tree, i & 1);
		use_damaged(&b, again, &b.tree, &old, i & 2);
		file_close(again);
		ck_assert_int_eq(pwrite(b.fd, &good, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)),
		                 PAGE_SIZE);
	}
	bed_close(&b);
}
END_TEST

/* A branch whose children all lead to one page. */
static void write_branch(struct bed *b, uint64_t no, unsigned level, unsigned children,
                         uint64_t child)
{
	union node_copy u = { 0 };

	u.page.birth = 1;
	u.page.heap = PAGE_SIZE;
	u.page.capacity = 60;
	page_set_id(&u.page, no, PAGE_BRANCH, level);
	for (unsigned i = 0; i < children; i++) {
		uint8_t entry[NODE_CHILD], key[2] = { (uint8_t)(level * 8 + 1), (uint8_t)i };
		node_child_write(entry, &(struct node_child){ .ptr = { child, 1 }, .count = 1 });
		ck_assert(node_insert(&u.page, i, key, i ? 2 : 0, entry, sizeof entry));
	}
	file_seal(b->file, &u.page);
	ck_assert_int_eq(pwrite(b->fd, &u, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)), PAGE_SIZE);
}

/*
 * Two towers of branches in which every way down leads to the same leaf: as many ways as no one
 * could go. With single children there is one way, and the leaf is shared.
 */
START_TEST(towers_of_branches_come_to_an_end)
{
	enum { LEVELS = TREE_DEPTH_MAX };
	uint64_t pages;
	struct bed b;

	bed_open(&b, seed);
	ck_assert_int_eq(file_grow(b.file, PAGE_FIRST + 2 * LEVELS + 1, false), 0);
	kit_leaf_write(b.file, PAGE_FIRST, 1, 0);
	struct tree tower[2];
	for (unsigned children = 1; children <= 40; children += 39) {
		for (unsigned t = 0; t < 2; t++) {
			uint64_t no = PAGE_FIRST + 1 + t * LEVELS, below = PAGE_FIRST;
			for (unsigned level = 1; level < LEVELS; level++, below = no++)
				write_branch(&b, no, level, children, below);
			tower[t] =
				(struct tree){ .root = { no - 1, 1 }, .count = 1, .depth = LEVELS };
		}
		struct file *again = kit_file_again(b.fd, NULL);
		struct file *file = b.file;
		b.file = again;
		if (children == 1) {
			ck_assert_uint_eq(count_rows(&b, &tower[0], &tower[1], false, &pages), 0);
			ck_assert_uint_eq(pages, 2 * (LEVELS - 1)); /* not the leaf */
		}
		b.file = file;
		if (children > 1) {
			b.model.n = 1;
			use_damaged(&b, again, &tower[0], &tower[1], false);
			ck_assert_str_ne(error_text(), "");
			use_damaged(&b, again, &tower[0], &tower[1], true);
			use_damaged(&b, again, &tower[0], &(struct tree){ 0 }, false);
			b.model.n = 0;
		}
		file_close(again);
	}
	bed_close(&b);
}
END_TEST

static Suite *tree_diff_suite(void)
{
	int shapes = getenv("DURAMEN_BRIEF") ? 1 : SHAPES;
	Suite *suite = suite_create("tree_diff");
	TCase *c = tcase_create("diff");

	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 600);
	tcase_add_loop_test(c, random_trees_differ_as_their_arrays_do, 0, shapes);
	tcase_add_test(c, equal_contents_in_other_pages_do_not_differ);
	tcase_add_test(c, pages_are_read_for_what_differs_alone);
	tcase_add_test(c, a_range_reads_no_more_than_it_holds);
	tcase_add_loop_test(c, damaged_pages_are_errors_and_no_more, 0, shapes);
	tcase_add_test(c, towers_of_branches_come_to_an_end);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(tree_diff_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
