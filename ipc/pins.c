/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins. A cell of this process's slot is claimed among its threads by a compare-and-swap of the
 * cell itself from 0 to what it shall pin, so that the claim, the store of EVERYTHING and (on
 * x86-64) the fence behind it are one locked instruction. Each thread begins to look at a cell of
 * its own cache line.
 *
 * Opening the latest state, model m1:
 *   R3 the cell says EVERYTHING while the state is being loaded
 *   R1 a seq_cst fence between that store and the load: of a reader and a writer who publishes,
 *      fences and scans, either the reader sees the new state or the scan sees EVERYTHING
 *   R4 cell stores are releases: a scan that sees the cell free sees all reads of the snapshot done
 *
 * When the cells run out, one overflow cell pins [state, infinity) for all snapshots in it (model
 * m3b).
 */
#include "coord_private.h"

#include "internal/bytes.h"
#include "internal/error.h"

#include "duramen.h"
#include "fence_private.h"
#include "publish_private.h"

#include <time.h>

enum { PIN_NONE, PIN_CELL, PIN_OVERFLOW };

/* Cells to a cache line, and how many lines of them a slot has. */
enum { LINE_CELLS = CACHE_LINE / sizeof(struct layout_cell), LINES = LAYOUT_CELLS / LINE_CELLS };

/*
 * Where this thread begins to look; one more than the number, so that 0 is "not yet given out".
 * Numbered in the order of their first pins, so that a process of one thread uses the lowest cells
 * and a scan is short.
 */
static _Thread_local uint32_t home_cell __attribute__((tls_model("initial-exec")));
static _Atomic uint32_t threads_seen;

static uint32_t home_cell_give(void)
{
	uint32_t n = atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed);

	home_cell = n % LINES * LINE_CELLS + 1;
	return home_cell;
}

/* From the vDSO, without a system call; its 1 to 4 ms are fine for "pinned since". */
static inline uint64_t since_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/*
 * Raises the mark below which a scan looks. Acquire and release make a raise by another thread as
 * good as our own: it happens before our fence.
 */
static void raise_cells_used(struct layout_slot *slot, uint32_t used)
{
	uint32_t seen = load_acquire(&slot->cells_used);

	while (seen < used &&
	       !atomic_compare_exchange_weak_explicit(&slot->cells_used, &seen, used,
	                                              memory_order_seq_cst, memory_order_acquire))
		;
}

/* Tries one cell. On success it says `state` (R3) and a fence has followed (R1). */
static inline bool cell_claim(struct layout_slot *slot, uint32_t i, uint64_t state)
{
	struct layout_cell *cell = &slot->cells[i];
	uint64_t none = 0;

	if (load_relaxed(&cell->state) != 0)
		return false;
	if (unlikely(load_acquire(&slot->cells_used) <= i))
		raise_cells_used(slot, i + 1);
	if (!atomic_compare_exchange_strong_explicit(&cell->state, &none, state,
	                                             memory_order_seq_cst, memory_order_relaxed))
		return false;
	fence_after_rmw();
	store_relaxed(&cell->since_ms, since_ms());
	return true;
}

static __attribute__((noinline)) int cell_search(struct layout_slot *slot, uint32_t home,
                                                 uint64_t state)
{
	for (uint32_t k = 1; k < LAYOUT_CELLS; k++) {
		uint32_t i = home + k < LAYOUT_CELLS ? home + k : home + k - LAYOUT_CELLS;

		if (cell_claim(slot, i, state))
			return (int)i;
	}
	return -1;
}

/* The number of a cell that now pins state; -1: all are taken. */
static inline int cell_take(struct layout_slot *slot, uint64_t state)
{
	uint32_t home = home_cell;

	if (unlikely(home == 0))
		home = home_cell_give();
	home--;
	if (likely(cell_claim(slot, home, state)))
		return (int)home;
	return cell_search(slot, home, state);
}

/* ---- The overflow cell (m3b) ---- */

static uint64_t least(uint64_t old, uint64_t state)
{
	return old != 0 && old < state ? old : state;
}

/*
 * Joins the overflow cell, under the mutex (O1), with `state`, or with the latest if state is 0.
 * It is left at its oldest member's state (O3).
 */
static int overflow_join(struct coord *coord, struct layout_slot *slot, uint64_t state,
                         struct coord_published *out)
{
	shared_u64 *cell = &slot->overflow.state;
	uint64_t old;
	int rc = 0;

	pthread_mutex_lock(&coord->slots_mutex);
	old = coord->overflow_members ? load_relaxed(cell) : 0;
	if (state == 0) {
		store_release(cell, PIN_EVERYTHING); /* O2 */
		fence_full();                        /* m1 R1 */
		state = published_state(coord);
		/*
		 * From here on it pins all later states too, so that finding the record may load
		 * the state anew.
		 */
		store_release(cell, state ? least(old, state) : old);
		rc = state ? published_find(coord, out) : 1;
		if (rc)
			store_release(cell, old);
	} else {
		store_release(cell, least(old, state));
		fence_full();
	}
	if (rc == 0) {
		if (coord->overflow_members++ == 0)
			store_relaxed(&slot->overflow.since_ms, since_ms());
		store_relaxed(&slot->overflow_members, coord->overflow_members);
	}
	pthread_mutex_unlock(&coord->slots_mutex);
	return rc;
}

/* Only its last member zeroes it (O4). */
static void overflow_leave(struct coord *coord, struct layout_slot *slot)
{
	pthread_mutex_lock(&coord->slots_mutex);
	if (coord->overflow_members && --coord->overflow_members == 0)
		store_release(&slot->overflow.state, 0);
	store_relaxed(&slot->overflow_members, coord->overflow_members);
	pthread_mutex_unlock(&coord->slots_mutex);
}

/* ---- Opening and closing ---- */

/* After two publishings in between, the ring knows our state no longer: pin the newest instead. */
static __attribute__((noinline)) int pin_again(struct coord *coord, struct layout_cell *cell,
                                               struct coord_published *out)
{
	for (uint32_t tries = 0; tries < PUBLISHED_TRIES; tries++) {
		uint64_t state;

		store_release(&cell->state, PIN_EVERYTHING);
		fence_full();
		state = published_state(coord);
		if (state == 0)
			return 1;
		store_release(&cell->state, state);
		if (published_record(coord, state, &out->record)) {
			out->state = state;
			return 0;
		}
	}
	return published_damaged();
}

static __attribute__((noinline)) int pin_failed(struct layout_cell *cell, struct coord_pin *pin,
                                                struct coord_published *out, int rc)
{
	store_release(&cell->state, 0);
	*pin = (struct coord_pin){ 0, PIN_NONE };
	*out = (struct coord_published){ 0, 0, 0 };
	return rc;
}

static __attribute__((noinline)) int pin_overflow(struct coord *coord, struct layout_slot *slot,
                                                  struct coord_pin *pin, uint64_t state,
                                                  struct coord_published *out)
{
	int rc = overflow_join(coord, slot, state, out);

	*pin = (struct coord_pin){ 0, rc == 0 ? PIN_OVERFLOW : PIN_NONE };
	if (rc != 0 && out)
		*out = (struct coord_published){ 0, 0, 0 };
	return rc;
}

static __attribute__((noinline)) struct layout_slot *slot_first(struct coord *coord, int *rc)
{
	*rc = slot_claim(coord);
	return *rc ? NULL : load_acquire(&coord->slot);
}

int coord_pin_latest(struct coord *coord, struct coord_pin *pin, struct coord_published *out)
{
	struct layout_slot *slot = load_acquire(&coord->slot);
	struct layout_cell *cell;
	uint64_t state;
	int i, rc;

	if (unlikely(!slot) && !(slot = slot_first(coord, &rc))) {
		*pin = (struct coord_pin){ 0, PIN_NONE };
		*out = (struct coord_published){ 0, 0, 0 };
		return rc;
	}
	i = cell_take(slot, PIN_EVERYTHING);
	if (unlikely(i < 0))
		return pin_overflow(coord, slot, pin, 0, out);
	cell = &slot->cells[i];
	state = published_state(coord);
	if (unlikely(state == 0))
		return pin_failed(cell, pin, out, 1);
	store_release(&cell->state, state);
	out->state = state;
	out->durable = 0;
	if (unlikely(!published_record(coord, state, &out->record))) {
		rc = pin_again(coord, cell, out);
		if (rc)
			return pin_failed(cell, pin, out, rc);
	}
	pin->cell = (uint32_t)i;
	pin->kind = PIN_CELL;
	return 0;
}

int coord_pin_state(struct coord *coord, struct coord_pin *pin, uint64_t state)
{
	struct layout_slot *slot = load_acquire(&coord->slot);
	int i, rc;

	*pin = (struct coord_pin){ 0, PIN_NONE };
	if (state == 0 || state == PIN_EVERYTHING)
		return error_set(DUR_E_RANGE, "there is no such state number");
	if (unlikely(!slot) && !(slot = slot_first(coord, &rc)))
		return rc;
	i = cell_take(slot, state);
	if (i < 0)
		return pin_overflow(coord, slot, pin, state, NULL);
	*pin = (struct coord_pin){ (uint32_t)i, PIN_CELL };
	return 0;
}

void coord_unpin(struct coord *coord, struct coord_pin *pin)
{
	struct layout_slot *slot = load_relaxed(&coord->slot);

	/* No slot: we are a forked child, and the pin is the parent's. */
	if (likely(slot != NULL)) {
		if (likely(pin->kind == PIN_CELL))
			store_release(&slot->cells[pin->cell].state, 0);
		else if (pin->kind == PIN_OVERFLOW)
			overflow_leave(coord, slot);
	}
	pin->kind = PIN_NONE;
}
