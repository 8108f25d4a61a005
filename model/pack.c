/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_pack() and dur_unpack(): tuples as bytes (engine/key.h), for whoever keeps them elsewhere.
 * Decoding collects a tuple in memory of its own. From there it is laid out flat, level after
 * level: a tuple's items behind all that came before, so that each tuple's stand side by side and
 * nothing recurses. Only what fits as a whole is given out.
 */
#include "engine/key.h"
#include "include/internal/bytes.h"
#include "include/internal/error.h"

#include <errno.h>

int dur_pack(const dur_value *items, uint32_t n, void *buf, uint64_t cap, uint64_t *len)
{
	size_t needed;
	int rc;

	if (unlikely((!items && n > 0) || (!buf && cap > 0) || !len))
		return error_set(DUR_E_MISUSE, "dur_pack() needs items, a buffer (NULL with a cap"
		                               " of 0 measures) and a place for the length");
	rc = key_pack(items, n, buf, cap, &needed);
	if (rc == 0 || rc == -ENOSPC)
		*len = needed;
	return rc;
}

/* A decoded tuple laid out flat: its n items first, those of tuples in it behind them. */
struct flat {
	struct key_arena arena; /* its stack holds the items */
	uint64_t n;
	uint64_t text; /* bytes of texts that decoding had to put together */
};

static bool in_source(const dur_value *v, const uint8_t *src, uint64_t len)
{
	uintptr_t at = (uintptr_t)v->ptr - (uintptr_t)src;
	return at < len;
}

/* Whether v points to bytes that are not those of src. */
static bool has_own_text(const dur_value *v, const uint8_t *src, uint64_t len)
{
	return (v->type == DUR_STR || v->type == DUR_BYTES || v->type == DUR_BIGINT ||
	        v->type == DUR_DECIMAL) &&
	       v->len > 0 && !in_source(v, src, len);
}

static int flatten(struct flat *f, const dur_value *tuple, const uint8_t *src, uint64_t len)
{
	dur_value parent = *tuple, *slot;

	for (uint64_t i = 0;; parent = f->arena.stack[i++]) {
		if (parent.type == DUR_TUPLE) {
			for (uint64_t k = 0; k < parent.len; k++) {
				slot = key_arena_slot(&f->arena, f->n);
				if (!slot)
					return -ENOMEM;
				*slot = parent.items[k];
				f->n++;
			}
		} else if (has_own_text(&parent, src, len)) {
			f->text += parent.len;
		}
		if (i == f->n)
			return 0;
	}
}

/* Copies the items to where they fit, and points them to each other and to scratch. */
static void give_out(const struct flat *f, uint64_t top, const uint8_t *src, uint64_t len,
                     dur_value *items, uint8_t *scratch)
{
	dur_value *next = items + top;

	if (f->n > 0)
		memcpy(items, f->arena.stack, f->n * sizeof *items);
	for (uint64_t i = 0; i < f->n; i++) {
		dur_value *v = &items[i];
		if (v->type == DUR_TUPLE) {
			v->items = v->len > 0 ? next : NULL;
			next += v->len;
		} else if (has_own_text(v, src, len)) {
			memcpy(scratch, v->ptr, v->len);
			v->ptr = scratch;
			scratch += v->len;
		}
	}
}

int dur_unpack(const void *src, uint64_t len, dur_value *items, uint32_t cap, uint32_t *n,
               void *scratch, uint64_t scratch_bytes)
{
	struct key_arena decoded = { 0 };
	struct flat f = { .n = 0 };
	dur_value tuple;
	int rc;

	if (unlikely((!src && len > 0) || (!items && cap > 0) || !n ||
	             (!scratch && scratch_bytes > 0)))
		return error_set(DUR_E_MISUSE, "dur_unpack() needs bytes, items, a place for their"
		                               " number and scratch (NULL with 0 bytes of it)");
	rc = len > 0 ? key_unpack(src, len, &decoded, &tuple) : 0;
	if (len == 0)
		tuple = DUR_TUPLE(NULL, 0);
	if (rc == 0)
		rc = flatten(&f, &tuple, src, len);
	if (rc == 0 && (f.n > cap || f.text > scratch_bytes)) {
		*n = f.n < UINT32_MAX ? (uint32_t)f.n : UINT32_MAX;
		rc = error_set(-ENOSPC,
		               "the tuple unpacks to %llu items, nested ones included, and %llu"
		               " bytes of scratch: there is room for %u and %llu",
		               (unsigned long long)f.n, (unsigned long long)f.text, cap,
		               (unsigned long long)scratch_bytes);
	} else if (rc == 0) {
		give_out(&f, tuple.len, src, len, items, scratch);
		*n = (uint32_t)tuple.len;
	}
	key_arena_free(&decoded);
	key_arena_free(&f.arena);
	return rc;
}
