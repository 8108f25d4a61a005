/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Since when a part of a tree has not changed. A page that the tree of state S reaches was
 * reached by every state from its birth on: pages are immutable, and one that was retired never
 * comes back (I3). So what a page says of the keys between its own first and last one holds for
 * all of [birth, S]: no other page can say anything of them, for keys ascend through a tree.
 *
 * That is why a leaf's birth is not enough for a key that is beyond the leaf's last entry, or
 * before its first: there may have been a leaf between it and its neighbour, which was emptied
 * and dropped without either being touched. Then it takes the lowest branch that has something on
 * both sides of the key. For a key that is before or behind all others there is none.
 *
 * Where that says little, two states say more. The keys that are routed to a page only ever become
 * more as long as it is not written: a split or a move of entries writes all pages that lose some,
 * and a page that is dropped leaves its keys to a neighbour. So if the tree of an older state T leads
 * both bounds to the page that this one leads them to, every state between does; and since whatever
 * changed one of the keys would have written the page, none has changed since T.
 */
#include "engine/tree_private.h"

struct line {
	uint64_t birth;
	bool below, above;      /* the page has a key (separator) not above, one not below */
};

/* What a leaf has on both sides of [from, to]; *cell: of from. 0, or 1: from is not there. */
static int in_leaf(const struct page *page, const struct tree_key *from, const struct tree_key *to,
                   struct line *line, struct cell *cell)
{
	bool found = false, last;
	unsigned low = from->key ? node_find(page, from->key, from->len, &found) : 0, high = low;

	last = found;
	if (to != from) {
		last = false;
		high = to->key ? node_find(page, to->key, to->len, &last) : page->n;
	}
	line->below = found || low > 0;
	line->above = last || high < page->n;
	*cell = found ? node_cell(page, low) : (struct cell){ 0 };
	return found ? 0 : 1;
}

static void route(const struct page *page, const struct tree_key *from, const struct tree_key *to,
                  unsigned *low, unsigned *high)
{
	*low = *high = from->key ? node_route(page, from->key, from->len) : 0;
	if (to != from)
		*high = to->key ? node_route(page, to->key, to->len) : page->n - 1U;
}

int tree_since(const struct pager *pager, const struct tree *tree, const struct tree_key *from,
               const struct tree_key *to, uint64_t *since, struct tree_place *place,
               struct cell *cell)
{
	struct line line[TREE_DEPTH_MAX];
	struct page_ptr ptr = tree->root;
	const struct page *page;
	unsigned level = tree->depth, lowest = level;
	bool below = false, above = false;
	int rc = 1, r = tree_shape(tree);

	*since = UINT64_MAX;
	*place = (struct tree_place){ { 0 }, 0 };
	*cell = (struct cell){ 0 };
	if (r)
		return r;
	while (level-- > 0) {
		tree_hint(pager, ptr);
		r = tree_page(pager, ptr, level, &page);
		if (r)
			return r;
		line[level].birth = ptr.birth;
		lowest = level;
		*place = (struct tree_place){ ptr, level };
		if (level == 0) {
			rc = in_leaf(page, from, to, &line[0], cell);
			break;
		}
		unsigned low, high;
		route(page, from, to, &low, &high);
		line[level].below = low > 0;
		line[level].above = high + 1U < page->n;
		if (low != high)
			break;
		ptr = node_child_ptr(page, low);
	}
	for (level = lowest; level < tree->depth; level++) {
		below |= line[level].below;
		above |= line[level].above;
		if (below && above) {
			*since = line[level].birth;
			break;
		}
	}
	return rc;
}

int tree_leads(const struct pager *pager, const struct tree *tree, const struct tree_key *from,
               const struct tree_key *to, const struct tree_place *place, bool *leads)
{
	struct page_ptr ptr = tree->root;
	const struct page *page;
	unsigned low, high, level = tree->depth;
	int r = tree_shape(tree);

	*leads = false;
	if (r || level <= place->level)
		return r;
	while (--level > place->level) {
		r = tree_page(pager, ptr, level, &page);
		if (r)
			return r;
		route(page, from, to, &low, &high);
		if (low != high)
			return 0;
		ptr = node_child_ptr(page, low);
	}
	*leads = ptr.no == place->page.no && ptr.birth == place->page.birth;
	return 0;
}
