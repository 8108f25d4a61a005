/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ropes: reading and writing bytes at an offset, pieces put in. What is to be written may lie in the
 * rope itself, in a page that the write changes: so what is no longer than a page is copied first. More
 * than that in one piece is the caller's memory or a run, which stay where they are.
 *
 * Several long pieces become a tree of their own first, which is then joined in: the rope has all of
 * them or none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/collection.h"
#include "model/write.h"

/* ---- Bytes into a rope ---- */

/* 1: it needs a tree. */
static int bytes_small(dur_view *v, struct row *row, uint64_t at, uint64_t over, const void *bytes,
                       uint64_t len)
{
	uint64_t count = row->cell_len - 1, more = 1 + len - over;

	/* an empty rope cannot grow out of its place: then it has its tree at once */
	if (more > SMALL_ROOM - count ||
	    (count == 0 && row->parent->is_tree && more > small_room(row->key_len)))
		return 1;
	return write_small(v, row, &(struct small_splice){
		.from = (unsigned)(1 + at), .to = (unsigned)(1 + at + over), .bytes = bytes,
		.len = len,
	});
}

static int bytes_tree(dur_view *v, struct row *row, uint64_t at, uint64_t over, const void *bytes,
                      uint64_t len)
{
	struct dirty *d = &v->txn->dirty;
	struct tree fresh = { .class = CLASS_DATA };
	int rc;

	if (!row->is_tree) {
		rc = rope_insert(d, &fresh, 0, bytes, len);
		return rc == 0 ? write_bar(v, write_take_tree(v, row, &fresh)) : rc;
	}
	rc = row_own(v, row);
	if (rc < 0)
		return rc;
	if (over)
		rc = rope_write(d, row_tree(v, row), at, bytes, over);
	if (rc == 0 && len > over) {
		rc = rope_insert(d, row_tree(v, row), at + over, (const uint8_t *)bytes + over,
		                 len - over);
		if (over)
			write_bar(v, rc);
	}
	row_store(v, row);
	return rc;
}

int write_bytes(dur_view *v, struct row *row, uint64_t at, uint64_t over, const void *bytes,
                uint64_t len)
{
	int rc;

	do {
		rc = row_find(v, row);
		if (rc < 0)
			return rc;
		rc = row->is_tree ? 1 : bytes_small(v, row, at, over, bytes, len);
	} while (rc == WRITE_AGAIN);
	if (rc == 1) {
		rc = write_make_tree(v, row);
		if (rc == 0)
			rc = bytes_tree(v, row, at, over, bytes, len);
	}
	return rc;
}

int cell_make_rope(dur_view *v, const void *bytes, uint64_t len, size_t key_len,
                   struct made_cell *m)
{
	struct tree tree = { .class = CLASS_DATA };
	int rc;

	if (len < small_room(key_len)) {
		m->len = small_empty(DUR_ROPE, m->bytes);
		if (len)
			memcpy(m->bytes + m->len, bytes, len);
		m->len += len;
		return 0;
	}
	m->len = 0;
	rc = rope_insert(&v->txn->dirty, &tree, 0, bytes, len);
	if (rc < 0)
		return rc;
	nest_tree_write(m->bytes, &(struct nest_tree){
		.kind = DUR_ROPE, .depth = tree.depth, .placed = v->txn->number,
		.root = tree.root, .count = tree.count,
	});
	m->len = NEST_TREE_CELL;
	return 0;
}

/* ---- Pieces ---- */

int rope_piece(const dur_value *piece, const uint8_t **bytes, size_t *len)
{
	if ((piece->type != DUR_STR && piece->type != DUR_BYTES) || piece->tag)
		return error_set(DUR_E_TYPE, "a piece of a rope is a string or bytes, without a tag");
	return key_text(piece, bytes, len);
}

/* Behind each other in a new tree, which goes in as a whole: no piece moves meanwhile. */
static int put_long(dur_view *v, struct row *row, uint64_t at, const dur_value *items, uint64_t n)
{
	struct tree tree = { .class = CLASS_DATA };
	const uint8_t *bytes;
	size_t len;
	int rc = 0;

	for (uint64_t i = 0; i < n && rc == 0; i++) {
		rc = rope_piece(&items[i], &bytes, &len);
		if (rc == 0 && len)
			rc = rope_insert(&v->txn->dirty, &tree, tree.count, bytes, len);
	}
	if (rc < 0) /* what there is of it hangs nowhere */
		return tree.depth ? write_bar(v, rc) : rc;
	return write_insert_tree(v, row, at, &tree);
}

/* How many bytes all pieces are. */
static int measure(const dur_value *items, uint64_t n, uint64_t *total)
{
	const uint8_t *bytes;
	size_t len;
	int rc = 0;

	*total = 0;
	for (uint64_t i = 0; i < n && rc == 0; i++) {
		rc = rope_piece(&items[i], &bytes, &len);
		if (rc == 0 && len > UINT64_MAX / 2 - *total)
			rc = error_set(DUR_E_LIMIT, "a list or rope cannot hold so much");
		else if (rc == 0)
			*total += len;
	}
	return rc;
}

int rope_put_pieces(dur_view *v, struct row *row, uint64_t at, const dur_value *items, uint64_t n)
{
	uint8_t near[PAGE_SIZE];
	const uint8_t *bytes;
	uint64_t total, done = 0;
	size_t len;
	int rc = measure(items, n, &total);

	if (rc < 0 || total == 0)
		return rc;
	if (total > sizeof near && n > 1)
		return put_long(v, row, at, items, n);
	for (uint64_t i = 0; i < n && rc == 0; i++) {
		rc = rope_piece(&items[i], &bytes, &len);
		if (rc == 0 && len > sizeof near)
			return write_bytes(v, row, at, 0, bytes, len);
		if (rc == 0 && len)
			memcpy(near + done, bytes, len);
		done += len;
	}
	return rc == 0 ? write_bytes(v, row, at, 0, near, total) : rc;
}

/* ---- Splice ---- */

/* From another view: copied, a piece at a time. */
static int splice_copied(dur_view *v, struct row *row, uint64_t at, const struct place *src,
                         uint64_t first, uint64_t end)
{
	struct tree tree = { .class = CLASS_DATA };
	uint64_t from, n;
	const uint8_t *bytes;
	int rc = 0;

	while (first < end && rc == 0) {
		rc = place_piece(src, first, &from, &bytes, &n);
		if (rc < 0)
			break;
		bytes += first - from;
		n -= first - from;
		n = n < end - first ? n : end - first;
		rc = rope_insert(&v->txn->dirty, &tree, tree.count, bytes, n);
		first += n;
	}
	if (rc < 0)
		return tree.depth ? write_bar(v, rc) : rc;
	return write_insert_tree(v, row, at, &tree);
}

int rope_splice(dur_view *v, struct row *row, uint64_t at, const struct place *src, uint64_t first,
                uint64_t end)
{
	uint8_t near[PAGE_SIZE];
	int rc;

	if (end - first > sizeof near)
		return splice_copied(v, row, at, src, first, end);
	rc = place_bytes(src, first, near, end - first);
	return rc == 0 ? write_bytes(v, row, at, 0, near, end - first) : rc;
}

/* ---- Reading and writing at an offset ---- */

static int check_rope(dur_coll c)
{
	return c.kind == DUR_ROPE ? 0
	                          : error_set(DUR_E_TYPE, "this is %s, not a rope", kind_name(c.kind));
}

static int read_bytes(dur_coll rope, uint64_t offset, void *buf, uint64_t len, uint64_t *got)
{
	struct place p;
	uint64_t count, n;
	int rc = check_rope(rope);

	if (rc == 0 && len && !buf)
		rc = error_set(DUR_E_MISUSE, "dur_read() needs room for the bytes");
	if (rc < 0)
		return rc;
	collection_reclaim(rope.view);
	rc = place_open(rope, &p);
	if (rc < 0)
		return rc;
	count = place_count(&p);
	n = offset >= count ? 0 : count - offset < len ? count - offset : len;
	rc = n ? place_bytes(&p, offset, buf, n) : 0;
	if (rc == 0)
		*got = n;
	return rc;
}

int dur_read(dur_coll rope, uint64_t offset, void *buf, uint64_t len, uint64_t *got)
{
	int rc = collection_check(rope);

	if (rc == 0 && !got)
		rc = error_set(DUR_E_MISUSE, "dur_read() needs a place for how many bytes there were");
	return rc < 0 ? rc : read_bytes(rope, offset, buf, len, got);
}

static int write_at(dur_coll rope, uint64_t offset, const void *data, uint64_t len)
{
	uint8_t near[PAGE_SIZE];
	uint64_t count, over;
	struct place p;
	struct row *row;
	int rc = check_rope(rope);

	if (rc == 0)
		rc = row_of(rope, &row);
	if (rc == 0 && len && !data)
		rc = error_set(DUR_E_MISUSE, "dur_write() needs the bytes to write");
	if (rc == 0)
		rc = row_find(rope.view, row);
	if (rc < 0)
		return rc;
	row_place(rope.view, row, &p);
	count = place_count(&p);
	if (offset > count)
		return error_set(DUR_E_RANGE, "offset %llu is beyond the rope's end, which is at %llu",
		                 (unsigned long long)offset, (unsigned long long)count);
	if (len == 0)
		return 0;
	if (len <= sizeof near)
		data = memcpy(near, data, len);
	over = count - offset < len ? count - offset : len;
	return write_bytes(rope.view, row, offset, over, data, len);
}

int dur_write(dur_coll rope, uint64_t offset, const void *data, uint64_t len)
{
	int rc = collection_begin_write(rope);

	return rc < 0 ? rc : collection_end_write(rope, write_at(rope, offset, data, len));
}
