/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cell is taken apart, changed in memory and put back; only its slots' order in the cell has no meaning.
 * A birth's slots move to cells of 64 page numbers each when they outgrow one cell: then no cell can.
 */
#include "engine/pack_index.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/node.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	SPREAD = 1,                     /* a page number that no page has: the birth's slots are spread */
	GROUP_SHIFT = 6,                /* page numbers of a cell of a spread birth */
	CELL_SLOTS = 64,                /* a cell of a birth that is not spread has no more */
	SLOT_MAX = 30,
	CELL_ROOM = 1 + CELL_SLOTS * SLOT_MAX,
	CELL_LONG = 1000,               /* bytes from which on a birth is spread */
	KEY_MAX = 15,
};

static int damaged(const char *what)
{
	return error_set(DUR_E_CORRUPT, "the index of packed pages is damaged: %s; run `duramen check "
	                 "--history`, restore from a backup", what);
}

static size_t key_birth(uint8_t *to, unsigned kind, uint64_t number)
{
	to[0] = (uint8_t)kind;
	put_be64(to + 1, number);
	return 9;
}

static size_t key_group(uint8_t *to, uint64_t birth, uint64_t no)
{
	uint64_t group = no >> GROUP_SHIFT;

	key_birth(to, KEY_PACKED, birth);
	for (int i = 0; i < 6; i++)
		to[9 + i] = (uint8_t)(group >> (40 - 8 * i));
	return 15;
}

/* ---- Cells ---- */

/* The next slot; *at begins at cell->bytes + 1. 0, 1: no more, DUR_E_CORRUPT. */
static int slot_next(const struct cell *cell, const uint8_t **at, uint64_t *no, struct pack_place *place)
{
	const uint8_t *from = *at, *end = cell->bytes + cell->len;

	if (from >= end || *from == 0)
		return 1;
	if (!(from = get_varint(from, end, no)) || !(from = get_varint(from, end, &place->pack)) ||
	    !(from = get_varint(from, end, &place->offset)))
		return damaged("a slot is cut off");
	*at = from;
	return 0;
}

static bool is_spread(const struct cell *cell)
{
	return cell->len > 1 && cell->bytes[1] == SPREAD;
}

int pack_find(const struct pager *pager, const struct tree *system, struct page_ptr page,
              struct pack_place *place)
{
	uint8_t key[KEY_MAX];
	const uint8_t *at;
	struct cell cell;
	uint64_t no = 0;
	int rc = tree_get(pager, system, key, key_birth(key, KEY_PACKED, page.birth), &cell);

	if (rc == 0 && is_spread(&cell))
		rc = tree_get(pager, system, key, key_group(key, page.birth, page.no), &cell);
	if (rc != 0)
		return rc;
	at = cell.bytes + 1;
	while ((rc = slot_next(&cell, &at, &no, place)) == 0)
		if (no == page.no)
			return 0;
	return rc;
}

int pack_slots(const struct cell *cell, uint64_t birth,
               int (*visit)(void *ctx, const struct pack_slot *slot), void *ctx)
{
	struct pack_slot slot = { .page.birth = birth };
	const uint8_t *at = cell->bytes + 1;
	int rc;

	while ((rc = slot_next(cell, &at, &slot.page.no, &slot.place)) == 0) {
		if (slot.page.no == SPREAD)
			continue;
		rc = visit(ctx, &slot);
		if (rc != 0)
			return rc;
	}
	return rc < 0 ? rc : 0;
}

/* ---- Packs ---- */

int pack_cell(const struct cell *cell, struct pack_run *run)
{
	const uint8_t *at = cell->bytes + 1, *end = cell->bytes + cell->len;
	struct node_run value;

	if (cell->len < 3 + CELL_RUN_BYTES || cell->bytes[0] != (DUR_BYTES | CELL_RUN) ||
	    !(at = get_varint(at, end, &run->last)) || !(at = get_varint(at, end, &run->entries)) ||
	    end - at != CELL_RUN_BYTES || !node_cell_run(cell, &value))
		return damaged("the entry of a pack");
	run->ptr = value.ptr;
	run->length = value.length;
	return 0;
}

int pack_run(const struct pager *pager, const struct tree *system, uint64_t number, struct pack_run *run)
{
	uint8_t key[KEY_MAX];
	struct cell cell;
	int rc = tree_get(pager, system, key, key_birth(key, KEY_PACK, number), &cell);

	return rc != 0 ? rc : pack_cell(&cell, run);
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

/* ---- Changing ---- */

/* A cell in memory. */
struct slots {
	size_t n;
	size_t len;                     /* of the cell it was; 0: there was none */
	struct pack_slot slot[2 * CELL_SLOTS];
};

static int slots_add(void *ctx, const struct pack_slot *slot)
{
	struct slots *s = ctx;

	for (size_t i = 0; i < s->n; i++)
		if (s->slot[i].page.no == slot->page.no) {
			s->slot[i] = *slot;
			return 0;
		}
	if (s->n == 2 * CELL_SLOTS)
		return damaged("a cell has more slots than it may");
	s->slot[s->n++] = *slot;
	return 0;
}

static int slots_read(struct dirty *d, const struct tree *system, const uint8_t *key, size_t key_len,
                      uint64_t birth, struct slots *slots, bool *spread)
{
	const struct pager pager = { .file = d->file, .dirty = d };
	struct cell cell;
	int rc = tree_get(&pager, system, key, key_len, &cell);

	slots->n = slots->len = 0;
	*spread = false;
	if (rc != 0)
		return rc < 0 ? rc : 0;
	slots->len = cell.len;
	*spread = is_spread(&cell);
	return pack_slots(&cell, birth, slots_add, slots);
}

static size_t slots_encode(const struct slots *slots, uint8_t *cell)
{
	uint8_t *to = cell;

	*to++ = DUR_BYTES;
	for (size_t i = 0; i < slots->n; i++) {
		to = put_varint(to, slots->slot[i].page.no);
		to = put_varint(to, slots->slot[i].place.pack);
		to = put_varint(to, slots->slot[i].place.offset);
	}
	return (size_t)(to - cell);
}

/* Puts the cell, not shorter than it was or than asked for; without slots there is none. */
static int slots_put(struct dirty *d, struct tree *system, const uint8_t *key, size_t key_len,
                     const struct slots *slots, size_t room)
{
	uint8_t cell[1 + 2 * CELL_SLOTS * SLOT_MAX];
	size_t len = slots_encode(slots, cell), most = room > slots->len ? room : slots->len;
	int rc;

	if (slots->n == 0) {
		rc = slots->len ? tree_del(d, system, key, key_len) : 0;
		return rc < 0 ? rc : 0;
	}
	if (len < most && most <= TREE_CELL_MAX) {
		memset(cell + len, 0, most - len);
		len = most;
	}
	return tree_put(d, system, key, key_len, cell, len, NULL);
}

static int spread_add(struct dirty *d, struct tree *system, const struct pack_slot *slot, size_t n)
{
	uint64_t birth = slot->page.birth;
	uint8_t key[KEY_MAX];
	struct slots group;
	bool spread;
	int rc = 0;

	for (size_t i = 0, k; i < n && rc == 0; i = k) {
		size_t len = key_group(key, birth, slot[i].page.no);
		rc = slots_read(d, system, key, len, birth, &group, &spread);
		for (k = i; k < n && rc == 0 && slot[k].page.no >> GROUP_SHIFT ==
		     slot[i].page.no >> GROUP_SHIFT; k++)
			rc = slots_add(&group, &slot[k]);
		if (rc == 0)
			rc = slots_put(d, system, key, len, &group, 0);
	}
	return rc;
}

static int by_number(const void *a, const void *b)
{
	const struct pack_slot *x = a, *y = b;

	return (x->page.no > y->page.no) - (x->page.no < y->page.no);
}

/* The slots of one birth. */
static int birth_add(struct dirty *d, struct tree *system, const struct pack_slot *slot, size_t n,
                     unsigned usual)
{
	static const uint8_t spread_cell[] = { DUR_BYTES, SPREAD, 0, 0 };
	uint64_t birth = slot->page.birth;
	uint8_t key[KEY_MAX], scratch[1 + 2 * CELL_SLOTS * SLOT_MAX];
	struct slots slots;
	bool spread;
	size_t len = key_birth(key, KEY_PACKED, birth);
	int rc = slots_read(d, system, key, len, birth, &slots, &spread);

	if (rc < 0 || spread)
		return rc < 0 ? rc : spread_add(d, system, slot, n);
	if (slots.n + n <= CELL_SLOTS) {
		for (size_t i = 0; i < n && rc == 0; i++)
			rc = slots_add(&slots, &slot[i]);
		if (rc < 0)
			return rc;
		if (slots_encode(&slots, scratch) <= CELL_LONG)
			return slots_put(d, system, key, len, &slots,
			                 slots.len ? 0 : 1 + (size_t)usual * PACK_SLOT_USUAL);
		n = 0; /* they are all in slots */
	}
	rc = tree_put(d, system, key, len, spread_cell, sizeof spread_cell, NULL);
	qsort(slots.slot, slots.n, sizeof *slots.slot, by_number);
	if (rc == 0)
		rc = spread_add(d, system, slots.slot, slots.n);
	return rc < 0 ? rc : spread_add(d, system, slot, n);
}

static size_t birth_end(const struct pack_slot *slots, size_t n, size_t i)
{
	size_t k = i;

	while (k < n && slots[k].page.birth == slots[i].page.birth)
		k++;
	return k;
}

int pack_index_add(struct dirty *d, struct tree *system, const struct pack_slot *slots, size_t n,
                   unsigned usual)
{
	int rc = 0;

	for (size_t i = 0, k; i < n && rc == 0; i = k) {
		k = birth_end(slots, n, i);
		rc = birth_add(d, system, slots + i, k - i, usual);
	}
	return rc;
}

/* ---- Removing ---- */

static void slots_drop(struct slots *slots, const struct pack_slot *slot)
{
	for (size_t i = 0; i < slots->n; i++) {
		const struct pack_slot *s = &slots->slot[i];
		if (s->page.no == slot->page.no && s->place.pack == slot->place.pack &&
		    s->place.offset == slot->place.offset)
			slots->slot[i--] = slots->slot[--slots->n];
	}
}

/* Whether nothing stands under a spread birth but the cell that says so. */
static int spread_is_empty(struct dirty *d, const struct tree *system, uint64_t birth, bool *empty)
{
	const struct pager pager = { .file = d->file, .dirty = d };
	uint8_t key[KEY_MAX];
	uint64_t from, to;
	int rc = tree_rank(&pager, system, key, key_birth(key, KEY_PACKED, birth), &from);

	if (rc >= 0)
		rc = tree_rank(&pager, system, key, key_birth(key, KEY_PACKED, birth + 1), &to);
	*empty = rc >= 0 && to - from == 1;
	return rc < 0 ? rc : 0;
}

static int spread_remove(struct dirty *d, struct tree *system, const struct pack_slot *slot, size_t n)
{
	uint64_t birth = slot->page.birth;
	uint8_t key[KEY_MAX];
	struct slots group;
	bool spread, empty;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		size_t len = key_group(key, birth, slot[i].page.no);
		rc = slots_read(d, system, key, len, birth, &group, &spread);
		if (rc < 0)
			break;
		slots_drop(&group, &slot[i]);
		rc = slots_put(d, system, key, len, &group, 0);
	}
	if (rc == 0)
		rc = spread_is_empty(d, system, birth, &empty);
	if (rc == 0 && empty)
		rc = tree_del(d, system, key, key_birth(key, KEY_PACKED, birth));
	return rc < 0 ? rc : 0;
}

int pack_index_remove(struct dirty *d, struct tree *system, const struct pack_slot *slots, size_t n)
{
	uint8_t key[KEY_MAX];
	struct slots cell;
	bool spread;
	int rc = 0;

	for (size_t i = 0, k; i < n && rc == 0; i = k) {
		size_t len = key_birth(key, KEY_PACKED, slots[i].page.birth);
		k = birth_end(slots, n, i);
		rc = slots_read(d, system, key, len, slots[i].page.birth, &cell, &spread);
		if (rc == 0 && spread) {
			rc = spread_remove(d, system, slots + i, k - i);
		} else if (rc == 0) {
			for (size_t s = i; s < k; s++)
				slots_drop(&cell, &slots[s]);
			rc = slots_put(d, system, key, len, &cell, 0);
		}
	}
	return rc;
}
