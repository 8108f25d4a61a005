/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integers go between base ten and base 2^32 by schoolbook multiplication: a key's integer has at
 * most 255 bytes. A decimal is taken apart into sign, exponent, significant digits and scale
 * without copying: the point is skipped where a digit is asked for. Decoding accepts only what
 * encoding makes.
 */
#include "engine/number.h"

#include "engine/key_codes.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t count_digits(const char *text, size_t len)
{
	size_t n = 0;
	while (n < len && is_digit(text[n]))
		n++;
	return n;
}

bool number_is_integer(const char *text, size_t len)
{
	bool negative = len > 0 && text[0] == '-';
	const char *digits = text + negative;
	size_t n = len - negative;

	if (n == 0 || count_digits(digits, n) != n)
		return false;
	return digits[0] != '0' || (n == 1 && !negative);
}

bool number_fits(const char *text, size_t len, int64_t *i)
{
	bool negative = text[0] == '-';
	uint64_t magnitude = 0;

	if (len - negative > 19)
		return false;
	for (size_t k = negative; k < len; k++)
		magnitude = magnitude * 10 + (uint64_t)(text[k] - '0');
	if (magnitude > (uint64_t)INT64_MAX + negative)
		return false;
	*i = (int64_t)(negative ? 0 - magnitude : magnitude);
	return true;
}

size_t number_print(int64_t i, char *text)
{
	uint64_t magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	char backward[20];
	size_t n = 0, len = 0;

	do {
		backward[n++] = (char)('0' + magnitude % 10);
		magnitude /= 10;
	} while (magnitude);
	if (i < 0)
		text[len++] = '-';
	while (n > 0)
		text[len++] = backward[--n];
	return len;
}

static int sign_of(int difference)
{
	return (difference > 0) - (difference < 0);
}

int number_compare_integers(const char *a, size_t a_len, const char *b, size_t b_len)
{
	bool a_negative = a_len > 0 && a[0] == '-', b_negative = b_len > 0 && b[0] == '-';
	int order;

	if (a_negative != b_negative)
		return a_negative ? -1 : 1;
	if (a_len != b_len)
		order = a_len < b_len ? -1 : 1;
	else
		order = sign_of(memcmp(a, b, a_len));
	return a_negative ? -order : order;
}

/*
 * ---- Decimals taken apart: sign x 0.DIGITS x 10^exponent, with scale digits behind the point ----
 */

struct decimal {
	const char *text;   /* behind the sign */
	size_t whole;       /* digits in front of the point */
	size_t scale;       /* and behind it */
	size_t first, last; /* the significant digits: from first, up to but not including last */
	int64_t exponent;
	int sign; /* -1, 0, 1 */
};

/* The k-th digit, the point not counted. */
static char digit_at(const struct decimal *d, size_t k)
{
	return d->text[k < d->whole ? k : k + 1];
}

static bool take_apart(const char *text, size_t len, struct decimal *d)
{
	bool negative = len > 0 && text[0] == '-';
	size_t left = len - negative, all;

	d->text = text + negative;
	d->whole = count_digits(d->text, left);
	d->scale = 0;
	if (d->whole == 0 || (d->text[0] == '0' && d->whole > 1))
		return false;
	if (d->whole < left) {
		d->scale = left - d->whole - 1;
		if (d->text[d->whole] != '.' || d->scale == 0 ||
		    count_digits(d->text + d->whole + 1, d->scale) != d->scale)
			return false;
	}
	all = d->whole + d->scale;
	d->first = 0;
	d->last = all;
	while (d->first < all && digit_at(d, d->first) == '0')
		d->first++;
	while (d->last > d->first && digit_at(d, d->last - 1) == '0')
		d->last--;
	d->exponent = (int64_t)d->whole - (int64_t)d->first;
	d->sign = d->first == all ? 0 : negative ? -1 : 1;
	return d->sign != 0 || !negative;
}

bool number_is_decimal(const char *text, size_t len)
{
	struct decimal d;
	return take_apart(text, len, &d);
}

static int compare_magnitudes(const struct decimal *a, const struct decimal *b)
{
	size_t i = a->first, j = b->first;

	if (a->exponent != b->exponent)
		return a->exponent < b->exponent ? -1 : 1;
	for (; i < a->last && j < b->last; i++, j++)
		if (digit_at(a, i) != digit_at(b, j))
			return digit_at(a, i) < digit_at(b, j) ? -1 : 1;
	return (i < a->last) - (j < b->last);
}

int number_compare_decimals(const char *a, size_t a_len, const char *b, size_t b_len)
{
	struct decimal x, y;
	int order;

	if (!take_apart(a, a_len, &x) || !take_apart(b, b_len, &y)) {
		/* No decimals, so no key of a tree: any total order will do. */
		order = sign_of(memcmp(a, b, a_len < b_len ? a_len : b_len));
		return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
	}
	if (x.sign != y.sign)
		return x.sign < y.sign ? -1 : 1;
	if (x.sign != 0) {
		order = compare_magnitudes(&x, &y);
		if (order != 0)
			return x.sign < 0 ? -order : order;
	}
	return (x.scale > y.scale) - (x.scale < y.scale);
}

/* ---- Key form of integers ---- */

enum { LIMBS = NUMBER_INTEGER_BYTES / 4 + 1, CHUNKS = NUMBER_INTEGER_TEXT / 9 + 1 };

/* Digits to 32-bit limbs, lowest first. Gives their number, or 0 if there are too many. */
static size_t digits_to_limbs(const char *digits, size_t n, uint32_t limbs[LIMBS])
{
	size_t used = 0, at = 0, take = n % 9 ? n % 9 : 9;

	if (n >= NUMBER_INTEGER_TEXT)
		return 0;
	for (; at < n; at += take, take = 9) {
		uint64_t carry = 0, scale = 1;
		for (size_t k = 0; k < take; k++, scale *= 10)
			carry = carry * 10 + (uint64_t)(digits[at + k] - '0');
		for (size_t k = 0; k < used; k++) {
			carry += limbs[k] * scale;
			limbs[k] = (uint32_t)carry;
			carry >>= 32;
		}
		if (carry && used == LIMBS)
			return 0;
		if (carry)
			limbs[used++] = (uint32_t)carry;
	}
	return used;
}

size_t number_encode_integer(const char *text, size_t len, uint8_t buf[NUMBER_INTEGER_KEY])
{
	bool negative = text[0] == '-';
	uint8_t flip = negative ? 0xff : 0;
	uint32_t limbs[LIMBS];
	uint8_t *at = buf;
	size_t used, n;
	int64_t i;

	if (number_fits(text, len, &i))
		return number_encode(i, buf);
	used = digits_to_limbs(text + negative, len - negative, limbs);
	if (used == 0)
		return 0;
	n = used * 4 - (size_t)__builtin_clz(limbs[used - 1]) / 8;
	if (n > NUMBER_INTEGER_BYTES)
		return 0;
	if (n == 8) {
		*at++ = negative ? KEY_INT_FIRST : KEY_INT_LAST;
	} else {
		*at++ = negative ? KEY_BIG_NEGATIVE : KEY_BIG_POSITIVE;
		*at++ = (uint8_t)(n ^ flip);
	}
	for (size_t k = n; k-- > 0;)
		*at++ = (uint8_t)((limbs[k / 4] >> (k % 4 * 8)) ^ flip);
	return (size_t)(at - buf);
}

/* Big-endian bytes of a magnitude, each xor flip, to text. Gives its length. */
static size_t print_magnitude(const uint8_t *bytes, size_t n, uint8_t flip, char *text)
{
	uint32_t chunks[CHUNKS]; /* base 10^9, lowest first */
	size_t used = 0, len = 0;

	for (size_t at = 0; at < n; at++) {
		uint64_t carry = bytes[at] ^ flip;
		for (size_t k = 0; k < used; k++) {
			carry += (uint64_t)chunks[k] << 8;
			chunks[k] = (uint32_t)(carry % 1000000000);
			carry /= 1000000000;
		}
		if (carry)
			chunks[used++] = (uint32_t)carry;
	}
	if (flip)
		text[len++] = '-';
	len += number_print(chunks[used - 1], text + len);
	for (size_t k = used - 1; k-- > 0; len += 9)
		for (uint32_t rest = chunks[k], i = 9; i-- > 0; rest /= 10)
			text[len + i] = (char)('0' + rest % 10);
	return len;
}

bool number_decode_integer(const uint8_t **at, const uint8_t *end, int64_t *i,
                           char text[NUMBER_INTEGER_TEXT], size_t *text_len)
{
	const uint8_t *p = *at;
	bool negative;
	uint64_t magnitude = 0;
	uint8_t flip;
	size_t n;

	if (p == end || *p < KEY_BIG_NEGATIVE || *p > KEY_BIG_POSITIVE)
		return false;
	negative = *p < KEY_INT_ZERO;
	flip = negative ? 0xff : 0;
	n = (size_t)(negative ? KEY_INT_ZERO - *p : *p - KEY_INT_ZERO);
	p++;
	if (n == 9) {
		if (p == end)
			return false;
		n = *p++ ^ flip;
		if (n < 9)
			return false;
	}
	if ((size_t)(end - p) < n || (n > 0 && (p[0] ^ flip) == 0))
		return false;
	if (n <= 8)
		for (size_t k = 0; k < n; k++)
			magnitude = magnitude << 8 | (uint8_t)(p[k] ^ flip);
	if (n <= 8 && magnitude <= (uint64_t)INT64_MAX + negative) {
		*i = (int64_t)(negative ? 0 - magnitude : magnitude);
		*text_len = 0;
	} else {
		*text_len = print_magnitude(p, n, flip, text);
	}
	*at = p + n;
	return true;
}

/* ---- Key form of decimals ---- */

enum { NEGATIVE = 1, ZERO = 2, POSITIVE = 3 };

size_t number_encode_decimal(const char *text, size_t len, uint8_t buf[NUMBER_DECIMAL_KEY])
{
	struct decimal d;
	uint8_t *at = buf, *flip_from;

	if (len > NUMBER_DECIMAL_TEXT || !take_apart(text, len, &d))
		return 0;
	*at++ = KEY_DECIMAL;
	*at++ = (uint8_t)(ZERO + d.sign);
	flip_from = at;
	if (d.sign != 0) {
		at += number_encode(d.exponent, at);
		for (size_t k = d.first; k < d.last; k += 2) {
			int pair = (digit_at(&d, k) - '0') * 10;
			if (k + 1 < d.last)
				pair += digit_at(&d, k + 1) - '0';
			*at++ = (uint8_t)(pair + 1);
		}
		*at++ = 0;
	}
	if (d.sign < 0)
		for (uint8_t *p = flip_from; p < at; p++)
			*p = (uint8_t) ~*p;
	at += number_encode((int64_t)d.scale, at);
	return (size_t)(at - buf);
}

/* A small integer, each of its bytes xor flip. */
static bool decode_small(const uint8_t **at, const uint8_t *end, uint8_t flip, int64_t *i)
{
	uint8_t copy[3]; /* no exponent or scale of a key needs more */
	char unused[NUMBER_INTEGER_TEXT];
	const uint8_t *p = copy;
	size_t n = 0, text_len;

	for (; n < sizeof copy && n < (size_t)(end - *at); n++)
		copy[n] = (*at)[n] ^ flip;
	if (!number_decode_integer(&p, copy + n, i, unused, &text_len) || text_len != 0)
		return false;
	*at += p - copy;
	return true;
}

/* The pairs up to their end mark. digits gets the significant digits, *n of them. */
static bool decode_pairs(const uint8_t **at, const uint8_t *end, uint8_t flip, char *digits,
                         size_t *n)
{
	const uint8_t *p = *at;

	*n = 0;
	for (; p < end && (*p ^ flip) != 0; p++) {
		unsigned pair = (*p ^ flip) - 1u;
		if (pair > 99 || *n + 2 > NUMBER_DECIMAL_TEXT)
			return false;
		digits[(*n)++] = (char)('0' + pair / 10);
		digits[(*n)++] = (char)('0' + pair % 10);
	}
	if (p == end || *n == 0 || digits[0] == '0')
		return false;
	if (digits[*n - 1] == '0' && digits[--*n - 1] == '0')
		return false; /* a pair 00 at the end would be a second form */
	*at = p + 1;
	return true;
}

/* Writes 0.DIGITS x 10^exponent with scale digits behind the point; false if they do not fit. */
static bool print_decimal(int sign, const char *digits, size_t n, int64_t exponent, int64_t scale,
                          char *text, size_t *text_len)
{
	int64_t whole = exponent > 0 ? exponent : 1;
	size_t len = 0;

	if (scale < 0 || scale > NUMBER_DECIMAL_TEXT || exponent > NUMBER_DECIMAL_TEXT ||
	    (int64_t)n - exponent > scale ||
	    (sign < 0) + whole + (scale > 0) + scale > NUMBER_DECIMAL_TEXT)
		return false;
	if (sign < 0)
		text[len++] = '-';
	for (int64_t k = exponent - whole; k < exponent + scale; k++) {
		if (k == exponent)
			text[len++] = '.';
		text[len++] = k >= 0 && k < (int64_t)n ? digits[k] : '0';
	}
	*text_len = len;
	return true;
}

bool number_decode_decimal(const uint8_t **at, const uint8_t *end, char text[NUMBER_DECIMAL_TEXT],
                           size_t *text_len)
{
	const uint8_t *p = *at;
	char digits[NUMBER_DECIMAL_TEXT];
	int64_t exponent = 0, scale;
	size_t n = 0;
	int sign;

	if (end - p < 3 || p[0] != KEY_DECIMAL || p[1] < NEGATIVE || p[1] > POSITIVE)
		return false;
	sign = p[1] - ZERO;
	p += 2;
	if (sign != 0) {
		uint8_t flip = sign < 0 ? 0xff : 0;
		if (!decode_small(&p, end, flip, &exponent) ||
		    !decode_pairs(&p, end, flip, digits, &n))
			return false;
	}
	if (!decode_small(&p, end, 0, &scale) ||
	    !print_decimal(sign, digits, n, exponent, scale, text, text_len))
		return false;
	*at = p;
	return true;
}
