/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying states: what they hold goes from a source (a prefix, a backup stream) to a sink (a backup
 * stream, a page file), state by state, and of each state what changed since the one before it, in
 * the order of keys. It is keys and cells that travel, not pages: so what arrives lies clustered,
 * and a large value passes in pieces.
 *
 *   prefix --copy_plan--+            +-- backup.c --> stream
 *                       +--> sink >--+
 *   stream --copy_decode+            +-- copy_build --> page file
 */
#ifndef DURAMEN_PREFIXES_COPY_H
#define DURAMEN_PREFIXES_COPY_H

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

/* Negative results end the copying and are returned. What is lent lasts for the call. */
struct copy_sink {
	int (*state)(void *ctx, const struct copy_state *state);
	/*
	 * Before the changes of a state: a name of it, or, with the last state, of one before the
	 * first. Those that no state has brought are no names any more.
	 */
	int (*name)(void *ctx, const struct state_name *name);
	int (*put)(void *ctx, const void *key, size_t len, const struct cell *cell);
	/*
	 * A value of its own run: the bytes of its cell before those that name the run; its
	 * pieces.
	 */
	int (*run)(void *ctx, const void *key, size_t len, const struct cell *head, uint64_t bytes);
	int (*piece)(void *ctx, const void *data, size_t n);
	int (*run_end)(void *ctx);
	int (*del)(void *ctx, const void *key, size_t len);
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

/* ---- copy_decode.c: states of a stream ---- */

/* All of them, up to and with the final block. DUR_E_CORRUPT. meter->done: bytes read are added. */
int copy_decode(struct stream_in *in, const struct stream_header *header, struct copy_meter *meter,
                const struct copy_sink *sink, void *ctx);

/* The letters that records in a stream begin with. */
enum copy_record {
	COPY_STATE = 'S',
	COPY_NAME = 'N',
	COPY_PUT = 'P',
	COPY_RUN = 'R',
	COPY_DEL = 'D',
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
	struct run_writer *run;
	struct cell_head {
		uint8_t key[TREE_KEY_MAX], cell[32];
		size_t len, cell_len;
		uint64_t bytes;
	} head;
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

#endif
