/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of at least 64 KiB in a chain; the newest one is filled from its start. */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

#define BLOCK_BYTES (64u << 10)
#define ALIGN       alignof(max_align_t)

struct arena_block {
	struct arena_block *next;
	size_t size;
	alignas(max_align_t) unsigned char bytes[];
};

void *arena_alloc(struct arena *a, size_t bytes)
{
	struct arena_block *b = a->blocks;
	if (bytes > SIZE_MAX / 2)
		out_of_memory();
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (b == NULL || bytes > b->size - a->used) {
		size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
		b = malloc(sizeof *b + size);
		if (b == NULL)
			out_of_memory();
		b->next = a->blocks;
		b->size = size;
		a->blocks = b;
		a->used = 0;
	}
	void *p = b->bytes + a->used;
	a->used += bytes;
	a->total += bytes;
	return p;
}

char *arena_copy(struct arena *a, const void *bytes, size_t len)
{
	char *p = arena_alloc(a, len + 1);
	if (len != 0)
		memcpy(p, bytes, len);
	p[len] = '\0';
	return p;
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep = a->blocks;
	if (keep != NULL && keep->size == BLOCK_BYTES) {
		a->blocks = keep->next;
		arena_free(a);
		keep->next = NULL;
		a->blocks = keep;
	} else {
		arena_free(a);
	}
}

void arena_free(struct arena *a)
{
	while (a->blocks != NULL) {
		struct arena_block *b = a->blocks;
		a->blocks = b->next;
		free(b);
	}
	*a = (struct arena){ 0 };
}
