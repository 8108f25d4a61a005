/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A commit as one system call: its writes and an fdatasync, linked, submitted and waited for
 * together.
 *
 * The ring serves write_sync alone, one call at a time; all else is a plain system call from
 * whatever thread it comes. A link breaks at the first request that does not end in full (a short
 * write too), and what follows it ends with -ECANCELED: then the rest is done by hand. One thing is
 * never done again: a flush that ran and failed.
 *
 * Requests use the caller's memory, so no call returns while one of them may still run.
 */
#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/io_private.h"
#include "internal/error.h"

enum {
	ENTRIES = 16, /* a commit is one to three writes and a flush */
	WRITES_MAX = ENTRIES - 1,
};

struct io_uring_io {
	struct io io;
	struct io_uring ring;
	bool open;
};

/* A request's result; before it is known: */
enum { PENDING = INT_MIN };

static int ring_open(struct io_uring_io *u)
{
	int r = io_uring_queue_init(ENTRIES, &u->ring, 0);
	if (!r)
		u->open = true;
	return r;
}

static void ring_close(struct io_uring_io *u)
{
	if (u->open)
		io_uring_queue_exit(&u->ring);
	u->open = false;
}

/* The ring takes a write whose iovecs fit a request; result[n] will be the flush's. */
static void prepare(struct io_uring_io *u, const struct io_write *writes, unsigned n, int *result)
{
	for (unsigned i = 0; i <= n; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
		if (i == n)
			io_uring_prep_fsync(sqe, u->io.fd, IORING_FSYNC_DATASYNC);
		else if (writes[i].n_iov == 1)
			io_uring_prep_write(sqe, u->io.fd, writes[i].iov->iov_base,
			                    (unsigned)writes[i].iov->iov_len, writes[i].offset);
		else
			io_uring_prep_writev(sqe, u->io.fd, writes[i].iov, writes[i].n_iov,
			                     writes[i].offset);
		if (i < n)
			io_uring_sqe_set_flags(sqe, IOSQE_IO_LINK);
		io_uring_sqe_set_data64(sqe, i);
		result[i] = PENDING;
	}
}

/* Takes one completion. */
static void reap(struct io_uring_io *u, int *result)
{
	struct io_uring_cqe *cqe;
	while (io_uring_wait_cqe(&u->ring, &cqe))
		; /* interrupted: what runs uses the caller's memory, so wait on */
	result[cqe->user_data] = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
}

static bool all_in_full(const struct io_write *writes, unsigned n, const int *result)
{
	for (unsigned i = 0; i < n; i++)
		if (result[i] < 0 || (uint64_t)result[i] != io_write_bytes(&writes[i]))
			return false;
	return true;
}

/* Did it not run, or not because of the file? Then a plain write may go on where it ended. */
static bool may_go_on(int result)
{
	return result >= 0 || result == PENDING || result == -ECANCELED || result == -EAGAIN ||
	       result == -EINTR;
}

/* After the ring: what it left undone, in order, by hand. */
static int finish(struct io_uring_io *u, const struct io_write *writes, unsigned n,
                  const int *result, bool told, void (*written)(void *ctx), void *ctx)
{
	for (unsigned i = 0; i < n; i++) {
		if (!may_go_on(result[i]))
			return result[i];
		int r = io_write_from(u->io.fd, &writes[i],
		                      result[i] > 0 ? (uint64_t)result[i] : 0);
		if (r)
			return r;
	}
	if (!told && written)
		written(ctx);
	if (result[n] == PENDING || result[n] == -ECANCELED)
		return fdatasync(u->io.fd) ? -errno : 0;
	return result[n];
}

/* Submits what is prepared and waits for its end; calls written once the writes are in. */
static bool run(struct io_uring_io *u, const struct io_write *writes, unsigned n, int *result,
                void (*written)(void *ctx), void *ctx)
{
	unsigned wait = written ? n : n + 1;
	/*
	 * If it was interrupted, or the kernel is out of something, the ring knows how many it
	 * took. What it took must end; what it did not take must never start: then the ring is
	 * given up.
	 */
	io_uring_submit_and_wait(&u->ring, wait);
	unsigned taken = n + 1 - io_uring_sq_ready(&u->ring);
	bool told = false;
	for (unsigned got = 0; got < taken; got++) {
		if (got == n && all_in_full(writes, n, result)) {
			told = true;
			if (written)
				written(ctx);
		}
		reap(u, result);
	}
	if (taken <= n)
		ring_close(u);
	return told;
}

static int uring_write_sync(struct io *io, const struct io_write *writes, unsigned n,
                            void (*written)(void *ctx), void *ctx)
{
	struct io_uring_io *u = (struct io_uring_io *)io;
	unsigned by_ring = 0;
	for (unsigned i = n; i > 0 && by_ring < WRITES_MAX; i--, by_ring++)
		if (writes[i - 1].n_iov > IOV_MAX || writes[i - 1].n_iov == 0 ||
		    io_write_bytes(&writes[i - 1]) > IO_AT_ONCE)
			break;
	unsigned first = n - by_ring;
	for (unsigned i = 0; i < first; i++) {
		int r = io_write_from(io->fd, &writes[i], 0);
		if (r)
			return r;
	}
	int result[ENTRIES] = { [0 ... ENTRIES - 1] = PENDING };
	bool told = false;
	/* A ring given up is made anew; while that is refused, commits go by hand. */
	if (u->open || !ring_open(u)) {
		prepare(u, writes + first, by_ring, result);
		told = run(u, writes + first, by_ring, result, written, ctx);
	}
	return finish(u, writes + first, by_ring, result, told, written, ctx);
}

static void uring_close(struct io *io)
{
	ring_close((struct io_uring_io *)io);
	free(io);
}

static const struct io_ops uring_ops = {
	.name = "io_uring",
	.write = io_plain_write,
	.write_sync = uring_write_sync,
	.start = io_plain_start,
	.punch = io_plain_punch,
	.reserve = io_plain_reserve,
	.close = uring_close,
};

/* Kernels before 5.6 have rings without plain writes. */
static bool knows_requests(struct io_uring_io *u)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
	bool ok = probe && io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
	          io_uring_opcode_supported(probe, IORING_OP_WRITEV) &&
	          io_uring_opcode_supported(probe, IORING_OP_FSYNC);
	io_uring_free_probe(probe);
	return ok;
}

int io_open_uring(int fd, struct io **io)
{
	struct io_uring_io *u = calloc(1, sizeof *u);
	if (!u)
		return error_system(ENOMEM, "opening a page file");
	u->io = (struct io){ &uring_ops, fd };
	int r = ring_open(u);
	if (!r && !knows_requests(u))
		r = -ENOSYS;
	if (r) {
		uring_close(&u->io);
		return r;
	}
	*io = &u->io;
	return 0;
}
