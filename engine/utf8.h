/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 as the Unicode standard defines it: shortest forms only, no surrogates, nothing above
 * U+10FFFF. Strings are checked once, on their way in; what is stored is known to be text.
 */
#ifndef DURAMEN_ENGINE_UTF8_H
#define DURAMEN_ENGINE_UTF8_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "include/internal/bytes.h"

/* How many bytes at the start of text are whole, valid characters: len itself if all of it is. */
size_t utf8_valid(const void *text, size_t len);

/* Copies text; false: it is not valid. */
static inline bool utf8_copy(uint8_t *to, const uint8_t *text, size_t len)
{
	uint64_t all = 0, w;

	if (len < 8) {
		for (size_t i = 0; i < len; i++)
			all |= to[i] = text[i];
		return all < 0x80 || utf8_valid(text, len) == len;
	}
	for (size_t i = 0; i < len - 8; i += 8) {
		w = get_u64(text + i);
		all |= w;
		put_u64(to + i, w);
	}
	w = get_u64(text + len - 8);
	all |= w;
	put_u64(to + len - 8, w);
	return !(all & 0x8080808080808080u) || utf8_valid(text, len) == len;
}

/* The character at *at, which goes on to the next one. The text must be valid. */
uint32_t utf8_next(const char **at);

#endif
