/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of the parent's page and back: an embedded map or set as a keyed tree, and a small tree as an
 * embedded collection. What the cells name is taken over as it is: it has one parent before and after.
 */
#ifndef DURAMEN_ENGINE_SMALL_TREE_H
#define DURAMEN_ENGINE_SMALL_TREE_H

#include "engine/small.h"

/*
 * The entries of an embedded map or set, of which there is one at least, as a new tree. The cell does
 * not lie in a page that changes meanwhile. On failure, the transaction is barred if pages were made.
 */
int small_grow_keyed(struct dirty *d, const uint8_t *cell, size_t len, struct tree *tree);
/*
 * The cell of an embedded collection with a tree's entries, at most room bytes (at least 2); gives its
 * length, 0 if it takes more, or a page cannot be read. The tree is as it was.
 */
size_t small_shrink_keyed(const struct pager *pager, const struct tree *tree, uint32_t kind,
                          uint8_t *cell, size_t room);

#endif
