/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing goes piece by piece: each is hashed while it is in the processor's cache for the copy
 * into the page cache that follows, and its write-back begins at once, so that the commit's flush
 * finds little.
 *
 * Reading is in place, so everything is verified at the first meeting, and only then: the bit of
 * the run's first page says so. What bounds depend on (length, pages) is compared on every read.
 */
#include "engine/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/error.h"

enum {
	AT_LENGTH = 24,
	AT_PAGES = 32,
	AT_SUMS = 36,
	RUN_CHUNK = 16 * RUN_PIECE, /* 1 MiB a write */
};

static uint64_t run_sums(uint64_t length)
{
	return (length + RUN_PIECE - 1) / RUN_PIECE;
}

/* Where the trailer begins. */
static uint64_t run_trailer(uint64_t length)
{
	return (RUN_HEADER + length + 7) & ~(uint64_t)7;
}

static uint64_t run_used(uint64_t length)
{
	return run_trailer(length) + 8 * run_sums(length);
}

uint64_t run_pages(uint64_t length)
{
	return length > RUN_LENGTH_MAX ? 0 : (run_used(length) + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

static uint64_t header_sum(const struct file *file, const void *header, const void *trailer,
                           uint64_t n_sums)
{
	uint64_t seed = hash64(trailer, 8 * n_sums, file->seed);
	return hash64((const uint8_t *)header + 8, RUN_HEADER - 8, seed);
}

/* ---- Writing ---- */

static int write_at(struct file *file, uint64_t offset, const struct iovec *iov, unsigned n)
{
	struct io_write write = { offset, iov, n };
	uint64_t bytes = 0;
	int r = file->io->ops->write(file->io, &write);
	if (r)
		return error_system(-r, "writing a large value");
	for (unsigned i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	file->io->ops->start(file->io, offset, bytes);
	return 0;
}

struct run_writer {
	struct dirty *d;
	uint64_t no, pages, length;
	uint64_t at;      /* bytes of the value written; a multiple of RUN_PIECE until it ends */
	uint8_t *sums, *next_sum;
	uint8_t *kept;    /* what does not fill RUN_CHUNK yet, if the value comes in small pieces */
	uint64_t n_kept;
	uint8_t header[RUN_HEADER];
};

/* Bytes of the value from w->at on; a multiple of RUN_PIECE unless they end it. */
static int write_pieces(struct run_writer *w, const uint8_t *data, uint64_t length)
{
	struct file *file = w->d->file;
	uint64_t offset = (w->no << PAGE_SHIFT) + RUN_HEADER + w->at;

	for (uint64_t at = 0; at < length; at += RUN_CHUNK) {
		uint64_t end = length - at < RUN_CHUNK ? length : at + RUN_CHUNK;
		for (uint64_t piece = at; piece < end; piece += RUN_PIECE) {
			uint64_t n = end - piece < RUN_PIECE ? end - piece : RUN_PIECE;
			put_u64(w->next_sum, hash64(data + piece, n, file->seed));
			w->next_sum += 8;
		}
		struct iovec iov = { (void *)(uintptr_t)(data + at), end - at };
		int r = write_at(file, offset + at, &iov, 1);
		if (r)
			return r;
	}
	w->at += length;
	return 0;
}

/* The header, and all that follows the value. */
static int write_frame(struct file *file, uint64_t no, uint8_t header[RUN_HEADER], uint64_t length,
                       const uint8_t *sums)
{
	static const uint8_t zeros[PAGE_SIZE];
	uint64_t n_sums = run_sums(length), trailer = run_trailer(length), end = run_used(length);
	uint64_t value_end = RUN_HEADER + length, at = no << PAGE_SHIFT;

	put_u64(header, header_sum(file, header, sums, n_sums));
	struct iovec iov = { header, RUN_HEADER };
	int r = write_at(file, at, &iov, 1);
	if (r)
		return r;
	struct iovec tail[] = {
		{ (void *)(uintptr_t)zeros, trailer - value_end },
		{ (void *)(uintptr_t)sums, 8 * n_sums },
		{ (void *)(uintptr_t)zeros, (run_pages(length) << PAGE_SHIFT) - end },
	};
	return write_at(file, at + value_end, tail, sizeof tail / sizeof *tail);
}

int run_begin(struct dirty *d, uint64_t length, struct run_writer **writer)
{
	uint64_t pages = run_pages(length), no;
	struct run_writer *w;

	if (!pages)
		return error_set(DUR_E_LIMIT,
		                 "a value of %" PRIu64 " bytes is too long; a value holds at "
		                 "most %" PRIu64,
		                 length, RUN_LENGTH_MAX);
	w = calloc(1, sizeof *w);
	if (!w || !(w->sums = malloc(8 * run_sums(length) + 1))) {
		free(w);
		return error_system(ENOMEM, "writing a large value");
	}
	int r = d->host.take(d->host.ctx, pages, &no);
	if (r) {
		free(w->sums);
		free(w);
		return r;
	}
	file_forget_seen(d->file, no, pages);
	w->d = d;
	w->no = no;
	w->pages = pages;
	w->length = length;
	w->next_sum = w->sums;
	put_u64(w->header + 8, d->state);
	put_u64(w->header + 16, no | (uint64_t)PAGE_RUN << 48);
	put_u64(w->header + AT_LENGTH, length);
	put_u32(w->header + AT_PAGES, (uint32_t)pages);
	put_u32(w->header + AT_SUMS, (uint32_t)run_sums(length));
	*writer = w;
	return 0;
}

static void writer_free(struct run_writer *w)
{
	free(w->kept);
	free(w->sums);
	free(w);
}

void run_abandon(struct run_writer *w)
{
	w->d->host.give(w->d->host.ctx, w->no, w->pages);
	writer_free(w);
}

/* Gathers small pieces to RUN_CHUNK bytes; says how many it took. */
static int keep(struct run_writer *w, const uint8_t *data, uint64_t n, uint64_t *taken)
{
	uint64_t room = RUN_CHUNK - w->n_kept;
	int r = 0;

	if (!w->kept && !(w->kept = malloc(RUN_CHUNK)))
		return error_system(ENOMEM, "writing a large value");
	*taken = n < room ? n : room;
	memcpy(w->kept + w->n_kept, data, *taken);
	w->n_kept += *taken;
	if (w->n_kept == RUN_CHUNK || w->at + w->n_kept == w->length) {
		r = write_pieces(w, w->kept, w->n_kept);
		w->n_kept = 0;
	}
	return r;
}

int run_add(struct run_writer *w, const void *data, uint64_t n)
{
	const uint8_t *from = data;
	int r = 0;

	if (n > w->length - w->at - w->n_kept)
		return error_set(DUR_E_LIMIT, "a large value is longer than was said");
	while (n > 0 && r == 0) {
		uint64_t k = w->at + n == w->length ? n : n - n % RUN_CHUNK;
		if (w->n_kept == 0 && k > 0)
			r = write_pieces(w, from, k);
		else
			r = keep(w, from, n, &k);
		if (r == 0) {
			from += k;
			n -= k;
		}
	}
	return r;
}

int run_finish(struct run_writer *w, struct page_ptr *ptr)
{
	struct dirty *d = w->d;
	int r;

	if (w->at != w->length)
		return error_set(DUR_E_LIMIT, "a large value is shorter than was said");
	r = write_frame(d->file, w->no, w->header, w->length, w->sums);
	if (r == 0)
		r = dirty_run_taken(d, w->no, (uint32_t)w->pages, get_u64(w->header));
	if (r)
		return r;
	file_mark_run(d->file, w->no);
	*ptr = (struct page_ptr){ w->no, d->state };
	writer_free(w);
	return 0;
}

int run_write(struct dirty *d, const void *data, uint64_t length, struct page_ptr *ptr)
{
	struct run_writer *w;
	int r = run_begin(d, length, &w);

	if (r)
		return r;
	r = run_add(w, data, length);
	if (r == 0)
		r = run_finish(w, ptr);
	if (r)
		run_abandon(w);
	return r;
}

/* ---- Reading ---- */

static int run_damaged(struct page_ptr ptr, const char *what)
{
	return error_set(
		DUR_E_CORRUPT,
		"the large value on page %" PRIu64 " of state %" PRIu64 ": %s; "
		"restore the file from a backup, or run duramen check to see how far the damage "
		"goes",
		ptr.no, ptr.birth, what);
}

static bool all_zero(const uint8_t *at, uint64_t n)
{
	uint8_t any = 0;
	for (uint64_t i = 0; i < n; i++)
		any |= at[i];
	return !any;
}

/* Compares what its header says with what the pointer says. */
static int run_header(struct page_ptr ptr, uint64_t length, const uint8_t *run)
{
	if (get_u64(run + 8) != ptr.birth ||
	    get_u64(run + 16) != (ptr.no | (uint64_t)PAGE_RUN << 48))
		return run_damaged(ptr, "something else is on that page");
	if (get_u64(run + AT_LENGTH) != length || get_u32(run + AT_PAGES) != run_pages(length) ||
	    get_u32(run + AT_SUMS) != run_sums(length))
		return run_damaged(ptr, "its length is not the one that its key tells");
	return 0;
}

static int run_meet(struct file *file, struct page_ptr ptr, uint64_t length, const uint8_t **run)
{
	uint64_t pages = run_pages(length);
	if (!pages)
		return run_damaged(ptr, "its length cannot be");
	int r = file_map(file, ptr.no, pages, run);
	return r ? r : run_header(ptr, length, *run);
}

static int run_check(const struct file *file, struct page_ptr ptr, uint64_t length,
                     const uint8_t *run)
{
	uint64_t n_sums = run_sums(length), trailer = run_trailer(length), end = run_used(length);
	uint64_t value_end = RUN_HEADER + length;
	const uint8_t *value = run + RUN_HEADER, *sums = run + trailer;

	if (get_u64(run) != header_sum(file, run, sums, n_sums))
		return run_damaged(ptr, "the checksum of its header does not match");
	for (uint64_t i = 0; i < n_sums; i++) {
		uint64_t at = i * RUN_PIECE, n = length - at < RUN_PIECE ? length - at : RUN_PIECE;
		if (get_u64(sums + 8 * i) != hash64(value + at, n, file->seed))
			return run_damaged(ptr, "a checksum of its contents does not match");
	}
	if (!all_zero(run + value_end, trailer - value_end) ||
	    !all_zero(run + end, (run_pages(length) << PAGE_SHIFT) - end))
		return run_damaged(ptr, "bytes behind it are not zero");
	return 0;
}

int run_verify_copy(const struct file *file, struct page_ptr ptr, uint64_t length, const uint8_t *copy)
{
	int r = run_header(ptr, length, copy);
	return r ? r : run_check(file, ptr, length, copy);
}

int run_verify(struct file *file, struct page_ptr ptr, uint64_t length)
{
	const uint8_t *run;
	int r = run_meet(file, ptr, length, &run);
	return r ? r : run_check(file, ptr, length, run);
}

int run_read(struct file *file, struct page_ptr ptr, uint64_t length, const void **data)
{
	const uint8_t *run;
	int r = run_meet(file, ptr, length, &run);
	if (r)
		return r;
	if (!file_run_is_marked(file, ptr.no)) {
		r = run_check(file, ptr, length, run);
		if (r)
			return r;
		file_mark_run(file, ptr.no);
	}
	*data = run + RUN_HEADER;
	return 0;
}
