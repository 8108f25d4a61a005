/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of ASCII go by in words of eight bytes; any other character is looked at byte by byte. */
#include "engine/utf8.h"

#include "include/internal/bytes.h"

static const uint64_t HIGH_BITS = 0x8080808080808080u;

/* Bytes of the character that starts with a non-ASCII byte at p, or 0 if it is not one. */
static size_t character_bytes(const uint8_t *p, size_t left)
{
	uint8_t lowest = 0x80,
		highest = 0xbf; /* of the second byte: it excludes long forms and surrogates */
	size_t n;

	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2;
	} else if ((p[0] & 0xf0) == 0xe0) {
		n = 3;
		if (p[0] == 0xe0)
			lowest = 0xa0;
		else if (p[0] == 0xed)
			highest = 0x9f;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4;
		if (p[0] == 0xf0)
			lowest = 0x90;
		else if (p[0] == 0xf4)
			highest = 0x8f;
	} else {
		return 0;
	}
	if (left < n || p[1] < lowest || p[1] > highest)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

size_t utf8_valid(const void *text, size_t len)
{
	const uint8_t *p = text;
	size_t i = 0, n;

	while (i < len) {
		while (len - i >= 32 && !((get_u64(p + i) | get_u64(p + i + 8) |
		                           get_u64(p + i + 16) | get_u64(p + i + 24)) &
		                          HIGH_BITS))
			i += 32;
		while (len - i >= 8 && !(get_u64(p + i) & HIGH_BITS))
			i += 8;
		while (i < len && p[i] < 0x80)
			i++;
		while (i < len && p[i] >= 0x80) {
			n = character_bytes(p + i, len - i);
			if (n == 0)
				return i;
			i += n;
		}
	}
	return len;
}

uint32_t utf8_next(const char **at)
{
	const uint8_t *p = (const uint8_t *)*at;
	unsigned more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
	uint32_t c = more == 0 ? p[0] : p[0] & (0x3fu >> more);

	for (unsigned i = 1; i <= more; i++)
		c = c << 6 | (p[i] & 0x3fu);
	*at += more + 1;
	return c;
}
