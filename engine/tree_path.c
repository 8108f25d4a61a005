/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages are owned from the root down, and each new pointer is written into its parent at once:
 * whenever owning fails, the tree above is whole and says the same as before.
 */
#include "engine/tree_path.h"

#include "engine/refs.h"
#include "engine/run.h"

int path_own_root(struct dirty *d, struct tree *tree, struct page **root)
{
	const struct pager pager = { .file = d->file, .dirty = d };
	const struct page *page;
	int r = tree_page(&pager, tree->root, tree->depth - 1, &page);
	return r ? r : dirty_own(d, &tree->root, tree->class, root);
}

int path_own_child(struct dirty *d, const struct tree *tree, struct page *parent, unsigned at,
                   struct page **child)
{
	const struct pager pager = { .file = d->file, .dirty = d };
	const struct page *page;
	struct page_ptr ptr = node_child_ptr(parent, at);
	tree_hint(&pager, ptr);
	if (likely(dirty_mine(d, ptr))) {
		/* Its level was verified when it was owned, and pointers to it are the transaction's. */
		*child = d->pages[ptr.no & ~PAGE_DIRTY];
		return 0;
	}
	int r = tree_page(&pager, ptr, page_level(parent) - 1, &page);
	if (r)
		return r;
	r = dirty_own(d, &ptr, tree->class, child);
	if (!r)
		node_set_child_ptr(parent, at, ptr);
	return r;
}

/* What the pages say about counts must allow to take from them and to add to them. */
static int check_count(const struct tree *tree, const struct path *path, unsigned level)
{
	const struct page *page = path->page[level];
	uint64_t count = tree->count;
	if (level + 1 < path->depth)
		count = node_child_count(path->page[level + 1], path->at[level + 1]);
	bool good = level ? count >= page->n : count == page->n;
	if (level && count < node_child_count(page, path->at[level]))
		good = false;
	if (good && count < NODE_COUNT_MAX)
		return 0;
	return tree_corrupt(path_ptr(tree, path, level),
	                    "the number of entries below it is not what its parent says");
}

int path_own(struct dirty *d, struct tree *tree, enum path_to to, const uint8_t *key, size_t len,
             struct path *path)
{
	path->depth = tree->depth;
	path->found = false;
	for (unsigned level = tree->depth; level-- > 0;) {
		struct page **page = &path->page[level];
		int r = level + 1 == tree->depth ?
		        path_own_root(d, tree, page) :
		        path_own_child(d, tree, path->page[level + 1], path->at[level + 1], page);
		if (r)
			return r;
		if (to == PATH_FIRST)
			path->at[level] = 0;
		else if (to == PATH_LAST)
			path->at[level] = (*page)->n - (level ? 1U : 0U);
		else
			path->at[level] = level ? node_route(*page, key, len) :
			                  node_find(*page, key, len, &path->found);
		r = check_count(tree, path, level);
		if (r)
			return r;
	}
	return 0;
}

const uint8_t *path_fence(const struct path *path, unsigned level, unsigned at, enum side side,
                          uint8_t *buf, unsigned *len)
{
	for (;; at = path->at[level]) {
		const struct page *page = path->page[level];
		unsigned i = side == SIDE_LOW ? at : at + 1;
		if (i > 0 && i < page->n) {
			*len = node_key(page, i, buf);
			return buf;
		}
		if (++level >= path->depth)
			return NULL;
	}
}

int path_check(const struct tree *tree, const struct path *path)
{
	uint8_t fence[TREE_KEY_MAX];
	unsigned len;
	for (unsigned level = path->depth - 1; level-- > 0;) {
		const struct page *page = path->page[level];
		unsigned first = level > 0;     /* a branch's entry 0 has no separator */
		if (page->n <= first)
			continue;
		if (path_fence(path, level + 1, path->at[level + 1], SIDE_LOW, fence, &len)) {
			int c = node_compare(page, first, fence, len);
			if (c < 0 || (level && c == 0))
				return tree_corrupt(path_ptr(tree, path, level),
				                    "its first key is below what its parent says");
		}
		if (path_fence(path, level + 1, path->at[level + 1], SIDE_HIGH, fence, &len) &&
		    node_compare(page, page->n - 1U, fence, len) >= 0)
			return tree_corrupt(path_ptr(tree, path, level),
			                    "its last key is above what its parent says");
	}
	return 0;
}

void path_add(const struct path *path, unsigned level, int64_t count, bool runs)
{
	while (++level < path->depth) {
		struct page *page = path->page[level];
		uint8_t *c = (uint8_t *)page +
		             (node_child_bytes(page, path->at[level]) - node_bytes(page)) + 14;
		put_u48(c, (get_u48(c) + (uint64_t)count) | (runs ? NODE_RUNS : 0));
	}
}

void path_sum(const struct path *path, unsigned level)
{
	struct page *parent = path->page[level + 1];
	struct node_child child = node_child(parent, path->at[level + 1]);
	node_sum(path->page[level], &child.count, &child.runs);
	node_set_child(parent, path->at[level + 1], &child);
}

int tree_drop_cell(struct dirty *d, const struct tree *tree, const struct cell *cell)
{
	struct node_run run;
	if (!node_cell_run(cell, &run))
		return ref_release_cell(d, cell->bytes, cell->len);
	return dirty_drop_run(d, run.ptr, (uint32_t)run_pages(run.length), tree->class);
}
