/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys as bytes. A typed key is a tuple in FoundationDB's tuple encoding, byte for byte, so that
 * memcmp gives the order of values and any tool can check any tree without comparators. A scalar
 * key is the tuple of that one item; a raw key is its own bytes.
 *
 * A key is its items one after the other, each a code and what the table says. Integers are
 * big-endian, ~ stands for the complement of every byte.
 *
 *   code     item                 bytes that follow
 *   00       null                 none; inside a nested tuple ff follows
 *   01       bytes                the bytes, each 00 as 00 ff; then 00
 *   02       string               its UTF-8, in the same way
 *   05       nested tuple         its items; then 00
 *   0b       integer < -(2^64-1)  ~n, one byte, 9 <= n <= 255; ~magnitude, n bytes
 *   0c - 13  integer < 0          ~magnitude, 14 - code bytes
 *   14       integer 0            none
 *   15 - 1c  integer > 0          magnitude, code - 14 bytes
 *   1d       integer > 2^64-1     n, one byte, 9 <= n <= 255; magnitude, n bytes
 *   21       double               8 bytes, ~ if the sign bit is set, else with the sign bit set
 *   26, 27   false, true          none
 *   30       uuid                 its 16 bytes
 *   40       decimal              see below
 *   41       time                 seconds since 1970 UTC + 2^63, 8 bytes; nanoseconds, 4 bytes;
 *                                 minutes east of UTC + 2^15, 2 bytes (0: local time, no zone)
 *   42, 43   ref, weak            the object's 16 bytes
 *
 * Magnitudes have no leading zero bytes. Codes 40 to 43 are of those that the encoding leaves to
 * users. A decimal is 0.DDD... x 10^e with neither its first nor its last digit 0:
 *
 *   sign          01 negative, 02 zero, 03 positive
 *   e             as an integer item; zero has none
 *   digits        two a byte, as their value + 1, an odd last one with a 0 behind it; then 00;
 *                 zero has none, nor the 00
 *   scale         digits behind the point, as an integer item
 *
 * where the bytes of e, the digits and their 00 are each ~ in a negative number. So decimals are in
 * order of value, then of scale: 1.5 < 1.50 < 1.500. In a key their text has at most 2,048
 * characters.
 *
 * Every key has one encoding, and decoding refuses all others: decode and encode give the same
 * bytes. A DUR_BIGINT that fits an int64 cannot be: it is encoded as the integer it is, and comes
 * back as DUR_INT, so that equal numbers are equal keys. Doubles keep every bit: -NaN < -inf < ...
 * < -0.0 < 0.0 < ... < inf < NaN, NaNs by their bits. Tags are not part of keys, at any depth. The
 * empty tuple is the empty key.
 *
 * Nothing here recurses: tuples nest at most KEY_DEPTH deep, on a stack of that size.
 */
#ifndef DURAMEN_ENGINE_KEY_H
#define DURAMEN_ENGINE_KEY_H

#include "include/duramen.h"

#include <stdbool.h>

enum { KEY_DEPTH = 32 }; /* tuples within the key's own tuple */

/* ---- Memory for what decoding has to put together ---- */

struct key_chunk;

/*
 * A value that was decoded may point into the bytes it came from and into an arena. {0} is an empty
 * one. Strings without 00 take no memory of it; tuples, big integers and decimals do. Not for two
 * threads.
 */
struct key_arena {
	uint8_t *at, *end; /* free bytes of the newest chunk */
	struct key_chunk *chunks;
	dur_value *stack; /* items of tuples that are still open while decoding */
	size_t stack_cap;
};

/* n bytes, aligned for anything; NULL: no memory (the message is set). */
void *key_arena_take(struct key_arena *arena, size_t n);
/*
 * Room for the item at place n of the stack; NULL: no memory (the message is set). May move the
 * stack.
 */
dur_value *key_arena_slot(struct key_arena *arena, size_t n);
/* Forgets what was taken, keeps one chunk for the next use. */
void key_arena_reset(struct key_arena *arena);
void key_arena_free(struct key_arena *arena);

/* ---- Typed keys ---- */

/*
 * Encodes a scalar or tuple into buf. DUR_E_LIMIT: longer than DUR_MAX_KEY or cap, or nested too
 * deep; DUR_E_TYPE: nothing that can be a key; DUR_E_MISUSE: invalid UTF-8 or number, a bool beyond
 * 1, ...; DUR_E_RANGE: a time's nanoseconds or zone.
 */
int key_encode(const dur_value *key, uint8_t *buf, size_t cap, size_t *len);
/*
 * The value again: the item of a tuple of one, unless that item is a tuple. It borrows from key and
 * from scratch, which is not reset here. DUR_E_CORRUPT for anything that key_encode() does not
 * make.
 */
int key_decode(const uint8_t *key, size_t len, struct key_arena *scratch, dur_value *out);

/*
 * The same for tuples of any length, as values hold them. *len is what is needed; -ENOSPC if cap is
 * less.
 */
int key_pack(const dur_value *items, uint64_t n, uint8_t *buf, size_t cap, size_t *len);
/* out is a DUR_TUPLE, also of one item. */
int key_unpack(const uint8_t *packed, size_t len, struct key_arena *scratch, dur_value *out);

/* ---- Raw keys ---- */

/* The bytes of a DUR_STR or DUR_BYTES, else DUR_E_TYPE. */
int key_encode_raw(const dur_value *key, uint8_t *buf, size_t cap, size_t *len);
static inline void key_decode_raw(const uint8_t *key, size_t len, dur_value *out)
{
	out->type = DUR_BYTES;
	out->tag = 0;
	out->len = len;
	out->ptr = key;
}

/* ---- Ranges ---- */

/* Keys k with lo <= k < hi as bytes; open: no upper bound. An empty range has hi <= lo. */
struct key_range {
	size_t lo_len, hi_len;
	bool open;
	uint8_t lo[DUR_MAX_KEY + 1], hi[DUR_MAX_KEY + 1];
};

/*
 * The bounds of a dur_range (from, to and flags AFTER_FROM, WITH_TO, STARTS; other flags are not
 * looked at). As a bound a typed key stands for every key that starts with its items: from takes
 * them all in, with AFTER_FROM it leaves them all out; to leaves them out, WITH_TO takes them in.
 * STARTS: a string or bytes is a stem, any other key the first items. Of raw keys: STARTS is a
 * stem, else only the key itself. Errors as those of key_encode(); DUR_E_MISUSE: STARTS without
 * from, with to or with AFTER_FROM or WITH_TO.
 */
int key_range(const dur_value *from, const dur_value *to, uint32_t flags, bool raw,
              struct key_range *range);

/* ---- What values share with keys ---- */

/*
 * The bytes of a DUR_STR, DUR_BYTES, DUR_BIGINT or DUR_DECIMAL; DUR_CSTR is resolved, nothing is
 * checked.
 */
int key_text(const dur_value *v, const uint8_t **text, size_t *len);
/*
 * Whether the fields of a scalar that is no tuple can be: UTF-8, digits, ranges (errors as
 * key_encode()). text and len are those of key_text(), or NULL and 0.
 */
int key_check_scalar(const dur_value *v, const uint8_t *text, size_t len);

#endif
