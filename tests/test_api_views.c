/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the header promises of views: transactions and what bars their commit, snapshots of now, of
 * the disk and of long ago, history and retention, the lock among threads.
 */
#include "prefix_kit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *root;
static dur_workspace *ws;
static dur_prefix *p;

static void setup(void)
{
	root = kit_path("root");
	ws = prefix_workspace(root);
	p = prefix_attach(ws, "p", NULL);
}

static void teardown(void)
{
	prefix_end_case(ws, p, "p");
}

/* ---- Transactions ---- */

/* One wrong write of each kind; its error. */
static int wrong_write(dur_coll c, int which)
{
	static const dur_value none = { .type = DUR_ABSENT };
	dur_value key = DUR_STR("k"), one = DUR_INT(1), bad = DUR_STRN("\xff", 1);

	switch (which) {
	case 0: return dur_put(c, &key, &none);
	case 1: return dur_put(c, &bad, &one);
	case 2: return dur_put_many(c, &key, &bad, 1);
	case 3: return dur_swap(c, &bad, NULL, &one);
	case 4: return dur_del(c, &bad);
	case 5: return dur_clear(c, &(dur_range){ .part = 1 }, NULL);
	case 6: return dur_put(c, &DUR_PATH("/a/b"), &one);
	case 7: return dur_put_many(c, NULL, &one, 1);
	case 8: return dur_del(c, NULL);
	default: return 0;
	}
}

START_TEST(failed_writes_bar_the_commit)
{
	uint64_t before = prefix_put(p, "n", 1, false), state = 77;
	dur_view *txn;
	dur_coll c;
	int rc;

	for (int which = 0; which < 9; which++) {
		EXPECT(0, dur_begin(p, NULL, &txn));
		c = dur_root(txn);
		EXPECT(0, dur_put(c, &DUR_STR("n"), &DUR_INT(2)));
		rc = wrong_write(c, which);
		HOLDS(rc < 0, "wrong write %d", which);
		EXPECT(0, dur_put(c, &DUR_STR("m"), &DUR_INT(2))); /* it goes on */
		EXPECT(DUR_E_RANGE, dur_put(c, &DUR_STR("t"), &DUR_TIME(0, 0, 9999)));
		ck_assert_int_eq(view_int(txn, "n", 0), 2);
		EXPECT(rc, dur_commit(txn, NULL, &state)); /* the first error */
		EXPECT(rc, dur_commit(txn, &(dur_commit_options){ .label = "x" }, &state));
		ck_assert_uint_eq(state, 77);
		ck_assert_int_eq(view_int(txn, "m", 0), 2); /* a transaction as before */
		dur_close(txn);
		ck_assert_uint_eq(prefix_newest_state(p), before);
		ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", 0), 1);
	}
	for (int which = 0; which < 9; which++) {
		EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
		c = dur_root(txn);
		EXPECT(0, dur_put(c, &DUR_STR("n"), &DUR_INT(10 + which)));
		HOLDS(wrong_write(c, which) < 0, "wrong write %d", which);
		EXPECT(0, dur_commit(txn, NULL, &state));
		dur_close(txn);
		ck_assert_int_eq(prefix_int(p, state, "n", 0), 10 + which);
	}
}
END_TEST

START_TEST(plain_noes_do_not)
{
	dur_view *txn;
	dur_coll c;

	EXPECT(0, dur_begin(p, NULL, &txn));
	c = dur_root(txn);
	EXPECT(DUR_NONE, dur_del(c, &DUR_STR("n")));
	EXPECT(DUR_NONE, dur_del(c, &DUR_PATH("/x/y")));
	EXPECT(DUR_NONE, dur_swap(c, &DUR_STR("n"), &DUR_INT(1), &DUR_INT(2)));
	EXPECT(0, dur_clear(c, NULL, NULL));
	EXPECT(DUR_E_MISUSE, dur_get(c, &DUR_STRN("\xff", 1), NULL)); /* a read that fails */
	EXPECT(0, dur_put(c, &DUR_STR("n"), &DUR_INT(1)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", 0), 1);
}
END_TEST

/* After the commit it is a snapshot, with the same handles; what it gave stays. */
START_TEST(commit_leaves_a_snapshot)
{
	static char text[30000];
	dur_value key, value, large;
	dur_state_info info;
	dur_view_cost cost;
	uint64_t state, number;
	dur_view *txn;
	dur_iter *it;
	dur_coll c;
	uint32_t n;

	memset(text, 't', sizeof text);
	EXPECT(0, dur_keep(p, "last:1"));
	EXPECT(0, dur_begin(p, NULL, &txn));
	c = dur_root(txn);
	number = dur_state(txn);
	for (int i = 0; i < 500; i++)
		EXPECT(0, dur_put(c, &DUR_INT(i), &DUR_INT(i)));
	EXPECT(0, dur_put(c, &DUR_STR("large"), &DUR_BYTES(text, sizeof text)));
	EXPECT(0, dur_scan(c, NULL, &it));
	EXPECT(0, dur_next(it, &key, &value));
	EXPECT(0, dur_cost(txn, &cost));
	ck_assert_uint_gt(cost.memory_bytes, 0);
	EXPECT(0, dur_commit(txn, &(dur_commit_options){ .label = "n\xc3\xa4me" }, &state));
	ck_assert_uint_eq(state, number);
	ck_assert_uint_eq(dur_state(txn), state);
	ck_assert_uint_eq(dur_root(txn).stamp, c.stamp);
	EXPECT(0, dur_get(c, &DUR_STR("large"), &large));
	EXPECT(0, dur_states(p, 0, 0, &info, 1, &n));
	EXPECT(0, dur_cost(txn, &cost));
	ck_assert_uint_ge(cost.written_bytes, sizeof text);
	ck_assert_uint_eq(cost.written_bytes, info.written_bytes);
	ck_assert_uint_gt(cost.memory_peak_bytes, 0);
	ck_assert_uint_eq(cost.memory_bytes, 0);
	ck_assert_str_eq(info.label, "n\xc3\xa4me");
	EXPECT(DUR_E_READ_ONLY, dur_put(c, &DUR_INT(1), &DUR_INT(2)));
	EXPECT(DUR_E_READ_ONLY, dur_commit(txn, NULL, NULL));
	/* others write, and throw away, what it stands on */
	for (int round = 0; round < 30; round++) {
		dur_view *other;
		EXPECT(0, dur_begin(p, NULL, &other));
		EXPECT(0, dur_clear(dur_root(other), NULL, NULL));
		for (int i = 0; i < 500; i++)
			EXPECT(0, dur_put(dur_root(other), &DUR_INT(i), &DUR_INT(-1)));
		EXPECT(0, dur_put(dur_root(other), &DUR_STR("large"), &DUR_BYTES(text, 9000)));
		EXPECT(0, dur_commit(other, NULL, NULL));
		dur_close(other);
	}
	ck_assert_uint_eq(large.len, sizeof text);
	ck_assert(memcmp(large.ptr, text, sizeof text) == 0);
	for (int i = 1; i < 500; i++) {
		EXPECT(0, dur_next(it, &key, &value));
		ck_assert_int_eq(key.type == DUR_INT ? key.i : 0, key.type == DUR_INT ? value.i : 0);
		EXPECT(0, dur_get(c, &DUR_INT(i), &value));
		ck_assert_int_eq(value.i, i);
	}
	dur_close(txn);
}
END_TEST

START_TEST(empty_commits)
{
	uint64_t base = prefix_put(p, "n", 1, false), state = 0, later;
	dur_view *txn, *snap;

	for (int async = 0; async < 2; async++) {
		dur_commit_options o = { .flags = async ? DUR_ASYNC : 0 };

		EXPECT(0, dur_begin(p, NULL, &txn));
		ck_assert_uint_gt(dur_state(txn), base);
		EXPECT(DUR_NONE, dur_del(dur_root(txn), &DUR_STR("nothing")));
		EXPECT(0, dur_commit(txn, &o, &state));
		ck_assert_uint_eq(state, base);
		ck_assert_uint_eq(dur_state(txn), base);
		later = prefix_put(p, "n", 2 + async, false);
		ck_assert_int_eq(view_int(txn, "n", 0), 1 + async); /* the base, not the newest */
		dur_close(txn);
		base = later;
	}
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_commit(txn, &(dur_commit_options){ .label = "only a label" }, &state));
	ck_assert_uint_gt(state, base);
	dur_close(txn);
	EXPECT(0, dur_snapshot(p, state, NULL, &snap));
	ck_assert_int_eq(view_int(snap, "n", 0), 3);
	dur_close(snap);
	base = prefix_put(p, "n", 3, false); /* what was there already */
	ck_assert_uint_gt(base, state);
}
END_TEST

START_TEST(numbers)
{
	dur_view *txn, *snap;
	uint64_t burned, state;

	EXPECT(0, dur_snapshot(p, 1, NULL, &snap)); /* the empty prefix */
	ck_assert_uint_eq(dur_state(snap), 1);
	EXPECT(0, dur_begin(p, NULL, &txn));
	burned = dur_state(txn);
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(1)));
	dur_close(txn);
	state = prefix_put(p, "n", 2, false);
	ck_assert_uint_gt(state, burned);
	dur_close(snap);
	EXPECT(0, dur_snapshot(p, burned, NULL, &snap)); /* nothing was committed under it */
	ck_assert_uint_eq(dur_state(snap), 1);
	ck_assert_int_eq(view_int(snap, "n", -1), -1);
	dur_close(snap);
	EXPECT(DUR_E_GONE, dur_snapshot(p, state + 1, NULL, &snap)); /* still to come */
	EXPECT(0, dur_snapshot(p, state, NULL, &snap));
	ck_assert_int_eq(view_int(snap, "n", 0), 2);
	dur_close(snap);
	EXPECT(0, dur_snapshot(p, 1, NULL, &snap));
	ck_assert_int_eq(view_int(snap, "n", -1), -1);
	dur_close(snap);
}
END_TEST

/* What upkeep or an empty commit tells as its number opens, and names, the state it shows. */
START_TEST(numbers_of_upkeep)
{
	uint64_t state = prefix_put(p, "n", 1, false), told;
	dur_state_name names[2];
	dur_view *txn, *snap;
	uint32_t n;

	EXPECT(0, dur_name(p, "first", state)); /* a commit that holds nothing else */
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_commit(txn, NULL, &told));
	dur_close(txn);
	ck_assert_uint_gt(told, state);
	EXPECT(0, dur_name(p, "second", told));
	EXPECT(0, dur_names(p, 0, names, 2, &n));
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(names[1].state, state);
	prefix_put(p, "n", 2, false);
	EXPECT(0, dur_snapshot(p, told, NULL, &snap));
	ck_assert_uint_eq(dur_state(snap), state);
	ck_assert_int_eq(view_int(snap, "n", 0), 1);
	dur_close(snap);
}
END_TEST

/* What a series has thinned is gone: no state before it stands for it. */
START_TEST(thinned_states_are_gone)
{
	uint64_t made[20];
	dur_state_info kept[20];
	dur_view *snap;
	char text[24];
	uint32_t n;

	for (int i = 0; i < 20; i++)
		made[i] = prefix_put(p, "n", i, false);
	EXPECT(0, dur_name(p, "tenth", made[10]));
	EXPECT(0, dur_keep(p, "every:365d,last:2"));
	EXPECT(0, dur_states(p, 0, DUR_REVERSE, kept, 20, &n));
	ck_assert_uint_lt(n, 6);
	for (uint32_t i = 0, k = 0; i < 20; i++) {
		uint64_t at = 0;
		while (k < n && kept[k].state < made[i])
			k++;
		bool there = k < n && kept[k].state == made[i];
		snprintf(text, sizeof text, "%" PRIu64, made[i]);
		EXPECT(there ? 0 : DUR_E_GONE, dur_snapshot(p, made[i], NULL, &snap));
		EXPECT(there ? 0 : DUR_NONE, dur_resolve(p, text, &at));
		if (!there) {
			EXPECT(DUR_E_GONE, dur_name(p, "gone", made[i]));
			continue;
		}
		ck_assert_uint_eq(at, made[i]);
		ck_assert_int_eq(view_int(snap, "n", -1), (int)i);
		dur_close(snap);
	}
}
END_TEST

/* A transaction whose commit failed for good: every call says so, and attaching anew goes on. */
START_TEST(failed_for_good)
{
	struct rlimit before, tight;
	uint64_t state = prefix_put(p, "n", 1, false), made = 77;
	dur_value value;
	dur_iter *it;
	dur_view *txn;
	dur_coll c;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = before;
	tight.rlim_cur = 4096;
	EXPECT(0, dur_begin(p, &(dur_view_options){ .flags = DUR_LENIENT }, &txn));
	c = dur_root(txn);
	EXPECT(0, dur_put(c, &DUR_STR("n"), &DUR_INT(2)));
	EXPECT(0, dur_scan(c, NULL, &it));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
	EXPECT(DUR_E_FAILED, dur_commit(txn, NULL, &made));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_uint_eq(made, 77);
	EXPECT(DUR_E_FAILED, dur_commit(txn, NULL, &made));
	EXPECT(DUR_E_FAILED, dur_get(c, &DUR_STR("n"), &value));
	EXPECT(DUR_E_FAILED, dur_get(dur_root(txn), &DUR_STR("n"), &value));
	EXPECT(DUR_E_FAILED, dur_put(c, &DUR_STR("n"), &DUR_INT(3)));
	EXPECT(DUR_E_STALE, dur_next(it, NULL, &value));
	dur_iter_close(it);
	dur_close(txn);
	EXPECT(DUR_E_FAILED, dur_begin(p, NULL, &txn));
	EXPECT(DUR_E_FAILED, dur_keep(p, "last:1"));
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", 0), 1); /* reading goes on */
	EXPECT(DUR_E_FAILED, dur_detach(p));
	p = prefix_attach(ws, "p", NULL);
	ck_assert_uint_ge(prefix_put(p, "m", 1, false), state + 2); /* numbers are not used again */
	made = (uint64_t)prefix_int(p, DUR_LATEST, "n", 0);
	HOLDS(made == 1 || made == 2, "%" PRIu64, made);
}
END_TEST

/* ---- The lock among threads ---- */

struct locker {
	dur_view *txn;
	dur_view_options options;
	int rc;
	char message[512];
};

static void *lock_in_thread(void *arg)
{
	struct locker *l = arg;

	l->rc = dur_begin(p, &l->options, &l->txn);
	strncpy(l->message, dur_message(), sizeof l->message - 1);
	return NULL;
}

static void begin_elsewhere(struct locker *l)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, lock_in_thread, l), 0);
	pthread_join(thread, NULL);
}

static void *close_later(void *arg)
{
	kit_sleep_ms(20);
	dur_close(arg);
	return NULL;
}

START_TEST(lock_among_threads)
{
	struct locker l = { .options = { .flags = DUR_NO_WAIT } };
	dur_view *txn, *other = NULL;
	dur_prefix *impatient;
	pthread_t thread;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(5)));
	begin_elsewhere(&l);
	EXPECT(DUR_E_LOCKED, l.rc);
	ck_assert_ptr_null(l.txn);
	HOLDS(l.message[0] != '\0', "it says who has it");
	l.options = (dur_view_options){ .lock_ms = 20 };
	begin_elsewhere(&l);
	EXPECT(DUR_E_LOCKED, l.rc);
	EXPECT(-EDEADLK, dur_begin(p, &l.options, &other));
	EXPECT(-EDEADLK, dur_keep(p, "all"));
	EXPECT(0, dur_attach(ws, "p", 0, &(dur_attach_options){ .lock_ms = 10 }, &impatient));
	EXPECT(-EDEADLK, dur_begin(impatient, NULL, &other)); /* the same file */
	dur_prefix *mine = p;
	p = impatient;
	l.options = (dur_view_options){ 0 };
	begin_elsewhere(&l);
	EXPECT(DUR_E_LOCKED, l.rc); /* as attached */
	p = mine;
	EXPECT(0, dur_detach(impatient));

	/* who waits gets it when it is closed, in whatever thread */
	ck_assert_int_eq(pthread_create(&thread, NULL, close_later, txn), 0);
	begin_elsewhere(&l);
	pthread_join(thread, NULL);
	EXPECT(0, l.rc);
	EXPECT(0, dur_put(dur_root(l.txn), &DUR_STR("n"), &DUR_INT(6)));
	EXPECT(0, dur_commit(l.txn, NULL, NULL)); /* begun by a thread that is gone */
	dur_close(l.txn);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", 0), 6);
	EXPECT(0, dur_begin(p, NULL, &txn));
	dur_close(txn);
}
END_TEST

static uint32_t writer_pid(void)
{
	dur_prefix_stat stat;

	EXPECT(0, dur_stat(p, &stat));
	return stat.writer_pid;
}

/* Two attachments that hold the lock: it goes with the last of them. */
START_TEST(lock_held)
{
	dur_prefix *one, *two, *late;
	struct locker l = { 0 };

	EXPECT(0, dur_attach(ws, "p", DUR_HOLD_LOCK, NULL, &one));
	EXPECT(0, dur_attach(ws, "p", DUR_HOLD_LOCK, NULL, &two));
	ck_assert_uint_eq(writer_pid(), (uint32_t)getpid());
	prefix_put(p, "n", 1, false); /* this process may write */
	EXPECT(0, dur_detach(one));
	prefix_put(two, "n", 2, false);
	ck_assert_uint_eq(writer_pid(), (uint32_t)getpid());
	begin_elsewhere(&l);
	EXPECT(0, l.rc);
	EXPECT(DUR_E_LOCKED, dur_attach(ws, "p", DUR_HOLD_LOCK,
	                                &(dur_attach_options){ .lock_ms = 10 }, &late));
	ck_assert_ptr_null(late);
	dur_close(l.txn);
	EXPECT(0, dur_detach(two));
	ck_assert_uint_eq(writer_pid(), 0); /* the one that failed left nothing */
	prefix_put(p, "n", 3, false);
	ck_assert_uint_eq(writer_pid(), 0);
}
END_TEST

/* ---- Snapshots ---- */

/* What a snapshot of the latest gave stays until it is closed, whatever is read and written. */
START_TEST(borrowed_until_close)
{
	enum { N = 400 };
	static dur_value held[N];
	static char text[6000];
	dur_view *txn, *snap;
	dur_value tuple[2] = { DUR_INT(0), DUR_STR("x") };

	EXPECT(0, dur_keep(p, "last:1"));
	EXPECT(0, dur_begin(p, NULL, &txn));
	for (int i = 0; i < N; i++) {
		memset(text, 'a' + i % 26, sizeof text);
		tuple[0] = DUR_INT(i);
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i),
		                  i % 3 == 0 ? &DUR_BYTES(text, (uint64_t)i * 15)
		                  : i % 3 == 1 ? &DUR_STRN(text, (uint64_t)i)
		                               : &DUR_TUPLE(tuple, 2)));
	}
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	for (int i = 0; i < N; i++)
		EXPECT(0, dur_get(dur_root(snap), &DUR_INT(i), &held[i]));
	for (int round = 0; round < 20; round++) {
		EXPECT(0, dur_begin(p, NULL, &txn));
		for (int i = 0; i < N; i++)
			EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i), &DUR_BYTES(text, 4000)));
		EXPECT(0, dur_commit(txn, NULL, NULL));
		dur_close(txn);
	}
	for (int i = 0; i < N; i++) {
		memset(text, 'a' + i % 26, sizeof text);
		ck_assert_int_eq((int64_t)held[i].len, i % 3 == 0 ? i * 15 : i % 3 == 1 ? i : 2);
		if (i % 3 == 2)
			ck_assert_int_eq(held[i].items[0].i, i);
		else
			ck_assert(memcmp(held[i].ptr, text, held[i].len) == 0);
	}
	dur_close(snap);
}
END_TEST

/* More than a process has cells for pins. */
START_TEST(many_snapshots)
{
	enum { N = 400 };
	dur_view *snaps[N];
	dur_reader reader;
	uint32_t n;

	EXPECT(0, dur_keep(p, "last:1"));
	for (int i = 0; i < N; i++) {
		uint64_t state = prefix_put(p, "n", i, true);
		EXPECT(0, dur_snapshot(p, i % 2 ? state : DUR_LATEST, NULL, &snaps[i]));
	}
	EXPECT(0, dur_readers(p, 0, &reader, 1, &n));
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(reader.pid, (uint32_t)getpid());
	ck_assert_uint_ge(reader.views, N);
	ck_assert_uint_eq(reader.oldest, dur_state(snaps[0]));
	for (int i = 0; i < N; i++) {
		int at = i * 7 % N;
		ck_assert_int_eq(view_int(snaps[at], "n", -1), at);
		dur_close(snaps[at]);
		prefix_put(p, "n", N + i, true);
	}
	EXPECT(0, dur_readers(p, 0, &reader, 1, &n));
	ck_assert_uint_eq(n, 0);
}
END_TEST

/* ON_DISK gives what no power cut can take back, retained or not. */
static void on_disk(const char *keep, unsigned commits)
{
	const dur_attach_options o = { .keep = keep, .async_ms = 3600 * 1000 };
	const dur_view_options disk = { .flags = DUR_ON_DISK };
	dur_prefix *q;
	dur_view *snap, *other;
	uint64_t durable, state = 0;
	dur_state_info info[3];
	dur_prefix_stat stat;
	uint32_t n;

	EXPECT(0, dur_attach(ws, keep, DUR_CREATE, &o, &q));
	durable = prefix_put(q, "n", -1, false);
	EXPECT(0, dur_snapshot(q, DUR_LATEST, &disk, &snap));
	ck_assert_uint_eq(dur_state(snap), durable);
	for (unsigned i = 0; i < commits; i++) {
		state = prefix_put(q, "n", i, true);
		if (i % 100 == 50) {
			EXPECT(0, dur_snapshot(q, DUR_LATEST, &disk, &other));
			ck_assert_uint_eq(dur_state(other), durable);
			ck_assert_int_eq(view_int(other, "n", 0), -1);
			dur_close(other);
		}
	}
	EXPECT(0, dur_stat(q, &stat));
	ck_assert_uint_eq(stat.durable, durable);
	ck_assert_uint_ge(stat.newest, state); /* upkeep may go on behind it */
	EXPECT(0, dur_states(q, 0, 0, info, 2, &n));
	ck_assert_uint_eq(info[0].flags, 0);
	EXPECT(DUR_NONE, dur_sync(q, DUR_LATEST, 0));
	EXPECT(DUR_NONE, dur_sync(q, state, 0));
	EXPECT(0, dur_sync(q, durable, -1));
	EXPECT(0, dur_snapshot(q, DUR_LATEST, NULL, &other));
	ck_assert_uint_ge(dur_state(other), state);
	dur_close(other);
	EXPECT(0, dur_sync(q, DUR_LATEST, -1));
	EXPECT(0, dur_sync(q, state, 0));
	EXPECT(0, dur_states(q, 0, 0, info, 1, &n));
	ck_assert_uint_eq(info[0].flags, DUR_ON_DISK);
	for (int i = 0; i < 50; i++)
		prefix_put(q, "n", 5000 + i, false);
	ck_assert_int_eq(view_int(snap, "n", 0), -1); /* it was pinned all the time */
	EXPECT(0, dur_snapshot(q, DUR_LATEST, &disk, &other));
	ck_assert_int_eq(view_int(other, "n", 0), 5049);
	dur_close(other);
	dur_close(snap);
	EXPECT(0, dur_detach(q));
}

START_TEST(on_disk_of_all)
{
	on_disk("all", 700); /* several folds */
}
END_TEST

START_TEST(on_disk_of_the_last)
{
	on_disk("last:1", 300); /* a fold, but not so many that a flush is due */
}
END_TEST

/* ---- History ---- */

enum { LIST = 600 };
struct recorded {
	uint64_t state;
	int64_t time_ns, n;
};
static struct recorded list[LIST];
static uint32_t n_list;

static void record(uint64_t state, int64_t n)
{
	list[n_list++] = (struct recorded){ .state = state, .n = n };
}

/* States with gaps, some labelled, some async; times are read back from the list. */
static void make_history(unsigned commits)
{
	dur_state_info *info = calloc(LIST, sizeof *info);
	dur_view *txn;
	uint64_t state;
	uint32_t n;

	n_list = 0;
	record(1, 0);
	for (unsigned i = 1; i <= commits; i++) {
		char label[16];
		snprintf(label, sizeof label, "l%u", i);
		EXPECT(0, dur_begin(p, NULL, &txn));
		if (i % 5 == 0) { /* its number is burned */
			dur_close(txn);
			EXPECT(0, dur_begin(p, NULL, &txn));
		}
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i), &DUR_INT(i)));
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .label = i % 3 ? NULL : label,
			.flags = i % 2 ? DUR_ASYNC : 0 }, &state));
		dur_close(txn);
		record(state, i);
	}
	EXPECT(0, dur_sync(p, DUR_LATEST, -1));
	EXPECT(0, dur_states(p, 0, DUR_REVERSE, info, LIST, &n));
	ck_assert_uint_eq(n, n_list);
	for (uint32_t i = 0; i < n; i++)
		list[i].time_ns = info[i].time_ns;
	free(info);
}

static void is_listed(const dur_state_info *info, uint32_t i)
{
	char label[16] = "";

	ck_assert_uint_eq(info->state, list[i].state);
	ck_assert_int_eq(info->time_ns, list[i].time_ns);
	ck_assert_int_eq((int64_t)info->entries, list[i].n);
	ck_assert_uint_eq(info->flags, DUR_ON_DISK);
	ck_assert_uint_eq(info->names, 0);
	ck_assert_uint_gt(info->written_bytes, 0);
	HOLDS(i == 0 || info->time_ns >= list[i - 1].time_ns, "time goes back at %u", i);
	if (list[i].n && list[i].n % 3 == 0)
		snprintf(label, sizeof label, "l%d", (int)list[i].n);
	ck_assert_str_eq(info->label, label);
}

/* All states in pages of cap, downward or upward, as the header says how. */
static void page_through(uint32_t cap, bool upward, uint32_t oldest)
{
	dur_state_info *info = calloc(cap, sizeof *info);
	uint32_t n, seen = oldest, first = 0;
	uint64_t from = 0;

	if (!upward)
		seen = n_list - 1;
	for (;;) {
		EXPECT(0, dur_states(p, from, upward ? DUR_REVERSE : 0, info, cap, &n));
		for (uint32_t i = first; i < n; i++) {
			is_listed(&info[i], seen);
			seen += upward ? 1u : -1u;
		}
		if (n < cap || n == first)
			break;
		from = info[n - 1].state;
		first = 1; /* the last one again */
	}
	ck_assert_uint_eq(seen, upward ? n_list : oldest - 1u);
	free(info);
}

START_TEST(states_listed)
{
	dur_state_info info[4];
	uint64_t gap;
	uint32_t n;

	make_history(560);
	for (int upward = 0; upward < 2; upward++) {
		page_through(2, upward, 0);
		page_through(7, upward, 0);
		page_through(256, upward, 0);
		page_through(LIST, upward, 0);
	}
	gap = list[5].state - 1; /* burned */
	ck_assert_uint_gt(gap, list[4].state);
	EXPECT(0, dur_states(p, gap, 0, info, 1, &n));
	is_listed(&info[0], 4);
	EXPECT(0, dur_states(p, gap, DUR_REVERSE, info, 1, &n));
	is_listed(&info[0], 5);
	EXPECT(0, dur_states(p, 1, 0, info, 4, &n));
	ck_assert_uint_eq(n, 1);
	EXPECT(0, dur_states(p, UINT64_MAX, 0, info, 1, &n));
	is_listed(&info[0], n_list - 1);
	EXPECT(0, dur_states(p, UINT64_MAX, DUR_REVERSE, info, 4, &n));
	ck_assert_uint_eq(n, 0);
	EXPECT(0, dur_states(p, list[n_list - 1].state, DUR_REVERSE, info, 4, &n));
	ck_assert_uint_eq(n, 1);
}
END_TEST

static void time_text(int64_t ns, char text[64])
{
	time_t sec = ns / 1000000000;
	struct tm tm;
	size_t n;

	gmtime_r(&sec, &tm);
	n = strftime(text, 64, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, 64 - n, ".%09dZ", (int)(ns % 1000000000));
}

static void resolves(const char *at, uint64_t expect)
{
	uint64_t state = 77;

	EXPECT(expect ? 0 : DUR_NONE, dur_resolve(p, at, &state));
	HOLDS(state == (expect ? expect : 77), "%s: %" PRIu64, at, state);
}

START_TEST(states_resolved)
{
	static const char *const wrong[] = {
		"", "-", "--1", "-x", "1x", "+1", " 1", "1 ", "0x10", "1.5", "LATEST", "la te", "@5",
		"2026-11-20", "2026-11-20T10:00:00", "2026-13-20T10:00:00Z", "2026-11-20T10:00Z",
		"2026-02-29T10:00:00Z", "10:00:00Z", "2026-11-20T10:00:00Zx",
	};
	uint64_t state;
	char text[64];

	make_history(400);
	resolves("latest", list[n_list - 1].state);
	for (uint32_t i = 0; i < n_list; i += i % 11 + 1) {
		uint32_t same = i;

		snprintf(text, sizeof text, "%" PRIu64, list[i].state);
		resolves(text, list[i].state);
		snprintf(text, sizeof text, "-%u", n_list - 1 - i);
		resolves(text, list[i].state);
		while (same + 1 < n_list && list[same + 1].time_ns == list[i].time_ns)
			same++;
		time_text(list[i].time_ns, text);
		resolves(text, list[same].state);
		time_text(list[same].time_ns + 1, text);
		while (same + 1 < n_list && list[same + 1].time_ns == list[i].time_ns + 1)
			same++;
		resolves(text, list[same].state);
	}
	snprintf(text, sizeof text, "%" PRIu64, list[5].state - 1);
	resolves(text, list[4].state); /* a number that no state got: what was there then */
	resolves("0", 0);
	snprintf(text, sizeof text, "%" PRIu64, list[n_list - 1].state + 1000);
	resolves(text, 0);
	resolves("99999999999999999999999", 0);
	snprintf(text, sizeof text, "-%u", n_list);
	resolves(text, 0);
	resolves("-99999999999999999999999", 0);
	resolves("-0", list[n_list - 1].state);
	time_text(list[0].time_ns - 1, text);
	resolves(text, 0);
	resolves("1970-01-01T00:00:00Z", 0);
	resolves("0000-01-01T00:00:00Z", 0);
	resolves("2200-01-01T00:00:00+05:30", list[n_list - 1].state);
	resolves("9999-12-31T23:59:59Z", list[n_list - 1].state);
	resolves("late", 0);
	EXPECT(0, dur_name(p, "late", list[7].state));
	resolves("late", list[7].state);
	EXPECT(0, dur_name(p, "late", list[9].state)); /* it moves */
	resolves("late", list[9].state);
	EXPECT(0, dur_unname(p, "late"));
	resolves("late", 0);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		state = 77;
		HOLDS(dur_resolve(p, wrong[i], &state) == DUR_E_NAME, "%s", wrong[i]);
		ck_assert_uint_eq(state, 77);
	}
}
END_TEST

START_TEST(retention)
{
	dur_view *held, *snap;
	dur_prefix_stat stat;
	uint64_t newest, last;
	char text[64];

	make_history(300);
	newest = list[n_list - 1].state;
	EXPECT(0, dur_snapshot(p, list[10].state, NULL, &held));
	EXPECT(0, dur_keep(p, "last:40"));
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_str_eq(stat.keep, "last:40");
	ck_assert_uint_eq(stat.states, 40);
	ck_assert_uint_eq(stat.oldest, list[n_list - 40].state);
	ck_assert_uint_gt(stat.newest, newest); /* a state, but not one that is listed */
	ck_assert_uint_gt(stat.durable, newest); /* upkeep may have made more of them since */
	page_through(9, false, n_list - 40);
	page_through(9, true, n_list - 40);
	resolves("latest", newest);
	resolves("-39", list[n_list - 40].state);
	resolves("-40", 0);
	resolves("1970-01-01T00:00:00Z", 0);
	time_text(list[n_list - 41].time_ns, text);
	if (list[n_list - 41].time_ns < list[n_list - 40].time_ns)
		resolves(text, 0);
	EXPECT(DUR_E_GONE, dur_snapshot(p, list[n_list - 41].state, NULL, &snap));
	EXPECT(DUR_E_GONE, dur_snapshot(p, list[10].state, NULL, &snap)); /* though it is pinned */
	EXPECT(0, dur_snapshot(p, list[n_list - 40].state, NULL, &snap));
	ck_assert_int_eq(view_int(snap, "none", 5), 5);
	dur_close(snap);
	dur_value value;
	EXPECT(0, dur_get(dur_root(held), &DUR_INT(10), &value));
	EXPECT(DUR_NONE, dur_get(dur_root(held), &DUR_INT(11), &value));
	dur_close(held);
	EXPECT(0, dur_keep(p, "all"));
	last = prefix_put(p, "x", 1, false);
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_str_eq(stat.keep, "all");
	ck_assert_uint_eq(stat.states, 41);
	ck_assert_uint_ge(stat.newest, last); /* history may be packed meanwhile */
	resolves("-1", newest);
	EXPECT(0, dur_keep(p, "last:1"));
	EXPECT(0, dur_stat(p, &stat));
	ck_assert_uint_eq(stat.states, 1);
	resolves("-1", 0);
	EXPECT(0, dur_snapshot(p, last, NULL, &snap));
	dur_close(snap);
}
END_TEST

/* ---- Looking inside ---- */

START_TEST(figures)
{
	static char text[1 << 20];
	dur_prefix_stat a, b;
	dur_prefix_info info;
	dur_view_cost cost;
	dur_view *txn, *snap;
	char path[4096];
	uint32_t n;

	EXPECT(0, dur_stat(p, &a));
	ck_assert_str_eq(a.name, "p");
	ck_assert_str_eq(a.keep, "all");
	HOLDS(strcmp(a.io, "io_uring") == 0 || strcmp(a.io, "pwritev") == 0, "io %s", a.io);
	ck_assert_uint_eq(a.oldest, 1);
	ck_assert_uint_eq(a.newest, 1);
	ck_assert_uint_eq(a.durable, 1);
	ck_assert_uint_eq(a.states, 1);
	ck_assert_uint_eq(a.writer_pid, 0);
	ck_assert_uint_eq(a.readers, 1);
	EXPECT(0, dur_begin(p, &(dur_view_options){ .memory_bytes = 1 << 18 }, &txn));
	for (int i = 0; i < 5000; i++)
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(i), &DUR_BYTES(text, 300)));
	EXPECT(0, dur_cost(txn, &cost));
	ck_assert_uint_gt(cost.written_bytes, 1 << 20); /* it spilled */
	ck_assert_uint_le(cost.memory_peak_bytes, 1 << 20);
	EXPECT(0, dur_stat(p, &b));
	ck_assert_uint_eq(b.writer_pid, (uint32_t)getpid());
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	EXPECT(0, dur_stat(p, &b));
	ck_assert_uint_eq(b.commits, a.commits + 1);
	ck_assert_uint_gt(b.flushes, a.flushes);
	ck_assert_uint_ge(b.live_bytes, a.live_bytes + 5000 * 300);
	ck_assert_uint_eq(b.retained_bytes, 0);
	ck_assert_mem_eq(a.uuid, b.uuid, 16);
	snprintf(path, sizeof path, "%s/p.dur", root);
	ck_assert_uint_eq(b.file_bytes, file_bytes(path));
	ck_assert_uint_eq(b.live_bytes + b.retained_bytes + b.free_bytes + b.metadata_bytes +
	                          b.packed_bytes,
	                  b.file_bytes);
	a = b;
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_clear(dur_root(txn), NULL, NULL));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	EXPECT(0, dur_stat(p, &b));
	ck_assert_uint_ge(b.retained_bytes, 5000 * 300);
	ck_assert_uint_lt(b.live_bytes, a.live_bytes / 10);
	for (size_t i = 0; i < sizeof b.reserved / sizeof *b.reserved; i++)
		ck_assert_uint_eq(b.reserved[i], 0);
	EXPECT(0, dur_prefixes(ws, 0, &info, 1, &n));
	ck_assert_mem_eq(info.uuid, b.uuid, 16);
	ck_assert_uint_eq(info.newest, b.newest);
	ck_assert_uint_eq(info.file_bytes, b.file_bytes);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	EXPECT(0, dur_cost(snap, &cost));
	ck_assert_uint_eq(cost.written_bytes, 0);
	dur_close(snap);
}
END_TEST

static int cancel(void *ctx, uint64_t done, uint64_t total)
{
	uint64_t *calls = ctx;

	HOLDS(done <= total && total > 0, "%" PRIu64 " of %" PRIu64, done, total);
	return ++*calls > 1;
}

START_TEST(check_can_be_canceled)
{
	static char text[20 << 20]; /* it is told every 16 MiB */
	uint64_t calls = 0;
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("large"), &DUR_BYTES(text, sizeof text)));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("other"), &DUR_BYTES(text, sizeof text)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	EXPECT(-ECANCELED, dur_check(ws, "p", 0, NULL, NULL,
	                             &(dur_progress){ .call = cancel, .ctx = &calls }));
	ck_assert_uint_eq(calls, 2);
	EXPECT(0, dur_check(ws, "p", 0, NULL, NULL, &(dur_progress){ 0 }));
}
END_TEST

/* ---- In memory, for this handle alone ---- */

START_TEST(private_memory)
{
	dur_prefix *one, *two;
	dur_prefix_stat stat;
	dur_prefix_info info[4];
	uint32_t n;

	EXPECT(0, dur_attach(NULL, NULL, DUR_MEMORY, NULL, &one));
	EXPECT(0, dur_attach(ws, NULL, DUR_MEMORY | DUR_RAW | DUR_CREATE,
	                     &(dur_attach_options){ .keep = "last:2" }, &two));
	for (int i = 0; i < 20; i++) {
		prefix_put(one, "n", i, i % 2);
		prefix_put(two, "n", -i, i % 2);
	}
	ck_assert_int_eq(prefix_int(one, DUR_LATEST, "n", 0), 19);
	ck_assert_int_eq(prefix_int(two, DUR_LATEST, "n", 0), -19);
	EXPECT(0, dur_stat(one, &stat));
	ck_assert_uint_eq(stat.states, 21);
	EXPECT(0, dur_stat(two, &stat));
	ck_assert_uint_eq(stat.states, 2);
	EXPECT(0, dur_prefixes(ws, 0, info, 4, &n));
	ck_assert_uint_eq(n, 1);
	EXPECT(-EBUSY, dur_workspace_close(ws));
	EXPECT(0, dur_detach(one));
	EXPECT(0, dur_detach(two));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("api_views");
	TCase *tc = tcase_create("views"), *past = tcase_create("history");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_checked_fixture(past, setup, teardown);
	tcase_add_test(tc, failed_writes_bar_the_commit);
	tcase_add_test(tc, plain_noes_do_not);
	tcase_add_test(tc, commit_leaves_a_snapshot);
	tcase_add_test(tc, empty_commits);
	tcase_add_test(tc, numbers);
	tcase_add_test(tc, numbers_of_upkeep);
	tcase_add_test(tc, thinned_states_are_gone);
	tcase_add_test(tc, failed_for_good);
	tcase_add_test(tc, lock_among_threads);
	tcase_add_test(tc, lock_held);
	tcase_add_test(tc, borrowed_until_close);
	tcase_add_test(tc, many_snapshots);
	tcase_add_test(past, on_disk_of_all);
	tcase_add_test(past, on_disk_of_the_last);
	tcase_add_test(past, states_listed);
	tcase_add_test(past, states_resolved);
	tcase_add_test(past, retention);
	tcase_add_test(past, figures);
	tcase_add_test(past, check_can_be_canceled);
	tcase_add_test(tc, private_memory);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, past);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
