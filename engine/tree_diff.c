/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each side stands at a head: an entry of a leaf, or a subtree that it has not entered. Of a
 * subtree one fence is known without reading it, from the separators above it: the lower one
 * upward, the upper one downward. No key of the subtree comes before that fence. So:
 *
 *   - both heads lead to the same page, nothing of which was taken: both pass over it;
 *   - an entry that stands before the other head's key or fence is in one tree only;
 *   - of two entries with one key the cells are compared;
 *   - else the subtree that begins first is entered; of two that begin alike the higher one, of two
 *     of one height both.
 *
 * A side that entered a page before the other one came to it is still at the page's beginning as
 * long as it took nothing of it: this, too, is found to be the same page.
 */
#include "engine/tree_diff.h"

#include "engine/run.h"
#include "engine/tree_private.h"

int tree_diff_open(struct tree_diff *d, const struct pager *old_pager, const struct tree *old,
                   const struct pager *now_pager, const struct tree *now,
                   const struct tree_bounds *bounds)
{
	const struct pager *pagers[] = { old_pager, now_pager };
	const struct tree *trees[] = { old, now };

	d->back = bounds->back;
	d->bounded_low = bounds->from != NULL;
	d->bounded_high = bounds->to != NULL;
	d->from_len = d->bounded_low ? bounds->from_len : 0;
	d->to_len = d->bounded_high ? bounds->to_len : 0;
	if (d->from_len > sizeof d->from || d->to_len > sizeof d->to)
		return error_set(DUR_E_LIMIT, "a bound of a diff is longer than any key");
	if (d->from_len)
		memcpy(d->from, bounds->from, d->from_len);
	if (d->to_len)
		memcpy(d->to, bounds->to, d->to_len);
	d->met[0] = d->met[1] = NULL;
	for (int i = 0; i < 2; i++) {
		struct diff_side *s = &d->side[i];
		int r = tree_shape(trees[i]);
		if (r)
			return r;
		s->pager = *pagers[i];
		s->tree = *trees[i];
		s->level = s->tree.depth;
		s->ended = s->tree.depth == 0;
		s->pages_read = 0;
	}
	return 0;
}

/* ---- Places ---- */

/* The child that the frame of a level stands at; above the root there is one, the root. */
static struct page_ptr child_at(const struct diff_side *s, unsigned level)
{
	if (level == s->tree.depth)
		return s->tree.root;
	return node_child_ptr(s->frame[level].page, s->frame[level].at);
}

static bool in_leaf(const struct diff_side *s)
{
	return s->level == 0 && s->tree.depth > 0;
}

/* Past the head, out of the nodes that end with it. */
static void pass(const struct tree_diff *d, struct diff_side *s)
{
	for (; s->level < s->tree.depth; s->level++) {
		struct diff_frame *f = &s->frame[s->level];
		if (d->back ? f->at > f->begin : f->at + 1 < f->end) {
			f->at = d->back ? f->at - 1 : f->at + 1;
			return;
		}
	}
	s->ended = true;
}

enum fence { FENCE_LOW, FENCE_HIGH };

/*
 * The separator below or above the child that the frame of a level stands at. false: there is none.
 */
static bool fence_of(const struct diff_side *s, unsigned level, enum fence fence,
                     const struct page **page, unsigned *at)
{
	for (; level < s->tree.depth; level++) {
		const struct diff_frame *f = &s->frame[level];
		*page = f->page;
		*at = fence == FENCE_LOW ? f->at : f->at + 1;
		if (fence == FENCE_LOW ? *at > 0 : *at < f->page->n)
			return true;
	}
	return false;
}

/*
 * The keys of a node lie between the fences of the child that leads to it. So a side's keys ascend
 * over all nodes, and no node is met twice.
 */
static int check_fences(const struct diff_side *s, struct page_ptr ptr, const struct page *page)
{
	unsigned first = s->level > 1 ? 1 : 0, at, len;
	const struct page *above;
	uint8_t key[TREE_KEY_MAX];

	if (page->n <= first)
		return 0;
	if (fence_of(s, s->level, FENCE_LOW, &above, &at)) {
		len = node_key(page, first, key);
		int c = node_compare(above, at, key, len);
		if (c > 0 || (c == 0 && first))
			return tree_corrupt(ptr, "its first key is below what its parent says");
	}
	if (fence_of(s, s->level, FENCE_HIGH, &above, &at)) {
		len = node_key(page, page->n - 1U, key);
		if (node_compare(above, at, key, len) <= 0)
			return tree_corrupt(ptr, "its last key is above what its parent says");
	}
	return 0;
}

/* Which entries of a node may hold keys of the range. */
static void frame_bounds(const struct tree_diff *d, struct diff_frame *f)
{
	bool leaf = !node_is_branch(f->page), found;

	f->begin = 0;
	f->end = f->page->n;
	if (d->bounded_low)
		f->begin = leaf ? node_find(f->page, d->from, d->from_len, &found) :
		                  node_route(f->page, d->from, d->from_len);
	if (d->bounded_high)
		f->end = leaf ? node_find(f->page, d->to, d->to_len, &found) :
		                node_route(f->page, d->to, d->to_len) + 1;
}

/* Pages of a packed state do not last while others are read: the path is met again. */
static int meet_path(struct tree_diff *d, struct diff_side *s)
{
	int r = 0;

	if (likely(!s->pager.unpack))
		return 0;
	d->met[0] = NULL;
	for (unsigned level = s->level; level < s->tree.depth && !r; level++)
		r = tree_page(&s->pager, s->frame[level].ptr, level, &s->frame[level].page);
	return r;
}

/* Into the subtree at the head. */
static int enter(struct tree_diff *d, struct diff_side *s)
{
	struct diff_frame f = { 0 };
	int r = meet_path(d, s);

	if (r)
		return r;
	f.ptr = child_at(s, s->level);
	r = tree_page(&s->pager, f.ptr, s->level - 1, &f.page);
	if (!r)
		r = check_fences(s, f.ptr, f.page);
	if (r)
		return r;
	s->pages_read++;
	d->met[0] = NULL; /* another page may come to lie where one was */
	frame_bounds(d, &f);
	f.at = d->back ? f.end - 1 : f.begin;
	s->frame[--s->level] = f;
	if (f.begin >= f.end) {
		s->frame[s->level].at = f.begin; /* nothing: as if its only entry were taken */
		s->frame[s->level].end = f.begin + 1;
		pass(d, s);
	}
	return 0;
}

/* ---- The same page on both sides ---- */

/* How high up the side is at the beginning of what it has entered: the level of that subtree. */
static unsigned top_of(const struct tree_diff *d, const struct diff_side *s)
{
	unsigned level = s->level;

	while (level < s->tree.depth) {
		const struct diff_frame *f = &s->frame[level];
		if (f->at != (d->back ? f->end - 1 : f->begin))
			break;
		level++;
	}
	return level;
}

/*
 * Subtrees that begin at a side's head: one of each height below top, the lowest not entered (or
 * the leaf it is in). True: the highest that both have in common was passed over.
 */
static bool pass_same(struct tree_diff *d)
{
	struct diff_side *a = &d->side[DIFF_OLD], *b = &d->side[DIFF_NOW];
	unsigned low_a = a->level ? a->level - 1 : 0, low_b = b->level ? b->level - 1 : 0;
	unsigned low = low_a > low_b ? low_a : low_b;
	unsigned top_a = top_of(d, a), top_b = top_of(d, b);

	for (unsigned level = top_a < top_b ? top_a : top_b; level-- > low;) {
		struct page_ptr p = child_at(a, level + 1), q = child_at(b, level + 1);
		if (p.no != q.no || p.birth != q.birth)
			continue;
		a->level = b->level = level + 1;
		pass(d, a);
		pass(d, b);
		return true;
	}
	return false;
}

/* ---- Order of heads ---- */

static int order_bytes(const uint8_t *a, unsigned a_len, const uint8_t *b, unsigned b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
	return c ? c : (a_len > b_len) - (a_len < b_len);
}

/*
 * Two entries. Neighbours of one page's history mostly share its prefix: then only the rest is
 * looked at.
 */
static int order_entries(struct tree_diff *d, const struct diff_frame *a,
                         const struct diff_frame *b)
{
	const struct page *p = a->page, *q = b->page;

	if (d->met[0] != p || d->met[1] != q) {
		d->met[0] = p;
		d->met[1] = q;
		d->same_prefix = p->prefix_len == q->prefix_len &&
		                 memcmp(node_prefix(p), node_prefix(q), p->prefix_len) == 0;
	}
	if (!d->same_prefix) {
		unsigned len = node_key(p, a->at, d->key);
		return -node_compare(q, b->at, d->key, len);
	}
	struct node_entry x = node_entry(p, a->at), y = node_entry(q, b->at);
	if (x.head != y.head)
		return x.head < y.head ? -1 : 1;
	int c = order_bytes(x.rest, node_rest_len(x.suffix_len), y.rest,
	                    node_rest_len(y.suffix_len));
	return c ? c : (x.suffix_len > y.suffix_len) - (x.suffix_len < y.suffix_len);
}

/*
 * The fence at which the subtree at a side's head begins. false: none, it begins before all keys.
 */
static bool begin_of(const struct tree_diff *d, const struct diff_side *s, const struct page **page,
                     unsigned *at)
{
	return fence_of(s, s->level, d->back ? FENCE_HIGH : FENCE_LOW, page, at);
}

/*
 * Whether an entry stands before all that the subtree at the other side's head may hold. A lower
 * fence may be a key of the subtree, an upper one is none.
 */
static bool entry_first(struct tree_diff *d, const struct diff_side *entry,
                        const struct diff_side *subtree)
{
	const struct diff_frame *f = &entry->frame[0];
	const struct page *page;
	unsigned at;

	if (!begin_of(d, subtree, &page, &at))
		return false;
	unsigned len = node_key(f->page, f->at, d->key);
	int c = node_compare(page, at, d->key, len);
	return d->back ? c <= 0 : c > 0;
}

/* Which of two subtrees to enter. */
static struct diff_side *subtree_first(struct tree_diff *d)
{
	struct diff_side *a = &d->side[DIFF_OLD], *b = &d->side[DIFF_NOW];
	const struct page *p, *q;
	unsigned i, j;
	bool fence_a = begin_of(d, a, &p, &i), fence_b = begin_of(d, b, &q, &j);
	int c = fence_a - fence_b; /* without one: the very first */

	if (fence_a && fence_b) {
		unsigned len = node_key(p, i, d->key);
		c = -node_compare(q, j, d->key, len);
		c = d->back ? -c : c;
	}
	if (c)
		return c < 0 ? a : b;
	return a->level >= b->level ? a : b;
}

/* ---- Steps ---- */

int tree_cells_differ(const struct pager *a_pager, const struct cell *a,
                      const struct pager *b_pager, const struct cell *b, uint64_t *pages)
{
	struct node_run x, y;
	const void *p, *q;

	if (a->len != b->len)
		return 1;
	if (memcmp(a->bytes, b->bytes, a->len) == 0)
		return 0;
	if (!node_cell_run(a, &x) || !node_cell_run(b, &y) || x.length != y.length ||
	    memcmp(a->bytes, b->bytes, a->len - CELL_RUN_BYTES) != 0)
		return 1;
	int r = run_read(a_pager->file, x.ptr, x.length, &p);
	if (!r)
		r = run_read(b_pager->file, y.ptr, y.length, &q);
	if (r)
		return r;
	if (pages)
		*pages += run_pages(x.length);
	return memcmp(p, q, x.length) != 0;
}

static struct cell cell_of(const struct diff_side *s)
{
	return node_cell(s->frame[0].page, s->frame[0].at);
}

/* The head of one side, an entry, is a change. Which cells there are the caller has told. */
static void give(struct tree_diff *d, const struct diff_side *s, struct tree_change *change)
{
	change->len = node_key(s->frame[0].page, s->frame[0].at, d->key);
	change->key = d->key;
}

static int give_one(struct tree_diff *d, struct diff_side *s, struct tree_change *change)
{
	*change = (struct tree_change){ 0 };
	*(s == &d->side[DIFF_OLD] ? &change->old : &change->now) = cell_of(s);
	give(d, s, change);
	pass(d, s);
	return 0;
}

/* Both heads are entries with one key. 0: a change, 1: none; both are passed. */
static int give_both(struct tree_diff *d, struct tree_change *change)
{
	struct diff_side *a = &d->side[DIFF_OLD], *b = &d->side[DIFF_NOW];
	uint64_t pages = 0;

	*change = (struct tree_change){ .old = cell_of(a), .now = cell_of(b) };
	int r = tree_cells_differ(&a->pager, &change->old, &b->pager, &change->now, &pages);
	if (r < 0)
		return r;
	a->pages_read += pages;
	b->pages_read += pages;
	if (r)
		give(d, a, change);
	pass(d, a);
	pass(d, b);
	return !r;
}

/* Both sides stand somewhere. 0: a change, 1: not yet. */
static int step(struct tree_diff *d, struct tree_change *change)
{
	struct diff_side *a = &d->side[DIFF_OLD], *b = &d->side[DIFF_NOW];
	int r;

	if (pass_same(d))
		return 1;
	if (in_leaf(a) && in_leaf(b)) {
		int c = order_entries(d, &a->frame[0], &b->frame[0]);
		if (c == 0)
			return give_both(d, change);
		return give_one(d, (c < 0) != d->back ? a : b, change);
	}
	if (in_leaf(a) || in_leaf(b)) {
		struct diff_side *entry = in_leaf(a) ? a : b, *subtree = in_leaf(a) ? b : a;
		if (entry_first(d, entry, subtree))
			return give_one(d, entry, change);
		r = enter(d, subtree);
	} else {
		r = enter(d, subtree_first(d));
	}
	return r ? r : 1;
}

int tree_diff_next(struct tree_diff *d, struct tree_change *change)
{
	struct diff_side *a = &d->side[DIFF_OLD], *b = &d->side[DIFF_NOW];
	int r = meet_path(d, a);

	if (!r)
		r = meet_path(d, b);
	if (r)
		return r;
	while (!a->ended && !b->ended) {
		r = step(d, change);
		if (r <= 0)
			return r;
	}
	struct diff_side *s = a->ended ? b : a;
	while (!s->ended) {
		if (in_leaf(s))
			return give_one(d, s, change);
		r = enter(d, s);
		if (r)
			return r;
	}
	return 1;
}
