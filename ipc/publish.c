/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The published state, and the words that go with the writer lock. One process at a time writes
 * here: the holder of the lock. It may be killed between any two stores, so each store leaves
 * something that readers and the next writer understand: until the store of `visible` nobody looks
 * at the new ring entry.
 */
#include "publish_private.h"

#include "internal/error.h"

#include "duramen.h"
#include "fence_private.h"
#include "futex_private.h"

/*
 * Sleepers woken by the writer, and by each sleeper in turn (m4's K): 1000 are awake after ten
 * rounds.
 */
enum { WAKE_FEW = 2 };

int published_damaged(void)
{
	return error_set(DUR_E_CORRUPT,
	                 "the coordination file is damaged (no record of the newest state): stop "
	                 "all processes that have the prefix attached, and remove it");
}

int published_find(const struct coord *coord, struct coord_published *out)
{
	out->durable = 0;
	for (uint32_t tries = 0; tries < PUBLISHED_TRIES; tries++) {
		out->state = published_state(coord);
		if (out->state == 0)
			return 1;
		if (published_record(coord, out->state, &out->record))
			return 0;
	}
	return published_damaged();
}

void coord_load(const struct coord *coord, struct coord_published *out)
{
	*out = (struct coord_published){ 0, 0, 0 };
	if (coord->dead)
		return;
	if (published_find(coord, out) != 0)
		out->state = out->record = 0;
	out->durable = load_acquire(&coord->shared->published.durable);
}

static void wake_few(const struct coord *coord, enum coord_what what, const shared_u32 *waiters)
{
	if (load_relaxed(waiters))
		futex_wake(wait_word(coord, what), WAKE_FEW, true);
}

/* Upwards only: the end of a flush and a publishing may come here together. true: raised. */
static bool durable_raise(struct coord *coord, uint64_t state)
{
	shared_u64 *word = wait_word(coord, COORD_DURABLE);
	uint64_t is = load_relaxed(word);

	while (is < state)
		if (atomic_compare_exchange_weak_explicit(word, &is, state, memory_order_release,
		                                          memory_order_relaxed))
			return true;
	return false;
}

void coord_publish(struct coord *coord, uint64_t state, uint64_t record, bool durable)
{
	struct layout_published *p;
	struct layout_ring_entry *entry;

	if (coord->dead)
		return;
	p = &coord->shared->published;
	entry = &p->ring[0];
	/*
	 * R7. Found by looking, not by number: numbers have gaps, and a killed writer may have used
	 * either.
	 */
	if (load_relaxed(&entry->state) == load_relaxed(&p->visible))
		entry = &p->ring[1];
	store_release(&entry->state, state); /* R5 */
	store_release(&entry->record, record);
	store_release(&p->visible, state);
	/*
	 * After visible: a writer that is killed in between leaves a visible state not known to be
	 * durable, which the next one makes so. Durable is never above visible.
	 */
	if (durable)
		durable_raise(coord, state);
	fence_full(); /* m4 F2 */
	wake_few(coord, COORD_VISIBLE, &coord->shared->waiters.visible);
	if (durable)
		wake_few(coord, COORD_DURABLE, &coord->shared->waiters.durable);
}

void coord_set_durable(struct coord *coord, uint64_t durable)
{
	if (coord->dead || !durable_raise(coord, durable))
		return;
	fence_full();
	wake_few(coord, COORD_DURABLE, &coord->shared->waiters.durable);
}

/* ---- The writer's words. flock orders them among processes. ---- */

void coord_writer_get(const struct coord *coord, struct coord_writer *out)
{
	*out = (struct coord_writer){ 0, 0, false };
	if (coord->dead)
		return;
	out->next = load_relaxed(&coord->shared->writer.next);
	out->epoch = load_relaxed(&coord->shared->writer.epoch);
	out->unclean = load_relaxed(&coord->shared->writer.unclean) != 0;
}

/* Set before the rest and cleared after it: whoever is killed in here leaves it set (I6). */
void coord_writer_set(struct coord *coord, const struct coord_writer *words)
{
	struct layout *shared = coord->shared;

	if (coord->dead)
		return;
	if (words->unclean)
		store_seq_cst(&shared->writer.unclean, 1);
	store_release(&shared->writer.next, words->next);
	store_release(&shared->writer.epoch, words->epoch);
	if (!words->unclean)
		store_release(&shared->writer.unclean, 0);
}
