/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packs: entries of the system tree.
 *
 *   'B' last be64            the pack of the pages that died in this state, or before it and after the
 *                            pack below: varint last, varint entries, and the run that it is
 *
 * There is no index of pages beside the packs' own directories (pack.h). Who looks for a page knows a state
 * that it was alive in, so the first packs behind that state nearly always have it.
 */
#ifndef DURAMEN_ENGINE_PACK_LIST_H
#define DURAMEN_ENGINE_PACK_LIST_H

#include "engine/tree.h"

enum { KEY_PACK = 'B', PACK_CELL_MAX = 1 + 20 + CELL_RUN_BYTES };

struct pack_run {
	struct page_ptr ptr;
	uint64_t length;
	uint64_t last, entries;         /* as the pack's header says */
};

/* The cell under a number. DUR_E_CORRUPT. */
int pack_cell(uint64_t last, const struct cell *cell, struct pack_run *run);
/* Returns the length; at most PACK_CELL_MAX. */
size_t pack_cell_put(uint8_t *to, const struct pack_run *run);

/* 0, 1: there is no such pack, DUR_E_CORRUPT. */
int pack_run(const struct pager *pager, const struct tree *system, uint64_t last, struct pack_run *run);
/* The packs of later deaths, ascending, at most cap. */
int pack_list(const struct pager *pager, const struct tree *system, uint64_t after, struct pack_run *runs,
              unsigned cap, unsigned *n);
/* The last ones, descending, at most cap. */
int pack_list_newest(const struct pager *pager, const struct tree *system, struct pack_run *runs,
                     unsigned cap, unsigned *n);

#endif
