/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structural check of a page of a positional tree. A page file may come from anyone, with
 * checksums to match, so everything that seq_page.h's unchecked readers and writers touch is
 * verified here, once a page. Overlaps matter for writers: see node_check.c.
 */
#include "duramen.h"
#include "engine/apart.h"
#include "engine/nest.h"
#include "engine/seq_page.h"

struct check {
	const struct page *page;
	unsigned live;                  /* bytes of cells */
	unsigned lowest;                /* offset of the lowest cell so far, while they fall */
	bool falling;
	const char *why;
};

static bool no(struct check *c, const char *why)
{
	c->why = why;
	return false;
}

static bool check_header(struct check *c)
{
	const struct page *p = c->page;
	bool branch = page_kind(p) == PAGE_SEQ_BRANCH;
	if (branch ? page_level(p) == 0 : page_level(p) != 0)
		return no(c, "it is no leaf or branch of a list or a rope");
	if (page_level(p) >= TREE_DEPTH_MAX)
		return no(c, "its level is above any tree's depth");
	if (p->zero[0] | p->zero[1] | p->zero[2] | p->capacity | p->prefix_len)
		return no(c, "fields of its header that it has no use for are in use");
	if (p->n == 0)
		return no(c, "it is empty");
	if (page_kind(p) != PAGE_SEQ_LEAF && (p->heap != PAGE_SIZE || p->holes))
		return no(c, "it has a heap, which only a leaf of a list has");
	return true;
}

static bool check_child(struct check *c, unsigned i)
{
	struct node_child child = seq_child(c->page, i);
	/* Only the transaction's own pages may name such pages. */
	bool dirty = child.ptr.no & page_no(c->page) & PAGE_DIRTY;
	if (!dirty && (child.ptr.no < PAGE_FIRST || child.ptr.no > PAGE_NUMBER_MAX))
		return no(c, "a child's page number cannot be");
	if (child.ptr.birth > c->page->birth)
		return no(c, "a child was born after it");
	return child.count > 0 || no(c, "a child has no items");
}

static bool check_branch(struct check *c)
{
	if (c->page->n > SEQ_FAN)
		return no(c, "it has more children than there is room for");
	for (unsigned i = 0; i < c->page->n; i++)
		if (!check_child(c, i))
			return false;
	return true;
}

static bool check_cell(struct check *c, unsigned i)
{
	const struct page *p = c->page;
	unsigned begin = seq_offsets(p)[i];
	unsigned left = begin < p->heap || begin >= PAGE_SIZE ? 0 : PAGE_SIZE - begin;
	const uint8_t *e = node_bytes(p) + begin;
	if (left < 2 || (e[0] & 0x80 && left < 3))
		return no(c, "a cell lies outside the heap");
	unsigned len = node_length(&e), size = (unsigned)(e - node_bytes(p)) - begin + len;
	if (len < 128 && e - node_bytes(p) > begin + 1)
		return no(c, "a length is not in its shortest form");
	if (len == 0 || len > TREE_CELL_MAX)
		return no(c, "a cell is empty or too long");
	if (size > left)
		return no(c, "a cell reaches out of the heap");
	c->live += size;
	if (begin + size > c->lowest)
		c->falling = false;
	c->lowest = begin;
	return nest_check(e, len, page_no(p) & PAGE_DIRTY, &c->why);
}

/* Cells that do not lie in falling order: are they apart all the same? */
static bool check_apart(struct check *c)
{
	struct apart apart = { { 0 } };
	for (unsigned i = 0; i < c->page->n; i++) {
		struct cell cell = seq_cell(c->page, i);
		unsigned begin = seq_offsets(c->page)[i];
		size_t size = (size_t)(cell.bytes + cell.len - node_bytes(c->page)) - begin;
		if (!apart_take(&apart, begin, (unsigned)size))
			return no(c, "cells overlap");
	}
	return true;
}

static bool check_cells(struct check *c)
{
	const struct page *p = c->page;
	if (PAGE_HEADER + SEQ_SLOT * (unsigned)p->n > p->heap || p->heap > PAGE_SIZE)
		return no(c, "its offsets and its heap overlap");
	for (unsigned i = 0; i < p->n; i++)
		if (!check_cell(c, i))
			return false;
	if (c->live + p->holes != PAGE_SIZE - (unsigned)p->heap)
		return no(c, "its cells and holes do not add up to its heap");
	return c->falling || check_apart(c);
}

int seq_page_check(const struct page *page, const char **why)
{
	struct check c = { .page = page, .falling = true, .lowest = PAGE_SIZE };
	bool good = check_header(&c);
	if (good && page_kind(page) == PAGE_SEQ_BRANCH)
		good = check_branch(&c);
	else if (good && page_kind(page) == PAGE_SEQ_LEAF)
		good = check_cells(&c);
	else if (good && page->n > SEQ_ROOM)
		good = no(&c, "it has more bytes than there is room for");
	*why = c.why;
	return good ? 0 : DUR_E_CORRUPT;
}
