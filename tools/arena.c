/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of at least 64 KiB in a chain; the newest one is filled from its start. After a reset some
 * wait for their next use, still in the cache.
 */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

#define BLOCK_BYTES (64u << 10)
#define SPARE       32 /* blocks that wait for their next use */
#define ALIGN       alignof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t size;
	alignas(max_align_t) unsigned char bytes[];
};

void *arena_more(struct arena *a, size_t bytes)
{
	struct arena_block *b = a->spare;
	size_t size = BLOCK_BYTES;

	if (bytes > SIZE_MAX / 2)
		out_of_memory();
	if (bytes > size || b == NULL) {
		if (bytes > size)
			size = (bytes + ALIGN - 1) / ALIGN * ALIGN;
		b = malloc(sizeof *b + size);
		if (b == NULL)
			out_of_memory();
		b->size = size;
	} else {
		a->spare = b->next;
		a->spares--;
	}
	b->next = a->blocks;
	a->blocks = b;
	a->at = b->bytes;
	a->end = b->bytes + b->size;
	return arena_alloc(a, bytes);
}

void arena_reset(struct arena *a)
{
	while (a->blocks != NULL) {
		struct arena_block *b = a->blocks;
		a->blocks = b->next;
		if (b->size > BLOCK_BYTES || a->spares == SPARE) {
			free(b);
		} else {
			b->next = a->spare;
			a->spare = b;
			a->spares++;
		}
	}
	a->at = a->end = NULL;
	a->total = 0;
}

void arena_free(struct arena *a)
{
	arena_reset(a);
	while (a->spare != NULL) {
		struct arena_block *b = a->spare;
		a->spare = b->next;
		free(b);
	}
	*a = (struct arena){ 0 };
}
