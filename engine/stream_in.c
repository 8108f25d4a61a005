/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block is read, verified and unpacked when its first byte is asked for. Lengths are bounded
 * before anything is read, and nothing of a block is used before its checksum has told that it is
 * the right one: behind that, LZ4 and the sums of the final block could only fail if the writer
 * was wrong.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/stream_private.h"
#include "internal/error.h"

struct stream_in {
	struct stream_end end;
	int tee;
	bool ended; /* the final block was read */
	uint64_t sum;
	uint64_t content_sum, content;
	uint64_t bytes; /* read from the descriptor */
	struct stream_totals totals;
	size_t at, n; /* content in plain: [at, n) is to be given */
	uint8_t plain[STREAM_BLOCK];
	uint8_t block[STREAM_BLOCK_HEADER + STREAM_BLOCK];
};

static int damaged(const struct stream_in *in, const char *what)
{
	return error_set(DUR_E_CORRUPT,
	                 "the backup stream is damaged (%s, %" PRIu64 " bytes from its "
	                 "start): make or fetch it again",
	                 what, in->bytes);
}

/* ---- Bytes ---- */

static int read_wait(const struct stream_end *end, bool empty)
{
	struct pollfd fd = { .fd = end->fd, .events = POLLIN };
	int rc = end->interrupted ? end->interrupted(end->ctx) : 0;

	if (rc == 0 && empty)
		poll(&fd, 1, STREAM_WAIT_MS);
	return rc;
}

static int tee_write(const struct stream_in *in, const uint8_t *from, size_t n)
{
	while (n > 0 && in->tee >= 0) {
		ssize_t put = write(in->tee, from, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return error_system(errno,
			                    "keeping the backup stream until it is verified");
		from += put;
		n -= (size_t)put;
	}
	return 0;
}

/* *got < n: the end of the file. */
static int read_some(struct stream_in *in, uint8_t *to, size_t n, size_t *got)
{
	*got = 0;
	while (*got < n) {
		ssize_t k = read(in->end.fd, to + *got, n - *got);
		if (k > 0) {
			*got += (size_t)k;
			in->bytes += (uint64_t)k;
			continue;
		}
		if (k == 0)
			break;
		if (errno != EINTR && errno != EAGAIN)
			return error_system(errno, "reading the backup stream");
		int rc = read_wait(&in->end, errno == EAGAIN);
		if (rc != 0)
			return rc;
	}
	return tee_write(in, to, *got);
}

static int read_all(struct stream_in *in, uint8_t *to, size_t n)
{
	size_t got;
	int rc = read_some(in, to, n, &got);

	if (rc != 0 || got == n)
		return rc;
	return error_set(DUR_E_CORRUPT,
	                 "the backup stream ends after %" PRIu64 " bytes, in its middle: "
	                 "make or fetch it again",
	                 in->bytes);
}

/* ---- Header ---- */

static int header_check(struct stream_in *in, const uint8_t *bytes, struct stream_header *h)
{
	uint32_t version = get_u32(bytes + 12), flags = get_u32(bytes + 16);

	in->sum = hash64(bytes, STREAM_HEADER - 8, 0);
	if (get_u64(bytes + STREAM_HEADER - 8) != in->sum)
		return damaged(in, "the checksum of its header does not match");
	if (version != STREAM_VERSION || flags & ~(uint32_t)(STREAM_RAW | STREAM_HISTORY))
		return error_set(DUR_E_FORMAT,
		                 "the backup stream is of a newer version (%u, this one knows %d): "
		                 "receive it with that version",
		                 version, STREAM_VERSION);
	*h = (struct stream_header){
		.flags = flags,
		.base = get_u64(bytes + 40),
		.base_time_ns = (int64_t)get_u64(bytes + 48),
		.base_entries = get_u64(bytes + 56),
		.last = get_u64(bytes + 64),
		.entries = get_u64(bytes + 72),
	};
	memcpy(h->origin, bytes + 24, sizeof h->origin);
	if (h->last == 0 || h->last == UINT64_MAX || h->base > h->last)
		return damaged(in, "the states in its header cannot be");
	return 0;
}

static int header_read(struct stream_in *in, struct stream_header *header)
{
	uint8_t bytes[STREAM_HEADER];
	size_t got;
	int rc = read_some(in, bytes, sizeof bytes, &got);

	if (rc != 0)
		return rc;
	if (got == 0)
		return error_set(DUR_E_FORMAT, "there is no backup stream: it is empty");
	if (memcmp(bytes, STREAM_MAGIC, got < STREAM_MAGIC_BYTES ? got : STREAM_MAGIC_BYTES) != 0)
		return error_set(DUR_E_FORMAT,
		                 "this is not a backup stream: `duramen backup` makes one");
	if (got < sizeof bytes)
		return damaged(in, "it ends within its header");
	return header_check(in, bytes, header);
}

int stream_in_open(const struct stream_end *end, int tee, struct stream_header *header,
                   struct stream_in **in)
{
	int rc;

	*in = calloc(1, sizeof **in);
	if (!*in)
		return error_system(ENOMEM, "reading a backup stream");
	(*in)->end = *end;
	(*in)->tee = tee;
	rc = header_read(*in, header);
	if (rc != 0) {
		free(*in);
		*in = NULL;
	}
	return rc;
}

void stream_in_free(struct stream_in *in)
{
	free(in);
}

uint64_t stream_in_bytes(const struct stream_in *in)
{
	return in->bytes;
}

/* ---- Blocks ---- */

static int final_take(struct stream_in *in, const uint8_t *bytes)
{
	if (get_u64(bytes) != in->content || get_u64(bytes + 8) != in->content_sum)
		return damaged(in, "its totals do not fit its content");
	in->totals = (struct stream_totals){ get_u64(bytes + 16), get_u64(bytes + 24) };
	in->ended = true;
	return 0;
}

static int block_read(struct stream_in *in)
{
	uint8_t *from = in->block + STREAM_BLOCK_HEADER;
	size_t plain, stored;
	int rc = read_all(in, in->block, STREAM_BLOCK_HEADER);

	if (rc != 0)
		return rc;
	plain = get_u32(in->block);
	stored = get_u32(in->block + 4);
	if (plain > STREAM_BLOCK ||
	    (plain ? stored == 0 || stored > plain : stored != STREAM_FINAL))
		return damaged(in, "the length of a block cannot be");
	rc = read_all(in, from, stored);
	if (rc != 0)
		return rc;
	in->sum = stream_block_sum(in->block, stored, in->sum);
	if (get_u64(in->block + 8) != in->sum)
		return damaged(in, "the checksum of a block does not match");
	if (plain == 0)
		return final_take(in, from);
	if (stored == plain)
		memcpy(in->plain, from, plain);
	else if (LZ4_decompress_safe((const char *)from, (char *)in->plain, (int)stored,
	                             STREAM_BLOCK) != (int)plain)
		return damaged(in, "a block does not unpack");
	in->at = 0;
	in->n = plain;
	in->content += plain;
	in->content_sum = hash64(in->plain, plain, in->content_sum);
	return 0;
}

int stream_in_more(struct stream_in *in, struct stream_totals *totals)
{
	int rc = in->at < in->n || in->ended ? 0 : block_read(in);

	if (rc != 0)
		return rc;
	if (!in->ended)
		return 0;
	*totals = in->totals;
	return 1;
}

int stream_in_piece(struct stream_in *in, uint64_t max, const uint8_t **at, size_t *n)
{
	struct stream_totals totals;
	int rc = stream_in_more(in, &totals);

	if (rc == 1)
		return damaged(in, "its content ends in the middle of something");
	if (rc != 0)
		return rc;
	*at = in->plain + in->at;
	*n = in->n - in->at;
	if (*n > max)
		*n = (size_t)max;
	in->at += *n;
	return 0;
}

int stream_in_get(struct stream_in *in, void *to, size_t n)
{
	const uint8_t *at = NULL;
	uint8_t *out = to;
	size_t k = 0;

	while (n > 0) {
		int rc = stream_in_piece(in, n, &at, &k);
		if (rc != 0)
			return rc;
		memcpy(out, at, k);
		out += k;
		n -= k;
	}
	return 0;
}
