/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pack_list.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/node.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum { KEY_LEN = 9 };

static int damaged(void)
{
	return error_set(DUR_E_CORRUPT, "the entry of a pack of old pages is damaged; run `duramen check "
	                 "--history`, restore from a backup");
}

/* Early versions numbered their packs from 1 on, far below the deaths in them. */
static int other_number(void)
{
	return error_set(DUR_E_FORMAT, "the list of packed history is damaged, or of an early version of this "
	                 "program, whose packs are read no more: dump the file with that version, or restore "
	                 "from a backup");
}

static size_t key_of(uint8_t *to, uint64_t last)
{
	to[0] = KEY_PACK;
	put_be64(to + 1, last);
	return KEY_LEN;
}

int pack_cell(uint64_t last, const struct cell *cell, struct pack_run *run)
{
	const uint8_t *at = cell->bytes + 1, *end = cell->bytes + cell->len;
	struct node_run value;

	if (cell->len < 3 + CELL_RUN_BYTES || cell->bytes[0] != (DUR_BYTES | CELL_RUN) ||
	    !(at = get_varint(at, end, &run->last)) || !(at = get_varint(at, end, &run->entries)) ||
	    end - at != CELL_RUN_BYTES || !node_cell_run(cell, &value))
		return damaged();
	if (run->last != last)
		return other_number();
	run->ptr = value.ptr;
	run->length = value.length;
	return 0;
}

size_t pack_cell_put(uint8_t *to, const struct pack_run *run)
{
	const uint8_t *start = to;

	*to++ = DUR_BYTES | CELL_RUN;
	to = put_varint(to, run->last);
	to = put_varint(to, run->entries);
	put_u64(to, run->ptr.birth);
	put_u48(to + 8, run->ptr.no);
	put_u64(to + 14, run->length);
	return (size_t)(to + CELL_RUN_BYTES - start);
}

int pack_run(const struct pager *pager, const struct tree *system, uint64_t last, struct pack_run *run)
{
	uint8_t key[KEY_LEN];
	struct cell cell;
	int rc = tree_get(pager, system, key, key_of(key, last), &cell);

	return rc != 0 ? rc : pack_cell(last, &cell, run);
}

/* The entry that a cursor is at. 1: it is no pack. */
static int entry(struct cursor *c, struct pack_run *run)
{
	const void *key;
	struct cell cell;
	size_t len;

	cursor_entry(c, &key, &len, &cell);
	if (*(const uint8_t *)key != KEY_PACK)
		return 1;
	return len != KEY_LEN ? damaged() : pack_cell(get_be64((const uint8_t *)key + 1), &cell, run);
}

static int walk(const struct pager *pager, const struct tree *system, uint64_t after, bool down,
                struct pack_run *runs, unsigned cap, unsigned *n)
{
	struct cursor *c = malloc(sizeof *c);
	uint8_t key[KEY_LEN], behind = KEY_PACK + 1;
	int rc;

	*n = 0;
	if (!c)
		return error_system(ENOMEM, "reading the list of packs");
	cursor_open(c, pager, system);
	if (down)
		rc = cursor_seek_before(c, &behind, 1);
	else
		rc = cursor_seek(c, key, key_of(key, after + 1));
	while (rc == 0 && *n < cap) {
		rc = entry(c, &runs[*n]);
		if (rc == 0) {
			++*n;
			rc = down ? cursor_prev(c) : cursor_next(c);
		}
	}
	free(c);
	return rc < 0 ? rc : 0;
}

int pack_list(const struct pager *pager, const struct tree *system, uint64_t after, struct pack_run *runs,
              unsigned cap, unsigned *n)
{
	*n = 0;
	return after == UINT64_MAX ? 0 : walk(pager, system, after, false, runs, cap, n);
}

int pack_list_newest(const struct pager *pager, const struct tree *system, struct pack_run *runs,
                     unsigned cap, unsigned *n)
{
	return walk(pager, system, 0, true, runs, cap, n);
}
