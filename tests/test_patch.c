/* SPDX-License-Identifier: Apache-2.0 */
/* Patches: what they make is the page, they are as short as they say, and garbage is refused. */
#include "engine/patch.h"

#include <check.h>
#include <stdbool.h>
#include <string.h>

#include "tests/ipc_kit.h"

static uint64_t rng;
static uint8_t page[PAGE_SIZE], base[PAGE_SIZE], made[PAGE_SIZE], patch[2 * PAGE_SIZE];

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

static void fill(uint8_t *bytes)
{
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		bytes[i] = (uint8_t)below(256);
}

/* Changes some ranges of the page; they may overlap and touch its edges. */
static void scribble(unsigned ranges, unsigned longest)
{
	for (unsigned r = 0; r < ranges; r++) {
		unsigned len = 1 + (unsigned)below(longest), at = (unsigned)below(PAGE_SIZE);
		for (unsigned i = at; i < at + len && i < PAGE_SIZE; i++)
			page[i] = (uint8_t)below(256);
	}
}

static void expect_page(const uint8_t *bytes, size_t len)
{
	memcpy(made, base, PAGE_SIZE);
	ck_assert_int_eq(patch_apply(made, bytes, len), 0);
	ck_assert(memcmp(made + PATCH_FROM, page + PATCH_FROM, PAGE_SIZE - PATCH_FROM) == 0);
	ck_assert(memcmp(made, base, PATCH_FROM) == 0);
}

START_TEST(the_page_comes_back)
{
	for (unsigned round = 0; round < kit_rounds(3000); round++) {
		static const unsigned many[] = { 1, 3, 20, 400 };
		fill(base);
		memcpy(page, base, PAGE_SIZE);
		scribble((unsigned)below(many[below(4)] + 1), 1 + (unsigned)below(300));
		size_t len = patch_make(page, base, patch, sizeof patch);
		ck_assert_uint_le(len, sizeof patch);
		expect_page(patch, len);
		/* exactly so much room is enough, less is not */
		uint8_t tight[2 * PAGE_SIZE];
		ck_assert_uint_eq(patch_make(page, base, tight, len), len);
		if (len)
			ck_assert_uint_eq(patch_make(page, base, tight, len - 1), SIZE_MAX);
	}
}
END_TEST

START_TEST(a_replaced_value_costs_little_more_than_itself)
{
	fill(base);
	memcpy(page, base, PAGE_SIZE);
	for (unsigned i = 0; i < 100; i++)
		page[2000 + i] ^= 0xff;
	page[100] ^= 1;
	ck_assert_uint_le(patch_make(page, base, patch, sizeof patch), 100 + 1 + 5);
	memset(page, 0, PATCH_FROM);
	memcpy(page + PATCH_FROM, base + PATCH_FROM, PAGE_SIZE - PATCH_FROM);
	ck_assert_uint_eq(patch_make(page, base, patch, 0), 0); /* what takes no part */
}
END_TEST

START_TEST(edges)
{
	fill(base);
	memcpy(page, base, PAGE_SIZE);
	page[PATCH_FROM] ^= 1;
	page[PAGE_SIZE - 1] ^= 1;
	size_t len = patch_make(page, base, patch, sizeof patch);
	ck_assert_uint_eq(len, 3 + 4);
	expect_page(patch, len);
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		page[i] = (uint8_t)~base[i];
	len = patch_make(page, base, patch, sizeof patch);
	ck_assert_uint_eq(len, 3 + PAGE_SIZE - PATCH_FROM);
	expect_page(patch, len);
}
END_TEST

/* Cut off anywhere, flipped anywhere, or nothing but noise: refused or some page, never beyond one. */
START_TEST(garbage_does_no_harm)
{
	struct {
		uint8_t before[64], page[PAGE_SIZE], after[64];
	} guarded;
	uint8_t fence[64];
	unsigned refused = 0;
	bool harmed = false;

	memset(fence, 0x55, sizeof fence);
	for (unsigned round = 0; round < kit_rounds(30000); round++) {
		size_t len = below(200);
		if (below(2)) {
			for (size_t i = 0; i < len; i++)
				patch[i] = (uint8_t)below(below(2) ? 256 : 16);
		} else {
			memcpy(page, base, PAGE_SIZE);
			scribble(4, 20);
			len = patch_make(page, base, patch, sizeof patch);
			len = len ? below(len) : 0;
			if (len)
				patch[below(len)] ^= (uint8_t)(1 << below(8));
		}
		memset(&guarded, 0x55, sizeof guarded);
		/* a copy that ends where it ends: a read behind it is noticed by the sanitizers */
		uint8_t copy[2 * PAGE_SIZE], *end = copy + sizeof copy - len;
		memcpy(end, patch, len);
		refused += patch_apply(guarded.page, end, len) != 0;
		harmed |= memcmp(guarded.before, fence, 64) != 0 || memcmp(guarded.after, fence, 64) != 0;
	}
	ck_assert(!harmed);
	ck_assert_uint_gt(refused, 100);
	static const uint8_t empty_range[] = { 0, 0 }, too_far[] = { 0xff, 0xff, 0x03, 1, 1 };
	ck_assert_int_eq(patch_apply(made, empty_range, sizeof empty_range), 1);
	ck_assert_int_eq(patch_apply(made, too_far, sizeof too_far), 1);
}
END_TEST

static Suite *patch_suite(void)
{
	Suite *suite = suite_create("patch");
	TCase *c = tcase_create("patches");

	rng = kit_seed();
	tcase_add_test(c, the_page_comes_back);
	tcase_add_test(c, a_replaced_value_costs_little_more_than_itself);
	tcase_add_test(c, edges);
	tcase_add_test(c, garbage_does_no_harm);
	tcase_set_timeout(c, 120);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(patch_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
