/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing, and reading states. Writing is in commit.c, flush.c, turn.c and recover.c. */
#include "engine/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/refs.h"
#include "engine/store_private.h"
#include "internal/error.h"

/* ---- Opening ---- */

static void sync_init(struct store *store)
{
	pthread_mutex_init(&store->mutex, NULL);
	pthread_mutex_init(&store->packing, NULL);
	pthread_cond_init(&store->flushed, NULL);
	store->waiters_end = &store->waiters;
}

int store_open(int fd, bool read_only, const struct store_options *options,
               const struct store_host *host, struct store **out)
{
	struct store *store = calloc(1, sizeof *store);
	int rc;

	if (!store) {
		close(fd);
		if (options->io)
			options->io->ops->close(options->io);
		return error_system(ENOMEM, "opening a prefix");
	}
	rc = file_open(fd, read_only, options->io, &store->file);
	if (rc == 0)
		rc = history_open(store->file, &store->history);
	if (rc < 0) {
		file_close(store->file);
		free(store);
		return rc;
	}
	sync_init(store);
	store->read_only = read_only;
	if (host) {
		store->host = *host;
		store->has_host = true;
	}
	store->async_ms = options->async_ms ? options->async_ms : ASYNC_MS;
	store->memory_bytes = options->memory_bytes;
	store->clock = options->clock;
	store->clock_ctx = options->clock_ctx;
	*out = store;
	return 0;
}

void store_forked(struct store *store)
{
	struct file *scattered = atomic_load(&store->scattered);

	store->forked = true;
	if (scattered)
		file_forked(scattered);
	file_forked(store->file);
}

struct file *store_file(struct store *store)
{
	return store->file;
}

/* ---- Closing ---- */

/*
 * Whether the lock, taken anew at close, shows that nobody wrote since this process's last commit.
 */
static bool still_mine(struct store *store, const struct store_shared *found)
{
	struct slot slot;
	int safe = slot_choose(store->file, &slot);

	if (!found->clean || found->visible != store->durable || found->epoch != store->epoch ||
	    safe < 0 || slot.state != found->visible)
		return false;
	store->safe = safe;
	store->slot = slot;
	store->next = store->next_at_slot = found->next;
	return true;
}

/*
 * A clean close leaves a confirmed state if this process wrote the newest. The lock may have been
 * let go since; if another process has it, or has written, confirming is up to that one. The mutex
 * is held.
 */
static int close_unlocked(struct store *store)
{
	struct store_shared found = { 0 };

	if (!store->loaded || store_confirmed(store))
		return 0;
	if (store->host.lock(store->host.ctx, 0, &found) != 0)
		return 0;
	store->locked = true;
	if (still_mine(store, &found)) {
		int rc = store_confirmed(store) ? 0 : confirm(store);
		lock_release(store, rc == 0);
		return rc;
	}
	store->locked = false;
	store->host.unlock(store->host.ctx, &found);
	return 0;
}

static int close_writer(struct store *store)
{
	int rc = turn_take(store, -1);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->mutex);
	store->hold = 0;
	if (store->failed) {
		rc = flush_wait(store);
	} else if (store->locked) {
		rc = flush_all(store);
		if (rc == 0 && !store_confirmed(store))
			rc = confirm(store);
		if (rc == 0)
			lock_release(store, true);
	} else {
		rc = close_unlocked(store);
	}
	turn_end(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

int store_close(struct store *store)
{
	int rc = 0;

	if (!store)
		return 0;
	if (store->has_host && !store->read_only && !store->forked)
		rc = close_writer(store);
	history_close(store->history);
	file_close(atomic_load(&store->scattered));
	file_close(store->file);
	if (!store->forked) { /* a fork may have copied them locked */
		pthread_cond_destroy(&store->flushed);
		pthread_mutex_destroy(&store->mutex);
		pthread_mutex_destroy(&store->packing);
	}
	free(store->queue);
	free(store);
	return rc;
}

/* ---- Reading ---- */

int store_catalog(struct store *store, uint64_t state, uint64_t record, struct tree *catalog)
{
	return record_catalog(store->file, record, state, catalog);
}

/* The mapping that the past is read through. Any thread. */
int store_scattered(struct store *store, struct file **file)
{
	struct file *made, *is = NULL;

	*file = atomic_load_explicit(&store->scattered, memory_order_acquire);
	if (likely(*file))
		return 0;
	int rc = file_open_scattered(store->file, &made);
	if (rc < 0)
		return rc;
	*file = made;
	if (!atomic_compare_exchange_strong(&store->scattered, &is, made)) {
		file_close(made); /* another thread was faster */
		*file = is;
	}
	return 0;
}

int store_state(struct store *store, uint64_t state, uint64_t record, struct state *out)
{
	struct record r;
	struct file *file;
	int rc = store_scattered(store, &file);

	if (rc == 0)
		rc = record_read(file, record, state, NULL, false, &r);
	if (rc < 0)
		return rc;
	*out = r.state;
	record_free(&r);
	return 0;
}

int store_durable(struct store *store, uint64_t state, uint64_t *record)
{
	struct slot slot;

	for (int i = 0; i < 2; i++)
		if (file_slot_read(store->file, i, &slot) == 0 && slot.state == state) {
			*record = slot.record;
			return 0;
		}
	return 1;
}

/* The record of a state that the caller has pinned; without its lists there is nothing to free. */
static int newest_read(struct store *store, const struct state *newest, struct file **file,
                       struct record *record)
{
	int rc = store_scattered(store, file);

	return rc < 0 ? rc : record_read(*file, newest->record, newest->number, NULL, false, record);
}

int store_find(struct store *store, const struct state *newest, uint64_t number, struct state *out)
{
	struct record record;
	struct file *file;
	int rc = newest_read(store, newest, &file, &record);

	return rc < 0 ? rc : history_find(file, &record, number, out);
}

int store_find_before(struct store *store, const struct state *newest, uint64_t number,
                      struct state *out)
{
	struct state before;
	uint32_t n = 0;
	int rc = store_find(store, newest, number, out), listed;

	if (rc == 0 ? !(out->flags & STATE_MAINTENANCE) :
	    rc != DUR_E_GONE || number < newest->oldest || number > newest->number)
		return rc;
	listed = store_states(store, newest, number, false, &before, 1, &n);
	if (listed < 0)
		return listed;
	return n && before.number >= newest->oldest ? store_find(store, newest, before.number, out) : rc;
}

int store_find_time(struct store *store, const struct state *newest, int64_t time_ns,
                    uint64_t *number)
{
	struct record record;
	struct file *file;
	int rc = newest_read(store, newest, &file, &record);

	return rc < 0 ? rc : history_find_time(file, &record, time_ns, number);
}

int store_back(struct store *store, const struct state *newest, uint64_t n, uint64_t *number)
{
	struct record record;
	struct file *file;
	int rc = newest_read(store, newest, &file, &record);

	return rc < 0 ? rc : history_back(file, &record, n, number);
}

int store_states(struct store *store, const struct state *newest, uint64_t from, bool upward,
                 struct state *out, uint32_t cap, uint32_t *n)
{
	struct record record;
	struct file *file;
	int rc = newest_read(store, newest, &file, &record);

	return rc < 0 ? rc : history_states(file, &record, from, upward, out, cap, n);
}

int store_name_find(struct store *store, const struct state *newest, const char *name,
                    uint64_t *state)
{
	struct record record;
	struct file *file;
	int rc = newest_read(store, newest, &file, &record);

	return rc < 0 ? rc : history_name_find(file, &record, name, state);
}

int store_names(struct store *store, const struct state *newest, uint64_t skip,
                struct state_name *out, uint32_t cap, uint32_t *n)
{
	struct record record;
	struct file *file;
	int rc = newest_read(store, newest, &file, &record);

	return rc < 0 ? rc : history_names(file, &record, skip, out, cap, n);
}

/* ---- Looking inside ---- */

int store_held(struct store *store, const struct state *newest, struct store_holding *pins,
               size_t n, uint64_t *pages, uint32_t holders)
{
	struct record record;
	struct file *file;
	int rc = newest_read(store, newest, &file, &record);

	memset(pages, 0, holders * sizeof *pages);
	return rc < 0 ? rc : history_held(file, &record, pins, n, pages);
}

int store_names_held(struct store *store, const struct state *newest,
                     const struct state_name *names, size_t n, uint64_t *pages)
{
	struct record record;
	struct file *file;
	int rc = newest_read(store, newest, &file, &record);

	return rc < 0 ? rc : history_names_held(file, &record, names, n, pages);
}

int store_kept(struct store *store, const struct state *newest, uint64_t *pages)
{
	struct record record;
	struct file *file;
	int rc = newest_read(store, newest, &file, &record);

	return rc < 0 ? rc : history_kept_pages(file, &record, pages);
}

static void pages_by_kind(const struct store *store, const struct state *newest,
                          uint64_t packed_pages, struct store_stat *out)
{
	uint64_t rest;

	out->file_pages = newest->file_pages;
	out->live_pages = newest->live_pages - newest->system_pages;
	out->packed_pages = packed_pages < newest->system_pages ? packed_pages : newest->system_pages;
	out->metadata_pages = PAGE_FIRST + newest->system_pages - out->packed_pages;
	out->retained_pages = newest->retained_pages;
	if (store->locked && store->loaded && store->head.state.number == newest->number) {
		out->file_pages = store->size.file_pages;
		rest = out->file_pages - out->live_pages - out->packed_pages - out->metadata_pages;
		out->retained_pages = rest - store->size.free_pages;
	}
	rest = out->file_pages - out->live_pages - out->packed_pages - out->metadata_pages;
	out->free_pages = rest - out->retained_pages;
}

int store_stat(struct store *store, const struct state *newest, struct store_stat *out)
{
	uint64_t packed, packed_pages = 0;
	const struct pager pager = { .file = store->file };
	uint64_t removing = 0;
	int rc = newest ? history_packed(store->file, &newest->system, &packed, &packed_pages) : 0;

	if (rc == 0 && newest)
		rc = ref_count(&pager, &newest->system, REFS_KEY_QUEUE, &removing);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->mutex);
	*out = (struct store_stat){
		.flushes = store->flushes,
		.epoch = store->epoch,
		.removing = removing,
		.io_name = store->file->io ? store->file->io->ops->name : "none",
		.holds_lock = store->locked,
		.failed = store->failed,
	};
	if (newest)
		pages_by_kind(store, newest, packed_pages, out);
	pthread_mutex_unlock(&store->mutex);
	return 0;
}
