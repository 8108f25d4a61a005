/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mapping. A window reserves 64 GiB of address space (less where the process may
 * not have so much), most of it beyond the file's end: that is
 * only touched once the file is known to reach there (file->pages, which fstat raises and nothing
 * lowers), so there is no SIGBUS but for a file that someone cuts.
 *
 * `seen` is published last and with release, so whoever loads it may use base. Its bits live in
 * anonymous memory that costs nothing until it is touched: 4 MiB a window at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "duramen.h"
#include "engine/file_private.h"
#include "engine/node.h"
#include "internal/error.h"

static size_t window_bytes(const struct file *file)
{
	return (size_t)FILE_WINDOW_PAGES(file) << PAGE_SHIFT;
}

static size_t seen_words(const struct file *file)
{
	return (size_t)FILE_WINDOW_PAGES(file) / 64;
}

static size_t seen_bytes(const struct file *file)
{
	return 2 * seen_words(file) * sizeof(uint64_t);
}

/* Pages that this process can map, be it with small windows. */
static uint64_t pages_max(const struct file *file)
{
	return (uint64_t)FILE_WINDOWS_MAX << file->window_shift;
}

static int map_error(int errno_value, size_t bytes)
{
	return error_system(errno_value,
	                    "mapping %zu GiB of the page file failed; if the address space "
	                    "is limited (ulimit -v, a container), lift that limit",
	                    bytes >> 30);
}

static int window_map(struct file *file, uint64_t index)
{
	struct file_window *w = &file->windows[index];
	void *base = mmap(NULL, window_bytes(file), PROT_READ, MAP_SHARED | MAP_NORESERVE, file->fd,
	                  (off_t)(index * window_bytes(file)));
	if (base == MAP_FAILED)
		return map_error(errno, window_bytes(file));
	if (file->scattered)
		madvise(base, window_bytes(file), MADV_RANDOM); /* without it the same is read, and more */
	void *seen = mmap(NULL, seen_bytes(file), PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (seen == MAP_FAILED) {
		int e = errno;
		munmap(base, window_bytes(file));
		return map_error(e, seen_bytes(file));
	}
	w->base = base;
	atomic_store_explicit(&w->seen, seen, memory_order_release);
	return 0;
}

int file_window_first(struct file *file)
{
	int r;

	file->window_shift = FILE_WINDOW_SHIFT;
	while ((r = window_map(file, 0)) < 0 && file->window_shift > FILE_WINDOW_SHIFT_MIN)
		file->window_shift -= 2;
	return r;
}

int file_window_open(struct file *file, uint64_t no, struct file_window **window)
{
	struct file_window *w = &file->windows[no >> file->window_shift];
	int r = 0;
	if (!atomic_load_explicit(&w->seen, memory_order_acquire)) {
		pthread_mutex_lock(&file->private->mapping);
		if (!atomic_load_explicit(&w->seen, memory_order_relaxed))
			r = window_map(file, no >> file->window_shift);
		pthread_mutex_unlock(&file->private->mapping);
	}
	*window = w;
	return r;
}

void file_unmap(struct file *file)
{
	for (unsigned i = 0; i < FILE_WINDOWS_MAX && file->windows; i++) {
		struct file_window *w = &file->windows[i];
		_Atomic uint64_t *seen = atomic_load(&w->seen);
		if (!seen)
			continue;
		munmap((void *)(uintptr_t)w->base, window_bytes(file));
		munmap((void *)(uintptr_t)seen, seen_bytes(file));
		atomic_store(&w->seen, NULL);
	}
	struct file_range *next;
	for (struct file_range *g = file->private->ranges; g; g = next) {
		next = g->next;
		munmap((void *)(uintptr_t)g->bytes, (size_t)g->n << PAGE_SHIFT);
		free(g);
	}
	file->private->ranges = NULL;
}

int file_refresh(struct file *file)
{
	/*
	 * Not fstat(): once a file's times were asked for, the next write sets them anew at full
	 * precision, and a flush in the same moment then has the inode to write, too.
	 */
	struct statx st;
	if (statx(file->fd, "", AT_EMPTY_PATH, STATX_SIZE, &st))
		return error_system(errno, "looking at the page file's size");
	uint64_t pages = st.stx_size >> PAGE_SHIFT;
	if (pages > pages_max(file))
		pages = pages_max(file);
	uint64_t known = atomic_load_explicit(&file->pages, memory_order_relaxed);
	while (known < pages &&
	       !atomic_compare_exchange_weak_explicit(&file->pages, &known, pages,
	                                              memory_order_release, memory_order_relaxed))
		;
	return 0;
}

/* 0 if the file has pages no .. no+n-1, looking at its size again if need be. */
static int file_reaches(struct file *file, uint64_t no, uint64_t n)
{
	if (no < PAGE_FIRST || !n || no > pages_max(file) || n > pages_max(file))
		return error_set(DUR_E_CORRUPT,
		                 "something points to page %" PRIu64 " (%" PRIu64 " pages)"
		                 ", which cannot be; run duramen check",
		                 no, n);
	uint64_t pages = atomic_load_explicit(&file->pages, memory_order_acquire);
	if (no + n <= pages)
		return 0;
	int r = file_refresh(file);
	if (r)
		return r;
	pages = atomic_load_explicit(&file->pages, memory_order_acquire);
	if (no + n <= pages)
		return 0;
	return error_set(DUR_E_CORRUPT,
	                 "page %" PRIu64 " (%" PRIu64 " pages) lies beyond the end of the "
	                 "file, which has %" PRIu64 " pages; restore it from a backup",
	                 no, n, pages);
}

/* ---- Verification ---- */

void file_seal(const struct file *file, struct page *page)
{
	page->sum = hash64((uint8_t *)page + 8, PAGE_SIZE - 8, file->seed);
}

int file_verify(const struct file *file, const struct page *page, struct page_ptr ptr)
{
	uint64_t sum = hash64((const uint8_t *)page + 8, PAGE_SIZE - 8, file->seed);
	bool same = page_no(page) == ptr.no && page->birth == ptr.birth && page->sum == sum;
	return same ? 0 : 1;
}

static int page_damaged(struct page_ptr ptr, const char *what)
{
	return error_set(DUR_E_CORRUPT,
	                 "page %" PRIu64 " of state %" PRIu64 ": %s; restore the file from "
	                 "a backup, or run duramen check to see how far the damage goes",
	                 ptr.no, ptr.birth, what);
}

static int page_meet(const struct file *file, struct page_ptr ptr, const struct page *page)
{
	if (page->sum != hash64((const uint8_t *)page + 8, PAGE_SIZE - 8, file->seed))
		return page_damaged(ptr, "the checksum does not match");
	if (page_no(page) != ptr.no)
		return page_damaged(ptr, "the page bears another number");
	if (page->birth != ptr.birth)
		return page_damaged(ptr, "the page was written by another state");
	if (!page_is_node(page))
		return page_damaged(ptr, "this is not a page of a tree");
	const char *why;
	return node_check(page, &why) ? page_damaged(ptr, why) : 0;
}

int file_page_slow(struct file *file, struct page_ptr ptr, const struct page **page)
{
	struct file_window *w;
	int r = file_reaches(file, ptr.no, 1);
	if (!r)
		r = file_window_open(file, ptr.no, &w);
	if (r)
		return r;
	uint64_t at = ptr.no & (FILE_WINDOW_PAGES(file) - 1);
	const struct page *p = (const struct page *)(w->base + (at << PAGE_SHIFT));
	r = page_meet(file, ptr, p);
	if (r)
		return r;
	file_mark_seen(file, ptr.no);
	*page = p;
	return 0;
}

/* ---- One bit a page, and another one for runs ---- */

enum bitmap { OF_NODES, OF_RUNS };

/* NULL while the window is not mapped: nothing in it was seen then. */
static _Atomic uint64_t *seen_word(struct file *file, enum bitmap which, uint64_t no)
{
	if (no >= pages_max(file))
		return NULL;
	_Atomic uint64_t *seen = atomic_load_explicit(&file->windows[no >> file->window_shift].seen,
	                                              memory_order_acquire);
	return seen ? &seen[which * seen_words(file) + ((no & (FILE_WINDOW_PAGES(file) - 1)) >> 6)] : NULL;
}

static void mark(struct file *file, enum bitmap which, uint64_t no)
{
	_Atomic uint64_t *word = seen_word(file, which, no);
	if (word)
		atomic_fetch_or_explicit(word, (uint64_t)1 << (no & 63), memory_order_release);
}

static bool is_marked(struct file *file, enum bitmap which, uint64_t no)
{
	_Atomic uint64_t *word = seen_word(file, which, no);
	return word && atomic_load_explicit(word, memory_order_acquire) >> (no & 63) & 1;
}

/* Clears bits [no, n) a word at a time, and writes only words that have one set. */
static void forget(struct file *file, enum bitmap which, uint64_t no, uint64_t n)
{
	for (uint64_t end = no + n; no < end; no = (no | 63) + 1) {
		_Atomic uint64_t *word = seen_word(file, which, no);
		uint64_t bits = UINT64_MAX << (no & 63);
		if ((no | 63) >= end)
			bits &= UINT64_MAX >> (63 - ((end - 1) & 63));
		if (word && atomic_load_explicit(word, memory_order_relaxed) & bits)
			atomic_fetch_and_explicit(word, ~bits, memory_order_relaxed);
	}
}

void file_mark_seen(struct file *file, uint64_t no)
{
	mark(file, OF_NODES, no);
}

bool file_is_seen(struct file *file, uint64_t no)
{
	return is_marked(file, OF_NODES, no);
}

void file_mark_run(struct file *file, uint64_t no)
{
	mark(file, OF_RUNS, no);
}

bool file_run_is_marked(struct file *file, uint64_t no)
{
	return is_marked(file, OF_RUNS, no);
}

void file_forget_seen(struct file *file, uint64_t no, uint64_t n)
{
	forget(file, OF_NODES, no, n);
	forget(file, OF_RUNS, no, n);
}

/* ---- Ranges ---- */

/* A mapping of its own for a range across windows. The caller holds the mutex. */
static int range_map(struct file *file, uint64_t no, uint64_t n, const uint8_t **bytes)
{
	for (struct file_range *g = file->private->ranges; g; g = g->next) {
		if (g->no <= no && no - g->no < g->n && n <= g->n - (no - g->no)) {
			*bytes = g->bytes + ((no - g->no) << PAGE_SHIFT);
			return 0;
		}
	}
	struct file_range *g = malloc(sizeof *g);
	if (!g)
		return error_system(ENOMEM, "mapping a large value");
	void *base = mmap(NULL, (size_t)n << PAGE_SHIFT, PROT_READ, MAP_SHARED | MAP_NORESERVE,
	                  file->fd, (off_t)(no << PAGE_SHIFT));
	if (base == MAP_FAILED) {
		int e = errno;
		free(g);
		return map_error(e, (size_t)n << PAGE_SHIFT);
	}
	if (file->scattered)
		madvise(base, (size_t)n << PAGE_SHIFT, MADV_RANDOM);
	*g = (struct file_range){ file->private->ranges, no, n, base };
	file->private->ranges = g;
	*bytes = base;
	return 0;
}

int file_map(struct file *file, uint64_t no, uint64_t n, const uint8_t **bytes)
{
	int r = file_reaches(file, no, n);
	if (r)
		return r;
	uint64_t at = no & (FILE_WINDOW_PAGES(file) - 1);
	if (at + n <= FILE_WINDOW_PAGES(file)) {
		struct file_window *w;
		r = file_window_open(file, no, &w);
		if (!r)
			*bytes = w->base + (at << PAGE_SHIFT);
		return r;
	}
	pthread_mutex_lock(&file->private->mapping);
	r = range_map(file, no, n, bytes);
	pthread_mutex_unlock(&file->private->mapping);
	return r;
}
