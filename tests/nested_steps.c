/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place, which is a collection reached by a handle or a path; then an operation that its kind has.
 */
#include "tests/nested_steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/key.h"
#include "tests/prefix_kit.h"
#include "tests/random_values.h"
#include "tests/tally.h"

enum { DEEPEST = 14, STEPS = DEEPEST + 2, WALKERS = 4 };

struct world world;

/* A collection that an operation is about: steps lead to it from coll, none if that is it. */
struct place {
	dur_coll coll;
	struct plain *node;
	dur_value steps[STEPS];
	unsigned n;
	bool entered;           /* by enter_place() */
};

/* An iterator that stays open. */
static struct walker {
	dur_iter *it;           /* NULL: none */
	struct handle *handle;  /* through which it was opened, if that still is */
	dur_coll coll;
	bool back, started;
	size_t position;        /* given last, */
	uint8_t key[DUR_MAX_KEY + 1]; /* or this key */
	size_t len;
} walkers[WALKERS];

uint64_t below(uint64_t n)
{
	return random_below(&world.rng, n);
}

/* ---- Keys, places, world.handles ---- */

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

static dur_value key_for(const struct plain *node)
{
	if (!is_raw(node) && below(2))
		return DUR_INT((int64_t)below(60) - 20);
	return random_text_key();
}

/* The key or position of what is at a place; what was decoded lasts for 16 calls. */
static dur_value key_at(const struct plain *node, size_t at)
{
	static struct key_arena arenas[16];
	static unsigned next;
	struct key_arena *arena = &arenas[next++ % 16];
	const struct entry *e = &node->entry[at];
	dur_value key;

	key_arena_reset(arena);
	if (node->kind == DUR_LIST)
		return DUR_INT(below(2) ? (int64_t)at : (int64_t)at - (int64_t)node->n);
	if (is_raw(node))
		key_decode_raw(e->key, e->key_len, &key);
	else
		HOLDS(key_decode(e->key, e->key_len, arena, &key) == 0, "a key");
	return key;
}

/* A random collection below one, and the steps to it. */
static struct plain *random_node(struct plain *from, dur_value *steps, unsigned *n)
{
	struct plain *node = from;

	for (*n = 0; node->n && below(5);) {
		size_t at = below(node->n);
		if (!node->entry[at].sub)
			continue;
		HOLDS(*n < STEPS - 1, "deeper than ever made");
		steps[(*n)++] = key_at(node, at);
		node = node->entry[at].sub;
	}
	return node;
}

static void forget(struct handle *h)
{
	if (h->node)
		plain_forget(h->node);
	h->node = NULL;
}

void handles_forget(void)
{
	for (unsigned i = 0; i < WORLD_HANDLES; i++)
		forget(&world.handles[i]);
}

void iterators_forget(void)
{
	for (unsigned i = 0; i < WALKERS; i++)
		walkers[i].it = NULL;
}

void handle_must_be_stale(dur_coll c)
{
	uint64_t n;

	EXPECT(DUR_E_STALE, dur_count(c, NULL, &n));
	if (c.kind == DUR_ROPE)
		EXPECT(DUR_E_STALE, dur_read(c, 0, &n, 1, &n));
	else
		EXPECT(DUR_E_STALE, dur_get(c, &DUR_INT(1), NULL));
	tally[TALLY_READS] += 2;
}

/* By a handle kept, by one opened now, or by a path from the world.root. */
static void random_place(struct place *at)
{
	struct handle *h = &world.handles[below(WORLD_HANDLES)];

	at->n = 0;
	at->entered = false;
	if (h->node && h->node->dead) {
		handle_must_be_stale(h->coll);
		if (!world.marked)
			dur_leave(h->coll);
		forget(h); /* what was open at a mark may come back */
	} else if (h->node && below(3)) {
		at->coll = h->coll;
		at->node = h->node;
		return;
	}
	at->node = random_node(world.root, at->steps, &at->n);
	at->coll = dur_root(world.txn);
	if (h->node || below(3) == 0)
		return;
	EXPECT(0, dur_enter(at->coll, &DUR_STEPS(at->steps, at->n), &at->coll));
	at->n = 0;
	h->coll = at->coll;
	h->node = at->node;
	h->node->handles++;
}

/* For calls that take no path. */
static void enter_place(struct place *at)
{
	at->entered = at->n != 0;
	if (at->entered)
		EXPECT(0, dur_enter(at->coll, &DUR_STEPS(at->steps, at->n), &at->coll));
	at->n = 0;
}

/* The key as a path behind the steps. */
static dur_value at_path(struct place *at, dur_value key)
{
	if (at->n == 0)
		return key;
	at->steps[at->n] = key;
	return DUR_STEPS(at->steps, at->n + 1);
}

/* ---- Values ---- */

static const uint32_t kinds[] = { DUR_MAP, DUR_RAW_MAP, DUR_SET, DUR_RAW_SET, DUR_LIST, DUR_ROPE };

static uint32_t random_kind(void)
{
	return kinds[below(sizeof kinds / sizeof *kinds)];
}

static struct literal {
	dur_value items[40];
	char keys[40][16];
} literals[64];
static unsigned n_literals;

static dur_value random_piece(void)
{
	size_t n = below(12) ? below(90) : below(6000), from = below(MODEL_TEXT - n);

	return below(2) ? DUR_STRN(model_text + from, n) : DUR_BYTES(model_text + from, n);
}

static dur_value random_value(struct plain *node, struct entry *e, unsigned depth);

static unsigned fill_literal(struct plain *sub, struct literal *l, unsigned depth)
{
	unsigned n = 0;

	if (sub->kind == DUR_ROPE) {
		for (unsigned want = (unsigned)below(5); n < want; n++) {
			l->items[n] = random_piece();
			plain_rope_insert(sub, sub->len, l->items[n].str, l->items[n].len);
		}
		return n;
	}
	for (unsigned want = (unsigned)below(18); want; want--) {
		if (sub->kind == DUR_LIST) {
			struct entry inner = { .i = 0 };
			l->items[n++] = random_value(sub, &inner, depth + 1);
			*plain_insert(sub, sub->n, 1) = inner;
			continue;
		}
		dur_value key = key_for(sub);
		if (key.type == DUR_STR) { /* its buffer is used again: short ones are kept */
			key.len = key.len < 16 ? key.len : 15;
			key.str = memcpy(l->keys[n], key.str, key.len);
		}
		l->items[n++] = key;
		struct entry inner = { .i = 0 };
		if (!is_set(sub))
			l->items[n++] = random_value(sub, &inner, depth + 1);
		struct entry *e = plain_put(sub, &key);
		e->i = inner.i;
		e->text = inner.text;
		e->sub = inner.sub;
	}
	return n;
}

/* A random value into an entry and as an argument. */
static dur_value random_value(struct plain *node, struct entry *e, unsigned depth)
{
	uint64_t what = below(10);

	if (what < 4 || (what >= 7 && (depth >= MODEL_DEPTH || n_literals == 64))) {
		e->i = (int64_t)below(1000000);
		return DUR_INT(e->i);
	}
	if (what < 7) {
		e->text = 1 + below(below(20) ? 60 : 4000);
		return DUR_STRN(model_text, e->text);
	}
	struct literal *l = &literals[n_literals++];
	e->sub = plain_new(random_kind(), node);
	return DUR_NEW(e->sub->kind, l->items, fill_literal(e->sub, l, depth));
}

static void entry_set(struct entry *to, const struct entry *from)
{
	to->i = from->i;
	to->text = from->text;
	to->sub = from->sub;
}

/* ---- Writes: maps and sets ---- */

static void do_put(struct place *at)
{
	dur_value key = key_for(at->node), path = at_path(at, key);
	bool found;

	tally[TALLY_WRITES]++;
	if (is_set(at->node)) {
		plain_find(at->node, &key, &found);
		if (below(2))
			EXPECT(found ? DUR_NONE : 0, dur_add(at->coll, &path));
		else
			EXPECT(0, dur_put(at->coll, &path, NULL));
		plain_put(at->node, &key);
		return;
	}
	n_literals = 0;
	struct entry e = { .i = 0 };
	dur_value value = random_value(at->node, &e, depth_of(at->node) + 1);
	EXPECT(0, dur_put(at->coll, &path, &value));
	entry_set(plain_put(at->node, &key), &e);
}

/* Many keys at once, in order or not. */
static void do_put_many(struct place *at)
{
	dur_value keys[70], values[70];
	unsigned n = (unsigned)below(70);
	int64_t from = (int64_t)below(200);
	bool ordered = below(2);

	if (is_raw(at->node))
		return;
	enter_place(at);
	for (unsigned i = 0; i < n; i++) {
		keys[i] = DUR_INT(ordered ? from + i : (int64_t)below(200));
		values[i] = DUR_INT((int64_t)below(1000000));
	}
	EXPECT(0, dur_put_many(at->coll, keys, is_set(at->node) ? NULL : values, n));
	for (unsigned i = 0; i < n; i++)
		plain_put(at->node, &keys[i])->i = is_set(at->node) ? 0 : values[i].i;
	tally[TALLY_WRITES]++;
}

/* Only if it is as expected, or a number added to what is there. */
static void do_change(struct place *at)
{
	dur_value key = key_for(at->node), path, value = DUR_INT((int64_t)below(1000)), got;
	bool found;

	if (at->node->n && below(2))
		key = key_at(at->node, below(at->node->n));
	path = at_path(at, key);
	if (is_set(at->node))
		return;
	size_t where = plain_find(at->node, &key, &found);
	const struct entry *e = found ? &at->node->entry[where] : NULL;
	bool number = found && !e->sub && !e->text;
	tally[TALLY_WRITES]++;
	if (below(2)) {
		EXPECT(found && !number ? DUR_E_TYPE : 0,
		       dur_apply(at->coll, &path, DUR_ADD, &value, &got));
		if (found && !number)
			return;
		value.i += found ? e->i : 0;
		HOLDS(got.type == DUR_INT && got.i == value.i, "a sum is %lld", (long long)got.i);
		plain_put(at->node, &key)->i = value.i;
		return;
	}
	bool absent = below(2), wrong = below(3) == 0;
	dur_value expected = DUR_INT(number ? e->i + wrong : 5);
	bool done = absent ? !found : number && !wrong;
	EXPECT(done ? 0 : DUR_NONE,
	       dur_swap(at->coll, &path, absent ? NULL : &expected, &value));
	if (done)
		plain_put(at->node, &key)->i = value.i;
}

static void do_make(struct place *at)
{
	dur_value key;
	uint32_t kind = random_kind();
	dur_coll made;
	bool found;
	size_t where;

	if (depth_of(at->node) >= MODEL_DEPTH)
		return;
	if (at->node->kind == DUR_LIST) {
		where = below(at->node->n + 1);
		found = where < at->node->n;
		key = DUR_INT((int64_t)where);
	} else {
		key = key_for(at->node);
		where = plain_find(at->node, &key, &found);
	}
	const struct plain *sub = found ? at->node->entry[where].sub : NULL;
	bool other = found && (!sub || sub->kind != kind);
	int expected = is_set(at->node) || other ? DUR_E_TYPE : 0;
	dur_value path = at_path(at, key);
	EXPECT(expected, dur_make(at->coll, &path, kind, &made));
	tally[TALLY_WRITES]++;
	if (expected)
		return;
	if (!found && at->node->kind == DUR_LIST)
		plain_insert(at->node, where, 1)->sub = plain_new(kind, at->node);
	else if (!found)
		plain_put(at->node, &key)->sub = plain_new(kind, at->node);
	HOLDS(made.kind == kind, "kind %u is %u", kind, made.kind);
	dur_leave(made);
}

static void do_del(struct place *at)
{
	bool found = at->node->n && below(4);
	size_t where = 0;
	dur_value key, path;

	if (found) {
		where = below(at->node->n);
		key = key_at(at->node, where);
	} else if (at->node->kind == DUR_LIST) {
		key = DUR_INT((int64_t)at->node->n);
	} else {
		key = key_for(at->node);
		where = plain_find(at->node, &key, &found);
	}
	path = at_path(at, key);
	EXPECT(found ? 0 : DUR_NONE, dur_del(at->coll, &path));
	tally[TALLY_WRITES]++;
	if (found)
		plain_del(at->node, where, 1);
}

static void do_clear(struct place *at)
{
	size_t n = length_of(at->node), most = at->node->kind == DUR_ROPE ? 3000 : 12;
	dur_range r = { .skip = below(n + 1), .limit = 1 + below(most) };
	uint64_t gone, want;

	if (below(8) == 0)
		r.limit = 0;
	enter_place(at);
	EXPECT(0, dur_clear(at->coll, &r, &gone));
	want = n - r.skip;
	want = r.limit && r.limit < want ? r.limit : want;
	HOLDS(gone == want, "%llu went, not %llu", (unsigned long long)gone,
	      (unsigned long long)want);
	if (at->node->kind == DUR_ROPE)
		plain_rope_del(at->node, r.skip, want);
	else
		plain_del(at->node, r.skip, want);
	tally[TALLY_WRITES]++;
}

/* ---- Writes: lists and ropes ---- */

static size_t height(const struct plain *node)
{
	size_t most = 0;

	for (size_t i = 0; i < node->n; i++)
		if (node->entry[i].sub && height(node->entry[i].sub) >= most)
			most = height(node->entry[i].sub) + 1;
	return most;
}

/* From either end. */
static int64_t position(const struct plain *node, size_t at)
{
	size_t n = length_of(node);

	return at < n && below(2) ? (int64_t)at - (int64_t)n : (int64_t)at;
}

static void do_insert(struct place *at)
{
	enum { MOST = 120, FEW = 8 };
	struct plain *node = at->node;
	size_t n = below(4) ? 1 : 1 + below(below(3) ? FEW : MOST);
	size_t where = below(3) ? node->n : below(node->n + 1);
	struct entry made[MOST] = { { 0 } };
	dur_value values[MOST];

	if (node->n + n > MODEL_LIST)
		return;
	enter_place(at);
	n_literals = 0;
	for (size_t i = 0; i < n; i++) {
		made[i].i = (int64_t)below(1000000);
		values[i] = n > FEW ? DUR_INT(made[i].i)
		                    : random_value(node, &made[i], depth_of(node) + 1);
	}
	if (n == 1 && where == node->n && below(2))
		EXPECT(0, dur_append(at->coll, values));
	else
		EXPECT(0, dur_insert(at->coll, position(node, where), values, n));
	struct entry *e = plain_insert(node, where, n);
	for (size_t i = 0; i < n; i++)
		entry_set(&e[i], &made[i]);
	tally[TALLY_WRITES]++;
}

static void do_set_item(struct place *at)
{
	size_t where = below(at->node->n + 1);
	struct entry e = { .i = 0 };
	dur_value value, path;

	if (where == at->node->n)
		return;
	n_literals = 0;
	value = random_value(at->node, &e, depth_of(at->node) + 1);
	path = at_path(at, key_at(at->node, where));
	EXPECT(0, dur_put(at->coll, &path, &value));
	entry_set(plain_replace(at->node, where), &e);
	tally[TALLY_WRITES]++;
}

static void do_rope_insert(struct place *at)
{
	size_t where = below(2) ? at->node->len : below(at->node->len + 1), total = 0;
	dur_value pieces[4];
	unsigned n = 1 + (unsigned)below(4);

	for (unsigned i = 0; i < n; i++) {
		pieces[i] = random_piece();
		total += pieces[i].len;
	}
	if (at->node->len + total > MODEL_ROPE)
		return;
	enter_place(at);
	if (n == 1 && where == at->node->len)
		EXPECT(0, dur_append(at->coll, pieces));
	else
		EXPECT(0, dur_insert(at->coll, position(at->node, where), pieces, n));
	for (unsigned i = 0; i < n; where += pieces[i++].len)
		plain_rope_insert(at->node, where, pieces[i].str, pieces[i].len);
	tally[TALLY_WRITES]++;
}

static void do_rope_write(struct place *at)
{
	size_t where = below(at->node->len + 1);
	dur_value piece = random_piece();

	if (where + piece.len > MODEL_ROPE)
		return;
	enter_place(at);
	EXPECT(0, dur_write(at->coll, where, piece.ptr, piece.len));
	plain_rope_write(at->node, where, piece.str, piece.len);
	tally[TALLY_WRITES]++;
}

/* ---- Out of another place or state ---- */

/* A collection of this transaction or an old state; *from is its handle, to be read at once. */
static struct plain *random_source(dur_coll *from, bool *past)
{
	struct old *old = &world.olds[below(WORLD_SNAPSHOTS)];
	dur_value steps[STEPS], value;
	struct plain *node;
	unsigned n;

	*past = old->view && below(2);
	node = random_node(*past ? old->root : world.root, steps, &n);
	EXPECT(0, dur_get(dur_root(*past ? old->view : world.txn), &DUR_STEPS(steps, n), &value));
	HOLDS(value.type == node->kind && value.len == length_of(node),
	      "kind %u, %llu entries for %u, %zu", value.type, (unsigned long long)value.len,
	      node->kind, length_of(node));
	*from = value.coll;
	return node;
}

static bool fits(const struct plain *source, const struct plain *node)
{
	return depth_of(node) + 1 + height(source) <= DEEPEST &&
	       weight(source) <= world.heaviest / 8 && weight(world.root) <= world.heaviest;
}

/* A range of a list or rope into one. */
static void do_splice(struct place *at)
{
	struct plain *node = at->node, *source = NULL;
	dur_coll from;
	bool past;

	enter_place(at);
	for (unsigned tries = 0; tries < 10 && (!source || source->kind != node->kind); tries++)
		source = random_source(&from, &past);
	if (source->kind != node->kind || !fits(source, node))
		return;
	size_t n = length_of(source), where = below(length_of(node) + 1);
	dur_range r = { .skip = below(n + 1), .limit = below(2) ? 0 : 1 + below(n + 1) };
	size_t give = n - r.skip;
	give = r.limit && r.limit < give ? r.limit : give;
	if (length_of(node) + give > (node->kind == DUR_ROPE ? MODEL_ROPE : MODEL_LIST))
		return;
	EXPECT(0, dur_splice(at->coll, position(node, where), from, &r));
	tally[TALLY_WRITES]++;
	tally[past ? TALLY_SPLICES_PAST : TALLY_SPLICES]++;
	if (node->kind == DUR_ROPE) {
		if (give)
			plain_rope_insert(node, where, source->bytes + r.skip, give);
		return;
	}
	struct entry *copies = calloc(give + 1, sizeof *copies); /* the source may be this one */
	for (size_t i = 0; i < give; i++)
		entry_copy(node, &copies[i], &source->entry[r.skip + i]);
	struct entry *e = plain_insert(node, where, give);
	if (give)
		memcpy(e, copies, give * sizeof *copies);
	free(copies);
}

static void do_clone(struct place *at)
{
	struct plain *node = at->node, *source, *copy;
	dur_coll from;
	bool past;

	enter_place(at);
	source = random_source(&from, &past);
	if (!fits(source, node) || node->n == MODEL_LIST)
		return;
	bool own = !past && source->born == model_now;
	tally[past ? TALLY_CLONES_PAST : own ? TALLY_CLONES_OWN : TALLY_CLONES]++;
	copy = plain_copy(source, node); /* it may be in what the clone replaces */
	copy->born = model_now;
	tally[TALLY_WRITES]++;
	if (node->kind != DUR_LIST) {
		dur_value key = key_for(node);
		EXPECT(0, dur_put(at->coll, &key, &DUR_COLL(from)));
		plain_put(node, &key)->sub = copy;
		return;
	}
	size_t where = below(node->n + 1);
	if (where < node->n && below(2)) {
		EXPECT(0, dur_put(at->coll, &DUR_INT(position(node, where)), &DUR_COLL(from)));
		plain_replace(node, where)->sub = copy;
		return;
	}
	EXPECT(0, dur_insert(at->coll, position(node, where), &DUR_COLL(from), 1));
	plain_insert(node, where, 1)->sub = copy;
}

/* Handles to what is at the same place in both stay good; test_become.c knows which those are. */
void random_restore(void)
{
	struct old *old = &world.olds[below(WORLD_SNAPSHOTS)];

	if (!old->view)
		return;
	handles_forget();
	EXPECT(0, dur_restore(world.txn, old->view));
	plain_free(world.root);
	world.root = plain_copy(old->root, NULL);
	tally[TALLY_WRITES]++;
	tally[TALLY_RESTORES]++;
	if (below(2))
		compare(dur_root(world.txn), world.root, &world.rng);
}

/* ---- Reads ---- */

static void look_rope(struct place *at)
{
	static char buf[MODEL_ROPE];
	const struct plain *node = at->node;
	size_t from = below(node->len + 1), n = below(node->len - from + 1);
	dur_value key, piece;
	uint64_t got;

	enter_place(at);
	EXPECT(0, dur_read(at->coll, from, buf, n, &got));
	HOLDS(got == n && (n == 0 || memcmp(buf, node->bytes + from, n) == 0), "%llu bytes of %zu",
	      (unsigned long long)got, n);
	tally[TALLY_READS]++;
	if (from == node->len)
		return;
	EXPECT(0, dur_nth(at->coll, position(node, from), &key, &piece));
	HOLDS(key.i == (int64_t)from && from + piece.len <= node->len &&
	              memcmp(piece.ptr, node->bytes + from, piece.len) == 0,
	      "%lld", (long long)key.i);
	tally[TALLY_READS]++;
}

static void do_look(struct place *at)
{
	const struct plain *node = at->node;
	dur_value key, path, value;
	bool found = node->n && below(2), by_key = node->kind != DUR_LIST;
	size_t where = 0;
	uint64_t rank;

	if (node->kind == DUR_ROPE) {
		look_rope(at);
		return;
	}
	if (found)
		key = key_at(node, where = below(node->n));
	else if (!by_key)
		key = DUR_INT((int64_t)node->n + (int64_t)below(2));
	else
		key = key_for(node);
	if (by_key)
		where = plain_find(node, &key, &found);
	path = at_path(at, key);
	EXPECT(found ? 0 : DUR_NONE, dur_get(at->coll, &path, &value));
	tally[TALLY_READS]++;
	if (found && !is_set(node))
		compare_value(&value, &node->entry[where], &world.rng);
	if (by_key) {
		EXPECT(found ? 0 : DUR_NONE, dur_rank(at->coll, &path, &rank));
		HOLDS(rank == where, "rank %llu is %zu", (unsigned long long)rank, where);
		tally[TALLY_READS]++;
	}
	if (node->n == 0 || at->n)
		return;
	where = below(node->n);
	EXPECT(0, dur_nth(at->coll, position(node, where), &key, &value));
	compare_key(&key, node, where);
	if (!is_set(node))
		compare_value(&value, &node->entry[where], &world.rng);
}

/* ---- Iterators that stay open ---- */

static void walker_open(struct walker *w)
{
	dur_range r = { .flags = below(2) ? DUR_REVERSE : 0 };
	struct handle *h = &world.handles[below(WORLD_HANDLES)];

	if (!h->node || h->node->dead || h->node->kind == DUR_ROPE)
		return;
	*w = (struct walker){ .handle = h, .coll = h->coll, .back = r.flags != 0 };
	EXPECT(0, dur_scan(h->coll, &r, &w->it));
}

/* The place of the entry behind the one given last, whatever was written since; there may be none. */
static size_t walker_next(const struct walker *w, const struct plain *node)
{
	bool found = false;
	size_t last;

	if (!w->started)
		return w->back ? node->n - 1 : 0;
	last = node->kind != DUR_LIST ? plain_find_bytes(node, w->key, w->len, &found)
	       : w->position < node->n ? w->position : node->n;
	if (node->kind == DUR_LIST)
		found = last < node->n;
	return w->back ? last - 1 : last + found; /* before the first: beyond all */
}

static void walker_step(struct walker *w, const struct plain *node)
{
	size_t at = walker_next(w, node);
	dur_value key, value;

	EXPECT(at < node->n ? 0 : DUR_NONE, dur_next(w->it, &key, &value));
	tally[TALLY_READS]++;
	if (at >= node->n)
		return;
	compare_key(&key, node, at);
	w->started = true;
	w->position = at;
	w->len = node->entry[at].key_len;
	if (w->len)
		memcpy(w->key, node->entry[at].key, w->len);
	if (!is_set(node))
		compare_value(&value, &node->entry[at], &world.rng);
}

static void walk(void)
{
	struct walker *w = &walkers[below(WALKERS)];
	const struct plain *node = w->it ? w->handle->node : NULL;

	if (!w->it) {
		walker_open(w);
	} else if (!node || w->handle->coll.at != w->coll.at || below(20) == 0) {
		dur_iter_close(w->it);
		w->it = NULL;
	} else if (node->dead) {
		EXPECT(DUR_E_STALE, dur_next(w->it, NULL, NULL));
		tally[TALLY_READS]++;
	} else {
		for (uint64_t n = 1 + below(4); n > 0; n--)
			walker_step(w, node);
	}
}

/* ---- Operations ---- */

struct operation {
	void (*run)(struct place *at);
	unsigned share;
};

static const struct operation of_maps[] = {
	{ do_put, 10 }, { do_put_many, 1 }, { do_change, 5 }, { do_make, 3 }, { do_del, 7 },
	{ do_clear, 1 }, { do_clone, 3 }, { do_look, 6 }, { NULL, 0 },
};
static const struct operation of_sets[] = {
	{ do_put, 10 }, { do_put_many, 1 }, { do_make, 1 }, { do_del, 7 }, { do_clear, 1 },
	{ do_look, 6 }, { NULL, 0 },
};
static const struct operation of_lists[] = {
	{ do_insert, 8 }, { do_set_item, 5 }, { do_make, 3 }, { do_del, 7 }, { do_clear, 1 },
	{ do_splice, 3 }, { do_clone, 3 }, { do_look, 6 }, { NULL, 0 },
};
static const struct operation of_ropes[] = {
	{ do_rope_insert, 6 }, { do_rope_write, 5 }, { do_clear, 4 }, { do_splice, 3 },
	{ do_look, 4 }, { NULL, 0 },
};

void random_operation(void)
{
	struct place at;
	const struct operation *list, *o;
	unsigned all = 0;

	if (below(8) == 0) {
		walk();
		return;
	}
	random_place(&at);
	list = is_set(at.node) ? of_sets : at.node->kind == DUR_LIST ? of_lists :
	       at.node->kind == DUR_ROPE ? of_ropes : of_maps;
	for (o = list; o->run; o++)
		all += o->share;
	uint64_t which = below(all);
	for (o = list; which >= o->share; o++)
		which -= o->share;
	if (world.each)
		fprintf(stderr, "operation %td on a collection of kind %u with %zu at depth %u, "
		        "%u steps\n", o - list, at.node->kind, length_of(at.node),
		        depth_of(at.node), at.n);
	o->run(&at);
	if (at.entered)
		dur_leave(at.coll);
}
