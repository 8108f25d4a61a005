/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State records: what a commit writes about itself. A record is a run of pages of its own kind, the last
 * of the commit's pages. Records form a chain: each names the one before by address and hash, back to the
 * last *fold*, the commit that carried everything older into the system tree (history.h).
 *
 *   OFFSET SIZE
 *        0   24  page header up to the kind; birth is the state's number
 *       24    4  pages of the record
 *       28    4  bytes used (the rest of the last page is zero)
 *       32   16  XXH3-128 of bytes 48 .. used, seeded with the salt
 *       48    8  salt of the epoch
 *       56    8  epoch
 *       64    8  previous state (0: none)
 *       72    8  page number of the previous state's record
 *       80   16  hash of the previous state's record
 *       96    8  time, ns since 1970, signed
 *      104    4  flags (enum record_flag)
 *      108    4  of the live pages: those of the system tree and of the records since the last fold
 *      112    8  oldest retained state
 *      120    8  retained states
 *      128    8  commits since the file was made
 *      136    8  bytes written by this commit
 *      144    8  pages of the file
 *      152    8  live pages
 *      160    8  retained pages
 *      168    8  state of the last fold (its own number: this record folds)
 *      176    8  page number of that state's record
 *      184    8  drained: the dead lists up to this state have been taken out of the system tree's hands
 *      192    8  first number that a recovery skipped just before this state (0: none)
 *      200   32  catalog: root number u64, birth u64, count u64, depth u32, zero u32
 *      232   32  system tree: the same
 *      264       sections: kind u16, flags u16 (bit 0: a reader that does not know the kind must refuse),
 *                length u32, bytes
 *
 *   SECTION
 *        1  label
 *        2  retention policy, as text
 *        3  written: varint groups, each {varint number - end of the former group, varint pages*2 + is_run}
 *           and, unless RECORD_FLUSHED, its checksums (u64 each: one a page, one a run)
 *        4  retired: varint entries, each {varint number - end of the former, varint pages*2 + class,
 *           varint state - birth}
 *        5  reserved: peers of a group commit
 *        6  reserved: page deltas
 *        7  origin: UUID of the prefix that the state was received from
 */
#ifndef DURAMEN_ENGINE_RECORD_H
#define DURAMEN_ENGINE_RECORD_H

#include "engine/hash.h"
#include "engine/store.h"

enum record_flag {
	RECORD_MAINTENANCE = STATE_MAINTENANCE,
	RECORD_ASYNC = STATE_ASYNC,
	RECORD_FLUSHED = 1 << 8,        /* its pages were flushed before its slot: no checksums listed */
};

struct record {
	struct state state;             /* number, times, trees, counters, label, keep */
	uint64_t epoch, salt;
	uint64_t previous_record;
	struct hash128 previous_hash;
	uint64_t fold, fold_record;
	uint64_t drained;
	uint64_t skipped_from;
	bool     flushed;               /* RECORD_FLUSHED */
	struct hash128 hash;            /* filled by encoding and reading */
	/* owned by the record when read (record_free), borrowed when it is encoded */
	struct written *written;        /* sorted by number */
	size_t n_written;
	struct retired *retired;        /* sorted by number */
	size_t n_retired;
};

/* Pages the record will take at most, before its pages have numbers: extra_groups bounds how many
 * contiguous pieces the written pages fall into. Sorts retired. */
uint32_t record_pages_bound(struct record *record, size_t n_written, size_t groups);
/*
 * Encodes into buf (record->state.record_pages pages, zeroed here) for page number state.record; computes
 * the hash into record->hash and seals the first page. DUR_E_LIMIT if it does not fit (a bug in the bound).
 */
int record_encode(const struct file *file, struct record *record, uint8_t *buf);
/*
 * Reads and verifies the record of state `number` at page `no`: page header, hash, fields, lists (lists:
 * false leaves them out). DUR_E_CORRUPT with a message. expect (may be NULL): the hash it must have.
 */
int record_read(struct file *file, uint64_t no, uint64_t number, const struct hash128 *expect, bool lists,
                struct record *record);
void record_free(struct record *record);
/* The bytes of a record that was read, for rewriting in place. */
int record_bytes(struct file *file, const struct record *record, const uint8_t **bytes, size_t *len);

/* The catalog alone, at its fixed place, of a record that this process has verified or verifies now. */
int record_catalog(struct file *file, uint64_t no, uint64_t number, struct tree *catalog);

/* The retired list's encoding serves the dead lists of the system tree too. Returns the end. */
uint8_t *retired_encode(const struct retired *list, size_t n, uint64_t state, uint8_t *to);
size_t retired_bound(size_t n);
/* Appends to *list (grown by realloc). DUR_E_CORRUPT. */
int retired_decode(const uint8_t *from, size_t len, uint64_t state, struct retired **list, size_t *n);
void retired_sort(struct retired *list, size_t n);
/*
 * Sorts, and sees to it that no page is retired twice: in a damaged file two places may name one page that
 * only one of them is counted for. DUR_E_CORRUPT.
 */
int retired_check(struct retired *list, size_t n);

#endif
