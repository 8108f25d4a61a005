/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_collect(): what an iterator gives goes into a collection, in batches. Reading and writing do not
 * take turns entry by entry: in one transaction each write would make the iterator find its place anew.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/collection.h"
#include "model/write.h"

enum { BATCH_BYTES = 128 << 10, ENTRY_MOST = DUR_MAX_KEY + TREE_CELL_MAX + 16 };

/* An entry in a batch; key and cell follow. */
struct collected {
	uint32_t key_len, cell_len;
};

struct batch {
	size_t used;
	uint8_t bytes[BATCH_BYTES];
};

/* The next entry into the batch. 1: there is none. */
static int take_one(dur_view *v, uint32_t kind, dur_iter *it, struct batch *b)
{
	const struct place p = { .kind = kind };
	struct element_key k;
	struct made_cell m;
	dur_value key, value;
	int rc = dur_next(it, &key, kind_is_set(kind) ? NULL : &value);

	if (rc == 0)
		rc = place_key(&p, &key, &k);
	if (rc != 0)
		return rc;
	m.bytes[0] = DUR_NULL;
	m.len = 1;
	if (!kind_is_set(kind))
		rc = cell_make(v, &value, k.len, &m);
	if (rc < 0)
		return rc;
	struct collected head = { (uint32_t)k.len, (uint32_t)m.len };
	uint8_t *to = b->bytes + b->used;
	memcpy(to, &head, sizeof head);
	memcpy(to + sizeof head, k.bytes, k.len);
	memcpy(to + sizeof head + k.len, m.bytes, m.len);
	b->used += sizeof head + k.len + m.len;
	return 0;
}

/* Puts what is in the batch; after a failure the rest is let go. */
static int put_batch(dur_view *v, dur_coll into, const struct batch *b, int rc, uint64_t *n)
{
	struct made_cell m;
	struct row *row;

	if (rc == 0)
		rc = row_of(into, &row);
	for (size_t at = 0; at < b->used;) {
		struct collected head;
		struct element_key k;
		memcpy(&head, b->bytes + at, sizeof head);
		k.bytes = b->bytes + at + sizeof head;
		k.len = head.key_len;
		m.len = head.cell_len;
		memcpy(m.bytes, k.bytes + k.len, m.len);
		at += sizeof head + head.key_len + head.cell_len;
		if (rc == 0 && (rc = write_put(v, row, &k, m.bytes, m.len)) == 0)
			++*n;
		else
			cell_unmake(v, &m);
	}
	return rc;
}

static int collect(dur_iter *it, dur_coll into, struct batch *b, uint64_t *n)
{
	dur_view *v = into.view;
	int rc = 0, more = 0;

	while (rc == 0 && more == 0) {
		b->used = 0;
		while (more == 0 && b->used + ENTRY_MOST <= BATCH_BYTES)
			more = take_one(v, into.kind, it, b);
		rc = put_batch(v, into, b, more < 0 ? more : 0, n);
		if (rc == 0)
			rc = dirty_relieve(&v->txn->dirty);
		v->writes++;
	}
	return rc;
}

int dur_collect(dur_iter *it, dur_coll into, uint64_t *n)
{
	struct batch *b = NULL;
	struct row *row;
	uint64_t many = 0;
	int rc = collection_begin_write(into);

	if (rc < 0)
		return rc;
	if (!it)
		rc = error_set(DUR_E_MISUSE, "dur_collect() needs an iterator");
	if (rc == 0 && !kind_is_keyed(into.kind))
		rc = error_set(DUR_E_TYPE, "dur_collect() fills sets and maps, not %s",
		               kind_name(into.kind));
	if (rc == 0)
		rc = row_of(into, &row);
	if (rc == 0 && !(b = malloc(sizeof *b)))
		rc = error_system(ENOMEM, "collecting entries");
	if (rc == 0)
		rc = collect(it, into, b, &many);
	free(b);
	rc = collection_end_write(into, rc);
	if (rc == 0 && n)
		*n = many;
	return rc;
}
