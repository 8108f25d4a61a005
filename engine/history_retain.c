/* SPDX-License-Identifier: Apache-2.0 */
/* Which states are retained: all from the oldest of the range on. */
#include "engine/history_private.h"

int history_retained_between(struct history *history, uint64_t birth, uint64_t death, bool *retained)
{
	const struct state *newest = &history->recent[history->n_recent - 1];

	*retained = birth < death && birth <= newest->number && death > newest->oldest;
	return 0;
}

int history_retained(struct history *history, uint64_t state, bool *retained)
{
	return history_retained_between(history, state, state + 1, retained);
}
