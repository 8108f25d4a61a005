/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/small_tree.h"

#include "engine/tree_private.h"

int small_grow_keyed(struct dirty *d, const uint8_t *cell, size_t len, struct tree *tree)
{
	static const uint8_t member[1] = { DUR_NULL };
	struct nest_entries it;
	struct nest_entry entry;
	int r = 0;

	*tree = (struct tree){ .class = CLASS_DATA };
	nest_entries_open(&it, cell, len);
	while (!r && !nest_entries_next(&it, &entry))
		r = tree_put_moved(d, tree, entry.key, entry.key_len,
		                   entry.cell ? entry.cell : member,
		                   entry.cell ? entry.cell_len : sizeof member);
	/* Its pages hang nowhere: they could not be placed. */
	if (r && tree->root.no && !d->failed)
		d->failed = r;
	return r;
}

size_t small_shrink_keyed(const struct pager *pager, const struct tree *tree, uint32_t kind,
                          uint8_t *cell, size_t room)
{
	bool set = kind == DUR_SET || kind == DUR_RAW_SET;
	struct nest_entry place;
	struct small_out out = { .room = room };
	struct cursor c;
	uint8_t other[TREE_CELL_MAX];
	const struct page *root;

	out.len = small_empty(kind, cell);
	if (tree->depth == 0)
		return out.len;
	/* A leaf's heap has no more of each entry than the embedded one will. */
	if (tree->depth > 1 || page_get(pager, tree->root, &root) ||
	    PAGE_SIZE - (unsigned)root->heap - root->holes > room + root->prefix_len)
		return 0;
	cursor_open(&c, pager, tree);
	for (int r = cursor_first(&c); r != 1; r = cursor_next(&c)) {
		const void *key;
		size_t key_len;
		struct cell value;
		struct small s;
		if (r < 0)
			return 0;
		cursor_entry(&c, &key, &key_len, &value);
		memcpy(other, cell, out.len);
		small_open(&s, other, out.len);
		place = (struct nest_entry){ .at = (uint32_t)out.len, .end = (uint32_t)out.len };
		out.cell = cell;
		if (small_put(&s, &place, key, key_len, set ? NULL : value.bytes,
		              set ? 0 : value.len, &out))
			return 0;
	}
	return out.len;
}
