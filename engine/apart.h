/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of a page are taken, a bit each: for checks that nothing in it overlaps. */
#ifndef DURAMEN_ENGINE_APART_H
#define DURAMEN_ENGINE_APART_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/page.h"

struct apart {
	uint64_t used[PAGE_SIZE / 64 + 1];      /* one more, to look at two words at any place */
};

/* Takes [begin, begin + size), which lies in the page. false: some of it was taken. */
static inline bool apart_take(struct apart *apart, unsigned begin, unsigned size)
{
	uint64_t any = 0;

	while (size > 0) {
		unsigned shift = begin % 64, n = size < 64 ? size : 64;
		uint64_t bits = n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
		uint64_t *at = &apart->used[begin / 64];
		uint64_t high = shift ? bits >> (64 - shift) : 0;
		any |= (at[0] & bits << shift) | (at[1] & high);
		at[0] |= bits << shift;
		at[1] |= high;
		begin += n;
		size -= n;
	}
	return !any;
}

#endif
