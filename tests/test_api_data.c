/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes in comes out: every type as value and as key, its limits and what is refused; paths;
 * ranges of typed and raw keys, against a scan that looks at every key.
 */
#include "prefix_kit.h"

#include "engine/key.h"
#include "random_values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dur_workspace *ws;
static dur_prefix *p, *raw;
static dur_view *txn;
static dur_coll c;

static void setup(void)
{
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", NULL);
	EXPECT(0, dur_attach(ws, "raw", DUR_CREATE | DUR_RAW, NULL, &raw));
	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	c = dur_root(txn);
}

static void teardown(void)
{
	dur_close(txn);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_detach(raw));
	prefix_check_sound(ws, "p", DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static dur_value id_of(uint32_t type, uint8_t first)
{
	dur_value v = { .type = type };

	for (int i = 0; i < 16; i++)
		v.id[i] = (uint8_t)(first + i * 17);
	return v;
}

static dur_value double_of(uint64_t bits)
{
	dur_value v = DUR_DOUBLE(0);

	memcpy(&v.f, &bits, sizeof bits);
	return v;
}

/* ---- Values ---- */

enum { LONG = 20000, MANY = 3000 };
static char long_text[LONG + 1], long_digits[LONG + 1], long_decimal[LONG + 1];
static dur_value many_items[MANY];

static void fill_long(void)
{
	memset(long_text, 'x', LONG);
	for (int i = 0; i + 2 < LONG; i += 50)
		memcpy(long_text + i, "\xc3\xa9", 2);
	memset(long_digits, '7', LONG);
	memset(long_decimal, '3', LONG);
	long_decimal[0] = '-';
	long_decimal[LONG / 2] = '.';
	for (int i = 0; i < MANY; i++)
		many_items[i] = i % 2 ? DUR_INT(i * 1000) : DUR_STR("item");
}

static uint32_t all_values(dur_value *list)
{
	static const uint8_t bytes[] = { 0, 0xff, 0, 0, 0xff, 0xff, 1 };
	static dur_value inner[3], outer[3], deep[KEY_DEPTH + 1];
	uint32_t n = 0;

	inner[0] = DUR_STR("a");
	inner[1] = DUR_NULL();
	inner[2] = DUR_BYTES(bytes, sizeof bytes);
	outer[0] = DUR_TUPLE(inner, 3);
	outer[1] = DUR_TUPLE(NULL, 0);
	outer[2] = DUR_TIME(-1, 999999999, -1439);
	deep[0] = DUR_TUPLE(NULL, 0);
	for (int i = 1; i <= KEY_DEPTH; i++)
		deep[i] = DUR_TUPLE(&deep[i - 1], 1);
	fill_long();
	const dur_value values[] = {
		DUR_NULL(), DUR_BOOL(0), DUR_BOOL(1), DUR_INT(0), DUR_INT(1), DUR_INT(-1),
		DUR_INT(127), DUR_INT(128), DUR_INT(-128), DUR_INT(-129), DUR_INT(INT64_MAX),
		DUR_INT(INT64_MIN), DUR_BIGINT("9223372036854775808"),
		DUR_BIGINT("-9223372036854775809"),
		DUR_BIGINT("123456789012345678901234567890123456789012345678901234567890"),
		DUR_DOUBLE(0), DUR_DOUBLE(-0.0), DUR_DOUBLE(0.1), DUR_DOUBLE(INFINITY),
		DUR_DOUBLE(-INFINITY), double_of(0x7ff8000000000000), double_of(0xfff8000000000123),
		double_of(0x7ff0000000000001), double_of(1), DUR_DECIMAL("-12.50"),
		DUR_DECIMAL("0.000"), DUR_DECIMAL("0"), DUR_DECIMAL("1000000.1000000"),
		DUR_STR(""), DUR_STR("Zo\xc3\xab"), DUR_STRN("a\0b", 3), DUR_STRN(NULL, 0),
		DUR_BYTES(NULL, 0), DUR_BYTES("", 0), DUR_BYTES(bytes, sizeof bytes),
		DUR_TIME(0, 0, 0), DUR_TIME(1, 0, DUR_NO_ZONE), DUR_TIME(-1, 1, 60),
		DUR_TIME(INT64_MIN, 0, 1439), DUR_TIME(INT64_MAX, 999999999, -1439),
		id_of(DUR_UUID, 0), id_of(DUR_REF, 1), id_of(DUR_WEAK, 255),
		DUR_TUPLE(NULL, 0), DUR_TUPLE(inner, 1), DUR_TUPLE(inner, 3), DUR_TUPLE(outer, 3),
		deep[KEY_DEPTH], DUR_TUPLE(many_items, MANY),
		DUR_STR(long_text), DUR_BYTES(long_text, LONG), DUR_BIGINT(long_digits),
		DUR_DECIMAL(long_decimal),
	};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		list[n++] = values[i];
	/* around the sizes at which a value leaves its cell, and its page */
	for (uint32_t len = 1000; len <= 2100; len += 4)
		list[n++] = DUR_BYTES(long_text, len);
	for (uint32_t len = 4000; len <= 4200; len += 7)
		list[n++] = DUR_STRN(long_text, len - (len % 50 == 1));
	return n;
}

static void is_same(const dur_value *got, const dur_value *put, uint16_t tag, const char *where,
                    uint32_t i)
{
	HOLDS(same_value(got, put), "value %u (type %u, %llu) of %s came back otherwise: type %u, %llu", i,
	      put->type, (unsigned long long)put->len, where, got->type,
	      (unsigned long long)got->len);
	HOLDS(got->tag == tag, "tag %u of value %u of %s", got->tag, i, where);
}

/* One by one, many at a time, in order, by number. */
static void read_back(dur_view *v, const dur_value *list, uint32_t n, const char *where)
{
	dur_value keys[512], values[512], key, value;
	dur_coll root = dur_root(v);
	dur_iter *it;

	for (uint32_t i = 0; i < n; i++) {
		keys[i] = DUR_INT(i);
		EXPECT(0, dur_get(root, &keys[i], &value));
		is_same(&value, &list[i], (uint16_t)(i * 3), where, i);
	}
	EXPECT(0, dur_get_many(root, keys, n, values));
	for (uint32_t i = 0; i < n; i++)
		is_same(&values[i], &list[i], (uint16_t)(i * 3), where, i);
	EXPECT(0, dur_scan(root, NULL, &it));
	for (uint32_t i = 0; i < n; i++) {
		EXPECT(0, dur_next(it, &key, &value));
		ck_assert_int_eq(key.i, i);
		is_same(&value, &list[i], (uint16_t)(i * 3), where, i);
		EXPECT(0, dur_nth(root, i, &key, &value));
		is_same(&value, &list[i], (uint16_t)(i * 3), where, i);
	}
	EXPECT(DUR_NONE, dur_next(it, &key, &value));
	dur_iter_close(it);
}

START_TEST(values_come_back)
{
	static dur_value list[512];
	uint32_t n = all_values(list);
	uint64_t state;
	dur_view *v;

	ck_assert_uint_le(n, 512);
	for (uint32_t i = 0; i < n; i++) {
		list[i].tag = (uint16_t)(i * 3);
		EXPECT(0, dur_put(c, &DUR_INT(i), &list[i]));
	}
	read_back(txn, list, n, "the transaction");
	EXPECT(0, dur_commit(txn, NULL, &state));
	read_back(txn, list, n, "what the commit left");
	dur_close(txn);
	prefix_put(p, "other", 1, false);
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_clear(dur_root(txn), NULL, NULL));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	EXPECT(0, dur_snapshot(p, state, NULL, &v));
	read_back(v, list, n, "an old snapshot");
	dur_close(v);
	dur_close(txn);
	EXPECT(0, dur_detach(p)); /* and after all that from the file */
	p = prefix_attach(ws, "p", NULL);
	EXPECT(0, dur_snapshot(p, state, NULL, &v));
	read_back(v, list, n, "the file");
	dur_close(v);
	EXPECT(0, dur_begin(p, NULL, &txn));
}
END_TEST

/* Each is equal to itself and to no other; the tag counts. */
START_TEST(swaps)
{
	static dur_value list[512];
	uint32_t n = all_values(list), step = kit_rounds(10) < 10 ? 5 : 1;
	dur_value key = DUR_STR("k"), value, other;

	for (uint32_t i = 0; i < n; i += step) {
		EXPECT(0, dur_put(c, &key, &list[i]));
		for (uint32_t k = 0; k < n; k += k < 60 ? 1 : 37)
			EXPECT(same_value(&list[i], &list[k]) ? 0 : DUR_NONE,
			       dur_swap(c, &key, &list[k], &list[i]));
		other = list[i];
		other.tag = 1;
		EXPECT(DUR_NONE, dur_swap(c, &key, &other, &DUR_INT(1)));
		EXPECT(DUR_NONE, dur_swap(c, &key, NULL, &DUR_INT(1)));
		EXPECT(0, dur_swap(c, &key, &list[i], &other));
		EXPECT(DUR_NONE, dur_swap(c, &key, &list[i], &DUR_INT(1)));
		EXPECT(0, dur_get(c, &key, &value));
		is_same(&value, &list[i], 1, "a swap", i);
		EXPECT(0, dur_del(c, &key));
		EXPECT(DUR_NONE, dur_swap(c, &key, &list[i], &DUR_INT(1)));
		EXPECT(0, dur_swap(c, &key, NULL, &list[i]));
		EXPECT(0, dur_get(c, &key, &value));
		is_same(&value, &list[i], 0, "a first swap", i);
	}
	EXPECT(0, dur_commit(txn, NULL, NULL)); /* none of the plain noes bars it */
}
END_TEST

START_TEST(integers_have_one_form)
{
	dur_value value;

	EXPECT(0, dur_put(c, &DUR_STR("a"), &DUR_BIGINT("-9223372036854775808")));
	EXPECT(0, dur_get(c, &DUR_STR("a"), &value));
	ck_assert_uint_eq(value.type, DUR_INT);
	ck_assert_int_eq(value.i, INT64_MIN);
	EXPECT(0, dur_put(c, &DUR_BIGINT("17"), &DUR_INT(1)));
	EXPECT(0, dur_get(c, &DUR_INT(17), NULL));
	EXPECT(0, dur_swap(c, &DUR_STR("a"), &DUR_INT(INT64_MIN), &DUR_INT(0)));
}
END_TEST

/* What can be no value; refused by every call that puts, and nothing is changed. */
START_TEST(values_refused)
{
	static const dur_value item = { .type = DUR_MAP };
	static dur_value deep[KEY_DEPTH + 2];
	dur_value key = DUR_STR("k"), got, two[2];

	deep[0] = DUR_TUPLE(NULL, 0);
	for (int i = 1; i <= KEY_DEPTH + 1; i++)
		deep[i] = DUR_TUPLE(&deep[i - 1], 1);
	const struct {
		int result;
		dur_value value;
	} list[] = {
		{ DUR_E_TYPE, { .type = DUR_ABSENT } },
		{ DUR_E_TYPE, { .type = 14 } },
		{ DUR_E_MISUSE, { .type = DUR_MAP } },
		{ DUR_E_TYPE, { .type = DUR_OBJECT } },
		{ DUR_E_TYPE, { .type = 63 } },
		{ DUR_E_TYPE, DUR_PATH("/a") },
		{ DUR_E_TYPE, DUR_STEPS(&key, 1) },
		{ DUR_E_MISUSE, DUR_COLL((dur_coll){ 0 }) },
		{ DUR_E_MISUSE, DUR_NEW(DUR_MAP, &key, 1) },
		{ DUR_E_MISUSE, DUR_NEW(DUR_SET, NULL, 1) },
		{ DUR_E_TYPE, DUR_NEW(DUR_OBJECT, &key, 0) },
		{ DUR_E_TYPE, { .type = DUR_VAR, .len = DUR_CSTR, .str = "x" } },
		{ DUR_E_TYPE, { .type = 1 << 20 } },
		{ DUR_E_TYPE, DUR_TUPLE(&item, 1) },
		{ DUR_E_LIMIT, deep[KEY_DEPTH + 1] },
		{ DUR_E_MISUSE, { .type = DUR_BOOL, .i = 2 } },
		{ DUR_E_MISUSE, { .type = DUR_BOOL, .i = -1 } },
		{ DUR_E_MISUSE, DUR_STRN("\xc3", 1) },
		{ DUR_E_MISUSE, DUR_STRN("\xed\xa0\x80", 3) },
		{ DUR_E_MISUSE, DUR_STR("\xc0\x80") },
		{ DUR_E_MISUSE, DUR_STRN(NULL, 5) },
		{ DUR_E_MISUSE, { .type = DUR_STR, .len = DUR_CSTR, .str = NULL } },
		{ DUR_E_MISUSE, DUR_BYTES(NULL, 1) },
		{ DUR_E_MISUSE, DUR_BYTES("abc", DUR_CSTR) },
		{ DUR_E_MISUSE, DUR_TUPLE(NULL, 2) },
		{ DUR_E_MISUSE, DUR_BIGINT("") },
		{ DUR_E_MISUSE, DUR_BIGINT("007") },
		{ DUR_E_MISUSE, DUR_BIGINT("-0") },
		{ DUR_E_MISUSE, DUR_BIGINT("+1") },
		{ DUR_E_MISUSE, DUR_BIGINT("12x") },
		{ DUR_E_MISUSE, DUR_DECIMAL(".5") },
		{ DUR_E_MISUSE, DUR_DECIMAL("1.") },
		{ DUR_E_MISUSE, DUR_DECIMAL("-0.0") },
		{ DUR_E_MISUSE, DUR_DECIMAL("1e3") },
		{ DUR_E_RANGE, DUR_TIME(0, 1000000000, 0) },
		{ DUR_E_RANGE, DUR_TIME(0, 0, 1440) },
		{ DUR_E_RANGE, DUR_TIME(0, 0, -1440) },
	};

	EXPECT(0, dur_put(c, &key, &DUR_INT(7)));
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		const dur_value keys[] = { DUR_STR("fine"), key };
		int rc = list[i].result;

		HOLDS(dur_put(c, &key, &list[i].value) == rc, "value %zu: %s", i, dur_message());
		EXPECT(rc, dur_swap(c, &key, &DUR_INT(7), &list[i].value));
		two[0] = DUR_INT(1);
		two[1] = list[i].value;
		EXPECT(rc, dur_put_many(c, keys, two, 2));
		EXPECT(0, dur_get(c, &key, &got));
		ck_assert_int_eq(got.i, 7);
		EXPECT(DUR_NONE, dur_get(c, &keys[0], &got)); /* all or none */
	}
}
END_TEST

/* ---- Keys ---- */

/* Random keys of all types: each is found, and they come in the order that dur_compare() tells. */
START_TEST(random_keys)
{
	const int many = kit_rounds(10) < 10 ? 300 : 1500;
	static dur_value list[1500];
	struct key_arena arena = { 0 };
	uint64_t rng = kit_seed(), count = 0, n;
	uint8_t bytes[DUR_MAX_KEY];
	dur_value key, value;
	int64_t last = -1;
	dur_iter *it;
	size_t len;

	for (int i = 0; i < many; i++) {
		list[i] = random_key(&rng, &arena, 3);
		if (key_encode(&list[i], bytes, sizeof bytes, &len) < 0) {
			EXPECT(DUR_E_LIMIT, dur_put(c, &list[i], &DUR_INT(i)));
			list[i] = DUR_INT(i);
		}
		EXPECT(0, dur_put(c, &list[i], &DUR_INT(i)));
	}
	for (int i = 0; i < many; i++) {
		EXPECT(0, dur_get(c, &list[i], &value)); /* the last one of equal keys */
		HOLDS(value.i >= i && dur_compare(&list[i], &list[value.i]) == 0, "key %d", i);
	}
	EXPECT(0, dur_scan(c, NULL, &it));
	for (; MUST(dur_next(it, &key, &value)) == 0; count++) {
		/* it is what went in, but that the tuple of a scalar is the scalar */
		HOLDS(dur_compare(&key, &list[value.i]) == 0, "entry %llu",
		      (unsigned long long)count);
		HOLDS(last < 0 || dur_compare(&list[last], &key) < 0, "order at entry %llu",
		      (unsigned long long)count);
		EXPECT(0, dur_get(c, &key, NULL));
		last = value.i;
	}
	EXPECT(0, dur_count(c, NULL, &n));
	ck_assert_uint_eq(n, count);
	dur_iter_close(it);
	for (int i = 0; i < many; i++)
		MUST(dur_del(c, &list[i]));
	EXPECT(0, dur_count(c, NULL, &n));
	ck_assert_uint_eq(n, 0);
	key_arena_free(&arena);
}
END_TEST

START_TEST(keys_come_back)
{
	static dur_value list[512];
	uint32_t n = all_values(list), put = 0;
	dur_value key, value;
	dur_iter *it;

	for (uint32_t i = 0; i < n; i++) {
		dur_value k = list[i];
		k.tag = 77; /* no part of a key */
		if (dur_put(c, &k, &DUR_INT(i)) == 0)
			put++;
		else
			ck_assert_uint_ge(k.type == DUR_TUPLE ? LONG : k.len, DUR_MAX_KEY / 2);
	}
	ck_assert_uint_ge(put, 50);
	EXPECT(0, dur_scan(c, NULL, &it));
	while (MUST(dur_next(it, &key, &value)) == 0) {
		const dur_value *was = &list[value.i];

		ck_assert_uint_eq(key.tag, 0);
		if (was->type == DUR_TUPLE && was->len == 1 && was->items->type != DUR_TUPLE)
			was = was->items;
		HOLDS(same_value(&key, was), "key %lld came back otherwise",
		      (long long)value.i);
	}
	dur_iter_close(it);
}
END_TEST

START_TEST(key_limits)
{
	static char text[2000];
	dur_value key, pair[2], value;
	dur_view *v;
	dur_coll r;
	uint64_t n;

	memset(text, 'k', sizeof text);
	EXPECT(0, dur_put(c, &DUR_STRN(text, DUR_MAX_KEY - 2), &DUR_INT(1)));
	EXPECT(0, dur_get(c, &DUR_STRN(text, DUR_MAX_KEY - 2), &value));
	EXPECT(DUR_E_LIMIT, dur_put(c, &DUR_STRN(text, DUR_MAX_KEY - 1), &DUR_INT(1)));
	EXPECT(DUR_E_LIMIT, dur_get(c, &DUR_STRN(text, DUR_MAX_KEY - 1), &value));
	EXPECT(DUR_E_LIMIT, dur_del(c, &DUR_STRN(text, sizeof text)));
	pair[0] = DUR_STRN(text, DUR_MAX_KEY - 3);
	pair[1] = DUR_BOOL(1);
	EXPECT(0, dur_put(c, &DUR_TUPLE(pair, 2), &DUR_BYTES(text, 1500)));
	pair[0].len++;
	EXPECT(DUR_E_LIMIT, dur_put(c, &DUR_TUPLE(pair, 2), &DUR_INT(1)));
	text[5] = 0; /* takes two bytes */
	EXPECT(DUR_E_LIMIT, dur_put(c, &DUR_STRN(text, DUR_MAX_KEY - 2), &DUR_INT(1)));
	EXPECT(0, dur_put(c, &DUR_STRN(text, DUR_MAX_KEY - 3), &DUR_INT(1)));
	EXPECT(0, dur_count(c, NULL, &n));
	ck_assert_uint_eq(n, 3);

	EXPECT(0, dur_begin(raw, &(dur_view_options){ .flags = DUR_LENIENT }, &v));
	r = dur_root(v);
	EXPECT(0, dur_put(r, &DUR_BYTES(text, DUR_MAX_KEY), &DUR_INT(1)));
	EXPECT(0, dur_put(r, &DUR_BYTES(text, 0), &DUR_INT(2)));
	EXPECT(DUR_E_LIMIT, dur_put(r, &DUR_BYTES(text, DUR_MAX_KEY + 1), &DUR_INT(1)));
	EXPECT(DUR_E_LIMIT, dur_get(r, &DUR_STRN(text, DUR_MAX_KEY + 1), &value));
	EXPECT(0, dur_get(r, &DUR_STR(""), &value));
	ck_assert_int_eq(value.i, 2);
	EXPECT(0, dur_nth(r, 1, &key, &value));
	ck_assert_uint_eq(key.type, DUR_BYTES);
	ck_assert_uint_eq(key.len, DUR_MAX_KEY);
	ck_assert(memcmp(key.ptr, text, DUR_MAX_KEY) == 0);
	EXPECT(0, dur_commit(v, NULL, NULL));
	dur_close(v);
}
END_TEST

/* Only strings and bytes are raw keys; a string means its bytes, whatever they are. */
START_TEST(raw_keys)
{
	static const dur_value wrong[] = { { .type = DUR_NULL }, { .type = DUR_INT, .i = 1 },
		                           { .type = DUR_TUPLE }, { .type = DUR_UUID } };
	dur_value key, value;
	dur_view *v;
	dur_coll r;

	EXPECT(0, dur_begin(raw, &(dur_view_options){ .flags = DUR_LENIENT }, &v));
	r = dur_root(v);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		EXPECT(DUR_E_TYPE, dur_put(r, &wrong[i], &DUR_INT(1)));
		EXPECT(DUR_E_TYPE, dur_get(r, &wrong[i], &value));
		EXPECT(DUR_E_TYPE, dur_rank(r, &wrong[i], &(uint64_t){ 0 }));
		EXPECT(DUR_E_TYPE, dur_count(r, &(dur_range){ .from = &wrong[i] },
		                             &(uint64_t){ 0 }));
	}
	EXPECT(0, dur_put(r, &DUR_STRN("\xff\0\xfe", 3), &DUR_INT(1)));
	EXPECT(0, dur_get(r, &DUR_BYTES("\xff\0\xfe", 3), &value));
	EXPECT(0, dur_put(r, &DUR_PATH("/a~1b"), &DUR_INT(2)));
	EXPECT(0, dur_get(r, &DUR_STR("a/b"), &value));
	EXPECT(0, dur_get(r, &DUR_PATH("/~x612f62"), &value));
	ck_assert_int_eq(value.i, 2);
	EXPECT(DUR_E_TYPE, dur_get(r, &DUR_PATH("/~i42"), &value));
	EXPECT(0, dur_nth(r, 0, &key, NULL));
	ck_assert_uint_eq(key.type, DUR_BYTES);
	dur_close(v);
}
END_TEST

/* What can be no key, of every call that takes one. */
START_TEST(keys_refused)
{
	static const dur_value item = { .type = DUR_LIST };
	const struct {
		int result;
		dur_value key;
	} list[] = {
		{ DUR_E_TYPE, { .type = DUR_ABSENT } },
		{ DUR_E_TYPE, { .type = DUR_MAP } },
		{ DUR_E_TYPE, { .type = 99 } },
		{ DUR_E_TYPE, DUR_COLL(c) },
		{ DUR_E_TYPE, DUR_TUPLE(&item, 1) },
		{ DUR_E_MISUSE, DUR_STRN("\xff", 1) },
		{ DUR_E_MISUSE, DUR_STRN(NULL, 1) },
		{ DUR_E_MISUSE, DUR_BYTES("x", DUR_CSTR) },
		{ DUR_E_MISUSE, DUR_TUPLE(NULL, 1) },
		{ DUR_E_MISUSE, DUR_DECIMAL("1,5") },
		{ DUR_E_MISUSE, DUR_BIGINT("01") },
		{ DUR_E_MISUSE, { .type = DUR_BOOL, .i = 3 } },
		{ DUR_E_RANGE, DUR_TIME(0, UINT32_MAX, 0) },
		{ DUR_E_PATH, DUR_PATH("a") },
		{ DUR_E_PATH, DUR_PATH("/\xff") },
		{ DUR_E_PATH, DUR_PATH("/~") },
		{ DUR_E_PATH, DUR_PATH("/a~z") },
		{ DUR_E_PATH, DUR_PATH("/~i4x") },
		{ DUR_E_PATH, DUR_PATH("/~z") },
		{ DUR_E_PATH, DUR_PATH("/a/b/~z") },
		{ DUR_E_MISUSE, DUR_STEPS(NULL, 1) },
	};
	dur_value fine[2] = { DUR_STR("fine") }, got[2], value;
	dur_iter *it;
	uint64_t n;

	EXPECT(0, dur_put(c, &DUR_STR("a"), &DUR_INT(7)));
	EXPECT(0, dur_scan(c, NULL, &it));
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		const dur_value *key = &list[i].key;
		int rc = list[i].result;

		HOLDS(dur_get(c, key, &value) == rc, "key %zu: %s", i, dur_message());
		HOLDS(dur_put(c, key, &DUR_INT(1)) == rc, "key %zu: %s", i, dur_message());
		EXPECT(rc, dur_swap(c, key, NULL, &DUR_INT(1)));
		EXPECT(rc, dur_del(c, key));
		EXPECT(rc, dur_rank(c, key, &n));
		EXPECT(rc, dur_seek(it, key));
		fine[1] = *key;
		EXPECT(rc, dur_get_many(c, fine, 2, got));
		EXPECT(rc, dur_put_many(c, fine, (dur_value[]){ DUR_INT(1), DUR_INT(2) }, 2));
	}
	EXPECT(0, dur_count(c, NULL, &n));
	ck_assert_uint_eq(n, 1);
	dur_iter_close(it);
}
END_TEST

/* ---- Paths ---- */

START_TEST(paths)
{
	dur_value two[] = { DUR_STR("a"), DUR_STR("b") }, value, tuple[2];
	dur_view *snap;

	EXPECT(0, dur_get(c, &DUR_PATH(""), &value));
	ck_assert_uint_eq(value.type, DUR_MAP);
	ck_assert_uint_eq(value.len, 0);
	ck_assert_ptr_eq(value.coll.view, txn);
	EXPECT(0, dur_put(value.coll, &DUR_INT(42), &DUR_STR("int")));
	EXPECT(0, dur_put(c, &DUR_PATH("/"), &DUR_STR("empty")));
	EXPECT(0, dur_put(c, &DUR_PATH("/~01~1~0"), &DUR_STR("escaped")));
	EXPECT(0, dur_get(c, &DUR_PATH("/~i42"), &value));
	ck_assert_int_eq(memcmp(value.str, "int", 3), 0);
	EXPECT(DUR_NONE, dur_get(c, &DUR_PATH("/42"), NULL)); /* that is a string */
	EXPECT(0, dur_get(c, &DUR_STR(""), NULL));
	EXPECT(0, dur_get(c, &DUR_STR("~1/~"), NULL));
	tuple[0] = DUR_STR("x");
	tuple[1] = DUR_INT(-1);
	EXPECT(0, dur_put(c, &DUR_PATH("/~px,~i-1"), &DUR_INT(5)));
	EXPECT(0, dur_get(c, &DUR_TUPLE(tuple, 2), &value));
	ck_assert_int_eq(value.i, 5);
	EXPECT(0, dur_get(c, &DUR_STEPS(&DUR_TUPLE(tuple, 2), 1), &value));
	EXPECT(0, dur_get(c, &DUR_STEPS(NULL, 0), &value));
	ck_assert_uint_eq(value.type, DUR_MAP);
	ck_assert_uint_eq(value.len, 4);

	/* two steps: there is nothing to lead through yet */
	EXPECT(DUR_NONE, dur_get(c, &DUR_PATH("/a/b"), &value));
	EXPECT(DUR_NONE, dur_get(c, &DUR_STEPS(two, 2), &value));
	EXPECT(DUR_NONE, dur_del(c, &DUR_PATH("/a/b")));
	EXPECT(DUR_E_PARENT, dur_put(c, &DUR_PATH("/a/b"), &DUR_INT(1)));
	EXPECT(DUR_E_PARENT, dur_put(c, &DUR_STEPS(two, 2), &DUR_INT(1)));
	EXPECT(DUR_E_PARENT, dur_swap(c, &DUR_STEPS(two, 2), NULL, &DUR_INT(1)));
	EXPECT(0, dur_put(c, two, &DUR_INT(1)));
	EXPECT(DUR_E_TYPE, dur_get(c, &DUR_PATH("/a/b"), &value));
	EXPECT(DUR_E_TYPE, dur_put(c, &DUR_PATH("/a/b/c/d"), &DUR_INT(1)));
	EXPECT(DUR_E_TYPE, dur_del(c, &DUR_STEPS(two, 2)));

	/* the collection itself is no element */
	EXPECT(DUR_E_TYPE, dur_put(c, &DUR_PATH(""), &DUR_INT(1)));
	EXPECT(DUR_E_TYPE, dur_swap(c, &DUR_STEPS(NULL, 0), NULL, &DUR_INT(1)));
	EXPECT(DUR_E_TYPE, dur_del(c, &DUR_PATH("")));

	/* paths and plain keys together */
	dur_value keys[] = { DUR_PATH("/~i42"), DUR_STR("none"), DUR_PATH("/a/b"),
		             DUR_PATH("/a") };
	dur_value got[4];
	EXPECT(DUR_E_TYPE, dur_get_many(c, keys, 4, got));
	keys[2] = DUR_PATH("/x/y");
	EXPECT(0, dur_get_many(c, keys, 4, got));
	ck_assert_uint_eq(got[0].type, DUR_STR);
	ck_assert_uint_eq(got[1].type, DUR_ABSENT);
	ck_assert_uint_eq(got[2].type, DUR_ABSENT);
	ck_assert_int_eq(got[3].i, 1);
	EXPECT(0, dur_put_many(c, keys, (dur_value[]){ DUR_INT(8), DUR_INT(9) }, 2));
	EXPECT(0, dur_get(c, &DUR_INT(42), &value));
	ck_assert_int_eq(value.i, 8);

	EXPECT(0, dur_commit(txn, NULL, NULL));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	EXPECT(0, dur_get(dur_root(snap), &DUR_PATH("/~01~1~0"), &value));
	dur_close(snap);
}
END_TEST

START_TEST(put_many_takes_the_last)
{
	dur_value keys[5000], values[5000], value;
	uint64_t n;

	for (int i = 0; i < 5000; i++) {
		keys[i] = DUR_INT((i * 7919) % 1000);
		values[i] = DUR_INT(i);
	}
	EXPECT(0, dur_put_many(c, keys, values, 5000));
	EXPECT(0, dur_count(c, NULL, &n));
	ck_assert_uint_eq(n, 1000);
	for (int i = 4000; i < 5000; i++) {
		EXPECT(0, dur_get(c, &keys[i], &value));
		ck_assert_int_eq(value.i, i);
	}
	values[4999] = DUR_STRN("\xff", 1);
	keys[0] = DUR_STR("new");
	EXPECT(DUR_E_MISUSE, dur_put_many(c, keys, values, 5000));
	EXPECT(DUR_NONE, dur_get(c, &keys[0], NULL));
	for (int i = 4000; i < 5000; i++) {
		EXPECT(0, dur_get(c, &keys[i], &value));
		ck_assert_int_eq(value.i, i);
	}
}
END_TEST

/* ---- Ranges ---- */

struct items {
	const dur_value *at;
	uint64_t n;
};

static struct items items_of(const dur_value *v)
{
	return v->type == DUR_TUPLE ? (struct items){ v->items, v->len } : (struct items){ v, 1 };
}

/* As a bound, a shorter tuple stands for all that start with it. */
static int against(const dur_value *key, const dur_value *bound)
{
	struct items k = items_of(key), b = items_of(bound);

	if (k.n > b.n) {
		dur_value cut = DUR_TUPLE(k.at, b.n);
		return dur_compare(&cut, bound);
	}
	return dur_compare(key, bound);
}

/* By the last item of the stem: the same up to there, and that one starts with it. */
static bool starts(const dur_value *key, const dur_value *stem)
{
	struct items k = items_of(key), s = items_of(stem);
	const dur_value *text = stem->type == DUR_TUPLE ? NULL : stem;

	if (!text || (text->type != DUR_STR && text->type != DUR_BYTES))
		return against(key, stem) == 0;
	return k.n >= s.n && k.at[0].type == text->type && k.at[0].len >= text->len &&
	       memcmp(k.at[0].ptr, text->ptr, text->len) == 0;
}

static bool selects(const dur_range *r, const dur_value *key)
{
	if (r->flags & DUR_STARTS)
		return starts(key, r->from);
	if (r->from && against(key, r->from) < !!(r->flags & DUR_AFTER_FROM))
		return false;
	return !r->to || against(key, r->to) < !!(r->flags & DUR_WITH_TO);
}

enum { RANGE_KEYS = 700 };
struct sorted {
	dur_value keys[RANGE_KEYS];
	uint32_t n;
};

static int by_order(const void *a, const void *b)
{
	return dur_compare(a, b);
}

static dur_value small_key(uint64_t *rng, struct key_arena *arena, bool plain, unsigned depth)
{
	static const char *const texts[] = { "", "a", "ab", "abc", "b", "a\0", "a\xff", "\xff",
		                             "\xff\xff", "a\0b", "a\0\xff" };
	static const size_t lens[] = { 0, 1, 2, 3, 1, 2, 2, 1, 2, 3, 3 };
	uint64_t which = random_below(rng, 11), kind = random_below(rng, 8);

	if (plain || kind < 2)
		return DUR_BYTES(texts[which], lens[which]);
	if (kind < 4)
		return which < 6 || which == 9 ? DUR_STRN(texts[which], lens[which])
		                               : DUR_STRN("\xc3\xbf", 2);
	if (kind == 4)
		return DUR_INT((int64_t)random_below(rng, 3) - 1);
	if (kind == 5 || depth == 0)
		return random_below(rng, 2) ? DUR_NULL() : DUR_BOOL(1);
	uint64_t n = random_below(rng, 4);
	dur_value *items = key_arena_take(arena, n * sizeof *items);
	for (uint64_t i = 0; i < n; i++)
		items[i] = small_key(rng, arena, false, depth - 1);
	return DUR_TUPLE(items, n);
}

static void fill_sorted(dur_coll in, struct sorted *s, uint64_t *rng, struct key_arena *arena,
                        bool plain)
{
	uint32_t n = 0;

	for (int i = 0; i < RANGE_KEYS; i++) {
		s->keys[i] = small_key(rng, arena, plain, 2);
		EXPECT(0, dur_put(in, &s->keys[i], &DUR_INT(1)));
	}
	qsort(s->keys, RANGE_KEYS, sizeof *s->keys, by_order);
	for (int i = 0; i < RANGE_KEYS; i++)
		if (n == 0 || dur_compare(&s->keys[n - 1], &s->keys[i]) != 0)
			s->keys[n++] = s->keys[i];
	s->n = n;
}

static void random_range(dur_range *r, dur_value *bounds, uint64_t *rng, struct key_arena *arena,
                         bool plain)
{
	*r = (dur_range){ 0 };
	for (int i = 0; i < 2; i++)
		bounds[i] = small_key(rng, arena, plain, 2);
	if (random_below(rng, 4) == 0) {
		r->from = &bounds[0];
		r->flags = DUR_STARTS;
	} else {
		r->from = random_below(rng, 4) ? &bounds[0] : NULL;
		r->to = random_below(rng, 4) ? &bounds[1] : NULL;
		r->flags = (random_below(rng, 2) ? DUR_AFTER_FROM : 0) |
		           (random_below(rng, 2) ? DUR_WITH_TO : 0);
	}
	r->flags |= random_below(rng, 2) ? DUR_REVERSE : 0;
	if (random_below(rng, 3) == 0) {
		r->parts = 1 + (uint32_t)random_below(rng, 6);
		r->part = (uint32_t)random_below(rng, r->parts);
	}
	r->skip = random_below(rng, 2) ? 0 : random_below(rng, 8);
	r->limit = random_below(rng, 2) ? 0 : 1 + random_below(rng, 8);
}

/* The indexes of what a range selects, in its direction. */
static uint32_t pick(const struct sorted *s, const dur_range *r, uint32_t *out)
{
	uint32_t n = 0, from, to, k = 0;

	for (uint32_t i = 0; i < s->n; i++)
		if (selects(r, &s->keys[i]))
			out[n++] = i;
	from = r->parts ? n * r->part / r->parts : 0;
	to = r->parts ? n * (r->part + 1) / r->parts : n;
	n = to - from;
	memmove(out, out + from, n * sizeof *out);
	for (uint32_t i = 0; r->flags & DUR_REVERSE && i < n / 2; i++) {
		uint32_t swap = out[i];
		out[i] = out[n - 1 - i];
		out[n - 1 - i] = swap;
	}
	for (uint32_t i = (uint32_t)(r->skip < n ? r->skip : n); i < n && (!r->limit || k < r->limit);)
		out[k++] = out[i++];
	return k;
}

static void try_range(dur_coll in, const struct sorted *s, const dur_range *r)
{
	uint32_t picked[RANGE_KEYS], n = pick(s, r, picked);
	uint64_t count;
	dur_value key;
	dur_iter *it;

	EXPECT(0, dur_count(in, r, &count));
	HOLDS(count == n, "%llu of %u, flags 0x%x", (unsigned long long)count, n, r->flags);
	EXPECT(0, dur_scan(in, r, &it));
	for (uint32_t i = 0; i < n; i++) {
		EXPECT(0, dur_left(it, &count));
		ck_assert_uint_eq(count, n - i);
		EXPECT(0, dur_next(it, &key, NULL));
		HOLDS(dur_compare(&key, &s->keys[picked[i]]) == 0, "entry %u of %u, flags 0x%x", i,
		      n, r->flags);
	}
	EXPECT(DUR_NONE, dur_next(it, &key, NULL));
	dur_iter_close(it);
}

static void try_ranges(dur_prefix *q, bool plain)
{
	static struct sorted s;
	struct key_arena arena = { 0 }, bounds_arena = { 0 };
	uint64_t rng = kit_seed() + plain;
	dur_value bounds[2];
	dur_range r;
	dur_view *v, *snap;

	EXPECT(0, dur_begin(q, NULL, &v));
	EXPECT(0, dur_clear(dur_root(v), NULL, NULL));
	fill_sorted(dur_root(v), &s, &rng, &arena, plain);
	for (unsigned i = 0, n = kit_rounds(1500); i < n; i++) {
		key_arena_reset(&bounds_arena);
		random_range(&r, bounds, &rng, &bounds_arena, plain);
		if (i == n / 2)
			EXPECT(0, dur_commit(v, NULL, NULL));
		try_range(dur_root(v), &s, &r);
	}
	EXPECT(0, dur_snapshot(q, DUR_LATEST, NULL, &snap));
	dur_close(v);
	random_range(&r, bounds, &rng, &bounds_arena, plain);
	try_range(dur_root(snap), &s, &r);
	dur_close(snap);
	key_arena_free(&arena);
	key_arena_free(&bounds_arena);
}

START_TEST(ranges_of_typed_keys)
{
	dur_close(txn);
	try_ranges(p, false);
	EXPECT(0, dur_begin(p, NULL, &txn));
}
END_TEST

START_TEST(ranges_of_raw_keys)
{
	try_ranges(raw, true);
}
END_TEST

START_TEST(ranges_by_paths)
{
	dur_range r = { .from = &DUR_PATH("/b"), .to = &DUR_STEPS(&DUR_STR("d"), 1) };
	uint64_t n;

	for (char k = 'a'; k <= 'e'; k++)
		EXPECT(0, dur_put(c, &DUR_STRN(&k, 1), &DUR_INT(k)));
	EXPECT(0, dur_count(c, &r, &n));
	ck_assert_uint_eq(n, 2);
	r.flags = DUR_AFTER_FROM | DUR_WITH_TO;
	EXPECT(0, dur_count(c, &r, &n));
	ck_assert_uint_eq(n, 2);
	EXPECT(0, dur_clear(c, &r, &n));
	ck_assert_uint_eq(n, 2);
	EXPECT(0, dur_count(c, NULL, &n));
	ck_assert_uint_eq(n, 3);
}
END_TEST

/* Seeking stays within the range; limit counts on from where it was. */
START_TEST(seeking)
{
	const dur_range up = { .from = &DUR_INT(10), .to = &DUR_INT(90), .limit = 30 };
	const dur_range down = { .from = &DUR_INT(10), .to = &DUR_INT(90), .flags = DUR_REVERSE };
	dur_value key;
	dur_iter *it;
	uint64_t n;

	for (int i = 0; i < 100; i += 2)
		EXPECT(0, dur_put(c, &DUR_INT(i), &DUR_INT(i)));
	EXPECT(0, dur_scan(c, &up, &it));
	EXPECT(0, dur_seek(it, &DUR_INT(21)));
	EXPECT(0, dur_next(it, &key, NULL));
	ck_assert_int_eq(key.i, 22);
	EXPECT(0, dur_seek(it, &DUR_INT(-5))); /* before the range: its first */
	EXPECT(0, dur_next(it, &key, NULL));
	ck_assert_int_eq(key.i, 10);
	EXPECT(0, dur_left(it, &n));
	ck_assert_uint_eq(n, 28); /* two were given */
	EXPECT(0, dur_seek(it, &DUR_INT(86)));
	EXPECT(0, dur_left(it, &n));
	ck_assert_uint_eq(n, 2);
	EXPECT(0, dur_seek(it, &DUR_INT(90)));
	EXPECT(DUR_NONE, dur_next(it, &key, NULL));
	EXPECT(DUR_NONE, dur_next(it, &key, NULL));
	EXPECT(0, dur_seek(it, &DUR_PATH("/~i40")));
	EXPECT(0, dur_next(it, &key, NULL));
	ck_assert_int_eq(key.i, 40);
	for (n = 0; MUST(dur_next(it, &key, NULL)) == 0; n++)
		;
	ck_assert_uint_eq(n, 24); /* up to 88: 27 are left of the limit */
	dur_iter_close(it);
	EXPECT(0, dur_scan(c, &down, &it));
	EXPECT(0, dur_seek(it, &DUR_INT(51)));
	EXPECT(0, dur_next(it, &key, NULL));
	ck_assert_int_eq(key.i, 50);
	EXPECT(0, dur_seek(it, &DUR_INT(50)));
	EXPECT(0, dur_next(it, &key, NULL));
	ck_assert_int_eq(key.i, 50);
	EXPECT(0, dur_seek(it, &DUR_INT(1000)));
	EXPECT(0, dur_next(it, &key, NULL));
	ck_assert_int_eq(key.i, 88);
	EXPECT(0, dur_seek(it, &DUR_INT(9)));
	EXPECT(DUR_NONE, dur_next(it, &key, NULL));
	dur_iter_close(it);
}
END_TEST

/* In a transaction an iterator goes on behind the last key it gave, whatever is written. */
START_TEST(iterating_through_writes)
{
	dur_value key, value;
	int64_t seen = 0;
	dur_iter *it;

	for (int i = 0; i < 1000; i++)
		EXPECT(0, dur_put(c, &DUR_INT(i * 10), &DUR_INT(i)));
	EXPECT(0, dur_scan(c, NULL, &it));
	for (int64_t last = -1; MUST(dur_next(it, &key, &value)) == 0; seen++) {
		ck_assert_int_gt(key.i, last);
		last = key.i;
		EXPECT(0, dur_del(c, &DUR_INT(last)));             /* what was given */
		if (last % 10 == 0) {
			EXPECT(0, dur_put(c, &DUR_INT(last + 5), &DUR_INT(0)));    /* comes */
			EXPECT(0, dur_put(c, &DUR_INT(-1 - last), &DUR_INT(0)));   /* is past */
		}
	}
	ck_assert_int_eq(seen, 2000);
	dur_iter_close(it);
	EXPECT(0, dur_clear(c, NULL, NULL));
	EXPECT(0, dur_put_many(c, (dur_value[]){ DUR_INT(1), DUR_INT(2), DUR_INT(3) },
	                       (dur_value[]){ DUR_INT(1), DUR_INT(2), DUR_INT(3) }, 3));
	EXPECT(0, dur_scan(c, NULL, &it));
	EXPECT(0, dur_next(it, &key, &value));
	EXPECT(0, dur_commit(txn, NULL, NULL)); /* it goes on in what the commit left */
	EXPECT(0, dur_next(it, &key, &value));
	ck_assert_int_eq(key.i, 2);
	EXPECT(0, dur_next(it, &key, &value));
	EXPECT(DUR_NONE, dur_next(it, &key, &value));
}
END_TEST

/* The order over all types, and what is none of it. */
START_TEST(compare)
{
	const dur_value order[] = {
		{ .type = DUR_MAP }, /* equal to every other that is no scalar */
		DUR_NULL(), DUR_BOOL(0), DUR_BOOL(1),
	};
	dur_value pair[2] = { DUR_STR("a"), DUR_INT(1) };

	ck_assert_int_eq(dur_compare(NULL, NULL), 0);
	ck_assert_int_eq(dur_compare(NULL, &order[1]), -1);
	ck_assert_int_eq(dur_compare(&order[0], NULL), 0);
	ck_assert_int_eq(dur_compare(&order[0], &(dur_value){ .type = DUR_PATH }), 0);
	ck_assert_int_eq(dur_compare(&order[0], &order[1]), -1);
	ck_assert_int_eq(dur_compare(&order[3], &order[0]), 1);
	ck_assert_int_eq(dur_compare(&DUR_TUPLE(pair, 1), &pair[0]), 0);
	ck_assert_int_eq(dur_compare(&DUR_TUPLE(pair, 2), &pair[0]), 1);
	ck_assert_int_eq(dur_compare(&DUR_DOUBLE(-0.0), &DUR_DOUBLE(0.0)), -1);
	ck_assert_int_eq(dur_compare(&DUR_DECIMAL("1.5"), &DUR_DECIMAL("1.50")), -1);
	ck_assert_int_eq(dur_compare(&DUR_BIGINT("5"), &DUR_INT(5)), 0);
	ck_assert_int_eq(dur_compare(&DUR_STR(""), &order[0]), 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("api_data");
	TCase *tc = tcase_create("data");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, values_come_back);
	tcase_add_test(tc, swaps);
	tcase_add_test(tc, integers_have_one_form);
	tcase_add_test(tc, values_refused);
	tcase_add_test(tc, random_keys);
	tcase_add_test(tc, keys_come_back);
	tcase_add_test(tc, key_limits);
	tcase_add_test(tc, raw_keys);
	tcase_add_test(tc, keys_refused);
	tcase_add_test(tc, paths);
	tcase_add_test(tc, put_many_takes_the_last);
	tcase_add_test(tc, ranges_of_typed_keys);
	tcase_add_test(tc, ranges_of_raw_keys);
	tcase_add_test(tc, ranges_by_paths);
	tcase_add_test(tc, seeking);
	tcase_add_test(tc, iterating_through_writes);
	tcase_add_test(tc, compare);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
