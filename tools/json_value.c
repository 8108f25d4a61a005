/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items of everything that is open stand on one stack; when an array or object ends, its own move
 * to the arena and the collection takes their place. So nothing recurses, however deep the text.
 */
#include "json_value.h"

#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_form.h"
#include "json_frame.h"
#include "message.h"

#define FEW_NAMES 32 /* so many are compared one by one */

bool json_refuse(struct json_reader *r, struct json_fault *f, const char *format, ...)
{
	va_list list;

	f->is_json = true;
	f->at = json_place(r);
	va_start(list, format);
	vsnprintf(f->text, sizeof f->text, format, list);
	va_end(list);
	return false;
}

/* A scalar, or items; where it stands, since copies of values are half the work of a load. */
static inline void set(dur_value *v, uint32_t type, uint64_t len)
{
	v->type = type;
	v->tag = 0;
	v->zone_min = 0;
	v->len = len;
}

/* ---- Numbers ---- */

static bool refuse_double(struct json_builder *b, struct json_reader *r)
{
	json_refuse(r, &b->fault, "beyond a double there are decimals, {\"~m\":\"123.5\"}");
	b->fault.is_json = false; /* as other readers would say */
	return false;
}

static bool double_value(struct json_builder *b, struct json_reader *r, struct arena *a,
                         dur_value *v)
{
	char small[64], *text = small;
	bool zero = true;

	if (r->len < sizeof small) {
		memcpy(small, r->text, r->len);
		small[r->len] = '\0';
	} else {
		text = arena_copy(a, r->text, r->len);
	}
	*v = DUR_DOUBLE(strtod(text, NULL));
	if (isinf(v->f))
		return refuse_double(b, r);
	for (const char *s = text; v->f == 0 && *s != '\0' && (*s | 0x20) != 'e'; s++)
		zero &= *s < '1' || *s > '9';
	return zero || refuse_double(b, r);
}

static bool number_value(struct json_builder *b, struct json_reader *r, struct arena *a,
                         dur_value *v)
{
	const char *s = r->text, *end = s + r->len;
	bool negative = *s == '-';
	uint64_t magnitude = 0;

	for (s += negative; s < end && *s >= '0' && *s <= '9'; s++)
		magnitude = magnitude * 10 + (uint64_t)(*s - '0');
	if (s < end)
		return double_value(b, r, a, v);
	/* 19 digits fit 64 bits. */
	if (r->len - negative > 19 || magnitude > (uint64_t)INT64_MAX + negative)
		*v = (dur_value){ .type = DUR_BIGINT,
			          .len = r->len,
			          .str = arena_copy(a, r->text, r->len) };
	else {
		set(v, DUR_INT, 0);
		v->i = (int64_t)(negative ? 0 - magnitude : magnitude);
	}
	return true;
}

/* ---- Collections ---- */

static void more_items(struct json_builder *b)
{
	b->cap = b->cap ? 2 * b->cap : 64;
	b->items = realloc(b->items, b->cap * sizeof *b->items);
	b->heads = realloc(b->heads, b->cap * sizeof *b->heads);
	if (b->items == NULL || b->heads == NULL)
		out_of_memory();
}

/* The next item, to be set where it stands: most of a text's bytes pass through here. */
static inline dur_value *push(struct json_builder *b)
{
	if (b->n == b->cap)
		more_items(b);
	return &b->items[b->n++];
}

static inline void set_text(dur_value *v, struct json_reader *r, struct arena *a)
{
	set(v, DUR_STR, r->len);
	v->str = arena_copy(a, r->text, r->len);
}

static void open_frame(struct json_builder *b, bool object)
{
	if (b->depth == b->open_cap) {
		b->open_cap = b->open_cap ? 2 * b->open_cap : 16;
		b->open = realloc(b->open, b->open_cap * sizeof *b->open);
		if (b->open == NULL)
			out_of_memory();
	}
	b->open[b->depth++] = (struct json_frame){ .base = b->n, .object = object };
}

static int compare_names(const void *a, const void *b)
{
	return dur_compare(*(const dur_value *const *)a, *(const dur_value *const *)b);
}

bool json_twice(struct json_builder *b, struct json_reader *r, const dur_value *name)
{
	if (name->type == DUR_STR)
		json_refuse(r, &b->fault, "duplicate name \"%.*s\"",
		            name->len < 60 ? (int)name->len : 60, name->str);
	else
		json_refuse(r, &b->fault, "two pairs of one key");
	b->fault.is_json = false;
	/* It quotes the text, which is not to move the cursor of a terminal. */
	for (char *s = b->fault.text; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	return false;
}

/*
 * The first eight bytes of a name, as a number: names that differ there are in the order of these.
 */
static uint64_t head_of(const char *name, size_t len)
{
	uint64_t head = 0;

	if (len >= sizeof head) {
		memcpy(&head, name, sizeof head);
		return be64toh(head);
	}
	for (size_t i = 0; i < len; i++)
		head |= (uint64_t)(unsigned char)name[i] << (56 - 8 * i);
	return head;
}

/* The item, a name, against another one. */
static int compare_name(const struct json_builder *b, size_t i, const dur_value *name,
                        uint64_t head)
{
	if (b->heads[i] != head)
		return b->heads[i] < head ? -1 : 1;
	return dur_compare(&b->items[i], name);
}

/* Names in the order of a map, as dump writes them, cost a comparison each. */
static bool add_name(struct json_builder *b, struct json_reader *r, struct arena *a)
{
	struct json_frame *f = &b->open[b->depth - 1];
	dur_value *name = push(b);
	size_t at = b->n - 1;
	uint64_t head = head_of(r->text, r->len);

	set_text(name, r, a);
	b->heads[at] = head;
	if (at == f->base) {
		f->largest = at;
		if (r->len > 0 && r->text[0] == '~' && !f->made)
			f->form = json_place(r);
		return true;
	}
	int order = compare_name(b, f->largest, name, head);
	if (order == 0)
		return json_twice(b, r, name);
	if (order < 0)
		f->largest = at;
	else if (at - f->base > 2 * FEW_NAMES)
		f->unordered = true;
	else
		for (size_t i = f->base; i < at; i += 2)
			if (b->heads[i] == head && dur_compare(&b->items[i], name) == 0)
				return json_twice(b, r, name);
	return true;
}

/* Keys and values in turn, in no order: are two of the keys the same? */
bool json_keys_differ(struct json_builder *b, struct json_reader *r, const dur_value *items,
                      size_t n)
{
	const dur_value **keys = malloc((n / 2 + 1) * sizeof *keys);
	bool good = true;

	if (keys == NULL)
		out_of_memory();
	for (size_t i = 0; i < n / 2; i++)
		keys[i] = &items[2 * i];
	qsort(keys, n / 2, sizeof *keys, compare_names);
	for (size_t i = 1; good && i < n / 2; i++)
		good = dur_compare(keys[i - 1], keys[i]) != 0 || json_twice(b, r, keys[i]);
	free(keys);
	return good;
}

/* What a form means, in place of its name. */
static bool collect_form(struct json_builder *b, struct json_reader *r, struct arena *a,
                         const struct json_frame *f)
{
	dur_value *items = &b->items[f->base], v;
	const char *what = form_value(a, &items[0], &items[1], &v);

	if (what != NULL) {
		json_refuse(r, &b->fault, "%s", what);
		b->fault.at = f->form;
		return false;
	}
	items[0] = v;
	return (v.type != (DUR_MAP | DUR_LITERAL) && v.type != (DUR_RAW_MAP | DUR_LITERAL)) ||
	       json_keys_differ(b, r, v.items, v.len);
}

/* Its items move to the arena, and it takes the place of the first one. */
static bool collect(struct json_builder *b, struct json_reader *r, struct arena *a,
                    const struct json_frame *f)
{
	size_t n = b->n - f->base;

	if (f->object && f->form.line != 0 && n == 2)
		return collect_form(b, r, a, f);
	dur_value *items = arena_alloc(a, n * sizeof *items);
	if (n > 0)
		memcpy(items, &b->items[f->base], n * sizeof *items);
	b->n = f->base;
	dur_value *v = push(b);
	set(v, (f->object ? DUR_MAP : DUR_LIST) | DUR_LITERAL, n);
	v->items = items;
	return true;
}

static bool close_frame(struct json_builder *b, struct json_reader *r, struct arena *a)
{
	struct json_frame *f = &b->open[--b->depth];

	if (f->unordered && !json_keys_differ(b, r, &b->items[f->base], b->n - f->base))
		return false;
	if (f->made) {
		bool good = spill_items(b, r, f, b->n - f->base);
		dur_leave(f->coll);
		b->n = f->base;
		return good;
	}
	if (!collect(b, r, a, f))
		return false;
	b->n = f->base + 1;
	return true;
}

static bool take(struct json_builder *b, struct json_reader *r, enum json_event event,
                 struct arena *a)
{
	dur_value *v;

	switch (event) {
	case JSON_ARRAY:
	case JSON_OBJECT: open_frame(b, event == JSON_OBJECT); return true;
	case JSON_ARRAY_END:
	case JSON_OBJECT_END: return close_frame(b, r, a);
	case JSON_NAME: return add_name(b, r, a);
	case JSON_STRING: set_text(push(b), r, a); return true;
	case JSON_NUMBER: return number_value(b, r, a, push(b));
	case JSON_TRUE:
	case JSON_FALSE:
		v = push(b);
		set(v, DUR_BOOL, 0);
		v->i = event == JSON_TRUE;
		return true;
	case JSON_NULL: set(push(b), DUR_NULL, 0); return true;
	default: b->fault = r->fault; return false;
	}
}

bool json_build(struct json_builder *b, struct json_reader *r, enum json_event first,
                struct arena *a, dur_value *v)
{
	if (b->memory == 0)
		b->memory = JSON_MEMORY;
	b->n = b->depth = 0;
	b->spilled = false;
	b->limit = a->total + b->memory;
	for (enum json_event event = first; take(b, r, event, a); event = json_next(r)) {
		if (b->depth == 0) {
			*v = b->spilled ? (dur_value){ .type = DUR_ABSENT } : b->items[0];
			return true;
		}
		/* Behind a name its value is to come. */
		if (event != JSON_NAME && b->begin != NULL && a->total > b->limit &&
		    !spill(b, r, a))
			return false;
	}
	return false;
}

void json_build_end(struct json_builder *b)
{
	free(b->items);
	free(b->heads);
	free(b->open);
	b->items = NULL;
	b->heads = NULL;
	b->open = NULL;
	b->cap = b->open_cap = 0;
}

bool json_build_all(struct json_builder *b, struct json_reader *r, struct arena *a, dur_value *v)
{
	if (!json_build(b, r, json_next(r), a, v))
		return false;
	if (json_next(r) == JSON_END)
		return true;
	b->fault = r->fault;
	return false;
}

bool json_read_value(struct arena *a, const char *text, size_t len, dur_value *v,
                     struct json_fault *f)
{
	struct json_builder b = { .begin = NULL };
	struct json_reader r;
	bool good;

	json_read_text(&r, text, len, JSON_ONE);
	good = json_build_all(&b, &r, a, v);
	if (!good)
		*f = b.fault;
	json_build_end(&b);
	json_read_close(&r);
	return good;
}
