/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The superblock: making it, and deciding by it whether a file can be opened.
 *
 * SUPERBLOCK (page 0, written once)
 *   OFFSET SIZE
 *        0   12  magic: 89 "DURAMEN" 0D 0A 1A 0A (it shows a transfer that mended line ends)
 *       12    4  format version
 *       16    8  required features: who does not know one of these must not open the file
 *       24    8  optional features: who does not know one of these may
 *       32    4  page size
 *       36    4  flags (enum file_flag)
 *       40   16  UUID
 *       56    8  seed of all other checksums in the file
 *       64 4024  zero
 *     4088    8  XXH3-64 of bytes 0..4087, seed 0
 *
 * COMMIT SLOTS (pages 1 and 2): see file_slot.c. Pages follow.
 *
 * Magic, version and checksum stay where they are in every version: so damage and a newer version
 * are told apart.
 */
#include "engine/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/file_private.h"
#include "internal/error.h"

enum {
	AT_MAGIC = 0,
	AT_VERSION = 12,
	AT_REQUIRED = 16,
	AT_OPTIONAL = 24,
	AT_PAGE_SIZE = 32,
	AT_FLAGS = 36,
	AT_UUID = 40,
	AT_SEED = 56,
	AT_SUM = PAGE_SIZE - 8,
	MAGIC_BYTES = 12,
	FIRST_PAGES = 1024, /* a new file: 4 MiB */
};

static const uint8_t magic[MAGIC_BYTES] = "\211DURAMEN\r\n\032\n";

static int random_bytes(void *bytes, size_t n)
{
	ssize_t r;
	do
		r = getrandom(bytes, n, 0); /* up to 256 bytes come whole, or not at all */
	while (r < 0 && errno == EINTR);
	return r == (ssize_t)n ? 0 : error_system(r < 0 ? errno : EIO, "getting random bytes");
}

int file_format(int fd, const struct file_options *options)
{
	uint8_t page[PAGE_SIZE] = { 0 };
	struct stat st;
	struct file *file;
	struct io *io;

	if (fstat(fd, &st))
		return error_system(errno, "making a page file");
	if (st.st_size)
		return error_set(DUR_E_MISUSE, "making a page file: the file is not empty");
	memcpy(page + AT_MAGIC, magic, MAGIC_BYTES);
	put_u32(page + AT_VERSION, FILE_FORMAT_VERSION);
	put_u32(page + AT_PAGE_SIZE, PAGE_SIZE);
	put_u32(page + AT_FLAGS, options->flags);
	int r = random_bytes(page + AT_UUID, 16 + 8); /* and the seed behind it */
	if (r)
		return r;
	if (options->uuid) {
		memcpy(page + AT_UUID, options->uuid, 16);
	} else {
		page[AT_UUID + 6] = (uint8_t)((page[AT_UUID + 6] & 0x0f) | 0x40);
		page[AT_UUID + 8] = (uint8_t)((page[AT_UUID + 8] & 0x3f) | 0x80);
	}
	put_u64(page + AT_SUM, hash64(page, AT_SUM, 0));

	/* Superblock and empty slots first: that makes it a file, which can grow like any other. */
	static const uint8_t empty[2 * PAGE_SIZE];
	struct iovec iov[2] = { { page, sizeof page }, { (void *)(uintptr_t)empty, sizeof empty } };
	int again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (again < 0)
		return error_system(errno, "making a page file");
	r = io_open_posix(again, true, &io);
	if (r) {
		close(again);
		return r;
	}
	r = io->ops->write(io, &(struct io_write){ 0, iov, 2 });
	if (r) {
		io->ops->close(io);
		close(again);
		return error_system(-r, "making a page file");
	}
	r = file_open(again, false, io, &file);
	if (r)
		return r;
	r = file_grow(file, FIRST_PAGES, false);
	file_close(file);
	return r;
}

/* Fills what the superblock says. */
static int superblock_read(struct file *file)
{
	uint8_t page[PAGE_SIZE];
	ssize_t n;
	do
		n = pread(file->fd, page, sizeof page, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_system(errno, "reading the superblock");
	if (n < MAGIC_BYTES || memcmp(page, magic, MAGIC_BYTES))
		return error_set(DUR_E_FORMAT,
		                 "this is not a page file of Duramen: it does not begin "
		                 "like one. Check the path.");
	if (n < PAGE_SIZE)
		return error_set(DUR_E_CORRUPT,
		                 "the page file is cut off after %zd bytes; restore it "
		                 "from a backup",
		                 n);
	if (get_u64(page + AT_SUM) != hash64(page, AT_SUM, 0))
		return error_set(DUR_E_CORRUPT, "the superblock is damaged (its checksum does not "
		                                "match); restore the file from a backup");
	uint32_t version = get_u32(page + AT_VERSION);
	if (version != FILE_FORMAT_VERSION)
		return error_set(DUR_E_FORMAT,
		                 "the page file has format version %" PRIu32 ", this "
		                 "program knows version %d; use a newer program",
		                 version, FILE_FORMAT_VERSION);
	uint64_t features = get_u64(page + AT_REQUIRED);
	file->flags = get_u32(page + AT_FLAGS);
	if (features || (file->flags & ~(uint32_t)(FILE_RAW | FILE_MEMORY)))
		return error_set(DUR_E_FORMAT,
		                 "the page file needs features that this program does not "
		                 "know (features %#" PRIx64 ", flags %#" PRIx32
		                 "); use a newer program",
		                 features, file->flags);
	if (get_u32(page + AT_PAGE_SIZE) != PAGE_SIZE)
		return error_set(DUR_E_FORMAT,
		                 "the page file has pages of %" PRIu32 " bytes, this "
		                 "program knows pages of %d",
		                 get_u32(page + AT_PAGE_SIZE), PAGE_SIZE);
	memcpy(file->uuid, page + AT_UUID, 16);
	file->seed = get_u64(page + AT_SEED);
	return 0;
}

/* A memory file that was copied to a disk is a file like any other: ask the file system, too. */
static bool is_volatile(const struct file *file)
{
	struct statfs fs;
	return (file->flags & FILE_MEMORY) && !fstatfs(file->fd, &fs) &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int file_prepare(struct file *file)
{
	file->windows = calloc(FILE_WINDOWS_MAX, sizeof *file->windows);
	file->private = calloc(1, sizeof *file->private);
	if (!file->windows || !file->private)
		return error_system(ENOMEM, "opening a page file");
	pthread_mutex_init(&file->private->mapping, NULL);
	pthread_mutex_init(&file->private->growing, NULL);
	file->window_shift = FILE_WINDOW_SHIFT;
	int r = superblock_read(file);
	if (!r)
		r = file_window_first(file);
	if (!r)
		r = file_refresh(file);
	if (r)
		return r;
	if (atomic_load(&file->pages) < PAGE_FIRST)
		return error_set(DUR_E_CORRUPT, "the page file is cut off behind its superblock; "
		                                "restore it from a backup");
	if (!file->io && !file->read_only)
		return io_open(file->fd, is_volatile(file), &file->io);
	return 0;
}

int file_open(int fd, bool read_only, struct io *io, struct file **out)
{
	struct file *file = calloc(1, sizeof *file);
	if (!file) {
		close(fd);
		if (io)
			io->ops->close(io);
		return error_system(ENOMEM, "opening a page file");
	}
	file->fd = fd;
	file->read_only = read_only;
	file->io = io;
	int r = file_prepare(file);
	if (r) {
		file_close(file);
		return r;
	}
	*out = file;
	return 0;
}

static int scattered_prepare(struct file *file)
{
	file->windows = calloc(FILE_WINDOWS_MAX, sizeof *file->windows);
	file->private = calloc(1, sizeof *file->private);
	if (!file->windows || !file->private)
		return error_system(ENOMEM, "mapping a page file");
	pthread_mutex_init(&file->private->mapping, NULL);
	pthread_mutex_init(&file->private->growing, NULL);
	return file_window_first(file);
}

int file_open_scattered(const struct file *file, struct file **scattered)
{
	struct file *again = calloc(1, sizeof *again);

	if (!again)
		return error_system(ENOMEM, "mapping a page file");
	*again = (struct file){ .fd = file->fd, .seed = file->seed, .flags = file->flags, .read_only = true,
		.scattered = true };
	atomic_store(&again->pages, atomic_load(&file->pages));
	memcpy(again->uuid, file->uuid, sizeof again->uuid);
	int r = scattered_prepare(again);
	if (r)
		file_close(again);
	else
		*scattered = again;
	return r;
}

void file_forked(struct file *file)
{
	if (file->io)
		io_forked(file->io);
	file_unmap(file); /* a mapping keeps the open file, and with it the lock */
	if (file->fd >= 0 && !file->scattered)
		close(file->fd);
	file->io = NULL;
	file->fd = -1;
}

void file_close(struct file *file)
{
	if (!file)
		return;
	if (file->io)
		file->io->ops->close(file->io);
	if (file->private) {
		file_unmap(file);
		pthread_mutex_destroy(&file->private->mapping);
		pthread_mutex_destroy(&file->private->growing);
	}
	if (file->fd >= 0 && !file->scattered)
		close(file->fd);
	free(file->private);
	free(file->windows);
	free(file);
}
