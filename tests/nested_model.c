/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/nested_model.h"

#include <stdlib.h>
#include <string.h>

#include "engine/key.h"
#include "tests/prefix_kit.h"
#include "tests/random_values.h"
#include "tests/tally.h"

char model_text[MODEL_TEXT];
uint64_t model_now;

void model_text_fill(uint64_t *random)
{
	for (unsigned i = 0; i < MODEL_TEXT; i++)
		model_text[i] = (char)('a' + random_below(random, 26));
}

bool is_set(const struct plain *node)
{
	return node->kind == DUR_SET || node->kind == DUR_RAW_SET;
}

bool is_raw(const struct plain *node)
{
	return node->kind == DUR_RAW_MAP || node->kind == DUR_RAW_SET;
}

unsigned depth_of(const struct plain *node)
{
	unsigned depth = 0;

	for (; node->parent; node = node->parent)
		depth++;
	return depth;
}

size_t length_of(const struct plain *node)
{
	return node->kind == DUR_ROPE ? node->len : node->n;
}

size_t weight(const struct plain *node)
{
	size_t sum = node->n + 1 + node->len / 100;

	for (size_t i = 0; i < node->n; i++)
		sum += node->entry[i].sub ? weight(node->entry[i].sub) : 0;
	return sum;
}

/* ---- Nodes ---- */

struct plain *plain_new(uint32_t kind, struct plain *parent)
{
	struct plain *node = calloc(1, sizeof *node);

	node->kind = kind;
	node->parent = parent;
	node->born = model_now;
	return node;
}

static void entry_drop(struct entry *e)
{
	if (e->sub)
		plain_free(e->sub);
	e->sub = NULL;
	e->text = 0;
	e->i = 0;
}

void plain_free(struct plain *node)
{
	for (size_t i = 0; i < node->n; i++) {
		entry_drop(&node->entry[i]);
		free(node->entry[i].key);
	}
	free(node->entry);
	free(node->bytes);
	node->entry = NULL;
	node->bytes = NULL;
	node->n = node->cap = node->len = node->room = 0;
	node->dead = true;
	if (node->handles == 0)
		free(node);
}

void plain_forget(struct plain *node)
{
	if (--node->handles == 0 && node->dead)
		free(node);
}

void entry_copy(struct plain *node, struct entry *to, const struct entry *from)
{
	to->text = from->text;
	to->i = from->i;
	to->sub = from->sub ? plain_copy(from->sub, node) : NULL;
}

struct plain *plain_copy(struct plain *from, struct plain *parent)
{
	struct plain *node = plain_new(from->kind, parent);

	from->twin = node;
	node->born = from->born;
	node->n = node->cap = from->n;
	node->entry = calloc(from->n + 1, sizeof *node->entry);
	for (size_t i = 0; i < from->n; i++) {
		const struct entry *e = &from->entry[i];
		if (e->key) {
			node->entry[i].key = malloc(e->key_len + 1);
			memcpy(node->entry[i].key, e->key, e->key_len);
			node->entry[i].key_len = e->key_len;
		}
		entry_copy(node, &node->entry[i], e);
	}
	plain_rope_insert(node, 0, from->bytes, from->len);
	return node;
}

/* ---- Maps, sets and lists ---- */

size_t key_bytes(const struct plain *node, const dur_value *key, uint8_t buf[DUR_MAX_KEY + 1])
{
	size_t len;
	int rc = is_raw(node) ? key_encode_raw(key, buf, DUR_MAX_KEY + 1, &len)
	                      : key_encode(key, buf, DUR_MAX_KEY + 1, &len);

	HOLDS(rc == 0, "%s", dur_message());
	return len;
}

size_t plain_find_bytes(const struct plain *node, const uint8_t *key, size_t len, bool *found)
{
	size_t low = 0, high = node->n;

	*found = false;
	while (low < high) {
		size_t mid = (low + high) / 2, n = node->entry[mid].key_len;
		int order = memcmp(node->entry[mid].key, key, n < len ? n : len);
		order = order ? order : (n > len) - (n < len);
		if (order == 0) {
			*found = true;
			return mid;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t plain_find(const struct plain *node, const dur_value *key, bool *found)
{
	uint8_t buf[DUR_MAX_KEY + 1];

	return plain_find_bytes(node, buf, key_bytes(node, key, buf), found);
}

struct entry *plain_replace(struct plain *node, size_t at)
{
	entry_drop(&node->entry[at]);
	return &node->entry[at];
}

struct entry *plain_insert(struct plain *node, size_t at, size_t n)
{
	if (node->n + n > node->cap) {
		node->cap = (node->n + n) * 2 + 4;
		node->entry = realloc(node->entry, node->cap * sizeof *node->entry);
	}
	if (n == 0)
		return node->entry;
	struct entry *e = &node->entry[at];
	memmove(e + n, e, (node->n - at) * sizeof *e);
	memset(e, 0, n * sizeof *e);
	node->n += n;
	return e;
}

struct entry *plain_put(struct plain *node, const dur_value *key)
{
	uint8_t buf[DUR_MAX_KEY + 1];
	size_t len = key_bytes(node, key, buf);
	bool found;
	size_t at = plain_find_bytes(node, buf, len, &found);
	struct entry *e;

	if (found)
		return plain_replace(node, at);
	e = plain_insert(node, at, 1);
	*e = (struct entry){ .key = malloc(len + 1), .key_len = len };
	memcpy(e->key, buf, len);
	return e;
}

void plain_del(struct plain *node, size_t at, size_t n)
{
	if (n == 0)
		return;
	for (size_t i = at; i < at + n; i++) {
		entry_drop(&node->entry[i]);
		free(node->entry[i].key);
	}
	memmove(node->entry + at, node->entry + at + n,
	        (node->n - at - n) * sizeof *node->entry);
	node->n -= n;
}

/* ---- Ropes ---- */

void plain_rope_insert(struct plain *node, size_t at, const char *bytes, size_t n)
{
	char *copy;

	if (n == 0)
		return;
	copy = malloc(n);
	memcpy(copy, bytes, n);
	if (node->len + n > node->room) {
		node->room = (node->len + n) * 3 / 2;
		node->bytes = realloc(node->bytes, node->room);
	}
	memmove(node->bytes + at + n, node->bytes + at, node->len - at);
	memcpy(node->bytes + at, copy, n);
	node->len += n;
	free(copy);
}

void plain_rope_write(struct plain *node, size_t at, const char *bytes, size_t n)
{
	size_t over = n < node->len - at ? n : node->len - at;

	if (over)
		memmove(node->bytes + at, bytes, over);
	if (over < n)
		plain_rope_insert(node, node->len, bytes + over, n - over);
}

void plain_rope_del(struct plain *node, size_t at, size_t n)
{
	if (n)
		memmove(node->bytes + at, node->bytes + at + n, node->len - at - n);
	node->len -= n;
}

/* ---- Comparing ---- */

void compare_value(const dur_value *v, const struct entry *e, uint64_t *random)
{
	tally[TALLY_READS]++;
	if (e->sub) {
		HOLDS(v->type == e->sub->kind && v->len == length_of(e->sub),
		      "kind %u, %zu entries are kind %u, %llu entries", e->sub->kind,
		      length_of(e->sub), v->type, (unsigned long long)v->len);
		compare(v->coll, e->sub, random);
	} else if (e->text) {
		HOLDS(v->type == DUR_STR && v->len == e->text &&
		              memcmp(v->str, model_text, e->text) == 0,
		      "not the text: type %u, %llu bytes for %zu", v->type,
		      (unsigned long long)v->len, e->text);
	} else {
		HOLDS(v->type == DUR_INT && v->i == e->i, "%lld is %lld, type %u", (long long)e->i,
		      (long long)v->i, v->type);
	}
}

static void compare_rope(dur_coll c, const struct plain *node, bool back)
{
	dur_range r = { .flags = back ? DUR_REVERSE : 0 };
	size_t at = back ? node->len : 0;
	dur_value key, piece;
	dur_iter *it;
	int rc;

	EXPECT(0, dur_scan(c, &r, &it));
	while ((rc = MUST(dur_next(it, &key, &piece))) == 0) {
		tally[TALLY_READS]++;
		at -= back ? piece.len : 0;
		HOLDS(piece.type == DUR_BYTES && key.i == (int64_t)at &&
		              at + piece.len <= node->len,
		      "%llu bytes at %lld, not at %zu", (unsigned long long)piece.len,
		      (long long)key.i, at);
		HOLDS(memcmp(piece.ptr, node->bytes + at, piece.len) == 0, "not the bytes at %zu",
		      at);
		at += back ? 0 : piece.len;
	}
	HOLDS(at == (back ? 0 : node->len), "it ends at %zu", at);
	dur_iter_close(it);
}

void compare_key(const dur_value *key, const struct plain *node, size_t at)
{
	uint8_t buf[DUR_MAX_KEY + 1];

	if (node->kind == DUR_LIST) {
		HOLDS(key->type == DUR_INT && key->i == (int64_t)at, "position %lld for %zu",
		      (long long)key->i, at);
		return;
	}
	size_t len = key_bytes(node, key, buf);
	HOLDS(len == node->entry[at].key_len && memcmp(buf, node->entry[at].key, len) == 0,
	      "not the key at %zu", at);
}

void compare(dur_coll c, const struct plain *node, uint64_t *random)
{
	dur_range r = { .flags = random_below(random, 2) ? DUR_REVERSE : 0 };
	dur_value key, value;
	dur_iter *it;
	uint64_t n;

	EXPECT(0, dur_count(c, NULL, &n));
	HOLDS(n == length_of(node) && c.kind == node->kind,
	      "%zu entries of kind %u are %llu of kind %u", length_of(node), node->kind,
	      (unsigned long long)n, c.kind);
	tally[TALLY_READS]++;
	if (node->kind == DUR_ROPE) {
		compare_rope(c, node, r.flags != 0);
		return;
	}
	EXPECT(0, dur_scan(c, &r, &it));
	for (size_t i = 0; i < node->n; i++) {
		size_t at = r.flags ? node->n - 1 - i : i;
		EXPECT(0, dur_next(it, &key, &value));
		compare_key(&key, node, at);
		if (is_set(node))
			tally[TALLY_READS]++;
		else
			compare_value(&value, &node->entry[at], random);
	}
	EXPECT(DUR_NONE, dur_next(it, &key, &value));
	dur_iter_close(it);
}
