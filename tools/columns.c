/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wcwidth() knows the characters of the locale only, and a command is often run without one; these
 * are the blocks of Unicode 15 that matter, wide ones (Unicode Standard Annex 11) as a whole.
 */
#include "columns.h"

#include <stdint.h>

struct range {
	uint32_t first, last;
};

static const struct range wide[] = {
	{ 0x1100, 0x115f },   { 0x2e80, 0x303e },   { 0x3041, 0x4dbf },   { 0x4e00, 0xa4cf },
	{ 0xa960, 0xa97c },   { 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },   { 0xfe30, 0xfe6f },
	{ 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },   { 0x16fe0, 0x18cff }, { 0x1aff0, 0x1b2ff },
	{ 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff }, { 0x1f900, 0x1faff }, { 0x20000, 0x3fffd },
};
static const struct range narrow[] = {
	{ 0x300, 0x36f },   { 0x483, 0x489 },   { 0x591, 0x5bd },   { 0x610, 0x61a },
	{ 0x64b, 0x65f },   { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff }, { 0x200b, 0x200f },
	{ 0x202a, 0x202e }, { 0x2060, 0x206f }, { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f },
	{ 0xfe20, 0xfe2f }, { 0xfeff, 0xfeff }, { 0xe0000, 0xe01ef },
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static int is_in(const struct range *table, size_t n, uint32_t c)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (c > table[middle].last)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && c >= table[low].first;
}

static unsigned width_of(uint32_t c)
{
	if (c < 0x300)
		return 1;
	return is_in(narrow, COUNT(narrow), c) ? 0 : is_in(wide, COUNT(wide), c) ? 2 : 1;
}

/* The character at *text, behind which it goes; a byte that begins none stands for itself. */
static uint32_t next(const unsigned char **text)
{
	const unsigned char *s = *text;
	uint32_t c = *s++;
	int more = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

	c &= more > 0 ? 0x3fu >> more : 0xff;
	for (; more > 0 && (*s & 0xc0) == 0x80; more--)
		c = c << 6 | (*s++ & 0x3f);
	*text = s;
	return c;
}

size_t columns_fit(const char *text, unsigned most, unsigned *columns)
{
	const unsigned char *s = (const unsigned char *)text, *end = s;

	*columns = 0;
	while (*s != '\0') {
		unsigned width = width_of(next(&s));
		if (*columns + width > most)
			break;
		*columns += width;
		end = s;
	}
	return (size_t)(end - (const unsigned char *)text);
}
