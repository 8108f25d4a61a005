/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clearing a range. Two paths are owned, to the first entry that goes and to the first that stays
 * behind it; they are the seams. What lies between them is dropped as whole subtrees: branches are
 * read for their children's numbers, leaves only if their cells may name pages. Then the seams are cut,
 * and mended where too little is left.
 *
 * Every page to be dropped is met once before the first change, so that damage is an error that
 * changes nothing. Only a want of memory for the list of retired pages can stop it half-way; that
 * bars the transaction (dirty.failed). Mending only saves space: if a neighbour cannot be read, it
 * is left out, and who needs that neighbour will be told.
 */
#include "engine/tree_path.h"

#include "engine/refs.h"

struct clear {
	struct dirty *d;
	struct tree *tree;
	struct pager pager;
	bool drop;                      /* false: only look whether all can be read */
};

static int cell_gone(struct clear *c, const struct page *leaf, unsigned from, unsigned to)
{
	int r = 0;
	for (unsigned i = from; i < to && !r; i++) {
		struct cell cell = node_cell(leaf, i);
		r = c->drop ? tree_drop_cell(c->d, c->tree, &cell) :
		              ref_look_cell(c->d, cell.bytes, cell.len);
	}
	return r;
}

/* A whole subtree. */
static int subtree_gone(struct clear *c, const struct node_child *top, unsigned level)
{
	const struct page_ref ref = {
		.kind = REF_CHILD, .ptr = top->ptr, .of = DUR_MAP, .level = level, .refs = top->runs,
	};
	return c->drop ? ref_release(c->d, &ref, c->tree->class) :
	                 ref_look(c->d, &ref, c->tree->class);
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
	/* Nobody says of the root whether it names pages: look if it is a leaf. */
	struct node_child root = { .ptr = c->tree->root, .runs = c->tree->depth == 1 };
	return subtree_gone(c, &root, c->tree->depth - 1);
}

/* Both passes: looking, then doing. The second one may fail half-way only for want of memory. */
static int clear_range(struct clear *c, const struct bound *from, const struct bound *to)
{
	struct path left, right;
	struct dirty *d = c->d;
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
