/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each state is one transaction, committed with the number and the time it had. Only the last one
 * waits for the disk, so that it takes all before it along; nobody acts on a state before it is
 * there, and one that was cut off can be received again under the same number, since it would be
 * the same.
 *
 * A new file is a store that nobody else knows of. It begins with a hidden state below the first
 * one that arrives, and keeps all until the last one brings the policy.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "prefixes/copy.h"

/* ---- A new file: shared memory of one process ---- */

static int alone_lock(void *ctx, int timeout_ms, struct store_shared *found)
{
	const struct copy_build *b = ctx;

	(void)timeout_ms;
	*found = b->words;
	return 0;
}

static void alone_unlock(void *ctx, const struct store_shared *words)
{
	struct copy_build *b = ctx;

	b->words.next = words->next;
	b->words.epoch = words->epoch;
	b->words.clean = words->clean;
}

static bool alone_wanted(void *ctx)
{
	(void)ctx;
	return false;
}

static void alone_publish(void *ctx, uint64_t state, uint64_t record, bool durable)
{
	struct copy_build *b = ctx;

	b->words.visible = state;
	b->words.record = record;
	if (durable)
		b->words.durable = state;
}

static void alone_durable(void *ctx, uint64_t state)
{
	struct copy_build *b = ctx;

	b->words.durable = state;
}

static int alone_pins(void *ctx, struct store_pins *pins)
{
	(void)ctx;
	*pins = (struct store_pins){ .from = UINT64_MAX };
	return 0;
}

static int open_new(struct copy_build *b, const struct copy_state *state)
{
	struct store_first first = {
		.number = state->number > 1 ? state->number - 1 : 1,
		.time_ns = state->time_ns,
		.hidden = state->number > 1,
	};
	struct store_options so = { .keep = state->number == 1 && b->last == 1 ? state->keep : "all",
		                    .file_flags = b->file_flags,
		                    .uuid = b->uuid,
		                    .first = &first,
		                    .memory_bytes = b->memory_bytes };
	int fd, rc;

	memcpy(first.origin, b->origin, sizeof first.origin);
	b->host = (struct store_host){ .ctx = b,
		                       .lock = alone_lock,
		                       .unlock = alone_unlock,
		                       .wanted = alone_wanted,
		                       .publish = alone_publish,
		                       .durable = alone_durable,
		                       .pins = alone_pins };
	rc = store_create(b->newfile->fd, &so);
	if (rc < 0)
		return rc;
	fd = fcntl(b->newfile->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return error_system(errno, "making %s", b->newfile->path);
	rc = store_open(fd, false, &so, &b->host, &b->store);
	if (rc == 0)
		rc = store_recover(b->store, -1);
	if (rc == 0) {
		store_hold(b->store, true);
		b->done = first.number;
	}
	return rc;
}

/* ---- States ---- */

/*
 * Under the lock: nothing has been committed since the state that this one builds on. Maintenance
 * changes no data and leaves the mark of a copy in place.
 */
static int check_base(const struct copy_build *b)
{
	const struct state *base = &b->txn->base;

	if (base->number == b->done || (base->flags & STATE_MAINTENANCE &&
	                                memcmp(base->origin, b->origin, sizeof b->origin) == 0))
		return 0;
	return error_set(-EBUSY,
	                 "state %" PRIu64 " was committed while states were being received: they "
	                 "end at state %" PRIu64,
	                 base->number, b->done);
}

static int build_state(void *ctx, const struct copy_state *state)
{
	struct copy_build *b = ctx;
	int rc = b->store ? 0 : open_new(b, state);

	if (rc < 0)
		return rc;
	b->state = *state;
	b->passing = state->number <= b->done;
	if (b->passing)
		return 0;
	rc = store_begin_at(b->store, state->number, b->lock_ms, b->memory_bytes, &b->txn);
	if (rc == DUR_E_RANGE)
		return error_context(
			rc, "the copy was changed by itself, so the stream does not fit it any "
			    "more; receive a full copy under another name: ");
	if (rc == 0)
		rc = check_base(b);
	return rc < 0 ? rc : copy_cells_open(&b->cells, b->txn, state->number);
}

/*
 * A name of a state that this file does not hold, or that is as it shall be already, changes
 * nothing.
 */
static int build_name(void *ctx, const struct state_name *name)
{
	struct copy_build *b = ctx;
	struct state found;
	uint64_t has;
	int rc = copy_names_push(&b->seen, name);

	if (rc == 0 && b->passing && b->newfile) /* the empty state: the next one's commit names it */
		return copy_names_push(&b->names, name);
	if (rc < 0 || b->passing)
		return rc;
	if (name->state != b->state.number) {
		rc = store_find(b->store, &b->txn->base, name->state, &found);
		if (rc < 0)
			return rc == DUR_E_GONE ? 0 : rc;
	}
	rc = store_name_find(b->store, &b->txn->base, name->name, &has);
	return rc < 0 || (rc == 0 && has == name->state) ? rc : copy_names_push(&b->names, name);
}

/* With the last state: names that no state has brought are taken away. */
static int drop_names(struct copy_build *b)
{
	struct copy_names there = { 0 };
	int rc = copy_names_all(b->store, &b->txn->base, &there);

	copy_names_sort(&b->seen);
	for (size_t i = 0; i < there.n && rc == 0; i++) {
		there.of[i].state = 0;
		if (!copy_names_have(&b->seen, &there.of[i]))
			rc = copy_names_push(&b->names, &there.of[i]);
	}
	copy_names_free(&there);
	return rc;
}

static int build_put(void *ctx, const void *key, size_t len, const struct cell *cell)
{
	struct copy_build *b = ctx;

	return b->passing ? 0 : copy_cells_put(b->cells, key, len, cell);
}

static int build_part(void *ctx, enum copy_part how, unsigned nth)
{
	struct copy_build *b = ctx;

	return b->passing ? 0 : copy_cells_part(b->cells, how, nth);
}

static int build_piece(void *ctx, const void *data, size_t n)
{
	struct copy_build *b = ctx;

	return b->passing ? 0 : copy_cells_piece(b->cells, data, n);
}

static int build_bytes_end(void *ctx)
{
	struct copy_build *b = ctx;

	return b->passing ? 0 : copy_cells_bytes_end(b->cells);
}

static int build_close(void *ctx)
{
	struct copy_build *b = ctx;

	return b->passing ? 0 : copy_cells_close(b->cells);
}

static int build_del(void *ctx, const void *key, size_t len)
{
	struct copy_build *b = ctx;

	return b->passing ? 0 : copy_cells_del(b->cells, key, len);
}

static int build_state_end(void *ctx)
{
	struct copy_build *b = ctx;
	struct store_received received = { .time_ns = b->state.time_ns,
		                           .commits = b->state.commits };
	bool last = b->state.number == b->last;
	struct commit_options options = { .received = &received, .async = !last };
	struct state made;
	int rc;

	if (b->passing)
		return 0;
	copy_cells_end(b->cells);
	b->cells = NULL;
	if (b->txn->catalog.count != b->state.entries)
		return error_set(DUR_E_CORRUPT,
		                 "state %" PRIu64 " has %" PRIu64 " entries here, and %" PRIu64
		                 " where it comes from: the backup stream does not fit this copy",
		                 b->state.number, b->txn->catalog.count, b->state.entries);
	memcpy(received.origin, b->origin, sizeof received.origin);
	rc = last ? drop_names(b) : 0;
	if (rc < 0)
		return rc;
	options.names = b->names.of;
	options.n_names = b->names.n;
	options.label = b->state.label[0] ? b->state.label : NULL;
	options.keep = last && b->state.keep[0] ? b->state.keep : NULL;
	rc = store_commit(b->txn, &options, &made);
	if (rc == 0 || rc == DUR_E_FAILED) /* it is gone in either case */
		b->txn = NULL;
	if (rc == 0)
		b->done = b->state.number;
	b->names.n = 0;
	return rc;
}

static int build_item(void *ctx, enum copy_item what, uint64_t at, const struct cell *cell)
{
	struct copy_build *b = ctx;

	return b->passing ? 0 : copy_cells_item(b->cells, what, at, cell);
}

static int build_cut(void *ctx, uint64_t at, uint64_t n)
{
	struct copy_build *b = ctx;

	return b->passing ? 0 : copy_cells_cut(b->cells, at, n);
}

const struct copy_sink copy_build_sink = {
	.state = build_state,
	.name = build_name,
	.put = build_put,
	.part = build_part,
	.piece = build_piece,
	.bytes_end = build_bytes_end,
	.close = build_close,
	.del = build_del,
	.item = build_item,
	.cut = build_cut,
	.state_end = build_state_end,
};

/* ---- The end ---- */

/*
 * There is nothing but the empty state, and it has names: that takes a commit. A copy must not use
 * a number of its own; it gets them with the next state.
 */
static int name_first(struct copy_build *b)
{
	static const uint8_t none[16];
	struct commit_options options = { .names = b->names.of,
		                          .n_names = b->names.n,
		                          .maintain = true };
	struct state made;
	int rc;

	if (memcmp(b->origin, none, sizeof none) != 0)
		return 0;
	rc = store_begin(b->store, -1, 0, &b->txn);
	if (rc == 0)
		rc = store_commit(b->txn, &options, &made);
	if (rc == 0 || rc == DUR_E_FAILED)
		b->txn = NULL;
	return rc;
}

int copy_build_finish(struct copy_build *b, uint64_t next)
{
	struct store *store = b->store;
	struct txn *txn;
	int rc;

	if (!b->newfile)
		return store_sync(store);
	rc = store_begin(store, -1, 0, &txn);
	if (rc < 0)
		return rc;
	store_skip_to(txn, next);
	store_abort(txn);
	if (b->names.n)
		rc = name_first(b);
	if (rc < 0)
		return rc;
	b->store = NULL;
	return store_close(store); /* flushes and confirms */
}

void copy_build_end(struct copy_build *b)
{
	copy_names_free(&b->seen);
	copy_names_free(&b->names);
	copy_cells_end(b->cells);
	b->cells = NULL;
	if (b->txn)
		store_abort(b->txn);
	b->txn = NULL;
	if (b->newfile)
		store_close(b->store);
	b->store = NULL;
}
