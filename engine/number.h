/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that no C type can hold travel as text: integers of any size, and decimals.
 *
 * One number has one text. An integer is "0", or digits that do not begin with 0, with "-" in front
 * of a negative one. A decimal is an integer that may be followed by "." and one digit or more;
 * trailing zeros are kept and tell 1.5 from 1.50; there is no exponent and no negative zero.
 * Anything else ("+1", "007", "-0", "-0.0", ".5", "1e3") is refused, not tidied up: what was stored
 * is what comes back.
 *
 * Their key forms are described in engine/key.h.
 */
#ifndef DURAMEN_ENGINE_NUMBER_H
#define DURAMEN_ENGINE_NUMBER_H

#include "include/internal/bytes.h"

#include <stdbool.h>

enum {
	NUMBER_INTEGER_BYTES =
		255, /* magnitude of the largest integer in a key: its length is one byte */
	NUMBER_INTEGER_TEXT = 616,  /* characters of such an integer */
	NUMBER_INTEGER_KEY = 257,   /* bytes of its key form */
	NUMBER_DECIMAL_TEXT = 2048, /* characters of the longest decimal in a key */
	NUMBER_DECIMAL_KEY = 1040   /* bytes of the key form of a decimal of that length */
};

bool number_is_integer(const char *text, size_t len);
bool number_is_decimal(const char *text, size_t len);

/* Whether the integer in text, which must be one, fits; *i is set only then. */
bool number_fits(const char *text, size_t len, int64_t *i);
/* Writes i as text (at most 20 characters, no NUL); gives the length. */
size_t number_print(int64_t i, char *text);

/*
 * -1, 0, 1. Integers: by value. Decimals: by value, then the one with fewer trailing zeros first.
 */
int number_compare_integers(const char *a, size_t a_len, const char *b, size_t b_len);
int number_compare_decimals(const char *a, size_t a_len, const char *b, size_t b_len);

/* Key form of an int64. buf has 9 bytes, all of which may be written; gives how many count. */
static inline size_t number_encode(int64_t i, uint8_t *buf)
{
	uint64_t magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	unsigned n;

	if (i == 0) {
		buf[0] = 0x14;
		return 1;
	}
	n = (71u - (unsigned)__builtin_clzll(magnitude)) / 8;
	buf[0] = (uint8_t)(i < 0 ? 0x14 - n : 0x14 + n);
	put_be64(buf + 1, (i < 0 ? ~magnitude : magnitude) << (64 - 8 * n));
	return n + 1;
}

/* Key forms of texts that are an integer or a decimal. 0 if the number is too big for a key. */
size_t number_encode_integer(const char *text, size_t len, uint8_t buf[NUMBER_INTEGER_KEY]);
size_t number_encode_decimal(const char *text, size_t len, uint8_t buf[NUMBER_DECIMAL_KEY]);

/*
 * Reads the key form of an integer at *at, which goes on behind it. *text_len 0: it is *i; else it
 * is in text and beyond int64. False: these bytes are no integer in its one form, *at is where it
 * was.
 */
bool number_decode_integer(const uint8_t **at, const uint8_t *end, int64_t *i,
                           char text[NUMBER_INTEGER_TEXT], size_t *text_len);
/* The same for a decimal. */
bool number_decode_decimal(const uint8_t **at, const uint8_t *end, char text[NUMBER_DECIMAL_TEXT],
                           size_t *text_len);

#endif
