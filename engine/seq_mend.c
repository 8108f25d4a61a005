/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After units went: an empty node is dropped, one that uses less than a third of its page is merged
 * with a neighbour or filled from it, a root with one child gives way to it.
 */
#include "engine/seq_private.h"

static struct page *child_page(const struct dirty *d, const struct page *parent, unsigned at)
{
	return d->pages[seq_child_ptr(parent, at).no & ~PAGE_DIRTY];
}

static void set_sum(struct page *parent, unsigned at, const struct page *page)
{
	struct node_child child = seq_child(parent, at);
	seq_sum(page, &child.count, &child.runs);
	seq_set_child(parent, at, &child);
}

void seq_pair(struct dirty *d, const struct tree *tree, struct page *parent, unsigned left)
{
	struct page *a = child_page(d, parent, left), *b = child_page(d, parent, left + 1);
	unsigned used_a = seq_used(a), used_b = seq_used(b);
	if (used_a + used_b <= SEQ_MERGE_MAX) {
		seq_take(a, a->n, b, 0, b->n);
		set_sum(parent, left, a);
		/* An owned page: dropping it cannot fail. */
		dirty_drop(d, seq_child_ptr(parent, left + 1), tree->class);
		seq_cut(parent, left + 1, left + 2);
		return;
	}
	if (used_a > used_b) {
		unsigned n = seq_fit_back(a, a->n, (used_a - used_b) / 2);
		seq_take(b, 0, a, a->n - n, a->n);
		seq_cut(a, a->n - n, a->n);
	} else {
		unsigned n = seq_fit(b, 0, (used_b - used_a) / 2);
		seq_take(a, a->n, b, 0, n);
		seq_cut(b, 0, n);
	}
	set_sum(parent, left, a);
	set_sum(parent, left + 1, b);
}

/* A root with one child gives way to it. */
static void lower_root(struct dirty *d, struct tree *tree, enum seq_kind kind)
{
	const struct pager pager = { .file = d->file, .dirty = d };
	const struct page *root;
	struct page *own;
	while (tree->depth > 1) {
		if (seq_page(&pager, tree->root, kind, tree->depth - 1, &root) || root->n > 1 ||
		    seq_own_root(d, tree, kind, &own))
			return;
		struct page_ptr gone = tree->root;
		tree->root = seq_child_ptr(own, 0);
		tree->depth--;
		dirty_drop(d, gone, tree->class);
	}
}

void seq_drop_empty(struct dirty *d, struct tree *tree, const struct seq_path *path)
{
	for (unsigned level = 0; level < path->depth && path->page[level]->n == 0; level++) {
		struct page_ptr gone = seq_path_ptr(tree, path, level);
		if (level + 1 < path->depth) {
			seq_cut(path->page[level + 1], path->at[level + 1], path->at[level + 1] + 1);
		} else {
			tree->root = (struct page_ptr){ 0 };
			tree->depth = 0;
		}
		dirty_drop(d, gone, tree->class);
	}
}

/* The neighbour with fewer items below it. */
static unsigned neighbour_of(const struct page *parent, unsigned at)
{
	if (at == 0)
		return 1;
	if (at + 1U == parent->n ||
	    seq_child_count(parent, at - 1) <= seq_child_count(parent, at + 1))
		return at - 1;
	return at + 1;
}

void seq_mend(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t position)
{
	struct page *page, *child, *beside;
	seq_lose_finger(tree);
	lower_root(d, tree, kind);
	if (tree->depth < 2 || seq_own_root(d, tree, kind, &page))
		return;
	uint64_t left = position < tree->count ? position : tree->count - 1;
	for (unsigned level = tree->depth - 1; level > 0; level--, page = child) {
		uint64_t within = left;
		unsigned at = seq_route(page, &within);
		if (at == page->n || seq_own_child(d, tree, kind, page, at, &child))
			break;
		if (seq_used(child) < SEQ_THIRD && page->n > 1) {
			unsigned other = neighbour_of(page, at);
			if (seq_own_child(d, tree, kind, page, other, &beside))
				break;
			seq_pair(d, tree, page, at < other ? at : other);
			/* The position may be below the other one now: look again. */
			within = left;
			at = seq_route(page, &within);
			if (at == page->n || seq_own_child(d, tree, kind, page, at, &child))
				break;
		}
		left = within;
	}
	lower_root(d, tree, kind);
}
