/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging: packs of neighbouring deaths made into one, in which the versions of a page follow each other, so
 * that who decodes one asks few packs and reads few places. Entries are not decoded for it: what was a patch
 * against a page of another of the packs becomes one against a page of the same.
 */
#ifndef DURAMEN_ENGINE_PACK_MERGE_H
#define DURAMEN_ENGINE_PACK_MERGE_H

#include "engine/pack.h"
#include "engine/pack_list.h"

enum {
	MERGE_PACKS = 64,               /* looked at */
	MERGE_FEW = 8,                  /* packs of about a size make a larger one */
	MERGE_SMALL = 1 << 17,          /* bytes: smaller ones are of a size; others by factors of MERGE_FEW */
	MERGE_BYTES = 1 << 24,          /* no pack is merged to more */
	MERGE_TRIES = 3,                /* by one process, if packs cannot be read */
};

/*
 * Which of the last packs, newest first, are to be merged: *first and so many behind it. span: no merged pack
 * is to cover more deaths than this. 0: none.
 */
unsigned merge_choose(const struct pack_run *newest, unsigned n, uint64_t span, unsigned *first);
/*
 * Makes the pack of the packs given in ascending order. It works on copies that it verifies: 1: something
 * else is there by now. -ENOMEM, DUR_E_CORRUPT. The caller frees the writer in any case.
 */
int merge_packs(struct file *file, const struct pack_run *runs, unsigned n, struct pack_writer *writer);

#endif
