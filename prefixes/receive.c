/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving. A new prefix grows in a file without a name while the stream is read, and gets its
 * name when the stream has ended well. For a copy that is there already the stream is kept in a
 * file without a name until all of it is verified, and then applied state by state; who is killed
 * then leaves whole states, and the same stream once more brings the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "prefixes/copy.h"

struct receive {
	dur_workspace *ws;
	const char *name;
	char *path;
	struct copy_meter meter;
	struct stream_end end;
	struct stream_header header;
	struct stream_in *in;
};

static void uuid_text(const uint8_t uuid[16], char text[37])
{
	static const char hex[] = "0123456789abcdef";
	char *to = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = hex[uuid[i] >> 4];
		*to++ = hex[uuid[i] & 15];
	}
	*to = '\0';
}

/* ---- A new prefix ---- */

static int receive_into(struct receive *r, struct newfile *file)
{
	struct copy_build build = { .newfile = file,
		                    .last = r->header.last,
		                    .lock_ms = -1,
		                    .file_flags = r->header.flags & STREAM_RAW ? FILE_RAW : 0 };
	int rc;

	memcpy(build.origin, r->header.origin, sizeof build.origin);
	rc = copy_decode(r->in, &r->header, &r->meter, &copy_build_sink, &build);
	if (rc == 0)
		rc = copy_build_finish(&build, 0);
	copy_build_end(&build);
	if (rc == 0)
		rc = newfile_name(file, false);
	return rc == -EEXIST
	               ? error_set(rc, "prefix %s was made by somebody else meanwhile", r->name)
	               : rc;
}

static int receive_new(struct receive *r)
{
	char origin[37];
	struct newfile file;
	int rc;

	if (r->header.base) {
		uuid_text(r->header.origin, origin);
		return error_set(-ENOENT,
		                 "there is no prefix %s, and the stream holds only what came after "
		                 "state %" PRIu64 " of prefix %s: receive a full copy first",
		                 r->name, r->header.base, origin);
	}
	rc = r->ws ? prefix_folders(r->ws, r->path) : 0;
	if (rc == 0) {
		rc = newfile_open(r->path, r->ws ? r->ws->mode : 0600, &file);
		if (rc == 0)
			rc = receive_into(r, &file);
		newfile_close(&file);
	}
	if (rc < 0 && r->ws)
		prefix_drop_folders(r->ws, r->path);
	return rc;
}

/* ---- More for a copy ---- */

/* The copy's newest state, as the stream tells of states. */
static int newest_listed(dur_prefix *p, struct state *newest)
{
	struct coord_pin pin;
	uint64_t number;
	int rc = prefix_newest(p, &pin, newest);

	if (rc < 0)
		return rc;
	if (newest->flags & STATE_MAINTENANCE) {
		uint8_t origin[16];
		memcpy(origin, newest->origin, sizeof origin);
		rc = store_back(p->shared->store, newest, 0, &number);
		if (rc == 0)
			rc = store_find(p->shared->store, newest, number, newest);
		if (rc == 1)
			rc = error_set(DUR_E_GONE, "no state of the copy is retained");
		memcpy(newest->origin, origin, sizeof origin);
	}
	coord_unpin(p->shared->coord, &pin);
	return rc;
}

static int check_origin(const struct receive *r, const dur_prefix *p, const struct state *newest)
{
	static const uint8_t none[16];
	const struct file *file = store_file(p->shared->store);
	char of[37], from[37];

	uuid_text(newest->origin, of);
	uuid_text(r->header.origin, from);
	if (memcmp(newest->origin, none, sizeof none) == 0)
		return error_set(DUR_E_CONFLICT,
		                 "state %" PRIu64 " of prefix %s was made here: it is no copy of "
		                 "prefix %s, or was changed since; receive into another name",
		                 newest->number, r->name, from);
	if (memcmp(newest->origin, r->header.origin, sizeof none) != 0)
		return error_set(DUR_E_CONFLICT,
		                 "prefix %s is a copy of prefix %s, and the stream is from "
		                 "prefix %s: receive into another name",
		                 r->name, of, from);
	if ((file->flags & FILE_RAW) != (r->header.flags & STREAM_RAW ? FILE_RAW : 0u))
		return error_set(DUR_E_CONFLICT,
		                 "the keys of the stream and of the copy differ in kind");
	return 0;
}

static int does_not_fit(const struct receive *r, const struct state *newest)
{
	return error_set(DUR_E_CONFLICT,
	                 "the stream goes on from state %" PRIu64 " (%" PRIu64 " entries); "
	                 "the newest state of %s is %" PRIu64 " (%" PRIu64
	                 " entries): make a backup since "
	                 "that state",
	                 r->header.base, r->header.base_entries, r->name, newest->number,
	                 newest->catalog.count);
}

/* Before the stream is read: 0, DUR_E_CONFLICT; whether it may go on in its middle shows later. */
static int check_fit(const struct receive *r, const dur_prefix *p, const struct state *newest)
{
	const struct stream_header *h = &r->header;
	int rc = check_origin(r, p, newest);

	if (rc < 0)
		return rc;
	if (newest->number < h->base || newest->number > h->last ||
	    (newest->number == h->base &&
	     (newest->time_ns != h->base_time_ns || newest->catalog.count != h->base_entries)) ||
	    (newest->number == h->last && newest->catalog.count != h->entries))
		return does_not_fit(r, newest);
	return 0;
}

/* The first reading: looks for the copy's newest state among the stream's, does nothing else. */
struct looking {
	const struct state *newest;
	bool found;
};

static int look_state(void *ctx, const struct copy_state *s)
{
	struct looking *l = ctx;

	l->found |= s->number == l->newest->number && s->time_ns == l->newest->time_ns &&
	            s->entries == l->newest->catalog.count;
	return 0;
}

static int look_name(void *ctx, const struct state_name *name)
{
	(void)ctx, (void)name;
	return 0;
}

static int look_put(void *ctx, const void *key, size_t len, const struct cell *cell)
{
	(void)ctx, (void)key, (void)len, (void)cell;
	return 0;
}

static int look_part(void *ctx, enum copy_part how, unsigned nth)
{
	(void)ctx, (void)how, (void)nth;
	return 0;
}

static int look_piece(void *ctx, const void *data, size_t n)
{
	(void)ctx, (void)data, (void)n;
	return 0;
}

static int look_del(void *ctx, const void *key, size_t len)
{
	(void)ctx, (void)key, (void)len;
	return 0;
}

static int look_item(void *ctx, enum copy_item what, uint64_t at, const struct cell *cell)
{
	(void)ctx, (void)what, (void)at, (void)cell;
	return 0;
}

static int look_cut(void *ctx, uint64_t at, uint64_t n)
{
	(void)ctx, (void)at, (void)n;
	return 0;
}

static int look_end(void *ctx)
{
	(void)ctx;
	return 0;
}

static const struct copy_sink looking_sink = {
	.state = look_state,
	.name = look_name,
	.put = look_put,
	.part = look_part,
	.piece = look_piece,
	.bytes_end = look_end,
	.close = look_end,
	.del = look_del,
	.item = look_item,
	.cut = look_cut,
	.state_end = look_end,
};

/* The second reading, of what was kept. */
static int apply(struct receive *r, dur_prefix *p, uint64_t newest, int spool)
{
	const struct stream_end end = { .fd = spool };
	struct copy_build build = { .store = p->shared->store,
		                    .last = r->header.last,
		                    .done = newest,
		                    .lock_ms = p->lock_ms,
		                    .memory_bytes = p->memory_bytes };
	struct stream_header header;
	int rc;

	memcpy(build.origin, r->header.origin, sizeof build.origin);
	if (lseek(spool, 0, SEEK_SET) < 0)
		return error_system(errno, "reading what was received");
	stream_in_free(r->in);
	rc = stream_in_open(&end, -1, &header, &r->in);
	if (rc < 0)
		return rc;
	store_hold(p->shared->store, true);
	rc = copy_decode(r->in, &header, &r->meter, &copy_build_sink, &build);
	if (rc == 0)
		rc = copy_build_finish(&build, 0);
	copy_build_end(&build);
	store_hold(p->shared->store, false);
	return rc;
}

/*
 * Whoever was killed at receiving the same may have left a state on disk that nobody was told of. If
 * somebody has the lock, that one has recovered.
 */
static int recover(dur_prefix *p)
{
	struct txn *txn;
	int rc = store_begin(p->shared->store, 0, p->memory_bytes, &txn);

	if (rc == 0)
		store_abort(txn);
	return rc == DUR_E_LOCKED ? 0 : rc;
}

static int extend(struct receive *r, dur_prefix *p, int spool)
{
	struct looking looking = { 0 };
	struct state newest;
	int rc = recover(p);

	if (rc == 0)
		rc = newest_listed(p, &newest);

	if (rc == 0)
		rc = check_fit(r, p, &newest);
	looking.newest = &newest;
	r->meter.total *= 2;
	if (rc == 0)
		rc = copy_decode(r->in, &r->header, &r->meter, &looking_sink, &looking);
	if (rc < 0)
		return rc;
	if (newest.number != r->header.base && !looking.found)
		return does_not_fit(r, &newest);
	return newest.number == r->header.last ? DUR_NONE : apply(r, p, newest.number, spool);
}

/* ---- The call ---- */

static int open_stream(struct receive *r, int tee)
{
	struct stat st;
	off_t at;
	int rc;

	if (fstat(r->end.fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (at = lseek(r->end.fd, 0, SEEK_CUR)) >= 0 && at < st.st_size)
		r->meter.total = (uint64_t)(st.st_size - at);
	rc = stream_in_open(&r->end, tee, &r->header, &r->in);
	if (rc == 0 && tee >= 0 && r->header.base == 0)
		rc = error_set(-EEXIST,
		               "prefix %s exists, and the stream is a full copy: receive it under "
		               "another name, or drop this one first",
		               r->name);
	return rc;
}

static int receive_more(struct receive *r)
{
	dur_prefix *p = NULL;
	int spool = -1, rc = newfile_scratch(r->path, &spool), closed;

	if (rc == 0)
		rc = open_stream(r, spool);
	if (rc == 0)
		rc = dur_attach(r->ws, r->name, 0, NULL, &p);
	if (rc == 0)
		rc = extend(r, p, spool);
	closed = p ? dur_detach(p) : 0;
	if (spool >= 0)
		close(spool);
	return rc < 0 || closed == 0 ? rc : closed;
}

int dur_receive(dur_workspace *ws, const char *name, int fd, const dur_progress *progress)
{
	struct receive r = { .ws = ws, .name = name };
	struct stat st;
	int rc = ws ? workspace_check(ws) : 0;

	if (rc == 0 && fd < 0)
		rc = error_set(DUR_E_MISUSE, "dur_receive() needs a descriptor to read from");
	if (rc == 0)
		rc = workspace_path(ws, name, &r.path);
	if (rc < 0)
		return rc;
	r.meter.progress = progress;
	r.end = (struct stream_end){ .fd = fd, .interrupted = copy_interrupted, .ctx = &r.meter };
	if (stat(r.path, &st) == 0) {
		rc = receive_more(&r);
	} else if (errno != ENOENT && errno != ENOTDIR) {
		rc = error_system(errno, "receiving prefix %s", name);
	} else {
		rc = open_stream(&r, -1);
		if (rc == 0)
			rc = receive_new(&r);
	}
	stream_in_free(r.in);
	free(r.path);
	return rc;
}
