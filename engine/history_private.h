/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of history share: the writer's memory, and the encodings of the system tree. */
#ifndef DURAMEN_ENGINE_HISTORY_PRIVATE_H
#define DURAMEN_ENGINE_HISTORY_PRIVATE_H

#include "engine/history.h"
#include "engine/runs.h"

/* A retired run of pages that is not free yet. */
struct pending {
	uint64_t no, birth, death;
	uint32_t n;
	uint8_t  class;                 /* enum page_class */
	bool     persisted;             /* stands under 'L' as of the last fold */
};

/* First in, first out, in order of death. */
struct queue {
	struct pending *items;
	size_t head, n, cap;            /* [head, n) wait */
};

/* Pages that nothing but pins holds, under one pin that holds them all. */
struct bucket {
	uint64_t pin;
	struct queue entries;
};

/* Chunks of the file whose free pages changed since the last fold: a bit each. */
struct chunks {
	uint64_t *bits;
	uint64_t n;                     /* bits there is room for */
};

struct history {
	struct file *file;
	bool     loaded;
	uint64_t at_state, at_record;   /* it stands at */
	uint64_t file_pages;
	struct runs free;               /* pages to be used again, that have space */
	struct runs holes;              /* and those whose space was given back, as far as known */
	struct chunks looked;           /* chunks whose holes are known: none in `free` */
	bool     keeps;                 /* the file system takes no space back */
	uint64_t taken;                 /* pages taken for commits so far */
	struct chunks changed, folding;
	struct queue data, system;      /* wait for retention / for durability */
	struct bucket *buckets;         /* wait for pins */
	size_t   n_buckets, cap_buckets;
	uint64_t *gone;                 /* pages under 'L' that were freed since the last fold */
	size_t   n_gone, cap_gone;
	uint64_t pending_pages;         /* in queues and buckets */
	uint64_t pending_data_pages;
	uint64_t dead_pages;            /* under 'D' with a death above drained */
	uint64_t drained;               /* dead lists up to this death are in memory's hands */
	uint64_t dead_next;             /* the first death under 'D' above it; UINT64_MAX: none */
	struct state *recent;           /* since the fold, that record included, oldest first */
	size_t   n_recent, cap_recent;
	uint64_t fold, fold_record;
	bool     is_folding;            /* between history_fold() and its commit or undo */
	struct tree tree;               /* the system tree as of the fold */
	struct hash128 newest_hash;
};

enum {
	CHUNK_SHIFT = 13,               /* pages in a chunk of the free map: 8,192 */
	CHUNK_PAGES = 1 << CHUNK_SHIFT,
	KEY_STATE = 'S', KEY_DEAD = 'D', KEY_LIMBO = 'L', KEY_FREE = 'F', KEY_HEADER = 'H',
	SYSTEM_KEY_MAX = 11,
	DEAD_PART = 60,                 /* entries in one part of a dead list: fits a cell at their longest */
	/* With a bound of at most so many states, retired pages wait in memory, not under 'D'. */
	MEMORY_STATES = 4096,
};

/* ---- history_tree.c: keys and cells of the system tree ---- */
size_t history_key(uint8_t *to, unsigned kind, uint64_t number);
size_t history_key_dead(uint8_t *to, uint64_t death, unsigned part);
size_t history_state_encode(const struct state *state, uint8_t *to);
int    history_state_decode(uint64_t number, const struct cell *cell, struct state *state);
int    history_put(struct txn *txn, const uint8_t *key, size_t len, const uint8_t *cell, size_t cell_len);
/* Every entry of a kind whose number lies in [from, to]; nonzero from visit ends it and is returned. */
int    history_each(const struct pager *pager, const struct tree *tree, unsigned kind, uint64_t from,
                    uint64_t to, int (*visit)(void *ctx, uint64_t number, const struct cell *cell),
                    void *ctx);
int    history_damaged(const char *what);

/* ---- history_space.c ---- */
int  history_free_add(struct history *history, uint64_t no, uint64_t n);
int  history_free_remove(struct history *history, uint64_t no, uint64_t n);
int  history_changed(struct history *history, uint64_t no, uint64_t n);
int  history_chunks_reserve(struct chunks *chunks, uint64_t chunk);
void history_space_clear(struct history *history);
/* The lowest place for n pages in a set of runs that does not cross a window. 0, 1: none. */
int  history_fit(struct history *history, struct runs *runs, uint64_t n, uint64_t *no);
/* Free pages of a chunk as a cell; 0: none. */
size_t history_chunk_encode(const struct history *history, uint64_t chunk, uint8_t *to);
int  history_chunk_decode(struct history *history, uint64_t chunk, const struct cell *cell);

/* ---- history_holes.c ---- */
/* Pages free and holes. */
static inline uint64_t history_free_total(const struct history *history)
{
	return history->free.total + history->holes.total;
}
/*
 * Takes what is a hole in [no, no + n) out of `free`. 0: nothing was, 1: something was (look for a
 * place again), or negative.
 */
int  history_look(struct history *history, uint64_t no, uint64_t n);
/* Space for n pages again, from holes, into `free`; ahead of use if that is not much. 1: no such hole. */
int  history_refill(struct history *history, uint64_t n, bool direct, uint64_t *no);
/* Calls fn for each run of free pages and holes that reaches into [from, to), until it returns false. */
bool history_free_visit(const struct history *history, uint64_t from, uint64_t to,
                        bool (*fn)(void *ctx, uint64_t start, uint64_t n), void *ctx);

/* ---- history_release.c ---- */
int  history_queue_push(struct queue *queue, const struct pending *entry);
/* Room for one more page in gone. */
int  history_gone_reserve(struct history *history);
void history_queues_clear(struct history *history);
/* The first death under 'D' above drained. */
int  history_dead_next(struct history *history);

int  history_recent_push(struct history *history, const struct state *state);

#endif
