/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of ipc/ share: struct coord, and the few calls between them.
 *
 *     coord.c    a coord's life: open, close, fork, who has which file open in this process
 *     file.c     the coordination file: find or make it, check its stamp, reset it, claims
 *     slots.c    slots: claim and leave them, tell the dead from the living
 *     pins.c     pins in the cells of this process's slot
 *     scan.c     reading everybody's cells
 *     publish.c  the published state and the writer's words
 *     lock.c     the writer lock
 *     wait.c     waiting for a state; poll.c the same behind a descriptor; futex.c the system calls
 *
 * Rules m1..m4 in comments are those of the protocol models that docs/design.md lists.
 */
#ifndef DURAMEN_IPC_COORD_PRIVATE_H
#define DURAMEN_IPC_COORD_PRIVATE_H

#include "coord.h"
#include "layout_private.h"

#include <pthread.h>

enum { SLOT_NONE = -1 };

struct coord {
	/*
	 * Read at every pin: set once (slot: when the first pin claims one), NULL in a forked
	 * child.
	 */
	struct layout *shared;
	_Atomic(struct layout_slot *) slot;
	bool dead; /* we are a forked child; set before it has threads */

	int fd; /* of the coordination file; closing it drops every claim */
	bool anonymous;
	uint64_t device, inode; /* of the coordination file */
	struct coord *next;     /* in the list of coord.c */
	char name[16];          /* this process's comm */

	/*
	 * Covers claiming, probing with clearing, and leaving slots, since record locks do not
	 * conflict within a process (m3 R3), and the overflow cell (m3b O1).
	 */
	pthread_mutex_t slots_mutex;
	int slot_index; /* SLOT_NONE: none claimed */
	uint32_t overflow_members;
	uint32_t probe_from; /* the slot where the next scan begins to probe */

	/* Of the thread that has the caller's writer mutex. */
	bool unlocked;           /* at least once */
	uint32_t unlocked_turn;  /* lock.turn after our last unlock */
	bool unlocked_to_waiter; /* and it woke somebody */

	struct {
		pthread_mutex_t mutex;
		int fd; /* eventfd; -1: not made */
		pthread_t thread;
		bool running, raised, stop;
		uint64_t seen;
		shared_u32 kick; /* futex, private: the thread shall look again */
	} poll;
};

/* DUR_E_FORKED with its message. */
int coord_dead(void);

/* ---- file.c ---- */

/*
 * Opens, checks, makes or resets the file; takes the shared claim; maps it. Sets fd, shared,
 * device, inode.
 */
int coord_file_open(struct coord *coord, const char *path, unsigned mode,
                    const struct coord_identity *identity, bool *fresh);
int coord_file_open_anonymous(struct coord *coord, const struct coord_identity *identity);
/*
 * fcntl record lock of one byte; type F_RDLCK, F_WRLCK or F_UNLCK. 0, 1 (somebody else has it), or
 * -errno.
 */
int coord_file_lock(int fd, int64_t offset, int type);
/* Whether another process holds a lock on the byte. Takes none itself. 1 yes, 0 no, or -errno. */
int coord_file_locked(int fd, int64_t offset, uint32_t *pid);

/* ---- coord.c ---- */

/* Whether this process has the file open already. Under the mutex of the list. */
bool coord_list_has(uint64_t device, uint64_t inode);

/* ---- slots.c ---- */

/* How many slots are to be looked at; a damaged word cannot lead out of the file. */
static inline uint32_t slots_used(const struct coord *coord)
{
	/*
	 * Acquire: whoever is in a slot raised the word before (its fence makes that visible, m1
	 * R1).
	 */
	uint32_t n = load_acquire(&coord->shared->slots_line.used);
	return n < LAYOUT_SLOTS ? n : LAYOUT_SLOTS;
}

static inline uint32_t slot_cells_used(const struct layout_slot *slot)
{
	uint32_t n = load_acquire(&slot->cells_used);
	return n < LAYOUT_CELLS ? n : LAYOUT_CELLS;
}

/* Gives this process a slot; coord->slot is set then. Takes the mutex. */
int slot_claim(struct coord *coord);
void slot_leave(struct coord *coord);
/* If the process that had slot i is dead its pins are wiped: 1. 0: it lives, or is this one. */
int slot_clear_dead(struct coord *coord, uint32_t i);
/* Whether a live process has slot i: 1, 0, or an error. */
int slot_alive(struct coord *coord, uint32_t i);

/* ---- wait.c ---- */

/*
 * Sets the "has waiters" flags, and the fence that belongs between them and the loads of the words.
 */
void wait_announce(struct coord *const *coords, uint32_t n, enum coord_what what);
/*
 * Parks until a word differs from what loaded[i] says, or kick (may be NULL) from kick_value, or
 * for at most ns; then passes the wake on. Wakes without cause happen. n is at most FUTEX_GROUP
 * less one for kick. true: the system cannot wait on so many words, it parked on one of them and
 * not for long.
 */
bool wait_park(struct coord *const *coords, const uint64_t *loaded, uint32_t n,
               enum coord_what what, const shared_u32 *kick, uint32_t kick_value, int64_t ns);

static inline shared_u64 *wait_word(const struct coord *coord, enum coord_what what)
{
	struct layout_published *p = &coord->shared->published;
	return what == COORD_VISIBLE ? &p->visible : &p->durable;
}

/* ---- poll.c ---- */

void poll_init(struct coord *coord);
void poll_close(struct coord *coord);
void poll_forked(struct coord *coord);

#endif
