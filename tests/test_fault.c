/* SPDX-License-Identifier: Apache-2.0 */
/* The double of the disk itself: a fault that does not happen would make every crash test pass. */
#include "tests/io_fault.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/page.h"
#include "tests/ipc_kit.h"
#include "tests/scratch.h"

enum { PAGES = 64 };

static int fd, image;
static struct fault_disk *disk;
static struct io *io;

static void setup(void)
{
	static const uint8_t zeros[PAGES * PAGE_SIZE];
	fd = scratch_open();
	image = scratch_open();
	scratch_write(fd, zeros, sizeof zeros, 0);
	disk = fault_disk_new(fd, kit_seed());
	io = fault_io(disk);
}

static void teardown(void)
{
	fault_disk_free(disk);
	close(image);
	close(fd);
}

/* Pages [no, no+n) full of one letter. */
static int put_by(struct io *by, uint64_t no, unsigned n, char letter)
{
	static uint8_t bytes[PAGES * PAGE_SIZE];
	memset(bytes, letter, n * PAGE_SIZE);
	struct iovec iov = { bytes, n * PAGE_SIZE };
	return by->ops->write(by, &(struct io_write){ no << PAGE_SHIFT, &iov, 1 });
}

static int put(uint64_t no, unsigned n, char letter)
{
	return put_by(io, no, n, letter);
}

static int flush(void)
{
	return io->ops->write_sync(io, NULL, 0, NULL, NULL);
}

/* The letter that fills the page; '?' if it is not of one piece, '.' for zeros. */
static char letter_at(int of, uint64_t no)
{
	uint8_t bytes[PAGE_SIZE];
	scratch_read(of, bytes, sizeof bytes, no << PAGE_SHIFT);
	for (unsigned i = 1; i < PAGE_SIZE; i++)
		if (bytes[i] != bytes[0])
			return '?';
	return bytes[0] ? (char)bytes[0] : '.';
}

/* How many of the pages have the letter after a power cut. */
static unsigned after_cut(enum fault_cut how, uint64_t no, unsigned n, char letter)
{
	unsigned found = 0;
	ck_assert_int_eq(fault_cut(disk, how, image), 0);
	for (unsigned i = 0; i < n; i++)
		found += letter_at(image, no + i) == letter;
	return found;
}

START_TEST(a_power_cut_loses_what_was_not_flushed)
{
	ck_assert_int_eq(put(0, 10, 'a'), 0);
	ck_assert_int_eq(flush(), 0);
	ck_assert_uint_eq(fault_unflushed(disk), 0);
	ck_assert_int_eq(put(0, PAGES, 'b'), 0);
	ck_assert_int_eq(letter_at(fd, 5), 'b');
	ck_assert_uint_eq(fault_unflushed(disk), PAGES * PAGE_SIZE);
	ck_assert_uint_eq(after_cut(FAULT_LOSE_ALL, 0, 10, 'a'), 10);
	ck_assert_uint_eq(after_cut(FAULT_LOSE_ALL, 10, PAGES - 10, '.'), PAGES - 10);
	ck_assert_uint_eq(after_cut(FAULT_KEEP_ALL, 0, PAGES, 'b'), PAGES);
	unsigned kept = after_cut(FAULT_PAGES, 0, PAGES, 'b');
	ck_assert(kept > 0 && kept < PAGES);
	unsigned torn = after_cut(FAULT_TORN, 0, PAGES, '?');
	ck_assert_uint_gt(torn, PAGES / 2);
	ck_assert_int_eq(letter_at(fd, 5), 'b'); /* the disk goes on */
	ck_assert_int_eq(flush(), 0);
	ck_assert_uint_eq(after_cut(FAULT_LOSE_ALL, 0, PAGES, 'b'), PAGES);
}
END_TEST

START_TEST(any_of_several_writes_may_be_there)
{
	unsigned seen[128] = { 0 };
	ck_assert_int_eq(put(7, 1, 'a'), 0);
	ck_assert_int_eq(put(7, 1, 'b'), 0);
	for (unsigned i = 0; i < 200; i++) {
		ck_assert_int_eq(fault_cut(disk, FAULT_PAGES, image), 0);
		seen[(unsigned)letter_at(image, 7)]++;
	}
	ck_assert(seen['a'] && seen['b'] && seen['.']);
}
END_TEST

START_TEST(a_failed_flush_leaves_pages_clean_and_not_on_disk)
{
	ck_assert_int_eq(put(0, PAGES, 'a'), 0);
	fault_fail(disk, FAULT_FLUSH, 1, EIO, false);
	ck_assert_int_eq(flush(), -EIO);
	ck_assert_uint_eq(fault_lost(disk), PAGES * PAGE_SIZE);
	/* The next one succeeds and does nothing for them; the cache shows them still. */
	ck_assert_int_eq(flush(), 0);
	ck_assert_int_eq(letter_at(fd, 9), 'a');
	ck_assert_uint_eq(after_cut(FAULT_KEEP_ALL, 0, PAGES, 'a'), 0);
	/* Written again, even in part, a page is dirty again, all of it. */
	struct iovec iov = { (char[]){ 'a' }, 1 };
	ck_assert_int_eq(io->ops->write(io, &(struct io_write){ 9 * PAGE_SIZE + 50, &iov, 1 }), 0);
	ck_assert_int_eq(flush(), 0);
	ck_assert_uint_eq(after_cut(FAULT_LOSE_ALL, 0, PAGES, 'a'), 1);
	fault_evict(disk, false);
	unsigned left = 0;
	for (unsigned i = 0; i < PAGES; i++)
		left += letter_at(fd, i) == 'a';
	ck_assert(left > 1 && left < PAGES);
	fault_evict(disk, true);
	ck_assert_int_eq(letter_at(fd, 8), '.');
	ck_assert_int_eq(letter_at(fd, 9), 'a');
	ck_assert_uint_eq(fault_lost(disk), 0);
}
END_TEST

START_TEST(a_failed_flush_may_have_written_some)
{
	ck_assert_int_eq(put(0, PAGES, 'a'), 0);
	fault_fail(disk, FAULT_FLUSH, 1, EIO, true);
	ck_assert_int_eq(flush(), -EIO);
	unsigned on_disk = after_cut(FAULT_LOSE_ALL, 0, PAGES, 'a');
	ck_assert(on_disk > 0 && on_disk < PAGES);
	ck_assert_uint_eq(fault_lost(disk), (PAGES - on_disk) * PAGE_SIZE);
}
END_TEST

START_TEST(the_nth_operation_fails_once)
{
	fault_fail(disk, FAULT_WRITE, 3, ENOSPC, false);
	ck_assert_int_eq(put(0, 1, 'a'), 0);
	ck_assert_int_eq(flush(), 0);
	ck_assert_int_eq(put(1, 1, 'a'), 0);
	ck_assert_int_eq(put(2, 1, 'a'), -ENOSPC);
	ck_assert_int_eq(letter_at(fd, 2), '.');
	ck_assert_int_eq(put(2, 1, 'a'), 0);
	ck_assert_uint_eq(fault_count(disk, FAULT_WRITE), 4);
	ck_assert_uint_eq(fault_count(disk, FAULT_FLUSH), 1);
	size_t n;
	const struct fault_event *log = fault_log(disk, &n);
	ck_assert_uint_eq(n, 5);
	ck_assert(log[3].op == FAULT_WRITE && log[3].result == -ENOSPC);
	ck_assert(log[3].offset == 2 * PAGE_SIZE && log[3].len == PAGE_SIZE && log[3].io == io);
	fault_log_clear(disk);
	ck_assert_uint_eq(fault_count(disk, FAULT_ANY), 0);
}
END_TEST

START_TEST(a_killed_process_does_nothing_more_and_others_go_on)
{
	struct io *other = fault_io(disk);
	unsigned parts = 0;
	for (unsigned round = 0; round < 20; round++) {
		struct io *dying = fault_io(disk);
		ck_assert_int_eq(put(0, 8, 'o'), 0);
		fault_kill_at(dying, 2);
		ck_assert_int_eq(put_by(dying, 20, 1, 'x'), 0);
		ck_assert(!fault_killed(dying));
		ck_assert_int_eq(put_by(dying, 0, 8, 'd'), FAULT_KILLED);
		ck_assert(fault_killed(dying));
		ck_assert_int_eq(put_by(dying, 30, 1, 'd'), FAULT_KILLED);
		ck_assert_int_eq(dying->ops->write_sync(dying, NULL, 0, NULL, NULL), FAULT_KILLED);
		ck_assert_int_eq(letter_at(fd, 30), '.');
		parts += letter_at(fd, 0) == 'd' && letter_at(fd, 7) != 'd';
		ck_assert_int_eq(put_by(other, 40, 1, 'o'), 0);
	}
	ck_assert_uint_gt(parts, 0);
	ck_assert_int_eq(letter_at(fd, 40), 'o');
}
END_TEST

START_TEST(a_full_disk_takes_what_fits)
{
	fault_capacity(disk, (PAGES + 2) * PAGE_SIZE);
	ck_assert_int_eq(put(PAGES, 2, 'a'), 0);
	ck_assert_int_eq(put(PAGES + 1, 4, 'b'), -ENOSPC);
	ck_assert_int_eq(letter_at(fd, PAGES), 'a');
	ck_assert_int_eq(letter_at(fd, PAGES + 1), 'b');
	struct stat st;
	ck_assert(!fstat(fd, &st));
	ck_assert_int_eq(st.st_size, (PAGES + 2) * PAGE_SIZE);
	/* Growth is lost with the rest. */
	ck_assert_int_eq(fault_cut(disk, FAULT_LOSE_ALL, image), 0);
	ck_assert(!fstat(image, &st));
	ck_assert_int_eq(st.st_size, PAGES * PAGE_SIZE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault");
	TCase *c = tcase_create("fault");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_power_cut_loses_what_was_not_flushed);
	tcase_add_test(c, any_of_several_writes_may_be_there);
	tcase_add_test(c, a_failed_flush_leaves_pages_clean_and_not_on_disk);
	tcase_add_test(c, a_failed_flush_may_have_written_some);
	tcase_add_test(c, the_nth_operation_fails_once);
	tcase_add_test(c, a_killed_process_does_nothing_more_and_others_go_on);
	tcase_add_test(c, a_full_disk_takes_what_fits);
	suite_add_tcase(suite, c);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
