/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where packed pages are: entries of the system tree.
 *
 *   'B' pack be64            a pack by its number: varint last, varint entries, and the run that it is
 *   'P' birth be64           slots of the packed pages of that birth: varint page number, varint pack,
 *                            varint offset, one slot behind the other; then zeros
 *   'P' birth be64, be48     the slots of 64 page numbers, where a birth has many packed pages: the cell
 *                            under the birth alone then is the one slot {1, 0, 0}
 *
 * A birth's pages die at different times. The zeros are room for those that come later, so that cells
 * keep their length: they are overwritten in place and their leaves stay full.
 */
#ifndef DURAMEN_ENGINE_PACK_INDEX_H
#define DURAMEN_ENGINE_PACK_INDEX_H

#include "engine/tree.h"

enum { KEY_PACK = 'B', KEY_PACKED = 'P', PACK_SLOT_USUAL = 8, PACK_CELL_MAX = 1 + 20 + CELL_RUN_BYTES };

struct pack_place {
	uint64_t pack, offset;
};

struct pack_slot {
	struct page_ptr page;
	struct pack_place place;
};

/* ---- Reading ---- */

/* 0, 1: the page is not packed, DUR_E_CORRUPT. */
int pack_find(const struct pager *pager, const struct tree *system, struct page_ptr page,
              struct pack_place *place);
/* Every slot of a cell under 'P', for check; nonzero from visit ends it and is returned. */
int pack_slots(const struct cell *cell, uint64_t birth,
               int (*visit)(void *ctx, const struct pack_slot *slot), void *ctx);

struct pack_run {
	struct page_ptr ptr;
	uint64_t length;
	uint64_t last, entries;         /* as the pack's header says */
};
int pack_cell(const struct cell *cell, struct pack_run *run);
/* 0, 1: there is no such pack, DUR_E_CORRUPT. */
int pack_run(const struct pager *pager, const struct tree *system, uint64_t number, struct pack_run *run);
/* Returns the length; at most PACK_CELL_MAX. */
size_t pack_cell_put(uint8_t *to, const struct pack_run *run);

/* ---- Changing ---- */

/*
 * Adds slots, sorted by birth and page number; `usual` slots are made room for in a new cell. A slot that
 * the page has already is replaced.
 */
int pack_index_add(struct dirty *d, struct tree *system, const struct pack_slot *slots, size_t n,
                   unsigned usual);
/* Removes slots, sorted likewise, as far as they are there and name this very place. */
int pack_index_remove(struct dirty *d, struct tree *system, const struct pack_slot *slots, size_t n);

#endif
