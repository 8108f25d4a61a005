/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The references of a page, kind by kind. A branch is read entry by entry; in a leaf only the cells
 * whose first byte says so are looked into.
 */
#include "engine/refs.h"

#include "duramen.h"
#include "engine/seq_page.h"
#include "engine/tree_private.h"

void page_refs_open(struct page_refs *it, const struct page *page)
{
	it->page = page;
	it->next = 0;
	it->in_cell = false;
}

static void child_ref(const struct page *page, unsigned i, struct page_ref *ref)
{
	bool keyed = page_kind(page) == PAGE_BRANCH;
	const uint8_t *at = keyed ? node_child_bytes(page, i) : seq_child_bytes(page, i);
	struct node_child child = node_child_read(at);
	*ref = (struct page_ref){
		.kind = REF_CHILD,
		.ptr = child.ptr,
		.at = (uint32_t)(at - node_bytes(page)),
		.level = page_level(page) - 1,
		.refs = child.runs,
		.count = child.count,
	};
}

void page_ref_of(const struct nest_ref *from, unsigned cell, struct page_ref *ref)
{
	*ref = (struct page_ref){
		.kind = from->is_tree ? REF_TREE : REF_RUN,
		.ptr = from->ptr,
		.at = cell + from->at,
		.of = from->is_tree ? from->tree.kind : 0,
		.level = from->is_tree ? from->tree.depth - 1 : 0,
		.refs = from->is_tree,
		.count = from->is_tree ? from->tree.count : from->length,
	};
}

int page_refs_next(struct page_refs *it, struct page_ref *ref)
{
	const struct page *page = it->page;
	bool keyed = page_kind(page) == PAGE_LEAF;
	struct nest_ref found;

	if (node_is_branch(page)) {
		if (it->next == page->n)
			return 1;
		child_ref(page, it->next++, ref);
		return 0;
	}
	if (page_kind(page) == PAGE_ROPE_LEAF)
		return 1;
	for (;;) {
		if (it->in_cell && nest_refs_next(&it->nest, &found) == 0) {
			page_ref_of(&found, it->cell, ref);
			return 0;
		}
		it->in_cell = false;
		for (; it->next < page->n && !it->in_cell; it->next++) {
			struct cell cell = keyed ? node_cell(page, it->next) : seq_cell(page, it->next);
			if (likely(!(cell.bytes[0] & NEST_REFS)))
				continue;
			it->in_cell = true;
			it->cell = (unsigned)(cell.bytes - node_bytes(page));
			nest_refs_open(&it->nest, cell.bytes, cell.len);
		}
		if (!it->in_cell)
			return 1;
	}
}

int ref_page(const struct pager *pager, unsigned of, unsigned level, struct page_ptr ptr,
             const struct page **page)
{
	unsigned leaf = of == DUR_LIST ? PAGE_SEQ_LEAF : PAGE_ROPE_LEAF;

	if (of != DUR_LIST && of != DUR_ROPE)
		return tree_page(pager, ptr, level, page);
	int r = page_get(pager, ptr, page);
	if (r)
		return r;
	if ((*page)->no_kind_level >> 48 != ((level ? PAGE_SEQ_BRANCH : leaf) | level << 8))
		return tree_corrupt(ptr, "it is not of the kind and level that its parent says");
	return 0;
}

uint64_t ref_page_count(const struct page *page)
{
	struct page_refs it;
	struct page_ref ref;
	uint64_t count = 0;

	if (!node_is_branch(page))
		return page->n;
	page_refs_open(&it, page);
	while (page_refs_next(&it, &ref) == 0)
		count += ref.count;
	return count;
}
