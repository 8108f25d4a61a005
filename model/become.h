/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collection of a transaction becomes what one of a snapshot is, by what differs between them, at
 * any depth: so it keeps the pages that it has of what both hold, and costs what the difference is.
 * Nothing of the snapshot's own pages is taken over: what was retired never comes back to life
 * (I3).
 *
 * Collections that are in both, at the same key, stay what they are: handles to them are good
 * afterwards.
 */
#ifndef DURAMEN_MODEL_BECOME_H
#define DURAMEN_MODEL_BECOME_H

#include "model/write.h"

/*
 * Of the same kind. may_spill: no other argument of the call lies in pages of the transaction, so
 * its memory may be relieved meanwhile. *changed: something was written; a failure then leaves
 * something in between, and has barred the transaction.
 */
int become(dur_view *v, struct row *row, const struct place *from, bool may_spill, bool *changed);
/*
 * Whether that is less work than a copy: the collection has not been written anew, for the most
 * part, since the state of the snapshot. Reads those of its branches that were. 1: it is, 0.
 */
int become_pays(const struct place *mine, const struct place *from);

#endif
