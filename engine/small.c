/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change at any depth replaces one piece of the outermost cell. Around it the lengths of the cells
 * that enclose it change, each by as much as the one within and by how its own length is written; what
 * lies behind the piece does not. So the new cell is put together from front to back in one pass,
 * once the new lengths are known, from the inside out.
 */
#include "engine/small.h"

void small_open(struct small *s, const uint8_t *cell, size_t len)
{
	s->cell = cell;
	s->depth = 0;
	s->in[0].at = 0;
	s->in[0].len = (uint16_t)len;
}

void small_enter(struct small *s, const struct nest_entry *entry)
{
	s->depth++;
	s->in[s->depth].at = (uint16_t)(entry->cell - s->cell);
	s->in[s->depth].len = (uint16_t)entry->cell_len;
}

size_t small_empty(uint32_t kind, uint8_t cell[2])
{
	cell[0] = (uint8_t)(kind | NEST_EMBEDDED);
	cell[1] = 0;
	return kind == DUR_ROPE ? 1 : 2;
}

/* ---- Finding ---- */

int small_find(const uint8_t *cell, size_t len, const uint8_t *key, size_t key_len,
               struct nest_entry *entry, unsigned *rank)
{
	struct nest_entries it;
	unsigned before = 0;
	uint32_t place;
	int order = 1;

	nest_entries_open(&it, cell, len);
	place = (uint32_t)(it.next - cell);
	while (nest_entries_next(&it, entry) == 0) {
		size_t shorter = entry->key_len < key_len ? entry->key_len : key_len;
		order = memcmp(entry->key, key, shorter);
		if (order == 0)
			order = (entry->key_len > key_len) - (entry->key_len < key_len);
		if (order >= 0)
			break;
		before++;
		place = entry->end;
	}
	if (rank)
		*rank = before;
	if (order == 0)
		return 0;
	*entry = (struct nest_entry){ .at = place, .end = place };
	return 1;
}

int small_nth(const uint8_t *cell, size_t len, unsigned n, struct nest_entry *entry)
{
	struct nest_entries it;

	nest_entries_open(&it, cell, len);
	for (unsigned i = 0; nest_entries_next(&it, entry) == 0; i++)
		if (i == n)
			return 0;
	*entry = (struct nest_entry){ .at = (uint32_t)len, .end = (uint32_t)len };
	return 1;
}

/* ---- Changing ---- */

unsigned small_length(uint8_t *to, unsigned v)
{
	if (v < 128) {
		to[0] = (uint8_t)v;
		return 1;
	}
	to[0] = (uint8_t)(0x80 | v >> 8);
	to[1] = (uint8_t)v;
	return 2;
}

/* Whether an entry of the embedded collection names pages. */
static bool names_pages(const uint8_t *cell, size_t len)
{
	struct nest_entries it;
	struct nest_entry entry;

	nest_entries_open(&it, cell, len);
	while (nest_entries_next(&it, &entry) == 0)
		if (entry.cell_len && entry.cell[0] & NEST_REFS)
			return true;
	return false;
}

/* Where a new cell is put together: the collections on the way, as small.in of the old one. */
struct writing {
	const struct small *s;
	struct small_out *out;
	uint16_t at[NEST_DEPTH_MAX], len[NEST_DEPTH_MAX];
};

static void copy(struct writing *w, unsigned from, unsigned to)
{
	memcpy(w->out->cell + w->out->len, w->s->cell + from, to - from);
	w->out->len += to - from;
}

/* The lengths of all collections on the way, from the inside out; the count of the innermost. */
static void new_lengths(struct writing *w, const struct small_splice *splice, unsigned *count,
                        unsigned *head)
{
	const struct small *s = w->s;
	const uint8_t *cell = s->cell + s->in[s->depth].at, *n = cell + 1;
	int delta = (int)splice->len - (int)(splice->to - splice->from);

	*head = 1;
	*count = 0;
	if ((cell[0] & NEST_KIND) != DUR_ROPE) {
		unsigned old = node_length(&n);
		*count = (unsigned)((int)old + splice->more);
		*head += node_length_size(*count);
		delta += (int)node_length_size(*count) - (int)node_length_size(old);
	}
	for (unsigned i = s->depth;; i--) {
		unsigned len = s->in[i].len;
		w->len[i] = (uint16_t)((int)len + delta);
		if (i == 0)
			return;
		delta += (int)node_length_size(w->len[i]) - (int)node_length_size(len);
	}
}

/* Byte 0 of every collection on the way tells whether it names pages. */
static void set_flags(struct writing *w, bool refs)
{
	uint8_t *out = w->out->cell;

	if (!refs && !(out[0] & NEST_REFS))
		return;
	for (unsigned i = w->s->depth + 1; i-- > 0;) {
		uint8_t *cell = out + w->at[i];
		if (!refs && !(cell[0] & NEST_REFS))
			return;
		if (!refs && names_pages(cell, w->len[i]))
			return;
		if (refs)
			cell[0] |= NEST_REFS;
		else
			cell[0] &= (uint8_t)~NEST_REFS;
	}
}

int small_splice(const struct small *s, const struct small_splice *splice, struct small_out *out)
{
	struct writing w = { .s = s, .out = out };
	unsigned at = 0, base = s->in[s->depth].at, count, head;

	new_lengths(&w, splice, &count, &head);
	if (w.len[0] > out->room)
		return 1;
	out->len = 0;
	w.at[0] = 0;
	for (unsigned i = 1; i <= s->depth; i++) {
		unsigned old = node_length_size(s->in[i].len);
		copy(&w, at, s->in[i].at - old);
		out->len += small_length(out->cell + out->len, w.len[i]);
		w.at[i] = (uint16_t)out->len;
		at = s->in[i].at;
	}
	copy(&w, at, at + 1);
	if (head > 1) {
		const uint8_t *n = s->cell + base + 1;
		node_length(&n);
		out->len += small_length(out->cell + out->len, count);
		at = (unsigned)(n - s->cell);
	} else {
		at++;
	}
	copy(&w, at, base + splice->from);
	memcpy(out->cell + out->len, splice->bytes, splice->len);
	out->len += splice->len;
	copy(&w, base + splice->to, s->in[0].len);
	set_flags(&w, splice->refs);
	return 0;
}

size_t small_entry(uint32_t kind, const void *key, size_t key_len, const void *cell, size_t cell_len,
                   uint8_t *bytes)
{
	size_t len = 0;

	if (kind != DUR_LIST) {
		len = small_length(bytes, (unsigned)key_len);
		if (key_len)
			memcpy(bytes + len, key, key_len);
		len += key_len;
	}
	if (kind != DUR_SET && kind != DUR_RAW_SET) {
		len += small_length(bytes + len, (unsigned)cell_len);
		memcpy(bytes + len, cell, cell_len);
		len += cell_len;
	}
	return len;
}

int small_put(const struct small *s, const struct nest_entry *place, const void *key, size_t key_len,
              const void *cell, size_t cell_len, struct small_out *out)
{
	uint8_t entry[TREE_ENTRY_MAX + 4];
	unsigned kind = s->cell[s->in[s->depth].at] & NEST_KIND;
	struct small_splice splice = {
		.from = place->at,
		.to = place->end,
		.more = place->at == place->end,
		.bytes = entry,
		.refs = cell_len && ((const uint8_t *)cell)[0] & NEST_REFS,
	};

	if (key_len + cell_len > TREE_ENTRY_MAX)
		return 1;
	splice.len = small_entry(kind, key, key_len, cell, cell_len, entry);
	return small_splice(s, &splice, out);
}

int small_cut(const struct small *s, unsigned from, unsigned to, unsigned n, struct small_out *out)
{
	struct small_splice splice = {
		.from = from, .to = to, .more = -(int)n, .bytes = (const uint8_t *)"",
	};

	return small_splice(s, &splice, out);
}
