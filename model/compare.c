/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_compare(): the order that memcmp gives to the keys that two values make (engine/key.h),
 * without making them. Items compare by the code of their type first; a scalar stands for the tuple
 * of it alone.
 */
#include "engine/key.h"
#include "engine/key_codes.h"
#include "engine/number.h"
#include "include/internal/bytes.h"

/* What a value that cannot be a key compares as: all of them alike, before all others. */
enum { RANK_NONE = -1 };

/* By code; all integers rank as one, and the two bools. */
static int rank(const dur_value *v)
{
	switch (v->type) {
	case DUR_NULL: return KEY_NULL;
	case DUR_BYTES: return KEY_BYTES;
	case DUR_STR: return KEY_STR;
	case DUR_TUPLE: return KEY_TUPLE;
	case DUR_INT:
	case DUR_BIGINT: return KEY_INT_ZERO;
	case DUR_DOUBLE: return KEY_DOUBLE;
	case DUR_BOOL: return KEY_FALSE;
	case DUR_UUID: return KEY_UUID;
	case DUR_DECIMAL: return KEY_DECIMAL;
	case DUR_TIME: return KEY_TIME;
	case DUR_REF: return KEY_REF;
	case DUR_WEAK: return KEY_WEAK;
	default: return RANK_NONE;
	}
}

static int order_i64(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int order_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t both = a_len < b_len ? a_len : b_len;
	int order = both > 0 ? memcmp(a, b, both) : 0;

	if (order != 0)
		return order < 0 ? -1 : 1;
	return (a_len > b_len) - (a_len < b_len);
}

/* Doubles as integers that are in the same order. */
static int64_t double_order(double f)
{
	int64_t bits;

	memcpy(&bits, &f, sizeof bits);
	return bits < 0 ? ~bits ^ INT64_MIN : bits;
}

/* The text of a value that is wrong (a NULL pointer, say) compares as empty. */
static void text_of(const dur_value *v, const uint8_t **text, size_t *len)
{
	if (key_text(v, text, len) < 0)
		*len = 0;
}

static int compare_integers(const dur_value *a, const dur_value *b)
{
	char a_digits[20], b_digits[20];
	const uint8_t *x = (const uint8_t *)a_digits, *y = (const uint8_t *)b_digits;
	size_t n, m;

	if (a->type == DUR_INT && b->type == DUR_INT)
		return order_i64(a->i, b->i);
	if (a->type == DUR_INT)
		n = number_print(a->i, a_digits);
	else
		text_of(a, &x, &n);
	if (b->type == DUR_INT)
		m = number_print(b->i, b_digits);
	else
		text_of(b, &y, &m);
	return number_compare_integers((const char *)x, n, (const char *)y, m);
}

static int compare_times(const dur_value *a, const dur_value *b)
{
	int order = order_i64(a->time.sec, b->time.sec);

	if (order == 0)
		order = order_i64(a->time.nsec, b->time.nsec);
	return order != 0 ? order : order_i64(a->zone_min, b->zone_min);
}

/* Two items that are not both tuples. */
static int compare_items(const dur_value *a, const dur_value *b)
{
	int order = order_i64(rank(a), rank(b));
	const uint8_t *x, *y;
	size_t n, m;

	if (order != 0)
		return order;
	switch (a->type) {
	case DUR_BOOL: return order_i64(a->i, b->i);
	case DUR_INT:
	case DUR_BIGINT: return compare_integers(a, b);
	case DUR_DOUBLE: return order_i64(double_order(a->f), double_order(b->f));
	case DUR_TIME: return compare_times(a, b);
	case DUR_UUID:
	case DUR_REF:
	case DUR_WEAK: return order_bytes(a->id, 16, b->id, 16);
	case DUR_STR:
	case DUR_BYTES:
	case DUR_DECIMAL:
		text_of(a, &x, &n);
		text_of(b, &y, &m);
		if (a->type == DUR_DECIMAL)
			return number_compare_decimals((const char *)x, n, (const char *)y, m);
		return order_bytes(x, n, y, m);
	default: return 0;
	}
}

/* Items of a tuple, or the scalar itself as the one item. */
struct items {
	const dur_value *at;
	uint64_t left;
};

static struct items items_of(const dur_value *v)
{
	if (v->type != DUR_TUPLE)
		return (struct items){ v, 1 };
	return (struct items){ v->items, v->items ? v->len : 0 };
}

int dur_compare(const dur_value *a, const dur_value *b)
{
	static const dur_value absent;
	struct {
		struct items a, b;
	} open[KEY_DEPTH + 1];
	unsigned depth = 0;
	int order;

	a = a ? a : &absent;
	b = b ? b : &absent;
	if (likely(a->type != DUR_TUPLE && b->type != DUR_TUPLE))
		return compare_items(a, b);
	open[0].a = items_of(a);
	open[0].b = items_of(b);
	for (;;) {
		struct items *x = &open[depth].a, *y = &open[depth].b;
		if (x->left == 0 || y->left == 0) {
			if (x->left != y->left)
				return x->left == 0 ? -1 : 1;
			if (depth-- == 0)
				return 0;
			continue;
		}
		a = x->at++;
		b = y->at++;
		x->left--;
		y->left--;
		if (a->type == DUR_TUPLE && b->type == DUR_TUPLE) {
			/* Tuples too deep for a key are in no order: they count as equal. */
			if (depth == KEY_DEPTH)
				continue;
			depth++;
			open[depth].a = items_of(a);
			open[depth].b = items_of(b);
			continue;
		}
		order = compare_items(a, b);
		if (order != 0)
			return order;
	}
}
