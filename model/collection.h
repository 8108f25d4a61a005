/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections in views: what every call on elements and ranges starts with. A collection is checked
 * against its view's stamp, a key or a path becomes key bytes, a cell becomes a value.
 */
#ifndef DURAMEN_MODEL_COLLECTION_H
#define DURAMEN_MODEL_COLLECTION_H

#include "prefixes/prefix.h"

struct element_key {
	size_t len;
	uint8_t bytes[DUR_MAX_KEY + 1];
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
	return c.kind == DUR_RAW_MAP ? key_encode_raw(key, out->bytes, sizeof out->bytes, &out->len)
	                             : key_encode(key, out->bytes, sizeof out->bytes, &out->len);
}

/* A cell as a value that borrows from its page, its run or the arena. */
int collection_value(dur_view *v, const struct cell *cell, struct key_arena *arena,
                     dur_value *value);
/* A key's bytes as a value. */
int collection_key_value(const dur_view *v, const void *key, size_t len, struct key_arena *arena,
                         dur_value *value);
/* The collection itself as a value. */
void collection_self(dur_coll c, dur_value *value);

/* What a read that may be borrowed only until the next call gives back first (old snapshots). */
static inline void collection_reclaim(dur_view *v)
{
	if (unlikely(v->old_pin.kind))
		key_arena_reset(&v->arena);
}

#endif
