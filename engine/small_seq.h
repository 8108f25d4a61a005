/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of the parent's page and back: an embedded list or rope as a positional tree, and a small one as
 * an embedded one. What the cells name is taken over as it is, as in small_tree.h.
 */
#ifndef DURAMEN_ENGINE_SMALL_SEQ_H
#define DURAMEN_ENGINE_SMALL_SEQ_H

#include "engine/seq.h"
#include "engine/small.h"

/* The items of an embedded list, of which there is one at least, as a new tree. */
int small_grow_list(struct dirty *d, const uint8_t *cell, size_t len, struct tree *tree);
/* The cell of an embedded list with a tree's items; 0: it takes more than room. */
size_t small_shrink_list(const struct pager *pager, const struct tree *tree, uint32_t kind,
                         uint8_t *cell, size_t room);

/* The same of ropes. */
int small_grow_rope(struct dirty *d, const uint8_t *cell, size_t len, struct tree *tree);
size_t small_shrink_rope(const struct pager *pager, const struct tree *tree, uint32_t kind,
                         uint8_t *cell, size_t room);

#endif
