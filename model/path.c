/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step's first two characters tell what it is, so reading never goes back. Strings without "~"
 * are read in place. Tuples are collected on the arena's stack, as in engine/key_decode.c.
 */
#include "model/path.h"

#include "engine/number.h"
#include "engine/utf8.h"
#include "include/internal/error.h"
#include "model/path_private.h"
#include "prefixes/time.h"

#include <errno.h>

int path_open(struct path *path, const dur_value *v)
{
	size_t len, valid;

	if (!v || v->type != DUR_PATH || (!v->str && v->len > 0))
		return error_set(DUR_E_MISUSE, "not a path: a DUR_PATH with a text is expected");
	len = v->len == DUR_CSTR ? strlen(v->str) : v->len;
	valid = utf8_valid(v->str, len);
	if (valid != len)
		return error_set(DUR_E_PATH, "path, byte %zu: not UTF-8", valid);
	if (len > 0 && v->str[0] != '/')
		return error_set(DUR_E_PATH, "path, byte 0: a path is empty or begins with /, as in"
		                             " /users/alice");
	path->start = path->at = v->str;
	path->end = len > 0 ? v->str + len : v->str;
	return 0;
}

static int bad(const struct path *path, const char *at, const char *what)
{
	return error_set(DUR_E_PATH, "path, byte %td: %s", at - path->start, what);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Two digits at p, or -1. */
static int hex_byte(const char *p, const char *end)
{
	int high = end - p >= 2 ? hex_value(p[0]) : -1, low = high >= 0 ? hex_value(p[1]) : -1;
	return low < 0 ? -1 : high << 4 | low;
}

static bool is_letter(char c)
{
	c |= 0x20;
	return c >= 'a' && c <= 'z';
}

/* ---- Strings ---- */

/* The character that the escape at *at stands for, or -1; goes on behind it. */
static int read_escape(const char **at, const char *end)
{
	int c = -1;

	if (end - *at < 2)
		return -1;
	switch ((*at)[1]) {
	case '0': c = '~'; break;
	case '1': c = '/'; break;
	case '2':
		c = hex_byte(*at + 2, end);
		if (c > 0x1f && c != 0x7f)
			c = -1;
		*at += 2;
		break;
	case '3': c = ','; break;
	default: break;
	}
	*at += 2;
	return c;
}

static int read_string(const struct path *path, const char *from, const char *end,
                       struct key_arena *scratch, dur_value *out)
{
	char *copy;
	size_t n = 0;

	out->type = DUR_STR;
	out->tag = 0;
	out->str = from;
	out->len = (uint64_t)(end - from);
	if (from == end || !memchr(from, '~', (size_t)(end - from)))
		return 0;
	copy = key_arena_take(scratch, (size_t)(end - from));
	if (!copy)
		return -ENOMEM;
	for (const char *p = from; p < end;) {
		const char *escape = p;
		int c;
		if (*p != '~') {
			copy[n++] = *p++;
			continue;
		}
		c = read_escape(&p, end);
		if (c < 0)
			return bad(path, escape,
			           "~ in a string stands before 0 (~), 1 (/), 2 and two"
			           " digits (a control character), or 3 (,)");
		copy[n++] = (char)c;
	}
	out->str = copy;
	out->len = n;
	return 0;
}

/* ---- Typed items: from is behind the letter ---- */

static int read_integer(const struct path *path, const char *from, const char *end, dur_value *out)
{
	size_t len = (size_t)(end - from);
	int64_t i;

	if (!number_is_integer(from, len))
		return bad(path, from, "~i takes an integer without leading zeros, as in ~i-42");
	out->type = DUR_INT;
	if (number_fits(from, len, &i)) {
		out->i = i;
		return 0;
	}
	out->type = DUR_BIGINT;
	out->str = from;
	out->len = len;
	return 0;
}

static int read_decimal(const struct path *path, const char *from, const char *end, dur_value *out)
{
	if (!number_is_decimal(from, (size_t)(end - from)))
		return bad(path, from, "~m takes a decimal, as in ~m-12.50");
	out->type = DUR_DECIMAL;
	out->str = from;
	out->len = (uint64_t)(end - from);
	return 0;
}

static int read_bool(const struct path *path, const char *from, const char *end, dur_value *out)
{
	size_t len = (size_t)(end - from);

	out->type = DUR_BOOL;
	out->i = len == 4;
	if (len == 4 ? memcmp(from, "true", 4) : len == 5 ? memcmp(from, "false", 5) : 1)
		return bad(path, from, "~b takes true or false");
	return 0;
}

static int read_double(const struct path *path, const char *from, const char *end, dur_value *out)
{
	static const char what[] =
		"~d takes a number, as in ~d0.1, ~dinf, or ~dnan and its 16 digits";
	size_t len = (size_t)(end - from);
	uint64_t bits = 0;

	out->type = DUR_DOUBLE;
	if (len != 19 || memcmp(from, "nan", 3) != 0)
		return path_read_double(from, len, &out->f) ? 0 : bad(path, from, what);
	for (const char *p = from + 3; p < end; p++) {
		int digit = hex_value(*p);
		if (digit < 0)
			return bad(path, p, what);
		bits = bits << 4 | (uint64_t)digit;
	}
	if ((bits & INT64_MAX) <= 0x7ff0000000000000)
		return bad(path, from, "these bits are of a number, not of a NaN");
	memcpy(&out->f, &bits, sizeof bits);
	return 0;
}

static int read_bytes(const struct path *path, const char *from, const char *end,
                      struct key_arena *scratch, dur_value *out)
{
	size_t n = 0;
	uint8_t *bytes = key_arena_take(scratch, (size_t)(end - from) / 2);

	if (!bytes)
		return -ENOMEM;
	for (const char *p = from; p < end; p += 2) {
		int byte = hex_byte(p, end);
		if (byte < 0)
			return bad(path, p,
			           "~x takes two hexadecimal digits for each byte, as in ~x00ff");
		bytes[n++] = (uint8_t)byte;
	}
	out->type = DUR_BYTES;
	out->ptr = bytes;
	out->len = n;
	return 0;
}

static int read_id(const struct path *path, const char *from, const char *end, dur_value *out)
{
	static const char what[] = "an identity is 32 hexadecimal digits and four -, as in"
				   " 01234567-89ab-cdef-0123-456789abcdef";
	const char *p = from;

	for (int i = 0; i < 16; i++, p += 2) {
		int byte;
		if (i == 4 || i == 6 || i == 8 || i == 10) {
			if (p == end || *p != '-')
				return bad(path, p, what);
			p++;
		}
		byte = hex_byte(p, end);
		if (byte < 0)
			return bad(path, p, what);
		out->id[i] = (uint8_t)byte;
	}
	return p == end ? 0 : bad(path, p, what);
}

static int read_time(const struct path *path, const char *from, const char *end, dur_value *out)
{
	struct time_stamp t;
	int rc = time_parse(from, (size_t)(end - from), &t);

	if (rc < 0)
		return error_context(DUR_E_PATH, "path, byte %td", from - path->start);
	out->type = DUR_TIME;
	out->zone_min = t.zone_min;
	out->time.sec = t.sec;
	out->time.nsec = t.nsec;
	out->time.pad = 0;
	return 0;
}

/* Anything but a tuple; the step or item ends at end. */
static int read_item(const struct path *path, const char *from, const char *end,
                     struct key_arena *scratch, dur_value *out)
{
	if (end - from < 2 || from[0] != '~' || !is_letter(from[1]))
		return read_string(path, from, end, scratch, out);
	out->tag = 0;
	switch (from[1]) {
	case 'n':
		out->type = DUR_NULL;
		return end - from == 2 ? 0 : bad(path, from + 2, "nothing follows ~n");
	case 'b': return read_bool(path, from + 2, end, out);
	case 'i': return read_integer(path, from + 2, end, out);
	case 'd': return read_double(path, from + 2, end, out);
	case 'm': return read_decimal(path, from + 2, end, out);
	case 'x': return read_bytes(path, from + 2, end, scratch, out);
	case 't': return read_time(path, from + 2, end, out);
	case 'u':
	case 'r':
	case 'w':
		out->type = from[1] == 'u' ? DUR_UUID : from[1] == 'r' ? DUR_REF : DUR_WEAK;
		return read_id(path, from + 2, end, out);
	default:
		return bad(path, from,
		           "no type of key has this letter: a string that begins with ~ is"
		           " written with ~0");
	}
}

/* ---- Tuples ---- */

/* The tuple that is being read: its items are on the arena's stack. */
struct open_tuples {
	size_t base[KEY_DEPTH + 1];
	size_t n;
	unsigned depth;
};

static int push_tuple(struct open_tuples *open, struct key_arena *scratch, dur_value *out)
{
	size_t from = open->base[open->depth], count = open->n - from;
	dur_value *items = NULL;

	if (count > 0) {
		items = key_arena_take(scratch, count * sizeof *items);
		if (!items)
			return -ENOMEM;
		memcpy(items, scratch->stack + from, count * sizeof *items);
	}
	open->n = from;
	*out = DUR_TUPLE(items, count);
	return 0;
}

/* Where the item at p ends: at a comma, at "~q", or with the step. */
static const char *item_end(const char *p, const char *end)
{
	for (; p < end && *p != ','; p++)
		if (*p == '~' && end - p >= 2 && p[1] == 'q')
			break;
	return p;
}

static bool closes(const char *p, const char *end)
{
	return end - p >= 2 && p[0] == '~' && p[1] == 'q';
}

static int push_item(const struct path *path, const char **at, const char *end,
                     struct open_tuples *open, struct key_arena *scratch)
{
	const char *from = *at, *to = item_end(from, end);
	dur_value *slot = key_arena_slot(scratch, open->n);

	if (!slot)
		return -ENOMEM;
	if (from == to)
		return bad(path, from, "an item is missing: an empty string in a tuple is ~e");
	open->n++;
	*at = to;
	if (to - from == 2 && from[0] == '~' && from[1] == 'e') {
		*slot = DUR_STRN(from, 0);
		return 0;
	}
	return read_item(path, from, to, scratch, slot);
}

/* p is behind "~p". */
static int read_tuple(const struct path *path, const char *p, const char *end,
                      struct key_arena *scratch, dur_value *out)
{
	struct open_tuples open = { { 0 }, 0, 0 };
	bool empty = true; /* the tuple was just begun */
	dur_value tuple, *slot;
	int rc;

	for (;;) {
		if (end - p >= 2 && p[0] == '~' && p[1] == 'p') {
			if (open.depth == KEY_DEPTH)
				return bad(path, p, "tuples nest too deep");
			open.base[++open.depth] = open.n;
			empty = true;
			p += 2;
			continue;
		}
		if (!empty || (open.depth > 0 ? !closes(p, end) : p < end)) {
			rc = push_item(path, &p, end, &open, scratch);
			if (rc < 0)
				return rc;
		}
		for (; open.depth > 0 && closes(p, end); p += 2) {
			rc = push_tuple(&open, scratch, &tuple);
			if (rc < 0)
				return rc;
			open.depth--;
			slot = key_arena_slot(scratch, open.n++);
			if (!slot)
				return -ENOMEM;
			*slot = tuple;
		}
		if (p == end)
			break;
		if (*p != ',')
			return bad(path, p, "a comma is expected between the items of a tuple");
		p++;
		empty = false;
	}
	if (open.depth > 0)
		return bad(path, p, "~q is missing, which ends a tuple within a tuple");
	return push_tuple(&open, scratch, out);
}

int path_next(struct path *path, struct key_arena *scratch, dur_value *step)
{
	const char *from = path->at, *end;

	if (from == path->end)
		return DUR_NONE;
	from++; /* the slash */
	end = from < path->end ? memchr(from, '/', (size_t)(path->end - from)) : NULL;
	if (!end)
		end = path->end;
	path->at = end;
	if (end - from >= 2 && from[0] == '~' && from[1] == 'p')
		return read_tuple(path, from + 2, end, scratch, step);
	return read_item(path, from, end, scratch, step);
}
