/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of a backup stream: records, each a letter and what docs/format.md draws. Checksums
 * say that it is what was written, not that it was written by us: so everything that the
 * receiving side relies on is looked at, keys and values too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/policy.h"
#include "engine/run.h"
#include "engine/utf8.h"
#include "engine/value.h"
#include "prefixes/copy.h"

struct decoder {
	struct stream_in *in;
	const struct stream_header *header;
	struct copy_meter *meter;
	const struct copy_sink *sink;
	void *ctx;
	struct key_arena arena;
	struct copy_state state;     /* the one being read, or the one before */
	struct stream_totals totals; /* so far */
	uint64_t metered;            /* bytes of the stream that the meter knows of */
	bool any;                    /* a change of this state was read: key is the last one's */
	size_t len;
	uint8_t key[2][TREE_KEY_MAX]; /* in turn the one before and this one */
	unsigned turn;
	uint8_t cell[TREE_CELL_MAX];
};

static int damaged(const struct decoder *d, const char *what)
{
	return error_set(DUR_E_CORRUPT,
	                 "the backup stream is damaged (%s, in state %" PRIu64 "): make it "
	                 "again",
	                 what, d->state.number);
}

/* ---- Fields ---- */

static int get_number(struct decoder *d, uint64_t *v)
{
	uint8_t bytes[10];
	int rc = 0;

	for (size_t n = 0; n < sizeof bytes && rc == 0; n++) {
		rc = stream_in_get(d->in, &bytes[n], 1);
		if (rc == 0 && !(bytes[n] & 0x80))
			return get_varint(bytes, bytes + n + 1, v) ? 0 : damaged(d, "a number");
	}
	return rc < 0 ? rc : damaged(d, "a number");
}

static int get_text(struct decoder *d, char to[64])
{
	uint8_t len;
	int rc = stream_in_get(d->in, &len, 1);

	if (rc == 0 && len > 63)
		rc = damaged(d, "a text is too long");
	if (rc == 0)
		rc = stream_in_get(d->in, to, len);
	if (rc < 0)
		return rc;
	to[len] = '\0';
	return strlen(to) == len && utf8_valid(to, len) == len ? 0 : damaged(d, "a text");
}

static int get_sized(struct decoder *d, uint8_t *to, size_t max, size_t *len)
{
	uint64_t n;
	int rc = get_number(d, &n);

	if (rc == 0 && n > max)
		rc = damaged(d, "a key or a value is too long");
	if (rc < 0)
		return rc;
	*len = (size_t)n;
	return stream_in_get(d->in, to, *len);
}

/* Keys ascend; typed ones are what the encoding makes. */
static int get_key(struct decoder *d)
{
	uint8_t *key = d->key[d->turn ^ 1], *before = d->key[d->turn];
	size_t len;
	dur_value value;
	int order, rc = get_sized(d, key, TREE_KEY_MAX, &len);

	if (rc < 0)
		return rc;
	if (d->any) {
		order = memcmp(before, key, len < d->len ? len : d->len);
		if (order > 0 || (order == 0 && len <= d->len))
			return damaged(d, "keys are out of order");
	}
	key_arena_reset(&d->arena);
	if (!(d->header->flags & STREAM_RAW) && key_decode(key, len, &d->arena, &value) < 0)
		return damaged(d, "a key");
	d->any = true;
	d->len = len;
	d->turn ^= 1;
	d->totals.changes++;
	return 0;
}

/* ---- Records ---- */

static int decode_put(struct decoder *d)
{
	struct cell cell = { .bytes = d->cell };
	size_t len = 0;
	int rc = get_key(d);

	if (rc == 0)
		rc = get_sized(d, d->cell, sizeof d->cell, &len);
	if (rc < 0)
		return rc;
	if (len == 0 || value_is_run(d->cell, len) || d->len + len > TREE_ENTRY_MAX)
		return damaged(d, "a value");
	if (value_check(d->cell, len, NULL, &d->arena) < 0)
		return error_context(DUR_E_CORRUPT, "the backup stream, in state %" PRIu64 ": ",
		                     d->state.number);
	cell.len = (uint32_t)len;
	return d->sink->put(d->ctx, d->key[d->turn], d->len, &cell);
}

static int decode_run(struct decoder *d)
{
	struct cell head = { .bytes = d->cell };
	const uint8_t *at = NULL;
	uint64_t left = 0;
	size_t len = 0, n = 0;
	int rc = get_key(d);

	if (rc == 0)
		rc = get_sized(d, d->cell, VALUE_HEAD_MAX, &len);
	if (rc == 0)
		rc = get_number(d, &left);
	if (rc < 0)
		return rc;
	if (len == 0 || !value_is_run(d->cell, len) || left > VALUE_BYTES_MAX ||
	    run_pages(left) == 0 || len != (d->cell[0] & VALUE_TAGGED ? 3 : 1))
		return damaged(d, "a large value");
	head.len = (uint32_t)len;
	rc = d->sink->run(d->ctx, d->key[d->turn], d->len, &head, left);
	for (; left > 0 && rc == 0; left -= n) {
		rc = stream_in_piece(d->in, left, &at, &n);
		if (rc == 0)
			rc = d->sink->piece(d->ctx, at, n);
		if (rc == 0)
			rc = copy_step(d->meter);
	}
	return rc == 0 ? d->sink->run_end(d->ctx) : rc;
}

static int decode_del(struct decoder *d)
{
	int rc = get_key(d);

	if (rc == 0 && d->totals.states == 1 && d->header->base == 0)
		rc = damaged(d, "something is removed from a state that holds nothing");
	return rc == 0 ? d->sink->del(d->ctx, d->key[d->turn], d->len) : rc;
}

/* A state's own record: ascending in number and time, none above the last one. */
static int state_begin(struct decoder *d)
{
	struct copy_state s = { 0 }, before = d->state;
	struct policy policy;
	uint64_t time_ns = 0;
	int rc = get_number(d, &s.number);

	if (rc == 0)
		rc = stream_in_get(d->in, &time_ns, 8);
	s.time_ns = (int64_t)time_ns;
	if (rc == 0)
		rc = get_number(d, &s.commits);
	if (rc == 0)
		rc = get_number(d, &s.entries);
	if (rc == 0)
		rc = get_text(d, s.label);
	if (rc == 0)
		rc = get_text(d, s.keep);
	if (rc < 0)
		return rc;
	d->state = s;
	if (s.number <= before.number || s.number > d->header->last ||
	    (before.number && s.time_ns < before.time_ns) ||
	    (!(d->header->flags & STREAM_HISTORY) && s.number != d->header->last))
		return damaged(d, "its states are out of order");
	if (policy_parse(s.keep, &policy) < 0)
		return damaged(d, "its retention policy");
	d->any = false;
	d->totals.states++;
	return d->sink->state(d->ctx, &s);
}

static int decode_name(struct decoder *d)
{
	struct state_name name = { 0 };
	int rc = get_number(d, &name.state);

	if (rc == 0)
		rc = get_text(d, name.name);
	if (rc < 0)
		return rc;
	if (d->any || name.state == 0 || name.state > d->state.number ||
	    state_name_check(name.name) < 0)
		return damaged(d, "a name of a state");
	return d->sink->name(d->ctx, &name);
}

static int state_changes(struct decoder *d)
{
	uint8_t letter;
	int rc;

	do {
		rc = stream_in_get(d->in, &letter, 1);
		if (rc < 0)
			break;
		switch (letter) {
		case COPY_NAME: rc = decode_name(d); break;
		case COPY_PUT: rc = decode_put(d); break;
		case COPY_RUN: rc = decode_run(d); break;
		case COPY_DEL: rc = decode_del(d); break;
		case COPY_STATE_END: rc = d->sink->state_end(d->ctx); break;
		default: rc = damaged(d, "a record of an unknown kind");
		}
		d->meter->done += stream_in_bytes(d->in) - d->metered;
		d->metered = stream_in_bytes(d->in);
		if (rc == 0)
			rc = copy_step(d->meter);
	} while (rc == 0 && letter != COPY_STATE_END);
	return rc;
}

static int decode_all(struct decoder *d)
{
	struct stream_totals totals;
	uint8_t letter;
	int rc;

	while ((rc = stream_in_more(d->in, &totals)) == 0) {
		rc = stream_in_get(d->in, &letter, 1);
		if (rc == 0)
			rc = letter == COPY_STATE ? state_begin(d)
			                          : damaged(d, "a state does not begin");
		if (rc == 0)
			rc = state_changes(d);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	d->meter->done += stream_in_bytes(d->in) - d->metered;
	if (totals.states != d->totals.states || totals.changes != d->totals.changes ||
	    d->state.number != d->header->last || d->state.entries != d->header->entries)
		return damaged(d, "it does not hold what it says it holds");
	return 0;
}

int copy_decode(struct stream_in *in, const struct stream_header *header, struct copy_meter *meter,
                const struct copy_sink *sink, void *ctx)
{
	struct decoder *d = calloc(1, sizeof *d);
	int rc;

	if (!d)
		return error_system(ENOMEM, "reading a backup stream");
	d->in = in;
	d->header = header;
	d->meter = meter;
	d->sink = sink;
	d->ctx = ctx;
	d->state = (struct copy_state){ .number = header->base,
		                        .time_ns = header->base_time_ns,
		                        .entries = header->base_entries };
	rc = decode_all(d);
	key_arena_free(&d->arena);
	free(d);
	return rc;
}
