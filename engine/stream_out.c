/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content is gathered to a block, and a full block goes out at once: header and bytes in one
 * write.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/stream_private.h"
#include "internal/error.h"

struct stream_out {
	struct stream_end end;
	uint64_t sum; /* of the block before; at first of the header */
	uint64_t content_sum, content;
	size_t n; /* bytes in plain */
	uint8_t plain[STREAM_BLOCK];
	uint8_t block[STREAM_BLOCK_HEADER + STREAM_BLOCK];
};

static int write_failed(int e)
{
	if (e == EPIPE)
		return error_set(-EPIPE,
		                 "writing the backup: nobody reads it any more; what was written "
		                 "is incomplete");
	return error_system(e, "writing the backup; what was written is incomplete");
}

/* The other end is not ready, or a signal came: whoever asked for the backup may give up. */
static int write_wait(const struct stream_end *end, bool full)
{
	struct pollfd fd = { .fd = end->fd, .events = POLLOUT };
	int rc = end->interrupted ? end->interrupted(end->ctx) : 0;

	if (rc == 0 && full)
		poll(&fd, 1, STREAM_WAIT_MS);
	return rc;
}

static int write_all(const struct stream_end *end, const uint8_t *from, size_t n)
{
	while (n > 0) {
		ssize_t put = write(end->fd, from, n);
		if (put > 0) {
			from += put;
			n -= (size_t)put;
			continue;
		}
		if (put < 0 && errno != EINTR && errno != EAGAIN)
			return write_failed(errno);
		int rc = write_wait(end, put < 0 && errno == EAGAIN);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int header_write(struct stream_out *out, const struct stream_header *h)
{
	uint8_t bytes[STREAM_HEADER] = { 0 };

	memcpy(bytes, STREAM_MAGIC, STREAM_MAGIC_BYTES);
	put_u32(bytes + 12, STREAM_VERSION);
	put_u32(bytes + 16, h->flags);
	memcpy(bytes + 24, h->origin, 16);
	put_u64(bytes + 40, h->base);
	put_u64(bytes + 48, (uint64_t)h->base_time_ns);
	put_u64(bytes + 56, h->base_entries);
	put_u64(bytes + 64, h->last);
	put_u64(bytes + 72, h->entries);
	out->sum = hash64(bytes, STREAM_HEADER - 8, 0);
	put_u64(bytes + STREAM_HEADER - 8, out->sum);
	return write_all(&out->end, bytes, sizeof bytes);
}

int stream_out_open(const struct stream_end *end, const struct stream_header *header,
                    struct stream_out **out)
{
	int rc;

	*out = calloc(1, sizeof **out);
	if (!*out)
		return error_system(ENOMEM, "backing up");
	(*out)->end = *end;
	rc = header_write(*out, header);
	if (rc != 0) {
		free(*out);
		*out = NULL;
	}
	return rc;
}

void stream_out_free(struct stream_out *out)
{
	free(out);
}

static int block_write(struct stream_out *out, size_t plain, size_t stored)
{
	put_u32(out->block, (uint32_t)plain);
	put_u32(out->block + 4, (uint32_t)stored);
	out->sum = stream_block_sum(out->block, stored, out->sum);
	put_u64(out->block + 8, out->sum);
	return write_all(&out->end, out->block, STREAM_BLOCK_HEADER + stored);
}

static int block_flush(struct stream_out *out)
{
	uint8_t *to = out->block + STREAM_BLOCK_HEADER;
	size_t n = out->n;
	int stored = 0;

	if (n == 0)
		return 0;
	if (n > 1) /* room for one byte less: what does not become shorter is stored as it is */
		stored = LZ4_compress_default((const char *)out->plain, (char *)to, (int)n,
		                              (int)n - 1);
	if (stored <= 0) {
		memcpy(to, out->plain, n);
		stored = (int)n;
	}
	out->content_sum = hash64(out->plain, n, out->content_sum);
	out->content += n;
	out->n = 0;
	return block_write(out, n, (size_t)stored);
}

int stream_out_put(struct stream_out *out, const void *bytes, size_t n)
{
	const uint8_t *from = bytes;
	int rc = 0;

	while (n > 0 && rc == 0) {
		size_t room = STREAM_BLOCK - out->n, k = n < room ? n : room;
		memcpy(out->plain + out->n, from, k);
		out->n += k;
		from += k;
		n -= k;
		if (out->n == STREAM_BLOCK)
			rc = block_flush(out);
	}
	return rc;
}

int stream_out_finish(struct stream_out *out, const struct stream_totals *totals)
{
	uint8_t *to = out->block + STREAM_BLOCK_HEADER;
	int rc = block_flush(out);

	if (rc != 0)
		return rc;
	put_u64(to, out->content);
	put_u64(to + 8, out->content_sum);
	put_u64(to + 16, totals->states);
	put_u64(to + 24, totals->changes);
	return block_write(out, 0, STREAM_FINAL);
}
