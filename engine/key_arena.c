/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of chunks, each twice as large as the one before; a reset keeps the newest, which is the
 * largest.
 */
#include "engine/key.h"

#include "include/internal/bytes.h"
#include "include/internal/error.h"

#include <errno.h>
#include <stdlib.h>

struct key_chunk {
	struct key_chunk *next;
	size_t bytes; /* of the whole chunk, a multiple of ALIGN */
};

enum { ALIGN = 16, FIRST_CHUNK = 1024, FIRST_STACK = 32 };

static void *no_memory(void)
{
	error_system(ENOMEM, "no memory to decode a key");
	return NULL;
}

void *key_arena_take(struct key_arena *arena, size_t n)
{
	struct key_chunk *chunk;
	size_t bytes;
	void *taken;

	if (unlikely(n > SIZE_MAX / 4))
		return no_memory();
	n = (n + (n == 0) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (unlikely(n > (size_t)(arena->end - arena->at))) {
		bytes = arena->chunks ? arena->chunks->bytes * 2 : FIRST_CHUNK;
		if (bytes < n + sizeof *chunk)
			bytes = n + sizeof *chunk;
		chunk = malloc(bytes);
		if (!chunk)
			return no_memory();
		*chunk = (struct key_chunk){ arena->chunks, bytes };
		arena->chunks = chunk;
		arena->at = (uint8_t *)(chunk + 1);
		arena->end = (uint8_t *)chunk + bytes;
	}
	taken = arena->at;
	arena->at += n;
	return taken;
}

dur_value *key_arena_slot(struct key_arena *arena, size_t n)
{
	if (unlikely(n >= arena->stack_cap)) {
		size_t cap = arena->stack_cap ? arena->stack_cap * 2 : FIRST_STACK;
		dur_value *stack = realloc(arena->stack, cap * sizeof *stack);
		if (!stack)
			return no_memory();
		arena->stack = stack;
		arena->stack_cap = cap;
	}
	return &arena->stack[n];
}

void key_arena_reset(struct key_arena *arena)
{
	struct key_chunk *chunk = arena->chunks, *next;

	if (!chunk)
		return;
	while ((next = chunk->next) != NULL) {
		chunk->next = next->next;
		free(next);
	}
	arena->at = (uint8_t *)(chunk + 1);
	arena->end = (uint8_t *)chunk + chunk->bytes;
}

void key_arena_free(struct key_arena *arena)
{
	key_arena_reset(arena);
	free(arena->chunks);
	free(arena->stack);
	*arena = (struct key_arena){ 0 };
}
