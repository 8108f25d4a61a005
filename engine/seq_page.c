/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of a branch and of a rope's leaf are arrays from the header on: taking and cutting are
 * moves. In a list's leaf only the offsets are one; cells are appended at the heap's low end, what
 * they leave behind is zeroed and counted as a hole until compact() writes the page anew.
 */
#include "engine/seq_page.h"

static node_offset_t *offsets(struct page *p)
{
	return (node_offset_t *)(void *)((uint8_t *)p + PAGE_HEADER);
}

/* Bytes of an array's unit; 0: units are cells. */
static unsigned unit_size(const struct page *p)
{
	unsigned kind = page_kind(p);
	return kind == PAGE_SEQ_BRANCH ? NODE_CHILD : kind == PAGE_ROPE_LEAF;
}

/* A cell with its length. */
static unsigned size_at(const struct page *p, unsigned i)
{
	const uint8_t *begin = node_bytes(p) + seq_offsets(p)[i], *e = begin;
	unsigned len = node_length(&e);
	return (unsigned)(e - begin) + len;
}

void seq_sum(const struct page *p, uint64_t *count, bool *refs)
{
	*count = 0;
	*refs = false;
	switch (page_kind(p)) {
	case PAGE_ROPE_LEAF:
		*count = p->n;
		break;
	case PAGE_SEQ_BRANCH:
		for (unsigned i = 0; i < p->n; i++) {
			struct node_child child = seq_child(p, i);
			*count += child.count;
			*refs |= child.runs;
		}
		break;
	default:
		*count = p->n;
		for (unsigned i = 0; i < p->n && !*refs; i++)
			*refs = seq_cell(p, i).bytes[0] & CELL_RUN;
	}
}

/* ---- Units ---- */

unsigned seq_units_size(const struct page *p, unsigned from, unsigned to)
{
	unsigned size = 0, unit = unit_size(p);
	if (unit)
		return unit * (to - from);
	if (from == 0 && to == p->n)
		return seq_used(p);
	for (unsigned i = from; i < to; i++)
		size += SEQ_SLOT + size_at(p, i);
	return size;
}

unsigned seq_fit(const struct page *p, unsigned from, unsigned bytes)
{
	unsigned unit = unit_size(p), left = p->n - from, n = 0;
	if (unit)
		return left < bytes / unit ? left : bytes / unit;
	for (unsigned size; n < left; n++, bytes -= size) {
		size = SEQ_SLOT + size_at(p, from + n);
		if (size > bytes)
			break;
	}
	return n;
}

unsigned seq_fit_back(const struct page *p, unsigned to, unsigned bytes)
{
	unsigned unit = unit_size(p), n = 0;
	if (unit)
		return to < bytes / unit ? to : bytes / unit;
	for (unsigned size; n < to; n++, bytes -= size) {
		size = SEQ_SLOT + size_at(p, to - n - 1);
		if (size > bytes)
			break;
	}
	return n;
}

/* ---- Arrays ---- */

static void array_insert(struct page *p, unsigned at, const void *units, unsigned n, unsigned unit)
{
	uint8_t *to = (uint8_t *)p + PAGE_HEADER + unit * at;
	memmove(to + unit * n, to, unit * (p->n - at));
	memcpy(to, units, unit * n);
	p->n = (uint16_t)(p->n + n);
}

static void array_cut(struct page *p, unsigned from, unsigned to, unsigned unit)
{
	uint8_t *base = (uint8_t *)p + PAGE_HEADER;
	memmove(base + unit * from, base + unit * to, unit * (p->n - to));
	p->n = (uint16_t)(p->n - (to - from));
	memset(base + unit * p->n, 0, unit * (to - from));
}

void seq_insert_bytes(struct page *p, unsigned at, const uint8_t *bytes, unsigned n)
{
	array_insert(p, at, bytes, n, 1);
}

/* ---- Cells ---- */

/* The page without holes, cells in the order of their positions from the end down. */
static void compact(struct page *p)
{
	union node_copy old;
	unsigned heap = PAGE_SIZE;
	memcpy(&old, p, PAGE_SIZE);
	for (unsigned i = 0; i < p->n; i++) {
		unsigned size = size_at(&old.page, i);
		heap -= size;
		memcpy((uint8_t *)p + heap, old.bytes + seq_offsets(&old.page)[i], size);
		offsets(p)[i] = (uint16_t)heap;
	}
	memset((uint8_t *)p + old.page.heap, 0, heap - old.page.heap);
	p->heap = (uint16_t)heap;
	p->holes = 0;
}

/* Slots for n more before `at`, and heap for their cells, which fit. Returns where that ends. */
static unsigned open_gap(struct page *p, unsigned at, unsigned n, unsigned bytes)
{
	if (PAGE_HEADER + SEQ_SLOT * (p->n + n) + bytes > p->heap)
		compact(p);
	node_offset_t *slot = offsets(p) + at;
	memmove(slot + n, slot, SEQ_SLOT * (p->n - at));
	unsigned heap = p->heap;
	p->n = (uint16_t)(p->n + n);
	p->heap = (uint16_t)(heap - bytes);
	return heap;
}

static unsigned put_cell(struct page *p, unsigned heap, unsigned i, const struct cell *cell)
{
	heap -= seq_cell_size(cell->len);
	uint8_t *to = (uint8_t *)p + heap;
	if (cell->len >= 128)
		*to++ = (uint8_t)(0x80 | cell->len >> 8);
	*to++ = (uint8_t)cell->len;
	memcpy(to, cell->bytes, cell->len);
	offsets(p)[i] = (uint16_t)heap;
	return heap;
}

bool seq_insert_cells(struct page *p, unsigned at, const struct cell *cells, unsigned n)
{
	unsigned bytes = 0;
	for (unsigned i = 0; i < n; i++)
		bytes += seq_cell_size(cells[i].len);
	if (seq_used(p) + SEQ_SLOT * n + bytes > SEQ_ROOM)
		return false;
	unsigned heap = open_gap(p, at, n, bytes);
	for (unsigned i = 0; i < n; i++)
		heap = put_cell(p, heap, at + i, &cells[i]);
	return true;
}

/* The bytes of cell i become a hole; its slot stays. */
static void make_hole(struct page *p, unsigned i)
{
	unsigned size = size_at(p, i), at = seq_offsets(p)[i];
	memset((uint8_t *)p + at, 0, size);
	if (at == p->heap)
		p->heap = (uint16_t)(at + size);
	else
		p->holes = (uint16_t)(p->holes + size);
}

bool seq_replace_cell(struct page *p, unsigned at, const struct cell *cell)
{
	struct cell old = seq_cell(p, at);
	if (old.len == cell->len) {
		memcpy((uint8_t *)p + (old.bytes - node_bytes(p)), cell->bytes, cell->len);
		return true;
	}
	unsigned size = seq_cell_size(cell->len);
	if (seq_used(p) - size_at(p, at) + size > SEQ_ROOM)
		return false;
	/* Without the old one for a moment: should the page be compacted, it is not carried along. */
	seq_cut(p, at, at + 1);
	put_cell(p, open_gap(p, at, 1, size), at, cell);
	return true;
}

static void cells_take(struct page *dst, unsigned at, const struct page *src, unsigned from,
                       unsigned to)
{
	unsigned n = to - from, bytes = seq_units_size(src, from, to) - SEQ_SLOT * n;
	unsigned heap = open_gap(dst, at, n, bytes);
	for (unsigned i = 0; i < n; i++) {
		unsigned size = size_at(src, from + i);
		heap -= size;
		memcpy((uint8_t *)dst + heap, node_bytes(src) + seq_offsets(src)[from + i], size);
		offsets(dst)[at + i] = (uint16_t)heap;
	}
}

static void cells_cut(struct page *p, unsigned from, unsigned to)
{
	unsigned n = to - from;
	for (unsigned i = from; i < to; i++)
		make_hole(p, i);
	node_offset_t *slot = offsets(p);
	memmove(slot + from, slot + to, SEQ_SLOT * (p->n - to));
	p->n = (uint16_t)(p->n - n);
	memset(slot + p->n, 0, SEQ_SLOT * n);
	/* A hole that reached the heap's low end is free space; others behind it are counted still. */
	if (p->n == 0) {
		p->heap = PAGE_SIZE;
		p->holes = 0;
	}
}

/* ---- Both ---- */

void seq_take(struct page *dst, unsigned at, const struct page *src, unsigned from, unsigned to)
{
	unsigned unit = unit_size(dst);
	if (from == to)
		return;
	if (unit)
		array_insert(dst, at, node_bytes(src) + PAGE_HEADER + unit * from, to - from, unit);
	else
		cells_take(dst, at, src, from, to);
}

void seq_cut(struct page *p, unsigned from, unsigned to)
{
	unsigned unit = unit_size(p);
	if (from == to)
		return;
	if (unit)
		array_cut(p, from, to, unit);
	else
		cells_cut(p, from, to);
}

void seq_empty(struct page *p)
{
	memset((uint8_t *)p + PAGE_HEADER, 0, SEQ_ROOM);
	p->n = 0;
	p->heap = PAGE_SIZE;
	p->holes = 0;
}
