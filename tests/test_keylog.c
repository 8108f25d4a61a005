/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of keys and key ranges against a model that remembers what every key was in every
 * state. The histories split, empty, merge and drop leaves, for there a leaf's birth says less
 * than it seems to; beside dur_log() the engine's tree_since(), on which it leaps, is held to its
 * word.
 */
#include "prefix_kit.h"
#include "prefixes/prefix.h"
#include "prefixes/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 900, STATES_MAX = 6000, VALUE_MAX = 12000 };

/* What the keys of one state are: 0 nothing, else the number of a value. */
struct moment {
	uint64_t state;
	int64_t time_ns;
	uint32_t of[KEYS];
};

static const char NAME[] = "log";
static dur_workspace *ws;
static dur_prefix *p;
static uint64_t rng;
static struct moment *moments; /* of retained states, oldest first */
static unsigned n_moments;
static uint32_t now[KEYS], values;

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

static void setup(void)
{
	rng = kit_seed();
	ws = prefix_workspace(kit_path("root"));
	moments = malloc(STATES_MAX * sizeof *moments);
	HOLDS(moments, "memory");
	memset(now, 0, sizeof now);
	n_moments = values = 0;
}

static void teardown(void)
{
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, 0);
	EXPECT(0, dur_workspace_close(ws));
	free(moments);
	kit_clean();
}

/* ---- Keys and values ---- */

/* Every other number is a key that was never there, the first and the last one too. */
static dur_value key_of(unsigned k, char text[16])
{
	snprintf(text, 16, "k%05u", k);
	return DUR_STR(text);
}

static dur_value value_of(uint32_t number)
{
	static char text[VALUE_MAX];
	uint32_t mixed = number * 2654435761U;
	size_t len = number % 3 ? mixed % 300 : 1000 + mixed % 900;

	if (number % 50 == 0) /* a run */
		len = 5000 + mixed % 5000;

	memset(text, 'a' + (int)(number % 26), len);
	len += (size_t)snprintf(text + len, 20, "%" PRIu32, number);
	return DUR_STRN(text, len);
}

static bool is_value(const dur_value *v, uint32_t number)
{
	if (number == 0)
		return v->type == DUR_ABSENT;
	dur_value expected = value_of(number);
	return v->type == DUR_STR && v->len == expected.len &&
	       memcmp(v->str, expected.str, v->len) == 0;
}

/* Encoded as the catalog has it. */
static struct tree_key encoded(unsigned k, uint8_t buf[40])
{
	char text[16];
	dur_value key = key_of(k, text);
	struct tree_key out = { .key = buf };

	EXPECT(0, key_encode(&key, buf, 40, &out.len));
	return out;
}

/* ---- A history ---- */

static void put(dur_view *txn, unsigned k, uint32_t number)
{
	char text[16];
	dur_value key = key_of(k, text), value = value_of(number);

	EXPECT(0, dur_put(dur_root(txn), &key, &value));
	now[k] = number;
}

static void clear(dur_view *txn, unsigned from, unsigned to)
{
	char from_text[16], to_text[16];
	dur_value low = key_of(from, from_text), high = key_of(to, to_text);

	EXPECT(0, dur_clear(dur_root(txn), &(dur_range){ .from = &low, .to = &high }, NULL));
	for (unsigned k = from; k < to; k++)
		now[k] = 0;
}

static unsigned some_key(void)
{
	return 1 + 2 * (unsigned)below(KEYS / 2 - 1);
}

/* The key that is the first one of its leaf, from a key on; KEYS: there is none. */
static unsigned leaf_from(const dur_view *v, unsigned k)
{
	static struct cursor c;
	uint8_t buf[40];
	struct tree_key from = encoded(k, buf);
	const void *key;
	char text[16];
	size_t len;

	cursor_open(&c, &v->pager, v->catalog);
	for (int rc = cursor_seek(&c, from.key, from.len); rc == 0; rc = cursor_next(&c)) {
		if (c.level[0].at > 0)
			continue;
		cursor_entry(&c, &key, &len, NULL);
		ck_assert_uint_eq(len, 8); /* 02 k ..... 00 */
		memcpy(text, (const char *)key + 2, 5);
		text[5] = '\0';
		return (unsigned)atoi(text);
	}
	return KEYS;
}

/*
 * A leaf goes and its neighbours are not touched: what lay in it would now be at the edge of one of
 * those, whose birth knows nothing of it.
 */
static void clear_leaf(dur_view *txn, unsigned k)
{
	unsigned from = leaf_from(txn, k), to;

	if (from >= KEYS - 1)
		return;
	to = leaf_from(txn, from + 1);
	if (to < KEYS)
		clear(txn, from, to);
}

/*
 * A third of the keys has large values, one or two to a leaf: such a leaf goes when its last
 * entry does, without a neighbour being written.
 */
static uint32_t new_value(unsigned k)
{
	do
		values++;
	while ((k % 300 < 100) != (values % 3 == 0));
	return values;
}

/* One of the things that change the shape of the tree, or the same value again. */
static void change(dur_view *txn)
{
	unsigned k = some_key(), n;
	char text[16];

	switch (below(11)) {
	case 0: /* whole leaves, also without their neighbours being touched */
		n = 1 + (unsigned)below(below(4) ? 60 : 400);
		clear(txn, k, k + n < KEYS ? k + n : KEYS);
		return;
	case 1: /* one leaf splits */
		for (n = 0; n < 40 && k + 2 * n < KEYS - 1; n++)
			put(txn, k + 2 * n, new_value(k + 2 * n));
		return;
	case 2:
	case 3:
		if (now[k]) {
			dur_value key = key_of(k, text);
			EXPECT(0, dur_del(dur_root(txn), &key));
			now[k] = 0;
		}
		return;
	case 4: clear_leaf(txn, k); return;
	case 5: /* nothing changes, but the leaf is written, of a large value a run too */
		if (now[k])
			put(txn, k, now[k]);
		return;
	default: put(txn, k, new_value(k)); return;
	}
}

static void commit(void)
{
	unsigned changes = below(8) ? 1 : 1 + (unsigned)below(20);
	uint64_t state, before = prefix_newest_state(p);
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (unsigned i = 0; i < changes; i++)
		change(txn);
	EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = below(20) ? DUR_ASYNC : 0 }, &state));
	dur_close(txn);
	HOLDS(n_moments < STATES_MAX, "too many states");
	if (state == before)
		return;
	moments[n_moments].state = state;
	memcpy(moments[n_moments++].of, now, sizeof now);
}

/* Drops from the model what is not retained any more, and takes the times. */
static void retain(void)
{
	dur_state_info *list = malloc(STATES_MAX * sizeof *list);
	uint32_t n, to = 0;

	HOLDS(list, "memory");
	EXPECT(0, dur_states(p, 0, DUR_REVERSE, list, STATES_MAX, &n));
	for (unsigned i = 0; i < n_moments && to < n; i++)
		if (moments[i].state == list[to].state) {
			moments[to] = moments[i];
			moments[to].time_ns = list[to].time_ns;
			to++;
		}
	ck_assert_uint_eq(to, n);
	n_moments = n;
	free(list);
}

static void begin(const char *keep)
{
	p = prefix_attach(ws, NAME, keep);
	moments[0].state = prefix_newest_state(p);
	memset(moments[0].of, 0, sizeof moments[0].of);
	n_moments = 1;
}

/* ---- What logs say ---- */

static void is_row(const dur_change *c, const struct moment *m, uint32_t old, uint32_t new,
                   unsigned k)
{
	char path[24];

	snprintf(path, sizeof path, "/k%05u", k);
	HOLDS(c->path.type == DUR_PATH && c->path.len == strlen(path) &&
	      memcmp(c->path.str, path, c->path.len) == 0, "%.*s, not %s",
	      (int)c->path.len, c->path.str, path);
	HOLDS(c->state == m->state, "%s: state %" PRIu64 ", not %" PRIu64, path, c->state, m->state);
	HOLDS(c->time_ns == m->time_ns, "%s of state %" PRIu64, path, c->state);
	HOLDS(c->kind == (!old ? DUR_ADDED : !new ? DUR_REMOVED : DUR_CHANGED), "%s, kind %u", path,
	      c->kind);
	HOLDS(is_value(&c->old, old), "%s: old value before state %" PRIu64, path, c->state);
	HOLDS(is_value(&c->now, new), "%s: new value of state %" PRIu64, path, c->state);
}

/* The newest moment at or below a state; 0: the newest of all. -1: none. */
static int moment_at(uint64_t state)
{
	int i = (int)n_moments - 1;

	while (state && i >= 0 && moments[i].state > state)
		i--;
	return i;
}

/* The log of one key, from a state on. */
static void log_of_key(unsigned k, uint64_t from)
{
	char text[16], path[24];
	dur_value key = key_of(k, text);
	dur_change c;
	dur_iter *it;

	snprintf(path, sizeof path, "/%s", text);
	EXPECT(0, dur_log(p, below(2) ? &DUR_PATH(path) : &key, NULL, from, &it));
	for (int i = moment_at(from); i > 0; i--) {
		if (moments[i].of[k] == moments[i - 1].of[k])
			continue;
		EXPECT(0, dur_next_change(it, &c));
		is_row(&c, &moments[i], moments[i - 1].of[k], moments[i].of[k], k);
	}
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	dur_iter_close(it);
}

/* The log of keys from .. to - 1, or of all; skip and limit count its rows. */
static void log_of_range(unsigned first, unsigned end, uint64_t from)
{
	char low_text[16], high_text[16];
	dur_value low = key_of(first, low_text), high = key_of(end, high_text);
	dur_range r = { .from = &low, .to = &high, .skip = below(3) ? 0 : below(5),
		.limit = below(3) ? 0 : 1 + below(60) };
	bool all = first == 0 && end == KEYS && !r.skip && !r.limit;
	uint64_t skip = r.skip, left = r.limit ? r.limit : UINT64_MAX;
	dur_change c;
	dur_iter *it;

	EXPECT(0, dur_log(p, below(2) ? &DUR_PATH("") : NULL, all ? NULL : &r, from, &it));
	for (int i = moment_at(from); i > 0; i--)
		for (unsigned k = first; k < end && left; k++) {
			uint32_t old = moments[i - 1].of[k], new = moments[i].of[k];
			if (old == new)
				continue;
			if (skip > 0) {
				skip--;
				continue;
			}
			EXPECT(0, dur_next_change(it, &c));
			is_row(&c, &moments[i], old, new, k);
			left--;
		}
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	dur_iter_close(it);
}

static uint64_t some_from(void)
{
	uint64_t newest = moments[n_moments - 1].state;

	return below(3) ? 0 : 1 + below(newest + 5);
}

static void logs_of_keys(unsigned n)
{
	retain();
	for (unsigned i = 0; i < n; i++) {
		log_of_key((unsigned)below(KEYS), some_from());
		log_of_key(some_key(), some_from());
	}
	for (unsigned i = 0; i < n / 6; i++) {
		unsigned k = (unsigned)below(KEYS), end = k + 1 + (unsigned)below(below(2) ? 6 : 300);
		log_of_range(k, end < KEYS ? end : KEYS, some_from());
	}
	log_of_range(0, KEYS, some_from());
	log_of_key(0, 0);
	log_of_key(1, 0);
	log_of_key(KEYS - 1, 0);
	log_of_key(KEYS - 2, 0);
}

/* ---- What the engine says ---- */

static bool same_between(const struct moment *a, const struct moment *b, unsigned from, unsigned to)
{
	return memcmp(a->of + from, b->of + from, (to - from + 1) * sizeof *a->of) == 0;
}

static unsigned told; /* look-ups that gave a birth before the state's own */

static void since_holds(unsigned moment, unsigned from, unsigned to)
{
	const struct moment *m = &moments[moment];
	uint8_t low_buf[40], high_buf[40];
	struct tree_key low = encoded(from, low_buf), high = encoded(to, high_buf);
	struct tree_place place;
	struct cell cell;
	uint64_t since;
	dur_view *v;
	int rc;

	EXPECT(0, dur_snapshot(p, m->state, NULL, &v));
	rc = tree_since(&v->pager, v->catalog, &low, from == to ? &low : &high, &since,
	                &place, &cell);
	ck_assert_int_ge(rc, 0);
	if (from == to) {
		ck_assert_int_eq(rc == 0, m->of[from] != 0);
		ck_assert(rc == 0 ? cell.len > 0 && (cell.bytes[0] & 0x3f) == DUR_STR : !cell.bytes);
	}
	ck_assert(since == UINT64_MAX || since <= m->state);
	told += since < m->state;
	for (unsigned i = moment; i-- > 0 && moments[i].state >= since;)
		HOLDS(same_between(&moments[i], m, from, to), "keys %u to %u are said to be unchanged "
		      "from state %" PRIu64 " to %" PRIu64 ", but in %" PRIu64 " they differ", from, to,
		      since, m->state, moments[i].state);
	dur_close(v);
}

START_TEST(since_when)
{
	begin("all");
	told = 0;
	for (unsigned round = 0; round < kit_rounds(8); round++) {
		for (unsigned i = 0; i < 120 && n_moments < STATES_MAX; i++)
			commit();
		retain();
		for (unsigned i = 0; i < 300; i++) {
			unsigned m = (unsigned)below(n_moments), k = (unsigned)below(KEYS);
			unsigned to = k + (unsigned)below(below(2) ? 4 : 200);
			since_holds(m, k, k);
			since_holds(m, 0, k);
			since_holds(m, k, to < KEYS ? to : KEYS - 1);
		}
	}
	HOLDS(told > 500, "%u", told);
}
END_TEST

/* ---- What logs cost ---- */

/* How many states are opened to follow some keys through all of history; a look reads one path. */
static uint64_t looked_at(const struct tree_key *low, const struct tree_key *high)
{
	uint64_t below = UINT64_MAX, opened;
	struct state state;
	struct walk *walk;
	struct cell cell;
	dur_view *v;

	EXPECT(0, walk_open(p, &walk));
	while (MUST(walk_before(walk, below, &v, &state)) == 0) {
		EXPECT(0, walk_since(walk, v, &state, low, high, &below, &cell));
		ck_assert_uint_le(below, state.number);
		dur_close(v);
	}
	opened = walk_opened(walk);
	walk_close(walk);
	return opened;
}

/*
 * Random puts; each writes one leaf in fifty or more. So whoever follows keys of one leaf, the keys
 * before or behind all others too, must not look at many states, though each has another root.
 */
START_TEST(few_states_are_looked_at)
{
	static const struct tree_key open_end = { 0 };
	enum { COMMITS = 2000 };
	uint8_t low_buf[40], high_buf[40];
	struct tree_key first, last;
	dur_view *txn;

	begin("all");
	EXPECT(0, dur_begin(p, NULL, &txn));
	for (unsigned k = 101; k < KEYS - 100; k += 2)
		put(txn, k, new_value(k));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	for (unsigned i = 0; i < COMMITS; i++) {
		unsigned k = 101 + 2 * (unsigned)below((KEYS - 200) / 2);
		EXPECT(0, dur_begin(p, NULL, &txn));
		put(txn, k, new_value(k));
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
		dur_close(txn);
	}
	first = encoded(0, low_buf);
	last = encoded(KEYS - 1, high_buf);
	ck_assert_uint_lt(looked_at(&first, &first), COMMITS / 4);
	ck_assert_uint_lt(looked_at(&last, &last), COMMITS / 4);
	ck_assert_uint_lt(looked_at(&open_end, &first), COMMITS / 4);
	ck_assert_uint_lt(looked_at(&last, &open_end), COMMITS / 4);
	for (unsigned i = 0; i < 30; i++) {
		first = encoded((unsigned)below(KEYS), low_buf);
		uint64_t looks = looked_at(&first, &first);
		HOLDS(looks < COMMITS / 4, "%" PRIu64 " states of %d", looks, COMMITS);
	}
}
END_TEST

/* ---- Logs under policies ---- */

START_TEST(every_state_kept)
{
	begin("all");
	for (unsigned round = 0; round < kit_rounds(6); round++) {
		for (unsigned i = 0; i < 150 && n_moments < STATES_MAX; i++)
			commit();
		logs_of_keys(60);
	}
}
END_TEST

START_TEST(few_states_kept)
{
	static const char *const keeps[] = { "last:1", "last:2", "last:30", "last:400" };

	begin(keeps[_i]);
	for (unsigned round = 0; round < kit_rounds(6); round++) {
		for (unsigned i = 0; i < 100; i++)
			commit();
		logs_of_keys(60);
	}
}
END_TEST

/* Named states are kept though those around them are gone: between two such the log skips. */
START_TEST(named_states_kept)
{
	char name[16];

	begin(_i ? "last:20,every:1s" : "last:20");
	for (unsigned round = 0; round < kit_rounds(5); round++) {
		for (unsigned i = 0; i < 120; i++) {
			commit();
			if (below(15))
				continue;
			snprintf(name, sizeof name, "n%u", (unsigned)below(60));
			EXPECT(0, dur_name(p, name, moments[n_moments - 1].state));
		}
		logs_of_keys(60);
	}
	HOLDS(n_moments > 25, "%u states", n_moments);
}
END_TEST

/* ---- While others write ---- */

struct writer {
	pthread_t thread;
	dur_prefix *prefix;
	_Atomic bool stop;
	_Atomic uint64_t commits;
};

/* Counts: in each state "n" is one more than before, and "still" is what it was. */
static void *count_on(void *arg)
{
	struct writer *w = arg;

	while (!w->stop) {
		dur_view *txn;
		EXPECT(0, dur_begin(w->prefix, NULL, &txn));
		EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT((int64_t)++w->commits)));
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
		dur_close(txn);
	}
	return NULL;
}

/* What is dropped meanwhile is left out, what is reported is whole: pins are points (I2). */
START_TEST(while_states_are_dropped)
{
	static const char *const keeps[] = { "all", "last:2", "last:20", "last:3000" };
	struct writer w = { 0 };
	dur_change c;
	dur_iter *it;
	unsigned rows = 0;
	int rc;

	p = w.prefix = prefix_attach(ws, NAME, keeps[_i]);
	prefix_put(p, "still", 7, false);
	ck_assert_int_eq(pthread_create(&w.thread, NULL, count_on, &w), 0);
	while (w.commits < 100)
		sched_yield();
	for (unsigned i = 0; i < kit_rounds(150); i++) {
		uint64_t state = UINT64_MAX;
		int64_t n = 0;
		EXPECT(0, dur_log(p, i % 3 ? &DUR_PATH("/n") : NULL, NULL, 0, &it));
		for (unsigned k = 0; k < 300 && (rc = dur_next_change(it, &c)) == 0; k++) {
			if (c.path.len == 6) /* still, when it came */
				continue;
			HOLDS(c.state < state, "%" PRIu64 " after %" PRIu64, c.state, state);
			HOLDS(n == 0 || c.now.i == n, "%" PRId64 " comes before %" PRId64, c.now.i, n);
			HOLDS(c.old.type == DUR_ABSENT ? c.now.i == 1 : c.old.i < c.now.i, "%" PRId64, c.old.i);
			state = c.state;
			n = c.old.type == DUR_ABSENT ? -1 : c.old.i;
			rows++;
		}
		ck_assert_int_ge(rc, 0);
		dur_iter_close(it);
	}
	w.stop = true;
	ck_assert_int_eq(pthread_join(w.thread, NULL), 0);
	HOLDS(rows > 0, "no row in all of them");
}
END_TEST

/*
 * The states that a log knew of when it was opened are gone, and their pages used again, when it
 * comes to look at them: it goes on with those that are retained now.
 */
START_TEST(dropped_before_it_is_looked_at)
{
	dur_change c;
	dur_iter *it;

	begin("last:3");
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 10; i++)
			commit();
		EXPECT(0, dur_log(p, NULL, NULL, 0, &it));
		for (unsigned end = n_moments + 3 + (unsigned)below(60); n_moments < end;)
			commit();
		retain();
		for (int i = moment_at(0); i > 0; i--)
			for (unsigned k = 0; k < KEYS; k++) {
				uint32_t old = moments[i - 1].of[k], new = moments[i].of[k];
				if (old == new)
					continue;
				EXPECT(0, dur_next_change(it, &c));
				is_row(&c, &moments[i], old, new, k);
			}
		EXPECT(DUR_NONE, dur_next_change(it, &c));
		dur_iter_close(it);
	}
}
END_TEST

/* ---- Arguments and lifetimes ---- */

START_TEST(what_is_refused)
{
	dur_value from = DUR_STR("a");
	dur_change c;
	dur_iter *it, *other;
	dur_value key;

	begin("all");
	EXPECT(DUR_E_MISUSE, dur_log(NULL, NULL, NULL, 0, &it));
	ck_assert_ptr_null(it);
	EXPECT(DUR_E_MISUSE, dur_log(p, NULL, NULL, 0, NULL));
	EXPECT(DUR_E_MISUSE, dur_log(p, NULL, &(dur_range){ .flags = DUR_REVERSE }, 0, &it));
	EXPECT(DUR_E_MISUSE, dur_log(p, NULL, &(dur_range){ .parts = 2 }, 0, &it));
	EXPECT(DUR_E_MISUSE, dur_log(p, NULL, &(dur_range){ .flags = DUR_STARTS }, 0, &it));
	EXPECT(DUR_E_TYPE, dur_log(p, &DUR_PATH("/a"), &(dur_range){ .from = &from }, 0, &it));
	EXPECT(DUR_E_PATH, dur_log(p, &DUR_PATH("a"), NULL, 0, &it));
	ck_assert_ptr_null(it);
	EXPECT(0, dur_log(p, &DUR_PATH("/a/b"), NULL, 0, &it)); /* nothing was ever there */
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	dur_iter_close(it);
	EXPECT(0, dur_log(p, &DUR_PATH("/a"), NULL, 0, &it));
	EXPECT(DUR_NONE, dur_next_change(it, &c));
	EXPECT(DUR_E_MISUSE, dur_next(it, &key, NULL));
	dur_iter_close(it);
	prefix_put(p, "a", 1, false);
	prefix_put(p, "a", 2, false);
	EXPECT(0, dur_log(p, &DUR_PATH("/a"), &(dur_range){ .limit = 1 }, 0, &other));
	EXPECT(-EBUSY, dur_detach(p));
	prefix_put(p, "a", 3, false); /* comes too late */
	EXPECT(0, dur_next_change(other, &c));
	ck_assert_int_eq(c.now.i, 2);
	EXPECT(DUR_NONE, dur_next_change(other, &c));
	EXPECT(-EBUSY, dur_detach(p));
	dur_iter_close(other);
	dur_iter_close(other);
}
END_TEST

/* The path of a row is the key's own text, whatever the question's was; get takes it as it is. */
START_TEST(paths_of_rows)
{
	static const struct { const char *asked, *told; } paths[] = {
		{ "/~i42", "/~i42" }, { "/~xFF00", "/~xff00" }, { "/a~1b~0", "/a~1b~0" },
		{ "/", "/" }, { "/~pa,~i1", "/~pa,~i1" }, { "/~bTRUE", NULL },
	};
	dur_change c;
	dur_iter *it;
	dur_view *v;

	begin("all");
	for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
		dur_value path = DUR_PATH(paths[i].asked), value;
		if (!paths[i].told) {
			EXPECT(DUR_E_PATH, dur_log(p, &path, NULL, 0, &it));
			continue;
		}
		EXPECT(0, dur_begin(p, NULL, &v));
		EXPECT(0, dur_put(dur_root(v), &path, &DUR_INT(i + 1)));
		EXPECT(0, dur_commit(v, NULL, NULL));
		for (int whole = 0; whole < 2; whole++) {
			EXPECT(0, dur_log(p, whole ? NULL : &path, NULL, 0, &it));
			EXPECT(0, dur_next_change(it, &c));
			ck_assert_uint_eq(c.path.len, strlen(paths[i].told));
			ck_assert(memcmp(c.path.str, paths[i].told, c.path.len + 1) == 0);
			EXPECT(0, dur_get(dur_root(v), &c.path, &value));
			ck_assert_int_eq(value.i, i + 1);
			ck_assert_int_eq(c.now.i, i + 1);
			dur_iter_close(it);
		}
		dur_close(v);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("keylog");
	TCase *t = tcase_create("logs");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, since_when);
	tcase_add_test(t, few_states_are_looked_at);
	tcase_add_test(t, every_state_kept);
	tcase_add_loop_test(t, few_states_kept, 0, 4);
	tcase_add_loop_test(t, named_states_kept, 0, 2);
	tcase_add_loop_test(t, while_states_are_dropped, 0, 4);
	tcase_add_test(t, dropped_before_it_is_looked_at);
	tcase_add_test(t, what_is_refused);
	tcase_add_test(t, paths_of_rows);
	suite_add_tcase(s, t);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
