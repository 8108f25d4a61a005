/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ways to write. Each case runs with io_uring and with pwritev. This program's own pwritev and
 * fdatasync stand before the C library's: they count, cut writes short and lift limits on request.
 */
#include "engine/io.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "duramen.h"
#include "internal/error.h"
#include "tests/scratch.h"

enum { POSIX, URING, WAYS };

/* ---- The system calls in between ---- */

static unsigned pwritev_calls, fdatasync_calls;
static size_t short_bytes;    /* nonzero: a pwritev writes no more than this */
static unsigned refuse_every; /* nonzero: every so many-th pwritev is interrupted */
static bool lift_limit;       /* the file size limit goes at the next pwritev */

static void limit_file(rlim_t bytes)
{
	struct rlimit limit;
	ck_assert(!getrlimit(RLIMIT_FSIZE, &limit));
	limit.rlim_cur = bytes;
	ck_assert(!setrlimit(RLIMIT_FSIZE, &limit));
}

__attribute__((visibility("default"))) ssize_t pwritev(int fd, const struct iovec *iov, int n,
                                                       off_t offset)
{
	pwritev_calls++;
	if (refuse_every && pwritev_calls % refuse_every == 0) {
		errno = pwritev_calls / refuse_every % 2 ? EINTR : EAGAIN;
		return -1;
	}
	if (lift_limit)
		limit_file(RLIM_INFINITY);
	struct iovec one = *iov;
	if (short_bytes) {
		one.iov_len = one.iov_len < short_bytes ? one.iov_len : short_bytes;
		iov = &one;
		n = 1;
	}
	return syscall(SYS_pwritev, fd, iov, n, offset, 0);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	fdatasync_calls++;
	return (int)syscall(SYS_fdatasync, fd);
}

/* ---- Fixture ---- */

static int fd;
static struct io *io;
static unsigned told;

static void on_written(void *ctx)
{
	(*(unsigned *)ctx)++;
}

/* false: the system refuses io_uring, there is nothing to test. */
static bool open_way(int way, int on)
{
	told = 0;
	int r = way == POSIX ? io_open_posix(on, false, &io) : io_open_uring(on, &io);
	if (way == URING && (r == -ENOSYS || r == -EPERM || r == -EACCES)) {
		fprintf(stderr, "io_uring is refused here: case skipped\n");
		return false;
	}
	ck_assert_int_eq(r, 0);
	pwritev_calls = fdatasync_calls = 0;
	return true;
}

static void setup(void)
{
	fd = scratch_open();
	signal(SIGXFSZ, SIG_IGN);
}

static void teardown(void)
{
	if (io)
		io->ops->close(io);
	io = NULL;
	close(fd);
}

static uint8_t *pattern(size_t len, unsigned salt)
{
	uint8_t *bytes = malloc(len);
	ck_assert(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 2654435761U >> 13 ^ salt);
	return bytes;
}

static void expect(uint64_t offset, const uint8_t *bytes, size_t len)
{
	uint8_t *found = malloc(len);
	ck_assert(found);
	scratch_read(fd, found, len, offset);
	ck_assert(!memcmp(found, bytes, len));
	free(found);
}

/* Splits bytes into n iovecs of uneven lengths, some of them empty. */
static struct iovec *split(uint8_t *bytes, size_t len, unsigned n)
{
	struct iovec *iov = calloc(n, sizeof *iov);
	ck_assert(iov);
	size_t at = 0;
	for (unsigned i = 0; i < n; i++) {
		size_t part = i + 1 == n ? len - at : i % 7 == 3 ? 0 : (len - at) / (n - i);
		iov[i] = (struct iovec){ bytes + at, part };
		at += part;
	}
	return iov;
}

/* ---- Writing ---- */

START_TEST(write_puts_all_iovecs)
{
	if (!open_way(_i, fd))
		return;
	const unsigned counts[] = { 1, 2, 63, 64, 65, 1000, 2500 };
	for (unsigned c = 0; c < sizeof counts / sizeof *counts; c++) {
		uint8_t *bytes = pattern(100000, c);
		struct iovec *iov = split(bytes, 100000, counts[c]);
		ck_assert_int_eq(io->ops->write(io, &(struct io_write){ 4096 + c, iov, counts[c] }),
		                 0);
		expect(4096 + c, bytes, 100000);
		free(iov);
		free(bytes);
	}
	ck_assert_uint_eq(fdatasync_calls, 0);
}
END_TEST

START_TEST(write_finishes_short_and_interrupted_calls)
{
	if (!open_way(_i, fd))
		return;
	uint8_t *bytes = pattern(20000, 1);
	struct iovec *iov = split(bytes, 20000, 9);
	refuse_every = 3;
	for (short_bytes = 1; short_bytes < 5000; short_bytes = short_bytes * 7 + 1) {
		ck_assert_int_eq(io->ops->write(io,
		                                &(struct io_write){ 512 + short_bytes, iov, 9 }),
		                 0);
		expect(512 + short_bytes, bytes, 20000);
	}
	short_bytes = refuse_every = 0;
	free(iov);
	free(bytes);
}
END_TEST

START_TEST(errors_of_write_are_reported)
{
	int full = open("/dev/full", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(full, 0);
	if (!open_way(_i, full))
		return;
	struct iovec iov = { (char[]){ "bytes" }, 5 };
	struct io_write w = { 0, &iov, 1 };
	ck_assert_int_eq(io->ops->write(io, &w), -ENOSPC);
	ck_assert_int_eq(io->ops->write_sync(io, &w, 1, on_written, &told), -ENOSPC);
	ck_assert_uint_eq(told, 0);
	ck_assert_uint_eq(fdatasync_calls, 0);
	close(full);
}
END_TEST

/* ---- Writing and flushing ---- */

struct witness {
	const uint8_t *bytes;
	size_t len;
	unsigned calls;
};

/* The writes are visible when `written` is called. */
static void on_written_look(void *ctx)
{
	struct witness *w = ctx;
	w->calls++;
	expect(0, w->bytes, w->len);
}

START_TEST(write_sync_tells_once_when_all_is_visible)
{
	if (!open_way(_i, fd))
		return;
	/* Fewer writes than the ring holds, just as many, and more. */
	for (unsigned n = 1; n <= 40; n++) {
		size_t part = 4096 + n;
		uint8_t *bytes = pattern(part * n, n);
		struct iovec *iov = calloc(n, sizeof *iov);
		struct io_write *writes = calloc(n, sizeof *writes);
		for (unsigned i = 0; i < n; i++) {
			iov[i] = (struct iovec){ bytes + i * part, part };
			writes[i] = (struct io_write){ i * part, &iov[i], 1 };
		}
		struct witness w = { bytes, part * n, 0 };
		ck_assert_int_eq(io->ops->write_sync(io, writes, n, on_written_look, &w), 0);
		ck_assert_uint_eq(w.calls, 1);
		free(writes);
		free(iov);
		free(bytes);
	}
	ck_assert_uint_eq(fdatasync_calls, _i == POSIX ? 40 : 0);
}
END_TEST

START_TEST(write_sync_takes_many_iovecs_and_none)
{
	if (!open_way(_i, fd))
		return;
	uint8_t *bytes = pattern(30000, 5);
	const unsigned counts[] = { 1, 2, 1024, 1025, 3000 };
	for (unsigned c = 0; c < sizeof counts / sizeof *counts; c++) {
		struct iovec *iov = split(bytes, 30000, counts[c]), one = { bytes, 30000 };
		struct io_write writes[3] = { { 0, &one, 1 },
			                      { 30000, iov, counts[c] },
			                      { 60000, &one, 1 } };
		ck_assert_int_eq(io->ops->write_sync(io, writes, 3, NULL, NULL), 0);
		for (unsigned i = 0; i < 3; i++)
			expect(i * 30000U, bytes, 30000);
		ck_assert(!ftruncate(fd, 0));
		free(iov);
	}
	ck_assert_int_eq(io->ops->write_sync(io, NULL, 0, on_written, &told), 0);
	ck_assert_uint_eq(told, 1);
	free(bytes);
}
END_TEST

/*
 * The file size limit makes real short writes, in the ring too. When this program's pwritev lifts
 * it, the rest goes by hand, and so does the flush, which the broken link has cancelled.
 */
START_TEST(write_sync_finishes_a_short_write_and_then_flushes)
{
	if (!open_way(_i, fd))
		return;
	uint8_t *bytes = pattern(12288, 6);
	struct iovec iov[3] = { { bytes, 4096 }, { bytes + 4096, 4096 }, { bytes + 8192, 4096 } };
	struct io_write writes[3] = { { 0, iov, 1 }, { 4096, iov + 1, 1 }, { 8192, iov + 2, 1 } };
	limit_file(5000);
	lift_limit = _i == URING;
	if (_i == POSIX)
		limit_file(RLIM_INFINITY);
	struct witness w = { bytes, 12288, 0 };
	ck_assert_int_eq(io->ops->write_sync(io, writes, 3, on_written_look, &w), 0);
	lift_limit = false;
	ck_assert_uint_eq(w.calls, 1);
	ck_assert_uint_eq(fdatasync_calls, 1);
	ck_assert_uint_eq(pwritev_calls, _i == URING ? 2 : 3);
	/* The ring is as good as before. */
	ck_assert_int_eq(io->ops->write_sync(io, writes, 3, on_written_look, &w), 0);
	ck_assert_uint_eq(w.calls, 2);
	ck_assert_uint_eq(fdatasync_calls, _i == URING ? 1 : 2);
	free(bytes);
}
END_TEST

START_TEST(write_sync_gives_up_where_a_write_fails)
{
	if (!open_way(_i, fd))
		return;
	uint8_t *bytes = pattern(12288, 7);
	struct iovec iov[3] = { { bytes, 4096 }, { bytes + 4096, 4096 }, { bytes + 8192, 4096 } };
	struct io_write writes[3] = { { 0, iov, 1 }, { 4096, iov + 1, 1 }, { 8192, iov + 2, 1 } };
	const rlim_t limits[] = { 1, 4096, 5000, 8192, 12287 };
	for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
		ck_assert(!ftruncate(fd, 0));
		limit_file(limits[i]);
		int r = io->ops->write_sync(io, writes, 3, on_written, &told);
		limit_file(RLIM_INFINITY);
		ck_assert_int_eq(r, -EFBIG);
	}
	ck_assert_uint_eq(told, 0);
	ck_assert_uint_eq(fdatasync_calls, 0);
	free(bytes);
}
END_TEST

/* /dev/null takes every write and knows no flush. */
START_TEST(a_failed_flush_is_reported_and_not_repeated)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(null, 0);
	if (!open_way(_i, null))
		return;
	struct iovec iov = { (char[]){ "bytes" }, 5 };
	struct io_write w = { 0, &iov, 1 };
	for (unsigned i = 1; i <= 3; i++) {
		ck_assert_int_eq(io->ops->write_sync(io, &w, 1, on_written, &told), -EINVAL);
		ck_assert_uint_eq(told, i);
		ck_assert_uint_eq(fdatasync_calls, _i == POSIX ? i : 0);
	}
	close(null);
}
END_TEST

START_TEST(punched_space_reads_as_zeros)
{
	if (!open_way(_i, fd))
		return;
	uint8_t *bytes = pattern(16384, 8);
	struct iovec iov = { bytes, 16384 };
	ck_assert_int_eq(io->ops->write(io, &(struct io_write){ 0, &iov, 1 }), 0);
	io->ops->start(io, 0, 16384);
	int r = io->ops->punch(io, 4096, 8192);
	if (r != -EOPNOTSUPP) {
		ck_assert_int_eq(r, 0);
		memset(bytes + 4096, 0, 8192);
	}
	expect(0, bytes, 16384);
	free(bytes);
}
END_TEST

START_TEST(a_child_closes_and_the_parent_goes_on)
{
	if (!open_way(_i, fd))
		return;
	struct iovec iov = { (char[]){ "parent" }, 6 };
	struct io_write w = { 0, &iov, 1 };
	ck_assert_int_eq(io->ops->write_sync(io, &w, 1, NULL, NULL), 0);
	pid_t child = fork();
	if (!child) {
		io_forked(io);
		_exit(0);
	}
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(io->ops->write_sync(io, &w, 1, on_written, &told), 0);
	ck_assert_uint_eq(told, 1);
}
END_TEST

/* ---- Choosing ---- */

START_TEST(volatile_memory_is_not_flushed)
{
	ck_assert_int_eq(io_open(fd, true, &io), 0);
	fdatasync_calls = 0;
	struct iovec iov = { (char[]){ "memory" }, 6 };
	ck_assert_int_eq(io->ops->write_sync(io, &(struct io_write){ 0, &iov, 1 }, 1, on_written,
	                                     &told),
	                 0);
	ck_assert_uint_eq(told, 1);
	ck_assert_uint_eq(fdatasync_calls, 0);
	expect(0, (const uint8_t *)"memory", 6);
}
END_TEST

START_TEST(the_environment_chooses)
{
	setenv("DURAMEN_IO", "pwritev", 1);
	ck_assert_int_eq(io_open(fd, false, &io), 0);
	ck_assert_str_eq(io->ops->name, "pwritev");
	io->ops->close(io);
	setenv("DURAMEN_IO", "", 1);
	ck_assert_int_eq(io_open(fd, false, &io), 0);
	ck_assert_str_eq(io->ops->name, "pwritev");
	io->ops->close(io);
	io = NULL;
	if (open_way(URING, fd)) { /* to be had here */
		io->ops->close(io);
		setenv("DURAMEN_IO", "io_uring", 1);
		ck_assert_int_eq(io_open(fd, false, &io), 0);
		ck_assert_str_eq(io->ops->name, "io_uring");
		io->ops->close(io);
	}
	io = NULL;
	setenv("DURAMEN_IO", "fast", 1);
	ck_assert_int_eq(io_open(fd, false, &io), DUR_E_MISUSE);
	ck_assert_ptr_nonnull(strstr(error_text(), "fast"));
}
END_TEST

/* From now on this process's system call ends with the error. */
static void forbid(int call, int errno_value)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)errno_value),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
	ck_assert(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	ck_assert(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

START_TEST(who_wants_a_ring_is_told_of_its_refusal)
{
	const int refusals[] = { ENOSYS, EPERM, EACCES, EMFILE };
	unsetenv("DURAMEN_IO");
	forbid(SYS_io_uring_setup, refusals[_i]);
	ck_assert_int_eq(io_open(fd, false, &io), 0);
	ck_assert_str_eq(io->ops->name, "pwritev");
	io->ops->close(io);
	io = NULL;
	setenv("DURAMEN_IO", "io_uring", 1);
	ck_assert_int_eq(io_open(fd, false, &io), -refusals[_i]);
	ck_assert_ptr_nonnull(strstr(error_text(), "DURAMEN_IO"));
}
END_TEST

/* The ring stops taking requests: none of them may run later, and the commit is made by hand. */
START_TEST(a_ring_that_fails_is_given_up)
{
	if (!open_way(URING, fd))
		return;
	uint8_t *bytes = pattern(4096, 9);
	struct iovec iov = { bytes, 4096 };
	struct io_write w = { 0, &iov, 1 };
	ck_assert_int_eq(io->ops->write_sync(io, &w, 1, NULL, NULL), 0);
	ck_assert_uint_eq(fdatasync_calls, 0);
	forbid(SYS_io_uring_enter, EPERM);
	for (unsigned i = 1; i <= 3; i++) {
		bytes[0]++;
		ck_assert_int_eq(io->ops->write_sync(io, &w, 1, on_written, &told), 0);
		expect(0, bytes, 4096);
		ck_assert_uint_eq(told, i);
		ck_assert_uint_eq(fdatasync_calls, i);
	}
	free(bytes);
}
END_TEST

static Suite *io_suite(void)
{
	Suite *suite = suite_create("io");
	TCase *ways = tcase_create("both ways"), *choice = tcase_create("choice");
	tcase_add_checked_fixture(ways, setup, teardown);
	tcase_add_loop_test(ways, write_puts_all_iovecs, 0, WAYS);
	tcase_add_loop_test(ways, write_finishes_short_and_interrupted_calls, 0, WAYS);
	tcase_add_loop_test(ways, errors_of_write_are_reported, 0, WAYS);
	tcase_add_loop_test(ways, write_sync_tells_once_when_all_is_visible, 0, WAYS);
	tcase_add_loop_test(ways, write_sync_takes_many_iovecs_and_none, 0, WAYS);
	tcase_add_loop_test(ways, write_sync_finishes_a_short_write_and_then_flushes, 0, WAYS);
	tcase_add_loop_test(ways, write_sync_gives_up_where_a_write_fails, 0, WAYS);
	tcase_add_loop_test(ways, a_failed_flush_is_reported_and_not_repeated, 0, WAYS);
	tcase_add_loop_test(ways, punched_space_reads_as_zeros, 0, WAYS);
	tcase_add_loop_test(ways, a_child_closes_and_the_parent_goes_on, 0, WAYS);
	suite_add_tcase(suite, ways);
	tcase_add_checked_fixture(choice, setup, teardown);
	tcase_add_test(choice, volatile_memory_is_not_flushed);
	tcase_add_test(choice, the_environment_chooses);
	tcase_add_loop_test(choice, who_wants_a_ring_is_told_of_its_refusal, 0, 4);
	tcase_add_test(choice, a_ring_that_fails_is_given_up);
	suite_add_tcase(suite, choice);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(io_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
