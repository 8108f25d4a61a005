/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between the engine and the system: everything that changes a page file goes through one
 * of these. Three make it: pwritev + fdatasync, io_uring (where the user asks for it), and the
 * tests' double, which keeps a cache of unflushed writes, fails the n-th call and cuts the power.
 *
 * Reads of pages go through the mapping (file.h), not through here.
 */
#ifndef DURAMEN_ENGINE_IO_H
#define DURAMEN_ENGINE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* One contiguous write: iov's bytes at offset. */
struct io_write {
	uint64_t offset;
	const struct iovec *iov;
	unsigned n_iov;
};

struct io;

struct io_ops {
	const char *name;       /* "io_uring", "pwritev", ... as dur_stat() shows it */
	/* Writes in full, visible to mappings when it returns. Any thread. 0 or -errno. */
	int (*write)(struct io *io, const struct io_write *write);
	/*
	 * The commit: all writes, then one fdatasync, in one submission where the system allows.
	 * `written` (may be NULL) is called once all writes are visible to mappings, before the
	 * flush has ended. One call at a time (the caller sees to it). 0 or -errno: then nothing is
	 * known to be on disk.
	 */
	int (*write_sync)(struct io *io, const struct io_write *writes, unsigned n,
	                  void (*written)(void *ctx), void *ctx);
	/* Asks the disk to start on a range, waits for nothing. A hint. */
	void (*start)(struct io *io, uint64_t offset, uint64_t len);
	/*
	 * Gives the space of a range back; it reads as zeros. 0 or -errno (-EOPNOTSUPP: keep it).
	 */
	int (*punch)(struct io *io, uint64_t offset, uint64_t len);
	/*
	 * Makes sure that a range at the end of the file can be written. 0 or -errno (-EOPNOTSUPP:
	 * only writing tells).
	 */
	int (*reserve)(struct io *io, uint64_t offset, uint64_t len);
	void (*close)(struct io *io);
};

struct io {
	const struct io_ops *ops;
	int fd;                 /* not owned */
};

/*
 * pwritev + fdatasync, or io_uring where the environment variable DURAMEN_IO is "io_uring" (an error
 * where that is refused). volatile_memory: fd is on tmpfs or a memfd, flushes are left out. In a
 * forked child call io_forked instead of close.
 */
int io_open(int fd, bool volatile_memory, struct io **io);
int io_open_posix(int fd, bool volatile_memory, struct io **io);
int io_open_uring(int fd, struct io **io);
void io_forked(struct io *io);

#endif
