/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The structural check of a node. A page file may come from anyone, with checksums to match, so
 * everything that node.h's unchecked readers and writers touch is verified here, once a page.
 *
 * Overlaps matter for writers: a cell overwritten in place must not be part of another entry's
 * lengths. Entries usually lie in falling order, which shows that they are apart; else a bitmap of
 * the page tells.
 */
#include "engine/node.h"

#include "duramen.h"
#include "engine/apart.h"
#include "engine/nest.h"
#include "engine/seq_page.h"

struct check {
	const struct page *page;
	unsigned end;                   /* of the heap */
	unsigned live;                  /* bytes of entries */
	unsigned lowest;                /* offset of the lowest entry so far, while they fall */
	bool falling;
	const char *why;
	uint16_t sizes[PAGE_SIZE / NODE_SLOT]; /* of the entries so far */
};

static bool no(struct check *c, const char *why)
{
	c->why = why;
	return false;
}

static bool check_header(struct check *c)
{
	const struct page *p = c->page;
	unsigned kind = page_kind(p), level = page_level(p);
	if (kind == PAGE_LEAF ? level != 0 : kind != PAGE_BRANCH || level == 0)
		return no(c, "it is no leaf or branch of a tree");
	if (level >= TREE_DEPTH_MAX)
		return no(c, "its level is above any tree's depth");
	if (p->zero[0] | p->zero[1] | p->zero[2])
		return no(c, "reserved bytes of its header are in use");
	if (p->n == 0 || p->n > p->capacity || p->prefix_len > TREE_KEY_MAX)
		return no(c, "its entry count or prefix length cannot be");
	c->end = node_end(p);
	if (PAGE_HEADER + NODE_SLOT * (unsigned)p->capacity > p->heap || p->heap > c->end)
		return no(c, "its arrays and its heap overlap");
	return true;
}

/* One entry's bytes lie inside the heap: node_entry(), that trusts nothing. */
static inline bool check_bounds(struct check *c, unsigned i, struct node_entry *entry)
{
	const struct page *p = c->page;
	unsigned begin = node_offsets(p)[i];
	unsigned left = begin < p->heap || begin >= c->end ? 0 : c->end - begin;
	const uint8_t *e = node_bytes(p) + begin;
	if (left < 4)
		/* The smallest leaf entry takes 3 bytes, and two lengths may take 4. */
		if (left < 3 || e[0] & 0x80 || e[1] & 0x80)
			return no(c, "an entry lies outside the heap");
	unsigned suffix_len = node_length(&e), data_len = NODE_CHILD;
	unsigned rest_len = node_rest_len(suffix_len);
	bool odd = suffix_len < 128 && e - node_bytes(p) > begin + 1;
	if (!node_is_branch(p)) {
		const uint8_t *second = e;
		data_len = node_length(&e);
		odd |= data_len < 128 && e > second + 1;
	}
	if (odd)
		return no(c, "a length is not in its shortest form");
	unsigned size = (unsigned)(e - node_bytes(p)) - begin + rest_len + data_len;
	if (size > left)
		return no(c, "an entry reaches out of the heap");
	if (p->prefix_len + suffix_len > TREE_KEY_MAX)
		return no(c, "a key is too long");
	*entry = (struct node_entry){
		.head = node_heads(p)[i],
		.suffix_len = suffix_len,
		.rest = node_is_branch(p) ? e + NODE_CHILD : e,
		.data = node_is_branch(p) ? e : e + rest_len,
		.data_len = data_len,
		.size = size,
	};
	c->sizes[i] = (uint16_t)size;
	c->live += size;
	if (begin + size > c->lowest)
		c->falling = false;
	c->lowest = begin;
	return true;
}

static bool check_cell(struct check *c, const struct node_entry *e)
{
	struct cell cell = { .bytes = e->data, .len = e->data_len };
	if (cell.len == 0 || cell.len > TREE_CELL_MAX ||
	    c->page->prefix_len + e->suffix_len + cell.len > TREE_ENTRY_MAX)
		return no(c, "a cell is empty or too long");
	/* Only the transaction's own pages may name such pages. */
	return nest_check(cell.bytes, cell.len, page_no(c->page) & PAGE_DIRTY, &c->why);
}

static bool check_child(struct check *c, const struct node_entry *e)
{
	struct node_child child = node_child_read(e->data);
	/* Only the transaction's own pages may name such pages. */
	bool dirty = child.ptr.no & page_no(c->page) & PAGE_DIRTY;
	if (!dirty && (child.ptr.no < PAGE_FIRST || child.ptr.no > PAGE_NUMBER_MAX))
		return no(c, "a child's page number cannot be");
	if (child.ptr.birth > c->page->birth)
		return no(c, "a child was born after it");
	if (child.count == 0)
		return no(c, "a child has no entries");
	return true;
}

static bool check_order(struct check *c, const struct node_entry *before, const struct node_entry *e)
{
	if (before->head < e->head)
		return true;
	unsigned a = node_rest_len(before->suffix_len), b = node_rest_len(e->suffix_len);
	int order = before->head > e->head ? 1 : memcmp(before->rest, e->rest, a < b ? a : b);
	if (order > 0 || (order == 0 && before->suffix_len >= e->suffix_len))
		return no(c, "its keys are out of order");
	return true;
}

/* Those before it have been checked. */
static bool check_entry(struct check *c, unsigned i)
{
	const struct page *p = c->page;
	struct node_entry before, e;
	if (!check_bounds(c, i, &e))
		return false;
	if (e.suffix_len < 4 && (uint64_t)e.head << (8 * e.suffix_len) & UINT32_MAX)
		return no(c, "a short key's head is not padded with zeros");
	if (node_is_branch(p) ? !check_child(c, &e) : !check_cell(c, &e))
		return false;
	if (i == 0)
		return !node_is_branch(p) || e.suffix_len == 0 || no(c, "its first entry has a separator");
	if (i == 1 && node_is_branch(p))
		/*
		 * Entry 0 has no separator to compare with, but there is nothing below an empty
		 * one.
		 */
		return p->prefix_len + e.suffix_len > 0 || no(c, "a separator is empty");
	before = node_entry(p, i - 1);
	return check_order(c, &before, &e);
}

/*
 * What leaves hold as a rule, checked with few comparisons: lengths of a byte each, a key that its head tells
 * from the one before, a cell that is no collection and no run. Returns the first entry from i on that is not
 * like that, of which it says nothing.
 */
static unsigned check_plain(struct check *c, unsigned i)
{
	const struct page *p = c->page;
	const node_offset_t *offsets = node_offsets(p);
	const node_head_t *heads = node_heads(p);
	const uint8_t *bytes = node_bytes(p);
	unsigned prefix_len = p->prefix_len, heap = p->heap, n = p->n, end = c->end;
	unsigned live = c->live, lowest = c->lowest;
	bool falling = c->falling;
	for (; i < n; i++) {
		unsigned begin = offsets[i];
		if (begin < heap || begin + 3 > end)
			break;
		unsigned suffix_len = bytes[begin], data_len = bytes[begin + 1];
		unsigned data = begin + 2 + node_rest_len(suffix_len), size = data + data_len - begin;
		if ((suffix_len | data_len) & 0x80 || suffix_len < 4 || data_len == 0 || begin + size > end)
			break;
		if (prefix_len + suffix_len > TREE_KEY_MAX ||
		    prefix_len + suffix_len + data_len > TREE_ENTRY_MAX || !nest_is_plain(bytes + data))
			break;
		if (i > 0 && heads[i - 1] >= heads[i])
			break;
		c->sizes[i] = (uint16_t)size;
		live += size;
		falling &= begin + size <= lowest;
		lowest = begin;
	}
	c->live = live;
	c->lowest = lowest;
	c->falling = falling;
	return i;
}

_Static_assert(TREE_CELL_MAX >= 0x7f, "a cell with a length of a byte is not too long");

/* Entries that do not lie in falling order: are they apart all the same? */
static bool check_apart(struct check *c)
{
	struct apart apart = { { 0 } };
	for (unsigned i = 0; i < c->page->n; i++)
		if (!apart_take(&apart, node_offsets(c->page)[i], c->sizes[i]))
			return no(c, "entries overlap");
	return true;
}

int node_check(const struct page *page, const char **why)
{
	struct check c;
	if (page_kind(page) >= PAGE_SEQ_LEAF && page_kind(page) <= PAGE_ROPE_LEAF)
		return seq_page_check(page, why);
	c.page = page;
	c.live = 0;
	c.lowest = PAGE_SIZE;
	c.falling = true;
	c.why = NULL;
	bool good = check_header(&c), leaf = !node_is_branch(page);
	for (unsigned i = 0; good && i < page->n; i++) {
		if (leaf && (i = check_plain(&c, i)) == page->n)
			break;
		good = check_entry(&c, i);
	}
	if (good && c.live + page->holes != c.end - page->heap)
		good = no(&c, "its entries and holes do not add up to its heap");
	if (good && !c.falling)
		good = check_apart(&c);
	*why = c.why;
	return good ? 0 : DUR_E_CORRUPT;
}
