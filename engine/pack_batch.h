/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One batch of packing: the pages that some hundred commits retired, and the pack that is made of them.
 * Three steps (history.h): history_pack_gather() lists pages and trees under the turn;
 * batch_encode() makes the pack without it, while others commit; history_pack() puts the pack into
 * a transaction, if all that the batch builds on still stands.
 *
 * What encoding reads may be freed and used again meanwhile. So it works on copies that it verifies: a page
 * that is not what it should be makes the batch stale, and nothing of it is used.
 */
#ifndef DURAMEN_ENGINE_PACK_BATCH_H
#define DURAMEN_ENGINE_PACK_BATCH_H

#include "engine/pack.h"
#include "engine/pack_merge.h"

enum {
	BATCH_DEATHS = 256,
	BATCH_PAGES = 4096,             /* no further commit is added to a batch of so many */
	BATCH_COMMIT_PAGES = 16384,     /* a commit that retired more leaves them raw */
};

struct batch_page {
	struct page_ptr ptr;
	uint64_t death;
	uint64_t offset;                /* of its entry; 0: it stays raw (a large value) */
};

/* A retained state: where bases are looked for. */
struct batch_root {
	uint64_t state;
	struct tree catalog;
};

struct batch {
	uint64_t after;                 /* what was packed when it was gathered */
	uint64_t first, last;           /* the deaths looked at; last is the new horizon */
	struct batch_page *pages;       /* in order of death */
	size_t n_pages, cap_pages;
	struct batch_root *roots;       /* ascending: from the first death to the last or just behind */
	size_t n_roots, cap_roots;
	uint64_t sweep;                 /* the pack to go through in this commit */
	bool sweeps;                    /* there is one */
	struct pack_writer writer;      /* no entries: there is nothing to pack */
	size_t n_packed;
	struct pack_run merged[MERGE_PACKS];    /* packs to be made one, ascending */
	unsigned n_merged;
	struct pack_writer merger;
	bool merge_failed;              /* they cannot be read: n_merged is 0 again */
	/* filled by history_pack(): what stays of the dead lists */
	struct batch_page *rest;
	uint32_t *rest_n;               /* pages of each */
	size_t n_rest, cap_rest;
};

void batch_free(struct batch *batch);
int  batch_add_page(struct batch *batch, struct page_ptr ptr, uint64_t death);
int  batch_add_root(struct batch *batch, uint64_t state, const struct tree *catalog);
int  batch_add_rest(struct batch *batch, struct page_ptr ptr, uint32_t n, uint64_t death);
/* 0, 1: stale, -ENOMEM. Any thread. */
int  batch_encode(struct file *file, struct batch *batch);
/* The entry of a page that was packed; NULL: there is none. For dead lists, which name pages by both. */
const struct batch_page *batch_find(const struct batch *batch, struct page_ptr ptr, uint64_t death);

#endif
