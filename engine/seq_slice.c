/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slicing: a tree of a part of another one, with whose pages it is made. From the root down as long
 * as one child holds all of it; there its way forks, into a path to its first item and one to its
 * last. Only the pages on these two are copied, as far as they are in it; every other page is named
 * once more (refs.h), and as long as a whole node is in it the node is shared itself.
 */
#include "engine/refs.h"
#include "engine/seq_private.h"

struct slice {
	struct dirty *d;
	struct pager pager;
	enum seq_kind kind;
	enum page_class class;
	bool begun;                     /* something was made or shared */
};

/* A path that is only read. */
struct trail {
	struct page_ptr ptr[TREE_DEPTH_MAX];
	const struct page *page[TREE_DEPTH_MAX];
	unsigned at[TREE_DEPTH_MAX];
};

/* From a node of a level down to an item. */
static int follow(const struct slice *s, struct page_ptr ptr, unsigned level, uint64_t at,
                  struct trail *t)
{
	for (;; level--) {
		int r = seq_page(&s->pager, ptr, s->kind, level, &t->page[level]);
		if (r)
			return r;
		t->ptr[level] = ptr;
		t->at[level] = level ? seq_route(t->page[level], &at) : (unsigned)at;
		if (level ? t->at[level] == t->page[level]->n : at >= t->page[level]->n)
			return tree_corrupt(ptr, "it has fewer items than its parent says");
		if (level == 0)
			return 0;
		ptr = seq_child_ptr(t->page[level], t->at[level]);
	}
}

/* Copies units into a page; what they name has one parent more. */
static int copy_units(struct slice *s, struct page *to, const struct page *from, unsigned begin,
                      unsigned end)
{
	int r = 0;
	s->begun = true;
	seq_take(to, to->n, from, begin, end);
	for (unsigned i = begin; i < end && !r; i++) {
		if (page_level(from) > 0) {
			r = ref_share(s->d, seq_child_ptr(from, i));
		} else if (s->kind == SEQ_LIST) {
			struct cell cell = seq_cell(from, i);
			r = ref_share_cell(s->d, cell.bytes, cell.len);
		} else {
			break;
		}
	}
	return r;
}

static void add_child(struct page *to, const struct node_child *child)
{
	union node_copy image;
	seq_image(&image, SEQ_LIST, page_level(to));
	image.page.n = 1;
	seq_set_child(&image.page, 0, child);
	seq_take(to, to->n, &image.page, 0, 1);
}

static int make(struct slice *s, unsigned level, struct page_ptr *ptr, struct page **page)
{
	unsigned page_kind = level ? (unsigned)PAGE_SEQ_BRANCH : (unsigned)s->kind;
	s->begun = true;
	return dirty_new(s->d, page_kind, level, s->class, ptr, page);
}

/*
 * The part of a node of a level from the trail's item on (or up to it, to_end false), itself or
 * made anew, as a child.
 */
static int part(struct slice *s, const struct trail *t, unsigned top, bool to_end,
                struct node_child *out)
{
	bool whole = true;
	int r = 0;
	for (unsigned level = 0; level <= top && !r; level++) {
		const struct page *node = t->page[level];
		unsigned at = t->at[level], edge = to_end ? 0 : node->n - 1U;
		struct page *fresh;
		if (whole && at == edge) {
			out->ptr = t->ptr[level];
			seq_sum(node, &out->count, &out->runs);
			continue;
		}
		struct node_child below = *out;
		r = make(s, level, &out->ptr, &fresh);
		if (r)
			return r;
		/* The node's own child on the trail is in it as it is, or it is `below`. */
		if (to_end) {
			if (!whole)
				add_child(fresh, &below);
			r = copy_units(s, fresh, node, whole ? at : at + 1, node->n);
		} else {
			r = copy_units(s, fresh, node, 0, whole ? at + 1 : at);
			if (!r && !whole)
				add_child(fresh, &below);
		}
		whole = false;
		seq_sum(fresh, &out->count, &out->runs);
	}
	if (!r && whole) {
		s->begun = true;
		r = ref_share(s->d, out->ptr);
	}
	return r;
}

/* A leaf that holds all of it: its items [from, to). */
static int slice_leaf(struct slice *s, const struct page *leaf, unsigned from, unsigned to,
                      struct tree *out)
{
	struct page *fresh;
	int r = make(s, 0, &out->root, &fresh);
	if (!r)
		r = copy_units(s, fresh, leaf, from, to);
	out->depth = 1;
	out->count = to - from;
	return r;
}

/* A branch in which it forks: from `from` below child a to `last` below child b. */
static int slice_fork(struct slice *s, const struct page *node, unsigned a, uint64_t from,
                      unsigned b, uint64_t last, struct tree *out)
{
	struct trail left, right;
	struct node_child low = { 0 }, high = { 0 };
	struct page *fresh;
	unsigned level = page_level(node);
	uint64_t count;
	bool refs;
	int r = follow(s, seq_child_ptr(node, a), level - 1, from, &left);
	if (!r)
		r = follow(s, seq_child_ptr(node, b), level - 1, last, &right);
	if (!r)
		r = make(s, level, &out->root, &fresh);
	if (!r)
		r = part(s, &left, level - 1, true, &low);
	if (r)
		return r;
	add_child(fresh, &low);
	r = copy_units(s, fresh, node, a + 1, b);
	if (!r)
		r = part(s, &right, level - 1, false, &high);
	if (r)
		return r;
	add_child(fresh, &high);
	seq_sum(fresh, &count, &refs);
	out->depth = level + 1;
	out->count = count;
	return 0;
}

/* Down to where it forks. */
static int slice(struct slice *s, const struct tree *src, uint64_t from, uint64_t last,
                 struct tree *out)
{
	struct page_ptr ptr = src->root;
	const struct page *page;
	for (unsigned level = src->depth - 1;; level--) {
		int r = seq_page(&s->pager, ptr, s->kind, level, &page);
		if (r)
			return r;
		uint64_t left = from, right = last;
		unsigned a = level ? seq_route(page, &left) : 0, b = level ? seq_route(page, &right) : 0;
		if (level ? a == page->n || b == page->n : last >= page->n)
			return tree_corrupt(ptr, "it has fewer items than its parent says");
		if (level == 0)
			return slice_leaf(s, page, (unsigned)from, (unsigned)last + 1, out);
		if (a != b)
			return slice_fork(s, page, a, left, b, right, out);
		ptr = seq_child_ptr(page, a);
		from = left;
		last = right;
	}
}

int seq_slice(struct dirty *d, struct tree *src, enum seq_kind kind, uint64_t from, uint64_t to,
              struct tree *out)
{
	struct tree t = { .class = src->class };
	struct slice s = {
		.d = d, .pager = { .file = d->file, .dirty = d }, .kind = kind, .class = src->class,
	};
	int r = seq_shape(src);
	if (!r && (to > src->count || from > to))
		r = seq_out_of_range(to > src->count ? to : from, src->count);
	if (r)
		return r;
	if (from == 0 && to == src->count && to > 0) {
		r = ref_share(d, src->root);
		t.root = src->root;
		t.depth = src->depth;
		t.count = src->count;
	} else if (from < to) {
		r = slice(&s, src, from, to - 1, &t);
	}
	if (r) {
		/* Pages made and counts changed so far cannot be told apart any more. */
		if (s.begun)
			d->failed = r;
		return r;
	}
	if (t.count != to - from)
		r = d->failed = tree_corrupt(src->root, "the number of items below it is wrong");
	if (!r && dirty_mine(d, t.root)) {
		seq_mend(d, &t, kind, 0);
		seq_mend(d, &t, kind, t.count - 1);
	}
	if (!r)
		*out = t;
	return r;
}

static int check_insert(const struct tree *tree, uint64_t at, uint64_t n)
{
	int r = seq_shape(tree);
	if (!r && at > tree->count)
		r = seq_out_of_range(at, tree->count);
	if (!r && n >= NODE_COUNT_MAX - tree->count)
		r = error_set(DUR_E_LIMIT, "a list or rope cannot hold so much");
	return r;
}

int seq_insert_tree(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t at,
                    struct tree *middle)
{
	struct tree right = { 0 };
	int r = check_insert(tree, at, middle->count);
	if (!r)
		r = seq_split(d, tree, kind, at, &right);
	if (!r)
		r = seq_join(d, tree, kind, middle);
	if (!r)
		r = seq_join(d, tree, kind, &right);
	/* What was to be inserted has no other place. */
	if (r)
		d->failed = r;
	return r;
}
