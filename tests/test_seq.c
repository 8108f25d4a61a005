/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists and ropes against a plain array of numbers and a byte buffer, at random, with commits,
 * aborts, spills and older versions that are read again; the edges of positions; pages out of
 * damaged files.
 */
#include "engine/seq.h"

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

static uint64_t seed;

static void setup(void)
{
	seed = random_seed("test_seq");
}

static unsigned rounds(unsigned quick)
{
	return getenv("DURAMEN_SLOW") ? 10 * quick : getenv("DURAMEN_BRIEF") ? quick / 10 + 1 : quick;
}

/* ---- The model: items are numbers, of a rope bytes ---- */

struct plain {
	uint32_t *items;
	size_t n, cap;
};

static void plain_room(struct plain *p, size_t n)
{
	if (n <= p->cap)
		return;
	p->cap = 2 * n;
	p->items = realloc(p->items, p->cap * sizeof *p->items);
	ck_assert_ptr_nonnull(p->items);
}

static void plain_insert(struct plain *p, size_t at, const uint32_t *items, size_t n)
{
	if (n == 0)
		return;
	plain_room(p, p->n + n);
	memmove(p->items + at + n, p->items + at, (p->n - at) * sizeof *items);
	memcpy(p->items + at, items, n * sizeof *items);
	p->n += n;
}

static void plain_remove(struct plain *p, size_t from, size_t to)
{
	if (from == to)
		return;
	memmove(p->items + from, p->items + to, (p->n - to) * sizeof *p->items);
	p->n -= to - from;
}

static void plain_copy(struct plain *to, const struct plain *from)
{
	plain_room(to, from->n);
	if (from->n)
		memcpy(to->items, from->items, from->n * sizeof *to->items);
	to->n = from->n;
}

/* ---- The bed: a tree in a file, its model, older versions of both ---- */

enum { VERSIONS = 6 };

struct version {
	struct tree tree;
	struct plain plain;
};

struct bed {
	int fd;
	struct file *file;
	struct kit_space space;
	struct dirty dirty;
	bool writing;
	uint64_t limit_bytes, state, pages, pages_before;
	enum seq_kind kind;
	unsigned longest;               /* cells have 1 to so many bytes */
	struct version now, before, old[VERSIONS];
	uint32_t next;                  /* number of the next item made */
	uint64_t seed;
};

static void bed_open(struct bed *b, enum seq_kind kind, unsigned longest)
{
	*b = (struct bed){ .seed = seed, .state = 1, .kind = kind, .longest = longest };
	b->file = kit_file(&b->fd, NULL);
	b->space = (struct kit_space){ .file = b->file, .next = PAGE_FIRST };
}

static struct pager bed_pager(const struct bed *b)
{
	return (struct pager){ .file = b->file,
	                       .dirty = b->writing ? (struct dirty *)(uintptr_t)&b->dirty : NULL };
}

static void bed_begin(struct bed *b)
{
	struct dirty_host host = kit_host(&b->space);
	if (b->writing)
		return;
	ok(dirty_open(&b->dirty, b->file, ++b->state, b->limit_bytes, &host));
	dirty_root(&b->dirty, &b->now.tree.root);
	b->before.tree = b->now.tree;
	b->pages_before = b->pages;
	plain_copy(&b->before.plain, &b->now.plain);
	b->writing = true;
}

static void bed_commit(struct bed *b)
{
	struct written *written;
	const struct io_write *writes;
	unsigned n_writes;
	size_t n_written;
	struct dirty *d = &b->dirty;
	if (!b->writing)
		return;
	struct extent room = { .no = b->space.next, .n = d->live };
	ok(file_grow(b->file, room.no + room.n, false));
	ok(dirty_place(d, &room, 1, &written, &n_written));
	b->space.next += room.n;
	ok(dirty_writes(d, &writes, &n_writes));
	ok(b->file->io->ops->write_sync(b->file->io, writes, n_writes, NULL, NULL));
	for (size_t i = 0; i < n_written; i++)
		b->pages += written[i].n;
	for (size_t i = 0; i < d->n_retired; i++)
		b->pages -= d->retired[i].n;
	free(written);
	dirty_close(d);
	b->writing = false;
	struct version *v = &b->old[random_below(&b->seed, VERSIONS)];
	v->tree = b->now.tree;
	plain_copy(&v->plain, &b->now.plain);
}

static void bed_abort(struct bed *b)
{
	if (!b->writing)
		return;
	dirty_abort(&b->dirty);
	b->now.tree = b->before.tree;
	b->pages = b->pages_before;
	plain_copy(&b->now.plain, &b->before.plain);
	b->writing = false;
}

static void bed_close(struct bed *b)
{
	bed_abort(b);
	file_close(b->file);
	close(b->fd);
	free(b->now.plain.items);
	free(b->before.plain.items);
	for (unsigned i = 0; i < VERSIONS; i++)
		free(b->old[i].plain.items);
}

/* ---- Items as cells ---- */

/* The cell of an item: its number, and then as many bytes as the number tells. */
static struct cell cell_of(const struct bed *b, uint32_t item, uint8_t bytes[TREE_CELL_MAX])
{
	struct cell cell = { .bytes = bytes };
	uint64_t mix = item * 0x9e3779b97f4a7c15;
	uint32_t room = b->longest < 5 ? 1 : b->longest - 4;
	cell.len = 5 + (mix >> 60 ? (uint32_t)(mix >> 33) % (room < 40 ? room : 40)
	                          : (uint32_t)(mix >> 33) % room);
	bytes[0] = DUR_BYTES;
	put_u32(bytes + 1, item);
	memset(bytes + 5, (int)item & 0x7f, cell.len - 5);
	return cell;
}

static void same_cell(const struct bed *b, const struct cell *cell, uint32_t item)
{
	uint8_t bytes[TREE_CELL_MAX];
	struct cell want = cell_of(b, item, bytes);
	must(cell->len == want.len);
	must(memcmp(cell->bytes, bytes, want.len) == 0);
}

/* ---- The same to both ---- */

static void make_items(struct bed *b, uint32_t *items, size_t n)
{
	for (size_t i = 0; i < n; i++, b->next++)
		items[i] = b->kind == SEQ_ROPE ? (b->next * 31 + b->next / 251) & 0xff : b->next;
}

static int tree_insert(struct bed *b, struct tree *tree, uint64_t at, const uint32_t *items,
                       size_t n)
{
	int r;
	if (b->kind == SEQ_ROPE) {
		uint8_t *bytes = malloc(n + 1);
		ck_assert_ptr_nonnull(bytes);
		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)items[i];
		r = rope_insert(&b->dirty, tree, at, bytes, n);
		free(bytes);
		return r;
	}
	struct cell *cells = malloc((n + 1) * sizeof *cells);
	uint8_t *bytes = malloc((n + 1) * TREE_CELL_MAX);
	ck_assert(cells && bytes);
	for (size_t i = 0; i < n; i++)
		cells[i] = cell_of(b, items[i], bytes + i * TREE_CELL_MAX);
	r = list_insert(&b->dirty, tree, at, cells, n);
	free(cells);
	free(bytes);
	return r;
}

static void bed_insert(struct bed *b, size_t at, size_t n)
{
	uint32_t *items = malloc((n + 1) * sizeof *items);
	ck_assert_ptr_nonnull(items);
	make_items(b, items, n);
	bed_begin(b);
	ok(tree_insert(b, &b->now.tree, at, items, n));
	plain_insert(&b->now.plain, at, items, n);
	free(items);
	ok(dirty_relieve(&b->dirty));
}

static void bed_remove(struct bed *b, size_t from, size_t to)
{
	bed_begin(b);
	ok(seq_remove(&b->dirty, &b->now.tree, b->kind, from, to));
	plain_remove(&b->now.plain, from, to);
	ok(dirty_relieve(&b->dirty));
}

static void bed_set(struct bed *b, size_t at, size_t n)
{
	uint32_t items[9000];
	bed_begin(b);
	if (b->kind == SEQ_LIST) {
		uint8_t bytes[TREE_CELL_MAX];
		make_items(b, items, 1);
		struct cell cell = cell_of(b, items[0], bytes);
		ok(list_set(&b->dirty, &b->now.tree, at, &cell, false));
		n = 1;
	} else {
		uint8_t bytes[9000];
		n = n < 9000 ? n : 9000;
		n = n < b->now.plain.n - at ? n : b->now.plain.n - at;
		make_items(b, items, n);
		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)items[i];
		ok(rope_write(&b->dirty, &b->now.tree, at, bytes, n));
	}
	memcpy(b->now.plain.items + at, items, n * sizeof *items);
	ok(dirty_relieve(&b->dirty));
}

/* ---- Comparing ---- */

static void same_place(const struct bed *b, const struct seq_cursor *c, int r,
                       const struct plain *plain, size_t at)
{
	must(r == (at >= plain->n));
	must(seq_cursor_valid(c) == !r);
	if (r)
		return;
	must(seq_cursor_position(c) == at);
	if (b->kind == SEQ_ROPE) {
		const uint8_t *piece;
		uint32_t n = seq_cursor_piece(c, &piece);
		must(n > 0);
		for (uint32_t i = 0; i < n; i++)
			must(piece[i] == plain->items[at + i]);
		return;
	}
	struct cell cell = seq_cursor_cell(c);
	same_cell(b, &cell, plain->items[at]);
}

struct pages {
	uint64_t n, room;
	uint8_t *met;                   /* one byte a page: each is reached once */
};

static int meet(void *ctx, struct page_ptr ptr, uint64_t n, unsigned level)
{
	struct pages *p = ctx;
	(void)level;
	p->n += n;
	if (!(ptr.no & PAGE_DIRTY)) {
		must(ptr.no < p->room);
		must(p->met[ptr.no]++ == 0);
	}
	return 0;
}

static void fail_problem(void *ctx, struct page_ptr ptr, const char *text)
{
	(void)ctx;
	ck_abort_msg("page %llu: %s", (unsigned long long)(ptr.no & ~PAGE_DIRTY), text);
}

static unsigned dur_kind(enum seq_kind kind)
{
	return kind == SEQ_LIST ? DUR_LIST : DUR_ROPE;
}

static uint64_t walk_tree(const struct bed *b, const struct tree *tree)
{
	struct pager pager = bed_pager(b);
	struct pages pages = { .room = b->space.next };
	pages.met = calloc(pages.room, 1);
	ck_assert_ptr_nonnull(pages.met);
	ok(tree_walk_of(&pager, tree, dur_kind(b->kind), &(struct tree_visitor){
		.ctx = &pages, .page = meet, .problem = fail_problem,
	}));
	free(pages.met);
	return pages.n;
}

/* All of it both ways, places at random, the structure of every page. */
static uint64_t check_version(struct bed *b, const struct version *v)
{
	struct seq_cursor c;
	struct pager pager = bed_pager(b);
	const struct plain *plain = &v->plain;
	size_t n = plain->n;
	ck_assert_uint_eq(v->tree.count, n);
	seq_cursor_open(&c, &pager, &v->tree, b->kind);
	for (size_t at = 0; at < n; at += b->kind == SEQ_ROPE ? c.level[0].n : 1)
		same_place(b, &c, seq_cursor_next(&c), plain, at);
	ck_assert_int_eq(seq_cursor_next(&c), 1);
	for (size_t at = n; at > 0; at = seq_cursor_position(&c)) {
		must(seq_cursor_prev(&c) == 0 && seq_cursor_position(&c) < at);
		same_place(b, &c, 0, plain, seq_cursor_position(&c));
	}
	ck_assert_int_eq(seq_cursor_prev(&c), 1);
	for (unsigned i = 0; i < 30; i++) {
		size_t at = random_below(&b->seed, n + 2);
		same_place(b, &c, seq_cursor_seek(&c, at), plain, at);
		if (b->kind == SEQ_LIST) {
			struct cell cell;
			ck_assert_int_eq(list_get(&pager, &v->tree, at, &cell), at >= n);
			if (at < n)
				same_cell(b, &cell, plain->items[at]);
			continue;
		}
		uint8_t buf[6000];
		uint64_t got, len = random_below(&b->seed, sizeof buf);
		ok(rope_read(&pager, &v->tree, at, buf, len, &got));
		ck_assert_uint_eq(got, at >= n ? 0 : n - at < len ? n - at : len);
		for (size_t k = 0; k < got; k++)
			must(buf[k] == plain->items[at + k]);
	}
	return walk_tree(b, &v->tree);
}

static void bed_check(struct bed *b)
{
	uint64_t pages = check_version(b, &b->now);
	if (!b->writing)
		ck_assert_uint_eq(pages, b->pages);
}

static void check_old(struct bed *b)
{
	for (unsigned i = 0; i < VERSIONS; i++)
		check_version(b, &b->old[i]);
}

/* ---- At random ---- */

static void random_remove(struct bed *b, size_t most)
{
	size_t n = b->now.plain.n, from = random_below(&b->seed, n + 1), len;
	if (random_below(&b->seed, 4) == 0)
		from = random_below(&b->seed, 2) ? 0 : n - (n < most ? n : most);
	len = random_below(&b->seed, most + 1);
	bed_remove(b, from, from + len < n ? from + len : n);
}

static void random_step(struct bed *b, unsigned grow)
{
	size_t n = b->now.plain.n, unit = b->kind == SEQ_ROPE ? 100 : 1;
	uint64_t dice = random_below(&b->seed, 1000);
	static size_t where;
	if (dice < 4) {
		bed_insert(b, random_below(&b->seed, n + 1), random_below(&b->seed, 3000 * (unit + 10) / 11));
	} else if (dice < 8) {
		random_remove(b, 3000 * (unit + 10) / 11);
	} else if (dice < grow / 3) {
		bed_insert(b, random_below(&b->seed, n + 1), 1 + random_below(&b->seed, 3 * unit));
	} else if (dice < grow * 2 / 3) {
		/* a series somewhere */
		if (random_below(&b->seed, 100) == 0 || where > n)
			where = random_below(&b->seed, 3) ? random_below(&b->seed, n + 1) : n;
		size_t m = 1 + random_below(&b->seed, unit);
		bed_insert(b, where, m);
		where += b->next & 1024 ? m : 0;
	} else if (dice < grow) {
		bed_insert(b, random_below(&b->seed, 2) ? n : 0, 1 + random_below(&b->seed, unit));
	} else if (dice < 950) {
		random_remove(b, 2 * unit);
	} else if (n) {
		bed_set(b, random_below(&b->seed, n), random_below(&b->seed, 9000));
	}
}

static void random_run(enum seq_kind kind, unsigned longest, uint64_t limit_bytes, unsigned commits)
{
	struct bed b;
	unsigned grow = 600;
	bed_open(&b, kind, longest);
	b.limit_bytes = limit_bytes;
	for (unsigned i = 0; i < commits; i++) {
		unsigned steps = (unsigned)random_below(&b.seed, 500);
		if (random_below(&b.seed, 8) == 0)
			grow = 150 + (unsigned)random_below(&b.seed, 750);
		for (unsigned k = 0; k < steps; k++)
			random_step(&b, grow);
		bed_check(&b);
		if (random_below(&b.seed, 6) == 0)
			bed_abort(&b);
		else
			bed_commit(&b);
		if (i % 4 == 0)
			bed_check(&b);
		if (i % 8 == 0)
			check_old(&b);
	}
	bed_close(&b);
}

START_TEST(random_lists)
{
	static const unsigned longest[] = { 5, 60, TREE_CELL_MAX };
	random_run(SEQ_LIST, longest[_i], 0, rounds(60));
}
END_TEST

START_TEST(random_lists_that_spill)
{
	random_run(SEQ_LIST, 60, 20 * PAGE_SIZE, rounds(40));
}
END_TEST

START_TEST(random_ropes)
{
	random_run(SEQ_ROPE, 0, _i ? 20 * PAGE_SIZE : 0, rounds(40));
}
END_TEST

/* ---- Splitting and joining ---- */

/* Splits the tree, checks both halves, and joins them again, in the order given. */
static void split_and_join(struct bed *b, size_t at, bool turned)
{
	struct version right = { 0 };
	size_t n = b->now.plain.n;
	bed_begin(b);
	ok(seq_split(&b->dirty, &b->now.tree, b->kind, at, &right.tree));
	plain_insert(&right.plain, 0, b->now.plain.items + at, n - at);
	plain_remove(&b->now.plain, at, n);
	check_version(b, &b->now);
	check_version(b, &right);
	if (turned) {
		ok(seq_join(&b->dirty, &right.tree, b->kind, &b->now.tree));
		plain_insert(&right.plain, right.plain.n, b->now.plain.items, b->now.plain.n);
		ck_assert_uint_eq(b->now.tree.count, 0);
		b->now.tree = right.tree;
		plain_copy(&b->now.plain, &right.plain);
	} else {
		ok(seq_join(&b->dirty, &b->now.tree, b->kind, &right.tree));
		plain_insert(&b->now.plain, at, right.plain.items, right.plain.n);
		ck_assert_uint_eq(right.tree.count, 0);
	}
	free(right.plain.items);
	ok(dirty_relieve(&b->dirty));
}

START_TEST(halves_of_any_size_join_again)
{
	static const size_t sizes[] = { 0, 1, 2, 700, 3000, 60000 };
	struct bed b;
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		bed_open(&b, _i ? SEQ_ROPE : SEQ_LIST, 5);
		bed_insert(&b, 0, sizes[i] * (_i ? 10 : 1));
		size_t n = b.now.plain.n;
		for (unsigned k = 0; k < 12; k++) {
			size_t at = k == 0 ? 0 : k == 1 ? n : random_below(&b.seed, n + 1);
			split_and_join(&b, at, k % 3 == 2);
			if (k % 4 == 3) {
				bed_commit(&b);
				bed_check(&b);
			}
		}
		bed_check(&b);
		bed_close(&b);
	}
}
END_TEST

START_TEST(every_boundary_can_be_cut)
{
	struct bed b;
	bed_open(&b, SEQ_LIST, TREE_CELL_MAX);
	for (unsigned i = 0; i < 200; i++)
		bed_insert(&b, i, 1);
	bed_commit(&b);
	for (size_t at = 0; at <= 200; at++) {
		split_and_join(&b, at, false);
		if (at % 20 == 0)
			bed_commit(&b);
	}
	bed_check(&b);
	bed_close(&b);
}
END_TEST

/* ---- Edges ---- */

START_TEST(an_empty_one_has_nothing)
{
	struct bed b;
	struct cell cell = { .bytes = (const uint8_t *)"x", .len = 1 };
	struct seq_cursor c;
	uint64_t got;
	uint8_t buf[4];
	bed_open(&b, SEQ_LIST, 5);
	bed_begin(&b);
	struct pager pager = bed_pager(&b);
	ck_assert_int_eq(list_get(&pager, &b.now.tree, 0, &cell), 1);
	ok(rope_read(&pager, &b.now.tree, 0, buf, 4, &got));
	ck_assert_uint_eq(got, 0);
	seq_cursor_open(&c, &pager, &b.now.tree, SEQ_LIST);
	ck_assert_int_eq(seq_cursor_next(&c), 1);
	ck_assert_int_eq(seq_cursor_prev(&c), 1);
	ck_assert_int_eq(seq_cursor_seek(&c, 0), 1);
	ck_assert_int_eq(list_set(&b.dirty, &b.now.tree, 0, &cell, false), DUR_E_RANGE);
	ck_assert_int_eq(list_insert(&b.dirty, &b.now.tree, 1, &cell, 1), DUR_E_RANGE);
	ck_assert_int_eq(rope_insert(&b.dirty, &b.now.tree, 1, "x", 1), DUR_E_RANGE);
	ck_assert_int_eq(rope_write(&b.dirty, &b.now.tree, 0, "x", 1), DUR_E_RANGE);
	ck_assert_int_eq(seq_remove(&b.dirty, &b.now.tree, SEQ_LIST, 0, 1), DUR_E_RANGE);
	ok(seq_remove(&b.dirty, &b.now.tree, SEQ_LIST, 0, 0));
	ok(list_insert(&b.dirty, &b.now.tree, 0, NULL, 0));
	cell.len = TREE_CELL_MAX + 1;
	ck_assert_int_eq(list_insert(&b.dirty, &b.now.tree, 0, &cell, 1), DUR_E_LIMIT);
	cell.len = 0;
	ck_assert_int_eq(list_insert(&b.dirty, &b.now.tree, 0, &cell, 1), DUR_E_LIMIT);
	ck_assert_uint_eq(b.now.tree.depth, 0);
	bed_close(&b);
}
END_TEST

/* Every size around a full page, and from one level to the next and back. */
START_TEST(sizes_around_full_pages)
{
	enum seq_kind kind = _i ? SEQ_ROPE : SEQ_LIST;
	size_t page = _i ? SEQ_ROOM : SEQ_ROOM / (SEQ_SLOT + 6);
	struct bed b;
	for (size_t n = page - 2; n <= page + 2; n++) {
		bed_open(&b, kind, 5);
		bed_insert(&b, 0, n);
		ck_assert_uint_eq(b.now.tree.depth, n <= page ? 1 : 2);
		bed_check(&b);
		while (b.now.plain.n > page - 3)
			bed_remove(&b, b.now.plain.n / 2, b.now.plain.n / 2 + 1);
		bed_commit(&b);
		bed_check(&b);
		bed_remove(&b, 0, b.now.plain.n);
		bed_commit(&b);
		ck_assert_uint_eq(b.pages, 0);
		bed_close(&b);
	}
	bed_open(&b, kind, 5);
	bed_insert(&b, 0, page * SEQ_FAN);
	ck_assert_uint_eq(b.now.tree.depth, 2);
	bed_insert(&b, page * 7, 1);
	ck_assert_uint_eq(b.now.tree.depth, 3);
	bed_commit(&b);
	bed_check(&b);
	bed_remove(&b, page, page * (SEQ_FAN - 1));
	ck_assert_uint_eq(b.now.tree.depth, 2);
	bed_commit(&b);
	bed_check(&b);
	bed_close(&b);
}
END_TEST

START_TEST(a_thousand_inserts_at_the_front)
{
	struct bed b;
	struct version *all = calloc(1000, sizeof *all);
	ck_assert_ptr_nonnull(all);
	bed_open(&b, _i ? SEQ_ROPE : SEQ_LIST, 60);
	for (unsigned i = 0; i < 1000; i++) {
		bed_insert(&b, 0, _i ? 20 : 1);
		bed_commit(&b);
		all[i].tree = b.now.tree;
		plain_copy(&all[i].plain, &b.now.plain);
	}
	for (unsigned i = 0; i < 1000; i += 1 + i % 7)
		check_version(&b, &all[i]);
	for (unsigned i = 0; i < 1000; i++)
		free(all[i].plain.items);
	free(all);
	bed_close(&b);
}
END_TEST

static uint64_t least_pages(const struct bed *b)
{
	size_t unit = b->kind == SEQ_ROPE ? 1 : SEQ_SLOT + 6;
	return b->now.plain.n * unit / SEQ_ROOM + 1;
}

/* One by one at the end, at the front, and in a row in the middle: pages are full. */
START_TEST(series_leave_full_pages)
{
	enum seq_kind kind = _i & 1 ? SEQ_ROPE : SEQ_LIST;
	struct bed b;
	size_t step = kind == SEQ_ROPE ? 37 : 1;
	bed_open(&b, kind, 5);
	bed_insert(&b, 0, 200 * step);
	for (unsigned i = 0; i < 5000; i++)
		bed_insert(&b, _i / 2 == 0 ? b.now.plain.n : _i / 2 == 1 ? 0 : (100 + i) * step, step);
	bed_commit(&b);
	ck_assert_uint_le(b.pages, least_pages(&b) * 102 / 100 + 4);
	bed_check(&b);
	/* much at a time in the middle */
	bed_insert(&b, b.now.plain.n / 2, 50000);
	bed_commit(&b);
	ck_assert_uint_le(b.pages, least_pages(&b) * 102 / 100 + 6);
	bed_check(&b);
	bed_close(&b);
}
END_TEST

/* Inserting and removing anywhere keeps pages at least a third full on the whole. */
START_TEST(removing_gives_pages_back)
{
	struct bed b;
	bed_open(&b, _i ? SEQ_ROPE : SEQ_LIST, 5);
	bed_insert(&b, 0, _i ? 400000 : 40000);
	while (b.now.plain.n > 1000) {
		size_t n = b.now.plain.n, at = random_below(&b.seed, n);
		size_t len = random_below(&b.seed, _i ? 300 : 30);
		bed_remove(&b, at, at + len < n ? at + len : n);
		if (random_below(&b.seed, 500) == 0) {
			bed_commit(&b);
			bed_check(&b);
			ck_assert_uint_le(b.pages, least_pages(&b) * 3 + 6);
		}
	}
	bed_commit(&b);
	bed_check(&b);
	ck_assert_uint_le(b.pages, least_pages(&b) * 3 + 3);
	bed_close(&b);
}
END_TEST

/* A cell of the same length: nothing else in its leaf changes, nor do others' leaves. */
START_TEST(equal_cells_change_a_leaf_in_place)
{
	struct bed b;
	struct cell cell;
	uint8_t *at;
	uint32_t len;
	bed_open(&b, SEQ_LIST, 5);
	bed_insert(&b, 0, 5000);
	bed_commit(&b);
	bed_set(&b, 2500, 1);
	ck_assert_uint_eq(b.dirty.live, b.now.tree.depth);
	ck_assert_uint_eq(b.dirty.n_retired, b.now.tree.depth);
	struct pager pager = bed_pager(&b), before = { .file = b.file };
	ok(list_get(&pager, &b.now.tree, 2500, &cell));
	const uint8_t *now = (const uint8_t *)((uintptr_t)cell.bytes & ~(uintptr_t)(PAGE_SIZE - 1));
	uint32_t where = (uint32_t)(cell.bytes - now);
	ok(list_get(&before, &b.before.tree, 2500, &cell));
	const uint8_t *then = (const uint8_t *)((uintptr_t)cell.bytes & ~(uintptr_t)(PAGE_SIZE - 1));
	ck_assert_uint_eq((uint32_t)(cell.bytes - then), where);
	for (uint32_t i = 24; i < PAGE_SIZE; i++)
		must(now[i] == then[i] || (i >= where && i < where + cell.len) ||
		     (i >= 34 && i < 37)); /* what packing notes of the page */
	ok(list_own(&b.dirty, &b.now.tree, 2500, &at, &len));
	ck_assert_ptr_eq(at, now + where);
	ck_assert_uint_eq(len, cell.len);
	bed_commit(&b);
	bed_close(&b);
}
END_TEST

/* ---- Damaged files ---- */

static bool fine(int r)
{
	return r == 0 || r == 1 || r == DUR_E_CORRUPT || r == DUR_E_LIMIT || r == DUR_E_RANGE;
}

static int no_page(void *ctx, struct page_ptr ptr, uint64_t n, unsigned level)
{
	(void)ctx, (void)ptr, (void)n, (void)level;
	return 0;
}

static void count_problem(void *ctx, struct page_ptr ptr, const char *text)
{
	(void)ptr;
	ck_assert(*text);
	++*(unsigned *)ctx;
}

/* Changes some bytes of a page, more often where they matter, and makes the checksum right. */
static void damage(struct bed *b, struct file *file, uint64_t no)
{
	union node_copy u;
	ssize_t got = pread(b->fd, &u, PAGE_SIZE, (off_t)(no << PAGE_SHIFT));
	ck_assert_int_eq(got, PAGE_SIZE);
	for (uint64_t i = 1 + random_below(&b->seed, 3); i-- > 0;) {
		uint64_t where = random_below(&b->seed, 4);
		unsigned at = (unsigned)random_below(&b->seed, PAGE_SIZE - 8) + 8;
		if (where == 0)
			at = 22 + (unsigned)random_below(&b->seed, 18);
		else if (where == 1)
			at = PAGE_HEADER + (unsigned)random_below(&b->seed, 60);
		else if (where == 2 && u.page.heap >= PAGE_HEADER && u.page.heap < PAGE_SIZE - 64)
			at = u.page.heap + (unsigned)random_below(&b->seed, 64);
		if (random_below(&b->seed, 2))
			u.bytes[at]++;
		else
			u.bytes[at] = (uint8_t)random_u64(&b->seed);
	}
	file_seal(file, &u.page);
	ck_assert_int_eq(pwrite(b->fd, &u, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)), PAGE_SIZE);
}

static int damaged_write(struct bed *b, struct dirty *d, struct tree *tree)
{
	uint8_t bytes[6000] = { DUR_BYTES };
	uint64_t at = random_below(&b->seed, tree->count + 1), to = at + random_below(&b->seed, 900);
	struct cell cell = { bytes, 1 + (uint32_t)random_below(&b->seed, 60) };
	struct tree right;
	int r;
	switch (random_below(&b->seed, 8)) {
	case 0:
		return seq_remove(d, tree, b->kind, at, to < tree->count ? to : tree->count);
	case 1:
		return b->kind == SEQ_LIST ? list_set(d, tree, at, &cell, false) :
		                             rope_write(d, tree, at, bytes, 300);
	case 2:
		r = seq_split(d, tree, b->kind, at, &right);
		return r ? r : seq_join(d, tree, b->kind, &right);
	default:
		return b->kind == SEQ_LIST ? list_insert(d, tree, at, &cell, 1) :
		                             rope_insert(d, tree, at, bytes, 1 + to % 5000);
	}
}

static void use_damaged(struct bed *b, struct file *file)
{
	struct dirty d;
	struct tree tree = b->now.tree;
	struct dirty_host host = kit_host(&b->space);
	struct seq_cursor c;
	struct cell cell;
	unsigned problems = 0;
	uint64_t got;
	uint8_t buf[5000];
	ok(dirty_open(&d, file, b->state + 1, 0, &host));
	dirty_root(&d, &tree.root);
	struct pager pager = { .file = file, .dirty = &d };
	for (unsigned i = 0; i < 200 && !d.failed; i++) {
		uint64_t at = random_below(&b->seed, tree.count + 1);
		if (b->kind == SEQ_LIST)
			ck_assert(fine(list_get(&pager, &tree, at, &cell)));
		else
			ck_assert(fine(rope_read(&pager, &tree, at, buf, sizeof buf, &got)));
		ck_assert(fine(damaged_write(b, &d, &tree)));
	}
	seq_cursor_open(&c, &pager, &tree, b->kind);
	int r = seq_cursor_next(&c);
	for (unsigned i = 0; i < 100000 && r == 0; i++)
		r = seq_cursor_next(&c);
	ck_assert(fine(r));
	seq_cursor_open(&c, &pager, &tree, b->kind);
	r = seq_cursor_prev(&c);
	for (unsigned i = 0; i < 100000 && r == 0; i++)
		r = seq_cursor_prev(&c);
	ck_assert(fine(r));
	ck_assert(fine(tree_walk_of(&pager, &tree, dur_kind(b->kind), &(struct tree_visitor){
		.ctx = &problems, .page = no_page, .problem = count_problem,
	})));
	dirty_abort(&d);
}

START_TEST(damaged_pages_are_errors_and_no_more)
{
	struct bed b;
	bed_open(&b, _i ? SEQ_ROPE : SEQ_LIST, 60);
	b.seed += (uint64_t)_i;
	for (unsigned i = 0; i < 600; i++)
		bed_insert(&b, random_below(&b.seed, b.now.plain.n + 1), _i ? 800 : 4);
	bed_commit(&b);
	uint64_t pages = b.space.next;
	for (unsigned round = 0; round < rounds(300); round++) {
		uint64_t no = PAGE_FIRST + random_below(&b.seed, pages - PAGE_FIRST);
		union node_copy saved;
		if (random_below(&b.seed, 3) == 0)
			no = b.now.tree.root.no;
		ck_assert_int_eq(pread(b.fd, &saved, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)), PAGE_SIZE);
		struct file *file = kit_file_again(b.fd, NULL);
		damage(&b, file, no);
		use_damaged(&b, file);
		file_close(file);
		ck_assert_int_eq(pwrite(b.fd, &saved, PAGE_SIZE, (off_t)(no << PAGE_SHIFT)),
		                 PAGE_SIZE);
	}
	bed_check(&b);
	bed_close(&b);
}
END_TEST

static Suite *seq_suite(void)
{
	Suite *s = suite_create("seq");
	TCase *t = tcase_create("edges");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 600);
	tcase_add_test(t, an_empty_one_has_nothing);
	tcase_add_loop_test(t, sizes_around_full_pages, 0, 2);
	tcase_add_loop_test(t, a_thousand_inserts_at_the_front, 0, 2);
	tcase_add_loop_test(t, series_leave_full_pages, 0, 6);
	tcase_add_loop_test(t, removing_gives_pages_back, 0, 2);
	tcase_add_test(t, equal_cells_change_a_leaf_in_place);
	tcase_add_loop_test(t, halves_of_any_size_join_again, 0, 2);
	tcase_add_test(t, every_boundary_can_be_cut);
	suite_add_tcase(s, t);
	t = tcase_create("random");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, random_lists, 0, 3);
	tcase_add_test(t, random_lists_that_spill);
	tcase_add_loop_test(t, random_ropes, 0, 2);
	suite_add_tcase(s, t);
	t = tcase_create("damage");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, damaged_pages_are_errors_and_no_more, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(seq_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
