/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growth. New space is written with zeros, in steps that grow with the file, and its write-back is
 * begun at once: commits into it then change no metadata of the file system, and find little left
 * to flush.
 *
 * In memory there is nothing to win: there the file is made longer by its last page alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "duramen.h"
#include "engine/file_private.h"
#include "internal/error.h"

enum {
	STEP_MIN = 4 << 20 >> PAGE_SHIFT,
	STEP_MAX = 64 << 20 >> PAGE_SHIFT,
	STEP_SHARE = 16, /* of the file */
	CHUNK = 1 << 20, /* bytes of zeros in one iovec */
	CHUNKS = 16,
};

static uint64_t pages_now(struct file *file)
{
	return atomic_load_explicit(&file->pages, memory_order_acquire);
}

/* Writes zeros on pages [from, to). */
static int zeros_write(struct file *file, const void *zeros, uint64_t from, uint64_t to)
{
	uint64_t at = from << PAGE_SHIFT, end = to << PAGE_SHIFT;
	while (at < end) {
		struct iovec iov[CHUNKS];
		unsigned n = 0;
		uint64_t bytes = 0;
		for (; n < CHUNKS && at + bytes < end; n++) {
			uint64_t left = end - at - bytes;
			iov[n].iov_base = (void *)(uintptr_t)zeros;
			iov[n].iov_len = left < CHUNK ? (size_t)left : CHUNK;
			bytes += iov[n].iov_len;
		}
		int r = file->io->ops->write(file->io, &(struct io_write){ at, iov, n });
		if (r)
			return r;
		file->io->ops->start(file->io, at, bytes);
		at += bytes;
	}
	return 0;
}

/* A piece of zeros that is all the kernel's one page: anonymous, never written. NULL: no memory. */
static void *zeros_open(void)
{
	void *zeros = mmap(NULL, CHUNK, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return zeros == MAP_FAILED ? NULL : zeros;
}

static int grow_to(struct file *file, uint64_t to)
{
	uint64_t from = pages_now(file);
	void *zeros = zeros_open();
	if (!zeros)
		return -ENOMEM;
	if (file->flags & FILE_MEMORY)
		from = to - 1;
	int r = zeros_write(file, zeros, from, to);
	munmap(zeros, CHUNK);
	int refreshed = file_refresh(file); /* a part that was written counts */
	return r ? r : refreshed;
}

static int grow_failed(int r, uint64_t pages)
{
	return error_system(r ? -r : EIO,
	                    "the page file cannot grow to %" PRIu64 " MiB; make room, or "
	                    "keep less history",
	                    (pages + 255) >> 8);
}

uint64_t file_step(uint64_t pages)
{
	uint64_t step = pages / STEP_SHARE;

	return step < STEP_MIN ? STEP_MIN : step > STEP_MAX ? STEP_MAX : step;
}

/* The caller holds `growing`. direct: zeros only where the system cannot promise the space. */
static int grow_locked(struct file *file, uint64_t pages, bool direct)
{
	int r = file_refresh(file);
	if (r || pages <= pages_now(file))
		return r;
	uint64_t now = pages_now(file);
	if (direct) {
		r = file->io->ops->reserve(file->io, now << PAGE_SHIFT, (pages - now) << PAGE_SHIFT);
		int refreshed = file_refresh(file);
		if (r != -EOPNOTSUPP)
			return r ? grow_failed(r, pages) : refreshed;
	}
	uint64_t ahead = (now + file_step(now)) & ~(uint64_t)(STEP_MIN - 1);
	if (ahead > FILE_PAGES_MAX)
		ahead = FILE_PAGES_MAX;
	r = grow_to(file, pages > ahead ? pages : ahead);
	/* A nearly full disk may hold what is needed, if not what would be good. */
	if ((r == -ENOSPC || r == -EDQUOT || r == -EFBIG) && pages < ahead &&
	    pages > pages_now(file))
		r = grow_to(file, pages);
	return pages <= pages_now(file) ? 0 : grow_failed(r, pages);
}

int file_grow(struct file *file, uint64_t pages, bool direct)
{
	if (pages <= pages_now(file))
		return 0;
	if (pages > FILE_PAGES_MAX)
		return error_set(DUR_E_LIMIT, "a page file holds at most %" PRIu64 " TiB",
		                 FILE_PAGES_MAX >> 28);
	if (file->read_only)
		return error_set(DUR_E_READ_ONLY, "the page file is open read-only");
	pthread_mutex_lock(&file->private->growing);
	int r = grow_locked(file, pages, direct);
	pthread_mutex_unlock(&file->private->growing);
	return r;
}

int file_refill(struct file *file, uint64_t no, uint64_t n, bool direct)
{
	int r = -EOPNOTSUPP;

	if (file->flags & FILE_MEMORY)
		return 0;
	if (direct)
		r = file->io->ops->reserve(file->io, no << PAGE_SHIFT, n << PAGE_SHIFT);
	if (r == -EOPNOTSUPP) {
		void *zeros = zeros_open();
		r = zeros ? zeros_write(file, zeros, no, no + n) : -ENOMEM;
		if (zeros)
			munmap(zeros, CHUNK);
	}
	return r ? error_system(-r, "the space of %" PRIu64 " KiB that the page file had given back "
	                        "cannot be had again; make room, or keep less history",
	                        n << (PAGE_SHIFT - 10)) : 0;
}
