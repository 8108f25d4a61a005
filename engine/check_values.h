/* SPDX-License-Identifier: Apache-2.0 */
/* What check looks at in a leaf beyond its structure: values decode, and what is embedded in them. */
#ifndef DURAMEN_ENGINE_CHECK_VALUES_H
#define DURAMEN_ENGINE_CHECK_VALUES_H

#include "engine/file.h"
#include "engine/key.h"
#include "engine/tree.h"

/*
 * A cell that nest_check() has passed; of an embedded collection all that is in it, keys too. file NULL:
 * but for values that lie in runs.
 */
int check_value(struct file *file, const struct cell *cell, struct key_arena *arena);
/* All cells of a keyed leaf: calls problem() for each that is damaged. 0, -ENOMEM. */
int check_leaf_values(struct file *file, const struct page *leaf, void *ctx,
                      void (*problem)(void *ctx, struct page_ptr ptr, const char *text));

#endif
