/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree in a file of its own with commits, aborts and spills, and beside it a model: a sorted array. Tests
 * do the same to both and compare.
 */
#ifndef DURAMEN_TESTS_TREE_KIT_H
#define DURAMEN_TESTS_TREE_KIT_H

#include "engine/tree.h"
#include "tests/page_kit.h"

struct entry {
	uint32_t key_len, cell_len;
	uint64_t run_length;            /* 0: the cell names no run */
	uint8_t bytes[];                /* key, cell */
};

struct model {
	struct entry **entries;         /* in order */
	size_t n, cap;
};

struct bed {
	int fd;
	struct file *file;
	struct kit_space space;
	struct dirty dirty;
	bool writing;
	uint64_t limit_bytes;           /* of transactions */
	uint64_t state;
	struct tree tree, tree_before;
	struct model model, model_before;
	uint64_t pages, pages_before;   /* reached by the tree, runs' included */
	uint64_t seed;                  /* of random_u64 */
	struct entry **made;            /* every entry ever, freed at the end */
	size_t n_made, cap_made;
};

void bed_open(struct bed *b, uint64_t seed);
void bed_close(struct bed *b);

/* The tree's view: of the transaction if there is one. */
struct pager bed_pager(struct bed *b);
/* A transaction; put and del begin one if there is none. */
void bed_begin(struct bed *b);
void bed_commit(struct bed *b);
void bed_abort(struct bed *b);

void bed_put(struct bed *b, const void *key, size_t len, const void *cell, size_t cell_len);
/* A cell that names a run of this many bytes. */
void bed_put_run(struct bed *b, const void *key, size_t len, uint64_t run_length);
void bed_del(struct bed *b, const void *key, size_t len);
void bed_clear(struct bed *b, const void *from, size_t from_len, const void *to, size_t to_len);

/* Where the model has the key, or would have it. */
size_t model_find(const struct model *m, const void *key, size_t len, bool *found);
/* The model alone: for writes that the tree may refuse. */
void model_remember(struct bed *b, const void *key, size_t len, const void *cell, size_t cell_len);
void model_forget(struct model *m, size_t from, size_t to);

/* One look-up of every kind. */
void bed_check_key(struct bed *b, const void *key, size_t len);
/* Everything: both ways through all entries, ranks, n-th, the structure of every page, no page lost. */
void bed_check(struct bed *b);
/* The structure alone; returns how many pages the tree reaches. */
uint64_t bed_walk(struct bed *b);

#endif
