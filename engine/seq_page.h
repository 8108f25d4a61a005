/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page of a positional tree: how its units lie in it, and how they are moved. What a page holds
 * in order are its units: cells in a leaf of a list, bytes in a leaf of a rope, children in a
 * branch. All that trees do to pages (splitting, merging, cutting) is said in units, once for the
 * three.
 *
 * LEAF OF A LIST (PAGE_SEQ_LEAF, level 0)
 *        OFFSET   SIZE  MEANING
 *             0     40  page header, see page.h; capacity and prefix length are 0
 *            40     2n  offsets: u16 each, where the cell of the same position begins
 *       40 + 2n      .  free space
 *          heap      .  cells in any order, and holes; grows down to the page's end
 *    a cell: length of 1-2 bytes as in node.h, at least 1; its bytes
 *
 * LEAF OF A ROPE (PAGE_ROPE_LEAF, level 0): the n bytes from 40 on; heap 4096, holes 0
 *
 * BRANCH (PAGE_SEQ_BRANCH, level 1 and up): n children from 40 on, heap 4096, holes 0; each
 *             0      8  birth
 *             8      6  page number
 *            14      6  bits 0..46 count: items (bytes of a rope) below it, at least 1;
 *                       bit 47: cells below it may name pages
 *
 * Rules, verified by node_check() when a page is first met, and kept by everything here:
 *  - n is at least 1; cells lie inside the heap and do not overlap; live bytes + holes = heap;
 *  - bytes that are not used are zero: equal contents after equal histories make equal pages;
 *  - a leaf of a list never moves cells: one of the same length is overwritten in place, another
 *    is appended and leaves a hole, a removed one leaves a hole; only offsets move. The page is
 *    rewritten when the space between offsets and heap is too short. Patches between versions stay
 *    small that way.
 */
#ifndef DURAMEN_ENGINE_SEQ_PAGE_H
#define DURAMEN_ENGINE_SEQ_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/node.h"

enum {
	SEQ_SLOT = 2,                           /* an offset */
	SEQ_ROOM = PAGE_SIZE - PAGE_HEADER,     /* bytes of all units; of a rope's leaf: its bytes */
	SEQ_FAN = SEQ_ROOM / NODE_CHILD,
	SEQ_CELLS = SEQ_ROOM / (SEQ_SLOT + 2),  /* a cell takes 2 bytes at least, with its length */
	SEQ_THIRD = SEQ_ROOM / 3,               /* units that take less: the page is underfull */
};

/* ---- Looking inside ---- */

static inline const node_offset_t *seq_offsets(const struct page *p)
{
	return (const node_offset_t *)(const void *)(node_bytes(p) + PAGE_HEADER);
}

/* Of a list's leaf. */
static inline struct cell seq_cell(const struct page *p, unsigned i)
{
	const uint8_t *e = node_bytes(p) + seq_offsets(p)[i];
	struct cell cell = { .len = node_length(&e) };
	cell.bytes = e;
	return cell;
}

/* Of a rope's leaf; n of them. */
static inline const uint8_t *seq_rope_bytes(const struct page *p)
{
	return node_bytes(p) + PAGE_HEADER;
}

static inline const uint8_t *seq_child_bytes(const struct page *p, unsigned i)
{
	return node_bytes(p) + PAGE_HEADER + NODE_CHILD * i;
}

static inline struct page_ptr seq_child_ptr(const struct page *p, unsigned i)
{
	const uint8_t *c = seq_child_bytes(p, i);
	return (struct page_ptr){ .birth = get_u64(c), .no = get_u48(c + 8) };
}

static inline uint64_t seq_child_count(const struct page *p, unsigned i)
{
	return get_u48(seq_child_bytes(p, i) + 14) & NODE_COUNT_MAX;
}

static inline struct node_child seq_child(const struct page *p, unsigned i)
{
	return node_child_read(seq_child_bytes(p, i));
}

static inline void seq_set_child(struct page *p, unsigned i, const struct node_child *child)
{
	node_child_write((uint8_t *)p + PAGE_HEADER + NODE_CHILD * i, child);
}

/* Where a child went: its number or birth changed, nothing below it did. */
static inline void seq_set_child_ptr(struct page *p, unsigned i, struct page_ptr ptr)
{
	uint8_t *c = (uint8_t *)p + PAGE_HEADER + NODE_CHILD * i;
	put_u64(c, ptr.birth);
	put_u48(c + 8, ptr.no);
}

/*
 * The child of a branch that holds the item at *at, which becomes its position in the child.
 * Returns n, and *at what is left of it, if there are not so many. Sums blocks of counts: comparing
 * once a block lets the additions overlap.
 */
static inline unsigned seq_route(const struct page *p, uint64_t *at)
{
	enum { BLOCK = 8 };
	unsigned i = 0, n = p->n;
	uint64_t left = *at;
	for (; i + BLOCK <= n; i += BLOCK) {
		const uint8_t *c = seq_child_bytes(p, i) + 12;
		uint64_t sum = 0;
		/*
		 * The upper six bytes of each load are the count and its flag. What a tree can
		 * hold does not overflow; of a file that claims more, items are not found.
		 */
		for (unsigned k = 0; k < BLOCK; k++)
			sum += get_u64(c + NODE_CHILD * k) & NODE_COUNT_MAX << 16;
		sum >>= 16;
		if (left < sum)
			break;
		left -= sum;
	}
	for (; i < n; i++) {
		uint64_t count = seq_child_count(p, i);
		if (left < count)
			break;
		left -= count;
	}
	*at = left;
	return i;
}

/* Items (bytes) in the page or below it, and whether a cell there may name pages. */
void seq_sum(const struct page *p, uint64_t *count, bool *refs);

/* ---- Units ---- */

/* Bytes that units [from, to) take in any page of their kind. */
unsigned seq_units_size(const struct page *p, unsigned from, unsigned to);

/* Bytes that all units take; SEQ_ROOM at most. */
static inline unsigned seq_used(const struct page *p)
{
	switch (page_kind(p)) {
	case PAGE_SEQ_BRANCH:
		return NODE_CHILD * (unsigned)p->n;
	case PAGE_ROPE_LEAF:
		return p->n;
	default:
		return SEQ_SLOT * (unsigned)p->n + (PAGE_SIZE - (unsigned)p->heap) - p->holes;
	}
}

/* How many units from `from` on fit so many bytes; seq_fit_back(): those before `to`. */
unsigned seq_fit(const struct page *p, unsigned from, unsigned bytes);
unsigned seq_fit_back(const struct page *p, unsigned to, unsigned bytes);

/* ---- Changing a page of the transaction ---- */

/* Inserts copies of src's units [from, to) before dst's unit `at`. They must fit: seq_used(). */
void seq_take(struct page *dst, unsigned at, const struct page *src, unsigned from, unsigned to);
/* Removes units [from, to); the page may be empty then. */
void seq_cut(struct page *p, unsigned from, unsigned to);
/* Removes all units. */
void seq_empty(struct page *p);

/* Heap bytes of a cell in a list's leaf, without its slot. */
static inline unsigned seq_cell_size(unsigned len)
{
	return node_length_size(len) + len;
}
/* Inserts n cells before cell `at` of a list's leaf. false: they do not fit even without holes. */
bool seq_insert_cells(struct page *p, unsigned at, const struct cell *cells, unsigned n);
/* Another cell at `at`. false: it does not fit; the page is as it was. */
bool seq_replace_cell(struct page *p, unsigned at, const struct cell *cell);
/* Inserts bytes before byte `at` of a rope's leaf; they must fit. */
void seq_insert_bytes(struct page *p, unsigned at, const uint8_t *bytes, unsigned n);

/* ---- Checking ---- */

/* node_check() for these kinds of page. */
int seq_page_check(const struct page *page, const char **why);

#endif
