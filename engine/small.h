/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing what is embedded (nest.h): entries of an embedded collection are found, put and cut out, at
 * any depth below the outermost one, whose cell is written anew. Its leaf then takes the new cell, or,
 * if it has outgrown its room, the outermost collection becomes a tree of its own.
 *
 * The cells are those that nest_check() has seen. Nothing is changed in place, nothing recurses.
 */
#ifndef DURAMEN_ENGINE_SMALL_H
#define DURAMEN_ENGINE_SMALL_H

#include "engine/nest.h"

/*
 * Bytes of the outermost embedded cell. A changed entry is written with all of its cell, into the
 * leaf and later into the patches of old states: so it is kept well below TREE_CELL_MAX.
 */
enum { SMALL_ROOM = 1000 };

/* What an embedded cell may take beside a key of this length. */
static inline size_t small_room(size_t key_len)
{
	size_t room = TREE_ENTRY_MAX - key_len;

	return room < SMALL_ROOM ? room : SMALL_ROOM;
}

/* An embedded collection, by the way from the outermost one, in[0], to itself, in[depth]. */
struct small {
	const uint8_t *cell;
	unsigned depth;
	struct {
		uint16_t at, len;       /* its cell, in the outermost one */
	} in[NEST_DEPTH_MAX];
};

void small_open(struct small *s, const uint8_t *cell, size_t len);
/* Into an entry of the innermost one, which is an embedded collection. */
void small_enter(struct small *s, const struct nest_entry *entry);

/* An empty collection of a kind; gives its length, at most 2. */
size_t small_empty(uint32_t kind, uint8_t cell[2]);

/*
 * The entry with the key; 1: there is none, then entry->at and end are both where it would stand.
 * *rank, if not NULL: how many entries stand before it. Not of lists and ropes.
 */
int small_find(const uint8_t *cell, size_t len, const uint8_t *key, size_t key_len,
               struct nest_entry *entry, unsigned *rank);
/* The n-th entry from 0; 1: there are only so many, entry->at and end are the cell's end. */
int small_nth(const uint8_t *cell, size_t len, unsigned n, struct nest_entry *entry);

/* ---- A changed copy of the outermost cell, in out; 1: it would be longer than room. ---- */

struct small_out {
	uint8_t *cell;
	size_t room, len;
};

/*
 * Bytes [from, to) of the innermost collection's cell give way to others, its count changes by
 * `more`. refs: the new bytes name pages.
 */
struct small_splice {
	unsigned from, to;
	int more;
	const uint8_t *bytes;
	size_t len;
	bool refs;
};
/* Writes an entry to bytes (room for TREE_ENTRY_MAX + 4): of sets without cell, of lists without key. */
size_t small_entry(uint32_t kind, const void *key, size_t key_len, const void *cell, size_t cell_len,
                   uint8_t *bytes);
/* A length of one or two bytes; gives how many. */
unsigned small_length(uint8_t *to, unsigned v);
int small_splice(const struct small *s, const struct small_splice *splice, struct small_out *out);
/*
 * An entry in place of [place->at, place->end) of the innermost collection, which is the entry it
 * replaces, or nothing. Of sets without cell, of lists without key.
 */
int small_put(const struct small *s, const struct nest_entry *place, const void *key, size_t key_len,
              const void *cell, size_t cell_len, struct small_out *out);
/* Cuts n entries out, which are [from, to) of the innermost collection's cell. */
int small_cut(const struct small *s, unsigned from, unsigned to, unsigned n, struct small_out *out);

#endif
