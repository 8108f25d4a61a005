/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inserting and setting. The path to the gap is owned, the cells or bytes go into the leaf, the
 * counts above are raised; a leaf that is full is cut (seq_grow.c). Much is inserted a leaf at a
 * time: each part goes behind the one before, so that all leaves but the last are full.
 *
 * The finger is the path of the last insert that cut nothing. An insert into the same leaf needs no
 * descent, and one just behind or before the last one tells that more are to come.
 */
#include "engine/refs.h"
#include "engine/seq_private.h"

/* Inserts in a row that make a trend. */
enum { TREND = 4 };

/* ---- The finger ---- */

static bool finger_good(const struct dirty *d, const struct tree *tree)
{
	const struct finger *f = &tree->finger;
	return f->dirty == d && f->moves == d->moves && tree->depth <= FINGER_DEPTH &&
	       tree->depth && tree->root.no & PAGE_DIRTY &&
	       d->pages[tree->root.no & ~PAGE_DIRTY] == f->page[tree->depth - 1];
}

/* The path from the finger, if the gap at a position is in its leaf. */
static bool finger_path(const struct dirty *d, const struct tree *tree, uint64_t at,
                        struct seq_path *path)
{
	const struct finger *f = &tree->finger;
	if (!finger_good(d, tree) || at < f->first || at - f->first > f->page[0]->n ||
	    (at == f->first && at > 0))
		return false;
	path->depth = tree->depth;
	path->first = f->first;
	path->page[0] = f->page[0];
	path->at[0] = (unsigned)(at - f->first);
	for (unsigned level = 1; level < tree->depth; level++) {
		path->page[level] = f->page[level];
		path->at[level] = f->at[level];
	}
	return true;
}

/* Whether inserts go on where the one before was: behind it or before it. */
static void finger_trend(struct tree *tree, uint64_t at, uint64_t n)
{
	struct finger *f = &tree->finger;
	int step = at == f->last_end ? 1 : at == f->last ? -1 : 0;
	if (step == 0)
		f->trend = 0;
	else if (step > 0)
		f->trend = f->trend < 0 ? 1 : f->trend < TREND ? (int8_t)(f->trend + 1) : TREND;
	else
		f->trend = f->trend > 0 ? -1 : f->trend > -TREND ? (int8_t)(f->trend - 1) : -TREND;
	f->last = at;
	f->last_end = at + n;
}

static void finger_set(struct dirty *d, struct tree *tree, const struct seq_path *path)
{
	struct finger *f = &tree->finger;
	f->dirty = d;
	f->moves = path->depth <= FINGER_DEPTH ? d->moves : UINT64_MAX;
	f->first = path->first;
	for (unsigned level = 0; level < path->depth && level < FINGER_DEPTH; level++) {
		f->page[level] = path->page[level];
		f->at[level] = (uint16_t)path->at[level];
	}
}

/* ---- Leaves ---- */

/* What is inserted at one time: cells, or bytes; never more than fit a leaf. */
struct piece {
	enum seq_kind kind;
	const struct cell *cells;
	const uint8_t *bytes;
	unsigned n;                     /* cells, bytes */
	unsigned size;                  /* that they take in a leaf */
	bool refs;
};

static void fill(struct page *leaf, unsigned at, const struct piece *piece)
{
	if (piece->kind == SEQ_LIST)
		seq_insert_cells(leaf, at, piece->cells, piece->n);
	else
		seq_insert_bytes(leaf, at, piece->bytes, piece->n);
}

static int insert_first(struct dirty *d, struct tree *tree, const struct piece *piece)
{
	struct page *page;
	int r = dirty_new(d, piece->kind, 0, tree->class, &tree->root, &page);
	if (r)
		return r;
	fill(page, 0, piece);
	tree->depth = 1;
	return 0;
}

static bool at_end(const struct seq_path *path)
{
	for (unsigned level = 1; level < path->depth; level++)
		if (path->at[level] + 1U != path->page[level]->n)
			return false;
	return path->at[0] == path->page[0]->n;
}

/* How the leaf is to be cut if it is full. */
static enum seq_cut_at cut_of(const struct tree *tree, const struct seq_path *path,
                              const struct piece *piece)
{
	int trend = tree->finger.trend;
	bool behind = path->at[0] == path->page[0]->n;
	if (piece->size > SEQ_ROOM / 4 && (piece->kind == SEQ_ROPE || piece->n > 1))
		return SEQ_FILL;
	if (at_end(path) || (trend >= TREND && behind))
		return SEQ_FILL;
	if (trend >= TREND || trend <= -TREND || path->first + path->at[0] == 0)
		return SEQ_CUT_GAP;
	return SEQ_EVEN;
}

static int insert_full(struct dirty *d, struct tree *tree, struct seq_path *path,
                       const struct piece *piece)
{
	union node_copy image;
	struct seq_put put = {
		.at = path->at[0], .units = &image.page, .cut = cut_of(tree, path, piece),
	};
	seq_image(&image, piece->kind, 0);
	fill(&image.page, 0, piece);
	int r = seq_put(d, tree, piece->kind, path, &put, piece->n);
	if (!r)
		seq_lose_finger(tree);
	return r;
}

static int insert_piece(struct dirty *d, struct tree *tree, uint64_t at, const struct piece *piece)
{
	struct seq_path path;
	int r = 0;
	if (tree->depth == 0) {
		r = insert_first(d, tree, piece);
	} else {
		if (!finger_path(d, tree, at, &path))
			r = seq_path_own(d, tree, piece->kind, at, SEQ_GAP, &path);
		if (r)
			return r;
		if (seq_used(path.page[0]) + piece->size > SEQ_ROOM) {
			r = insert_full(d, tree, &path, piece);
		} else {
			fill(path.page[0], path.at[0], piece);
			seq_path_add(&path, 0, piece->n, piece->refs);
			finger_set(d, tree, &path);
		}
	}
	if (r)
		return r;
	finger_trend(tree, at, piece->n);
	tree->count += piece->n;
	return 0;
}

/* ---- Much at a time ---- */

static int check_insert(const struct tree *tree, uint64_t at, uint64_t n)
{
	int r = seq_shape(tree);
	if (r)
		return r;
	if (at > tree->count)
		return seq_out_of_range(at, tree->count);
	if (n >= NODE_COUNT_MAX - tree->count)
		return error_set(DUR_E_LIMIT, "a list or rope cannot hold so much");
	return 0;
}

/* The rest could not be inserted: what was goes again; what its cells name stays the caller's. */
static int undo(struct dirty *d, struct tree *tree, enum seq_kind kind, uint64_t at, uint64_t done,
                int r)
{
	if (done && seq_remove_moved(d, tree, kind, at, at + done))
		d->failed = r;
	return r;
}

/* Cells from the list's head that go together. */
static void next_cells(const struct cell *cells, size_t n, struct piece *piece)
{
	*piece = (struct piece){ .kind = SEQ_LIST, .cells = cells };
	while (piece->n < n) {
		unsigned size = SEQ_SLOT + seq_cell_size(cells[piece->n].len);
		if (piece->size + size > SEQ_ROOM)
			break;
		piece->size += size;
		piece->refs |= (cells[piece->n++].bytes[0] & CELL_RUN) != 0;
	}
}

int list_insert(struct dirty *d, struct tree *tree, uint64_t at, const struct cell *cells, size_t n)
{
	struct piece piece;
	size_t done = 0;
	int r = check_insert(tree, at, n);
	for (size_t i = 0; i < n && !r; i++)
		if (cells[i].len == 0 || cells[i].len > TREE_CELL_MAX)
			r = error_set(DUR_E_LIMIT, "a cell of %u bytes does not fit a leaf",
			              cells[i].len);
	if (r)
		return r;
	for (; done < n; done += piece.n) {
		next_cells(cells + done, n - done, &piece);
		r = insert_piece(d, tree, at + done, &piece);
		if (r)
			return undo(d, tree, SEQ_LIST, at, done, r);
	}
	if (n > 1 && at + n < tree->count)
		seq_mend(d, tree, SEQ_LIST, at + n);
	return 0;
}

int rope_insert(struct dirty *d, struct tree *tree, uint64_t at, const void *bytes, uint64_t len)
{
	struct piece piece = { .kind = SEQ_ROPE };
	uint64_t done = 0;
	int r = check_insert(tree, at, len);
	if (r)
		return r;
	for (; done < len; done += piece.n) {
		piece.bytes = (const uint8_t *)bytes + done;
		piece.n = piece.size = len - done < SEQ_ROOM ? (unsigned)(len - done) : SEQ_ROOM;
		r = insert_piece(d, tree, at + done, &piece);
		if (r)
			return undo(d, tree, SEQ_ROPE, at, done, r);
	}
	if (len > SEQ_ROOM / 4 && at + len < tree->count)
		seq_mend(d, tree, SEQ_ROPE, at + len);
	return 0;
}

/* ---- What is there ---- */

int list_own(struct dirty *d, struct tree *tree, uint64_t at, uint8_t **cell, uint32_t *len)
{
	struct seq_path path;
	int r = seq_shape(tree);
	if (!r && at >= tree->count)
		r = seq_out_of_range(at, tree->count);
	if (!r)
		r = seq_path_own(d, tree, SEQ_LIST, at, SEQ_ITEM, &path);
	if (r)
		return r;
	struct cell c = seq_cell(path.page[0], path.at[0]);
	*cell = (uint8_t *)path.page[0] + (c.bytes - node_bytes(path.page[0]));
	*len = c.len;
	return 0;
}

int list_set(struct dirty *d, struct tree *tree, uint64_t at, const struct cell *cell, bool moved)
{
	struct seq_path path;
	int r = seq_shape(tree);
	if (!r && at >= tree->count)
		r = seq_out_of_range(at, tree->count);
	if (!r && (cell->len == 0 || cell->len > TREE_CELL_MAX))
		r = error_set(DUR_E_LIMIT, "a cell of %u bytes does not fit a leaf", cell->len);
	if (!r)
		r = seq_path_own(d, tree, SEQ_LIST, at, SEQ_ITEM, &path);
	if (r)
		return r;
	struct page *leaf = path.page[0];
	struct cell old = seq_cell(leaf, path.at[0]);
	uint8_t gone[TREE_CELL_MAX];
	bool release = !moved && old.bytes[0] & CELL_RUN, refs = cell->bytes[0] & CELL_RUN;
	if (release) {
		memcpy(gone, old.bytes, old.len);
		r = ref_release_cell(d, gone, old.len);
		if (r)
			return r;
	}
	if (seq_replace_cell(leaf, path.at[0], cell)) {
		if (refs)
			seq_path_add(&path, 0, 0, true);
	} else {
		union node_copy image;
		struct seq_put put = { .at = path.at[0], .skip = 1, .units = &image.page };
		seq_image(&image, SEQ_LIST, 0);
		seq_insert_cells(&image.page, 0, cell, 1);
		r = seq_put(d, tree, SEQ_LIST, &path, &put, 0);
		if (r && release)
			d->failed = r;
		seq_lose_finger(tree);
	}
	return r;
}

int rope_write(struct dirty *d, struct tree *tree, uint64_t at, const void *bytes, uint64_t len)
{
	struct seq_path path;
	int r = seq_shape(tree);
	if (!r && (len > tree->count || at > tree->count - len))
		r = seq_out_of_range(at + len, tree->count);
	/* All of it is owned before any of it is written. */
	for (int turn = 0; turn < 2; turn++) {
		for (uint64_t done = 0; done < len && !r;) {
			r = seq_path_own(d, tree, SEQ_ROPE, at + done, SEQ_ITEM, &path);
			if (r)
				break;
			uint64_t n = path.page[0]->n - path.at[0];
			n = n < len - done ? n : len - done;
			if (turn)
				memcpy((uint8_t *)path.page[0] + PAGE_HEADER + path.at[0],
				       (const uint8_t *)bytes + done, n);
			done += n;
		}
	}
	return r;
}
