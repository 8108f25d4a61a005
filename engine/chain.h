/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of state records from a state back to a base, as recovery needs it: each record
 * verified by the hash that the one after it names, with the pages it lists and the pages later
 * ones retired.
 */
#ifndef DURAMEN_ENGINE_CHAIN_H
#define DURAMEN_ENGINE_CHAIN_H

#include "engine/record.h"

/* A page or run that a record of the chain retired. */
struct chain_retired {
	uint64_t no, birth, n;
	uint64_t by; /* the state that retired it */
	enum page_class class;
};

struct chain {
	struct record head;     /* the newest state's record; no lists */
	struct record *records; /* newest first, down to the one above base */
	size_t n, cap;
	struct chain_retired *retired; /* sorted by birth, then number */
	size_t n_retired;
};

struct chain_from {
	uint64_t number, record;         /* where it begins */
	const struct hash128 *hash;      /* that record must have it; NULL: whatever it has */
	uint64_t base;                   /* where it must lead to */
	const struct hash128 *base_hash; /* that state's record has it; NULL: whatever it has */
};

/*
 * DUR_E_CORRUPT if a record is damaged or the chain does not lead to the base. chain_free in any
 * case.
 */
int chain_read(struct file *file, const struct chain_from *from, struct chain *chain);
void chain_free(struct chain *chain);

/* What a state (in the chain, or its head) retains of the chain. */
struct chain_holder {
	const struct state *state;
	uint64_t *kept;                 /* states below its range that are kept, ascending */
	size_t n_kept;
};
/* record is the state's. Looks names up in its system tree. chain_holder_free in any case. */
int chain_holder(struct file *file, const struct chain *chain, const struct record *record,
                 struct chain_holder *holder);
void chain_holder_free(struct chain_holder *holder);

/* The record of a state in the chain, NULL: not in it (the base is not). */
const struct record *chain_find(const struct chain *chain, uint64_t number);
/*
 * Whether a state or an older one that it retains reaches what the record listed. Not if a state in
 * between retired it, the range has passed that one and no kept state saw it: then it may have been
 * reused.
 */
bool chain_holds(const struct chain *chain, const struct chain_holder *holder,
                 const struct record *record, const struct written *entry);
/*
 * Compares every page that the chain lists and its newest state holds with the checksum listed.
 * flushed: records that list no checksums are taken for good. DUR_E_CORRUPT.
 */
int chain_verify(struct file *file, const struct chain *chain, bool flushed);
/* One entry's pages against its checksum. DUR_E_CORRUPT. */
int chain_verify_entry(struct file *file, const struct record *record, const struct written *entry);

#endif
