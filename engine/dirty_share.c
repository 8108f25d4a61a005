/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dirty pages that several places name. Who puts a collection in a second place in the transaction
 * that made it gives its root one parent more; that is counted here, by index, for the page has no
 * number yet. Owning such a page leaves it to the others as if it were in the file (dirty_own()),
 * so from the root down what is below it is shared as well. When it is written its count goes on
 * under its number (refs_count.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/dirty_private.h"
#include "engine/grow.h"
#include "internal/error.h"

bool dirty_mine_slow(const struct dirty *d, struct page_ptr ptr)
{
	return !dirty_extra(d, ptr.no & ~PAGE_DIRTY);
}

int dirty_share_reserve(struct dirty *d, uint64_t no)
{
	static const char what[] = "counting what several places share";
	struct dirty_private *x = d->extra;
	size_t block = (no & ~PAGE_DIRTY) / SHARE_BLOCK;
	int r = grow_array(&x->shared, &x->cap_blocks, block + 1, sizeof *x->shared, what);

	if (r)
		return r;
	while (x->n_blocks <= block)
		x->shared[x->n_blocks++] = NULL;
	if (!x->shared[block])
		x->shared[block] = calloc(SHARE_BLOCK, sizeof **x->shared);
	return x->shared[block] ? 0 : error_system(ENOMEM, "%s", what);
}

static struct dirty_shared *reserved(const struct dirty *d, uint64_t no)
{
	const struct dirty_private *x = d->extra;
	uint64_t index = no & ~PAGE_DIRTY;

	return &x->shared[index / SHARE_BLOCK][index % SHARE_BLOCK];
}

void dirty_share(struct dirty *d, uint64_t no)
{
	d->n_shared += reserved(d, no)->extra++ == 0;
}

void dirty_unshare(struct dirty *d, uint64_t no)
{
	d->n_shared -= --reserved(d, no)->extra == 0;
}

void dirty_share_end(struct dirty *d, uint32_t index)
{
	struct dirty_shared *s = dirty_shared(d, index);

	if (likely(!s) || !s->extra)
		return;
	s->extra = 0;
	d->n_shared--;
}

bool dirty_share_next(const struct dirty *d, uint32_t *index)
{
	for (; *index < d->n_pages && d->n_shared; ++*index)
		if (dirty_extra(d, *index))
			return true;
	return false;
}

void dirty_shares_free(struct dirty *d)
{
	struct dirty_private *x = d->extra;

	for (size_t i = 0; i < x->n_blocks; i++)
		free(x->shared[i]);
	free(x->shared);
}
