/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys as text: the inverse of model/path.c, item by item into a buffer that counts what does not
 * fit.
 */
#include "engine/number.h"
#include "include/internal/error.h"
#include "model/path.h"
#include "model/path_private.h"
#include "prefixes/time.h"

#include <errno.h>
#include <math.h>

struct text {
	char *buf;
	size_t cap, len;
};

static const char hex_digits[] = "0123456789abcdef";

static void put(struct text *t, const char *s, size_t n)
{
	if (n > 0 && n <= t->cap && t->len <= t->cap - n)
		memcpy(t->buf + t->len, s, n);
	t->len += n;
}

static void put_byte(struct text *t, uint8_t byte)
{
	put(t, &hex_digits[byte >> 4], 1);
	put(t, &hex_digits[byte & 15], 1);
}

static void put_string(struct text *t, const char *s, size_t n, bool in_tuple)
{
	if (n == 0 && in_tuple)
		put(t, "~e", 2);
	for (size_t i = 0, from = 0; i <= n; i++) {
		bool control = i < n && ((uint8_t)s[i] < 0x20 || s[i] == 0x7f);
		if (i < n && !control && s[i] != '~' && s[i] != '/' && !(in_tuple && s[i] == ','))
			continue;
		put(t, s + from, i - from);
		from = i + 1;
		if (i == n)
			break;
		put(t, s[i] == '~' ? "~0" : s[i] == '/' ? "~1" : s[i] == ',' ? "~3" : "~2", 2);
		if (control)
			put_byte(t, (uint8_t)s[i]);
	}
}

static void put_bytes(struct text *t, const uint8_t *bytes, size_t n)
{
	put(t, "~x", 2);
	for (size_t i = 0; i < n; i++)
		put_byte(t, bytes[i]);
}

static void put_double(struct text *t, double f)
{
	char number[PATH_DOUBLE_TEXT];
	uint64_t bits;

	put(t, "~d", 2);
	if (isnan(f)) {
		put(t, "nan", 3);
		memcpy(&bits, &f, sizeof bits);
		for (int shift = 56; shift >= 0; shift -= 8)
			put_byte(t, (uint8_t)(bits >> shift));
	} else if (isinf(f)) {
		put(t, f < 0 ? "-inf" : "inf", f < 0 ? 4 : 3);
	} else {
		put(t, number, path_print_double(f, number));
	}
}

static void put_id(struct text *t, const char *letter, const uint8_t id[16])
{
	put(t, letter, 2);
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			put(t, "-", 1);
		put_byte(t, id[i]);
	}
}

static void put_time(struct text *t, const dur_value *v)
{
	struct time_stamp stamp = { v->time.sec, v->time.nsec, v->zone_min };
	char text[TIME_TEXT];

	put(t, "~t", 2);
	put(t, text, time_format(&stamp, text));
}

static int put_item(struct text *t, const dur_value *v, bool in_tuple)
{
	const uint8_t *text = NULL;
	char digits[20];
	size_t n = 0;
	int rc = 0;

	if (v->type == DUR_STR || v->type == DUR_BYTES || v->type == DUR_BIGINT ||
	    v->type == DUR_DECIMAL)
		rc = key_text(v, &text, &n);
	if (rc == 0)
		rc = key_check_scalar(v, text, n);
	if (rc < 0)
		return rc;
	switch (v->type) {
	case DUR_NULL: put(t, "~n", 2); return 0;
	case DUR_BOOL: put(t, v->i ? "~btrue" : "~bfalse", v->i ? 6 : 7); return 0;
	case DUR_INT:
		put(t, "~i", 2);
		put(t, digits, number_print(v->i, digits));
		return 0;
	case DUR_BIGINT:
	case DUR_DECIMAL:
		put(t, v->type == DUR_BIGINT ? "~i" : "~m", 2);
		put(t, (const char *)text, n);
		return 0;
	case DUR_DOUBLE: put_double(t, v->f); return 0;
	case DUR_STR: put_string(t, (const char *)text, n, in_tuple); return 0;
	case DUR_BYTES: put_bytes(t, text, n); return 0;
	case DUR_TIME: put_time(t, v); return 0;
	case DUR_UUID: put_id(t, "~u", v->id); return 0;
	case DUR_REF: put_id(t, "~r", v->id); return 0;
	case DUR_WEAK: put_id(t, "~w", v->id); return 0;
	default:
		return error_set(DUR_E_TYPE, "a value of type %u is no key and has no text",
		                 v->type);
	}
}

static int put_tuple(struct text *t, const dur_value *tuple)
{
	struct {
		const dur_value *items;
		uint64_t n, at;
	} open[KEY_DEPTH + 1];
	unsigned depth = 0;
	int rc;

	open[0].items = tuple->items;
	open[0].n = tuple->len;
	open[0].at = 0;
	put(t, "~p", 2);
	for (;;) {
		const dur_value *v;
		if (open[depth].n > 0 && !open[depth].items)
			return error_set(DUR_E_MISUSE,
			                 "a tuple of %llu items whose pointer is NULL",
			                 (unsigned long long)open[depth].n);
		if (open[depth].at == open[depth].n) {
			if (depth == 0)
				return 0;
			put(t, "~q", 2);
			depth--;
			continue;
		}
		if (open[depth].at > 0)
			put(t, ",", 1);
		v = &open[depth].items[open[depth].at++];
		if (v->type != DUR_TUPLE) {
			rc = put_item(t, v, true);
			if (rc < 0)
				return rc;
			continue;
		}
		if (depth == KEY_DEPTH)
			return error_set(DUR_E_LIMIT, "a tuple nests deeper than %d", KEY_DEPTH);
		put(t, "~p", 2);
		depth++;
		open[depth].items = v->items;
		open[depth].n = v->len;
		open[depth].at = 0;
	}
}

int path_format_key(const dur_value *key, char *buf, size_t cap, size_t *len)
{
	struct text t = { buf, cap, 0 };
	int rc;

	if (!key)
		return error_set(DUR_E_MISUSE, "a key is NULL");
	if (key->type == DUR_TUPLE && key->len == 1 && key->items && key->items->type != DUR_TUPLE)
		key = key->items;
	rc = key->type == DUR_TUPLE ? put_tuple(&t, key) : put_item(&t, key, false);
	if (rc < 0)
		return rc;
	*len = t.len;
	if (t.len > cap)
		return error_set(-ENOSPC, "a key's text takes %zu characters, there are %zu", t.len,
		                 cap);
	return 0;
}
