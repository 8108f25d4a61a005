/* SPDX-License-Identifier: Apache-2.0 */
/* What io_uring.c and io_posix.c share. Nobody else includes this. */
#ifndef DURAMEN_ENGINE_IO_PRIVATE_H
#define DURAMEN_ENGINE_IO_PRIVATE_H

#include "engine/io.h"

/*
 * Bytes handed to the kernel in one write. It takes page cache in pieces as big as the write, and
 * whoever writes or flushes 4 KiB later pays for the whole piece: in pieces of 1 MiB a commit of
 * one key took 82 us, in pieces of 4 to 256 KiB 51 (ext4, Linux 6.18).
 */
enum { IO_AT_ONCE = 256 << 10 };

/* The sum of iov's lengths. */
uint64_t io_write_bytes(const struct io_write *write);
/* Writes what is left of a write of which `done` bytes are written. 0 or -errno. */
int io_write_from(int fd, const struct io_write *write, uint64_t done);

/* These ops need nothing but io->fd. */
int io_plain_write(struct io *io, const struct io_write *write);
void io_plain_start(struct io *io, uint64_t offset, uint64_t len);
int io_plain_punch(struct io *io, uint64_t offset, uint64_t len);
int io_plain_reserve(struct io *io, uint64_t offset, uint64_t len);

#endif
