/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small literals: checked and written in one pass, front to back. An item goes behind the one before it;
 * a collection in it begins where it stands and is told its length when it ends. Most items are small:
 * one byte is left for a length, and what turns out longer moves up. Keys that did not come in order
 * are sorted when their collection ends.
 */
#include <errno.h>
#include <string.h>

#include "engine/key_codes.h"
#include "engine/key_plain.h"
#include "engine/value.h"
#include "model/write.h"

enum {
	DEPTH = SMALL_ROOM / 3 + 1,     /* each takes 3 bytes of the one around it at least */
	ENTRIES = SMALL_ROOM / 2 + 1,   /* with keys of their own */
	/* Within the room but for the last key, which may be as long as keys are. */
	BUFFER = SMALL_ROOM + DUR_MAX_KEY + 32,
};

/* A collection that is being written. */
struct open {
	const dur_value *next, *end;    /* items that are still to come */
	uint64_t head;                  /* of the highest key so far */
	const uint8_t *highest, *last;  /* that key, and the last one; NULL: none yet */
	uint16_t highest_len, last_len;
	uint16_t at, first;             /* where its cell begins, and its entries */
	uint16_t n;                     /* entries so far */
	uint8_t kind;
	bool unsorted;
};

struct embed {
	size_t len, room;
	unsigned depth;                 /* of the innermost one, from 0 */
	struct open open[DEPTH];
	uint8_t bytes[BUFFER];
};

/* ---- Keys in order ---- */

/* The first eight bytes of a key as a number. Bytes behind it may be read. */
static inline uint64_t head_of(const uint8_t *key, size_t len)
{
	uint64_t head = get_be64(key);

	return len >= 8 ? head : len ? head & UINT64_MAX << (64 - 8 * len) : 0;
}

static inline int compare(uint64_t head, const uint8_t *key, size_t len, uint64_t other_head,
                          const uint8_t *other, size_t other_len)
{
	size_t shorter = len < other_len ? len : other_len;
	int order;

	if (head != other_head)
		return head < other_head ? -1 : 1;
	order = memcmp(key, other, shorter);
	return order ? order : (len > other_len) - (len < other_len);
}

struct sorted {
	uint64_t head;
	const uint8_t *key;
	uint16_t key_len, at, len;      /* at, len: of the entry */
};

/*
 * The entries of a collection in order; of equal keys the last one stays. They are few, and as a rule
 * few are out of order: each goes in front of those above it.
 */
static unsigned sort(const struct embed *e, const struct open *o, struct sorted *list)
{
	struct nest_entries it = { .cell = e->bytes + o->at, .next = e->bytes + o->first,
		                   .kind = o->kind, .left = o->n };
	struct nest_entry entry;
	unsigned n = 0;

	while (nest_entries_next(&it, &entry) == 0) {
		struct sorted s = { head_of(entry.key, entry.key_len), entry.key,
			            (uint16_t)entry.key_len, (uint16_t)entry.at,
			            (uint16_t)(entry.end - entry.at) };
		unsigned at = n;
		int order = -1;
		for (; at > 0; at--) {
			const struct sorted *below = &list[at - 1];
			order = compare(below->head, below->key, below->key_len, s.head, s.key,
			                s.key_len);
			if (order <= 0)
				break;
		}
		if (order == 0) {
			list[at - 1] = s;
			continue;
		}
		memmove(&list[at + 1], &list[at], (n - at) * sizeof *list);
		list[at] = s;
		n++;
	}
	return n;
}

static void put_in_order(struct embed *e, struct open *o)
{
	uint8_t old[SMALL_ROOM];
	struct sorted list[ENTRIES];
	unsigned n = sort(e, o, list);

	memcpy(old, e->bytes + o->at, e->len - o->at);
	e->len = o->first;
	for (unsigned i = 0; i < n; i++) {
		memcpy(e->bytes + e->len, old + list[i].at, list[i].len);
		e->len += list[i].len;
	}
	o->n = (uint16_t)n;
}

/* ---- Items; 1: there is no room ---- */

/* In front of what was written from `at` on, where a byte was left for it. */
static inline void put_length(struct embed *e, size_t at)
{
	size_t len = e->len - at;

	if (likely(len < 128)) {
		e->bytes[at - 1] = (uint8_t)len;
		return;
	}
	memmove(e->bytes + at + 1, e->bytes + at, len);
	e->len++;
	small_length(e->bytes + at - 1, (unsigned)len);
}

/*
 * Whether the last key is above all others. This is asked when the next one is there: a processor waits
 * for bytes that it has just written in other pieces.
 */
static inline void settle(struct open *o)
{
	uint64_t head;

	if (!o->last || o->unsorted)
		return;
	head = head_of(o->last, o->last_len);
	if (o->highest &&
	    compare(o->head, o->highest, o->highest_len, head, o->last, o->last_len) >= 0)
		o->unsorted = true;
	o->head = head;
	o->highest = o->last;
	o->highest_len = o->last_len;
}

static inline int put_key(struct embed *e, struct open *o, const dur_value *key)
{
	uint8_t *to = e->bytes + e->len + 1;
	size_t len;
	int rc = 0;

	/* A plain string as most names are: the short way. */
	if (likely(o->kind == DUR_MAP && key->type == DUR_STR && key->len < 100 && key->ptr &&
	           key_copy_plain(to + 1, key->ptr, key->len, true))) {
		to[0] = KEY_STR;
		to[key->len + 1] = 0;
		len = key->len + 2;
	} else {
		rc = kind_is_raw(o->kind) ? key_encode_raw(key, to, DUR_MAX_KEY, &len)
		                          : key_encode(key, to, DUR_MAX_KEY, &len);
	}
	if (rc < 0)
		return rc;
	e->len += 1 + len;
	put_length(e, e->len - len);
	settle(o);
	o->last = e->bytes + e->len - len;
	o->last_len = (uint16_t)len;
	return e->len > e->room;
}

static inline int put_scalar(struct embed *e, const dur_value *value)
{
	uint8_t *to = e->bytes + e->len + 1;
	size_t len;
	int rc = 0;

	if (value->type == DUR_INT && value->tag == 0) {
		to[0] = DUR_INT;
		len = 1 + value_put_int(to + 1, value->i);
	} else {
		rc = value_encode(value, to, e->room + 1 - e->len, &len);
	}
	if (rc != 0)
		return rc == -ENOSPC ? 1 : rc;
	e->len += 1 + len;
	put_length(e, e->len - len);
	return e->len > e->room;
}

static int put_piece(struct embed *e, const dur_value *piece)
{
	const uint8_t *bytes;
	size_t len;
	int rc = rope_piece(piece, &bytes, &len);

	if (rc < 0 || len == 0)
		return rc;
	if (len > e->room - e->len)
		return 1;
	memcpy(e->bytes + e->len, bytes, len);
	e->len += len;
	return 0;
}

/* ---- Collections ---- */

static int begin(struct embed *e, const dur_value *value)
{
	struct open *o = &e->open[e->depth];
	int rc = literal_kind(value);

	if (rc != 0 || e->depth + 1 == DEPTH)
		return rc < 0 ? rc : 1;
	*o = (struct open){
		.next = value->items, .end = value->items + value->len,
		.kind = (uint8_t)(value->type & ~(uint32_t)DUR_LITERAL),
	};
	e->len += e->depth > 0;
	o->at = (uint16_t)e->len;
	e->bytes[e->len++] = o->kind | NEST_EMBEDDED;
	if (o->kind != DUR_ROPE) {
		bool pairs = o->kind == DUR_MAP || o->kind == DUR_RAW_MAP;
		e->len += (pairs ? value->len / 2 : value->len) < 128 ? 1 : 2;
	}
	o->first = (uint16_t)e->len;
	return e->len > e->room;
}

static int end(struct embed *e)
{
	struct open *o = &e->open[e->depth];

	settle(o);
	if (o->unsorted)
		put_in_order(e, o);
	if (o->kind != DUR_ROPE) {
		if (unlikely(o->at + 1 + node_length_size(o->n) < o->first)) {
			/* many keys were the same */
			memmove(e->bytes + o->first - 1, e->bytes + o->first, e->len - o->first);
			e->len--;
		}
		small_length(e->bytes + o->at + 1, o->n);
	}
	if (e->depth > 0)
		put_length(e, o->at);
	return e->len > e->room;
}

static inline int step(struct embed *e, struct open *o)
{
	const dur_value *value;
	int rc = 0;

	if (o->kind == DUR_ROPE)
		return put_piece(e, o->next++);
	o->n++;
	if (o->kind != DUR_LIST)
		rc = put_key(e, o, o->next++);
	if (rc != 0 || kind_is_set(o->kind))
		return rc;
	value = o->next++;
	if (value->type & DUR_LITERAL) {
		e->depth++;
		return begin(e, value);
	}
	if (unlikely(value->type >= DUR_MAP &&
	             (value->type < DUR_OBJECT || value->type == DUR_COLL)))
		return 1; /* cloning it may take pages */
	return put_scalar(e, value);
}

int literal_embed(const dur_value *value, size_t room, uint8_t *cell, size_t *len)
{
	struct embed e;
	int rc;

	e.len = e.depth = 0;
	e.room = room;
	rc = begin(&e, value);
	while (rc == 0) {
		struct open *o = &e.open[e.depth];
		while (o->next != o->end && rc == 0 && o == &e.open[e.depth])
			rc = step(&e, o);
		if (rc != 0 || o != &e.open[e.depth])
			continue;
		rc = end(&e);
		if (e.depth-- == 0)
			break;
	}
	if (rc == 0) {
		memcpy(cell, e.bytes, e.len);
		*len = e.len;
	}
	return rc;
}
