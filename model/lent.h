/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments that a read of the same transaction has lent: their bytes lie in its pages, which the first put of
 * a call may change or spill.
 */
#ifndef DURAMEN_MODEL_LENT_H
#define DURAMEN_MODEL_LENT_H

#include "prefixes/prefix.h"

static inline bool value_is_text(const dur_value *value)
{
	return value->type == DUR_STR || value->type == DUR_BYTES || value->type == DUR_BIGINT ||
	       value->type == DUR_DECIMAL;
}

/* Whether the bytes of a text lie where a put of this transaction may move them. */
bool text_is_lent(const dur_view *v, const dur_value *text);
/* Has *keys lead to copies, if any of the n is lent in whole or in part: good until the call's end. -ENOMEM. */
int  keys_own(dur_view *v, const dur_value **keys, uint32_t n);

#endif
