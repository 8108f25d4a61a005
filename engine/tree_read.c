/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look-ups. One costs a chain of cache misses, two or three a level (heads, offset, entry); several
 * at once overlap theirs.
 */
#include "engine/tree_private.h"

int tree_corrupt(struct page_ptr ptr, const char *text)
{
	if (ptr.no & PAGE_DIRTY)
		return error_set(DUR_E_CORRUPT, "a page that this transaction has changed: %s; close it and "
		                 "run `duramen check`", text);
	return error_set(DUR_E_CORRUPT, "page %llu (born in state %llu): %s; run `duramen check`",
	                 (unsigned long long)ptr.no, (unsigned long long)ptr.birth, text);
}

int tree_shape(const struct tree *tree)
{
	if (tree->depth > TREE_DEPTH_MAX || (tree->depth == 0) != (tree->root.no == 0))
		return tree_corrupt(tree->root, "the depth of the tree below it cannot be");
	return 0;
}

int tree_get(const struct pager *pager, const struct tree *tree, const void *key, size_t len,
             struct cell *cell)
{
	const struct page *page;
	struct page_ptr ptr = tree->root;
	int r = tree_shape(tree);
	if (unlikely(r))
		return r;
	for (unsigned level = tree->depth; level-- > 0;) {
		tree_hint(pager, ptr);
		r = tree_page(pager, ptr, level, &page);
		if (unlikely(r))
			return r;
		if (level > 0) {
			ptr = node_child_ptr(page, node_route(page, key, len));
			continue;
		}
		bool found;
		unsigned at = node_find(page, key, len, &found);
		if (!found)
			return 1;
		*cell = node_cell(page, at);
		return 0;
	}
	return 1;
}

int tree_rank(const struct pager *pager, const struct tree *tree, const void *key, size_t len,
              uint64_t *rank)
{
	const struct page *page;
	struct page_ptr ptr = tree->root;
	uint64_t before = 0;
	bool found = false;
	int r = tree_shape(tree);
	if (r)
		return r;
	for (unsigned level = tree->depth; level-- > 0;) {
		r = tree_page(pager, ptr, level, &page);
		if (r)
			return r;
		if (level == 0) {
			before += node_find(page, key, len, &found);
			break;
		}
		unsigned at = node_route(page, key, len);
		for (unsigned i = 0; i < at; i++)
			before += node_child_count(page, i);
		ptr = node_child_ptr(page, at);
	}
	*rank = before;
	return found ? 0 : 1;
}

/* ---- Several at once ---- */

enum { GROUP = 8 };

struct group {
	const struct pager *pager;
	const struct tree_key *keys;
	struct cell *cells;
	unsigned n;
	struct page_ptr ptr[GROUP];
	const struct page *page[GROUP];
	unsigned at[GROUP];
};

/* One level down: every loop touches only what the loop before asked for. */
static int group_branch(struct group *g, unsigned level)
{
	for (unsigned i = 0; i < g->n; i++) {
		int r = tree_page(g->pager, g->ptr[i], level, &g->page[i]);
		if (unlikely(r))
			return r;
	}
	for (unsigned i = 0; i < g->n; i++) {
		g->at[i] = node_route(g->page[i], g->keys[i].key, g->keys[i].len);
		__builtin_prefetch(node_bytes(g->page[i]) + node_offsets(g->page[i])[g->at[i]]);
	}
	for (unsigned i = 0; i < g->n; i++) {
		g->ptr[i] = node_child_ptr(g->page[i], g->at[i]);
		tree_hint(g->pager, g->ptr[i]);
	}
	return 0;
}

static int group_leaf(struct group *g)
{
	for (unsigned i = 0; i < g->n; i++) {
		int r = tree_page(g->pager, g->ptr[i], 0, &g->page[i]);
		if (unlikely(r))
			return r;
	}
	for (unsigned i = 0; i < g->n; i++) {
		const struct page *p = g->page[i];
		size_t len = g->keys[i].len, skip = p->prefix_len;
		/*
		 * A key without the prefix is not there; resolved below, where no prefetch matters.
		 */
		g->at[i] = len < skip ? p->n :
		           node_lower_head(p, node_head((const uint8_t *)g->keys[i].key + skip, len - skip));
		if (g->at[i] < p->n)
			__builtin_prefetch(node_bytes(p) + node_offsets(p)[g->at[i]]);
	}
	for (unsigned i = 0; i < g->n; i++) {
		const struct page *p = g->page[i];
		const uint8_t *key = g->keys[i].key;
		size_t len = g->keys[i].len, skip = p->prefix_len;
		bool found = false;
		unsigned at = g->at[i];
		g->cells[i] = (struct cell){ 0 };
		if (at == p->n || node_prefix_compare(p, key, len) != 0 ||
		    node_heads(p)[at] != node_head(key + skip, len - skip))
			continue;
		at = node_find_equal(p, at, key + skip, len - skip, &found);
		if (found)
			g->cells[i] = node_cell(p, at);
	}
	return 0;
}

int tree_get_many(const struct pager *pager, const struct tree *tree, const struct tree_key *keys,
                  uint32_t n, struct cell *cells)
{
	int r = tree_shape(tree);
	if (r)
		return r;
	if (tree->depth == 0)
		memset(cells, 0, n * sizeof *cells);
	for (uint32_t done = 0; tree->depth && done < n; done += GROUP) {
		struct group g = { .pager = pager, .keys = keys + done, .cells = cells + done };
		g.n = n - done < GROUP ? n - done : GROUP;
		for (unsigned i = 0; i < g.n; i++)
			g.ptr[i] = tree->root;
		for (unsigned level = tree->depth - 1; level > 0 && !r; level--)
			r = group_branch(&g, level);
		if (!r)
			r = group_leaf(&g);
		if (r)
			return r;
	}
	return 0;
}
