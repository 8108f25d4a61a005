/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page is named by number and birth: within one chain a number may be listed twice, by a record
 * whose page was retired and reused, and by the one that reused it.
 */
#include "engine/chain.h"

#include "engine/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "engine/run.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum { RUN_LENGTH_AT = 24 }; /* in a run's header, see run.h */

/* ---- Reading ---- */

static int records_room(struct chain *chain)
{
	size_t cap = chain->cap ? chain->cap * 2 : 16;
	struct record *grown;

	if (chain->n < chain->cap)
		return 0;
	grown = realloc(chain->records, cap * sizeof *grown);
	if (!grown)
		return error_system(ENOMEM, "reading state records");
	chain->records = grown;
	chain->cap = cap;
	return 0;
}

static int by_birth(const void *a, const void *b)
{
	const struct chain_retired *x = a, *y = b;

	if (x->birth != y->birth)
		return x->birth < y->birth ? -1 : 1;
	return x->no < y->no ? -1 : x->no > y->no;
}

static int retired_collect(struct chain *chain)
{
	size_t n = 0;

	for (size_t i = 0; i < chain->n; i++)
		n += chain->records[i].n_retired;
	if (n == 0)
		return 0;
	chain->retired = malloc(n * sizeof *chain->retired);
	if (!chain->retired)
		return error_system(ENOMEM, "reading state records");
	for (size_t i = 0; i < chain->n; i++)
		for (size_t k = 0; k < chain->records[i].n_retired; k++) {
			const struct retired *r = &chain->records[i].retired[k];
			chain->retired[chain->n_retired++] =
				(struct chain_retired){ r->no, r->birth, r->n,
				                        chain->records[i].state.number, r->class };
		}
	qsort(chain->retired, n, sizeof *chain->retired, by_birth);
	return 0;
}

int chain_read(struct file *file, const struct chain_from *from, struct chain *chain)
{
	const struct hash128 *hash = from->hash;
	struct hash128 previous;
	uint64_t number = from->number, at = from->record;
	int rc;

	*chain = (struct chain){ 0 };
	rc = record_read(file, at, number, hash, false, &chain->head);
	while (rc == 0 && number != from->base) {
		struct record *record;

		if (number < from->base || number == 0)
			return error_set(DUR_E_CORRUPT,
			                 "the records before state %" PRIu64 " do not lead to "
			                 "state %" PRIu64 "; restore the file from a backup",
			                 from->number, from->base);
		rc = records_room(chain);
		if (rc < 0)
			break;
		record = &chain->records[chain->n];
		rc = record_read(file, at, number, hash, true, record);
		if (rc < 0)
			break;
		chain->n++;
		number = record->state.previous;
		at = record->previous_record;
		previous = record->previous_hash;
		hash = &previous;
	}
	if (rc == 0 && from->base_hash && chain->n &&
	    (hash->low != from->base_hash->low || hash->high != from->base_hash->high))
		return error_set(DUR_E_CORRUPT,
		                 "state %" PRIu64 " builds on another state %" PRIu64
		                 " than the one on disk",
		                 from->number, from->base);
	return rc < 0 ? rc : retired_collect(chain);
}

void chain_free(struct chain *chain)
{
	for (size_t i = 0; i < chain->n; i++)
		record_free(&chain->records[i]);
	free(chain->records);
	free(chain->retired);
	*chain = (struct chain){ 0 };
}

const struct record *chain_find(const struct chain *chain, uint64_t number)
{
	for (size_t i = 0; i < chain->n; i++)
		if (chain->records[i].state.number == number)
			return &chain->records[i];
	return NULL;
}

/* ---- What is held ---- */

int chain_holder(struct file *file, const struct chain *chain, const struct record *record,
                 struct chain_holder *holder)
{
	const struct state *newest = &record->state, *next = NULL;
	size_t first = chain->n;
	int rc = 0;

	*holder = (struct chain_holder){ .state = newest };
	if (chain->n == 0)
		return 0;
	holder->kept = malloc(chain->n * sizeof *holder->kept);
	if (!holder->kept)
		return error_system(ENOMEM, "reading state records");
	for (size_t i = 0; i < chain->n && rc == 0; i++) { /* newest first */
		const struct state *s = &chain->records[i].state;
		bool kept = false;
		if (s->number > newest->number || s->flags & STATE_MAINTENANCE)
			continue;
		if (next && s->number < newest->oldest)
			rc = history_holds(file, record, s->number, s->time_ns, next->time_ns, &kept);
		if (kept)
			holder->kept[--first] = s->number;
		next = s;
	}
	holder->n_kept = chain->n - first;
	memmove(holder->kept, holder->kept + first, holder->n_kept * sizeof *holder->kept);
	return rc;
}

void chain_holder_free(struct chain_holder *holder)
{
	free(holder->kept);
	holder->kept = NULL;
}

/* ---- Verifying ---- */

static bool kept_saw(const struct chain_holder *holder, uint64_t birth, uint64_t death)
{
	size_t low = 0, high = holder->n_kept;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (holder->kept[mid] < birth)
			low = mid + 1;
		else
			high = mid;
	}
	return low < holder->n_kept && holder->kept[low] < death;
}

bool chain_holds(const struct chain *chain, const struct chain_holder *holder,
                 const struct record *record, const struct written *entry)
{
	const struct state *state = holder->state;
	uint64_t birth = record->state.number;
	size_t low = 0, high = chain->n_retired;

	if (birth > state->number)
		return false;
	while (low < high) { /* the last one at or before the entry */
		size_t mid = (low + high) / 2;
		const struct chain_retired *r = &chain->retired[mid];
		if (r->birth < birth || (r->birth == birth && r->no <= entry->no))
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0)
		return true;
	const struct chain_retired *r = &chain->retired[low - 1];
	if (r->birth != birth || entry->no - r->no >= r->n || r->by > state->number)
		return true;
	/* Data pages are held by every retained state: a range that ends with this one, and kept ones. */
	return r->class == CLASS_DATA &&
	       (r->by > state->oldest || kept_saw(holder, birth, r->by));
}

static int entry_wrong(const struct record *record, const struct written *entry)
{
	return error_set(DUR_E_CORRUPT,
	                 "page %" PRIu64 " does not hold what state %" PRIu64 " wrote to it",
	                 entry->no, record->state.number);
}

int chain_verify_entry(struct file *file, const struct record *record, const struct written *entry)
{
	struct page_ptr ptr = { entry->no, record->state.number };
	const uint8_t *bytes;
	uint64_t length;
	int rc = file_map(file, entry->no, entry->n, &bytes);

	if (rc < 0)
		return rc;
	if (get_u64(bytes) != entry->sum)
		return entry_wrong(record, entry);
	if (!entry->is_run)
		return file_verify(file, (const struct page *)bytes, ptr)
		               ? entry_wrong(record, entry)
		               : 0;
	length = get_u64(bytes + RUN_LENGTH_AT);
	if (run_pages(length) != entry->n)
		return entry_wrong(record, entry);
	return run_verify(file, ptr, length);
}

int chain_verify(struct file *file, const struct chain *chain, bool flushed)
{
	struct chain_holder holder;
	int rc = chain_holder(file, chain, &chain->head, &holder);

	for (size_t i = 0; i < chain->n && rc == 0; i++) {
		const struct record *record = &chain->records[i];
		if (record->flushed) {
			if (!flushed)
				rc = error_set(DUR_E_CORRUPT,
				               "state %" PRIu64 " lists no checksums, and the "
				               "slot does not say that its pages were flushed",
				               record->state.number);
			continue;
		}
		for (size_t k = 0; k < record->n_written && rc == 0; k++)
			if (chain_holds(chain, &holder, record, &record->written[k]))
				rc = chain_verify_entry(file, record, &record->written[k]);
	}
	chain_holder_free(&holder);
	return rc;
}
