/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lengths are taken when entries are added, so that sizes are sums; bytes are looked up when
 * written.
 */
#include "engine/node_seq.h"

void node_seq_open(struct node_seq *s, bool branch)
{
	s->branch = branch;
	s->n = s->n_parts = 0;
}

void node_seq_page(struct node_seq *s, const struct page *page, unsigned from, unsigned to)
{
	if (from == to)
		return;
	s->part[s->n_parts++] = (struct node_part){ .page = page, .first = s->n, .from = from };
	for (unsigned i = from; i < to; i++, s->n++) {
		struct node_entry e = node_entry(page, i);
		s->key_len[s->n] = (uint16_t)(page->prefix_len + e.suffix_len);
		s->data_len[s->n] = (uint16_t)e.data_len;
	}
}

void node_seq_entry(struct node_seq *s, const uint8_t *key, size_t len, const void *data,
                    size_t data_len)
{
	s->part[s->n_parts++] = (struct node_part){ .key = key, .data = data, .first = s->n };
	s->key_len[s->n] = (uint16_t)len;
	s->data_len[s->n++] = (uint16_t)data_len;
}

static const struct node_part *part_of(const struct node_seq *s, unsigned i)
{
	unsigned part = s->n_parts - 1;
	while (s->part[part].first > i)
		part--;
	return &s->part[part];
}

unsigned node_seq_key(const struct node_seq *s, unsigned i, uint8_t *buf)
{
	const struct node_part *part = part_of(s, i);
	if (part->page)
		return node_key(part->page, part->from + i - part->first, buf);
	memcpy(buf, part->key, s->key_len[i]);
	return s->key_len[i];
}

const uint8_t *node_seq_data(const struct node_seq *s, unsigned i)
{
	const struct node_part *part = part_of(s, i);
	if (part->page)
		return node_entry(part->page, part->from + i - part->first).data;
	return part->data;
}

/* Slot and heap bytes of entry i. */
static unsigned entry_used(const struct node_seq *s, unsigned i, unsigned prefix_len)
{
	return NODE_SLOT + node_entry_size(s->branch, s->key_len[i] - prefix_len, s->data_len[i]);
}

/* The same as the first of a range: in a branch it has no separator. */
static unsigned first_used(const struct node_seq *s, unsigned i, unsigned prefix_len)
{
	if (s->branch)
		return NODE_SLOT + node_entry_size(true, 0, NODE_CHILD);
	return entry_used(s, i, prefix_len);
}

unsigned node_seq_used(const struct node_seq *s, unsigned from, unsigned to, unsigned prefix_len)
{
	unsigned used = PAGE_HEADER + prefix_len;
	for (unsigned i = from; i < to; i++)
		used += i == from ? first_used(s, i, prefix_len) : entry_used(s, i, prefix_len);
	return used;
}

unsigned node_seq_middle(const struct node_seq *s, unsigned prefix_len)
{
	unsigned fixed = PAGE_HEADER + prefix_len, best = 0, best_bigger = PAGE_SIZE + 1;
	unsigned left = fixed + first_used(s, 0, prefix_len), right = fixed;
	for (unsigned i = 1; i < s->n; i++)
		right += entry_used(s, i, prefix_len);
	for (unsigned i = 1; i < s->n; i++) {
		unsigned mine = entry_used(s, i, prefix_len);
		unsigned after = right - mine + first_used(s, i, prefix_len);
		unsigned bigger = left > after ? left : after;
		if (bigger < best_bigger) {
			best_bigger = bigger;
			best = i;
		}
		left += mine;
		right -= mine;
	}
	return best;
}

unsigned node_seq_prefix(const struct node_seq *s, unsigned from, unsigned to, const uint8_t *low,
                         unsigned low_len, const uint8_t *high, unsigned high_len)
{
	uint8_t first[TREE_KEY_MAX], last[TREE_KEY_MAX];
	unsigned begin = from + s->branch;
	if (begin >= to)
		return 0;
	unsigned first_len = node_seq_key(s, begin, first);
	unsigned last_len = node_seq_key(s, to - 1, last);
	unsigned shared = node_common(first, first_len, last, last_len);
	if (!low)
		low = first, low_len = first_len;
	if (!high)
		high = last, high_len = last_len;
	unsigned fences = node_common(low, low_len, high, high_len);
	return fences < shared ? fences : shared;
}

void node_seq_write(const struct node_seq *s, unsigned from, unsigned to, unsigned prefix_len,
                    struct page *page)
{
	uint8_t key[TREE_KEY_MAX];
	unsigned used = node_seq_used(s, from, to, prefix_len);
	memset((uint8_t *)page + PAGE_HEADER, 0, NODE_ROOM);
	page->prefix_len = (uint16_t)prefix_len;
	page->heap = (uint16_t)(PAGE_SIZE - prefix_len);
	page->holes = 0;
	page->n = 0;
	page->capacity = (uint16_t)node_guess_capacity(
		prefix_len, to - from,
		used - PAGE_HEADER - prefix_len - NODE_SLOT * (to - from));
	if (prefix_len) {
		node_seq_key(s, to - 1, key);
		memcpy((uint8_t *)page + PAGE_SIZE - prefix_len, key, prefix_len);
	}
	for (unsigned i = from; i < to; i++) {
		unsigned len = node_seq_key(s, i, key);
		if (s->branch && i == from)
			len = prefix_len;
		node_insert(page, i - from, key, len, node_seq_data(s, i), s->data_len[i]);
	}
}
