/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and cells of the system tree. Every cell starts with DUR_BYTES: to the tree it is a plain value, a
 * pack one in a run.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

int history_damaged(const char *what)
{
	return error_set(DUR_E_CORRUPT, "the system tree is damaged: %s; run `duramen check`, restore from "
	                 "a backup", what);
}

size_t history_key(uint8_t *to, unsigned kind, uint64_t number)
{
	to[0] = (uint8_t)kind;
	put_be64(to + 1, number);
	return 9;
}

size_t history_key_dead(uint8_t *to, uint64_t death, unsigned part)
{
	history_key(to, KEY_DEAD, death);
	to[9] = (uint8_t)(part >> 8);
	to[10] = (uint8_t)part;
	return 11;
}

size_t history_state_encode(const struct state *state, uint8_t *to)
{
	const uint8_t *start = to;
	size_t len = strlen(state->label);

	*to++ = DUR_BYTES;
	put_u64(to, (uint64_t)state->time_ns);
	to = put_varint(to + 8, state->flags);
	to = put_varint(to, state->catalog.root.no);
	to = put_varint(to, state->number - state->catalog.root.birth);
	to = put_varint(to, state->catalog.count);
	to = put_varint(to, state->catalog.depth);
	to = put_varint(to, state->written_bytes);
	to = put_varint(to, state->commits);
	to = put_varint(to, state->number - state->previous);
	memcpy(to, state->label, len);
	return (size_t)(to + len - start);
}

int history_state_decode(uint64_t number, const struct cell *cell, struct state *state)
{
	const uint8_t *at = cell->bytes + 9, *end = cell->bytes + cell->len;
	uint64_t v[8];

	if (cell->len < 9)
		return history_damaged("an entry of the state index");
	for (int i = 0; i < 8; i++)
		if (!(at = get_varint(at, end, &v[i])))
			return history_damaged("an entry of the state index");
	if ((size_t)(end - at) >= sizeof state->label || v[1] > PAGE_NUMBER_MAX || v[2] > number ||
	    v[4] > TREE_DEPTH_MAX || (v[1] == 0) != (v[4] == 0) || v[7] > number)
		return history_damaged("an entry of the state index");
	*state = (struct state){
		.number = number,
		.previous = number - v[7],
		.flags = (uint32_t)v[0],
		.time_ns = (int64_t)get_u64(cell->bytes + 1),
		.catalog = { .root = { v[1], v[1] ? number - v[2] : 0 }, .count = v[3],
			.depth = (uint32_t)v[4], .class = CLASS_DATA },
		.written_bytes = v[5],
		.commits = v[6],
	};
	memcpy(state->label, at, (size_t)(end - at));
	return 0;
}

size_t history_limbo_encode(const struct pending *entry, uint8_t *to)
{
	const uint8_t *start = to;

	*to++ = DUR_BYTES;
	*to++ = entry->class;
	to = put_varint(to, entry->n);
	to = put_varint(to, entry->death);
	to = put_varint(to, entry->death - entry->birth);
	return (size_t)(to - start);
}

int history_put(struct txn *txn, const uint8_t *key, size_t len, const uint8_t *cell, size_t cell_len)
{
	return tree_put(&txn->dirty, &txn->system, key, len, cell, cell_len, NULL);
}

int history_each(const struct pager *pager, const struct tree *tree, unsigned kind, uint64_t from,
                 uint64_t to, int (*visit)(void *ctx, uint64_t number, const struct cell *cell), void *ctx)
{
	uint8_t first[SYSTEM_KEY_MAX];
	size_t len = history_key(first, kind, from);
	struct cursor *c = malloc(sizeof *c);
	int rc;

	if (!c)
		return error_system(ENOMEM, "reading the system tree");
	cursor_open(c, pager, tree);
	for (rc = cursor_seek(c, first, len); rc == 0; rc = cursor_next(c)) {
		const void *key;
		struct cell cell;
		cursor_entry(c, &key, &len, &cell);
		if (*(const uint8_t *)key != kind)
			break;
		if (len < 9 || cell.len == 0 || (cell.bytes[0] & ~CELL_RUN) != DUR_BYTES) {
			rc = history_damaged("an entry is not of its kind");
			break;
		}
		uint64_t number = get_be64((const uint8_t *)key + 1);
		if (number > to)
			break;
		rc = visit(ctx, number, &cell);
		if (rc != 0)
			break;
	}
	free(c);
	return rc == 1 ? 0 : rc;
}
