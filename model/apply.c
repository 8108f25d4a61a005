/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_apply(): an operation on the value that is there. Integers add exactly: what leaves an int64 goes
 * on as its digits, and comes back from there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/number.h"
#include "model/collection.h"
#include "model/write.h"

static int wrong_types(const dur_value *a, const dur_value *b)
{
	return error_set(DUR_E_TYPE, "the operation is not one of a value of type %u and an operand of "
	                 "type %u", a->type, b->type);
}

static bool is_integer(const dur_value *v)
{
	return v->type == DUR_INT || v->type == DUR_BIGINT;
}

static bool is_number(const dur_value *v)
{
	return is_integer(v) || v->type == DUR_DOUBLE;
}

/* ---- Digits ---- */

/* An integer as sign and digits. */
struct digits {
	bool negative;
	const char *at;
	size_t n;
	char text[20];
};

static int digits_of(const dur_value *v, struct digits *d)
{
	const uint8_t *text;
	int rc = 0;

	if (v->type == DUR_INT) {
		d->n = number_print(v->i, d->text);
		d->at = d->text;
	} else {
		rc = key_text(v, &text, &d->n);
		d->at = (const char *)text;
		if (rc == 0 && !number_is_integer(d->at, d->n))
			rc = error_set(DUR_E_MISUSE, "a DUR_BIGINT is the digits of an integer");
	}
	if (rc < 0)
		return rc;
	d->negative = d->at[0] == '-';
	d->at += d->negative;
	d->n -= d->negative;
	return 0;
}

static unsigned digit(const struct digits *d, size_t from_end)
{
	return from_end < d->n ? (unsigned)(d->at[d->n - 1 - from_end] - '0') : 0;
}

static int compare_digits(const struct digits *a, const struct digits *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	return memcmp(a->at, b->at, a->n);
}

/* The sum of a and b, a the longer in digits, into text[0 .. n], from its end; gives where it begins. */
static size_t sum_digits(const struct digits *a, const struct digits *b, char *text)
{
	bool less = a->negative != b->negative;
	unsigned carry = 0;

	for (size_t i = 0; i <= a->n; i++) {
		unsigned x = digit(a, i), y = digit(b, i) + carry;
		carry = less ? x < y : x + y > 9;
		text[a->n - i] = (char)('0' + (less ? x + 10 * carry - y : x + y - 10 * carry));
	}
	size_t at = 0;
	while (at < a->n && text[at] == '0')
		at++;
	return at;
}

static int add_digits(dur_view *v, const dur_value *x, const dur_value *y, dur_value *sum)
{
	struct digits a, b;
	int rc = digits_of(x, &a);

	if (rc == 0)
		rc = digits_of(y, &b);
	if (rc < 0)
		return rc;
	bool swap = compare_digits(&a, &b) < 0;
	const struct digits *most = swap ? &b : &a, *least = swap ? &a : &b;
	char *text = key_arena_take(&v->arena, most->n + 2);
	if (!text)
		return -ENOMEM;
	size_t at = 1 + sum_digits(most, least, text + 1), n = most->n + 2;
	if (most->negative && text[at] != '0')
		text[--at] = '-';
	*sum = (dur_value){ .type = DUR_BIGINT, .len = n - at, .str = text + at };
	return 0;
}

/* ---- Operations ---- */

static double as_double(const dur_value *v, int *rc)
{
	struct digits d;
	double f = 0;

	if (v->type == DUR_DOUBLE)
		return v->f;
	if (v->type == DUR_INT)
		return (double)v->i;
	*rc = digits_of(v, &d);
	if (*rc < 0)
		return 0;
	char *text = malloc(d.n + 2);
	if (!text) {
		*rc = error_system(ENOMEM, "adding numbers");
		return 0;
	}
	memcpy(text, d.at, d.n);
	text[d.n] = '\0';
	f = strtod(text, NULL); /* digits alone: the same in every locale */
	free(text);
	return d.negative ? -f : f;
}

static int add(dur_view *v, const dur_value *a, const dur_value *b, dur_value *out)
{
	int rc = 0;

	if (!is_number(a) || !is_number(b))
		return wrong_types(a, b);
	if (a->type == DUR_INT && b->type == DUR_INT &&
	    !__builtin_add_overflow(a->i, b->i, &out->i)) {
		out->type = DUR_INT;
		return 0;
	}
	if (is_integer(a) && is_integer(b))
		return add_digits(v, a, b, out);
	double x = as_double(a, &rc), y = rc == 0 ? as_double(b, &rc) : 0;
	*out = DUR_DOUBLE(x + y);
	return rc;
}

static int choose(uint32_t op, const dur_value *a, const dur_value *b, dur_value *out)
{
	bool comparable = (is_integer(a) && is_integer(b)) || (a->type == b->type && a->type != DUR_TUPLE);

	if (!comparable)
		return wrong_types(a, b);
	int order = dur_compare(a, b);
	*out = (op == DUR_MIN ? order <= 0 : order >= 0) ? *a : *b;
	return 0;
}

static int bits(uint32_t op, const dur_value *a, const dur_value *b, dur_value *out)
{
	if (a->type != b->type || (a->type != DUR_INT && a->type != DUR_BOOL))
		return wrong_types(a, b);
	*out = *a;
	out->i = op == DUR_AND ? a->i & b->i : op == DUR_OR ? a->i | b->i : a->i ^ b->i;
	return 0;
}

static int append(dur_view *v, const dur_value *a, const dur_value *b, dur_value *out)
{
	const uint8_t *x, *y;
	size_t n, m;
	int rc;

	if (a->type != b->type || (a->type != DUR_STR && a->type != DUR_BYTES))
		return wrong_types(a, b);
	rc = key_text(a, &x, &n);
	if (rc == 0)
		rc = key_text(b, &y, &m);
	if (rc < 0)
		return rc;
	if (m > SIZE_MAX - n - 1)
		return error_set(DUR_E_LIMIT, "the value would be too long");
	uint8_t *both = key_arena_take(&v->arena, n + m + 1);
	if (!both)
		return -ENOMEM;
	if (n)
		memcpy(both, x, n);
	if (m)
		memcpy(both + n, y, m);
	*out = *a;
	out->len = n + m;
	out->ptr = both;
	return 0;
}

static int operate(dur_view *v, uint32_t op, const dur_value *a, const dur_value *b, dur_value *out)
{
	switch (op) {
	case DUR_ADD: return add(v, a, b, out);
	case DUR_MIN:
	case DUR_MAX: return choose(op, a, b, out);
	case DUR_APPEND: return append(v, a, b, out);
	default: return bits(op, a, b, out);
	}
}

/* Whether the operand is one of the operation: that it can stand alone, where nothing is. */
static int check_operand(dur_view *v, uint32_t op, const dur_value *operand)
{
	dur_value ignored;
	int rc;

	if (op < DUR_ADD || op > DUR_APPEND)
		return error_set(DUR_E_MISUSE, "dur_apply() has no operation %u", op);
	if (!operand)
		return error_set(DUR_E_MISUSE, "dur_apply() needs an operand");
	rc = operand->type < DUR_MAP ? cell_check(operand)
	                             : error_set(DUR_E_TYPE, "an operand is a scalar");
	if (rc == 0 && op != DUR_APPEND)
		rc = operate(v, op, operand, operand, &ignored);
	else if (rc == 0 && operand->type != DUR_STR && operand->type != DUR_BYTES)
		rc = wrong_types(operand, operand);
	return rc;
}

static int apply(dur_coll c, const dur_value *key, uint32_t op, const dur_value *operand)
{
	dur_view *v = c.view;
	dur_value old, fresh;
	struct element_key k;
	struct row *row;
	struct place p;
	struct cell cell;
	int rc = check_operand(v, op, operand);

	if (rc == 0)
		rc = element_reach(c, key, &row, &k);
	if (rc < 0)
		return rc;
	if (kind_is_set(row->kind))
		return error_set(DUR_E_TYPE, "a set's members have no values");
	row_place(v, row, &p);
	rc = place_get(&p, &k, &cell);
	if (rc == 1)
		return element_put(v, row, &k, operand);
	if (rc == 0)
		rc = collection_value(v, &cell, &v->arena, &old);
	if (rc == 0)
		rc = old.type < DUR_MAP ? operate(v, op, &old, operand, &fresh)
		                        : error_set(DUR_E_TYPE, "a collection is there, no value");
	if (rc < 0)
		return rc;
	fresh.tag = old.tag;
	return element_put(v, row, &k, &fresh);
}

int dur_apply(dur_coll c, const dur_value *key, uint32_t op, const dur_value *operand,
              dur_value *result)
{
	int rc = collection_begin_write(c);

	if (rc < 0)
		return rc;
	rc = collection_end_write(c, apply(c, key, op, operand));
	return rc == 0 && result ? dur_get(c, key, result) : rc;
}
