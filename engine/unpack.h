/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading states of which some pages are packed. A view of such a state has an `unpack`: the system tree of
 * the newest state M that it was looked up in, and a bounded pool of pages that it decodes into. Pages that
 * M's index has are decoded, whatever lies on their raw pages now; all others are raw and held by the
 * view's two pins (docs/design.md, section 6).
 *
 * A page is good until UNPACK_HOLD others were met through the same unpack; `moved` counts the pages that
 * have gone, so whoever keeps pages for longer (a cursor's path) compares it and finds its place anew.
 * One thread at a time.
 */
#ifndef DURAMEN_ENGINE_UNPACK_H
#define DURAMEN_ENGINE_UNPACK_H

#include "engine/pack.h"
#include "engine/pack_index.h"

enum {
	UNPACK_PAGES = 1024,            /* in the pool: 4 MiB at most */
	UNPACK_HOLD = 512,
};

struct unpack;

/* moved: counted up when pages go. */
int  unpack_new(uint64_t *moved, struct unpack **unpack);
void unpack_free(struct unpack *unpack);
/*
 * Begins a new life with the system tree of another newest state, of this or another file (compaction
 * makes one); forgets all pages.
 */
void unpack_start(struct unpack *unpack, struct file *file, const struct tree *system);
/* Gives back most of its memory until the next start. */
void unpack_rest(struct unpack *unpack);
/* Pages decoded since the last start; one that went and came back counts twice. */
uint64_t unpack_decoded(const struct unpack *unpack);

/*
 * unpack_page(), declared in dirty.h for page_get(): decoded, or raw if the index does not have it.
 * DUR_E_CORRUPT, -ENOMEM.
 */
/* Whether the index has it: 0, 1: it is raw, or an error. */
int unpack_where(struct unpack *unpack, struct page_ptr ptr, struct pack_place *place);
/* The pack of a number, mapped; what its entries decode to is verified, it is not. */
int unpack_pack(struct unpack *unpack, uint64_t number, struct pack *pack);
/* The page at a place into a buffer of PAGE_SIZE, aligned like a page's header; checked like any page. */
int unpack_decode(struct unpack *unpack, struct page_ptr ptr, const struct pack_place *place, void *to);

#endif
