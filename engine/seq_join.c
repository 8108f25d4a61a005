/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting and joining, and removing, which is both. A split cuts every node on one path in two; a
 * join hangs the lower tree's root beside the node of its height at the edge of the higher one.
 * Then the seams are mended. All that can fail comes before the first change.
 */
#include "engine/nest.h"
#include "engine/refs.h"
#include "engine/seq_private.h"

/* ---- Splitting ---- */

struct spine {
	struct page_ptr ptr[TREE_DEPTH_MAX];
	struct page *page[TREE_DEPTH_MAX];
	bool used[TREE_DEPTH_MAX];
};

static void spine_return(struct dirty *d, const struct tree *tree, const struct spine *s,
                         unsigned n)
{
	/* The transaction's own pages: giving them back cannot fail. */
	for (unsigned level = 0; level < n; level++)
		if (!s->used[level])
			dirty_drop(d, s->ptr[level], tree->class);
}

static int spine_take(struct dirty *d, const struct tree *tree, enum seq_kind kind, unsigned depth,
                      struct spine *s)
{
	for (unsigned level = 0; level < depth; level++) {
		unsigned page_kind = level ? (unsigned)PAGE_SEQ_BRANCH : (unsigned)kind;
		int r = dirty_new(d, page_kind, level, tree->class, &s->ptr[level],
		                  &s->page[level]);
		s->used[level] = false;
		if (r) {
			spine_return(d, tree, s, level);
			return r;
		}
	}
	return 0;
}

/* A child as the first unit of a page. */
static void put_child(struct page *page, struct page_ptr ptr, const struct page *child)
{
	union node_copy image;
	struct node_child c = { .ptr = ptr };
	seq_sum(child, &c.count, &c.runs);
	seq_image(&image, SEQ_LIST, page_level(page));
	image.page.n = 1;
	seq_set_child(&image.page, 0, &c);
	seq_take(page, 0, &image.page, 0, 1);
}

/*
 * Cuts the path in two, from the leaf up: what stands before the path's position stays, the rest
 * goes to the spine. As long as nothing stands before it, whole nodes go. Returns the right one's
 * root.
 */
static struct page_ptr cut_path(const struct tree *tree, const struct seq_path *path,
                                struct spine *s)
{
	struct page_ptr right = { 0 };
	bool whole = true;
	for (unsigned level = 0; level < path->depth; level++) {
		struct page *node = path->page[level], *fresh = s->page[level];
		unsigned at = path->at[level];
		if (whole && at == 0) {
			right = seq_path_ptr(tree, path, level);
			continue;
		}
		s->used[level] = true;
		if (whole) {
			seq_take(fresh, 0, node, at, node->n);
			seq_cut(node, at, node->n);
		} else {
			seq_take(fresh, 0, node, at + 1, node->n);
			put_child(fresh, right, s->page[level - 1]);
			seq_cut(node, at + 1, node->n);
			seq_path_sum(path, level - 1);
		}
		whole = false;
		right = s->ptr[level];
	}
	return right;
}

int seq_split(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t at,
              struct tree *right)
{
	struct tree rest = { .class = tree->class };
	struct seq_path path;
	struct spine spine;
	int r = seq_shape(tree);
	if (!r && at > tree->count)
		r = seq_out_of_range(at, tree->count);
	if (r)
		return r;
	if (at == 0) {
		*right = *tree;
		*tree = rest;
		return 0;
	}
	if (at < tree->count) {
		r = seq_path_own(d, tree, kind, at, SEQ_ITEM, &path);
		if (!r)
			r = spine_take(d, tree, kind, path.depth, &spine);
		if (r)
			return r;
		rest.root = cut_path(tree, &path, &spine);
		rest.depth = tree->depth;
		rest.count = tree->count - at;
		tree->count = at;
		spine_return(d, tree, &spine, path.depth);
		seq_mend(d, tree, kind, at - 1);
		seq_mend(d, &rest, kind, 0);
	}
	*right = rest;
	return 0;
}

/* ---- Joining ---- */

/*
 * The root of `low` becomes a part of `high`, which is as high or higher: at its end or its
 * beginning.
 */
static int hang(struct dirty *d, struct tree *high, enum seq_kind kind, struct tree *low,
                bool at_end)
{
	struct seq_path path;
	struct page *root;
	unsigned level = low->depth - 1;
	int r = seq_path_own_to(d, high, kind, at_end ? high->count - 1 : 0, SEQ_ITEM, level, &path);
	if (!r)
		r = seq_own_root(d, low, kind, &root);
	if (r)
		return r;
	struct page *node = path.page[level];
	if (seq_used(node) + seq_used(root) <= SEQ_MERGE_MAX) {
		uint64_t count;
		bool refs;
		seq_sum(root, &count, &refs);
		seq_take(node, at_end ? node->n : 0, root, 0, root->n);
		seq_path_add(&path, level, (int64_t)low->count, refs);
		dirty_drop(d, low->root, high->class);
	} else {
		union node_copy image;
		struct seq_put put = { .level = level + 1, .units = &image.page, .at = at_end };
		if (put.level < path.depth)
			put.at += path.at[put.level];
		seq_image(&image, kind, level + 1);
		put_child(&image.page, low->root, root);
		r = seq_put(d, high, kind, &path, &put, (int64_t)low->count);
		if (r)
			return r;
	}
	high->count += low->count;
	return 0;
}

int seq_join(struct dirty *d, struct tree *tree, enum seq_kind kind, struct tree *right)
{
	const struct tree none = { .class = right->class };
	int r = seq_shape(tree);
	if (!r)
		r = seq_shape(right);
	if (r || right->count == 0)
		return r;
	if (tree->count == 0) {
		*tree = *right;
		*right = none;
		seq_lose_finger(tree);
		return 0;
	}
	if (tree->count >= NODE_COUNT_MAX || right->count >= NODE_COUNT_MAX - tree->count)
		return error_set(DUR_E_LIMIT, "a list or rope cannot hold so much");
	uint64_t seam = tree->count;
	if (tree->depth >= right->depth) {
		r = hang(d, tree, kind, right, true);
	} else {
		r = hang(d, right, kind, tree, false);
		if (!r)
			*tree = *right;
	}
	if (r)
		return r;
	*right = none;
	seq_mend(d, tree, kind, seam - 1);
	seq_mend(d, tree, kind, seam);
	return 0;
}

/* ---- Removing ---- */

/* What cells [from, to) of an owned leaf name loses a reference. */
static int release_cells(struct dirty *d, const struct page *leaf, unsigned from, unsigned to)
{
	bool begun = false;
	for (unsigned i = from; i < to; i++) {
		struct cell cell = seq_cell(leaf, i);
		if (!(cell.bytes[0] & CELL_RUN))
			continue;
		int r = ref_release_cell(d, cell.bytes, cell.len);
		if (r && begun)
			d->failed = r;
		if (r)
			return r;
		begun = true;
	}
	return 0;
}

/* A tree that nobody names any more. */
static int release_tree(struct dirty *d, const struct tree *tree, enum seq_kind kind)
{
	uint8_t cell[NEST_TREE_CELL];
	nest_tree_write(cell, &(struct nest_tree){
		.kind = kind == SEQ_LIST ? DUR_LIST : DUR_ROPE,
		.depth = tree->depth,
		.root = tree->root,
		.count = tree->count,
	});
	return ref_release_cell(d, cell, sizeof cell);
}

/* The pages of a tree that is the transaction's own, without what its cells name. */
static void drop_pages(struct dirty *d, const struct tree *tree)
{
	struct {
		struct page_ptr ptr;
		const struct page *page;
		unsigned at;
	} stack[TREE_DEPTH_MAX], *top = stack;
	top->ptr = tree->root;
	top->page = d->pages[tree->root.no & ~PAGE_DIRTY];
	top->at = 0;
	for (;;) {
		if (page_level(top->page) == 0 || top->at == top->page->n) {
			dirty_drop(d, top->ptr, tree->class);
			if (top == stack)
				return;
			top--;
			continue;
		}
		struct page_ptr ptr = seq_child_ptr(top->page, top->at++);
		top++;
		top->ptr = ptr;
		top->page = d->pages[ptr.no & ~PAGE_DIRTY];
		top->at = 0;
	}
}

static int remove_in_leaf(struct dirty *d, struct tree *tree, enum seq_kind kind,
                          struct seq_path *path, unsigned n, bool moved)
{
	struct page *leaf = path->page[0];
	unsigned from = path->at[0];
	if (kind == SEQ_LIST && !moved) {
		int r = release_cells(d, leaf, from, from + n);
		if (r)
			return r;
	}
	seq_cut(leaf, from, from + n);
	seq_path_add(path, 0, -(int64_t)n, false);
	tree->count -= n;
	seq_lose_finger(tree);
	bool thin = seq_used(leaf) < SEQ_THIRD;
	if (leaf->n == 0)
		seq_drop_empty(d, tree, path);
	if (tree->count && thin)
		seq_mend(d, tree, kind, path->first + from);
	return 0;
}

/* Over more than one leaf. */
static int remove_range(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t from,
                        uint64_t to, bool moved)
{
	struct tree middle = { 0 }, right;
	int r = seq_split(d, tree, kind, to, &right), joined;
	if (r)
		return r;
	r = seq_split(d, tree, kind, from, &middle);
	if (!r && moved)
		drop_pages(d, &middle);
	else if (!r)
		r = release_tree(d, &middle, kind);
	joined = r ? seq_join(d, tree, kind, &middle) : 0;
	if (!joined)
		joined = seq_join(d, tree, kind, &right);
	if (joined)
		d->failed = joined;
	return r ? r : joined;
}

static int remove_items(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t from,
                        uint64_t to, bool moved)
{
	struct seq_path path;
	int r = seq_shape(tree);
	if (!r && (to > tree->count || from > to))
		r = seq_out_of_range(to > tree->count ? to : from, tree->count);
	if (r || from == to)
		return r;
	r = seq_path_own(d, tree, kind, from, SEQ_ITEM, &path);
	if (r)
		return r;
	if (to - from <= path.page[0]->n - path.at[0])
		return remove_in_leaf(d, tree, kind, &path, (unsigned)(to - from), moved);
	return remove_range(d, tree, kind, from, to, moved);
}

int seq_remove(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t from, uint64_t to)
{
	return remove_items(d, tree, kind, from, to, false);
}

int seq_remove_moved(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t from,
                     uint64_t to)
{
	return remove_items(d, tree, kind, from, to, true);
}
