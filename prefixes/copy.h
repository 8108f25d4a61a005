/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying states: what they hold goes from a source (a prefix, a backup stream) to a sink (a backup
 * stream, a page file), state by state, and of each state what changed since the one before it, in
 * the order of keys. It is keys and cells that travel, not pages: so what arrives lies clustered,
 * and a large value passes in pieces.
 *
 * A cell may name pages: the run of a large value, the trees of collections, any number of them if
 * it is an embedded collection. Then its parts follow it, one for each page that it names, in the
 * order in which they stand in it. A part is all that the pages hold, or it goes on from what the
 * copy has at the same path already: unchanged, or the changes of a tree, whose cells may have parts
 * again. So the copy's cells are the origin's but for page numbers and depths of trees, which are
 * blank on the way; what is embedded there is embedded here.
 *
 *   prefix --copy_plan--+            +-- backup.c --> stream
 *                       +--> sink >--+
 *   stream --copy_decode+            +-- copy_build --> page file
 */
#ifndef DURAMEN_PREFIXES_COPY_H
#define DURAMEN_PREFIXES_COPY_H

#include "engine/nest.h"
#include "engine/store.h"
#include "engine/stream.h"
#include "engine/tree.h"
#include "prefixes/newfile.h"
#include "prefixes/prefix.h"

struct copy_state {
	uint64_t number, commits;
	uint64_t entries; /* of its catalog, for checking */
	int64_t time_ns;
	char label[64];
	char keep[64]; /* the policy as of it */
};

enum copy_part {
	COPY_WHOLE = 'W',   /* bytes and an end; of a tree of cells puts and a close */
	COPY_KEPT = 'K',    /* nothing follows: the same pages as before */
	COPY_CHANGED = 'M', /* a tree of cells: puts and removals, of a list items and cuts; a close */
};

/* In a list that changes. */
enum copy_item {
	COPY_SET = 'V',    /* in place of the item there */
	COPY_INSERT = 'I', /* in front of it */
	COPY_CUT = 'C',
};

/* Negative results end the copying and are returned. What is lent lasts for the call. */
struct copy_sink {
	int (*state)(void *ctx, const struct copy_state *state);
	/*
	 * Before the changes of a state: a name of it, or, with the last state, of one before the
	 * first. Those that no state has brought are no names any more.
	 */
	int (*name)(void *ctx, const struct state_name *name);
	/*
	 * Of the innermost collection that is open, the catalog at first. If the cell names pages its
	 * parts come next; what it names is blank. Of lists key is NULL: behind all that is there.
	 */
	int (*put)(void *ctx, const void *key, size_t len, const struct cell *cell);
	/*
	 * The next part of the innermost cell that has parts to come. nth, unless it is whole: which of
	 * the pages named by the cell that the innermost put outside of whole collections replaces.
	 */
	int (*part)(void *ctx, enum copy_part how, unsigned nth);
	/* The bytes of a run or a rope, and their end. */
	int (*piece)(void *ctx, const void *data, size_t n);
	int (*bytes_end)(void *ctx);
	/* The end of a tree of cells. */
	int (*close)(void *ctx);
	int (*del)(void *ctx, const void *key, size_t len);
	/* Set or insert, as a put; n items from a position on go. Positions are those of that moment. */
	int (*item)(void *ctx, enum copy_item what, uint64_t at, const struct cell *cell);
	int (*cut)(void *ctx, uint64_t at, uint64_t n);
	int (*state_end)(void *ctx);
};

/* ---- copy_names.c: names of states ---- */

struct copy_names {
	struct state_name *of;
	size_t n, cap;
};
int copy_names_push(struct copy_names *names, const struct state_name *name);
void copy_names_free(struct copy_names *names);
/* Adds all there are as of newest, which is pinned. */
int copy_names_all(struct store *store, const struct state *newest, struct copy_names *names);
void copy_names_sort(struct copy_names *names);
/* Whether the name is in a list that was sorted, whatever its state. */
bool copy_names_have(const struct copy_names *sorted, const struct state_name *name);

/* ---- Progress ---- */

struct copy_meter {
	const dur_progress *progress; /* NULL: nobody asks */
	uint64_t done, total;         /* total 0: not known */
	uint64_t told_ms;
};
/* Calls progress about ten times a second; -ECANCELED. */
int copy_step(struct copy_meter *meter);
/* Calls it now: struct stream_end's interrupted, with a meter for ctx. */
int copy_interrupted(void *meter);

/* ---- copy_plan.c: states of a prefix ---- */

struct copy_plan {
	dur_view *snap; /* the caller's */
	dur_view *base; /* of an increment: what it builds on; else NULL */
	bool history;
	struct state last, since; /* of snap and base */
	struct copy_names names;  /* as of snap, those of the last state and older ones; to be given */
};
/* since 0: a full copy. DUR_E_GONE, DUR_E_RANGE. End it with copy_plan_end() if it succeeded. */
int copy_plan_make(dur_view *snap, uint64_t since, bool history, struct copy_plan *plan);
int copy_plan_run(struct copy_plan *plan, struct copy_meter *meter, const struct copy_sink *sink,
                  void *ctx);
void copy_plan_end(struct copy_plan *plan);

/* ---- copy_give.c: what a state holds, or what changed ---- */

struct copy_giving {
	struct copy_meter *meter;
	const struct copy_sink *sink;
	void *ctx;
};
/* before NULL: all of it. */
int copy_give(const struct copy_giving *g, const dur_view *before, const dur_view *v);

/* ---- copy_decode.c: states of a stream ---- */

/* All of them, up to and with the final block. DUR_E_CORRUPT. meter->done: bytes read are added. */
int copy_decode(struct stream_in *in, const struct stream_header *header, struct copy_meter *meter,
                const struct copy_sink *sink, void *ctx);

/* The letters that records in a stream begin with. */
enum copy_record {
	COPY_STATE = 'S',
	COPY_NAME = 'N',
	COPY_PUT = 'P', /* parts: enum copy_part */
	COPY_DEL = 'D',
	COPY_CLOSE = 'X',
	COPY_STATE_END = 'E',
};

/* ---- copy_build.c: states into a page file ---- */

struct copy_build {
	struct store *store; /* NULL: newfile is to become one */
	struct newfile *newfile;
	uint32_t file_flags; /* of a new file: FILE_RAW, FILE_MEMORY */
	const uint8_t *uuid; /* of a new file; NULL: a random one */
	uint8_t origin[16];  /* of which prefix it is a copy then; zeros: of none */
	uint64_t last;       /* the state at which all of it is there */
	uint64_t done;       /* the newest state that is there; those up to it are passed over */
	int lock_ms;
	uint64_t memory_bytes;
	/* private */
	struct txn *txn;
	struct copy_state state;
	bool passing;
	struct copy_names seen;  /* of all states so far */
	struct copy_names names; /* that the state at hand changes */
	struct copy_cells *cells; /* the collections that are open */
	struct store_host host; /* of a new file: nobody else knows of it */
	struct store_shared words;
};

extern const struct copy_sink copy_build_sink;
/*
 * All is there: flushes it. Of a new file: numbers go on from `next` if that is higher, and it is
 * closed, so that it can get its name.
 */
int copy_build_finish(struct copy_build *build, uint64_t next);
/* After any end: what is not finished is dropped. */
void copy_build_end(struct copy_build *build);

/* ---- copy_cells.c: entries into trees ---- */

/* Entries go to the catalog of a transaction from now on; none is open. */
int copy_cells_open(struct copy_cells **cells, struct txn *txn, uint64_t state);
int copy_cells_put(struct copy_cells *cells, const void *key, size_t len, const struct cell *cell);
int copy_cells_part(struct copy_cells *cells, enum copy_part how, unsigned nth);
int copy_cells_piece(struct copy_cells *cells, const void *data, size_t n);
int copy_cells_bytes_end(struct copy_cells *cells);
int copy_cells_close(struct copy_cells *cells);
int copy_cells_del(struct copy_cells *cells, const void *key, size_t len);
int copy_cells_item(struct copy_cells *cells, enum copy_item what, uint64_t at,
                    const struct cell *cell);
int copy_cells_cut(struct copy_cells *cells, uint64_t at, uint64_t n);
/* NULL is fine. If something is open it hangs nowhere: then the transaction is to be aborted. */
void copy_cells_end(struct copy_cells *cells);

/* The n-th page, from 0, that a cell names. 1: it does not name so many. */
int copy_ref(const uint8_t *cell, size_t len, unsigned n, struct nest_ref *ref);

#endif
