/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When free space goes back to the file system. To have it again costs a commit the writing of zeros
 * and the file system a change of its own metadata, so what will soon be used again stays: as much
 * as commits took lately, and never less than the file would grow by. What is more goes in slices,
 * each a turn of its own, so that no commit waits for long.
 */
#include <errno.h>
#include <syslog.h>

#include "duramen.h"
#include "engine/store_private.h"
#include "internal/error.h"

enum {
	LOOK_MS = 1000,        /* between looks; what was used a look ago counts half */
	PAUSE_MS = 20,         /* between slices */
	PATIENCE_MS = 5,       /* for the turn */
	RUN_PAGES = 64,        /* 256 KiB: less is not worth a change of the file's extents */
	SLICE_PAGES = 2048,    /* 8 MiB */
	MORE_PAGES = 256,      /* beyond a quarter of the reserve: what makes it begin */
	SHORT_PAGES = 16,      /* what is worth it when it is asked for */
};

int store_give_back(struct store *store, const struct give_back *how, uint64_t *given)
{
	uint64_t newest, epoch;
	bool mine;
	int rc = store_forked_error(store);

	*given = 0;
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->mutex);
	mine = store->loaded && !store->failed;
	epoch = store->epoch;
	pthread_mutex_unlock(&store->mutex);
	if (!mine)
		return 0;
	rc = turn_take(store, store_now_ms() + PATIENCE_MS);
	if (rc < 0)
		return rc;
	newest = store->head.state.number;
	rc = lock_take(store, store_now_ms());
	pthread_mutex_lock(&store->mutex);
	/* another process may have taken over or written meanwhile: then it is that one's to do */
	mine = rc == 0 && store->loaded && !store->failed && store->epoch == epoch &&
	       store->head.state.number == newest;
	pthread_mutex_unlock(&store->mutex);
	if (mine && history_stands_at(store->history, newest, store->head.state.record))
		rc = history_give_back(store->history, how, given);
	pthread_mutex_lock(&store->mutex);
	turn_end(store);
	pthread_mutex_unlock(&store->mutex);
	return rc;
}

int store_give_back_all(struct store *store)
{
	const struct give_back how = { .reserve = 0, .run = SHORT_PAGES, .pages = SLICE_PAGES };
	uint64_t given;
	int rc;

	do {
		rc = store_give_back(store, &how, &given);
	} while (rc == 0 && given > 0);
	return rc == DUR_E_LOCKED ? 0 : rc; /* somebody writes: it comes in its own time */
}

/* What is worth giving back now; false: nothing is. The mutex is held. */
static bool worthwhile(struct store *store, int64_t now_ms, struct give_back *how)
{
	struct giving *g = &store->giving;
	const struct history_size *size = &store->size;
	uint64_t ready = size->free_pages - size->hole_pages;

	if (now_ms >= g->aged_ms + LOOK_MS) {
		g->use = g->use / 2 + (size->taken_pages - g->taken);
		g->taken = size->taken_pages;
		g->aged_ms = now_ms;
	}
	*how = (struct give_back){ .reserve = file_step(size->file_pages), .run = RUN_PAGES,
		.pages = SLICE_PAGES };
	if (how->reserve < g->use)
		how->reserve = g->use;
	return ready > how->reserve + (g->going ? 0 : how->reserve / 4 + MORE_PAGES);
}

/* Whether there may ever be anything as things stand. The mutex is held. */
static bool is_due(const struct store *store)
{
	const struct giving *g = &store->giving;
	const struct history_size *size = &store->size;
	uint64_t step = file_step(size->file_pages);

	if (!store->loaded || store->failed ||
	    (g->rests && memcmp(&g->seen, size, sizeof *size) == 0))
		return false;
	return size->free_pages - size->hole_pages >
	       step + (g->going ? RUN_PAGES : step / 4 + MORE_PAGES);
}

int64_t give_back_tick(struct store *store, int64_t now_ms)
{
	struct giving *g = &store->giving;
	struct give_back how;
	uint64_t given = 0;
	bool due, wanted = false;
	int rc = 0;

	pthread_mutex_lock(&store->mutex);
	due = is_due(store);
	if (!due)
		g->next_ms = 0;
	else if (g->next_ms == 0)
		g->next_ms = now_ms + LOOK_MS;
	else if (now_ms >= g->next_ms)
		wanted = worthwhile(store, now_ms, &how);
	if (due && now_ms >= g->next_ms)
		g->next_ms = now_ms + (wanted ? PAUSE_MS : LOOK_MS);
	pthread_mutex_unlock(&store->mutex);
	if (!due)
		return -1;
	if (!wanted)
		return g->next_ms;
	rc = store_give_back(store, &how, &given);
	pthread_mutex_lock(&store->mutex);
	/* the runs are too short, or another process writes: nothing to do until things change */
	g->rests = given == 0 && !(rc == DUR_E_LOCKED && store->locked);
	g->going = given != 0;
	g->seen = store->size;
	if (given == 0)
		g->next_ms = now_ms + LOOK_MS;
	pthread_mutex_unlock(&store->mutex);
	if (rc < 0 && rc != DUR_E_LOCKED)
		store_log(store, LOG_WARNING, "%s", error_text());
	return g->rests ? -1 : g->next_ms;
}
