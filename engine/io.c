/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses between pwritev and io_uring, and says no where the user asked for a ring that cannot be
 * had.
 *
 * Without a wish it is pwritev. A ring hands every fdatasync (and on ext4 every buffered write) to
 * a worker thread, so that a commit that waits for its flush wakes two threads more and finds its
 * pages in another core's cache: 15 to 30 us of 70 to 110 (docs/design.md, measurements).
 */
#include "engine/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "internal/error.h"

int io_open(int fd, bool volatile_memory, struct io **io)
{
	const char *wish = getenv("DURAMEN_IO");
	if (wish && !*wish)
		wish = NULL;
	if (wish && strcmp(wish, "io_uring") && strcmp(wish, "pwritev"))
		return error_set(DUR_E_MISUSE,
		                 "the environment variable DURAMEN_IO is \"%.40s\": "
		                 "set it to io_uring or pwritev, or unset it",
		                 wish);
	/* Memory needs no flush: a ring has nothing to do there. */
	if (volatile_memory || !wish || !strcmp(wish, "pwritev"))
		return io_open_posix(fd, volatile_memory, io);
	int r = io_open_uring(fd, io);
	return r ? error_system(-r, "io_uring cannot be set up here; unset DURAMEN_IO to do without it")
	         : 0;
}

/*
 * Closing is all there is to do: the parent holds its own references to the ring and to the file,
 * and what it has in flight belongs to it.
 */
void io_forked(struct io *io)
{
	io->ops->close(io);
}
