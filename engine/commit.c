/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Begin, commit, abort. A commit places its pages in one free run with its state record behind
 * them, and hands the run and a slot to one write_sync: the common case is one submission of two
 * writes and a flush. Its turn ends as soon as the run can be read through mappings, so the next
 * transaction is built on it while the flush is in flight. That one finds the flush claimed: it
 * writes its run without one and waits in flush.c for a flush that it shares with all who did the
 * same.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

#include "duramen.h"
#include "engine/refs.h"
#include "engine/store_private.h"
#include "internal/error.h"

enum { REMOVAL_PAGES = 256 }; /* let go of in one commit */
enum { MAINTAIN_RELEASES = 8 }; /* in one turn of maintenance */
enum { EXTENTS_USUAL = 16 }; /* a record has room for so many pieces; more make it longer */

struct transaction {
	struct txn txn; /* what callers hold; its extra points here */
	uint64_t generation;
	bool released; /* space was looked for in this turn */
	bool folded, changed; /* with a change of names or policy */
	bool sliced; /* what waited in the removal queue */
	bool barred; /* it was placed and cannot be again: abort it */
	struct extent *placed; /* where, if it was for nothing */
	unsigned n_placed;
};

/* A commit on its way. */
struct commit {
	struct store *store;
	struct transaction *x;
	struct record record;
	struct extent *extents; /* a scattered commit may have one for each page */
	unsigned n_extents;
	uint64_t record_room;    /* pages kept for the record at record.state.record */
	uint8_t *bytes;          /* of the record */
	struct io_write *writes; /* the run or runs; one more place for the slot */
	unsigned n_writes;
	struct iovec *iov; /* of the write that the record ends */
	struct iovec record_iov;
	bool async, submitted;
};

/* ---- Space ---- */

/*
 * Frees what may go, once a turn: the scan of pins begins after the durable state was published
 * (I2).
 */
static int release_once(struct transaction *x)
{
	struct store *store = x->txn.store;
	struct settled settled;
	struct store_pins pins = { 0 };
	uint64_t safe_base;
	int rc;

	if (x->released)
		return 0;
	pthread_mutex_lock(&store->mutex);
	settled = store->settled;
	safe_base = store->slot.base;
	pthread_mutex_unlock(&store->mutex);
	if (history_release_due(store->history, settled.number, settled.oldest)) {
		rc = store->host.pins(store->host.ctx, &pins);
		if (rc == 0)
			rc = history_release(store->history, settled.number, settled.oldest,
			                     safe_base, &pins);
		if (rc < 0)
			return rc;
	}
	x->released = true;
	return 0;
}

int store_reclaim(struct txn *txn)
{
	struct transaction *x = txn->extra;
	struct store *store = txn->store;
	struct history_size size;
	uint64_t before;
	int rc;

	pthread_mutex_lock(&store->mutex);
	rc = flush_all(store);
	pthread_mutex_unlock(&store->mutex);
	history_size(store->history, &size);
	do {
		before = size.free_pages;
		x->released = false;
		rc = rc == 0 ? release_once(x) : rc;
		history_size(store->history, &size);
	} while (rc == 0 && size.free_pages != before);
	return rc;
}

static int take(void *ctx, uint64_t n, uint64_t *no)
{
	struct transaction *x = ctx;
	int rc = release_once(x);

	return rc < 0 ? rc : history_take(x->txn.store->history, n, no);
}

static void give(void *ctx, uint64_t no, uint64_t n)
{
	struct transaction *x = ctx;

	history_give(x->txn.store->history, no, n);
}

/* ---- Begin and abort ---- */

/* A number that a flushed ceiling covers (I5). The mutex is held. */
static int number_take(struct store *store, uint64_t *number)
{
	while (store->next > store->slot.ceiling) {
		int rc = store->n_queue || store->flushing ? flush_all(store) : confirm(store);
		if (rc < 0)
			return rc;
	}
	*number = store->next++;
	return 0;
}

static void turn_leave(struct store *store)
{
	pthread_mutex_lock(&store->mutex);
	turn_end(store);
	pthread_mutex_unlock(&store->mutex);
}

/*
 * The number of a received state. One that was handed out before, or that a recovery skipped, may
 * be taken: a copy makes its own states visible only once they are durable (record_finish), and
 * then they are the head. So below this number and above the head nothing was ever seen. The
 * mutex is held.
 */
static int number_give(struct store *store, uint64_t wanted, uint64_t *number)
{
	if (wanted <= store->head.state.number)
		return error_set(DUR_E_RANGE,
		                 "state %" PRIu64 " is to be received, but there is state %" PRIu64
		                 " already",
		                 wanted, store->head.state.number);
	if (wanted < store->next) {
		*number = wanted;
		return 0;
	}
	if (wanted > store->next) /* a gap says nothing about how busy the writer is */
		store->next_at_slot = wanted;
	store->next = wanted;
	return number_take(store, number);
}

/*
 * The turn and the lock are this thread's: a number (0: the next), and memory that stands at the
 * head.
 */
static int turn_prepare(struct store *store, struct transaction *x, uint64_t number)
{
	bool stands;
	int rc;

	pthread_mutex_lock(&store->mutex);
	rc = store->failed ? store_failed_error() :
	     number        ? number_give(store, number, &x->txn.number) :
	                     number_take(store, &x->txn.number);
	x->generation = store->generation;
	pthread_mutex_unlock(&store->mutex);
	if (rc < 0)
		return rc;
	stands = history_stands_at(store->history, store->head.state.number,
	                           store->head.state.record);
	return stands ? 0 : history_load(store->history, &store->head);
}

static int begin(struct store *store, uint64_t number, int timeout_ms, uint64_t memory_bytes,
                 struct txn **txn)
{
	int64_t deadline = store_deadline(timeout_ms);
	struct transaction *x;
	int rc;

	rc = store_forked_error(store);
	if (rc < 0)
		return rc;
	if (store->read_only || !store->has_host)
		return error_set(DUR_E_READ_ONLY, "this prefix is attached for reading only");
	x = calloc(1, sizeof *x);
	if (!x)
		return error_system(ENOMEM, "beginning a transaction");
	rc = turn_take(store, deadline);
	if (rc < 0) {
		free(x);
		return rc;
	}
	pthread_mutex_lock(&store->mutex);
	rc = store->failed ? store_failed_error() : 0;
	pthread_mutex_unlock(&store->mutex);
	if (rc == 0)
		rc = lock_take(store, deadline);
	if (rc == 0)
		rc = turn_prepare(store, x, number);
	if (rc == 0)
		rc = dirty_open(&x->txn.dirty, store->file, x->txn.number,
		                memory_bytes ? memory_bytes : store->memory_bytes,
		                &(struct dirty_host){ x, take, give });
	if (rc < 0) {
		turn_leave(store);
		free(x);
		return rc;
	}
	x->txn.store = store;
	x->txn.extra = x;
	x->txn.base = store->head.state;
	x->txn.catalog = x->txn.base.catalog;
	x->txn.system = x->txn.base.system;
	dirty_root(&x->txn.dirty, &x->txn.catalog.root);
	dirty_root(&x->txn.dirty, &x->txn.system.root);
	ref_open(&x->txn.dirty, &x->txn.base.system, history_shares(store->history));
	ref_queue(&x->txn.dirty);
	*txn = &x->txn;
	return 0;
}

int store_begin(struct store *store, int timeout_ms, uint64_t memory_bytes, struct txn **txn)
{
	return begin(store, 0, timeout_ms, memory_bytes, txn);
}

int store_begin_at(struct store *store, uint64_t number, int timeout_ms, uint64_t memory_bytes,
                   struct txn **txn)
{
	return begin(store, number, timeout_ms, memory_bytes, txn);
}

void store_skip_to(struct txn *txn, uint64_t next)
{
	struct store *store = txn->store;

	pthread_mutex_lock(&store->mutex);
	if (next > store->next)
		store->next = store->next_at_slot = next;
	pthread_mutex_unlock(&store->mutex);
}

uint64_t store_next(struct txn *txn)
{
	struct store *store = txn->store;
	uint64_t next;

	pthread_mutex_lock(&store->mutex);
	next = store->next;
	pthread_mutex_unlock(&store->mutex);
	return next;
}

void store_abort(struct txn *txn)
{
	struct transaction *x = txn->extra;
	struct store *store = txn->store;

	if (x->folded)
		history_fold_undo(store->history);
	for (unsigned i = 0; i < x->n_placed; i++)
		history_give(store->history, x->placed[i].no, x->placed[i].n);
	dirty_abort(&txn->dirty);
	free(x->placed);
	free(x);
	turn_leave(store);
}

/* ---- Marks ---- */

static int mark_check(const struct transaction *x)
{
	return x->barred ? error_set(DUR_E_MISUSE,
	                             "this transaction failed to commit before; close it") : 0;
}

int store_mark(struct txn *txn, struct txn_mark *mark)
{
	int rc = mark_check(txn->extra);

	if (rc == 0)
		rc = dirty_mark(&txn->dirty);
	if (rc < 0)
		return rc;
	*mark = (struct txn_mark){ (unsigned)rc, txn->catalog, txn->system };
	return 0;
}

int store_rollback(struct txn *txn, const struct txn_mark *mark)
{
	int rc = mark_check(txn->extra);

	if (rc == 0)
		rc = dirty_rollback(&txn->dirty, mark->number);
	if (rc < 0)
		return rc;
	txn->catalog = mark->catalog;
	txn->system = mark->system;
	return 0;
}

/* ---- Placing ---- */

static void extents_give(struct commit *c)
{
	for (unsigned i = 0; i < c->n_extents; i++)
		history_give(c->store->history, c->extents[i].no, c->extents[i].n);
	if (c->record_room)
		history_give(c->store->history, c->record.state.record, c->record_room);
	c->n_extents = 0;
	c->record_room = 0;
}

/* The places stay taken until the transaction ends: its pages are there, as far as it knows. */
static void extents_keep(struct commit *c)
{
	c->extents[c->n_extents++] = (struct extent){ c->record.state.record, c->record_room };
	c->x->placed = c->extents;
	c->x->n_placed = c->n_extents;
	c->extents = NULL;
}

/*
 * Parts the extents: the record has the last pages, so that it ends the write, or a place of its
 * own.
 */
static int extents_split(struct commit *c, uint64_t record_pages)
{
	struct extent *last = &c->extents[c->n_extents - 1];

	if (last->n >= record_pages) {
		last->n -= record_pages;
		c->record.state.record = last->no + last->n;
		c->n_extents -= last->n == 0;
	} else {
		uint64_t over = record_pages, no;
		int rc = history_take(c->store->history, record_pages, &no);
		if (rc < 0)
			return rc;
		c->record.state.record = no;
		while (over) {
			last = &c->extents[c->n_extents - 1];
			uint64_t n = last->n < over ? last->n : over;
			last->n -= n;
			over -= n;
			history_give(c->store->history, last->no + last->n, n);
			c->n_extents -= last->n == 0;
		}
	}
	c->record_room = record_pages;
	return 0;
}

/* How many contiguous pieces the written pages fall into, and how many pages they are. */
static size_t groups_of(const struct written *list, size_t n, uint64_t *pages)
{
	size_t groups = 0;

	*pages = 0;
	for (size_t i = 0; i < n; *pages += list[i++].n)
		groups += i == 0 || list[i].is_run || list[i - 1].is_run ||
		          list[i].no != list[i - 1].no + 1;
	return groups;
}

/* Takes space and places the pages. On failure the transaction is as before. */
static int pages_place(struct commit *c)
{
	struct dirty *d = &c->x->txn.dirty;
	uint64_t early = d->spilled_bytes >> PAGE_SHIFT, room;
	int rc;

	c->record.flushed = d->spilled_bytes + ((uint64_t)d->live << PAGE_SHIFT) > LARGE_BYTES;
	room = record_pages_bound(&c->record, d->live + early, EXTENTS_USUAL + early);
	c->extents = malloc((d->live + room) * sizeof *c->extents);
	if (!c->extents)
		return error_system(ENOMEM, "placing a commit");
	rc = history_extents(c->store->history, d->live + room, c->extents,
	                     (unsigned)(d->live + room), &c->n_extents);
	if (rc < 0)
		return rc;
	rc = extents_split(c, room);
	if (rc == 0)
		rc = dirty_place(d, c->extents, c->n_extents, &c->record.written,
		                 &c->record.n_written);
	if (rc < 0)
		extents_give(c);
	return rc;
}

/*
 * The number of pages is known now, so is the record's size: nearly always it fits the room kept
 * for it.
 */
static int record_place(struct commit *c)
{
	uint64_t pages, no;
	size_t groups = groups_of(c->record.written, c->record.n_written, &pages);
	uint32_t need;
	int rc;

	c->record.flushed = pages << PAGE_SHIFT > LARGE_BYTES;
	need = record_pages_bound(&c->record, c->record.n_written, groups);
	if (need > c->record_room) {
		rc = history_take(c->store->history, need, &no);
		if (rc < 0)
			return rc;
		history_give(c->store->history, c->record.state.record, c->record_room);
		c->record.state.record = no;
		c->record_room = need;
	}
	c->record.state.record_pages = (uint32_t)c->record_room;
	c->record.state.written_bytes = (pages + c->record_room) << PAGE_SHIFT;
	return 0;
}

/* The bytes of the run or runs as writes, the record joined to the pages that end before it. */
static int writes_make(struct commit *c)
{
	uint64_t at = c->record.state.record << PAGE_SHIFT;
	const struct io_write *writes;
	unsigned n;
	int rc = dirty_writes(&c->x->txn.dirty, &writes, &n);

	if (rc < 0)
		return rc;
	c->writes = malloc((n + 2) * sizeof *c->writes);
	if (!c->writes)
		return error_system(ENOMEM, "writing a commit");
	memcpy(c->writes, writes, n * sizeof *writes);
	c->n_writes = n;
	c->record_iov = (struct iovec){ c->bytes, (size_t)c->record_room << PAGE_SHIFT };
	if (n > 0 && writes[n - 1].n_iov < IOV_MAX) {
		const struct io_write *last = &writes[n - 1];
		uint64_t end = last->offset;
		for (unsigned i = 0; i < last->n_iov; i++)
			end += last->iov[i].iov_len;
		if (end == at) {
			c->iov = malloc((last->n_iov + 1) * sizeof *c->iov);
			if (!c->iov)
				return error_system(ENOMEM, "writing a commit");
			memcpy(c->iov, last->iov, last->n_iov * sizeof *c->iov);
			c->iov[last->n_iov] = c->record_iov;
			c->writes[n - 1].iov = c->iov;
			c->writes[n - 1].n_iov++;
			return 0;
		}
	}
	c->writes[c->n_writes++] = (struct io_write){ at, &c->record_iov, 1 };
	return 0;
}

static int64_t time_after(const struct store *store, int64_t previous)
{
	struct timespec t;
	int64_t now;

	clock_gettime(CLOCK_REALTIME, &t);
	now = store->clock ? store->clock(store->clock_ctx)
	                   : (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	return now > previous ? now : previous;
}

/* Whether the state holds no change of data; a label alone is one. */
static bool is_maintenance(const struct txn *txn, const struct commit_options *options)
{
	return !options->received && txn->catalog.root.no == txn->base.catalog.root.no &&
	       (options->keep || options->state || options->unname || options->maintain ||
	        options->batch);
}

/* What can be said before space is taken. */
static void record_start(struct commit *c, const struct commit_options *options)
{
	const struct store *store = c->store;
	const struct txn *txn = &c->x->txn;
	const struct record *head = &store->head;
	struct state *s = &c->record.state;

	s->number = txn->number;
	s->previous = head->state.number;
	s->time_ns = options->received ? options->received->time_ns
	                               : time_after(store, head->state.time_ns);
	s->system_pages = (uint32_t)(head->state.system_pages + txn->dirty.system_pages);
	if (options->label)
		strcpy(s->label, options->label);
	strcpy(s->keep, options->keep ? options->keep : head->state.keep);
	if (options->received)
		memcpy(s->origin, options->received->origin, sizeof s->origin);
	else if (is_maintenance(txn, options))
		s->flags |= STATE_MAINTENANCE;
	c->record.epoch = store->epoch;
	c->record.salt = store->salt;
	c->record.previous_record = head->state.record;
	c->record.previous_hash = head->hash;
	c->record.skipped_from = store->skipped_from;
	c->record.retired = txn->dirty.retired;
	c->record.n_retired = txn->dirty.n_retired;
}

/* The pages have their places: the record is filled, encoded and joined to them. */
static int record_finish(struct commit *c, const struct commit_options *options)
{
	struct state *s = &c->record.state;
	const struct txn *txn = &c->x->txn;
	struct file *file = c->store->file;
	uint64_t end;
	int rc = record_place(c);

	if (rc < 0)
		return rc;
	s->catalog = txn->catalog;
	s->system = txn->system;
	if (c->record.flushed || (!options->received && store_is_copy(&c->store->head.state)))
		c->async = false;
	s->flags |= c->async ? STATE_ASYNC : 0;
	rc = history_describe(c->store->history, &c->store->head, &c->record);
	if (rc < 0)
		return rc;
	if (options->received)
		s->commits = options->received->commits;
	end = s->record + s->record_pages;
	if (c->record.n_written) {
		const struct written *last = &c->record.written[c->record.n_written - 1];
		end = last->no + last->n > end ? last->no + last->n : end;
	}
	if (s->file_pages > atomic_load(&file->pages) && s->file_pages > end) {
		rc = file_grow(file, s->file_pages,
		               false); /* the file has all that its state counts */
		if (rc < 0)
			return rc;
	}
	if (posix_memalign((void **)&c->bytes, PAGE_SIZE, (size_t)c->record_room << PAGE_SHIFT))
		return error_system(ENOMEM, "writing a state record");
	rc = record_encode(file, &c->record, c->bytes);
	return rc < 0 ? rc : writes_make(c);
}

/* Each commit lets go of some of what was removed before. */
static int removal_slice(struct transaction *x)
{
	struct store *store = x->txn.store;
	bool stuck;
	int rc;

	if (x->sliced || !history_removal_due(store->history))
		return 0;
	x->sliced = true;
	rc = ref_slice(&x->txn.dirty, &x->txn.system, REMOVAL_PAGES, &stuck);
	x->barred = rc < 0;
	if (rc == 0 && stuck) {
		history_removal_stuck(store->history);
		store_log(store, LOG_ERR, "a removed collection cannot be let go of (%s)", error_text());
	}
	return rc;
}

static int commit_place(struct commit *c, const struct commit_options *options)
{
	struct transaction *x = c->x;
	struct state_name one = { .state = options->unname ? 0 :
		options->state ? options->state : x->txn.number };
	const struct history_change change = { .keep = options->keep,
		.names = options->name ? &one : options->names,
		.n_names = options->name ? 1 : options->n_names };
	bool changes = change.n_names || options->keep ||
		(options->maintain && history_slice_due(c->store->history));
	struct state named;
	int rc;

	dirty_marks_end(&x->txn.dirty); /* what they hold is free in the record, and in what is folded */
	rc = release_once(x);
	if (options->name)
		strcpy(one.name, options->name);
	/* what a first try folded may not be what this one asks for */
	if (rc == 0 && (x->changed || (changes && x->folded)))
		rc = error_set(DUR_E_MISUSE, "this transaction failed to commit before; close it");
	for (size_t i = 0; i < change.n_names && rc == 0; i++) /* I3: what is gone stays gone */
		if (change.names[i].state && change.names[i].state != x->txn.number)
			rc = history_find(c->store->file, &c->store->head, change.names[i].state,
			                  &named);
	if (rc == 0 && !x->folded &&
	    (changes || options->batch || history_fold_due(c->store->history) ||
	     (history_never_folded(c->store->history) && ref_changed(&x->txn.dirty)))) {
		x->folded = true;
		x->changed = changes;
		rc = history_fold(c->store->history, &x->txn, changes ? &change : NULL);
		if (rc == 0 && options->batch)
			rc = history_pack(c->store->history, &x->txn, options->batch);
		x->barred = rc < 0;
	}
	if (rc == 0)
		rc = removal_slice(x);
	if (rc == 0)
		rc = ref_write(&x->txn.dirty, &x->txn.system);
	if (rc < 0)
		return rc;
	record_start(c, options);
	rc = retired_check(c->record.retired, c->record.n_retired);
	if (rc == 0)
		rc = pages_place(c);
	if (rc < 0)
		return rc;
	rc = record_finish(c, options);
	x->barred = rc < 0;
	if (rc < 0)
		extents_keep(c);
	return rc;
}

/* ---- Submitting ---- */

/* The run is visible to mappings: it becomes the head, and the turn ends. */
static void store_submitted(struct commit *c)
{
	struct store *store = c->store;
	const struct record *r = &c->record;
	int rc;

	/* Out of memory here only means that the next turn replays the records. */
	rc = history_committed(store->history, r, c->x->folded);
	(void)rc;
	/* They are in the file as they were sealed: this process need not verify them. */
	for (size_t i = 0; i < r->n_written; i++)
		if (!r->written[i].is_run)
			file_mark_seen(store->file, r->written[i].no);
	file_mark_run(store->file, r->state.record);
	pthread_mutex_lock(&store->mutex);
	if (store->generation == c->x->generation) {
		flush_enqueue(store, r, c->async);
		store->skipped_from = 0;
		c->submitted = true;
	}
	turn_end(store);
	pthread_mutex_unlock(&store->mutex);
}

static void written(void *ctx)
{
	store_submitted(ctx);
}

static int runs_write(struct commit *c)
{
	struct io *io = c->store->file->io;
	int rc = 0;

	for (unsigned i = 0; i < c->n_writes && rc == 0; i++)
		rc = io->ops->write(io, &c->writes[i]);
	return rc;
}

/*
 * A write of a placed commit failed: as with a flush, what reached the disk is not known any more.
 */
static int submit_failed(struct commit *c, int rc)
{
	struct store *store = c->store;

	pthread_mutex_lock(&store->mutex);
	if (store->generation == c->x->generation) {
		store_fail(store);
		store_log(store, LOG_ERR,
		          "writing a commit failed (%s): no more commits are taken until the "
		          "prefix is attached again",
		          strerror(-rc));
	}
	turn_end(store);
	pthread_mutex_unlock(&store->mutex);
	return store_failed_error();
}

/* The run and the slot in one submission; the mutex is held, no flush is in flight. */
static int submit_with_slot(struct commit *c)
{
	struct store *store = c->store;
	struct io *io = store->file->io;
	struct flush flush;
	int rc;

	flush_start(store, &c->record, false, &flush);
	pthread_mutex_unlock(&store->mutex);
	c->writes[c->n_writes] = flush.write;
	rc = io->ops->write_sync(io, c->writes, c->n_writes + 1, written, c);
	pthread_mutex_lock(&store->mutex);
	rc = flush_end(store, &flush, rc);
	if (!c->submitted)
		turn_end(store);
	else
		lock_settle(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

/* More than anyone wants to verify at recovery: the pages are on disk before a slot names them. */
static int submit_large(struct commit *c)
{
	struct store *store = c->store;
	struct io *io = store->file->io;
	int rc = flush_wait(store);

	if (rc == 0) {
		store->flushing = true;
		pthread_mutex_unlock(&store->mutex);
		rc = io->ops->write_sync(io, c->writes, c->n_writes, NULL, NULL);
		pthread_mutex_lock(&store->mutex);
		store->flushing = false;
		store->flushes++;
		pthread_cond_broadcast(&store->flushed);
	}
	pthread_mutex_unlock(&store->mutex);
	if (rc < 0)
		return submit_failed(c, rc);
	store_submitted(c);
	return 0;
}

static int flush_mine(struct commit *c)
{
	struct store *store = c->store;
	int rc;

	pthread_mutex_lock(&store->mutex);
	rc = c->submitted ? flush_until(store, c->record.state.number, c->x->generation)
	                  : store_failed_error();
	lock_settle(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

/*
 * Whoever made an async commit sees it: on top of an unflushed durable one it waits for that flush.
 */
static int publish_mine(struct commit *c)
{
	struct store *store = c->store;
	int rc;

	pthread_mutex_lock(&store->mutex);
	while (store->generation == c->x->generation && store->published < c->record.state.number)
		pthread_cond_wait(&store->flushed, &store->mutex);
	rc = store->generation == c->x->generation ? 0 : store_failed_error();
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

/*
 * What async commits retire is not reused before a flush. Where few states are kept, that is all
 * that keeps the file from growing: then who holds back too much waits for the disk (1,000 random
 * puts a commit on a million entries made a file of 16 times its data otherwise). Where all are
 * kept, or those of a longer time than lies between two flushes, it changes nothing: the pages are
 * not free anyway.
 */
static bool holds_much(struct store *store)
{
	bool much;

	pthread_mutex_lock(&store->mutex);
	much = store->held_pages > HELD_PAGES &&
	       store->held_pages > store->head.state.live_pages / 4 &&
	       history_lets_go(store->head.state.keep, store->async_ms);
	pthread_mutex_unlock(&store->mutex);
	return much;
}

/* From here on the transaction is gone whatever happens. */
static int submit(struct commit *c)
{
	struct store *store = c->store;
	int rc;

	pthread_mutex_lock(&store->mutex);
	if (store->generation != c->x->generation) {
		turn_end(store);
		pthread_mutex_unlock(&store->mutex);
		return store_failed_error();
	}
	if (c->record.flushed) {
		rc = submit_large(c);
		return rc < 0 ? rc : flush_mine(c);
	}
	if (!c->async && !store->flushing)
		return submit_with_slot(c);
	pthread_mutex_unlock(&store->mutex);
	rc = runs_write(c);
	if (rc < 0)
		return submit_failed(c, rc);
	store_submitted(c);
	if (!c->async || !c->submitted || holds_much(store))
		return flush_mine(c);
	return publish_mine(c);
}

/* ---- Commit ---- */

static int options_check(const struct commit_options *options)
{
	if (options->label && strlen(options->label) > 63)
		return error_set(DUR_E_LIMIT, "a label has at most 63 bytes, this one has %zu",
		                 strlen(options->label));
	if (options->keep && strlen(options->keep) > 63)
		return error_set(DUR_E_LIMIT, "a retention policy has at most 63 bytes");
	if (options->name && (!*options->name || strlen(options->name) > STATE_NAME_MAX))
		return error_set(DUR_E_NAME, "a state's name has 1 to 63 bytes");
	return 0;
}

bool store_is_empty(const struct txn *txn, const struct commit_options *options)
{
	return txn->catalog.root.no == txn->base.catalog.root.no && !options->label &&
	       !options->keep && !options->received && !options->name && !options->n_names &&
	       !options->maintain && !options->batch;
}

/*
 * No state is made; but what was read is on disk when a durable commit returns, visible in any
 * case.
 */
static int commit_nothing(struct transaction *x, const struct commit_options *options,
                          struct state *state)
{
	struct store *store = x->txn.store;
	uint64_t generation = x->generation;
	int rc = 0;

	*state = x->txn.base;
	store_abort(&x->txn);
	pthread_mutex_lock(&store->mutex);
	if (store->n_queue && !options->async)
		rc = flush_until(store, state->number, generation);
	while (store->n_queue && store->generation == generation &&
	       store->published < state->number)
		pthread_cond_wait(&store->flushed, &store->mutex);
	if (store->generation != generation)
		rc = store_failed_error();
	lock_settle(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

static void commit_free(struct commit *c)
{
	free(c->record.written);
	free(c->bytes);
	free(c->writes);
	free(c->iov);
	free(c->extents);
}

int store_commit(struct txn *txn, const struct commit_options *options, struct state *state)
{
	struct transaction *x = txn->extra;
	struct commit c = { .store = txn->store, .x = x, .async = options->async };
	int rc = options_check(options);

	if (rc == 0 && txn->dirty.failed)
		rc = error_set(txn->dirty.failed, "a write of this transaction failed; close it");
	if (rc == 0 && x->barred)
		rc = error_set(DUR_E_MISUSE, "this transaction failed to commit before; close it");
	if (rc < 0)
		return rc;
	if (store_is_empty(txn, options))
		return commit_nothing(x, options, state);
	if (is_maintenance(txn, options) && store_is_copy(&txn->base))
		return error_set(DUR_E_CONFLICT,
		                 "the prefix is a copy that has its names and its retention from the "
		                 "prefix it was received from: change them there and receive what "
		                 "came since, or commit something here first, which makes it a "
		                 "prefix of its own that receives no more");
	pthread_mutex_lock(&c.store->mutex);
	rc = flush_reserve(c.store);
	pthread_mutex_unlock(&c.store->mutex);
	if (rc == 0)
		rc = commit_place(&c, options);
	if (rc == 0) {
		rc = submit(&c);
		if (rc == 0)
			*state = c.record.state;
		dirty_close(&txn->dirty);
		free(x);
	}
	commit_free(&c);
	return rc;
}

/* Releases while that gets on, in bounded time: it takes no state, and those of maintenance stay few. */
static int release_some(struct transaction *x)
{
	struct history *history = x->txn.store->history;
	uint64_t before;
	int rc = 0, left = MAINTAIN_RELEASES;

	do {
		before = history_work_mark(history);
		x->released = false;
		rc = release_once(x);
	} while (rc == 0 && --left && history_work_mark(history) != before);
	return rc;
}

int store_maintain(struct store *store)
{
	struct commit_options options = { .maintain = true };
	struct state state;
	struct txn *txn;
	int rc = store_begin(store, 0, 0, &txn);

	if (rc < 0)
		return rc;
	if (!history_work_due(store->history)) {
		store_abort(txn);
		return 0;
	}
	pthread_mutex_lock(&store->mutex);
	store->maintaining = true;
	pthread_mutex_unlock(&store->mutex);
	rc = release_some(txn->extra);
	if (rc < 0 || !history_commit_due(store->history)) {
		store_abort(txn);
		return rc;
	}
	rc = store_commit(txn, &options, &state);
	if (rc < 0 && rc != DUR_E_FAILED)
		store_abort(txn);
	return rc;
}
