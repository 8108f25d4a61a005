/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is given back all at once: what was parsed for one command line or one batch of
 * entries. A zeroed struct is an empty arena. Running out of memory ends the program.
 */
#ifndef DURAMEN_TOOLS_ARENA_H
#define DURAMEN_TOOLS_ARENA_H

#include <stdalign.h>
#include <stddef.h>
#include <string.h>

struct arena {
	struct arena_block *blocks; /* newest first */
	struct arena_block *spare;  /* not in use */
	unsigned spares;
	unsigned char *at, *end;    /* what is free of the newest */
	size_t total;               /* bytes handed out since the last reset */
};

/* In a new block. */
void *arena_more(struct arena *a, size_t bytes);

/* Aligned for any type; not cleared. */
static inline void *arena_alloc(struct arena *a, size_t bytes)
{
	const size_t align = alignof(max_align_t);
	unsigned char *p = a->at;

	if (bytes > (size_t)(a->end - p))
		return arena_more(a, bytes);
	bytes = (bytes + align - 1) / align * align; /* so is what is free */
	a->at = p + bytes;
	a->total += bytes;
	return p;
}

/* A copy with a NUL after it. */
static inline char *arena_copy(struct arena *a, const void *bytes, size_t len)
{
	char *p = arena_alloc(a, len + 1);

	if (len != 0)
		memcpy(p, bytes, len);
	p[len] = '\0';
	return p;
}

/* All memory handed out is void; some is kept for the next round. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
