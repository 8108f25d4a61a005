/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clearing a range. Two paths are owned, to the first entry that goes and to the first that stays
 * behind it; they are the seams. What lies between them is dropped as whole subtrees: branches are
 * read for their children's numbers, leaves only if runs may hang below. Then the seams are cut,
 * and mended where too little is left.
 *
 * Every page to be dropped is met once before the first change, so that damage is an error that
 * changes nothing. Only a want of memory for the list of retired pages can stop it half-way; that
 * bars the transaction (dirty.failed). Mending only saves space: if a neighbour cannot be read, it
 * is left out, and who needs that neighbour will be told.
 */
#include "engine/tree_path.h"

#include "engine/run.h"

struct clear {
	struct dirty *d;
	struct tree *tree;
	struct pager pager;
	bool drop;                      /* false: only look whether all can be read */
	uint64_t pages_left;            /* more than there are: the file leads in circles */
};

static int cell_gone(struct clear *c, const struct page *leaf, unsigned from, unsigned to)
{
	int r = 0;
	for (unsigned i = from; c->drop && i < to && !r; i++) {
		struct cell cell = node_cell(leaf, i);
		r = tree_drop_run(c->d, c->tree, &cell, NULL);
	}
	return r;
}

/* A page whose children are done. */
static int page_gone(struct clear *c, struct page_ptr ptr)
{
	if (c->pages_left == 0)
		return tree_corrupt(ptr, "more pages hang below its tree than the file has");
	c->pages_left--;
	return c->drop ? dirty_drop(c->d, ptr, c->tree->class) : 0;
}

static int leaf_gone(struct clear *c, const struct node_child *child)
{
	const struct page *page;
	int r = 0;
	if (child->runs)
		r = tree_page(&c->pager, child->ptr, 0, &page);
	if (!r && child->runs)
		r = cell_gone(c, page, 0, page->n);
	return r ? r : page_gone(c, child->ptr);
}

/* A whole subtree, children before parents: a dirty page's memory is gone once it is dropped. */
static int subtree_gone(struct clear *c, const struct node_child *top, unsigned level)
{
	struct {
		struct page_ptr ptr;
		const struct page *page;
		unsigned at;
	} stack[TREE_DEPTH_MAX];
	unsigned up = level;
	if (level == 0)
		return leaf_gone(c, top);
	stack[level].ptr = top->ptr;
	stack[level].at = 0;
	int r = tree_page(&c->pager, top->ptr, level, &stack[level].page);
	while (!r) {
		if (stack[level].at == stack[level].page->n) {
			r = page_gone(c, stack[level].ptr);
			if (level++ == up)
				return r;
			continue;
		}
		struct node_child child = node_child(stack[level].page, stack[level].at++);
		if (level == 1) {
			r = leaf_gone(c, &child);
			continue;
		}
		level--;
		stack[level].ptr = child.ptr;
		stack[level].at = 0;
		r = tree_page(&c->pager, child.ptr, level, &stack[level].page);
	}
	return r;
}

/* Children [from, to) of a branch, with all below them. */
static int children_gone(struct clear *c, const struct page *page, unsigned from, unsigned to)
{
	int r = 0;
	for (unsigned i = from; i < to && !r; i++) {
		struct node_child child = node_child(page, i);
		r = subtree_gone(c, &child, page_level(page) - 1);
	}
	return r;
}

/* ---- The seams ---- */

/*
 * What goes between the seams at one level: of the left path's node, of the right one's, or of
 * both's.
 */
static int between_gone(struct clear *c, const struct path *left, const struct path *right,
                        unsigned level)
{
	int (*gone)(struct clear *, const struct page *, unsigned, unsigned) =
		level ? children_gone : cell_gone;
	const struct page *l = left->page[level], *r = right->page[level];
	unsigned from = left->at[level] + (level ? 1 : 0);
	if (l == r)
		return from < right->at[level] ? gone(c, l, from, right->at[level]) : 0;
	int result = gone(c, l, from, l->n);
	return result ? result : gone(c, r, 0, right->at[level]);
}

/*
 * The child on a path was cut: drops it if nothing is left. True: it is still there, its sum is
 * right.
 */
static bool seam_child(struct clear *c, const struct path *path, unsigned level)
{
	struct page *parent = path->page[level];
	const struct page *child = path->page[level - 1];
	if (child->n > 0) {
		path_sum(path, level - 1);
		return true;
	}
	/* Owned: cannot fail. */
	dirty_drop(c->d, node_child_ptr(parent, path->at[level]), c->tree->class);
	return false;
}

/* Cuts the nodes of one level; those below are cut. */
static void cut(struct clear *c, const struct path *left, const struct path *right, unsigned level)
{
	struct page *l = left->page[level], *r = right->page[level];
	unsigned from = left->at[level], to = right->at[level];
	if (level > 0 && l == r && from == to) {
		/* Above the place where the paths part. */
		if (!seam_child(c, left, level))
			node_remove(l, from, from + 1);
		return;
	}
	if (level > 0) {
		from += seam_child(c, left, level);
		to += !seam_child(c, right, level);
	}
	if (l == r) {
		node_remove(l, from, to);
		return;
	}
	node_remove(l, from, l->n);
	node_remove(r, 0, to);
}

static int clear_between(struct clear *c, const struct path *left, const struct path *right)
{
	int r = 0;
	for (unsigned level = 0; level < left->depth && !r; level++)
		r = between_gone(c, left, right, level);
	if (r || !c->drop)
		return r;
	for (unsigned level = 0; level < left->depth; level++)
		cut(c, left, right, level);
	return 0;
}

/* ---- Clearing ---- */

struct bound {
	const void *key;                /* NULL: open */
	size_t len;
	uint64_t rank;
};

static int rank_of(struct clear *c, struct bound *bound, uint64_t open)
{
	bound->rank = open;
	if (!bound->key)
		return 0;
	int r = tree_rank(&c->pager, c->tree, bound->key, bound->len, &bound->rank);
	return r < 0 ? r : 0;
}

static int clear_all(struct clear *c)
{
	/* The root says of no runs: look for them if it is a leaf. */
	struct node_child root = { .ptr = c->tree->root, .runs = c->tree->depth == 1 };
	return subtree_gone(c, &root, c->tree->depth - 1);
}

/* Both passes: looking, then doing. The second one may fail half-way only for want of memory. */
static int clear_range(struct clear *c, const struct bound *from, const struct bound *to)
{
	struct path left, right;
	struct dirty *d = c->d;
	uint64_t pages = c->pages_left;
	bool all = from->rank == 0 && to->rank == c->tree->count;
	int r = 0;
	if (!all) {
		r = path_own(d, c->tree, from->key ? PATH_KEY : PATH_FIRST, from->key, from->len, &left);
		if (!r)
			r = path_own(d, c->tree, to->key ? PATH_KEY : PATH_LAST, to->key, to->len, &right);
	}
	if (!r)
		r = all ? clear_all(c) : clear_between(c, &left, &right);
	if (r)
		return r;
	c->drop = true;
	c->pages_left = pages;
	r = all ? clear_all(c) : clear_between(c, &left, &right);
	if (!r && all) {
		c->tree->root = (struct page_ptr){ 0 };
		c->tree->depth = 0;
	} else if (!r) {
		tree_mend(d, c->tree, from->key ? PATH_KEY : PATH_FIRST, from->key, from->len);
		tree_mend(d, c->tree, to->key ? PATH_KEY : PATH_LAST, to->key, to->len);
	}
	c->tree->count -= to->rank - from->rank;
	if (r)
		d->failed = r;
	return r;
}

int tree_clear(struct dirty *d, struct tree *tree, const void *from, size_t from_len,
               const void *to, size_t to_len, uint64_t *n)
{
	struct bound low = { .key = from, .len = from_len }, high = { .key = to, .len = to_len };
	struct clear c = {
		.d = d, .tree = tree, .pager = { .file = d->file, .dirty = d },
		.pages_left = atomic_load_explicit(&d->file->pages, memory_order_relaxed) + d->n_pages,
	};
	*n = 0;
	int r = tree_shape(tree);
	if (!r)
		r = rank_of(&c, &low, 0);
	if (!r)
		r = rank_of(&c, &high, tree->count);
	if (r || low.rank >= high.rank)
		return r;
	if (high.rank > tree->count)
		return tree_corrupt(tree->root, "the number of entries below it is not what is recorded");
	tree->finger = (struct finger){ 0 };
	r = clear_range(&c, &low, &high);
	if (!r)
		*n = high.rank - low.rank;
	return r;
}
