/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holes. What a file system has not been given space for is asked of the file system itself, so
 * nothing about it is kept in the file: a page file that was copied with its zeros left out, or
 * punched by a writer that was killed, is known as it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "engine/file_private.h"
#include "internal/error.h"

int file_punch(struct file *file, uint64_t no, uint64_t n)
{
	int r = file->io->ops->punch(file->io, no << PAGE_SHIFT, n << PAGE_SHIFT);

	if (r == -EOPNOTSUPP || r == -ENOSYS)
		return 1;
	return r ? error_system(-r, "giving pages %" PRIu64 " to %" PRIu64 " back to the file system",
	                        no, no + n - 1) : 0;
}

int file_hole(struct file *file, uint64_t from, uint64_t to, uint64_t *start, uint64_t *n)
{
	off_t at = (off_t)(from << PAGE_SHIFT), hole, data;
	uint64_t end;

	*start = to;
	if (file->flags & FILE_MEMORY)
		return 1; /* every page not written yet is one, and costs nothing to have */
	for (;; at = data) {
		hole = lseek(file->fd, at, SEEK_HOLE);
		if (hole < 0)
			return 1;
		*start = ((uint64_t)hole + PAGE_SIZE - 1) >> PAGE_SHIFT;
		if (*start >= to)
			return 1;
		data = lseek(file->fd, hole, SEEK_DATA);
		end = data < 0 ? to : (uint64_t)data >> PAGE_SHIFT; /* ENXIO: to the end of the file */
		end = end < to ? end : to;
		*n = end - *start;
		if (end > *start)
			return 0;
		if (data <= hole)
			return 1; /* changed meanwhile: it is not ours */
	}
}
