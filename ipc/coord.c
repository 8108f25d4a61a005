/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A coord's life, and the list of all coords of this process. The list is there because a second
 * descriptor of the same coordination file would, when closed, silently drop the claims and slot
 * locks that the first one holds; so a second coord_open() of a file is refused before it opens
 * anything.
 *
 * The list's mutex is taken only here. It must be free at a fork, which the caller's own mutex
 * round coord_open() and coord_close() sees to; the child has one thread and takes no mutex of the
 * parent's.
 */
#include "coord_private.h"

#include "internal/error.h"

#include "duramen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct coord *list;

int coord_dead(void)
{
	return error_set(DUR_E_FORKED,
	                 "this prefix was attached by the parent process: attach it anew");
}

bool coord_list_has(uint64_t device, uint64_t inode)
{
	for (const struct coord *c = list; c; c = c->next)
		if (c->device == device && c->inode == inode)
			return true;
	return false;
}

static void list_remove(struct coord *coord)
{
	for (struct coord **link = &list; *link; link = &(*link)->next) {
		if (*link == coord) {
			*link = coord->next;
			return;
		}
	}
}

/* The process's own name, as ps shows it; not the calling thread's. */
static void name_get(char name[16])
{
	ssize_t n = 0;
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);

	memset(name, 0, 16);
	if (fd >= 0) {
		n = read(fd, name, 15);
		close(fd);
	}
	if (n > 0 && name[n - 1] == '\n')
		name[n - 1] = '\0';
}

int coord_open(const char *path, unsigned mode, const struct coord_identity *identity,
               struct coord **coord, bool *fresh)
{
	struct coord *c = calloc(1, sizeof *c);
	int rc;

	if (!c)
		return error_set(-ENOMEM, "no memory for the coordination file");
	c->anonymous = !path;
	c->slot_index = SLOT_NONE;
	pthread_mutex_init(&c->slots_mutex, NULL);
	poll_init(c);
	name_get(c->name);

	pthread_mutex_lock(&list_mutex);
	*fresh = true;
	rc = path ? coord_file_open(c, path, mode, identity, fresh)
	          : coord_file_open_anonymous(c, identity);
	if (rc == 0) {
		c->next = list;
		list = c;
	}
	pthread_mutex_unlock(&list_mutex);
	if (rc != 0) {
		free(c);
		return rc;
	}
	/* A file that somebody made but was killed before it published is as good as new. */
	if (load_acquire(&c->shared->published.visible) == 0)
		*fresh = true;
	*coord = c;
	return 0;
}

void coord_close(struct coord *coord)
{
	if (!coord)
		return;
	if (!coord->dead) {
		poll_close(coord);
		slot_leave(coord);
		pthread_mutex_lock(&list_mutex);
		list_remove(coord);
		/* Before the claim goes: who is alone with the file may shrink it. */
		munmap(coord->shared, LAYOUT_BYTES);
		close(coord->fd);
		pthread_mutex_unlock(&list_mutex);
		pthread_mutex_destroy(&coord->slots_mutex);
		pthread_mutex_destroy(&coord->poll.mutex);
	}
	free(coord);
}

/*
 * Record locks are not inherited, and closing in the child drops only the child's own: none. The
 * mapping goes too: a stray store of the child would change the parent's pins.
 */
void coord_forked(struct coord *coord)
{
	coord->dead = true;
	store_relaxed(&coord->slot, NULL);
	poll_forked(coord);
	munmap(coord->shared, LAYOUT_BYTES);
	coord->shared = NULL;
	close(coord->fd);
	coord->fd = -1;
	list_remove(coord);
}

int coord_claim_alone(struct coord *coord)
{
	uint32_t pid = 0;
	int rc;

	if (coord->dead)
		return coord_dead();
	rc = coord_file_lock(coord->fd, LAYOUT_LOCK_CLAIM, F_WRLCK);
	if (rc != 1)
		return rc;
	coord_file_locked(coord->fd, LAYOUT_LOCK_CLAIM, &pid);
	return error_set(-EBUSY, "other processes (%u) have the prefix attached: detach them first",
	                 pid);
}

void coord_claim_shared(struct coord *coord)
{
	/* a lock that one holds is changed without a moment of having none; this cannot fail */
	if (!coord->dead)
		coord_file_lock(coord->fd, LAYOUT_LOCK_CLAIM, F_RDLCK);
}
