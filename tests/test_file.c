/* SPDX-License-Identifier: Apache-2.0 */
/* One page file: what opens and what does not, slots, meeting pages, ranges, growth. */
#include "engine/file.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/node.h"
#include "internal/error.h"
#include "tests/io_fault.h"
#include "tests/ipc_kit.h"
#include "tests/page_kit.h"
#include "tests/scratch.h"

static uint64_t size_of(int fd)
{
	struct stat st;
	ck_assert(!fstat(fd, &st));
	return (uint64_t)st.st_size;
}

/* Opens read-only and expects this result, and a message that has this word. */
static void expect_open(int fd, int result, const char *word)
{
	struct file *file = NULL;
	int r = file_open(fcntl(fd, F_DUPFD_CLOEXEC, 0), true, NULL, &file);
	ck_assert_int_eq(r, result);
	if (r)
		ck_assert_msg(strstr(error_text(), word), "no \"%s\" in: %s", word, error_text());
	else
		file_close(file);
}

/* ---- Superblock ---- */

START_TEST(format_makes_what_open_opens)
{
	const uint8_t uuid[16] = "0123456789abcdef";
	int a = scratch_open(), b = scratch_open();
	struct slot slot;
	ck_assert_int_eq(file_format(a, &(struct file_options){ FILE_RAW, uuid }), 0);
	ck_assert_int_eq(file_format(b, &(struct file_options){ 0, NULL }), 0);
	struct file *fa = kit_file_again(a, NULL), *fb = kit_file_again(b, NULL);
	ck_assert_uint_eq(fa->flags, FILE_RAW);
	ck_assert_uint_eq(fb->flags, 0);
	ck_assert(!memcmp(fa->uuid, uuid, 16));
	ck_assert(memcmp(fb->uuid, uuid, 16));
	ck_assert_uint_eq(fb->uuid[6] >> 4, 4); /* a random UUID says that it is one */
	ck_assert_uint_eq(fb->uuid[8] >> 6, 2);
	ck_assert_uint_ne(fa->seed, fb->seed);
	ck_assert_uint_eq(size_of(a), atomic_load(&fa->pages) << PAGE_SHIFT);
	ck_assert_uint_ge(size_of(a), 4 << 20);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(file_slot_read(fa, i, &slot), 1);
	ck_assert_int_eq(file_format(a, &(struct file_options){ 0 }), DUR_E_MISUSE);
	file_close(fa);
	file_close(fb);
	close(a);
	close(b);
}
END_TEST

START_TEST(any_flipped_bit_of_the_superblock_is_noticed)
{
	int fd;
	file_close(kit_file(&fd, NULL));
	for (unsigned i = 0; i < PAGE_SIZE; i++) {
		scratch_flip(fd, i, i % 8);
		if (i < 12)
			expect_open(fd, DUR_E_FORMAT, "not a page file");
		else
			expect_open(fd, DUR_E_CORRUPT, "superblock is damaged");
		scratch_flip(fd, i, i % 8);
	}
	expect_open(fd, 0, "");
	close(fd);
}
END_TEST

START_TEST(what_is_no_page_file_is_told_apart)
{
	int fd = scratch_open();
	expect_open(fd, DUR_E_FORMAT, "not a page file");
	scratch_write(fd, "{\"not\": \"a page file\"}", 22, 0);
	expect_open(fd, DUR_E_FORMAT, "not a page file");
	close(fd);
	file_close(kit_file(&fd, NULL));
	for (off_t size = 4096 * 3 - 1; size >= 12; size -= 1000) {
		ck_assert(!ftruncate(fd, size));
		expect_open(fd, DUR_E_CORRUPT, "cut off");
	}
	ck_assert(!ftruncate(fd, 11));
	expect_open(fd, DUR_E_FORMAT, "not a page file");
	close(fd);
}
END_TEST

START_TEST(a_newer_format_is_told_apart_from_damage)
{
	static const struct {
		unsigned offset;
		uint8_t bit;
		int result;
		const char *word;
	} cases[] = {
		{ 12, 1, DUR_E_FORMAT, "format version 3" },
		{ 16, 0, DUR_E_FORMAT, "features 0x1" },
		{ 23, 7, DUR_E_FORMAT, "features 0x8000000000000000" },
		{ 24, 0, 0, "" }, /* optional */
		{ 33, 5, DUR_E_FORMAT, "pages of 12288 bytes" },
		{ 36, 2, DUR_E_FORMAT, "flags 0x4" },
	};
	int fd;
	uint8_t page[PAGE_SIZE];
	file_close(kit_file(&fd, NULL));
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		scratch_read(fd, page, sizeof page, 0);
		uint8_t saved[PAGE_SIZE];
		memcpy(saved, page, sizeof page);
		page[cases[i].offset] ^= (uint8_t)(1U << cases[i].bit);
		put_u64(page + 4088, hash64(page, 4088, 0));
		scratch_write(fd, page, sizeof page, 0);
		expect_open(fd, cases[i].result, cases[i].word);
		scratch_write(fd, saved, sizeof saved, 0);
	}
	close(fd);
}
END_TEST

/* ---- Slots ---- */

static const struct slot sound = {
	.state = 77,
	.record = 900,
	.record_pages = 3,
	.flags = SLOT_FLUSHED,
	.record_hash = { 0x0123456789abcdef, 0xfedcba9876543210 },
	.base = 70,
	.ceiling = 5000,
	.epoch = 4,
	.salt = 0x1122334455667788,
	.file_pages = 1024,
};

START_TEST(a_slot_comes_back_as_it_was)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	uint8_t page[PAGE_SIZE];
	struct slot found;
	memset(&found, 0, sizeof found);
	file_slot_encode(file, &sound, page);
	for (int i = 0; i < 2; i++) {
		scratch_write(fd, page, sizeof page, file_slot_offset(i));
		ck_assert_int_eq(file_slot_read(file, i, &found), 0);
		ck_assert(!memcmp(&found, &sound, sizeof sound));
		ck_assert_int_eq(file_slot_read(file, !i, &found), i == 0);
	}
	file_close(file);
	close(fd);
}
END_TEST

START_TEST(any_flipped_bit_of_a_slot_is_noticed)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	uint8_t page[PAGE_SIZE];
	struct slot found;
	file_slot_encode(file, &sound, page);
	scratch_write(fd, page, sizeof page, file_slot_offset(0));
	for (unsigned i = 0; i < PAGE_SIZE; i++) {
		scratch_flip(fd, file_slot_offset(0) + i, i % 8);
		ck_assert_int_eq(file_slot_read(file, 0, &found), 1);
		scratch_flip(fd, file_slot_offset(0) + i, i % 8);
	}
	ck_assert_int_eq(file_slot_read(file, 0, &found), 0);
	file_close(file);
	close(fd);
}
END_TEST

START_TEST(a_torn_slot_is_noticed)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	uint8_t old[PAGE_SIZE], new[PAGE_SIZE];
	struct slot next = sound, found;
	next.state++;
	file_slot_encode(file, &sound, old);
	file_slot_encode(file, &next, new);
	for (unsigned sectors = 0; sectors < 256; sectors++) {
		for (unsigned i = 0; i < 8; i++)
			scratch_write(fd, (sectors >> i & 1 ? new : old) + i * 512, 512,
			              file_slot_offset(1) + i * 512);
		/* Sectors 1 to 6 are zeros in both. */
		bool whole = (sectors & 0x81) == 0x81 || (sectors & 0x81) == 0;
		ck_assert_int_eq(file_slot_read(file, 1, &found), whole ? 0 : 1);
		if (whole)
			ck_assert_uint_eq(found.state, sectors & 1 ? next.state : sound.state);
	}
	file_close(file);
	close(fd);
}
END_TEST

START_TEST(a_slot_with_impossible_numbers_is_none)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	struct slot bad[9], found;
	for (unsigned i = 0; i < 9; i++)
		bad[i] = sound;
	bad[0].state = 0;
	bad[1].base = sound.state + 1;
	bad[2].ceiling = sound.state - 1;
	bad[3].record = PAGE_SLOT_1;
	bad[4].record_pages = 0;
	bad[5].record = sound.file_pages;
	bad[6].record_pages = (uint32_t)(sound.file_pages - sound.record) + 1;
	bad[7].record = UINT64_MAX - 1;
	bad[8].file_pages = UINT64_MAX;
	for (unsigned i = 0; i < 9; i++) {
		uint8_t page[PAGE_SIZE];
		file_slot_encode(file, &bad[i], page);
		scratch_write(fd, page, sizeof page, file_slot_offset(0));
		ck_assert_int_eq(file_slot_read(file, 0, &found), 1);
	}
	file_close(file);
	close(fd);
}
END_TEST

/* ---- Meeting pages ---- */

static void expect_page(struct file *file, uint64_t no, uint64_t birth, int result,
                        const char *word)
{
	const struct page *page = NULL;
	char number[32];
	int r = file_page(file, (struct page_ptr){ no, birth }, &page);
	ck_assert_int_eq(r, result);
	if (!r) {
		ck_assert_uint_eq(page_no(page), no);
		ck_assert_uint_eq(page->birth, birth);
		return;
	}
	snprintf(number, sizeof number, "page %llu", (unsigned long long)no);
	ck_assert_msg(strstr(error_text(), word), "no \"%s\" in: %s", word, error_text());
	ck_assert_msg(strstr(error_text(), number), "no \"%s\" in: %s", number, error_text());
}

START_TEST(a_page_is_verified_when_it_is_met)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	uint8_t page[PAGE_SIZE];
	kit_leaf_write(file, 10, 5, 1);
	kit_leaf_write(file, 12, 5, 1);
	expect_page(file, 10, 6, DUR_E_CORRUPT, "written by another state");
	expect_page(file, 10, 5, 0, "");
	expect_page(file, 10, 6, DUR_E_CORRUPT, "written by another state");
	expect_page(file, 11, 5, DUR_E_CORRUPT, "checksum"); /* zeros */

	scratch_read(fd, page, sizeof page, 10 * PAGE_SIZE);
	scratch_write(fd, page, sizeof page, 20 * PAGE_SIZE);
	expect_page(file, 20, 5, DUR_E_CORRUPT, "another number");

	struct page *p = (struct page *)(void *)page;
	page_set_id(p, 21, PAGE_RUN, 0);
	file_seal(file, p);
	scratch_write(fd, page, sizeof page, 21 * PAGE_SIZE);
	expect_page(file, 21, 5, DUR_E_CORRUPT, "not a page of a tree");

	page_set_id(p, 22, PAGE_LEAF, 0);
	p->heap = 50;
	file_seal(file, p);
	scratch_write(fd, page, sizeof page, 22 * PAGE_SIZE);
	expect_page(file, 22, 5, DUR_E_CORRUPT, "overlap");

	for (unsigned i = 0; i < PAGE_SIZE; i += 7) {
		scratch_flip(fd, 12 * PAGE_SIZE + i, i % 8);
		expect_page(file, 12, 5, DUR_E_CORRUPT, "checksum");
		scratch_flip(fd, 12 * PAGE_SIZE + i, i % 8);
	}
	expect_page(file, 12, 5, 0, "");
	file_close(file);
	close(fd);
}
END_TEST

START_TEST(pointers_that_cannot_be_are_errors)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	const uint64_t numbers[] = { 0,
		                     1,
		                     2,
		                     1U << 30,
		                     (uint64_t)1 << 36,
		                     ((uint64_t)1 << 36) - 1,
		                     PAGE_NUMBER_MAX,
		                     PAGE_DIRTY,
		                     PAGE_DIRTY | 5,
		                     UINT64_MAX };
	uint64_t pages = atomic_load(&file->pages);
	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
		expect_page(file, numbers[i], 1, DUR_E_CORRUPT, "page");
	expect_page(file, pages, 1, DUR_E_CORRUPT, "beyond the end");
	const uint8_t *bytes;
	ck_assert_int_eq(file_map(file, pages - 1, 1, &bytes), 0);
	ck_assert_int_eq(file_map(file, pages - 1, 2, &bytes), DUR_E_CORRUPT);
	ck_assert_int_eq(file_map(file, 3, 0, &bytes), DUR_E_CORRUPT);
	ck_assert_int_eq(file_map(file, 3, UINT64_MAX, &bytes), DUR_E_CORRUPT);
	ck_assert_int_eq(file_map(file, UINT64_MAX, 2, &bytes), DUR_E_CORRUPT);
	file_close(file);
	close(fd);
}
END_TEST

START_TEST(a_page_is_verified_once_until_it_is_forgotten)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	kit_leaf_write(file, 10, 5, 1);
	ck_assert(!file_is_seen(file, 10));
	expect_page(file, 10, 5, 0, "");
	ck_assert(file_is_seen(file, 10));
	scratch_flip(fd, 10 * PAGE_SIZE + 3000, 0);
	expect_page(file, 10, 5, 0, "");
	file_forget_seen(file, 10, 1);
	expect_page(file, 10, 5, DUR_E_CORRUPT, "checksum");
	ck_assert(!file_is_seen(file, 10));
	file_close(file);
	close(fd);
}
END_TEST

START_TEST(forgetting_takes_the_range_and_no_more)
{
	enum { N = 700 };
	int fd;
	struct file *file = kit_file(&fd, NULL);
	uint64_t random = kit_seed();
	const uint8_t *bytes;
	ck_assert_int_eq(file_map(file, 3, 1, &bytes), 0);
	for (unsigned round = 0; round < 500; round++) {
		uint64_t from = kit_random(&random) % N, n = kit_random(&random) % (N - from + 1);
		for (unsigned i = 0; i < N; i++) {
			file_mark_seen(file, i);
			file_mark_run(file, i);
		}
		file_forget_seen(file, from, n);
		for (unsigned i = 0; i < N; i++) {
			ck_assert(file_is_seen(file, i) == (i < from || i >= from + n));
			ck_assert(file_run_is_marked(file, i) == (i < from || i >= from + n));
		}
	}
	/* Beyond any window, or in one that is not mapped: nothing is seen there. */
	file_mark_seen(file, (uint64_t)1 << FILE_WINDOW_SHIFT);
	ck_assert(!file_is_seen(file, (uint64_t)1 << FILE_WINDOW_SHIFT));
	file_mark_seen(file, UINT64_MAX);
	ck_assert(!file_is_seen(file, UINT64_MAX));
	file_close(file);
	close(fd);
}
END_TEST

START_TEST(a_run_that_was_seen_is_not_a_page_that_was)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	const uint8_t *bytes;
	ck_assert_int_eq(file_map(file, 3, 1, &bytes), 0);
	file_mark_run(file, 10);
	ck_assert(!file_is_seen(file, 10));
	expect_page(file, 10, 0, DUR_E_CORRUPT, "checksum");
	file_close(file);
	close(fd);
}
END_TEST

enum { THREADS = 4, THREAD_PAGES = 200 };

static void *meet_all(void *arg)
{
	struct file *file = arg;
	for (unsigned i = 0; i < THREAD_PAGES; i++) {
		const struct page *page;
		struct page_ptr ptr = { 3 + (i * 37) % THREAD_PAGES, 9 };
		if (file_page(file, ptr, &page) || page_no(page) != ptr.no)
			return file;
	}
	return NULL;
}

START_TEST(threads_meet_pages_together)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	pthread_t threads[THREADS];
	for (unsigned i = 0; i < THREAD_PAGES; i++)
		kit_leaf_write(file, 3 + i, 9, i);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert(!pthread_create(&threads[i], NULL, meet_all, file));
	for (unsigned i = 0; i < THREADS; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	file_close(file);
	close(fd);
}
END_TEST

/* ---- Windows ---- */

START_TEST(ranges_may_cross_windows)
{
	const uint64_t edge = (uint64_t)1 << FILE_WINDOW_SHIFT;
	int fd;
	struct file *file = kit_file(&fd, NULL);
	const uint8_t *a, *b, *again;
	if (ftruncate(fd, (off_t)((edge + 100) << PAGE_SHIFT))) {
		fprintf(stderr, "the file system takes no 64 GiB file: case skipped\n");
		file_close(file);
		close(fd);
		return;
	}
	kit_leaf_write(file, edge - 1, 3, 1);
	kit_leaf_write(file, edge, 4, 2);
	kit_leaf_write(file, edge + 99, 5, 3);
	expect_page(file, edge - 1, 3, 0, "");
	expect_page(file, edge, 4, 0, "");
	expect_page(file, edge + 99, 5, 0, "");
	ck_assert_int_eq(file_map(file, edge - 2, 4, &a), 0);
	ck_assert_uint_eq(page_no((const struct page *)(const void *)(a + PAGE_SIZE)), edge - 1);
	ck_assert_uint_eq(page_no((const struct page *)(const void *)(a + 2 * PAGE_SIZE)), edge);
	/* A part of it needs no mapping more. */
	ck_assert_int_eq(file_map(file, edge - 1, 2, &again), 0);
	ck_assert_ptr_eq(again, a + PAGE_SIZE);
	ck_assert_int_eq(file_map(file, edge, 100, &b), 0);
	ck_assert_int_eq(file_map(file, edge, 101, &b), DUR_E_CORRUPT);
	file_close(file);
	close(fd);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
START_TEST(a_limited_address_space_gets_small_windows_or_an_error)
{
	int fd;
	struct file *file = kit_file(&fd, NULL), *again;
	kit_leaf_write(file, 10, 5, 1);
	file_close(file);
	struct rlimit limit = { (rlim_t)8 << 30, (rlim_t)8 << 30 };
	ck_assert(!setrlimit(RLIMIT_AS, &limit));
	ck_assert_int_eq(file_open(dup(fd), true, NULL, &again), 0);
	ck_assert_uint_lt(again->window_shift, FILE_WINDOW_SHIFT);
	expect_page(again, 10, 5, 0, "");
	file_close(again);
	limit = (struct rlimit){ (rlim_t)1 << 29, (rlim_t)1 << 29 };
	ck_assert(!setrlimit(RLIMIT_AS, &limit));
	ck_assert_int_eq(file_open(dup(fd), true, NULL, &again), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(error_text(), "ulimit"));
	close(fd);
}
END_TEST
#endif

START_TEST(a_child_drops_the_file_and_the_parent_goes_on)
{
	int fd;
	struct file *file = kit_file(&fd, NULL);
	kit_leaf_write(file, 10, 5, 1);
	expect_page(file, 10, 5, 0, "");
	pid_t child = fork();
	if (!child) {
		int was = file->fd;
		const struct page *page;
		file_forked(file);
		bool closed = fcntl(was, F_GETFD) < 0;
		bool unmapped = file_page(file, (struct page_ptr){ 10, 5 }, &page) < 0;
		file_close(file);
		_exit(closed && unmapped ? 0 : 1);
	}
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	kit_leaf_write(file, 11, 5, 1);
	expect_page(file, 11, 5, 0, "");
	file_close(file);
	close(fd);
}
END_TEST

/* ---- Growth ---- */

START_TEST(the_file_grows_in_steps_of_zeros)
{
	int fd;
	file_close(kit_file(&fd, NULL));
	struct fault_disk *disk = fault_disk_new(fd, kit_seed());
	struct file *file = kit_file_again(fd, fault_io(disk));
	struct file *other = kit_file_again(fd, NULL);
	uint64_t before = size_of(fd);
	ck_assert_int_eq(file_grow(file, 10, false), 0);
	ck_assert_uint_eq(size_of(fd), before);
	ck_assert_int_eq(file_grow(file, (before >> PAGE_SHIFT) + 1, false), 0);
	ck_assert_uint_eq(size_of(fd), before + (4 << 20));
	ck_assert_uint_eq(atomic_load(&file->pages), size_of(fd) >> PAGE_SHIFT);
	/* A large step is taken whole; a large file grows by a sixteenth. */
	ck_assert_int_eq(file_grow(file, 128 << 8, false), 0);
	ck_assert_uint_eq(size_of(fd), 128 << 20);
	ck_assert_int_eq(file_grow(file, (128 << 8) + 1, false), 0);
	ck_assert_uint_eq(size_of(fd), 136 << 20);
	/* It was written, not only promised. */
	struct stat st;
	ck_assert(!fstat(fd, &st));
	ck_assert_uint_ge((uint64_t)st.st_blocks * 512, 136 << 20);
	ck_assert_uint_ge(fault_unflushed(disk), 132 << 20);
	/* Another process finds out when it meets a page there. */
	ck_assert_uint_eq(atomic_load(&other->pages), before >> PAGE_SHIFT);
	kit_leaf_write(file, 30000, 5, 1);
	expect_page(other, 30000, 5, 0, "");
	ck_assert_uint_eq(atomic_load(&other->pages), size_of(fd) >> PAGE_SHIFT);
	file_close(other);
	file_close(file);
	fault_disk_free(disk);
	close(fd);
}
END_TEST

START_TEST(a_full_disk_leaves_the_file_usable)
{
	int fd;
	file_close(kit_file(&fd, NULL));
	struct fault_disk *disk = fault_disk_new(fd, kit_seed());
	struct file *file = kit_file_again(fd, fault_io(disk));
	uint64_t pages = atomic_load(&file->pages);
	/* Room for what is needed, not for the whole step: that is enough. */
	fault_capacity(disk, (pages << PAGE_SHIFT) + (1 << 20) + 100);
	ck_assert_int_eq(file_grow(file, pages + 200, false), 0);
	ck_assert_uint_ge(atomic_load(&file->pages), pages + 200);
	kit_leaf_write(file, pages + 199, 5, 1);
	expect_page(file, pages + 199, 5, 0, "");
	/* No room. */
	ck_assert_int_eq(file_grow(file, pages + 300, false), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(error_text(), "make room"));
	expect_page(file, pages + 199, 5, 0, "");
	/* Room again: it goes on from the partly written tail. */
	fault_capacity(disk, UINT64_MAX);
	ck_assert_int_eq(file_grow(file, pages + 300, false), 0);
	kit_leaf_write(file, pages + 299, 5, 1);
	expect_page(file, pages + 299, 5, 0, "");
	/* The disk breaks. */
	fault_fail(disk, FAULT_WRITE, 1, EIO, true);
	ck_assert_int_eq(file_grow(file, 100000, false), -EIO);
	expect_page(file, pages + 299, 5, 0, "");
	ck_assert_int_eq(file_grow(file, ((uint64_t)1 << 36) + 1, false), DUR_E_LIMIT);
	file_close(file);
	fault_disk_free(disk);
	close(fd);
}
END_TEST

START_TEST(memory_grows_without_being_filled)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct stat st;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(file_format(fd, &(struct file_options){ FILE_MEMORY, NULL }), 0);
	struct file *file = kit_file_again(fd, NULL);
	ck_assert_uint_eq(file->flags, FILE_MEMORY);
	ck_assert_int_eq(file_grow(file, 1 << 16, false), 0);
	ck_assert_uint_eq(size_of(fd), 1 << 28);
	ck_assert(!fstat(fd, &st));
	ck_assert_uint_lt((uint64_t)st.st_blocks * 512, 1 << 20);
	kit_leaf_write(file, 60000, 5, 1);
	expect_page(file, 60000, 5, 0, "");
	ck_assert_str_eq(file->io->ops->name, "pwritev");
	file_close(file);
	close(fd);
}
END_TEST

START_TEST(a_read_only_file_does_not_grow)
{
	int fd;
	struct file *file;
	file_close(kit_file(&fd, NULL));
	ck_assert_int_eq(file_open(fd, true, NULL, &file), 0);
	ck_assert_ptr_null(file->io);
	ck_assert_int_eq(file_grow(file, 100000, false), DUR_E_READ_ONLY);
	file_close(file);
}
END_TEST

static Suite *file_suite(void)
{
	Suite *suite = suite_create("file");
	TCase *c = tcase_create("superblock");
	tcase_add_test(c, format_makes_what_open_opens);
	tcase_add_test(c, any_flipped_bit_of_the_superblock_is_noticed);
	tcase_add_test(c, what_is_no_page_file_is_told_apart);
	tcase_add_test(c, a_newer_format_is_told_apart_from_damage);
	suite_add_tcase(suite, c);
	c = tcase_create("slots");
	tcase_add_test(c, a_slot_comes_back_as_it_was);
	tcase_add_test(c, any_flipped_bit_of_a_slot_is_noticed);
	tcase_add_test(c, a_torn_slot_is_noticed);
	tcase_add_test(c, a_slot_with_impossible_numbers_is_none);
	suite_add_tcase(suite, c);
	c = tcase_create("pages");
	tcase_add_test(c, a_page_is_verified_when_it_is_met);
	tcase_add_test(c, pointers_that_cannot_be_are_errors);
	tcase_add_test(c, a_page_is_verified_once_until_it_is_forgotten);
	tcase_add_test(c, forgetting_takes_the_range_and_no_more);
	tcase_add_test(c, a_run_that_was_seen_is_not_a_page_that_was);
	tcase_add_test(c, threads_meet_pages_together);
	tcase_add_test(c, ranges_may_cross_windows);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	tcase_add_test(c, a_limited_address_space_gets_small_windows_or_an_error);
#endif
	tcase_add_test(c, a_child_drops_the_file_and_the_parent_goes_on);
	suite_add_tcase(suite, c);
	c = tcase_create("growth");
	tcase_add_test(c, the_file_grows_in_steps_of_zeros);
	tcase_add_test(c, a_full_disk_leaves_the_file_usable);
	tcase_add_test(c, memory_grows_without_being_filled);
	tcase_add_test(c, a_read_only_file_does_not_grow);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(file_suite());
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
