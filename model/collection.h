/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections in views: what every call on elements and ranges starts with. A collection is checked
 * against its view's stamp, a key or a path becomes a place and key bytes, a cell becomes a value.
 */
#ifndef DURAMEN_MODEL_COLLECTION_H
#define DURAMEN_MODEL_COLLECTION_H

#include "model/rows.h"

/* 0, DUR_E_MISUSE, DUR_E_STALE, DUR_E_FORKED. */
int collection_check_slow(dur_coll c);

static inline int collection_check(dur_coll c)
{
	if (likely(c.view && c.view->stamp == c.stamp && c.kind &&
	           c.view->generation == registry_generation))
		return 0;
	return collection_check_slow(c);
}

/*
 * The same for a writing call; DUR_E_READ_ONLY. What reads have lent lasts until collection_end_write(),
 * so that it may be an argument of the call.
 */
int collection_begin_write(dur_coll c);
/* Ends a writing call: its first error bars the commit. Returns rc, or what spilling said. */
int collection_end_write(dur_coll c, int rc);

static inline bool key_is_path(const dur_value *key)
{
	return unlikely(!key || key->type == DUR_PATH || key->type == DUR_STEPS);
}

/*
 * Where an argument leads to, for reading: the place of the collection that has the last step, and that
 * step as its key. 0, or DUR_NONE: a path leads nowhere. *self: the path is "", the place the collection
 * itself. DUR_E_PATH, DUR_E_TYPE, DUR_E_LIMIT.
 */
int collection_look(dur_coll c, const dur_value *key, struct place *p, struct element_key *out,
                    bool *self);
/* The same for writing. make: missing collections on the way are made, maps; else DUR_E_PARENT. */
int collection_reach(dur_coll c, const dur_value *key, bool make, struct row **row,
                     struct element_key *out, bool *self);
/* What stands at a key, or at the end of a path: 0, DUR_NONE. *self as above, then p is set alone. */
int collection_find(dur_coll c, const dur_value *key, struct place *p, struct cell *cell, bool *self);

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
static inline int collection_key_value(bool raw, const void *key, size_t len,
                                       struct key_arena *arena, dur_value *value)
{
	if (unlikely(!raw))
		return key_decode(key, len, arena, value);
	key_decode_raw(key, len, value);
	return 0;
}

/* A set's member, which is found under its key, as a value of its own. */
int collection_member(dur_view *v, uint32_t kind, const struct element_key *key, dur_value *value);

/* The collection itself as a value. */
int collection_self(dur_coll c, dur_value *value);

/* What a read that may be borrowed only until the next call gives back first (old snapshots). */
static inline void collection_reclaim(dur_view *v)
{
	if (unlikely(v->old_pin.kind))
		key_arena_reset(&v->arena);
}

#endif
