/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a prefix: the file is written without a name, holding state 1, flushed, and only then linked to
 * its place. So nobody ever sees half of one, whoever is killed when, and of two makers one wins.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/policy.h"
#include "prefixes/newfile.h"
#include "prefixes/prefix.h"

int prefix_folders(const dur_workspace *ws, const char *path)
{
	char *copy = strdup(path);
	int rc = 0;

	if (!copy)
		return error_system(ENOMEM, "making %s", path);
	for (char *at = copy + strlen(ws->dir) + 1; rc == 0 && (at = strchr(at, '/')); at++) {
		*at = '\0';
		if (mkdir(copy, 0777) < 0 && errno != EEXIST)
			rc = error_system(errno, "making the folder %s", copy);
		*at = '/';
	}
	free(copy);
	return rc;
}

void prefix_drop_folders(const dur_workspace *ws, const char *path)
{
	size_t top = strlen(ws->dir);
	char *copy = strdup(path), *slash;

	while (copy && (slash = strrchr(copy, '/')) && (size_t)(slash - copy) > top) {
		*slash = '\0';
		if (rmdir(copy) < 0)
			break;
	}
	free(copy);
}

static int make_file(const char *path, const struct store_options *so, unsigned mode)
{
	struct newfile file;
	int rc = newfile_open(path, mode, &file);

	if (rc == 0)
		rc = store_create(file.fd, so);
	if (rc == 0)
		rc = newfile_name(&file, false);
	newfile_close(&file);
	return rc;
}

/* In memory: the page file on /dev/shm, a link to it under the prefix's name. */
static int make_memory(const char *path, const struct store_options *so, unsigned mode)
{
	char target[96];
	uint64_t random[2];
	struct stat st;
	int rc;

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return error_system(errno, "making %s", path);
	snprintf(target, sizeof target, "/dev/shm/duramen-%u-%016llx%016llx.dur", (unsigned)getuid(),
	         (unsigned long long)random[0], (unsigned long long)random[1]);
	rc = make_file(target, so, mode);
	if (rc < 0)
		return rc;
	if (symlink(target, path) == 0)
		return 0;
	/* a link that a reboot has left leading nowhere makes way; anything else does not */
	if (errno == EEXIST && stat(path, &st) < 0 && errno == ENOENT && unlink(path) == 0 &&
	    symlink(target, path) == 0)
		return 0;
	rc = error_system(errno, "making %s", path);
	unlink(target);
	return rc;
}

static int options(uint32_t flags, const char *keep, char text[POLICY_TEXT], struct store_options *so)
{
	struct policy policy;
	int rc = policy_parse(keep ? keep : "all", &policy);

	if (rc < 0)
		return rc;
	policy_format(&policy, text);
	*so = (struct store_options){
		.keep = text,
		.file_flags = (flags & DUR_RAW ? FILE_RAW : 0u) | (flags & DUR_MEMORY ? FILE_MEMORY : 0u),
	};
	return 0;
}

int prefix_create(const dur_workspace *ws, const char *path, uint32_t flags, const char *keep, unsigned mode)
{
	char text[POLICY_TEXT];
	struct store_options so;
	struct stat st;
	int rc = options(flags, keep, text, &so);

	if (rc == 0 && ws)
		rc = prefix_folders(ws, path);
	if (rc < 0)
		return rc;
	if (stat(path, &st) == 0)
		return error_set(-EEXIST, "%s exists", path);
	if (flags & DUR_MEMORY)
		return make_memory(path, &so, mode);
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		unlink(path); /* what a reboot has left of an in-memory prefix */
	return make_file(path, &so, mode);
}

int prefix_create_private(uint32_t flags, const char *keep, int *fd)
{
	char text[POLICY_TEXT];
	struct store_options so;
	int rc = options(flags, keep, text, &so);

	if (rc < 0)
		return rc;
	*fd = memfd_create("duramen", MFD_CLOEXEC);
	if (*fd < 0)
		return error_system(errno, "making a prefix in memory");
	rc = store_create(*fd, &so);
	if (rc < 0)
		close(*fd);
	return rc;
}
