/* SPDX-License-Identifier: Apache-2.0 */
#include "model/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/hash.h"
#include "model/iter.h"

struct kept_cell {
	struct kept_cell *next; /* of one place of the table */
	uint64_t hash;
	uint32_t len;
	uint8_t bytes[];
};

struct kept {
	struct kept_cell **table;
	size_t size, n;         /* size: a power of two */
};

static int kept_room(struct kept *k)
{
	size_t size = k->size ? k->size * 2 : 64;
	struct kept_cell **table;

	if (k->n < k->size)
		return 0;
	table = calloc(size, sizeof *table);
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < k->size; i++)
		for (struct kept_cell *c = k->table[i], *next; c; c = next) {
			next = c->next;
			c->next = table[c->hash & (size - 1)];
			table[c->hash & (size - 1)] = c;
		}
	free(k->table);
	k->table = table;
	k->size = size;
	return 0;
}

const uint8_t *kept_cell(dur_view *v, const uint8_t *cell, size_t len)
{
	uint64_t hash = hash64(cell, len, 0);
	struct kept_cell *c = NULL;

	if (!v->kept) {
		v->kept = calloc(1, sizeof *v->kept);
		v->model_end = model_end;
	}
	if (v->kept && kept_room(v->kept) == 0) {
		struct kept_cell **at = &v->kept->table[hash & (v->kept->size - 1)];
		for (c = *at; c; c = c->next)
			if (c->hash == hash && c->len == len && memcmp(c->bytes, cell, len) == 0)
				return c->bytes;
		c = malloc(sizeof *c + len);
		if (c) {
			*c = (struct kept_cell){ .next = *at, .hash = hash, .len = (uint32_t)len };
			memcpy(c->bytes, cell, len);
			*at = c;
			v->kept->n++;
			return c->bytes;
		}
	}
	error_system(ENOMEM, "keeping a collection of a packed state");
	return NULL;
}

void kept_end(dur_view *v)
{
	struct kept *k = v->kept;

	if (!k)
		return;
	for (size_t i = 0; i < k->size; i++)
		for (struct kept_cell *c = k->table[i], *next; c; c = next) {
			next = c->next;
			free(c);
		}
	free(k->table);
	free(k);
	v->kept = NULL;
}
