/* SPDX-License-Identifier: Apache-2.0 */
/* Copies are the view's, in its arena of keys: no call that is not lent anything pays for one. */
#include "model/lent.h"

#include <errno.h>
#include <string.h>

#include "engine/dirty.h"

bool text_is_lent(const dur_view *v, const dur_value *text)
{
	return value_is_text(text) && dirty_holds(&v->txn->dirty, text->ptr);
}

/* What is longer or deeper is refused as a key, and as a path; steps are a level more. */
enum { ITEMS_MAX = DUR_MAX_KEY, BYTES_MAX = 1 << 20, DEPTH_MAX = KEY_DEPTH + 2 };

static bool has_items(const dur_value *key)
{
	return (key->type == DUR_TUPLE || key->type == DUR_STEPS) && key->items && key->len <= ITEMS_MAX;
}

/* What ends with a zero was made by the caller: what is lent has a length. */
static bool key_is_lent(const dur_view *v, const dur_value *key, unsigned depth)
{
	bool lent = false;

	if (value_is_text(key) || key->type == DUR_PATH)
		return key->len <= BYTES_MAX && dirty_holds(&v->txn->dirty, key->ptr);
	for (uint64_t i = 0; depth < DEPTH_MAX && has_items(key) && i < key->len && !lent; i++)
		lent = key_is_lent(v, &key->items[i], depth + 1);
	return lent;
}

static int own(dur_view *v, dur_value *key, unsigned depth)
{
	size_t bytes = has_items(key) ? key->len * sizeof *key : key->len;
	void *copy = key_arena_take(&v->arena, bytes ? bytes : 1);
	int rc = 0;

	if (!copy)
		return -ENOMEM;
	if (!has_items(key)) {
		memcpy(copy, key->ptr, bytes);
		key->ptr = copy;
		return 0;
	}
	memcpy(copy, key->items, bytes);
	for (uint64_t i = 0; i < key->len && rc == 0; i++) {
		dur_value *item = (dur_value *)copy + i;
		if (key_is_lent(v, item, depth + 1))
			rc = own(v, item, depth + 1);
	}
	key->items = copy;
	return rc;
}

int keys_own(dur_view *v, const dur_value **keys, uint32_t n)
{
	dur_value *copies = NULL;
	int rc = 0;

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		if (likely(!key_is_lent(v, &(*keys)[i], 0)))
			continue;
		if (!copies) {
			copies = key_arena_take(&v->arena, n * sizeof *copies);
			if (!copies)
				return -ENOMEM;
			memcpy(copies, *keys, n * sizeof *copies);
			*keys = copies;
		}
		rc = own(v, &copies[i], 0);
	}
	return rc;
}
