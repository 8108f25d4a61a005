/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting and cursors. A position is followed down by taking the counts of the children before it
 * away. level[0].at of a cursor is a unit, n past the last one, or BEFORE the first one; then the
 * path leads to the last or the first leaf. New pages go into a fresh path first, so that an error
 * leaves the cursor where it was.
 */
#include "engine/seq_private.h"
#include "engine/unpack.h"

#define BEFORE UINT32_MAX               /* one more is 0 */

static int fewer(struct page_ptr ptr)
{
	return tree_corrupt(ptr, "it has fewer items than its parent says");
}

/* The leaf of a position, which becomes one within it. */
static inline int list_leaf(const struct pager *pager, const struct tree *tree, uint64_t *at,
                            const struct page **leaf)
{
	struct page_ptr ptr = tree->root;
	const struct page *page;
	int r = tree_shape(tree);
	if (unlikely(r))
		return r;
	if (*at >= tree->count || tree->depth == 0)
		return 1;
	for (unsigned level = tree->depth - 1; level > 0; level--) {
		r = seq_page(pager, ptr, SEQ_LIST, level, &page);
		if (unlikely(r))
			return r;
		unsigned i = seq_route(page, at);
		if (unlikely(i == page->n))
			return fewer(ptr);
		ptr = seq_child_ptr(page, i);
	}
	r = seq_page(pager, ptr, SEQ_LIST, 0, leaf);
	if (unlikely(r))
		return r;
	return unlikely(*at >= (*leaf)->n) ? fewer(ptr) : 0;
}

int list_get(const struct pager *pager, const struct tree *tree, uint64_t at, struct cell *cell)
{
	const struct page *leaf;
	int r = list_leaf(pager, tree, &at, &leaf);
	if (likely(r == 0))
		*cell = seq_cell(leaf, (unsigned)at);
	return r;
}

int list_get_near(const struct pager *pager, const struct tree *tree, uint64_t at,
                  struct list_near *near, struct cell *cell)
{
	uint64_t within = at;
	int r;
	if (at - near->first < near->n && near->root.no == tree->root.no &&
	    near->root.birth == tree->root.birth && at < tree->count) {
		*cell = seq_cell(near->leaf, (unsigned)(at - near->first));
		return 0;
	}
	r = list_leaf(pager, tree, &within, &near->leaf);
	near->n = 0;
	if (unlikely(r))
		return r;
	near->root = tree->root;
	near->first = at - within;
	near->n = near->leaf->n;
	*cell = seq_cell(near->leaf, (unsigned)within);
	return 0;
}

/* ---- Cursors ---- */

struct step {
	struct page_ptr ptr;
	const struct page *page;
	uint32_t at;
};

void seq_cursor_open(struct seq_cursor *c, const struct pager *pager, const struct tree *tree,
                     enum seq_kind kind)
{
	c->pager = *pager;
	c->tree = *tree;
	c->kind = kind;
	c->depth = 0;
	c->first = 0;
	c->ahead = c->ahead_end = NULL;
	c->level[0].at = c->level[0].n = 0;
}

static void take(struct seq_cursor *c, const struct step *steps)
{
	c->depth = c->tree.depth;
	for (unsigned level = 0; level < c->depth; level++) {
		c->level[level].ptr = steps[level].ptr;
		c->level[level].page = steps[level].page;
		c->level[level].at = steps[level].at;
		c->level[level].n = steps[level].page->n;
	}
	if (c->pager.unpack)
		c->moved = unpack_moved(c->pager.unpack);
}

/* Pages of a packed state do not last while others are read: the leaf anew, if some have gone. */
static inline int leaf_anew(struct seq_cursor *c)
{
	if (likely(!c->pager.unpack || c->moved == unpack_moved(c->pager.unpack)))
		return 0;
	int r = seq_page(&c->pager, c->level[0].ptr, c->kind, 0, &c->level[0].page);
	c->moved = unpack_moved(c->pager.unpack);
	return r;
}

/* Asks for the leaf after (1) or before (-1) this one, if the parent knows it. */
static void hint_neighbour(struct seq_cursor *c, int step)
{
	c->ahead = c->ahead_end = NULL;
	if (c->depth < 2)
		return;
	uint32_t at = c->level[1].at + (uint32_t)step;
	if (at >= c->level[1].n)
		return;
	const uint8_t *p = tree_where(&c->pager, seq_child_ptr(c->level[1].page, at));
	if (p) {
		__builtin_prefetch(p);
		__builtin_prefetch(p + 64);
		c->ahead = p + 128;
		c->ahead_end = p + PAGE_SIZE;
	}
}

/*
 * Some lines of the next leaf a step, so that it is there when this one ends: the processor's own
 * prefetching stops at the end of a page.
 */
static inline void hint_ahead(struct seq_cursor *c)
{
	if (c->ahead < c->ahead_end) {
		__builtin_prefetch(c->ahead);
		__builtin_prefetch(c->ahead_end - 64);
		c->ahead += 64;
		c->ahead_end -= 64;
	}
}

int seq_cursor_seek(struct seq_cursor *c, uint64_t at)
{
	struct step steps[TREE_DEPTH_MAX];
	struct page_ptr ptr = c->tree.root;
	int r = tree_shape(&c->tree);
	if (r)
		return r;
	if (c->tree.depth == 0 || c->tree.count == 0)
		return 1;
	bool past = at >= c->tree.count;
	uint64_t left = past ? c->tree.count - 1 : at, position = left;
	for (unsigned level = c->tree.depth; level-- > 0;) {
		struct step *s = &steps[level];
		s->ptr = ptr;
		r = seq_page(&c->pager, ptr, c->kind, level, &s->page);
		if (r)
			return r;
		s->at = level ? seq_route(s->page, &left) : (uint32_t)left;
		if (level ? s->at == s->page->n : left >= s->page->n)
			return fewer(ptr);
		if (level)
			ptr = seq_child_ptr(s->page, s->at);
	}
	take(c, steps);
	c->first = position - left;
	hint_neighbour(c, 1);
	if (past)
		c->level[0].at = c->level[0].n;
	return past;
}

/*
 * To the nearest leaf after (1) or before (-1) this one; without one past the last or before the
 * first unit.
 */
static int cross(struct seq_cursor *c, int step)
{
	struct step steps[TREE_DEPTH_MAX];
	struct page_ptr ptr;
	unsigned level = 1;
	for (unsigned i = c->depth; i-- > 1;) {
		steps[i] = (struct step){ c->level[i].ptr, c->level[i].page, c->level[i].at };
		if (!c->pager.unpack) /* pages of a packed state do not last while others are read */
			continue;
		int r = seq_page(&c->pager, steps[i].ptr, c->kind, i, &steps[i].page);
		if (r)
			return r;
	}
	for (;; level++) {
		if (level >= c->depth) {
			c->level[0].at = step > 0 ? c->level[0].n : BEFORE;
			return 1;
		}
		uint32_t at = steps[level].at + (uint32_t)step;
		if (at < steps[level].page->n) {
			steps[level].at = at;
			break;
		}
	}
	do {
		struct step *s = &steps[level - 1];
		s->ptr = ptr = seq_child_ptr(steps[level].page, steps[level].at);
		int r = seq_page(&c->pager, ptr, c->kind, --level, &s->page);
		if (r)
			return r;
		s->at = step > 0 ? 0 : s->page->n - 1U;
	} while (level > 0);
	uint64_t n = steps[0].page->n;
	if (step < 0 && n > c->first)
		return tree_corrupt(ptr, "it has more items than its parent says");
	c->first = step > 0 ? c->first + c->level[0].n : c->first - n;
	take(c, steps);
	hint_neighbour(c, step);
	return 0;
}

int seq_cursor_next(struct seq_cursor *c)
{
	if (unlikely(c->depth == 0))
		return seq_cursor_seek(c, 0);
	uint32_t at = c->level[0].at;
	if (at == BEFORE) {
		c->level[0].at = 0;
		return leaf_anew(c);
	}
	if (at >= c->level[0].n)
		return 1;
	if (likely(c->kind == SEQ_LIST && at + 1 < c->level[0].n)) {
		c->level[0].at = at + 1;
		hint_ahead(c);
		return leaf_anew(c);
	}
	return cross(c, 1);
}

int seq_cursor_prev(struct seq_cursor *c)
{
	if (unlikely(c->depth == 0)) {
		int r = seq_cursor_seek(c, UINT64_MAX);
		if (r < 0 || c->depth == 0)
			return r;
	}
	uint32_t at = c->level[0].at;
	if (at == BEFORE)
		return 1;
	if (likely(at > 0)) {
		c->level[0].at = c->kind == SEQ_LIST ? at - 1 : 0;
		hint_ahead(c);
		return leaf_anew(c);
	}
	int r = cross(c, -1);
	if (!r && c->kind == SEQ_ROPE)
		c->level[0].at = 0;
	return r;
}

int rope_read(const struct pager *pager, const struct tree *tree, uint64_t at, void *buf,
              uint64_t len, uint64_t *got)
{
	struct seq_cursor c;
	const uint8_t *piece;
	*got = 0;
	if (len == 0)
		return 0;
	seq_cursor_open(&c, pager, tree, SEQ_ROPE);
	int r = seq_cursor_seek(&c, at);
	while (r == 0) {
		uint64_t n = seq_cursor_piece(&c, &piece), left = len - *got;
		n = n < left ? n : left;
		memcpy((uint8_t *)buf + *got, piece, n);
		*got += n;
		if (*got == len)
			return 0;
		r = seq_cursor_next(&c);
	}
	return r < 0 ? r : 0;
}
