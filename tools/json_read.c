/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson parses; here its tree becomes a value, with everything that it points to in the arena.
 * Whether the digits of a decimal or a large integer are a number is for the library to say.
 */
#include "json_read.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "timetext.h"

#define LOAD_FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES)
#define MAX_DEPTH  100 /* of forms in forms; bounds the recursion */
#define ONLY_SCALARS \
	"only scalars can be stored: store it as a string, or as a tuple {\"~p\":[...]}"

struct reader {
	struct arena *arena;
	struct json_fault *fault;
	unsigned depth;
};

struct text {
	const char *at;
	size_t len;
};

static bool wrong(struct json_fault *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static bool convert(struct reader *r, const json_t *j, dur_value *v);

static bool wrong(struct json_fault *f, const char *format, ...)
{
	va_list list;
	*f = (struct json_fault){ 0 };
	va_start(list, format);
	vsnprintf(f->text, sizeof f->text, format, list);
	va_end(list);
	return false;
}

/* ---- Parsing ---- */

/* What to do about it, where jansson's words do not tell. */
static const char *advice(const json_error_t *e)
{
	static const char near[] = "invalid token near '";
	enum json_error_code code = json_error_code(e);
	if (code == json_error_invalid_utf8)
		return ": it is not UTF-8, and bytes are written {\"~x\":\"00ff\"}";
	if (code == json_error_numeric_overflow && strncmp(e->text, "too big", 7) == 0)
		return ": beyond 64 bits an integer is written {\"~i\":\"123...\"}";
	if (code == json_error_numeric_overflow)
		return ": beyond a double there are decimals, {\"~m\":\"123...\"}";
	if (strncmp(e->text, near, sizeof near - 1) == 0 &&
	    isalpha((unsigned char)e->text[sizeof near - 1]))
		return ": a string stands in quotes, \"like this\"";
	return "";
}

static void not_json(struct json_fault *f, const json_error_t *e)
{
	wrong(f, "%s%s", e->text, advice(e));
	/* It quotes the text, which is not to move the cursor of a terminal. */
	for (char *s = f->text; *s != '\0'; s++)
		if (iscntrl((unsigned char)*s))
			*s = '?';
	f->line = e->line > 0 ? (unsigned)e->line : 1;
	f->column = e->column > 0 ? (unsigned)e->column : 1;
	f->byte = e->position > 0 ? (unsigned)e->position : 1;
}

static json_t *parse(const char *text, size_t len, struct json_fault *f)
{
	json_error_t e;
	json_t *j = json_loadb(text, len, LOAD_FLAGS, &e);
	if (j == NULL)
		not_json(f, &e);
	return j;
}

json_t *json_read_next(json_load_callback_t next, void *arg, struct json_fault *f)
{
	json_error_t e;
	json_t *j = json_load_callback(next, arg, LOAD_FLAGS | JSON_DISABLE_EOF_CHECK, &e);
	if (j == NULL)
		not_json(f, &e);
	return j;
}

/* ---- The forms for what JSON lacks ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct text text_of(struct reader *r, const json_t *j)
{
	size_t len = json_string_length(j);
	return (struct text){ arena_copy(r->arena, json_string_value(j), len), len };
}

/* A string may hold NUL bytes: strcmp alone would not see what follows. */
static bool text_is(struct text s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.at, word, s.len) == 0;
}

static bool form_bytes(struct reader *r, struct text s, dur_value *v)
{
	uint8_t *out = arena_alloc(r->arena, s.len / 2 + 1);
	for (size_t i = 0; i + 1 < s.len; i += 2) {
		int high = hex_digit(s.at[i]), low = hex_digit(s.at[i + 1]);
		if (high < 0 || low < 0)
			return wrong(r->fault, "~x takes hexadecimal digits");
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	if (s.len % 2 != 0)
		return wrong(r->fault, "~x takes two hexadecimal digits a byte");
	*v = DUR_BYTES(out, s.len / 2);
	return true;
}

static bool form_id(struct reader *r, struct text s, uint32_t type, dur_value *v)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	unsigned digits = 0;
	*v = (dur_value){ .type = type };
	for (size_t i = 0; i < sizeof shape - 1; i++) {
		int d = i < s.len ? hex_digit(s.at[i]) : -1;
		if (s.len != sizeof shape - 1 || (shape[i] == '-' ? s.at[i] != '-' : d < 0))
			return wrong(r->fault, "a UUID looks like "
			                       "2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab");
		if (shape[i] != '-') {
			v->id[digits / 2] = (uint8_t)(v->id[digits / 2] << 4 | d);
			digits++;
		}
	}
	return true;
}

static bool form_digits(struct text s, uint32_t type, dur_value *v)
{
	*v = (dur_value){ .type = type, .len = s.len, .str = s.at };
	return true;
}

static bool form_double(struct reader *r, struct text s, dur_value *v)
{
	uint64_t bits = 0;
	if (text_is(s, "inf")) {
		bits = 0x7ff0000000000000;
	} else if (text_is(s, "-inf")) {
		bits = 0xfff0000000000000;
	} else if (text_is(s, "nan")) {
		bits = 0x7ff8000000000000;
	} else {
		bool good = s.len == 19 && memcmp(s.at, "nan", 3) == 0;
		for (size_t i = 3; good && i < 19; i++) {
			int d = hex_digit(s.at[i]);
			good = d >= 0;
			bits = bits << 4 | (uint64_t)(d & 15);
		}
		if (!good)
			return wrong(r->fault, "~d takes inf, -inf, nan or nan7ff8000000000001");
	}
	*v = DUR_DOUBLE(0);
	memcpy(&v->f, &bits, sizeof bits);
	if (s.len == 19 && !isnan(v->f))
		return wrong(r->fault, "these bits are not those of a NaN");
	return true;
}

static bool form_tuple(struct reader *r, const json_t *list, dur_value *v)
{
	size_t n = json_array_size(list);
	dur_value *items = arena_alloc(r->arena, n * sizeof *items);
	if (!json_is_array(list))
		return wrong(r->fault, "~p takes an array");
	for (size_t i = 0; i < n; i++)
		if (!convert(r, json_array_get(list, i), &items[i]))
			return false;
	*v = DUR_TUPLE(items, n);
	return true;
}

static bool form_tagged(struct reader *r, const json_t *pair, dur_value *v)
{
	json_int_t tag = json_integer_value(json_array_get(pair, 0));
	if (json_array_size(pair) != 2 || tag < 1 || tag > UINT16_MAX)
		return wrong(r->fault, "~g takes [TAG, VALUE] with a tag from 1 to 65535");
	if (!convert(r, json_array_get(pair, 1), v))
		return false;
	if (v->tag != 0)
		return wrong(r->fault, "a value has one tag only");
	v->tag = (uint16_t)tag;
	return true;
}

static bool form_text(struct reader *r, char letter, const json_t *j, dur_value *v)
{
	if (!json_is_string(j))
		return wrong(r->fault, "~%c takes a string", letter);
	struct text s = text_of(r, j);
	switch (letter) {
	case 'x': return form_bytes(r, s, v);
	case 'u': return form_id(r, s, DUR_UUID, v);
	case 'r': return form_id(r, s, DUR_REF, v);
	case 'w': return form_id(r, s, DUR_WEAK, v);
	case 'm': return form_digits(s, DUR_DECIMAL, v);
	case 'i': return form_digits(s, DUR_BIGINT, v);
	case 'd': return form_double(r, s, v);
	default:
		return time_parse(s.at, s.len, v) ||
		       wrong(r->fault, "a time looks like 2026-11-20T10:00:00.5+02:00");
	}
}

static bool form(struct reader *r, json_t *object, dur_value *v)
{
	const char *name = json_object_iter_key(json_object_iter(object));
	const json_t *j = json_object_iter_value(json_object_iter(object));
	if (json_object_size(object) != 1 || name[0] != '~')
		return wrong(r->fault, "this is a plain object, and " ONLY_SCALARS);
	if (strlen(name) != 2 || strchr("xurwmidtpg", name[1]) == NULL)
		return wrong(r->fault, "there is no form like this: ~x ~u ~t ~m ~i ~d ~r ~w ~p ~g");
	if (name[1] == 'p')
		return form_tuple(r, j, v);
	if (name[1] == 'g')
		return form_tagged(r, j, v);
	return form_text(r, name[1], j, v);
}

/* ---- Values and entries ---- */

static bool convert(struct reader *r, const json_t *j, dur_value *v)
{
	struct text s;
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		if (r->depth == MAX_DEPTH)
			return wrong(r->fault, "nested too deep");
		r->depth++;
		/* To walk through an object jansson wants it without const. */
		bool good = form(r, (json_t *)(uintptr_t)j, v);
		r->depth--;
		return good;
	case JSON_ARRAY: return wrong(r->fault, "this is an array, and " ONLY_SCALARS);
	case JSON_STRING:
		s = text_of(r, j);
		*v = DUR_STRN(s.at, s.len);
		return true;
	case JSON_INTEGER: *v = DUR_INT(json_integer_value(j)); return true;
	case JSON_REAL: *v = DUR_DOUBLE(json_real_value(j)); return true;
	case JSON_TRUE: *v = DUR_BOOL(1); return true;
	case JSON_FALSE: *v = DUR_BOOL(0); return true;
	default: *v = DUR_NULL(); return true;
	}
}

bool json_to_value(struct arena *a, const json_t *j, dur_value *v, struct json_fault *f)
{
	struct reader r = { .arena = a, .fault = f };
	return convert(&r, j, v);
}

static bool member(struct arena *a, const json_t *entry, const char *name, dur_value *v,
                   struct json_fault *f)
{
	struct json_fault inner;
	const json_t *j = json_object_get(entry, name);
	if (j == NULL)
		return wrong(f, "the entry has no \"%s\"", name);
	return json_to_value(a, j, v, &inner) || wrong(f, "its %s: %s", name, inner.text);
}

bool json_to_entry(struct arena *a, const json_t *j, dur_value *key, dur_value *value,
                   struct json_fault *f)
{
	if (!json_is_object(j))
		return wrong(f, "an entry is {\"key\":...,\"value\":...}");
	if (!member(a, j, "key", key, f) || !member(a, j, "value", value, f))
		return false;
	return json_object_size(j) == 2 ||
	       wrong(f, "an entry is {\"key\":...,\"value\":...}, with no other member");
}

bool json_read_value(struct arena *a, const char *text, size_t len, dur_value *v,
                     struct json_fault *f)
{
	json_auto_t *j = parse(text, len, f);
	return j != NULL && json_to_value(a, j, v, f);
}

bool json_read_entry(struct arena *a, const char *text, size_t len, dur_value *key,
                     dur_value *value, struct json_fault *f)
{
	json_auto_t *j = parse(text, len, f);
	return j != NULL && json_to_entry(a, j, key, value, f);
}

bool json_is_utf8(const void *bytes, size_t len)
{
	json_auto_t *j = json_stringn(bytes, len);
	return j != NULL;
}
