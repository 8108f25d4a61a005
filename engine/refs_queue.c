/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The removal queue: entries of the system tree by ascending number. A slice takes from its beginning,
 * what is left of that goes to its end.
 */
#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/dirty_private.h"
#include "engine/refs.h"
#include "engine/run.h"
#include "engine/tree_private.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum { KEY_BYTES = 9, CELL_BYTES = 27, FLAG_REFS = 1 };

static size_t queue_key(uint8_t *to, uint64_t seq)
{
	to[0] = REFS_KEY_QUEUE;
	put_be64(to + 1, seq);
	return KEY_BYTES;
}

static void encode(const struct page_ref *ref, uint8_t to[CELL_BYTES])
{
	to[0] = DUR_BYTES;
	to[1] = (uint8_t)ref->kind;
	to[2] = (uint8_t)ref->of;
	to[3] = (uint8_t)ref->level;
	to[4] = ref->refs ? FLAG_REFS : 0;
	put_u64(to + 5, ref->ptr.birth);
	put_u48(to + 13, ref->ptr.no);
	put_u64(to + 19, ref->count);
}

static int damaged(void)
{
	return error_set(DUR_E_CORRUPT, "the system tree is damaged: the removal queue; run `duramen "
	                 "check`, restore from a backup");
}

static int decode(const struct cell *cell, struct page_ref *ref)
{
	const uint8_t *c = cell->bytes;
	if (cell->len != CELL_BYTES || c[0] != DUR_BYTES)
		return damaged();
	*ref = (struct page_ref){
		.kind = (enum ref_kind)c[1], .of = c[2], .level = c[3], .refs = c[4] & FLAG_REFS,
		.ptr = { .birth = get_u64(c + 5), .no = get_u48(c + 13) }, .count = get_u64(c + 19),
	};
	if (c[1] > REF_RUN || c[4] > FLAG_REFS || ref->ptr.no < PAGE_FIRST ||
	    ref->ptr.no > PAGE_NUMBER_MAX || ref->level >= TREE_DEPTH_MAX ||
	    (ref->kind == REF_RUN ? ref->count > RUN_LENGTH_MAX : ref->of < DUR_MAP || ref->of > DUR_ROPE))
		return damaged();
	return 0;
}

/* The entry a cursor is at; 1: the queue ends before it. */
static int entry_at(struct cursor *c, uint64_t *seq, struct page_ref *ref)
{
	struct cell cell;
	const void *key;
	size_t len;

	cursor_entry(c, &key, &len, &cell);
	if (*(const uint8_t *)key != REFS_KEY_QUEUE)
		return 1;
	if (len != KEY_BYTES)
		return damaged();
	*seq = get_be64((const uint8_t *)key + 1);
	return decode(&cell, ref);
}

static struct cursor *queue_cursor(const struct pager *pager, const struct tree *system)
{
	struct cursor *c = malloc(sizeof *c);
	if (c)
		cursor_open(c, pager, system);
	else
		error_system(ENOMEM, "reading the removal queue");
	return c;
}

int ref_queue_take(struct dirty *d, struct tree *system, struct page_ref *ref)
{
	const struct pager pager = { .file = d->file, .dirty = d };
	uint8_t key[KEY_BYTES];
	uint64_t seq;
	struct cursor *c = queue_cursor(&pager, system);
	int r = c ? cursor_seek(c, key, queue_key(key, 0)) : -ENOMEM;

	if (!r)
		r = entry_at(c, &seq, ref);
	free(c);
	if (!r)
		r = tree_del(d, system, key, queue_key(key, seq));
	return r;
}

/* The number behind the last entry. */
static int next_number(struct dirty *d, const struct tree *system, uint64_t *seq)
{
	static const uint8_t end = REFS_KEY_QUEUE + 1;
	const struct pager pager = { .file = d->file, .dirty = d };
	struct page_ref ref;
	struct cursor *c = queue_cursor(&pager, system);
	int r = c ? cursor_seek_before(c, &end, 1) : -ENOMEM;

	*seq = 0;
	if (!r)
		r = entry_at(c, seq, &ref);
	free(c);
	++*seq;
	return r < 0 ? r : 0;
}

int ref_queue_write(struct dirty *d, struct tree *system)
{
	struct dirty_private *x = d->extra;
	uint8_t key[KEY_BYTES], cell[CELL_BYTES];
	uint64_t seq = 0;
	int r = 0;

	for (size_t i = 0; i < x->n_queue && !r; i++) {
		struct queued *q = &x->queue[i];
		if (q->seq)
			continue;
		if (!seq)
			r = next_number(d, system, &seq);
		encode(&q->ref, cell);
		if (!r)
			r = tree_put(d, system, key, queue_key(key, seq), cell, sizeof cell, NULL);
		if (!r)
			q->seq = seq++;
	}
	return r;
}

int ref_queue_each(const struct pager *pager, const struct tree *system,
                   int (*visit)(void *ctx, const struct page_ref *ref), void *ctx)
{
	uint8_t key[KEY_BYTES];
	struct page_ref ref;
	uint64_t seq;
	struct cursor *c = queue_cursor(pager, system);
	int r = c ? cursor_seek(c, key, queue_key(key, 0)) : -ENOMEM;

	for (; !r; r = r ? r : cursor_next(c)) {
		r = entry_at(c, &seq, &ref);
		if (r)
			break;
		r = visit(ctx, &ref);
	}
	free(c);
	return r == 1 ? 0 : r;
}
