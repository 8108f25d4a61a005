/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tree_kit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/run.h"
#include "internal/error.h"
#include "tests/random_values.h"

#define ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, error_text())

/* ---- The model ---- */

static struct entry *entry_new(struct bed *b, const void *key, size_t len, const void *cell,
                               size_t cell_len, uint64_t run_length)
{
	struct entry *e = malloc(sizeof *e + len + cell_len);
	ck_assert_ptr_nonnull(e);
	*e = (struct entry){
		.key_len = (uint32_t)len, .cell_len = (uint32_t)cell_len, .run_length = run_length,
	};
	memcpy(e->bytes, key, len);
	memcpy(e->bytes + len, cell, cell_len);
	if (b->n_made == b->cap_made) {
		b->cap_made = b->cap_made ? 2 * b->cap_made : 1024;
		b->made = realloc(b->made, b->cap_made * sizeof(struct entry *));
		ck_assert_ptr_nonnull(b->made);
	}
	return b->made[b->n_made++] = e;
}

static int entry_compare(const struct entry *e, const void *key, size_t len)
{
	int c = memcmp(e->bytes, key, e->key_len < len ? e->key_len : len);
	return c ? c : (e->key_len > len) - (e->key_len < len);
}

size_t model_find(const struct model *m, const void *key, size_t len, bool *found)
{
	size_t low = 0, high = m->n;
	*found = false;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int c = entry_compare(m->entries[mid], key, len);
		if (c == 0)
			*found = true;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void model_copy(struct model *to, const struct model *from)
{
	if (to->cap < from->n) {
		to->cap = from->cap;
		to->entries = realloc(to->entries, to->cap * sizeof(struct entry *));
		ck_assert_ptr_nonnull(to->entries);
	}
	to->n = from->n;
	if (from->n)
		memcpy(to->entries, from->entries, from->n * sizeof(struct entry *));
}

static bool model_put(struct model *m, struct entry *e)
{
	bool found;
	size_t at = model_find(m, e->bytes, e->key_len, &found);
	if (!found) {
		if (m->n == m->cap) {
			m->cap = m->cap ? 2 * m->cap : 256;
			m->entries = realloc(m->entries, m->cap * sizeof(struct entry *));
			ck_assert_ptr_nonnull(m->entries);
		}
		memmove(m->entries + at + 1, m->entries + at, (m->n - at) * sizeof(struct entry *));
		m->n++;
	}
	m->entries[at] = e;
	return found;
}

void model_remember(struct bed *b, const void *key, size_t len, const void *cell, size_t cell_len)
{
	model_put(&b->model, entry_new(b, key, len, cell, cell_len, 0));
}

void model_forget(struct model *m, size_t from, size_t to)
{
	memmove(m->entries + from, m->entries + to, (m->n - to) * sizeof(struct entry *));
	m->n -= to - from;
}

/* ---- Transactions ---- */

void bed_open(struct bed *b, uint64_t seed)
{
	*b = (struct bed){ .seed = seed, .state = 1 };
	b->file = kit_file(&b->fd, NULL);
	b->space = (struct kit_space){ .file = b->file, .next = PAGE_FIRST };
}

void bed_close(struct bed *b)
{
	if (b->writing)
		bed_abort(b);
	file_close(b->file);
	close(b->fd);
	for (size_t i = 0; i < b->n_made; i++)
		free(b->made[i]);
	free(b->made);
	free(b->model.entries);
	free(b->model_before.entries);
}

struct pager bed_pager(struct bed *b)
{
	return (struct pager){ .file = b->file, .dirty = b->writing ? &b->dirty : NULL };
}

void bed_begin(struct bed *b)
{
	if (b->writing)
		return;
	struct dirty_host host = kit_host(&b->space);
	ok(dirty_open(&b->dirty, b->file, ++b->state, b->limit_bytes, &host));
	dirty_root(&b->dirty, &b->tree.root);
	b->tree_before = b->tree;
	b->pages_before = b->pages;
	model_copy(&b->model_before, &b->model);
	b->writing = true;
}

void bed_commit(struct bed *b)
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
}

void bed_abort(struct bed *b)
{
	dirty_abort(&b->dirty);
	b->tree = b->tree_before;
	b->pages = b->pages_before;
	model_copy(&b->model, &b->model_before);
	b->writing = false;
}

/* ---- The same to both ---- */

static void put_entry(struct bed *b, struct entry *e)
{
	bool existed;
	int r = tree_put(&b->dirty, &b->tree, e->bytes, e->key_len, e->bytes + e->key_len, e->cell_len,
	                 &existed);
	ck_assert_msg(r == 0, "%s", error_text());
	ck_assert_int_eq(existed, model_put(&b->model, e));
	ok(dirty_relieve(&b->dirty));
}

void bed_put(struct bed *b, const void *key, size_t len, const void *cell, size_t cell_len)
{
	bed_begin(b);
	put_entry(b, entry_new(b, key, len, cell, cell_len, 0));
}

void bed_put_run(struct bed *b, const void *key, size_t len, uint64_t run_length)
{
	uint8_t cell[1 + CELL_RUN_BYTES] = { CELL_RUN };
	uint8_t *data = malloc(run_length);
	struct page_ptr ptr;
	ck_assert_ptr_nonnull(data);
	memset(data, (int)len, run_length);
	bed_begin(b);
	ok(run_write(&b->dirty, data, run_length, &ptr));
	free(data);
	put_u64(cell + 1, ptr.birth);
	put_u48(cell + 9, ptr.no);
	put_u64(cell + 15, run_length);
	put_entry(b, entry_new(b, key, len, cell, sizeof cell, run_length));
}

void bed_del(struct bed *b, const void *key, size_t len)
{
	bool found;
	struct model *m = &b->model;
	size_t at = model_find(m, key, len, &found);
	bed_begin(b);
	int r = tree_del(&b->dirty, &b->tree, key, len);
	ck_assert_msg(r >= 0, "%s", error_text());
	ck_assert_int_eq(r, !found);
	if (found)
		model_forget(m, at, at + 1);
	ok(dirty_relieve(&b->dirty));
}

void bed_clear(struct bed *b, const void *from, size_t from_len, const void *to, size_t to_len)
{
	bool found;
	uint64_t n;
	struct model *m = &b->model;
	size_t low = from ? model_find(m, from, from_len, &found) : 0;
	size_t high = to ? model_find(m, to, to_len, &found) : m->n;
	bed_begin(b);
	ok(tree_clear(&b->dirty, &b->tree, from, from_len, to, to_len, &n));
	ck_assert_uint_eq(n, low < high ? high - low : 0);
	if (low < high)
		model_forget(m, low, high);
	ok(dirty_relieve(&b->dirty));
}

/* ---- Comparing ---- */

static void same_cell(const struct entry *e, const struct cell *cell)
{
	ck_assert_uint_eq(cell->len, e->cell_len);
	ck_assert(!memcmp(cell->bytes, e->bytes + e->key_len, e->cell_len));
}

/* The cursor is at the model's entry `at`; at n: its return says that there is none. */
static void same_place(struct bed *b, struct cursor *c, int r, size_t at)
{
	const void *key;
	size_t len;
	struct cell cell;
	ck_assert_msg(r >= 0, "%s", error_text());
	ck_assert_int_eq(r, at >= b->model.n);
	if (r)
		return;
	const struct entry *e = b->model.entries[at];
	cursor_entry(c, &key, &len, &cell);
	ck_assert_uint_eq(len, e->key_len);
	ck_assert(!memcmp(key, e->bytes, len));
	same_cell(e, &cell);
}

void bed_check_key(struct bed *b, const void *key, size_t len)
{
	bool found;
	struct cell cell;
	uint64_t rank;
	struct cursor c;
	struct pager pager = bed_pager(b);
	size_t at = model_find(&b->model, key, len, &found);
	ck_assert_int_eq(tree_get(&pager, &b->tree, key, len, &cell), !found);
	if (found)
		same_cell(b->model.entries[at], &cell);
	ck_assert_int_eq(tree_rank(&pager, &b->tree, key, len, &rank), !found);
	ck_assert_uint_eq(rank, at);
	cursor_open(&c, &pager, &b->tree);
	same_place(b, &c, cursor_seek(&c, key, len), at);
	same_place(b, &c, cursor_prev(&c), at - 1);
	if (b->model.n)
		same_place(b, &c, cursor_next(&c), at);
	same_place(b, &c, cursor_seek_before(&c, key, len), at - 1);
	if (b->model.n)
		same_place(b, &c, cursor_next(&c), at);
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
	for (uint64_t no = ptr.no; !(ptr.no & PAGE_DIRTY) && no < ptr.no + n; no++) {
		ck_assert_uint_lt(no, p->room);
		ck_assert_uint_eq(p->met[no]++, 0);
	}
	return 0;
}

static void fail_problem(void *ctx, struct page_ptr ptr, const char *text)
{
	(void)ctx;
	ck_abort_msg("page %llu: %s", (unsigned long long)(ptr.no & ~PAGE_DIRTY), text);
}

uint64_t bed_walk(struct bed *b)
{
	struct pager pager = bed_pager(b);
	struct pages pages = { .room = b->space.next };
	pages.met = calloc(pages.room, 1);
	ck_assert_ptr_nonnull(pages.met);
	ok(tree_walk(&pager, &b->tree, &(struct tree_visitor){
		.ctx = &pages, .page = meet, .problem = fail_problem,
	}));
	free(pages.met);
	return pages.n;
}

static void check_many(struct bed *b)
{
	enum { N = 21 };
	struct tree_key keys[N];
	struct cell cells[N];
	uint8_t other[N][2];
	struct pager pager = bed_pager(b);
	for (unsigned i = 0; i < N; i++) {
		if (b->model.n && random_below(&b->seed, 4)) {
			const struct entry *e = b->model.entries[random_below(&b->seed, b->model.n)];
			keys[i] = (struct tree_key){ e->bytes, e->key_len };
		} else {
			put_u16(other[i], (uint16_t)random_u64(&b->seed));
			keys[i] = (struct tree_key){ other[i], 2 };
		}
	}
	uint32_t n = (uint32_t)random_below(&b->seed, N + 1);
	ok(tree_get_many(&pager, &b->tree, keys, n, cells));
	for (unsigned i = 0; i < n; i++) {
		bool found;
		size_t at = model_find(&b->model, keys[i].key, keys[i].len, &found);
		ck_assert_int_eq(cells[i].bytes != NULL, found);
		if (found)
			same_cell(b->model.entries[at], &cells[i]);
	}
}

void bed_check(struct bed *b)
{
	struct cursor c;
	struct pager pager = bed_pager(b);
	size_t n = b->model.n;
	ck_assert_uint_eq(b->tree.count, n);
	cursor_open(&c, &pager, &b->tree);
	for (size_t i = 0; i <= n; i++)
		same_place(b, &c, cursor_next(&c), i);
	for (size_t i = n; i-- > 0;)
		same_place(b, &c, cursor_prev(&c), i);
	ck_assert_int_eq(cursor_prev(&c), 1);
	ck_assert_int_eq(cursor_last(&c), n == 0);
	for (unsigned i = 0; i < 20; i++) {
		size_t at = random_below(&b->seed, n + 2);
		same_place(b, &c, cursor_nth(&c, at), at);
		if (at < n)
			bed_check_key(b, b->model.entries[at]->bytes, b->model.entries[at]->key_len);
	}
	check_many(b);
	uint64_t pages = bed_walk(b);
	if (!b->writing)
		ck_assert_uint_eq(pages, b->pages);
}
