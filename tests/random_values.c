/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/random_values.h"

#include "engine/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t random_seed(const char *suite)
{
	const char *given = getenv("SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given ? strtoull(given, NULL, 10)
	             : (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
	fprintf(stderr, "%s: SEED=%llu\n", suite, (unsigned long long)seed);
	return seed;
}

uint64_t random_u64(uint64_t *state) /* splitmix64 */
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t n)
{
	return random_u64(state) % n;
}

/* Of any size up to 64 bits, of either sign, often at a border between sizes. */
static int64_t random_int(uint64_t *state)
{
	uint64_t u = random_u64(state) >> random_below(state, 64);

	if (random_below(state, 3) == 0)
		u = (1ull << random_below(state, 64)) + random_below(state, 3) - 1;
	return (int64_t)(random_below(state, 2) ? u : 0 - u);
}

static char *random_digits(uint64_t *state, char *p, size_t n, bool leading_zero)
{
	for (size_t i = 0; i < n; i++)
		*p++ = (char)('0' +
		              random_below(state, random_below(state, 3) ? 10 : 1 + (i == 0)));
	if (n > 0 && !leading_zero && p[-(ptrdiff_t)n] == '0')
		p[-(ptrdiff_t)n] = '1';
	return p;
}

static dur_value random_bigint(uint64_t *state, struct key_arena *arena)
{
	static const char *const borders[] = { "9223372036854775807",
		                               "9223372036854775808",
		                               "-9223372036854775808",
		                               "-9223372036854775809",
		                               "18446744073709551615",
		                               "18446744073709551616",
		                               "-18446744073709551615",
		                               "-18446744073709551616",
		                               "0",
		                               "-1" };
	uint64_t which = random_below(state, 30);
	char *text, *p;

	if (which < sizeof borders / sizeof *borders)
		return DUR_BIGINT(borders[which]);
	p = text = key_arena_take(arena, 300);
	if (random_below(state, 2))
		*p++ = '-';
	p = random_digits(state, p, 1 + random_below(state, random_below(state, 4) ? 25 : 250),
	                  false);
	if (p == text + 2 && text[0] == '-' && text[1] == '0')
		text[1] = '3';
	return (dur_value){ .type = DUR_BIGINT, .str = text, .len = (uint64_t)(p - text) };
}

static dur_value random_decimal(uint64_t *state, struct key_arena *arena)
{
	size_t whole = random_below(state, 5),
	       scale = random_below(state, random_below(state, 3) ? 4 : 40);
	char *text = key_arena_take(arena, 64), *p = text;

	if (random_below(state, 2))
		*p++ = '-';
	if (whole == 0)
		*p++ = '0';
	p = random_digits(state, p, whole, false);
	if (scale > 0) {
		*p++ = '.';
		p = random_digits(state, p, scale, true);
	}
	if (!number_is_decimal(text, (size_t)(p - text))) /* a negative zero */
		return (dur_value){ .type = DUR_DECIMAL,
			            .str = text + 1,
			            .len = (uint64_t)(p - text - 1) };
	return (dur_value){ .type = DUR_DECIMAL, .str = text, .len = (uint64_t)(p - text) };
}

static dur_value random_text(uint64_t *state, struct key_arena *arena)
{
	static const char *const parts[] = { "",
		                             "a",
		                             "b",
		                             "ab",
		                             "/",
		                             "~",
		                             ",",
		                             "\n",
		                             "\x7f",
		                             "\xc3\x94",
		                             "\xf0\x9f\x98\x80",
		                             "abcdefgh",
		                             "0",
		                             "q",
		                             "i4",
		                             "p",
		                             " ",
		                             "\x01",
		                             "\xef\xbf\xbf" };
	size_t n = random_below(state, random_below(state, 3) ? 5 : 30), len = 0;
	char *text = key_arena_take(arena, 8 * 30);

	for (; n > 0; n--) {
		uint64_t which = random_below(state, sizeof parts / sizeof *parts + 1);
		if (which == sizeof parts / sizeof *parts) {
			text[len++] = 0;
		} else {
			memcpy(text + len, parts[which], strlen(parts[which]));
			len += strlen(parts[which]);
		}
	}
	return DUR_STRN(text, len);
}

static dur_value random_bytes(uint64_t *state, struct key_arena *arena)
{
	static const uint8_t likely_bytes[] = { 0, 0xff, 1, 'a', 0xfe, 0x80 };
	size_t len = random_below(state, random_below(state, 3) ? 4 : 40);
	uint8_t *bytes = key_arena_take(arena, 40);

	for (size_t i = 0; i < len; i++)
		bytes[i] = random_below(state, 4)
		                   ? likely_bytes[random_below(state, sizeof likely_bytes)]
		                   : (uint8_t)random_u64(state);
	return DUR_BYTES(bytes, len);
}

static dur_value random_double(uint64_t *state)
{
	static const uint64_t odd[] = { 0,
		                        1ull << 63,
		                        0x7ff0000000000000,
		                        0xfff0000000000000,
		                        0x7ff8000000000000,
		                        0xfff8000000000001,
		                        0x7ff0000000000001,
		                        1,
		                        0x8000000000000001,
		                        0x7fefffffffffffff,
		                        0x3ff0000000000000 };
	uint64_t bits = random_u64(state);
	dur_value v = DUR_DOUBLE(0);

	if (random_below(state, 2))
		bits = odd[random_below(state, sizeof odd / sizeof *odd)];
	memcpy(&v.f, &bits, sizeof bits);
	if (random_below(state, 4) == 0)
		v.f = (double)((int64_t)random_below(state, 2000) - 1000) / 8;
	return v;
}

static dur_value random_time(uint64_t *state)
{
	static const int16_t zones[] = { 0, DUR_NO_ZONE, 60, -60, 1439, -1439 };
	int64_t sec =
		random_below(state, 3) ? (int64_t)random_below(state, 4) - 2 : random_int(state);

	return DUR_TIME(sec, random_below(state, 2) ? 0 : (uint32_t)random_below(state, 1000000000),
	                zones[random_below(state, 6)]);
}

dur_value random_scalar(uint64_t *state, struct key_arena *arena)
{
	uint64_t which = random_below(state, 14);
	dur_value v = DUR_NULL();

	switch (which) {
	case 0: return v;
	case 1: return DUR_BOOL(random_below(state, 2));
	case 2:
	case 3: return DUR_INT(random_int(state));
	case 4: return random_bigint(state, arena);
	case 5: return random_double(state);
	case 6: return random_decimal(state, arena);
	case 7:
	case 8:
	case 9: return random_text(state, arena);
	case 10: return random_bytes(state, arena);
	case 11: return random_time(state);
	default:
		v.type = DUR_UUID + (uint32_t)random_below(state, 3);
		for (int i = 0; i < 16; i++)
			v.id[i] = (uint8_t)(random_below(state, 3) ? 0 : random_u64(state));
		return v;
	}
}

dur_value random_key(uint64_t *state, struct key_arena *arena, unsigned depth)
{
	size_t n = random_below(state, 4);
	dur_value *items;

	if (depth == 0 || random_below(state, 2))
		return random_scalar(state, arena);
	items = key_arena_take(arena, n * sizeof *items);
	for (size_t i = 0; i < n; i++)
		items[i] = random_key(state, arena, depth - 1);
	return DUR_TUPLE(items, n);
}

static bool same_text(const dur_value *a, const dur_value *b)
{
	const uint8_t *x, *y;
	size_t n, m;

	return key_text(a, &x, &n) == 0 && key_text(b, &y, &m) == 0 && n == m &&
	       (n == 0 || memcmp(x, y, n) == 0);
}

static dur_value plain(const dur_value *v)
{
	const uint8_t *text;
	size_t n;
	int64_t i;

	if (v->type == DUR_BIGINT && key_text(v, &text, &n) == 0 &&
	    number_fits((const char *)text, n, &i))
		return DUR_INT(i);
	return *v;
}

bool same_value(const dur_value *x, const dur_value *y)
{
	dur_value a = plain(x), b = plain(y);

	if (a.type != b.type)
		return false;
	switch (a.type) {
	case DUR_BOOL:
	case DUR_INT: return a.i == b.i;
	case DUR_DOUBLE: return memcmp(&a.f, &b.f, 8) == 0;
	case DUR_BIGINT:
	case DUR_DECIMAL:
	case DUR_STR:
	case DUR_BYTES: return same_text(&a, &b);
	case DUR_TIME:
		return a.time.sec == b.time.sec && a.time.nsec == b.time.nsec &&
		       a.zone_min == b.zone_min;
	case DUR_UUID:
	case DUR_REF:
	case DUR_WEAK: return memcmp(a.id, b.id, 16) == 0;
	case DUR_TUPLE:
		if (a.len != b.len)
			return false;
		for (uint64_t i = 0; i < a.len; i++)
			if (!same_value(&a.items[i], &b.items[i]))
				return false;
		return true;
	default: return true;
	}
}
