/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the store share: turn.c (turns among threads, the lock between processes),
 * flush.c (slots, group flushes, publishing, confirmation), give_back.c, commit.c, recover.c, store.c. Nobody
 * else includes this.
 *
 * A commit passes through these states; each function named is the one that makes the step:
 *
 *   begun      store_begin     has the turn, and a number that a flushed ceiling covers (I5)
 *   placed     commit.c        its pages and its record have numbers and are sealed
 *   submitted  store_submitted its bytes are visible to mappings: it is the head, the turn ends
 *   durable    flush_end       a slot that names it or a later state was flushed
 *   published  publish         readers see it: after "durable", or if async after "submitted",
 *                              unless an unflushed durable commit lies below
 */
#ifndef DURAMEN_ENGINE_STORE_PRIVATE_H
#define DURAMEN_ENGINE_STORE_PRIVATE_H

#include <pthread.h>
#include <string.h>
#include <stdatomic.h>

#include "engine/history.h"
#include "engine/record.h"
#include "engine/store.h"

enum {
	CEILING_STEP_MIN = 1024,    /* numbers a slot promises beyond those handed out */
	CEILING_STEP_MAX = 1 << 24, /* far below 2^31: waiters compare low halves */
	CONFIRM_IDLE_MS = 1000,
	MAINTAIN_IDLE_MS = 20,
	ASYNC_MS = 100,
	/* Async commits may hold back so many pages, or a quarter of what lives. */
	HELD_PAGES = 4 << 20 >> PAGE_SHIFT,
	LARGE_BYTES = 16 << 20,   /* a commit that writes more flushes its pages before its slot */
	PACK_PATIENCE_MS = 20,    /* packing waits so long for a turn, then tries again later, */
	PACK_AGAIN_MS = 20,
	PACK_SLICE_MS = 100,      /* and looks after the flushes after so long */
	WAITER_PATIENCE_US = 500, /* a thread that waited longer gets the next turn handed over */
};

/* A submitted commit that no flush has covered yet. */
struct unflushed {
	uint64_t number, record, oldest;
	bool async;
};

/* A thread that waits for the turn. */
struct waiter {
	struct waiter *next;
	pthread_cond_t cond;
	int64_t since_us;
	bool granted;
};

/* The newest state that is durable and published: what release goes by (I2). */
struct settled {
	uint64_t number, record;
	uint64_t oldest; /* the oldest state it retains */
};

/* When to give space back (give_back.c). */
struct giving {
	int64_t next_ms;  /* not before; 0: nothing is planned */
	int64_t aged_ms;  /* when `use` was halved last */
	uint64_t use;     /* pages that commits took lately */
	uint64_t taken;   /* size.taken_pages as of then */
	bool going;       /* it has begun: on until the reserve is all there is */
	bool rests;       /* nothing to give, as long as the file's size is `seen` */
	struct history_size seen;
};

struct store {
	struct file *file;
	_Atomic(struct file *) scattered; /* the past is read through it; NULL: nobody did yet */
	struct history *history; /* changed under the turn only */
	struct store_host host;
	bool has_host, read_only, forked;
	uint32_t async_ms;
	uint64_t memory_bytes;
	int64_t (*clock)(void *ctx); /* NULL: the system's */
	void *clock_ctx;

	pthread_mutex_t packing; /* held by the thread that packs; taken before the turn */
	pthread_mutex_t mutex;  /* guards all that follows */
	pthread_cond_t flushed; /* a flush ended, or the store failed */

	/* The turn: one thread at a time builds a transaction. */
	bool turn_taken;
	pthread_t turn_owner;
	struct waiter *waiters, **waiters_end;

	/*
	 * The lock between processes. Taken by the owner of the turn; let go only while nobody has
	 * the turn, or by its owner.
	 */
	bool locked;
	unsigned hold;       /* attachments that keep it */
	bool failed;         /* a sync failed (I6) */
	uint64_t generation; /* grows with each failure: what was begun before is void */

	/* The chain of states. Changed by the owner of the turn. */
	bool loaded;
	struct record head; /* the newest submitted state: what the next is built on; no lists */
	struct settled settled;
	uint64_t durable; /* the newest state that a flushed slot covers */
	uint64_t published;
	struct unflushed *queue; /* submitted and above `durable`, oldest first */
	size_t n_queue, cap_queue;
	uint64_t large_newest; /* the newest state submitted whose record lists no checksums */

	/* Numbers. */
	uint64_t next;         /* the next to hand out */
	uint64_t next_at_slot; /* what it was when a slot was last written */
	uint64_t skipped_from; /* recovery skipped numbers from this on; for the next record */
	uint64_t epoch, salt;

	/* Slots: `safe` is the one that the last successful slot flush wrote. */
	int safe;
	struct slot slot; /* its contents */
	bool flushing;    /* no slot may be written now, but by who set it */

	_Atomic bool pack_due; /* history_pack_due() when a turn last ended */
	bool pack_failed;      /* it failed: not tried again by itself */

	uint64_t held_pages; /* retired by what no flush covers yet: not to be reused until then */
	int64_t async_since_ms; /* when the oldest unflushed async commit was submitted */
	int64_t active_ms;      /* the last flush or commit */
	uint64_t flushes;
	bool work_due;          /* store_maintain() has something to do */
	bool maintaining;       /* it has the turn */
	uint64_t work_mark;     /* history_work_mark() when a turn ended last */
	struct history_size size; /* as of the end of the last turn */
	struct giving giving;
};

/* A slot write and its flush. */
struct flush {
	struct slot slot;
	int index;
	uint64_t oldest; /* of the state it makes durable */
	struct iovec iov;
	struct io_write write;
	uint8_t page[PAGE_SIZE];
};

/* ---- turn.c ---- */

int64_t store_now_ms(void);
/* An absolute time in ms; -1: for ever. */
int64_t store_deadline(int timeout_ms);
/* Takes the turn. 0, -EDEADLK, DUR_E_LOCKED. */
int turn_take(struct store *store, int64_t deadline_ms);
/* Ends it; lets go of the lock if nobody needs it. The caller holds the mutex. */
void turn_end(struct store *store);
/*
 * The writer lock, with the state of things brought up to date. The caller has the turn, not the
 * mutex.
 */
int lock_take(struct store *store, int64_t deadline_ms);
/* Lets go of the lock if nothing keeps it. The caller holds the mutex. */
void lock_settle(struct store *store);
/* Lets go now. The caller holds the mutex; nobody has the turn, or the caller. */
void lock_release(struct store *store, bool clean);
/* What is in memory does not stand for the newest state any more. Takes the mutex. */
void store_unload(struct store *store);
void store_log(struct store *store, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- flush.c (all with the mutex held; those that flush drop it meanwhile) ---- */

int store_failed_error(void);
/* DUR_E_FORKED in the child of a fork, where nothing may be locked or written any more. */
int store_forked_error(const struct store *store);
/* The store fails: what is not durable is dropped, whoever waits for it learns so (I6). */
void store_fail(struct store *store);
/* Prepares the slot that will name `newest`, and claims the flush. Nobody else may be flushing. */
void flush_start(struct store *store, const struct record *newest, bool confirm,
                 struct flush *flush);
/* rc: how the flush went. Success: the slot is the safe one, its state durable and published. */
int flush_end(struct store *store, struct flush *flush, int rc);
/* Waits while a flush is in flight. 0 or DUR_E_FAILED. */
int flush_wait(struct store *store);
/* Makes all that is submitted durable. The caller has the turn, or asks for what is there now. */
int flush_all(struct store *store);
/* Waits until a state of this generation is durable; leads the next flush if nobody does. */
int flush_until(struct store *store, uint64_t number, uint64_t generation);
/*
 * Writes the newest state, which is durable, to the other slot with itself as base. Needs the turn.
 */
int confirm(struct store *store);
/*
 * Adds a commit to the chain: it is the head now; publishes it if it may be. There is room in
 * queue.
 */
void flush_enqueue(struct store *store, const struct record *record, bool async);
int flush_reserve(struct store *store);
bool store_confirmed(const struct store *store);

/* ---- store.c ---- */
int store_scattered(struct store *store, struct file **file);

/* ---- give_back.c ---- */

/*
 * Gives a slice of free space back if it is time and worthwhile; when to come again: ms, or -1. The
 * mutex is not held.
 */
int64_t give_back_tick(struct store *store, int64_t now_ms);

/* ---- commit.c ---- */

/* In a transaction: makes all durable, then frees what may go, as often as it takes. */
int store_reclaim(struct txn *txn);

/* ---- recover.c ---- */

/* Whether a is newer than b: the higher state, then the confirmed one, then the higher ceiling. */
bool slot_better(const struct slot *a, const struct slot *b);
/* The best slot that can be read, without verifying what it names. -1: none. */
int slot_choose(const struct file *file, struct slot *slot);
/*
 * Recovery of DESIGN.md section 4. The caller has the turn and the lock, not the mutex. On success
 * head, slots and numbers stand, and the state is published.
 */
int recover(struct store *store, const struct store_shared *found);

#endif
