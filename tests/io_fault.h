/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests' double of a disk. A fault_disk stands behind a real file: the file is what the page
 * cache shows (mappings see it, also other processes' would); the disk keeps aside what is durable
 * and what was written but not flushed. So it can cut the power, lose what a failed flush left
 * behind, tear pages, run full, fail the n-th operation and kill a "process" (a struct io) at its
 * n-th.
 *
 * Several struct io share one disk: each stands for a process. All of it is deterministic from the
 * seed, and every call may come from any thread.
 *
 *   int fd = ...; file_format(fd, &options);
 *   struct fault_disk *disk = fault_disk_new(fd, seed);      // what is in fd now is durable
 *   struct io *io = fault_io(disk);
 *   file_open(dup(fd), false, io, &file);
 *   ... fault_kill_at(io, n); commit ...; file_close(file);
 *   fault_cut(disk, FAULT_TORN, image_fd);       // what a restart finds; recover it
 *   fault_disk_free(disk);                                   // frees its ios too
 */
#ifndef DURAMEN_TESTS_IO_FAULT_H
#define DURAMEN_TESTS_IO_FAULT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/io.h"

struct fault_disk;

/* Operations; or-ed where a function takes several. A write_sync is its writes, then a flush. */
enum fault_op {
	FAULT_WRITE = 1,
	FAULT_FLUSH = 2,
	FAULT_PUNCH = 4,
	FAULT_ANY = 7,
};

/* What every operation of a killed io returns. */
enum { FAULT_KILLED = -EOWNERDEAD };

/* fd is not owned; it must stay open until fault_disk_free. */
struct fault_disk *fault_disk_new(int fd, uint64_t seed);
void fault_disk_free(struct fault_disk *disk);
/*
 * A process's way to the disk. close() on it (file_close does that) leaves it to fault_disk_free.
 */
struct io *fault_io(struct fault_disk *disk);
/* Random numbers from the disk's seed. */
uint64_t fault_random(struct fault_disk *disk);

/* ---- Faults to come ---- */

/*
 * The nth operation from now of these kinds (1: the next) fails with errno_value, once. partial: a
 * write writes a random part first (a short write that then fails), a flush makes a random part
 * durable first. A failed flush leaves what it did not write clean in the cache and not on disk, as
 * Linux does: later flushes do not write it, unless it is written again. nth 0 takes back what was
 * ordered.
 */
void fault_fail(struct fault_disk *disk, unsigned ops, unsigned nth, int errno_value, bool partial);
/*
 * The nth operation from now (1: the next) and all later ones of this io fail with FAULT_KILLED; of
 * a write a random part is done, a flush is not begun. nth 0: never.
 */
void fault_kill_at(struct io *io, uint64_t nth);
/* The same at the next flush, however many writes come before it. */
void fault_kill_at_flush(struct io *io);
bool fault_killed(const struct io *io);
/*
 * Writes beyond this many bytes of file end with -ENOSPC, after writing what fits. UINT64_MAX: no
 * limit.
 */
void fault_capacity(struct fault_disk *disk, uint64_t bytes);

/* ---- Events ---- */

/* Pages that are clean and not on disk leave the cache: each with probability 1/2, or all. */
void fault_evict(struct fault_disk *disk, bool all);

enum fault_cut {
	FAULT_LOSE_ALL, /* nothing unflushed reached the disk */
	FAULT_KEEP_ALL, /* all of it did */
	FAULT_PAGES,    /* a random subset of pages, whole */
	FAULT_TORN,     /* a random subset of 512-byte sectors */
};
/*
 * Power loss: writes to image_fd (truncated first) what the disk then holds. Of several unflushed
 * writes to one place any may be there. The disk itself stays as it is: cut as often as you like. 0
 * or -errno.
 */
int fault_cut(struct fault_disk *disk, enum fault_cut how, int image_fd);

/* ---- What happened ---- */

struct fault_event {
	enum fault_op op;
	int result;
	uint64_t offset, len;
	const struct io *io;
};
/* In order, since the start or the last fault_log_clear. Good until the next operation. */
const struct fault_event *fault_log(struct fault_disk *disk, size_t *n);
void fault_log_clear(struct fault_disk *disk);
/* Operations of these kinds in the log. */
size_t fault_count(struct fault_disk *disk, unsigned ops);
/* Bytes written and not flushed; bytes that a failed flush lost and that are still in the cache. */
uint64_t fault_unflushed(struct fault_disk *disk);
uint64_t fault_lost(struct fault_disk *disk);

#endif
