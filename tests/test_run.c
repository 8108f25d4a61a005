/* SPDX-License-Identifier: Apache-2.0 */
/* Large values: what is written comes back in place, and nothing that differs does. */
#include "engine/run.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duramen.h"
#include "internal/error.h"
#include "tests/io_fault.h"
#include "tests/ipc_kit.h"
#include "tests/page_kit.h"
#include "tests/scratch.h"

enum { STATE = 9, START = 100 };

static int fd;
static struct fault_disk *disk;
static struct file *file;
static struct kit_space space;
static struct dirty d;

static void setup(void)
{
	file_close(kit_file(&fd, NULL));
	disk = fault_disk_new(fd, kit_seed());
	file = kit_file_again(fd, fault_io(disk));
	space = (struct kit_space){ .file = file, .next = START };
	struct dirty_host host = kit_host(&space);
	ck_assert_int_eq(dirty_open(&d, file, STATE, 0, &host), 0);
}

static void teardown(void)
{
	dirty_close(&d);
	file_close(file);
	fault_disk_free(disk);
	close(fd);
}

static uint8_t *value(uint64_t length)
{
	uint8_t *bytes = malloc(length + 1);
	ck_assert(bytes);
	for (uint64_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)((i * 2654435761U >> 11) + length);
	return bytes;
}

static struct page_ptr write_value(uint64_t length)
{
	struct page_ptr ptr;
	uint8_t *bytes = value(length);
	ck_assert_msg(!run_write(&d, bytes, length, &ptr), "%s", error_text());
	free(bytes);
	ck_assert_uint_eq(ptr.birth, STATE);
	return ptr;
}

/* Reads through another file handle, which has seen nothing. */
static void expect_value(struct page_ptr ptr, uint64_t length)
{
	struct file *other = kit_file_again(fd, NULL);
	struct file *files[3] = { file, other, other };
	uint8_t *bytes = value(length);
	for (unsigned i = 0; i < 3; i++) {
		const void *data = NULL;
		ck_assert_msg(!run_read(files[i], ptr, length, &data), "%s", error_text());
		ck_assert(!memcmp(data, bytes, length));
		ck_assert_int_eq(run_verify(files[i], ptr, length), 0);
	}
	free(bytes);
	file_close(other);
}

static void expect_error(struct page_ptr ptr, uint64_t length, const char *word)
{
	struct file *other = kit_file_again(fd, NULL);
	const void *data;
	ck_assert_int_eq(run_read(other, ptr, length, &data), DUR_E_CORRUPT);
	ck_assert_msg(strstr(error_text(), word), "no \"%s\" in: %s", word, error_text());
	ck_assert_int_eq(run_verify(other, ptr, length), DUR_E_CORRUPT);
	ck_assert(!file_run_is_marked(other, ptr.no));
	file_close(other);
}

START_TEST(values_of_all_lengths_come_back)
{
	const uint64_t lengths[] = {
		0,       1,
		7,       8,
		9,       4015,
		4016,    4017,
		4023,    4024,
		4025,    4032,
		4096,    65535,
		65536,   65537,
		131071,  131072,
		131073,  (1 << 20) - 1,
		1 << 20, (1 << 20) + 1,
		5000000,
	};
	enum { N = sizeof lengths / sizeof *lengths };
	struct page_ptr ptrs[N];
	struct written *out;
	size_t n;
	for (unsigned i = 0; i < N; i++) {
		uint64_t before = space.next;
		ptrs[i] = write_value(lengths[i]);
		ck_assert_uint_eq(ptrs[i].no, before);
		ck_assert_uint_eq(space.next - before, run_pages(lengths[i]));
	}
	for (unsigned i = 0; i < N; i++)
		expect_value(ptrs[i], lengths[i]);
	ck_assert_int_eq(dirty_place(&d, NULL, 0, &out, &n), 0);
	ck_assert_uint_eq(n, N);
	for (unsigned i = 0; i < N; i++) {
		uint64_t sum;
		scratch_read(fd, &sum, sizeof sum, ptrs[i].no << PAGE_SHIFT);
		ck_assert(out[i].no == ptrs[i].no && out[i].n == run_pages(lengths[i]));
		ck_assert(out[i].is_run && out[i].sum == sum);
	}
	free(out);
}
END_TEST

START_TEST(the_pages_of_a_run_are_as_many_as_it_needs)
{
	ck_assert_uint_eq(run_pages(0), 1);
	ck_assert_uint_eq(run_pages(4096 - 64 - 8), 1);
	ck_assert_uint_eq(run_pages(4096 - 64 - 7), 2);
	ck_assert_uint_eq(run_pages(65536), 17);
	ck_assert_uint_gt(run_pages(RUN_LENGTH_MAX), (uint64_t)1 << 28);
	ck_assert_uint_eq(run_pages(RUN_LENGTH_MAX + 1), 0);
	ck_assert_uint_eq(run_pages(UINT64_MAX), 0);
	struct page_ptr ptr;
	ck_assert_int_eq(run_write(&d, NULL, RUN_LENGTH_MAX + 1, &ptr), DUR_E_LIMIT);
	ck_assert_uint_eq(space.taken, 0);
}
END_TEST

START_TEST(any_flipped_bit_is_noticed)
{
	const uint64_t length = 5001;
	struct page_ptr ptr = write_value(length);
	uint64_t from = ptr.no << PAGE_SHIFT, n = run_pages(length) << PAGE_SHIFT;
	for (uint64_t i = 0; i < n; i++) {
		scratch_flip(fd, from + i, i % 8);
		ck_assert_int_eq(run_verify(file, ptr, length), DUR_E_CORRUPT);
		ck_assert_ptr_nonnull(strstr(error_text(), "page 100 of state 9"));
		scratch_flip(fd, from + i, i % 8);
	}
	expect_value(ptr, length);
	scratch_flip(fd, from + 3000, 0);
	expect_error(ptr, length, "contents");
}
END_TEST

START_TEST(a_run_is_verified_once_until_it_is_forgotten)
{
	const uint8_t *bytes;
	const void *data;
	ck_assert_int_eq(file_map(file, START, 1, &bytes), 0);
	struct page_ptr ptr = write_value(70000);
	scratch_flip(fd, (ptr.no << PAGE_SHIFT) + 5000, 3);
	ck_assert_int_eq(run_read(file, ptr, 70000, &data), 0); /* it wrote it */
	ck_assert_int_eq(run_verify(file, ptr, 70000), DUR_E_CORRUPT);
	file_forget_seen(file, ptr.no, 1);
	ck_assert_int_eq(run_read(file, ptr, 70000, &data), DUR_E_CORRUPT);
}
END_TEST

START_TEST(pointers_and_lengths_must_agree_with_the_header)
{
	struct page_ptr ptr = write_value(70000), wrong;
	const void *data;
	const uint64_t lengths[] = {
		0, 69999, 70001, 1 << 20, 1 << 26, RUN_LENGTH_MAX, RUN_LENGTH_MAX + 1, UINT64_MAX
	};
	for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		ck_assert_int_eq(run_read(file, ptr, lengths[i], &data), DUR_E_CORRUPT);
		expect_error(ptr, lengths[i], "page 100");
	}
	wrong = (struct page_ptr){ ptr.no, STATE - 1 };
	expect_error(wrong, 70000, "something else");
	wrong = (struct page_ptr){ ptr.no + 1, STATE };
	expect_error(wrong, 70000, "something else");
	wrong = (struct page_ptr){ PAGE_NUMBER_MAX, STATE };
	expect_error(wrong, 70000, "page");
	wrong = (struct page_ptr){ PAGE_DIRTY, STATE };
	expect_error(wrong, 70000, "page");
	/* A page of a tree is no run, and a run is no page of a tree, seen or not. */
	kit_leaf_write(file, 50, STATE, 1);
	expect_error((struct page_ptr){ 50, STATE }, 70000, "something else");
	const struct page *page;
	ck_assert_int_eq(run_read(file, ptr, 70000, &data), 0);
	ck_assert_int_eq(file_page(file, ptr, &page), DUR_E_CORRUPT);
}
END_TEST

START_TEST(a_failed_write_gives_the_space_back)
{
	struct page_ptr ptr = { 0, 0 };
	const uint64_t length = 3 << 20;
	uint8_t *bytes = value(length);
	ck_assert_int_eq(file_grow(file, 4000, false), 0);
	/* Three pieces of 1 MiB, the header, the trailer. */
	for (unsigned nth = 1; nth <= 5; nth++) {
		fault_fail(disk, FAULT_WRITE, nth, EIO, true);
		ck_assert_int_eq(run_write(&d, bytes, length, &ptr), -EIO);
		ck_assert_uint_eq(ptr.no, 0);
		ck_assert_uint_eq(space.taken, space.given);
	}
	space.limit = space.next + 10;
	ck_assert_int_eq(run_write(&d, bytes, length, &ptr), -ENOSPC);
	ck_assert_uint_eq(space.taken, space.given);
	space.limit = 0;
	ck_assert_int_eq(run_write(&d, bytes, length, &ptr), 0);
	expect_value(ptr, length);
	dirty_abort(&d);
	ck_assert_uint_eq(space.taken, space.given);
	free(bytes);
}
END_TEST

START_TEST(a_run_may_cross_windows)
{
	const uint64_t edge = (uint64_t)1 << FILE_WINDOW_SHIFT;
	if (ftruncate(fd, (off_t)((edge + 100) << PAGE_SHIFT)))
		return; /* the file system takes no 64 GiB file */
	ck_assert_int_eq(file_refresh(file), 0);
	space.next = edge - 3;
	struct page_ptr ptr = write_value(100000);
	ck_assert_uint_eq(ptr.no, edge - 3);
	expect_value(ptr, 100000);
	scratch_flip(fd, (edge << PAGE_SHIFT) + 77, 1);
	expect_error(ptr, 100000, "contents");
}
END_TEST

static Suite *run_suite(void)
{
	Suite *suite = suite_create("run");
	TCase *c = tcase_create("runs");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, values_of_all_lengths_come_back);
	tcase_add_test(c, the_pages_of_a_run_are_as_many_as_it_needs);
	tcase_add_test(c, any_flipped_bit_is_noticed);
	tcase_add_test(c, a_run_is_verified_once_until_it_is_forgotten);
	tcase_add_test(c, pointers_and_lengths_must_agree_with_the_header);
	tcase_add_test(c, a_failed_write_gives_the_space_back);
	tcase_add_test(c, a_run_may_cross_windows);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(run_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
