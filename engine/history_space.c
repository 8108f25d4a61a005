/* SPDX-License-Identifier: Apache-2.0 */
/* Free space: runs in memory, chunks of them under 'F' at each fold, growth of the file. */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	CHUNK_RUNS = 1,                 /* cell: DUR_BYTES, this, varint pairs {gap, pages} */
	CHUNK_BITMAP = 2,               /* cell: DUR_BYTES, this, 1,024 bytes */
	BITMAP_BYTES = CHUNK_PAGES / 8,
	/* From here on a growth is worth writing without zeros first: the caller fills it in one go. */
	DIRECT_PAGES = 256,
	PART_PAGES = 16,                /* of a commit small enough to look for its places one by one */
	LONG_PAGES = 8,                 /* runs of so many are left to packs and large values if possible */
	PART_MAX = 4,                   /* and for no more of them than that, */
	PART_LOOKS = 64,                /* with so many looks at most */
};

#define WINDOW_PAGES ((uint64_t)1 << FILE_WINDOW_SHIFT)

int history_chunks_reserve(struct chunks *chunks, uint64_t chunk)
{
	if (chunk >= chunks->n) {
		uint64_t n = (chunk + 1024) & ~(uint64_t)1023;
		uint64_t *grown = realloc(chunks->bits, n / 8);
		if (!grown)
			return error_system(ENOMEM, "noting free space");
		memset(grown + chunks->n / 64, 0, (n - chunks->n) / 8);
		chunks->bits = grown;
		chunks->n = n;
	}
	return 0;
}

int history_changed(struct history *history, uint64_t no, uint64_t n)
{
	int rc = history_chunks_reserve(&history->changed, (no + n) >> CHUNK_SHIFT);

	for (uint64_t c = no >> CHUNK_SHIFT; rc == 0 && c <= (no + n - 1) >> CHUNK_SHIFT; c++)
		history->changed.bits[c / 64] |= (uint64_t)1 << c % 64;
	return rc;
}

void history_space_clear(struct history *history)
{
	runs_clear(&history->free);
	runs_clear(&history->holes);
	if (history->looked.n)
		memset(history->looked.bits, 0, history->looked.n / 8);
	history->keeps = false;
	if (history->changed.n)
		memset(history->changed.bits, 0, history->changed.n / 8);
	if (history->folding.n)
		memset(history->folding.bits, 0, history->folding.n / 8);
}

int history_free_add(struct history *history, uint64_t no, uint64_t n)
{
	if (history_changed(history, no, n) < 0 || runs_add(&history->free, no, n, 0, true) < 0)
		return error_system(ENOMEM, "noting free space");
	return 0;
}

int history_free_remove(struct history *history, uint64_t no, uint64_t n)
{
	if (history_changed(history, no, n) < 0 || runs_remove(&history->free, no, n, NULL) < 0)
		return error_system(ENOMEM, "noting free space");
	return 0;
}

/* ---- Taking ---- */

/* Whether n pages from no on would cross a window though they need not. */
static bool crosses(uint64_t no, uint64_t n)
{
	return n <= WINDOW_PAGES && no >> FILE_WINDOW_SHIFT != (no + n - 1) >> FILE_WINDOW_SHIFT;
}

int history_fit(struct history *history, struct runs *runs, uint64_t n, uint64_t *no)
{
	uint64_t from = 0, start, len;

	while (runs_first_fit(runs, n, from, &start, &len)) {
		uint64_t boundary = (start / WINDOW_PAGES + 1) * WINDOW_PAGES;
		bool fits = !crosses(start, n);
		*no = fits ? start : boundary;
		if (!fits && start + len < boundary + n) {
			from = start + 1;
			continue;
		}
		int rc = runs == &history->free ? history_look(history, *no, n) : 0;
		if (rc <= 0)
			return rc;
	}
	return 1;
}

/* Finds n contiguous pages where there is none among the free: in holes, or at the end of the file. */
static int grow(struct history *history, uint64_t n, uint64_t *no)
{
	struct file *file = history->file;
	uint64_t at, start, len, pages;
	bool direct = n >= DIRECT_PAGES;
	int rc = history_refill(history, n, direct, no); /* what was given back comes first */

	if (rc <= 0)
		return rc;
	/* free pages that end the file may be the start of it */
	do {
		at = history->file_pages;
		rc = 0;
		if (!direct && at > PAGE_FIRST &&
		    runs_holds(&history->free, at - 1, &start, &len, NULL)) {
			rc = history_look(history, start, len);
			at = start;
		}
	} while (rc == 1);
	if (rc < 0)
		return rc;
	if (crosses(at, n))
		at = (at / WINDOW_PAGES + 1) * WINDOW_PAGES;
	if (at + n > PAGE_NUMBER_MAX)
		return error_set(DUR_E_LIMIT, "the file cannot grow beyond 2^47 pages");
	rc = file_grow(file, at + n, direct);
	if (rc < 0)
		return rc;
	pages = direct ? at + n : atomic_load(&file->pages);
	if (pages < at + n)
		pages = at + n;
	if (pages > history->file_pages) {
		rc = history_free_add(history, history->file_pages, pages - history->file_pages);
		if (rc < 0)
			return rc;
		history->file_pages = pages;
	}
	*no = at;
	return 0;
}

int history_take(struct history *history, uint64_t n, uint64_t *no)
{
	int rc = history_fit(history, &history->free, n, no);

	if (rc == 1)
		rc = grow(history, n, no);
	if (rc == 0)
		rc = history_free_remove(history, *no, n);
	if (rc == 0) {
		file_forget_seen(history->file, *no, n);
		history->taken += n;
	}
	return rc;
}

void history_give(struct history *history, uint64_t no, uint64_t n)
{
	/* Out of memory the pages stay unknown until the next load finds them free: nothing is lost. */
	(void)history_free_add(history, no, n);
}

/*
 * Takes n pages from few places: as many as fit from the lowest run that has room for them, and so on for
 * the rest, the largest piece last (a record ends it). Each piece costs a small commit about a tenth of
 * its time.
 */
static bool part(const struct history *history, uint64_t n, struct extent *extents, unsigned *n_extents)
{
	struct extent found[PART_MAX];
	uint64_t left = n;
	unsigned k = 0, looks = 0;

	for (uint64_t piece = n - 1; left > 0 && piece > 0; piece = piece < left ? piece : left) {
		uint64_t from = 0, start, len;
		bool taken = true;
		while (taken && looks++ < PART_LOOKS &&
		       runs_first_fit(&history->free, piece, from, &start, &len)) {
			taken = history->pack_pages && len >= LONG_PAGES;
			for (unsigned i = 0; i < k; i++)
				taken |= found[i].no >= start && found[i].no < start + len;
			from = start + 1;
		}
		if (looks > PART_LOOKS || (!taken && k == PART_MAX))
			return false;
		if (taken) { /* none, or no other */
			piece--;
			continue;
		}
		found[k++] = (struct extent){ start, piece };
		left -= piece;
	}
	if (left > 0)
		return false;
	for (unsigned i = 0; i < k; i++)
		extents[i] = found[k - 1 - i];
	*n_extents = k;
	return true;
}

/* Takes n pages from the lowest holes; false: they do not fit cap extents (nothing is taken). */
static bool scatter(const struct history *history, uint64_t n, struct extent *extents, unsigned cap,
                    unsigned *n_extents)
{
	uint64_t from = 0, start, len, got = 0;
	unsigned k = 0;

	while (got < n && k < cap && runs_at_or_after(&history->free, from, &start, &len, NULL)) {
		extents[k].no = start;
		extents[k].n = len < n - got ? len : n - got;
		got += extents[k].n;
		from = start + len;
		k++;
	}
	if (got < n)
		return false;
	*n_extents = k;
	return true;
}

/* Several places, if there is much free space. 0, 1: one place at its end. */
static int pieces(struct history *history, uint64_t n, struct extent *extents, unsigned cap,
                  unsigned *n_extents)
{
	uint64_t live = history->file_pages - PAGE_FIRST - history_free_total(history) -
		history->pending_pages - history->dead_pages - history->kept_pages;
	int rc;

	do {
		if (history->free.total < n || history->free.total <= live / (history->pack_pages ? 4 : 2) ||
		    ((n > PART_PAGES || !part(history, n, extents, n_extents)) &&
		     !scatter(history, n, extents, cap, n_extents)))
			return 1;
		rc = 0;
		for (unsigned i = 0; i < *n_extents && rc == 0; i++)
			rc = history_look(history, extents[i].no, extents[i].n);
	} while (rc == 1); /* one was a hole */
	return rc;
}

/*
 * Where history is packed, small commits that took what they need out of long runs would leave none for packs,
 * which then make the file grow though much of it is free.
 */
static bool spares(const struct history *history, uint64_t n, uint64_t no)
{
	uint64_t start, len;

	return history->pack_pages && n <= PART_PAGES && runs_holds(&history->free, no, &start, &len, NULL) && len >= LONG_PAGES;
}

/*
 * One run while there is room; several once free space passes half of what is live, or a quarter if history is
 * packed: most of what it needs room for lives for some hundred commits.
 */
static int places(struct history *history, uint64_t n, struct extent *extents, unsigned cap,
                  unsigned *n_extents)
{
	uint64_t no;
	int rc = history_fit(history, &history->free, n, &no);

	if (rc == 1 || (rc == 0 && spares(history, n, no))) {
		rc = pieces(history, n, extents, cap, n_extents);
		if (rc <= 0)
			return rc;
		rc = history_fit(history, &history->free, n, &no); /* pieces() may have found holes */
	}
	if (rc == 1)
		rc = grow(history, n, &no);
	if (rc == 0) {
		extents[0] = (struct extent){ no, n };
		*n_extents = 1;
	}
	return rc;
}

int history_extents(struct history *history, uint64_t n, struct extent *extents, unsigned cap,
                    unsigned *n_extents)
{
	int rc = places(history, n, extents, cap, n_extents);

	for (unsigned i = 0; rc == 0 && i < *n_extents; i++) {
		rc = history_free_remove(history, extents[i].no, extents[i].n);
		file_forget_seen(history->file, extents[i].no, extents[i].n);
		history->taken += extents[i].n;
	}
	return rc;
}

void history_size(const struct history *history, struct history_size *size)
{
	*size = (struct history_size){
		.file_pages = history->file_pages,
		.free_pages = history_free_total(history),
		.hole_pages = history->holes.total,
		.taken_pages = history->taken,
	};
}

/* ---- Chunks ---- */

struct chunk_writer {
	uint64_t first, at;             /* of the chunk; the end of the run before */
	uint8_t *cell, *out;
};

static bool add_run(void *ctx, uint64_t start, uint64_t n)
{
	struct chunk_writer *w = ctx;
	uint64_t from = start > w->first ? start : w->first, end = w->first + CHUNK_PAGES;
	uint64_t to = start + n < end ? start + n : end;

	if (w->out + 6 > w->cell + 2 + BITMAP_BYTES)
		return false; /* a bitmap is shorter */
	w->out = put_varint(w->out, from - w->at);
	w->out = put_varint(w->out, to - from);
	w->at = to;
	return true;
}

static bool add_bits(void *ctx, uint64_t start, uint64_t n)
{
	struct chunk_writer *w = ctx;
	uint64_t end = start + n - w->first;

	for (uint64_t i = start > w->first ? start - w->first : 0; i < end && i < CHUNK_PAGES; i++)
		w->out[i / 8] |= (uint8_t)(1 << i % 8);
	return true;
}

size_t history_chunk_encode(const struct history *history, uint64_t chunk, uint8_t *to)
{
	uint64_t first = chunk << CHUNK_SHIFT;
	struct chunk_writer w = { .first = first, .at = first, .cell = to, .out = to + 2 };

	to[0] = DUR_BYTES;
	to[1] = CHUNK_RUNS;
	if (history_free_visit(history, first, first + CHUNK_PAGES, add_run, &w))
		return w.out == to + 2 ? 0 : (size_t)(w.out - to);
	to[1] = CHUNK_BITMAP;
	memset(to + 2, 0, BITMAP_BYTES);
	w.out = to + 2;
	history_free_visit(history, first, first + CHUNK_PAGES, add_bits, &w);
	return 2 + BITMAP_BYTES;
}

static int chunk_add(struct history *history, uint64_t no, uint64_t n)
{
	/* merged with the chunk before it, and not a change since the fold */
	return runs_add(&history->free, no, n, 0, true) < 0 ?
		error_system(ENOMEM, "reading the free space") : 0;
}

int history_chunk_decode(struct history *history, uint64_t chunk, const struct cell *cell)
{
	uint64_t first = chunk << CHUNK_SHIFT, at = 0, gap, n;
	const uint8_t *from = cell->bytes + 2, *end = cell->bytes + cell->len;
	int rc = 0;

	if (chunk > PAGE_NUMBER_MAX >> CHUNK_SHIFT || cell->len < 2)
		return history_damaged("a chunk of the free space");
	if (cell->bytes[1] == CHUNK_BITMAP && cell->len == 2 + BITMAP_BYTES) {
		for (uint64_t i = 0; i < CHUNK_PAGES && rc == 0; i = at) {
			for (at = i; at < CHUNK_PAGES && from[at / 8] >> at % 8 & 1; at++)
				;
			if (at > i)
				rc = chunk_add(history, first + i, at - i);
			else
				at++;
		}
		return rc;
	}
	if (cell->bytes[1] != CHUNK_RUNS)
		return history_damaged("a chunk of the free space");
	while (rc == 0 && from < end) {
		if (!(from = get_varint(from, end, &gap)) || !(from = get_varint(from, end, &n)) ||
		    gap >= CHUNK_PAGES || n == 0 || at + gap + n > CHUNK_PAGES)
			return history_damaged("a chunk of the free space");
		rc = chunk_add(history, first + at + gap, n);
		at += gap + n;
	}
	return rc;
}
