/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees of trees: random writes, removals, commits, aborts and early writes, beside plain models in
 * memory. Space is never used again here, so every state ever committed must stay what it was; and
 * the pages that a state reaches must be exactly those that were written and not retired.
 */
#include "engine/refs.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/run.h"
#include "engine/tree.h"
#include "internal/error.h"
#include "tests/page_kit.h"
#include "tests/random_values.h"

#define ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, error_text())

enum { KEY_MAX = 24, STATES = 400 };

/* ---- Models: maps that are never changed, so that copies of any depth cost nothing ---- */

struct map;

struct thing {
	char key[KEY_MAX];
	unsigned number;                /* of a plain value; of a run its length */
	bool run;
	bool box;                       /* its map is embedded, whatever is in it */
	const struct map *map;          /* NULL: a value */
};

struct map {
	size_t n, weight;               /* things in it; in all below it */
	struct thing *things;           /* by key */
};

static struct thing none[1];
static const struct map nothing = { .things = none };

static void *keep(struct map *map)
{
	static struct map **all;
	static size_t n, cap;
	if (n == cap) {
		cap = cap ? cap * 2 : 1024;
		all = realloc(all, cap * sizeof *all);
		ck_assert_ptr_nonnull(all);
	}
	return all[n++] = map;          /* each test is a process: it ends with it */
}

static size_t map_find(const struct map *m, const char *key, bool *found)
{
	size_t low = 0, high = m->n;
	*found = false;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int c = strcmp(m->things[mid].key, key);
		*found |= c == 0;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* With a thing more or another one at its key; thing NULL: without [from, to). */
static const struct map *map_with(const struct map *m, const struct thing *thing, size_t from,
                                  size_t to)
{
	struct map *map = calloc(1, sizeof *map);
	bool found = false;
	size_t at = thing ? map_find(m, thing->key, &found) : from;
	size_t gone = thing ? found : to - from;
	ck_assert_ptr_nonnull(map);
	map->n = m->n - gone + (thing != NULL);
	map->things = malloc((map->n + 1) * sizeof *map->things);
	ck_assert_ptr_nonnull(map->things);
	memcpy(map->things, m->things, at * sizeof *map->things);
	if (thing)
		map->things[at] = *thing;
	memcpy(map->things + at + (thing != NULL), m->things + at + gone,
	       (m->n - at - gone) * sizeof *map->things);
	map->weight = map->n;
	for (size_t i = 0; i < map->n; i++)
		map->weight += map->things[i].map ? map->things[i].map->weight : 0;
	return keep(map);
}

/* ---- The world: a file, the trees in it, their models ---- */

struct then {
	struct tree tree, system;
	const struct map *model;
};

struct world {
	int fd;
	struct file *file;
	struct kit_space space;
	struct dirty dirty;
	bool writing;
	uint64_t limit_bytes, state, seed;
	unsigned copies;                /* of 100 steps */
	uint64_t waits;                 /* in the removal queue, when it was checked last */
	struct tree tree, system, system_then;
	unsigned slice;                 /* pages of the removal queue in a commit; 0: there is none */
	const struct map *model;
	uint64_t pages, system_pages;   /* written and not retired; of these, the system tree's */
	struct then then[STATES];       /* committed: [n_then - 1] is the newest */
	size_t n_then;
	uint64_t pages_then;
};

static uint64_t seed;

static void setup(void)
{
	seed = random_seed("test_refs");
}

static unsigned rounds(unsigned n)
{
	return getenv("DURAMEN_SLOW") ? 10 * n : n;
}

static struct world *world_open(uint64_t seed_of)
{
	struct world *w = calloc(1, sizeof *w);
	ck_assert_ptr_nonnull(w);
	w->seed = seed_of;
	w->state = 1;
	w->model = &nothing;
	w->file = kit_file(&w->fd, NULL);
	w->space = (struct kit_space){ .file = w->file, .next = PAGE_FIRST };
	w->then[w->n_then++] = (struct then){ .model = w->model };
	return w;
}

static void world_begin(struct world *w)
{
	if (w->writing)
		return;
	struct dirty_host host = kit_host(&w->space);
	ok(dirty_open(&w->dirty, w->file, ++w->state, w->limit_bytes, &host));
	dirty_root(&w->dirty, &w->tree.root);
	dirty_root(&w->dirty, &w->system.root);
	uint64_t n;
	struct pager pager = { .file = w->file };
	w->system.class = CLASS_SYSTEM;
	ok(ref_count(&pager, &w->system, REFS_KEY_COUNT, &n));
	w->system_then = w->system;
	ref_open(&w->dirty, &w->system_then, n > 0);
	if (w->slice)
		ref_queue(&w->dirty);
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
	bool stuck;
	if (w->slice)
		ok(ref_slice(d, &w->system, w->slice, &stuck));
	if (w->slice)
		ck_assert(!stuck);
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
	w->system_pages += (uint64_t)d->system_pages;
	for (size_t i = 0; i < d->n_retired; i++)
		w->system_pages -= d->retired[i].class == CLASS_SYSTEM ? d->retired[i].n : 0;
	free(written);
	dirty_close(d);
	w->writing = false;
	if (w->n_then == STATES)
		memmove(w->then, w->then + 1, --w->n_then * sizeof *w->then);
	w->then[w->n_then++] = (struct then){ w->tree, w->system, w->model };
}

static void world_abort(struct world *w)
{
	if (!w->writing)
		return;
	dirty_abort(&w->dirty);
	w->writing = false;
	w->tree = w->then[w->n_then - 1].tree;
	w->system = w->then[w->n_then - 1].system;
	w->model = w->then[w->n_then - 1].model;
}

/* The file as another process finds it. */
static void world_reopen(struct world *w)
{
	world_abort(w);
	file_close(w->file);
	w->file = kit_file_again(w->fd, NULL);
	w->space.file = w->file;
}

static void world_close(struct world *w)
{
	world_abort(w);
	file_close(w->file);
	close(w->fd);
	free(w);
}

static struct pager world_pager(struct world *w)
{
	return (struct pager){ .file = w->file, .dirty = w->writing ? &w->dirty : NULL };
}

/* ---- Comparing ---- */

static void same_map(const struct pager *pager, const struct tree *tree, const struct map *map);

static void same_thing(const struct pager *pager, const struct cell *cell,
                       const struct thing *thing)
{
	if (thing->box) {
		struct nest_entries it;
		struct nest_entry e;
		ck_assert_uint_eq(nest_count(cell->bytes, cell->len), thing->map->n);
		nest_entries_open(&it, cell->bytes, cell->len);
		for (size_t i = 0; nest_entries_next(&it, &e) == 0; i++)
			same_thing(pager, &(struct cell){ e.cell, e.cell_len }, &thing->map->things[i]);
		return;
	}
	if (thing->map) {
		struct nest_tree nest;
		struct tree tree = { 0 };
		ck_assert_uint_eq(cell->bytes[0] & NEST_KIND, DUR_MAP);
		if (nest_is_tree(cell->bytes)) {
			nest_tree_read(cell->bytes, &nest);
			tree = (struct tree){ .root = nest.root, .count = nest.count,
				              .depth = nest.depth };
		}
		same_map(pager, &tree, thing->map);
		return;
	}
	struct node_run run = { 0 };
	ck_assert_int_eq(node_cell_run(cell, &run), thing->run);
	if (!thing->run) {
		if (cell->len != 5 || get_u32(cell->bytes + 1) != thing->number)
			ck_abort_msg("%s is another value", thing->key);
		return;
	}
	const void *data;
	ck_assert_uint_eq(run.length, thing->number);
	ok(run_read(pager->file, run.ptr, run.length, &data));
	ck_assert_uint_eq(*(const uint8_t *)data, thing->number & 255);
}

static void same_map(const struct pager *pager, const struct tree *tree, const struct map *map)
{
	struct cursor *c = malloc(sizeof *c);
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(tree->count, map->n);
	cursor_open(c, pager, tree);
	int r = cursor_first(c);
	for (size_t i = 0; i < map->n; i++, r = cursor_next(c)) {
		const void *key;
		size_t len;
		struct cell cell;
		ck_assert_msg(r == 0, "%s", error_text());
		cursor_entry(c, &key, &len, &cell);
		if (len != strlen(map->things[i].key) || memcmp(key, map->things[i].key, len))
			ck_abort_msg("another key at %zu", i);
		same_thing(pager, &cell, &map->things[i]);
	}
	ck_assert_int_eq(r, 1);
	free(c);
}

struct met {
	uint64_t n;
	struct place {
		bool met;
		uint64_t birth, parents;
	} *of;                          /* by page number */
	uint64_t room;
};

static int meet(void *ctx, struct page_ptr ptr, uint64_t n, unsigned level)
{
	struct met *met = ctx;
	(void)level;
	met->n += n;
	for (uint64_t no = ptr.no; !(ptr.no & PAGE_DIRTY) && no < ptr.no + n; no++) {
		ck_assert_uint_lt(no, met->room);
		ck_assert(!met->of[no].met);
		met->of[no] = (struct place){ true, ptr.birth, 1 };
	}
	return 0;
}

static bool met_again(void *ctx, struct page_ptr ptr, unsigned level, uint64_t count)
{
	struct met *met = ctx;
	(void)level;
	(void)count;
	if (ptr.no & PAGE_DIRTY || !met->of[ptr.no].met)
		return false;
	ck_assert_uint_eq(met->of[ptr.no].birth, ptr.birth);
	met->of[ptr.no].parents++;
	return true;
}

static void fail_problem(void *ctx, struct page_ptr ptr, const char *text)
{
	(void)ctx;
	ck_abort_msg("page %llu: %s", (unsigned long long)(ptr.no & ~PAGE_DIRTY), text);
}

struct waits {
	const struct pager *pager;
	const struct tree_visitor *visitor;
	uint64_t n;
};

static int walk_waiting(void *ctx, const struct page_ref *ref)
{
	struct waits *waits = ctx;
	waits->n++;
	return ref_walk(waits->pager, ref, waits->visitor);
}

static int counted(void *ctx, uint64_t no, uint64_t extra)
{
	struct met *met = ctx;
	ck_assert_uint_lt(no, met->room);
	ck_assert_uint_eq(met->of[no].parents, extra + 1);
	met->of[no].parents = 1;
	return 0;
}

/*
 * All of it, and the structure of every page. Between transactions no page is lost, and what several
 * places name is counted.
 */
static void world_check(struct world *w)
{
	struct pager pager = world_pager(w);
	struct met met = { .room = w->space.next };
	same_map(&pager, &w->tree, w->model);
	met.of = calloc(met.room, sizeof *met.of);
	ck_assert_ptr_nonnull(met.of);
	const struct tree_visitor visitor = {
		.ctx = &met, .page = meet, .problem = fail_problem, .skip = met_again,
	};
	ok(tree_walk(&pager, &w->tree, &visitor));
	if (!w->writing) {
		struct waits waits = { &pager, &visitor, 0 };
		ok(ref_queue_each(&pager, &w->system, walk_waiting, &waits));
		w->waits = waits.n;
		ck_assert_uint_eq(met.n, w->pages - w->system_pages);
		ok(tree_walk(&pager, &w->system, &visitor));
		ck_assert_uint_eq(met.n, w->pages);
		ok(ref_each(&pager, &w->system, counted, &met));
		for (uint64_t no = 0; no < met.room; no++)
			if (met.of[no].parents > 1)
				ck_abort_msg("page %llu has %llu parents, and one is counted",
				             (unsigned long long)no,
				             (unsigned long long)met.of[no].parents);
	}
	free(met.of);
}

static void world_check_then(struct world *w)
{
	struct pager pager = { .file = w->file };
	const struct then *then = &w->then[random_below(&w->seed, w->n_then)];
	same_map(&pager, &then->tree, then->model);
}

/* ---- Writing ---- */

/* A place below the top: keys of maps, and what is done there. */
struct path {
	unsigned n;
	char key[64][KEY_MAX];
};

/* What an operation does to the map at the end of a path, in tree and model alike. */
typedef const struct map *change(struct world *w, struct tree *tree, const struct map *map);

static size_t map_cell(const struct tree *tree, uint64_t placed, uint8_t cell[NEST_TREE_CELL])
{
	if (!tree->count) {
		cell[0] = DUR_MAP | NEST_EMBEDDED;
		cell[1] = 0;
		return 2;
	}
	nest_tree_write(cell, &(struct nest_tree){ .kind = DUR_MAP, .depth = tree->depth,
		.placed = placed, .root = tree->root, .count = tree->count });
	return NEST_TREE_CELL;
}

/* From the top down: what is above is owned first; from the bottom up: the cells are written. */
static const struct map *write_at(struct world *w, struct tree *tree, const struct map *map,
                                  const struct path *path, unsigned at, change *fn)
{
	if (at == path->n)
		return fn(w, tree, map);
	const char *key = path->key[at];
	bool found;
	struct thing thing = map->things[map_find(map, key, &found)];
	uint8_t *cell, fresh[NEST_TREE_CELL];
	size_t len;
	struct tree inner = { 0 };
	uint64_t placed = w->state;
	ok(tree_own(&w->dirty, tree, key, strlen(key), &cell, &len));
	if (nest_is_tree(cell)) {
		struct nest_tree nest;
		nest_tree_read(cell, &nest);
		placed = nest.placed;
		inner = (struct tree){ .root = nest.root, .count = nest.count,
			               .depth = nest.depth };
	}
	thing.map = write_at(w, &inner, thing.map, path, at + 1, fn);
	size_t fresh_len = map_cell(&inner, placed, fresh);
	if (fresh_len == len)
		memcpy(cell, fresh, len);
	else
		ok(tree_put_moved(&w->dirty, tree, key, strlen(key), fresh, fresh_len));
	return map_with(map, &thing, 0, 0);
}

static void world_write(struct world *w, const struct path *path, change *fn)
{
	world_begin(w);
	w->model = write_at(w, &w->tree, w->model, path, 0, fn);
	ok(dirty_relieve(&w->dirty));
}

static void random_name(struct world *w, char key[KEY_MAX])
{
	unsigned n = (unsigned)random_below(&w->seed, random_below(&w->seed, 4) ? 12 : 400);
	snprintf(key, KEY_MAX, "name of %03u", n);
}

/* A random map: at the top, or as deep as luck has it. */
static void random_path(struct world *w, struct path *path)
{
	const struct map *map = w->model;
	path->n = 0;
	while (path->n < 12 && map->n && random_below(&w->seed, 5)) {
		size_t from = random_below(&w->seed, map->n), i = from;
		while ((!map->things[i].map || map->things[i].box) && (i = (i + 1) % map->n) != from)
			;
		if (!map->things[i].map || map->things[i].box)
			break;
		memcpy(path->key[path->n++], map->things[i].key, KEY_MAX);
		map = map->things[i].map;
	}
}

static size_t value_cell(unsigned number, uint8_t cell[5])
{
	cell[0] = DUR_INT;
	put_u32(cell + 1, number);
	return 5;
}

static const struct map *put_value(struct world *w, struct tree *tree, const struct map *map)
{
	struct thing thing = { .number = (unsigned)random_below(&w->seed, 1 << 20) };
	uint8_t cell[1 + CELL_RUN_BYTES];
	size_t len = value_cell(thing.number, cell);
	random_name(w, thing.key);
	if (random_below(&w->seed, 12) == 0) {
		struct page_ptr ptr;
		thing.run = true;
		thing.number = 1 + (unsigned)random_below(&w->seed, 9000);
		uint8_t *data = malloc(thing.number);
		ck_assert_ptr_nonnull(data);
		memset(data, (int)(thing.number & 255), thing.number);
		ok(run_write(&w->dirty, data, thing.number, &ptr));
		free(data);
		cell[0] = DUR_BYTES | CELL_RUN;
		put_u64(cell + 1, ptr.birth);
		put_u48(cell + 9, ptr.no);
		put_u64(cell + 15, thing.number);
		len = sizeof cell;
	}
	ok(tree_put(&w->dirty, tree, thing.key, strlen(thing.key), cell, len, NULL));
	return map_with(map, &thing, 0, 0);
}

/* A series, so that trees have more than one page. */
static const struct map *put_many(struct world *w, struct tree *tree, const struct map *map)
{
	unsigned n = 50 + (unsigned)random_below(&w->seed, 400);
	for (unsigned i = 0; i < n; i++)
		map = put_value(w, tree, map);
	return map;
}

static const struct map *put_map(struct world *w, struct tree *tree, const struct map *map)
{
	struct thing thing = { .map = &nothing };
	uint8_t cell[NEST_TREE_CELL];
	random_name(w, thing.key);
	size_t len = map_cell(&(struct tree){ 0 }, w->state, cell);
	ok(tree_put(&w->dirty, tree, thing.key, strlen(thing.key), cell, len, NULL));
	return map_with(map, &thing, 0, 0);
}

static const struct map *remove_one(struct world *w, struct tree *tree, const struct map *map)
{
	char key[KEY_MAX];
	bool found;
	random_name(w, key);
	if (map->n && random_below(&w->seed, 3))
		memcpy(key, map->things[random_below(&w->seed, map->n)].key, KEY_MAX);
	size_t at = map_find(map, key, &found);
	int r = tree_del(&w->dirty, tree, key, strlen(key));
	ck_assert_msg(r == !found, "%s", error_text());
	return found ? map_with(map, NULL, at, at + 1) : map;
}

static const struct map *remove_range(struct world *w, struct tree *tree, const struct map *map)
{
	char from[KEY_MAX], to[KEY_MAX];
	bool found;
	uint64_t n;
	random_name(w, from);
	random_name(w, to);
	size_t low = map_find(map, from, &found), high = map_find(map, to, &found);
	high = high < low ? low : high;
	ok(tree_clear(&w->dirty, tree, from, strlen(from), to, strlen(to), &n));
	ck_assert_uint_eq(n, high - low);
	return map_with(map, NULL, low, high);
}

static const struct map *remove_all(struct world *w, struct tree *tree, const struct map *map)
{
	uint64_t n;
	ok(tree_clear(&w->dirty, tree, NULL, 0, NULL, 0, &n));
	ck_assert_uint_eq(n, map->n);
	return &nothing;
}

/* ---- Copies ---- */

/* A cell that is about to be copied, and what it is. */
static bool random_source(struct world *w, struct cell *cell, struct thing *thing)
{
	struct pager pager = world_pager(w);
	struct tree tree = w->tree;
	const struct map *map = w->model;
	struct path path;
	random_path(w, &path);
	for (unsigned i = 0; i <= path.n; i++) {
		bool found;
		size_t at = i < path.n ? map_find(map, path.key[i], &found) :
		            map->n     ? random_below(&w->seed, map->n) : 0;
		if (at == map->n)
			return false;
		*thing = map->things[at];
		ok(tree_get(&pager, &tree, thing->key, strlen(thing->key), cell));
		if (i < path.n && nest_is_tree(cell->bytes)) {
			struct nest_tree nest;
			nest_tree_read(cell->bytes, &nest);
			tree = (struct tree){ .root = nest.root, .count = nest.count,
				              .depth = nest.depth };
		}
		map = thing->map;
	}
	return true;
}

/* What is put in place by put_copy(). */
static struct thing copied;
static uint8_t copied_cell[TREE_CELL_MAX];
static size_t copied_len;

static const struct map *put_copy(struct world *w, struct tree *tree, const struct map *map)
{
	ok(tree_put(&w->dirty, tree, copied.key, strlen(copied.key), copied_cell, copied_len, NULL));
	return map_with(map, &copied, 0, 0);
}

/* A copy of something somewhere else, or several in an embedded map. */
static void random_copy(struct world *w)
{
	struct cell cell;
	struct path path;
	unsigned n = random_below(&w->seed, 3) ? 1 : 2 + (unsigned)random_below(&w->seed, 4), k = 0;
	const struct map *box = &nothing;
	uint8_t *at = copied_cell + 2;
	world_begin(w);
	for (unsigned i = 0; i < n; i++) {
		/* Copies of copies grow fast. */
		if (!random_source(w, &cell, &copied) || cell.len > 100 ||
		    (copied.map && copied.map->weight + w->model->weight > 20000))
			continue;
		ok(ref_share_cell(&w->dirty, cell.bytes, cell.len));
		k++;
		if (n == 1) {
			memcpy(copied_cell, cell.bytes, copied_len = cell.len);
			break;
		}
		snprintf(copied.key, KEY_MAX, "%u", i);
		box = map_with(box, &copied, 0, 0);
		*at++ = 1;
		*at++ = (uint8_t)('0' + i);
		*at++ = (uint8_t)cell.len;
		memcpy(at, cell.bytes, cell.len);
		copied_cell[0] = (k == 1 ? 0 : copied_cell[0]) | (cell.bytes[0] & NEST_REFS);
		at += cell.len;
	}
	if (!k)
		return;
	if (n > 1) {
		copied = (struct thing){ .box = true, .map = box };
		copied_cell[0] |= DUR_MAP | NEST_EMBEDDED;
		copied_cell[1] = (uint8_t)k;
		copied_len = (size_t)(at - copied_cell);
	}
	random_name(w, copied.key);
	random_path(w, &path);
	world_write(w, &path, put_copy);
}

static void random_step(struct world *w)
{
	static const struct {
		unsigned odds;
		change *fn;
	} steps[] = {
		{ 40, put_value }, { 4, put_many }, { 25, put_map },
		{ 15, remove_one }, { 3, remove_range }, { 1, remove_all },
	};
	struct path path;
	if (random_below(&w->seed, 100) < w->copies) {
		random_copy(w);
		return;
	}
	unsigned at = 0, luck = (unsigned)random_below(&w->seed, 88);
	for (; luck >= steps[at].odds; at++)
		luck -= steps[at].odds;
	random_path(w, &path);
	/* What removes everything does so deep down as a rule, or nothing would grow. */
	if (steps[at].fn != remove_all || path.n > 1)
		world_write(w, &path, steps[at].fn);
}

static void random_life(struct world *w, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		random_step(w);
		switch (random_below(&w->seed, 60)) {
		case 0:
			world_abort(w);
			break;
		case 1:
		case 2:
		case 3:
			world_commit(w);
			world_check(w);
			world_check_then(w);
			break;
		case 4:
			world_check(w);
			break;
		case 5:
			if (random_below(&w->seed, 5) == 0)
				world_reopen(w);
			break;
		}
	}
	world_commit(w);
	world_check(w);
	for (unsigned i = 0; i < 20; i++)
		world_check_then(w);
}

/* ---- Tests ---- */

START_TEST(random_trees_of_trees_are_maps_of_maps)
{
	struct world *w = world_open(seed + (uint64_t)_i);
	w->limit_bytes = _i % 2 ? 24 << PAGE_SHIFT : 0;
	random_life(w, rounds(1500));
	world_close(w);
}
END_TEST

static const struct map *put_named(struct world *w, struct tree *tree, const struct map *map)
{
	struct thing thing = { .key = "deeper", .map = &nothing };
	uint8_t cell[NEST_TREE_CELL];
	size_t len = map_cell(&(struct tree){ 0 }, w->state, cell);
	ok(tree_put(&w->dirty, tree, thing.key, strlen(thing.key), cell, len, NULL));
	return map_with(map, &thing, 0, 0);
}

START_TEST(random_copies_are_copies)
{
	struct world *w = world_open(seed + (uint64_t)_i);
	w->limit_bytes = _i % 2 ? 24 << PAGE_SHIFT : 0;
	w->copies = 4 + 6 * (unsigned)_i;
	random_life(w, rounds(1000));
	world_close(w);
}
END_TEST

START_TEST(what_is_removed_goes_bit_by_bit)
{
	struct world *w = world_open(seed + (uint64_t)_i);
	w->limit_bytes = _i % 2 ? 24 << PAGE_SHIFT : 0;
	w->copies = _i < 2 ? 0 : 10;
	w->slice = 1 + 7 * (unsigned)_i;
	for (unsigned i = 0; i < 4; i++) {
		random_life(w, rounds(300));
		/* The top's maps go, all at once or one by one. */
		world_write(w, &(struct path){ 0 }, remove_all);
		world_commit(w);
		world_check(w);
	}
	for (unsigned i = 0; w->waits; i++) {
		ck_assert_uint_lt(i, 100000);
		world_begin(w);
		world_commit(w);
		if (i % 16 == 0 || i > 1000)
			world_check(w);
	}
	ck_assert_uint_eq(w->pages, w->system_pages);
	world_close(w);
}
END_TEST

/* One entry of the queue, whatever its size; and it is let go of in slices of the size asked for. */
START_TEST(a_large_map_waits_as_one)
{
	struct world *w = world_open(seed);
	struct path top = { 0 };
	w->slice = 10;
	world_write(w, &top, put_named);
	world_begin(w);
	struct tree tree = { 0 };
	uint8_t value[200] = { DUR_BYTES }, fresh[NEST_TREE_CELL];
	size_t len;
	for (unsigned i = 0; i < 20000; i++) {
		char key[KEY_MAX];
		snprintf(key, sizeof key, "%08u", i);
		ok(tree_put(&w->dirty, &tree, key, strlen(key), value, sizeof value, NULL));
	}
	len = map_cell(&tree, w->state, fresh);
	ok(tree_put_moved(&w->dirty, &w->tree, "deeper", 6, fresh, len));
	ck_assert_uint_gt(tree.depth, 2);
	world_commit(w);
	uint64_t pages = w->pages;
	ck_assert_uint_gt(pages, 1000);

	world_write(w, &top, remove_all);
	ck_assert_uint_eq(w->dirty.n_retired, 1);       /* the top's leaf */
	world_commit(w);
	world_check(w);
	ck_assert_uint_eq(w->waits, 1);
	unsigned n = 0;
	for (; w->waits; n++) {
		uint64_t before = w->pages - w->system_pages;
		world_begin(w);
		world_commit(w);
		world_check(w);
		ck_assert_uint_eq(before - (w->pages - w->system_pages), before < 10 ? before : 10);
	}
	ck_assert_uint_ge(n, pages / 10 - 1);
	ck_assert_uint_eq(w->pages, w->system_pages);
	world_close(w);
}
END_TEST

/* Nothing goes down by calling itself: a test process has 8 MiB of stack, this would take more. */
START_TEST(a_hundred_thousand_levels_are_no_matter)
{
	enum { LEVELS = 100000 };
	struct world *w = world_open(seed);
	w->limit_bytes = _i ? 64 << PAGE_SHIFT : 0;
	world_begin(w);
	/* From the inside out: each holds the one before. */
	struct tree inner = { 0 };
	uint8_t cell[NEST_TREE_CELL];
	for (unsigned i = 0; i < LEVELS; i++) {
		struct tree outer = { 0 };
		size_t len = map_cell(&inner, w->state, cell);
		ok(tree_put(&w->dirty, &outer, "deeper", 6, cell, len, NULL));
		inner = outer;
		if (_i && i % 32 == 0) {
			/* Its root is told where its pages go: it stands in the registered one. */
			w->tree = inner;
			ok(dirty_relieve(&w->dirty));
			inner = w->tree;
		}
	}
	w->tree = inner;
	ok(dirty_relieve(&w->dirty));
	world_commit(w);
	ck_assert_uint_eq(w->pages, LEVELS);
	struct pager pager = world_pager(w);
	ok(tree_walk(&pager, &w->tree, &(struct tree_visitor){ .problem = fail_problem }));
	world_begin(w);
	ok(tree_del(&w->dirty, &w->tree, "deeper", 6));
	ck_assert_uint_eq(w->dirty.n_retired, LEVELS);
	w->model = &nothing;
	world_commit(w);
	ck_assert_uint_eq(w->pages, 0);
	world_close(w);
}
END_TEST

/* A bit of a page's flips, and so flips back. */
static void world_flip(struct world *w, struct page_ptr ptr)
{
	uint8_t byte;
	ck_assert_int_eq(pread(w->fd, &byte, 1, (off_t)(ptr.no << PAGE_SHIFT) + 100), 1);
	byte ^= 4;
	ck_assert_int_eq(pwrite(w->fd, &byte, 1, (off_t)(ptr.no << PAGE_SHIFT) + 100), 1);
}

/* The map "deeper" at the top, of several pages; gives a leaf of it that names runs. */
static struct page_ptr put_deeper(struct world *w)
{
	struct path top = { 0 }, inner = { .n = 1, .key = { "deeper" } };
	world_write(w, &top, put_named);
	for (unsigned i = 0; i < 8; i++)
		world_write(w, &inner, put_many);
	world_commit(w);
	world_check(w);

	struct pager pager = world_pager(w);
	struct cell cell;
	struct nest_tree nest;
	const struct page *page;
	ok(tree_get(&pager, &w->tree, "deeper", 6, &cell));
	nest_tree_read(cell.bytes, &nest);
	ck_assert_uint_gt(nest.depth, 1);
	ok(file_page(w->file, nest.root, &page));
	ck_assert(node_child(page, 1).runs);
	return node_child_ptr(page, 1);
}

START_TEST(a_refused_release_changes_nothing)
{
	struct world *w = world_open(seed);
	struct page_ptr leaf = put_deeper(w);
	world_flip(w, leaf);
	world_reopen(w);

	uint64_t n;
	world_begin(w);
	ck_assert_int_eq(tree_del(&w->dirty, &w->tree, "deeper", 6), DUR_E_CORRUPT);
	ck_assert_int_eq(tree_clear(&w->dirty, &w->tree, NULL, 0, NULL, 0, &n), DUR_E_CORRUPT);
	ck_assert_int_eq(tree_put(&w->dirty, &w->tree, "deeper", 6, "\1", 1, NULL), DUR_E_CORRUPT);
	ck_assert_int_eq(w->dirty.failed, 0);
	world_flip(w, leaf);
	world_check(w);
	world_commit(w);
	world_check(w);
	world_close(w);
}
END_TEST

/*
 * Looking sees two places each of which would leave the map to the other, and so does not go down; it goes
 * with the second one, and what of it cannot be read then waits.
 */
START_TEST(what_goes_from_both_places_and_is_damaged_waits)
{
	struct world *w = world_open(seed);
	struct thing again = { .key = "again" };
	bool found;
	w->slice = 10;
	struct page_ptr leaf = put_deeper(w);

	struct pager pager = world_pager(w);
	struct cell cell;
	uint8_t copy[NEST_TREE_CELL];
	world_begin(w);
	ok(tree_get(&pager, &w->tree, "deeper", 6, &cell));
	ok(ref_share_cell(&w->dirty, cell.bytes, cell.len));
	memcpy(copy, cell.bytes, sizeof copy);
	ok(tree_put(&w->dirty, &w->tree, "again", 5, copy, sizeof copy, NULL));
	again.map = w->model->things[map_find(w->model, "deeper", &found)].map;
	w->model = map_with(w->model, &again, 0, 0);
	world_commit(w);
	world_check(w);

	world_flip(w, leaf);
	world_reopen(w);
	world_write(w, &(struct path){ 0 }, remove_all);
	ck_assert_int_eq(w->dirty.failed, 0);
	world_commit(w);
	world_flip(w, leaf);
	world_reopen(w);
	world_check(w);
	ck_assert_uint_gt(w->waits, 0);
	for (unsigned i = 0; w->waits; i++) {
		ck_assert_uint_lt(i, 1000);
		world_begin(w);
		world_commit(w);
		world_check(w);
	}
	ck_assert_uint_eq(w->pages, w->system_pages);
	world_close(w);
}
END_TEST

/* A map that holds itself: no walk goes round for ever, and nothing is let go of. */
START_TEST(a_tree_in_itself_is_an_error)
{
	struct world *w = world_open(seed);
	struct path top = { 0 }, inner = { .n = 1, .key = { "deeper" } };
	world_write(w, &top, put_named);
	world_write(w, &inner, put_value);
	world_commit(w);

	union node_copy page;
	off_t at = (off_t)(w->tree.root.no << PAGE_SHIFT);
	ck_assert_int_eq(pread(w->fd, &page, PAGE_SIZE, at), PAGE_SIZE);
	uint8_t *cell = page.bytes + (node_cell(&page.page, 0).bytes - page.bytes);
	ck_assert(nest_is_tree(cell));
	ref_ptr_set(cell + NEST_ROOT_AT, w->tree.root);
	file_seal(w->file, &page.page);
	ck_assert_int_eq(pwrite(w->fd, &page, PAGE_SIZE, at), PAGE_SIZE);
	world_reopen(w);

	struct pager pager = world_pager(w);
	uint64_t n;
	ck_assert_int_eq(tree_walk(&pager, &w->tree, &(struct tree_visitor){ 0 }), DUR_E_CORRUPT);
	world_begin(w);
	ck_assert_int_eq(tree_del(&w->dirty, &w->tree, "deeper", 6), DUR_E_CORRUPT);
	ck_assert_int_eq(tree_clear(&w->dirty, &w->tree, NULL, 0, NULL, 0, &n), DUR_E_CORRUPT);
	ck_assert_int_eq(w->dirty.failed, 0);
	world_close(w);
}
END_TEST

/* ---- Damaged entries of the system tree ---- */

/* Sound ones, and what no sound file holds; of a queue's cell the kind, the collection, the level, ... */
static const struct {
	uint8_t key[12], key_len, cell[32], cell_len;
	bool bad;
} entries[] = {
	{ { 'R', [8] = 77 }, 9, { DUR_BYTES, 3 }, 2, false },
	{ { 'R', [8] = 77 }, 9, { DUR_INT, 3 }, 2, true },
	{ { 'R', [8] = 77 }, 9, { DUR_BYTES }, 1, true },
	{ { 'R', [8] = 77 }, 9, { DUR_BYTES, 0 }, 2, true },
	{ { 'R', [8] = 77 }, 9, { DUR_BYTES, 3, 0 }, 3, true },
	{ { 'R', [8] = 77 }, 9, { DUR_BYTES, 0x80 }, 2, true },
	{ { 'R', [8] = 77 }, 9,
	  { DUR_BYTES, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1 }, 11, true },
	{ { 'R' }, 1, { DUR_BYTES, 3 }, 2, false }, /* before all of them: nobody meets it */
	{ { 'R', [7] = 77 }, 8, { DUR_BYTES, 3 }, 2, true },
	{ { 'R', [8] = 77 }, 10, { DUR_BYTES, 3 }, 2, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_RUN, 0, 0, 0, 1, [13] = 77, [19] = 9 }, 27, false },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_TREE, DUR_MAP, 0, 0, 1, [13] = 77, [19] = 9 }, 27, false },
	{ { 'Q', [8] = 1 }, 9, { DUR_INT, REF_TREE, DUR_MAP, 0, 0, 1, [13] = 77, [19] = 9 }, 27, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_TREE, DUR_MAP, 0, 0, 1, [13] = 77, [19] = 9 }, 26, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_TREE, DUR_MAP, 0, 0, 1, [13] = 77, [19] = 9 }, 28, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, 3, DUR_MAP, 0, 0, 1, [13] = 77, [19] = 9 }, 27, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_TREE, DUR_INT, 0, 0, 1, [13] = 77, [19] = 9 }, 27, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_TREE, 38, 0, 0, 1, [13] = 77, [19] = 9 }, 27, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_TREE, DUR_MAP, 255, 0, 1, [13] = 77 }, 27, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_TREE, DUR_MAP, 0, 2, 1, [13] = 77 }, 27, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_TREE, DUR_MAP, 0, 0, 1, [13] = 0 }, 27, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_TREE, DUR_MAP, 0, 0, 1, [18] = 0x80 }, 27, true },
	{ { 'Q', [8] = 1 }, 9, { DUR_BYTES, REF_RUN, 0, 0, 0, 1, [13] = 77, [26] = 1 }, 27, true },
	{ { 'Q' }, 1, { DUR_BYTES, REF_TREE, DUR_MAP, 0, 0, 1, [13] = 77, [19] = 9 }, 27, false },
	{ { 'Q', [8] = 1 }, 10, { DUR_BYTES, REF_TREE, DUR_MAP, 0, 0, 1, [13] = 77, [19] = 9 }, 27, true },
};
enum { ENTRIES = sizeof entries / sizeof *entries };

static int meet_count(void *ctx, uint64_t no, uint64_t extra)
{
	(void)ctx, (void)no;
	ck_assert_uint_gt(extra, 0);
	return 0;
}

static int meet_waiting(void *ctx, const struct page_ref *ref)
{
	(void)ctx;
	ck_assert_uint_ge(ref->ptr.no, PAGE_FIRST);
	return 0;
}

/* Each is told by who goes over all of them. */
START_TEST(bad_entries_are_told)
{
	struct world *w = world_open(seed);
	world_begin(w);
	ok(tree_put(&w->dirty, &w->system, entries[_i].key, entries[_i].key_len, entries[_i].cell,
	            entries[_i].cell_len, NULL));
	world_commit(w);
	struct pager pager = world_pager(w);
	int expected = entries[_i].bad ? DUR_E_CORRUPT : 0;
	if (entries[_i].key[0] == 'R')
		ck_assert_int_eq(ref_each(&pager, &w->system, meet_count, NULL), expected);
	else
		ck_assert_int_eq(ref_queue_each(&pager, &w->system, meet_waiting, NULL), expected);
	world_close(w);
}
END_TEST

static void fine(int r)
{
	ck_assert_msg(r == 0 || r == 1 || r == DUR_E_CORRUPT, "%d: %s", r, error_text());
}

/* Random ones, about pages that are there and others, met by all that reads them. */
START_TEST(random_entries_do_no_harm)
{
	for (unsigned round = 0; round < rounds(60); round++) {
		struct world *w = world_open(seed + 1000 * (uint64_t)_i + round);
		world_write(w, &(struct path){ 0 }, put_named);
		world_write(w, &(struct path){ .n = 1, .key = { "deeper" } }, put_many);
		world_begin(w);
		for (unsigned i = 0; i < 40; i++) {
			size_t which = random_below(&w->seed, ENTRIES);
			uint8_t key[12], cell[32];
			memcpy(key, entries[which].key, sizeof key);
			memcpy(cell, entries[which].cell, sizeof cell);
			key[8] = (uint8_t)random_below(&w->seed, 40);
			cell[1 + random_below(&w->seed, sizeof cell - 1)] ^=
				(uint8_t)random_below(&w->seed, random_below(&w->seed, 3) ? 1 : 256);
			if (key[0] == 'Q')
				cell[13] = (uint8_t)random_below(&w->seed, 40);
			ok(tree_put(&w->dirty, &w->system, key, entries[which].key_len, cell,
			            entries[which].cell_len, NULL));
		}
		world_commit(w);
		w->slice = 1 + (unsigned)random_below(&w->seed, 20);
		world_begin(w);
		struct pager pager = world_pager(w);
		uint64_t n;
		bool stuck;
		fine(ref_each(&pager, &w->system, meet_count, NULL));
		fine(ref_queue_each(&pager, &w->system, meet_waiting, NULL));
		for (uint64_t no = PAGE_FIRST; no < 40; no++)
			fine(ref_extra(&w->dirty, (struct page_ptr){ .no = no, .birth = 2 }, &n));
		fine(ref_share(&w->dirty, (struct page_ptr){ .no = 20, .birth = 2 }));
		fine(tree_del(&w->dirty, &w->tree, "deeper", 6));
		fine(tree_clear(&w->dirty, &w->tree, NULL, 0, NULL, 0, &n));
		for (unsigned i = 0; i < 4; i++)
			fine(ref_slice(&w->dirty, &w->system, w->slice, &stuck));
		fine(ref_write(&w->dirty, &w->system));
		world_close(w);
	}
}
END_TEST

static Suite *refs_suite(void)
{
	Suite *suite = suite_create("refs");
	TCase *c = tcase_create("nested");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 600);
	tcase_add_loop_test(c, random_trees_of_trees_are_maps_of_maps, 0, 4);
	tcase_add_loop_test(c, a_hundred_thousand_levels_are_no_matter, 0, 2);
	tcase_add_test(c, a_refused_release_changes_nothing);
	tcase_add_test(c, a_tree_in_itself_is_an_error);
	suite_add_tcase(suite, c);
	c = tcase_create("shared");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 600);
	tcase_add_loop_test(c, random_copies_are_copies, 0, 4);
	suite_add_tcase(suite, c);
	c = tcase_create("removed");
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_set_timeout(c, 600);
	tcase_add_loop_test(c, bad_entries_are_told, 0, ENTRIES);
	tcase_add_loop_test(c, random_entries_do_no_harm, 0, 2);
	tcase_add_loop_test(c, what_is_removed_goes_bit_by_bit, 0, 4);
	tcase_add_test(c, a_large_map_waits_as_one);
	tcase_add_test(c, what_goes_from_both_places_and_is_damaged_waits);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(refs_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
