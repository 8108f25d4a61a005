/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences between two views as rows of a dur_change: kind, path and both values. What diff and
 * watch have in common.
 */
#ifndef DURAMEN_MODEL_CHANGES_H
#define DURAMEN_MODEL_CHANGES_H

#include "engine/tree_diff.h"
#include "model/collection.h"

/* The path of a key from its collection: "/" and a step, a NUL behind it. {0} is an empty one. */
struct change_path {
	char *text;
	size_t len, cap;
};

/*
 * A key of v's catalog as a path. A raw key that is text is written as text: as a step it means the
 * same bytes. -ENOMEM.
 */
int change_path_set(struct change_path *path, const dur_view *v, const void *key, size_t len);
void change_path_free(struct change_path *path);

struct changes {
	dur_view *view[2]; /* DIFF_OLD, DIFF_NOW; NULL: an empty collection. Not both. */
	struct tree_diff diff;
	struct change_path path;
	struct key_arena arena;         /* what the last row put together */
};

/* Before the first change within the bounds; may be called again. Reads no page. */
int changes_open(struct changes *c, dur_view *old, dur_view *now, const struct tree_bounds *bounds);
/*
 * The next difference, without making a row of it. 0, 1 at the end. What it read is entered in the
 * views' cost.
 */
int changes_step(struct changes *c, struct tree_change *step);
/* Its row; state and time are left as they are. */
int changes_row(struct changes *c, const struct tree_change *step, dur_change *row);
/* Frees what it has put together; closes no view. */
void changes_end(struct changes *c);

#endif
