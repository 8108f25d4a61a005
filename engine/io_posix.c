/* SPDX-License-Identifier: Apache-2.0 */
/* pwritev and fdatasync: what every Linux has, and what io_uring.c falls back on in the middle. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/io_private.h"
#include "internal/error.h"

struct io_posix {
	struct io io;
	bool volatile_memory;
};

enum { BATCH = 64 }; /* iovecs a call: as good as 1024, and they fit the stack */

uint64_t io_write_bytes(const struct io_write *write)
{
	uint64_t bytes = 0;
	for (unsigned i = 0; i < write->n_iov; i++)
		bytes += write->iov[i].iov_len;
	return bytes;
}

/*
 * Fills batch with the iovecs from `at` on, of the first of which `skip` bytes are done, up to
 * IO_AT_ONCE bytes.
 */
static int next_batch(const struct io_write *write, unsigned at, size_t skip, struct iovec *batch)
{
	size_t room = IO_AT_ONCE;
	int n = 0;
	for (; at < write->n_iov && n < BATCH && room > 0; at++, skip = 0) {
		size_t len = write->iov[at].iov_len - skip;
		len = len < room ? len : room;
		batch[n].iov_base = (char *)write->iov[at].iov_base + skip;
		batch[n++].iov_len = len;
		room -= len;
	}
	return n;
}

int io_write_from(int fd, const struct io_write *write, uint64_t done)
{
	uint64_t offset = write->offset + done;
	unsigned at = 0;
	for (;;) {
		while (at < write->n_iov && done >= write->iov[at].iov_len)
			done -= write->iov[at++].iov_len;
		if (at == write->n_iov)
			return 0;
		struct iovec batch[BATCH];
		int n = next_batch(write, at, (size_t)done, batch);
		ssize_t r = pwritev(fd, batch, n, (off_t)offset);
		if (r < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (!r)
			return -EIO; /* a regular file never does that; do not spin */
		if (r > 0) {
			done += (uint64_t)r;
			offset += (uint64_t)r;
		}
	}
}

int io_plain_write(struct io *io, const struct io_write *write)
{
	return io_write_from(io->fd, write, 0);
}

void io_plain_start(struct io *io, uint64_t offset, uint64_t len)
{
	/* A hint: its failure shows in the flush that follows. */
	(void)sync_file_range(io->fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

static int allocate(int fd, int mode, uint64_t offset, uint64_t len)
{
	int r;
	do
		r = fallocate(fd, mode, (off_t)offset, (off_t)len);
	while (r && errno == EINTR);
	return r ? -errno : 0;
}

int io_plain_punch(struct io *io, uint64_t offset, uint64_t len)
{
	return allocate(io->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
}

int io_plain_reserve(struct io *io, uint64_t offset, uint64_t len)
{
	return allocate(io->fd, 0, offset, len);
}

static int posix_write_sync(struct io *io, const struct io_write *writes, unsigned n,
                            void (*written)(void *ctx), void *ctx)
{
	const struct io_posix *p = (struct io_posix *)io;
	for (unsigned i = 0; i < n; i++) {
		int r = io_write_from(io->fd, &writes[i], 0);
		if (r)
			return r;
	}
	if (written)
		written(ctx);
	/* Never retried: the kernel reports a lost write once, then calls the pages clean. */
	return p->volatile_memory || !fdatasync(io->fd) ? 0 : -errno;
}

static void posix_start(struct io *io, uint64_t offset, uint64_t len)
{
	if (!((struct io_posix *)io)->volatile_memory)
		io_plain_start(io, offset, len);
}

static void posix_close(struct io *io)
{
	free(io);
}

static const struct io_ops posix_ops = {
	.name = "pwritev",
	.write = io_plain_write,
	.write_sync = posix_write_sync,
	.start = posix_start,
	.punch = io_plain_punch,
	.reserve = io_plain_reserve,
	.close = posix_close,
};

int io_open_posix(int fd, bool volatile_memory, struct io **io)
{
	struct io_posix *p = malloc(sizeof *p);
	if (!p)
		return error_system(ENOMEM, "opening a page file");
	*p = (struct io_posix){ { &posix_ops, fd }, volatile_memory };
	*io = &p->io;
	return 0;
}
