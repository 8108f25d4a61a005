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

#include "engine/check_values.h"
#include "engine/grow.h"
#include "engine/policy.h"
#include "engine/run.h"
#include "engine/utf8.h"
#include "engine/value.h"
#include "prefixes/copy.h"

/* A collection that is open. Little is kept of it: how deep they nest is the stream's to say. */
struct level {
	struct level *outer;
	uint32_t kind;
	bool whole;                  /* puts only */
	bool any;                    /* a change was read: key is the last one's */
	uint64_t count;              /* of changes */
	size_t key_len, key_cap, len, cap;
	uint8_t *key;
	uint8_t *cell;               /* whose parts are to come */
	unsigned given, parts;
};

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
	struct level catalog, *top;
	uint8_t key[TREE_KEY_MAX], cell[TREE_CELL_MAX];
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
static int check_key(struct decoder *d, size_t len)
{
	struct level *l = d->top;
	bool typed = l->kind == DUR_MAP || l->kind == DUR_SET;
	dur_value value;
	int order, rc;

	if (l->any) {
		size_t shorter = len < l->key_len ? len : l->key_len;
		order = shorter ? memcmp(l->key, d->key, shorter) : 0;
		if (order > 0 || (order == 0 && len <= l->key_len))
			return damaged(d, "keys are out of order");
	}
	key_arena_reset(&d->arena);
	if (typed && key_decode(d->key, len, &d->arena, &value) < 0)
		return damaged(d, "a key");
	rc = grow_array(&l->key, &l->key_cap, len, 1, "reading a backup stream");
	if (rc < 0)
		return rc;
	if (len)
		memcpy(l->key, d->key, len);
	l->key_len = len;
	return 0;
}

static int get_key(struct decoder *d)
{
	size_t len = 0;
	int rc = 0;

	if (d->top->kind != DUR_LIST) {
		rc = get_sized(d, d->key, sizeof d->key, &len);
		if (rc == 0)
			rc = check_key(d, len);
	}
	d->top->any = true;
	d->top->count++;
	d->totals.changes++;
	return rc;
}

/* ---- Cells ---- */

/* What it names is blank, and can be. */
static int check_ref(const struct decoder *d, const struct nest_ref *ref)
{
	const uint8_t *cell = d->cell + ref->from;
	size_t head = ref->at - ref->from;

	if (ref->ptr.no != PAGE_FIRST || ref->ptr.birth != 0)
		return damaged(d, "a value names a page");
	if (ref->is_tree) {
		if (ref->tree.depth != 1 || ref->tree.placed > d->state.number)
			return damaged(d, "a collection");
		return 0;
	}
	if (ref->length > VALUE_BYTES_MAX || run_pages(ref->length) == 0 ||
	    head != (cell[0] & VALUE_TAGGED ? VALUE_HEAD_MAX : 1))
		return damaged(d, "a large value");
	return 0;
}

static int check_cell(struct decoder *d, size_t key_len, size_t len)
{
	const struct cell cell = { d->cell, (uint32_t)len };
	uint32_t kind = d->top->kind;
	struct nest_ref ref;
	const char *why = "";
	int rc = 0;

	if (len == 0 || key_len + len > TREE_ENTRY_MAX)
		return damaged(d, "a value");
	if (!nest_check(d->cell, len, false, &why))
		return damaged(d, why);
	if ((kind == DUR_SET || kind == DUR_RAW_SET) && (len != 1 || d->cell[0] != DUR_NULL))
		return damaged(d, "a member of a set has a value");
	for (d->top->parts = 0; rc == 0 && copy_ref(d->cell, len, d->top->parts, &ref) == 0;) {
		d->top->parts++;
		rc = check_ref(d, &ref);
	}
	if (rc == 0 && check_value(NULL, &cell, &d->arena) < 0)
		rc = error_context(DUR_E_CORRUPT, "the backup stream, in state %" PRIu64 ": ",
		                   d->state.number);
	return rc;
}

/* A cell beside a key of so many bytes. */
static int get_cell(struct decoder *d, size_t key_len, struct cell *cell)
{
	struct level *l = d->top;
	size_t len = 0;
	int rc = get_sized(d, d->cell, sizeof d->cell, &len);

	if (rc == 0)
		rc = check_cell(d, key_len, len);
	if (rc == 0 && l->parts)
		rc = grow_array(&l->cell, &l->cap, len, 1, "reading a backup stream");
	if (rc < 0)
		return rc;
	if (l->parts)
		memcpy(l->cell, d->cell, len);
	l->len = len;
	l->given = 0;
	*cell = (struct cell){ d->cell, (uint32_t)len };
	return 0;
}

static int decode_put(struct decoder *d)
{
	struct level *l = d->top;
	bool keyed = l->kind != DUR_LIST;
	struct cell cell;
	int rc;

	if (!keyed && !l->whole)
		return damaged(d, "a list's item has no place");
	rc = get_key(d);
	if (rc == 0)
		rc = get_cell(d, keyed ? l->key_len : 0, &cell);
	if (rc < 0)
		return rc;
	return d->sink->put(d->ctx, keyed ? d->key : NULL, keyed ? l->key_len : 0, &cell);
}

static int decode_del(struct decoder *d)
{
	int rc = 0;

	if (d->top->whole || d->top->kind == DUR_LIST)
		rc = damaged(d, "something is removed from what holds nothing");
	if (rc == 0)
		rc = get_key(d);
	return rc == 0 ? d->sink->del(d->ctx, d->key, d->top->key_len) : rc;
}

/* In a list that changes. Whether it has such a position is up to the copy. */
static int decode_item(struct decoder *d, enum copy_item what)
{
	struct cell cell;
	uint64_t at = 0, n = 0;
	int rc;

	if (d->top->kind != DUR_LIST || d->top->whole)
		return damaged(d, "an item of no list");
	d->totals.changes++;
	rc = get_number(d, &at);
	if (rc == 0 && what == COPY_CUT)
		rc = get_number(d, &n);
	else if (rc == 0)
		rc = get_cell(d, 0, &cell);
	if (rc < 0)
		return rc;
	return what == COPY_CUT ? d->sink->cut(d->ctx, at, n) : d->sink->item(d->ctx, what, at, &cell);
}

/* ---- Parts ---- */

static int decode_bytes(struct decoder *d, uint64_t left)
{
	const uint8_t *at = NULL;
	size_t n = 0;
	int rc = 0;

	for (; left > 0 && rc == 0; left -= n) {
		rc = stream_in_piece(d->in, left, &at, &n);
		if (rc == 0)
			rc = d->sink->piece(d->ctx, at, n);
		if (rc == 0)
			rc = copy_step(d->meter);
	}
	return rc == 0 ? d->sink->bytes_end(d->ctx) : rc;
}

static int open_level(struct decoder *d, uint32_t kind, bool whole)
{
	struct level *l = calloc(1, sizeof *l);

	if (!l)
		return error_system(ENOMEM, "reading a backup stream");
	l->outer = d->top;
	l->kind = kind;
	l->whole = whole;
	d->top = l;
	return 0;
}

static void pop(struct decoder *d)
{
	struct level *l = d->top;

	d->top = l->outer;
	free(l->key);
	free(l->cell);
	free(l);
}

static int decode_part(struct decoder *d, enum copy_part how)
{
	struct level *l = d->top;
	struct nest_ref ref;
	uint64_t nth = 0;
	int rc;

	if (copy_ref(l->cell, l->len, l->given, &ref))
		return damaged(d, "a part of no value");
	rc = how == COPY_WHOLE ? 0 : get_number(d, &nth);
	bool cells = ref.is_tree && ref.tree.kind != DUR_ROPE;
	if (rc == 0 && (nth > TREE_CELL_MAX || (how == COPY_CHANGED && !cells)))
		rc = damaged(d, "a part");
	if (rc == 0)
		rc = d->sink->part(d->ctx, how, (unsigned)nth);
	if (rc < 0)
		return rc;
	if (how != COPY_KEPT && cells)
		return open_level(d, ref.tree.kind, how == COPY_WHOLE);
	l->given++;
	return how == COPY_KEPT ? 0 : decode_bytes(d, ref.is_tree ? ref.tree.count : ref.length);
}

static int decode_close(struct decoder *d)
{
	const struct level *l = d->top;
	struct nest_ref ref;

	if (!l->outer)
		return damaged(d, "the end of a collection that has not begun");
	copy_ref(l->outer->cell, l->outer->len, l->outer->given, &ref);
	if (l->whole && l->count != ref.tree.count)
		return damaged(d, "a collection has other entries than it says");
	pop(d);
	d->top->given++;
	return d->sink->close(d->ctx);
}

/* ---- States ---- */

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
	d->catalog.any = false;
	d->totals.states++;
	d->catalog.whole = d->totals.states == 1 && d->header->base == 0;
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
	if (d->catalog.any || name.state == 0 || name.state > d->state.number ||
	    state_name_check(name.name) < 0)
		return damaged(d, "a name of a state");
	return d->sink->name(d->ctx, &name);
}

/* Parts come at once behind the cell that names them, names and the end at the catalog alone. */
static int decode_record(struct decoder *d, uint8_t letter)
{
	bool part = letter == COPY_WHOLE || letter == COPY_KEPT || letter == COPY_CHANGED;

	if (part != (d->top->given < d->top->parts))
		return damaged(d, part ? "a part of no value" : "a value lacks a part");
	if (d->top->outer && (letter == COPY_NAME || letter == COPY_STATE_END))
		return damaged(d, "a collection has no end");
	switch (letter) {
	case COPY_NAME: return decode_name(d);
	case COPY_PUT: return decode_put(d);
	case COPY_DEL: return decode_del(d);
	case COPY_WHOLE:
	case COPY_KEPT:
	case COPY_CHANGED: return decode_part(d, (enum copy_part)letter);
	case COPY_SET:
	case COPY_INSERT:
	case COPY_CUT: return decode_item(d, (enum copy_item)letter);
	case COPY_CLOSE: return decode_close(d);
	case COPY_STATE_END: return d->sink->state_end(d->ctx);
	default: return damaged(d, "a record of an unknown kind");
	}
}

static int state_changes(struct decoder *d)
{
	uint8_t letter;
	int rc;

	do {
		rc = stream_in_get(d->in, &letter, 1);
		if (rc < 0)
			break;
		rc = decode_record(d, letter);
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
	d->top = &d->catalog;
	d->catalog.kind = header->flags & STREAM_RAW ? DUR_RAW_MAP : DUR_MAP;
	rc = decode_all(d);
	while (d->top->outer)
		pop(d);
	free(d->catalog.key);
	free(d->catalog.cell);
	key_arena_free(&d->arena);
	free(d);
	return rc;
}
