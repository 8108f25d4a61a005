/* SPDX-License-Identifier: Apache-2.0 */
#include "damage.h"

#include "engine/hash.h"
#include "engine/page.h"
#include "internal/bytes.h"
#include "ipc_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Checksums ---- */

enum { RUN_DATA = 64, RUN_PIECE = 65536 };

static uint64_t file_seed(const uint8_t *bytes)
{
	return get_u64(bytes + 56);
}

static void slot_seal(uint8_t *bytes, unsigned i)
{
	uint8_t *slot = bytes + (PAGE_SLOT_0 + i) * PAGE_SIZE;
	struct hash128 sum = hash128(slot, PAGE_SIZE - 16, file_seed(bytes));

	put_u64(slot + PAGE_SIZE - 16, sum.low);
	put_u64(slot + PAGE_SIZE - 8, sum.high);
}

/* The record that says it comes after the one at page no; 0: none does. */
static uint64_t record_after(const uint8_t *bytes, uint64_t no, uint64_t size)
{
	for (uint64_t i = PAGE_FIRST; i < size >> PAGE_SHIFT; i++) {
		const uint8_t *page = bytes + i * PAGE_SIZE;

		if (i != no && page[22] == PAGE_RECORD && get_u48(page + 16) == i &&
		    get_u64(page + 72) == no)
			return i;
	}
	return 0;
}

/* A record, all that come after it, and the slots that name them. */
static void record_seal(uint8_t *bytes, uint64_t no, uint64_t size)
{
	for (unsigned chain = 0; no && chain < 1000; chain++) {
		uint8_t *record = bytes + no * PAGE_SIZE;
		uint32_t used = get_u32(record + 28), pages = get_u32(record + 24);
		struct hash128 sum;

		if (used < 48 || used > size - no * PAGE_SIZE)
			return;
		sum = hash128(record + 48, used - 48,
		              get_u64(record + 48) ^ ((uint64_t)pages << 32 | used));
		put_u64(record + 32, sum.low);
		put_u64(record + 40, sum.high);
		put_u64(record, hash64(record + 8, PAGE_SIZE - 8, file_seed(bytes)));
		for (unsigned i = 0; i < 2; i++) {
			uint8_t *slot = bytes + (PAGE_SLOT_0 + i) * PAGE_SIZE;

			if (get_u64(slot + 16) != no)
				continue;
			put_u64(slot + 32, sum.low);
			put_u64(slot + 40, sum.high);
			slot_seal(bytes, i);
		}
		no = record_after(bytes, no, size);
		if (no) {
			put_u64(bytes + no * PAGE_SIZE + 80, sum.low);
			put_u64(bytes + no * PAGE_SIZE + 88, sum.high);
		}
	}
}

static void run_seal(uint8_t *bytes, uint64_t no, uint64_t size)
{
	uint8_t *run = bytes + no * PAGE_SIZE, *trailer;
	uint64_t length = get_u64(run + 24), pieces = get_u32(run + 36), at;

	at = (RUN_DATA + length + 7) & ~(uint64_t)7;
	if (length > size || pieces > size || at + 8 * pieces > size - no * PAGE_SIZE)
		return;
	trailer = run + at;
	for (uint64_t i = 0; i < pieces && i * RUN_PIECE < length; i++) {
		uint64_t left = length - i * RUN_PIECE;

		put_u64(trailer + 8 * i,
		        hash64(run + RUN_DATA + i * RUN_PIECE, left < RUN_PIECE ? left : RUN_PIECE,
		               file_seed(bytes)));
	}
	put_u64(run, hash64(run + 8, 56, hash64(trailer, 8 * pieces, file_seed(bytes))));
}

void damage_seal(uint8_t *bytes, uint64_t no, uint64_t size)
{
	uint8_t *page = bytes + no * PAGE_SIZE;

	if (no == PAGE_SUPER)
		put_u64(page + PAGE_SIZE - 8, hash64(page, PAGE_SIZE - 8, 0));
	else if (no < PAGE_FIRST)
		slot_seal(bytes, (unsigned)no - PAGE_SLOT_0);
	else if (page[22] == PAGE_RUN)
		run_seal(bytes, no, size);
	else if (page[22] == PAGE_RECORD)
		record_seal(bytes, no, size);
	else
		put_u64(page, hash64(page + 8, PAGE_SIZE - 8, file_seed(bytes)));
}

/* ---- Which page is what ---- */

static bool node_is_sound(const uint8_t *bytes, uint64_t no)
{
	const uint8_t *page = bytes + no * PAGE_SIZE;

	return get_u64(page) == hash64(page + 8, PAGE_SIZE - 8, file_seed(bytes));
}

static bool run_is_sound(const uint8_t *bytes, uint64_t no, uint64_t size)
{
	const uint8_t *run = bytes + no * PAGE_SIZE;
	uint64_t at = (RUN_DATA + get_u64(run + 24) + 7) & ~(uint64_t)7, pieces = get_u32(run + 36);

	return at < size && at + 8 * pieces <= size - no * PAGE_SIZE &&
	       get_u64(run) == hash64(run + 8, 56, hash64(run + at, 8 * pieces, file_seed(bytes)));
}

/* Pages that begin at no, whatever it is. */
static uint64_t map_one(struct damage_map *map, const uint8_t *bytes, uint64_t no, uint64_t size)
{
	const uint8_t *page = bytes + no * PAGE_SIZE;
	unsigned kind = page[22];
	uint64_t n = 1;
	bool sound = get_u48(page + 16) == no;

	if (kind == PAGE_RUN) {
		sound = sound && run_is_sound(bytes, no, size);
		n = get_u32(page + 32);
	} else {
		sound = sound && kind >= PAGE_LEAF && kind <= PAGE_ROPE_LEAF &&
		        node_is_sound(bytes, no);
		n = kind == PAGE_RECORD ? get_u32(page + 24) : 1;
	}
	if (!sound || no + n > map->n)
		n = 1, kind = 0;
	for (uint64_t i = no; i < no + n; i++)
		map->pages[i] = (struct damage_page){
			.head = no, .birth = get_u64(page + 8), .kind = kind,
			.group = no < PAGE_FIRST ? 1 : !kind ? 0 : 2 + kind * 3 + (page[23] & 1) +
			         (i != no),
		};
	return n;
}

bool damage_names(const struct damage_map *map, const uint8_t *at, uint64_t *no)
{
	*no = get_u48(at + 8);
	return *no >= PAGE_FIRST && *no < map->n && map->pages[*no].kind &&
	       map->pages[*no].head == *no && map->pages[*no].birth == get_u64(at);
}

/*
 * What the newest state reaches: all that its record's trees and what hangs below them seem to name. A
 * page that was free long ago may still look as it did.
 */
static void map_reached(struct damage_map *map, const uint8_t *bytes)
{
	uint64_t *stack = calloc(map->n, sizeof *stack), n = 0, to;
	const uint8_t *slot = bytes + PAGE_SIZE, *record;

	ck_assert_ptr_nonnull(stack);
	if (get_u64(slot + PAGE_SIZE + 8) > get_u64(slot + 8))
		slot += PAGE_SIZE;
	to = get_u64(slot + 16);
	ck_assert_uint_lt(to, map->n);
	map->pages[to].reached = true;
	record = bytes + to * PAGE_SIZE;
	for (unsigned i = 0; i < 2; i++) {
		to = get_u64(record + 200 + 32 * i);
		if (to == 0) /* an empty tree */
			continue;
		ck_assert(to < map->n && map->pages[to].kind);
		map->pages[to].reached = true;
		stack[n++] = to;
	}
	while (n) {
		const uint8_t *page = bytes + stack[--n] * PAGE_SIZE;

		for (unsigned at = 24; at + 14 <= PAGE_SIZE && page[22] != PAGE_RUN; at++)
			if (damage_names(map, page + at, &to) && !map->pages[to].reached) {
				map->pages[to].reached = true;
				stack[n++] = to;
			}
	}
	free(stack);
	for (uint64_t no = 0; no < map->n; no++)
		map->pages[no].reached |= no < PAGE_FIRST || map->pages[map->pages[no].head].reached;
}

void damage_map_make(struct damage_map *map, const uint8_t *bytes, uint64_t size)
{
	bool seen[DAMAGE_GROUPS] = { false };

	while (size && !bytes[size - 1])
		size--;
	*map = (struct damage_map){ .n = (size + PAGE_SIZE - 1) >> PAGE_SHIFT };
	map->pages = calloc(map->n, sizeof *map->pages);
	ck_assert_ptr_nonnull(map->pages);
	for (uint64_t no = 0; no < map->n;)
		no += map_one(map, bytes, no, size);
	map_reached(map, bytes);
	for (uint64_t no = 0; no < map->n; no++) {
		struct damage_page *page = &map->pages[no];

		page->group = page->reached ? page->group : 0;
		seen[page->group] = true;
	}
	for (unsigned i = 0; i < DAMAGE_GROUPS; i++)
		if (seen[i])
			map->groups[map->n_groups++] = i;
}

void damage_map_free(struct damage_map *map)
{
	free(map->pages);
}

uint64_t damage_pick(const struct damage_map *map, uint64_t *random)
{
	unsigned group = map->groups[kit_random(random) % map->n_groups];
	uint64_t no = kit_random(random) % map->n;

	/* some of them as they lie */
	if (kit_random(random) % 8)
		while (map->pages[no].group != group)
			no = no + 1 < map->n ? no + 1 : 0;
	return no;
}

/* One of the same kind as another, if luck has it. */
static uint64_t pick_like(const struct damage_map *map, uint64_t like, uint64_t *random)
{
	uint64_t no = 0;

	for (unsigned i = 0; i < 200; i++) {
		no = damage_pick(map, random);
		if (no != like && map->pages[no].kind && map->pages[no].head == no &&
		    (map->pages[no].kind == map->pages[like].kind || i > 100))
			break;
	}
	return no;
}

/* ---- Damage ---- */

uint64_t damage_nasty(uint64_t r, uint64_t was)
{
	switch (r % 8) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return was + 1;
	case 3: return was - 1;
	case 4: return (uint64_t)1 << (r >> 8) % 64;
	case 5: return was ^ (uint64_t)1 << (r >> 8) % 64;
	case 6: return r >> 8 & 0xfff;
	default: return r;
	}
}

void damage_field(uint8_t *bytes, uint64_t no, uint64_t *random, char *text, size_t n)
{
	uint64_t r = kit_random(random), width = 1 + r % 8, was = 0, is;
	uint64_t at = no * PAGE_SIZE + (r >> 8 & 1 ? (r >> 16) % 300 : (r >> 16) % (PAGE_SIZE - 8));

	memcpy(&was, bytes + at, width);
	is = damage_nasty(kit_random(random), was);
	memcpy(bytes + at, &is, width);
	snprintf(text, n, "changing %" PRIu64 " bytes at page %" PRIu64 " + %" PRIu64 " to 0x%" PRIx64,
	         width, no, at % PAGE_SIZE, is);
}

static void flip_bit(uint8_t *bytes, uint64_t no, uint64_t *random, char *text, size_t n)
{
	uint64_t bit = kit_random(random) % (8 * PAGE_SIZE);

	bytes[no * PAGE_SIZE + bit / 8] ^= (uint8_t)(1 << bit % 8);
	snprintf(text, n, "flipping bit %u of byte %u of page %" PRIu64, (unsigned)bit % 8,
	         (unsigned)bit / 8, no);
}

static void scramble(uint8_t *bytes, uint64_t no, uint64_t from, uint64_t *random, char *text,
                     size_t n)
{
	uint64_t at = from + kit_random(random) % (PAGE_SIZE - from), len;

	len = 1 + kit_random(random) % (PAGE_SIZE - at);
	if (kit_random(random) % 2)
		len = 1 + len % 16;
	for (uint64_t i = at; i < at + len && i < PAGE_SIZE; i++)
		bytes[no * PAGE_SIZE + i] = (uint8_t)kit_random(random);
	snprintf(text, n, "random bytes in page %" PRIu64 ", %" PRIu64 " from %" PRIu64 " on", no, len,
	         at);
}

/* good: it says that it is the page whose place it took, or it would be known at once. */
static void copy_over(const struct damage_map *map, uint8_t *bytes, uint64_t no, bool good,
                      uint64_t *random, char *text, size_t n)
{
	uint64_t from = pick_like(map, no, random);
	uint8_t *page = bytes + no * PAGE_SIZE, was[PAGE_SIZE];

	memcpy(was, page, PAGE_SIZE);
	memcpy(page, bytes + from * PAGE_SIZE, PAGE_SIZE);
	if (good && no >= PAGE_FIRST)
		memcpy(page + 8, was + 8, 14);
	if (good && no >= PAGE_FIRST && kit_random(random) % 2)
		page[23] = was[23];
	snprintf(text, n, "page %" PRIu64 " over page %" PRIu64, from, no);
}

/* A pointer in a page leads to another page: trees in circles, pages with too many parents. */
static bool lead_astray(const struct damage_map *map, uint8_t *bytes, uint64_t no, uint64_t *random,
                        char *text, size_t n)
{
	uint8_t *page = bytes + no * PAGE_SIZE;
	unsigned found[400], n_found = 0;

	for (unsigned at = 24; at + 14 <= PAGE_SIZE && n_found < 400; at++) {
		uint64_t to;

		if (damage_names(map, page + at, &to))
			found[n_found++] = at;
	}
	if (!n_found)
		return false;
	unsigned at = found[kit_random(random) % n_found];
	uint64_t was = get_u48(page + at + 8);
	uint64_t to = kit_random(random) % 4 ? pick_like(map, was, random) : no;
	put_u64(page + at, map->pages[to].birth);
	put_u48(page + at + 8, to);
	snprintf(text, n, "the pointer at page %" PRIu64 " + %u leads to page %" PRIu64 ", not %" PRIu64,
	         no, at, to, was);
	return true;
}

uint64_t damage_some(const struct damage_map *map, uint8_t *bytes, uint64_t size, bool good,
                     uint64_t *random, char *text, size_t n)
{
	uint64_t no = damage_pick(map, random);

	switch (kit_random(random) % (good ? 12 : 9)) {
	case 0:
	case 1:
		flip_bit(bytes, no, random, text, n);
		break;
	case 2:
	case 3:
		scramble(bytes, no, good && no >= PAGE_FIRST ? 24 : 0, random, text, n);
		break;
	case 4:
		copy_over(map, bytes, no, good, random, text, n);
		break;
	case 5:
		if (good) {
			scramble(bytes, no, 0, random, text, n);
			break;
		}
		size = kit_random(random) % (map->n * PAGE_SIZE);
		size = kit_random(random) % 2 ? size & ~(uint64_t)(PAGE_SIZE - 1) : size;
		snprintf(text, n, "cutting it off at %" PRIu64, size);
		return size;
	case 6:
	case 7:
	case 8:
		damage_field(bytes, no, random, text, n);
		break;
	default:
		for (unsigned i = 0; !lead_astray(map, bytes, no, random, text, n) && i < 50; i++)
			no = damage_pick(map, random);
	}
	if (good)
		damage_seal(bytes, map->pages[no].head, size);
	return size;
}
