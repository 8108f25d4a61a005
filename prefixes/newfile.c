/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever makes a file holds a flock on it; so one that is called PATH.new and is not locked was
 * left by a process that was killed. The kernel drops the lock when that process ends.
 */
#include "prefixes/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal/error.h"

enum { NAME_TRIES = 16 };

/* The folder that path lies in; caller frees. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* -1 with errno. EOPNOTSUPP and the like: the file system cannot. */
static int open_unnamed(const char *path, unsigned mode)
{
	char *dir = folder_of(path);
	int fd = -1;

	if (dir)
		fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	free(dir);
	return fd;
}

static bool cannot_unnamed(int e)
{
	return e == EOPNOTSUPP || e == EISDIR || e == EINVAL;
}

/* Whether the name still leads to the open file. */
static bool leads_to(const char *path, int fd)
{
	struct stat named, opened;

	return stat(path, &named) == 0 && fstat(fd, &opened) == 0 &&
	       named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/* Removes what is called so unless somebody is at it. */
static int remove_leftover(const char *temp)
{
	int fd = open(temp, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY), rc = 0;

	if (fd < 0)
		return errno == ENOENT
		               ? 0
		               : error_system(errno, "opening %s, which was left behind", temp);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		rc = error_set(-EBUSY, "another process is making %s: wait for it to end", temp);
	else if (leads_to(temp, fd) && unlink(temp) < 0)
		rc = error_system(errno, "removing %s, which was left behind", temp);
	close(fd);
	return rc;
}

static char *temp_name(const char *path)
{
	char *temp;

	return asprintf(&temp, "%s.new", path) < 0 ? NULL : temp;
}

void newfile_clean(const char *path)
{
	char *temp = temp_name(path);

	if (temp)
		remove_leftover(temp);
	free(temp);
}

/* A file that has the name on the way from the start; -1 with errno EEXIST: look again. */
static int open_named(const char *temp, unsigned mode)
{
	int fd = open(temp, O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL, mode);

	if (fd < 0)
		return -1;
	/* somebody may have taken it for a leftover before it was locked */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && leads_to(temp, fd))
		return fd;
	close(fd);
	errno = EEXIST;
	return -1;
}

int newfile_open(const char *path, unsigned mode, struct newfile *file)
{
	char *temp = NULL;
	int rc = 0;

	*file = (struct newfile){ .fd = -1 };
	file->path = strdup(path);
	if (!file->path)
		return error_system(ENOMEM, "making %s", path);
	file->fd = open_unnamed(path, mode);
	if (file->fd < 0 && !cannot_unnamed(errno))
		rc = error_system(errno, "making %s", path);
	else if (file->fd >= 0 && flock(file->fd, LOCK_EX | LOCK_NB) < 0)
		rc = error_system(errno, "locking %s", path);
	else if (file->fd < 0 && !(temp = temp_name(path)))
		rc = error_system(ENOMEM, "making %s", path);
	for (int i = 0; rc == 0 && file->fd < 0; i++) {
		file->fd = open_named(temp, mode);
		if (file->fd >= 0)
			file->temp = temp;
		else if (errno != EEXIST || i == NAME_TRIES)
			rc = error_system(errno, "making %s", temp);
		else
			rc = remove_leftover(temp);
	}
	if (rc < 0) {
		if (!file->temp)
			free(temp);
		newfile_close(file);
	}
	return rc;
}

void newfile_close(struct newfile *file)
{
	if (file->temp && leads_to(file->temp, file->fd))
		unlink(file->temp);
	if (file->fd >= 0)
		close(file->fd);
	free(file->temp);
	free(file->path);
	*file = (struct newfile){ .fd = -1 };
}

/* ---- The name ---- */

static int link_unnamed(int fd, const char *to)
{
	char from[64];

	snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

/* It has to be called something before it can replace another. */
static int name_on_the_way(struct newfile *file)
{
	char *temp = temp_name(file->path);
	int rc = temp ? 0 : error_system(ENOMEM, "making %s", file->path);

	for (int i = 0; rc == 0 && link_unnamed(file->fd, temp) < 0; i++) {
		if (errno != EEXIST || i == NAME_TRIES)
			rc = error_system(errno, "making %s", temp);
		else
			rc = remove_leftover(temp);
	}
	if (rc < 0)
		free(temp);
	else
		file->temp = temp;
	return rc;
}

static int flush_folder(const char *path)
{
	char *dir = folder_of(path);
	int fd, rc = 0;

	if (!dir)
		return 0; /* the name is there; when it reaches the disk is up to the kernel */
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		rc = error_system(errno, "flushing the folder of %s", path);
	if (fd >= 0)
		close(fd);
	free(dir);
	return rc;
}

int newfile_name(struct newfile *file, bool replace)
{
	int rc = replace && !file->temp ? name_on_the_way(file) : 0;

	if (rc < 0)
		return rc;
	if (replace)
		rc = rename(file->temp, file->path);
	else if (file->temp)
		rc = link(file->temp, file->path);
	else
		rc = link_unnamed(file->fd, file->path);
	if (rc < 0)
		return error_system(errno, "making %s", file->path);
	flock(file->fd, LOCK_UN); /* from here on it is the writer lock of whoever attaches it */
	return flush_folder(file->path);
}

int newfile_scratch(const char *path, int *fd)
{
	char *temp;
	int rc = 0;

	*fd = open_unnamed(path, 0600);
	if (*fd >= 0)
		return 0;
	if (!cannot_unnamed(errno))
		return error_system(errno, "making a file beside %s", path);
	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return error_system(ENOMEM, "making a file beside %s", path);
	*fd = mkostemp(temp, O_CLOEXEC);
	if (*fd < 0)
		rc = error_system(errno, "making a file beside %s", path);
	else
		unlink(temp);
	free(temp);
	return rc;
}
