/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collections as cells: what a leaf holds where a value is a collection. A small one is embedded, the
 * cell holds all of it; a larger one has a tree of its own, which the cell names. Which of the two it
 * is nobody above the model sees.
 *
 *   byte 0     the kind (enum dur_type, DUR_MAP to DUR_ROPE); 40: embedded, else a tree's;
 *              80: the cell names pages, itself or in what is embedded in it
 *
 * A TREE'S CELL (80 is set, 40 is not; NEST_TREE_CELL bytes)
 *   OFFSET SIZE
 *        1    8  placed: the state in which the collection was put in this place
 *        9    8  root: birth
 *       17    6  root: page number
 *       23    6  count: entries; of a rope, bytes; at least 1
 *       29    1  depth: levels, at least 1
 *
 * AN EMBEDDED COLLECTION (40 is set): what it holds fills the rest of the cell. An empty collection is
 * always embedded.
 *   rope       its bytes
 *   others     n: entries (1 or 2 bytes), then each entry:
 *     map      length of the key (1 or 2), the key, length of the cell (1 or 2), the cell
 *     set      length of the key (1 or 2), the key
 *     list     length of the cell (1 or 2), the cell
 *
 * Keys ascend strictly as bytes. The cells are those of values (value.h) and of collections, embedded
 * ones again: an embedded collection may name runs and trees from any depth. Lengths and n are as in
 * nodes: below 128 one byte, others two, 0x80 | length >> 8 and length & 255.
 *
 * A leaf's cells are verified by nest_check() when the page is first met; everything else here takes
 * cells that were.
 */
#ifndef DURAMEN_ENGINE_NEST_H
#define DURAMEN_ENGINE_NEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "duramen.h"
#include "engine/node.h"

enum {
	NEST_KIND = 0x3f,
	NEST_EMBEDDED = 0x40,
	NEST_REFS = CELL_RUN,      /* the cell names pages; of a scalar: its run */
	NEST_TREE_CELL = 30,
	NEST_PLACED_AT = 1,        /* offsets in a tree's cell */
	NEST_ROOT_AT = 9,
	NEST_COUNT_AT = 23,
	NEST_DEPTH_AT = 29,
	/* Embedded in each other; each takes 3 bytes of the outermost one's cell at least. */
	NEST_DEPTH_MAX = TREE_CELL_MAX / 3 + 1,
};

static inline bool nest_is_collection(const uint8_t *cell)
{
	unsigned kind = cell[0] & NEST_KIND;
	return kind >= DUR_MAP && kind <= DUR_ROPE;
}

/* What a leaf holds as a rule: no collection, no run. */
static inline bool nest_is_plain(const uint8_t *cell)
{
	return cell[0] < DUR_MAP;
}

static inline bool nest_is_embedded(const uint8_t *cell)
{
	return nest_is_collection(cell) && (cell[0] & NEST_EMBEDDED);
}

static inline bool nest_is_tree(const uint8_t *cell)
{
	return nest_is_collection(cell) && !(cell[0] & NEST_EMBEDDED);
}

/* ---- The cell of a tree ---- */

struct nest_tree {
	uint32_t kind, depth;
	uint64_t placed;
	struct page_ptr root;
	uint64_t count;
};

void nest_tree_read(const uint8_t cell[NEST_TREE_CELL], struct nest_tree *tree);
void nest_tree_write(uint8_t cell[NEST_TREE_CELL], const struct nest_tree *tree);

/* ---- What is embedded ---- */

/* Entries of an embedded collection; of a rope, bytes. */
uint64_t nest_count(const uint8_t *cell, size_t len);

/* One entry: of a set without cell, of a list without key. All point into the cell. */
struct nest_entry {
	const uint8_t *key, *cell;
	uint32_t key_len, cell_len;
	uint32_t at, end; /* where it lies in the collection's cell, its lengths included */
};

/* Entries in order; not of ropes. */
struct nest_entries {
	const uint8_t *cell, *next, *end;
	unsigned kind;
	unsigned left; /* entries that are still to come */
};
void nest_entries_open(struct nest_entries *it, const uint8_t *cell, size_t len);
/* 0, or 1 at the end. */
int nest_entries_next(struct nest_entries *it, struct nest_entry *entry);

/* ---- The pages that a cell names ---- */

/* A run or the root of a tree. */
struct nest_ref {
	bool is_tree;
	struct page_ptr ptr;
	uint64_t length;     /* of a run: bytes of its value */
	struct nest_tree tree; /* of a tree: all of it */
	uint32_t at;         /* where in the outermost cell birth (8) and page number (6) stand */
	uint32_t from;       /* where in it the tree's or the scalar's own cell begins */
};

struct nest_refs {
	const uint8_t *cell, *next, *end;
	unsigned depth;
	struct {
		const uint8_t *end;
		uint16_t left;
		uint8_t kind;
	} open[NEST_DEPTH_MAX];
};
/* Of any cell, a scalar's too: in the order in which they stand. */
void nest_refs_open(struct nest_refs *it, const uint8_t *cell, size_t len);
/* 0, or 1 at the end. */
int nest_refs_next(struct nest_refs *it, struct nest_ref *ref);
/* Where a page went: the pointer of a ref that was found in this cell. */
static inline void nest_ref_set(uint8_t *cell, const struct nest_ref *ref, struct page_ptr ptr)
{
	put_u64(cell + ref->at, ptr.birth);
	put_u48(cell + ref->at + 8, ptr.no);
}

/*
 * Everything about a leaf's cell that the functions above rely on: lengths, order, counts, that byte 0
 * tells of refs just where there are some, and that their numbers can be (dirty: the page is the
 * transaction's, so they may be such pages). Of scalars only the run that they name. Does not recurse.
 * false: *why is a text without page number.
 */
bool nest_check(const uint8_t *cell, size_t len, bool dirty, const char **why);

/*
 * The way down to a nested tree, for walks that go into trees again each time one is named: in a file that
 * somebody made up, a tree may hold itself, and there would be no end to it. {0} stands at the top; each
 * tree on the way takes its outer one's way and enters. A way that goes round is noticed before it is four
 * times as long as it takes to come round (R. P. Brent, "An improved Monte Carlo factorization algorithm",
 * BIT 1980).
 */
struct nest_way {
	uint64_t depth;
	struct page_ptr mark;   /* the root at the last depth that was a power of two */
};
/* DUR_E_CORRUPT, with a message: this tree holds itself. */
int nest_way_enter(struct nest_way *way, struct page_ptr root);

#endif
