/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile_kit.h"

#include "engine/hash.h"
#include "prefix_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	DEPTH = 24,
	STEPS = 60000, /* entries read of one state, several times what the samples have */
	CHANGES = 3000,
	COPIES = 3,
	STREAM_MAX = 256 << 20,
};

bool hostile_anything;
const char *hostile_done = "nothing";
unsigned hostile_errors;

bool hostile_failed(int rc, const char *call)
{
	if (rc >= 0)
		return false;
	if (rc == DUR_E_GONE) /* by this kit's own commits */
		return true;
	if (!hostile_anything && rc != DUR_E_CORRUPT && rc != DUR_E_FORMAT) {
		fprintf(stderr, "after %s: %s: %d: %s\n", hostile_done, call, rc, dur_message());
		_exit(HOSTILE_WRONG);
	}
	hostile_errors++;
	return true;
}

void hostile_wrong(bool wrong, const char *what, uint64_t is, uint64_t expected)
{
	if (!wrong || hostile_anything)
		return;
	fprintf(stderr, "after %s: %s: %" PRIu64 ", not %" PRIu64 "\n", hostile_done, what, is,
	        expected);
	_exit(HOSTILE_WRONG);
}

/* ---- Reading ---- */

struct reading {
	unsigned depth, steps;
	bool whole;
};

static uint64_t read_coll(struct reading *r, dur_coll c);

static bool is_set(uint32_t kind)
{
	return kind == DUR_SET || kind == DUR_RAW_SET;
}

static bool is_coll(const dur_value *value)
{
	return value->type >= DUR_MAP && value->type <= DUR_ROPE;
}

static uint64_t scalar_sum(const dur_value *value, uint64_t sum)
{
	sum = hash64(&value->type, sizeof value->type, sum + value->tag);
	switch (value->type) {
	case DUR_STR:
	case DUR_BYTES:
	case DUR_BIGINT:
	case DUR_DECIMAL:
		return hash64(value->ptr, value->len, sum);
	case DUR_TUPLE:
		for (uint64_t i = 0; i < value->len; i++)
			sum = scalar_sum(&value->items[i], sum);
		return sum;
	case DUR_UUID:
		return hash64(value->id, sizeof value->id, sum);
	case DUR_TIME:
		return hash64(&value->time.sec, 8, sum);
	case DUR_BOOL:
	case DUR_INT:
	case DUR_DOUBLE:
		return hash64(&value->i, 8, sum);
	default:
		return sum;
	}
}

static uint64_t entry_sum(struct reading *r, const dur_value *key, const dur_value *value)
{
	uint64_t sum = scalar_sum(key, 1);

	return is_coll(value) ? sum * 31 + read_coll(r, value->coll) : scalar_sum(value, sum);
}

/* A rope's pieces may be cut anywhere: its sum is of its bytes. */
static uint64_t read_rope(struct reading *r, dur_coll c)
{
	uint64_t n, got, sum = 7, at = 0;
	dur_value key, value;
	uint8_t bytes[512];
	dur_iter *it;
	int rc;

	if (FAILED(dur_count(c, NULL, &n)) || FAILED(dur_scan(c, NULL, &it))) {
		r->whole = false;
		return 0;
	}
	while ((rc = dur_next(it, &key, &value)) == 0 && r->steps++ < STEPS) {
		for (uint64_t i = 0; i < value.len; i++)
			sum = (sum + ((const uint8_t *)value.ptr)[i]) * 0x9e3779b97f4a7c15;
		hostile_wrong((uint64_t)key.i != at, "a rope's piece", (uint64_t)key.i, at);
		at += value.len;
	}
	dur_iter_close(it);
	r->whole &= !hostile_failed(rc, "dur_next() in a rope") && rc == 1;
	hostile_wrong(rc == 1 && at != n, "a rope's length", at, n);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t offset = n ? n / 3 * i : 0;

		rc = dur_read(c, offset, bytes, sizeof bytes, &got);
		if (!hostile_failed(rc, "dur_read()"))
			hostile_wrong(got != (n - offset < sizeof bytes ? n - offset : sizeof bytes),
			              "what a rope gave", got, sizeof bytes);
		else
			r->whole = false;
	}
	return sum;
}

/* Place of an entry, both ways, and the entry at the place. */
static void read_place(struct reading *r, dur_coll c, const dur_value *key, uint64_t at)
{
	dur_value there, value;
	uint64_t rank;
	int rc = dur_rank(c, key, &rank);

	if (hostile_failed(rc, "dur_rank()"))
		r->whole = false;
	else
		hostile_wrong(rc || rank != at, "an entry's rank", rank, at);
	rc = dur_nth(c, (int64_t)at, &there, &value);
	if (hostile_failed(rc, "dur_nth()"))
		r->whole = false;
	else
		hostile_wrong(rc || scalar_sum(&there, 0) != scalar_sum(key, 0), "the entry there",
		              at, at);
	rc = dur_get(c, key, &value);
	if (hostile_failed(rc, "dur_get()"))
		r->whole = false;
	else
		hostile_wrong(rc, "an entry by its key is missing", at, at);
}

/* Upward: everything below, too. Downward: the entries alone. */
static uint64_t read_ways(struct reading *r, dur_coll c, bool down, uint64_t *n)
{
	dur_range range = { .flags = down ? DUR_REVERSE : 0 };
	dur_value key, value;
	uint64_t sum = 0;
	dur_iter *it;
	int rc;

	*n = 0;
	if (FAILED(dur_scan(c, &range, &it))) {
		r->whole = false;
		return 0;
	}
	while ((rc = dur_next(it, &key, &value)) == 0 && r->steps++ < STEPS) {
		sum += is_set(c.kind) ? scalar_sum(&key, 3) :
		       down           ? scalar_sum(&key, value.type) :
		                        entry_sum(r, &key, &value);
		++*n;
	}
	dur_iter_close(it);
	r->whole &= !hostile_failed(rc, "dur_next()") && rc == 1;
	return sum;
}

static void read_places(struct reading *r, dur_coll c, uint64_t n)
{
	dur_value key;

	for (unsigned i = 0; i < 5 && i < n; i++) {
		uint64_t at = i == 4 ? n - 1 : n / 4 * i;

		int rc = dur_nth(c, (int64_t)at, &key, NULL);

		if (hostile_failed(rc, "dur_nth()"))
			r->whole = false;
		else if (rc == 0)
			read_place(r, c, &key, at);
	}
}

static uint64_t read_coll(struct reading *r, dur_coll c)
{
	uint64_t sum, n, up, down;

	if (r->depth >= DEPTH || r->steps >= STEPS) {
		r->whole = false;
		return 0;
	}
	if (c.kind == DUR_ROPE)
		return read_rope(r, c);
	r->depth++;
	if (FAILED(dur_count(c, NULL, &n))) {
		r->whole = false;
		n = 0;
	}
	bool whole = r->whole;
	r->whole = true;
	sum = read_ways(r, c, false, &up);
	read_ways(r, c, true, &down);
	if (r->whole) {
		hostile_wrong(up != n, "entries upward", up, n);
		hostile_wrong(down != n, "entries downward", down, n);
	}
	read_places(r, c, n);
	r->whole &= whole;
	r->depth--;
	return sum + c.kind;
}

bool hostile_read(dur_coll c, uint64_t *sum)
{
	struct reading r = { .whole = true };

	*sum = read_coll(&r, c);
	return r.whole;
}

/* ---- History ---- */

static void read_changes(dur_iter *it, dur_view *v)
{
	dur_change change;
	dur_value value;
	int rc, n = 0;

	while ((rc = dur_next_change(it, &change)) == 0 && n++ < CHANGES) {
		scalar_sum(&change.old, 0);
		scalar_sum(&change.now, 0);
		if (v && change.kind != DUR_REMOVED && n % 16 == 0)
			hostile_failed(dur_get(dur_root(v), &change.path, &value),
			               "dur_get() by a path");
	}
	hostile_failed(rc, "dur_next_change()");
	dur_iter_close(it);
}

static void read_diff(dur_prefix *p, uint64_t a, uint64_t b)
{
	dur_view *old, *now;
	dur_iter *it;

	if (FAILED(dur_snapshot(p, a, NULL, &old)))
		return;
	if (!FAILED(dur_snapshot(p, b, NULL, &now))) {
		if (!FAILED(dur_diff(dur_root(old), dur_root(now), NULL, &it)))
			read_changes(it, now);
		dur_close(now);
	}
	dur_close(old);
}

void hostile_history(dur_prefix *p, uint64_t a, uint64_t b, uint64_t *random)
{
	static const char *const paths[] = { "", "/map", "/list", "/rope", "/deep/1/1/1", "/mixed/7",
		                             "/copy/key 100", "/list/17", "/map/key 500" };
	static dur_state_name names[8];
	static dur_reader readers[8];
	dur_prefix_stat stat;
	dur_iter *it;
	uint32_t n;

	read_diff(p, a, b);
	read_diff(p, b, a);
	for (unsigned i = 0; i < 3; i++) {
		const dur_value path = DUR_PATH(paths[kit_random(random) % 9]);
		int rc = dur_log(p, &path, NULL, DUR_LATEST, &it);

		/* no such thing there, if anything is fine */
		if (!hostile_failed(rc, "dur_log()"))
			read_changes(it, NULL);
		if (!FAILED(dur_watch(p, &path, a < b ? a : b, i == 2 ? DUR_COALESCE : 0, &it)))
			read_changes(it, NULL);
	}
	FAILED(dur_stat(p, &stat));
	FAILED(dur_names(p, 0, names, 8, &n));
	FAILED(dur_readers(p, 0, readers, 8, &n));
}

/* ---- Writing ---- */

static char text[6000];
static unsigned copies;

/* A key that is there, or nearly. */
static dur_value random_key(dur_coll c, uint64_t *random)
{
	static char name[32];
	dur_value key = DUR_INT((int64_t)(kit_random(random) % 20));
	uint64_t n;

	if (kit_random(random) % 8 == 0 || dur_count(c, NULL, &n) < 0 || !n ||
	    dur_nth(c, (int64_t)(kit_random(random) % n), &key, NULL) != 0)
		snprintf(name, sizeof name, "new %u", (unsigned)(kit_random(random) % 10));
	else
		return key;
	return c.kind == DUR_LIST ? DUR_INT(0) : DUR_STR(name);
}

/* Into whatever luck leads to, for as long as there is a collection. */
static dur_coll random_coll(dur_view *txn, uint64_t *random)
{
	dur_coll c = dur_root(txn), below;

	for (unsigned depth = 0; depth < 8 && kit_random(random) % 6; depth++) {
		dur_value key, value;
		bool found = false;

		for (unsigned i = 0; i < 6 && !found && c.kind != DUR_ROPE && !is_set(c.kind); i++) {
			key = random_key(c, random);
			found = dur_get(c, &key, &value) == 0 && is_coll(&value);
		}
		if (!found || FAILED(dur_enter(c, &key, &below)))
			break;
		c = below;
	}
	return c;
}

static int write_rope(dur_coll c, uint64_t r, dur_view *txn, uint64_t *random)
{
	uint64_t n = 0;
	dur_coll from;

	dur_count(c, NULL, &n);
	const dur_range range = { .skip = n ? r % n : 0, .limit = 3000 };
	switch (r % 5) {
	case 0:
		return dur_write(c, n ? r % n : 0, text, r / 8 % sizeof text);
	case 1:
		return dur_insert(c, n ? (int64_t)(r % n) : 0, &DUR_STRN(text, r / 8 % 2000), 1);
	case 2:
		return dur_clear(c, &range, NULL);
	case 3:
		from = random_coll(txn, random);
		return from.kind == DUR_ROPE ? dur_splice(c, 0, from, NULL) :
		                               dur_splice(c, n ? (int64_t)(r % n) : 0, c, &range);
	default:
		return dur_append(c, &DUR_STRN(text, r / 8 % sizeof text));
	}
}

static int write_list(dur_coll c, uint64_t r, dur_view *txn, uint64_t *random)
{
	const dur_value items[2] = { DUR_INT((int64_t)r), DUR_STRN(text, r % 300) };
	uint64_t n = 0;
	dur_coll from;

	dur_count(c, NULL, &n);
	const dur_range range = { .skip = n ? r % n : 0, .limit = 1 + r / 64 % 700 };
	switch (r % 6) {
	case 0:
		return dur_insert(c, n ? (int64_t)(r % n) : 0, items, 2);
	case 1:
		return n ? dur_del(c, &DUR_INT((int64_t)(r % n))) : 0;
	case 2:
		return dur_clear(c, &range, NULL);
	case 3:
		from = random_coll(txn, random);
		return from.kind == DUR_LIST ? dur_splice(c, 0, from, NULL) :
		                               dur_splice(c, n ? (int64_t)(r % n) : 0, c, &range);
	case 4:
		return n ? dur_put(c, &DUR_INT((int64_t)(r % n)), &items[1]) : 0;
	default:
		return dur_append(c, &items[0]);
	}
}

static int write_keyed(dur_coll c, uint64_t r, dur_view *txn, uint64_t *random)
{
	dur_value key = random_key(c, random), value;
	uint64_t n = 0;
	dur_coll from;

	dur_count(c, NULL, &n);
	const dur_range range = { .skip = n ? r % n : 0, .limit = 1 + r / 64 % 700 };
	if (r % 8 < 2)
		return dur_del(c, &key);
	if (r % 8 == 2)
		return dur_clear(c, &range, NULL);
	if (is_set(c.kind))
		return dur_add(c, &key);
	switch (r % 8) {
	case 3:
	case 4:
		if (copies++ >= COPIES) /* each may double what there is */
			return 0;
		from = random_coll(txn, random);
		key = random_key(c, random); /* the one before was lent */
		return dur_put(c, &key, &DUR_COLL(from));
	case 5:
		return dur_put(c, &key, &DUR_STRN(text, r / 64 % sizeof text));
	case 6:
		value = DUR_INT(5);
		return dur_apply(c, &DUR_STR("counter"), DUR_ADD, &value, NULL);
	default:
		return dur_put(c, &key, &DUR_INT((int64_t)r));
	}
}

static int write_one(dur_view *txn, uint64_t *mark, uint64_t *random)
{
	uint64_t r = kit_random(random);
	dur_coll c;

	if (r % 16 == 0)
		return dur_mark(txn, mark);
	if (r % 16 == 1 && *mark)
		return dur_rollback(txn, *mark);
	c = random_coll(txn, random);
	r >>= 8;
	return c.kind == DUR_ROPE ? write_rope(c, r, txn, random) :
	       c.kind == DUR_LIST ? write_list(c, r, txn, random) :
	                            write_keyed(c, r, txn, random);
}

bool hostile_write(dur_prefix *p, unsigned n, uint64_t *random)
{
	unsigned errors = hostile_errors;
	uint64_t mark = 0, sum;
	bool done = false;
	dur_view *txn;

	memset(text, 'w', sizeof text);
	if (FAILED(dur_begin(p, NULL, &txn)))
		return false;
	for (unsigned i = 0; i < n; i++) {
		int rc = write_one(txn, &mark, random);

		/* a collection into itself grows; what it takes no more is no damage */
		if (rc < 0 && rc != DUR_E_TYPE && rc != DUR_E_STALE && rc != DUR_E_RANGE)
			hostile_failed(rc, "a write");
	}
	if (kit_random(random) % 4 == 0)
		hostile_read(dur_root(txn), &sum);
	if (errors == hostile_errors && kit_random(random) % 4) {
		int rc = dur_commit(txn, NULL, NULL);

		done = rc == 0;
		if (rc != DUR_E_TYPE && rc != DUR_E_STALE && rc != DUR_E_RANGE)
			hostile_failed(rc, "dur_commit()");
	} else if (kit_random(random) % 2) {
		dur_commit(txn, NULL, NULL); /* refused, or what could be written */
	}
	dur_close(txn);
	return done;
}

bool hostile_restore(dur_prefix *p, uint64_t state)
{
	dur_view *txn, *snap;
	bool done = false;

	if (FAILED(dur_snapshot(p, state, NULL, &snap)))
		return false;
	if (!FAILED(dur_begin(p, NULL, &txn))) {
		done = !FAILED(dur_restore(txn, snap)) && !FAILED(dur_commit(txn, NULL, NULL));
		dur_close(txn);
	}
	dur_close(snap);
	return done;
}

/* ---- Copies and maintenance ---- */

void hostile_backup(dur_prefix *p, const char *in)
{
	struct rlimit limit = { STREAM_MAX, STREAM_MAX };
	dur_workspace *ws = prefix_workspace(in);
	char path[PATH_MAX];
	dur_prefix *copy;
	dur_view *v;
	int fd, rc;

	/* what is small in the file must not become endless */
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	snprintf(path, sizeof path, "%s/stream", in);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	HOLDS(fd >= 0, "%s", path);
	if (!FAILED(dur_snapshot(p, DUR_LATEST, NULL, &v))) {
		rc = dur_backup(v, 0, DUR_HISTORY, fd, NULL);
		if (rc == -EFBIG || rc == -ENOSPC) {
			fprintf(stderr, "after %s: an endless stream\n", hostile_done);
			_exit(HOSTILE_WRONG);
		}
		dur_close(v);
		if (!hostile_failed(rc, "dur_backup()")) {
			lseek(fd, 0, SEEK_SET);
			if (!FAILED(dur_receive(ws, "copy", fd, NULL))) {
				rc = dur_attach(ws, "copy", 0, NULL, &copy);
				if (!hostile_failed(rc, "dur_attach() of the copy"))
					EXPECT(0, dur_detach(copy));
			}
		}
	}
	close(fd);
	unlink(path);
	rc = dur_drop(ws, "copy");
	HOLDS(rc == 0 || rc == -ENOENT, "%d: %s", rc, dur_message());
	EXPECT(0, dur_workspace_close(ws));
}

void hostile_maintain(dur_prefix *p, uint64_t *random)
{
	switch (kit_random(random) % 5) {
	case 0:
		FAILED(dur_pack_history(p, -1));
		break;
	case 1:
		FAILED(dur_keep(p, "last:2"));
		for (unsigned i = 0; i < 4; i++)
			hostile_write(p, 2, random);
		break;
	case 2:
		FAILED(dur_unname(p, "early"));
		FAILED(dur_name(p, "later", DUR_LATEST));
		break;
	case 3:
		FAILED(dur_compact(p, DUR_HISTORY, NULL));
		break;
	default:
		FAILED(dur_compact(p, 0, NULL));
	}
}
