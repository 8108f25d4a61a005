/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of backup, receive and compact: changes of all sizes, streams in files, comparisons. */
#ifndef DURAMEN_TESTS_BACKUP_KIT_H
#define DURAMEN_TESTS_BACKUP_KIT_H

#include "prefix_kit.h"

/*
 * One commit of up to n random puts and removals among some hundred keys, and half as many in nested
 * collections; the new state.
 */
uint64_t backup_change(dur_prefix *p, uint64_t *random, unsigned n, const char *label);

/* One change somewhere in nested collections; those at the catalog's doubles. */
void backup_change_nested(dur_view *txn, uint64_t *random);

/* A backup of a state (since, flags as there) in a new file at path; its result is 0. */
void backup_to(dur_prefix *p, uint64_t state, uint64_t since, uint32_t flags, const char *path);
/* dur_receive() from the file at path. */
int backup_from(dur_workspace *ws, const char *name, const char *path);

/* Both hold the same, in types, tags and bytes, to any depth. */
void backup_same_value(const dur_value *a, const dur_value *b);
void backup_same_coll(dur_coll a, dur_coll b);
uint64_t backup_digest_coll(dur_coll c, uint64_t sum);
/* Both states hold the same. */
void backup_same_state(dur_prefix *a, uint64_t state_a, dur_prefix *b, uint64_t state_b);
/* All states of copy are states of p: number, time, label, content. Gives how many they are. */
unsigned backup_same_states(dur_prefix *p, dur_prefix *copy);
/* Both have the same names for the same states. */
void backup_same_names(dur_prefix *p, dur_prefix *copy);
/* A number for all that a prefix holds: its states, their content, its policy. */
uint64_t backup_digest(dur_workspace *ws, const char *name);

/* The bytes of a file, malloced. */
uint8_t *backup_bytes(const char *path, size_t *n);
void backup_write(const char *path, const void *bytes, size_t n);
/* How many files there are in the folder and below. */
unsigned backup_files(const char *dir);

#endif
