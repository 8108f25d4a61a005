/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of what a transaction wrote before its commit: spilled pages and runs, by number. Linear
 * probing, at most half full; removal moves what follows back, so that there are no tombstones.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/dirty_private.h"
#include "engine/grow.h"

enum { CAP_MIN = 64 };

static size_t home(const struct dirty_private *x, uint64_t no)
{
	return (size_t)(no * 0x9e3779b97f4a7c15U >> 20) & (x->cap_set - 1);
}

/* The cell that holds it, or the empty one where it would go. */
static size_t find(const struct dirty_private *x, uint64_t no)
{
	size_t i = home(x, no);
	while (x->set[i].no && x->set[i].no != no)
		i = (i + 1) & (x->cap_set - 1);
	return i;
}

int written_reserve(struct dirty *d, size_t n)
{
	struct dirty_private *x = d->extra;
	size_t cap = x->cap_set ? x->cap_set : CAP_MIN;
	if (x->n_marks && grow_array(&x->since, &x->cap_since, x->n_since + n, sizeof *x->since,
	                             "listing what a transaction wrote"))
		return -ENOMEM;
	while (cap / 2 < x->n_set + n)
		cap *= 2;
	if (cap == x->cap_set)
		return 0;
	struct written *fresh = calloc(cap, sizeof *fresh), *old = x->set;
	size_t cap_old = x->cap_set;
	if (!fresh)
		return -ENOMEM;
	x->set = fresh;
	x->cap_set = cap;
	for (size_t i = 0; i < cap_old; i++)
		if (old[i].no)
			x->set[find(x, old[i].no)] = old[i];
	free(old);
	return 0;
}

void written_add_again(struct dirty *d, const struct written *w)
{
	struct dirty_private *x = d->extra;
	size_t i = find(x, w->no);
	x->n_set += !x->set[i].no;
	x->set[i] = *w;
}

void written_add(struct dirty *d, const struct written *w)
{
	struct dirty_private *x = d->extra;
	struct written now = *w;
	now.mark = (uint16_t)x->n_marks;
	if (x->n_marks)
		x->since[x->n_since++] = w->no;
	written_add_again(d, &now);
}

const struct written *written_find(const struct dirty *d, uint64_t no)
{
	const struct dirty_private *x = d->extra;
	const struct written *w = x->cap_set ? &x->set[find(x, no)] : NULL;
	return w && w->no ? w : NULL;
}

int written_remove(struct dirty *d, uint64_t no, struct written *w)
{
	struct dirty_private *x = d->extra;
	if (!x->cap_set)
		return 1;
	size_t mask = x->cap_set - 1, hole = find(x, no);
	if (!x->set[hole].no)
		return 1;
	*w = x->set[hole];
	for (size_t i = (hole + 1) & mask; x->set[i].no; i = (i + 1) & mask) {
		/* It may move to the hole unless its home lies behind the hole. */
		if (((i - home(x, x->set[i].no)) & mask) >= ((i - hole) & mask)) {
			x->set[hole] = x->set[i];
			hole = i;
		}
	}
	x->set[hole] = (struct written){ 0 };
	x->n_set--;
	return 0;
}

void written_copy(const struct dirty *d, struct written *out)
{
	const struct dirty_private *x = d->extra;
	for (size_t i = 0; i < x->cap_set; i++)
		if (x->set[i].no)
			*out++ = x->set[i];
}
