/* SPDX-License-Identifier: Apache-2.0 */
/* Random collections in collections: small ones and trees, large values in any depth, clones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup_kit.h"
#include "engine/hash.h"

enum { TOPS = 5, KEYS = 7, DEPTH = 6, HEAVY = 2500, BULK = 400, LARGE = 30000 };

static bool is_set(uint32_t kind)
{
	return kind == DUR_SET || kind == DUR_RAW_SET;
}

static dur_value key_of(dur_coll c, uint64_t n, char text[32])
{
	int len = snprintf(text, 32, "key %u", (unsigned)n);
	uint32_t kind = c.kind;

	if (kind == DUR_LIST) { /* somewhere in it */
		uint64_t count;
		EXPECT(0, dur_count(c, NULL, &count));
		return DUR_INT((int64_t)(n * 7919 % (count + 1)));
	}

	if (kind == DUR_RAW_MAP || kind == DUR_RAW_SET)
		return DUR_BYTES(text, (size_t)len);
	return n % 3 ? DUR_STR(text) : DUR_INT((int64_t)n);
}

static bool is_collection(const dur_value *v)
{
	return v->type >= DUR_MAP && v->type <= DUR_ROPE;
}

/* Entries of a collection and of all in it. */
static uint64_t weight(dur_coll c)
{
	uint64_t sum = 0;
	dur_value value;
	dur_iter *it;

	EXPECT(0, dur_scan(c, NULL, &it));
	while (MUST(dur_next(it, NULL, &value)) == 0)
		sum += 1 + (is_collection(&value) ? weight(value.coll) : 0);
	dur_iter_close(it);
	return sum;
}

static void put_scalar(dur_coll c, const dur_value *key, uint64_t *random)
{
	static char bytes[LARGE];
	uint64_t how = kit_random(random), len = how % 64 == 0 ? how / 64 % LARGE : how / 64 % 60;

	if (is_set(c.kind)) {
		MUST(dur_add(c, key));
		return;
	}
	memset(bytes, 'a' + (int)(how >> 32) % 26, len);
	dur_value value = how % 3 ? DUR_STRN(bytes, len) : DUR_INT((int64_t)how);
	EXPECT(0, c.kind == DUR_LIST ? dur_insert(c, key->i, &value, 1) : dur_put(c, key, &value));
}

/* One change in a collection. */
static void change(dur_view *txn, dur_coll c, uint64_t *random)
{
	uint64_t how = kit_random(random), n = how / 64 % BULK;
	dur_value key, from;
	char text[32];

	key = key_of(c, how / 64 % (4 * KEYS), text);
	switch (how % 16) {
	case 0: /* many */
		for (uint64_t i = 0; i < n; i++) {
			key = key_of(c, 100 + i, text);
			put_scalar(c, &key, random);
		}
		break;
	case 1: /* and away */
		EXPECT(0, dur_clear(c, &(dur_range){ .skip = how / 64 % 4 }, NULL));
		break;
	case 2: /* a collection from somewhere else, if that does not grow without end */
		from = DUR_DOUBLE((double)(how / 64 % TOPS));
		if (is_set(c.kind) || c.kind == DUR_LIST || dur_get(dur_root(txn), &from, &from) != 0 ||
		    weight(dur_root(txn)) + weight(from.coll) > HEAVY)
			break;
		EXPECT(0, dur_put(c, &key, &from));
		break;
	case 3:
	case 4:
	case 5:
		MUST(dur_del(c, &key));
		break;
	default:
		put_scalar(c, &key, random);
	}
}

void backup_change_nested(dur_view *txn, uint64_t *random)
{
	static const uint32_t kinds[] = { DUR_MAP, DUR_MAP, DUR_RAW_MAP, DUR_LIST, DUR_LIST,
		                          DUR_SET, DUR_RAW_SET };
	uint64_t depth = 1 + kit_random(random) % DEPTH;
	dur_coll c = dur_root(txn);
	dur_value key, value;
	char text[32];

	for (uint64_t i = 0; i < depth && !is_set(c.kind); i++) {
		uint64_t n = kit_random(random) % (i ? KEYS : TOPS);
		uint32_t kind = kinds[i ? kit_random(random) % 7 : kit_random(random) % 3];
		key = key_of(c, i ? n + 2 * KEYS : n, text);
		if (i == 0) /* clear of the other keys of this kit */
			key = DUR_DOUBLE((double)n);
		if (dur_get(c, &key, &value) == 0 && is_collection(&value))
			kind = value.type;
		else if (c.kind == DUR_LIST)
			EXPECT(0, dur_insert(c, key.i, &DUR_NEW(kind, NULL, 0), 1));
		else
			MUST(dur_del(c, &key));
		EXPECT(0, dur_make(c, &key, kind, &c));
	}
	if (kit_random(random) % 40 == 0)
		MUST(dur_del(dur_root(txn), &DUR_DOUBLE((double)(kit_random(random) % TOPS))));
	else
		change(txn, c, random);
}

void backup_same_coll(dur_coll a, dur_coll b)
{
	dur_value key[2], value[2];
	dur_iter *it[2];

	HOLDS(a.kind == b.kind, "kinds %u and %u", a.kind, b.kind);
	EXPECT(0, dur_scan(a, NULL, &it[0]));
	EXPECT(0, dur_scan(b, NULL, &it[1]));
	while (MUST(dur_next(it[0], &key[0], &value[0])) == 0) {
		EXPECT(0, dur_next(it[1], &key[1], &value[1]));
		backup_same_value(&key[0], &key[1]);
		backup_same_value(&value[0], &value[1]);
	}
	EXPECT(DUR_NONE, dur_next(it[1], NULL, NULL));
	dur_iter_close(it[0]);
	dur_iter_close(it[1]);
}

static uint64_t digest_value(const dur_value *value, uint64_t sum)
{
	sum = hash64(&value->type, sizeof value->type, sum);
	if (is_collection(value))
		return backup_digest_coll(value->coll, sum);
	if (value->type == DUR_STR || value->type == DUR_BYTES)
		return hash64(value->ptr, value->len, sum);
	return value->type == DUR_TUPLE || value->type == DUR_NULL ? sum : hash64(&value->i, 8, sum);
}

uint64_t backup_digest_coll(dur_coll c, uint64_t sum)
{
	dur_value key, value;
	dur_iter *it;

	EXPECT(0, dur_scan(c, NULL, &it));
	while (MUST(dur_next(it, &key, &value)) == 0)
		sum = digest_value(&value, digest_value(&key, sum));
	dur_iter_close(it);
	return sum;
}
