/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of RFC 3629, section 4: the first byte settles the length and the range of the second.
 */
#include "utf8.h"

static bool between(char c, unsigned low, unsigned high)
{
	unsigned u = (unsigned char)c;
	return u >= low && u <= high;
}

size_t utf8_char(const char *s, size_t n)
{
	unsigned c = (unsigned char)s[0];
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return n >= 2 && between(s[1], 0x80, 0xbf) ? 2 : 0;
	if (c >= 0xe0 && c <= 0xef) {
		unsigned low = c == 0xe0 ? 0xa0 : 0x80, high = c == 0xed ? 0x9f : 0xbf;
		return n >= 3 && between(s[1], low, high) && between(s[2], 0x80, 0xbf) ? 3 : 0;
	}
	if (c >= 0xf0 && c <= 0xf4) {
		unsigned low = c == 0xf0 ? 0x90 : 0x80, high = c == 0xf4 ? 0x8f : 0xbf;
		return n >= 4 && between(s[1], low, high) && between(s[2], 0x80, 0xbf) &&
		                       between(s[3], 0x80, 0xbf)
		               ? 4
		               : 0;
	}
	return 0;
}

bool utf8_valid(const char *s, size_t n)
{
	for (size_t i = 0, len; i < n; i += len) {
		len = utf8_char(s + i, n - i);
		if (len == 0)
			return false;
	}
	return true;
}

size_t utf8_write(char *s, uint32_t code)
{
	if (code < 0x80) {
		s[0] = (char)code;
		return 1;
	}
	size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = len - 1; i > 0; i--, code >>= 6)
		s[i] = (char)(0x80 | (code & 0x3f));
	s[0] = (char)((0xf00u >> len & 0xf0) | code);
	return len;
}

size_t utf8_count(const char *s, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; count++) {
		size_t len = utf8_char(s + i, n - i);
		i += len != 0 ? len : 1;
	}
	return count;
}
