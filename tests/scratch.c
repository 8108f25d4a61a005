/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scratch.h"

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int scratch_open(void)
{
	const char *dir = getenv("TMPDIR");
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/scratch.XXXXXX", dir ? dir : "/tmp");
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || unlink(path)) {
		perror(path);
		abort();
	}
	return fd;
}

void scratch_read(int fd, void *bytes, uint64_t len, uint64_t offset)
{
	ck_assert_int_eq(pread(fd, bytes, len, (off_t)offset), (ssize_t)len);
}

void scratch_write(int fd, const void *bytes, uint64_t len, uint64_t offset)
{
	ck_assert_int_eq(pwrite(fd, bytes, len, (off_t)offset), (ssize_t)len);
}

void scratch_flip(int fd, uint64_t offset, unsigned bit)
{
	uint8_t b;
	scratch_read(fd, &b, 1, offset);
	b ^= (uint8_t)(1U << bit);
	scratch_write(fd, &b, 1, offset);
}
