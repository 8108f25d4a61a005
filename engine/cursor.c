/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors. level[0].at is an entry, n past the last one, or BEFORE the first one; then the path
 * leads to the last or the first leaf. New pages go into a fresh path first, so that an error
 * leaves the cursor where it was. Entering a leaf asks for its neighbour: it arrives while this
 * one's entries are read.
 */
#include "engine/tree_private.h"
#include "engine/unpack.h"

#define BEFORE UINT32_MAX               /* one more is 0 */

enum edge { EDGE_FIRST, EDGE_LAST };

struct step {
	struct page_ptr ptr;
	const struct page *page;
	uint32_t at;
};

void cursor_open(struct cursor *c, const struct pager *pager, const struct tree *tree)
{
	c->pager = *pager;
	c->tree = *tree;
	c->depth = 0;
	c->key_page = NULL;
	c->ahead = c->ahead_end = NULL;
}

static void take(struct cursor *c, const struct step *steps)
{
	c->depth = c->tree.depth;
	for (unsigned level = 0; level < c->depth; level++) {
		c->level[level].ptr = steps[level].ptr;
		c->level[level].page = steps[level].page;
		c->level[level].at = steps[level].at;
		c->level[level].n = steps[level].page->n;
	}
	c->key_page = NULL;
	if (c->pager.unpack)
		c->moved = unpack_moved(c->pager.unpack);
}

/* Pages of a packed state do not last while others are read: the leaf anew, if some have gone. */
static inline int leaf_anew(struct cursor *c)
{
	if (likely(!c->pager.unpack || c->moved == unpack_moved(c->pager.unpack)))
		return 0;
	int r = tree_page(&c->pager, c->level[0].ptr, 0, &c->level[0].page);
	c->moved = unpack_moved(c->pager.unpack);
	c->key_page = NULL;
	return r;
}

/*
 * Asks for the leaf after (1) or before (-1) this one, if the parent knows it: where its search
 * arrays are, and its end, where a leaf that was filled in order has its first entries.
 */
static void hint_neighbour(struct cursor *c, int step)
{
	c->ahead = c->ahead_end = NULL;
	if (c->depth < 2)
		return;
	uint32_t at = c->level[1].at + (uint32_t)step;
	if (at >= c->level[1].n)
		return;
	struct page_ptr ptr = node_child_ptr(c->level[1].page, at);
	const uint8_t *p = tree_where(&c->pager, ptr);
	tree_hint(&c->pager, ptr);
	for (unsigned line = 1; p && line <= 4; line++)
		__builtin_prefetch(p + PAGE_SIZE - 64 * line);
	if (p) {
		c->ahead = p + 4 * 64;
		c->ahead_end = p + PAGE_SIZE - 4 * 64;
	}
}

/*
 * A few lines of the next leaf a step, so that it is there when this one ends: the processor's own
 * prefetching stops at the end of a page.
 */
static inline void hint_ahead(struct cursor *c)
{
	enum { LINES = 3 };

	if (c->ahead < c->ahead_end) {
		for (int i = 0; i < LINES; i++)
			__builtin_prefetch(c->ahead + 64 * i);
		c->ahead += 64 * LINES;
	}
}

/* From ptr, a node of this level, down along its first or last children. */
static int descend(const struct cursor *c, struct step *steps, unsigned level, struct page_ptr ptr,
                   enum edge edge)
{
	for (;; level--) {
		struct step *s = &steps[level];
		s->ptr = ptr;
		int r = tree_page(&c->pager, ptr, level, &s->page);
		if (r)
			return r;
		s->at = edge == EDGE_FIRST ? 0 : s->page->n - 1U;
		if (level == 0)
			return 0;
		ptr = node_child_ptr(s->page, s->at);
	}
}

static int to_edge(struct cursor *c, enum edge edge)
{
	struct step steps[TREE_DEPTH_MAX];
	int r = tree_shape(&c->tree);
	if (r)
		return r;
	if (c->tree.depth == 0)
		return 1;
	r = descend(c, steps, c->tree.depth - 1, c->tree.root, edge);
	if (r)
		return r;
	take(c, steps);
	hint_neighbour(c, edge == EDGE_FIRST ? 1 : -1);
	return 0;
}

int cursor_first(struct cursor *c)
{
	return to_edge(c, EDGE_FIRST);
}

int cursor_last(struct cursor *c)
{
	return to_edge(c, EDGE_LAST);
}

/* From a leaf's path to that of the nearest leaf after (1) or before (-1) it. 1: there is none. */
static int neighbour(const struct cursor *c, struct step *steps, int step)
{
	for (unsigned level = 1; level < c->tree.depth; level++) {
		uint32_t at = steps[level].at + (uint32_t)step;
		if (at >= steps[level].page->n)
			continue;
		struct page_ptr ptr = node_child_ptr(steps[level].page, at);
		steps[level].at = at;
		return descend(c, steps, level - 1, ptr, step > 0 ? EDGE_FIRST : EDGE_LAST);
	}
	return 1;
}

/* In a packed state: the leaves that come next, as far as the parent knows them. */
static void meet_ahead(const struct cursor *c, const struct step *parent, int step)
{
	struct page_ptr ptrs[UNPACK_AHEAD + 1];
	unsigned n = 0;

	for (uint32_t at = parent->at + (uint32_t)step; at < parent->page->n && n <= UNPACK_AHEAD;
	     at += (uint32_t)step)
		ptrs[n++] = node_child_ptr(parent->page, at);
	unpack_ahead(c->pager.unpack, c, ptrs, n);
}

/*
 * The cursor's own step to a neighbouring leaf; without one it is past the last or before the
 * first.
 */
static int cross(struct cursor *c, int step)
{
	struct step steps[TREE_DEPTH_MAX];
	int r = 0;
	for (unsigned level = c->depth; level-- > 1 && r == 0;) {
		steps[level] = (struct step){ c->level[level].ptr, c->level[level].page, c->level[level].at };
		if (c->pager.unpack) /* pages of a packed state do not last while others are read */
			r = tree_page(&c->pager, steps[level].ptr, level, &steps[level].page);
	}
	if (r == 0 && c->pager.unpack && c->depth > 1)
		meet_ahead(c, &steps[1], step);
	if (r == 0)
		r = neighbour(c, steps, step);
	if (r == 0) {
		take(c, steps);
		hint_neighbour(c, step);
	} else if (r == 1) {
		c->level[0].at = step > 0 ? c->level[0].n : BEFORE;
	}
	return r;
}

int cursor_next(struct cursor *c)
{
	if (unlikely(c->depth == 0))
		return cursor_first(c);
	uint32_t next = c->level[0].at + 1;
	if (likely(next < c->level[0].n)) {
		c->level[0].at = next;
		hint_ahead(c);
		return leaf_anew(c);
	}
	if (next > c->level[0].n)
		return 1;
	return cross(c, 1);
}

int cursor_prev(struct cursor *c)
{
	if (unlikely(c->depth == 0))
		return cursor_last(c);
	if (c->level[0].at == BEFORE)
		return 1;
	if (likely(c->level[0].at > 0)) {
		c->level[0].at--;
		hint_ahead(c);
		return leaf_anew(c);
	}
	return cross(c, -1);
}

/* The path to the leaf that would hold the key, and there to the first entry not below it, or n. */
static int to_key(const struct cursor *c, struct step *steps, const uint8_t *key, size_t len)
{
	struct page_ptr ptr = c->tree.root;
	int r = tree_shape(&c->tree);
	if (r)
		return r;
	if (c->tree.depth == 0)
		return 1;
	for (unsigned level = c->tree.depth; level-- > 0;) {
		struct step *s = &steps[level];
		tree_hint(&c->pager, ptr);
		s->ptr = ptr;
		r = tree_page(&c->pager, ptr, level, &s->page);
		if (r)
			return r;
		if (level > 0) {
			s->at = node_route(s->page, key, len);
			ptr = node_child_ptr(s->page, s->at);
		} else {
			bool found;
			s->at = node_find(s->page, key, len, &found);
		}
	}
	return 0;
}

int cursor_seek(struct cursor *c, const void *key, size_t len)
{
	struct step steps[TREE_DEPTH_MAX];
	int r = to_key(c, steps, key, len);
	if (r)
		return r;
	if (steps[0].at == steps[0].page->n)
		r = neighbour(c, steps, 1);
	if (r < 0)
		return r;
	take(c, steps);
	hint_neighbour(c, 1);
	return r;
}

int cursor_seek_before(struct cursor *c, const void *key, size_t len)
{
	struct step steps[TREE_DEPTH_MAX];
	int r = to_key(c, steps, key, len);
	if (r)
		return r;
	if (steps[0].at == 0)
		r = neighbour(c, steps, -1);
	else
		steps[0].at--;
	if (r < 0)
		return r;
	if (r == 1)
		steps[0].at = BEFORE;
	take(c, steps);
	hint_neighbour(c, -1);
	return r;
}

int cursor_nth(struct cursor *c, uint64_t n)
{
	struct step steps[TREE_DEPTH_MAX];
	struct page_ptr ptr = c->tree.root;
	int r = tree_shape(&c->tree);
	if (r)
		return r;
	if (n >= c->tree.count) {
		r = cursor_last(c);
		return r ? r : cursor_next(c);
	}
	for (unsigned level = c->tree.depth; level-- > 0;) {
		struct step *s = &steps[level];
		s->ptr = ptr;
		r = tree_page(&c->pager, ptr, level, &s->page);
		if (r)
			return r;
		if (level == 0) {
			if (n >= s->page->n)
				return tree_corrupt(ptr, "it has fewer entries than its parent says");
			s->at = (uint32_t)n;
			break;
		}
		for (s->at = 0; s->at < s->page->n; s->at++) {
			uint64_t below = node_child_count(s->page, s->at);
			if (n < below)
				break;
			n -= below;
		}
		if (s->at == s->page->n)
			return tree_corrupt(ptr, "it has fewer entries than its parent says");
		ptr = node_child_ptr(s->page, s->at);
	}
	take(c, steps);
	hint_neighbour(c, 1);
	return 0;
}

/* ---- The entry ---- */

/* Prefix, head and rest put together; short pieces are copied with a fixed length, it is faster. */
static size_t assemble(struct cursor *c, const struct page *p, const struct node_entry *e)
{
	size_t prefix_len = p->prefix_len, rest_len = node_rest_len(e->suffix_len);
	if (c->key_page != p) {
		memcpy(c->key, node_prefix(p), prefix_len);
		c->key_page = p;
	}
	uint8_t *to = c->key + prefix_len;
	put_u32(to, __builtin_bswap32(e->head));
	if (likely(rest_len <= 16 && e->rest + 16 <= node_bytes(p) + PAGE_SIZE))
		memcpy(to + 4, e->rest, 16);
	else
		memcpy(to + 4, e->rest, rest_len);
	return prefix_len + e->suffix_len;
}

void cursor_entry(struct cursor *c, const void **key, size_t *len, struct cell *cell)
{
	if (unlikely(c->depth == 0 || c->level[0].at >= c->level[0].n)) {
		if (key)
			*key = NULL, *len = 0;
		if (cell)
			*cell = (struct cell){ 0 };
		return;
	}
	const struct page *p = c->level[0].page;
	if (!key) {
		if (cell)
			*cell = node_cell(p, c->level[0].at);
		return;
	}
	struct node_entry e = node_entry(p, c->level[0].at);
	*len = assemble(c, p, &e);
	*key = c->key;
	if (cell)
		*cell = (struct cell){ .bytes = e.data, .len = e.data_len };
}
