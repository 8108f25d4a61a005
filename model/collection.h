/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections in views: what every call on elements and ranges starts with. A collection is checked
 * against its view's stamp, a key or a path becomes key bytes, a cell becomes a value.
 */
#ifndef DURAMEN_MODEL_COLLECTION_H
#define DURAMEN_MODEL_COLLECTION_H

#include "prefixes/prefix.h"

struct element_key {
	const uint8_t *bytes; /* buf, or the caller's own where nothing is written */
	size_t len;
	uint8_t buf[DUR_MAX_KEY + 1];
};

/* 0, DUR_E_MISUSE, DUR_E_STALE, DUR_E_FORKED. */
int collection_check_slow(dur_coll c);

static inline int collection_check(dur_coll c)
{
	if (likely(c.view && c.view->stamp == c.stamp && c.kind &&
	           c.view->generation == registry_generation))
		return 0;
	return collection_check_slow(c);
}

/* The same for a writing call, which then is counted; DUR_E_READ_ONLY. */
int collection_begin_write(dur_coll c);
/* Ends a writing call: its first error bars the commit. Returns rc. */
int collection_end_write(dur_coll c, int rc);

/*
 * The key that an argument means, in the collection it leads to. 0, or DUR_NONE: a path leads nowhere
 * (writing: DUR_E_PARENT). DUR_E_PATH, DUR_E_TYPE, DUR_E_LIMIT. *self: the path is "", the collection.
 */
int collection_key_path(dur_coll c, const dur_value *key, bool writing, struct element_key *out,
                        bool *self);

static inline int collection_key(dur_coll c, const dur_value *key, bool writing,
                                 struct element_key *out, bool *self)
{
	if (unlikely(!key || key->type == DUR_PATH || key->type == DUR_STEPS))
		return collection_key_path(c, key, writing, out, self);
	*self = false;
	if (c.kind == DUR_RAW_MAP && !writing && key->type == DUR_BYTES && key->len <= DUR_MAX_KEY &&
	    key->ptr) {
		out->bytes = key->ptr;
		out->len = key->len;
		return 0;
	}
	out->bytes = out->buf;
	return c.kind == DUR_RAW_MAP ? key_encode_raw(key, out->buf, sizeof out->buf, &out->len)
	                             : key_encode(key, out->buf, sizeof out->buf, &out->len);
}

/* A cell as a value that borrows from its page, its run or the arena. */
int collection_value_slow(dur_view *v, const struct cell *cell, struct key_arena *arena,
                          dur_value *value);

static inline int collection_value(dur_view *v, const struct cell *cell, struct key_arena *arena,
                                   dur_value *value)
{
	uint8_t type = cell->bytes[0];

	if (unlikely(type != DUR_BYTES && type != DUR_STR))
		return collection_value_slow(v, cell, arena, value);
	value->type = type;
	value->tag = 0;
	value->len = cell->len - 1;
	value->ptr = cell->bytes + 1;
	return 0;
}

/* A key's bytes as a value. */
static inline int collection_key_value(const dur_view *v, const void *key, size_t len,
                                       struct key_arena *arena, dur_value *value)
{
	if (unlikely(!v->raw))
		return key_decode(key, len, arena, value);
	key_decode_raw(key, len, value);
	return 0;
}

/* The collection itself as a value. */
void collection_self(dur_coll c, dur_value *value);

/* What a read that may be borrowed only until the next call gives back first (old snapshots). */
static inline void collection_reclaim(dur_view *v)
{
	if (unlikely(v->old_pin.kind))
		key_arena_reset(&v->arena);
}

#endif
