/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of page files that this process has open: the one piece of global state, because record
 * locks and flock belong to a process and to an open file. A fork makes all of it the parent's: the child
 * closes descriptors without unlocking anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "prefixes/prefix.h"

enum { REPLACED_TRIES = 100 };

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct shared *registry;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
uint32_t registry_generation = 1;

static void before_fork(void)
{
	pthread_mutex_lock(&registry_mutex);
}

static void parent_after_fork(void)
{
	pthread_mutex_unlock(&registry_mutex);
}

static void child_after_fork(void)
{
	for (struct shared *s = registry; s; s = s->next) {
		store_forked(s->store);
		coord_forked(s->coord);
	}
	/* the memory is the parent's handles': they are answered with DUR_E_FORKED and never used */
	registry = NULL;
	registry_generation++;
	pthread_mutex_init(&registry_mutex, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, parent_after_fork, child_after_fork);
}

static struct shared *find(uint64_t device, uint64_t inode)
{
	for (struct shared *s = registry; s; s = s->next)
		if (s->device == device && s->inode == inode)
			return s;
	return NULL;
}

bool shared_keep_out(uint64_t device, uint64_t inode)
{
	pthread_mutex_lock(&registry_mutex);
	if (!find(device, inode))
		return true;
	pthread_mutex_unlock(&registry_mutex);
	return false;
}

void shared_let_in(void)
{
	pthread_mutex_unlock(&registry_mutex);
}

static void shared_free(struct shared *s)
{
	coord_close(s->coord);
	coord_pins_free(&s->pins);
	free(s->path);
	free(s);
}

/* Publishes what is on disk if nobody has on this boot. */
static int revive(struct shared *s)
{
	struct coord_published published;

	coord_load(s->coord, &published);
	if (published.state != 0)
		return 0;
	if (s->read_only)
		return error_set(-EACCES, "%s must be recovered first, which needs write access to it; attach "
		                 "it once as a user who may write", s->path);
	return store_recover(s->store, -1);
}

/* Everything about a file that is not open yet. fd is owned. */
static int open_new(int fd, const struct stat *st, const char *path, bool read_only,
                    const struct shared_options *o, struct shared **out)
{
	struct store_options so = { .async_ms = o->async_ms, .memory_bytes = o->memory_bytes };
	struct coord_identity identity = { .device = st->st_dev, .inode = st->st_ino, .pages = path };
	struct shared *s = calloc(1, sizeof *s);
	char *coord = NULL;
	bool fresh;
	int rc;

	if (!s || (path && (!(s->path = strdup(path)) || !(coord = coord_path(path))))) {
		close(fd);
		rc = error_system(ENOMEM, "attaching %s", path ? path : "memory");
		goto out;
	}
	s->device = st->st_dev;
	s->inode = st->st_ino;
	s->read_only = read_only;
	s->log = o->log;
	s->log_ctx = o->log_ctx;
	s->users = 1;
	s->async_ms = o->async_ms;
	host_init(s);
	keeper_init(s);
	rc = store_open(fd, read_only, &so, &s->host, &s->store);
	if (rc < 0)
		goto out;
	s->memory = store_file(s->store)->flags & FILE_MEMORY;
	memcpy(identity.uuid, store_file(s->store)->uuid, sizeof identity.uuid);
	rc = coord_open(coord, o->mode, &identity, &s->coord, &fresh);
	if (rc == 0)
		rc = revive(s);
	if (rc < 0)
		store_close(s->store);
out:
	free(coord);
	if (rc < 0 && s) {
		shared_free(s);
		s = NULL;
	}
	*out = s;
	return rc;
}

/* For writing where possible, so that one descriptor serves all who attach. */
static int open_file(const char *path, bool read_only, int *fd, bool *only_reads)
{
	*only_reads = false;
	*fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (*fd < 0 && read_only && (errno == EACCES || errno == EROFS || errno == EPERM)) {
		*only_reads = true;
		*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (*fd >= 0)
		return 0;
	if (errno == EISDIR)
		return error_set(DUR_E_FORMAT, "%s is a folder, not a page file", path);
	return error_system(errno, "opening %s", path);
}

/* With the registry's mutex. -ESTALE: the file was replaced meanwhile. */
static int open_or_find(const char *path, const struct shared_options *o, struct shared **out)
{
	struct shared *s;
	struct stat st;
	bool only_reads;
	int fd = -1, rc;

	if (stat(path, &st) < 0)
		return error_system(errno, "opening %s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(DUR_E_FORMAT, "%s is not a regular file", path);
	s = find(st.st_dev, st.st_ino);
	if (s && s->read_only && !o->read_only)
		return error_set(-EACCES, "%s may only be read by this process: attach it to be read only",
		                 path);
	if (s) {
		s->users++;
		*out = s;
		return 0;
	}
	rc = open_file(path, o->read_only, &fd, &only_reads);
	if (rc == 0 && fstat(fd, &st) < 0)
		rc = error_system(errno, "opening %s", path);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	rc = open_new(fd, &st, path, only_reads, o, &s);
	if (rc < 0)
		return rc;
	s->next = registry;
	registry = s;
	*out = s;
	return 0;
}

int shared_open(const char *path, const struct shared_options *o, struct shared **out)
{
	int rc;

	pthread_once(&fork_once, watch_forks);
	pthread_mutex_lock(&registry_mutex);
	rc = open_or_find(path, o, out);
	for (int i = 0; rc == -ESTALE && i < REPLACED_TRIES; i++) /* by a compaction */
		rc = open_or_find(path, o, out);
	pthread_mutex_unlock(&registry_mutex);
	return rc;
}

int shared_open_memory(int fd, const struct shared_options *o, struct shared **out)
{
	struct shared *s;
	struct stat st;
	int rc;

	pthread_once(&fork_once, watch_forks);
	if (fstat(fd, &st) < 0) {
		rc = error_system(errno, "attaching memory");
		close(fd);
		return rc;
	}
	pthread_mutex_lock(&registry_mutex);
	rc = open_new(fd, &st, NULL, false, o, &s);
	if (rc == 0) {
		s->next = registry;
		registry = s;
		*out = s;
	}
	pthread_mutex_unlock(&registry_mutex);
	return rc;
}

static int alone(const struct shared *s, const char *name)
{
	return s->users == 1 ? 0 : error_set(-EBUSY, "this process has attached prefix %s %u times: detach "
	                                     "the others first", name, s->users);
}

int shared_alone(struct shared *s, const char *name)
{
	int rc;

	pthread_mutex_lock(&registry_mutex);
	rc = alone(s, name);
	pthread_mutex_unlock(&registry_mutex);
	return rc;
}

/* What is at the path now; the coordination file was made for what was there. */
static int open_replaced(const struct shared *old, const struct shared_options *o, struct shared **now)
{
	char *coord = coord_path(old->path);
	bool only_reads;
	struct stat st;
	int fd = -1, rc;

	if (!coord)
		return error_system(ENOMEM, "attaching %s", old->path);
	if (unlink(coord) < 0 && errno != ENOENT)
		rc = error_system(errno, "removing %s", coord);
	else
		rc = open_file(old->path, false, &fd, &only_reads);
	free(coord);
	if (rc == 0 && fstat(fd, &st) < 0)
		rc = error_system(errno, "opening %s", old->path);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	return open_new(fd, &st, old->path, only_reads, o, now);
}

int shared_replace(struct shared *old, const struct shared_options *o, int (*rename)(void *ctx), void *ctx,
                   struct shared **now)
{
	int rc;

	pthread_mutex_lock(&registry_mutex);
	rc = alone(old, old->path);
	if (rc == 0)
		rc = coord_bar(old->coord);
	if (rc == 0) {
		rc = rename(ctx);
		if (rc < 0)
			coord_unbar(old->coord);
	}
	if (rc == 0) {
		rc = open_replaced(old, o, now);
		if (rc < 0)
			error_context(rc, "the new file is in place, but cannot be attached; detach the prefix "
			              "and attach it anew: ");
	}
	if (rc == 0) {
		(*now)->next = registry;
		registry = *now;
	}
	pthread_mutex_unlock(&registry_mutex);
	return rc;
}

int shared_close(struct shared *s)
{
	int rc = 0;

	pthread_mutex_lock(&registry_mutex);
	if (--s->users == 0) {
		for (struct shared **at = &registry; *at; at = &(*at)->next)
			if (*at == s) {
				*at = s->next;
				break;
			}
		keeper_end(s);
		rc = store_close(s->store);
		shared_free(s);
	}
	pthread_mutex_unlock(&registry_mutex);
	return rc;
}
