/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small list's items lie in its cell one behind the other, each with its length: as they do in a
 * leaf, so all of them go in or out together.
 */
#include "engine/small_seq.h"

#include "engine/seq_private.h"

int small_grow_list(struct dirty *d, const uint8_t *cell, size_t len, struct tree *tree)
{
	struct cell cells[TREE_CELL_MAX / 2];
	struct nest_entries it;
	struct nest_entry entry;
	size_t n = 0;

	*tree = (struct tree){ .class = CLASS_DATA };
	nest_entries_open(&it, cell, len);
	while (!nest_entries_next(&it, &entry))
		cells[n++] = (struct cell){ entry.cell, entry.cell_len };
	return list_insert(d, tree, 0, cells, n);
}

size_t small_shrink_list(const struct pager *pager, const struct tree *tree, uint32_t kind,
                         uint8_t *cell, size_t room)
{
	const struct page *leaf;
	size_t len = small_empty(kind, cell);

	if (tree->depth == 0)
		return len;
	if (tree->depth > 1 || seq_page(pager, tree->root, SEQ_LIST, 0, &leaf))
		return 0;
	len = 1 + small_length(cell + 1, leaf->n);
	if (len + seq_used(leaf) - SEQ_SLOT * (unsigned)leaf->n > room)
		return 0;
	for (unsigned i = 0; i < leaf->n; i++) {
		struct cell item = seq_cell(leaf, i);
		len += small_length(cell + len, item.len);
		memcpy(cell + len, item.bytes, item.len);
		len += item.len;
		cell[0] |= item.bytes[0] & NEST_REFS;
	}
	return len;
}

int small_grow_rope(struct dirty *d, const uint8_t *cell, size_t len, struct tree *tree)
{
	*tree = (struct tree){ .class = CLASS_DATA };
	return rope_insert(d, tree, 0, cell + 1, len - 1);
}

size_t small_shrink_rope(const struct pager *pager, const struct tree *tree, uint32_t kind,
                         uint8_t *cell, size_t room)
{
	const struct page *leaf;
	size_t len = small_empty(kind, cell);

	if (tree->depth == 0)
		return len;
	if (tree->depth > 1 || seq_page(pager, tree->root, SEQ_ROPE, 0, &leaf) ||
	    len + leaf->n > room)
		return 0;
	memcpy(cell + len, seq_rope_bytes(leaf), leaf->n);
	return len + leaf->n;
}
