/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction over collections of all kinds, with copies, marks, removals and early writes, that is
 * stopped at each place in turn: memory runs out, a write or a flush fails, the disk is full from there on.
 * Then the prefix holds what it held before, or what it was to hold; or, if the transaction went back to
 * its mark, what it held there. dur_check() finds nothing, no space is lost, and the same transaction
 * goes through afterwards.
 *
 * Each of a hundred or so places where memory is asked for, of the others some thirty at most. Each try is
 * a process of its own; FAULT_AT=N tries one place alone.
 */
#include "hostile_kit.h"
#include "prefix_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- What fails ---- */

enum fault { NOTHING, MEMORY, WRITE, FULL, FLUSH };

static enum fault armed;
static unsigned fail_in;        /* the so many-th one; 0: none */
static unsigned asked;          /* how many there were while armed */
static bool failed;             /* it did */
static _Thread_local bool mine; /* memory fails for the test's own thread alone */

static bool fails(enum fault fault)
{
	if (armed != fault || (fault == MEMORY && !mine))
		return false;
	if (failed)
		return fault == FULL;
	failed = ++asked == fail_in;
	return failed;
}

#define EXPORTED __attribute__((visibility("default")))

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OTHER_MALLOC 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_MALLOC 1
#endif

/* The sanitizers bring their own. */
#if !defined(OTHER_MALLOC)
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static bool no_memory(void)
{
	bool now = armed == MEMORY && fails(MEMORY);

	if (now)
		errno = ENOMEM;
	return now;
}

EXPORTED void *malloc(size_t n)
{
	return no_memory() ? NULL : __libc_malloc(n);
}

EXPORTED void *calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : __libc_calloc(n, size);
}

EXPORTED void *realloc(void *p, size_t n)
{
	return no_memory() ? NULL : __libc_realloc(p, n);
}

EXPORTED void *aligned_alloc(size_t align, size_t n)
{
	return no_memory() ? NULL : __libc_memalign(align, n);
}
#endif

EXPORTED ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
	struct stat st;

	if (fails(WRITE)) {
		errno = EIO;
		return -1;
	}
	/* what has its space already can be written */
	if (armed == FULL && fstat(fd, &st) == 0 && offset >= st.st_size && fails(FULL)) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwritev, fd, iov, n, offset, 0);
}

EXPORTED int fallocate(int fd, int mode, off_t offset, off_t len)
{
	if (mode == 0 && fails(FULL)) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

/* No power fails here. */
EXPORTED int fdatasync(int fd)
{
	(void)fd;
	if (fails(FLUSH)) {
		errno = EIO;
		return -1;
	}
	return 0;
}

/* ---- What is done ---- */

enum { WORDS = 120000, ITEMS = 2500 };

static char root[PATH_MAX], base[PATH_MAX], path[PATH_MAX + 32], coord[PATH_MAX + 40];
static char words[WORDS];
static const char NAME[] = "faults";
static uint64_t sum_before, sum_marked, sum_after, live_before, old_state;

/* The first failure ends it. */
#define DO(call)                                \
	do {                                    \
		int rc_ = (call);               \
		if (rc_ < 0)                    \
			return rc_;             \
	} while (0)

static int make_base(dur_coll top)
{
	dur_coll map, list, rope, large;
	char key[32];

	DO(dur_make(top, &DUR_STR("map"), DUR_MAP, &map));
	DO(dur_make(top, &DUR_STR("list"), DUR_LIST, &list));
	DO(dur_make(top, &DUR_STR("rope"), DUR_ROPE, &rope));
	DO(dur_make(top, &DUR_STR("large"), DUR_LIST, &large));
	for (unsigned i = 0; i < ITEMS; i++) {
		const dur_value pair[] = { DUR_STR("n"), DUR_INT(i), DUR_STR("s"),
			                   DUR_STRN(words, i % 50) };
		snprintf(key, sizeof key, "key %u", i);
		DO(dur_put(map, &DUR_STR(key),
		           i % 3 ? &DUR_INT(i) : &DUR_NEW(DUR_MAP, pair, 4)));
		DO(dur_append(list, i % 5 ? &DUR_INT(i) : &DUR_NEW(DUR_LIST, pair, 4)));
		DO(dur_append(large, &DUR_STRN(words, 300 + i % 100)));
	}
	DO(dur_append(large, &DUR_STRN(words, 50000)));
	return dur_append(rope, &DUR_STRN(words, 70000));
}

static int copy_to(dur_coll top, dur_coll from, const char *to)
{
	return dur_put(top, &DUR_STR(to), &DUR_COLL(from));
}

/* Up to the mark. */
static int do_first(dur_coll top)
{
	dur_coll map, list, rope, copy;
	char key[32];

	DO(dur_enter(top, &DUR_STR("map"), &map));
	DO(copy_to(top, map, "copy"));
	DO(dur_enter(top, &DUR_STR("copy"), &copy));
	for (unsigned i = 0; i < 30; i++) {
		snprintf(key, sizeof key, "key %u", i * 83);
		DO(dur_put(copy, &DUR_STR(key), &DUR_STRN(words, 400)));
		DO(dur_put(map, &DUR_STR(key), &DUR_NEW(DUR_SET, NULL, 0)));
	}
	DO(dur_enter(top, &DUR_STR("list"), &list));
	DO(dur_splice(list, 1000, list, &(dur_range){ .skip = 300, .limit = 1500 }));
	DO(dur_insert(list, 5, (const dur_value[]){ DUR_COLL(copy), DUR_INT(7) }, 2));
	DO(dur_enter(top, &DUR_STR("rope"), &rope));
	DO(dur_splice(rope, 100, rope, NULL));
	DO(dur_insert(rope, 50000, &DUR_STRN(words, 3000), 1));
	return 0;
}

/* Behind it, and behind going back to it. */
static int do_more(dur_coll top, dur_view *old)
{
	dur_coll map, list, rope, of_old, set;
	dur_iter *it;
	uint64_t n;

	DO(dur_del(top, &DUR_STR("large")));
	DO(dur_enter(top, &DUR_STR("list"), &list));
	DO(dur_clear(list, &(dur_range){ .skip = 700, .limit = 900 }, NULL));
	DO(dur_enter(top, &DUR_STR("rope"), &rope));
	DO(dur_clear(rope, &(dur_range){ .skip = 900, .limit = 40000 }, NULL));
	DO(dur_write(rope, 70, words, 9000));
	DO(dur_enter(dur_root(old), &DUR_STR("list"), &of_old));
	DO(copy_to(top, of_old, "from before"));
	DO(dur_enter(top, &DUR_STR("map"), &map));
	DO(dur_make(top, &DUR_STR("keys"), DUR_SET, &set));
	DO(dur_combine(DUR_UNION, &map, 1, NULL, &it));
	DO(dur_collect(it, set, &n));
	dur_iter_close(it);
	DO(dur_apply(top, &DUR_STR("counter"), DUR_ADD, &DUR_INT(1), NULL));
	return dur_swap(top, &DUR_STR("from before"), &DUR_COLL(of_old), &DUR_COLL(map));
}

static int do_changes(dur_view *old, dur_view *txn)
{
	dur_change change;
	dur_iter *it;
	int rc;

	DO(dur_diff(dur_root(old), dur_root(txn), NULL, &it));
	for (unsigned i = 0; (rc = dur_next_change(it, &change)) == 0 && i < 500; i++)
		;
	dur_iter_close(it);
	return rc;
}

struct doing {
	dur_view *txn, *old;
	uint64_t mark;
	bool committing;
};

static int do_all(dur_prefix *p, struct doing *d)
{
	/* little memory: it writes early */
	DO(dur_snapshot(p, DUR_LATEST, NULL, &d->old));
	DO(dur_begin(p, &(dur_view_options){ .memory_bytes = 32 << 10 }, &d->txn));
	DO(do_first(dur_root(d->txn)));
	DO(dur_mark(d->txn, &d->mark));
	DO(do_more(dur_root(d->txn), d->old));
	DO(dur_rollback(d->txn, d->mark));
	DO(do_more(dur_root(d->txn), d->old));
	DO(do_changes(d->old, d->txn));
	d->committing = true;
	return dur_commit(d->txn, NULL, NULL);
}

/* ---- A try ---- */

static uint64_t sum_of(dur_view *v)
{
	uint64_t sum;

	HOLDS(hostile_read(dur_root(v), &sum), "%s", dur_message());
	return sum;
}

static uint64_t newest_sum(dur_prefix *p)
{
	dur_view *v;
	uint64_t sum;

	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	sum = sum_of(v);
	dur_close(v);
	return sum;
}

static void ends(struct doing *d)
{
	dur_close(d->txn);
	dur_close(d->old);
	*d = (struct doing){ 0 };
}

/* What was not committed takes no space but free one. */
static void nothing_lost(dur_prefix *p)
{
	dur_prefix_stat stat;

	EXPECT(0, dur_stat(p, &stat));
	HOLDS(stat.live_bytes == live_before && stat.removing == 0,
	      "%" PRIu64 " bytes live, not %" PRIu64, stat.live_bytes, live_before);
}

/* Goes back to the mark and commits that, or gives it up. What the prefix then holds. */
static uint64_t end_failed(struct doing *d, bool back)
{
	uint64_t sum = sum_before;

	if (back && d->mark && !d->committing) {
		EXPECT(0, dur_rollback(d->txn, d->mark));
		HOLDS(sum_of(d->txn) == sum_marked, "what was there at the mark is not");
		EXPECT(0, dur_commit(d->txn, NULL, NULL));
		sum = sum_marked;
	}
	ends(d);
	return sum;
}

static int child(enum fault fault, unsigned at)
{
	dur_workspace *ws = prefix_workspace(root);
	dur_prefix *p = prefix_attach(ws, NAME, "all");
	struct doing d = { 0 };
	uint64_t sum, is;
	int rc;

	alarm(300);
	asked = 0;
	fail_in = at;
	mine = true;
	armed = fault;
	rc = do_all(p, &d);
	armed = NOTHING;
	if (!failed)
		return 1;
	sum = rc < 0 ? end_failed(&d, at % 2) : sum_after;
	ends(&d);
	if (rc == DUR_E_FAILED || (rc < 0 && (fault == FLUSH || fault == WRITE))) {
		/* what is on disk tells */
		dur_detach(p);
		p = prefix_attach(ws, NAME, NULL);
		EXPECT(0, dur_begin(p, NULL, &d.txn)); /* who writes next recovers */
		ends(&d);
		is = newest_sum(p);
		HOLDS(is == sum || is == sum_after, "neither what was there nor what was put");
		sum = is;
	}
	HOLDS(newest_sum(p) == sum, "result %d: it does not hold what it should", rc);
	if (sum == sum_before)
		nothing_lost(p);
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	if (sum == sum_before) {
		EXPECT(0, do_all(p, &d));
		ends(&d);
		HOLDS(newest_sum(p) == sum_after, "done again, it is not what it should be");
	} else {
		prefix_put(p, "more", 1, false);
	}
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

/* True: there was such a place. */
static bool try_at(enum fault fault, unsigned at)
{
	int status;
	pid_t pid;

	file_copy(base, path);
	unlink(coord);
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(child(fault, at));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= 1,
	              "fault %d at place %u: wrong, or a crash (status 0x%x)", (int)fault, at,
	              (unsigned)status);
	return WEXITSTATUS(status) == 0;
}

/* The prefix as it is before, and what it comes to. */
static void setup(void)
{
	struct doing d = { 0 };
	dur_workspace *ws;
	dur_prefix_stat stat;
	dur_prefix *p;
	dur_view *txn;

	for (unsigned i = 0; i < WORDS; i++)
		words[i] = (char)('a' + i * 7 % 26);
	snprintf(root, sizeof root, "%s", kit_path("root"));
	snprintf(base, sizeof base, "%s", kit_path("base"));
	snprintf(path, sizeof path, "%s/%s.dur", root, NAME);
	snprintf(coord, sizeof coord, "%s-coord", path);
	ws = prefix_workspace(root);
	p = prefix_attach(ws, NAME, "all");
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, make_base(dur_root(txn)));
	EXPECT(0, dur_commit(txn, NULL, &old_state));
	dur_close(txn);
	EXPECT(0, dur_stat(p, &stat));
	live_before = stat.live_bytes;
	sum_before = newest_sum(p);
	EXPECT(0, dur_detach(p));
	file_copy(path, base);

	p = prefix_attach(ws, NAME, NULL);
	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, do_first(dur_root(txn)));
	sum_marked = sum_of(txn);
	dur_close(txn);
	EXPECT(0, do_all(p, &d));
	sum_after = sum_of(d.txn);
	ends(&d);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
	ck_assert(sum_after != sum_before && sum_marked != sum_before && sum_marked != sum_after);
}

static void teardown(void)
{
	kit_clean();
}

/* How many places there are. */
static unsigned places(enum fault fault)
{
	unsigned low = 1, high = 1;

	while (try_at(fault, high))
		low = high, high *= 2;
	while (high - low > 1) {
		unsigned mid = low + (high - low) / 2;

		*(try_at(fault, mid) ? &low : &high) = mid;
	}
	return low;
}

static void tries(enum fault fault, const char *what, unsigned n)
{
	const char *only = getenv("FAULT_AT");
	uint64_t random = kit_seed();
	unsigned all, at;

	if (only) {
		try_at(fault, (unsigned)strtoul(only, NULL, 10));
		return;
	}
	all = places(fault);
	fprintf(stderr, "%s: %u places\n", what, all);
	for (unsigned i = 0; i < n; i++) {
		if (n >= all)
			at = i + 1;
		else
			at = 1 + (unsigned)(kit_random(&random) % all);
		if (at > all)
			break;
		try_at(fault, at);
	}
}

#if !defined(OTHER_MALLOC)
START_TEST(memory_runs_out)
{
	tries(MEMORY, "memory", kit_rounds(150));
}
END_TEST
#endif

START_TEST(a_write_fails)
{
	tries(WRITE, "writes", kit_rounds(30));
}
END_TEST

START_TEST(the_disk_is_full)
{
	tries(FULL, "room", kit_rounds(30));
}
END_TEST

START_TEST(a_flush_fails)
{
	tries(FLUSH, "flushes", kit_rounds(10));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("nested_faults");
	TCase *tc = tcase_create("nested_faults");

	tcase_add_checked_fixture(tc, setup, teardown);
#if !defined(OTHER_MALLOC)
	tcase_add_test(tc, memory_runs_out);
#endif
	tcase_add_test(tc, a_write_fails);
	tcase_add_test(tc, the_disk_is_full);
	tcase_add_test(tc, a_flush_fails);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
