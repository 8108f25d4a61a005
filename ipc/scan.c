/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading everybody's pins. A scan looks at the slots below one mark and at the cells of each
 * below another. Slots that stand in the way, that is, pin something other than the newest state,
 * are probed: taking the dead out costs a system call each, so a scan probes only so many and the
 * next one goes on where it stopped; until then a dead process's pins count, which is safe.
 */
#include "coord_private.h"

#include "internal/error.h"

#include "fence_private.h"
#include "publish_private.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { PROBES_A_SCAN = 32, PINS_AT_FIRST = 64 };

_Static_assert((int)COORD_SLOTS == (int)LAYOUT_SLOTS, "told to callers");

/* What one slot pins. */
struct slot_pins {
	uint64_t states[LAYOUT_CELLS];
	uint32_t n;
	uint64_t overflow; /* 0: none */
	bool everything;
	bool in_the_way;
};

static void slot_read(const struct layout_slot *slot, uint64_t newest, struct slot_pins *out)
{
	uint32_t used = slot_cells_used(slot);

	out->n = 0;
	out->everything = false;
	out->in_the_way = false;
	for (uint32_t i = 0; i < used; i++) {
		/* Acquire: a cell seen free lets us reuse what its reader read (m1 R4). */
		uint64_t state = load_acquire(&slot->cells[i].state);

		if (state == 0)
			continue;
		if (state != newest)
			out->in_the_way = true;
		if (state == PIN_EVERYTHING)
			out->everything = true;
		else if (out->n == 0 || out->states[out->n - 1] != state)
			out->states[out->n++] = state;
	}
	out->overflow = load_acquire(&slot->overflow.state);
	if (out->overflow)
		out->in_the_way = true;
	if (out->overflow == PIN_EVERYTHING)
		out->everything = true;
}

static int pins_add(struct coord_pins *pins, const struct slot_pins *from)
{
	pins->everything |= from->everything;
	if (from->overflow && from->overflow != PIN_EVERYTHING && from->overflow < pins->from)
		pins->from = from->overflow;
	if (pins->n + from->n > pins->cap) {
		size_t cap = pins->cap ? pins->cap * 2 : PINS_AT_FIRST;
		uint64_t *states;

		if (cap < pins->n + from->n)
			cap = pins->n + from->n;
		states = realloc(pins->states, cap * sizeof *states);
		if (!states)
			return error_set(-ENOMEM, "no memory for a list of %zu pins", cap);
		pins->states = states;
		pins->cap = cap;
	}
	for (uint32_t i = 0; i < from->n; i++)
		pins->states[pins->n++] = from->states[i];
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void pins_sort(struct coord_pins *pins)
{
	size_t kept = 0;

	if (pins->n < 2)
		return;
	qsort(pins->states, pins->n, sizeof *pins->states, by_number);
	for (size_t i = 0; i < pins->n; i++)
		if (kept == 0 || pins->states[kept - 1] != pins->states[i])
			pins->states[kept++] = pins->states[i];
	pins->n = kept;
}

int coord_scan(struct coord *coord, struct coord_pins *pins)
{
	uint64_t newest;
	uint32_t used, first, probes = 0;
	int rc;

	pins->n = 0;
	pins->everything = false;
	pins->from = UINT64_MAX;
	if (coord->dead)
		return coord_dead();
	fence_full(); /* m1 R2, R8: between the publishing store and the loads of the cells */
	newest = published_state(coord);
	used = slots_used(coord);
	first = coord->probe_from < used ? coord->probe_from : 0;
	coord->probe_from = 0;
	for (uint32_t k = 0; k < used; k++) {
		uint32_t i = first + k < used ? first + k : first + k - used;
		struct slot_pins slot;

		slot_read(&coord->shared->slots[i], newest, &slot);
		if (slot.in_the_way && probes < PROBES_A_SCAN) {
			rc = slot_clear_dead(coord, i);
			if (rc < 0)
				return rc;
			if (++probes == PROBES_A_SCAN)
				coord->probe_from = i + 1;
			if (rc == 1)
				continue;
		}
		rc = pins_add(pins, &slot);
		if (rc)
			return rc;
	}
	pins_sort(pins);
	return 0;
}

void coord_pins_free(struct coord_pins *pins)
{
	free(pins->states);
	*pins = (struct coord_pins){ .from = UINT64_MAX };
}

/* ---- For people ---- */

static void reader_add(struct coord_reader *reader, const struct layout_cell *cell, uint64_t state,
                       uint64_t now_ms)
{
	uint64_t since = load_relaxed(&cell->since_ms);
	uint64_t age = since < now_ms ? now_ms - since : 0;

	if (reader->oldest == 0 || state < reader->oldest ||
	    (state == reader->oldest && age > reader->age_ms)) {
		reader->oldest = state;
		reader->age_ms = age;
	}
}

/* What the slot's owner pins; cells between two stores do not count. pins 0: nothing. */
static void reader_read(const struct layout_slot *slot, uint64_t now_ms, struct coord_reader *out)
{
	uint32_t used = slot_cells_used(slot), members;
	uint64_t state;

	*out = (struct coord_reader){ .pid = load_relaxed(&slot->pid) };
	for (uint32_t i = 0; i < used; i++) {
		state = load_acquire(&slot->cells[i].state);
		if (state == 0 || state == PIN_EVERYTHING)
			continue;
		out->pins++;
		reader_add(out, &slot->cells[i], state, now_ms);
	}
	state = load_acquire(&slot->overflow.state);
	if (state == 0 || state == PIN_EVERYTHING)
		return;
	members = load_relaxed(&slot->overflow_members);
	out->pins += members ? members : 1;
	reader_add(out, &slot->overflow, state, now_ms);
}

int coord_readers(struct coord *coord, uint64_t skip, struct coord_reader *out, uint32_t cap,
                  uint32_t *n)
{
	struct timespec t;
	uint64_t now_ms;
	uint32_t used;

	*n = 0;
	if (coord->dead)
		return coord_dead();
	clock_gettime(CLOCK_MONOTONIC, &t);
	now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	used = slots_used(coord);
	for (uint32_t i = 0; i < used && *n < cap; i++) {
		struct coord_reader reader;
		int rc;

		reader_read(&coord->shared->slots[i], now_ms, &reader);
		reader.slot = i;
		if (reader.pins == 0)
			continue;
		rc = slot_alive(coord, i);
		if (rc < 0)
			return rc;
		if (rc == 0)
			continue;
		if (skip)
			skip--;
		else
			out[(*n)++] = reader;
	}
	return 0;
}

int coord_reader_pins(struct coord *coord, struct coord_reader_pin **pins, size_t *n)
{
	uint32_t used;
	size_t cap = 0;

	*pins = NULL;
	*n = 0;
	if (coord->dead)
		return coord_dead();
	used = slots_used(coord);
	for (uint32_t i = 0; i < used; i++) {
		struct slot_pins slot;
		int rc;

		slot_read(&coord->shared->slots[i], 0, &slot);
		if (slot.n == 0 && (slot.overflow == 0 || slot.overflow == PIN_EVERYTHING))
			continue;
		rc = slot_alive(coord, i);
		if (rc == 1 && *n + slot.n + 1 > cap) {
			struct coord_reader_pin *grown;

			cap = 2 * cap + LAYOUT_CELLS + 1;
			grown = realloc(*pins, cap * sizeof *grown);
			if (grown)
				*pins = grown;
			else
				rc = error_set(-ENOMEM, "no memory for a list of %zu pins", cap);
		}
		if (rc < 0) {
			free(*pins);
			*pins = NULL;
			*n = 0;
			return rc;
		}
		for (uint32_t k = 0; rc == 1 && k < slot.n; k++)
			(*pins)[(*n)++] = (struct coord_reader_pin){ slot.states[k], i, false };
		if (rc == 1 && slot.overflow && slot.overflow != PIN_EVERYTHING)
			(*pins)[(*n)++] = (struct coord_reader_pin){ slot.overflow, i, true };
	}
	return 0;
}

int coord_attached(struct coord *coord, uint32_t *n)
{
	bool counted = false;
	uint32_t used;

	*n = 0;
	if (coord->dead)
		return coord_dead();
	used = slots_used(coord);
	for (uint32_t i = 0; i < used; i++) {
		int rc;

		if (load_relaxed(&coord->shared->slots[i].pid) == 0)
			continue;
		rc = slot_alive(coord, i);
		if (rc < 0)
			return rc;
		*n += (uint32_t)rc;
		if (&coord->shared->slots[i] == load_relaxed(&coord->slot))
			counted = true;
	}
	*n += !counted; /* we have it open, though we never pinned anything */
	return 0;
}

int coord_others(struct coord *coord, uint32_t *pids, uint32_t cap, uint32_t *n)
{
	uint32_t used;

	*n = 0;
	if (coord->dead)
		return coord_dead();
	used = slots_used(coord);
	for (uint32_t i = 0; i < used && *n < cap; i++) {
		uint32_t pid = load_relaxed(&coord->shared->slots[i].pid);
		int rc = pid && &coord->shared->slots[i] != load_relaxed(&coord->slot) ?
			slot_alive(coord, i) : 0;

		if (rc < 0)
			return rc;
		if (rc)
			pids[(*n)++] = pid;
	}
	return 0;
}
