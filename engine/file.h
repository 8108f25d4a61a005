/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page file: superblock, the two commit slots, the mapping, growth. Knows pages and checksums,
 * nothing of states or trees.
 *
 * Mapping: windows of 64 GiB of address space are reserved and the file grows under them; pointers
 * into it stay good as long as the file is open. A page is verified (checksum, number, structure)
 * the first time this process meets it: one bit a page. After that page_get() is a bit test and a
 * birth compare.
 *
 * SUPERBLOCK (page 0, written once) and COMMIT SLOTS (pages 1 and 2): see file.c.
 */
#ifndef DURAMEN_ENGINE_FILE_H
#define DURAMEN_ENGINE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/hash.h"
#include "engine/io.h"
#include "engine/page.h"
#include "internal/bytes.h"

enum {
	FILE_FORMAT_VERSION = 1,
	FILE_WINDOW_SHIFT = 24, /* pages in a window: 2^24, 64 GiB, */
	FILE_WINDOW_SHIFT_MIN = 18, /* or fewer where address space is limited, down to 1 GiB */
	FILE_WINDOWS_MAX = 4096,
};

enum file_flag {
	FILE_RAW = 1,           /* the catalog has raw keys */
	FILE_MEMORY = 2,        /* on tmpfs or a memfd: flushes mean nothing */
};

struct file_window {
	const uint8_t *base;            /* set before seen is */
	/*
	 * One bit a page: this process has verified it as a page of a tree, structure included.
	 * NULL: the window is not mapped yet. Behind it a second bitmap: verified as the first page
	 * of a run.
	 */
	_Atomic(_Atomic uint64_t *) seen;
};

struct file {
	_Atomic uint64_t pages;         /* that the file is known to have; what is mapped is below */
	uint32_t window_shift;          /* log2 of the pages in a window of this process */
	struct file_window *windows;    /* FILE_WINDOWS_MAX of them */
	uint64_t seed;                  /* of checksums */
	struct io *io;
	int      fd;                    /* opened O_RDWR, or O_RDONLY for read-only */
	uint32_t flags;                 /* enum file_flag */
	uint8_t  uuid[16];
	bool     read_only;
	bool     scattered;             /* file_open_scattered() made it: fd is another's */
	struct file_private *private;   /* file_private.h */
};

struct file_options {
	uint32_t flags;                 /* FILE_RAW, FILE_MEMORY */
	const uint8_t *uuid;            /* NULL: random */
};

/*
 * Formats an empty file on fd (made by the caller, size 0): superblock, both slots empty, first
 * growth step. Not yet attachable: the engine writes state 1 and a slot, flushes, and the caller
 * renames it.
 */
int file_format(int fd, const struct file_options *options);
/*
 * Opens fd and io (both owned from now on, also on failure). io NULL: io_open(), but for a
 * read-only file, which needs none. DUR_E_FORMAT: not a page file, or of a newer version, or with a
 * required feature unknown here; DUR_E_CORRUPT: superblock damaged or shorter than it must be. Cost
 * does not grow with the file.
 */
int file_open(int fd, bool read_only, struct io *io, struct file **file);
void file_close(struct file *file);
/*
 * A second mapping of an open file, to be closed before it, for reads here and there: a page that is not in
 * memory is read alone. Otherwise the system reads what lies around it as well, up to megabytes, which is right
 * for scans and, for a cold look into the past, most of its time. No io.
 */
int file_open_scattered(const struct file *file, struct file **scattered);
/*
 * The child of a fork: closes descriptors and unmaps, unlocks nothing. All that is left to do with
 * the file is file_close().
 */
void file_forked(struct file *file);

/* ---- Commit slots ---- */

struct slot {
	uint64_t state;                 /* the newest state it names; 0: the slot is empty */
	uint64_t record;                /* page number of its record */
	uint32_t record_pages;
	uint32_t flags;                 /* SLOT_FLUSHED: the pages were flushed before the slot was */
	struct hash128 record_hash;
	uint64_t base;                  /* the durable state it builds on; == state: confirmed */
	uint64_t ceiling;               /* numbers up to this may be handed out */
	uint64_t epoch;
	uint64_t salt;                  /* of the epoch's records */
	uint64_t file_pages;            /* pages the state needs the file to have */
};
enum { SLOT_FLUSHED = 1 };

/*
 * Reads slot i (0, 1) from the page cache. 0, or 1: torn, empty, damaged or with numbers that
 * contradict each other (no message: recovery decides).
 */
int file_slot_read(const struct file *file, int i, struct slot *slot);
/* Its 4,096 bytes, to be written at file_slot_offset(i). */
void file_slot_encode(const struct file *file, const struct slot *slot, uint8_t page[PAGE_SIZE]);
static inline uint64_t file_slot_offset(int i)
{
	return (uint64_t)(PAGE_SLOT_0 + i) << PAGE_SHIFT;
}

/* ---- Pages ---- */

/*
 * First meeting of a page, or trouble: maps, verifies, says what is wrong (DUR_E_CORRUPT with the
 * number).
 */
int file_page_slow(struct file *file, struct page_ptr ptr, const struct page **page);

/* A published page. *page is good as long as the state it was reached from is pinned. */
static inline int file_page(struct file *file, struct page_ptr ptr, const struct page **page)
{
	if (likely(ptr.no < atomic_load_explicit(&file->pages, memory_order_acquire))) {
		const struct file_window *w = &file->windows[ptr.no >> file->window_shift];
		uint64_t at = ptr.no & (((uint64_t)1 << file->window_shift) - 1);
		_Atomic uint64_t *seen = atomic_load_explicit(&w->seen, memory_order_acquire);
		if (likely(seen && atomic_load_explicit(&seen[at >> 6], memory_order_acquire) >>
		           (at & 63) & 1)) {
			const struct page *p = (const struct page *)(w->base + (at << PAGE_SHIFT));
			if (likely(p->birth == ptr.birth)) {
				*page = p;
				return 0;
			}
		}
	}
	return file_page_slow(file, ptr, page);
}

/*
 * n pages from number no on as bytes, mapped but not verified (records, runs, checks).
 * DUR_E_CORRUPT if the file is shorter. A range that crosses windows gets a mapping of its own,
 * kept until file_close.
 */
int file_map(struct file *file, uint64_t no, uint64_t n, const uint8_t **bytes);
/*
 * Marks a page of a tree as verified: checksum, number, birth, kind and node_check(), for
 * file_page() will not look again. Pages of other kinds are never marked here: a hostile tree may
 * point to them.
 */
void file_mark_seen(struct file *file, uint64_t no);
bool file_is_seen(struct file *file, uint64_t no);
/* The same of a run, by its first page (run.h). */
void file_mark_run(struct file *file, uint64_t no);
bool file_run_is_marked(struct file *file, uint64_t no);
/* Forgets both, before the numbers are used again by this process. */
void file_forget_seen(struct file *file, uint64_t no, uint64_t n);

/* Computes and stores the checksum of a page that is about to be written. */
void file_seal(const struct file *file, struct page *page);
/* 0, or 1 if the checksum, the number or the birth is not as told. No message. */
int file_verify(const struct file *file, const struct page *page, struct page_ptr ptr);

/* ---- Growth ---- */

/*
 * Makes the file at least `pages` long. New space is written with zeros in steps of several MiB
 * (growing with the file), so that later commits there change no metadata: fallocate alone doubles
 * a commit's cost. direct: the caller is about to write all of it itself, so the space is reserved
 * and no zeros are written. -ENOSPC and the like with message.
 */
int file_grow(struct file *file, uint64_t pages, bool direct);
/* Looks at the file's size anew (another process grew it). */
int file_refresh(struct file *file);
/* By how many pages a file of so many grows at least. */
uint64_t file_step(uint64_t pages);

/* ---- Holes: space given back to the file system (file_holes.c) ---- */

/*
 * Gives the space of n pages back; they read as zeros. 1: this file system cannot. Others: with
 * message. In which states pages may be punched is the caller's affair.
 */
int file_punch(struct file *file, uint64_t no, uint64_t n);
/*
 * The first pages from `from` on, and below `to`, that have no space: *start and *n. 1: none below
 * *start, which may lie behind `to`. Where the file system does not tell there are none.
 */
int file_hole(struct file *file, uint64_t from, uint64_t to, uint64_t *start, uint64_t *n);
/*
 * Space for n punched pages, before they are used: as file_grow(), with zeros, or only reserved if
 * the caller is about to write all of them.
 */
int file_refill(struct file *file, uint64_t no, uint64_t n, bool direct);

#endif
