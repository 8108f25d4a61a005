/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit slots: pages 1 and 2. Which of them is written when is the store's business; here is what
 * one looks like.
 *
 *   OFFSET SIZE
 *        0    8  magic: "DURSLOT" 0A
 *        8    8  state: the newest state it names
 *       16    8  page number of that state's record
 *       24    4  pages of the record
 *       28    4  flags (SLOT_FLUSHED)
 *       32   16  XXH3-128 of the record, low half first
 *       48    8  base: the durable state it builds on
 *       56    8  ceiling: state numbers up to this may be handed out
 *       64    8  epoch
 *       72    8  salt of the epoch's records
 *       80    8  pages that the state needs the file to have
 *       88 3992  zero
 *     4080   16  XXH3-128 of bytes 0..4079 with the file's seed, low half first
 *
 * The checksum ends the page, so a torn write never passes: its first sector and its last one are
 * of different times. A slot never written is all zeros.
 */
#include <errno.h>
#include <unistd.h>

#include "engine/file.h"
#include "engine/file_private.h"

enum {
	AT_MAGIC = 0,
	AT_STATE = 8,
	AT_RECORD = 16,
	AT_RECORD_PAGES = 24,
	AT_FLAGS = 28,
	AT_RECORD_HASH = 32,
	AT_BASE = 48,
	AT_CEILING = 56,
	AT_EPOCH = 64,
	AT_SALT = 72,
	AT_FILE_PAGES = 80,
	AT_SUM = PAGE_SIZE - 16,
};

static const uint8_t magic[8] = "DURSLOT\n";

/* A checksum proves that a program wrote it, not that the program was right. */
static bool is_consistent(const struct slot *slot)
{
	return slot->state && slot->base <= slot->state && slot->state <= slot->ceiling &&
	       slot->record >= PAGE_FIRST && slot->record_pages &&
	       slot->file_pages <= FILE_PAGES_MAX && slot->record < slot->file_pages &&
	       slot->record_pages <= slot->file_pages - slot->record;
}

int file_slot_read(const struct file *file, int i, struct slot *slot)
{
	uint8_t page[PAGE_SIZE];
	ssize_t n;
	do
		n = pread(file->fd, page, sizeof page, (off_t)file_slot_offset(i));
	while (n < 0 && errno == EINTR);
	if (n != PAGE_SIZE || memcmp(page, magic, sizeof magic))
		return 1;
	struct hash128 sum = hash128(page, AT_SUM, file->seed);
	if (get_u64(page + AT_SUM) != sum.low || get_u64(page + AT_SUM + 8) != sum.high)
		return 1;
	*slot = (struct slot){
		.state = get_u64(page + AT_STATE),
		.record = get_u64(page + AT_RECORD),
		.record_pages = get_u32(page + AT_RECORD_PAGES),
		.flags = get_u32(page + AT_FLAGS),
		.record_hash = { get_u64(page + AT_RECORD_HASH),
		                 get_u64(page + AT_RECORD_HASH + 8) },
		.base = get_u64(page + AT_BASE),
		.ceiling = get_u64(page + AT_CEILING),
		.epoch = get_u64(page + AT_EPOCH),
		.salt = get_u64(page + AT_SALT),
		.file_pages = get_u64(page + AT_FILE_PAGES),
	};
	return is_consistent(slot) ? 0 : 1;
}

void file_slot_encode(const struct file *file, const struct slot *slot, uint8_t page[PAGE_SIZE])
{
	memset(page, 0, PAGE_SIZE);
	memcpy(page + AT_MAGIC, magic, sizeof magic);
	put_u64(page + AT_STATE, slot->state);
	put_u64(page + AT_RECORD, slot->record);
	put_u32(page + AT_RECORD_PAGES, slot->record_pages);
	put_u32(page + AT_FLAGS, slot->flags);
	put_u64(page + AT_RECORD_HASH, slot->record_hash.low);
	put_u64(page + AT_RECORD_HASH + 8, slot->record_hash.high);
	put_u64(page + AT_BASE, slot->base);
	put_u64(page + AT_CEILING, slot->ceiling);
	put_u64(page + AT_EPOCH, slot->epoch);
	put_u64(page + AT_SALT, slot->salt);
	put_u64(page + AT_FILE_PAGES, slot->file_pages);
	struct hash128 sum = hash128(page, AT_SUM, file->seed);
	put_u64(page + AT_SUM, sum.low);
	put_u64(page + AT_SUM + 8, sum.high);
}
