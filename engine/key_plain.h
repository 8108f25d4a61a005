/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain bytes are those that a key holds as they are: no 00, and of a string only ASCII, so that
 * its UTF-8 need not be looked at. Most keys are plain throughout; words of eight bytes tell it at
 * once.
 */
#ifndef DURAMEN_ENGINE_KEY_PLAIN_H
#define DURAMEN_ENGINE_KEY_PLAIN_H

#include "include/internal/bytes.h"

#include <stdbool.h>

/* The high bit of some byte is set if a byte of w is not plain (its other bits tell nothing). */
static inline uint64_t key_odd_word(uint64_t w, bool text)
{
	uint64_t borrowed = w - 0x0101010101010101u; /* into the high bit, from a byte that is 0 */
	return text ? w | borrowed : borrowed & ~w;
}

/* Whether all n bytes are plain. They are copied to `to` as well, unless it is NULL. */
static inline bool key_copy_plain(uint8_t *to, const uint8_t *from, size_t n, bool text)
{
	uint64_t odd = 0, w;

	if (n < 4) {
		bool plain = true;
		for (size_t i = 0; i < n; i++) {
			plain &= from[i] != 0 && (!text || from[i] < 0x80);
			if (to)
				to[i] = from[i];
		}
		return plain;
	}
	if (n < 8) {
		uint32_t low = get_u32(from), high = get_u32(from + n - 4);
		if (to) {
			put_u32(to, low);
			put_u32(to + n - 4, high);
		}
		return !(key_odd_word(low | (uint64_t)high << 32, text) & 0x8080808080808080u);
	}
	for (size_t i = 0; i < n - 8; i += 8) {
		w = get_u64(from + i);
		odd |= key_odd_word(w, text);
		if (to)
			put_u64(to + i, w);
	}
	w = get_u64(from + n - 8);
	odd |= key_odd_word(w, text);
	if (to)
		put_u64(to + n - 8, w);
	return !(odd & 0x8080808080808080u);
}

#endif
