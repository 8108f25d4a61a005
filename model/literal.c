/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Literals: a whole collection in one value, others in it to any depth. A small one is written by
 * embed.c. A larger one is built from the inside out, each collection as a cell of its own that becomes
 * a tree when it outgrows its room; those that are under way are on a list, not on the stack.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/refs.h"
#include "model/collection.h"
#include "model/write.h"

/* A collection that is being built. */
struct building {
	struct building *outer;
	const dur_value *items;
	uint64_t n, next;
	uint32_t kind;
	bool is_tree;
	struct tree tree;
	size_t last, last_len;          /* embedded: where the highest key so far lies; 0: none yet */
	size_t len, cap;
	uint8_t *cell;
};

int literal_kind(const dur_value *value)
{
	uint32_t kind = value->type & ~(uint32_t)DUR_LITERAL;

	if (!kind_can_be_made(kind))
		return error_set(DUR_E_TYPE, "%s cannot be written as a literal in this version",
		                 kind_name(kind));
	if (value->len && !value->items)
		return error_set(DUR_E_MISUSE, "a literal of %llu items has none",
		                 (unsigned long long)value->len);
	if (!kind_is_set(kind) && !kind_is_positional(kind) && value->len % 2)
		return error_set(DUR_E_MISUSE, "the literal of a map is keys and values in turn: %llu is odd",
		                 (unsigned long long)value->len);
	return 0;
}

/* A literal that is being checked. */
struct checking {
	struct checking *outer;
	const dur_value *value;
	uint64_t next;
};

static int check_begin(const dur_value *value, struct checking **top)
{
	struct checking *c;
	int rc = literal_kind(value);

	if (rc < 0)
		return rc;
	c = malloc(sizeof *c);
	if (!c)
		return error_system(ENOMEM, "checking a literal");
	*c = (struct checking){ .outer = *top, .value = value };
	*top = c;
	return 0;
}

static int check_step(struct checking **top)
{
	struct checking *c = *top;
	uint32_t kind = c->value->type & ~(uint32_t)DUR_LITERAL;
	struct place p = { .kind = kind };
	struct element_key key;
	const dur_value *item;
	const uint8_t *bytes;
	size_t len;
	int rc = 0;

	if (c->next == c->value->len) {
		*top = c->outer;
		free(c);
		return 0;
	}
	item = &c->value->items[c->next++];
	if (kind == DUR_ROPE)
		return rope_piece(item, &bytes, &len);
	if (kind != DUR_LIST)
		rc = place_key(&p, item, &key);
	if (rc < 0 || kind_is_set(kind))
		return rc;
	if (kind != DUR_LIST)
		item = &c->value->items[c->next++];
	return item->type & DUR_LITERAL ? check_begin(item, top) : cell_check(item);
}

int literal_check(const dur_value *value)
{
	struct checking *top = NULL;
	int rc = check_begin(value, &top);

	while (rc == 0 && top)
		rc = check_step(&top);
	while (top) {
		struct checking *outer = top->outer;
		free(top);
		top = outer;
	}
	return rc;
}

static int begin(const dur_value *value, struct building **top)
{
	struct building *b;
	int rc = literal_kind(value);

	if (rc < 0)
		return rc;
	b = calloc(1, sizeof *b);
	if (b)
		b->cell = malloc(b->cap = 64);
	if (!b || !b->cell) {
		free(b);
		return error_system(ENOMEM, "building a collection");
	}
	b->kind = value->type & ~(uint32_t)DUR_LITERAL;
	b->items = value->items;
	b->n = value->len;
	b->tree.class = CLASS_DATA;
	b->len = small_empty(b->kind, b->cell);
	b->outer = *top;
	*top = b;
	return 0;
}

static void pop(struct building **top)
{
	struct building *b = *top;

	*top = b->outer;
	free(b->cell);
	free(b);
}

static void as_cell(dur_view *v, const struct building *b, struct made_cell *m)
{
	if (b->is_tree && b->tree.depth) {
		nest_tree_write(m->bytes, &(struct nest_tree){
			.kind = b->kind, .depth = b->tree.depth, .placed = v->txn->number,
			.root = b->tree.root, .count = b->tree.count,
		});
		m->len = NEST_TREE_CELL;
	} else {
		memcpy(m->bytes, b->cell, b->len);
		m->len = b->len;
	}
}

static int take(struct building *b, const uint8_t *cell, size_t len)
{
	if (len > b->cap) {
		uint8_t *grown = realloc(b->cell, SMALL_ROOM);
		if (!grown)
			return error_system(ENOMEM, "building a collection");
		b->cell = grown;
		b->cap = SMALL_ROOM;
	}
	if (cell)
		memcpy(b->cell, cell, len);
	return 0;
}

/* Behind all that is there: the usual case, without another copy of the cell. 1: it does not fit. */
static int append(struct building *b, const struct element_key *key, const struct made_cell *m)
{
	uint8_t entry[TREE_ENTRY_MAX + 4];
	const uint8_t *n = b->cell + 1;
	unsigned count = node_length(&n);
	size_t len = small_entry(b->kind, key->bytes, key->len, m->bytes, m->len, entry);
	size_t wider = node_length_size(count + 1) - node_length_size(count);
	int rc;

	if (b->len + len + wider > SMALL_ROOM)
		return 1;
	rc = take(b, NULL, b->len + len + wider);
	if (rc < 0)
		return rc;
	if (wider)
		memmove(b->cell + 3, b->cell + 2, b->len - 2);
	small_length(b->cell + 1, count + 1);
	b->len += wider;
	memcpy(b->cell + b->len, entry, len);
	b->last = b->len + node_length_size((unsigned)key->len);
	b->last_len = key->len;
	b->len += len;
	if (m->len)
		b->cell[0] |= m->bytes[0] & NEST_REFS;
	return 0;
}

static bool is_behind(const struct building *b, const struct element_key *key)
{
	size_t shorter = b->last_len < key->len ? b->last_len : key->len;
	int order;

	if (b->kind == DUR_LIST || b->last == 0)
		return true;
	order = memcmp(b->cell + b->last, key->bytes, shorter);
	return order < 0 || (order == 0 && b->last_len < key->len);
}

/* Among what is there; of equal keys the last one wins. 1: it does not fit. */
static int insert(dur_view *v, struct building *b, const struct element_key *key,
                  const struct made_cell *m)
{
	uint8_t cell[SMALL_ROOM];
	struct small_out out = { .cell = cell, .room = sizeof cell };
	struct made_cell old;
	struct nest_entry entry;
	struct small s;
	int rc = small_find(b->cell, b->len, key->bytes, key->len, &entry, NULL);

	old.len = 0;
	if (rc == 0 && entry.cell_len)
		memcpy(old.bytes, entry.cell, old.len = entry.cell_len);
	small_open(&s, b->cell, b->len);
	rc = small_put(&s, &entry, key->bytes, key->len, m->bytes, m->len, &out);
	if (rc == 0)
		rc = take(b, cell, out.len);
	if (rc != 0)
		return rc;
	/* where the highest key lies now: as far from the end as before, unless it was replaced */
	b->len = out.len;
	small_nth(b->cell, b->len, (unsigned)nest_count(b->cell, b->len) - 1, &entry);
	b->last = (size_t)(entry.key - b->cell);
	b->last_len = entry.key_len;
	cell_unmake(v, &old);
	return 0;
}

static int add(dur_view *v, struct building *b, const struct element_key *key,
               const struct made_cell *m)
{
	const struct form_ops *ops = &form_ops[form_of_tree(b->kind)];
	static const uint8_t member[1] = { DUR_NULL };
	int rc = 1;

	if (!b->is_tree)
		rc = is_behind(b, key) ? append(b, key, m) : insert(v, b, key, m);
	if (rc <= 0)
		return rc;
	if (!b->is_tree && nest_count(b->cell, b->len)) {
		rc = ops->grow(&v->txn->dirty, b->cell, b->len, &b->tree);
		if (rc < 0)
			return rc;
	}
	b->is_tree = true;
	b->len = small_empty(b->kind, b->cell);
	if (kind_is_set(b->kind))
		return ops->put(&v->txn->dirty, &b->tree, key, member, sizeof member, false);
	return ops->put(&v->txn->dirty, &b->tree, key, m->bytes, m->len, false);
}

/* Of a rope: bytes behind those that are there. */
static int add_piece(dur_view *v, struct building *b, const dur_value *piece)
{
	const uint8_t *bytes;
	size_t len;
	int rc = rope_piece(piece, &bytes, &len);

	if (rc < 0 || len == 0)
		return rc;
	if (!b->is_tree && len <= SMALL_ROOM - b->len) {
		rc = take(b, NULL, b->len + len);
		if (rc == 0) {
			memcpy(b->cell + b->len, bytes, len);
			b->len += len;
		}
		return rc;
	}
	if (!b->is_tree) {
		rc = form_ops[FORM_ROPE].grow(&v->txn->dirty, b->cell, b->len, &b->tree);
		if (rc < 0)
			return rc;
		b->is_tree = true;
		b->len = small_empty(b->kind, b->cell);
	}
	return rope_insert(&v->txn->dirty, &b->tree, b->tree.count, bytes, len);
}

/* The key of the item that is under way. */
static int item_key(const struct building *b, struct element_key *key)
{
	const struct place p = { .kind = b->kind };

	if (b->kind != DUR_LIST)
		return place_key(&p, &b->items[b->next], key);
	key->bytes = NULL;
	key->len = 0;
	key->position = b->next;
	return 0;
}

/* One item into the innermost collection, or the collection that it is on top. */
static int step(dur_view *v, struct building **top)
{
	struct building *b = *top;
	bool map = !kind_is_set(b->kind) && !kind_is_positional(b->kind);
	const dur_value *value = &b->items[b->next + map];
	struct made_cell m;
	struct element_key key;
	int rc;

	if (b->kind == DUR_ROPE)
		return add_piece(v, b, &b->items[b->next++]);
	m.len = 0;
	rc = item_key(b, &key);
	if (rc == 0 && !kind_is_set(b->kind)) {
		if (value->type & DUR_LITERAL) {
			rc = literal_embed(value, small_room(key.len), m.bytes, &m.len);
			if (rc == 1)
				return begin(value, top);
		} else {
			rc = cell_make(v, value, key.len, &m);
		}
	}
	if (rc == 0)
		rc = add(v, b, &key, &m);
	if (rc < 0)
		cell_unmake(v, &m);
	b->next += 1 + map;
	return rc;
}

/* The innermost one is whole: it becomes a cell in the one around it, or the result. */
static int finish(dur_view *v, struct building **top, size_t key_len, struct made_cell *m)
{
	struct building *b = *top, *outer = b->outer;
	struct element_key key;
	int rc = outer ? item_key(outer, &key) : 0;

	if (rc < 0)
		return rc;
	as_cell(v, b, m);
	pop(top);
	rc = cell_fit(v, outer ? key.len : key_len, m);
	if (rc == 0 && outer)
		rc = add(v, outer, &key, m);
	if (rc < 0)
		cell_unmake(v, m);
	if (outer)
		outer->next += outer->kind == DUR_LIST ? 1 : 2;
	return rc;
}

int cell_make_literal(dur_view *v, const dur_value *value, size_t key_len, struct made_cell *m)
{
	struct building *top = NULL;
	int rc = literal_embed(value, small_room(key_len), m->bytes, &m->len);

	if (rc != 1)
		return rc;
	m->len = 0;
	rc = begin(value, &top);
	while (rc == 0 && top)
		rc = top->next < top->n ? step(v, &top) : finish(v, &top, key_len, m);
	while (top) {
		as_cell(v, top, m);
		cell_unmake(v, m);
		pop(&top);
	}
	return rc;
}
