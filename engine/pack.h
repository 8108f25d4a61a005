/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack: pages retired by some hundred commits, each rewritten as a patch against the next version of its
 * lineage, or whole as a *key frame*. A pack is the value of a run (run.h) that the system tree owns, so
 * that its checksums, its place in a commit and its end are those of any large value.
 *
 *   OFFSET SIZE
 *        0    8  magic "DURPACK1"
 *        8    8  last: the pages died in this state or before it
 *       16    4  entries
 *       20    4  zero
 *       24       entries, one behind the other
 *
 * ENTRY
 *        1  kind (enum pack_kind)
 *   varint  page number
 *   varint  last - death
 *   varint  death - birth, at least 1
 *        4  the low half of the page's checksum
 *           PACK_NEAR: varint how many bytes before this entry its base's begins
 *           PACK_FAR: varint page number of the base, varint its birth - this page's birth
 *   varint  bytes that follow
 *           the patch (patch.h), or bytes 22 to 4095 of the page, by LZ4 or as they are
 *
 * A base dies after what decodes through it, so PACK_NEAR entries point backward, the youngest deaths come
 * first. No chain has PACK_STEPS patches: each page counts the steps of its lineage modulo PACK_STEPS in
 * its header, and a patch is made only against a page that counts more.
 */
#ifndef DURAMEN_ENGINE_PACK_H
#define DURAMEN_ENGINE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/tree.h"

enum {
	PACK_HEADER = 24,
	PACK_STEPS = PAGE_STEPS,
	PACK_PATCH_SHORT = 400,         /* a patch of so many bytes is taken without trying LZ4 */
	PACK_PATCH_MAX = 2400,          /* a longer one is none: the page is a key frame */
	PACK_ENTRY_MAX = 1 + 10 + 10 + 10 + 4 + 20 + 3 + PAGE_SIZE,
};

/* A page's number and birth, its header and what a patch may not touch, take no part. */
enum { PACK_PAGE_FROM = 22, PACK_PAGE_BYTES = PAGE_SIZE - PACK_PAGE_FROM };

enum { PACK_FRAME_MAX = PACK_PAGE_BYTES + PACK_PAGE_BYTES / 255 + 16 }; /* as LZ4 has it */

enum pack_kind {
	PACK_NEAR = 1,                  /* a patch, its base in the same pack */
	PACK_FAR = 2,                   /* a patch, its base anywhere */
	PACK_LZ4 = 3,
	PACK_PLAIN = 4,
};

struct pack {
	const uint8_t *bytes;
	uint64_t len;                   /* at most 2^40 */
	uint64_t last;
	uint32_t entries;
};

struct pack_entry {
	enum pack_kind kind;
	uint32_t sum;
	struct page_ptr page;
	uint64_t death;
	uint64_t near;                  /* PACK_NEAR: offset of the base's entry, below this one's */
	struct page_ptr base;           /* PACK_FAR */
	const uint8_t *bytes;
	size_t   len;
	uint64_t next;                  /* offset behind the entry */
};

/* The value of a run as a pack. DUR_E_CORRUPT. */
int pack_open(const void *bytes, uint64_t len, struct pack *pack);
/* The entry at an offset; everything in it is checked but what its bytes decode to. DUR_E_CORRUPT. */
int pack_entry(const struct pack *pack, uint64_t offset, struct pack_entry *entry);

/* ---- Making ---- */

struct pack_writer {
	uint8_t *bytes;
	size_t   len, cap;
	uint64_t last;
	uint32_t entries;
};

int  pack_start(struct pack_writer *writer, uint64_t last);
/*
 * Makes the entry a key frame of the page, unless it is a patch already that is no longer. frame:
 * PACK_FRAME_MAX bytes; they, or those of the page, are the entry's until it is added.
 */
void pack_key_frame(const uint8_t *page, uint8_t *frame, struct pack_entry *entry);
/* Appends; page, death, sum, kind, near or base, bytes and len are taken from the entry. *offset: where. */
int  pack_add(struct pack_writer *writer, const struct pack_entry *entry, uint64_t *offset);
void pack_finish(struct pack_writer *writer);

#endif
