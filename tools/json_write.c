/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value becomes a tree, and jansson writes it. Recursion goes as deep as the library lets tuples
 * nest.
 */
#include "json_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "timetext.h"

/* digits: so many a double needs to be read back as itself; jansson takes one number for a tree. */
struct tree {
	int digits;
};

static json_t *value_tree(struct tree *t, const dur_value *v);

const char *uuid_format(const uint8_t id[16], char out[37])
{
	char *to = out;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		to += sprintf(to, "%02x", id[i]);
	}
	return out;
}

/* jansson gives NULL for two reasons, and does not say for which. */
static json_t *made(json_t *j)
{
	if (j == NULL)
		exit(refuse(EXIT_FAILED, "this cannot be written as JSON: memory ran out, or a "
		                         "text is not UTF-8; then `duramen check` finds damage"));
	return j;
}

static json_t *form(const char *name, json_t *inner)
{
	return made(json_pack("{s:o}", name, inner));
}

static json_t *text(const char *s, uint64_t len)
{
	return made(json_stringn(s, len));
}

static json_t *double_tree(struct tree *t, double d)
{
	char out[40];
	if (isnan(d)) {
		uint64_t bits;
		memcpy(&bits, &d, sizeof bits);
		snprintf(out, sizeof out, "nan%016" PRIx64, bits);
		return form("~d", made(json_string(bits == 0x7ff8000000000000 ? "nan" : out)));
	}
	if (isinf(d))
		return form("~d", made(json_string(d < 0 ? "-inf" : "inf")));
	/* 15 digits are always kept by a normal number, and its zeros at the end are not written. */
	int digits = fpclassify(d) == FP_SUBNORMAL ? 1 : 15;
	for (; digits < 17; digits++) {
		snprintf(out, sizeof out, "%.*g", digits, d);
		if (strtod(out, NULL) == d)
			break;
	}
	if (digits > t->digits)
		t->digits = digits;
	return made(json_real(d));
}

static json_t *bytes_tree(const uint8_t *p, uint64_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *hex = malloc(2 * len + 1);
	if (hex == NULL)
		out_of_memory();
	for (uint64_t i = 0; i < len; i++) {
		hex[2 * i] = digits[p[i] >> 4];
		hex[2 * i + 1] = digits[p[i] & 15];
	}
	json_t *j = text(hex, 2 * len);
	free(hex);
	return form("~x", j);
}

static json_t *id_tree(const char *name, const uint8_t id[16])
{
	char out[37];
	return form(name, made(json_string(uuid_format(id, out))));
}

static json_t *tuple_tree(struct tree *t, const dur_value *items, uint64_t n)
{
	json_t *list = made(json_array());
	for (uint64_t i = 0; i < n; i++)
		if (json_array_append_new(list, value_tree(t, &items[i])) != 0)
			out_of_memory();
	return form("~p", list);
}

static json_t *untagged_tree(struct tree *t, const dur_value *v)
{
	char out[TIMETEXT_MAX];
	switch (v->type) {
	case DUR_BOOL: return made(json_boolean(v->i));
	case DUR_INT: return made(json_integer(v->i));
	case DUR_BIGINT: return form("~i", text(v->str, v->len));
	case DUR_DOUBLE: return double_tree(t, v->f);
	case DUR_DECIMAL: return form("~m", text(v->str, v->len));
	case DUR_STR: return text(v->str, v->len);
	case DUR_BYTES: return bytes_tree(v->ptr, v->len);
	case DUR_TIME: return form("~t", made(json_string(time_format(v, out))));
	case DUR_UUID: return id_tree("~u", v->id);
	case DUR_REF: return id_tree("~r", v->id);
	case DUR_WEAK: return id_tree("~w", v->id);
	case DUR_TUPLE: return tuple_tree(t, v->items, v->len);
	default: return made(json_null());
	}
}

static json_t *value_tree(struct tree *t, const dur_value *v)
{
	json_t *j = untagged_tree(t, v);
	return v->tag == 0 ? j : form("~g", made(json_pack("[i,o]", (int)v->tag, j)));
}

/* A failed write is seen by output_finish(). */
static void dump(FILE *f, json_t *j, int digits)
{
	json_dumpf(j, f, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION((size_t)digits));
	json_decref(j);
}

void json_write_value(FILE *f, const dur_value *v)
{
	struct tree t = { .digits = 1 };
	json_t *j = value_tree(&t, v);
	dump(f, j, t.digits);
}

void json_write_entry(FILE *f, const dur_value *key, const dur_value *value)
{
	struct tree t = { .digits = 1 };
	json_t *k = value_tree(&t, key), *v = value_tree(&t, value);
	dump(f, made(json_pack("{s:o,s:o}", "key", k, "value", v)), t.digits);
}

void json_print(json_t *object)
{
	dump(stdout, made(object), 17);
	putchar('\n');
}
