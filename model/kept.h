/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells that a view keeps. Where what it read does not last (pages of a packed state, what a diff has
 * copied) a handle leads to a copy of its collection's cell, so that it is good for as long as the view. Equal cells have one
 * copy: what they lead to is the same in one state.
 */
#ifndef DURAMEN_MODEL_KEPT_H
#define DURAMEN_MODEL_KEPT_H

#include "prefixes/prefix.h"

/* The copy; NULL: no memory, with message. Cost: a hash of the cell. */
const uint8_t *kept_cell(dur_view *v, const uint8_t *cell, size_t len);
void kept_end(dur_view *v);

#endif
