/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes of a page are taken, a bit each: for checks that nothing in it overlaps. */
#ifndef DURAMEN_ENGINE_APART_H
#define DURAMEN_ENGINE_APART_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/page.h"

struct apart {
	uint64_t used[PAGE_SIZE / 64];
};

/* Takes [begin, begin + size), which lies in the page, at least a byte. false: some of it was taken. */
static inline bool apart_take(struct apart *apart, unsigned begin, unsigned size)
{
	unsigned end = begin + size - 1;
	uint64_t *at = &apart->used[begin / 64], *last = &apart->used[end / 64];
	uint64_t bits = UINT64_MAX << begin % 64, any = 0;

	for (; at < last; at++) {
		any |= *at & bits;
		*at |= bits;
		bits = UINT64_MAX;
	}
	bits &= UINT64_MAX >> (63 - end % 64);
	any |= *at & bits;
	*at |= bits;
	return !any;
}

#endif
