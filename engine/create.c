/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State 1, the empty prefix. Nobody else has the file, so both slots are written at once, each
 * confirmed and with the same ceiling, and one flush ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/store_private.h"
#include "internal/error.h"

enum { STATE_FIRST = 1 };

static struct store_first first_now(const struct store_options *options)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (struct store_first){ .number = STATE_FIRST,
		.time_ns = options->clock ? options->clock(options->clock_ctx)
		                          : (int64_t)t.tv_sec * 1000000000 + t.tv_nsec };
}

static int record_first(struct file *file, const struct store_first *first, const char *keep,
                        uint8_t *page, struct record *record)
{
	struct state *s = &record->state;

	*record = (struct record){
		.state = {
			.number = first->number,
			.oldest = first->number,
			.states = first->hidden ? 0 : 1,
			.flags = first->hidden ? STATE_MAINTENANCE : 0,
			.record = PAGE_FIRST,
			.record_pages = 1,
			.time_ns = first->time_ns,
			.written_bytes = PAGE_SIZE,
			.file_pages = atomic_load(&file->pages),
			.live_pages = 1,
			.system_pages = 1,
		},
		.epoch = 1,
		.fold = first->number,
		.fold_record = PAGE_FIRST,
	};
	strcpy(s->keep, keep);
	memcpy(s->origin, first->origin, sizeof s->origin);
	if (getrandom(&record->salt, sizeof record->salt, 0) != sizeof record->salt)
		return error_system(errno, "making a prefix");
	return record_encode(file, record, page);
}

static int write_first(struct file *file, const struct store_first *first, const char *keep)
{
	static const struct iovec empty;
	struct iovec iov[3] = { empty };
	struct io_write write = { file_slot_offset(0), iov, 3 };
	struct record record;
	struct slot slot;
	uint8_t *pages = aligned_alloc(PAGE_SIZE, 3 * PAGE_SIZE);
	int rc;

	if (!pages)
		return error_system(ENOMEM, "making a prefix");
	rc = record_first(file, first, keep, pages + 2 * PAGE_SIZE, &record);
	if (rc == 0) {
		slot = (struct slot){
			.state = first->number,
			.record = PAGE_FIRST,
			.record_pages = 1,
			.record_hash = record.hash,
			.base = first->number,
			.ceiling = first->number, /* so the first attach skips none */
			.epoch = 1,
			.salt = record.salt,
			.file_pages = record.state.file_pages,
		};
		file_slot_encode(file, &slot, pages);
		file_slot_encode(file, &slot, pages + PAGE_SIZE);
		for (int i = 0; i < 3; i++)
			iov[i] = (struct iovec){ pages + i * PAGE_SIZE, PAGE_SIZE };
		rc = file->io->ops->write_sync(file->io, &write, 1, NULL, NULL);
		if (rc < 0)
			rc = error_system(-rc, "writing the first state of a new prefix");
	}
	free(pages);
	return rc;
}

int store_create(int fd, const struct store_options *options)
{
	struct file_options format = { .flags = options->file_flags, .uuid = options->uuid };
	const char *keep = options->keep ? options->keep : "all";
	struct store_first first = options->first ? *options->first : first_now(options);
	struct file *file;
	int rc, own;

	if (strlen(keep) > 63)
		return error_set(DUR_E_LIMIT, "a retention policy has at most 63 bytes");
	rc = file_format(fd, &format);
	if (rc < 0)
		return rc;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return error_system(errno, "making a prefix");
	rc = file_open(own, false, options->io, &file);
	if (rc < 0)
		return rc;
	rc = write_first(file, &first, keep);
	file_close(file);
	return rc;
}
