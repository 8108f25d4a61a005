/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rescue: a pack made anew of those of its pages that retained states still hold, in a way that they
 * decode through nothing outside it (I7). What was a patch against a page that is not among them
 * becomes one against the next younger that is, or a key frame. Then nothing need be kept for it.
 */
#ifndef DURAMEN_ENGINE_PACK_RESCUE_H
#define DURAMEN_ENGINE_PACK_RESCUE_H

#include "engine/pack.h"
#include "engine/pack_list.h"

struct rescued {
	struct pack_entry entry;        /* as it is in the old pack */
	uint64_t at;                    /* and where */
	size_t   base;                  /* PACK_NEAR: index of its base's, which is lower */
	bool     held;                  /* the caller says so */
	uint64_t to;                    /* where it is in the new pack */
};

/* The entries of a pack, as they lie; freed by the caller. DUR_E_CORRUPT, -ENOMEM. */
int pack_entries(const struct pack *pack, struct rescued **entries);
/*
 * Makes the new pack of those held, with the same last death. system: the tree through which the old
 * pack decodes. The caller frees the writer's bytes in any case.
 */
int pack_rescue(struct file *file, const struct tree *system, const struct pack *pack,
                struct rescued *entries, struct pack_writer *writer);

#endif
