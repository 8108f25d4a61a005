/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for tests of the store: a disk that fails as told (io_fault.h), shared memory that a
 * power cut empties, and processes, each a store with an io of its own, that die at any operation.
 *
 * A value in the catalog is a number under a numbered key; keys from KIT_RUN_KEYS on hold it in a
 * run. Beside them are some nested maps of such numbers, each a tree of up to 70 leaves: they may be
 * copies of each other, and so large that a removed one waits in the removal queue.
 */
#ifndef DURAMEN_TESTS_STORE_KIT_H
#define DURAMEN_TESTS_STORE_KIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/store.h"
#include "tests/io_fault.h"

enum { KIT_KEYS = 200, KIT_RUN_KEYS = 196, KIT_PINS = 8, KIT_LOGS = 8 };
enum { KIT_MAPS = 3, KIT_MAP_KEYS = 140 };

struct process;

/* Stands between a store and its io and holds a flush as long as the test likes. */
struct gate {
	struct io io;
	struct io *inner;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool closed;
	unsigned passes;
	unsigned held; /* flushes that wait */
	struct gate *next;
};

struct machine {
	int fd;
	struct fault_disk *disk;
	uint64_t random;
	int64_t now_ns; /* what commits take for the time; 0: they ask the system */
	/* The next attach dies at this operation of its recovery; 0: it does not. */
	uint64_t kill_attach;

	/* shared memory */
	pthread_mutex_t mutex;
	pthread_cond_t unlocked;
	struct store_shared words;
	struct process *holder;
	struct process *unlocked_last; /* as a lock's turn tells: a killed holder leaves it */
	unsigned wanted;
	uint64_t pins[KIT_PINS]; /* 0: none */
	unsigned pin_scans;
	bool pin_everything;
	uint64_t published_max; /* on this boot */
	bool went_back;         /* a publish below it */

	bool gated; /* processes attached from now on have a gate */
	struct gate *gates;
	unsigned logged[8]; /* messages by level */
	char last_log[512];
};

struct process {
	struct machine *machine;
	struct store *store;
	struct io *io;
	struct gate *gate;
	bool dead;
	uint64_t kill_at_call; /* dies at this call of the host from now on; 0: never */
	uint64_t scan[KIT_PINS];
};

/* A machine with an empty prefix on its disk. */
void machine_make(struct machine *machine, uint64_t seed, const char *keep);
/* The same with a clock of its own, machine->now_ns. */
void machine_make_at(struct machine *machine, uint64_t seed, const char *keep, int64_t now_ns);
void machine_free(struct machine *machine);
uint64_t machine_random(struct machine *machine, uint64_t below);
/* Shared memory now. */
struct store_shared machine_words(struct machine *machine);
/* Power off, in the middle of whatever; all processes are gone (close them first). Power on. */
void machine_power_cut(struct machine *machine, enum fault_cut how);

/* Attaches: a new process; recovers if shared memory asks for it. The store's result. */
int process_attach(struct machine *machine, struct process *process);
/* Ends a process properly. */
int process_detach(struct process *process);
/* kill -9: nothing it does any more has an effect; its lock is free. */
void process_kill(struct process *process);

/* Flushes of this process stop from now on, after their writes. */
void gate_close(struct process *process);
/* Waits until one has stopped. */
void gate_wait_held(struct process *process);
void gate_open(struct process *process);
/* Lets one flush through: the one that has stopped. */
void gate_pass(struct process *process);

/* What a state holds: a number a key, 0 for none. */
struct values {
	uint32_t of[KIT_KEYS];
	uint32_t map[KIT_MAPS][KIT_MAP_KEYS];
};
int values_put(struct txn *txn, unsigned key, uint32_t value);
/* A value under n keys of a nested map, from one on; 0 removes them. */
int maps_put(struct txn *txn, unsigned map, unsigned from, unsigned n, uint32_t value);
/* A map becomes what another one is. */
int maps_copy(struct txn *txn, unsigned to, unsigned from);
int maps_remove(struct txn *txn, unsigned map);
/* Reads all; checks each. 0 or the store's error. */
int values_read(struct process *process, uint64_t state, uint64_t record, struct values *values);
int values_read_tree(struct process *process, const struct tree *catalog, struct values *values);
/* One transaction that puts one value. */
int process_commit(struct process *process, unsigned key, uint32_t value, bool async,
                   struct state *state);
/* store_check as of what is visible. */
int process_check(struct process *process);

#endif
