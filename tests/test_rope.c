/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ropes through the public header: random edits of several beside plain buffers, with clones, slices,
 * commits, aborts and old states; growth out of the parent's page and back; strings read as ropes;
 * what is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prefix_kit.h"
#include "random_values.h"
#include "tally.h"

enum { ROPES = 4, MOST = 60000, OLD = 4, LONG = 20000 };

static uint64_t rng, seed;
static dur_workspace *ws;
static dur_prefix *p;
static char noise[LONG];

struct plain {
	size_t n;
	char bytes[MOST];
};

static struct plain ropes[ROPES], before[ROPES], old[OLD][ROPES];
static uint64_t old_states[OLD];

static uint64_t below(uint64_t n)
{
	return random_below(&rng, n);
}

static void plain_insert(struct plain *r, size_t at, const char *bytes, size_t n)
{
	char *copy = malloc(n + 1);

	memcpy(copy, bytes, n); /* they may be the rope's own */
	memmove(r->bytes + at + n, r->bytes + at, r->n - at);
	memcpy(r->bytes + at, copy, n);
	r->n += n;
	free(copy);
}

static void plain_cut(struct plain *r, size_t from, size_t to)
{
	memmove(r->bytes + from, r->bytes + to, r->n - to);
	r->n -= to - from;
}

/* ---- Views ---- */

static dur_coll open_rope(dur_view *v, unsigned i)
{
	static const char *const paths[ROPES] = { "/a", "/in/a/map/b", "/c", "/list/0/r" };
	dur_coll rope;

	EXPECT(0, dur_enter(dur_root(v), &DUR_PATH(paths[i]), &rope));
	HOLDS(rope.kind == DUR_ROPE, "kind %u", rope.kind);
	return rope;
}

static void make_ropes(dur_view *txn)
{
	dur_value none = DUR_NEW(DUR_ROPE, NULL, 0);
	dur_value map[] = { DUR_STR("q"), DUR_INT(1), DUR_STR("r"), none };
	dur_value list[] = { DUR_NEW(DUR_MAP, map, 4) };

	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("a"), DUR_ROPE, NULL));
	EXPECT(0, dur_make(dur_root(txn), &DUR_PATH("/in/a/map/b"), DUR_ROPE, NULL));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("c"), &none));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("list"), &DUR_NEW(DUR_LIST, list, 1)));
}

/* The bytes [from, to) in pieces, forward or backward, each of them at its offset. */
static void same_pieces(dur_coll rope, const char *bytes, size_t from, size_t to, bool back)
{
	dur_value lo = DUR_INT((int64_t)from), hi = DUR_INT((int64_t)to), key, piece;
	dur_range range = { .from = &lo, .to = &hi, .flags = back ? DUR_REVERSE : 0 };
	uint64_t left;
	dur_iter *it;
	int rc;

	EXPECT(0, dur_scan(rope, &range, &it));
	while ((rc = dur_next(it, &key, &piece)) == 0) {
		tally[TALLY_READS]++;
		HOLDS(key.type == DUR_INT && piece.type == DUR_BYTES && piece.len > 0, "%u",
		      piece.type);
		if (back)
			to -= piece.len;
		HOLDS((size_t)key.i == (back ? to : from), "offset %lld", (long long)key.i);
		HOLDS(memcmp(piece.ptr, bytes + key.i, piece.len) == 0, "at %lld", (long long)key.i);
		if (!back)
			from += piece.len;
		EXPECT(0, dur_left(it, &left));
		HOLDS(from + left == to, "%llu left", (unsigned long long)left);
	}
	HOLDS(rc == DUR_NONE && from == to, "%d: %zu, not %zu", rc, from, to);
	dur_iter_close(it);
}

static void same_rope(dur_coll rope, const struct plain *r)
{
	static char buf[MOST + 10];
	size_t from = below(r->n + 1), to = from + below(r->n - from + 1);
	dur_value key, piece;
	uint64_t n;

	EXPECT(0, dur_count(rope, NULL, &n));
	HOLDS(n == r->n, "%llu bytes, not %zu", (unsigned long long)n, r->n);
	EXPECT(0, dur_read(rope, 0, buf, sizeof buf, &n));
	HOLDS(n == r->n && memcmp(buf, r->bytes, n) == 0, "%llu", (unsigned long long)n);
	EXPECT(0, dur_read(rope, from, buf, to - from, &n));
	HOLDS(n == to - from && memcmp(buf, r->bytes + from, n) == 0, "from %zu to %zu", from, to);
	EXPECT(0, dur_read(rope, r->n + 1, buf, 5, &n));
	tally[TALLY_READS] += 3;
	HOLDS(n == 0, "%llu behind the end", (unsigned long long)n);
	same_pieces(rope, r->bytes, 0, r->n, false);
	same_pieces(rope, r->bytes, from, to, false);
	same_pieces(rope, r->bytes, from, to, true);
	if (r->n == 0)
		return;
	from = below(r->n);
	EXPECT(0, dur_nth(rope, (int64_t)from - (int64_t)r->n, &key, &piece));
	HOLDS(key.i == (int64_t)from && *(const char *)piece.ptr == r->bytes[from], "%zu", from);
	HOLDS(from + piece.len <= r->n && memcmp(piece.ptr, r->bytes + from, piece.len) == 0, "%zu",
	      from);
}

static void same_ropes(dur_view *v, const struct plain *all)
{
	for (unsigned i = 0; i < ROPES; i++)
		same_rope(open_rope(v, i), &all[i]);
}

/* ---- At random ---- */

static size_t some_length(void)
{
	switch (below(8)) {
	case 0:
		return below(LONG);
	case 1:
	case 2:
		return below(1200);
	default:
		return below(60);
	}
}

static void insert(dur_coll rope, struct plain *r, size_t at)
{
	dur_value pieces[5];
	unsigned n = 1 + (unsigned)below(5);
	size_t total = 0, first = at;

	for (unsigned i = 0; i < n; i++) {
		size_t len = some_length(), from = below(LONG - len);
		pieces[i] = below(2) ? DUR_BYTES(noise + from, len) : DUR_STRN(noise + from, len);
		total += len;
	}
	if (r->n + total > MOST)
		return;
	if (n == 1 && at == r->n)
		EXPECT(0, dur_append(rope, pieces));
	else
		EXPECT(0, dur_insert(rope, at < r->n && below(2) ? (int64_t)at - (int64_t)r->n
		                                                 : (int64_t)at, pieces, n));
	tally[TALLY_WRITES]++;
	for (unsigned i = 0; i < n; first += pieces[i++].len)
		plain_insert(r, first, pieces[i].str, pieces[i].len);
}

static void write_over(dur_coll rope, struct plain *r, size_t at)
{
	size_t len = some_length(), from = below(LONG - len);

	if (at + len > MOST)
		return;
	EXPECT(0, dur_write(rope, at, noise + from, len));
	tally[TALLY_WRITES]++;
	memcpy(r->bytes + at, noise + from, len);
	r->n = at + len > r->n ? at + len : r->n;
}

/* A piece where it lies, into the rope that it is of. */
static void insert_own(dur_coll rope, struct plain *r, size_t at)
{
	dur_value piece;
	size_t from = below(r->n + 1);

	if (from == r->n)
		return;
	EXPECT(0, dur_nth(rope, (int64_t)from, NULL, &piece));
	if (r->n + piece.len > MOST)
		return;
	size_t len = piece.len;
	tally[TALLY_WRITES]++;
	if (below(2)) {
		EXPECT(0, dur_insert(rope, (int64_t)at, &piece, 1));
		plain_insert(r, at, r->bytes + from, len);
	} else {
		EXPECT(0, dur_write(rope, at, piece.ptr, len));
		memmove(r->bytes + at, r->bytes + from, len);
		r->n = at + len > r->n ? at + len : r->n;
	}
}

static void splice(dur_view *txn, dur_view *snap, unsigned to, size_t at)
{
	unsigned from = (unsigned)below(ROPES);
	bool past = snap && below(3) == 0;
	const struct plain *src = past ? &before[from] : &ropes[from];
	size_t low = below(src->n + 1), high = low + below(src->n - low + 1);
	dur_value lo = DUR_INT((int64_t)low), hi = DUR_INT((int64_t)high);
	bool whole = below(4) == 0;

	if (whole)
		low = 0, high = src->n;
	if (ropes[to].n + (high - low) > MOST)
		return;
	EXPECT(0, dur_splice(open_rope(txn, to), (int64_t)at, open_rope(past ? snap : txn, from),
	                     whole ? NULL : &(dur_range){ .from = &lo, .to = &hi }));
	tally[TALLY_WRITES]++;
	tally[past ? TALLY_SPLICES_PAST : TALLY_SPLICES]++;
	plain_insert(&ropes[to], at, src->bytes + low, high - low);
}

static void clone(dur_view *txn, dur_view *snap, unsigned to)
{
	static const char *const paths[ROPES] = { "/a", "/in/a/map/b", "/c", "/list/0/r" };
	unsigned from = (unsigned)below(ROPES);
	bool past = snap && below(2);
	dur_coll stale = open_rope(txn, to), src;

	if (from == to)
		return;
	src = open_rope(past ? snap : txn, from);
	EXPECT(0, dur_put(dur_root(txn), &DUR_PATH(paths[to]), &DUR_COLL(src)));
	tally[TALLY_WRITES]++;
	tally[past ? TALLY_CLONES_PAST : TALLY_CLONES]++;
	EXPECT(DUR_E_STALE, dur_count(stale, NULL, &(uint64_t){ 0 }));
	ropes[to] = past ? before[from] : ropes[from];
}

static void random_step(dur_view *txn, dur_view *snap)
{
	unsigned i = (unsigned)below(ROPES);
	struct plain *r = &ropes[i];
	dur_coll rope = open_rope(txn, i);
	size_t at = below(4) ? below(r->n + 1) : r->n, to;
	dur_value lo, hi;
	uint64_t n;

	switch (below(9)) {
	case 0:
	case 1:
		insert(rope, r, at);
		break;
	case 2:
	case 3:
		write_over(rope, r, at);
		break;
	case 4:
	case 5:
		to = at + below(below(3) ? 100 : r->n - at + 1);
		to = to < r->n ? to : r->n;
		lo = DUR_INT((int64_t)at);
		hi = DUR_INT((int64_t)to);
		EXPECT(0, dur_clear(rope, &(dur_range){ .from = &lo, .to = &hi }, &n));
		HOLDS(n == to - at, "%llu", (unsigned long long)n);
		tally[TALLY_WRITES]++;
		plain_cut(r, at, to);
		break;
	case 6:
		insert_own(rope, r, at);
		break;
	case 7:
		splice(txn, snap, i, at);
		break;
	default:
		if (below(3) == 0)
			clone(txn, snap, i);
	}
}

static void random_transaction(uint64_t round)
{
	bool first = round == 0;
	dur_view *txn, *snap;
	uint64_t state;

	EXPECT(0, dur_begin(p, NULL, &txn));
	if (first)
		make_ropes(txn);
	memcpy(before, ropes, sizeof before);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	for (uint64_t k = below(below(4) ? 20 : 80); k > 0; k--)
		random_step(txn, first ? NULL : snap);
	same_ropes(txn, ropes);
	dur_close(snap);
	if (!first && below(6) == 0) {
		memcpy(ropes, before, sizeof before);
		tally[TALLY_ABORTS]++;
	} else {
		EXPECT(0, dur_commit(txn, NULL, &state));
		tally[TALLY_COMMITS]++;
		if (round % 4 == 0)
			same_ropes(txn, ropes);
		unsigned i = (unsigned)below(OLD);
		old_states[i] = state;
		memcpy(old[i], ropes, sizeof ropes);
	}
	dur_close(txn);
}

static void check_old(void)
{
	dur_view *snap;

	for (unsigned i = 0; i < OLD; i++) {
		if (!old_states[i])
			continue;
		EXPECT(0, dur_snapshot(p, old_states[i], NULL, &snap));
		same_ropes(snap, old[i]);
		tally[TALLY_OLD]++;
		dur_close(snap);
	}
}

START_TEST(random_ropes)
{
	uint64_t most = tally_wanted(1000, 1000000);

	for (uint64_t round = 0; tally[TALLY_WRITES] < most; round++) {
		random_transaction(round);
		if (round % 5 == 4)
			check_old();
	}
	tally_say("rope", seed);
}
END_TEST

/* ---- Edges ---- */

/* A slice at every boundary around the ends of pages, and around where a rope leaves its parent's page. */
START_TEST(slices_at_every_boundary)
{
	static const size_t around[] = { 0, 498, 997, 4055, 8112, 12167 };
	static struct plain want;
	dur_coll rope, slice;
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("r"), DUR_ROPE, &rope));
	EXPECT(0, dur_append(rope, &DUR_BYTES(noise, 12170)));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("s"), DUR_ROPE, &slice));
	for (unsigned a = 0; a < 6; a++)
		for (unsigned b = a; b < 6; b++)
			for (size_t k = 0; k < 9; k++) {
				size_t from = around[a] + k % 3, to = around[b] + k / 3;
				dur_value lo = DUR_INT((int64_t)from), hi = DUR_INT((int64_t)to);
				if (to < from)
					continue;
				EXPECT(0, dur_clear(slice, NULL, NULL));
				EXPECT(0, dur_splice(slice, 0, rope, &(dur_range){ .from = &lo, .to = &hi }));
				want.n = to - from;
				memcpy(want.bytes, noise + from, want.n);
				same_rope(slice, &want);
			}
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}
END_TEST

/* Byte after byte out of the parent's page and back, with a handle that stays good. */
START_TEST(out_of_the_parents_page_and_back)
{
	static struct plain want;
	dur_value key = DUR_STRN(noise, 1000); /* beside it there is less room */
	dur_coll rope[2];
	dur_view *txn;
	uint64_t n;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_make(dur_root(txn), &DUR_PATH("/in/r"), DUR_ROPE, &rope[0]));
	EXPECT(0, dur_make(dur_root(txn), &key, DUR_ROPE, &rope[1]));
	for (unsigned i = 0; i < 2; i++) {
		for (want.n = 0; want.n < 1100; want.n++) {
			want.bytes[want.n] = noise[want.n];
			EXPECT(0, dur_append(rope[i], &DUR_BYTES(noise + want.n, 1)));
		}
		same_rope(rope[i], &want);
		while (want.n) {
			dur_value from = DUR_INT((int64_t)--want.n);
			EXPECT(0, dur_clear(rope[i], &(dur_range){ .from = &from }, &n));
			if (want.n % 100 == 0)
				same_rope(rope[i], &want);
		}
		/* at once, from nothing, just around what fits beside the key */
		for (size_t len = 950; len < 1003; len++) {
			EXPECT(0, dur_write(rope[i], 0, noise, len));
			EXPECT(0, dur_count(rope[i], NULL, &n));
			HOLDS(n == len, "%llu", (unsigned long long)n);
			EXPECT(0, dur_clear(rope[i], NULL, NULL));
		}
	}
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}
END_TEST

START_TEST(literals_are_their_pieces)
{
	dur_value pieces[] = { DUR_STR("one "), DUR_BYTES("two ", 4), DUR_STR(""), DUR_STR("three") };
	dur_value large[] = { DUR_STR("ab"), DUR_BYTES(noise, 5000), DUR_BYTES(noise, 700) };
	dur_value wrong[] = { DUR_STR("a"), DUR_INT(1) };
	dur_value inner[] = { DUR_NEW(DUR_ROPE, large, 3), DUR_NEW(DUR_ROPE, pieces, 4) }, v;
	char buf[6000];
	dur_view *txn;
	uint64_t n;

	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	dur_coll root = dur_root(txn);
	EXPECT(0, dur_put(root, &DUR_STR("l"), &DUR_NEW(DUR_LIST, inner, 2)));
	EXPECT(0, dur_get(root, &DUR_PATH("/l/1"), &v));
	HOLDS(v.type == DUR_ROPE && v.len == 13, "%u, %llu", v.type, (unsigned long long)v.len);
	EXPECT(0, dur_read(v.coll, 0, buf, sizeof buf, &n));
	HOLDS(n == 13 && memcmp(buf, "one two three", 13) == 0, "%.13s", buf);
	EXPECT(0, dur_get(root, &DUR_PATH("/l/0"), &v));
	EXPECT(0, dur_read(v.coll, 0, buf, sizeof buf, &n));
	HOLDS(n == 5702 && memcmp(buf + 2, noise, 5000) == 0 && memcmp(buf + 5002, noise, 700) == 0,
	      "%llu", (unsigned long long)n);
	EXPECT(DUR_E_TYPE, dur_put(root, &DUR_STR("w"), &DUR_NEW(DUR_ROPE, wrong, 2)));
	EXPECT(DUR_NONE, dur_get(root, &DUR_STR("w"), NULL));
	/* compared byte by byte, however either is cut into pieces */
	dur_value other[] = { DUR_STR("one two th"), DUR_STR("ree") };
	EXPECT(DUR_NONE, dur_swap(root, &DUR_PATH("/l/1"), &DUR_NEW(DUR_ROPE, other, 1), &DUR_INT(1)));
	EXPECT(DUR_NONE, dur_swap(root, &DUR_PATH("/l/0"), &DUR_NEW(DUR_ROPE, other, 2), &DUR_INT(1)));
	EXPECT(0, dur_swap(root, &DUR_PATH("/l/1"), &DUR_NEW(DUR_ROPE, other, 2), &DUR_INT(1)));
	EXPECT(0, dur_swap(root, &DUR_PATH("/l/0"), &DUR_NEW(DUR_ROPE, large, 3), &DUR_INT(2)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}
END_TEST

/* Short, inline, and in pages of its own. */
START_TEST(strings_are_read_as_ropes)
{
	static const size_t lengths[] = { 0, 5, 1500, 15000 };
	static struct plain want;
	dur_coll rope, copy;
	dur_view *txn;
	uint64_t n;

	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	for (unsigned i = 0; i < 4; i++) {
		dur_value v = i % 2 ? DUR_BYTES(noise, lengths[i]) : DUR_STRN(noise, lengths[i]);
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i), &v));
		EXPECT(0, dur_make(dur_root(txn), &DUR_INT(10 + i), DUR_ROPE, &copy));
		EXPECT(0, dur_enter(dur_root(txn), &DUR_INT(i), &rope));
		want.n = lengths[i];
		memcpy(want.bytes, noise, want.n);
		same_rope(rope, &want);
		EXPECT(0, dur_splice(copy, 0, rope, NULL));
		EXPECT(DUR_E_STALE, dur_count(rope, NULL, &n));
		same_rope(copy, &want);
		EXPECT(0, dur_enter(dur_root(txn), &DUR_INT(i), &rope));
		EXPECT(DUR_E_READ_ONLY, dur_append(rope, &DUR_STR("x")));
		EXPECT(0, dur_enter(dur_root(txn), &DUR_INT(i), &rope));
		EXPECT(0, dur_swap(dur_root(txn), &DUR_INT(10 + i), &DUR_COLL(rope), &DUR_INT(3)));
		EXPECT(0, dur_enter(dur_root(txn), &DUR_INT(i), &rope));
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(10 + i), &DUR_COLL(rope)));
		EXPECT(0, dur_enter(dur_root(txn), &DUR_INT(10 + i), &copy));
		same_rope(copy, &want);
	}
	EXPECT(DUR_E_TYPE, dur_put(copy, &DUR_INT(0), &DUR_INT(3)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	for (unsigned i = 0; i < 4; i++) {
		EXPECT(0, dur_enter(dur_root(txn), &DUR_INT(i), &rope));
		want.n = lengths[i];
		same_rope(rope, &want);
		EXPECT(DUR_E_READ_ONLY, dur_write(rope, 0, "x", 1));
	}
	dur_close(txn);
}
END_TEST

START_TEST(a_scan_goes_on_through_writes)
{
	dur_value key, piece;
	dur_coll rope;
	dur_view *txn;
	dur_iter *it;
	uint64_t n;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("r"), DUR_ROPE, &rope));
	EXPECT(0, dur_append(rope, &DUR_BYTES(noise, 10000)));
	EXPECT(0, dur_scan(rope, &(dur_range){ .skip = 10 }, &it));
	EXPECT(0, dur_next(it, &key, &piece));
	HOLDS(key.i == 10 && memcmp(piece.ptr, noise + 10, piece.len) == 0, "%lld", (long long)key.i);
	n = 10 + piece.len;
	EXPECT(0, dur_write(rope, n, "new bytes", 9));
	EXPECT(0, dur_next(it, &key, &piece));
	HOLDS((uint64_t)key.i == n && memcmp(piece.ptr, "new bytes", 9) == 0, "%lld",
	      (long long)key.i);
	EXPECT(0, dur_seek(it, &DUR_INT(5000)));
	EXPECT(0, dur_next(it, &key, &piece));
	HOLDS(key.i == 5000 && memcmp(piece.ptr, noise + 5000, piece.len) == 0, "%lld",
	      (long long)key.i);
	EXPECT(0, dur_seek(it, &DUR_PATH("/20")));
	EXPECT(0, dur_next(it, &key, NULL));
	HOLDS(key.i == 20, "%lld", (long long)key.i);
	EXPECT(0, dur_scan(rope, &(dur_range){ .skip = 8000, .limit = 500 }, &it));
	EXPECT(0, dur_next(it, &key, &piece));
	EXPECT(0, dur_left(it, &n));
	HOLDS(key.i == 8000 && n == 500 - piece.len && n > 0, "%llu left", (unsigned long long)n);
	EXPECT(0, dur_next(it, &key, &piece));
	HOLDS(piece.len == n, "%llu", (unsigned long long)piece.len);
	EXPECT(DUR_NONE, dur_next(it, &key, &piece));
	EXPECT(0, dur_scan(rope, NULL, &it));
	EXPECT(0, dur_clear(rope, NULL, NULL));
	EXPECT(DUR_NONE, dur_next(it, &key, &piece));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}
END_TEST

START_TEST(what_a_rope_refuses)
{
	dur_value tagged = DUR_STR("x"), v;
	dur_coll rope, map;
	dur_view *txn;
	dur_iter *it;
	char buf[4];
	uint64_t n;

	tagged.tag = 5;
	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("r"), DUR_ROPE, &rope));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("m"), DUR_MAP, &map));
	EXPECT(DUR_E_TYPE, dur_make(dur_root(txn), &DUR_STR("m"), DUR_ROPE, NULL));
	EXPECT(0, dur_append(rope, &DUR_STR("text")));
	EXPECT(DUR_E_TYPE, dur_append(rope, &DUR_INT(1)));
	EXPECT(DUR_E_TYPE, dur_append(rope, &tagged));
	EXPECT(DUR_E_TYPE, dur_append(rope, &DUR_COLL(rope)));
	EXPECT(DUR_E_MISUSE, dur_append(rope, NULL));
	EXPECT(DUR_E_MISUSE, dur_insert(rope, 0, NULL, 1));
	EXPECT(DUR_E_MISUSE, dur_append(rope, &DUR_BYTES(NULL, 5)));
	EXPECT(DUR_E_RANGE, dur_insert(rope, 5, &DUR_STR("x"), 1));
	EXPECT(DUR_E_RANGE, dur_insert(rope, -5, &DUR_STR("x"), 1));
	EXPECT(DUR_E_RANGE, dur_write(rope, 5, "x", 1));
	EXPECT(DUR_E_MISUSE, dur_write(rope, 0, NULL, 1));
	EXPECT(0, dur_write(rope, 4, NULL, 0));
	EXPECT(DUR_E_TYPE, dur_write(map, 0, "x", 1));
	EXPECT(DUR_E_TYPE, dur_read(map, 0, buf, 1, &n));
	EXPECT(DUR_E_MISUSE, dur_read(rope, 0, NULL, 1, &n));
	EXPECT(DUR_E_MISUSE, dur_read(rope, 0, buf, 1, NULL));
	EXPECT(DUR_E_MISUSE, dur_read((dur_coll){ 0 }, 0, buf, 1, &n));
	EXPECT(DUR_E_MISUSE, dur_write((dur_coll){ 0 }, 0, buf, 1));
	EXPECT(DUR_E_TYPE, dur_get(rope, &DUR_INT(0), &v));
	EXPECT(DUR_E_TYPE, dur_put(rope, &DUR_INT(0), &DUR_STR("x")));
	EXPECT(DUR_E_TYPE, dur_del(rope, &DUR_INT(0)));
	EXPECT(DUR_E_TYPE, dur_add(rope, &DUR_STR("x")));
	EXPECT(DUR_E_TYPE, dur_rank(rope, &DUR_INT(0), &n));
	EXPECT(DUR_E_TYPE, dur_get(dur_root(txn), &DUR_PATH("/r/0"), &v));
	EXPECT(DUR_E_TYPE, dur_splice(rope, 0, map, NULL));
	EXPECT(DUR_E_MISUSE, dur_splice(rope, 0, rope, &(dur_range){ .flags = DUR_REVERSE }));
	EXPECT(DUR_E_TYPE, dur_scan(rope, &(dur_range){ .from = &DUR_BOOL(1) }, &it));
	EXPECT(DUR_E_MISUSE, dur_scan(rope, &(dur_range){ .from = &DUR_INT(1), .flags = DUR_STARTS },
	                              &it));
	EXPECT(0, dur_scan(rope, NULL, &it));
	EXPECT(DUR_E_MISUSE, dur_seek(it, NULL));
	EXPECT(DUR_E_TYPE, dur_seek(it, &DUR_BOOL(1)));
	EXPECT(DUR_E_TYPE, dur_diff(rope, rope, NULL, &it));
	EXPECT(0, dur_read(rope, 0, buf, 4, &n));
	HOLDS(n == 4 && memcmp(buf, "text", 4) == 0, "%.4s", buf);
	EXPECT(0, dur_del(dur_root(txn), &DUR_STR("r")));
	EXPECT(DUR_E_STALE, dur_append(rope, &DUR_STR("x")));
	EXPECT(DUR_E_STALE, dur_read(rope, 0, buf, 4, &n));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}
END_TEST

/* Clones of clones share pages and keep to themselves; letting them go gives all back. */
START_TEST(clones_keep_to_themselves)
{
	static struct plain want[20];
	dur_coll rope;
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	dur_coll root = dur_root(txn);
	EXPECT(0, dur_make(root, &DUR_INT(0), DUR_ROPE, &rope));
	EXPECT(0, dur_append(rope, &DUR_BYTES(noise, 18000)));
	want[0].n = 18000;
	memcpy(want[0].bytes, noise, 18000);
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	for (unsigned i = 1; i < 20; i++) {
		unsigned from = (unsigned)below(i);
		size_t at = below(want[from].n);
		EXPECT(0, dur_begin(p, NULL, &txn));
		root = dur_root(txn);
		EXPECT(0, dur_enter(root, &DUR_INT(from), &rope));
		EXPECT(0, dur_put(root, &DUR_INT(i), &DUR_COLL(rope)));
		want[i] = want[from];
		EXPECT(0, dur_enter(root, &DUR_INT(i), &rope));
		EXPECT(0, dur_insert(rope, (int64_t)at, &DUR_STR("inserted"), 1));
		plain_insert(&want[i], at, "inserted", 8);
		for (unsigned k = 0; k <= i; k++) {
			EXPECT(0, dur_enter(root, &DUR_INT(k), &rope));
			same_rope(rope, &want[k]);
		}
		EXPECT(0, dur_commit(txn, NULL, NULL));
		dur_close(txn);
	}
	EXPECT(0, dur_begin(p, NULL, &txn));
	for (unsigned i = 0; i < 20; i += 2)
		EXPECT(0, dur_del(dur_root(txn), &DUR_INT(i)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	for (unsigned i = 1; i < 20; i += 2) {
		EXPECT(0, dur_enter(dur_root(txn), &DUR_INT(i), &rope));
		same_rope(rope, &want[i]);
	}
	dur_close(txn);
}
END_TEST

static void setup(void)
{
	rng = seed = random_seed("test_rope");
	for (unsigned i = 0; i < LONG; i++)
		noise[i] = (char)('a' + below(26));
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, "p", NULL);
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

static Suite *suite(void)
{
	Suite *s = suite_create("rope");
	TCase *tc = tcase_create("edges");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, slices_at_every_boundary);
	tcase_add_test(tc, out_of_the_parents_page_and_back);
	tcase_add_test(tc, literals_are_their_pieces);
	tcase_add_test(tc, strings_are_read_as_ropes);
	tcase_add_test(tc, a_scan_goes_on_through_writes);
	tcase_add_test(tc, what_a_rope_refuses);
	tcase_add_test(tc, clones_keep_to_themselves);
	suite_add_tcase(s, tc);
	tc = tcase_create("random");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, random_ropes);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
