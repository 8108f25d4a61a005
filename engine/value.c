/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A payload's form depends on its type alone, so a value in a run and one in its cell are written
 * and read by the same code: cells differ in where the payload is.
 */
#include "engine/value.h"

#include "engine/number.h"
#include "engine/utf8.h"
#include "include/internal/bytes.h"
#include "include/internal/error.h"

#include <errno.h>

static int corrupt(const char *what)
{
	return error_set(DUR_E_CORRUPT, "a value is damaged: %s", what);
}

/* Its payload is text as key_text() gives it. */
static bool is_text(uint32_t type)
{
	return type == DUR_STR || type == DUR_BYTES || type == DUR_BIGINT || type == DUR_DECIMAL;
}

/* ---- Into cells ---- */

size_t value_cell_bound(const dur_value *v)
{
	const uint8_t *text;
	size_t len;

	if (is_text(v->type))
		return key_text(v, &text, &len) < 0 || len > VALUE_BYTES_MAX ? VALUE_SMALL
		                                                             : VALUE_HEAD_MAX + len;
	if (v->type == DUR_TUPLE)
		return key_pack(v->items, v->len, NULL, 0, &len) == -ENOSPC ? VALUE_HEAD_MAX + len
		                                                            : VALUE_SMALL;
	return VALUE_SMALL;
}

static size_t put_head(uint8_t *head, uint32_t type, uint16_t tag)
{
	head[0] = (uint8_t)type;
	if (tag == 0)
		return 1;
	head[0] |= VALUE_TAGGED;
	put_u16(head + 1, tag);
	return 3;
}

/* The text of v, checked. *type is DUR_INT for a big integer that is none, and then *i is set. */
static int check_text(const dur_value *v, const uint8_t **text, size_t *len, uint32_t *type,
                      int64_t *i)
{
	int rc = key_text(v, text, len);

	if (rc == 0 && *len > VALUE_BYTES_MAX)
		rc = error_set(DUR_E_LIMIT, "a value of %zu bytes: at most %llu", *len,
		               (unsigned long long)VALUE_BYTES_MAX);
	if (rc == 0)
		rc = key_check_scalar(v, *text, *len);
	*type = v->type;
	if (rc == 0 && v->type == DUR_BIGINT && number_fits((const char *)*text, *len, i))
		*type = DUR_INT;
	return rc;
}

static size_t put_time(uint8_t *to, const dur_value *v)
{
	put_u64(to, (uint64_t)v->time.sec);
	put_u32(to + 8, v->time.nsec);
	put_u16(to + 12, (uint16_t)v->zone_min);
	return v->zone_min != 0 ? 14 : v->time.nsec != 0 ? 12 : 8;
}

/* The payload of the types that take at most 16 bytes, which may all be written. */
static int put_small(const dur_value *v, uint8_t *to, size_t *n)
{
	int rc = key_check_scalar(v, NULL, 0);

	if (rc < 0)
		return rc;
	switch (v->type) {
	case DUR_NULL: *n = 0; return 0;
	case DUR_BOOL:
		to[0] = (uint8_t)v->i;
		*n = 1;
		return 0;
	case DUR_INT: *n = value_put_int(to, v->i); return 0;
	case DUR_DOUBLE:
		memcpy(to, &v->f, 8);
		*n = 8;
		return 0;
	case DUR_TIME: *n = put_time(to, v); return 0;
	case DUR_UUID:
	case DUR_REF:
	case DUR_WEAK:
		memcpy(to, v->id, 16);
		*n = 16;
		return 0;
	case DUR_ABSENT:
		return error_set(DUR_E_TYPE,
		                 "a value of type DUR_ABSENT (zero) cannot be stored: to remove an"
		                 " element use dur_del()");
	default: return error_set(DUR_E_TYPE, "a value of type %u is no scalar", v->type);
	}
}

static int no_room(size_t need, size_t cap)
{
	return error_set(-ENOSPC, "a value's cell takes %zu bytes, there are %zu", need, cap);
}

static int encode_tuple(const dur_value *v, uint8_t *buf, size_t cap, size_t *len)
{
	uint8_t head[VALUE_HEAD_MAX];
	size_t n = put_head(head, DUR_TUPLE, v->tag), packed;
	int rc;

	if (cap < n)
		return no_room(n, cap);
	memcpy(buf, head, n);
	rc = key_pack(v->items, v->len, buf + n, cap - n, &packed);
	if (rc < 0)
		return rc;
	*len = n + packed;
	return 0;
}

int value_encode(const dur_value *v, uint8_t *buf, size_t cap, size_t *len)
{
	uint8_t small[VALUE_HEAD_MAX + 16];
	const uint8_t *text = NULL;
	size_t n, payload;
	uint32_t type = v->type;
	int64_t i;
	int rc;

	/* A string as most are: the short way. */
	if (type == DUR_STR && v->tag == 0 && v->len < cap && v->ptr &&
	    utf8_copy(buf + 1, v->ptr, v->len)) {
		buf[0] = DUR_STR;
		*len = v->len + 1;
		return 0;
	}
	if (type == DUR_TUPLE)
		return encode_tuple(v, buf, cap, len);
	if (is_text(type)) {
		rc = check_text(v, &text, &payload, &type, &i);
		if (rc < 0)
			return rc;
	}
	n = put_head(small, type, v->tag);
	if (type != v->type) {
		payload = value_put_int(small + n, i);
		text = NULL;
	} else if (!is_text(type)) {
		rc = put_small(v, small + n, &payload);
		if (rc < 0)
			return rc;
	}
	if (n + payload > cap)
		return no_room(n + payload, cap);
	if (is_text(type)) {
		memcpy(buf, small, n);
		if (payload > 0)
			memcpy(buf + n, text, payload);
	} else {
		memcpy(buf, small, n + payload);
	}
	*len = n + payload;
	return 0;
}

static int head_of_tuple(const dur_value *v, struct key_arena *scratch, const void **payload,
                         uint64_t *payload_len)
{
	uint8_t *packed;
	size_t len;
	int rc = key_pack(v->items, v->len, NULL, 0, &len);

	if (rc < 0 && rc != -ENOSPC)
		return rc;
	if (len > VALUE_BYTES_MAX)
		return error_set(DUR_E_LIMIT, "a tuple of %zu bytes: at most %llu", len,
		                 (unsigned long long)VALUE_BYTES_MAX);
	packed = key_arena_take(scratch, len);
	if (!packed)
		return -ENOMEM;
	*payload = packed;
	*payload_len = len;
	return key_pack(v->items, v->len, packed, len, &len);
}

int value_head(const dur_value *v, struct key_arena *scratch, uint8_t head[VALUE_HEAD_MAX],
               size_t *n, const void **payload, uint64_t *payload_len)
{
	const uint8_t *text;
	uint32_t type = v->type;
	size_t len;
	int64_t i;
	int rc;

	if (is_text(type)) {
		rc = check_text(v, &text, &len, &type, &i);
		*payload = text;
		*payload_len = len;
	} else if (type == DUR_TUPLE) {
		rc = head_of_tuple(v, scratch, payload, payload_len);
	} else {
		rc = error_set(DUR_E_TYPE, "a value of type %u never lies outside its cell", type);
	}
	if (rc == 0 && type == DUR_INT)
		rc = error_set(DUR_E_TYPE, "an integer of 64 bits never lies outside its cell");
	if (rc < 0)
		return rc;
	*n = put_head(head, type, v->tag);
	head[0] |= VALUE_IN_RUN;
	return 0;
}

size_t value_put_run(uint8_t *cell, size_t head, const struct value_run *run)
{
	put_u64(cell + head, run->birth);
	put_u48(cell + head + 8, run->page);
	put_u64(cell + head + 14, run->bytes);
	return head + VALUE_RUN_CELL;
}

/* ---- Out of cells ---- */

/* Reads type and tag; gives the n bytes behind them, NULL (and a message) if there are none. */
static const uint8_t *open_cell(const uint8_t *cell, size_t len, dur_value *out, size_t *n)
{
	size_t head = len > 0 && (cell[0] & VALUE_TAGGED) ? 3 : 1;

	*n = 0;
	if (unlikely(len < head)) {
		corrupt("a cell ends within its head");
		return NULL;
	}
	out->type = cell[0] & VALUE_TYPE;
	out->tag = head == 3 ? get_u16(cell + 1) : 0;
	*n = len - head;
	return cell + head;
}

int value_run(const uint8_t *cell, size_t len, struct value_run *run)
{
	dur_value v;
	size_t n;
	const uint8_t *place = open_cell(cell, len, &v, &n);

	if (!place)
		return DUR_E_CORRUPT;
	if (!value_is_run(cell, len) || n != VALUE_RUN_CELL ||
	    !(is_text(v.type) || v.type == DUR_TUPLE))
		return corrupt("not a cell of a run");
	run->birth = get_u64(place);
	run->page = get_u48(place + 8);
	run->bytes = get_u64(place + 14);
	return run->bytes > VALUE_BYTES_MAX ? corrupt("a run is too long") : 0;
}

static int64_t get_int(const uint8_t *p, size_t n)
{
	uint64_t u = 0;

	if (n == 0)
		return 0;
	if (n == 8)
		return (int64_t)get_u64(p);
	for (size_t k = n; k-- > 0;)
		u = u << 8 | p[k];
	return (int64_t)(u << (64 - 8 * n)) >> (64 - 8 * n);
}

static int get_time(const uint8_t *p, size_t n, dur_value *out)
{
	out->time.sec = (int64_t)get_u64(p);
	out->time.nsec = n >= 12 ? get_u32(p + 8) : 0;
	out->zone_min = n == 14 ? (int16_t)get_u16(p + 12) : 0;
	return key_check_scalar(out, NULL, 0) < 0 ? corrupt("a time is out of range") : 0;
}

/* out->type and tag are set; its payload is at p. */
static int get_payload(const uint8_t *p, size_t n, struct key_arena *scratch, dur_value *out)
{
	uint16_t tag = out->tag;
	int rc;

	switch (out->type) {
	case DUR_NULL: return n == 0 ? 0 : corrupt("a null has a payload");
	case DUR_BOOL:
		if (n != 1 || p[0] > 1)
			return corrupt("a bool is neither 0 nor 1");
		out->i = p[0];
		return 0;
	case DUR_INT:
		if (n > 8)
			return corrupt("an integer has more than 8 bytes");
		out->i = get_int(p, n);
		return 0;
	case DUR_DOUBLE:
		if (n != 8)
			return corrupt("a double has not 8 bytes");
		memcpy(&out->f, p, 8);
		return 0;
	case DUR_STR:
	case DUR_BYTES:
	case DUR_BIGINT:
	case DUR_DECIMAL:
		out->ptr = p;
		out->len = n;
		return 0;
	case DUR_TIME:
		return n == 8 || n == 12 || n == 14 ? get_time(p, n, out)
		                                    : corrupt("a time's length");
	case DUR_UUID:
	case DUR_REF:
	case DUR_WEAK:
		if (n != 16)
			return corrupt("an identity has not 16 bytes");
		memcpy(out->id, p, 16);
		return 0;
	case DUR_TUPLE:
		rc = key_unpack(p, n, scratch, out);
		out->tag = tag;
		return rc;
	default: return corrupt("a type that is no scalar");
	}
}

int value_decode(const uint8_t *cell, size_t len, struct key_arena *scratch, dur_value *out)
{
	size_t n;
	const uint8_t *payload = open_cell(cell, len, out, &n);

	if (unlikely(!payload))
		return DUR_E_CORRUPT;
	if (unlikely(cell[0] & VALUE_IN_RUN))
		return corrupt("its payload is in a run, not in its cell");
	return get_payload(payload, n, scratch, out);
}

int value_decode_run(const uint8_t *cell, size_t len, const void *payload,
                     struct key_arena *scratch, dur_value *out)
{
	struct value_run run;
	size_t n;
	int rc = value_run(cell, len, &run);

	if (rc < 0)
		return rc;
	open_cell(cell, len, out, &n);
	return get_payload(payload, run.bytes, scratch, out);
}

int value_check(const uint8_t *cell, size_t len, const void *payload, struct key_arena *scratch)
{
	uint8_t again[VALUE_HEAD_MAX + 16];
	const uint8_t *text;
	dur_value v;
	size_t n;
	int64_t i;
	int rc = value_is_run(cell, len) ? value_decode_run(cell, len, payload, scratch, &v)
	                                 : value_decode(cell, len, scratch, &v);

	if (rc < 0)
		return rc;
	if ((cell[0] & VALUE_TAGGED) && v.tag == 0)
		return corrupt("a tag that is 0 takes no bytes");
	if (v.type == DUR_TUPLE)
		return 0;
	if (is_text(v.type)) {
		if (key_text(&v, &text, &n) < 0 || key_check_scalar(&v, text, n) < 0)
			return corrupt("its text is not UTF-8 or no number");
		if (v.type == DUR_BIGINT && number_fits(v.str, n, &i))
			return corrupt("a big integer that is a plain one");
		return 0;
	}
	if (value_encode(&v, again, sizeof again, &n) < 0 || n != len ||
	    memcmp(again, cell, n) != 0)
		return corrupt("a number or time takes more bytes than it should");
	return 0;
}
