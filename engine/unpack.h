/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading states of which some pages are packed. A view of such a state has an `unpack`: the packs of the
 * newest state M that it was looked up in, and a bounded pool of pages that it decodes into. A page is sought
 * in the packs, from the first one behind the state on. What is in none is raw, and held by the view's two
 * pins (docs/design.md, section 6). Not all of them need be asked: a raw page that is still there serves
 * as well, if a copy of it has the checksum that it should; whether it was packed meanwhile does not matter.
 *
 * A page is good until UNPACK_HOLD others were met through the same unpack, one that unpack_ahead() met until
 * its walker has met UNPACK_WALK more; `moved` counts the pages that have gone, so whoever keeps pages for
 * longer (a cursor's path) compares it and finds its place anew. One thread at a time.
 */
#ifndef DURAMEN_ENGINE_UNPACK_H
#define DURAMEN_ENGINE_UNPACK_H

#include "engine/pack.h"
#include "engine/pack_list.h"

enum {
	UNPACK_PAGES = 576,             /* in the pool: 2.3 MiB */
	UNPACK_HOLD = 512,
	UNPACK_AHEAD = 16,
	UNPACK_WALK = 64,               /* a long walk goes round in so many: they stay in the processor's cache */
};

struct unpack;

/* moved: counted up when pages go. */
int  unpack_new(uint64_t *moved, struct unpack **unpack);
void unpack_free(struct unpack *unpack);
/*
 * Begins a new life with the system tree of another newest state, of this or another file (compaction
 * makes one), for pages that were alive in a state or after it; forgets all pages.
 */
void unpack_start(struct unpack *unpack, struct file *file, const struct tree *system, uint64_t state);
/* Gives back most of its memory until the next start. */
void unpack_rest(struct unpack *unpack);
/* As it was counted up so far. */
uint64_t unpack_moved(const struct unpack *unpack);
/* Pages decoded since the last start; one that went and came back counts twice. */
uint64_t unpack_decoded(const struct unpack *unpack);

/* unpack_page(), declared in dirty.h for page_get(): decoded or raw. DUR_E_CORRUPT, -ENOMEM. */
/*
 * walker: who goes there, for whom pages that it went on from do not last.
 * ptrs: the page that will be asked for next and those that may be after it, at most UNPACK_AHEAD + 1. Unless
 * the first is here, meets it and, the longer a walk has gone on this way, up to UNPACK_AHEAD of them: together
 * they take a fraction of the time. One that cannot be read is left for unpack_page() to tell.
 */
void unpack_ahead(struct unpack *unpack, const void *walker, const struct page_ptr *ptrs, unsigned n);
/* An entry of a pack, which is named by its last death. */
struct pack_place {
	uint64_t pack, offset;
};

/* Where a page is packed: 0, 1: it is not, DUR_E_CORRUPT. Asks all packs that may have it. */
int unpack_where(struct unpack *unpack, struct page_ptr ptr, struct pack_place *place);
/* The page at a place into a buffer of PAGE_SIZE, aligned like a page's header; checked like any page. */
int unpack_decode(struct unpack *unpack, struct page_ptr ptr, const struct pack_place *place, void *to);

#endif
