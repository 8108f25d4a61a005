/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Picks the vector width. This file itself compiles the baseline (SSE2 on x86-64, NEON on arm64).
 * The choice is a load and a bit test of what the compiler's runtime found out before main(): no
 * state here.
 */
#include "engine/hash.h"

#define HASH_WIDTH baseline
#include "engine/hash_width.h"

#if defined(__x86_64__)
uint64_t hash64_avx2(const void *data, size_t len, uint64_t seed);
uint64_t hash64_avx512(const void *data, size_t len, uint64_t seed);
struct hash128 hash128_avx2(const void *data, size_t len, uint64_t seed);
struct hash128 hash128_avx512(const void *data, size_t len, uint64_t seed);
#endif

uint64_t hash64(const void *data, size_t len, uint64_t seed)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f"))
		return hash64_avx512(data, len, seed);
	if (__builtin_cpu_supports("avx2"))
		return hash64_avx2(data, len, seed);
#endif
	return hash64_baseline(data, len, seed);
}

struct hash128 hash128(const void *data, size_t len, uint64_t seed)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f"))
		return hash128_avx512(data, len, seed);
	if (__builtin_cpu_supports("avx2"))
		return hash128_avx2(data, len, seed);
#endif
	return hash128_baseline(data, len, seed);
}
