/* SPDX-License-Identifier: Apache-2.0 */
/* Packs as bytes, their directories, and which of them are merged. */
#include "engine/pack.h"
#include "engine/pack_merge.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "internal/error.h"
#include "tests/ipc_kit.h"

static uint64_t rng;

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

/* ---- Packs ---- */

enum { ENTRIES = 300, LAST = 1000 };

static struct pack_entry entries[ENTRIES];
static uint64_t offsets[ENTRIES];
static uint8_t contents[PAGE_SIZE];

static struct pack_entry random_entry(unsigned i)
{
	struct pack_entry e = { .kind = PACK_NEAR + (enum pack_kind)below(4), .sum = (uint32_t)below(UINT32_MAX),
		.len = below(200), .bytes = contents };

	e.death = 2 + below(LAST - 1);
	e.page = (struct page_ptr){ PAGE_FIRST + below(PAGE_NUMBER_MAX - 10), 1 + below(e.death - 1) };
	if (e.kind == PACK_NEAR && i == 0)
		e.kind = PACK_PLAIN;
	if (e.kind == PACK_NEAR)
		e.near = offsets[below(i)];
	if (e.kind == PACK_FAR)
		e.base = (struct page_ptr){ PAGE_FIRST + below(1 << 20), e.death + below(50) };
	return e;
}

static void make_pack(struct pack_writer *w)
{
	ck_assert_int_eq(pack_start(w, LAST), 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		entries[i] = random_entry(i);
		ck_assert_int_eq(pack_add(w, &entries[i], &offsets[i]), 0);
	}
	ck_assert_int_eq(pack_finish(w), 0);
}

START_TEST(entries_come_back)
{
	struct pack_writer w;
	struct pack pack;
	uint64_t at = PACK_HEADER;

	for (unsigned i = 0; i < PAGE_SIZE; i++)
		contents[i] = (uint8_t)below(256);
	make_pack(&w);
	ck_assert_int_eq(pack_open(w.bytes, w.len, &pack), 0);
	ck_assert_uint_eq(pack.last, LAST);
	ck_assert_uint_eq(pack.entries, ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++) {
		const struct pack_entry *want = &entries[i];
		struct pack_entry e;
		ck_assert_uint_eq(at, offsets[i]);
		ck_assert_msg(pack_entry(&pack, at, &e) == 0, "%s", error_text());
		ck_assert(e.kind == want->kind && e.sum == want->sum && e.page.no == want->page.no &&
		          e.page.birth == want->page.birth && e.death == want->death);
		ck_assert(e.near == want->near && e.base.no == want->base.no &&
		          e.base.birth == want->base.birth);
		ck_assert(e.len == want->len && memcmp(e.bytes, contents, e.len) == 0);
		at = e.next;
	}
	ck_assert_uint_eq(at, pack.end);
	pack_writer_free(&w);
}
END_TEST

/* Cut, flipped, entered anywhere: an error, or an entry that lies within the pack and leads backward. */
START_TEST(hostile_packs_do_no_harm)
{
	struct pack_writer w;
	struct pack pack;
	unsigned refused = 0;
	bool outside = false;

	make_pack(&w);
	for (unsigned round = 0; round < kit_rounds(50000); round++) {
		uint64_t len = below(8) ? w.len : below(w.len + 1);
		uint8_t *copy = malloc(len + 1);
		memcpy(copy, w.bytes, len);
		for (unsigned flips = (unsigned)below(4); flips && len; flips--)
			copy[below(len)] ^= (uint8_t)(1 << below(8));
		if (pack_open(copy, len, &pack) == 0) {
			struct pack_entry e;
			uint64_t at = below(2) ? offsets[below(ENTRIES)] : below(len + 100);
			uint64_t found;
			if (pack_find(&pack, entries[below(ENTRIES)].page, &e, &found) == 0)
				outside |= found >= pack.end;
			if (pack_entry(&pack, at, &e) == 0)
				outside |= e.bytes < copy || e.bytes + e.len > copy + pack.end ||
				           (e.kind == PACK_NEAR && e.near >= at) ||
				           (e.kind == PACK_FAR && e.base.birth < e.death);
			else
				refused++;
		}
		free(copy);
	}
	ck_assert(!outside);
	ck_assert_uint_gt(refused, 100);
	pack_writer_free(&w);
}
END_TEST

/* ---- The directory ---- */

static void is_found(const struct pack *pack, unsigned i)
{
	struct pack_entry e;
	uint64_t offset;

	ck_assert_msg(pack_find(pack, entries[i].page, &e, &offset) == 0, "%s", error_text());
	ck_assert_uint_eq(offset, offsets[i]);
}

START_TEST(every_entry_is_found_and_no_other)
{
	struct pack_writer w;
	struct pack pack;

	for (unsigned round = 0; round < kit_rounds(50); round++) {
		make_pack(&w);
		ck_assert_int_eq(pack_open(w.bytes, w.len, &pack), 0);
		ck_assert_uint_eq(pack_directory_count(&pack), ENTRIES);
		for (unsigned i = 0; i < ENTRIES; i++) {
			struct pack_entry e;
			uint64_t offset;
			is_found(&pack, i);
			struct page_ptr other = { entries[i].page.no, entries[i].page.birth + LAST };
			ck_assert_int_eq(pack_find(&pack, other, &e, &offset), 1);
		}
		pack_writer_free(&w);
	}
}
END_TEST

START_TEST(an_empty_pack_has_nothing)
{
	struct pack_writer w;
	struct pack_entry e;
	struct pack pack;
	uint64_t offset;

	ck_assert_int_eq(pack_start(&w, 7), 0);
	ck_assert_int_eq(pack_finish(&w), 0);
	ck_assert_int_eq(pack_open(w.bytes, w.len, &pack), 0);
	ck_assert_int_eq(pack_find(&pack, (struct page_ptr){ 10, 5 }, &e, &offset), 1);
	pack_writer_free(&w);
}
END_TEST

START_TEST(the_form_before_is_refused_by_name)
{
	struct pack_writer w;
	struct pack pack;

	make_pack(&w);
	memcpy(w.bytes, "DURPACK1", 8);
	ck_assert_int_eq(pack_open(w.bytes, w.len, &pack), DUR_E_FORMAT);
	ck_assert_ptr_nonnull(strstr(error_text(), "early version"));
	pack_writer_free(&w);
}
END_TEST

/* ---- Which packs are merged ---- */

/* Packs of random lengths arrive and are merged: few are left, none too long, and each byte moved seldom. */
START_TEST(merging_keeps_packs_few)
{
	enum { ARRIVE = 20000 };
	static struct pack_run runs[ARRIVE];    /* newest first */
	unsigned n = 0;
	uint64_t arrived = 0, moved = 0;

	for (unsigned i = 0; i < ARRIVE; i++) {
		unsigned first, k;
		memmove(runs + 1, runs, n * sizeof *runs);
		runs[0] = (struct pack_run){ .last = 64 * (i + 1), .length = 1000 + below(40000) };
		arrived += runs[0].length;
		n++;
		while ((k = merge_choose(runs, n < MERGE_PACKS ? n : MERGE_PACKS, UINT64_MAX, &first)) != 0) {
			ck_assert(k > 1 && first + k <= n);
			for (unsigned m = 1; m < k; m++)
				runs[first].length += runs[first + m].length;
			ck_assert_uint_le(runs[first].length, MERGE_BYTES);
			moved += runs[first].length;
			n -= k - 1;
			memmove(runs + first + 1, runs + first + k, (n - first - 1) * sizeof *runs);
		}
	}
	ck_assert_uint_le(n, arrived / (MERGE_BYTES / 2) + 3 * (MERGE_FEW + 1));
	ck_assert_uint_le(moved, 5 * arrived);
}
END_TEST

/* No merged pack covers more than the span; what is newer is merged all the same. */
START_TEST(merging_heeds_the_span)
{
	struct pack_run runs[MERGE_PACKS];
	unsigned first, k;

	for (unsigned i = 0; i < MERGE_PACKS; i++)
		runs[i] = (struct pack_run){ .last = 10000 - 100 * i, .length = 5000 };
	k = merge_choose(runs, MERGE_PACKS, 500, &first);
	ck_assert_uint_eq(k, 6);
	ck_assert_uint_eq(first, MERGE_PACKS - 6);
	runs[MERGE_PACKS - 1].last = 10; /* far from the others */
	k = merge_choose(runs, MERGE_PACKS, 500, &first);
	ck_assert_uint_eq(k, 6);
	ck_assert_uint_eq(first, MERGE_PACKS - 7);
	ck_assert_uint_eq(merge_choose(runs, MERGE_FEW - 1, UINT64_MAX, &first), 0);
}
END_TEST

static Suite *pack_suite(void)
{
	Suite *suite = suite_create("pack");
	TCase *c = tcase_create("packs");

	rng = kit_seed();
	tcase_add_test(c, entries_come_back);
	tcase_add_test(c, hostile_packs_do_no_harm);
	tcase_add_test(c, every_entry_is_found_and_no_other);
	tcase_add_test(c, an_empty_pack_has_nothing);
	tcase_add_test(c, the_form_before_is_refused_by_name);
	tcase_add_test(c, merging_keeps_packs_few);
	tcase_add_test(c, merging_heeds_the_span);
	tcase_set_timeout(c, 300);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(pack_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
