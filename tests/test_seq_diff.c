/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences of lists and ropes: replacing the runs in the old one makes the new one, at random;
 * what single changes are told as; what is not read.
 */
#include "engine/seq_diff.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duramen.h"
#include "internal/error.h"
#include "tests/page_kit.h"
#include "tests/random_values.h"

/* libcheck's own writes to a file each time: too slow for every item. */
#define must(condition) \
	do { \
		if (!(condition)) \
			ck_abort_msg("%s: %s", #condition, error_text()); \
	} while (0)
#define ok(call) must((call) == 0)

enum { MOST = 40000, STATES = 8 };

struct state {
	struct tree tree;
	size_t n;
	uint32_t items[MOST];           /* of a rope, bytes */
};

struct world {
	int fd;
	struct file *file;
	struct kit_space space;
	struct dirty dirty;
	enum seq_kind kind;
	uint64_t number, seed;
	struct state *then;             /* STATES of them; [0] is the newest */
	uint32_t next, kinds;           /* so many different items */
};

static uint64_t seed;

static void setup(void)
{
	seed = random_seed("test_seq_diff");
}

static unsigned rounds(unsigned quick)
{
	return getenv("DURAMEN_SLOW") ? 10 * quick : getenv("DURAMEN_BRIEF") ? quick / 10 + 1 : quick;
}

static void world_open(struct world *w, enum seq_kind kind, uint32_t kinds)
{
	*w = (struct world){ .seed = seed, .number = 1, .kind = kind, .kinds = kinds };
	w->then = calloc(STATES, sizeof *w->then);
	ck_assert_ptr_nonnull(w->then);
	w->file = kit_file(&w->fd, NULL);
	w->space = (struct kit_space){ .file = w->file, .next = PAGE_FIRST };
}

static void world_close(struct world *w)
{
	file_close(w->file);
	close(w->fd);
	free(w->then);
}

/* A transaction on a new newest state. */
static void begin(struct world *w)
{
	struct dirty_host host = kit_host(&w->space);
	memmove(w->then + 1, w->then, (STATES - 1) * sizeof *w->then);
	ok(dirty_open(&w->dirty, w->file, ++w->number, 0, &host));
	dirty_root(&w->dirty, &w->then[0].tree.root);
}

static void commit(struct world *w)
{
	struct written *written;
	const struct io_write *writes;
	unsigned n_writes;
	size_t n_written;
	struct dirty *d = &w->dirty;
	struct extent room = { .no = w->space.next, .n = d->live };
	ok(file_grow(w->file, room.no + room.n, false));
	ok(dirty_place(d, &room, 1, &written, &n_written));
	w->space.next += room.n;
	ok(dirty_writes(d, &writes, &n_writes));
	ok(w->file->io->ops->write_sync(w->file->io, writes, n_writes, NULL, NULL));
	free(written);
	dirty_close(d);
}

static void insert(struct world *w, size_t at, size_t n)
{
	struct state *s = &w->then[0];
	n = n < MOST - s->n ? n : MOST - s->n;
	memmove(s->items + at + n, s->items + at, (s->n - at) * sizeof *s->items);
	s->n += n;
	for (size_t i = at; i < at + n; i++) {
		uint32_t item = w->kinds ? (uint32_t)random_below(&w->seed, w->kinds) : w->next++;
		uint8_t bytes[5] = { DUR_BYTES };
		s->items[i] = w->kind == SEQ_ROPE ? item & 0xff : item;
		put_u32(bytes + 1, s->items[i]);
		if (w->kind == SEQ_ROPE)
			ok(rope_insert(&w->dirty, &s->tree, i, bytes + 1, 1));
		else
			ok(list_insert(&w->dirty, &s->tree, i,
			               &(struct cell){ bytes, sizeof bytes }, 1));
	}
}

static void cut(struct world *w, size_t from, size_t to)
{
	struct state *s = &w->then[0];
	ok(seq_remove(&w->dirty, &s->tree, w->kind, from, to));
	memmove(s->items + from, s->items + to, (s->n - to) * sizeof *s->items);
	s->n -= to - from;
}

static void set(struct world *w, size_t at)
{
	struct state *s = &w->then[0];
	uint32_t item = w->kinds ? (uint32_t)random_below(&w->seed, w->kinds) : w->next++;
	uint8_t bytes[5] = { DUR_BYTES };
	s->items[at] = w->kind == SEQ_ROPE ? item & 0xff : item;
	put_u32(bytes + 1, s->items[at]);
	if (w->kind == SEQ_ROPE)
		ok(rope_write(&w->dirty, &s->tree, at, bytes + 1, 1));
	else
		ok(list_set(&w->dirty, &s->tree, at, &(struct cell){ bytes, sizeof bytes }, false));
}

/* The runs are in order, apart, and lead from one to the other; returns how many there are. */
static size_t check_diff(struct world *w, const struct state *old, const struct state *now,
                         uint64_t *pages)
{
	struct pager pager = { .file = w->file };
	struct seq_diff d;
	uint64_t a = 0, b = 0;
	ok(seq_diff_make(&d, &pager, &old->tree, &pager, &now->tree, w->kind));
	for (size_t i = 0; i <= d.n; i++) {
		uint64_t old_at = i < d.n ? d.runs[i].old_at : old->n;
		uint64_t now_at = i < d.n ? d.runs[i].now_at : now->n;
		must(old_at >= a && old_at - a == now_at - b && old_at <= old->n);
		must(i == 0 || i == d.n || old_at > a);
		for (; a < old_at; a++, b++)
			must(old->items[a] == now->items[b]);
		if (i == d.n)
			break;
		must(d.runs[i].old_n || d.runs[i].now_n);
		a += d.runs[i].old_n;
		b += d.runs[i].now_n;
		must(a <= old->n && b <= now->n);
	}
	size_t n = d.n;
	if (pages)
		*pages = d.pages_read;
	seq_diff_free(&d);
	return n;
}

static void random_change(struct world *w)
{
	struct state *s = &w->then[0];
	size_t at = random_below(&w->seed, s->n + 1);
	size_t to = at + random_below(&w->seed, random_below(&w->seed, 20) ? 9 : 3000);
	switch (random_below(&w->seed, 5)) {
	case 0:
	case 1:
		insert(w, at, random_below(&w->seed, random_below(&w->seed, 20) ? 5 : 3000));
		break;
	case 2:
		cut(w, at, to < s->n ? to : s->n);
		break;
	default:
		if (at < s->n)
			set(w, at);
	}
}

START_TEST(random_runs_lead_from_one_to_the_other)
{
	struct world w;
	world_open(&w, _i & 1 ? SEQ_ROPE : SEQ_LIST, _i & 2 ? 7 : 0);
	for (unsigned i = 0; i < rounds(40); i++) {
		begin(&w);
		if (i == 0)
			insert(&w, 0, 20000);
		for (uint64_t k = random_below(&w.seed, random_below(&w.seed, 5) ? 6 : 300); k > 0; k--)
			random_change(&w);
		commit(&w);
		for (unsigned k = 0; k < STATES && k <= i + 1; k++) {
			check_diff(&w, &w.then[k], &w.then[0], NULL);
			check_diff(&w, &w.then[0], &w.then[k], NULL);
		}
	}
	world_close(&w);
}
END_TEST

static void check_one(struct world *w, uint64_t old_at, uint64_t old_n, uint64_t now_at,
                      uint64_t now_n)
{
	struct pager pager = { .file = w->file };
	struct seq_diff d;
	ok(seq_diff_make(&d, &pager, &w->then[1].tree, &pager, &w->then[0].tree, w->kind));
	ck_assert_uint_eq(d.n, 1);
	ck_assert_uint_eq(d.runs[0].old_at, old_at);
	ck_assert_uint_eq(d.runs[0].old_n, old_n);
	ck_assert_uint_eq(d.runs[0].now_at, now_at);
	ck_assert_uint_eq(d.runs[0].now_n, now_n);
	ck_assert_uint_lt(d.pages_read, 12 + (old_n + now_n) / 300);
	seq_diff_free(&d);
}

/* What one change is told as, and that it reads little, wherever it moves all the rest. */
START_TEST(one_change_is_one_run)
{
	struct world w;
	world_open(&w, _i ? SEQ_ROPE : SEQ_LIST, 0);
	begin(&w);
	check_diff(&w, &w.then[1], &w.then[0], NULL);
	insert(&w, 0, 30000);
	commit(&w);
	check_one(&w, 0, 0, 0, 30000);
	check_diff(&w, &w.then[0], &w.then[0], NULL);
	begin(&w);
	w.next = 7777; /* a byte that is not there already */
	set(&w, 20000);
	commit(&w);
	check_one(&w, 20000, 1, 20000, 1);
	begin(&w);
	cut(&w, 0, 1);
	commit(&w);
	check_one(&w, 0, 1, 0, 0);
	begin(&w);
	cut(&w, 5000, 25000);
	commit(&w);
	check_one(&w, 5000, 20000, 5000, 0);
	begin(&w);
	insert(&w, 9999, 1);
	commit(&w);
	check_one(&w, 9999, 0, 9999, 1);
	world_close(&w);
}
END_TEST

/* Two sets and an insert in one leaf, a removal in another: four runs. */
START_TEST(several_changes_are_told_apart)
{
	struct world w;
	world_open(&w, SEQ_LIST, 0);
	begin(&w);
	insert(&w, 0, 30000);
	commit(&w);
	begin(&w);
	set(&w, 10010);
	set(&w, 10100);
	insert(&w, 10050, 3);
	cut(&w, 25000, 25002);
	commit(&w);
	ck_assert_uint_eq(check_diff(&w, &w.then[1], &w.then[0], NULL), 4);
	uint64_t pages;
	check_diff(&w, &w.then[0], &w.then[1], &pages);
	ck_assert_uint_lt(pages, 16);
	world_close(&w);
}
END_TEST

static Suite *diff_suite(void)
{
	Suite *s = suite_create("seq_diff");
	TCase *t = tcase_create("diff");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, one_change_is_one_run, 0, 2);
	tcase_add_test(t, several_changes_are_told_apart);
	tcase_add_loop_test(t, random_runs_lead_from_one_to_the_other, 0, 4);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(diff_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
