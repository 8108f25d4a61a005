/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store: one page file opened by this process, shared by its threads. It reads states, and for the
 * process that may write it runs the commit, confirmation and recovery protocols of docs/design.md
 * (invariants I1 to I7). It knows nothing of shared memory: who shares the file with other processes
 * (prefixes/) gives it a `store_host`, tests give it a fake one.
 *
 * Turns: one transaction at a time per store ("the turn", a mutex among threads); the writer lock between
 * processes is taken through the host when a turn begins without it, and let go when no thread of this
 * process waits for a turn and no flush is in flight.
 */
#ifndef DURAMEN_ENGINE_STORE_H
#define DURAMEN_ENGINE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/dirty.h"
#include "engine/file.h"
#include "engine/tree.h"

struct store;
struct txn;
struct batch;

/* What a state record says about its state; enough to read it. */
struct state {
	uint64_t number;
	uint64_t previous;              /* the commit before it; 0: none */
	uint64_t oldest;                /* from here on all states are retained; of older ones, some */
	uint64_t states;                /* how many are retained, this one included */
	uint64_t record;                /* page number of its record */
	uint32_t record_pages;
	uint32_t flags;                 /* enum state_flag */
	int64_t  time_ns;               /* since 1970; never before its predecessor's */
	struct tree catalog;
	struct tree system;
	uint64_t written_bytes;         /* by this commit, its record included */
	uint64_t commits;               /* since the file was made */
	uint64_t file_pages;            /* pages in use or free; the file has at least so many */
	uint64_t live_pages;            /* reached by this state: data, system, records since the last fold */
	uint64_t retained_pages;        /* retired data pages that older retained states still reach */
	uint32_t system_pages;          /* of live_pages: system tree, records since the last fold */
	char     label[64];
	char     keep[64];              /* the retention policy's text */
	uint8_t  origin[16];            /* received: UUID of the prefix it is a copy of; else zeros */
	uint32_t names;                 /* how many it has; store_states() alone fills it */
};
enum { STATE_NAME_MAX = 63 };
struct state_name {
	char name[STATE_NAME_MAX + 1];
	uint64_t state;
};

enum state_flag {
	STATE_MAINTENANCE = 1,          /* holds no change of data: skipped by log, -N and watch */
	STATE_ASYNC = 2,
};

/*
 * It was received: every number above it may still come from its origin. So nothing is committed on
 * it that nobody asked for.
 */
static inline bool store_is_copy(const struct state *s)
{
	static const uint8_t none[sizeof s->origin];

	return memcmp(s->origin, none, sizeof none) != 0;
}

/* ---- The host: what the engine asks of shared memory ---- */

struct store_shared {
	uint64_t visible;               /* newest published state; 0: none on this boot */
	uint64_t record;                /* its record's page */
	uint64_t durable;               /* newest state that shared memory says is on disk */
	uint64_t next;                  /* state number to hand out next (when clean) */
	uint64_t epoch;
	bool     clean;                 /* the last holder let go after a successful flush (I6) */
	bool     ours;                  /* found only: nobody has held the lock since this host let go */
};

struct store_pins {
	const uint64_t *states;         /* sorted, distinct; good until the next scan */
	size_t   n;
	bool     everything;            /* a reader is about to pin: free nothing now */
	uint64_t from;                  /* [from, infinity) is pinned too; UINT64_MAX: no */
};

struct store_host {
	void *ctx;
	/*
	 * Takes the writer lock between processes, marks shared memory unclean, says what it found before.
	 * timeout_ms: -1 for ever. DUR_E_LOCKED with a message. Also checks that the path still leads here.
	 */
	int  (*lock)(void *ctx, int timeout_ms, struct store_shared *found);
	/* Lets go; words->clean, next and epoch go into shared memory first. */
	void (*unlock)(void *ctx, const struct store_shared *words);
	/* Another process waits for the lock. */
	bool (*wanted)(void *ctx);
	/* Makes a state visible (and durable, if so), wakes readers. Stores are in publishing order. */
	void (*publish)(void *ctx, uint64_t state, uint64_t record, bool durable);
	void (*durable)(void *ctx, uint64_t state);
	/* A scan of the pins begun now. */
	int  (*pins)(void *ctx, struct store_pins *pins);
	/* Something to tell (takeover, recovery, fall-back): level as in syslog(3). */
	void (*log)(void *ctx, int level, const char *text);
};

/* ---- Opening ---- */

/* The first state of a file that will hold states of another. */
struct store_first {
	uint64_t number;                /* at least 1 */
	int64_t  time_ns;
	bool     hidden;                /* only there to be built upon: maintenance, not retained */
	uint8_t  origin[16];
};

struct store_options {
	uint32_t file_flags;            /* FILE_RAW, FILE_MEMORY: only for store_create */
	const struct store_first *first; /* store_create; NULL: state 1, made now */
	const char *keep;               /* store_create: the retention policy, as policy.h has it */
	int64_t (*clock)(void *ctx);    /* ns since 1970, for the times of commits; NULL: the system's */
	void *clock_ctx;
	uint32_t async_ms;              /* an async commit is on disk after this */
	uint64_t memory_bytes;          /* default limit of a transaction's private pages */
	struct io *io;                  /* NULL: io_open(); tests give their double */
	const uint8_t *uuid;            /* store_create; NULL: random */
};

/*
 * Makes the empty prefix, state 1 (or options->first), confirmed and flushed, in the empty file fd (kept open, not owned). The
 * caller gives it its name by rename or link afterwards, so that nobody sees half of it.
 */
int store_create(int fd, const struct store_options *options);
/* Opens fd (owned). host NULL: for reading only. Reads superblock and slots, recovers nothing. */
int store_open(int fd, bool read_only, const struct store_options *options,
               const struct store_host *host, struct store **store);
/*
 * Ends it: makes everything durable, confirms, lets go of the lock if this process has it. Errors of that
 * are returned, memory is freed all the same. No transaction may be open.
 */
int store_close(struct store *store);
void store_forked(struct store *store);
struct file *store_file(struct store *store);

/* ---- Reading states (any thread, no lock) ---- */

/*
 * Decodes a record at the page that shared memory gave for a state. Fast when seen before: a snapshot's
 * catalog is at a fixed place in it. DUR_E_CORRUPT.
 */
int store_catalog(struct store *store, uint64_t state, uint64_t record, struct tree *catalog);
int store_state(struct store *store, uint64_t state, uint64_t record, struct state *out);
/* The record of the state that is on disk, which the caller has pinned; 1: it is not so any more. */
int store_durable(struct store *store, uint64_t state, uint64_t *record);
/* A retained state, looked up in newest (which the caller has pinned). DUR_E_GONE with a message. */
int store_find(struct store *store, const struct state *newest, uint64_t number, struct state *out);
/*
 * The same for a number that somebody was told of: one in the range that is no such state, as of
 * maintenance, stands for the last one before it, which holds the same.
 */
int store_find_before(struct store *store, const struct state *newest, uint64_t number,
                      struct state *out);
/* The last retained state at or before a time; 1: none. */
int store_find_time(struct store *store, const struct state *newest, int64_t time_ns, uint64_t *number);
/* The state n commits (maintenance not counted) before newest; 0 is newest itself. 1: not that many. */
int store_back(struct store *store, const struct state *newest, uint64_t n, uint64_t *number);
/* Retained states from one on (0: newest / oldest), downward or upward. *n < cap: the end. */
int store_states(struct store *store, const struct state *newest, uint64_t from, bool upward,
                 struct state *out, uint32_t cap, uint32_t *n);

/* The state of a name; 1: there is no such name. */
int store_name_find(struct store *store, const struct state *newest, const char *name, uint64_t *state);
/* Names in the order of their bytes, after the first skip. *n < cap: the end. */
int store_names(struct store *store, const struct state *newest, uint64_t skip, struct state_name *out,
                uint32_t cap, uint32_t *n);

/* ---- Writing ---- */

/*
 * Brings shared memory to life if nothing is published on this boot or the last writer did not let go
 * cleanly: takes the lock, recovers, publishes, lets go. Attach calls it when host says nothing is visible.
 * A store that failed (DUR_E_FAILED) works again after it. DUR_E_CORRUPT and nothing changed if no state
 * can be had.
 */
int store_recover(struct store *store, int timeout_ms);

struct txn {
	struct store *store;
	uint64_t number;                /* the state it becomes */
	struct state base;              /* what it was begun on */
	struct tree  catalog;           /* change it through tree.h on &dirty */
	struct tree  system;            /* the engine's own */
	struct dirty dirty;
	void *extra;                    /* private to the engine */
};

/* Takes the turn and a number. timeout_ms as in poll(2). DUR_E_LOCKED, -EDEADLK (this thread has it),
 * DUR_E_FAILED (a flush failed: attach anew), -ENOMEM. */
int store_begin(struct store *store, int timeout_ms, uint64_t memory_bytes, struct txn **txn);
/*
 * The same for a state that was made elsewhere and keeps its number, which may have been handed out
 * here before if nobody ever saw the state (I5). Commit it as received. DUR_E_RANGE: there is a state
 * of this or a higher number.
 */
int store_begin_at(struct store *store, uint64_t number, int timeout_ms, uint64_t memory_bytes,
                   struct txn **txn);
/* Numbers below `next` are not handed out any more. The caller has a transaction open. */
void store_skip_to(struct txn *txn, uint64_t next);
/* The lowest number that was never handed out. The caller has a transaction open. */
uint64_t store_next(struct txn *txn);

/* What a received state brings along. */
struct store_received {
	int64_t  time_ns;               /* not before the newest listed state's */
	uint64_t commits;
	uint8_t  origin[16];            /* of which prefix the newest state is a copy then; zeros: of none */
};

/*
 * A maintenance state of a copy is refused, DUR_E_CONFLICT: its number may be one that the origin has
 * given or will give to a state.
 */
struct commit_options {
	bool async;
	const struct store_received *received;  /* NULL: a state made here */
	const char *label;              /* NULL: none; at most 63 bytes */
	const char *keep;               /* a new retention policy, NULL: as it was (a maintenance state) */
	const char *name;               /* given to `state`, or to the new one if that is 0; NULL: none */
	uint64_t state;                 /* retained; the commit is a maintenance state then */
	bool unname;                    /* the name is taken away (a maintenance state) */
	const struct state_name *names; /* in place of one: each given to its state, 0: taken away */
	size_t n_names;
	bool maintain;                  /* goes on with letting kept states go (a maintenance state) */
	struct batch *batch;            /* packer.c: what it packs (a maintenance state that folds) */
};
/* Whether it makes no state: nothing was changed. */
bool store_is_empty(const struct txn *txn, const struct commit_options *options);
/*
 * A transaction that changed nothing makes no state, unless it has a label or a policy: *state is its base
 * (on disk, if durable).
 * Commits; durable: returns when it is on disk and published. On success txn is freed and *state tells the
 * new state. On failure txn is as before (abort it or retry) unless the flush failed (DUR_E_FAILED: aborted).
 */
int store_commit(struct txn *txn, const struct commit_options *options, struct state *state);
void store_abort(struct txn *txn);

/* Where a transaction stood. Numbers are those of dirty_mark(). */
struct txn_mark {
	unsigned number;
	struct tree catalog, system;
};
/*
 * A commit that is begun ends all marks, also when it fails. Errors bar nothing: what a write failed
 * with before, of a commit that failed beyond return DUR_E_MISUSE, -ENOMEM, what writing pages gives.
 */
int store_mark(struct txn *txn, struct txn_mark *mark);
/* Back to it; newer ones end. The same errors but for writing's, DUR_E_STALE: a commit ended it. */
int store_rollback(struct txn *txn, const struct txn_mark *mark);
/*
 * One slice of what is left to do for retention, if there is any: frees what may go and, where that
 * is not all there is to do, makes a commit that holds nothing else. store_tick() does so on idle
 * time. DUR_E_LOCKED: another thread or process has the turn.
 */
int store_maintain(struct store *store);

/* Makes all visible states durable now (no-op if they are). */
int store_sync(struct store *store);
/*
 * What is due: flush async commits, confirm after idleness, give free space back, let go of the lock if
 * wanted. Called by the host's background thread; *next_ms: when it wants to be called again, -1: after the next commit.
 */
int store_tick(struct store *store, int *next_ms);
/* What to give back to the file system, in pages. */
struct give_back {
	uint64_t reserve;               /* free pages to leave as they are */
	uint64_t run;                   /* no run shorter than this */
	uint64_t pages;                 /* at most so many */
};
/*
 * Gives free space back, if this process wrote the newest state and nobody writes now; *given: how
 * much, 0 else. store_tick() calls it with what is worthwhile. Takes the turn.
 */
int store_give_back(struct store *store, const struct give_back *how, uint64_t *given);
/* All that is free in runs worth it, nothing kept for commits to come; nothing if another process writes. */
int store_give_back_all(struct store *store);
/* Lets go of the writer lock between processes (everything is flushed first), even if it is to be held. */
int store_let_go(struct store *store);
/*
 * Keeps the writer lock from the next transaction on, even if another process wants it; false: no more.
 * Counted: each true is to be followed by a false.
 */
void store_hold(struct store *store, bool hold);

/* ---- Packing ---- */

enum { STORE_PACK_DUE = 1, STORE_PACK_ALL = 2 };
/*
 * Packs what has died, batch by batch, each in a commit of its own. STORE_PACK_DUE: batches that are
 * worth one; STORE_PACK_ALL: all that is there, and its raw pages are free when it returns, but for
 * those that pins hold. Others commit meanwhile: the turn is taken for moments. *pages: how many were packed. Ends
 * after budget_ms (-1: no limit) at a batch's end with 1: there is more. DUR_E_LOCKED and the like as
 * store_begin().
 */
int store_pack(struct store *store, int what, int timeout_ms, int budget_ms, uint64_t *pages);
/* A hint: packing would find something to do. Any thread, no lock. */
bool store_pack_due(const struct store *store);
/*
 * How a retained state is read that was looked up in `newest`: fills the pager; *unpack is made at its first
 * need and kept from state to state by the caller, who frees it with unpack_free().
 */
int store_pager(struct store *store, const struct state *newest, uint64_t number, uint64_t *moved,
                struct unpack **unpack, struct pager *pager);

/* ---- Looking inside ---- */

struct store_stat {
	uint64_t flushes, epoch;
	/*
	 * Where the file's pages are, by kind; they add up to file_pages exactly. retained: retired
	 * pages, which older states, snapshots or an unfinished flush still hold back; packed: packs of
	 * such pages; metadata:
	 * superblock, slots, system tree, records.
	 */
	uint64_t file_pages, live_pages, retained_pages, packed_pages, metadata_pages, free_pages;
	uint64_t removing;              /* entries of the removal queue */
	const char *io_name;
	bool holds_lock;
	bool failed;
};
/*
 * retained_pages and free_pages are exact when this process holds the lock and `newest` is the newest
 * state, else from newest's own counters: then pages of the system that wait for a flush or a snapshot
 * count as free. newest NULL: no pages, who asks does not need them.
 */
int store_stat(struct store *store, const struct state *newest, struct store_stat *out);

/* A pin and whose it is; holders are numbered by the caller. */
struct store_holding {
	uint64_t state;
	uint32_t holder;
	bool     onward;                /* [state, infinity) is pinned */
};
/*
 * pages[holder]: what would be free, once `newest` (pinned by the caller) is on disk, but for the pins of
 * that holder alone. Sorts pins. Costs what a writer's start does.
 */
int store_held(struct store *store, const struct state *newest, struct store_holding *pins, size_t n,
               uint64_t *pages, uint32_t holders);

/*
 * pages[i]: what would be free, but for pins, if names[i] went; 0 where something else keeps its state
 * too. Costs what a writer's start does, if one of the states is a kept one, and what these hold.
 */
int store_names_held(struct store *store, const struct state *newest, const struct state_name *names,
                     size_t n, uint64_t *pages);
/* Pages that states below the range hold, as of the last fold. */
int store_kept(struct store *store, const struct state *newest, uint64_t *pages);

struct store_problem {
	uint64_t page, state;
	const char *text;
};
struct check_options {
	bool history;                   /* every retained state, not only the newest */
	void (*report)(void *ctx, const struct store_problem *problem);
	int  (*progress)(void *ctx, uint64_t done, uint64_t total);     /* nonzero: -ECANCELED */
	/*
	 * A state of the past is held while it is looked at. 1: it is not retained any more, and left out.
	 * NULL: nobody writes meanwhile.
	 */
	int  (*hold)(void *ctx, uint64_t state);
	void (*let_go)(void *ctx);
	void *ctx;
};
/*
 * Every page of the file accounted for exactly once as of `newest` (pinned by the caller; NULL: the best
 * slot's state, for a file that nobody has attached): reachable, retired, free or metadata. 0 or DUR_E_CORRUPT.
 */
int store_check(struct store *store, const struct state *newest, const struct check_options *options);

#endif
