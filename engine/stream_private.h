/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What writing and reading of streams share: the layout, byte by byte in docs/format.md.
 *
 * Header (STREAM_HEADER bytes)           Block
 *   0  12  magic                           0  4  content bytes; 0: the final block
 *  12   4  version                         4  4  bytes that follow; equal: not compressed
 *  16   4  flags                           8  8  XXH3-64 of what follows, seeded with the XXH3-64 of
 *  20   4  zero                                  bytes 0 to 7, seeded with the checksum before
 *  24  16  UUID of the origin             16     content
 *  40   8  base state
 *  48   8  base time                     Final block's content, never compressed
 *  56   8  base entries                    0  8  content bytes of all blocks
 *  64   8  last state                      8  8  XXH3-64 of the content, block by block, each seeded
 *  72   8  entries of the last state             with the one before, the first with 0
 *  80   8  zero                           16  8  states
 *  88   8  XXH3-64 of bytes 0 to 87       24  8  changes
 */
#ifndef DURAMEN_ENGINE_STREAM_PRIVATE_H
#define DURAMEN_ENGINE_STREAM_PRIVATE_H

#include <lz4.h>

#include "engine/hash.h"
#include "engine/stream.h"
#include "internal/bytes.h"

#define STREAM_MAGIC "\x89" "DURCOPY\r\n\x1a\n"

enum {
	STREAM_MAGIC_BYTES = 12,
	STREAM_BLOCK_HEADER = 16,
	STREAM_FINAL = 32,
	STREAM_WAIT_MS = 200, /* between two looks whether to give up */
};

static inline uint64_t stream_block_sum(const uint8_t *block, size_t stored, uint64_t before)
{
	return hash64(block + STREAM_BLOCK_HEADER, stored, hash64(block, 8, before));
}

#endif
