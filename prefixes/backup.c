/* SPDX-License-Identifier: Apache-2.0 */
/* Backing up: states of a prefix as the records of a stream. docs/format.md draws them. */
#include <errno.h>
#include <string.h>

#include "prefixes/copy.h"

enum { RECORD_HEAD = 1 + 10 + 10 }; /* a letter and two varints */

struct backup {
	struct stream_out *out;
	struct stream_totals totals;
};

static uint8_t *put_text(uint8_t *to, const char *text)
{
	size_t len = strlen(text);

	*to++ = (uint8_t)len;
	memcpy(to, text, len);
	return to + len;
}

static int backup_state(void *ctx, const struct copy_state *state)
{
	uint8_t bytes[1 + 10 + 8 + 10 + 10 + 64 + 64], *to = bytes;
	struct backup *b = ctx;

	*to++ = COPY_STATE;
	to = put_varint(to, state->number);
	put_u64(to, (uint64_t)state->time_ns);
	to = put_varint(to + 8, state->commits);
	to = put_varint(to, state->entries);
	to = put_text(to, state->label);
	to = put_text(to, state->keep);
	b->totals.states++;
	return stream_out_put(b->out, bytes, (size_t)(to - bytes));
}

static int backup_name(void *ctx, const struct state_name *name)
{
	uint8_t bytes[1 + 10 + 64], *to = bytes;
	struct backup *b = ctx;

	*to++ = COPY_NAME;
	to = put_varint(to, name->state);
	to = put_text(to, name->name);
	return stream_out_put(b->out, bytes, (size_t)(to - bytes));
}

/* The letter and the key that every change begins with. */
static int backup_key(struct backup *b, enum copy_record letter, const void *key, size_t len)
{
	uint8_t head[RECORD_HEAD], *to = head;
	int rc;

	*to++ = (uint8_t)letter;
	to = put_varint(to, len);
	b->totals.changes++;
	rc = stream_out_put(b->out, head, (size_t)(to - head));
	return rc < 0 ? rc : stream_out_put(b->out, key, len);
}

static int backup_letter(struct backup *b, enum copy_record record)
{
	uint8_t letter = (uint8_t)record;

	return stream_out_put(b->out, &letter, 1);
}

static int backup_sized(struct backup *b, const struct cell *cell)
{
	uint8_t head[10];
	int rc = stream_out_put(b->out, head, (size_t)(put_varint(head, cell->len) - head));

	return rc < 0 ? rc : stream_out_put(b->out, cell->bytes, cell->len);
}

/* Of a list: without a key. */
static int backup_put(void *ctx, const void *key, size_t len, const struct cell *cell)
{
	struct backup *b = ctx;
	int rc;

	if (key) {
		rc = backup_key(b, COPY_PUT, key, len);
	} else {
		b->totals.changes++;
		rc = backup_letter(b, COPY_PUT);
	}
	return rc < 0 ? rc : backup_sized(b, cell);
}

static int backup_part(void *ctx, enum copy_part how, unsigned nth)
{
	uint8_t bytes[1 + 10], *to = bytes;
	struct backup *b = ctx;

	*to++ = (uint8_t)how;
	if (how != COPY_WHOLE)
		to = put_varint(to, nth);
	return stream_out_put(b->out, bytes, (size_t)(to - bytes));
}

static int backup_piece(void *ctx, const void *data, size_t n)
{
	struct backup *b = ctx;

	return stream_out_put(b->out, data, n);
}

/* The cell has told how many there are. */
static int backup_bytes_end(void *ctx)
{
	(void)ctx;
	return 0;
}

static int backup_close(void *ctx)
{
	return backup_letter(ctx, COPY_CLOSE);
}

static int backup_del(void *ctx, const void *key, size_t len)
{
	return backup_key(ctx, COPY_DEL, key, len);
}

/* The letter and the position that every change of a list begins with. */
static int backup_position(struct backup *b, enum copy_item what, uint64_t at)
{
	uint8_t head[1 + 10], *to = head;

	*to++ = (uint8_t)what;
	to = put_varint(to, at);
	b->totals.changes++;
	return stream_out_put(b->out, head, (size_t)(to - head));
}

static int backup_item(void *ctx, enum copy_item what, uint64_t at, const struct cell *cell)
{
	int rc = backup_position(ctx, what, at);

	return rc < 0 ? rc : backup_sized(ctx, cell);
}

static int backup_cut(void *ctx, uint64_t at, uint64_t n)
{
	struct backup *b = ctx;
	uint8_t bytes[10];
	int rc = backup_position(b, COPY_CUT, at);

	return rc < 0 ? rc : stream_out_put(b->out, bytes, (size_t)(put_varint(bytes, n) - bytes));
}

static int backup_state_end(void *ctx)
{
	return backup_letter(ctx, COPY_STATE_END);
}

static const struct copy_sink backup_sink = {
	.state = backup_state,
	.name = backup_name,
	.put = backup_put,
	.part = backup_part,
	.piece = backup_piece,
	.bytes_end = backup_bytes_end,
	.close = backup_close,
	.del = backup_del,
	.item = backup_item,
	.cut = backup_cut,
	.state_end = backup_state_end,
};

static int backup(struct copy_plan *plan, int fd, const dur_progress *progress)
{
	struct copy_meter meter = { .progress = progress };
	const struct stream_end end = { .fd = fd, .interrupted = copy_interrupted, .ctx = &meter };
	const struct file *file = plan->snap->pager.file;
	struct stream_header header = {
		.flags = (file->flags & FILE_RAW ? STREAM_RAW : 0u) |
		         (plan->history ? STREAM_HISTORY : 0u),
		.base = plan->since.number,
		.base_time_ns = plan->since.time_ns,
		.base_entries = plan->since.catalog.count,
		.last = plan->last.number,
		.entries = plan->snap->catalog->count,
	};
	struct backup b = { 0 };
	int rc;

	memcpy(header.origin, file->uuid, sizeof header.origin);
	rc = stream_out_open(&end, &header, &b.out);
	if (rc == 0)
		rc = copy_plan_run(plan, &meter, &backup_sink, &b);
	if (rc == 0)
		rc = stream_out_finish(b.out, &b.totals);
	stream_out_free(b.out);
	return rc;
}

int dur_backup(dur_view *snap, uint64_t since, uint32_t flags, int fd, const dur_progress *progress)
{
	struct copy_plan plan;
	int rc = view_check(snap);

	if (rc == 0 && snap->kind != VIEW_SNAPSHOT)
		rc = error_set(DUR_E_MISUSE,
		               "a backup is taken from a snapshot, not from a transaction that "
		               "is not committed");
	if (rc == 0 && flags & ~(uint32_t)DUR_HISTORY)
		rc = error_set(DUR_E_MISUSE, "dur_backup() takes no flag but DUR_HISTORY");
	if (rc == 0 && fd < 0)
		rc = error_set(DUR_E_MISUSE, "dur_backup() needs a descriptor to write to");
	if (rc == 0)
		rc = copy_plan_make(snap, since, flags & DUR_HISTORY, &plan);
	if (rc < 0)
		return rc;
	rc = backup(&plan, fd, progress);
	copy_plan_end(&plan);
	return rc;
}
