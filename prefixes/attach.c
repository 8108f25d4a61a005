/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching: from a name to a handle. What a process shares of the file is in registry.c. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "prefixes/prefix.h"

enum {
	ATTACH_FLAGS = DUR_CREATE | DUR_EXCLUSIVE | DUR_READ_ONLY | DUR_MEMORY | DUR_RAW | DUR_HOLD_LOCK,
	ASYNC_MS_DEFAULT = 100,
};
#define MEMORY_BYTES_DEFAULT ((uint64_t)64 << 20)

int prefix_check(const dur_prefix *p)
{
	if (!p)
		return error_set(DUR_E_MISUSE, "the prefix is NULL: dur_attach() it first");
	if (p->generation != registry_generation)
		return error_set(DUR_E_FORKED, "prefix %s was attached by the parent process: attach it anew "
		                 "after a fork", p->name);
	return 0;
}

static int check_arguments(const dur_workspace *ws, const char *name, uint32_t flags,
                           const dur_attach_options *o, dur_prefix **p)
{
	bool private = !name && flags & DUR_MEMORY;

	if (p)
		*p = NULL;
	if (!p || (!name && !private))
		return error_set(DUR_E_MISUSE, "dur_attach() needs a name and a place for the handle");
	if (flags & ~(uint32_t)ATTACH_FLAGS)
		return error_set(DUR_E_MISUSE, "dur_attach() does not take the flags 0x%x",
		                 flags & ~(uint32_t)ATTACH_FLAGS);
	if (flags & DUR_EXCLUSIVE && !(flags & DUR_CREATE))
		return error_set(DUR_E_MISUSE, "DUR_EXCLUSIVE goes with DUR_CREATE");
	if (flags & DUR_READ_ONLY && (flags & (DUR_CREATE | DUR_HOLD_LOCK)))
		return error_set(DUR_E_MISUSE, "DUR_READ_ONLY goes with neither DUR_CREATE nor DUR_HOLD_LOCK");
	if (o && (o->reserved[0] | o->reserved[1] | o->reserved[2] | o->reserved[3]))
		return error_set(DUR_E_MISUSE, "reserved fields of dur_attach_options must be zero");
	if (o && o->lock_ms > INT_MAX)
		return error_set(DUR_E_MISUSE, "lock_ms is more than %d", INT_MAX);
	if (o && o->async_ms > INT_MAX)
		return error_set(DUR_E_MISUSE, "async_ms is more than %d", INT_MAX);
	return ws || private ? workspace_check(ws ? ws : &(dur_workspace){
		.generation = registry_generation }) : 0;
}

static int open_shared(const dur_workspace *ws, const char *name, uint32_t flags,
                       const dur_attach_options *o, struct shared **shared)
{
	struct shared_options so = {
		.async_ms = o && o->async_ms ? o->async_ms : ASYNC_MS_DEFAULT,
		.memory_bytes = o && o->memory_bytes ? o->memory_bytes : MEMORY_BYTES_DEFAULT,
		.read_only = flags & DUR_READ_ONLY,
		.mode = ws ? ws->mode : 0600,
		.log = ws ? ws->log : NULL,
		.log_ctx = ws ? ws->log_ctx : NULL,
	};
	const char *keep = o ? o->keep : NULL;
	char *path;
	int rc, fd;

	if (!name) {
		rc = prefix_create_private(flags, keep, &fd);
		return rc < 0 ? rc : shared_open_memory(fd, &so, shared);
	}
	rc = workspace_path(ws, name, &path);
	if (rc < 0)
		return rc;
	if (flags & DUR_CREATE) {
		rc = prefix_create(ws, path, flags, keep, so.mode);
		if (rc == -EEXIST && flags & DUR_EXCLUSIVE)
			error_set(rc, "prefix %s exists already", name);
		else if (rc == -EEXIST)
			rc = 0;
	}
	if (rc == 0)
		rc = shared_open(path, &so, shared);
	if (rc == -ENOENT)
		error_set(rc, "there is no prefix %s (no file %s): create it with DUR_CREATE or "
		          "`duramen create`", name, path);
	free(path);
	return rc;
}

static dur_prefix *prefix_new(dur_workspace *ws, const char *name, uint32_t flags,
                              const dur_attach_options *o, struct shared *shared)
{
	dur_prefix *p = calloc(1, sizeof *p);
	size_t len = name ? strlen(name) : 0;

	if (!p)
		return NULL;
	p->workspace = ws;
	p->shared = shared;
	p->generation = registry_generation;
	p->read_only = flags & DUR_READ_ONLY;
	p->raw = store_file(shared->store)->flags & FILE_RAW;
	p->hold_lock = flags & DUR_HOLD_LOCK;
	p->lock_ms = o && o->lock_ms ? (int)o->lock_ms : -1;
	p->memory_bytes = o && o->memory_bytes ? o->memory_bytes : MEMORY_BYTES_DEFAULT;
	if (len >= sizeof p->name) { /* a long path: its end says most */
		name += len - (sizeof p->name - 1);
		len = sizeof p->name - 1;
	}
	if (name)
		memcpy(p->name, name, len);
	else
		strcpy(p->name, "(private memory)");
	pthread_mutex_init(&p->views_mutex, NULL);
	return p;
}

int prefix_hold(dur_prefix *p)
{
	struct store *store = p->shared->store;
	struct txn *txn;
	int rc;

	store_hold(store, true);
	rc = store_begin(store, p->lock_ms, p->memory_bytes, &txn);
	if (rc < 0)
		store_hold(store, false);
	else
		store_abort(txn);
	return rc;
}

int dur_attach(dur_workspace *ws, const char *name, uint32_t flags, const dur_attach_options *o,
               dur_prefix **out)
{
	struct shared *shared = NULL;
	dur_prefix *p = NULL;
	int rc = check_arguments(ws, name, flags, o, out);

	if (rc == 0)
		rc = open_shared(ws, name, flags, o, &shared);
	if (rc < 0)
		return rc;
	p = prefix_new(ws, name, flags, o, shared);
	if (!p)
		rc = error_system(ENOMEM, "attaching prefix %s", name ? name : "in memory");
	if (rc == 0 && flags & DUR_HOLD_LOCK)
		rc = prefix_hold(p);
	if (rc < 0) {
		shared_close(shared);
		free(p);
		return rc;
	}
	if (ws)
		atomic_fetch_add(&ws->attached, 1);
	*out = p;
	return 0;
}

int dur_detach(dur_prefix *p)
{
	int rc = 0;

	if (!p)
		return 0;
	if (p->generation == registry_generation) {
		rc = views_busy(p);
		if (rc < 0)
			return rc;
		if (p->hold_lock)
			store_hold(p->shared->store, false);
		int closed = shared_close(p->shared);
		if (rc == 0)
			rc = closed;
		if (p->workspace)
			atomic_fetch_sub(&p->workspace->attached, 1);
		pthread_mutex_destroy(&p->views_mutex);
	}
	views_free(p);
	free(p);
	return rc;
}
