/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/check_values.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/nest.h"
#include "engine/run.h"
#include "engine/value.h"
#include "internal/error.h"

static int check_scalar(struct file *file, const struct cell *cell, struct key_arena *arena)
{
	const void *payload = NULL;
	struct value_run run;
	int rc = 0;

	key_arena_reset(arena);
	if (value_is_run(cell->bytes, cell->len)) {
		if (!file)
			return 0;
		rc = value_run(cell->bytes, cell->len, &run);
		if (rc == 0)
			rc = run_read(file, (struct page_ptr){ run.page, run.birth }, run.bytes, &payload);
	}
	return rc < 0 ? rc : value_check(cell->bytes, cell->len, payload, arena);
}

static int check_key(unsigned kind, const struct nest_entry *entry, struct key_arena *arena)
{
	dur_value key;

	if (kind != DUR_MAP && kind != DUR_SET)
		return 0;
	key_arena_reset(arena);
	return key_decode(entry->key, entry->key_len, arena, &key);
}

/* Of an embedded collection; those in it are opened, not entered. */
static int check_embedded(struct file *file, const struct cell *cell, struct key_arena *arena)
{
	struct nest_entries *open = malloc(NEST_DEPTH_MAX * sizeof *open);
	struct nest_entry entry;
	unsigned depth = 0;
	int rc = 0;

	if (!open)
		return error_system(ENOMEM, "checking");
	nest_entries_open(&open[depth++], cell->bytes, cell->len);
	while (rc == 0 && depth) {
		struct nest_entries *top = &open[depth - 1];
		if (nest_entries_next(top, &entry)) {
			depth--;
			continue;
		}
		rc = check_key(top->kind, &entry, arena);
		if (rc < 0 || !entry.cell || nest_is_tree(entry.cell))
			continue;
		if (!nest_is_embedded(entry.cell))
			rc = check_scalar(file, &(struct cell){ entry.cell, entry.cell_len }, arena);
		else if ((entry.cell[0] & NEST_KIND) != DUR_ROPE)
			nest_entries_open(&open[depth++], entry.cell, entry.cell_len);
	}
	free(open);
	return rc;
}

int check_value(struct file *file, const struct cell *cell, struct key_arena *arena)
{
	if (!nest_is_collection(cell->bytes))
		return check_scalar(file, cell, arena);
	if (nest_is_tree(cell->bytes) || (cell->bytes[0] & NEST_KIND) == DUR_ROPE)
		return 0;
	return check_embedded(file, cell, arena);
}

int check_leaf_values(struct file *file, const struct page *leaf, void *ctx,
                      void (*problem)(void *ctx, struct page_ptr ptr, const char *text))
{
	struct key_arena arena = { 0 };
	int rc = 0;

	for (unsigned i = 0; i < leaf->n && rc != -ENOMEM; i++) {
		struct cell cell = node_cell(leaf, i);
		rc = check_value(file, &cell, &arena);
		if (rc < 0 && rc != -ENOMEM)
			problem(ctx, (struct page_ptr){ page_no(leaf), leaf->birth }, error_text());
	}
	key_arena_free(&arena);
	return rc == -ENOMEM ? rc : 0;
}
