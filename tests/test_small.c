/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing what is embedded: random entries at random depths, against a plain list of them on each
 * level; what comes out passes nest_check(), which knows whether the flags are right.
 */
#include "engine/small.h"

#include <check.h>
#include <stdlib.h>

#include "tests/ipc_kit.h"

enum { LEVELS = 5, ENTRIES = 400 };

static uint64_t rng;
static uint8_t cell[TREE_CELL_MAX], next[TREE_CELL_MAX];
static size_t len;

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

/* What a level holds beside the level below it, which lies under the key "m" (of a list: first). */
static struct level {
	uint32_t kind;
	unsigned n;
	struct entry {
		uint8_t key[24], cell[200];
		size_t key_len, cell_len;
	} entry[ENTRIES];
} levels[LEVELS];

static bool has_keys(uint32_t kind)
{
	return kind != DUR_LIST;
}

static void expect_good(void)
{
	const char *why = "";

	ck_assert_msg(nest_check(cell, len, false, &why), "%s", why);
}

static void take(const struct small_out *out)
{
	memcpy(cell, next, out->len);
	len = out->len;
	expect_good();
}

/* A scalar, now and then one that names a run. */
static size_t random_cell(uint8_t *to)
{
	size_t n = 1 + below(below(4) ? 20 : 170);

	for (size_t i = 1; i < n; i++)
		to[i] = (uint8_t)below(256);
	to[0] = DUR_BYTES;
	if (below(3))
		return n;
	to[0] = DUR_BYTES | NEST_REFS;
	put_u64(to + 1, 5);
	put_u48(to + 9, 77 + below(100));
	put_u64(to + 15, 5000);
	return 1 + CELL_RUN_BYTES;
}

static int order(const struct entry *e, const uint8_t *key, size_t key_len)
{
	size_t shorter = e->key_len < key_len ? e->key_len : key_len;
	int c = memcmp(e->key, key, shorter);

	return c ? c : (e->key_len > key_len) - (e->key_len < key_len);
}

static const uint8_t *innermost(const struct small *s, size_t *n)
{
	*n = s->in[s->depth].len;
	return s->cell + s->in[s->depth].at;
}

static void go_to(struct small *s, unsigned level)
{
	struct nest_entry entry;
	size_t n;

	small_open(s, cell, len);
	for (unsigned i = 0; i < level; i++) {
		const uint8_t *at = innermost(s, &n);
		if (has_keys(levels[i].kind))
			ck_assert_int_eq(small_find(at, n, (const uint8_t *)"m", 1, &entry, NULL), 0);
		else
			ck_assert_int_eq(small_nth(at, n, 0, &entry), 0);
		small_enter(s, &entry);
	}
}

/* Whether a level holds the one below it. */
static unsigned inner(unsigned level)
{
	return level + 1 < LEVELS;
}

static void expect_level(unsigned level)
{
	struct level *l = &levels[level];
	struct nest_entries it;
	struct nest_entry entry;
	unsigned at = 0, seen = 0;
	struct small s;
	size_t n;

	go_to(&s, level);
	const uint8_t *mine = innermost(&s, &n);
	ck_assert_uint_eq(nest_count(mine, n), l->n + inner(level));
	nest_entries_open(&it, mine, n);
	while (nest_entries_next(&it, &entry) == 0) {
		seen++;
		if (inner(level) && (has_keys(l->kind) ? entry.key_len == 1 && entry.key[0] == 'm'
		                                       : seen == 1))
			continue;
		const struct entry *e = &l->entry[at++];
		ck_assert_uint_eq(entry.cell_len, e->cell_len);
		ck_assert(memcmp(entry.cell, e->cell, e->cell_len) == 0);
		if (has_keys(l->kind)) {
			ck_assert_uint_eq(entry.key_len, e->key_len);
			ck_assert(memcmp(entry.key, e->key, e->key_len) == 0);
		}
	}
	ck_assert_uint_eq(at, l->n);
}

static void put_one(unsigned level, size_t room)
{
	struct level *l = &levels[level];
	struct small_out out = { .cell = next, .room = room };
	struct entry e = { .key_len = 2 + below(22) };
	struct nest_entry place;
	struct small s;
	unsigned rank = 0, at = 0;
	bool found;
	size_t n;

	for (size_t i = 0; i < e.key_len; i++)
		e.key[i] = (uint8_t)('a' + below(i ? 3 : 20));
	e.cell_len = random_cell(e.cell);
	go_to(&s, level);
	const uint8_t *mine = innermost(&s, &n);
	if (has_keys(l->kind)) {
		found = small_find(mine, n, e.key, e.key_len, &place, &rank) == 0;
		while (at < l->n && order(&l->entry[at], e.key, e.key_len) < 0)
			at++;
		ck_assert_uint_eq(rank, at + (inner(level) && e.key[0] >= 'm'));
		ck_assert(found == (at < l->n && order(&l->entry[at], e.key, e.key_len) == 0));
	} else {
		at = (unsigned)below(l->n + 1);
		found = at < l->n && below(2);
		small_nth(mine, n, at + inner(level), &place);
		if (!found)
			place.end = place.at;
	}
	if (small_put(&s, &place, e.key, e.key_len, e.cell, e.cell_len, &out)) {
		/* it would indeed be longer */
		out.room = TREE_CELL_MAX;
		ck_assert(small_put(&s, &place, e.key, e.key_len, e.cell, e.cell_len, &out) ||
		          out.len > room);
		return;
	}
	ck_assert_uint_le(out.len, room);
	take(&out);
	if (!found) {
		memmove(&l->entry[at + 1], &l->entry[at], (l->n - at) * sizeof e);
		l->n++;
	}
	l->entry[at] = e;
}

static void cut_some(unsigned level)
{
	struct level *l = &levels[level];
	struct small_out out = { .cell = next, .room = TREE_CELL_MAX };
	struct nest_entry first, last;
	struct small s;
	size_t n;

	if (!l->n)
		return;
	unsigned at = (unsigned)below(l->n), many = 1 + (unsigned)below(3);
	go_to(&s, level);
	const uint8_t *mine = innermost(&s, &n);
	/* entries that stand side by side, not around the level below */
	unsigned before = !inner(level) ? 0 : !has_keys(l->kind) || l->entry[at].key[0] >= 'm';
	many = many < l->n - at ? many : l->n - at;
	if (inner(level) && has_keys(l->kind) && !before)
		while (l->entry[at + many - 1].key[0] >= 'm')
			many--;
	ck_assert_int_eq(small_nth(mine, n, at + before, &first), 0);
	ck_assert_int_eq(small_nth(mine, n, at + before + many - 1, &last), 0);
	ck_assert_int_eq(small_cut(&s, first.at, last.end, many, &out), 0);
	take(&out);
	memmove(&l->entry[at], &l->entry[at + many], (l->n - at - many) * sizeof *l->entry);
	l->n -= many;
}

/* Each level in the one above it. */
static void nest(void)
{
	static const uint32_t kinds[] = { DUR_MAP, DUR_RAW_MAP, DUR_LIST };
	struct small_out out = { .cell = next, .room = TREE_CELL_MAX };
	struct nest_entry place;
	uint8_t empty[2];
	struct small s;
	size_t n;

	for (unsigned i = 0; i < LEVELS; i++) {
		levels[i].kind = kinds[below(3)];
		levels[i].n = 0;
	}
	len = small_empty(levels[0].kind, cell);
	expect_good();
	for (unsigned i = 1; i < LEVELS; i++) {
		go_to(&s, i - 1);
		const uint8_t *mine = innermost(&s, &n);
		small_nth(mine, n, 0, &place);
		ck_assert_int_eq(small_put(&s, &place, "m", 1, empty,
		                           small_empty(levels[i].kind, empty), &out), 0);
		take(&out);
	}
}

START_TEST(random_changes)
{
	for (unsigned round = 0; round < kit_rounds(60); round++) {
		size_t room = 200 + below(TREE_CELL_MAX - 200);
		nest();
		for (unsigned i = 0; i < 150; i++) {
			unsigned level = (unsigned)below(LEVELS);
			if (below(3))
				put_one(level, room);
			else
				cut_some(level);
			expect_level((unsigned)below(LEVELS));
		}
		for (unsigned i = 0; i < LEVELS; i++)
			expect_level(i);
	}
}
END_TEST

START_TEST(counts_of_two_bytes)
{
	struct small_out out = { .cell = next, .room = TREE_CELL_MAX };
	struct nest_entry place;
	struct small s;
	uint8_t key[2];

	len = small_empty(DUR_RAW_SET, cell);
	for (unsigned i = 0; i < 300; i++) {
		key[0] = (uint8_t)(i >> 8);
		key[1] = (uint8_t)i;
		small_open(&s, cell, len);
		ck_assert_int_eq(small_find(cell, len, key, 2, &place, NULL), 1);
		ck_assert_int_eq(small_put(&s, &place, key, 2, NULL, 0, &out), 0);
		take(&out);
		ck_assert_uint_eq(nest_count(cell, len), i + 1);
		ck_assert_uint_eq(len, (i + 1 < 128 ? 2U : 3U) + 3 * (i + 1));
	}
	while (nest_count(cell, len) > 1) {
		small_open(&s, cell, len);
		ck_assert_int_eq(small_nth(cell, len, 1, &place), 0);
		ck_assert_int_eq(small_cut(&s, place.at, place.end, 1, &out), 0);
		take(&out);
	}
	ck_assert_uint_eq(len, 5);
}
END_TEST

static void setup(void)
{
	rng = kit_seed();
}

static Suite *suite(void)
{
	Suite *s = suite_create("small");
	TCase *tc = tcase_create("small");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, random_changes);
	tcase_add_test(tc, counts_of_two_bytes);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
