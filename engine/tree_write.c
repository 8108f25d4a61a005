/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting. The path to the leaf is owned, the cell goes into the leaf, the counts above are raised.
 * When the leaf is full it is split, and its new neighbour's separator goes into the parent in the
 * same way, level by level. Everything that can fail (pages for the splits, the retired run) comes
 * before the first change, so that a failed put leaves the tree as it was.
 *
 * Where a node is split: loads in order must leave full pages. So an entry at the outer edge of the
 * tree starts a node of its own and leaves the full one alone; so does one that continues a series
 * of puts each just behind (before) the last one. All other nodes are cut in the middle.
 */
#include "engine/tree_path.h"

/* Puts in a row that make a trend. */
enum { TREND = 4, MISSES = 4 };

/* ---- The finger ---- */

static bool finger_good(const struct dirty *d, const struct tree *tree)
{
	const struct finger *f = &tree->finger;
	return f->dirty == d && f->moves == d->moves && tree->depth <= FINGER_DEPTH &&
	       tree->root.no & PAGE_DIRTY &&
	       d->pages[tree->root.no & ~PAGE_DIRTY] == f->page[tree->depth - 1];
}

/* Whether the finger's leaf is the one for a key that would come first or last in it. */
static bool finger_covers(const struct tree *tree, bool last, const uint8_t *key, size_t len)
{
	const struct finger *f = &tree->finger;
	for (unsigned level = 1; level < tree->depth; level++) {
		const struct page *page = f->page[level];
		unsigned at = f->at[level];
		if (last && at + 1 < page->n)
			return node_compare(page, at + 1, key, len) > 0;
		if (!last && at > 0)
			return node_compare(page, at, key, len) <= 0;
	}
	return true;
}

/* The path from the finger, if it leads to where the key belongs. */
static bool finger_path(struct dirty *d, struct tree *tree, const uint8_t *key, size_t len,
                        struct path *path)
{
	const struct finger *f = &tree->finger;
	if (f->misses >= MISSES || !finger_good(d, tree))
		return false;
	const struct page *leaf = f->page[0];
	unsigned at = node_find(leaf, key, len, &path->found);
	if (!path->found && (at == 0 || at == leaf->n) && !finger_covers(tree, at != 0, key, len))
		return false;
	path->depth = tree->depth;
	path->page[0] = f->page[0];
	path->at[0] = at;
	for (unsigned level = 1; level < tree->depth; level++) {
		path->page[level] = f->page[level];
		path->at[level] = f->at[level];
	}
	return true;
}

/* After a put that split nothing. */
static void finger_set(struct dirty *d, struct tree *tree, const struct path *path, bool fresh)
{
	struct finger *f = &tree->finger;
	if (path->depth > FINGER_DEPTH)
		return;
	if (finger_good(d, tree)) {
		bool same = f->page[0] == path->page[0];
		unsigned at = path->at[0], before = f->at[0];
		f->misses = same ? 0 : f->misses < MISSES ? (uint8_t)(f->misses + 1) : MISSES;
		if (!same || !fresh || (at != before && at != before + 1))
			f->trend = 0;
		else if (at == before)
			f->trend = f->trend > 0 ? -1 : f->trend > -TREND ? (int8_t)(f->trend - 1) : -TREND;
		else
			f->trend = f->trend < 0 ? 1 : f->trend < TREND ? (int8_t)(f->trend + 1) : TREND;
	}
	f->dirty = d;
	f->moves = d->moves;
	for (unsigned level = 0; level < path->depth; level++) {
		f->page[level] = path->page[level];
		f->at[level] = (uint16_t)path->at[level];
	}
}

/* ---- Splits ---- */

/* An entry on its way into a node. */
struct item {
	const uint8_t *key, *data;
	size_t len, data_len;
	unsigned at;
	bool replaces;                  /* the entry that is there */
	bool runs;
	bool moved;                     /* the old cell's pages are somebody else's now */
};

/* Pages for a split, one a level, taken before anything is changed. */
struct reserve {
	unsigned n;
	struct page_ptr ptr[TREE_DEPTH_MAX + 1];
	struct page *page[TREE_DEPTH_MAX + 1];
};

static void reserve_return(struct dirty *d, const struct tree *tree, struct reserve *reserve,
                           unsigned used)
{
	/* The transaction's own pages: giving them back cannot fail. */
	while (reserve->n > used)
		dirty_drop(d, reserve->ptr[--reserve->n], tree->class);
}

/* Whether a separator of this length fits the branch whatever its prefix becomes. */
static bool surely_fits(const struct page *page, unsigned len)
{
	unsigned entry = NODE_SLOT + node_entry_size(true, len, NODE_CHILD);
	unsigned wider = page->prefix_len ? page->n * (page->prefix_len + 1U) : 0;
	return node_used(page) + entry + wider <= PAGE_SIZE;
}

static int reserve_pages(struct dirty *d, const struct tree *tree, const struct path *path,
                         const struct item *item, struct reserve *reserve)
{
	unsigned longest = (unsigned)item->len;
	for (unsigned i = 0; i < path->page[0]->n; i++) {
		unsigned len = path->page[0]->prefix_len + node_entry(path->page[0], i).suffix_len;
		longest = len > longest ? len : longest;
	}
	reserve->n = 0;
	for (unsigned level = 0; level <= path->depth; level++) {
		if (level && level < path->depth && surely_fits(path->page[level], longest))
			return 0;
		int r = level == TREE_DEPTH_MAX ?
		        error_set(DUR_E_LIMIT, "the tree is too deep for another entry") :
		        dirty_new(d, level ? PAGE_BRANCH : PAGE_LEAF, level, tree->class,
		                  &reserve->ptr[level], &reserve->page[level]);
		if (r) {
			reserve_return(d, tree, reserve, 0);
			return r;
		}
		reserve->n++;
		if (level)
			longest = TREE_KEY_MAX;
	}
	return 0;
}

/* The level's node and its new neighbour, and what the parent is to be told. */
struct split {
	struct node_seq seq;
	union node_copy old;
	uint8_t sep[TREE_KEY_MAX];
	unsigned sep_len;
	struct page_ptr left, right;
	const struct page *left_page, *right_page;
};

static bool at_edge(const struct path *path, unsigned level, enum side side)
{
	while (++level < path->depth)
		if (path->at[level] != (side == SIDE_LOW ? 0 : path->page[level]->n - 1U))
			return false;
	return true;
}

/* Shortest key above entry i - 1 and not above entry i; a branch gives entry i's own away. */
static void separator(struct split *split, unsigned i)
{
	split->sep_len = node_seq_key(&split->seq, i, split->sep);
	if (split->seq.branch)
		return;
	uint8_t below[TREE_KEY_MAX];
	unsigned len = node_seq_key(&split->seq, i - 1, below);
	split->sep_len = node_common(below, len, split->sep, split->sep_len) + 1;
}

/* Writes entries [from, to) to a page under the best prefix that fits. */
static void write_range(struct split *split, const struct path *path, unsigned level, unsigned from,
                        unsigned to, struct page *page)
{
	uint8_t fence[TREE_KEY_MAX];
	unsigned len = 0;
	const uint8_t *fence_bytes = NULL;
	const struct node_seq *seq = &split->seq;
	if (level + 1 < path->depth)
		fence_bytes = path_fence(path, level + 1, path->at[level + 1],
		                         from ? SIDE_HIGH : SIDE_LOW, fence, &len);
	unsigned prefix_len =
		from ? node_seq_prefix(seq, from, to, split->sep, split->sep_len, fence_bytes, len) :
		       node_seq_prefix(seq, from, to, fence_bytes, len, split->sep, split->sep_len);
	if (node_seq_used(seq, from, to, prefix_len) > PAGE_SIZE)
		prefix_len = split->old.page.prefix_len;
	node_seq_write(seq, from, to, prefix_len, page);
}

/* The new entry alone in a page; the full one stays as it is. */
static void split_off(struct split *split, const struct item *item, bool last, struct page *page,
                      struct page *fresh, struct page_ptr fresh_ptr)
{
	struct node_seq *seq = &split->seq;
	unsigned at = last ? seq->n - 1 : 0, near = last ? at - 1 : 1;
	separator(split, last ? at : 1);
	if (seq->branch && !last) {
		/*
		 * The left one gets the first child alone, the new child takes its place in the
		 * full one.
		 */
		struct node_child child = node_child_read(item->data);
		node_seq_write(seq, 0, 1, 0, fresh);
		node_set_child(page, 0, &child);
	} else {
		/* Keys to come will be near: guess that they share what these two do. */
		uint8_t key[TREE_KEY_MAX], neighbour[TREE_KEY_MAX];
		unsigned shared = 0;
		if (!seq->branch) {
			unsigned len = node_seq_key(seq, at, key);
			shared = node_common(key, len, neighbour, node_seq_key(seq, near, neighbour));
		}
		node_seq_write(seq, at, at + 1, shared, fresh);
	}
	if (last) {
		split->right = fresh_ptr;
		split->right_page = fresh;
		split->left_page = page;
	} else {
		split->right = split->left;
		split->right_page = page;
		split->left = fresh_ptr;
		split->left_page = fresh;
	}
}

/*
 * The whole node again with the new entry, under a prefix that both share. false: it does not fit.
 */
static bool rewrite(struct split *split, const struct path *path, unsigned level,
                    const struct item *item)
{
	struct page *page = path->page[level];
	const struct page *old = &split->old.page;
	unsigned prefix_len = node_common(node_prefix(old), old->prefix_len, item->key, item->len);
	if (page->n == 1 && level) {
		/* The first separator of a branch: those to come will be like it and its own. */
		uint8_t fence[TREE_KEY_MAX];
		unsigned len;
		prefix_len = (unsigned)item->len - 1;
		if (level + 1 < path->depth && path_fence(path, level + 1, path->at[level + 1], SIDE_LOW,
		                                          fence, &len))
			prefix_len = node_common(fence, len, item->key, item->len);
	}
	if (node_seq_used(&split->seq, 0, split->seq.n, prefix_len) > PAGE_SIZE)
		return false;
	node_seq_write(&split->seq, 0, split->seq.n, prefix_len, page);
	return true;
}

/*
 * Makes room for the item in the node at level. false: the node took it. true: it was split, and
 * what the parent must learn is in split.
 */
static bool split_node(struct split *split, const struct tree *tree, const struct path *path,
                       unsigned level, const struct item *item, struct reserve *reserve)
{
	struct page *page = path->page[level];
	struct node_seq *seq = &split->seq;
	memcpy(&split->old, page, PAGE_SIZE);
	node_seq_open(seq, level > 0);
	node_seq_page(seq, &split->old.page, 0, item->at);
	node_seq_entry(seq, item->key, item->len, item->data, item->data_len);
	node_seq_page(seq, &split->old.page, item->at + item->replaces, page->n);
	if (rewrite(split, path, level, item))
		return false;

	struct page *fresh = reserve->page[level];
	unsigned first = level > 0, last = seq->n - 1;
	int trend = level ? 0 : tree->finger.trend;
	bool lacks = node_prefix_compare(page, item->key, item->len) != 0;
	split->left = path_ptr(tree, path, level);
	split->right = reserve->ptr[level];
	if (!item->replaces && item->at == last &&
	    (lacks || trend >= TREND || at_edge(path, level, SIDE_HIGH))) {
		split_off(split, item, true, page, fresh, reserve->ptr[level]);
		return true;
	}
	if (!item->replaces && item->at == first &&
	    (lacks || trend <= -TREND || at_edge(path, level, SIDE_LOW))) {
		split_off(split, item, false, page, fresh, reserve->ptr[level]);
		return true;
	}
	unsigned middle = node_seq_middle(seq, page->prefix_len);
	/* A series is to fill its node alone: what lies beyond its end goes. */
	unsigned behind = trend >= TREND ? item->at + 1 : trend <= -TREND ? item->at : middle;
	if (behind > 0 && behind < seq->n &&
	    node_seq_used(seq, 0, behind, page->prefix_len) <= PAGE_SIZE &&
	    node_seq_used(seq, behind, seq->n, page->prefix_len) <= PAGE_SIZE)
		middle = behind;
	separator(split, middle);
	write_range(split, path, level, 0, middle, page);
	write_range(split, path, level, middle, seq->n, fresh);
	split->left_page = page;
	split->right_page = fresh;
	return true;
}

/* A new root over the two halves of the old one. */
static void grow_root(struct tree *tree, const struct split *split, const struct node_child *left,
                      const struct node_child *right, const struct reserve *reserve)
{
	uint8_t bytes[2][NODE_CHILD];
	struct node_seq seq;
	node_child_write(bytes[0], left);
	node_child_write(bytes[1], right);
	node_seq_open(&seq, true);
	node_seq_entry(&seq, split->sep, 0, bytes[0], NODE_CHILD);
	node_seq_entry(&seq, split->sep, split->sep_len, bytes[1], NODE_CHILD);
	node_seq_write(&seq, 0, 2, split->sep_len - 1, reserve->page[tree->depth]);
	tree->root = reserve->ptr[tree->depth++];
}

/*
 * Puts the item into the leaf, whatever it takes; returns how many reserved pages are in use.
 * Cannot fail.
 */
static unsigned insert_split(struct tree *tree, const struct path *path, struct item item,
                             struct reserve *reserve)
{
	struct split split;
	uint8_t key[TREE_KEY_MAX], data[NODE_CHILD];
	int64_t more = !item.replaces;
	bool runs = item.runs;
	unsigned level = 0;
	for (; split_node(&split, tree, path, level, &item, reserve); level++) {
		struct node_child left = { .ptr = split.left }, right = { .ptr = split.right };
		node_sum(split.left_page, &left.count, &left.runs);
		node_sum(split.right_page, &right.count, &right.runs);
		if (level + 1 == path->depth) {
			grow_root(tree, &split, &left, &right, reserve);
			return level + 2;
		}
		struct page *parent = path->page[level + 1];
		node_set_child(parent, path->at[level + 1], &left);
		node_child_write(data, &right);
		memcpy(key, split.sep, split.sep_len);
		item = (struct item){ .key = key, .len = split.sep_len, .data = data,
		                      .data_len = NODE_CHILD, .at = path->at[level + 1] + 1 };
		if (parent->n > 1 && node_prefix_compare(parent, key, item.len) == 0 &&
		    node_insert(parent, item.at, key, item.len, data, NODE_CHILD)) {
			path_add(path, level + 1, more, runs);
			return level + 1;
		}
	}
	path_add(path, level, more, runs);
	return level;
}

/* ---- Putting ---- */

static int put_first(struct dirty *d, struct tree *tree, const struct item *item)
{
	struct page *page;
	int r = dirty_new(d, PAGE_LEAF, 0, tree->class, &tree->root, &page);
	if (r)
		return r;
	node_insert(page, 0, item->key, item->len, item->data, item->data_len);
	tree->count = tree->depth = 1;
	return 0;
}

/* Whether the leaf takes the item as it is, at most compacted. */
static bool fits(const struct page *leaf, const struct item *item)
{
	if (node_prefix_compare(leaf, item->key, item->len) != 0)
		return false;
	unsigned used = node_used(leaf) + node_entry_size(false, (unsigned)item->len - leaf->prefix_len,
	                                                  (unsigned)item->data_len);
	if (item->replaces)
		return used - node_entry(leaf, item->at).size <= PAGE_SIZE;
	return used + NODE_SLOT <= PAGE_SIZE;
}

static int put_at(struct dirty *d, struct tree *tree, const struct path *path,
                  const struct item *item)
{
	struct page *leaf = path->page[0];
	struct reserve reserve;
	bool plain = fits(leaf, item);
	int r = 0;
	reserve.n = 0;
	if (!plain) {
		r = path_check(tree, path);
		if (!r)
			r = reserve_pages(d, tree, path, item, &reserve);
	}
	if (!r && item->replaces && !item->moved) {
		struct cell old = node_cell(leaf, item->at);
		r = tree_drop_cell(d, tree, &old);
	}
	if (r) {
		reserve_return(d, tree, &reserve, 0);
		return r;
	}
	if (plain) {
		if (item->replaces)
			node_replace(leaf, item->at, item->data, item->data_len);
		else
			node_insert(leaf, item->at, item->key, item->len, item->data, item->data_len);
		if (!item->replaces || item->runs)
			path_add(path, 0, !item->replaces, item->runs);
		finger_set(d, tree, path, !item->replaces);
	} else {
		reserve_return(d, tree, &reserve, insert_split(tree, path, *item, &reserve));
		/* The path is history, the trend is not. */
		tree->finger.dirty = NULL;
	}
	tree->count += !item->replaces;
	return 0;
}

static int put(struct dirty *d, struct tree *tree, struct item item, bool *existed)
{
	const uint8_t *key = item.key;
	size_t len = item.len, cell_len = item.data_len;
	struct path path;
	if (existed)
		*existed = false;
	if (len > TREE_KEY_MAX || cell_len == 0 || cell_len > TREE_CELL_MAX ||
	    len + cell_len > TREE_ENTRY_MAX)
		return error_set(DUR_E_LIMIT, "a key of %zu bytes with a cell of %zu does not fit a page",
		                 len, cell_len);
	item.runs = (item.data[0] & CELL_RUN) != 0;
	int r = tree_shape(tree);
	if (r)
		return r;
	if (tree->depth == 0)
		return put_first(d, tree, &item);
	if (!finger_path(d, tree, key, len, &path))
		r = path_own(d, tree, PATH_KEY, key, len, &path);
	if (r)
		return r;
	item.at = path.at[0];
	item.replaces = path.found;
	r = put_at(d, tree, &path, &item);
	if (!r && existed)
		*existed = path.found;
	return r;
}

int tree_put(struct dirty *d, struct tree *tree, const void *key, size_t len, const void *cell,
             size_t cell_len, bool *existed)
{
	return put(d, tree, (struct item){ .key = key, .len = len, .data = cell, .data_len = cell_len },
	           existed);
}

int tree_put_moved(struct dirty *d, struct tree *tree, const void *key, size_t len,
                   const void *cell, size_t cell_len)
{
	return put(d, tree, (struct item){ .key = key, .len = len, .data = cell, .data_len = cell_len,
	                                   .moved = true }, NULL);
}

int tree_own(struct dirty *d, struct tree *tree, const void *key, size_t len, uint8_t **cell,
             size_t *cell_len)
{
	struct path path;
	int r = tree_shape(tree);
	if (r || tree->depth == 0)
		return r ? r : 1;
	if (!finger_path(d, tree, key, len, &path))
		r = path_own(d, tree, PATH_KEY, key, len, &path);
	if (r || !path.found)
		return r ? r : 1;
	struct cell at = node_cell(path.page[0], path.at[0]);
	*cell = (uint8_t *)path.page[0] + (at.bytes - node_bytes(path.page[0]));
	*cell_len = at.len;
	return 0;
}

/* ---- Deleting ---- */

static int del(struct dirty *d, struct tree *tree, const void *key, size_t len, bool moved)
{
	const struct pager pager = { .file = d->file, .dirty = d };
	struct path path;
	struct cell cell;
	int r = tree_get(&pager, tree, key, len, &cell);
	if (!r)
		r = path_own(d, tree, PATH_KEY, key, len, &path);
	if (r)
		return r;
	struct page *leaf = path.page[0];
	unsigned at = path.at[0];
	cell = node_cell(leaf, at);
	r = tree_balance_prepare(d, tree, &path, node_entry(leaf, at).size + NODE_SLOT);
	if (!r && !moved)
		r = tree_drop_cell(d, tree, &cell);
	if (r)
		return r;
	tree->finger = (struct finger){ 0 };
	node_remove(leaf, at, at + 1);
	path_add(&path, 0, -1, false);
	tree->count--;
	tree_balance(d, tree, &path);
	return 0;
}

int tree_del(struct dirty *d, struct tree *tree, const void *key, size_t len)
{
	return del(d, tree, key, len, false);
}

int tree_del_moved(struct dirty *d, struct tree *tree, const void *key, size_t len)
{
	return del(d, tree, key, len, true);
}
