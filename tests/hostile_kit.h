/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user does with a prefix whose page file may be damaged: every call there is, none of whose
 * failures is in the way of the next one. Reading is bounded, for a collection may hold itself.
 */
#ifndef DURAMEN_TESTS_HOSTILE_KIT_H
#define DURAMEN_TESTS_HOSTILE_KIT_H

#include <duramen.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A failure is fine if it says that the file is damaged. Otherwise, unless anything is fine (set it where
 * checksums were made good), it goes to stderr with what was done to the file, and ends the process with
 * HOSTILE_WRONG.
 */
extern bool hostile_anything;
extern const char *hostile_done;
extern unsigned hostile_errors; /* calls that failed so far */
enum { HOSTILE_WRONG = 2 };
bool hostile_failed(int rc, const char *call);
#define FAILED(call) hostile_failed((call), #call)
/* What must not be, unless anything is fine. */
void hostile_wrong(bool wrong, const char *what, uint64_t is, uint64_t expected);

/*
 * All of a collection, to any depth: forward, backward, by rank and position, and by key. *sum: a number
 * for what it holds. False: something of it could not be read, or it is endless.
 */
bool hostile_read(dur_coll c, uint64_t *sum);
/* What differs between two states; what made the newest one's entries; who keeps what. */
void hostile_history(dur_prefix *p, uint64_t a, uint64_t b, uint64_t *random);
/*
 * A transaction of up to n random writes anywhere, with copies, marks and rollbacks. True: it was
 * committed.
 */
bool hostile_write(dur_prefix *p, unsigned n, uint64_t *random);
/* It becomes what an older state was. */
bool hostile_restore(dur_prefix *p, uint64_t state);
/* A backup of all, into a new prefix if it succeeds. in: a folder for them. */
void hostile_backup(dur_prefix *p, const char *in);
/* Packs, folds, lets go of states, writes the file afresh. */
void hostile_maintain(dur_prefix *p, uint64_t *random);

#endif
