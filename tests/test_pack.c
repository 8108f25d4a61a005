/* SPDX-License-Identifier: Apache-2.0 */
/* Packs as bytes, and their index against a plain array. */
#include "engine/pack.h"
#include "engine/pack_index.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "internal/error.h"
#include "tests/ipc_kit.h"
#include "tests/tree_kit.h"

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
	pack_finish(w);
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
	ck_assert_uint_eq(at, w.len);
	free(w.bytes);
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
			if (pack_entry(&pack, at, &e) == 0)
				outside |= e.bytes < copy || e.bytes + e.len > copy + len ||
				           (e.kind == PACK_NEAR && e.near >= at) ||
				           (e.kind == PACK_FAR && e.base.birth < e.death);
			else
				refused++;
		}
		free(copy);
	}
	ck_assert(!outside);
	ck_assert_uint_gt(refused, 100);
	free(w.bytes);
}
END_TEST

/* ---- The index ---- */

enum { BIRTHS = 8, NUMBERS = 3000 };

static struct pack_place model[BIRTHS][NUMBERS];        /* pack 0: not there */

static void index_agrees(struct bed *b, unsigned looks)
{
	struct pager pager = bed_pager(b);

	for (unsigned i = 0; i < looks; i++) {
		uint64_t birth = 1 + below(BIRTHS), no = PAGE_FIRST + below(NUMBERS);
		const struct pack_place *want = &model[birth - 1][no - PAGE_FIRST];
		struct pack_place place;
		int rc = pack_find(&pager, &b->tree, (struct page_ptr){ no, birth }, &place);
		ck_assert_msg(rc == (want->pack ? 0 : 1), "%s", rc < 0 ? error_text() : "found or not");
		if (rc == 0)
			ck_assert(place.pack == want->pack && place.offset == want->offset);
	}
}

/* Slots of some births, in order; half of the births have few pages, half many. */
static size_t random_slots(struct pack_slot *slots, bool there)
{
	size_t n = 0;

	for (uint64_t birth = 1; birth <= BIRTHS; birth++) {
		uint64_t step = birth % 2 ? 400 : 7;
		for (uint64_t no = PAGE_FIRST + below(step); no < PAGE_FIRST + NUMBERS; no += 1 + below(step)) {
			const struct pack_place *is = &model[birth - 1][no - PAGE_FIRST];
			if (!is->pack == there)
				continue;
			slots[n++] = (struct pack_slot){ { no, birth },
				there ? *is : (struct pack_place){ 1 + below(1000), below(1 << 20) } };
		}
	}
	return n;
}

START_TEST(the_index_is_what_was_put)
{
	static struct pack_slot slots[BIRTHS * NUMBERS];
	struct bed b;

	memset(model, 0, sizeof model);
	bed_open(&b, rng);
	bed_begin(&b);
	for (unsigned round = 0; round < kit_rounds(40); round++) {
		bool removes = round % 3 == 2;
		size_t n = random_slots(slots, removes);
		for (size_t i = 0; i < n; i++)
			model[slots[i].page.birth - 1][slots[i].page.no - PAGE_FIRST] =
				removes ? (struct pack_place){ 0 } : slots[i].place;
		ck_assert_msg((removes ? pack_index_remove(&b.dirty, &b.tree, slots, n) :
		               pack_index_add(&b.dirty, &b.tree, slots, n, 3)) == 0, "%s", error_text());
		index_agrees(&b, 500);
	}
	size_t n = 0;
	for (uint64_t birth = 1; birth <= BIRTHS; birth++)
		for (uint64_t no = 0; no < NUMBERS; no++)
			if (model[birth - 1][no].pack)
				slots[n++] = (struct pack_slot){ { PAGE_FIRST + no, birth }, model[birth - 1][no] };
	ck_assert_int_eq(pack_index_remove(&b.dirty, &b.tree, slots, n), 0);
	ck_assert_uint_eq(b.tree.count, 0); /* nothing is left behind */
	bed_abort(&b);
	bed_close(&b);
}
END_TEST

/* A slot of another place is not removed: the page was packed anew meanwhile. */
START_TEST(only_the_very_place_is_removed)
{
	struct pack_slot slot = { { 10, 5 }, { 1, 100 } }, other = { { 10, 5 }, { 2, 100 } };
	struct pack_place place;
	struct bed b;

	bed_open(&b, rng);
	bed_begin(&b);
	struct pager pager = bed_pager(&b);
	ck_assert_int_eq(pack_index_add(&b.dirty, &b.tree, &slot, 1, 3), 0);
	ck_assert_int_eq(pack_index_add(&b.dirty, &b.tree, &other, 1, 3), 0);
	ck_assert_int_eq(pack_index_remove(&b.dirty, &b.tree, &slot, 1), 0);
	ck_assert_int_eq(pack_find(&pager, &b.tree, other.page, &place), 0);
	ck_assert_uint_eq(place.pack, 2);
	ck_assert_int_eq(pack_index_remove(&b.dirty, &b.tree, &other, 1), 0);
	ck_assert_int_eq(pack_find(&pager, &b.tree, other.page, &place), 1);
	bed_abort(&b);
	bed_close(&b);
}
END_TEST

static Suite *pack_suite(void)
{
	Suite *suite = suite_create("pack");
	TCase *c = tcase_create("packs");

	rng = kit_seed();
	tcase_add_test(c, entries_come_back);
	tcase_add_test(c, hostile_packs_do_no_harm);
	tcase_add_test(c, the_index_is_what_was_put);
	tcase_add_test(c, only_the_very_place_is_removed);
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
