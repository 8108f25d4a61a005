/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections in collections as plain structures in memory, and a comparison of collections in a
 * view with them. Entries of a map or set stand in the order of their encoded keys, items of a list
 * in theirs; a rope is its bytes.
 */
#ifndef DURAMEN_TESTS_NESTED_MODEL_H
#define DURAMEN_TESTS_NESTED_MODEL_H

#include <duramen.h>
#include <stdbool.h>
#include <stddef.h>

enum { MODEL_DEPTH = 7, MODEL_TEXT = 16000, MODEL_ROPE = 40000, MODEL_LIST = 1200 };

struct plain;

struct entry {
	uint8_t *key;           /* encoded; NULL in a list */
	size_t key_len;
	struct plain *sub;       /* a collection, or NULL: */
	size_t text;            /* not 0: the first bytes of model_text */
	int64_t i;              /* else this number */
};

struct plain {
	uint32_t kind;
	unsigned handles;       /* a node that handles know stays, dead, until the last one goes */
	bool dead;
	uint64_t born;          /* model_now when it was made, or put as a clone */
	struct plain *parent;
	struct plain *twin;      /* its copy, of the last plain_copy() */
	size_t n, cap;          /* entries; none in a rope */
	struct entry *entry;
	size_t len, room;       /* of a rope */
	char *bytes;
};

extern char model_text[MODEL_TEXT];
/* The number of the transaction. */
extern uint64_t model_now;

void model_text_fill(uint64_t *random);

bool is_set(const struct plain *node);
bool is_raw(const struct plain *node);
unsigned depth_of(const struct plain *node);
/* What dur_count() says. */
size_t length_of(const struct plain *node);
/* The number of entries in a collection and all in it, with something for the bytes of ropes. */
size_t weight(const struct plain *node);

struct plain *plain_new(uint32_t kind, struct plain *parent);
void plain_free(struct plain *node);
struct plain *plain_copy(struct plain *from, struct plain *parent);
/* The last handle to a dead one lets go of it. */
void plain_forget(struct plain *node);

/* The bytes of a key in the order of this map or set. */
size_t key_bytes(const struct plain *node, const dur_value *key, uint8_t buf[DUR_MAX_KEY + 1]);
/* Where a key of a map or set is, or would be. */
size_t plain_find(const struct plain *node, const dur_value *key, bool *found);
size_t plain_find_bytes(const struct plain *node, const uint8_t *key, size_t len, bool *found);
/* The entry at a key of a map or set, empty: new, or what was there is gone. */
struct entry *plain_put(struct plain *node, const dur_value *key);
/* The entry at a place, emptied. */
struct entry *plain_replace(struct plain *node, size_t at);
/* Room for n items of a list, empty ones. */
struct entry *plain_insert(struct plain *node, size_t at, size_t n);
void plain_del(struct plain *node, size_t at, size_t n);
/* An entry becomes a copy of another one, with all in it. */
void entry_copy(struct plain *node, struct entry *to, const struct entry *from);

/* Bytes of a rope; they may be its own. */
void plain_rope_insert(struct plain *node, size_t at, const char *bytes, size_t n);
void plain_rope_write(struct plain *node, size_t at, const char *bytes, size_t n);
void plain_rope_del(struct plain *node, size_t at, size_t n);

/* Each entry of a collection of a view and of all in it, in one direction or the other. */
void compare(dur_coll c, const struct plain *node, uint64_t *random);
void compare_value(const dur_value *v, const struct entry *e, uint64_t *random);
/* A key or position is that of the entry at a place. */
void compare_key(const dur_value *key, const struct plain *node, size_t at);

#endif
