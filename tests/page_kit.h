/* SPDX-License-Identifier: Apache-2.0 */
/* Pages and a place for them, for tests below the tree. */
#ifndef DURAMEN_TESTS_PAGE_KIT_H
#define DURAMEN_TESTS_PAGE_KIT_H

#include "engine/dirty.h"
#include "engine/file.h"

/*
 * A formatted file: *fd stays the test's, the file has a descriptor and, unless io is given, an io.
 */
struct file *kit_file(int *fd, struct io *io);
/* Opens fd once more. */
struct file *kit_file_again(int fd, struct io *io);

/*
 * Makes a leaf with n entries from page's zeros; kind and level are set, checksum and number are
 * not.
 */
void kit_leaf(struct page *page, unsigned n, unsigned salt);
/* A sealed leaf at page no of the file, born in state birth. */
void kit_leaf_write(struct file *file, uint64_t no, uint64_t birth, unsigned salt);

/*
 * Space that counts: pages are handed out in ascending order, from `next` on. What is given back is
 * not handed out again. most: at most so many pages at a time (0: any); limit: none from that
 * number on (0: any).
 */
struct kit_space {
	struct file *file;
	uint64_t next, taken, given, most, limit;
};
struct dirty_host kit_host(struct kit_space *space);

#endif
