/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices and splices between several lists or ropes that share pages: contents beside plain arrays,
 * and every page's count of parents, over commits, aborts and early writes.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/refs.h"
#include "engine/run.h"
#include "engine/seq.h"
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

enum { SLOTS = 5, MOST = 60000 };

struct seat {
	struct tree tree;
	uint32_t *items;                /* of a rope, bytes */
	size_t n, cap;
};

struct world {
	int fd;
	struct file *file;
	struct kit_space space;
	struct dirty dirty;
	bool writing;
	enum seq_kind kind;
	uint64_t limit_bytes, state, seed;
	uint64_t pages, pages_before;   /* written and not retired */
	struct tree system, system_before;
	struct seat slot[SLOTS], before[SLOTS];
	uint32_t next;
};

static uint64_t seed;

static void setup(void)
{
	seed = random_seed("test_seq_slice");
}

static unsigned rounds(unsigned quick)
{
	return getenv("DURAMEN_SLOW") ? 10 * quick : getenv("DURAMEN_BRIEF") ? quick / 10 + 1 : quick;
}

/* ---- The model ---- */

static void model_splice(struct seat *s, size_t at, const uint32_t *items, size_t n)
{
	uint32_t *copy = malloc((n + 1) * sizeof *copy);
	ck_assert_ptr_nonnull(copy);
	if (n)
		memcpy(copy, items, n * sizeof *copy); /* they may be the slot's own */
	if (s->n + n > s->cap) {
		s->cap = 2 * (s->n + n);
		s->items = realloc(s->items, s->cap * sizeof *s->items);
		ck_assert_ptr_nonnull(s->items);
	}
	if (s->n > at)
		memmove(s->items + at + n, s->items + at, (s->n - at) * sizeof *copy);
	if (n)
		memcpy(s->items + at, copy, n * sizeof *copy);
	s->n += n;
	free(copy);
}

static void model_cut(struct seat *s, size_t from, size_t to)
{
	if (from == to)
		return;
	memmove(s->items + from, s->items + to, (s->n - to) * sizeof *s->items);
	s->n -= to - from;
}

static void slots_copy(struct seat *to, const struct seat *from)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		to[i].n = 0;
		model_splice(&to[i], 0, from[i].items, from[i].n);
		to[i].tree = from[i].tree;
	}
}

/* ---- Transactions ---- */

static void world_open(struct world *w, enum seq_kind kind)
{
	*w = (struct world){ .seed = seed, .state = 1, .kind = kind };
	w->system.class = CLASS_SYSTEM;
	w->file = kit_file(&w->fd, NULL);
	w->space = (struct kit_space){ .file = w->file, .next = PAGE_FIRST };
}

static struct pager world_pager(struct world *w)
{
	return (struct pager){ .file = w->file, .dirty = w->writing ? &w->dirty : NULL };
}

static void world_begin(struct world *w)
{
	struct dirty_host host = kit_host(&w->space);
	struct pager pager = { .file = w->file };
	uint64_t n;
	if (w->writing)
		return;
	ok(dirty_open(&w->dirty, w->file, ++w->state, w->limit_bytes, &host));
	for (unsigned i = 0; i < SLOTS; i++)
		dirty_root(&w->dirty, &w->slot[i].tree.root);
	dirty_root(&w->dirty, &w->system.root);
	ok(ref_count(&pager, &w->system, REFS_KEY_COUNT, &n));
	ref_open(&w->dirty, &w->system, n > 0);
	slots_copy(w->before, w->slot);
	w->system_before = w->system;
	w->pages_before = w->pages;
	w->writing = true;
}

static void world_commit(struct world *w)
{
	struct dirty *d = &w->dirty;
	struct written *written;
	const struct io_write *writes;
	unsigned n_writes;
	size_t n_written;
	if (!w->writing)
		return;
	ok(ref_write(d, &w->system));
	struct extent room = { .no = w->space.next, .n = d->live };
	ok(file_grow(w->file, room.no + room.n, false));
	ok(dirty_place(d, &room, 1, &written, &n_written));
	w->space.next += room.n;
	ok(dirty_writes(d, &writes, &n_writes));
	ok(w->file->io->ops->write_sync(w->file->io, writes, n_writes, NULL, NULL));
	for (size_t i = 0; i < n_written; i++)
		w->pages += written[i].n;
	for (size_t i = 0; i < d->n_retired; i++)
		w->pages -= d->retired[i].n;
	free(written);
	dirty_close(d);
	w->writing = false;
}

static void world_abort(struct world *w)
{
	if (!w->writing)
		return;
	dirty_abort(&w->dirty);
	slots_copy(w->slot, w->before);
	w->system = w->system_before;
	w->pages = w->pages_before;
	w->writing = false;
}

static void world_close(struct world *w)
{
	world_abort(w);
	file_close(w->file);
	close(w->fd);
	for (unsigned i = 0; i < SLOTS; i++) {
		free(w->slot[i].items);
		free(w->before[i].items);
	}
}

/* ---- Items ---- */

static bool has_run(uint32_t item)
{
	return item % 97 == 5;
}

static struct cell make_cell(struct world *w, uint32_t item, uint8_t bytes[64])
{
	struct cell cell = { bytes, 5 + item % 23 };
	memset(bytes, 0, 64);
	bytes[0] = DUR_BYTES;
	put_u32(bytes + 1, item);
	if (has_run(item)) {
		uint8_t data[300];
		struct page_ptr ptr;
		uint64_t len = 1 + item % 300;
		memset(data, (int)item, sizeof data);
		ok(run_write(&w->dirty, data, len, &ptr));
		bytes[0] |= CELL_RUN;
		put_u64(bytes + 5, ptr.birth);
		put_u48(bytes + 13, ptr.no);
		put_u64(bytes + 19, len);
		cell.len = 5 + CELL_RUN_BYTES;
	}
	return cell;
}

static void same_item(struct world *w, const struct cell *cell, uint32_t item)
{
	struct node_run run;
	const void *data;
	must(cell->len == (has_run(item) ? 5 + CELL_RUN_BYTES : 5 + item % 23));
	must(get_u32(cell->bytes + 1) == item);
	if (!has_run(item))
		return;
	must(node_cell_run(cell, &run) && run.length == 1 + item % 300);
	ok(run_read(w->file, run.ptr, run.length, &data));
	must(*(const uint8_t *)data == (uint8_t)item);
}

static void insert(struct world *w, struct seat *s, size_t at, size_t n)
{
	world_begin(w);
	for (size_t i = 0; i < n; i++) {
		uint32_t item = w->next++ & (w->kind == SEQ_ROPE ? 0xff : UINT32_MAX);
		uint8_t bytes[64];
		if (w->kind == SEQ_ROPE) {
			bytes[0] = (uint8_t)item;
			ok(rope_insert(&w->dirty, &s->tree, at + i, bytes, 1));
		} else {
			struct cell cell = make_cell(w, item, bytes);
			ok(list_insert(&w->dirty, &s->tree, at + i, &cell, 1));
		}
		model_splice(s, at + i, &item, 1);
	}
	ok(dirty_relieve(&w->dirty));
}

static void cut(struct world *w, struct seat *s, size_t from, size_t to)
{
	world_begin(w);
	ok(seq_remove(&w->dirty, &s->tree, w->kind, from, to));
	model_cut(s, from, to);
	ok(dirty_relieve(&w->dirty));
}

/* In front of position `at`; src may be the tree itself. */
static int splice_trees(struct world *w, struct tree *tree, uint64_t at, struct tree *src,
                        uint64_t from, uint64_t to)
{
	struct tree middle = { 0 };
	int r = seq_slice(&w->dirty, src, w->kind, from, to, &middle);

	return r || from == to ? r : seq_insert_tree(&w->dirty, tree, w->kind, at, &middle);
}

static void splice(struct world *w, struct seat *to, size_t at, struct seat *from, size_t begin,
                   size_t end)
{
	world_begin(w);
	ok(splice_trees(w, &to->tree, at, &from->tree, begin, end));
	model_splice(to, at, from->items + begin, end - begin);
	ok(dirty_relieve(&w->dirty));
}

/* ---- Comparing ---- */

static void same_slot(struct world *w, const struct seat *s)
{
	struct pager pager = world_pager(w);
	struct seq_cursor c;
	size_t at = 0;
	must(s->tree.count == s->n);
	seq_cursor_open(&c, &pager, &s->tree, w->kind);
	while (seq_cursor_next(&c) == 0) {
		if (w->kind == SEQ_LIST) {
			struct cell cell = seq_cursor_cell(&c);
			same_item(w, &cell, s->items[at++]);
			continue;
		}
		const uint8_t *piece;
		uint32_t n = seq_cursor_piece(&c, &piece);
		for (uint32_t i = 0; i < n; i++)
			must(piece[i] == s->items[at + i]);
		at += n;
	}
	must(at == s->n);
}

struct met {
	uint64_t n, room;
	uint64_t *parents;              /* by page */
};

static int meet(void *ctx, struct page_ptr ptr, uint64_t n, unsigned level)
{
	(void)ptr, (void)level;
	((struct met *)ctx)->n += n;
	return 0;
}

static bool met_again(void *ctx, struct page_ptr ptr, unsigned level, uint64_t count)
{
	struct met *met = ctx;
	(void)level, (void)count;
	if (ptr.no & PAGE_DIRTY)
		return false;
	must(ptr.no < met->room);
	return met->parents[ptr.no]++ > 0;
}

static void fail_problem(void *ctx, struct page_ptr ptr, const char *text)
{
	(void)ctx;
	ck_abort_msg("page %llu: %s", (unsigned long long)(ptr.no & ~PAGE_DIRTY), text);
}

static int counted(void *ctx, uint64_t no, uint64_t extra)
{
	struct met *met = ctx;
	must(no < met->room && met->parents[no] == extra + 1);
	met->parents[no] = 1;
	return 0;
}

/* Contents; between transactions no page is lost, and what several places name is counted. */
static void world_check(struct world *w)
{
	struct pager pager = world_pager(w);
	struct met met = { .room = w->space.next };
	const struct tree_visitor visitor = {
		.ctx = &met, .page = meet, .problem = fail_problem, .skip = met_again,
	};
	met.parents = calloc(met.room, sizeof *met.parents);
	ck_assert_ptr_nonnull(met.parents);
	for (unsigned i = 0; i < SLOTS; i++) {
		same_slot(w, &w->slot[i]);
		ok(tree_walk_of(&pager, &w->slot[i].tree,
		                w->kind == SEQ_LIST ? DUR_LIST : DUR_ROPE, &visitor));
	}
	if (!w->writing) {
		ok(tree_walk(&pager, &w->system, &visitor));
		ck_assert_uint_eq(met.n, w->pages);
		ok(ref_each(&pager, &w->system, counted, &met));
		for (uint64_t no = 0; no < met.room; no++)
			must(met.parents[no] <= 1);
	}
	free(met.parents);
}

/* ---- At random ---- */

static void random_step(struct world *w)
{
	struct seat *s = &w->slot[random_below(&w->seed, SLOTS)];
	struct seat *other = &w->slot[random_below(&w->seed, SLOTS)];
	size_t at = random_below(&w->seed, s->n + 1);
	size_t from = random_below(&w->seed, other->n + 1);
	size_t to = from + random_below(&w->seed, other->n - from + 1);
	switch (random_below(&w->seed, 8)) {
	case 0:
	case 1:
		if (random_below(&w->seed, 3) == 0)
			from = 0, to = other->n;
		if (s->n + (to - from) <= MOST)
			splice(w, s, at, other, from, to);
		break;
	case 2:
		to = at + random_below(&w->seed, s->n - at + 1);
		if (s->n < MOST / 2 && random_below(&w->seed, 3))
			to = at + random_below(&w->seed, 20) < s->n ? at : s->n;
		cut(w, s, at, to);
		break;
	case 3:
		insert(w, s, s->n, random_below(&w->seed, 900));
		break;
	default:
		insert(w, s, at, random_below(&w->seed, 30));
	}
}

static void random_run(enum seq_kind kind, uint64_t limit_bytes, unsigned commits)
{
	struct world w;
	world_open(&w, kind);
	w.limit_bytes = limit_bytes;
	for (unsigned i = 0; i < commits; i++) {
		for (uint64_t k = random_below(&w.seed, 12); k > 0; k--)
			random_step(&w);
		if (i % 5 == 0)
			world_check(&w);
		if (random_below(&w.seed, 7) == 0)
			world_abort(&w);
		else
			world_commit(&w);
		world_check(&w);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		cut(&w, &w.slot[i], 0, w.slot[i].n);
	world_commit(&w);
	ck_assert_uint_eq(w.pages, 0);
	world_close(&w);
}

START_TEST(random_splices)
{
	random_run(_i & 1 ? SEQ_ROPE : SEQ_LIST, _i & 2 ? 30 * PAGE_SIZE : 0, rounds(60));
}
END_TEST

/* ---- Edges ---- */

START_TEST(a_list_behind_itself_16_times)
{
	struct world w;
	world_open(&w, _i ? SEQ_ROPE : SEQ_LIST);
	struct seat *s = &w.slot[0];
	insert(&w, s, 0, 7);
	for (unsigned i = 0; i < 16; i++) {
		splice(&w, s, s->n, s, 0, s->n);
		if (i % 3 == 2) {
			world_commit(&w);
			world_check(&w);
		}
	}
	ck_assert_uint_eq(s->n, 7 << 16);
	world_commit(&w);
	world_check(&w);
	/* It is its own: what changes in one place changes in no other. */
	insert(&w, s, 100, 3);
	cut(&w, s, 200000, 200004);
	world_commit(&w);
	world_check(&w);
	/* Far fewer pages than items ask for. */
	ck_assert_uint_lt(w.pages, 120);
	world_close(&w);
}
END_TEST

/* Slices at every boundary of a list of some leaves, and of one of a single item. */
START_TEST(slices_at_every_boundary)
{
	struct world w;
	world_open(&w, SEQ_LIST);
	insert(&w, &w.slot[0], 0, 900);
	world_commit(&w);
	for (size_t at = 0; at <= 900; at++) {
		splice(&w, &w.slot[1], 0, &w.slot[0], at, 900);
		splice(&w, &w.slot[2], 0, &w.slot[0], 0, at);
		splice(&w, &w.slot[3], w.slot[3].n, &w.slot[0], at < 900 ? at : 0,
		       at < 900 ? at + 1 : 0);
		if (at % 50 == 0) {
			world_check(&w);
			world_commit(&w);
			world_check(&w);
		}
		cut(&w, &w.slot[1], 0, w.slot[1].n);
		cut(&w, &w.slot[2], 0, w.slot[2].n);
	}
	ck_assert_uint_eq(w.slot[3].n, 900);
	world_commit(&w);
	world_check(&w);
	world_close(&w);
}
END_TEST

/* What it costs does not grow with the list: pages of the seams are all that is written. */
START_TEST(a_slice_copies_its_seams_only)
{
	struct world w;
	world_open(&w, SEQ_ROPE);
	struct seat *s = &w.slot[0];
	uint8_t bytes[4096];
	memset(bytes, 7, sizeof bytes);
	world_begin(&w);
	for (unsigned i = 0; i < 2000; i++)
		ok(rope_insert(&w.dirty, &s->tree, s->tree.count, bytes, sizeof bytes));
	world_commit(&w);
	world_begin(&w);
	ok(splice_trees(&w, &w.slot[1].tree, 0, &s->tree, 1000001, 7000001));
	ck_assert_uint_le(w.dirty.live, 2 * s->tree.depth + 4);
	ok(splice_trees(&w, &w.slot[1].tree, 6000000, &s->tree, 0, s->tree.count));
	ck_assert_uint_le(w.dirty.live, 4 * s->tree.depth + 8);
	world_abort(&w);
	world_close(&w);
}
END_TEST

static Suite *slice_suite(void)
{
	Suite *s = suite_create("seq_slice");
	TCase *t = tcase_create("slices");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, a_list_behind_itself_16_times, 0, 2);
	tcase_add_test(t, slices_at_every_boundary);
	tcase_add_test(t, a_slice_copies_its_seams_only);
	tcase_add_loop_test(t, random_splices, 0, 4);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(slice_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
