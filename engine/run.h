/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: one large value in contiguous pages, read in place.
 *
 *   OFFSET        SIZE
 *        0           8  checksum: XXH3-64 of bytes 8..63, seeded with the XXH3-64 of the trailer
 *                       (whose own seed is the file's)
 *        8          16  birth, number and kind, as in any page header
 *       24           8  length of the value in bytes
 *       32           4  pages of the run
 *       36           4  checksums in the trailer
 *       40          24  zero
 *       64      length  the value
 *   64+length+pad  8*k  trailer: XXH3-64 (file's seed) of each 64 KiB piece of the value (i: bytes
 *                       i*65536 .. of the value), at the next multiple of 8
 *
 * The rest of the last page is zero. Format allows 1 TiB.
 */
#ifndef DURAMEN_ENGINE_RUN_H
#define DURAMEN_ENGINE_RUN_H

#include <stdint.h>

#include "engine/dirty.h"
#include "engine/page.h"

#define RUN_LENGTH_MAX ((uint64_t)1 << 40)
enum { RUN_HEADER = 64, RUN_PIECE = 65536 };

/* Pages that a value of this length takes, or 0 if it is too long. */
uint64_t run_pages(uint64_t length);
/*
 * Takes space, writes the value early, straight from the caller's memory, and begins its
 * write-back. DUR_E_LIMIT, -ENOSPC. If the write fails the space is given back and nothing is bound
 * to it.
 */
int run_write(struct dirty *d, const void *data, uint64_t length, struct page_ptr *ptr);
/*
 * The same for a value that arrives in pieces of any length: begin, add until `length` bytes are
 * there, finish. One that failed, or will not be finished, is to be abandoned: its space is given
 * back.
 */
struct run_writer;
int run_begin(struct dirty *d, uint64_t length, struct run_writer **writer);
int run_add(struct run_writer *writer, const void *data, uint64_t n);
int run_finish(struct run_writer *writer, struct page_ptr *ptr);
void run_abandon(struct run_writer *writer);
/*
 * The value, in place; verified in full the first time this process meets the run. length is what
 * the cell says and must agree with the header. DUR_E_CORRUPT names the page.
 */
int run_read(struct file *file, struct page_ptr ptr, uint64_t length, const void **data);
/* A copy of the run's pages, verified in full. DUR_E_CORRUPT. */
int run_verify_copy(const struct file *file, struct page_ptr ptr, uint64_t length, const uint8_t *copy);
/* Header, trailer and all pieces, whether seen before or not (check, recovery). */
int run_verify(struct file *file, struct page_ptr ptr, uint64_t length);

#endif
