/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scalar values as cells: what a leaf holds beside a key.
 *
 *   byte 0     type (enum dur_type) in the low 6 bits; 40: a tag follows; 80: payload in a run
 *   2 bytes    the tag, if it is not 0
 *   the rest   the payload; its length is what is left of the cell. Of a run instead:
 *              birth (8 bytes), page number (6), length of the payload in bytes (8)
 *
 *   type       payload (integers little-endian)
 *   null       none
 *   bool       1 byte: 0 or 1
 *   int        two's complement in as few bytes as keep its sign, 0 to 8; none for 0
 *   double     8 bytes
 *   str        its UTF-8
 *   bytes      the bytes
 *   bigint     its text, beyond int64
 *   decimal    its text
 *   time       seconds since 1970 UTC (8), nanoseconds (4) unless they and the zone are 0,
 *              minutes east of UTC (2) unless they are 0
 *   uuid, ref, weak    16 bytes
 *   tuple      its items in their key encoding (engine/key.h): tags of items are not kept
 *
 * str, bytes, bigint, decimal and tuple may lie in a run. A DUR_BIGINT that fits an int64 is stored
 * as DUR_INT, as it is in keys. What cannot be stored is refused on the way in, with what
 * key_encode() says of it; so decoding checks lengths and ranges, not every character again:
 * value_check() does that.
 */
#ifndef DURAMEN_ENGINE_VALUE_H
#define DURAMEN_ENGINE_VALUE_H

#include "engine/key.h"
#include "include/duramen.h"
#include "include/internal/bytes.h"

enum {
	VALUE_TYPE = 0x3f,
	VALUE_TAGGED = 0x40,
	VALUE_IN_RUN = 0x80,
	VALUE_HEAD_MAX = 3,  /* type and tag */
	VALUE_RUN_CELL = 22, /* what follows them for a run */
	VALUE_SMALL = 19     /* the largest cell of a type that never is in a run */
};

#define VALUE_BYTES_MAX ((uint64_t)1 << 40)

/* Where the payload of a value lies that is not in its cell. */
struct value_run {
	uint64_t birth, page, bytes;
};

/* ---- Into cells ---- */

/* The payload of an int: 8 bytes may be written; gives how many count. */
static inline size_t value_put_int(uint8_t *to, int64_t i)
{
	uint64_t magnitude = (uint64_t)(i ^ i >> 63); /* its top bit is the one below the sign */

	put_u64(to, (uint64_t)i);
	return i == 0 ? 0 : magnitude == 0 ? 1 : (64 - (size_t)__builtin_clzll(magnitude)) / 8 + 1;
}

/*
 * A cell of v takes at most so many bytes. Walks a tuple, else O(1) (O(n) for DUR_CSTR). v may be
 * wrong.
 */
size_t value_cell_bound(const dur_value *v);
/*
 * The whole value as a cell. Errors as key_encode(); DUR_E_TYPE: no scalar; -ENOSPC: cap is too
 * small; DUR_E_LIMIT: beyond VALUE_BYTES_MAX.
 */
int value_encode(const dur_value *v, uint8_t *buf, size_t cap, size_t *len);
/*
 * A value whose payload goes to a run: checks it, gives the first n bytes of the cell and the
 * payload, which is the value's own memory or, of a tuple, scratch's. value_put_run() completes the
 * cell. DUR_E_TYPE: a type that never is in a run.
 */
int value_head(const dur_value *v, struct key_arena *scratch, uint8_t head[VALUE_HEAD_MAX],
               size_t *n, const void **payload, uint64_t *payload_len);
/* Writes VALUE_RUN_CELL bytes behind a head; gives the length of the cell. */
size_t value_put_run(uint8_t *cell, size_t head, const struct value_run *run);

/* ---- Out of cells ---- */

/* enum dur_type; DUR_ABSENT for a cell of no bytes. */
static inline uint32_t value_type(const uint8_t *cell, size_t len)
{
	return len > 0 ? cell[0] & VALUE_TYPE : DUR_ABSENT;
}

static inline bool value_is_run(const uint8_t *cell, size_t len)
{
	return len > 0 && (cell[0] & VALUE_IN_RUN);
}

/* DUR_E_CORRUPT unless it is a whole cell of a run. */
int value_run(const uint8_t *cell, size_t len, struct value_run *run);

/*
 * The value of a cell that is no run. Strings, bytes and numbers as text point into the cell; a
 * tuple needs scratch, which is not reset here. DUR_E_CORRUPT.
 */
int value_decode(const uint8_t *cell, size_t len, struct key_arena *scratch, dur_value *out);
/* The same for a cell that is one: payload has the bytes that value_run() told. */
int value_decode_run(const uint8_t *cell, size_t len, const void *payload,
                     struct key_arena *scratch, dur_value *out);

/*
 * Everything that can be said of a cell: it decodes, its text is UTF-8 or a number, and it is what
 * value_encode() makes. payload: of a run, else NULL. DUR_E_CORRUPT; -ENOMEM.
 */
int value_check(const uint8_t *cell, size_t len, const void *payload, struct key_arena *scratch);

#endif
