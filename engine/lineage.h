/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding one packed page: its lineage is followed along the bases of patches to a key frame or a raw page,
 * in steps each of which asks for the memory that the next one reads, so that several lineages followed in
 * turn do not wait for memory.
 *
 * The packs are those of one newest state, from the first one behind a state on: a page that was alive in it
 * is in one of them, mostly in the first, or raw.
 */
#ifndef DURAMEN_ENGINE_LINEAGE_H
#define DURAMEN_ENGINE_LINEAGE_H

#include "engine/pack.h"
#include "engine/pack_list.h"

struct known_pack {
	struct pack_run run;
	struct pack pack;               /* bytes NULL: it was not met yet */
};

struct packs {
	struct pager pager;             /* raw pages */
	struct tree system;
	uint64_t state;
	struct known_pack *known;       /* of later deaths, ascending */
	size_t   n, cap;
	bool     all;                   /* there are no others */
	bool     looked;                /* whether it is in memory was asked */
	unsigned asks;                  /* it is not: so many searches ask for pages ahead */
};

/* Forgets what was known. The memory is given back by packs_free(). */
void packs_start(struct packs *packs, struct file *file, const struct tree *system, uint64_t state);
void packs_free(struct packs *packs);
/* The index of the pack of this last death. DUR_E_CORRUPT. */
int  packs_find(struct packs *packs, uint64_t last, size_t *index);

/*
 * A page on its way to be decoded. A raw page may be packed and written over at any time if it is met before
 * all packs were asked; whether it was, the page's checksum tells. Then it is followed anew, surely.
 */
struct lineage {
	struct page_ptr page;           /* the page */
	struct page_ptr at;             /* it or a base of it: what comes next */
	enum { LINEAGE_SEEK, LINEAGE_TRY, LINEAGE_NEAR, LINEAGE_FRAME, LINEAGE_COPY, LINEAGE_RAW } next;
	size_t   index;                 /* of the pack that is asked or decoded from */
	unsigned asked;                 /* packs, for this base */
	const uint8_t *raw;             /* the raw page, to be looked at; NULL: not now */
	bool     probing, sure;
	struct pack_probe probe;
	uint64_t offset;                /* LINEAGE_TRY: of an entry that may be it */
	struct pack pack;
	struct pack_entry entry;        /* the last one */
	struct {
		const uint8_t *bytes;
		size_t len;
	} patches[PACK_STEPS];          /* to apply, the last one first */
	unsigned n;
	uint32_t sum;
};

void lineage_start(struct lineage *c, struct page_ptr ptr, bool sure);
/* Where its entry is known. DUR_E_CORRUPT. */
int  lineage_start_at(struct packs *packs, struct lineage *c, struct page_ptr ptr, size_t index,
                    uint64_t offset);
static inline bool lineage_ends(const struct lineage *c)
{
	return c->next >= LINEAGE_FRAME;
}
/* The page itself is raw, and no pack has it: file_page() has it in place. */
static inline bool lineage_is_raw(const struct lineage *c)
{
	return c->next == LINEAGE_RAW && c->n == 0;
}
/* The page itself is packed. */
static inline bool lineage_is_packed(const struct lineage *c)
{
	return c->n > 0 || c->next == LINEAGE_FRAME;
}
/* DUR_E_CORRUPT, -ENOMEM. */
int  lineage_step(struct packs *packs, struct lineage *c);
/* Of one that has ended: the page, checked. 1: follow it anew, surely. */
int  lineage_apply(struct packs *packs, struct lineage *c, void *to);

#endif
