/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction: the states that are retained are copied into a new file, which takes the place of the
 * old one in one step. Nobody else may have the prefix attached: who has it open would go on in the
 * old file and never hear of a state again. The claim that dropping a prefix takes keeps them out.
 *
 * The transaction that is open all the while keeps this process's other threads from committing.
 * Until the rename nothing has changed; after it the old file has no name and goes with its last
 * user. State numbers go on where the old file stood, so none is given twice (I5).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "prefixes/copy.h"

struct compaction {
	dur_prefix *p;
	char path[PATH_MAX]; /* of the page file itself */
	struct newfile file;
	struct coord *claimed; /* of the old file */
	struct txn *txn;       /* on it: keeps the lock */
};

/*
 * Names some of those who have it attached. Who never read has no slot: then what the claim said of
 * one of them has to do.
 */
static int others_busy(dur_prefix *p)
{
	uint32_t pids[8], n = 0;
	char list[128] = "";
	size_t at = 0;

	if (coord_others(p->shared->coord, pids, sizeof pids / sizeof *pids, &n) < 0 || n == 0)
		return error_context(-EBUSY, "prefix %s cannot be compacted: ", p->name);
	for (uint32_t i = 0; i < n; i++)
		at += (size_t)snprintf(list + at, sizeof list - at, "%s%u", i ? ", " : "", pids[i]);
	return error_set(
		-EBUSY,
		"prefix %s cannot be compacted while other processes (%s) have it attached, "
		"which would go on in the old file: stop them, then try again",
		p->name, list);
}

/* Alone, and with the lock. */
static int enter(struct compaction *c)
{
	dur_prefix *p = c->p;
	struct shared *s = p->shared;
	int rc = views_busy(p);

	if (rc == 0)
		rc = shared_alone(s, p->name);
	if (rc < 0)
		return rc;
	rc = coord_claim_alone(s->coord);
	if (rc == -EBUSY)
		rc = others_busy(p);
	if (rc == 0) {
		c->claimed = s->coord;
		rc = store_begin(s->store, p->lock_ms, p->memory_bytes, &c->txn);
	}
	if (rc == 0 && !realpath(s->path, c->path))
		rc = error_system(errno, "compacting %s", s->path);
	return rc;
}

/* The new file belongs to whom the old one belonged, and lets the same people in. */
static int open_new(struct compaction *c)
{
	int old = store_file(c->p->shared->store)->fd, rc;
	struct stat st, now;

	if (fstat(old, &st) < 0)
		return error_system(errno, "compacting %s", c->path);
	rc = newfile_open(c->path, st.st_mode & 07777, &c->file);
	if (rc < 0)
		return rc;
	if (fstat(c->file.fd, &now) < 0)
		return error_system(errno, "compacting %s", c->path);
	if ((now.st_uid != st.st_uid || now.st_gid != st.st_gid) &&
	    fchown(c->file.fd, st.st_uid, st.st_gid) < 0)
		return error_system(errno,
		                    "giving the compacted %s its owner: compact it as that user",
		                    c->path);
	return fchmod(c->file.fd, st.st_mode & 07777) < 0
	               ? error_system(errno, "compacting %s", c->path)
	               : 0;
}

static int copy(struct compaction *c, bool history, const dur_progress *progress)
{
	struct copy_meter meter = { .progress = progress };
	const struct file *old = store_file(c->p->shared->store);
	struct copy_build build = { .newfile = &c->file,
		                    .file_flags = old->flags,
		                    .uuid = old->uuid,
		                    .lock_ms = -1,
		                    .memory_bytes = c->p->memory_bytes };
	struct copy_plan plan;
	dur_view *snap;
	int rc = dur_snapshot(c->p, DUR_LATEST, NULL, &snap);

	if (rc < 0)
		return rc;
	rc = copy_plan_make(snap, 0, history, &plan);
	if (rc == 0) {
		build.last = plan.last.number;
		memcpy(build.origin, c->txn->base.origin, sizeof build.origin);
		rc = copy_plan_run(&plan, &meter, &copy_build_sink, &build);
		if (rc == 0)
			rc = copy_build_finish(&build, store_next(c->txn));
		copy_build_end(&build);
		copy_plan_end(&plan);
	}
	dur_close(snap);
	return rc;
}

static int put_in_place(void *ctx)
{
	struct compaction *c = ctx;

	return newfile_name(&c->file, true);
}

/* From here on p stands on the new file. */
static int move_over(struct compaction *c)
{
	dur_prefix *p = c->p;
	struct shared *old = p->shared, *new;
	struct shared_options so = {
		.async_ms = old->async_ms,
		.memory_bytes = p->memory_bytes,
		.log = old->log,
		.log_ctx = old->log_ctx,
		.mode = p->workspace ? p->workspace->mode : 0600,
	};
	int rc = shared_replace(old, &so, put_in_place, c, &new);

	if (rc < 0)
		return rc;
	store_abort(c->txn);
	c->txn = NULL;
	if (p->hold_lock)
		store_hold(old->store, false);
	p->shared = new;
	c->claimed = NULL;
	shared_close(old); /* what it says of a file that has no name does not matter */
	return p->hold_lock ? prefix_hold(p) : 0;
}

int dur_compact(dur_prefix *p, uint32_t flags, const dur_progress *progress)
{
	struct compaction c = { .p = p, .file = { .fd = -1 } };
	int rc = prefix_check(p);

	if (rc == 0 && flags & ~(uint32_t)DUR_HISTORY)
		rc = error_set(DUR_E_MISUSE, "dur_compact() takes no flag but DUR_HISTORY");
	if (rc == 0 && p->read_only)
		rc = error_set(DUR_E_READ_ONLY, "prefix %s is attached read-only", p->name);
	if (rc == 0 && !p->shared->path)
		rc = error_set(DUR_E_MISUSE,
		               "a prefix in private memory has no file to be compacted");
	if (rc == 0)
		rc = enter(&c);
	if (rc == 0)
		rc = open_new(&c);
	if (rc == 0)
		rc = copy(&c, flags & DUR_HISTORY, progress);
	if (rc == 0)
		rc = move_over(&c);
	if (c.txn)
		store_abort(c.txn);
	if (c.claimed)
		coord_claim_shared(c.claimed);
	newfile_close(&c.file);
	return rc;
}
