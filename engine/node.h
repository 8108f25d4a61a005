/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One leaf or branch of a keyed tree: how its entries lie in a page, how they are found and
 * changed.
 *
 * LAYOUT (P: prefix length, n, C: capacity, all from the page header, see page.h)
 *        OFFSET   SIZE  MEANING
 *             0     40  page header
 *            40     4C  heads: u32 each, the first 4 bytes of each key after the node's prefix as a
 *                       big-endian number, padded with zeros; ascending; n are used
 *       40 + 4C     2C  offsets: u16 each, where the entry of the same index begins; n are used
 *       40 + 6C      .  free space
 *          heap      .  entries in any order, and holes; grows down
 *      4096 - P      P  prefix: the bytes that all keys of the node begin with
 *
 * ENTRY OF A LEAF
 *           1-2         s: length of the key's suffix, what follows the prefix
 *           1-2         c: length of the cell
 *    max(s-4,0)         the suffix beyond its first 4 bytes (those are the head)
 *             c         the cell
 *
 * ENTRY OF A BRANCH
 *           1-2         s: length of the separator's suffix
 *             8         child: birth
 *             6         child: page number
 *             6         child: bits 0..46 entries below it, bit 47 "cells below may name pages"
 *    max(s-4,0)         the suffix beyond its first 4 bytes
 *
 * Lengths below 128 take one byte; others two, 0x80 | length >> 8 and length & 255.
 *
 * A child holds the keys from its own separator up to, not including, the next. Entry 0 of a branch
 * has no separator (s = 0, head 0) and stands for everything below entry 1. Separators are cut to
 * what tells the neighbours apart, so they need not be keys.
 *
 * Rules, all verified by node_check() when a page is first met, and kept by everything here:
 *  - keys ascend strictly; entries lie inside the heap and do not overlap; live bytes + holes =
 *    heap;
 *  - a prefix is shared by the keys that are there. It is chosen from the separators around the
 *    node, so that inserts seldom meet a node whose prefix they lack; but no reader relies on that:
 *    every search compares the prefix too. So neighbours may be dropped without touching the nodes
 *    beside them;
 *  - bytes that are not used are zero: equal contents after equal histories make equal pages;
 *  - a leaf never moves bytes: a cell of the same length is overwritten in place, another is
 *    appended and leaves a hole, a removed entry leaves a hole. The node is rewritten only when the
 *    space between offsets and heap is too short. Patches between versions stay small that way.
 */
#ifndef DURAMEN_ENGINE_NODE_H
#define DURAMEN_ENGINE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/page.h"
#include "engine/tree.h"
#include "internal/bytes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

enum {
	NODE_SLOT = 6,                          /* a head and an offset */
	NODE_CHILD = 20,                        /* a child in a branch's entry */
	NODE_ROOM = PAGE_SIZE - PAGE_HEADER,
	NODE_MAX = NODE_ROOM / (NODE_SLOT + 3), /* entries: a leaf's take 3 bytes at least */
	NODE_THIRD = PAGE_SIZE / 3,             /* a node that uses less is underfull */
};

#define NODE_RUNS      ((uint64_t)1 << 47)
#define NODE_COUNT_MAX (NODE_RUNS - 1)

/* Pages are bytes; these see them as arrays. */
typedef uint32_t __attribute__((may_alias)) node_head_t;
typedef uint16_t __attribute__((may_alias)) node_offset_t;

/* A page as it was before it is written anew. */
union node_copy {
	struct page page;
	uint8_t bytes[PAGE_SIZE];
};

struct node_child {
	struct page_ptr ptr;
	uint64_t count;                 /* entries below it, at least 1 */
	bool runs;                      /* some cell below it may name pages */
};

struct node_entry {
	uint32_t head;
	uint32_t suffix_len;
	const uint8_t *rest;            /* the suffix beyond 4 bytes: max(suffix_len - 4, 0) of them */
	const uint8_t *data;            /* leaf: the cell. Branch: the child's 20 bytes */
	uint32_t data_len;
	uint32_t size;                  /* bytes in the heap */
};

/*
 * Verifies all that this module and the tree rely on within a page (kind, level, bounds, lengths,
 * order, overlaps, accounting), so that nothing checks bounds later; pages of positional trees
 * (seq_page.h) too. 0, or DUR_E_CORRUPT with *why:
 * a text without page number. Cost: some ns an entry.
 */
int node_check(const struct page *page, const char **why);

/* ---- Looking inside ---- */

static inline const uint8_t *node_bytes(const struct page *p)
{
	return (const uint8_t *)p;
}

static inline const node_head_t *node_heads(const struct page *p)
{
	return (const node_head_t *)(const void *)(node_bytes(p) + PAGE_HEADER);
}

static inline const node_offset_t *node_offsets(const struct page *p)
{
	return (const node_offset_t *)(const void *)(node_bytes(p) + PAGE_HEADER + 4U * p->capacity);
}

static inline unsigned node_end(const struct page *p)
{
	return PAGE_SIZE - (unsigned)p->prefix_len;
}

static inline const uint8_t *node_prefix(const struct page *p)
{
	return node_bytes(p) + node_end(p);
}

static inline bool node_is_branch(const struct page *p)
{
	return page_level(p) != 0;
}

/* A length of one or two bytes; *e moves behind it. */
static inline unsigned node_length(const uint8_t **e)
{
	unsigned v = *(*e)++;
	if (unlikely(v & 0x80))
		v = (v & 0x7f) << 8 | *(*e)++;
	return v;
}

static inline unsigned node_length_size(unsigned v)
{
	return v < 128 ? 1 : 2;
}

static inline unsigned node_rest_len(unsigned suffix_len)
{
	return suffix_len > 4 ? suffix_len - 4 : 0;
}

static inline struct node_entry node_entry(const struct page *p, unsigned i)
{
	const uint8_t *begin = node_bytes(p) + node_offsets(p)[i], *e = begin;
	struct node_entry r = { .head = node_heads(p)[i], .suffix_len = node_length(&e) };
	if (node_is_branch(p)) {
		r.data = e;
		r.data_len = NODE_CHILD;
		r.rest = e + NODE_CHILD;
		e = r.rest + node_rest_len(r.suffix_len);
	} else {
		r.data_len = node_length(&e);
		r.rest = e;
		r.data = e + node_rest_len(r.suffix_len);
		e = r.data + r.data_len;
	}
	r.size = (uint32_t)(e - begin);
	return r;
}

static inline struct cell node_cell(const struct page *p, unsigned i)
{
	const uint8_t *e = node_bytes(p) + node_offsets(p)[i];
	unsigned suffix_len = node_length(&e);
	struct cell cell = { .len = node_length(&e) };
	cell.bytes = e + node_rest_len(suffix_len);
	return cell;
}

static inline const uint8_t *node_child_bytes(const struct page *p, unsigned i)
{
	const uint8_t *e = node_bytes(p) + node_offsets(p)[i];
	return e + 1 + (*e >> 7);
}

static inline struct page_ptr node_child_ptr(const struct page *p, unsigned i)
{
	const uint8_t *c = node_child_bytes(p, i);
	return (struct page_ptr){ .birth = get_u64(c), .no = get_u48(c + 8) };
}

static inline uint64_t node_child_count(const struct page *p, unsigned i)
{
	return get_u48(node_child_bytes(p, i) + 14) & NODE_COUNT_MAX;
}

static inline struct node_child node_child_read(const uint8_t bytes[NODE_CHILD])
{
	uint64_t count = get_u48(bytes + 14);
	return (struct node_child){
		.ptr = { .birth = get_u64(bytes), .no = get_u48(bytes + 8) },
		.count = count & NODE_COUNT_MAX,
		.runs = (count & NODE_RUNS) != 0,
	};
}

static inline void node_child_write(uint8_t bytes[NODE_CHILD], const struct node_child *child)
{
	put_u64(bytes, child->ptr.birth);
	put_u48(bytes + 8, child->ptr.no);
	put_u48(bytes + 14, child->count | (child->runs ? NODE_RUNS : 0));
}

static inline struct node_child node_child(const struct page *p, unsigned i)
{
	return node_child_read(node_child_bytes(p, i));
}

static inline void node_set_child(struct page *p, unsigned i, const struct node_child *child)
{
	node_child_write((uint8_t *)p + (node_child_bytes(p, i) - node_bytes(p)), child);
}

/* Where a child went: its number or birth changed, nothing below it did. */
static inline void node_set_child_ptr(struct page *p, unsigned i, struct page_ptr ptr)
{
	uint8_t *c = (uint8_t *)p + (node_child_bytes(p, i) - node_bytes(p));
	put_u64(c, ptr.birth);
	put_u48(c + 8, ptr.no);
}

/* The run that a scalar's cell names; false: it names none, or is a collection (nest.h). */
struct node_run {
	struct page_ptr ptr;
	uint64_t length;
};
static inline bool node_cell_run(const struct cell *cell, struct node_run *run)
{
	if (likely(!(cell->bytes[0] & CELL_RUN)) || cell->bytes[0] & CELL_COLLECTION)
		return false;
	const uint8_t *r = cell->bytes + cell->len - CELL_RUN_BYTES;
	*run = (struct node_run){
		.ptr = { .birth = get_u64(r), .no = get_u48(r + 8) },
		.length = get_u64(r + 14),
	};
	return true;
}

/* The whole key of entry i into buf (TREE_KEY_MAX bytes); returns its length. */
unsigned node_key(const struct page *p, unsigned i, uint8_t *buf);
/* Bytes the node would take without holes and spare capacity, header and prefix included. */
static inline unsigned node_used(const struct page *p)
{
	return PAGE_HEADER + NODE_SLOT * (unsigned)p->n + (PAGE_SIZE - (unsigned)p->heap) - p->holes;
}
/* Entries below the node, and whether any cell below may name pages. */
void node_sum(const struct page *p, uint64_t *count, bool *runs);

/* ---- Searching ---- */

static inline uint32_t node_head(const uint8_t *suffix, size_t len)
{
	if (likely(len >= 4))
		return __builtin_bswap32(get_u32(suffix));
	uint32_t h = 0;
	for (unsigned i = 0; i < len; i++)
		h |= (uint32_t)suffix[i] << (24 - 8 * i);
	return h;
}

/*
 * How many of the n (<= 16) ascending heads are below head. Looks at 16 in any case: a page's heads
 * end far before the page does.
 */
static inline unsigned node_count_below(const node_head_t *heads, unsigned n, uint32_t head)
{
#if defined(__SSE2__)
	const __m128i flip = _mm_set1_epi32((int)0x80000000);
	const __m128i key = _mm_xor_si128(_mm_set1_epi32((int)head), flip);
	const __m128i *v = (const __m128i *)(const void *)heads;
	__m128i a = _mm_cmpgt_epi32(key, _mm_xor_si128(_mm_loadu_si128(v), flip));
	__m128i b = _mm_cmpgt_epi32(key, _mm_xor_si128(_mm_loadu_si128(v + 1), flip));
	__m128i c = _mm_cmpgt_epi32(key, _mm_xor_si128(_mm_loadu_si128(v + 2), flip));
	__m128i d = _mm_cmpgt_epi32(key, _mm_xor_si128(_mm_loadu_si128(v + 3), flip));
	__m128i all = _mm_packs_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
	unsigned below = (unsigned)_mm_movemask_epi8(all);
	return (unsigned)__builtin_ctz(~below | 1U << n);
#elif defined(__ARM_NEON)
	static const uint32_t index[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	const uint32x4_t key = vdupq_n_u32(head), limit = vdupq_n_u32(n);
	uint32x4_t sum = vdupq_n_u32(0);
	for (unsigned i = 0; i < 16; i += 4) {
		uint32x4_t below = vcltq_u32(vld1q_u32((const uint32_t *)heads + i), key);
		sum = vsubq_u32(sum, vandq_u32(below, vcltq_u32(vld1q_u32(index + i), limit)));
	}
	return vaddvq_u32(sum);
#else
	unsigned r = 0;
	for (unsigned i = 0; i < n; i++)
		r += heads[i] < head;
	return r;
#endif
}

/* The first entry whose head is not below head; n if there is none. */
static inline unsigned node_lower_head(const struct page *p, uint32_t head)
{
	const node_head_t *heads = node_heads(p);
	unsigned n = p->n, at = 0;
	while (n > 16) {
		unsigned half = n / 2;
		at += heads[at + half - 1] < head ? half : 0;
		n -= half;
	}
	return at + node_count_below(heads + at, n, head);
}

/* The sign of node_prefix_compare() when the two differ. */
int node_prefix_order(const struct page *p, const uint8_t *key, size_t len);

/*
 * How the key compares with the node's prefix: negative: all entries are above it, positive: below.
 * No memcmp: a vector load of it would reach over the page's end, where the next page may be one that
 * is not in the TLB or not there; that takes 100 ns.
 */
static inline int node_prefix_compare(const struct page *p, const uint8_t *key, size_t len)
{
	size_t n = p->prefix_len;
	if (n == 0)
		return 0;
	const uint8_t *end = node_bytes(p) + PAGE_SIZE, *prefix = end - n;
	if (unlikely(len < n || len < 8))
		return node_prefix_order(p, key, len);
	uint64_t differ;
	if (n < 8) {
		differ = (get_u64(key) ^ get_u64(end - 8) >> (64 - 8 * n)) << (64 - 8 * n);
	} else {
		differ = get_u64(key + n - 8) ^ get_u64(end - 8);
		for (size_t i = 0; i + 8 < n; i += 8)
			differ |= get_u64(key + i) ^ get_u64(prefix + i);
	}
	return likely(differ == 0) ? 0 : node_prefix_order(p, key, len);
}

/*
 * Resolves equal heads: entry `at` has the head of the suffix. Returns the first entry in [at, n)
 * that is not below the suffix, and whether it equals it.
 */
unsigned node_find_equal(const struct page *p, unsigned at, const uint8_t *suffix, size_t len,
                         bool *found);

/* The first entry that is not below the key (n: none), and whether it is the key. Leaves only. */
static inline unsigned node_find(const struct page *p, const uint8_t *key, size_t len, bool *found)
{
	*found = false;
	int c = node_prefix_compare(p, key, len);
	if (unlikely(c))
		return c < 0 ? 0 : p->n;
	key += p->prefix_len;
	len -= p->prefix_len;
	uint32_t head = node_head(key, len);
	unsigned at = node_lower_head(p, head);
	if (at < p->n && node_heads(p)[at] == head)
		return node_find_equal(p, at, key, len, found);
	return at;
}

/* The child that holds the key: the last entry whose separator is not above it. Branches only. */
static inline unsigned node_route(const struct page *p, const uint8_t *key, size_t len)
{
	int c = node_prefix_compare(p, key, len);
	if (unlikely(c))
		return c < 0 ? 0 : p->n - 1U;
	key += p->prefix_len;
	len -= p->prefix_len;
	uint32_t head = node_head(key, len);
	unsigned at = node_lower_head(p, head);
	at += at == 0;
	bool found = false;
	if (unlikely(at < p->n && node_heads(p)[at] == head))
		at = node_find_equal(p, at, key, len, &found);
	return at - !found;
}

/* How entry i's key compares with this one (memcmp's sign). Not for entry 0 of a branch. */
int node_compare(const struct page *p, unsigned i, const uint8_t *key, size_t len);

/* ---- Changing a page of the transaction ---- */

/* Heap bytes of an entry whose suffix and data are this long. */
static inline unsigned node_entry_size(bool branch, unsigned suffix_len, unsigned data_len)
{
	return node_length_size(suffix_len) + (branch ? 0 : node_length_size(data_len)) +
	       node_rest_len(suffix_len) + data_len;
}

/* Slots to give a node of n entries with so many heap bytes: as many as such entries will fit. */
unsigned node_guess_capacity(unsigned prefix_len, unsigned n, unsigned heap_bytes);
/* Bytes that two keys share at their beginning. */
unsigned node_common(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

/*
 * Inserts before entry `at`. The key must have the node's prefix and belong there. false: it does
 * not fit even without holes; the page is as it was. data: a leaf's cell, a branch's child.
 */
bool node_insert(struct page *p, unsigned at, const uint8_t *key, size_t len, const void *data,
                 size_t data_len);
/* Another cell for entry `at` of a leaf. false: does not fit; the page is as it was. */
bool node_replace(struct page *p, unsigned at, const void *cell, size_t cell_len);
/* Removes entries [from, to). Entry 0 of a branch gone, the next one loses its separator. */
void node_remove(struct page *p, unsigned from, unsigned to);

#endif
