/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushes. Only one is in flight at a time, and nobody writes a slot meanwhile but the thread that
 * claimed it (`flushing`). Each writes one slot, the one that is not safe, for the newest submitted
 * state: so it carries all commits submitted before it, those that other threads wait for and the
 * async ones below.
 *
 * A thread whose commit is submitted waits here; when a flush ends that did not cover it, the first
 * such thread leads the next one. Publishing happens with the mutex held, so it is in order.
 */
#include <errno.h>
#include <stdlib.h>
#include <syslog.h>

#include "duramen.h"
#include "engine/store_private.h"
#include "internal/error.h"

int store_failed_error(void)
{
	return error_set(DUR_E_FAILED,
	                 "a flush to the disk failed, so what was not on disk by then is "
	                 "dropped; check the disk, then detach and attach the prefix again");
}

int store_forked_error(const struct store *store)
{
	return store->forked
	               ? error_set(DUR_E_FORKED, "this prefix was attached by the parent process; "
	                                         "attach it in this one")
	               : 0;
}

void store_fail(struct store *store)
{
	store->failed = true;
	store->loaded = false;
	store->generation++;
	store->n_queue = 0;
	store->held_pages = 0;
	pthread_cond_broadcast(&store->flushed);
}

bool store_confirmed(const struct store *store)
{
	return store->slot.base == store->slot.state;
}

/* ---- Publishing ---- */

static void publish(struct store *store, uint64_t number, uint64_t record, bool durable)
{
	if (number > store->published) {
		store->published = number;
		store->host.publish(store->host.ctx, number, record, durable);
	} else if (durable) {
		store->host.durable(store->host.ctx, number);
	}
}

/* The async commits below the first durable one that is not flushed may be seen. */
static void publish_due(struct store *store)
{
	size_t n = 0;

	while (n < store->n_queue && store->queue[n].async)
		n++;
	if (n > 0 && store->queue[n - 1].number > store->published)
		publish(store, store->queue[n - 1].number, store->queue[n - 1].record, false);
}

int flush_reserve(struct store *store)
{
	struct unflushed *grown;
	size_t cap = store->cap_queue ? store->cap_queue * 2 : 64;

	if (store->n_queue < store->cap_queue)
		return 0;
	grown = realloc(store->queue, cap * sizeof *grown);
	if (!grown)
		return error_system(ENOMEM, "noting a commit");
	store->queue = grown;
	store->cap_queue = cap;
	return 0;
}

void flush_enqueue(struct store *store, const struct record *record, bool async)
{
	if (async && store->n_queue == 0)
		store->async_since_ms = store_now_ms();
	store->queue[store->n_queue++] =
		(struct unflushed){ record->state.number, record->state.record,
		                    record->state.oldest, async };
	for (size_t i = 0; i < record->n_retired; i++)
		store->held_pages += record->retired[i].n;
	store->head = *record;
	store->head.written = NULL;
	store->head.retired = NULL;
	store->head.n_written = store->head.n_retired = 0;
	if (record->flushed)
		store->large_newest = record->state.number;
	if (async)
		publish_due(store);
}

/* A flush made all up to `number` durable. */
static void settle(struct store *store, const struct flush *flush)
{
	size_t n = 0;

	while (n < store->n_queue && store->queue[n].number <= flush->slot.state)
		n++;
	store->n_queue -= n;
	if (store->n_queue == 0)
		store->held_pages = 0;
	if (n && store->n_queue)
		memmove(store->queue, store->queue + n, store->n_queue * sizeof *store->queue);
	if (store->n_queue)
		store->async_since_ms = store_now_ms();
	if (flush->slot.state > store->durable) {
		store->durable = flush->slot.state;
		publish(store, flush->slot.state, flush->slot.record, true);
	}
	store->settled = (struct settled){ flush->slot.state, flush->slot.record, flush->oldest };
	publish_due(store);
}

/* ---- Slots ---- */

/*
 * At least twice what was used since the last slot write, so that a busy writer rarely runs into
 * it.
 */
static uint64_t ceiling(const struct store *store)
{
	uint64_t step = 2 * (store->next - store->next_at_slot);

	if (step < CEILING_STEP_MIN)
		step = CEILING_STEP_MIN;
	if (step > CEILING_STEP_MAX)
		step = CEILING_STEP_MAX;
	return store->next - 1 + step;
}

void flush_start(struct store *store, const struct record *newest, bool confirming,
                 struct flush *flush)
{
	const struct state *s = &newest->state;

	flush->index = 1 - store->safe;
	flush->oldest = s->oldest;
	flush->slot = (struct slot){
		.state = s->number,
		.record = s->record,
		.record_pages = s->record_pages,
		.record_hash = newest->hash,
		.base = confirming ? s->number : store->durable,
		.ceiling = ceiling(store),
		.epoch = store->epoch,
		.salt = store->salt,
		.file_pages = s->file_pages,
	};
	if (!confirming && (newest->flushed || store->large_newest > store->durable))
		flush->slot.flags = SLOT_FLUSHED;
	file_slot_encode(store->file, &flush->slot, flush->page);
	flush->iov = (struct iovec){ flush->page, PAGE_SIZE };
	flush->write = (struct io_write){ file_slot_offset(flush->index), &flush->iov, 1 };
	store->next_at_slot = store->next;
	store->flushing = true;
}

int flush_end(struct store *store, struct flush *flush, int rc)
{
	store->flushing = false;
	store->flushes++;
	store->active_ms = store_now_ms();
	if (rc < 0) {
		store_fail(store);
		store_log(store, LOG_ERR,
		          "a flush failed (%s): commits after state %llu are dropped, and "
		          "no more are taken until the prefix is attached again",
		          strerror(-rc), (unsigned long long)store->durable);
		return store_failed_error();
	}
	store->safe = flush->index;
	store->slot = flush->slot;
	settle(store, flush);
	pthread_cond_broadcast(&store->flushed);
	return 0;
}

int flush_wait(struct store *store)
{
	while (store->flushing)
		pthread_cond_wait(&store->flushed, &store->mutex);
	return store->failed ? store_failed_error() : 0;
}

/* A flush of the head's slot alone: its pages were written before. */
static int flush_slot(struct store *store, bool confirming)
{
	struct flush flush;
	struct io *io = store->file->io;
	int rc;

	flush_start(store, &store->head, confirming, &flush);
	pthread_mutex_unlock(&store->mutex);
	rc = io->ops->write_sync(io, &flush.write, 1, NULL, NULL);
	pthread_mutex_lock(&store->mutex);
	return flush_end(store, &flush, rc);
}

int flush_all(struct store *store)
{
	return store->n_queue ? flush_until(store, store->head.state.number, store->generation)
	                      : flush_wait(store);
}

int flush_until(struct store *store, uint64_t number, uint64_t generation)
{
	while (store->generation == generation && store->durable < number) {
		if (store->flushing)
			pthread_cond_wait(&store->flushed, &store->mutex);
		else
			flush_slot(store, false); /* its failure shows in the generation */
	}
	return store->generation == generation ? 0 : store_failed_error();
}

int confirm(struct store *store)
{
	int rc = flush_all(store);

	return rc < 0 ? rc : flush_slot(store, true);
}

/* ---- When to flush ---- */

int store_sync(struct store *store)
{
	int rc = store_forked_error(store);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->mutex);
	rc = store->failed ? store_failed_error() : flush_all(store);
	lock_settle(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

int store_let_go(struct store *store)
{
	int rc = store_forked_error(store);

	if (rc == 0)
		rc = turn_take(store, -1);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->mutex);
	if (store->locked && !store->failed) {
		rc = flush_all(store);
		if (rc == 0)
			lock_release(store, true);
	}
	turn_end(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

void store_hold(struct store *store, bool hold)
{
	pthread_mutex_lock(&store->mutex);
	store->hold += hold ? 1u : -1u;
	lock_settle(store);
	pthread_mutex_unlock(&store->mutex);
}

/*
 * After idleness: the newest state, if this process wrote it last, gets a slot that needs no
 * verification. If another process has the lock, it is that one's to do. 1: a thread has the turn.
 * The mutex is not held.
 */
static int confirm_idle(struct store *store)
{
	int64_t now = store_now_ms();
	uint64_t number;
	int rc;

	pthread_mutex_lock(&store->mutex);
	number = store->durable;
	pthread_mutex_unlock(&store->mutex);
	if (turn_take(store, now) != 0)
		return 1;
	rc = lock_take(store, now);
	pthread_mutex_lock(&store->mutex);
	if (rc == 0 && !store_confirmed(store) && store->durable == number)
		rc = confirm(store);
	else if (rc == DUR_E_LOCKED)
		rc = 0;
	store->active_ms = INT64_MAX; /* until the next commit */
	turn_end(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
	return a_ms < 0 || (b_ms >= 0 && b_ms < a_ms) ? b_ms : a_ms;
}

/* Packing goes on in the background, as long as this process writes; it yields to who has the turn. */
static int pack_tick(struct store *store, int *next_ms)
{
	uint64_t pages;
	bool copy;
	int rc;

	if (!store_pack_due(store))
		return 0;
	pthread_mutex_lock(&store->mutex);
	copy = store_is_copy(&store->head.state);
	pthread_mutex_unlock(&store->mutex);
	if (copy)
		return 0;
	rc = store_pack(store, STORE_PACK_DUE, PACK_PATIENCE_MS, PACK_SLICE_MS, &pages);
	if (rc == DUR_E_LOCKED)
		rc = 1;
	if (rc < 0) { /* said once; the data are as they were */
		pthread_mutex_lock(&store->mutex);
		store->pack_failed = true;
		pthread_mutex_unlock(&store->mutex);
	}
	if (*next_ms < 0 || *next_ms > PACK_AGAIN_MS)
		*next_ms = PACK_AGAIN_MS; /* what the packs' commits need: a flush */
	return rc < 0 ? rc : 0;
}

int store_tick(struct store *store, int *next_ms)
{
	int64_t now = store_now_ms(), due = -1;
	bool idle, work;
	int rc = store_forked_error(store);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->mutex);
	if (store->failed) {
		rc = store_failed_error();
	} else if (store->n_queue) {
		due = store->async_since_ms + store->async_ms;
		if (now >= due ||
		    (store->locked && !store->hold && store->host.wanted(store->host.ctx))) {
			rc = flush_all(store);
			lock_settle(store);
			due = store->n_queue ? store->async_since_ms + store->async_ms : -1;
		}
	}
	work = rc == 0 && due < 0 && store->loaded && store->work_due &&
	       !store_is_copy(&store->head.state);
	if (work)
		due = store->active_ms == INT64_MAX ? now : store->active_ms + MAINTAIN_IDLE_MS;
	idle = !work && rc == 0 && due < 0 && store->loaded && store->slot.state &&
	       !store_confirmed(store) && store->active_ms != INT64_MAX;
	if (idle)
		due = store->active_ms + CONFIRM_IDLE_MS;
	pthread_mutex_unlock(&store->mutex);
	if (work && now >= due) {
		rc = store_maintain(store);
		rc = rc == DUR_E_LOCKED ? 0 : rc;
		due = now + MAINTAIN_IDLE_MS;
	}
	if (idle && now >= due) {
		rc = confirm_idle(store);
		due = rc == 1 ? now + CONFIRM_IDLE_MS : -1;
		rc = rc == 1 ? 0 : rc;
	}
	if (rc == 0)
		due = sooner(due, give_back_tick(store, now));
	*next_ms = due < 0 ? -1 : due <= now ? 0 : (int)(due - now);
	return rc < 0 ? rc : pack_tick(store, next_ms);
}
