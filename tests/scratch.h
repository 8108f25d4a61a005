/* SPDX-License-Identifier: Apache-2.0 */
/* Scratch files of tests: without a name, so that no failure leaves them behind. */
#ifndef DURAMEN_TESTS_SCRATCH_H
#define DURAMEN_TESTS_SCRATCH_H

#include <stdint.h>

/*
 * A new empty file in $TMPDIR, open for reading and writing, already unlinked. Aborts if it cannot.
 */
int scratch_open(void);
/* Reads or writes len bytes at offset of fd, all of them, or fails the test. */
void scratch_read(int fd, void *bytes, uint64_t len, uint64_t offset);
void scratch_write(int fd, const void *bytes, uint64_t len, uint64_t offset);
/* Flips one bit of the byte at offset. */
void scratch_flip(int fd, uint64_t offset, unsigned bit);

#endif
