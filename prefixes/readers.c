/* SPDX-License-Identifier: Apache-2.0 */
/* Who reads a prefix, and what is kept for each reader alone. */
#include <errno.h>
#include <stdlib.h>

#include "prefixes/prefix.h"

/* The pins of all as the engine takes them; a holder is a slot. */
static int holdings(struct coord *coord, struct store_holding **list, size_t *n)
{
	struct coord_reader_pin *pins;
	int rc = coord_reader_pins(coord, &pins, n);

	*list = NULL;
	if (rc == 0 && !(*list = malloc((*n ? *n : 1) * sizeof **list)))
		rc = error_system(ENOMEM, "listing readers");
	for (size_t i = 0; i < *n && rc == 0; i++)
		(*list)[i] = (struct store_holding){ pins[i].state, pins[i].slot, pins[i].onward };
	free(pins);
	return rc;
}

/* Pages that are kept for each slot alone; pins are listed before ours on the newest is taken. */
static int held_pages(dur_prefix *p, uint64_t pages[COORD_SLOTS])
{
	struct store_holding *list;
	struct coord_pin pin;
	struct state newest;
	size_t n;
	int rc = holdings(p->shared->coord, &list, &n);

	if (rc == 0)
		rc = prefix_newest(p, &pin, &newest);
	if (rc == 0) {
		rc = store_held(p->shared->store, &newest, list, n, pages, COORD_SLOTS);
		coord_unpin(p->shared->coord, &pin);
	}
	free(list);
	return rc;
}

int dur_readers(dur_prefix *p, uint64_t skip, dur_reader *out, uint32_t cap, uint32_t *n)
{
	uint64_t pages[COORD_SLOTS];
	struct coord_reader *list;
	uint32_t found = 0;
	int rc = prefix_check(p);

	if (rc < 0)
		return rc;
	if (!n || (cap && !out))
		return error_set(DUR_E_MISUSE, "dur_readers() needs room for what it finds");
	list = calloc(cap ? cap : 1, sizeof *list);
	if (!list)
		return error_system(ENOMEM, "listing readers");
	rc = coord_readers(p->shared->coord, skip, list, cap, &found);
	if (rc == 0 && found)
		rc = held_pages(p, pages);
	for (uint32_t i = 0; i < found && rc == 0; i++)
		out[i] = (dur_reader){ .pid = list[i].pid, .views = list[i].pins, .oldest = list[i].oldest,
			.age_ms = list[i].age_ms, .held_bytes = pages[list[i].slot] << PAGE_SHIFT };
	if (rc == 0)
		*n = found;
	free(list);
	return rc;
}
