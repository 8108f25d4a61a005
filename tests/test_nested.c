/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections in collections, against plain ones in memory: random operations through handles and
 * paths, committed and aborted, old states read again, handles to what is gone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/key.h"
#include "prefix_kit.h"
#include "random_values.h"

enum { DEPTH = 7, HANDLES = 40, SNAPSHOTS = 3, TEXT = 4000 };

static uint64_t rng;
static dur_workspace *ws;
static dur_prefix *p;
static char text[TEXT + 1];

static uint64_t below(uint64_t n)
{
	return random_below(&rng, n);
}

/* ---- The plain ones ---- */

struct node {
	uint32_t kind;
	unsigned handles;       /* of this table, or of the tree around it */
	bool dead;
	struct node *parent;
	size_t n, cap;
	struct entry {
		uint8_t *key;
		size_t key_len;
		struct node *sub;
		int64_t i;
		size_t text;    /* not 0: the first bytes of text */
	} *entry;
};

static bool is_set(const struct node *node)
{
	return node->kind == DUR_SET || node->kind == DUR_RAW_SET;
}

static bool is_raw(const struct node *node)
{
	return node->kind == DUR_RAW_MAP || node->kind == DUR_RAW_SET;
}

static struct node *node_new(uint32_t kind, struct node *parent)
{
	struct node *node = calloc(1, sizeof *node);

	node->kind = kind;
	node->parent = parent;
	return node;
}

/* Nodes that a handle knows stay, dead, until the handle goes. */
static void node_free(struct node *node)
{
	for (size_t i = 0; i < node->n; i++) {
		if (node->entry[i].sub)
			node_free(node->entry[i].sub);
		free(node->entry[i].key);
	}
	free(node->entry);
	node->entry = NULL;
	node->n = node->cap = 0;
	node->dead = true;
	if (node->handles == 0)
		free(node);
}

static struct node *node_copy(const struct node *from, struct node *parent)
{
	struct node *node = node_new(from->kind, parent);

	node->n = node->cap = from->n;
	node->entry = calloc(from->n + 1, sizeof *node->entry);
	for (size_t i = 0; i < from->n; i++) {
		node->entry[i] = from->entry[i];
		node->entry[i].key = malloc(from->entry[i].key_len + 1);
		memcpy(node->entry[i].key, from->entry[i].key, from->entry[i].key_len);
		if (from->entry[i].sub)
			node->entry[i].sub = node_copy(from->entry[i].sub, node);
	}
	return node;
}

static size_t encode(const struct node *node, const dur_value *key, uint8_t *buf)
{
	size_t len;
	int rc = is_raw(node) ? key_encode_raw(key, buf, DUR_MAX_KEY + 1, &len)
	                      : key_encode(key, buf, DUR_MAX_KEY + 1, &len);

	HOLDS(rc == 0, "%s", dur_message());
	return len;
}

/* Where a key is, or would be. */
static size_t node_find(const struct node *node, const uint8_t *key, size_t len, bool *found)
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

static void node_del(struct node *node, size_t at)
{
	if (node->entry[at].sub)
		node_free(node->entry[at].sub);
	free(node->entry[at].key);
	memmove(node->entry + at, node->entry + at + 1, (node->n - at - 1) * sizeof *node->entry);
	node->n--;
}

static struct entry *node_put(struct node *node, const dur_value *key)
{
	uint8_t buf[DUR_MAX_KEY + 1];
	size_t len = encode(node, key, buf);
	bool found;
	size_t at = node_find(node, buf, len, &found);
	struct entry *e;

	if (found) {
		e = &node->entry[at];
		if (e->sub)
			node_free(e->sub);
		e->sub = NULL;
		e->text = 0;
		e->i = 0;
		return e;
	}
	if (node->n == node->cap) {
		node->cap = node->cap * 2 + 4;
		node->entry = realloc(node->entry, node->cap * sizeof *node->entry);
	}
	e = &node->entry[at];
	memmove(e + 1, e, (node->n++ - at) * sizeof *e);
	*e = (struct entry){ .key = malloc(len + 1), .key_len = len };
	memcpy(e->key, buf, len);
	return e;
}

/* ---- Comparing ---- */

static void compare(dur_coll c, const struct node *node);

static void compare_value(const dur_value *v, const struct entry *e)
{
	if (e->sub) {
		HOLDS(v->type == e->sub->kind && v->len == e->sub->n, "a collection of kind %u, %llu "
		      "entries is of kind %u, %llu entries", e->sub->kind,
		      (unsigned long long)e->sub->n, v->type, (unsigned long long)v->len);
		compare(v->coll, e->sub);
	} else if (e->text) {
		HOLDS(v->type == DUR_STR && v->len == e->text && memcmp(v->str, text, e->text) == 0,
		      "not the text");
	} else {
		HOLDS(v->type == DUR_INT && v->i == e->i, "%lld is %lld", (long long)e->i,
		      (long long)v->i);
	}
}

static void compare(dur_coll c, const struct node *node)
{
	dur_range back = { .flags = below(2) ? DUR_REVERSE : 0 };
	uint8_t buf[DUR_MAX_KEY + 1];
	dur_value key, value;
	dur_iter *it;
	uint64_t n;

	EXPECT(0, dur_count(c, NULL, &n));
	HOLDS(n == node->n && c.kind == node->kind, "%llu entries are %llu",
	      (unsigned long long)node->n, (unsigned long long)n);
	EXPECT(0, dur_scan(c, &back, &it));
	for (size_t i = 0; i < node->n; i++) {
		const struct entry *e = &node->entry[back.flags ? node->n - 1 - i : i];
		MUST(dur_next(it, &key, &value));
		size_t len = encode(node, &key, buf);
		HOLDS(len == e->key_len && memcmp(buf, e->key, len) == 0, "not the key");
		if (!is_set(node))
			compare_value(&value, e);
	}
	EXPECT(DUR_NONE, dur_next(it, &key, &value));
	dur_iter_close(it);
}

/* ---- What is done ---- */

static struct node *root;
static dur_view *txn;
static struct handle {
	dur_coll coll;
	struct node *node;
} handles[HANDLES];
static struct old {
	dur_view *view;
	struct node *root;
} olds[SNAPSHOTS];

static dur_value random_text_key(void)
{
	static char keys[4][1000];
	static unsigned next;
	char *key = keys[next++ % 4];
	int n = snprintf(key, 40, "k%llu", (unsigned long long)below(30));

	if (below(12) == 0) {
		memset(key + n, 'x', 300);
		n += (int)below(300);
	}
	return DUR_STRN(key, (uint64_t)n);
}

static dur_value key_for(const struct node *node)
{
	if (!is_raw(node) && below(2))
		return DUR_INT((int64_t)below(60) - 20);
	return random_text_key();
}

static unsigned depth_of(const struct node *node)
{
	unsigned depth = 0;

	for (; node->parent; node = node->parent)
		depth++;
	return depth;
}

/* A random collection, and a path to it from the root. */
static struct node *random_node(dur_value *steps, unsigned *n)
{
	static struct key_arena arenas[4]; /* what was decoded lasts for four calls */
	static unsigned next;
	struct key_arena *arena = &arenas[next++ % 4];
	struct node *node = root;

	key_arena_reset(arena);
	for (*n = 0; node->n && below(5);) {
		struct entry *e = &node->entry[below(node->n)];
		if (!e->sub)
			continue;
		if (is_raw(node))
			key_decode_raw(e->key, e->key_len, &steps[*n]);
		else
			HOLDS(key_decode(e->key, e->key_len, arena, &steps[*n]) == 0, "a key");
		++*n;
		node = e->sub;
	}
	return node;
}

static void forget(struct handle *h)
{
	if (!h->node)
		return;
	if (--h->node->handles == 0 && h->node->dead)
		free(h->node);
	h->node = NULL;
}

/* A collection to work on: by a handle kept, by one opened now, or by a path from the root. */
static struct node *random_coll(dur_coll *c, dur_value *steps, unsigned *n_steps)
{
	struct handle *h = &handles[below(HANDLES)];
	struct node *node;

	*n_steps = 0;
	if (h->node && h->node->dead) {
		uint64_t n;
		EXPECT(DUR_E_STALE, dur_count(h->coll, NULL, &n));
		EXPECT(DUR_E_STALE, dur_get(h->coll, &DUR_INT(1), NULL));
		dur_leave(h->coll);
		forget(h);
	} else if (h->node && below(3)) {
		*c = h->coll;
		return h->node;
	}
	node = random_node(steps, n_steps);
	*c = dur_root(txn);
	if (h->node || below(3) == 0)
		return node;
	EXPECT(0, dur_enter(*c, &DUR_STEPS(steps, *n_steps), c));
	*n_steps = 0;
	h->coll = *c;
	h->node = node;
	node->handles++;
	return node;
}

struct literal {
	dur_value items[40];
};
static struct literal literals[64];
static unsigned n_literals;

/* A random value into an entry and as an argument. */
static dur_value random_value(struct node *node, struct entry *e, unsigned depth)
{
	static const uint32_t kinds[] = { DUR_MAP, DUR_RAW_MAP, DUR_SET, DUR_RAW_SET };
	uint64_t what = below(10);

	if (what < 4 || depth >= DEPTH || n_literals == 64) {
		e->i = (int64_t)below(1000000);
		return DUR_INT(e->i);
	}
	if (what < 7) {
		e->text = 1 + below(below(20) ? 60 : TEXT);
		return DUR_STRN(text, e->text);
	}
	struct node *sub = node_new(kinds[below(4)], node);
	unsigned mine = n_literals++;
	dur_value *items = literals[mine].items;
	unsigned n = 0, want = (unsigned)below(18);
	e->sub = sub;
	while (n < 2 * want) {
		items[n] = key_for(sub);
		char *copy = NULL;
		if (items[n].type == DUR_STR) { /* its buffer is used again: keep short ones apart */
			static char kept[64 * 40][16];
			copy = kept[mine * 40 + n];
			items[n].len = items[n].len < 16 ? items[n].len : 15;
			memcpy(copy, items[n].str, items[n].len);
			items[n].str = copy;
		}
		struct entry *inner = node_put(sub, &items[n]);
		if (is_set(sub)) {
			n++;
			continue;
		}
		dur_value value = random_value(sub, inner, depth + 1);
		items[n + 1] = value;
		n += 2;
	}
	return DUR_NEW(sub->kind, items, n);
}

/* The key as a path behind the steps. */
static dur_value at_path(dur_value *steps, unsigned n, dur_value key)
{
	if (n == 0)
		return key;
	steps[n] = key;
	return DUR_STEPS(steps, n + 1);
}

static void do_put(dur_coll c, struct node *node, dur_value *steps, unsigned n)
{
	dur_value key = key_for(node), path = at_path(steps, n, key);

	if (is_set(node)) {
		uint8_t buf[DUR_MAX_KEY + 1];
		bool found;
		node_find(node, buf, encode(node, &key, buf), &found);
		if (below(2))
			EXPECT(found ? DUR_NONE : 0, dur_add(c, &path));
		else
			EXPECT(0, dur_put(c, &path, NULL));
		node_put(node, &key);
		return;
	}
	n_literals = 0;
	struct entry e = { .i = 0 };
	dur_value value = random_value(node, &e, depth_of(node) + 1);
	EXPECT(0, dur_put(c, &path, &value));
	struct entry *at = node_put(node, &key);
	at->sub = e.sub;
	at->i = e.i;
	at->text = e.text;
}

static void do_make(dur_coll c, struct node *node, dur_value *steps, unsigned n)
{
	static const uint32_t kinds[] = { DUR_MAP, DUR_RAW_MAP, DUR_SET, DUR_RAW_SET };
	dur_value key = key_for(node), path = at_path(steps, n, key);
	uint32_t kind = kinds[below(4)];
	uint8_t buf[DUR_MAX_KEY + 1];
	dur_coll made;
	bool found;
	size_t at = node_find(node, buf, encode(node, &key, buf), &found);
	int expected = is_set(node) || (found && (!node->entry[at].sub ||
	                                         node->entry[at].sub->kind != kind))
	                       ? DUR_E_TYPE : 0;

	if (depth_of(node) >= DEPTH)
		return;
	EXPECT(expected, dur_make(c, &path, kind, &made));
	if (expected == 0 && !found)
		node_put(node, &key)->sub = node_new(kind, node);
	if (expected == 0)
		dur_leave(made);
}

static void do_del(dur_coll c, struct node *node, dur_value *steps, unsigned n)
{
	static struct key_arena arena;
	uint8_t buf[DUR_MAX_KEY + 1];
	dur_value key = key_for(node);
	bool found;

	if (node->n && below(4)) {
		struct entry *e = &node->entry[below(node->n)];
		memcpy(buf, e->key, e->key_len);
		key_arena_reset(&arena);
		if (is_raw(node))
			key_decode_raw(buf, e->key_len, &key);
		else
			HOLDS(key_decode(buf, e->key_len, &arena, &key) == 0, "a key");
	}
	uint8_t again[DUR_MAX_KEY + 1];
	size_t at = node_find(node, again, encode(node, &key, again), &found);
	dur_value path = at_path(steps, n, key);
	EXPECT(found ? 0 : DUR_NONE, dur_del(c, &path));
	if (found)
		node_del(node, at);
}

static void do_clear(dur_coll c, struct node *node)
{
	dur_range r = { .skip = below(node->n + 1), .limit = 1 + below(6) };
	uint64_t gone, first = r.skip;

	if (below(4) == 0)
		r.limit = 0;
	EXPECT(0, dur_clear(c, &r, &gone));
	uint64_t want = node->n - first;
	want = r.limit && r.limit < want ? r.limit : want;
	HOLDS(gone == want, "%llu went, not %llu", (unsigned long long)gone, (unsigned long long)want);
	while (want--)
		node_del(node, first);
}

/* The number of entries in a collection and all in it. */
static size_t weight(const struct node *node)
{
	size_t sum = node->n + 1;

	for (size_t i = 0; i < node->n; i++)
		sum += node->entry[i].sub ? weight(node->entry[i].sub) : 0;
	return sum;
}

static void do_clone(dur_coll c, struct node *node, dur_value *steps, unsigned n)
{
	dur_value from[DEPTH * 4], key = key_for(node), path = at_path(steps, n, key);
	struct old *old = &olds[below(SNAPSHOTS)];
	unsigned n_from;
	dur_value value;
	struct node *source, *mine = root;

	if (is_set(node) || weight(root) > 4000)
		return;
	bool past = old->view && below(2);
	root = past ? old->root : root;
	source = random_node(from, &n_from);
	root = mine;
	if (depth_of(node) + 3 > DEPTH || weight(source) > 300)
		return;
	EXPECT(0, dur_get(dur_root(past ? old->view : txn), &DUR_STEPS(from, n_from), &value));
	struct node *copy = node_copy(source, node);
	EXPECT(0, dur_put(c, &path, &value));
	node_put(node, &key)->sub = copy;
}

static void do_look(dur_coll c, struct node *node, dur_value *steps, unsigned n)
{
	dur_value key = key_for(node), path = at_path(steps, n, key), value;
	uint8_t buf[DUR_MAX_KEY + 1];
	uint64_t rank;
	bool found;
	size_t at = node_find(node, buf, encode(node, &key, buf), &found);

	EXPECT(found ? 0 : DUR_NONE, dur_get(c, &path, &value));
	if (found && !is_set(node))
		compare_value(&value, &node->entry[at]);
	EXPECT(found ? 0 : DUR_NONE, dur_rank(c, &path, &rank));
	HOLDS(rank == at, "rank %llu is %zu", (unsigned long long)rank, at);
	if (node->n == 0 || n)
		return;
	at = below(node->n);
	EXPECT(0, dur_nth(c, below(2) ? (int64_t)at : (int64_t)at - (int64_t)node->n, &key, NULL));
	size_t len = encode(node, &key, buf);
	HOLDS(len == node->entry[at].key_len && memcmp(buf, node->entry[at].key, len) == 0, "nth");
}

static void random_operation(void)
{
	dur_value steps[DEPTH * 4 + 8];
	unsigned n;
	dur_coll c;
	struct node *node = random_coll(&c, steps, &n);

	uint64_t what = below(10);
	if (getenv("NESTED_EACH"))
		fprintf(stderr, "operation %llu on a collection of kind %u with %zu at depth %u, %u steps\n",
		        (unsigned long long)what, node->kind, node->n, depth_of(node), n);
	switch (what) {
	case 0:
	case 1:
	case 2: do_put(c, node, steps, n); break;
	case 3: do_make(c, node, steps, n); break;
	case 4:
	case 5: do_del(c, node, steps, n); break;
	case 6:
		if (n == 0 && below(4) == 0)
			do_clear(c, node);
		break;
	case 7: do_clone(c, node, steps, n); break;
	default: do_look(c, node, steps, n); break;
	}
}

static void old_take(void)
{
	struct old *old = &olds[below(SNAPSHOTS)];

	if (old->view) {
		compare(dur_root(old->view), old->root);
		dur_close(old->view);
		node_free(old->root);
	}
	if (below(2))
		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &old->view));
	else
		EXPECT(0, dur_snapshot(p, prefix_newest_state(p), NULL, &old->view));
	old->root = node_copy(root, NULL);
}

static void transaction(void)
{
	unsigned n = 1 + (unsigned)below(60);
	struct node *before = node_copy(root, NULL);

	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT,
		.memory_bytes = below(3) ? 0 : 64 << 10 }, &txn));
	while (n--) {
		random_operation();
		if (getenv("NESTED_EACH")) /* to find the operation that went wrong */
			compare(dur_root(txn), root);
	}
	if (below(4) == 0)
		compare(dur_root(txn), root);
	if (below(5)) {
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
		for (unsigned i = 0; i < HANDLES; i++)
			if (handles[i].node && !handles[i].node->dead && below(3) == 0)
				compare(handles[i].coll, handles[i].node);
		node_free(before);
		before = NULL;
	}
	for (unsigned i = 0; i < HANDLES; i++)
		forget(&handles[i]);
	if (before) {
		node_free(root);
		root = before;
	}
	dur_close(txn);
}

START_TEST(random_nesting)
{
	unsigned rounds = kit_rounds(150);

	root = node_new(DUR_MAP, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		transaction();
		if (below(8) == 0)
			old_take();
		if (below(30) == 0 || i + 1 == rounds) {
			dur_view *now;
			EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &now));
			compare(dur_root(now), root);
			dur_close(now);
			prefix_check_sound(ws, "p", below(4) ? 0 : DUR_HISTORY);
		}
		if (weight(root) > 3000) {
			EXPECT(0, dur_begin(p, NULL, &txn));
			EXPECT(0, dur_clear(dur_root(txn), NULL, NULL));
			EXPECT(0, dur_commit(txn, NULL, NULL));
			dur_close(txn);
			node_free(root);
			root = node_new(DUR_MAP, NULL);
		}
	}
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		if (olds[i].view) {
			compare(dur_root(olds[i].view), olds[i].root);
			dur_close(olds[i].view);
			node_free(olds[i].root);
		}
	node_free(root);
}
END_TEST

/* ---- One thing at a time ---- */

static dur_coll begin(void)
{
	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	return dur_root(txn);
}

static void commit(void)
{
	EXPECT(0, dur_commit(txn, NULL, NULL));
}

static int64_t int_at(dur_coll c, const char *path)
{
	dur_value v;

	EXPECT(0, dur_get(c, &DUR_PATH(path), &v));
	ck_assert_uint_eq(v.type, DUR_INT);
	return v.i;
}

START_TEST(handles_stay)
{
	dur_coll c = begin(), a, b, again, gone;
	dur_value v;
	uint64_t n;

	EXPECT(DUR_E_PARENT, dur_put(c, &DUR_PATH("/a/b"), &DUR_INT(1)));
	EXPECT(0, dur_make(c, &DUR_PATH("/a/b"), DUR_MAP, &b));
	EXPECT(0, dur_enter(c, &DUR_STR("a"), &a));
	EXPECT(0, dur_enter(c, &DUR_PATH("/a/b"), &again));
	EXPECT(DUR_E_TYPE, dur_make(c, &DUR_PATH("/a/b"), DUR_SET, &gone));
	ck_assert_ptr_null(gone.view);
	EXPECT(0, dur_put(b, &DUR_STR("x"), &DUR_INT(1)));
	for (int i = 0; i < 3000; i++) /* around it, and b grows out of its parent's page */
		EXPECT(0, dur_put(i % 2 ? a : again, &DUR_INT(i), &DUR_INT(i)));
	ck_assert_int_eq(int_at(b, "/~i2998"), 2998);
	ck_assert_int_eq(int_at(c, "/a/b/x"), 1);
	EXPECT(DUR_E_TYPE, dur_enter(b, &DUR_STR("x"), &gone));
	EXPECT(DUR_NONE, dur_enter(b, &DUR_STR("y"), &gone));
	EXPECT(DUR_E_TYPE, dur_get(c, &DUR_PATH("/a/b/x/y"), &v));
	EXPECT(DUR_NONE, dur_get(c, &DUR_PATH("/a/c/x/y"), &v));
	/* what came within a value is to be read, until the next write */
	EXPECT(0, dur_get(c, &DUR_PATH("/a/b"), &v));
	ck_assert_uint_eq(v.type, DUR_MAP);
	ck_assert_uint_eq(v.len, 1501);
	ck_assert_int_eq(int_at(v.coll, "/x"), 1);
	EXPECT(DUR_E_READ_ONLY, dur_put(v.coll, &DUR_STR("x"), &DUR_INT(2)));
	EXPECT(0, dur_put(a, &DUR_STR("z"), &DUR_INT(2)));
	EXPECT(DUR_E_STALE, dur_count(v.coll, NULL, &n));
	/* through commit */
	commit();
	ck_assert_int_eq(int_at(b, "/x"), 1);
	EXPECT(0, dur_count(a, NULL, &n));
	ck_assert_uint_eq(n, 1502);
	EXPECT(DUR_E_READ_ONLY, dur_put(b, &DUR_STR("x"), &DUR_INT(2)));
	dur_close(txn);
	EXPECT(DUR_E_STALE, dur_get(b, &DUR_STR("x"), &v));
}
END_TEST

START_TEST(stale_handles)
{
	dur_coll c = begin(), in[4];
	uint64_t n;

	for (int how = 0; how < 5; how++) {
		EXPECT(0, dur_make(c, &DUR_PATH("/a/b"), DUR_MAP, &in[0]));
		EXPECT(0, dur_make(in[0], &DUR_PATH("/c/d"), DUR_RAW_SET, &in[1]));
		EXPECT(0, dur_enter(in[0], &DUR_STR("c"), &in[2]));
		EXPECT(0, dur_enter(c, &DUR_PATH("/a/b/c/d"), &in[3]));
		switch (how) {
		case 0: EXPECT(0, dur_del(c, &DUR_STR("a"))); break;
		case 1: EXPECT(0, dur_put(c, &DUR_PATH("/a/b"), &DUR_INT(1))); break;
		case 2: EXPECT(0, dur_clear(c, NULL, NULL)); break;
		case 3: EXPECT(0, dur_put(c, &DUR_STR("a"), &DUR_NEW(DUR_MAP, NULL, 0))); break;
		default: /* the very same, put anew, is another one */
			EXPECT(0, dur_put(c, &DUR_STR("a"), &DUR_COLL(c))); break;
		}
		for (int i = 0; i < 4; i++)
			EXPECT(DUR_E_STALE, dur_count(in[i], NULL, &n));
		EXPECT(DUR_E_STALE, dur_add(in[1], &DUR_STR("x")));
		EXPECT(0, dur_clear(c, NULL, NULL));
		for (int i = 0; i < 4; i++)
			dur_leave(in[i]);
	}
	EXPECT(0, dur_make(c, &DUR_STR("a"), DUR_SET, &in[0]));
	EXPECT(0, dur_enter(c, &DUR_STR("a"), &in[1]));
	dur_leave(in[0]);
	EXPECT(0, dur_count(in[1], NULL, &n)); /* opened twice */
	dur_leave(in[1]);
	for (int i = 0; i < 200; i++) { /* its row is used for others */
		EXPECT(0, dur_make(c, &DUR_INT(i), DUR_SET, &in[2]));
		dur_leave(in[2]);
	}
	EXPECT(DUR_E_STALE, dur_count(in[1], NULL, &n));
	dur_leave(in[1]);
	dur_close(txn);
}
END_TEST

/* A document as deep as nobody writes one: no recursion, there and back. */
START_TEST(deep)
{
	enum { LEVELS = 20000 };
	dur_value *pair = calloc(LEVELS, 2 * sizeof *pair), *steps = calloc(LEVELS, sizeof *steps);
	dur_coll c = begin();
	dur_value v;

	for (int i = 0; i < LEVELS; i++) {
		steps[i] = DUR_STR("k");
		pair[2 * i] = DUR_STR("k");
		pair[2 * i + 1] = i + 1 < LEVELS ? DUR_NEW(DUR_MAP, &pair[2 * i + 2], 2) : DUR_INT(42);
	}
	EXPECT(0, dur_put(c, &DUR_STR("deep"), &DUR_NEW(DUR_MAP, pair, 2)));
	EXPECT(0, dur_put(c, &DUR_STR("copy"), &DUR_COLL(c)));
	EXPECT(0, dur_get(c, &DUR_STR("deep"), &v));
	EXPECT(0, dur_get(v.coll, &DUR_STEPS(steps, LEVELS), &v));
	ck_assert_int_eq(v.i, 42);
	EXPECT(0, dur_enter(c, &DUR_PATH("/copy/deep"), &c));
	EXPECT(0, dur_put(c, &DUR_STEPS(steps, LEVELS), &DUR_INT(43)));
	EXPECT(0, dur_get(c, &DUR_STEPS(steps, LEVELS), &v));
	ck_assert_int_eq(v.i, 43);
	commit();
	dur_close(txn);
	prefix_check_sound(ws, "p", 0);
	c = begin();
	EXPECT(0, dur_enter(c, &DUR_STR("deep"), &c));
	EXPECT(0, dur_get(c, &DUR_STEPS(steps, LEVELS), &v));
	ck_assert_int_eq(v.i, 42);
	EXPECT(0, dur_clear(dur_root(txn), NULL, NULL));
	commit();
	dur_close(txn);
	free(pair);
	free(steps);
}
END_TEST

/* A clone shares, whatever it is a clone of; neither sees what happens to the other. */
START_TEST(clones)
{
	dur_coll c = begin(), big, copy;
	dur_view *snap;
	dur_view_cost cost, before;
	dur_value v;

	EXPECT(0, dur_make(c, &DUR_STR("big"), DUR_MAP, &big));
	for (int i = 0; i < 20000; i++)
		EXPECT(0, dur_put(big, &DUR_INT(i), &DUR_INT(i)));
	EXPECT(0, dur_cost(txn, &before));
	EXPECT(0, dur_put(c, &DUR_STR("copy"), &DUR_COLL(big)));        /* in the same transaction */
	EXPECT(0, dur_cost(txn, &cost));
	ck_assert_uint_eq(cost.written_bytes, before.written_bytes);    /* nothing is written for it, */
	ck_assert_uint_le(cost.memory_bytes, before.memory_bytes + 4096); /* and nothing copied */
	EXPECT(0, dur_put(big, &DUR_INT(7), &DUR_INT(-7)));
	ck_assert_int_eq(int_at(c, "/copy/~i7"), 7);
	EXPECT(0, dur_enter(c, &DUR_STR("copy"), &copy));
	EXPECT(0, dur_del(copy, &DUR_INT(8)));
	ck_assert_int_eq(int_at(big, "/~i8"), 8);
	commit();
	dur_close(txn);
	c = begin();
	EXPECT(0, dur_get(c, &DUR_STR("big"), &v));
	EXPECT(0, dur_put(c, &DUR_STR("again"), &v));                   /* by a value that was read */
	EXPECT(0, dur_put(c, &DUR_PATH("/again/~i9"), &DUR_INT(-9)));
	commit();
	EXPECT(0, dur_cost(txn, &cost));
	ck_assert_uint_lt(cost.written_bytes, 100000);
	ck_assert_int_eq(int_at(dur_root(txn), "/big/~i9"), 9);
	dur_close(txn);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	c = begin();
	EXPECT(0, dur_clear(c, NULL, NULL));
	EXPECT(0, dur_put(c, &DUR_STR("old"), &DUR_COLL(dur_root(snap)))); /* from another view */
	ck_assert_int_eq(int_at(c, "/old/big/~i7"), -7);
	ck_assert_int_eq(int_at(c, "/old/copy/~i7"), 7);
	commit();
	dur_close(txn);
	dur_close(snap);
}
END_TEST

/* Deep in small collections a commit costs about what it does at the top. */
START_TEST(depth_costs_little)
{
	dur_value v = DUR_INT(0), pair[10];
	uint64_t bytes[2] = { 0 };
	dur_coll c = begin();
	dur_view_cost cost;

	for (int i = 0; i < 5; i++) {
		pair[2 * i] = DUR_STR("m");
		pair[2 * i + 1] = i < 4 ? DUR_NEW(DUR_MAP, &pair[2 * i + 2], 2) : v;
	}
	for (int i = 0; i < 2000; i++)
		EXPECT(0, dur_put(c, &DUR_INT(i), &DUR_NEW(DUR_MAP, pair, 2)));
	for (int i = 0; i < 2000; i++)
		EXPECT(0, dur_put(c, &DUR_INT(10000 + i), &v));
	commit();
	dur_close(txn);
	for (int i = 0; i < 50; i++)
		for (int nested = 0; nested < 2; nested++) {
			char path[40];
			c = begin();
			snprintf(path, sizeof path, nested ? "/~i%d/m/m/m/m/m" : "/~i%d",
			         nested ? i * 31 : 10000 + i * 31);
			EXPECT(0, dur_put(c, &DUR_PATH(path), &DUR_INT(i)));
			commit();
			EXPECT(0, dur_cost(txn, &cost));
			bytes[nested] += cost.written_bytes;
			dur_close(txn);
		}
	HOLDS(bytes[1] * 10 <= bytes[0] * 13, "%llu bytes at the top, %llu deep below",
	      (unsigned long long)bytes[0], (unsigned long long)bytes[1]);
}
END_TEST

START_TEST(swaps_of_collections)
{
	dur_value pair[] = { DUR_STR("x"), DUR_INT(1), DUR_STR("y"), DUR_NEW(DUR_SET, NULL, 0) };
	dur_value turned[] = { pair[2], pair[3], pair[0], pair[1] };
	dur_value is = DUR_NEW(DUR_MAP, pair, 4), other = DUR_NEW(DUR_MAP, pair, 2);
	dur_coll c = begin();

	EXPECT(0, dur_swap(c, &DUR_STR("a"), NULL, &is));
	EXPECT(DUR_NONE, dur_swap(c, &DUR_STR("a"), NULL, &is));
	EXPECT(DUR_NONE, dur_swap(c, &DUR_STR("a"), &other, &other));
	EXPECT(DUR_NONE, dur_swap(c, &DUR_STR("a"), &DUR_INT(1), &other));
	EXPECT(0, dur_put(c, &DUR_STR("b"), &DUR_NEW(DUR_MAP, turned, 4)));
	dur_coll b;
	EXPECT(0, dur_enter(c, &DUR_STR("b"), &b));
	EXPECT(0, dur_swap(c, &DUR_STR("a"), &DUR_COLL(b), &DUR_COLL(b)));
	EXPECT(0, dur_swap(c, &DUR_STR("a"), &is, &other));
	EXPECT(DUR_NONE, dur_swap(c, &DUR_STR("a"), &DUR_COLL(b), &is));
	ck_assert_int_eq(int_at(c, "/a/x"), 1);
	dur_close(txn);
}
END_TEST

START_TEST(applied)
{
	static const struct {
		uint32_t op;
		dur_value was, operand, result;
		int rc;
	} list[] = {
		{ DUR_ADD, { .type = DUR_INT, .i = 2 }, { .type = DUR_INT, .i = -5 },
		  { .type = DUR_INT, .i = -3 }, 0 },
		{ DUR_ADD, { .type = DUR_INT, .i = INT64_MAX }, { .type = DUR_INT, .i = 1 },
		  { .type = DUR_BIGINT, .len = 19, .str = "9223372036854775808" }, 0 },
		{ DUR_ADD, { .type = DUR_INT, .i = INT64_MIN }, { .type = DUR_INT, .i = -1 },
		  { .type = DUR_BIGINT, .len = 20, .str = "-9223372036854775809" }, 0 },
		{ DUR_ADD, { .type = DUR_BIGINT, .len = 19, .str = "9223372036854775808" },
		  { .type = DUR_INT, .i = -1 }, { .type = DUR_INT, .i = INT64_MAX }, 0 },
		{ DUR_ADD, { .type = DUR_BIGINT, .len = 23, .str = "-1000000000000000000000" },
		  { .type = DUR_BIGINT, .len = 22, .str = "1000000000000000000000" },
		  { .type = DUR_INT, .i = 0 }, 0 },
		{ DUR_ADD, { .type = DUR_DOUBLE, .f = 0.5 }, { .type = DUR_INT, .i = 2 },
		  { .type = DUR_DOUBLE, .f = 2.5 }, 0 },
		{ DUR_ADD, { .type = DUR_STR, .len = 1, .str = "a" }, { .type = DUR_INT }, { 0 },
		  DUR_E_TYPE },
		{ DUR_MIN, { .type = DUR_INT, .i = 3 }, { .type = DUR_INT, .i = -3 },
		  { .type = DUR_INT, .i = -3 }, 0 },
		{ DUR_MAX, { .type = DUR_INT, .i = 3 },
		  { .type = DUR_BIGINT, .len = 19, .str = "9223372036854775808" },
		  { .type = DUR_BIGINT, .len = 19, .str = "9223372036854775808" }, 0 },
		{ DUR_MAX, { .type = DUR_STR, .len = 1, .str = "a" },
		  { .type = DUR_STR, .len = 1, .str = "b" },
		  { .type = DUR_STR, .len = 1, .str = "b" }, 0 },
		{ DUR_MAX, { .type = DUR_STR, .len = 1, .str = "a" }, { .type = DUR_INT }, { 0 },
		  DUR_E_TYPE },
		{ DUR_AND, { .type = DUR_INT, .i = 12 }, { .type = DUR_INT, .i = 10 },
		  { .type = DUR_INT, .i = 8 }, 0 },
		{ DUR_OR, { .type = DUR_INT, .i = 12 }, { .type = DUR_INT, .i = 10 },
		  { .type = DUR_INT, .i = 14 }, 0 },
		{ DUR_XOR, { .type = DUR_BOOL, .i = 1 }, { .type = DUR_BOOL, .i = 1 },
		  { .type = DUR_BOOL, .i = 0 }, 0 },
		{ DUR_XOR, { .type = DUR_DOUBLE, .f = 1 }, { .type = DUR_DOUBLE, .f = 1 }, { 0 },
		  DUR_E_TYPE },
		{ DUR_APPEND, { .type = DUR_STR, .len = 2, .str = "ab" },
		  { .type = DUR_STR, .len = 1, .str = "c" },
		  { .type = DUR_STR, .len = 3, .str = "abc" }, 0 },
		{ DUR_APPEND, { .type = DUR_BYTES, .len = 2, .ptr = "ab" },
		  { .type = DUR_STR, .len = 1, .str = "c" }, { 0 }, DUR_E_TYPE },
		{ 0, { .type = DUR_INT }, { .type = DUR_INT }, { 0 }, DUR_E_MISUSE },
		{ 8, { .type = DUR_INT }, { .type = DUR_INT }, { 0 }, DUR_E_MISUSE },
	};
	static const char *const paths[] = { "/x", "/m/n/x" };
	dur_coll c = begin();
	dur_value got, was;

	EXPECT(0, dur_make(c, &DUR_PATH("/m/n"), DUR_MAP, NULL));
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		for (int j = 0; j < 2; j++) {
			dur_value key = DUR_PATH(paths[j]), operand = list[i].operand;
			was = list[i].was;
			was.tag = 9;
			EXPECT(0, dur_put(c, &key, &was));
			HOLDS(dur_apply(c, &key, list[i].op, &operand, &got) == list[i].rc,
			      "%zu: %s", i, dur_message());
			if (list[i].rc == 0) {
				HOLDS(same_value(&got, &list[i].result), "%zu", i);
				ck_assert_uint_eq(got.tag, 9);
				EXPECT(0, dur_del(c, &key));
				EXPECT(0, dur_apply(c, &key, list[i].op, &operand, &got));
				HOLDS(same_value(&got, &operand), "%zu: absent", i);
			}
		}
	EXPECT(DUR_E_TYPE, dur_apply(c, &DUR_STR("m"), DUR_ADD, &DUR_INT(1), NULL));
	dur_close(txn);
}
END_TEST

static void setup(void)
{
	rng = random_seed("nested");
	memset(text, 't', TEXT);
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", NULL);
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

static Suite *suite(void)
{
	Suite *s = suite_create("nested");
	TCase *tc = tcase_create("random");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, random_nesting);
	suite_add_tcase(s, tc);
	tc = tcase_create("calls");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, handles_stay);
	tcase_add_test(tc, stale_handles);
	tcase_add_test(tc, deep);
	tcase_add_test(tc, clones);
	tcase_add_test(tc, depth_costs_little);
	tcase_add_test(tc, swaps_of_collections);
	tcase_add_test(tc, applied);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
