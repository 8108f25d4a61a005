/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction's pages, on trees built by hand: what is copied, retired, given back; the order and
 * the pointers of placed pages; spilling with all that may go wrong.
 */
#include "engine/dirty.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/dirty_private.h"
#include "engine/node.h"
#include "internal/error.h"
#include "tests/io_fault.h"
#include "tests/ipc_kit.h"
#include "tests/page_kit.h"
#include "tests/scratch.h"

/* ---- Memory that runs out (the sanitizers bring their own malloc) ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OTHER_MALLOC 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_MALLOC 1
#endif

#if !defined(OTHER_MALLOC)
static unsigned fail_in;   /* allocations until one fails; 0: none does */
static bool armed, failed; /* libcheck allocates, too: only what is tested fails */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static bool fails(void)
{
	bool now = armed && fail_in && !--fail_in;
	failed |= now;
	if (now)
		errno = ENOMEM;
	return now;
}

#define EXPORTED __attribute__((visibility("default")))

EXPORTED void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

EXPORTED void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

EXPORTED void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}

EXPORTED void *aligned_alloc(size_t align, size_t n)
{
	return fails() ? NULL : __libc_memalign(align, n);
}
#endif

/* ---- Fixture ---- */

enum { STATE = 7 };

static int fd;
static struct fault_disk *disk;
static struct file *file;
static struct kit_space space;
static struct dirty d;
static struct page_ptr root;

static void setup(void)
{
	file_close(kit_file(&fd, NULL));
	disk = fault_disk_new(fd, kit_seed());
	file = kit_file_again(fd, fault_io(disk));
	space = (struct kit_space){ .file = file, .next = 100 };
	struct dirty_host host = kit_host(&space);
	ck_assert_int_eq(dirty_open(&d, file, STATE, 0, &host), 0);
	root = (struct page_ptr){ 0, 0 };
	/* What is not mapped yet cannot be marked as seen. */
	const uint8_t *bytes;
	ck_assert_int_eq(file_map(file, PAGE_FIRST, 1, &bytes), 0);
}

static void teardown(void)
{
	dirty_close(&d);
	file_close(file);
	fault_disk_free(disk);
	close(fd);
}

/* A branch over n children, key by position. */
static void fill_branch(struct page *page, const struct page_ptr *children, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t child[NODE_CHILD], key[2] = { (uint8_t)(i >> 8), (uint8_t)i };
		node_child_write(child, &(struct node_child){ children[i], 1, false });
		ck_assert(node_insert(page, i, key, i ? sizeof key : 0, child, sizeof child));
	}
}

/*
 * A full tree of dirty pages: `levels` levels, `fanout` children a branch. Leaves are all
 * different.
 */
static struct page_ptr build(unsigned levels, unsigned fanout, unsigned *salt)
{
	struct page_ptr ptr, children[64];
	struct page *page;
	if (levels == 1) {
		ck_assert_int_eq(dirty_new(&d, PAGE_LEAF, 0, CLASS_DATA, &ptr, &page), 0);
		kit_leaf(page, 10, (*salt)++);
		return ptr;
	}
	for (unsigned i = 0; i < fanout; i++)
		children[i] = build(levels - 1, fanout, salt);
	ck_assert_int_eq(dirty_new(&d, PAGE_BRANCH, levels - 1, CLASS_DATA, &ptr, &page), 0);
	fill_branch(page, children, fanout);
	return ptr;
}

static void build_root(unsigned levels, unsigned fanout)
{
	unsigned salt = 0;
	root = build(levels, fanout, &salt);
	dirty_root(&d, &root);
}

static unsigned tree_pages(unsigned levels, unsigned fanout)
{
	return levels == 1 ? 1 : 1 + fanout * tree_pages(levels - 1, fanout);
}

/* Reads the tree as a view of the transaction does; *leaf: the next one's salt. Counts pages. */
static unsigned verify(struct page_ptr ptr, unsigned level, unsigned *leaf)
{
	struct pager pager = { .file = file, .dirty = &d };
	const struct page *page;
	unsigned n = 1;
	ck_assert_msg(!page_get(&pager, ptr, &page), "%s", error_text());
	ck_assert_uint_eq(page_level(page), level);
	if (level) {
		for (unsigned i = 0; i < page->n; i++)
			n += verify(node_child_ptr(page, i), level - 1, leaf);
		return n;
	}
	char text[16];
	struct cell cell = node_cell(page, 3);
	int len = snprintf(text, sizeof text, "N%u", 3 * 31 + (*leaf)++);
	ck_assert_uint_eq(cell.len, (unsigned)len);
	ck_assert(!memcmp(cell.bytes, text, (size_t)len));
	return n;
}

static void verify_root(unsigned levels, unsigned fanout)
{
	unsigned leaf = 0;
	ck_assert_uint_eq(verify(root, levels - 1, &leaf), tree_pages(levels, fanout));
}

/* Places, writes, closes, and opens the next transaction. Returns what was written. */
static struct written *commit(const struct extent *extents, unsigned n_extents, size_t *n)
{
	struct written *out;
	const struct io_write *writes;
	unsigned n_writes;
	ck_assert_msg(!dirty_place(&d, extents, n_extents, &out, n), "%s", error_text());
	ck_assert_int_eq(dirty_writes(&d, &writes, &n_writes), 0);
	ck_assert_int_eq(file->io->ops->write_sync(file->io, writes, n_writes, NULL, NULL), 0);
	dirty_close(&d);
	struct dirty_host host = kit_host(&space);
	ck_assert_int_eq(dirty_open(&d, file, STATE + 1, 0, &host), 0);
	return out;
}

/* ---- Making and owning ---- */

START_TEST(a_new_page_is_empty_but_for_its_header)
{
	struct page_ptr ptr;
	struct page *page;
	const struct page *found;
	struct pager pager = { .file = file, .dirty = &d };
	for (unsigned round = 0; round < 3; round++) {
		ck_assert_int_eq(dirty_new(&d, PAGE_BRANCH, 2, CLASS_DATA, &ptr, &page), 0);
		ck_assert(ptr.no & PAGE_DIRTY);
		ck_assert_uint_eq(ptr.birth, STATE);
		ck_assert_uint_eq(page->birth, STATE);
		ck_assert_uint_eq(page_kind(page), PAGE_BRANCH);
		ck_assert_uint_eq(page_level(page), 2);
		ck_assert_uint_eq(page->heap, PAGE_SIZE);
		ck_assert_uint_eq((uintptr_t)page % PAGE_SIZE, 0);
		for (unsigned i = PAGE_HEADER; i < PAGE_SIZE; i++)
			ck_assert_uint_eq(((uint8_t *)page)[i], 0);
		ck_assert_int_eq(page_get(&pager, ptr, &found), 0);
		ck_assert_ptr_eq(found, page);
		memset(page, 0xff, PAGE_SIZE);
		ck_assert_int_eq(dirty_drop(&d, ptr, CLASS_DATA), 0);
		ck_assert_uint_eq(d.live, 0);
	}
	ck_assert_uint_eq(d.n_pages, 1); /* one index, one buffer, used again */
	ck_assert_uint_eq(d.peak, 1);
	ck_assert_uint_eq(d.n_retired, 0);
}
END_TEST

START_TEST(a_published_page_is_copied_once_and_retired)
{
	kit_leaf_write(file, 50, 5, 1);
	struct page_ptr ptr = { 50, 5 };
	const struct page *before;
	struct page *page, *again;
	ck_assert_int_eq(file_page(file, ptr, &before), 0);
	ck_assert_int_eq(dirty_own(&d, &ptr, CLASS_SYSTEM, &page), 0);
	ck_assert(ptr.no & PAGE_DIRTY);
	ck_assert_uint_eq(page->birth, STATE);
	ck_assert_uint_eq(page->steps, before->steps + 1);
	page->steps = before->steps; /* but for this one byte it is the same */
	ck_assert(
		!memcmp((const uint8_t *)page + 24, (const uint8_t *)before + 24, PAGE_SIZE - 24));
	ck_assert_int_eq(dirty_own(&d, &ptr, CLASS_SYSTEM, &again), 0);
	ck_assert_ptr_eq(again, page);
	ck_assert_uint_eq(d.n_retired, 1);
	ck_assert(d.retired[0].no == 50 && d.retired[0].birth == 5 && d.retired[0].n == 1 &&
	          d.retired[0].class == CLASS_SYSTEM);
	/* Dropped: the copy is gone, the page stays retired. */
	ck_assert_int_eq(dirty_drop(&d, ptr, CLASS_SYSTEM), 0);
	ck_assert_uint_eq(d.n_retired, 1);
	/* Dropped unread. */
	ck_assert_int_eq(dirty_drop(&d, (struct page_ptr){ 51, 4 }, CLASS_DATA), 0);
	ck_assert_int_eq(dirty_drop_run(&d, (struct page_ptr){ 52, 4 }, 9, CLASS_DATA), 0);
	ck_assert_uint_eq(d.n_retired, 3);
	ck_assert(d.retired[1].no == 51 && d.retired[1].n == 1);
	ck_assert(d.retired[2].no == 52 && d.retired[2].n == 9 && d.retired[2].class == CLASS_DATA);
}
END_TEST

START_TEST(a_damaged_page_is_not_copied)
{
	kit_leaf_write(file, 50, 5, 1);
	scratch_flip(fd, 50 * PAGE_SIZE + 4000, 1);
	struct page_ptr ptr = { 50, 5 };
	struct page *page;
	ck_assert_int_eq(dirty_own(&d, &ptr, CLASS_DATA, &page), DUR_E_CORRUPT);
	ck_assert_uint_eq(ptr.no, 50);
	ck_assert_uint_eq(d.live, 0);
	ck_assert_uint_eq(d.n_retired, 0);
	/* A published page that claims to be of the state being written. */
	kit_leaf_write(file, 51, STATE, 1);
	ptr = (struct page_ptr){ 51, STATE };
	ck_assert_int_eq(dirty_own(&d, &ptr, CLASS_DATA, &page), DUR_E_CORRUPT);
	ck_assert_int_eq(dirty_drop(&d, ptr, CLASS_DATA), DUR_E_CORRUPT);
	ck_assert_uint_eq(d.live, 0);
	ck_assert_uint_eq(d.n_retired, 0);
	ck_assert_uint_eq(space.given, 0);
}
END_TEST

/* ---- Placing ---- */

START_TEST(a_commit_is_one_contiguous_write_children_first)
{
	size_t n;
	build_root(3, 5);
	unsigned pages = tree_pages(3, 5);
	ck_assert_uint_eq(d.live, pages);
	verify_root(3, 5);
	uint64_t no;
	ck_assert_int_eq(d.host.take(d.host.ctx, pages, &no), 0);
	fault_log_clear(disk);
	struct written *out = commit(&(struct extent){ no, pages }, 1, &n);
	ck_assert_uint_eq(fault_count(disk, FAULT_WRITE), 1);
	ck_assert_uint_eq(fault_count(disk, FAULT_FLUSH), 1);
	size_t events;
	ck_assert_uint_eq(fault_log(disk, &events)->len, pages * PAGE_SIZE);
	ck_assert_uint_eq(n, pages);
	/* The root is last; leaves in key order, each five before their parent. */
	ck_assert_uint_eq(root.no, no + pages - 1);
	ck_assert_uint_eq(root.birth, STATE);
	for (unsigned i = 0; i < pages; i++) {
		const struct page *page;
		ck_assert_uint_eq(out[i].no, no + i);
		ck_assert_uint_eq(out[i].n, 1);
		ck_assert_uint_eq(out[i].is_run, 0);
		ck_assert_int_eq(file_page(file, (struct page_ptr){ no + i, STATE }, &page), 0);
		ck_assert_uint_eq(page->sum, out[i].sum);
		ck_assert_uint_eq(page_level(page), i == pages - 1 ? 2 : i % 6 == 5 ? 1 : 0);
	}
	free(out);
	verify_root(3, 5);
}
END_TEST

/* Pages made and dropped in random order: indexes and buffers come in another order then. */
static void shuffle(unsigned n)
{
	uint64_t random = kit_seed();
	struct page *page;
	struct page_ptr *made = calloc(n, sizeof *made);
	ck_assert(made);
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(dirty_new(&d, PAGE_LEAF, 0, CLASS_DATA, &made[i], &page), 0);
	for (; n; n--) {
		unsigned i = (unsigned)(kit_random(&random) % n);
		ck_assert_int_eq(dirty_drop(&d, made[i], CLASS_DATA), 0);
		made[i] = made[n - 1];
	}
	free(made);
}

START_TEST(placing_depends_on_nothing_but_the_tree)
{
	enum { FROM = 200, TO = 500 };
	static uint8_t bytes[2][(TO - FROM) * PAGE_SIZE];
	const unsigned pages = tree_pages(3, 8);
	for (unsigned round = 0; round < 2; round++) {
		size_t n;
		file->seed = 0;
		if (round)
			shuffle(200);
		build_root(3, 8);
		free(commit((struct extent[]){ { 200, 40 }, { 300, 1 }, { 400, 60 } }, 3, &n));
		ck_assert_uint_eq(n, pages);
		verify_root(3, 8);
		scratch_read(fd, bytes[round], sizeof bytes[round], FROM * PAGE_SIZE);
		teardown();
		setup();
	}
	ck_assert(!memcmp(bytes[0], bytes[1], sizeof bytes[0]));
}
END_TEST

START_TEST(a_commit_may_scatter)
{
	size_t n;
	build_root(3, 5);
	unsigned pages = tree_pages(3, 5);
	struct extent extents[] = {
		{ 500, 3 }, { 300, 0 }, { 200, 7 }, { 207, 1 }, { 600, pages }
	};
	fault_log_clear(disk);
	struct written *out = commit(extents, 5, &n);
	ck_assert_uint_eq(n, pages);
	for (size_t i = 1; i < n; i++)
		ck_assert_uint_lt(out[i - 1].no, out[i].no);
	/* 200..206 and 207 are side by side. */
	ck_assert_uint_eq(fault_count(disk, FAULT_WRITE), 3);
	free(out);
	verify_root(3, 5);
}
END_TEST

START_TEST(a_large_commit_is_split_for_the_system)
{
	size_t n;
	shuffle(tree_pages(3, 60));
	build_root(3, 60);
	unsigned pages = tree_pages(3, 60);
	uint64_t no;
	ck_assert_int_eq(d.host.take(d.host.ctx, pages, &no), 0);
	struct written *out;
	const struct io_write *writes;
	unsigned n_writes;
	uint64_t bytes = 0, at = no << PAGE_SHIFT;
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ no, pages }, 1, &out, &n), 0);
	ck_assert_int_eq(dirty_writes(&d, &writes, &n_writes), 0);
	ck_assert_uint_gt(n_writes, 1);
	for (unsigned i = 0; i < n_writes; i++) {
		ck_assert_uint_le(writes[i].n_iov, 1024);
		ck_assert_uint_eq(writes[i].offset, at + bytes);
		for (unsigned j = 0; j < writes[i].n_iov; j++)
			bytes += writes[i].iov[j].iov_len;
	}
	ck_assert_uint_eq(bytes, (uint64_t)pages << PAGE_SHIFT);
	free(out);
}
END_TEST

START_TEST(placing_refuses_what_does_not_fit)
{
	struct written *out;
	size_t n;
	build_root(2, 5);
	struct page_ptr was = root;
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ 200, 5 }, 1, &out, &n), DUR_E_MISUSE);
	ck_assert_uint_eq(root.no, was.no);
	verify_root(2, 5);
	/* A page that hangs below no root. */
	struct page_ptr lost;
	struct page *page;
	ck_assert_int_eq(dirty_new(&d, PAGE_LEAF, 0, CLASS_DATA, &lost, &page), 0);
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ 200, 50 }, 1, &out, &n), DUR_E_MISUSE);
	verify_root(2, 5);
	ck_assert_int_eq(dirty_drop(&d, lost, CLASS_DATA), 0);
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ 200, 50 }, 1, &out, &n), 0);
	ck_assert_uint_eq(n, 6);
	free(out);
}
END_TEST

START_TEST(an_empty_commit_places_nothing)
{
	struct written *out;
	const struct io_write *writes;
	size_t n;
	unsigned n_writes;
	dirty_root(&d, &root);
	ck_assert_int_eq(dirty_place(&d, NULL, 0, &out, &n), 0);
	ck_assert_uint_eq(n, 0);
	free(out);
	ck_assert_int_eq(dirty_writes(&d, &writes, &n_writes), 0);
	ck_assert_uint_eq(n_writes, 0);
}
END_TEST

START_TEST(runs_are_listed_and_can_be_dropped)
{
	struct written *out;
	size_t n;
	uint64_t no;
	ck_assert_int_eq(d.host.take(d.host.ctx, 30, &no), 0);
	ck_assert_int_eq(dirty_run_taken(&d, no, 10, 111), 0);
	ck_assert_int_eq(dirty_run_taken(&d, no + 10, 20, 222), 0);
	ck_assert_int_eq(dirty_drop_run(&d, (struct page_ptr){ no, STATE }, 10, CLASS_DATA), 0);
	ck_assert_uint_eq(space.given, 10);
	ck_assert_uint_eq(d.n_retired, 0);
	build_root(1, 0);
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ 90, 1 }, 1, &out, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert(out[0].no == 90 && !out[0].is_run);
	ck_assert(out[1].no == no + 10 && out[1].n == 20 && out[1].is_run && out[1].sum == 222);
	free(out);
}
END_TEST

/* ---- Spilling ---- */

/* Relieves with a limit that is exceeded. */
static int relieve(void)
{
	d.limit_bytes = 1;
	int r = dirty_relieve(&d);
	d.limit_bytes = 0;
	return r;
}

START_TEST(below_the_limit_nothing_spills)
{
	build_root(3, 5);
	ck_assert_int_eq(dirty_relieve(&d), 0);
	d.limit_bytes = (uint64_t)d.live << PAGE_SHIFT;
	ck_assert_int_eq(dirty_relieve(&d), 0);
	ck_assert_uint_eq(d.spilled_bytes, 0);
	d.limit_bytes--;
	ck_assert_int_eq(dirty_relieve(&d), 0);
	ck_assert_uint_gt(d.spilled_bytes, 0);
}
END_TEST

START_TEST(all_but_the_roots_spill_and_are_read_and_owned_again)
{
	struct written *out;
	size_t n;
	build_root(3, 20);
	unsigned pages = tree_pages(3, 20);
	struct page_ptr other;
	struct page *page;
	ck_assert_int_eq(dirty_new(&d, PAGE_LEAF, 0, CLASS_DATA, &other, &page), 0);
	kit_leaf(page, 10, 99);
	dirty_root(&d, &other);
	fault_log_clear(disk);
	ck_assert_int_eq(relieve(), 0);
	ck_assert_uint_eq(d.live, 2);
	ck_assert(root.no & other.no & PAGE_DIRTY);
	ck_assert_uint_eq(d.spilled_bytes, (uint64_t)(pages - 1) << PAGE_SHIFT);
	ck_assert_uint_eq(fault_count(disk, FAULT_WRITE), (pages + 254) / 256);
	ck_assert_uint_eq(fault_count(disk, FAULT_FLUSH), 0);
	ck_assert_uint_eq(space.taken - space.given, pages - 1);
	verify_root(3, 20);
	/* A spilled page is owned: it leaves the file, and nothing is retired. */
	ck_assert_int_eq(dirty_own(&d, &root, CLASS_DATA, &page), 0);
	struct page_ptr child = node_child_ptr(page, 7), was = child;
	struct page *below;
	ck_assert_int_eq(dirty_own(&d, &child, CLASS_DATA, &below), 0);
	node_set_child_ptr(page, 7, child);
	ck_assert(child.no & PAGE_DIRTY);
	ck_assert(!file_is_seen(file, was.no));
	ck_assert_uint_eq(space.taken - space.given, pages - 2);
	ck_assert_uint_eq(d.n_retired, 0);
	verify_root(3, 20);
	/* Spilled again, and committed: everything is listed. */
	ck_assert_int_eq(relieve(), 0);
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ 50, 2 }, 1, &out, &n), 0);
	ck_assert_uint_eq(n, pages + 1);
	for (size_t i = 0; i < n; i++) {
		struct page_ptr ptr = { out[i].no, STATE };
		const struct page *found;
		if (ptr.no == 50 || ptr.no == 51)
			continue;
		file_forget_seen(file, ptr.no, 1);
		ck_assert_int_eq(file_page(file, ptr, &found), 0);
		ck_assert_uint_eq(found->sum, out[i].sum);
		ck_assert(i == 0 || out[i - 1].no < out[i].no);
	}
	free(out);
}
END_TEST

START_TEST(spills_fit_the_space_there_is)
{
	build_root(3, 20);
	unsigned pages = tree_pages(3, 20);
	space.most = 7;
	ck_assert_int_eq(relieve(), 0);
	ck_assert_uint_eq(d.live, 1);
	ck_assert_uint_eq(space.taken - space.given, pages - 1);
	verify_root(3, 20);
}
END_TEST

START_TEST(an_abort_gives_everything_back)
{
	build_root(3, 20);
	uint64_t no;
	ck_assert_int_eq(d.host.take(d.host.ctx, 12, &no), 0);
	ck_assert_int_eq(dirty_run_taken(&d, no, 12, 1), 0);
	ck_assert_int_eq(relieve(), 0);
	ck_assert_uint_gt(space.taken, space.given);
	dirty_abort(&d);
	ck_assert_uint_eq(space.taken, space.given);
	ck_assert(!file_is_seen(file, no + 12));
	dirty_abort(&d); /* what is closed may be closed again */
}
END_TEST

START_TEST(a_failed_spill_bars_the_commit_and_leaves_the_tree_readable)
{
	struct written *out;
	size_t n;
	build_root(3, 20);
	unsigned pages = tree_pages(3, 20);
	bool full = _i == 3;
	if (full)
		space.limit = space.next + 300;
	else
		fault_fail(disk, FAULT_WRITE, (unsigned)_i + 1, EIO, true);
	/* A third write is not needed: nothing fails, and the next one does. */
	int r = relieve();
	if (_i == 2) {
		ck_assert_int_eq(r, 0);
		ck_assert_int_eq(dirty_place(&d, &(struct extent){ 50, 1 }, 1, &out, &n), 0);
		ck_assert_uint_eq(n, pages);
		free(out);
		return;
	}
	ck_assert_int_eq(r, full ? -ENOSPC : -EIO);
	ck_assert_int_eq(relieve(), r);
	verify_root(3, 20);
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ 50, 500 }, 1, &out, &n), r);
	verify_root(3, 20);
	dirty_abort(&d);
	ck_assert_uint_eq(space.taken, space.given);
}
END_TEST

/*
 * Random changes to a wide tree with spills in between; at last, what is listed is what it reaches.
 */
START_TEST(spills_at_random_keep_the_books)
{
	enum { FANOUT = 40 };
	uint64_t random = kit_seed() + (uint64_t)_i;
	struct written *out;
	size_t n;
	build_root(3, FANOUT);
	for (unsigned round = 0; round < 400; round++) {
		struct page *top, *branch, *leaf;
		unsigned i = (unsigned)(kit_random(&random) % FANOUT);
		unsigned j = (unsigned)(kit_random(&random) % FANOUT);
		ck_assert_int_eq(dirty_own(&d, &root, CLASS_DATA, &top), 0);
		struct page_ptr b = node_child_ptr(top, i);
		ck_assert_int_eq(dirty_own(&d, &b, CLASS_DATA, &branch), 0);
		node_set_child_ptr(top, i, b);
		struct page_ptr l = node_child_ptr(branch, j);
		ck_assert_int_eq(dirty_own(&d, &l, CLASS_DATA, &leaf), 0);
		node_set_child_ptr(branch, j, l);
		if (kit_random(&random) % 8 == 0)
			ck_assert_int_eq(relieve(), 0);
		if (kit_random(&random) % 64 == 0)
			verify_root(3, FANOUT);
	}
	unsigned pages = tree_pages(3, FANOUT);
	ck_assert_uint_eq(space.taken - space.given + d.live, pages);
	uint64_t no;
	ck_assert_int_eq(d.host.take(d.host.ctx, d.live, &no), 0);
	const struct io_write *writes;
	unsigned n_writes;
	ck_assert_int_eq(dirty_place(&d, &(struct extent){ no, d.live }, 1, &out, &n), 0);
	ck_assert_int_eq(dirty_writes(&d, &writes, &n_writes), 0);
	ck_assert_int_eq(file->io->ops->write_sync(file->io, writes, n_writes, NULL, NULL), 0);
	ck_assert_uint_eq(n, pages);
	for (size_t i = 0; i < n; i++) {
		const struct page *found;
		file_forget_seen(file, out[i].no, 1);
		ck_assert_int_eq(file_page(file, (struct page_ptr){ out[i].no, STATE }, &found), 0);
		ck_assert_uint_eq(found->sum, out[i].sum);
	}
	free(out);
	verify_root(3, FANOUT);
}
END_TEST

/* ---- The set of what was written ---- */

START_TEST(the_written_set_agrees_with_a_table)
{
	enum { N = 3000 };
	static uint64_t table[N];
	uint64_t random = kit_seed();
	size_t n = 0;
	memset(table, 0, sizeof table);
	for (unsigned round = 0; round < 40000; round++) {
		uint64_t no = 1 + kit_random(&random) % (N - 1);
		/* Numbers in a row, and far apart. */
		uint64_t key = no % 2 ? no : no << 30;
		struct written w = { .no = key, .n = 1, .sum = round };
		/* It swells, then shrinks. */
		if (kit_random(&random) % 100 < (round < 20000 ? 60U : 40U)) {
			ck_assert_int_eq(written_reserve(&d, 1), 0);
			written_add(&d, &w);
			n += !table[no];
			table[no] = (uint64_t)round + 1;
		} else {
			int r = written_remove(&d, key, &w);
			ck_assert_int_eq(r, table[no] ? 0 : 1);
			if (!r)
				ck_assert_uint_eq(w.sum + 1, table[no]);
			n -= table[no] != 0;
			table[no] = 0;
		}
		ck_assert_uint_eq(((struct dirty_private *)d.extra)->n_set, n);
	}
	struct written *all = calloc(n + 1, sizeof *all);
	written_copy(&d, all);
	for (size_t i = 0; i < n; i++) {
		uint64_t no = all[i].no >> 30 ? all[i].no >> 30 : all[i].no;
		ck_assert_uint_eq(all[i].sum + 1, table[no]);
		table[no] = 0;
	}
	free(all);
}
END_TEST

/* ---- Memory that runs out ---- */

#if !defined(OTHER_MALLOC)
/* The call may be a compound literal's, with commas. */
#define TRY(...) (armed = true, r = (__VA_ARGS__), armed = false)

/* Everything once, with the nth allocation failing; true when it went to the end. */
static bool workout(unsigned nth)
{
	struct page_ptr leaves[150], published = { 50, 5 };
	struct page *page;
	struct written *out = NULL;
	const struct io_write *writes;
	unsigned n_writes, made = 0;
	size_t n;
	int r = 0;

	fail_in = nth;
	failed = false;
	for (; made < 150 && !r; made += !r) {
		TRY(dirty_new(&d, PAGE_LEAF, 0, CLASS_DATA, &leaves[made], &page));
		if (!r)
			page->n = 0;
	}
	if (!r)
		TRY(dirty_own(&d, &published, CLASS_DATA, &page));
	if (!r) {
		ck_assert_uint_eq(d.n_retired, 1);
		TRY(dirty_drop(&d, published, CLASS_DATA));
	} else {
		ck_assert_uint_eq(d.n_retired, 0);
		ck_assert_uint_eq(d.live, made);
	}
	for (unsigned i = 0; i < 40 && !r; i++) {
		size_t before = d.n_retired;
		TRY(dirty_drop(&d, (struct page_ptr){ 60 + i, 5 }, CLASS_DATA));
		ck_assert_uint_eq(d.n_retired, before + !r);
	}
	for (unsigned i = 0; i < 80 && !r; i++) {
		uint64_t no;
		ck_assert_int_eq(d.host.take(d.host.ctx, 1, &no), 0);
		TRY(dirty_run_taken(&d, no, 1, 1));
		if (r)
			d.host.give(d.host.ctx, no, 1);
	}
	if (!r)
		TRY(dirty_new(&d, PAGE_BRANCH, 1, CLASS_DATA, &root, &page));
	if (!r) {
		fill_branch(page, leaves, 60);
		for (unsigned i = 60; i < 150; i++)
			ck_assert_int_eq(dirty_drop(&d, leaves[i], CLASS_DATA), 0);
		dirty_root(&d, &root);
	}
	if (!r)
		TRY(relieve());
	if (!r)
		TRY(dirty_place(&d, &(struct extent){ 50, 1 }, 1, &out, &n));
	if (!r)
		TRY(dirty_writes(&d, &writes, &n_writes));
	fail_in = 0;
	/* qsort() does without the memory that it was refused. */
	ck_assert(!r || (r == -ENOMEM && failed));
	free(out);
	dirty_abort(&d);
	ck_assert_uint_eq(space.taken, space.given);
	return !failed;
}

START_TEST(running_out_of_memory_breaks_nothing)
{
	unsigned n = 0;
	/* The double of the disk does not do without memory. */
	dirty_close(&d);
	file_close(file);
	file = kit_file_again(fd, NULL);
	space.file = file;
	kit_leaf_write(file, 50, 5, 1);
	do {
		struct dirty_host host = kit_host(&space);
		ck_assert_int_eq(dirty_open(&d, file, STATE, 0, &host), 0);
		root = (struct page_ptr){ 0, 0 };
	} while (!workout(++n));
	ck_assert_uint_gt(n, 10);
}
END_TEST
#endif

static Suite *dirty_suite(void)
{
	Suite *suite = suite_create("dirty");
	TCase *c = tcase_create("pages");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_new_page_is_empty_but_for_its_header);
	tcase_add_test(c, a_published_page_is_copied_once_and_retired);
	tcase_add_test(c, a_damaged_page_is_not_copied);
	suite_add_tcase(suite, c);
	c = tcase_create("placing");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_commit_is_one_contiguous_write_children_first);
	tcase_add_test(c, placing_depends_on_nothing_but_the_tree);
	tcase_add_test(c, a_commit_may_scatter);
	tcase_add_test(c, a_large_commit_is_split_for_the_system);
	tcase_add_test(c, placing_refuses_what_does_not_fit);
	tcase_add_test(c, an_empty_commit_places_nothing);
	tcase_add_test(c, runs_are_listed_and_can_be_dropped);
	suite_add_tcase(suite, c);
	c = tcase_create("spilling");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, below_the_limit_nothing_spills);
	tcase_add_test(c, all_but_the_roots_spill_and_are_read_and_owned_again);
	tcase_add_test(c, spills_fit_the_space_there_is);
	tcase_add_test(c, an_abort_gives_everything_back);
	tcase_add_loop_test(c, a_failed_spill_bars_the_commit_and_leaves_the_tree_readable, 0, 4);
	tcase_add_loop_test(c, spills_at_random_keep_the_books, 0, 3);
	tcase_add_test(c, the_written_set_agrees_with_a_table);
#if !defined(OTHER_MALLOC)
	tcase_add_test(c, running_out_of_memory_breaks_nothing);
#endif
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(dirty_suite());
	srunner_run_all(runner, CK_ENV);
	int failed_cases = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_cases != 0;
}
