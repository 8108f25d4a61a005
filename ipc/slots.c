/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process slots. A slot belongs to the process that has the record lock on its byte: the kernel
 * drops it when the process dies, whatever pid namespace it was in. Model m3:
 *   R1 a slot is cleared only under its lock: the owner could be a process that has just claimed it
 *   R2 the cells are zeroed before the lock is dropped, by leaver and clearer alike
 *   R3 one mutex a process round claim, probe with clear, and leave: record locks do not conflict
 *      within a process, so a probing thread would "get" the lock of one that is claiming
 *   R4 a process never probes its own slot, for the same reason
 *   R5 a claimer zeroes the cells before its first pin: the last owner may have been killed
 */
#include "coord_private.h"

#include "internal/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int64_t lock_offset(uint32_t i)
{
	return LAYOUT_SLOTS_AT + (int64_t)i * LAYOUT_SLOT_BYTES;
}

/*
 * By the holder of the slot's lock. Releases: a scan that sees a cell free must see all reads done
 * (m1 R4).
 */
static void slot_zero(struct layout_slot *slot)
{
	uint32_t used = slot_cells_used(slot);

	for (uint32_t i = 0; i < used; i++)
		store_release(&slot->cells[i].state, 0);
	store_release(&slot->overflow.state, 0);
	store_relaxed(&slot->overflow_members, 0);
	store_relaxed(&slot->pid, 0);
	store_release(&slot->cells_used, 0);
}

static int slot_claim_locked(struct coord *coord)
{
	shared_u32 *used = &coord->shared->slots_line.used;

	for (uint32_t i = 0; i < LAYOUT_SLOTS; i++) {
		struct layout_slot *slot = &coord->shared->slots[i];
		uint32_t seen = load_relaxed(used);
		int rc = coord_file_lock(coord->fd, lock_offset(i), F_WRLCK);

		if (rc < 0)
			return rc;
		if (rc == 1)
			continue;
		slot_zero(slot);
		/*
		 * All cells, not only those below the mark: whoever damaged the mark may have
		 * damaged them.
		 */
		for (uint32_t k = 0; k < LAYOUT_CELLS; k++)
			store_relaxed(&slot->cells[k].state, 0);
		store_relaxed(&slot->pid, (uint32_t)getpid());
		while (seen < i + 1 && !atomic_compare_exchange_weak_explicit(used, &seen, i + 1,
		                                                              memory_order_seq_cst,
		                                                              memory_order_relaxed))
			;
		coord->slot_index = (int)i;
		/* Release: threads that find the slot find it zeroed. */
		store_release(&coord->slot, slot);
		return 0;
	}
	return error_set(-EUSERS, "all %d reader slots are taken by live processes: detach one",
	                 LAYOUT_SLOTS);
}

int slot_claim(struct coord *coord)
{
	int rc = 0;

	if (coord->dead)
		return coord_dead();
	pthread_mutex_lock(&coord->slots_mutex);
	if (coord->slot_index == SLOT_NONE)
		rc = slot_claim_locked(coord);
	pthread_mutex_unlock(&coord->slots_mutex);
	return rc;
}

void slot_leave(struct coord *coord)
{
	pthread_mutex_lock(&coord->slots_mutex);
	if (coord->slot_index != SLOT_NONE) {
		uint32_t i = (uint32_t)coord->slot_index;

		store_relaxed(&coord->slot, NULL);
		coord->slot_index = SLOT_NONE;
		slot_zero(&coord->shared->slots[i]);
		/* Cannot fail; and closing the file, which comes next, unlocks too. */
		coord_file_lock(coord->fd, lock_offset(i), F_UNLCK);
	}
	pthread_mutex_unlock(&coord->slots_mutex);
}

int slot_clear_dead(struct coord *coord, uint32_t i)
{
	int rc;

	pthread_mutex_lock(&coord->slots_mutex);
	if (coord->slot_index == (int)i) {
		pthread_mutex_unlock(&coord->slots_mutex);
		return 0;
	}
	rc = coord_file_lock(coord->fd, lock_offset(i), F_WRLCK);
	if (rc == 0) {
		slot_zero(&coord->shared->slots[i]);
		rc = coord_file_lock(coord->fd, lock_offset(i), F_UNLCK);
	}
	pthread_mutex_unlock(&coord->slots_mutex);
	return rc < 0 ? rc : rc == 0;
}

int slot_alive(struct coord *coord, uint32_t i)
{
	int rc;

	/*
	 * The mutex: our own slot must not be asked for, and this thread may see it claimed late.
	 */
	pthread_mutex_lock(&coord->slots_mutex);
	rc = coord->slot_index == (int)i ? 1 : coord_file_locked(coord->fd, lock_offset(i), NULL);
	pthread_mutex_unlock(&coord->slots_mutex);
	return rc;
}
