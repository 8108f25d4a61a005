/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells of collections: random embedded ones, in each other to any depth, beside a plain list of
 * what they were made of; and whatever the check lets pass can be read to its end.
 */
#include "engine/nest.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/run.h"
#include "tests/random_values.h"

static uint64_t seed;

static void setup(void)
{
	seed = random_seed("test_nest");
}

static unsigned rounds(unsigned n)
{
	return getenv("DURAMEN_SLOW") ? 10 * n : n;
}

/* ---- Making ---- */

enum { REFS_MAX = 200 };

struct made {
	uint8_t cell[TREE_CELL_MAX];
	size_t len;
	struct nest_ref refs[REFS_MAX]; /* as they stand; `at` in the outermost cell */
	unsigned n;
	bool names;                     /* the outermost cell, by its model */
};

static size_t put_length(uint8_t *to, size_t n)
{
	if (n < 128) {
		to[0] = (uint8_t)n;
		return 1;
	}
	to[0] = (uint8_t)(0x80 | n >> 8);
	to[1] = (uint8_t)n;
	return 2;
}

static struct page_ptr random_ptr(void)
{
	return (struct page_ptr){ .no = PAGE_FIRST + random_below(&seed, 1 << 20),
		                  .birth = 1 + random_below(&seed, 1000) };
}

/* A run's or a tree's cell at m->cell + at. */
static size_t make_ref(struct made *m, size_t at)
{
	struct nest_ref *ref = &m->refs[m->n++];
	uint8_t *cell = m->cell + at;
	*ref = (struct nest_ref){ .is_tree = random_below(&seed, 2), .ptr = random_ptr() };
	if (ref->is_tree) {
		ref->tree = (struct nest_tree){
			.kind = DUR_MAP + (uint32_t)random_below(&seed, 6),
			.depth = 1 + (uint32_t)random_below(&seed, TREE_DEPTH_MAX),
			.placed = 1 + random_below(&seed, 1000),
			.root = ref->ptr,
			.count = 1 + random_below(&seed, NODE_COUNT_MAX),
		};
		nest_tree_write(cell, &ref->tree);
		ref->at = (uint32_t)at + NEST_ROOT_AT;
		return NEST_TREE_CELL;
	}
	ref->length = random_below(&seed, RUN_LENGTH_MAX);
	cell[0] = DUR_BYTES | NEST_REFS;
	ref->at = (uint32_t)at + 1;
	put_u64(cell + 1, ref->ptr.birth);
	put_u48(cell + 9, ref->ptr.no);
	put_u64(cell + 15, ref->length);
	return 1 + CELL_RUN_BYTES;
}

/*
 * A collection within so many bytes. Inner cells are made in place behind a length of two bytes; where
 * one turns out to need one byte only, it moves, and with it the references in it.
 */
static size_t make(struct made *m, size_t at, size_t room, bool *names);

static size_t make_cell(struct made *m, size_t at, size_t room, bool *names)
{
	unsigned from = m->n;
	size_t len;
	bool refs = false;
	if (room > 60 && random_below(&seed, 3) == 0) {
		len = make(m, at + 2, room - 2, &refs);
	} else if (room > 40 && m->n < REFS_MAX && random_below(&seed, 3) == 0) {
		len = make_ref(m, at + 2);
		refs = true;
	} else {
		len = 1 + random_below(&seed, room < 30 ? room - 2 : 28);
		memset(m->cell + at + 2, (int)random_below(&seed, 256), len);
		m->cell[at + 2] = DUR_STR;
	}
	*names |= refs;
	if (put_length(m->cell + at, len) == 1) {
		memmove(m->cell + at + 1, m->cell + at + 2, len);
		for (unsigned i = from; i < m->n; i++)
			m->refs[i].at--;
		return 1 + len;
	}
	return 2 + len;
}

static size_t make(struct made *m, size_t at, size_t room, bool *names)
{
	unsigned kind = DUR_MAP + (unsigned)random_below(&seed, 6), n = 0;
	size_t begin = at, end = at + room;
	bool refs = false;
	if (kind == DUR_ROPE) {
		size_t len = random_below(&seed, room < 50 ? room : 50);
		memset(m->cell + at + 1, 'r', len);
		m->cell[at] = (uint8_t)(kind | NEST_EMBEDDED);
		return 1 + len;
	}
	unsigned most = (unsigned)random_below(&seed, 12);
	for (at += 2; n < most && end - at > 20; n++) {
		if (kind != DUR_LIST) {
			m->cell[at++] = 2;
			m->cell[at++] = (uint8_t)n;
			m->cell[at++] = (uint8_t)random_below(&seed, 256);
		}
		if (kind == DUR_MAP || kind == DUR_RAW_MAP || kind == DUR_LIST)
			at += make_cell(m, at, end - at, &refs);
	}
	m->cell[begin] = (uint8_t)(kind | NEST_EMBEDDED | (refs ? NEST_REFS : 0));
	m->cell[begin + 1] = (uint8_t)n;
	*names |= refs;
	return at - begin;
}

static void make_random(struct made *m)
{
	*m = (struct made){ .n = 0 };
	m->len = random_below(&seed, 10) ?
	         make(m, 0, 50 + random_below(&seed, TREE_CELL_MAX - 49), &m->names) :
	         make_ref(m, 0);
	m->names |= m->n > 0;
}

/* ---- Reading ---- */

static void same_refs(const struct made *m)
{
	struct nest_refs it;
	struct nest_ref ref;
	nest_refs_open(&it, m->cell, m->len);
	for (unsigned i = 0; i < m->n; i++) {
		const struct nest_ref *want = &m->refs[i];
		if (nest_refs_next(&it, &ref))
			ck_abort_msg("only %u of %u references", i, m->n);
		if (ref.is_tree != want->is_tree || ref.ptr.no != want->ptr.no ||
		    ref.ptr.birth != want->ptr.birth || ref.at != want->at)
			ck_abort_msg("reference %u is another one", i);
		if (ref.is_tree ? ref.tree.kind != want->tree.kind || ref.tree.count != want->tree.count ||
		                          ref.tree.depth != want->tree.depth ||
		                          ref.tree.placed != want->tree.placed :
		                  ref.length != want->length)
			ck_abort_msg("reference %u says something else", i);
	}
	ck_assert_int_eq(nest_refs_next(&it, &ref), 1);
	ck_assert_int_eq(nest_refs_next(&it, &ref), 1);
}

/* Everything in a cell that was checked, however deep; no byte outside of it. Returns entries. */
static unsigned read_all(const uint8_t *cell, size_t len, const uint8_t *end)
{
	struct nest_entries it;
	struct nest_entry e;
	unsigned n = 0;
	ck_assert(cell + len <= end);
	if (!nest_is_embedded(cell) || (cell[0] & NEST_KIND) == DUR_ROPE)
		return 1;
	uint64_t count = nest_count(cell, len), seen = 0;
	nest_entries_open(&it, cell, len);
	for (; nest_entries_next(&it, &e) == 0; seen++) {
		if (cell + e.end > end || (e.key && e.key + e.key_len > end))
			ck_abort_msg("an entry reaches out of its cell");
		if (e.cell)
			n += read_all(e.cell, e.cell_len, cell + e.end);
	}
	ck_assert_uint_eq(seen, count);
	return n + 1;
}

/* In memory of its own length, so that a sanitizer sees a read behind it. */
static uint8_t *own_copy(const uint8_t *cell, size_t len)
{
	uint8_t *copy = malloc(len);
	ck_assert_ptr_nonnull(copy);
	return memcpy(copy, cell, len);
}

static unsigned use(const uint8_t *cell, size_t len)
{
	struct nest_refs it;
	struct nest_ref ref;
	unsigned n = 0;
	nest_refs_open(&it, cell, len);
	for (; nest_refs_next(&it, &ref) == 0; n++)
		if (ref.at + 14 > len)
			ck_abort_msg("a reference reaches out of its cell");
	if ((n != 0) != ((cell[0] & NEST_REFS) != 0))
		ck_abort_msg("byte 0 is wrong about references");
	read_all(cell, len, cell + len);
	return n;
}

/* ---- Tests ---- */

START_TEST(random_cells_name_what_they_were_made_of)
{
	struct made *m = malloc(sizeof *m);
	unsigned named = 0;
	for (unsigned i = 0; i < rounds(3000); i++) {
		const char *why = NULL;
		make_random(m);
		if (!nest_check(m->cell, m->len, false, &why))
			ck_abort_msg("a good cell: %s", why);
		ck_assert_int_eq(m->names, (m->cell[0] & NEST_REFS) != 0);
		same_refs(m);
		uint8_t *copy = own_copy(m->cell, m->len);
		ck_assert_uint_eq(use(copy, m->len), m->n);
		free(copy);
		named += m->n;
		for (unsigned k = 0; k < m->n; k++) {
			m->refs[k].ptr = m->refs[k].tree.root = random_ptr();
			nest_ref_set(m->cell, &m->refs[k], m->refs[k].ptr);
		}
		ck_assert(nest_check(m->cell, m->len, false, &why));
		same_refs(m);
	}
	ck_assert_uint_gt(named, 1000);
	free(m);
}
END_TEST

START_TEST(any_other_byte_is_refused_or_harmless)
{
	struct made *m = malloc(sizeof *m);
	unsigned refused = 0, passed = 0;
	for (unsigned i = 0; i < rounds(150); i++) {
		make_random(m);
		for (size_t at = 0; at < m->len; at++) {
			uint8_t *copy = own_copy(m->cell, m->len);
			const char *why = NULL;
			copy[at] ^= (uint8_t)(1 + random_below(&seed, 255));
			if (nest_check(copy, m->len, random_below(&seed, 2), &why)) {
				use(copy, m->len);
				passed++;
			} else {
				ck_assert_ptr_nonnull(why);
				refused++;
			}
			free(copy);
		}
		/* Cut off anywhere it is another cell, or none. */
		for (size_t len = 1; len < m->len; len++) {
			uint8_t *copy = own_copy(m->cell, len);
			const char *why;
			if (nest_check(copy, len, false, &why))
				use(copy, len);
			free(copy);
		}
	}
	ck_assert_uint_gt(refused, 1000);
	ck_assert_uint_gt(passed, 1000);
	free(m);
}
END_TEST

/* The deepest that a cell can hold: no walk has less room. */
START_TEST(lists_in_lists_fill_a_cell)
{
	uint8_t cell[TREE_CELL_MAX];
	size_t at = sizeof cell;
	const char *why;
	unsigned depth = 1;
	cell[--at] = 0;
	cell[--at] = DUR_LIST | NEST_EMBEDDED;
	for (;;) {
		size_t len = sizeof cell - at, head = 2 + (len < 128 ? 1 : 2);
		if (at < head)
			break;
		at -= head;
		cell[at] = DUR_LIST | NEST_EMBEDDED;
		cell[at + 1] = 1;
		put_length(cell + at + 2, len);
		depth++;
	}
	ck_assert_uint_gt(depth, 450);
	ck_assert(nest_check(cell + at, sizeof cell - at, false, &why));
	ck_assert_uint_eq(use(cell + at, sizeof cell - at), 0);

	/* The innermost one claims to name pages: all around it would have to say so. */
	cell[sizeof cell - 2] |= NEST_REFS;
	ck_assert(!nest_check(cell + at, sizeof cell - at, false, &why));
}
END_TEST

START_TEST(pages_of_a_transaction_are_its_own)
{
	uint8_t cell[NEST_TREE_CELL];
	const char *why;
	struct nest_tree tree = { .kind = DUR_MAP, .depth = 1, .placed = 1, .count = 1,
		                  .root = { .no = PAGE_DIRTY | 5, .birth = 7 } };
	nest_tree_write(cell, &tree);
	ck_assert(nest_check(cell, sizeof cell, true, &why));
	ck_assert(!nest_check(cell, sizeof cell, false, &why));
	tree.root.no = PAGE_FIRST - 1;
	nest_tree_write(cell, &tree);
	ck_assert(!nest_check(cell, sizeof cell, true, &why));
}
END_TEST

static Suite *nest_suite(void)
{
	Suite *suite = suite_create("nest");
	TCase *c = tcase_create("cells");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 300);
	tcase_add_test(c, random_cells_name_what_they_were_made_of);
	tcase_add_test(c, any_other_byte_is_refused_or_harmless);
	tcase_add_test(c, lists_in_lists_fill_a_cell);
	tcase_add_test(c, pages_of_a_transaction_are_its_own);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(nest_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
