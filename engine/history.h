/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of pages and states over time. The system tree, whose root is in each record, holds, as of
 * the last fold:
 *
 *   'F' chunk        be32            free pages of 8,192 pages of the file: runs or a bitmap
 *   'S' state        be64            the state index: time, catalog root, counters, label
 *   'D' death, part  be64 be16       dead lists: data pages retired by a state, still retained
 *   'L' page         be64            pages retired that only a pin held at the fold
 *   'K' state, birth, page  be64 *3  pages that kept states hold, by the youngest of them
 *   'X' state        be64            states dropped whose pages under 'K' are still to be freed
 *   'N' name                         the state of a name
 *   'M' state, name  be64            the names of a state
 *   'B' death        be64            packs of old pages, by the last death in them (pack_list.h)
 *   'Q' sequence     be64            removed collections that wait to be let go of (refs.h), and
 *   'R' page         be64            parents of pages that have several (refs.h): as of the state itself
 *   'H'                              counters as of the fold
 *
 * What happened since stands in the records from the fold's on; a writer replays them (at most some
 * hundred), nobody scans the file. A fold rides in an ordinary commit every HISTORY_FOLD_EVERY commits.
 *
 * Release (I1, I2): a retired page is free when the state that retired it is durable and published, no
 * retained state and no pin found by a scan begun after that lies in [birth, death), and, for a record, the
 * safe slot's base has reached it. Pages that only a pin holds wait in a list of that pin, so that a scan
 * costs what it frees.
 *
 * The functions that change memory are called under the turn; those that read states by any thread.
 */
#ifndef DURAMEN_ENGINE_HISTORY_H
#define DURAMEN_ENGINE_HISTORY_H

#include "engine/record.h"
#include "engine/store.h"

enum { HISTORY_FOLD_EVERY = 64 };

struct history;
struct batch;

/* What a commit changes about retention, beside the policy. It folds. */
struct history_change {
	const struct state_name *names; /* each given to its state, or taken away where that is 0 */
	size_t n_names;                 /* no name twice */
	const char *keep;               /* the new policy: kept states are looked at anew; NULL: as it was */
};

int  history_open(struct file *file, struct history **history);
void history_close(struct history *history);

/*
 * Whether a state can count so many pages. A file may have fewer: free ones at its end are not there if a
 * flush that failed lost them. But it takes time and memory to note them. DUR_E_CORRUPT.
 */
int  history_check_pages(struct file *file, uint64_t pages);
/*
 * Brings the memory to the state of `newest` by loading the fold and replaying the records since. Used when
 * a writer starts, after recovery, and when another process has written meanwhile.
 */
int history_load(struct history *history, const struct record *newest);
/* Whether it stands at this state (same number and record page). */
bool history_stands_at(const struct history *history, uint64_t number, uint64_t record);

/* ---- Space for a transaction (the dirty_host of commit.c forwards to these) ---- */

/* n contiguous pages for a spill or a run; grows the file (by the caller's own writes if large). */
int  history_take(struct history *history, uint64_t n, uint64_t *no);
void history_give(struct history *history, uint64_t no, uint64_t n);
/*
 * Space for a commit's n pages: one extent while there is a free run that long; scattered over the lowest
 * holes once free space passes half of what is live; else the file grows. *n_extents <= cap; cap >= 1.
 */
int  history_extents(struct history *history, uint64_t n, struct extent *extents, unsigned cap,
                     unsigned *n_extents);

/* ---- Commit ---- */

/*
 * Fills what the new record says of history: oldest, states, commits, file_pages, live_pages,
 * retained_pages, keep, fold, fold_record, drained. previous is the record it builds on. The policy is
 * record->state.keep. retained_pages and live_pages count what the record retires.
 * system_pages comes in as the previous state's with those that the transaction made. Call after placing,
 * with state.record set; if history_fold() ran for this transaction,
 * fold and fold_record name the record itself.
 */
int  history_describe(struct history *history, const struct record *previous, struct record *record);
/* Whether some pages have several parents as of the head. */
bool history_shares(const struct history *history);
/* Removed collections wait to be let go of, and nothing stands in the way. */
bool history_removal_due(const struct history *history);
/* Something does: it is not tried again by this process until it loads anew. */
void history_removal_stuck(struct history *history);
/* There never was a fold, so that the system tree is empty: before anything else stands in it, fold. */
bool history_never_folded(const struct history *history);
/* A fold is due: call history_fold() before placing. */
bool history_fold_due(const struct history *history);
/*
 * Puts what happened since the last fold into txn->system (its own pages in txn->dirty, class system), and
 * retires the records it makes superfluous. On failure the transaction is barred. Nothing in memory
 * changes until history_committed().
 */
int  history_fold(struct history *history, struct txn *txn, const struct history_change *change);
/* The record stands (its pages and its bytes are written, it is the head). folded: history_fold() ran. */
int  history_committed(struct history *history, const struct record *record, bool folded);
/* The transaction that called history_fold() failed to commit. */
void history_fold_undo(struct history *history);

/*
 * Gives free what may go now. durable: the newest state that is durable and published; safe_base: the base
 * of the safe slot. pins: of a scan begun after that publishing. Bounded work a call.
 */
int  history_release(struct history *history, uint64_t durable, uint64_t durable_oldest,
                     uint64_t safe_base, const struct store_pins *pins);
/* Anything that a release could free, if pins allow (saves the scan). */
bool history_release_due(const struct history *history, uint64_t durable, uint64_t durable_oldest);

/*
 * Whether a state is retained as of the head, and whether one in [birth, death) is, so that a page of
 * that life is to be kept. May say yes of a number in the range that is no state; never a wrong no.
 */
int  history_retained(struct history *history, uint64_t state, bool *retained);
int  history_retained_between(struct history *history, uint64_t birth, uint64_t death, bool *retained);

/* How many states the policy's range is bounded by; 0: no such bound. */
uint64_t history_keep_last(const char *keep);
/*
 * Whether states leave the range before a flush every so often has made them durable: by number, or
 * by a time that is shorter.
 */
bool history_lets_go(const char *keep, uint32_t flush_ms);
/*
 * What retention has let go of is not free yet, or there is more to let go of: commits that hold nothing
 * else (store_maintain()) go on with it.
 */
bool history_work_due(const struct history *history);
/* Differs from what it was if something of that was done since. */
uint64_t history_work_mark(const struct history *history);
/* Of that, something that only a commit does; the rest is releasing. */
bool history_commit_due(const struct history *history);
/* Of that, a slice that takes a fold: kept states wait to be looked at or let go of. */
bool history_slice_due(const struct history *history);

struct history_size {
	uint64_t file_pages;
	uint64_t free_pages;            /* to be used again, holes included */
	uint64_t hole_pages;            /* of these, those whose space is known to be given back */
	uint64_t taken_pages;           /* taken for commits since it was opened */
};
void history_size(const struct history *history, struct history_size *size);

/*
 * Gives free space back to the file system: whole runs, the highest first. It is as if their pages
 * were overwritten: so only what is free is, which I1 and I2 allow. The turn and the lock are the
 * caller's. *given: pages; 0: there was nothing, or this file system keeps what it has.
 */
int  history_give_back(struct history *history, const struct give_back *how, uint64_t *given);

/* ---- Packing (pack_batch.h) ---- */

/* Enough has died since the last batch, or the oldest pack has nothing that is retained. */
bool history_pack_due(const struct history *history);
/* Pages have died since the last fold that packing could deal with after another one. */
bool history_pack_waits(const struct history *history);
/*
 * Lists what a batch has to look at, of deaths that stand under 'D'. 0, or 1: there is nothing to do. The
 * caller frees the batch in any case.
 */
int  history_pack_gather(struct history *history, struct batch *batch);
/* Whether all still stands that the batch was made of. 0, or 1: it is stale. Fills batch->rest. */
int  history_pack_check(struct history *history, struct batch *batch);
/*
 * After history_fold() of the same transaction: writes the pack and its index, retires the raw pages of what
 * is in it, takes them out of the dead lists, and drops the oldest pack if nothing of it is retained.
 * The raw pages are retired as pages of the system: so they are held by pins in [birth, this state), and by
 * no retention (I2: decoding may need them until this state is published).
 */
int  history_pack(struct history *history, struct txn *txn, struct batch *batch);
/* What `newest` says of packing: the horizon, below which states are read through the index. */
int  history_packed(struct file *file, const struct tree *system, uint64_t *packed, uint64_t *pack_pages);

/* ---- Reading states (any thread; the newest is pinned by the caller) ---- */

int history_find(struct file *file, const struct record *newest, uint64_t number, struct state *out);
int history_find_time(struct file *file, const struct record *newest, int64_t time_ns, uint64_t *number);
int history_back(struct file *file, const struct record *newest, uint64_t n, uint64_t *number);
int history_states(struct file *file, const struct record *newest, uint64_t from, bool upward,
                   struct state *out, uint32_t cap, uint32_t *n);

/* The state of a name; 1: there is no such name. */
int history_name_find(struct file *file, const struct record *newest, const char *name, uint64_t *state);
/* Names in the order of their bytes, after the first skip. */
int history_names(struct file *file, const struct record *newest, uint64_t skip, struct state_name *out,
                  uint32_t cap, uint32_t *n);
/*
 * Whether a state of the chain is retained as of newest: as history_find(), for one whose time and the
 * next one's are known.
 */
int history_holds(struct file *file, const struct record *newest, uint64_t number, int64_t time_ns,
                  int64_t next_ns, bool *retained);

/*
 * Adds, to pages[holder] of each pin, the pages that would be free as of newest but for the pins of that
 * holder alone. Sorts pins.
 */
int history_held(struct file *file, const struct record *newest, struct store_holding *pins, size_t n,
                 uint64_t *pages);

/*
 * pages[i]: what would be free, but for pins, if names[i] went; 0 where something else keeps its
 * state too.
 */
int history_names_held(struct file *file, const struct record *newest,
                       const struct state_name *names, size_t n, uint64_t *pages);
/* Pages that states below the range hold, as of the last fold. */
int history_kept_pages(struct file *file, const struct record *newest, uint64_t *pages);

/* ---- For check: every page that is not reachable, as of a record ---- */

struct history_visitor {
	void *ctx;
	int (*free)(void *ctx, uint64_t no, uint64_t n);
	int (*retired)(void *ctx, const struct retired *retired, uint64_t death);
	int (*record)(void *ctx, uint64_t no, uint64_t n);      /* records from the newest to the fold's */
};
int history_visit(struct file *file, const struct record *newest, const struct history_visitor *visitor);

#endif
