/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the published state. Model m1:
 *   R5 the writer stores an entry's number, then its record, then the state; each a release
 *   R6 the reader loads an entry's record (acquire), then its number; if no number matches the
 *      state that it loaded, it starts again. A record that was overwritten meanwhile thus shows a
 *      new number.
 *   R7 the entry written is never that of the published state, so a writer killed anywhere leaves
 *      that whole
 */
#ifndef DURAMEN_IPC_PUBLISH_PRIVATE_H
#define DURAMEN_IPC_PUBLISH_PRIVATE_H

#include "coord_private.h"

/* Each new try needs two publishings in between: only a damaged file can fail so often. */
enum { PUBLISHED_TRIES = 1000000 };

static inline uint64_t published_state(const struct coord *coord)
{
	return load_acquire(&coord->shared->published.visible);
}

/* false: the ring does not have state (any more). */
static inline bool published_record(const struct coord *coord, uint64_t state, uint64_t *record)
{
	struct layout_ring_entry *ring = coord->shared->published.ring;

	for (unsigned e = 0; e < LAYOUT_RING; e++) {
		*record = load_acquire(&ring[e].record);
		if (load_acquire(&ring[e].state) == state)
			return true;
	}
	return false;
}

/* The published state with its record; out->durable is 0. 1: nothing is published, or an error. */
int published_find(const struct coord *coord, struct coord_published *out);
int published_damaged(void);

#endif
