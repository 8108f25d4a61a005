/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses between io_uring and pwritev, and says no where the user asked for one that cannot be
 * had.
 */
#include "engine/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "internal/error.h"

/* Containers and seccomp refuse io_uring in these ways; any other failure is worth a message. */
static bool is_refusal(int result)
{
	return result == -ENOSYS || result == -EPERM || result == -EACCES || result == -ENOMEM;
}

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
	/* Memory needs no flush, and without one io_uring only adds a detour. */
	if (volatile_memory || (wish && !strcmp(wish, "pwritev")))
		return io_open_posix(fd, volatile_memory, io);
	int r = io_open_uring(fd, io);
	if (r && is_refusal(r) && !wish)
		return io_open_posix(fd, volatile_memory, io);
	if (r)
		return error_system(-r, "io_uring cannot be set up%s",
		                    wish ? "" : " (DURAMEN_IO=pwritev does without it)");
	return 0;
}

/*
 * Closing is all there is to do: the parent holds its own references to the ring and to the file,
 * and what it has in flight belongs to it.
 */
void io_forked(struct io *io)
{
	io->ops->close(io);
}
