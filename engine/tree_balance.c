/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After entries went: an empty node is dropped, one that uses less than a third of its page is
 * merged with a neighbour or shares its entries, a root with one child gives way to it.
 *
 * Only reading and owning neighbours can fail, so that comes first (tree_balance_prepare); joining
 * without an owned neighbour is left out. An empty node can always be dropped: the neighbour's
 * range becomes wider, and no prefix must hold for a whole range (node.h).
 */
#include "engine/tree_path.h"

/* A merged node keeps some room, lest the next put splits it again. */
enum { MERGE_MAX = PAGE_SIZE - PAGE_SIZE / 8 };

/* Two neighbours, the left one's index in the parent. */
struct pair {
	struct page *parent, *left, *right;
	unsigned at;                    /* of the right one in the parent */
};

/* The neighbour with fewer entries below it; false: an only child. */
static bool neighbour_of(const struct page *parent, unsigned at, unsigned *neighbour)
{
	if (parent->n < 2)
		return false;
	if (at == 0)
		*neighbour = 1;
	else if (at + 1U == parent->n ||
	         node_child_count(parent, at - 1) <= node_child_count(parent, at + 1))
		*neighbour = at - 1;
	else
		*neighbour = at + 1;
	return true;
}

/* The node at level and its neighbour, if that is owned. */
static bool pair_of(const struct dirty *d, const struct path *path, unsigned level,
                    struct pair *pair)
{
	unsigned other, at = path->at[level + 1];
	struct page *parent = path->page[level + 1];
	if (!neighbour_of(parent, at, &other))
		return false;
	struct page_ptr ptr = node_child_ptr(parent, other);
	if (!dirty_mine(d, ptr))
		return false;
	struct page *page = d->pages[ptr.no & ~PAGE_DIRTY];
	pair->parent = parent;
	pair->left = other < at ? page : path->page[level];
	pair->right = other < at ? path->page[level] : page;
	pair->at = other < at ? at : other;
	return true;
}

/*
 * The separator is above the left one's keys and not above the right one's: a joined node is in
 * order.
 */
static bool in_order(const struct pair *pair)
{
	uint8_t sep[TREE_KEY_MAX];
	unsigned len = node_key(pair->parent, pair->at, sep);
	unsigned first = page_level(pair->left) > 0;
	if (pair->left->n > first && node_compare(pair->left, pair->left->n - 1U, sep, len) >= 0)
		return false;
	if (pair->right->n <= first)
		return true;
	int c = node_compare(pair->right, first, sep, len);
	return first ? c > 0 : c >= 0;
}

/* ---- Joining ---- */

struct join {
	struct node_seq seq;
	union node_copy left, right;    /* as they were */
	uint8_t sep[TREE_KEY_MAX];      /* between them */
	unsigned sep_len;
	uint8_t low_buf[TREE_KEY_MAX], high_buf[TREE_KEY_MAX];
	const uint8_t *low, *high;      /* fences of the two together */
	unsigned low_len, high_len;
};

static void join_open(struct join *j, const struct path *path, unsigned level,
                      const struct pair *pair)
{
	bool branch = level > 0;
	memcpy(&j->left, pair->left, PAGE_SIZE);
	memcpy(&j->right, pair->right, PAGE_SIZE);
	j->sep_len = node_key(pair->parent, pair->at, j->sep);
	j->low = path_fence(path, level + 1, pair->at - 1, SIDE_LOW, j->low_buf, &j->low_len);
	j->high = path_fence(path, level + 1, pair->at, SIDE_HIGH, j->high_buf, &j->high_len);
	node_seq_open(&j->seq, branch);
	node_seq_page(&j->seq, &j->left.page, 0, pair->left->n);
	if (branch && pair->right->n)
		node_seq_entry(&j->seq, j->sep, j->sep_len, node_entry(&j->right.page, 0).data,
		               NODE_CHILD);
	node_seq_page(&j->seq, &j->right.page, branch && pair->right->n, pair->right->n);
}

static bool merge(struct dirty *d, const struct tree *tree, struct join *j, const struct pair *pair)
{
	struct node_child child = node_child(pair->parent, pair->at - 1);
	struct page_ptr gone = node_child_ptr(pair->parent, pair->at);
	unsigned n = j->seq.n;
	unsigned prefix_len = node_seq_prefix(&j->seq, 0, n, j->low, j->low_len, j->high, j->high_len);
	if (node_seq_used(&j->seq, 0, n, prefix_len) > MERGE_MAX)
		return false;
	node_seq_write(&j->seq, 0, n, prefix_len, pair->left);
	node_sum(pair->left, &child.count, &child.runs);
	node_set_child(pair->parent, pair->at - 1, &child);
	node_remove(pair->parent, pair->at, pair->at + 1);
	/* An owned page: dropping it cannot fail. */
	dirty_drop(d, gone, tree->class);
	return true;
}

/* Another separator between the two, of another length: false if the parent cannot take it. */
static bool change_separator(struct page *parent, unsigned at, const uint8_t *sep, unsigned len)
{
	uint8_t child[NODE_CHILD];
	struct node_entry old = node_entry(parent, at);
	if (node_prefix_compare(parent, sep, len) != 0)
		return false;
	unsigned size = node_entry_size(true, len - parent->prefix_len, NODE_CHILD);
	if (node_used(parent) - old.size + size > PAGE_SIZE)
		return false;
	memcpy(child, old.data, NODE_CHILD);
	node_remove(parent, at, at + 1);
	return node_insert(parent, at, sep, len, child, NODE_CHILD);
}

static void set_sum(struct page *parent, unsigned at, const struct page *page)
{
	struct node_child child = node_child(parent, at);
	node_sum(page, &child.count, &child.runs);
	node_set_child(parent, at, &child);
}

/* Cuts the two anew in the middle. */
static void share(struct join *j, const struct pair *pair)
{
	const struct node_seq *s = &j->seq;
	unsigned middle = node_seq_middle(s, 0);
	if (middle == 0)
		return;
	uint8_t sep[TREE_KEY_MAX], below[TREE_KEY_MAX];
	unsigned len = node_seq_key(s, middle, sep);
	if (!s->branch)
		len = 1 + node_common(below, node_seq_key(s, middle - 1, below), sep, len);
	unsigned left = node_seq_prefix(s, 0, middle, j->low, j->low_len, sep, len);
	unsigned right = node_seq_prefix(s, middle, s->n, sep, len, j->high, j->high_len);
	if (node_seq_used(s, 0, middle, left) > PAGE_SIZE ||
	    node_seq_used(s, middle, s->n, right) > PAGE_SIZE ||
	    !change_separator(pair->parent, pair->at, sep, len))
		return;
	node_seq_write(s, 0, middle, left, pair->left);
	node_seq_write(s, middle, s->n, right, pair->right);
	set_sum(pair->parent, pair->at - 1, pair->left);
	set_sum(pair->parent, pair->at, pair->right);
}

/*
 * Joins the node at level with its neighbour. true: they are one now, the parent has an entry less.
 */
static bool join(struct dirty *d, const struct tree *tree, const struct path *path, unsigned level)
{
	struct join j;
	struct pair pair;
	if (!pair_of(d, path, level, &pair) || !in_order(&pair))
		return false;
	join_open(&j, path, level, &pair);
	if (merge(d, tree, &j, &pair))
		return true;
	share(&j, &pair);
	return false;
}

/* ---- Up along a path ---- */

int tree_balance_prepare(struct dirty *d, struct tree *tree, const struct path *path,
                         unsigned gone)
{
	for (unsigned level = 0; level + 1 < path->depth; level++) {
		struct page *page = path->page[level], *parent = path->page[level + 1], *beside;
		unsigned other, at = path->at[level + 1], left = node_used(page) - gone;
		struct pair pair;
		if (page->n > 1 && left >= NODE_THIRD)
			return 0;
		/* The parent loses an entry if the node is empty, or merged. */
		gone = node_entry(parent, at).size + NODE_SLOT;
		if (page->n == 1 || !neighbour_of(parent, at, &other))
			continue;
		int r = path_own_child(d, tree, parent, other, &beside);
		if (r)
			return r;
		if (pair_of(d, path, level, &pair) && !in_order(&pair))
			return tree_corrupt(node_child_ptr(parent, other),
			                    "its keys are not in order with its neighbour's");
		if (left + node_used(beside) > MERGE_MAX + PAGE_HEADER)
			return 0;
	}
	return 0;
}

/* A root with one child gives way to it. */
static void lower_root(struct dirty *d, struct tree *tree)
{
	while (dirty_mine(d, tree->root)) {
		const struct page *root = d->pages[tree->root.no & ~PAGE_DIRTY];
		struct page_ptr gone = tree->root;
		if (root->n > 1 || (root->n == 1 && tree->depth == 1))
			return;
		tree->root = root->n ? node_child_ptr(root, 0) : (struct page_ptr){ 0 };
		tree->depth = root->n ? tree->depth - 1 : 0;
		dirty_drop(d, gone, tree->class);
	}
}

void tree_balance(struct dirty *d, struct tree *tree, const struct path *path)
{
	for (unsigned level = 0; level + 1 < path->depth; level++) {
		struct page *page = path->page[level], *parent = path->page[level + 1];
		unsigned at = path->at[level + 1];
		if (page->n == 0) {
			dirty_drop(d, node_child_ptr(parent, at), tree->class);
			node_remove(parent, at, at + 1);
		} else if (node_used(page) >= NODE_THIRD || !join(d, tree, path, level)) {
			break;
		}
	}
	lower_root(d, tree);
}

/* ---- Down along a path ---- */

void tree_mend(struct dirty *d, struct tree *tree, enum path_to to, const uint8_t *key, size_t len)
{
	struct path path;
	lower_root(d, tree);
	if (tree->depth == 0)
		return;
	path.depth = tree->depth;
	unsigned level = tree->depth - 1;
	int r = path_own_root(d, tree, &path.page[level]);
	for (; !r && level > 0; level--) {
		struct page *page = path.page[level], *child = NULL, *beside;
		unsigned other, at = to == PATH_FIRST ? 0 : to == PATH_LAST ? page->n - 1U :
		                     node_route(page, key, len);
		path.at[level] = at;
		r = path_own_child(d, tree, page, at, &child);
		path.page[level - 1] = child;
		if (r || node_used(child) >= NODE_THIRD || !neighbour_of(page, at, &other))
			continue;
		r = path_own_child(d, tree, page, other, &beside);
		if (r)
			continue;
		/* The child's entries may be in the other one now: look again. */
		if (join(d, tree, &path, level - 1))
			at = other < at ? other : at;
		else if (to == PATH_KEY)
			at = node_route(page, key, len);
		path.at[level] = at;
		r = path_own_child(d, tree, page, at, &path.page[level - 1]);
	}
	lower_root(d, tree);
}
