/* SPDX-License-Identifier: Apache-2.0 */
/* Making compares eight bytes at a time: nearly all of two versions of a page is equal. */
#include "engine/patch.h"

#include "internal/bytes.h"

/* The first byte from `at` on that differs; PAGE_SIZE: none. */
static unsigned differ_from(const uint8_t *page, const uint8_t *base, unsigned at)
{
	for (; at + 8 <= PAGE_SIZE; at += 8) {
		uint64_t differ = get_u64(page + at) ^ get_u64(base + at);
		if (differ)
			return at + (unsigned)__builtin_ctzll(differ) / 8;
	}
	while (at < PAGE_SIZE && page[at] == base[at])
		at++;
	return at;
}

/* The end of the range that begins at `at`: what follows is equal for longer than the gap. */
static unsigned range_end(const uint8_t *page, const uint8_t *base, unsigned at)
{
	unsigned end = at + 1;

	for (unsigned i = end; i < PAGE_SIZE && i - end <= PATCH_GAP; i++)
		if (page[i] != base[i])
			end = i + 1;
	return end;
}

size_t patch_make(const uint8_t *page, const uint8_t *base, uint8_t *to, size_t cap)
{
	const uint8_t *start = to;
	unsigned last = PATCH_FROM, at = differ_from(page, base, PATCH_FROM), end;

	for (; at < PAGE_SIZE; at = differ_from(page, base, end)) {
		uint8_t head[6], *head_end;

		end = range_end(page, base, at);
		head_end = put_varint(put_varint(head, at - last), end - at);
		if ((size_t)(head_end - head) + (end - at) > cap - (size_t)(to - start))
			return SIZE_MAX;
		memcpy(to, head, (size_t)(head_end - head));
		to += head_end - head;
		memcpy(to, page + at, end - at);
		to += end - at;
		last = end;
	}
	return (size_t)(to - start);
}

int patch_apply(uint8_t *page, const uint8_t *patch, size_t len)
{
	const uint8_t *end = patch + len;
	uint64_t at = PATCH_FROM, skip, n;

	while (patch < end) {
		patch = get_varint(patch, end, &skip);
		patch = patch ? get_varint(patch, end, &n) : NULL;
		if (!patch || n == 0 || skip > PAGE_SIZE - at || n > PAGE_SIZE - at - skip ||
		    n > (size_t)(end - patch))
			return 1;
		at += skip;
		memcpy(page + at, patch, n);
		at += n;
		patch += n;
	}
	return 0;
}
