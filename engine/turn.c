/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns and the lock. A turn may be snatched by a running thread while the one that waited longest
 * is still waking up (handing over each time costs a context switch per commit); a thread that has
 * waited for WAITER_PATIENCE_US gets the next turn handed over, so nobody starves.
 *
 * The lock between processes is kept while threads queue here or a flush is in flight, so a busy
 * process pays for it once a burst; another process that wants it is let in between two turns.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#include "duramen.h"
#include "engine/store_private.h"
#include "internal/error.h"

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t store_now_ms(void)
{
	return now_us() / 1000;
}

int64_t store_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : store_now_ms() + timeout_ms;
}

static int left_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - store_now_ms();

	return deadline_ms < 0 ? -1 : left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

void store_log(struct store *store, int level, const char *format, ...)
{
	char text[512];
	va_list args;

	if (!store->host.log)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	store->host.log(store->host.ctx, level, text);
}

/* ---- Turns ---- */

static void waiter_remove(struct store *store, struct waiter *waiter)
{
	struct waiter **at = &store->waiters;

	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
	if (store->waiters_end == &waiter->next)
		store->waiters_end = at;
}

/* Waits in the queue; the mutex is held. 0: the turn is this thread's, ETIMEDOUT: it is not. */
static int turn_wait(struct store *store, int64_t deadline_ms)
{
	struct waiter self = { .since_us = now_us() };
	struct timespec until = { .tv_sec = deadline_ms / 1000,
		                  .tv_nsec = deadline_ms % 1000 * 1000000 };
	pthread_condattr_t monotonic;
	int rc = 0;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&self.cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*store->waiters_end = &self;
	store->waiters_end = &self.next;
	while (!self.granted && store->turn_taken && rc == 0)
		rc = deadline_ms < 0 ? pthread_cond_wait(&self.cond, &store->mutex)
		                     : pthread_cond_timedwait(&self.cond, &store->mutex, &until);
	if (self.granted || !store->turn_taken)
		rc = 0;
	if (!self.granted)
		waiter_remove(store, &self);
	pthread_cond_destroy(&self.cond);
	return rc;
}

int turn_take(struct store *store, int64_t deadline_ms)
{
	int rc = 0;

	pthread_mutex_lock(&store->mutex);
	if (store->turn_taken && pthread_equal(store->turn_owner, pthread_self()))
		rc = error_set(-EDEADLK,
		               "this thread has a transaction of this prefix open already; "
		               "commit or close it first");
	else if (store->turn_taken && turn_wait(store, deadline_ms) != 0)
		rc = error_set(DUR_E_LOCKED,
		               "another thread of this process has a transaction open; "
		               "wait longer, or try again");
	if (rc == 0) {
		store->turn_taken = true;
		store->turn_owner = pthread_self();
	}
	if (rc != 0)
		lock_settle(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

/* What pins stand in the way of, store_maintain() does not try again before the next commit. */
static void work_note(struct store *store)
{
	uint64_t mark = history_work_mark(store->history);

	store->work_due = store->loaded && history_work_due(store->history) &&
	                  !(store->maintaining && mark == store->work_mark);
	store->work_mark = mark;
	store->maintaining = false;
}

void turn_end(struct store *store)
{
	struct waiter *first = store->waiters;

	if (store->history) {
		work_note(store);
		history_size(store->history, &store->size);
		atomic_store(&store->pack_due, history_pack_due(store->history));
	}
	store->turn_taken = false;
	if (first) {
		if (now_us() - first->since_us > WAITER_PATIENCE_US) {
			waiter_remove(store, first);
			first->granted = true;
			store->turn_taken = true;
			memset(&store->turn_owner, 0,
			       sizeof store->turn_owner); /* it says so itself */
		}
		pthread_cond_signal(&first->cond);
	}
	lock_settle(store);
}

/* ---- The lock ---- */

void lock_release(struct store *store, bool clean)
{
	struct store_shared words = {
		.visible = store->published,
		.record = store->settled.record,
		.durable = store->durable,
		.next = store->next,
		.epoch = store->epoch,
		.clean = clean,
	};

	store->locked = false;
	store->host.unlock(store->host.ctx, &words);
}

void lock_settle(struct store *store)
{
	if (!store->locked || store->turn_taken || store->flushing || store->waiters)
		return;
	if (store->failed)
		lock_release(store, false); /* I6: whoever takes it next recovers */
	else if (!store->hold && store->n_queue == 0)
		lock_release(store, true);
}

/* Is what this process left all there is? Then nothing on the disk has changed, not even a slot. */
static bool stands_as_left(const struct store *store, const struct store_shared *found)
{
	return found->ours && store->loaded && store->head.state.number == found->visible &&
	       store->epoch == found->epoch && store->next == found->next &&
	       history_stands_at(store->history, found->visible, store->head.state.record);
}

/* What is in memory is about to change; a tick of another thread looks whether there is any. */
void store_unload(struct store *store)
{
	pthread_mutex_lock(&store->mutex);
	store->loaded = false;
	pthread_mutex_unlock(&store->mutex);
}

/*
 * Brings the memory to the state that another process left, with the lock held and all of it clean.
 */
static int adopt(struct store *store, const struct store_shared *found)
{
	struct slot slot;
	struct record head;
	int safe, rc;

	if (stands_as_left(store, found))
		return 0;
	rc = file_refresh(store->file);
	if (rc < 0)
		return rc;
	safe = slot_choose(store->file, &slot);
	if (safe < 0 || slot.state != found->visible) {
		store_log(store, LOG_WARNING,
		          "no commit slot names state %llu, the newest one: recovering",
		          (unsigned long long)found->visible);
		return recover(store, found);
	}
	head = store->head;
	if (!store->loaded || head.state.number != found->visible || store->epoch != found->epoch ||
	    !history_stands_at(store->history, head.state.number, head.state.record)) {
		store_unload(store);
		rc = record_read(store->file, slot.record, slot.state, &slot.record_hash, false,
		                 &head);
		if (rc == 0)
			rc = history_load(store->history, &head);
		if (rc < 0)
			return rc;
	}
	pthread_mutex_lock(&store->mutex);
	store->loaded = true;
	store->head = head;
	store->safe = safe;
	store->slot = slot;
	store->durable = store->published = head.state.number;
	store->settled =
		(struct settled){ head.state.number, head.state.record, head.state.oldest };
	store->epoch = found->epoch;
	store->salt = slot.salt;
	store->next = found->next > head.state.number ? found->next : head.state.number + 1;
	store->next_at_slot = store->next;
	store->n_queue = 0;
	pthread_mutex_unlock(&store->mutex);
	return 0;
}

/*
 * Another process waits, and this one is asked to let it in: not between the commits of one flush.
 */
static int let_in(struct store *store)
{
	int rc;

	pthread_mutex_lock(&store->mutex);
	rc = flush_all(store);
	if (rc == 0)
		lock_release(store, true);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

int lock_take(struct store *store, int64_t deadline_ms)
{
	struct store_shared found = { 0 };
	bool recovering, locked, hold;
	int rc;

	pthread_mutex_lock(&store->mutex);
	locked = store->locked;
	hold = store->hold;
	pthread_mutex_unlock(&store->mutex);
	if (locked) {
		if (hold || !store->host.wanted(store->host.ctx))
			return 0;
		rc = let_in(store);
		if (rc < 0)
			return rc;
	}
	rc = store->host.lock(store->host.ctx, left_ms(deadline_ms), &found);
	if (rc != 0)
		return rc;
	recovering = found.visible == 0 || !found.clean;
	pthread_mutex_lock(&store->mutex);
	store->locked = true;
	pthread_mutex_unlock(&store->mutex);
	rc = recovering ? recover(store, &found) : adopt(store, &found);
	if (rc == 0)
		return 0;
	pthread_mutex_lock(&store->mutex);
	store->locked = false;
	store->loaded = false;
	/* what was found stays as it was, but a recovery that wrote and failed leaves "unclean" */
	found.clean = found.clean && !store->failed;
	store->host.unlock(store->host.ctx, &found);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}
