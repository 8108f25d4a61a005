/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a collection of a snapshot. Its own pages may have been retired, so they cannot be shared
 * (I3); but what the newest state has in the same place mostly holds the same. So that is cloned,
 * and the clone becomes what the old one was, by what differs (become.h).
 */
#ifndef DURAMEN_MODEL_ORIGIN_H
#define DURAMEN_MODEL_ORIGIN_H

#include "model/write.h"

/*
 * Puts it at a key of a row, or in front of a list's item. DUR_NONE: there is nothing of which a
 * clone would be less work than a copy; nothing was done. A failure after the first write bars the
 * transaction.
 */
int origin_put(dur_view *v, struct row *row, const struct element_key *key, const dur_value *value,
               bool insert);

#endif
