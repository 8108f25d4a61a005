/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages: 4 KiB, immutable once published, named by a number and a birth state. Two pointers are equal
 * only if the page is the same, and a page that was reused is recognised by its birth.
 *
 * PAGE HEADER (every page but the superblock and the commit slots)
 *   OFFSET SIZE
 *        0    8  checksum: XXH3-64 of bytes 8..4095, seeded with the file's seed
 *        8    8  birth: the state that wrote the page
 *       16    6  its own page number
 *       22    1  kind (enum page_kind)
 *       23    1  level: 0 leaf, 1 the branch above leaves, ...
 *       24    2  n: entries
 *       26    2  capacity: slots there is room for (this and the prefix: keyed nodes only, else 0)
 *       28    2  heap: offset of the lowest byte of the heap, which grows down
 *       30    2  holes: dead bytes inside the heap (zeroed)
 *       32    2  prefix length: bytes that all keys of the node share; they end the page
 *       34    2  zero
 *       36    1  steps: copies made of the page before it, modulo PAGE_STEPS (pack.h)
 *       37    3  zero
 *
 * Runs and records have their own fields from offset 24 on (run.h, record.h).
 */
#ifndef DURAMEN_ENGINE_PAGE_H
#define DURAMEN_ENGINE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PAGE_SIZE = 4096,
	PAGE_SHIFT = 12,
};

enum page_kind {
	PAGE_LEAF = 1,
	PAGE_BRANCH = 2,
	PAGE_RUN = 3,           /* first page of a large value */
	PAGE_RECORD = 4,        /* first page of a state record */
	PAGE_SEQ_LEAF = 5,      /* of a list: cells by position (seq_page.h) */
	PAGE_SEQ_BRANCH = 6,    /* of a list or a rope */
	PAGE_ROPE_LEAF = 7,     /* of a rope: bytes */
};

/* Longest chain of patches from a packed page to one that is whole. */
enum { PAGE_STEPS = 64 };

/* Page 0 is the superblock, 1 and 2 are the commit slots; number 0 in a pointer means "none". */
enum { PAGE_SUPER = 0, PAGE_SLOT_0 = 1, PAGE_SLOT_1 = 2, PAGE_FIRST = 3 };

/* A transaction's private page has no number yet: this bit and its index in the dirty table. */
#define PAGE_DIRTY      ((uint64_t)1 << 47)
#define PAGE_NUMBER_MAX (PAGE_DIRTY - 1)

struct page_ptr {
	uint64_t no;            /* 0: none */
	uint64_t birth;
};

struct page {
	uint64_t sum;
	uint64_t birth;
	uint64_t no_kind_level; /* the number in the low 48 bits */
	uint16_t n, capacity, heap, holes;
	uint16_t prefix_len, zero_too;
	uint8_t  steps, zero[3];
};

enum { PAGE_HEADER = 40 };
_Static_assert(sizeof(struct page) == PAGE_HEADER, "page header is 40 bytes");

static inline uint64_t page_no(const struct page *p)
{
	return p->no_kind_level & (((uint64_t)1 << 48) - 1);
}

static inline unsigned page_kind(const struct page *p)
{
	return (unsigned)(p->no_kind_level >> 48) & 0xff;
}

static inline unsigned page_level(const struct page *p)
{
	return (unsigned)(p->no_kind_level >> 56);
}

/* Of a keyed or a positional tree. */
static inline bool page_is_node(const struct page *p)
{
	unsigned kind = page_kind(p);
	return kind != PAGE_RUN && kind != PAGE_RECORD && kind >= PAGE_LEAF && kind <= PAGE_ROPE_LEAF;
}

static inline void page_set_id(struct page *p, uint64_t no, unsigned kind, unsigned level)
{
	p->no_kind_level = no | (uint64_t)kind << 48 | (uint64_t)level << 56;
}

#endif
