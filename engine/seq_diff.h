/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leads from one list or rope to another: runs of items that were replaced. Subtrees that both
 * share are told apart from others by their pointers and passed over unread, wherever they stand by
 * now, so the cost is in proportion to what differs.
 *
 * The runs are right, not always the fewest: where very much differs, or the same items come many
 * times, more may be said to be replaced than was.
 */
#ifndef DURAMEN_ENGINE_SEQ_DIFF_H
#define DURAMEN_ENGINE_SEQ_DIFF_H

#include "engine/seq.h"

/*
 * Items [old_at, old_at + old_n) are gone, [now_at, now_at + now_n) are in their place. As many of
 * both as there are stand for each other, in order: as a rule these are items that were set.
 */
struct seq_run {
	uint64_t old_at, old_n, now_at, now_n;
};

struct seq_diff {
	struct seq_run *runs;           /* in order, of the old and of the new; never two that meet */
	size_t n, cap;
	uint64_t pages_read;
};

/*
 * Each tree has a pager of its own: one may be of a transaction, or of a state of the past. Cells
 * are compared as bytes. 0, DUR_E_CORRUPT, -ENOMEM; free it in any case.
 */
int seq_diff_make(struct seq_diff *diff, const struct pager *old_pager, const struct tree *old,
                  const struct pager *now_pager, const struct tree *now, enum seq_kind kind);
void seq_diff_free(struct seq_diff *diff);

#endif
