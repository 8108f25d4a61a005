/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items are collected on the arena's stack and moved to their place when their tuple ends: one
 * pass, no counting ahead. What encoding does not make is refused, so that a key has one form.
 */
#include "engine/key.h"

#include "engine/key_codes.h"
#include "engine/key_plain.h"
#include "engine/number.h"
#include "engine/utf8.h"
#include "include/internal/bytes.h"
#include "include/internal/error.h"

#include <errno.h>

static int corrupt(const char *what)
{
	return error_set(DUR_E_CORRUPT, "a key or tuple is damaged: %s", what);
}

/* A code that is none of ours. FoundationDB's others are told from damage. */
static int unknown_code(uint8_t code)
{
	const char *what = NULL;

	switch (code) {
	case 0x03:
	case 0x04: what = "a nested tuple in the form given up before 05"; break;
	case 0x0a:
	case 0x1e: what = "an integer of a reserved form"; break;
	case 0x20: what = "a 4-byte float"; break;
	case 0x22: what = "a long double"; break;
	case 0x23:
	case 0x24: what = "a decimal in a form that does not sort"; break;
	case 0x25: what = "a true in the form given up before 27"; break;
	case 0x31: what = "a 64-bit identifier"; break;
	case 0x32:
	case 0x33: what = "a versionstamp"; break;
	default: return corrupt("a type code that does not exist");
	}
	return error_set(DUR_E_CORRUPT,
	                 "a key or tuple holds %s (code %02x): FoundationDB knows it, Duramen does"
	                 " not",
	                 what, code);
}

/* Bytes up to the 00 that ends them. Without an escape they stay where they are. */
static int get_escaped(const uint8_t **at, const uint8_t *end, struct key_arena *scratch,
                       dur_value *out)
{
	const uint8_t *from = *at, *p = from, *zero;
	size_t escapes = 0, n = 0;
	uint8_t *copy;

	for (;; p = zero + 2, escapes++) {
		zero = memchr(p, 0, (size_t)(end - p));
		if (!zero)
			return corrupt("a string has no end");
		if (end - zero < 2 || zero[1] != KEY_ESCAPE)
			break;
	}
	*at = zero + 1;
	out->len = (size_t)(zero - from) - escapes;
	out->ptr = from;
	if (escapes == 0)
		return 0;
	copy = key_arena_take(scratch, out->len);
	if (!copy)
		return -ENOMEM;
	out->ptr = copy;
	for (p = from; p < zero; p++) {
		copy[n++] = *p;
		p += *p == 0; /* the escape */
	}
	return 0;
}

static int get_text(const uint8_t **at, const uint8_t *end, struct key_arena *scratch,
                    dur_value *out)
{
	uint32_t type = **at == KEY_STR ? DUR_STR : DUR_BYTES;
	int rc;

	++*at;
	rc = get_escaped(at, end, scratch, out);
	if (rc < 0)
		return rc;
	out->type = type;
	if (type == DUR_STR && utf8_valid(out->ptr, out->len) != out->len)
		return corrupt("a string is not UTF-8");
	return 0;
}

static int get_number(const uint8_t **at, const uint8_t *end, struct key_arena *scratch,
                      dur_value *out)
{
	char text[NUMBER_DECIMAL_TEXT];
	size_t len;
	char *copy;

	if (**at == KEY_DECIMAL) {
		if (!number_decode_decimal(at, end, text, &len))
			return corrupt("not a decimal");
		out->type = DUR_DECIMAL;
	} else {
		if (!number_decode_integer(at, end, &out->i, text, &len))
			return corrupt("not an integer");
		out->type = len ? DUR_BIGINT : DUR_INT;
		if (len == 0)
			return 0;
	}
	copy = key_arena_take(scratch, len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	out->str = copy;
	out->len = len;
	return 0;
}

static void get_double(const uint8_t *p, dur_value *out)
{
	uint64_t bits = get_be64(p);

	bits = bits >> 63 ? bits & ~(1ull << 63) : ~bits;
	memcpy(&out->f, &bits, sizeof bits);
	out->type = DUR_DOUBLE;
}

static int get_time(const uint8_t *p, dur_value *out)
{
	out->time.sec = (int64_t)(get_be64(p) ^ 1ull << 63);
	out->time.nsec = __builtin_bswap32(get_u32(p + 8));
	out->zone_min = (int16_t)(__builtin_bswap16(get_u16(p + 12)) ^ 0x8000);
	out->type = DUR_TIME;
	return key_check_scalar(out, NULL, 0) < 0 ? corrupt("a time is out of range") : 0;
}

/* Any item but a tuple; p < end. */
static int get_item(const uint8_t **at, const uint8_t *end, struct key_arena *scratch,
                    dur_value *out)
{
	static const uint8_t fixed[256] = {
		[KEY_DOUBLE] = 8, [KEY_UUID] = 16, [KEY_TIME] = 14, [KEY_REF] = 16, [KEY_WEAK] = 16
	};
	const uint8_t *p = *at + 1;
	uint8_t code = **at;

	out->tag = 0;
	if ((code >= KEY_BIG_NEGATIVE && code <= KEY_BIG_POSITIVE) || code == KEY_DECIMAL)
		return get_number(at, end, scratch, out);
	if (code == KEY_STR || code == KEY_BYTES)
		return get_text(at, end, scratch, out);
	if (end - p < fixed[code])
		return corrupt("it ends within an item");
	*at = p + fixed[code];
	switch (code) {
	case KEY_NULL: out->type = DUR_NULL; return 0;
	case KEY_FALSE:
	case KEY_TRUE:
		out->type = DUR_BOOL;
		out->i = code == KEY_TRUE;
		return 0;
	case KEY_DOUBLE: get_double(p, out); return 0;
	case KEY_TIME: return get_time(p, out);
	case KEY_UUID:
	case KEY_REF:
	case KEY_WEAK:
		out->type = code == KEY_UUID ? DUR_UUID : code == KEY_REF ? DUR_REF : DUR_WEAK;
		memcpy(out->id, p, 16);
		return 0;
	default: return unknown_code(code);
	}
}

/* Moves the items from place `base` of the stack to the arena and makes out a tuple of them. */
static int end_tuple(struct key_arena *scratch, size_t base, size_t n, dur_value *out)
{
	dur_value *items = NULL;

	if (n > base) {
		items = key_arena_take(scratch, (n - base) * sizeof *items);
		if (!items)
			return -ENOMEM;
		memcpy(items, scratch->stack + base, (n - base) * sizeof *items);
	}
	out->type = DUR_TUPLE;
	out->tag = 0;
	out->len = n - base;
	out->items = items;
	return 0;
}

int key_unpack(const uint8_t *packed, size_t len, struct key_arena *scratch, dur_value *out)
{
	const uint8_t *p = packed, *end = packed + len;
	size_t base[KEY_DEPTH + 1] = { 0 }, n = 0;
	unsigned depth = 0;
	dur_value *slot;
	int rc;

	while (p < end) {
		if (*p == KEY_TUPLE) {
			if (depth == KEY_DEPTH)
				return corrupt("it nests too deep");
			base[++depth] = n;
			p++;
			continue;
		}
		if (depth > 0 && *p == 0 && !(end - p > 1 && p[1] == KEY_ESCAPE)) {
			size_t from = base[depth--];
			slot = key_arena_slot(scratch, from);
			rc = slot ? end_tuple(scratch, from, n, slot) : -ENOMEM;
			n = from + 1;
			p++;
		} else {
			slot = key_arena_slot(scratch, n++);
			if (!slot)
				return -ENOMEM;
			if (depth > 0 && *p == 0) { /* 00 ff: null */
				slot->type = DUR_NULL;
				slot->tag = 0;
				p += 2;
				continue;
			}
			rc = get_item(&p, end, scratch, slot);
		}
		if (rc < 0)
			return rc;
	}
	if (depth > 0)
		return corrupt("a tuple has no end");
	return end_tuple(scratch, 0, n, out);
}

int key_decode(const uint8_t *key, size_t len, struct key_arena *scratch, dur_value *out)
{
	const uint8_t *p = key;
	int rc;

	if (len > DUR_MAX_KEY)
		return corrupt("it is too long");
	if (len >= 2 && *p == KEY_STR && p[len - 1] == 0 &&
	    key_copy_plain(NULL, p + 1, len - 2, true)) {
		out->type = DUR_STR;
		out->tag = 0;
		out->len = len - 2;
		out->ptr = p + 1;
		return 0;
	}
	if (len > 0 && *p != KEY_TUPLE) {
		rc = get_item(&p, key + len, scratch, out);
		if (rc < 0 || p == key + len)
			return rc;
	}
	return key_unpack(key, len, scratch, out);
}
