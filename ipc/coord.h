/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordination file: the shared words of one prefix. It holds reader slots with their pins, the
 * published state, the words of the writer lock and the futexes. Nothing in it is needed after a
 * reboot: it is stamped with boot id, prefix UUID, device and inode of the page file, and reset,
 * under an exclusive lock, when any of them differs.
 *
 * One `struct coord` a process and coordination file, shared by its threads (the registry in
 * prefixes/ sees to it): POSIX record locks do not conflict within a process.
 */
#ifndef DURAMEN_IPC_COORD_H
#define DURAMEN_IPC_COORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct coord;

/* What the coordination file must have been made for. */
struct coord_identity {
	uint8_t  uuid[16];      /* of the prefix */
	uint64_t device, inode; /* of the page file */
	const char *pages;      /* its path, to see whether it was replaced meanwhile; NULL: do not */
};

/*
 * Opens the coordination file at path, making it (all its bytes written, so that a full disk is an
 * error here and not a SIGBUS later) with permission mode if needed; path NULL: an anonymous one
 * (memfd) of this process. *fresh: it was made or reset, nothing is published in it yet.
 * -EACCES with a clear message where the process may not write it. -ESTALE: another page file is at
 * identity->pages by now; open that.
 */
int coord_open(const char *path, unsigned mode, const struct coord_identity *identity,
               struct coord **coord, bool *fresh);
/*
 * Releases this process's slot and frees coord. In a forked child: frees memory only. NULL is fine.
 */
void coord_close(struct coord *coord);
/* The child of a fork: closes descriptors without unlocking anything. Called once per coord. */
void coord_forked(struct coord *coord);

/* ---- The published state (writer publishes, anybody loads) ---- */

struct coord_published {
	uint64_t state;         /* visible; 0: nothing published since the file was made */
	uint64_t record;        /* page number of its state record */
	uint64_t durable;       /* newest state known to be on disk; 0: none */
};

/* Lock-free (ring of record addresses, model m1). *out.state 0 when nothing is published yet. */
void coord_load(const struct coord *coord, struct coord_published *out);
/*
 * Ring entry, state, fence, futex words, wake. durable: state is on disk too. Only under the writer
 * lock.
 */
void coord_publish(struct coord *coord, uint64_t state, uint64_t record, bool durable);
/* A visible state has become durable. Only under the writer lock or by the process that flushes. */
void coord_set_durable(struct coord *coord, uint64_t durable);

/* ---- Words that go with the writer lock; read and written only by its holder ---- */

struct coord_writer {
	uint64_t next;          /* the next state number to hand out, when clean */
	uint64_t epoch;         /* bumped at each takeover */
	bool     unclean;       /* I6: set on taking the lock, cleared after a successful flush */
};
void coord_writer_get(const struct coord *coord, struct coord_writer *out);
void coord_writer_set(struct coord *coord, const struct coord_writer *words);

/* ---- The writer lock: flock on the descriptor that writes the page file ---- */

struct coord_holder {
	uint32_t pid;
	char     name[16];      /* the process's comm */
	int64_t  since_ns;      /* CLOCK_REALTIME */
};
/*
 * Takes the exclusive flock on fd (between processes only: among threads of one process the caller
 * has a mutex) and enters this process as the holder. timeout_ms: -1 for ever, 0 not at all. A
 * waiter sets the "writer wanted" word; DUR_E_LOCKED with a message that says which process holds
 * it, since when. -ESTALE: the coordination file was removed or replaced at its path while this
 * process had it open.
 */
int coord_lock(struct coord *coord, int fd, int timeout_ms);
/* Clears the holder, unlocks, wakes who waits for the lock. */
void coord_unlock(struct coord *coord, int fd);
/*
 * With the lock held: did nobody, of any process, hold it since this process's last coord_unlock()?
 * A holder that was killed counts as nobody: its words say "unclean".
 */
bool coord_lock_was_ours(const struct coord *coord);
/* Another process wants the writer lock: the holder should let it in soon (flock is unfair). */
bool coord_wanted(const struct coord *coord);
/* Who holds it, as far as shared memory tells; pid 0: nobody. */
void coord_holder_get(const struct coord *coord, struct coord_holder *out);

/* ---- Pins ---- */

/* One open snapshot's claim. Zeroed: none. cell is private to ipc. */
struct coord_pin {
	uint32_t cell;
	uint32_t kind;          /* 0: none */
};

/*
 * Pins the published state and gives its number and record (out->durable is not set). No system
 * call once this process has a slot (the first pin of a process claims one). Lock-free but for the
 * overflow cell. 1: nothing is published yet, nothing is pinned. Errors: -EUSERS, all slots taken
 * by live processes (the message says so); DUR_E_CORRUPT, the file is damaged.
 */
int coord_pin_latest(struct coord *coord, struct coord_pin *pin, struct coord_published *out);
/* Pins any state number S. The caller then pins the newest anew and looks S up in it. */
int coord_pin_state(struct coord *coord, struct coord_pin *pin, uint64_t state);
void coord_unpin(struct coord *coord, struct coord_pin *pin);

/* The writer's scan, to begin after its publishing store (a seq_cst fence stands at its start). */
struct coord_pins {
	uint64_t *states;       /* sorted, distinct; owned by the struct, reused between calls */
	size_t    n, cap;
	bool      everything;   /* a reader is between two stores: nothing may be freed now */
	uint64_t  from;         /* an overflow cell pins [from, infinity); UINT64_MAX: none */
};
/* Dead processes' slots that stand in the way are probed and cleared. -ENOMEM. */
int coord_scan(struct coord *coord, struct coord_pins *pins);
void coord_pins_free(struct coord_pins *pins);

struct coord_reader {
	uint32_t pid, pins;
	uint32_t slot;          /* as in coord_reader_pin */
	uint64_t oldest;        /* state */
	uint64_t age_ms;        /* since the oldest pin was taken */
};
/* Live processes that hold pins, in slot order, after skipping some; *n < cap: that was the end. */
int coord_readers(struct coord *coord, uint64_t skip, struct coord_reader *out, uint32_t cap,
                  uint32_t *n);
/* A pin of a live process, for accounts of who holds what. Pins between two stores are left out. */
struct coord_reader_pin {
	uint64_t state;
	uint32_t slot;          /* of the process; below COORD_SLOTS */
	bool     onward;        /* an overflow cell: [state, infinity) */
};
enum { COORD_SLOTS = 512 };
/* All of them, in slot order. Caller frees *pins. */
int coord_reader_pins(struct coord *coord, struct coord_reader_pin **pins, size_t *n);
/* Live processes that have it open and a slot (readers and writers). Counts this one. */
int coord_attached(struct coord *coord, uint32_t *n);

/*
 * Every process that has the coordination file open holds a shared claim on it. Returns 0 when this
 * process is the only one (and keeps others out until coord_close), -EBUSY otherwise. For drop and
 * compaction.
 */
int coord_claim_alone(struct coord *coord);
/* Lets others in again before coord_close(). */
void coord_claim_shared(struct coord *coord);
/*
 * Bars the file: until coord_unbar() or coord_close() nobody gets so far as to look at its stamp,
 * so page file and coordination file can be replaced together. Waits for who is looking now.
 */
int coord_bar(struct coord *coord);
void coord_unbar(struct coord *coord);
/* pids of other live processes that have a slot, at most cap of them. */
int coord_others(struct coord *coord, uint32_t *pids, uint32_t cap, uint32_t *n);

/* ---- Waiting ---- */

enum coord_what { COORD_VISIBLE, COORD_DURABLE };
/*
 * Sleeps until the word of any of the n coords differs from after[i] (newer: state > after[i]),
 * with a short spin first, then futexes in bounded parks. 0, or 1 on timeout (-1: none, 0: only
 * look). On return after[i] is the newest of each. A woken waiter passes the wake on (model m4).
 * -EINTR when a signal arrived? No: signals do not end a wait.
 */
int coord_wait(struct coord *const *coords, uint64_t *after, uint32_t n, enum coord_what what,
               int timeout_ms);
/*
 * A descriptor that polls readable while a state newer than the last coord_poll_seen() is visible.
 * Made at the first call (an eventfd and a thread of the library that waits on the futex); owned by
 * coord.
 */
int coord_poll_fd(struct coord *coord, int *fd);
void coord_poll_seen(struct coord *coord, uint64_t state);

#endif
