/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device bytes are the sectors that the block device of the folder's file system has written, from
 * /sys/dev/block: /proc/self/io counts whole folios of the page cache instead, and nothing of what
 * the file system adds. It counts everybody on the machine, which is why the report says so.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"

#define MAGIC_TMPFS 0x01021994
#define MAGIC_RAMFS 0x858458f6

static uint64_t size_sum;       /* nftw has no context argument */

int64_t place_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool place_in_memory(const char *dir)
{
	struct statfs fs;

	if (statfs(dir, &fs))
		return false;
	return (uint32_t)fs.f_type == MAGIC_TMPFS || (uint32_t)fs.f_type == MAGIC_RAMFS;
}

static FILE *device_stat(const char *dir, char *path, size_t size)
{
	struct stat st;

	if (stat(dir, &st))
		return NULL;
	snprintf(path, size, "/sys/dev/block/%u:%u/stat", major(st.st_dev), minor(st.st_dev));
	return fopen(path, "re");
}

bool place_device(const char *dir, char *name, size_t size)
{
	FILE *f = device_stat(dir, name, size);

	if (!f)
		return false;
	fclose(f);
	return true;
}

bool place_written(const char *dir, uint64_t *bytes)
{
	char path[64];
	unsigned long long sectors;
	FILE *f = device_stat(dir, path, sizeof(path));
	int n;

	if (!f)
		return false;
	n = fscanf(f, "%*u %*u %*u %*u %*u %*u %llu", &sectors);
	fclose(f);
	if (n != 1)
		return false;
	*bytes = (uint64_t)sectors * 512;
	return true;
}

static int size_add(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int fd;

	(void)st;
	(void)ftw;
	if (type != FTW_F)
		return 0;
	/* Blocks are given out when data is written back: before that st_blocks is a guess. */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		struct stat now;

		if (fsync(fd) == 0 && fstat(fd, &now) == 0)
			size_sum += (uint64_t)now.st_blocks * 512;
		close(fd);
	}
	return fd >= 0 ? 0 : -1;
}

int place_size(const char *dir, uint64_t *bytes)
{
	size_sum = 0;
	if (nftw(dir, size_add, 16, FTW_PHYS))
		return driver_fail("%s: %s", dir, strerror(errno));
	*bytes = size_sum;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) && errno != ENOENT ? -1 : 0;
}

int place_remove(const char *dir)
{
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
