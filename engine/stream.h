/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup stream as bytes: a header, blocks of content, a final block with totals
 * (docs/format.md). What the content says is up to prefixes/; here it is bytes that arrive whole
 * or not at all.
 *
 * Content goes in blocks of at most STREAM_BLOCK bytes, each compressed with LZ4 where that makes
 * it shorter. Each block has a checksum seeded with that of the block before it (the first with
 * the header's), so a stream that was cut, or in which a bit was flipped or a block changed
 * places, is found out at that block. Both ends need the memory of two blocks, and no seeking: a
 * pipe will do. Reading stops at the last byte of the final block, so streams may follow each
 * other.
 */
#ifndef DURAMEN_ENGINE_STREAM_H
#define DURAMEN_ENGINE_STREAM_H

#include <stddef.h>
#include <stdint.h>

enum {
	STREAM_VERSION = 1,
	STREAM_BLOCK = 256 << 10, /* content bytes in one block at most */
	STREAM_HEADER = 96,
};

enum stream_flag {
	STREAM_RAW = 1,     /* the catalog has raw keys */
	STREAM_HISTORY = 2, /* every retained state, not the last one alone */
};

struct stream_header {
	uint32_t flags;       /* enum stream_flag */
	uint8_t origin[16];   /* UUID of the prefix it was taken from */
	uint64_t base;        /* the state it builds on; 0: it is a full copy */
	int64_t base_time_ns; /* of the base; 0 without one, as the next */
	uint64_t base_entries;
	uint64_t last;    /* the state it leads to; the base itself if it holds none */
	uint64_t entries; /* of that state */
};

/* Counted by who writes the content; the final block tells them. */
struct stream_totals {
	uint64_t states, changes;
};

/*
 * Where the bytes go or come from. interrupted (may be NULL) is called when a signal interrupts a
 * system call, or the other end keeps it waiting for some time; negative: give up with that result.
 */
struct stream_end {
	int fd;
	int (*interrupted)(void *ctx);
	void *ctx;
};

/* ---- Writing ---- */

struct stream_out;

/* Writes the header. -EPIPE, -ENOSPC, ... with message, as all that write. */
int stream_out_open(const struct stream_end *end, const struct stream_header *header,
                    struct stream_out **out);
int stream_out_put(struct stream_out *out, const void *bytes, size_t n);
/* Writes what is left and the final block. The stream is whole only after it. */
int stream_out_finish(struct stream_out *out, const struct stream_totals *totals);
void stream_out_free(struct stream_out *out); /* NULL is fine */

/* ---- Reading ---- */

struct stream_in;

/*
 * Reads and verifies the header. tee (-1: none): all that is read is written there too, for another
 * reading. DUR_E_FORMAT: not a backup stream, or one of a newer version; DUR_E_CORRUPT: damaged or
 * cut off, as all that read.
 */
int stream_in_open(const struct stream_end *end, int tee, struct stream_header *header,
                   struct stream_in **in);
/* Exactly n bytes of content. */
int stream_in_get(struct stream_in *in, void *to, size_t n);
/* Up to max bytes of content in place, at least one; good until the next call. */
int stream_in_piece(struct stream_in *in, uint64_t max, const uint8_t **at, size_t *n);
/* 0: there is more content. 1: the final block was read, and fits; *totals is set. */
int stream_in_more(struct stream_in *in, struct stream_totals *totals);
/* Bytes of the stream read so far. */
uint64_t stream_in_bytes(const struct stream_in *in);
void stream_in_free(struct stream_in *in); /* NULL is fine */

#endif
