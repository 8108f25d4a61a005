/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings, bytes and int64 as whole keys have a path of their own: they are on the way of every
 * get. All else goes item by item into a sink that counts what no longer fits, so that one walk
 * both encodes and measures.
 */
#include "engine/key.h"

#include "engine/key_codes.h"
#include "engine/key_plain.h"
#include "engine/number.h"
#include "engine/utf8.h"
#include "include/internal/bytes.h"
#include "include/internal/error.h"

#include <errno.h>

/* ---- What a scalar's fields may hold ---- */

int key_text(const dur_value *v, const uint8_t **text, size_t *len)
{
	*text = v->ptr;
	*len = 0;
	if (v->len != DUR_CSTR) {
		*len = v->len;
		if (unlikely(!v->ptr && v->len > 0))
			return error_set(DUR_E_MISUSE,
			                 "a value of %llu bytes whose pointer is NULL",
			                 (unsigned long long)v->len);
		return 0;
	}
	if (v->type == DUR_BYTES)
		return error_set(DUR_E_MISUSE, "DUR_CSTR is no length of bytes: give their number");
	if (!v->str)
		return error_set(DUR_E_MISUSE, "a NUL-terminated value whose pointer is NULL");
	*len = strlen(v->str);
	return 0;
}

static int check_time(const dur_value *v)
{
	if (v->time.nsec >= 1000000000)
		return error_set(DUR_E_RANGE,
		                 "a time's nanoseconds are %u, they must be below 1000000000",
		                 v->time.nsec);
	if (v->zone_min != DUR_NO_ZONE && (v->zone_min < -1439 || v->zone_min > 1439))
		return error_set(DUR_E_RANGE,
		                 "a time's zone is %d minutes, it must be within 1439, or"
		                 " DUR_NO_ZONE",
		                 v->zone_min);
	return 0;
}

int key_check_scalar(const dur_value *v, const uint8_t *text, size_t len)
{
	switch (v->type) {
	case DUR_BOOL:
		if (v->i != 0 && v->i != 1)
			return error_set(DUR_E_MISUSE, "a bool is 0 or 1, not %lld",
			                 (long long)v->i);
		return 0;
	case DUR_BIGINT:
		if (!number_is_integer((const char *)text, len))
			return error_set(DUR_E_MISUSE,
			                 "not an integer: these are digits with no leading"
			                 " zero, \"-\" before a negative one");
		return 0;
	case DUR_DECIMAL:
		if (!number_is_decimal((const char *)text, len))
			return error_set(DUR_E_MISUSE,
			                 "not a decimal: these are like -12.50, with no exponent,"
			                 " no leading zeros, no negative zero");
		return 0;
	case DUR_STR: {
		size_t valid = utf8_valid(text, len);
		if (valid != len)
			return error_set(
				DUR_E_MISUSE,
				"a string is not UTF-8 at byte %zu: use DUR_BYTES for bytes",
				valid);
		return 0;
	}
	case DUR_TIME: return check_time(v);
	default: return 0;
	}
}

/* ---- Encoding ---- */

/* Where encoded bytes go. len counts on when they no longer fit. */
struct sink {
	uint8_t *buf;
	size_t cap, len;
};

static void sink_put(struct sink *s, const void *bytes, size_t n)
{
	if (n <= s->cap && s->len <= s->cap - n && n > 0)
		memcpy(s->buf + s->len, bytes, n);
	s->len += n;
}

static void sink_byte(struct sink *s, uint8_t byte)
{
	if (s->len < s->cap)
		s->buf[s->len] = byte;
	s->len++;
}

static void put_escaped(struct sink *s, const uint8_t *bytes, size_t n)
{
	while (n > 0) {
		const uint8_t *zero = memchr(bytes, 0, n);
		size_t run = zero ? (size_t)(zero - bytes) + 1 : n;
		sink_put(s, bytes, run);
		if (zero)
			sink_byte(s, KEY_ESCAPE);
		bytes += run;
		n -= run;
	}
}

static void put_time(struct sink *s, const dur_value *v)
{
	uint8_t b[15] = { KEY_TIME };

	put_be64(b + 1, (uint64_t)v->time.sec ^ 1ull << 63);
	put_u32(b + 9, __builtin_bswap32(v->time.nsec));
	put_u16(b + 13, __builtin_bswap16((uint16_t)(v->zone_min ^ INT16_MIN)));
	sink_put(s, b, sizeof b);
}

static void put_double(struct sink *s, double f)
{
	uint64_t bits;
	uint8_t b[9] = { KEY_DOUBLE };

	memcpy(&bits, &f, sizeof bits);
	put_be64(b + 1, bits >> 63 ? ~bits : bits | 1ull << 63);
	sink_put(s, b, sizeof b);
}

static int put_number(struct sink *s, uint32_t type, const uint8_t *text, size_t len)
{
	uint8_t b[NUMBER_DECIMAL_KEY];
	size_t n;

	if (type == DUR_BIGINT) {
		n = number_encode_integer((const char *)text, len, b);
		if (n == 0)
			return error_set(
				DUR_E_LIMIT,
				"an integer of %zu digits: at most %d bytes fit a key or tuple",
				len, NUMBER_INTEGER_BYTES);
	} else {
		n = number_encode_decimal((const char *)text, len, b);
		if (n == 0)
			return error_set(
				DUR_E_LIMIT,
				"a decimal of %zu characters: at most %d in a key or tuple", len,
				NUMBER_DECIMAL_TEXT);
	}
	sink_put(s, b, n);
	return 0;
}

static int put_id(struct sink *s, uint8_t code, const uint8_t id[16])
{
	sink_byte(s, code);
	sink_put(s, id, 16);
	return 0;
}

/* Any item but a tuple. */
static int put_item(struct sink *s, const dur_value *v, bool nested)
{
	const uint8_t *text = NULL;
	uint8_t b[9];
	size_t len = 0;
	int rc = 0;

	if (v->type == DUR_STR || v->type == DUR_BYTES || v->type == DUR_BIGINT ||
	    v->type == DUR_DECIMAL)
		rc = key_text(v, &text, &len);
	if (rc == 0)
		rc = key_check_scalar(v, text, len);
	if (rc < 0)
		return rc;
	switch (v->type) {
	case DUR_NULL: sink_put(s, "\x00\xff", nested ? 2 : 1); return 0;
	case DUR_BOOL: sink_byte(s, v->i ? KEY_TRUE : KEY_FALSE); return 0;
	case DUR_INT: sink_put(s, b, number_encode(v->i, b)); return 0;
	case DUR_BIGINT:
	case DUR_DECIMAL: return put_number(s, v->type, text, len);
	case DUR_DOUBLE: put_double(s, v->f); return 0;
	case DUR_STR:
	case DUR_BYTES:
		sink_byte(s, v->type == DUR_STR ? KEY_STR : KEY_BYTES);
		put_escaped(s, text, len);
		sink_byte(s, 0);
		return 0;
	case DUR_TIME: put_time(s, v); return 0;
	case DUR_UUID: return put_id(s, KEY_UUID, v->id);
	case DUR_REF: return put_id(s, KEY_REF, v->id);
	case DUR_WEAK: return put_id(s, KEY_WEAK, v->id);
	case DUR_ABSENT:
		return error_set(
			DUR_E_TYPE,
			"a value of type DUR_ABSENT (zero) cannot be a key or an item of a tuple");
	default:
		return error_set(DUR_E_TYPE,
		                 "a value of type %u cannot be a key or an item of a tuple: it must"
		                 " be a scalar or a tuple",
		                 v->type);
	}
}

/* Puts items and the tuples in them, and stops soon after `enough` bytes. */
static int put_items(struct sink *s, const dur_value *items, uint64_t n, size_t enough)
{
	struct {
		const dur_value *items;
		uint64_t left;
	} open[KEY_DEPTH + 1];
	unsigned depth = 0;
	int rc;

	open[0].items = items;
	open[0].left = n;
	for (;;) {
		const dur_value *v = open[depth].items;
		if (unlikely(!v && open[depth].left > 0))
			return error_set(DUR_E_MISUSE,
			                 "a tuple of %llu items whose pointer is NULL",
			                 (unsigned long long)open[depth].left);
		if (open[depth].left == 0) {
			if (depth == 0)
				return 0;
			sink_byte(s, 0);
			depth--;
			continue;
		}
		open[depth].items++;
		open[depth].left--;
		if (v->type == DUR_TUPLE) {
			if (depth == KEY_DEPTH)
				return error_set(DUR_E_LIMIT, "a tuple nests deeper than %d",
				                 KEY_DEPTH);
			sink_byte(s, KEY_TUPLE);
			depth++;
			open[depth].items = v->items;
			open[depth].left = v->len;
		} else {
			rc = put_item(s, v, depth > 0);
			if (rc < 0)
				return rc;
		}
		if (s->len > enough)
			return 0;
	}
}

static int too_long(void)
{
	return error_set(DUR_E_LIMIT, "a key is longer than %d bytes when encoded", DUR_MAX_KEY);
}

static int encode_any(const dur_value *key, uint8_t *buf, size_t cap, size_t *len)
{
	struct sink s = { buf, cap, 0 };
	int rc;

	if (key->type == DUR_TUPLE)
		rc = put_items(&s, key->items, key->len, cap);
	else
		rc = put_item(&s, key, false);
	if (rc < 0)
		return rc;
	if (s.len > cap)
		return too_long();
	*len = s.len;
	return 0;
}

int key_encode(const dur_value *key, uint8_t *buf, size_t cap, size_t *len)
{
	const uint8_t *text;
	size_t n;
	int rc;

	if (unlikely(!key))
		return error_set(DUR_E_MISUSE, "a key is NULL");
	if (cap > DUR_MAX_KEY)
		cap = DUR_MAX_KEY;
	if (key->type == DUR_STR || key->type == DUR_BYTES) {
		text = key->ptr;
		n = key->len;
		if (unlikely(n == DUR_CSTR || !text)) {
			rc = key_text(key, &text, &n);
			if (rc < 0)
				return rc;
		}
		if (unlikely(cap < 2 || n > cap - 2))
			return too_long();
		if (key->type == DUR_STR ? key_copy_plain(buf + 1, text, n, true)
		                         : key_copy_plain(buf + 1, text, n, false)) {
			buf[0] = key->type == DUR_STR ? KEY_STR : KEY_BYTES;
			buf[n + 1] = 0;
			*len = n + 2;
			return 0;
		}
	} else if (key->type == DUR_INT && cap >= 9) {
		*len = number_encode(key->i, buf);
		return 0;
	}
	return encode_any(key, buf, cap, len);
}

int key_pack(const dur_value *items, uint64_t n, uint8_t *buf, size_t cap, size_t *len)
{
	struct sink s = { buf, cap, 0 };
	int rc = put_items(&s, items, n, SIZE_MAX);

	if (rc < 0)
		return rc;
	*len = s.len;
	if (s.len > cap)
		return error_set(-ENOSPC, "a tuple takes %zu bytes, there are %zu", s.len, cap);
	return 0;
}

int key_encode_raw(const dur_value *key, uint8_t *buf, size_t cap, size_t *len)
{
	const uint8_t *text;
	size_t n;
	int rc;

	if (unlikely(!key))
		return error_set(DUR_E_MISUSE, "a key is NULL");
	if (unlikely(key->type != DUR_STR && key->type != DUR_BYTES))
		return error_set(
			DUR_E_TYPE,
			"this collection has raw keys: a key must be bytes or a string, not"
			" of type %u",
			key->type);
	rc = key_text(key, &text, &n);
	if (unlikely(rc < 0))
		return rc;
	if (unlikely(n > cap || n > DUR_MAX_KEY))
		return error_set(DUR_E_LIMIT, "a key of %zu bytes: at most %d", n, DUR_MAX_KEY);
	if (n > 0)
		memcpy(buf, text, n);
	*len = n;
	return 0;
}
