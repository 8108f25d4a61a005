/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of states, in the system tree twice: 'N' name -> state, to find one, and 'M' state name,
 * to see which a state has. A change of names folds in the same commit, so the tree as of the fold
 * has all of them and no replay needs to know.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum { NAME_KEY_MAX = 9 + STATE_NAME_MAX, NAME_CELL = 9 };

static size_t name_key(uint8_t *to, const char *name)
{
	size_t len = strlen(name);

	to[0] = KEY_NAME;
	memcpy(to + 1, name, len);
	return 1 + len;
}

static size_t mark_key(uint8_t *to, uint64_t state, const char *name)
{
	size_t len = strlen(name), at = history_key(to, KEY_MARK, state);

	memcpy(to + at, name, len);
	return at + len;
}

/* ---- Changing ---- */

/* Takes a name away; *was: the state that had it, 0: none. */
static int unname(struct txn *txn, const char *name, uint64_t *was)
{
	const struct pager pager = { .file = txn->dirty.file, .dirty = &txn->dirty };
	uint8_t key[NAME_KEY_MAX];
	struct cell cell;
	int rc = tree_get(&pager, &txn->system, key, name_key(key, name), &cell);

	*was = 0;
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (cell.len != NAME_CELL)
		return history_damaged("a name");
	*was = get_u64(cell.bytes + 1);
	rc = tree_del(&txn->dirty, &txn->system, key, mark_key(key, *was, name));
	if (rc == 1)
		rc = history_damaged("a name that its state does not have");
	return rc < 0 ? rc : tree_del(&txn->dirty, &txn->system, key, name_key(key, name));
}

int history_name_change(struct txn *txn, const struct state_name *name, uint64_t *was)
{
	uint8_t key[NAME_KEY_MAX], cell[1 + STATE_NAME_MAX];
	int rc = unname(txn, name->name, was);

	if (rc < 0 || !name->state)
		return rc;
	cell[0] = DUR_BYTES;
	put_u64(cell + 1, name->state);
	rc = history_put(txn, key, name_key(key, name->name), cell, NAME_CELL);
	memcpy(cell + 1, name->name, strlen(name->name));
	if (rc == 0)
		rc = history_put(txn, key, mark_key(key, name->state, name->name), cell,
		                 1 + strlen(name->name));
	return rc;
}

/* ---- Asking ---- */

struct marks {
	const struct history_change *change; /* NULL: none under way */
	uint32_t n;
};

static int count_mark(void *ctx, uint64_t state, const struct cell *cell)
{
	struct marks *marks = ctx;
	const struct history_change *c = marks->change;

	(void)state;
	for (size_t i = 0; c && i < c->n_names; i++) /* where it is now, the caller counts */
		if (cell->len == 1 + strlen(c->names[i].name) &&
		    memcmp(cell->bytes + 1, c->names[i].name, cell->len - 1) == 0)
			return 0;
	marks->n++;
	return 0;
}

int history_named(const struct pager *pager, const struct tree *system, uint64_t state,
                  const struct history_change *change, uint32_t *n)
{
	struct marks marks = { .change = change };
	int rc = system->depth
	                 ? history_each(pager, system, KEY_MARK, state, state, count_mark, &marks)
	                 : 0;

	for (size_t i = 0; change && i < change->n_names; i++)
		marks.n += change->names[i].state == state;
	*n = marks.n;
	return rc < 0 ? rc : 0;
}

static int name_read(const void *key, size_t len, const struct cell *cell, struct state_name *out)
{
	if (len < 2 || len > 1 + STATE_NAME_MAX || cell->len != NAME_CELL)
		return history_damaged("a name");
	memcpy(out->name, (const uint8_t *)key + 1, len - 1);
	out->name[len - 1] = '\0';
	out->state = get_u64(cell->bytes + 1);
	return 0;
}

int history_name_find(struct file *file, const struct record *newest, const char *name,
                      uint64_t *state)
{
	const struct pager pager = { .file = file };
	uint8_t key[NAME_KEY_MAX];
	struct cell cell;
	int rc;

	if (strlen(name) > STATE_NAME_MAX || newest->state.system.depth == 0)
		return 1;
	rc = tree_get(&pager, &newest->state.system, key, name_key(key, name), &cell);
	if (rc == 0 && cell.len != NAME_CELL)
		rc = history_damaged("a name");
	if (rc == 0)
		*state = get_u64(cell.bytes + 1);
	return rc;
}

int history_names(struct file *file, const struct record *newest, uint64_t skip,
                  struct state_name *out, uint32_t cap, uint32_t *n)
{
	const struct pager pager = { .file = file };
	const uint8_t first = KEY_NAME;
	struct cursor *c;
	uint64_t rank;
	int rc;

	*n = 0;
	if (newest->state.system.depth == 0 || cap == 0)
		return 0;
	c = malloc(sizeof *c);
	if (!c)
		return error_system(ENOMEM, "listing names");
	cursor_open(c, &pager, &newest->state.system);
	rc = tree_rank(&pager, &newest->state.system, &first, 1, &rank);
	if (rc >= 0 && skip < newest->state.system.count - rank)
		rc = cursor_nth(c, rank + skip);
	else if (rc >= 0)
		rc = 1;
	while (rc == 0 && *n < cap) {
		struct cell cell;
		const void *key;
		size_t len;
		cursor_entry(c, &key, &len, &cell);
		if (*(const uint8_t *)key != KEY_NAME)
			break;
		rc = name_read(key, len, &cell, &out[*n]);
		if (rc == 0) {
			++*n;
			rc = cursor_next(c);
		}
	}
	free(c);
	return rc < 0 ? rc : 0;
}
