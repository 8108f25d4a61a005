/* SPDX-License-Identifier: Apache-2.0 */
/* Handles: workspace, prefix, view. model/ reads and writes collections through views. */
#ifndef DURAMEN_PREFIXES_PREFIX_H
#define DURAMEN_PREFIXES_PREFIX_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/key.h"
#include "engine/seq.h"
#include "engine/tree.h"
#include "internal/bytes.h"
#include "internal/error.h"
#include "prefixes/shared.h"

struct dur_workspace {
	char    *dir;                   /* absolute */
	unsigned mode;                  /* of new files */
	void   (*log)(void *ctx, int level, const char *text);
	void    *log_ctx;
	uint32_t generation;
	_Atomic uint32_t attached;
};

enum { VIEW_POOL = 16 };

struct dur_prefix {
	dur_workspace *workspace;       /* NULL: attached by path */
	struct shared *shared;
	char     name[256];             /* or the end of its path */
	uint32_t generation;
	bool     read_only, raw, hold_lock;
	int      lock_ms;               /* -1: no limit */
	uint64_t memory_bytes;
	uint64_t waited;                /* atomic: what dur_wait() last returned */
	_Atomic(dur_view *) pool[VIEW_POOL];    /* closed views, a thread's own first */
	pthread_mutex_t views_mutex;
	dur_view *views;                /* all ever made, open or not; for detach */
	dur_view *spare;                /* closed ones that found no place in the pool */
};

/* VIEW_ANCHOR reads nothing: it keeps its prefix attached, and an iterator that has no view of a user's. */
enum view_kind { VIEW_CLOSED = 0, VIEW_SNAPSHOT, VIEW_TXN, VIEW_ANCHOR };

struct dur_view {
	uint32_t kind;                  /* enum view_kind */
	uint32_t stamp;                 /* of its present life: dur_coll holds it */
	uint32_t generation;
	int      failed;                /* the first failed write: bars the commit */
	bool     lenient;
	bool     raw;
	dur_prefix *prefix;
	struct pager pager;
	struct tree *catalog;           /* &tree, or the transaction's */
	struct tree  tree;
	struct txn  *txn;
	uint64_t state;
	uint64_t writes;                /* counts what makes pages go: writing calls, unpack */
	struct unpack *unpack;          /* for packed states; kept from one life to the next */
	struct coord_pin pin, old_pin;
	uint64_t newest, newest_record; /* of a snapshot: the state that pin holds, and its record */
	dur_iter *iters;                /* model: open ones */
	dur_iter *iter_spare;           /* model: closed ones, kept for the next */
	void   (*model_end)(dur_view *v, bool forget);  /* closes iterators; forget: frees all */
	struct key_arena arena;         /* what decoding the last value put together */
	uint64_t written_bytes, peak_bytes, pages_read;
	dur_view *next_made, *next_spare;
	void    *nth;                   /* model: the cursor of dur_nth() */
	struct list_near near;          /* model: the leaf of the last get of a list, in a snapshot */
	uint64_t near_writes;           /* the view's count then */
	/* model: handles to collections. Stamps are of one series: no two meanings share one. */
	uint32_t last_stamp;            /* the newest that was given out, for a life or until a write */
	uint32_t lent_stamp;            /* of collections within values that a transaction has lent */
	uint64_t lent_writes;           /* the view's count then */
	struct rows *rows;              /* model/rows.h; kept from one life to the next */
	bool     rows_used;             /* in this life */
	struct kept *kept;              /* model/kept.h */
	struct marks *marks;            /* model/mark.c; NULL: none in this life */
};

/* 0 or DUR_E_MISUSE, DUR_E_FORKED, with message. */
int workspace_check(const dur_workspace *ws);
int prefix_check(const dur_prefix *p);
int view_check(const dur_view *v);

/* workspace.c: where a prefix lives. Caller frees *path. */
int workspace_path(const dur_workspace *ws, const char *name, char **path);
/* Path of the coordination file of a page file. Caller frees. */
char *coord_path(const char *path);

/*
 * attach.c: the lock, which comes with a transaction; from then on the store keeps it, until
 * store_hold(store, false).
 */
int prefix_hold(dur_prefix *p);

/* create.c: makes a page file at path (its folders too); -EEXIST: somebody was faster. */
int prefix_create(const dur_workspace *ws, const char *path, uint32_t flags, const char *keep,
                  unsigned mode);
/* The folders above path, up to the workspace: makes them, removes those that are empty. */
int prefix_folders(const dur_workspace *ws, const char *path);
void prefix_drop_folders(const dur_workspace *ws, const char *path);
int prefix_create_private(uint32_t flags, const char *keep, int *fd);

/* view.c: a view without a state, for an iterator of a prefix; dur_close() ends it. */
int view_anchor(dur_prefix *p, dur_view **v);
/* All views that were ever made; -EBUSY if one is open. */
int  views_busy(dur_prefix *p);
void views_free(dur_prefix *p);
/* A snapshot of a state as known_in told of it; found anew unless that is the newest still. */
int  view_open_known(dur_prefix *p, const struct state *known, uint64_t known_in, dur_view **snap);

/* Pins the newest state. Attaching publishes one; only a coordination file that was reset has none. */
static inline int pin_newest(struct shared *s, struct coord_pin *pin, struct coord_published *newest)
{
	int rc = coord_pin_latest(s->coord, pin, newest);

	return likely(rc <= 0) ? rc : error_set(DUR_E_FAILED, "no state is published in shared memory any "
	                                        "more: detach the prefix and attach it anew");
}

/* states.c: pins the newest state for a look at history; unpin with coord_unpin(). */
/* Whether a text may name a state: DUR_E_NAME with what is wrong. */
int state_name_check(const char *name);
int prefix_newest(dur_prefix *p, struct coord_pin *pin, struct state *newest);

#endif
