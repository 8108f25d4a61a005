/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3 in 256-bit vectors; hash.c calls it where the processor has them. */
#if defined(__x86_64__)
#define HASH_WIDTH  avx2
#define HASH_TARGET "avx2"
#define XXH_VECTOR  2 /* XXH_AVX2 */
#include "engine/hash_width.h"
#else
typedef int hash_avx2_is_empty; /* a translation unit may not be empty */
#endif
