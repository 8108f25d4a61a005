/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one process has of one page file, however often it attaches it: the store, the coordination file,
 * the background thread. The registry finds it by device and inode; POSIX record locks and flock would
 * break if a file were opened twice.
 */
#ifndef DURAMEN_PREFIXES_SHARED_H
#define DURAMEN_PREFIXES_SHARED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "duramen.h"
#include "engine/store.h"
#include "ipc/coord.h"

struct shared {
	struct shared *next;            /* in the registry */
	uint64_t device, inode;         /* of the page file */
	char    *path;                  /* NULL: private memory */
	unsigned users;                 /* attachments; under the registry's mutex */
	bool     read_only;             /* the file could not be opened for writing */
	bool     memory;
	struct store *store;
	struct coord *coord;
	struct store_host host;
	struct coord_pins pins;         /* of the writer's last scan */
	void   (*log)(void *ctx, int level, const char *text);
	void    *log_ctx;

	/* keeper.c: the background thread */
	pthread_mutex_t keeper_mutex;
	pthread_cond_t  keeper_wake;
	pthread_t       keeper;
	bool            keeper_runs, keeper_ends;
	_Atomic int     keeper_rest;    /* enum keeper_rest */
	_Atomic bool    keeper_packs;   /* it was told that there is history to pack */
	uint32_t        async_ms;       /* an async commit is on disk after this */
};

enum keeper_rest {
	KEEPER_WORKS,           /* or wakes in time for whatever is committed now */
	KEEPER_NAPS,            /* wakes later than an async commit may wait */
	KEEPER_RESTS,           /* until it is woken */
};

struct shared_options {
	const char *keep;
	uint32_t async_ms;
	uint64_t memory_bytes;
	bool     read_only;
	unsigned mode;
	void   (*log)(void *ctx, int level, const char *text);
	void    *log_ctx;
};

/* Bumped in a forked child: what was made under another number belongs to the parent. */
extern uint32_t registry_generation;

/* The page file at path, opened or found. -ENOENT, and all that attaching can say. */
int  shared_open(const char *path, const struct shared_options *options, struct shared **shared);
/* A private one, in memory, from a descriptor of a formatted memfd (owned). */
int  shared_open_memory(int fd, const struct shared_options *options, struct shared **shared);
/* -EBUSY if this process has attached it more than once. name is for the message. */
int  shared_alone(struct shared *shared, const char *name);
/*
 * The file at the path is replaced by rename(), and *now is what has come there; `shared`, of which
 * nobody else is a user and whose coordination file is claimed alone, goes on with the old file until
 * it is closed. On failure of rename() nothing has changed.
 */
int  shared_replace(struct shared *shared, const struct shared_options *options,
                    int (*rename)(void *ctx), void *ctx, struct shared **now);
/* One user less; the last one closes. Errors of the last flush. */
int  shared_close(struct shared *shared);
/*
 * For who opens the coordination file of a file that this process does not have open: until
 * shared_let_in() no thread attaches anything, since closing it then would drop that one's record
 * locks. False: this process has the file open, and nobody is kept out.
 */
bool shared_keep_out(uint64_t device, uint64_t inode);
void shared_let_in(void);

/* host.c: the engine's view of shared memory */
void host_init(struct shared *shared);

/* keeper.c */
void keeper_init(struct shared *shared);
/* Starts it, or tells it that something was committed. */
int  keeper_wake(struct shared *shared, bool async);
void keeper_end(struct shared *shared);

#endif
