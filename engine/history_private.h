/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of history share: the writer's memory, and the encodings of the system tree. */
#ifndef DURAMEN_ENGINE_HISTORY_PRIVATE_H
#define DURAMEN_ENGINE_HISTORY_PRIVATE_H

#include "engine/history.h"
#include "engine/policy.h"
#include "engine/pack_list.h"
#include "engine/runs.h"

/* A retired run of pages that is not free yet. */
struct pending {
	uint64_t no, birth, death;
	uint32_t n;
	uint8_t  class;                 /* enum page_class */
	bool     persisted;             /* stands under 'L' as of the last fold */
	bool     held;                  /* of the kept queue: the fold under way put it under 'K' */
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

/* State numbers, ascending. */
struct numbers {
	uint64_t *of;
	size_t n, cap;
};

/* A state and when it was committed. */
struct moment {
	uint64_t number;
	int64_t  time_ns;
};

/* Read ahead: states of the index from the oldest of the range on. They stay until they leave it. */
enum { OLDEST_AHEAD = 128 };
struct oldest {
	struct moment of[OLDEST_AHEAD];
	unsigned at, n;                 /* [at, n) are to come */
};

/* What a fold under way changes about kept states; memory has it once the commit stands. */
struct sparse_fold {
	struct history_change change;
	uint64_t dropped;               /* kept states that go */
	uint64_t n_dropped, thin_from;  /* as in struct history, afterwards */
	struct queue loose;             /* pages from 'K' to 'L' */
	uint64_t kept_pages;            /* of the kept queue, to 'K' */
};

/* Chunks of the file whose free pages changed since the last fold: a bit each. */
struct chunks {
	uint64_t *bits;
	uint64_t n;                     /* bits there is room for */
};

struct pack_writer;

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
	struct queue kept;              /* a state below the range holds them: under 'K' with the next fold */
	struct queue loose;             /* such a state let them go; in no order */
	struct queue bases;             /* free, but that packs of kept states may decode through them */
	struct bucket *buckets;         /* wait for pins */
	size_t   n_buckets, cap_buckets;
	uint64_t *gone;                 /* pages under 'L' that were freed since the last fold */
	size_t   n_gone, cap_gone;
	uint64_t pending_pages;         /* in queues and buckets */
	uint64_t pending_data_pages;
	uint64_t dead_pages;            /* under 'D' with a death above drained */
	/* Kept states: those below the range that a name or every: keeps. See history_sparse.c. */
	struct policy policy;           /* of the newest state */
	uint64_t kept_below;            /* what 'S' has below this number as of the fold is kept */
	uint64_t n_low;                 /* so many */
	struct numbers gap;             /* those from there up to the range */
	uint64_t n_range;               /* states in the range */
	struct oldest oldest;
	uint64_t kept_pages;            /* under 'K' */
	uint64_t n_dropped;             /* under 'X' */
	uint64_t thin_from;             /* kept states from here on were not looked at under the policy */
	uint64_t drop_gate;             /* the last commit that dropped some: until it is durable they count */
	struct numbers leaving;         /* of the record described last: what it takes from the range to gap */
	uint64_t n_leaving;             /* all that it takes from the range */
	bool     more_leaving, more_leave; /* of it, of the newest: there was more than one commit takes */
	struct sparse_fold sparse;
	uint64_t drained;               /* dead lists up to this death are in memory's hands */
	uint64_t dead_next;             /* the first death under 'D' above it; UINT64_MAX: none */
	struct state *recent;           /* since the fold, that record included, oldest first */
	size_t   n_recent, cap_recent;
	uint64_t fold, fold_record;
	uint64_t fold_pages;            /* of the file when the fold under way wrote down the free space */
	uint64_t release_durable;       /* in history_release() */
	bool     is_folding;            /* between history_fold() and its commit or undo */
	/* Packing, as of the fold. */
	uint64_t packed;                /* horizon: retained nodes that died up to here are packed */
	uint64_t pack_pages;            /* of all packs */
	uint64_t raw_next;              /* the first death under 'D' above both; UINT64_MAX: none */
	uint64_t whole;                 /* packs up to this death decode through nothing outside them */
	uint64_t sweep_next;            /* packs from here on are to be looked at (history_sweep.c), */
	uint64_t sweep_skip;            /* but for those of deaths up to here */
	uint64_t drop_next;             /* the last death of the first of them; UINT64_MAX: none */
	bool     bases_due;             /* some of bases may be free now */
	unsigned merge_fails;           /* merges that found something damaged; after MERGE_TRIES none is tried */
	struct packing {                /* what the folding transaction changes */
		bool active;
		uint64_t packed, pages_before, pack_pages, whole, sweep_next;
	} packing;
	uint64_t n_shared;              /* pages and runs with several parents */
	uint64_t n_removed;             /* what waits in the removal queue */
	bool     removal_stuck;         /* of that, something cannot be read */
	/* The system tree: as of the fold, but for what commits write to it themselves (refs.h). */
	struct tree tree;
	struct hash128 newest_hash;
};

enum {
	CHUNK_SHIFT = 13,               /* pages in a chunk of the free map: 8,192 */
	CHUNK_PAGES = 1 << CHUNK_SHIFT,
	KEY_STATE = 'S', KEY_DEAD = 'D', KEY_LIMBO = 'L', KEY_FREE = 'F', KEY_HEADER = 'H',
	KEY_NAME = 'N', KEY_MARK = 'M', KEY_KEPT = 'K', KEY_DROPPED = 'X',
	HEADER_CELL = 1 + 10 * 8,
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
/* The cell of an entry under 'L'. */
size_t history_limbo_encode(const struct pending *entry, uint8_t *to);
int    history_put(struct txn *txn, const uint8_t *key, size_t len, const uint8_t *cell, size_t cell_len);
/* Every entry of a kind whose number lies in [from, to]; nonzero from visit ends it and is returned. */
int    history_each(const struct pager *pager, const struct tree *tree, unsigned kind, uint64_t from,
                    uint64_t to, int (*visit)(void *ctx, uint64_t number, const struct cell *cell),
                    void *ctx);
int    history_damaged(const char *what);

/* ---- history_names.c ---- */
/* Into txn->system. *was: the state that had the name; 0: none. */
int    history_name_change(struct txn *txn, const struct state_name *name, uint64_t *was);
/* How many names a state has; with a change that is under way (NULL: none). */
int    history_named(const struct pager *pager, const struct tree *system, uint64_t state,
                     const struct history_change *change, uint32_t *n);

/* ---- history_retain.c: which states stay ---- */
/* What decides, as of a record. */
struct retention {
	struct pager pager;
	const struct tree *system;
	struct policy policy;
	uint64_t kept_below, oldest;
	const struct history_change *change;
};
int  history_retention(struct file *file, const struct record *newest, struct retention *retention);
/* Whether a state that left the range stays; next_ns: the time of the one after it. */
int  history_keeps(const struct retention *retention, uint64_t state, int64_t time_ns, int64_t next_ns,
                   bool *kept);
/* How the range changes with the record; fills leaving, n_leaving and oldest. */
int  history_advance(struct history *history, struct state *state);
/* The memory of kept states and of the range, once the fold and the records are loaded. */
int  history_load_kept(struct history *history, const struct record *newest);
void history_leave(struct history *history, const struct state *state);
int  history_numbers_push(struct numbers *numbers, uint64_t number);
bool history_numbers_have(const struct numbers *numbers, uint64_t number);
/* A kept state in [birth, death); death is at most the oldest of the range. */
int  history_kept_in(struct history *history, uint64_t birth, uint64_t death, bool *kept);
/* The retained states next to a kept one; *previous 0: there is none before it. */
int  history_kept_beside(struct history *history, uint64_t state, uint64_t *previous, uint64_t *next);

/* ---- history_sparse.c: pages that kept states hold ---- */
int  history_sparse_fold(struct history *history, struct txn *txn, const struct history_change *change);
void history_sparse_undo(struct history *history);
/* The fold stands. */
int  history_sparse_folded(struct history *history, uint64_t state);
/* Of entries under 'K': those whose holder is in [from, to), born in (after, until]. */
struct kept_range {
	uint64_t holder_from, holder_to, born_after, born_until;
};
/* Nonzero from visit ends it and is returned, but 1. */
int  history_each_kept(const struct pager *pager, const struct tree *tree,
                       const struct kept_range *range,
                       int (*visit)(void *ctx, uint64_t holder, const struct pending *entry),
                       void *ctx);
/* The youngest state of the index before a number; 0: none. */
int  history_state_before(const struct pager *pager, const struct tree *tree, uint64_t number,
                          uint64_t *out);

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

/* ---- history_pack.c ---- */
/* Writes a pack; one of the same last death is replaced. */
int  history_pack_put(struct history *history, struct txn *txn, const struct pack_writer *writer);
/* Its run goes with it; pack_pages is the caller's. */
int  history_pack_drop(struct txn *txn, uint64_t last);

/* ---- history_merge.c ---- */
/* Packs that are to be made one, for batch. */
int  history_merge_find(struct history *history, struct batch *batch);
int  history_merge(struct history *history, struct txn *txn, const struct batch *batch);

/* ---- history_sweep.c ---- */
/* A pack has left the range and was not looked at since. */
bool history_sweep_due(const struct history *history);
/* Finds the next pack to go through, for batch. 0, 1: there is none now, 2: ask again. */
int  history_sweep_find(struct history *history, struct batch *batch);
/* Goes through it, in a folding transaction. */
int  history_sweep(struct history *history, struct txn *txn, uint64_t number);

/* ---- history_release.c ---- */
int  history_queue_push(struct queue *queue, const struct pending *entry);
/* Room for one more page in gone. */
int  history_gone_reserve(struct history *history);
void history_queues_clear(struct history *history);
/* What is next under 'D' and 'B': dead_next, raw_next, drop_next. */
int  history_dead_next(struct history *history);

/* ---- history_fold.c ---- */
/* The system tree moves with the commits that write to it themselves, too. */
int  history_system_now(struct history *history, const struct tree *system);
int  history_fold_header(struct history *history, struct txn *txn);
/* The dead list of a death, in parts that fit a cell; list is sorted by number. */
int  history_fold_list(struct txn *txn, uint64_t death, struct retired *list, size_t n);
bool history_few_states(const struct history *history);

int  history_recent_push(struct history *history, const struct state *state);

#endif
