/* SPDX-License-Identifier: Apache-2.0 */
/* Every vector width gives what the packaged library gives: the format depends on it. */
#include "engine/hash.h"

#include <check.h>
#include <stdlib.h>
#include <xxhash.h>

#include "tests/ipc_kit.h"

#if defined(__x86_64__)
uint64_t hash64_avx2(const void *data, size_t len, uint64_t seed);
uint64_t hash64_avx512(const void *data, size_t len, uint64_t seed);
struct hash128 hash128_avx2(const void *data, size_t len, uint64_t seed);
struct hash128 hash128_avx512(const void *data, size_t len, uint64_t seed);
#endif
uint64_t hash64_baseline(const void *data, size_t len, uint64_t seed);
struct hash128 hash128_baseline(const void *data, size_t len, uint64_t seed);

struct width {
	uint64_t (*hash64)(const void *data, size_t len, uint64_t seed);
	struct hash128 (*hash128)(const void *data, size_t len, uint64_t seed);
};

static void expect_same(const struct width *w, const uint8_t *bytes, size_t len, uint64_t seed)
{
	XXH128_hash_t wide = XXH3_128bits_withSeed(bytes, len, seed);
	struct hash128 found = w->hash128(bytes, len, seed);
	ck_assert_uint_eq(w->hash64(bytes, len, seed), XXH3_64bits_withSeed(bytes, len, seed));
	ck_assert_uint_eq(found.low, wide.low64);
	ck_assert_uint_eq(found.high, wide.high64);
}

START_TEST(all_widths_agree_with_the_library)
{
	struct width widths[4] = { { hash64, hash128 }, { hash64_baseline, hash128_baseline } };
	unsigned n = 2;
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		widths[n++] = (struct width){ hash64_avx2, hash128_avx2 };
	if (__builtin_cpu_supports("avx512f"))
		widths[n++] = (struct width){ hash64_avx512, hash128_avx512 };
#endif
	enum { MOST = 70000 };
	uint64_t random = kit_seed();
	uint8_t *bytes = malloc(MOST + 8);
	ck_assert(bytes);
	for (unsigned i = 0; i < MOST + 8; i++)
		bytes[i] = (uint8_t)kit_random(&random);
	for (size_t len = 0; len < MOST; len += len < 600 ? 1 : 1 + kit_random(&random) % 1500) {
		uint64_t seed = len % 3 ? kit_random(&random) : 0;
		for (unsigned i = 0; i < n; i++)
			expect_same(&widths[i], bytes + len % 8, len, seed);
	}
	free(bytes);
}
END_TEST

/* A value that will not change: pages on disk have it. */
START_TEST(the_checksum_of_a_known_text_stays)
{
	struct hash128 wide = hash128("duramen", 7, 1);
	ck_assert_uint_eq(hash64("duramen", 7, 1), 0x13a4040cc2523fe2);
	ck_assert_uint_eq(wide.low, 0x742ef71a42fe6234);
	ck_assert_uint_eq(wide.high, 0x1e6ab03045fb4c04);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hash");
	TCase *c = tcase_create("hash");
	tcase_add_test(c, all_widths_agree_with_the_library);
	tcase_add_test(c, the_checksum_of_a_known_text_stays);
	suite_add_tcase(suite, c);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
