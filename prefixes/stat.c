/* SPDX-License-Identifier: Apache-2.0 */
/* Looking inside: figures, and the check of a whole file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "prefixes/prefix.h"

int dur_stat(dur_prefix *p, dur_prefix_stat *out)
{
	struct coord_published published;
	struct coord_holder holder;
	struct coord_pin pin;
	struct store_stat engine;
	struct state newest;
	struct state oldest;
	struct stat st;
	uint64_t kept = 0;
	uint32_t readers = 0, n = 0;
	int rc = prefix_newest(p, &pin, &newest);

	if (rc < 0)
		return rc;
	if (!out) {
		rc = error_set(DUR_E_MISUSE, "dur_stat() needs a place for the figures");
		goto out;
	}
	rc = store_stat(p->shared->store, &newest, &engine);
	if (rc == 0)
		rc = store_kept(p->shared->store, &newest, &kept);
	if (rc == 0 && fstat(store_file(p->shared->store)->fd, &st) < 0)
		rc = error_system(errno, "looking at prefix %s", p->name);
	if (rc == 0)
		rc = coord_attached(p->shared->coord, &readers);
	if (rc == 0)
		rc = store_states(p->shared->store, &newest, 0, true, &oldest, 1, &n);
	if (rc < 0)
		goto out;
	coord_load(p->shared->coord, &published);
	coord_holder_get(p->shared->coord, &holder);
	*out = (dur_prefix_stat){
		.oldest = n ? oldest.number : newest.oldest,
		.newest = newest.number,
		.durable = published.durable,
		.states = newest.states,
		.file_bytes = (uint64_t)st.st_size,
		.live_bytes = engine.live_pages << PAGE_SHIFT,
		.retained_bytes = engine.retained_pages << PAGE_SHIFT,
		.free_bytes = engine.free_pages << PAGE_SHIFT,
		.packed_bytes = engine.packed_pages << PAGE_SHIFT,
		.metadata_bytes = engine.metadata_pages << PAGE_SHIFT,
		.kept_bytes = kept << PAGE_SHIFT,
		.disk_bytes = (uint64_t)st.st_blocks * 512,
		.removing = engine.removing,
		.commits = newest.commits,
		.flushes = engine.flushes,
		.epoch = engine.epoch,
		.writer_pid = holder.pid,
		.readers = readers,
	};
	/* what the file has grown by since that state is nobody's yet */
	out->free_bytes += out->file_bytes - (engine.file_pages << PAGE_SHIFT);
	memcpy(out->name, p->name, sizeof out->name);
	memcpy(out->keep, newest.keep, sizeof newest.keep);
	memcpy(out->uuid, store_file(p->shared->store)->uuid, sizeof out->uuid);
	strncpy(out->io, engine.io_name, sizeof out->io - 1);
out:
	coord_unpin(p->shared->coord, &pin);
	return rc;
}

/* ---- Check ---- */

struct reporter {
	void (*report)(void *ctx, const dur_problem *problem);
	void *ctx;
	const dur_progress *progress;
	dur_prefix *p;                  /* where others may write meanwhile */
	dur_view *held;
};

static void report(void *ctx, const struct store_problem *problem)
{
	const struct reporter *r = ctx;

	if (r->report)
		r->report(r->ctx, &(dur_problem){ .page = problem->page, .state = problem->state,
			.text = problem->text });
}

static int progress(void *ctx, uint64_t done, uint64_t total)
{
	const struct reporter *r = ctx;

	return r->progress && r->progress->call ? r->progress->call(r->progress->ctx, done, total) : 0;
}

static int hold(void *ctx, uint64_t state)
{
	struct reporter *r = ctx;
	int rc = dur_snapshot(r->p, state, NULL, &r->held);

	return rc == DUR_E_GONE ? 1 : rc;
}

static void let_go(void *ctx)
{
	struct reporter *r = ctx;

	dur_close(r->held);
}

/* Somebody on this boot has it attached, or had: states are pinned as any reader would. */
static int check_attached(dur_workspace *ws, const char *name, struct check_options *options)
{
	struct reporter *r = options->ctx;
	struct coord_pin pin;
	struct state newest;
	dur_prefix *p;
	int rc = dur_attach(ws, name, DUR_READ_ONLY, NULL, &p);

	if (rc < 0)
		return rc;
	r->p = p;
	options->hold = hold;
	options->let_go = let_go;
	rc = prefix_newest(p, &pin, &newest);
	if (rc == 0) {
		rc = store_check(p->shared->store, &newest, options);
		coord_unpin(p->shared->coord, &pin);
	}
	dur_detach(p);
	return rc;
}

/* Nobody has it: the file as it lies there, without a recovery; writers are kept out meanwhile. */
static int check_file(int fd, const char *name, const struct check_options *options)
{
	struct store *store;
	int rc;

	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ?
			error_set(DUR_E_LOCKED, "prefix %s is being written to: try again", name) :
			error_system(errno, "locking prefix %s", name);
	rc = store_open(dup(fd), true, &(struct store_options){ 0 }, NULL, &store);
	if (rc < 0)
		return rc;
	rc = store_check(store, NULL, options);
	store_close(store);
	return rc;
}

/* Whether anybody on this boot has published a state of it: its coordination file says so. */
static int is_published(const char *path, const struct stat *st, int fd, bool *published)
{
	struct coord_identity identity = { .device = st->st_dev, .inode = st->st_ino };
	struct coord_published now = { 0 };
	struct coord *coord = NULL;
	struct file *file;
	bool fresh;
	char *at;
	int rc;

	*published = true;
	if (!(at = coord_path(path)))
		return error_system(ENOMEM, "checking %s", path);
	if (!shared_keep_out(st->st_dev, st->st_ino)) {
		free(at);
		return 0;
	}
	*published = access(at, F_OK) == 0;
	rc = *published ? file_open(dup(fd), true, NULL, &file) : 0;
	if (rc == 0 && *published) {
		memcpy(identity.uuid, file->uuid, sizeof identity.uuid);
		file_close(file);
		rc = coord_open(at, 0600, &identity, &coord, &fresh);
		if (rc == 0)
			coord_load(coord, &now);
		coord_close(coord);
		*published = now.state != 0;
	}
	shared_let_in();
	free(at);
	return rc;
}

int dur_check(dur_workspace *ws, const char *name, uint32_t flags,
              void (*report_to)(void *ctx, const dur_problem *problem), void *ctx,
              const dur_progress *progress_to)
{
	struct reporter r = { .report = report_to, .ctx = ctx, .progress = progress_to };
	struct check_options options = { .history = flags & DUR_HISTORY, .report = report,
		.progress = progress, .ctx = &r };
	bool published;
	struct stat st;
	char *path;
	int fd, rc = ws ? workspace_check(ws) : 0;

	if (rc == 0 && flags & ~(uint32_t)DUR_HISTORY)
		rc = error_set(DUR_E_MISUSE, "dur_check() takes no flag but DUR_HISTORY");
	if (rc == 0)
		rc = workspace_path(ws, name, &path);
	if (rc < 0)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* it may be a pipe */
	if (fd < 0 || fstat(fd, &st) < 0)
		rc = error_system(errno, "checking prefix %s", name);
	else if (!S_ISREG(st.st_mode))
		rc = error_set(DUR_E_FORMAT, "%s is not a page file", path);
	if (rc == 0)
		rc = is_published(path, &st, fd, &published);
	if (rc == 0)
		rc = published ? check_attached(ws, name, &options) : check_file(fd, name, &options);
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}
