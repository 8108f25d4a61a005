/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage to the bytes of a page file: what chance does, which checksums tell, and what malice or a bug
 * does, with every checksum made good again, so that the checks behind them are tested.
 */
#ifndef DURAMEN_TESTS_DAMAGE_H
#define DURAMEN_TESTS_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Makes the checksums good again of what page no begins: a node, a run (also the sums of its pieces), a
 * record and the slots that name it, a slot, the superblock. A length in it that cannot be is left alone.
 */
void damage_seal(uint8_t *bytes, uint64_t no, uint64_t size);
/* Values at which checks of offsets and lengths go wrong. */
uint64_t damage_nasty(uint64_t r, uint64_t was);
/* Sets a field of 1 to 8 bytes to one of those. Headers are where it hurts most. Tells in text. */
void damage_field(uint8_t *bytes, uint64_t no, uint64_t *random, char *text, size_t n);

/* What the pages of a sound file are. */
struct damage_page {
	uint64_t head;          /* of its run or record; of any other, itself */
	uint64_t birth;
	unsigned kind;          /* enum page_kind; 0: free, superblock or slot */
	unsigned group;         /* pages that play one part */
	bool reached;           /* by the newest state, as far as pages tell */
};
enum { DAMAGE_GROUPS = 64 };
struct damage_map {
	uint64_t n;             /* pages, up to the last one that is not zeros */
	struct damage_page *pages;
	unsigned groups[DAMAGE_GROUPS], n_groups; /* those that some page is of */
};
void damage_map_make(struct damage_map *map, const uint8_t *bytes, uint64_t size);
void damage_map_free(struct damage_map *map);
/* Whether the 14 bytes there, a birth and a number, name a page, run or record that begins at *no. */
bool damage_names(const struct damage_map *map, const uint8_t *at, uint64_t *no);
/* A page; kinds that are rare are as likely as others. */
uint64_t damage_pick(const struct damage_map *map, uint64_t *random);

/*
 * Does one random thing to the bytes of a file. good: checksums are made good again. Tells in text what
 * it did, and gives how large the file is now; only without good it may be less than before.
 */
uint64_t damage_some(const struct damage_map *map, uint8_t *bytes, uint64_t size, bool good,
                     uint64_t *random, char *text, size_t n);

#endif
