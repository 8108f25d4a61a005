/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three pictures of one file: the real file (what the cache shows), `disk` (what is durable), and
 * between them the unflushed writes, each a copy of the whole pages that it touched, as the kernel
 * keeps them. `lost` has a bit for each page that a failed flush called clean without having
 * written it.
 */
#include "tests/io_fault.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/page.h"
#include "tests/ipc_kit.h"

enum { SECTOR = 512 };

struct fault_io {
	struct io io;
	struct fault_disk *disk;
	struct fault_io *next;
	uint64_t kill_in; /* operations until then; 0: never */
	bool kill_at_flush;
	bool killed;
};

struct unflushed {
	uint64_t offset, len; /* whole pages */
	uint8_t *bytes;
};

struct fault_disk {
	pthread_mutex_t mutex;
	int fd;
	uint64_t random;
	struct fault_io *ios;

	uint8_t *disk;
	uint64_t disk_bytes; /* the durable length of the file */
	uint64_t disk_room;
	struct unflushed *unflushed;
	size_t n_unflushed, cap_unflushed;
	uint8_t *lost;       /* a byte a page */
	uint64_t lost_pages; /* pages that `lost` has room for */

	unsigned fail_ops, fail_in;
	int fail_errno;
	bool fail_partial;
	uint64_t capacity;

	struct fault_event *log;
	size_t n_log, cap_log;
};

/* The tests cannot go on without memory or with a broken file below them. */
static void must(bool ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

static void *room(void *array, size_t *cap, size_t need, size_t size)
{
	if (need <= *cap)
		return array;
	*cap = need * 2;
	array = realloc(array, *cap * size);
	must(array, "io_fault: realloc");
	return array;
}

static bool coin(struct fault_disk *d)
{
	return kit_random(&d->random) >> 63;
}

static void file_get(int fd, void *bytes, uint64_t len, uint64_t offset)
{
	uint8_t *at = bytes;
	while (len) {
		ssize_t n = pread(fd, at, len, (off_t)offset);
		must(n >= 0, "io_fault: pread");
		if (!n) {
			memset(at, 0, len);
			return;
		}
		at += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
}

static void file_put(int fd, const void *bytes, uint64_t len, uint64_t offset)
{
	const uint8_t *at = bytes;
	while (len) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);
		must(n > 0, "io_fault: pwrite");
		at += n;
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
}

static uint64_t file_bytes(int fd)
{
	struct stat st;
	must(!fstat(fd, &st), "io_fault: fstat");
	return (uint64_t)st.st_size;
}

/* ---- The durable picture ---- */

static void disk_reserve(struct fault_disk *d, uint64_t bytes)
{
	if (bytes <= d->disk_room)
		return;
	uint64_t room_new = bytes + bytes / 2;
	d->disk = realloc(d->disk, room_new);
	must(d->disk, "io_fault: realloc");
	memset(d->disk + d->disk_room, 0, room_new - d->disk_room);
	d->disk_room = room_new;
}

static void disk_write(struct fault_disk *d, const uint8_t *bytes, uint64_t len, uint64_t offset)
{
	disk_reserve(d, offset + len);
	memcpy(d->disk + offset, bytes, len);
	if (offset + len > d->disk_bytes)
		d->disk_bytes = offset + len;
}

static void lost_set(struct fault_disk *d, uint64_t page, bool lost)
{
	if (page >= d->lost_pages) {
		if (!lost)
			return;
		uint64_t n = page * 2 + 64;
		d->lost = realloc(d->lost, n);
		must(d->lost, "io_fault: realloc");
		memset(d->lost + d->lost_pages, 0, n - d->lost_pages);
		d->lost_pages = n;
	}
	d->lost[page] = lost;
}

static void unflushed_forget(struct fault_disk *d)
{
	for (size_t i = 0; i < d->n_unflushed; i++)
		free(d->unflushed[i].bytes);
	d->n_unflushed = 0;
}

static void flush_all(struct fault_disk *d)
{
	for (size_t i = 0; i < d->n_unflushed; i++)
		disk_write(d, d->unflushed[i].bytes, d->unflushed[i].len, d->unflushed[i].offset);
	unflushed_forget(d);
}

/*
 * The flush fails: each page either reached the disk, in its newest version, or is called clean and
 * did not. It depends on nothing but the page, so that no page is half old.
 */
static void flush_fails(struct fault_disk *d, bool partial)
{
	uint64_t salt = kit_random(&d->random);
	for (size_t i = 0; i < d->n_unflushed; i++) {
		const struct unflushed *u = &d->unflushed[i];
		for (uint64_t at = 0; at < u->len; at += PAGE_SIZE) {
			uint64_t page = (u->offset + at) >> PAGE_SHIFT;
			bool reached = partial && ((page ^ salt) * 0x9e3779b97f4a7c15U) >> 63;
			if (reached)
				disk_write(d, u->bytes + at, PAGE_SIZE, u->offset + at);
			lost_set(d, page, !reached);
		}
	}
	unflushed_forget(d);
}

/* ---- Operations ---- */

static void log_add(struct fault_disk *d, const struct fault_io *f, enum fault_op op,
                    uint64_t offset, uint64_t len, int result)
{
	d->log = room(d->log, &d->cap_log, d->n_log + 1, sizeof *d->log);
	d->log[d->n_log++] = (struct fault_event){ op, result, offset, len, &f->io };
}

/* What becomes of this operation: 0, or the error it ends with. */
static int verdict(struct fault_io *f, enum fault_op op, bool *partial)
{
	struct fault_disk *d = f->disk;
	*partial = false;
	if (f->killed)
		return FAULT_KILLED;
	if ((f->kill_in && !--f->kill_in) || (f->kill_at_flush && op == FAULT_FLUSH)) {
		f->killed = true;
		*partial = true;
		return FAULT_KILLED;
	}
	if (d->fail_in && (d->fail_ops & op) && !--d->fail_in) {
		*partial = d->fail_partial;
		return -d->fail_errno;
	}
	return 0;
}

static uint64_t write_bytes(const struct io_write *write)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < write->n_iov; i++)
		n += write->iov[i].iov_len;
	return n;
}

/* The first `len` bytes of a write go to the cache; their pages are unflushed. */
static void cache_write(struct fault_disk *d, const struct io_write *write, uint64_t len)
{
	uint64_t left = len, at = write->offset;
	for (unsigned i = 0; i < write->n_iov && left; i++) {
		uint64_t n = write->iov[i].iov_len < left ? write->iov[i].iov_len : left;
		file_put(d->fd, write->iov[i].iov_base, n, at);
		at += n;
		left -= n;
	}
	if (!len)
		return;
	uint64_t begin = write->offset & ~(uint64_t)(PAGE_SIZE - 1);
	uint64_t end = (write->offset + len + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	uint8_t *bytes = malloc(end - begin);
	must(bytes, "io_fault: malloc");
	file_get(d->fd, bytes, end - begin, begin);
	d->unflushed =
		room(d->unflushed, &d->cap_unflushed, d->n_unflushed + 1, sizeof *d->unflushed);
	d->unflushed[d->n_unflushed++] = (struct unflushed){ begin, end - begin, bytes };
	for (uint64_t page = begin >> PAGE_SHIFT; page < end >> PAGE_SHIFT; page++)
		lost_set(d, page, false);
}

static int do_write(struct fault_io *f, const struct io_write *write)
{
	struct fault_disk *d = f->disk;
	uint64_t len = write_bytes(write), done = len;
	bool partial;
	int r = verdict(f, FAULT_WRITE, &partial);
	if (r)
		done = partial ? kit_random(&d->random) % (len + 1) : 0;
	if (write->offset + done > d->capacity) {
		done = write->offset < d->capacity ? d->capacity - write->offset : 0;
		r = r ? r : -ENOSPC;
	}
	cache_write(d, write, done);
	log_add(d, f, FAULT_WRITE, write->offset, len, r);
	return r;
}

static int do_flush(struct fault_io *f)
{
	bool partial;
	int r = verdict(f, FAULT_FLUSH, &partial);
	if (!r)
		flush_all(f->disk);
	else if (r != FAULT_KILLED)
		flush_fails(f->disk, partial);
	log_add(f->disk, f, FAULT_FLUSH, 0, 0, r);
	return r;
}

static int fault_write(struct io *io, const struct io_write *write)
{
	struct fault_io *f = (struct fault_io *)io;
	pthread_mutex_lock(&f->disk->mutex);
	int r = do_write(f, write);
	pthread_mutex_unlock(&f->disk->mutex);
	return r;
}

static int fault_write_sync(struct io *io, const struct io_write *writes, unsigned n,
                            void (*written)(void *ctx), void *ctx)
{
	struct fault_io *f = (struct fault_io *)io;
	int r = 0;
	for (unsigned i = 0; i < n && !r; i++)
		r = fault_write(io, &writes[i]);
	if (r)
		return r;
	if (written)
		written(ctx);
	pthread_mutex_lock(&f->disk->mutex);
	r = do_flush(f);
	pthread_mutex_unlock(&f->disk->mutex);
	return r;
}

/* A hint changes nothing here: any unflushed page may be on the disk at a power cut as it is. */
static void fault_start(struct io *io, uint64_t offset, uint64_t len)
{
	(void)io;
	(void)offset;
	(void)len;
}

static int fault_punch(struct io *io, uint64_t offset, uint64_t len)
{
	struct fault_io *f = (struct fault_io *)io;
	struct fault_disk *d = f->disk;
	bool partial;
	pthread_mutex_lock(&d->mutex);
	int r = verdict(f, FAULT_PUNCH, &partial);
	uint64_t size = file_bytes(d->fd);
	if (!r && offset < size) {
		uint64_t n = len < size - offset ? len : size - offset;
		uint8_t *zeros = calloc(1, n);
		must(zeros, "io_fault: calloc");
		cache_write(d, &(struct io_write){ offset, &(struct iovec){ zeros, n }, 1 }, n);
		free(zeros);
	}
	log_add(d, f, FAULT_PUNCH, offset, len, r);
	pthread_mutex_unlock(&d->mutex);
	return r;
}

/* The capacity alone decides: what is reserved and not written leaves no trace. */
static int fault_reserve(struct io *io, uint64_t offset, uint64_t len)
{
	struct fault_io *f = (struct fault_io *)io;
	pthread_mutex_lock(&f->disk->mutex);
	int r = f->killed ? FAULT_KILLED : offset + len > f->disk->capacity ? -ENOSPC : 0;
	pthread_mutex_unlock(&f->disk->mutex);
	return r;
}

static void fault_close(struct io *io)
{
	(void)io;
}

static const struct io_ops fault_ops = {
	.name = "fault",
	.write = fault_write,
	.write_sync = fault_write_sync,
	.start = fault_start,
	.punch = fault_punch,
	.reserve = fault_reserve,
	.close = fault_close,
};

/* ---- The interface ---- */

struct fault_disk *fault_disk_new(int fd, uint64_t seed)
{
	struct fault_disk *d = calloc(1, sizeof *d);
	must(d, "io_fault: calloc");
	pthread_mutex_init(&d->mutex, NULL);
	d->fd = fd;
	d->random = seed;
	d->capacity = UINT64_MAX;
	d->disk_bytes = file_bytes(fd);
	disk_reserve(d, d->disk_bytes + 1);
	file_get(fd, d->disk, d->disk_bytes, 0);
	return d;
}

void fault_disk_free(struct fault_disk *d)
{
	if (!d)
		return;
	unflushed_forget(d);
	for (struct fault_io *f = d->ios, *next; f; f = next) {
		next = f->next;
		free(f);
	}
	free(d->unflushed);
	free(d->disk);
	free(d->lost);
	free(d->log);
	pthread_mutex_destroy(&d->mutex);
	free(d);
}

struct io *fault_io(struct fault_disk *d)
{
	struct fault_io *f = calloc(1, sizeof *f);
	must(f, "io_fault: calloc");
	f->io = (struct io){ &fault_ops, d->fd };
	f->disk = d;
	pthread_mutex_lock(&d->mutex);
	f->next = d->ios;
	d->ios = f;
	pthread_mutex_unlock(&d->mutex);
	return &f->io;
}

uint64_t fault_random(struct fault_disk *d)
{
	pthread_mutex_lock(&d->mutex);
	uint64_t r = kit_random(&d->random);
	pthread_mutex_unlock(&d->mutex);
	return r;
}

void fault_fail(struct fault_disk *d, unsigned ops, unsigned nth, int errno_value, bool partial)
{
	pthread_mutex_lock(&d->mutex);
	d->fail_ops = ops;
	d->fail_in = nth;
	d->fail_errno = errno_value;
	d->fail_partial = partial;
	pthread_mutex_unlock(&d->mutex);
}

void fault_kill_at(struct io *io, uint64_t nth)
{
	struct fault_io *f = (struct fault_io *)io;
	pthread_mutex_lock(&f->disk->mutex);
	f->kill_in = nth;
	pthread_mutex_unlock(&f->disk->mutex);
}

void fault_kill_at_flush(struct io *io)
{
	struct fault_io *f = (struct fault_io *)io;
	pthread_mutex_lock(&f->disk->mutex);
	f->kill_at_flush = true;
	pthread_mutex_unlock(&f->disk->mutex);
}

bool fault_killed(const struct io *io)
{
	const struct fault_io *f = (const struct fault_io *)io;
	pthread_mutex_lock(&f->disk->mutex);
	bool killed = f->killed;
	pthread_mutex_unlock(&f->disk->mutex);
	return killed;
}

void fault_capacity(struct fault_disk *d, uint64_t bytes)
{
	pthread_mutex_lock(&d->mutex);
	d->capacity = bytes;
	pthread_mutex_unlock(&d->mutex);
}

void fault_evict(struct fault_disk *d, bool all)
{
	pthread_mutex_lock(&d->mutex);
	uint64_t size = file_bytes(d->fd);
	for (uint64_t page = 0; page < d->lost_pages; page++) {
		uint64_t at = page << PAGE_SHIFT;
		if (!d->lost[page] || at >= size || !(all || coin(d)))
			continue;
		disk_reserve(d, at + PAGE_SIZE);
		file_put(d->fd, d->disk + at, size - at < PAGE_SIZE ? size - at : PAGE_SIZE, at);
		d->lost[page] = 0;
	}
	pthread_mutex_unlock(&d->mutex);
}

/* Which part of the unflushed writes survives. */
static void cut_write(struct fault_disk *d, enum fault_cut how, const struct unflushed *u, int fd)
{
	uint64_t unit = how == FAULT_TORN ? SECTOR : PAGE_SIZE;
	if (how == FAULT_KEEP_ALL) {
		file_put(fd, u->bytes, u->len, u->offset);
		return;
	}
	for (uint64_t at = 0; at < u->len; at += unit)
		if (coin(d))
			file_put(fd, u->bytes + at, unit, u->offset + at);
}

int fault_cut(struct fault_disk *d, enum fault_cut how, int image_fd)
{
	pthread_mutex_lock(&d->mutex);
	int r = ftruncate(image_fd, 0) ? -errno : 0;
	if (!r) {
		file_put(image_fd, d->disk, d->disk_bytes, 0);
		for (size_t i = 0; i < d->n_unflushed && how != FAULT_LOSE_ALL; i++)
			cut_write(d, how, &d->unflushed[i], image_fd);
	}
	pthread_mutex_unlock(&d->mutex);
	return r;
}

const struct fault_event *fault_log(struct fault_disk *d, size_t *n)
{
	pthread_mutex_lock(&d->mutex);
	const struct fault_event *log = d->log;
	*n = d->n_log;
	pthread_mutex_unlock(&d->mutex);
	return log;
}

void fault_log_clear(struct fault_disk *d)
{
	pthread_mutex_lock(&d->mutex);
	d->n_log = 0;
	pthread_mutex_unlock(&d->mutex);
}

size_t fault_count(struct fault_disk *d, unsigned ops)
{
	size_t n = 0;
	pthread_mutex_lock(&d->mutex);
	for (size_t i = 0; i < d->n_log; i++)
		n += (d->log[i].op & ops) != 0;
	pthread_mutex_unlock(&d->mutex);
	return n;
}

uint64_t fault_unflushed(struct fault_disk *d)
{
	uint64_t n = 0;
	pthread_mutex_lock(&d->mutex);
	for (size_t i = 0; i < d->n_unflushed; i++)
		n += d->unflushed[i].len;
	pthread_mutex_unlock(&d->mutex);
	return n;
}

uint64_t fault_lost(struct fault_disk *d)
{
	uint64_t n = 0;
	pthread_mutex_lock(&d->mutex);
	for (uint64_t i = 0; i < d->lost_pages; i++)
		n += d->lost[i] ? PAGE_SIZE : 0;
	pthread_mutex_unlock(&d->mutex);
	return n;
}
