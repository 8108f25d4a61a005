/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searching behind equal heads, and changing a node in place. Entries are appended at the heap's
 * low end; what they leave behind is zeroed and counted as a hole until compact() rewrites the
 * page. Slots are handed out in advance (capacity): how many is guessed from the entries that are
 * there.
 */
#include "engine/node.h"

unsigned node_key(const struct page *p, unsigned i, uint8_t *buf)
{
	struct node_entry e = node_entry(p, i);
	uint8_t head[4];
	unsigned n = p->prefix_len, in_head = e.suffix_len < 4 ? e.suffix_len : 4;
	memcpy(buf, node_prefix(p), n);
	put_u32(head, __builtin_bswap32(e.head));
	memcpy(buf + n, head, in_head);
	memcpy(buf + n + in_head, e.rest, node_rest_len(e.suffix_len));
	return n + e.suffix_len;
}

unsigned node_common(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	unsigned n = (unsigned)(a_len < b_len ? a_len : b_len), i = 0;
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

void node_sum(const struct page *p, uint64_t *count, bool *runs)
{
	*count = 0;
	*runs = false;
	for (unsigned i = 0; i < p->n; i++) {
		if (node_is_branch(p)) {
			struct node_child child = node_child(p, i);
			*count += child.count;
			*runs |= child.runs;
		} else {
			*count += 1;
			*runs |= (node_cell(p, i).bytes[0] & CELL_RUN) != 0;
		}
	}
}

/* ---- Searching ---- */

int node_prefix_order(const struct page *p, const uint8_t *key, size_t len)
{
	const uint8_t *prefix = node_prefix(p);
	size_t n = p->prefix_len;
	for (size_t i = 0; i < n && i < len; i++)
		if (key[i] != prefix[i])
			return key[i] < prefix[i] ? -1 : 1;
	return len < n ? -1 : 0;
}

/* Entry i against a suffix with the same head. */
static int compare_rest(const struct page *p, unsigned i, const uint8_t *suffix, size_t len)
{
	struct node_entry e = node_entry(p, i);
	size_t mine = node_rest_len(e.suffix_len), theirs = len > 4 ? len - 4 : 0;
	if (mine && theirs) {
		int c = memcmp(e.rest, suffix + 4, mine < theirs ? mine : theirs);
		if (c)
			return c;
	}
	return (e.suffix_len > len) - (e.suffix_len < len);
}

unsigned node_find_equal(const struct page *p, unsigned at, const uint8_t *suffix, size_t len,
                         bool *found)
{
	int c = compare_rest(p, at, suffix, len);
	*found = c == 0;
	if (c >= 0)
		return at;
	uint32_t head = node_heads(p)[at];
	unsigned low = at + 1, high = low;
	/* Heads seldom repeat: look at the next one before searching for the last. */
	if (low == p->n || node_heads(p)[low] != head)
		return low;
	high = head == UINT32_MAX ? p->n : node_lower_head(p, head + 1);
	while (low < high) {
		unsigned mid = (low + high) / 2;
		c = compare_rest(p, mid, suffix, len);
		if (c == 0)
			*found = true;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int node_compare(const struct page *p, unsigned i, const uint8_t *key, size_t len)
{
	int c = node_prefix_compare(p, key, len);
	if (c)
		return c < 0 ? 1 : -1;
	key += p->prefix_len;
	len -= p->prefix_len;
	uint32_t mine = node_heads(p)[i], theirs = node_head(key, len);
	if (mine != theirs)
		return mine < theirs ? -1 : 1;
	return compare_rest(p, i, key, len);
}

/* ---- Space ---- */

static node_head_t *heads_of(struct page *p)
{
	return (node_head_t *)(void *)((uint8_t *)p + PAGE_HEADER);
}

static node_offset_t *offsets_of(struct page *p)
{
	return (node_offset_t *)(void *)((uint8_t *)p + PAGE_HEADER + 4U * p->capacity);
}

/* Free bytes between the offsets and the heap. */
static unsigned gap(const struct page *p)
{
	return (unsigned)p->heap - PAGE_HEADER - NODE_SLOT * (unsigned)p->capacity;
}

unsigned node_guess_capacity(unsigned prefix_len, unsigned n, unsigned heap_bytes)
{
	unsigned room = NODE_ROOM - prefix_len;
	unsigned most = (room - heap_bytes) / NODE_SLOT;
	unsigned expected = n * room / (heap_bytes + NODE_SLOT * n);
	if (expected < n)
		expected = n;
	return expected < most ? expected : most;
}

/* Moves the offsets up (or down) to make room for so many slots. */
static void set_capacity(struct page *p, unsigned capacity)
{
	node_offset_t *from = offsets_of(p);
	unsigned old = p->capacity, n = p->n;
	p->capacity = (uint16_t)capacity;
	memmove(offsets_of(p), from, 2 * n);
	if (capacity > old) {
		unsigned fresh = 4 * (capacity - old), moved = 2 * n;
		/* Old offsets that are not new ones: heads now, and not used yet. */
		memset(from, 0, fresh < moved ? fresh : moved);
	} else {
		memset(offsets_of(p) + n, 0, 4 * (old - capacity) + 2 * (old - n));
	}
}

/*
 * Rewrites the entries without holes, in falling order, with room for one more of `extra` heap
 * bytes.
 */
static void compact(struct page *p, unsigned extra)
{
	uint8_t fresh[PAGE_SIZE] = { 0 };
	unsigned end = node_end(p), live = end - p->heap - p->holes, heap = end;
	unsigned capacity = node_guess_capacity(p->prefix_len, p->n + 1U, live + extra);
	node_offset_t *offsets = (node_offset_t *)(void *)(fresh + PAGE_HEADER + 4 * capacity);
	for (unsigned i = 0; i < p->n; i++) {
		struct node_entry e = node_entry(p, i);
		heap -= e.size;
		memcpy(fresh + heap, node_bytes(p) + node_offsets(p)[i], e.size);
		offsets[i] = (uint16_t)heap;
	}
	memcpy(fresh + PAGE_HEADER, node_heads(p), 4U * p->n);
	memcpy((uint8_t *)p + PAGE_HEADER, fresh + PAGE_HEADER, end - PAGE_HEADER);
	p->capacity = (uint16_t)capacity;
	p->heap = (uint16_t)heap;
	p->holes = 0;
}

/* A slot, and space for `size` bytes in the heap. false: there is none, nothing changed. */
static bool make_room(struct page *p, unsigned size)
{
	bool full = p->n == p->capacity;
	if (gap(p) < size + (full ? NODE_SLOT : 0)) {
		if (node_used(p) + size + NODE_SLOT > PAGE_SIZE)
			return false;
		compact(p, size);
	} else if (full) {
		unsigned more = (gap(p) - size) / NODE_SLOT;
		set_capacity(p, p->capacity + (more < 8 ? more : 8));
	}
	return true;
}

/* Puts a slot between those that are there. */
static void add_slot(struct page *p, unsigned at, uint32_t head, unsigned offset)
{
	node_head_t *heads = heads_of(p) + at;
	node_offset_t *offsets = offsets_of(p) + at;
	if (at < p->n) {
		memmove(heads + 1, heads, 4 * (p->n - at));
		memmove(offsets + 1, offsets, 2 * (p->n - at));
	}
	*heads = head;
	*offsets = (uint16_t)offset;
	p->n++;
}

/* Appends an entry's bytes to the heap, where there is room. */
static unsigned append(struct page *p, const uint8_t *rest, unsigned suffix_len, const void *data,
                       unsigned data_len)
{
	bool branch = node_is_branch(p);
	p->heap = (uint16_t)(p->heap - node_entry_size(branch, suffix_len, data_len));
	uint8_t *e = (uint8_t *)p + p->heap;
	if (suffix_len >= 128)
		*e++ = (uint8_t)(0x80 | suffix_len >> 8);
	*e++ = (uint8_t)suffix_len;
	if (branch) {
		memcpy(e, data, NODE_CHILD);
		memcpy(e + NODE_CHILD, rest, node_rest_len(suffix_len));
		return p->heap;
	}
	if (data_len >= 128)
		*e++ = (uint8_t)(0x80 | data_len >> 8);
	*e++ = (uint8_t)data_len;
	memcpy(e, rest, node_rest_len(suffix_len));
	memcpy(e + node_rest_len(suffix_len), data, data_len);
	return p->heap;
}

/* The bytes of an entry become a hole, or free space if it is the lowest. */
static void free_entry(struct page *p, unsigned offset, unsigned size)
{
	memset((uint8_t *)p + offset, 0, size);
	if (offset == p->heap)
		p->heap = (uint16_t)(p->heap + size);
	else
		p->holes = (uint16_t)(p->holes + size);
}

/* ---- Changing ---- */

bool node_insert(struct page *p, unsigned at, const uint8_t *key, size_t len, const void *data,
                 size_t data_len)
{
	unsigned suffix_len = (unsigned)len - p->prefix_len;
	const uint8_t *suffix = key + p->prefix_len;
	if (!make_room(p, node_entry_size(node_is_branch(p), suffix_len, (unsigned)data_len)))
		return false;
	unsigned offset = append(p, suffix_len > 4 ? suffix + 4 : suffix, suffix_len, data,
	                         (unsigned)data_len);
	add_slot(p, at, node_head(suffix, suffix_len), offset);
	return true;
}

bool node_replace(struct page *p, unsigned at, const void *cell, size_t cell_len)
{
	struct node_entry e = node_entry(p, at);
	if (e.data_len == cell_len) {
		memcpy((uint8_t *)p + (e.data - node_bytes(p)), cell, cell_len);
		return true;
	}
	unsigned size = node_entry_size(false, e.suffix_len, (unsigned)cell_len);
	if (node_used(p) - e.size + size > PAGE_SIZE)
		return false;
	uint8_t rest[TREE_KEY_MAX];
	memcpy(rest, e.rest, node_rest_len(e.suffix_len));
	node_remove(p, at, at + 1);
	make_room(p, size);
	unsigned offset = append(p, rest, e.suffix_len, cell, (unsigned)cell_len);
	add_slot(p, at, e.head, offset);
	return true;
}

/* Entry 0 of a branch stands for everything below entry 1: it keeps its child alone. */
static void drop_separator(struct page *p)
{
	struct node_entry e = node_entry(p, 0);
	if (e.suffix_len == 0)
		return;
	uint8_t child[NODE_CHILD];
	unsigned offset = node_offsets(p)[0], size = node_entry_size(true, 0, NODE_CHILD);
	memcpy(child, e.data, NODE_CHILD);
	memset((uint8_t *)p + offset, 0, e.size);
	/* The rewritten entry is shorter: what is left of it above is a hole. */
	memcpy((uint8_t *)p + offset + 1, child, NODE_CHILD);
	p->holes = (uint16_t)(p->holes + e.size - size);
	heads_of(p)[0] = 0;
}

void node_remove(struct page *p, unsigned from, unsigned to)
{
	unsigned gone = to - from, n = p->n;
	for (unsigned i = from; i < to; i++)
		free_entry(p, node_offsets(p)[i], node_entry(p, i).size);
	memmove(heads_of(p) + from, heads_of(p) + to, 4 * (n - to));
	memmove(offsets_of(p) + from, offsets_of(p) + to, 2 * (n - to));
	memset(heads_of(p) + n - gone, 0, 4 * gone);
	memset(offsets_of(p) + n - gone, 0, 2 * gone);
	p->n = (uint16_t)(n - gone);
	if (p->n == 0)
		return;
	if (from == 0 && node_is_branch(p))
		drop_separator(p);
}
