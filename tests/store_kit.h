/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for tests of the store: a disk that fails as told (io_fault.h), shared memory that a power cut
 * empties, and processes, each a store with an io of its own, that die at any operation.
 *
 * A value in the catalog is a number under a numbered key; keys from KIT_RUN_KEYS on hold it in a run.
 */
#ifndef DURAMEN_TESTS_STORE_KIT_H
#define DURAMEN_TESTS_STORE_KIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/store.h"
#include "io_fault.h"

enum { KIT_KEYS = 64, KIT_RUN_KEYS = 60, KIT_PINS = 8, KIT_LOGS = 8 };

struct kit_process;

struct kit_machine {
	int fd;
	struct fault_disk *disk;
	uint64_t random;

	/* shared memory */
	pthread_mutex_t mutex;
	pthread_cond_t  unlocked;
	struct store_shared words;
	struct kit_process *holder;
	unsigned wanted;
	uint64_t pins[KIT_PINS];        /* 0: none */
	unsigned pin_scans;
	bool pin_everything;
	uint64_t published_max;         /* on this boot */
	bool went_back;                 /* a publish below it */

	unsigned logged[8];             /* messages by level */
	char last_log[512];
};

struct kit_process {
	struct kit_machine *machine;
	struct store *store;
	struct io *io;
	bool dead;
	uint64_t kill_at_call;          /* dies at this call of the host from now on; 0: never */
	uint64_t scan[KIT_PINS];
};

/* A machine with an empty prefix on its disk. */
void kit_machine_make(struct kit_machine *machine, uint64_t seed, const char *keep);
void kit_machine_free(struct kit_machine *machine);
uint64_t kit_random(struct kit_machine *machine, uint64_t below);
/* Power off, in the middle of whatever; all processes are gone (close them first). Power on. */
void kit_power_cut(struct kit_machine *machine, enum fault_cut how);

/* Attaches: a new process; recovers if shared memory asks for it. The store's result. */
int  kit_attach(struct kit_machine *machine, struct kit_process *process);
/* Ends a process properly. */
int  kit_detach(struct kit_process *process);
/* kill -9: nothing it does any more has an effect; its lock is free. */
void kit_kill(struct kit_process *process);

/* What a state holds: a number a key, 0 for none. */
struct kit_values {
	uint32_t of[KIT_KEYS];
};
int  kit_put(struct txn *txn, unsigned key, uint32_t value);
/* Reads all; checks each. 0 or the store's error. */
int  kit_values_read(struct kit_process *process, uint64_t state, uint64_t record,
                     struct kit_values *values);
/* One transaction that puts one value. */
int  kit_commit_one(struct kit_process *process, unsigned key, uint32_t value, bool async,
                    struct state *state);
/* store_check as of what is visible. */
int  kit_check(struct kit_process *process);

#endif
