/* SPDX-License-Identifier: Apache-2.0 */
/* Packing on demand. By itself it goes on in the keeper (keeper.c). */
#include "prefixes/prefix.h"

int dur_pack_history(dur_prefix *p, int budget_ms)
{
	uint64_t pages;
	int rc = prefix_check(p);

	if (rc < 0)
		return rc;
	if (p->read_only)
		return error_set(DUR_E_READ_ONLY, "prefix %s is attached read-only: attach it without "
		                 "DUR_READ_ONLY to pack its history", p->name);
	rc = store_pack(p->shared->store, STORE_PACK_ALL, p->lock_ms, budget_ms, &pages);
	if (rc == 0)
		rc = store_give_back_all(p->shared->store);
	keeper_wake(p->shared, true);
	return rc < 0 ? rc : rc == 1 ? 0 : DUR_NONE;
}
