/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bodies of hash.c's functions, for the files that compile them once per vector width. The
 * includer defines HASH_WIDTH, and has told the compiler which instructions it may use. The
 * attribute must reach every function of xxhash but none of the C library's, so those headers come
 * first.
 */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "engine/hash.h"

#define HASH_PRAGMA(text) _Pragma(#text)
#if defined(HASH_TARGET) && defined(__clang__)
#pragma clang attribute push(__attribute__((target(HASH_TARGET))), apply_to = function)
#elif defined(HASH_TARGET)
#define HASH_PRAGMA_TARGET(target_string) HASH_PRAGMA(GCC target(target_string))
#pragma GCC push_options
HASH_PRAGMA_TARGET(HASH_TARGET)
#endif

#define XXH_INLINE_ALL
#include <xxhash.h>

#define HASH_JOIN2(a, b) a##b
#define HASH_JOIN(a, b)  HASH_JOIN2(a, b)

uint64_t HASH_JOIN(hash64_, HASH_WIDTH)(const void *data, size_t len, uint64_t seed);
struct hash128 HASH_JOIN(hash128_, HASH_WIDTH)(const void *data, size_t len, uint64_t seed);

/*
 * gcc forgets this where the target comes from a pragma. Registers whose upper halves were left in use
 * make all SSE code of the thread slow from then on: puts took 560 ns instead of 140.
 */
static inline void hash_leave_vectors(void)
{
#if defined(HASH_TARGET)
	_mm256_zeroupper();
#endif
}

uint64_t HASH_JOIN(hash64_, HASH_WIDTH)(const void *data, size_t len, uint64_t seed)
{
	uint64_t h = XXH3_64bits_withSeed(data, len, seed);
	hash_leave_vectors();
	return h;
}

struct hash128 HASH_JOIN(hash128_, HASH_WIDTH)(const void *data, size_t len, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(data, len, seed);
	hash_leave_vectors();
	return (struct hash128){ .low = h.low64, .high = h.high64 };
}

#if defined(HASH_TARGET) && defined(__clang__)
#pragma clang attribute pop
#elif defined(HASH_TARGET)
#pragma GCC pop_options
#endif
