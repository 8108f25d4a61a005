/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call of duramen.h with arguments that cannot be: NULL and {0} handles, outputs that must be
 * given, flags it does not take, reserved fields, handles kept too long. Each answers what the
 * header says, with a message, and changes nothing. (Handles of the parent process: test_fork.c.)
 */
#include "prefix_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A refusal has a message of its own. */
#define REFUSED(result, call) \
	do { \
		message_forget(); \
		EXPECT(result, call); \
		HOLDS(!message_forgotten(), "%s: no message", #call); \
	} while (0)
#define MISUSED(call) REFUSED(DUR_E_MISUSE, call)

/* Outputs are filled with this before a call that must leave them alone. */
enum { UNTOUCHED = 0x5a };

static void *const poison = (void *)(uintptr_t)0xdead0;
static const char *root;
static dur_workspace *ws;
static dur_prefix *p, *raw;
static dur_view *snap, *txn;

static void message_forget(void)
{
	EXPECT(DUR_E_TYPE, dur_put(dur_root(txn), &DUR_PATH(""), &DUR_INT(0)));
}

static bool message_forgotten(void)
{
	return *dur_message() == '\0' || strstr(dur_message(), "leads to the collection itself");
}

static bool untouched(const void *at, size_t n)
{
	const uint8_t *bytes = at;

	for (size_t i = 0; i < n; i++)
		if (bytes[i] != UNTOUCHED)
			return false;
	return true;
}
#define FILL(out)       memset(&(out), UNTOUCHED, sizeof(out))
#define IS_UNTOUCHED(out) HOLDS(untouched(&(out), sizeof(out)), "%s was written", #out)

static void setup(void)
{
	root = kit_path("root");
	ws = prefix_workspace(root);
	p = prefix_attach(ws, "some/p", NULL);
	EXPECT(0, dur_attach(ws, "raw", DUR_CREATE | DUR_RAW, NULL, &raw));
	for (int i = 1; i <= 3; i++)
		prefix_put(p, "n", i, false);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	EXPECT(0, dur_begin(raw, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
}

static void teardown(void)
{
	dur_close(snap);
	dur_close(txn);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_detach(raw));
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

/* Each bit that is not in takes, alone. */
#define EACH_OTHER_FLAG(flag, takes) \
	for (uint32_t flag = 1; flag; flag <<= 1) \
		if (!(flag & (uint32_t)(takes)))

/* ---- Workspace and prefix ---- */

START_TEST(workspace_open)
{
	dur_workspace *got = poison;
	dur_workspace_options o = { 0 };
	char path[4096];
	int fd;

	MISUSED(dur_workspace_open(NULL, NULL, &got));
	ck_assert_ptr_null(got);
	MISUSED(dur_workspace_open("", NULL, &got));
	MISUSED(dur_workspace_open(root, NULL, NULL));
	o.pad = 1;
	MISUSED(dur_workspace_open(root, &o, &got));
	for (int i = 0; i < 4; i++) {
		o = (dur_workspace_options){ 0 };
		o.reserved[i] = 1;
		got = poison;
		MISUSED(dur_workspace_open(root, &o, &got));
		ck_assert_ptr_null(got);
	}
	snprintf(path, sizeof path, "%s/missing/new", root);
	REFUSED(-ENOENT, dur_workspace_open(path, NULL, &got));
	snprintf(path, sizeof path, "%s/file", root);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	REFUSED(-ENOTDIR, dur_workspace_open(path, NULL, &got));
	ck_assert_ptr_null(got);
	EXPECT(0, dur_workspace_close(NULL));
	REFUSED(-EBUSY, dur_workspace_close(ws));
	EXPECT(0, dur_workspace_open(root, NULL, &got)); /* once more is fine */
	EXPECT(0, dur_workspace_close(got));
	HOLDS(prefix_int(p, DUR_LATEST, "n", 0) == 3, "the workspace is still open");
}
END_TEST

START_TEST(workspace_modes)
{
	dur_workspace *open_ws;
	dur_prefix *q;
	char path[4096];
	struct stat st;

	umask(0);
	EXPECT(0, dur_workspace_open(root, &(dur_workspace_options){ .mode = 0640 }, &open_ws));
	q = prefix_attach(open_ws, "shared", NULL);
	snprintf(path, sizeof path, "%s/shared.dur", root);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	snprintf(path, sizeof path, "%s/shared.dur-coord", root);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	snprintf(path, sizeof path, "%s/some/p.dur", root);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	EXPECT(0, dur_detach(q));
	EXPECT(0, dur_workspace_close(open_ws));
}
END_TEST

static void attach_refused(int result, dur_workspace *in, const char *name, uint32_t flags,
                           const dur_attach_options *o)
{
	dur_prefix *got = poison;

	message_forget();
	HOLDS(dur_attach(in, name, flags, o, &got) == result, "%s, flags 0x%x: %s",
	      name ? name : "NULL", flags, dur_message());
	HOLDS(!message_forgotten(), "%s, flags 0x%x", name ? name : "NULL", flags);
	HOLDS(!got, "%s: a handle was given", name ? name : "NULL");
}

static uint32_t prefixes_there(void)
{
	dur_prefix_info list[32];
	uint32_t n;

	EXPECT(0, dur_prefixes(ws, 0, list, 32, &n));
	return n;
}

START_TEST(attach)
{
	enum {
		TAKES = DUR_CREATE | DUR_EXCLUSIVE | DUR_READ_ONLY | DUR_MEMORY | DUR_RAW |
		        DUR_HOLD_LOCK
	};
	dur_attach_options o = { 0 };
	uint32_t before = prefixes_there();
	char path[4096];
	struct stat st;

	attach_refused(DUR_E_MISUSE, ws, NULL, DUR_CREATE, NULL);
	MISUSED(dur_attach(ws, "some/p", 0, NULL, NULL));
	EACH_OTHER_FLAG(flag, TAKES)
		attach_refused(DUR_E_MISUSE, ws, "new/q", DUR_CREATE | flag, NULL);
	attach_refused(DUR_E_MISUSE, ws, "new/q", DUR_EXCLUSIVE, NULL);
	attach_refused(DUR_E_MISUSE, ws, "new/q", DUR_READ_ONLY | DUR_CREATE, NULL);
	attach_refused(DUR_E_MISUSE, ws, "some/p", DUR_READ_ONLY | DUR_HOLD_LOCK, NULL);
	for (int i = 0; i < 4; i++) {
		o = (dur_attach_options){ 0 };
		o.reserved[i] = 1;
		attach_refused(DUR_E_MISUSE, ws, "new/q", DUR_CREATE, &o);
	}
	o = (dur_attach_options){ .lock_ms = (uint32_t)INT_MAX + 1 };
	attach_refused(DUR_E_MISUSE, ws, "new/q", DUR_CREATE, &o);
	o = (dur_attach_options){ .async_ms = (uint32_t)INT_MAX + 1 };
	attach_refused(DUR_E_MISUSE, ws, "new/q", DUR_CREATE, &o);
	o = (dur_attach_options){ .keep = "last:0" };
	attach_refused(DUR_E_MISUSE, ws, "new/q", DUR_CREATE, &o);
	o = (dur_attach_options){ .keep = "for:0d" };
	attach_refused(DUR_E_MISUSE, ws, "new/q", DUR_CREATE, &o);
	attach_refused(DUR_E_NAME, ws, "../p", DUR_CREATE, NULL);
	attach_refused(DUR_E_NAME, ws, "", DUR_CREATE, NULL);
	attach_refused(DUR_E_NAME, ws, "a\nb", DUR_CREATE, NULL);
	attach_refused(-ENOENT, ws, "new/q", 0, NULL);
	attach_refused(-EEXIST, ws, "some/p", DUR_CREATE | DUR_EXCLUSIVE, NULL);
	snprintf(path, sizeof path, "%s/new", root);
	ck_assert_int_eq(stat(path, &st), -1);
	ck_assert_uint_eq(prefixes_there(), before);
}
END_TEST

START_TEST(attach_what_is_none)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/text.dur", root);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	for (int i = 0; i < 5000; i++)
		ck_assert_int_eq(write(fd, "hello\n", 6), 6);
	close(fd);
	attach_refused(DUR_E_FORMAT, ws, "text", 0, NULL);
	attach_refused(DUR_E_FORMAT, ws, "text", DUR_CREATE, NULL);
	attach_refused(DUR_E_FORMAT, NULL, path, DUR_READ_ONLY, NULL);
	REFUSED(DUR_E_FORMAT, dur_drop(ws, "text"));
	REFUSED(DUR_E_FORMAT, dur_check(ws, "text", 0, NULL, NULL, NULL));
	ck_assert_uint_eq(file_bytes(path), 30000);
	snprintf(path, sizeof path, "%s/folder.dur", root);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	attach_refused(DUR_E_FORMAT, ws, "folder", 0, NULL);
	ck_assert_uint_eq(prefixes_there(), 2); /* neither is listed */
}
END_TEST

START_TEST(detach_and_drop)
{
	dur_view *v;

	EXPECT(0, dur_detach(NULL));
	REFUSED(-EBUSY, dur_detach(p));
	REFUSED(-EBUSY, dur_drop(ws, "some/p"));
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	ck_assert_int_eq(view_int(v, "n", 0), 3);
	dur_close(v);
	MISUSED(dur_drop(NULL, "some/p"));
	MISUSED(dur_drop(ws, NULL));
	REFUSED(-ENOENT, dur_drop(ws, "other"));
	REFUSED(DUR_E_NAME, dur_drop(ws, "some/../raw"));
	ck_assert_uint_eq(prefixes_there(), 2);
}
END_TEST

START_TEST(prefixes)
{
	dur_prefix_info list[2];
	uint32_t n;

	FILL(n);
	FILL(list);
	MISUSED(dur_prefixes(NULL, 0, list, 2, &n));
	MISUSED(dur_prefixes(ws, 0, list, 2, NULL));
	MISUSED(dur_prefixes(ws, 0, NULL, 2, &n));
	IS_UNTOUCHED(n);
	IS_UNTOUCHED(list);
	EXPECT(0, dur_prefixes(ws, 0, NULL, 0, &n));
	ck_assert_uint_eq(n, 0);
	EXPECT(0, dur_prefixes(ws, 0, list, 1, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(list[0].name, "raw");
	EXPECT(0, dur_prefixes(ws, 1, list, 2, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(list[0].name, "some/p");
	ck_assert_uint_ge(list[0].newest, 4);
	ck_assert_uint_gt(list[0].file_bytes, 0);
	ck_assert_uint_eq(list[0].flags, 0);
}
END_TEST

/* ---- Views ---- */

START_TEST(snapshot)
{
	dur_view *v = poison;
	dur_view_options o = { 0 };

	MISUSED(dur_snapshot(NULL, DUR_LATEST, NULL, &v));
	ck_assert_ptr_null(v);
	MISUSED(dur_snapshot(p, DUR_LATEST, NULL, NULL));
	EACH_OTHER_FLAG(flag, DUR_ON_DISK) {
		o = (dur_view_options){ .flags = flag };
		v = poison;
		MISUSED(dur_snapshot(p, DUR_LATEST, &o, &v));
		ck_assert_ptr_null(v);
	}
	for (int i = 0; i < 4; i++) {
		o = (dur_view_options){ 0 };
		o.reserved[i] = 1;
		MISUSED(dur_snapshot(p, DUR_LATEST, &o, &v));
	}
	o = (dur_view_options){ .memory_bytes = 1 << 20 };
	MISUSED(dur_snapshot(p, DUR_LATEST, &o, &v));
	v = poison;
	REFUSED(DUR_E_GONE, dur_snapshot(p, 1000000, NULL, &v));
	ck_assert_ptr_null(v);
	REFUSED(DUR_E_GONE, dur_snapshot(p, UINT64_MAX - 1, NULL, &v));
	REFUSED(DUR_E_GONE, dur_snapshot(p, UINT64_MAX, NULL, &v));
}
END_TEST

START_TEST(begin)
{
	dur_view *v = poison;
	dur_view_options o = { 0 };
	dur_prefix *reading;

	MISUSED(dur_begin(NULL, NULL, &v));
	ck_assert_ptr_null(v);
	MISUSED(dur_begin(p, NULL, NULL));
	EACH_OTHER_FLAG(flag, DUR_NO_WAIT | DUR_LENIENT) {
		o = (dur_view_options){ .flags = flag };
		v = poison;
		MISUSED(dur_begin(p, &o, &v));
		ck_assert_ptr_null(v);
	}
	for (int i = 0; i < 4; i++) {
		o = (dur_view_options){ 0 };
		o.reserved[i] = 1;
		MISUSED(dur_begin(p, &o, &v));
	}
	o = (dur_view_options){ .lock_ms = (uint32_t)INT_MAX + 1 };
	MISUSED(dur_begin(p, &o, &v));
	REFUSED(-EDEADLK, dur_begin(raw, NULL, &v));
	o = (dur_view_options){ .flags = DUR_NO_WAIT };
	REFUSED(-EDEADLK, dur_begin(raw, &o, &v));
	EXPECT(0, dur_attach(ws, "some/p", DUR_READ_ONLY, NULL, &reading));
	v = poison;
	REFUSED(DUR_E_READ_ONLY, dur_begin(reading, NULL, &v));
	ck_assert_ptr_null(v);
	REFUSED(DUR_E_READ_ONLY, dur_keep(reading, "last:1"));
	REFUSED(DUR_E_READ_ONLY, dur_pack_history(reading, -1));
	EXPECT(0, dur_detach(reading));
	EXPECT(0, dur_begin(p, NULL, &v)); /* all these took no lock */
	dur_close(v);
}
END_TEST

static const char *const no_names[] = {
	"", "1", "-1", "+a", "@1", "2026-11-20T10:00:00Z", "latest", "LATEST", "two words", "a\tb", "a\x7f",
	"\xff", "a\xc2\xa0",
	"123456789 123456789 123456789 123456789 123456789 123456789 1234",
};

START_TEST(commit)
{
	static const char label63[] = "123456789 123456789 123456789 123456789 123456789 123456789 123";
	dur_commit_options o = { 0 };
	dur_state_info info;
	uint64_t state, newest = prefix_newest_state(p);
	uint32_t n;
	dur_view *v;

	FILL(state);
	MISUSED(dur_commit(NULL, NULL, &state));
	REFUSED(DUR_E_READ_ONLY, dur_commit(snap, NULL, &state));
	EXPECT(0, dur_begin(p, NULL, &v));
	EXPECT(0, dur_put(dur_root(v), &DUR_STR("n"), &DUR_INT(4)));
	EACH_OTHER_FLAG(flag, DUR_ASYNC) {
		o = (dur_commit_options){ .flags = flag };
		MISUSED(dur_commit(v, &o, &state));
	}
	o = (dur_commit_options){ .pad = 1 };
	MISUSED(dur_commit(v, &o, &state));
	for (int i = 0; i < 4; i++) {
		o = (dur_commit_options){ 0 };
		o.reserved[i] = 1;
		MISUSED(dur_commit(v, &o, &state));
	}
	for (size_t i = 0; i < sizeof no_names / sizeof *no_names; i++) {
		o = (dur_commit_options){ .name = no_names[i] };
		REFUSED(DUR_E_NAME, dur_commit(v, &o, &state));
	}
	o = (dur_commit_options){ .label = "123456789 123456789 123456789 123456789 "
	                                   "123456789 123456789 1234" };
	ck_assert_uint_eq(strlen(o.label), 64);
	REFUSED(DUR_E_LIMIT, dur_commit(v, &o, &state));
	o = (dur_commit_options){ .label = "not UTF-8: \xff" };
	MISUSED(dur_commit(v, &o, &state));
	IS_UNTOUCHED(state);
	ck_assert_uint_eq(prefix_newest_state(p), newest);
	ck_assert_uint_eq(strlen(label63), 63);
	o = (dur_commit_options){ .label = label63 }; /* after all that it is as it was */
	EXPECT(0, dur_commit(v, &o, &state));
	ck_assert_uint_gt(state, newest);
	REFUSED(DUR_E_READ_ONLY, dur_commit(v, NULL, NULL));
	ck_assert_int_eq(view_int(v, "n", 0), 4);
	dur_close(v);
	EXPECT(0, dur_states(p, 0, 0, &info, 1, &n));
	ck_assert_uint_eq(info.state, state);
	ck_assert_str_eq(info.label, label63);
}
END_TEST

START_TEST(no_view)
{
	dur_coll none = dur_root(NULL);

	dur_close(NULL);
	ck_assert_uint_eq(dur_state(NULL), 0);
	ck_assert_ptr_null(none.view);
	ck_assert_uint_eq(none.kind, 0);
	ck_assert_uint_eq(dur_root(snap).kind, DUR_MAP);
	ck_assert_uint_eq(dur_root(txn).kind, DUR_RAW_MAP);
}
END_TEST

/* ---- Waiting ---- */

START_TEST(waiting)
{
	dur_prefix *many[129];
	uint64_t state, seen[129], newest = prefix_newest_state(p);
	int fd;

	FILL(state);
	FILL(fd);
	MISUSED(dur_wait(NULL, 0, 0, &state));
	MISUSED(dur_wait(p, 0, 0, NULL));
	MISUSED(dur_wait(p, 0, -2, &state));
	for (int i = 0; i < 129; i++) {
		many[i] = p;
		seen[i] = 0x5a5a5a5a5a5a5a5a;
	}
	MISUSED(dur_wait_any(NULL, seen, 1, 0));
	MISUSED(dur_wait_any(many, NULL, 1, 0));
	MISUSED(dur_wait_any(many, seen, 0, 0));
	MISUSED(dur_wait_any(many, seen, 2, -2));
	REFUSED(DUR_E_LIMIT, dur_wait_any(many, seen, 129, 0));
	many[1] = NULL;
	MISUSED(dur_wait_any(many, seen, 2, 0));
	IS_UNTOUCHED(seen);
	MISUSED(dur_sync(NULL, DUR_LATEST, 0));
	MISUSED(dur_sync(p, DUR_LATEST, -2));
	REFUSED(DUR_E_RANGE, dur_sync(p, newest + 1000, -1));
	REFUSED(DUR_E_RANGE, dur_sync(p, UINT64_MAX, -1));
	MISUSED(dur_poll_fd(NULL, &fd));
	MISUSED(dur_poll_fd(p, NULL));
	IS_UNTOUCHED(state);
	IS_UNTOUCHED(fd);
}
END_TEST

/* ---- Elements and order ---- */

/* What is wrong with a collection, of every call that takes one. */
static void coll_refused(int result, dur_coll c)
{
	dur_value value, key = DUR_STR("n"), one = DUR_INT(1);
	uint64_t n;
	dur_iter *it = poison;

	FILL(value);
	FILL(n);
	REFUSED(result, dur_get(c, &key, &value));
	REFUSED(result, dur_get(c, &key, NULL));
	REFUSED(result, dur_get_many(c, &key, 1, &value));
	REFUSED(result, dur_put(c, &key, &one));
	REFUSED(result, dur_put_many(c, &key, &one, 1));
	REFUSED(result, dur_swap(c, &key, NULL, &one));
	REFUSED(result, dur_del(c, &key));
	REFUSED(result, dur_scan(c, NULL, &it));
	ck_assert_ptr_null(it);
	REFUSED(result, dur_count(c, NULL, &n));
	REFUSED(result, dur_rank(c, &key, &n));
	REFUSED(result, dur_nth(c, 0, &key, &value));
	REFUSED(result, dur_clear(c, NULL, &n));
	IS_UNTOUCHED(value);
	IS_UNTOUCHED(n);
	ck_assert_uint_eq(key.type, DUR_STR);
}

START_TEST(collections_that_are_none)
{
	dur_view *v;
	dur_coll of_snapshot, of_txn;

	coll_refused(DUR_E_MISUSE, (dur_coll){ 0 });
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	of_snapshot = dur_root(v);
	dur_close(v);
	coll_refused(DUR_E_STALE, of_snapshot);
	EXPECT(0, dur_begin(p, NULL, &v)); /* may be the same memory */
	of_txn = dur_root(v);
	coll_refused(DUR_E_STALE, of_snapshot);
	EXPECT(0, dur_put(of_txn, &DUR_STR("n"), &DUR_INT(9)));
	dur_close(v);
	coll_refused(DUR_E_STALE, of_txn);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", 0), 3);
}
END_TEST

START_TEST(elements)
{
	dur_value key = DUR_STR("n"), value, one = DUR_INT(1);
	dur_view *v;
	dur_coll c;

	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &v));
	c = dur_root(v);
	FILL(value);
	MISUSED(dur_get(c, NULL, &value));
	MISUSED(dur_get_many(c, NULL, 1, &value));
	MISUSED(dur_get_many(c, &key, 1, NULL));
	IS_UNTOUCHED(value);
	EXPECT(0, dur_get_many(c, NULL, 0, NULL));
	MISUSED(dur_put(c, NULL, &one));
	MISUSED(dur_put(c, &key, NULL));
	MISUSED(dur_put_many(c, NULL, &one, 1));
	MISUSED(dur_put_many(c, &key, NULL, 1));
	EXPECT(0, dur_put_many(c, NULL, NULL, 0));
	MISUSED(dur_swap(c, NULL, NULL, &one));
	MISUSED(dur_swap(c, &key, &DUR_INT(3), NULL));
	MISUSED(dur_swap(c, &key, &DUR_INT(4), NULL)); /* even where nothing would be put */
	MISUSED(dur_del(c, NULL));
	EXPECT(0, dur_get(c, &key, &value));
	ck_assert_int_eq(value.i, 3);
	dur_close(v);
}
END_TEST

/* Every writing call in a snapshot. */
START_TEST(writes_in_a_snapshot)
{
	dur_value key = DUR_STR("n"), one = DUR_INT(1);
	dur_coll c = dur_root(snap);
	uint64_t n;

	FILL(n);
	REFUSED(DUR_E_READ_ONLY, dur_put(c, &key, &one));
	REFUSED(DUR_E_READ_ONLY, dur_put_many(c, &key, &one, 1));
	REFUSED(DUR_E_READ_ONLY, dur_swap(c, &key, NULL, &one));
	REFUSED(DUR_E_READ_ONLY, dur_del(c, &key));
	REFUSED(DUR_E_READ_ONLY, dur_clear(c, NULL, &n));
	IS_UNTOUCHED(n);
	ck_assert_int_eq(view_int(snap, "n", 0), 3);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", 0), 3);
}
END_TEST

START_TEST(ranges)
{
	enum { TAKES = DUR_REVERSE | DUR_AFTER_FROM | DUR_WITH_TO | DUR_STARTS };
	dur_value a = DUR_STR("a");
	dur_coll c = dur_root(snap);
	dur_iter *it = poison;
	uint64_t n;
	struct {
		int result;
		dur_range range;
	} wrong[] = {
		{ DUR_E_MISUSE, { .pad = 1 } },
		{ DUR_E_MISUSE, { .flags = DUR_STARTS } },
		{ DUR_E_MISUSE, { .flags = DUR_STARTS, .from = &a, .to = &a } },
		{ DUR_E_RANGE, { .part = 1 } },
		{ DUR_E_RANGE, { .part = 3, .parts = 3 } },
		{ DUR_E_TYPE, { .from = &(dur_value){ .type = DUR_MAP } } },
		{ DUR_E_TYPE, { .to = &(dur_value){ .type = DUR_ABSENT } } },
		{ DUR_E_PATH, { .to = &DUR_PATH("a") } },
		{ DUR_E_PATH, { .from = &DUR_PATH("/a/b") } },
	};

	FILL(n);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		REFUSED(wrong[i].result, dur_count(c, &wrong[i].range, &n));
		it = poison;
		REFUSED(wrong[i].result, dur_scan(c, &wrong[i].range, &it));
		ck_assert_ptr_null(it);
		REFUSED(DUR_E_READ_ONLY, dur_clear(c, &wrong[i].range, &n));
	}
	EACH_OTHER_FLAG(flag, TAKES)
		MISUSED(dur_count(c, &(dur_range){ .flags = flag, .from = &a }, &n));
	MISUSED(dur_count(c, NULL, NULL));
	MISUSED(dur_scan(c, NULL, NULL));
	MISUSED(dur_rank(c, &a, NULL));
	MISUSED(dur_rank(c, NULL, &n));
	MISUSED(dur_rank(c, &DUR_PATH(""), &n));
	IS_UNTOUCHED(n);
}
END_TEST

START_TEST(iterators)
{
	dur_value key, value;
	dur_change change;
	dur_iter *it, *log = poison;
	uint64_t n;

	FILL(key);
	FILL(value);
	FILL(change);
	FILL(n);
	MISUSED(dur_next(NULL, &key, &value));
	MISUSED(dur_seek(NULL, &DUR_STR("n")));
	MISUSED(dur_left(NULL, &n));
	MISUSED(dur_next_change(NULL, &change));
	dur_iter_close(NULL);
	EXPECT(0, dur_scan(dur_root(snap), NULL, &it));
	MISUSED(dur_left(it, NULL));
	MISUSED(dur_next_change(it, &change)); /* one over entries */
	MISUSED(dur_log(p, NULL, NULL, 0, NULL));
	MISUSED(dur_log(p, NULL, &(dur_range){ .pad = 1 }, 0, &log));
	MISUSED(dur_log(p, NULL, &(dur_range){ .flags = DUR_REVERSE }, 0, &log));
	REFUSED(DUR_E_PATH, dur_log(p, &DUR_PATH("no slash"), NULL, 0, &log));
	HOLDS(!log, "a log that was refused");
	MISUSED(dur_seek(it, NULL));
	REFUSED(DUR_E_TYPE, dur_seek(it, &(dur_value){ .type = DUR_LIST }));
	IS_UNTOUCHED(key);
	IS_UNTOUCHED(value);
	IS_UNTOUCHED(change);
	IS_UNTOUCHED(n);
	EXPECT(0, dur_next(it, &key, &value)); /* it stands where it stood */
	ck_assert_int_eq(value.i, 3);
	dur_iter_close(it);
}
END_TEST

/* ---- History, looking inside ---- */

START_TEST(history)
{
	uint64_t state, newest = prefix_newest_state(p);
	dur_state_name names[1];
	dur_state_info list[2];
	uint32_t n;

	FILL(state);
	FILL(list);
	FILL(n);
	MISUSED(dur_resolve(NULL, "latest", &state));
	MISUSED(dur_resolve(p, NULL, &state));
	MISUSED(dur_resolve(p, "latest", NULL));
	IS_UNTOUCHED(state);
	MISUSED(dur_states(NULL, 0, 0, list, 2, &n));
	MISUSED(dur_states(p, 0, 0, NULL, 2, &n));
	MISUSED(dur_states(p, 0, 0, list, 2, NULL));
	EACH_OTHER_FLAG(flag, DUR_REVERSE)
		MISUSED(dur_states(p, 0, flag, list, 2, &n));
	IS_UNTOUCHED(list);
	IS_UNTOUCHED(n);
	EXPECT(0, dur_states(p, 0, 0, NULL, 0, &n));
	ck_assert_uint_eq(n, 0);
	MISUSED(dur_keep(NULL, "all"));
	MISUSED(dur_pack_history(NULL, -1));
	MISUSED(dur_keep(p, NULL));
	MISUSED(dur_keep(p, ""));
	MISUSED(dur_keep(p, "some"));
	MISUSED(dur_keep(p, "last:-1"));
	MISUSED(dur_keep(p, "last:1,"));
	MISUSED(dur_keep(p, "every:0h"));
	REFUSED(-EDEADLK, dur_keep(raw, "all"));
	MISUSED(dur_name(NULL, "a", 1));
	MISUSED(dur_name(p, NULL, 1));
	for (size_t i = 0; i < sizeof no_names / sizeof *no_names; i++) {
		REFUSED(DUR_E_NAME, dur_name(p, no_names[i], 1));
		REFUSED(DUR_E_NAME, dur_unname(p, no_names[i]));
	}
	REFUSED(DUR_E_GONE, dur_name(p, "a", 1000000));
	REFUSED(-EDEADLK, dur_name(raw, "a", 1));
	MISUSED(dur_unname(NULL, "a"));
	MISUSED(dur_unname(p, NULL));
	EXPECT(DUR_NONE, dur_unname(p, "a"));
	MISUSED(dur_names(NULL, 0, names, 1, &n));
	MISUSED(dur_names(p, 0, NULL, 1, &n));
	MISUSED(dur_names(p, 0, names, 1, NULL));
	ck_assert_uint_eq(prefix_newest_state(p), newest);
}
END_TEST

START_TEST(looking_inside)
{
	dur_prefix_stat stat;
	dur_reader list[2];
	dur_view_cost cost;
	uint32_t n;

	FILL(stat);
	FILL(list);
	FILL(cost);
	FILL(n);
	MISUSED(dur_stat(NULL, &stat));
	MISUSED(dur_stat(p, NULL));
	MISUSED(dur_readers(NULL, 0, list, 2, &n));
	MISUSED(dur_readers(p, 0, NULL, 2, &n));
	MISUSED(dur_readers(p, 0, list, 2, NULL));
	MISUSED(dur_cost(NULL, &cost));
	MISUSED(dur_cost(snap, NULL));
	IS_UNTOUCHED(stat);
	IS_UNTOUCHED(list);
	IS_UNTOUCHED(cost);
	IS_UNTOUCHED(n);
	MISUSED(dur_check(ws, NULL, 0, NULL, NULL, NULL));
	MISUSED(dur_check(NULL, NULL, 0, NULL, NULL, NULL));
	EACH_OTHER_FLAG(flag, DUR_HISTORY)
		MISUSED(dur_check(ws, "some/p", flag, NULL, NULL, NULL));
	REFUSED(-ENOENT, dur_check(ws, "other", 0, NULL, NULL, NULL));
	REFUSED(DUR_E_NAME, dur_check(ws, "/", 0, NULL, NULL, NULL));
}
END_TEST

/* ---- Results ---- */

START_TEST(results)
{
	ck_assert_str_eq(dur_version(), "0.1.0");
	for (int rc = -5100; rc <= 2; rc++)
		ck_assert_ptr_nonnull(dur_strerror(rc));
	ck_assert_ptr_nonnull(dur_strerror(INT_MIN));
	ck_assert_ptr_nonnull(dur_strerror(INT_MAX));
	for (int rc = DUR_E_PEER; rc <= DUR_E_MISUSE; rc++) {
		ck_assert_str_ne(dur_strerror(rc), dur_strerror(-5100));
		for (int other = rc + 1; other <= DUR_E_MISUSE; other++)
			ck_assert_str_ne(dur_strerror(rc), dur_strerror(other));
	}
	ck_assert_str_eq(dur_strerror(-ENOENT), strerror(ENOENT));
}
END_TEST

static void *other_thread(void *arg)
{
	char *kept = arg;

	HOLDS(*dur_message() == '\0', "a new thread begins with: %s", dur_message());
	EXPECT(DUR_E_MISUSE, dur_keep(p, "every:1"));
	strcpy(kept, dur_message());
	return NULL;
}

START_TEST(messages)
{
	char mine[1024], others[1024];
	pthread_t thread;

	REFUSED(DUR_E_GONE, dur_snapshot(p, 1000000, NULL, &(dur_view *){ NULL }));
	strcpy(mine, dur_message());
	EXPECT(DUR_NONE, dur_get(dur_root(snap), &DUR_STR("not there"), NULL));
	EXPECT(0, dur_get(dur_root(snap), &DUR_STR("n"), NULL));
	ck_assert_str_eq(dur_message(), mine); /* a plain no and success say nothing */
	ck_assert_int_eq(pthread_create(&thread, NULL, other_thread, others), 0);
	pthread_join(thread, NULL);
	ck_assert_str_eq(dur_message(), mine);
	ck_assert_str_ne(others, mine);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("api_arguments");
	TCase *tc = tcase_create("arguments");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, workspace_open);
	tcase_add_test(tc, workspace_modes);
	tcase_add_test(tc, attach);
	tcase_add_test(tc, attach_what_is_none);
	tcase_add_test(tc, detach_and_drop);
	tcase_add_test(tc, prefixes);
	tcase_add_test(tc, snapshot);
	tcase_add_test(tc, begin);
	tcase_add_test(tc, commit);
	tcase_add_test(tc, no_view);
	tcase_add_test(tc, waiting);
	tcase_add_test(tc, collections_that_are_none);
	tcase_add_test(tc, elements);
	tcase_add_test(tc, writes_in_a_snapshot);
	tcase_add_test(tc, ranges);
	tcase_add_test(tc, iterators);
	tcase_add_test(tc, history);
	tcase_add_test(tc, looking_inside);
	tcase_add_test(tc, results);
	tcase_add_test(tc, messages);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
