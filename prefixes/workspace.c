/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workspace is a folder: prefix "a/b" is the page file a/b.dur below it, with its coordination file
 * a/b.dur-coord beside it. An in-memory prefix is a symbolic link of that name to a file on /dev/shm, so
 * that other processes find it by name; after a reboot the link leads nowhere and counts as absent.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "prefixes/name.h"
#include "prefixes/newfile.h"
#include "prefixes/prefix.h"

static const char SUFFIX[] = ".dur";

int workspace_check(const dur_workspace *ws)
{
	if (!ws)
		return error_set(DUR_E_MISUSE, "the workspace is NULL: dur_workspace_open() it first");
	if (ws->generation != registry_generation)
		return error_set(DUR_E_FORKED, "this workspace belongs to the parent process: open one of your "
		                 "own after a fork");
	return 0;
}

int workspace_path(const dur_workspace *ws, const char *name, char **path)
{
	int rc;

	if (!name)
		return error_set(DUR_E_MISUSE, "the name of the prefix is NULL");
	if (!ws) {
		*path = strdup(name);
	} else {
		rc = name_check(name);
		if (rc < 0)
			return rc;
		if (asprintf(path, "%s/%s%s", ws->dir, name, SUFFIX) < 0)
			*path = NULL;
	}
	return *path ? 0 : error_system(ENOMEM, "finding prefix %s", name);
}

char *coord_path(const char *path)
{
	char *to;

	return asprintf(&to, "%s-coord", path) < 0 ? NULL : to;
}

int dur_workspace_open(const char *dir, const dur_workspace_options *o, dur_workspace **out)
{
	dur_workspace *ws;
	struct stat st;
	int rc;

	if (out)
		*out = NULL;
	if (!dir || !out || !*dir)
		return error_set(DUR_E_MISUSE, "dur_workspace_open() needs a folder's path and a place for "
		                 "the handle");
	if (o && (o->reserved[0] | o->reserved[1] | o->reserved[2] | o->reserved[3] | o->pad))
		return error_set(DUR_E_MISUSE, "reserved fields of dur_workspace_options must be zero");
	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return error_system(errno, "making the workspace folder %s", dir);
	if (stat(dir, &st) < 0)
		return error_system(errno, "opening the workspace folder %s", dir);
	if (!S_ISDIR(st.st_mode))
		return error_set(-ENOTDIR, "%s is not a folder: a workspace is a folder of prefixes", dir);
	ws = calloc(1, sizeof *ws);
	if (!ws || !(ws->dir = realpath(dir, NULL))) {
		rc = error_system(ws ? errno : ENOMEM, "opening the workspace folder %s", dir);
		free(ws);
		return rc;
	}
	ws->mode = o && o->mode ? o->mode : 0600;
	ws->log = o ? o->log : NULL;
	ws->log_ctx = o ? o->log_ctx : NULL;
	ws->generation = registry_generation;
	*out = ws;
	return 0;
}

int dur_workspace_close(dur_workspace *ws)
{
	if (!ws)
		return 0;
	if (ws->generation == registry_generation && atomic_load(&ws->attached) != 0)
		return error_set(-EBUSY, "%u prefixes of this workspace are attached: dur_detach() them first",
		                 atomic_load(&ws->attached));
	free(ws->dir);
	free(ws);
	return 0;
}

/* ---- Listing ---- */

struct found {
	char **names;
	size_t n, cap;
};

static int found_add(struct found *found, const char *name, size_t len)
{
	if (found->n == found->cap) {
		size_t cap = found->cap ? found->cap * 2 : 64;
		char **grown = realloc(found->names, cap * sizeof *grown);
		if (!grown)
			return error_system(ENOMEM, "listing prefixes");
		found->names = grown;
		found->cap = cap;
	}
	if (!(found->names[found->n] = strndup(name, len)))
		return error_system(ENOMEM, "listing prefixes");
	found->n++;
	return 0;
}

static void found_free(struct found *found)
{
	for (size_t i = 0; i < found->n; i++)
		free(found->names[i]);
	free(found->names);
}

/* One folder's prefixes into found, its folders into todo. path is below the workspace; "" is its top. */
static int list_folder(const dur_workspace *ws, const char *path, struct found *found, struct found *todo)
{
	char full[PATH_MAX], name[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int rc = 0;

	if (snprintf(full, sizeof full, "%s/%s", ws->dir, path) >= (int)sizeof full)
		return 0; /* longer than any name */
	dir = opendir(full);
	if (!dir)
		return errno == ENOENT ? 0 : error_system(errno, "listing %s", full);
	while (rc == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
		size_t len = strlen(entry->d_name), suffix = sizeof SUFFIX - 1;
		struct stat st;

		if (entry->d_name[0] == '.' && (!entry->d_name[1] || strcmp(entry->d_name, "..") == 0))
			continue;
		if (snprintf(name, sizeof name, "%s%s%s", path, *path ? "/" : "", entry->d_name) >=
		    (int)sizeof name || fstatat(dirfd(dir), entry->d_name, &st, 0) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			if (strlen(name) <= NAME_BYTES_MAX)
				rc = found_add(todo, name, strlen(name));
		} else if (S_ISREG(st.st_mode) && len > suffix &&
		           strcmp(entry->d_name + len - suffix, SUFFIX) == 0) {
			name[strlen(name) - suffix] = '\0';
			if (name_check(name) == 0)
				rc = found_add(found, name, strlen(name));
		}
	}
	if (rc == 0 && errno)
		rc = error_system(errno, "listing %s", full);
	closedir(dir);
	return rc;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_all(const dur_workspace *ws, struct found *found)
{
	struct found todo = { 0 };
	int rc = list_folder(ws, "", found, &todo);

	for (size_t i = 0; i < todo.n && rc == 0; i++)
		rc = list_folder(ws, todo.names[i], found, &todo);
	found_free(&todo);
	if (rc == 0 && found->n > 1)
		qsort(found->names, found->n, sizeof *found->names, compare_names);
	return rc;
}

/* 0, or 1: not a page file. The newest state is the slots': an async one may be newer in memory. */
static int describe(const dur_workspace *ws, const char *name, dur_prefix_info *info)
{
	struct file *file;
	struct slot slot;
	struct stat st;
	char *path;
	int fd, rc = workspace_path(ws, name, &path);

	if (rc < 0)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	free(path);
	if (fd < 0 || fstat(fd, &st) < 0) {
		if (fd >= 0)
			close(fd);
		return 1;
	}
	if (file_open(fd, true, NULL, &file) < 0)
		return 1;
	*info = (dur_prefix_info){ .file_bytes = (uint64_t)st.st_size };
	strcpy(info->name, name);
	memcpy(info->uuid, file->uuid, sizeof info->uuid);
	info->flags = file->flags & FILE_MEMORY ? DUR_MEMORY : 0;
	for (int i = 0; i < 2; i++)
		if (file_slot_read(file, i, &slot) == 0 && slot.state > info->newest)
			info->newest = slot.state;
	file_close(file);
	return 0;
}

int dur_prefixes(dur_workspace *ws, uint64_t skip, dur_prefix_info *out, uint32_t cap, uint32_t *n)
{
	struct found found = { 0 };
	uint32_t k = 0;
	int rc = workspace_check(ws);

	if (rc < 0)
		return rc;
	if (!n || (cap && !out))
		return error_set(DUR_E_MISUSE, "dur_prefixes() needs room for what it finds");
	rc = list_all(ws, &found);
	for (size_t i = 0; i < found.n && k < cap && rc >= 0; i++) {
		dur_prefix_info info;
		rc = describe(ws, found.names[i], &info);
		if (rc != 0)
			continue;
		if (skip)
			skip--;
		else
			out[k++] = info;
	}
	found_free(&found);
	if (rc < 0)
		return rc;
	*n = k;
	return 0;
}

/* ---- Dropping ---- */

/* With all claims taken: nobody has it, nobody can get it before it is gone. */
static int drop_files(const char *path)
{
	char real[PATH_MAX], *coord = coord_path(path);
	int rc = 0;

	if (!coord)
		return error_system(ENOMEM, "dropping %s", path);
	/* of an in-memory prefix what the link leads to */
	if (realpath(path, real) && strncmp(real, "/dev/shm/duramen-", 17) == 0)
		unlink(real);
	if (unlink(path) < 0)
		rc = error_system(errno, "removing %s", path);
	else
		unlink(coord);
	newfile_clean(path);
	free(coord);
	return rc;
}

static int drop(const dur_workspace *ws, const char *name, char *path)
{
	struct coord_identity identity;
	struct coord *coord = NULL;
	struct file *file = NULL;
	char *at = NULL;
	struct stat st;
	bool fresh;
	int rc, fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = error_system(errno, "dropping prefix %s", name);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	if (!shared_keep_out(st.st_dev, st.st_ino)) {
		close(fd);
		return error_set(-EBUSY, "prefix %s is attached by this process: detach it first", name);
	}
	rc = file_open(fd, false, NULL, &file); /* owns fd; only page files are dropped */
	if (rc < 0) {
		shared_let_in();
		return error_context(rc, "prefix %s is not dropped", name);
	}
	identity = (struct coord_identity){ .device = st.st_dev, .inode = st.st_ino };
	memcpy(identity.uuid, file->uuid, sizeof identity.uuid);
	if (!(at = coord_path(path)))
		rc = error_system(ENOMEM, "dropping prefix %s", name);
	if (rc == 0)
		rc = coord_open(at, 0600, &identity, &coord, &fresh);
	if (rc == 0)
		rc = coord_claim_alone(coord);
	if (rc == -EBUSY)
		error_set(rc, "prefix %s is attached by other processes: `duramen readers` lists those with "
		          "snapshots; stop them first", name);
	if (rc == 0)
		rc = drop_files(path);
	if (rc == 0)
		prefix_drop_folders(ws, path);
	coord_close(coord);
	shared_let_in();
	file_close(file);
	free(at);
	return rc;
}

int dur_drop(dur_workspace *ws, const char *name)
{
	char *path;
	int rc = workspace_check(ws);

	if (rc == 0)
		rc = workspace_path(ws, name, &path);
	if (rc < 0)
		return rc;
	rc = drop(ws, name, path);
	free(path);
	return rc;
}
