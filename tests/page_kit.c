/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/page_kit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/node.h"
#include "internal/error.h"
#include "tests/scratch.h"

struct file *kit_file_again(int fd, struct io *io)
{
	struct file *file;
	int again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	ck_assert_int_ge(again, 0);
	int r = file_open(again, false, io, &file);
	ck_assert_msg(!r, "%s", error_text());
	return file;
}

struct file *kit_file(int *fd, struct io *io)
{
	*fd = scratch_open();
	ck_assert_int_eq(file_format(*fd, &(struct file_options){ 0 }), 0);
	return kit_file_again(*fd, io);
}

void kit_leaf(struct page *page, unsigned n, unsigned salt)
{
	page->heap = PAGE_SIZE;
	page_set_id(page, page_no(page), PAGE_LEAF, 0);
	for (unsigned i = 0; i < n; i++) {
		char key[16], cell[16];
		int key_len = snprintf(key, sizeof key, "key %06u", i);
		int cell_len = snprintf(cell, sizeof cell, "N%u", i * 31 + salt);
		ck_assert(node_insert(page, i, (const uint8_t *)key, (size_t)key_len, cell,
		                      (size_t)cell_len));
	}
}

void kit_leaf_write(struct file *file, uint64_t no, uint64_t birth, unsigned salt)
{
	union {
		struct page page;
		uint8_t bytes[PAGE_SIZE];
	} u = { .bytes = { 0 } };
	u.page.birth = birth;
	page_set_id(&u.page, no, PAGE_LEAF, 0);
	kit_leaf(&u.page, 20, salt);
	file_seal(file, &u.page);
	struct iovec iov = { &u, PAGE_SIZE };
	ck_assert_int_eq(file_grow(file, no + 1, false), 0);
	ck_assert_int_eq(file->io->ops->write(file->io,
	                                      &(struct io_write){ no << PAGE_SHIFT, &iov, 1 }),
	                 0);
}

static int space_take(void *ctx, uint64_t n, uint64_t *no)
{
	struct kit_space *s = ctx;
	if ((s->most && n > s->most) || (s->limit && s->next + n > s->limit))
		return error_set(-ENOSPC, "this test's space is full");
	int r = file_grow(s->file, s->next + n, false);
	if (r)
		return r;
	*no = s->next;
	s->next += n;
	s->taken += n;
	return 0;
}

static void space_give(void *ctx, uint64_t no, uint64_t n)
{
	struct kit_space *s = ctx;
	if (no + n > s->next)
		abort(); /* libcheck would allocate, which a test may just forbid */
	s->given += n;
}

struct dirty_host kit_host(struct kit_space *space)
{
	return (struct dirty_host){ space, space_take, space_give };
}
