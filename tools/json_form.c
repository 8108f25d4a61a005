/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the digits of a decimal or a large integer are a number is for the library to say, and
 * whether a tuple may hold what stands in it.
 */
#include "json_form.h"

#include <math.h>
#include <string.h>

#include "timetext.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A string may hold NUL bytes: strcmp alone would not see what follows. */
static bool text_is(const dur_value *s, const char *word)
{
	return s->len == strlen(word) && memcmp(s->str, word, s->len) == 0;
}

static const char *form_bytes(struct arena *a, const dur_value *s, dur_value *v)
{
	uint64_t len = s->len;
	uint8_t *out = arena_alloc(a, len / 2 + 1);

	for (uint64_t i = 0; i + 1 < len; i += 2) {
		int high = hex_digit(s->str[i]), low = hex_digit(s->str[i + 1]);
		if (high < 0 || low < 0)
			return "~x takes hexadecimal digits";
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	if (len % 2 != 0)
		return "~x takes two hexadecimal digits a byte";
	*v = DUR_BYTES(out, len / 2);
	return NULL;
}

static const char *form_id(const dur_value *s, uint32_t type, dur_value *v)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	dur_value id = { .type = type };
	unsigned digits = 0;

	for (size_t i = 0; i < sizeof shape - 1; i++) {
		int d = i < s->len ? hex_digit(s->str[i]) : -1;
		if (s->len != sizeof shape - 1 || (shape[i] == '-' ? s->str[i] != '-' : d < 0))
			return "a UUID looks like 2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab";
		if (shape[i] != '-') {
			id.id[digits / 2] = (uint8_t)(id.id[digits / 2] << 4 | d);
			digits++;
		}
	}
	*v = id;
	return NULL;
}

static const char *form_double(const dur_value *s, dur_value *v)
{
	uint64_t bits = 0;
	double f;

	if (text_is(s, "inf")) {
		bits = 0x7ff0000000000000;
	} else if (text_is(s, "-inf")) {
		bits = 0xfff0000000000000;
	} else if (text_is(s, "nan")) {
		bits = 0x7ff8000000000000;
	} else {
		bool good = s->len == 19 && memcmp(s->str, "nan", 3) == 0;
		for (size_t i = 3; good && i < 19; i++) {
			int d = hex_digit(s->str[i]);
			good = d >= 0;
			bits = bits << 4 | (uint64_t)(d & 15);
		}
		if (!good)
			return "~d takes inf, -inf, nan or nan7ff8000000000001";
	}
	memcpy(&f, &bits, sizeof f);
	if (s->len == 19 && !isnan(f))
		return "these bits are not those of a NaN";
	*v = DUR_DOUBLE(f);
	return NULL;
}

static const char *form_time(const dur_value *s, dur_value *v)
{
	return timetext_parse(s->str, s->len, v) ? NULL
	                                         : "a time looks like 2026-11-20T10:00:00.5+02:00";
}

static const char *form_text(struct arena *a, char letter, const dur_value *s, dur_value *v)
{
	switch (letter) {
	case 'x': return form_bytes(a, s, v);
	case 'u': return form_id(s, DUR_UUID, v);
	case 'r': return form_id(s, DUR_REF, v);
	case 'w': return form_id(s, DUR_WEAK, v);
	case 'd': return form_double(s, v);
	case 't': return form_time(s, v);
	default:
		*v = (dur_value){ .type = letter == 'm' ? DUR_DECIMAL : DUR_BIGINT,
			          .len = s->len,
			          .str = s->str };
		return NULL;
	}
}

static const char *form_tuple(const dur_value *list, dur_value *v)
{
	for (uint64_t i = 0; i < list->len; i++)
		if (list->items[i].type >= DUR_MAP)
			return "a tuple holds scalars and tuples, {\"~p\":[...]}";
	*v = DUR_TUPLE(list->items, list->len);
	return NULL;
}

static const char *form_tagged(const dur_value *pair, dur_value *v)
{
	const dur_value *tag = pair->items;

	if (pair->len != 2 || tag->type != DUR_INT || tag->tag != 0 || tag->i < 1 ||
	    tag->i > UINT16_MAX)
		return "~g takes [TAG, VALUE] with a tag from 1 to 65535";
	if (pair->items[1].type >= DUR_MAP)
		return "only a scalar or a tuple has a tag";
	if (pair->items[1].tag != 0)
		return "a value has one tag only";
	uint16_t number = (uint16_t)tag->i;
	*v = pair->items[1];
	v->tag = number;
	return NULL;
}

static bool is_list(const dur_value *v)
{
	return v->type == (DUR_LIST | DUR_LITERAL);
}

static const char *form_pairs(struct arena *a, const dur_value *list, uint32_t kind, dur_value *v)
{
	dur_value *items = arena_alloc(a, 2 * list->len * sizeof *items);

	for (uint64_t i = 0; i < list->len; i++) {
		const dur_value *pair = &list->items[i];
		if (!is_list(pair) || pair->len != 2)
			return "a map in pairs is [[KEY,VALUE],...]";
		if (pair->items[0].type >= DUR_MAP || pair->items[0].tag != 0)
			return "a key is a scalar or a tuple, with no tag";
		memcpy(items + 2 * i, pair->items, 2 * sizeof *items);
	}
	*v = DUR_NEW(kind, items, 2 * list->len);
	return NULL;
}

static const char *form_set(const dur_value *list, uint32_t kind, dur_value *v)
{
	for (uint64_t i = 0; i < list->len; i++)
		if (list->items[i].type >= DUR_MAP || list->items[i].tag != 0)
			return "a set holds scalars and tuples, with no tags";
	*v = DUR_NEW(kind, list->items, list->len);
	return NULL;
}

static const char *form_rope(const dur_value *list, dur_value *v)
{
	for (uint64_t i = 0; i < list->len; i++)
		if ((list->items[i].type != DUR_STR && list->items[i].type != DUR_BYTES) ||
		    list->items[i].tag != 0)
			return "~l takes an array of strings and bytes";
	*v = DUR_NEW(DUR_ROPE, list->items, list->len);
	return NULL;
}

static const char *form_list(struct arena *a, char letter, const dur_value *list, dur_value *v)
{
	switch (letter) {
	case 'p': return form_tuple(list, v);
	case 'g': return form_tagged(list, v);
	case 'k': return form_pairs(a, list, DUR_MAP, v);
	case 'K': return form_pairs(a, list, DUR_RAW_MAP, v);
	case 's': return form_set(list, DUR_SET, v);
	case 'S': return form_set(list, DUR_RAW_SET, v);
	default: return form_rope(list, v);
	}
}

const char *form_value(struct arena *a, const dur_value *name, const dur_value *inner, dur_value *v)
{
	char letter = name->len == 2 ? name->str[1] : '\0';

	if (letter != '\0' && strchr("pgkKsSl", letter) != NULL)
		return is_list(inner) ? form_list(a, letter, inner, v) : "this form takes an array";
	if (letter == '\0' || strchr("xurwmidt", letter) == NULL)
		return "there is no form like this: ~x ~u ~t ~m ~i ~d ~r ~w ~p ~g ~k ~s ~K ~S ~l";
	if (inner->type != DUR_STR || inner->tag != 0)
		return "this form takes a string";
	return form_text(a, letter, inner, v);
}
