/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery, DESIGN.md section 4: believe a slot whose records and pages verify, the newest first;
 * on the same boot never go below the published state; make sure that what was taken is on disk,
 * since what verifies from the page cache may not be; then confirm it in the other slot, publish
 * it, and hand out numbers above all that were ever promised. Until the first write nothing has
 * changed; what is rewritten is rewritten byte for byte, so it may be cut off anywhere and starts
 * again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>
#include <syslog.h>

#include "duramen.h"
#include "engine/chain.h"
#include "engine/run.h"
#include "engine/store_private.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	REWRITE_PAGES = 256, /* a write of the rewriting: 1 MiB */
	RUN_LENGTH_AT = 24,
};

struct recovery {
	struct store *store;
	const struct store_shared *found;
	struct slot slots[2];
	bool readable[2];
	int chosen;         /* the slot believed */
	bool fell_back;     /* the other one is newer and does not verify */
	struct chain chain; /* from the state taken back to the chosen slot's base */
	struct chain_holder taken, slots_hold; /* what the state taken and the slot's hold of it */
	uint64_t ceiling;   /* the higher of the two */
	uint64_t epoch, salt;
	int io_error; /* -errno of a write or flush that failed */
};

/* ---- Which slot ---- */

bool slot_better(const struct slot *a, const struct slot *b)
{
	if (a->state != b->state)
		return a->state > b->state;
	if ((a->base == a->state) != (b->base == b->state))
		return a->base == a->state;
	return a->ceiling > b->ceiling;
}

int slot_choose(const struct file *file, struct slot *slot)
{
	struct slot slots[2];
	bool readable[2];

	for (int i = 0; i < 2; i++)
		readable[i] = file_slot_read(file, i, &slots[i]) == 0;
	if (!readable[0] && !readable[1])
		return -1;
	int best = readable[0] && (!readable[1] || !slot_better(&slots[1], &slots[0])) ? 0 : 1;
	*slot = slots[best];
	return best;
}

/* The chain of a slot, verified. DUR_E_CORRUPT: it is not to be believed. */
static int slot_verify(struct recovery *r, int i)
{
	const struct slot *slot = &r->slots[i];
	struct file *file = r->store->file;
	struct chain_from from = { slot->state, slot->record, &slot->record_hash, slot->base,
		                   NULL };
	int rc;

	chain_free(&r->chain);
	rc = chain_read(file, &from, &r->chain);
	return rc < 0 ? rc : chain_verify(file, &r->chain, slot->flags & SLOT_FLUSHED);
}

static int confirmed_damaged(const struct slot *slot)
{
	return error_context(DUR_E_CORRUPT,
	                     "state %" PRIu64 " was confirmed on disk and is damaged now (this "
	                     "is not a crash's doing; check the disk, restore from a backup): ",
	                     slot->state);
}

/* Believes the better slot that verifies. */
static int choose(struct recovery *r)
{
	int first, rc;

	for (int i = 0; i < 2; i++) {
		r->readable[i] = file_slot_read(r->store->file, i, &r->slots[i]) == 0;
		if (r->readable[i] && r->slots[i].ceiling > r->ceiling)
			r->ceiling = r->slots[i].ceiling;
		if (r->readable[i] && r->slots[i].epoch > r->epoch)
			r->epoch = r->slots[i].epoch;
	}
	if (!r->readable[0] && !r->readable[1])
		return error_set(DUR_E_CORRUPT,
		                 "both commit slots are damaged: no state can be told; "
		                 "restore the file from a backup");
	first = r->readable[0] && (!r->readable[1] || !slot_better(&r->slots[1], &r->slots[0])) ? 0
	                                                                                        : 1;
	r->chosen = first;
	rc = slot_verify(r, first);
	if (rc != DUR_E_CORRUPT)
		return rc;
	if (r->slots[first].base == r->slots[first].state)
		return confirmed_damaged(&r->slots[first]);
	if (!r->readable[1 - first])
		return error_context(rc,
		                     "state %" PRIu64 ", the newest, is not whole, and the other "
		                     "commit slot is damaged: ",
		                     r->slots[first].state);
	store_log(r->store, LOG_WARNING,
	          "state %" PRIu64 " did not reach the disk whole (%s); falling back "
	          "to state %" PRIu64,
	          r->slots[first].state, error_text(), r->slots[1 - first].state);
	r->chosen = 1 - first;
	r->fell_back = true;
	rc = slot_verify(r, 1 - first);
	if (rc == DUR_E_CORRUPT && r->slots[1 - first].base == r->slots[1 - first].state)
		return confirmed_damaged(&r->slots[1 - first]);
	return rc;
}

/* ---- The published state ---- */

/*
 * On the same boot what readers have seen stays: the newer of the slot's state and the published
 * one.
 */
static int choose_published(struct recovery *r)
{
	const struct slot *slot = &r->slots[r->chosen];
	bool confirmed = slot->base == slot->state;
	struct chain_from from = { r->found->visible, r->found->record, NULL, slot->base,
		                   confirmed ? &slot->record_hash : NULL };
	struct file *file = r->store->file;
	const struct record *in;
	int rc;

	if (from.number <= slot->state) {
		if (from.number > slot->base && !chain_find(&r->chain, from.number))
			return error_set(DUR_E_CORRUPT,
			                 "state %" PRIu64 ", which readers have seen, is no "
			                 "ancestor of state %" PRIu64 " on disk",
			                 from.number, slot->state);
		return 0;
	}
	chain_free(&r->chain);
	rc = chain_read(file, &from, &r->chain);
	if (rc == 0)
		rc = chain_verify(file, &r->chain,
		                  true); /* published: its large ones were flushed */
	in = chain_find(&r->chain, slot->state);
	if (rc == 0 && !confirmed &&
	    (!in || in->hash.low != slot->record_hash.low ||
	     in->hash.high != slot->record_hash.high))
		rc = error_set(DUR_E_CORRUPT, "it does not build on state %" PRIu64, slot->state);
	if (rc == DUR_E_CORRUPT)
		return error_context(
			rc,
			"state %" PRIu64 ", which readers have seen, is not whole any more "
			"(a flush failed, or the disk did); nothing was changed: restart the "
			"machine to go back to state %" PRIu64 " on disk: ",
			from.number, slot->state);
	return rc;
}

/* ---- Every page, after a fall-back ---- */

struct walk {
	struct file *file;
	uint8_t *met;   /* a bit a page: what several places name is looked at once */
	uint64_t pages;
	int rc;
};

static bool walk_skip(void *ctx, struct page_ptr ptr, unsigned level, uint64_t count)
{
	struct walk *walk = ctx;

	(void)level;
	(void)count;

	if (ptr.no >= walk->pages)
		return false;
	bool met = walk->met[ptr.no / 8] >> ptr.no % 8 & 1;
	walk->met[ptr.no / 8] |= (uint8_t)(1 << ptr.no % 8);
	return met;
}

static int walk_page(void *ctx, struct page_ptr ptr, uint64_t n, unsigned level)
{
	struct walk *walk = ctx;
	const uint8_t *bytes;
	int rc;

	if (level > 0)
		return 0;
	rc = file_map(walk->file, ptr.no, n, &bytes);
	if (rc < 0)
		return rc;
	if (page_kind((const struct page *)bytes) != PAGE_RUN)
		return 0; /* the walk has verified it */
	return run_verify(walk->file, ptr, get_u64(bytes + RUN_LENGTH_AT));
}

static void walk_problem(void *ctx, struct page_ptr ptr, const char *text)
{
	struct walk *walk = ctx;

	if (walk->rc == 0)
		walk->rc = error_set(DUR_E_CORRUPT, "page %" PRIu64 " of state %" PRIu64 ": %s",
		                     ptr.no, ptr.birth, text);
}

/*
 * The newer state may have been durable and damaged later, and pages of the older one reused since:
 * then nothing less than looking at all of them tells.
 */
static int check_all(struct recovery *r)
{
	const struct state *s = &r->chain.head.state;
	struct walk walk = { .file = r->store->file, .pages = atomic_load(&r->store->file->pages) };
	const struct pager pager = { .file = r->store->file };
	const struct tree_visitor visitor = { &walk, walk_page, walk_problem, walk_skip };
	int rc;

	walk.met = calloc(walk.pages / 8 + 1, 1);
	if (!walk.met)
		return error_system(ENOMEM, "recovering");
	rc = tree_walk(&pager, &s->catalog, &visitor);
	if (rc == 0)
		rc = tree_walk(&pager, &s->system, &visitor);
	free(walk.met);
	rc = rc < 0 ? rc : walk.rc;
	if (rc == DUR_E_CORRUPT)
		return error_context(rc,
		                     "the newest state is damaged, and so is state %" PRIu64
		                     " before it; "
		                     "nothing was changed; restore the file from a backup: ",
		                     s->number);
	return rc;
}

/* ---- Rewriting ---- */

static int io_result(struct recovery *r, int rc)
{
	if (rc < 0)
		r->io_error = rc;
	return rc;
}

struct rewrite {
	struct recovery *recovery;
	uint8_t *buf;   /* REWRITE_PAGES */
	uint64_t no, n; /* pages in it */
};

static int rewrite_out(struct rewrite *w)
{
	struct iovec iov = { w->buf, w->n << PAGE_SHIFT };
	struct io_write write = { w->no << PAGE_SHIFT, &iov, 1 };
	struct io *io = w->recovery->store->file->io;
	int rc = w->n ? io->ops->write(io, &write) : 0;

	w->n = 0;
	return io_result(w->recovery, rc);
}

/*
 * Copies pages to be written back where they came from. The caller verifies the file's after the
 * copy: a page may leave the cache and come back wrong, never wrong and then right.
 */
static int rewrite_pages(struct rewrite *w, struct file *file, uint64_t no, uint64_t n)
{
	const uint8_t *bytes;
	int rc = file_map(file, no, n, &bytes);

	for (uint64_t i = 0; i < n && rc == 0; i++) {
		if (w->n == REWRITE_PAGES || (w->n && w->no + w->n != no + i))
			rc = rewrite_out(w);
		if (w->n == 0)
			w->no = no + i;
		memcpy(w->buf + (w->n++ << PAGE_SHIFT), bytes + (i << PAGE_SHIFT), PAGE_SIZE);
	}
	return rc;
}

/* A record and what it lists that the slot's state or the one taken holds. */
static int rewrite_record(struct recovery *r, struct rewrite *w, const struct record *record)
{
	struct file *file = r->store->file;
	struct record again;
	int rc = rewrite_out(w);

	for (size_t i = 0; i < record->n_written && rc == 0 && !record->flushed; i++) {
		const struct written *entry = &record->written[i];
		bool taken_does = chain_holds(&r->chain, &r->taken, record, entry);
		if (!taken_does &&
		    (!r->slots_hold.state || !chain_holds(&r->chain, &r->slots_hold, record, entry)))
			continue;
		rc = rewrite_pages(w, file, entry->no, entry->n);
		if (rc == 0 && taken_does)
			rc = chain_verify_entry(file, record, entry);
	}
	if (rc == 0)
		rc = rewrite_pages(w, file, record->state.record, record->state.record_pages);
	if (rc == 0)
		rc = record_read(file, record->state.record, record->state.number, &record->hash,
		                 false, &again);
	return rc == 0 ? rewrite_out(w) : rc;
}

static int slot_write(struct recovery *r, int i, const struct slot *slot)
{
	struct io *io = r->store->file->io;
	uint8_t page[PAGE_SIZE];
	struct iovec iov = { page, PAGE_SIZE };
	struct io_write write = { file_slot_offset(i), &iov, 1 };

	file_slot_encode(r->store->file, slot, page);
	return io_result(r, io->ops->write_sync(io, &write, 1, NULL, NULL));
}

/*
 * (1) of the design: everything since the base, and the slot that says so, is written again and
 * flushed.
 */
static int rewrite(struct recovery *r)
{
	const struct record *slot_record = chain_find(&r->chain, r->slots[r->chosen].state);
	struct rewrite w = { .recovery = r };
	int rc;

	w.buf = aligned_alloc(PAGE_SIZE, (size_t)REWRITE_PAGES << PAGE_SHIFT);
	if (!w.buf)
		return error_system(ENOMEM, "recovering");
	rc = chain_holder(r->store->file, &r->chain, &r->chain.head, &r->taken);
	if (rc == 0 && slot_record)
		rc = chain_holder(r->store->file, &r->chain, slot_record, &r->slots_hold);
	for (size_t i = r->chain.n; i-- > 0 && rc == 0;)
		rc = rewrite_record(r, &w, &r->chain.records[i]);
	free(w.buf);
	chain_holder_free(&r->taken);
	chain_holder_free(&r->slots_hold);
	return rc < 0 ? rc : slot_write(r, r->chosen, &r->slots[r->chosen]);
}

/* (2): the state taken, confirmed, goes to the other slot, above all numbers ever promised. */
static int confirm_taken(struct recovery *r, struct slot *slot)
{
	const struct record *taken = &r->chain.head;

	*slot = (struct slot){
		.state = taken->state.number,
		.record = taken->state.record,
		.record_pages = taken->state.record_pages,
		.record_hash = taken->hash,
		.base = taken->state.number,
		.ceiling = r->ceiling + CEILING_STEP_MIN,
		.epoch = r->epoch,
		.salt = r->salt,
		.file_pages = taken->state.file_pages,
	};
	return slot_write(r, 1 - r->chosen, slot);
}

/* (3): from here on it is the newest state for everybody. */
static void stand(struct recovery *r, const struct slot *slot)
{
	struct store *store = r->store;
	const struct state *s = &r->chain.head.state;

	pthread_mutex_lock(&store->mutex);
	store->failed = false;
	store->loaded = true;
	store->head = r->chain.head;
	store->safe = 1 - r->chosen;
	store->slot = *slot;
	store->durable = store->published = s->number;
	store->settled = (struct settled){ s->number, s->record, s->oldest };
	store->n_queue = 0;
	store->next = store->next_at_slot = r->ceiling + 1;
	store->skipped_from = s->number + 1;
	store->epoch = r->epoch;
	store->salt = r->salt;
	store->flushes += 2;
	store->host.publish(store->host.ctx, s->number, s->record, true);
	pthread_mutex_unlock(&store->mutex);
}

/* ---- The whole ---- */

/* Decides which state to take; changes nothing. */
static int take_state(struct recovery *r)
{
	struct store *store = r->store;
	int rc = file_refresh(store->file);

	if (rc == 0)
		rc = choose(r);
	if (rc == 0 && r->found->visible)
		rc = choose_published(r);
	if (rc == 0 && r->fell_back)
		rc = check_all(r);
	if (rc == 0)
		rc = history_load(store->history, &r->chain.head);
	if (r->found->epoch > r->epoch)
		r->epoch = r->found->epoch;
	r->epoch++;
	if (r->found->next > r->ceiling + 1)
		r->ceiling = r->found->next - 1;
	if (rc == 0 && getrandom(&r->salt, sizeof r->salt, 0) != sizeof r->salt)
		rc = error_system(errno, "recovering");
	return rc;
}

int recover(struct store *store, const struct store_shared *found)
{
	struct recovery r = { .store = store, .found = found };
	struct slot slot;
	int rc;

	store_unload(store);
	rc = take_state(&r);
	if (rc < 0) {
		store_log(store, LOG_ERR, "recovery cannot go on: %s", error_text());
		chain_free(&r.chain);
		return rc;
	}
	rc = rewrite(&r);
	if (rc == 0)
		rc = confirm_taken(&r, &slot);
	if (rc == 0) {
		stand(&r, &slot);
		if (found->visible)
			store_log(store, LOG_NOTICE,
			          "took over from a writer that did not end properly: state "
			          "%" PRIu64 " is the newest",
			          r.chain.head.state.number);
		else if (r.chain.n || r.fell_back)
			store_log(store, LOG_NOTICE, "recovered: state %" PRIu64 " is the newest",
			          r.chain.head.state.number);
	} else if (r.io_error) {
		pthread_mutex_lock(&store->mutex);
		store_fail(store); /* never retried: whoever is next starts from the beginning */
		pthread_mutex_unlock(&store->mutex);
		store_log(store, LOG_ERR,
		          "recovery failed to write (%s): it starts again with the next "
		          "attach",
		          strerror(-r.io_error));
		rc = store_failed_error();
	}
	chain_free(&r.chain);
	return rc;
}

int store_recover(struct store *store, int timeout_ms)
{
	int64_t deadline = store_deadline(timeout_ms);
	bool failed;
	int rc;

	rc = store_forked_error(store);
	if (rc < 0)
		return rc;
	if (store->read_only || !store->has_host)
		return error_set(DUR_E_READ_ONLY,
		                 "this prefix is attached for reading only; it needs "
		                 "recovery, which writes: attach it for writing once");
	rc = turn_take(store, deadline);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->mutex);
	while (store->flushing)
		pthread_cond_wait(&store->flushed, &store->mutex);
	failed = store->failed;
	if (failed && store->locked)
		lock_release(store, false);
	pthread_mutex_unlock(&store->mutex);
	rc = lock_take(store, deadline);
	pthread_mutex_lock(&store->mutex);
	if (rc == 0)
		store->failed = false;
	turn_end(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}
