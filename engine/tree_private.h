/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tree's files share: meeting a page with its level checked.
 */
#ifndef DURAMEN_ENGINE_TREE_PRIVATE_H
#define DURAMEN_ENGINE_TREE_PRIVATE_H

#include "duramen.h"
#include "engine/node.h"
#include "engine/tree.h"
#include "internal/error.h"

/* DUR_E_CORRUPT with the page's number and the text. */
int tree_corrupt(struct page_ptr ptr, const char *text);
/* The root's number and the depth agree, and the depth is one that can be. */
int tree_shape(const struct tree *tree);

/* The 16 bits of a page header that hold kind and level. */
static inline unsigned tree_kind(unsigned level)
{
	return level ? PAGE_BRANCH | level << 8 : PAGE_LEAF;
}

/*
 * The node at ptr, which must be of this level: each step down is one level, so no file can make a
 * walk go round in circles.
 */
static inline int tree_page(const struct pager *pager, struct page_ptr ptr, unsigned level,
                            const struct page **page)
{
	int r = page_get(pager, ptr, page);
	if (unlikely(r))
		return r;
	if (unlikely((*page)->no_kind_level >> 48 != tree_kind(level)))
		return tree_corrupt(ptr, "it is not of the kind and level that its parent says");
	return 0;
}

/* Where a page is in memory, without looking at it; NULL: not known yet. For prefetches. */
static inline const uint8_t *tree_where(const struct pager *pager, struct page_ptr ptr)
{
	if (ptr.no & PAGE_DIRTY)
		return (const uint8_t *)pager->dirty->pages[ptr.no & ~PAGE_DIRTY];
	const struct file *file = pager->file;
	if (ptr.no >= atomic_load_explicit(&file->pages, memory_order_acquire))
		return NULL;
	const struct file_window *w = &file->windows[ptr.no >> file->window_shift];
	uint64_t at = ptr.no & (((uint64_t)1 << file->window_shift) - 1);
	return w->seen ? w->base + (at << PAGE_SHIFT) : NULL;
}

/* Asks for the lines of a node that a search begins with: header, heads, offsets; the prefix. */
static inline void tree_hint(const struct pager *pager, struct page_ptr ptr)
{
	const uint8_t *p = tree_where(pager, ptr);
	if (p) {
		__builtin_prefetch(p);
		__builtin_prefetch(p + 64);
		__builtin_prefetch(p + 128);
		__builtin_prefetch(p + 192);
		__builtin_prefetch(p + PAGE_SIZE - 64);
	}
}

#endif
