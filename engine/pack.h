/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack: pages retired by some hundred commits, each rewritten as a patch against the next version of its
 * lineage, or whole as a *key frame*. A pack is the value of a run (run.h) that the system tree owns, so
 * that its checksums, its place in a commit and its end are those of any large value.
 *
 *   OFFSET SIZE
 *        0    8  magic "DURPACK2"
 *        8    8  last: the pages died in this state or before it
 *       16    4  entries
 *       20    4  places of the directory: entries + entries / 3 + 1
 *       24    8  offset of the directory
 *       32       entries, one behind the other
 *                directory: u32 each, to the end; 0: an empty place
 *
 * The directory is a hash table of open addressing. Of a page's hash the upper half, scaled to the number of
 * places, says where to begin. A place has the offset of an entry in its low bits, as many as the directory's
 * own offset has, and in the others the low bits of the hash, so that hardly an entry is read in vain.
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
 * first; the base of a PACK_FAR one is in a pack of later deaths, never in the same, or raw. No chain has
 * PACK_STEPS patches: each page counts the steps of its lineage modulo PACK_STEPS in its header, and a patch
 * is made only against a page that counts more.
 */
#ifndef DURAMEN_ENGINE_PACK_H
#define DURAMEN_ENGINE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/tree.h"

enum {
	PACK_HEADER = 32,
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
	PACK_FAR = 2,                   /* a patch, its base in a later pack, or raw */
	PACK_LZ4 = 3,
	PACK_PLAIN = 4,
};

struct pack {
	const uint8_t *bytes;
	uint64_t len;                   /* below 2^32 */
	uint64_t last;
	uint32_t entries;
	uint32_t places;                /* of the directory */
	uint32_t end;                   /* of the entries: the directory's offset */
	unsigned bits;                  /* of an offset */
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

/*
 * What is known of a pack without its header, which is a page of its own to read: from the system tree. *pack is
 * checked as far as its length goes; a wrong one leads to entries that are none. DUR_E_CORRUPT.
 */
int pack_shape(const void *bytes, uint64_t len, uint64_t last, uint64_t entries, struct pack *pack);
/* The value of a run as a pack. DUR_E_CORRUPT, DUR_E_FORMAT. */
int pack_open(const void *bytes, uint64_t len, struct pack *pack);
/* The entry at an offset; everything in it is checked but what its bytes decode to. DUR_E_CORRUPT. */
int pack_entry(const struct pack *pack, uint64_t offset, struct pack_entry *entry);

/* A look into a directory: the places that may lead to a page, one after the other. */
struct pack_probe {
	uint32_t at, left, tag;
};
struct pack_probe pack_probe(const struct pack *pack, struct page_ptr page);
/* Asks for the memory that the next look reads. */
void pack_probe_prefetch(const struct pack *pack, const struct pack_probe *probe);
/* *offset: of an entry that may be the page's. 0, 1: there is none any more. */
int pack_probe_next(const struct pack *pack, struct pack_probe *probe, uint64_t *offset);
/* Places of the directory that are not empty. */
uint32_t pack_directory_count(const struct pack *pack);
/* The page's entry and where it is. 0, 1: it is not in the pack, DUR_E_CORRUPT. */
int pack_find(const struct pack *pack, struct page_ptr page, struct pack_entry *entry, uint64_t *offset);

/* ---- Making ---- */

struct pack_writer {
	uint8_t *bytes;
	size_t   len, cap;
	uint64_t last;
	uint32_t entries;
	struct pack_mark *marks;        /* for the directory */
	size_t   cap_marks;
};

int  pack_start(struct pack_writer *writer, uint64_t last);
/*
 * Makes the entry a key frame of the page, unless it is a patch already that is no longer. frame:
 * PACK_FRAME_MAX bytes; they, or those of the page, are the entry's until it is added.
 */
void pack_key_frame(const uint8_t *page, uint8_t *frame, struct pack_entry *entry);
/* Appends; page, death, sum, kind, near or base, bytes and len are taken from the entry. *offset: where. */
int  pack_add(struct pack_writer *writer, const struct pack_entry *entry, uint64_t *offset);
/* Appends the directory. -ENOMEM, DUR_E_LIMIT (4 GiB). */
int  pack_finish(struct pack_writer *writer);
void pack_writer_free(struct pack_writer *writer);

#endif
