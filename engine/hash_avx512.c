/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3 in 512-bit vectors; hash.c calls it where the processor has them. */
#if defined(__x86_64__)
#define HASH_WIDTH  avx512
#define HASH_TARGET "avx512f"
#define XXH_VECTOR  3 /* XXH_AVX512 */
#include "engine/hash_width.h"
#else
typedef int hash_avx512_is_empty; /* a translation unit may not be empty */
#endif
