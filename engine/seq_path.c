/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages are owned from the root down, and each new pointer is written into its parent at once:
 * whenever owning fails, the tree above is whole and says the same as before.
 */
#include "engine/seq_private.h"

int seq_shape(const struct tree *tree)
{
	int r = tree_shape(tree);
	if (!r && (tree->depth == 0) != (tree->count == 0))
		r = tree_corrupt(tree->root, "the list or rope below it is empty and is said not to be");
	return r;
}

int seq_out_of_range(uint64_t at, uint64_t count)
{
	return error_set(DUR_E_RANGE, "position %llu is beyond the end, which is at %llu",
	                 (unsigned long long)at, (unsigned long long)count);
}

/* Meets the page before it is copied: a dirty one was met when it was owned. */
static int own(struct dirty *d, enum page_class class, enum seq_kind kind, unsigned level,
               struct page_ptr *ptr, struct page **page)
{
	const struct pager pager = { .file = d->file, .dirty = d };
	const struct page *met;
	int r = ptr->no & PAGE_DIRTY ? 0 : seq_page(&pager, *ptr, kind, level, &met);
	return r ? r : dirty_own(d, ptr, class, page);
}

int seq_own_root(struct dirty *d, struct tree *tree, enum seq_kind kind, struct page **root)
{
	return own(d, tree->class, kind, tree->depth - 1, &tree->root, root);
}

int seq_own_child(struct dirty *d, const struct tree *tree, enum seq_kind kind,
                  struct page *parent, unsigned at, struct page **child)
{
	struct page_ptr ptr = seq_child_ptr(parent, at), before = ptr;
	int r = own(d, tree->class, kind, page_level(parent) - 1, &ptr, child);
	if (!r && ptr.no != before.no)
		seq_set_child_ptr(parent, at, ptr);
	return r;
}

struct page_ptr seq_path_ptr(const struct tree *tree, const struct seq_path *path, unsigned level)
{
	if (level + 1 == path->depth)
		return tree->root;
	return seq_child_ptr(path->page[level + 1], path->at[level + 1]);
}

/* What the pages say about counts must allow to take from them and to add to them. */
static int check_count(const struct tree *tree, const struct seq_path *path, unsigned level)
{
	const struct page *page = path->page[level];
	uint64_t count = tree->count;
	if (level + 1 < path->depth)
		count = seq_child_count(path->page[level + 1], path->at[level + 1]);
	bool good = level ? count >= seq_child_count(page, path->at[level]) : count == page->n;
	if (good && count < NODE_COUNT_MAX)
		return 0;
	return tree_corrupt(seq_path_ptr(tree, path, level),
	                    "the number of items below it is not what its parent says");
}

int seq_path_own_to(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t position,
                    enum seq_side side, unsigned lowest, struct seq_path *path)
{
	unsigned behind = side == SEQ_GAP && position > 0;
	uint64_t left = position - behind;
	path->depth = tree->depth;
	for (unsigned level = tree->depth; level-- > lowest;) {
		struct page **page = &path->page[level];
		int r = level + 1 == tree->depth ?
		        seq_own_root(d, tree, kind, page) :
		        seq_own_child(d, tree, kind, path->page[level + 1], path->at[level + 1],
		                      page);
		if (r)
			return r;
		path->at[level] = level ? seq_route(*page, &left) : (unsigned)left;
		if (level ? path->at[level] == (*page)->n : left >= (*page)->n)
			return tree_corrupt(seq_path_ptr(tree, path, level),
			                    "it has fewer items than its parent says");
		r = check_count(tree, path, level);
		if (r)
			return r;
	}
	path->first = position - behind - left;
	path->at[0] += lowest == 0 && behind;
	return 0;
}

void seq_path_add(const struct seq_path *path, unsigned level, int64_t count, bool refs)
{
	while (++level < path->depth) {
		struct page *page = path->page[level];
		uint8_t *c = (uint8_t *)page + PAGE_HEADER + NODE_CHILD * path->at[level] + 14;
		put_u48(c, (get_u48(c) + (uint64_t)count) | (refs ? NODE_RUNS : 0));
	}
}

void seq_path_sum(const struct seq_path *path, unsigned level)
{
	struct page *parent = path->page[level + 1];
	struct node_child child = seq_child(parent, path->at[level + 1]);
	seq_sum(path->page[level], &child.count, &child.runs);
	seq_set_child(parent, path->at[level + 1], &child);
}
