/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is given back all at once: what was parsed for one command line or one batch of
 * entries. A zeroed struct is an empty arena. Running out of memory ends the program.
 */
#ifndef DURAMEN_TOOLS_ARENA_H
#define DURAMEN_TOOLS_ARENA_H

#include <stddef.h>

struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used;                /* bytes of the newest */
	size_t total;               /* bytes handed out since the last reset */
};

/* Aligned for any type; not cleared. */
void *arena_alloc(struct arena *a, size_t bytes);
/* A copy with a NUL after it. */
char *arena_copy(struct arena *a, const void *bytes, size_t len);
/* All memory handed out is void; one block is kept for the next round. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
