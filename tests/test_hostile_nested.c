/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged page files of nested collections: maps, sets, lists and ropes, embedded and with trees of their
 * own, with pages that several of them share, what waits in the removal queue, packed and named states.
 * All that a user can do with such a file ends, in the right data or an error; where checksums were
 * made good again, in any data. Each try is a process of its own, which is killed if it takes too much of
 * the processor's time; its seed is told.
 *
 * Some hundred tries, with DURAMEN_SLOW=1 ten times as many. To look at one that failed:
 * HOSTILE_SAMPLES=FOLDER keeps the samples there, and takes those that are there (where pages are depends
 * on what happened in which millisecond); HOSTILE_TRY=N tries one alone.
 */
#include "damage.h"
#include "hostile_kit.h"
#include "prefix_kit.h"

#include "engine/page.h"
#include "internal/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char NAME[] = "nested";

enum {
	STATES_MAX = 64,
	CPU_S = 30, /* a hang, not a slow machine: a try takes a tenth of a second */
	REMOVED = 3000,
};

/* ---- The sample: every state's content is known ---- */

static struct {
	char root[PATH_MAX], path[PATH_MAX + 32], coord[PATH_MAX + 40];
	uint8_t *bytes;
	uint64_t size;
	struct damage_map map;
	uint64_t states[STATES_MAX], sums[STATES_MAX];
	uint32_t n;
} sample;

static uint64_t seed;
static char words[100000];

static dur_view *begin(dur_prefix *p)
{
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	return txn;
}

static void commit(dur_view *txn)
{
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}

/* Values of all kinds, among them small collections. */
static void put_mixed(dur_coll c, const dur_value *key, unsigned i)
{
	const dur_value pair[] = { DUR_STR("id"), DUR_INT(i), DUR_STR("text"), DUR_STRN(words, i % 90) };
	const dur_value items[] = { DUR_INT(i), DUR_NEW(DUR_MAP, pair, 4), DUR_STRN(words, i % 40) };
	const dur_value large = DUR_STRN(words, 5000 + i * 7919 % 70000);
	dur_value value = DUR_DOUBLE(i / 7.0);

	switch (i % 9) {
	case 0:
	case 1:
		value = DUR_NEW(DUR_MAP, pair, 4);
		break;
	case 2:
		value = DUR_NEW(DUR_LIST, items, 3);
		break;
	case 3:
		value = DUR_NEW(DUR_SET, items, 1);
		break;
	case 4:
		value = DUR_NEW(DUR_ROPE, &pair[3], 1);
		break;
	case 5:
		value = i % 20 ? DUR_STRN(words, i % 500) : large;
		break;
	case 6:
		value = DUR_TUPLE(pair, 2);
	}
	value.tag = i % 50 == 7 ? 99 : 0;
	EXPECT(0, c.kind == DUR_LIST ? dur_append(c, &value) : dur_put(c, key, &value));
}

static void make_keyed(dur_coll root)
{
	char key[32];
	dur_coll c[6];

	EXPECT(0, dur_make(root, &DUR_STR("map"), DUR_MAP, &c[0]));
	EXPECT(0, dur_make(root, &DUR_STR("mixed"), DUR_MAP, &c[1]));
	EXPECT(0, dur_make(root, &DUR_STR("raw map"), DUR_RAW_MAP, &c[2]));
	EXPECT(0, dur_make(root, &DUR_STR("set"), DUR_SET, &c[3]));
	EXPECT(0, dur_make(root, &DUR_STR("raw set"), DUR_RAW_SET, &c[4]));
	for (unsigned i = 0; i < 1200; i++) {
		snprintf(key, sizeof key, "key %u", i);
		EXPECT(0, dur_put(c[0], &DUR_STR(key), &DUR_STRN(words, i % 60)));
		EXPECT(0, dur_add(c[3], &DUR_STR(key)));
		if (i < 400)
			put_mixed(c[1], &DUR_INT(i), i);
		if (i < 300)
			EXPECT(0, dur_put(c[2], &DUR_STR(key), &DUR_INT(i)));
		if (i < 300)
			EXPECT(0, dur_add(c[4], &DUR_STR(key)));
	}
}

static void make_positional(dur_coll root)
{
	dur_coll list, numbers, rope;

	EXPECT(0, dur_make(root, &DUR_STR("list"), DUR_LIST, &list));
	EXPECT(0, dur_make(root, &DUR_STR("numbers"), DUR_LIST, &numbers));
	EXPECT(0, dur_make(root, &DUR_STR("rope"), DUR_ROPE, &rope));
	for (unsigned i = 0; i < 3000; i++)
		EXPECT(0, dur_append(numbers, &DUR_INT(i * i)));
	for (unsigned i = 0; i < 300; i++)
		put_mixed(list, NULL, i);
	EXPECT(0, dur_append(rope, &DUR_STRN(words, 60000)));
	/* pages that a list shares with itself, and with another one */
	EXPECT(0, dur_splice(numbers, 1500, numbers, NULL));
	EXPECT(0, dur_make(root, &DUR_STR("slice"), DUR_LIST, &list));
	EXPECT(0, dur_splice(list, 0, numbers, &(dur_range){ .skip = 700, .limit = 3500 }));
	EXPECT(0, dur_splice(rope, 30000, rope, &(dur_range){ .limit = 20000 }));
}

/* A chain of collections in collections, some of them too large to be embedded. */
static void make_deep(dur_coll root)
{
	dur_coll c = root;
	char key[32] = "deep";

	for (unsigned i = 0; i < 8; i++) {
		EXPECT(0, dur_make(c, &DUR_STR(key), DUR_MAP, &c));
		for (unsigned k = 0; k < (i % 3 == 2 ? 150 : 3); k++) {
			snprintf(key, sizeof key, "%u", k + 2);
			EXPECT(0, dur_put(c, &DUR_STR(key), &DUR_STRN(words, 20 + k % 30)));
		}
		snprintf(key, sizeof key, "1");
	}
}

static void make_all(dur_prefix *p)
{
	dur_view *txn = begin(p);
	dur_coll removed;

	make_keyed(dur_root(txn));
	make_positional(dur_root(txn));
	make_deep(dur_root(txn));
	EXPECT(0, dur_make(dur_root(txn), &DUR_STR("removed"), DUR_LIST, &removed));
	for (unsigned i = 0; i < REMOVED; i++)
		EXPECT(0, dur_append(removed, &DUR_STRN(words, 1000 + i % 100)));
	for (unsigned i = 0; i < 100; i++)
		EXPECT(0, dur_put(removed, &DUR_INT(i), &DUR_STRN(words, 5000)));
	commit(txn);
}

static void copy(dur_coll root, const char *from, const char *to)
{
	dur_coll c;

	EXPECT(0, dur_enter(root, &DUR_PATH(from), &c));
	EXPECT(0, dur_put(root, &DUR_STR(to), &DUR_COLL(c)));
}

/* Small changes everywhere, of originals and of copies. */
static void change(dur_prefix *p, unsigned step)
{
	dur_view *txn = begin(p);
	dur_coll root = dur_root(txn), c;
	char path[64];

	for (unsigned i = 0; i < 4; i++) {
		unsigned n = (step * 37 + i * 101) % 300;

		snprintf(path, sizeof path, "/%s/key %u", i % 2 ? "map" : "raw map", n);
		EXPECT(0, dur_put(root, &DUR_PATH(path), &DUR_INT(step)));
		snprintf(path, sizeof path, "/list/%u", n % 250);
		EXPECT(0, dur_put(root, &DUR_PATH(path), &DUR_STRN(words, n)));
		snprintf(path, sizeof path, "/deep/1/1/%s%u", i % 2 ? "1/" : "", n % 3 + 2);
		EXPECT(0, dur_put(root, &DUR_PATH(path), &DUR_INT(n)));
	}
	EXPECT(0, dur_enter(root, &DUR_STR("rope"), &c));
	EXPECT(0, dur_insert(c, (int64_t)step * 900, &DUR_STR("something else"), 1));
	EXPECT(0, dur_enter(root, &DUR_STR("numbers"), &c));
	EXPECT(0, dur_clear(c, &(dur_range){ .skip = step * 50, .limit = 30 }, NULL));
	EXPECT(0, dur_enter(root, &DUR_STR("mixed"), &c));
	put_mixed(c, &DUR_INT(step), step * 3 + 1);
	if (step == 2) {
		copy(root, "/map", "copy");
		copy(root, "/mixed", "mixed copy");
		copy(root, "/rope", "rope copy");
		copy(root, "/deep", "deep copy");
	}
	if (step > 2)
		MUST(dur_del(root, &DUR_PATH(step % 2 ? "/copy/key 77" : "/mixed copy/7")));
	commit(txn);
}

static void sample_note(dur_prefix *p)
{
	static dur_state_info infos[STATES_MAX];
	dur_view *v;

	EXPECT(0, dur_states(p, 0, DUR_REVERSE, infos, STATES_MAX, &sample.n));
	for (unsigned i = 0; i < sample.n; i++) {
		sample.states[i] = infos[i].state;
		EXPECT(0, dur_snapshot(p, infos[i].state, NULL, &v));
		HOLDS(hostile_read(dur_root(v), &sample.sums[i]), "state %" PRIu64, infos[i].state);
		dur_close(v);
	}
}

static void sample_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	sample.size = file_bytes(path);
	sample.bytes = malloc(sample.size);
	HOLDS(sample.bytes && pread(fd, sample.bytes, sample.size, 0) == (ssize_t)sample.size, "%s",
	      strerror(errno));
	close(fd);
	damage_map_make(&sample.map, sample.bytes, sample.size);
}

/* Who idles lets go of what waits in the removal queue: ends at once. */
static void sample_fill(dur_workspace *ws, const char *keep)
{
	dur_prefix *p = prefix_attach(ws, NAME, keep);
	dur_prefix_stat stat;
	dur_view *txn;

	make_all(p);
	for (unsigned step = 1; step < 9; step++) {
		change(p, step);
		if (step == 3)
			EXPECT(0, dur_name(p, "early", DUR_LATEST));
		if (step == 6)
			MUST(dur_pack_history(p, -1));
	}
	txn = begin(p);
	EXPECT(0, dur_del(dur_root(txn), &DUR_STR("removed")));
	commit(txn);
	EXPECT(0, dur_stat(p, &stat));
	EXPECT(0, dur_detach(p));
	HOLDS(stat.removing > 0, "the removal queue is empty");
}

static void sample_paths(void)
{
	snprintf(sample.root, sizeof sample.root, "%s", kit_path("root"));
	mount_memory(sample.root, (uint64_t)256 << 20); /* each try flushes, and needs no disk */
	snprintf(sample.path, sizeof sample.path, "%s/%s.dur", sample.root, NAME);
	snprintf(sample.coord, sizeof sample.coord, "%s-coord", sample.path);
}

static void sample_make(const char *keep)
{
	const char *folder = getenv("HOSTILE_SAMPLES");
	char kept[PATH_MAX];
	dur_workspace *ws;
	dur_prefix *p;

	sample_paths();
	snprintf(kept, sizeof kept, "%s/%s", folder ? folder : "", keep);
	ws = prefix_workspace(sample.root);
	if (folder && access(kept, F_OK) == 0)
		file_copy(kept, sample.path);
	else
		sample_fill(ws, keep);
	if (folder)
		file_copy(sample.path, kept);
	sample_load(sample.path);
	p = prefix_attach(ws, NAME, keep);
	sample_note(p);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
}

/* As in test_hostile.c: puts these bytes in place. Writes only what differs. */
static void place(const uint8_t *bytes, uint64_t size)
{
	enum { PIECE = 65536 };
	uint8_t is[PIECE];
	int fd = open(sample.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	HOLDS(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "%s: %s", sample.path, strerror(errno));
	for (uint64_t at = 0; at < size; at += PIECE) {
		size_t n = size - at < PIECE ? size - at : PIECE;

		if (pread(fd, is, n, (off_t)at) != (ssize_t)n || memcmp(is, bytes + at, n) != 0)
			HOLDS(pwrite(fd, bytes + at, n, (off_t)at) == (ssize_t)n, "%s: %s",
			      sample.path, strerror(errno));
	}
	close(fd);
	unlink(sample.coord);
}

/* ---- A try ---- */

enum { ALL_RIGHT = 0, SOME_ERROR = 1 };

static char told[500];

static void look(dur_prefix *p, uint64_t *random)
{
	unsigned i = (unsigned)kit_random(random) % sample.n, k = sample.n - 1;
	uint64_t sum;
	dur_view *v;

	for (unsigned turn = 0; turn < 2; turn++, k = i) {
		if (FAILED(dur_snapshot(p, turn ? sample.states[k] : DUR_LATEST, NULL, &v)))
			continue;
		if (hostile_read(dur_root(v), &sum))
			hostile_wrong(sum != sample.sums[k], "what a state holds", sum, sample.sums[k]);
		dur_close(v);
	}
	hostile_history(p, sample.states[i], sample.states[kit_random(random) % sample.n], random);
}

/* All a user can do with it. */
static int child(uint64_t random, bool all)
{
	dur_workspace *ws = prefix_workspace(sample.root);
	bool sound, was_sound = !FAILED(dur_check(ws, NAME, DUR_HISTORY, NULL, NULL, NULL));
	dur_prefix *p;

	if (!FAILED(dur_attach(ws, NAME, 0, NULL, &p))) {
		look(p, &random);
		if (all || kit_random(&random) % 3 == 0)
			hostile_backup(p, sample.root);
		if (!was_sound || kit_random(&random) % 2 || all) {
			for (unsigned i = 0; i < 3; i++)
				hostile_write(p, 8, &random);
			hostile_restore(p, sample.states[kit_random(&random) % sample.n]);
			hostile_maintain(p, &random);
			sound = !FAILED(dur_check(ws, NAME, DUR_HISTORY, NULL, NULL, NULL));
			hostile_wrong(was_sound && !sound, "a sound file is sound", sound, true);
		}
		hostile_failed(dur_detach(p), "dur_detach()");
	}
	EXPECT(0, dur_workspace_close(ws));
	hostile_wrong(was_sound && hostile_errors, "errors in what dur_check() called sound",
	              hostile_errors, 0);
	return hostile_errors ? SOME_ERROR : ALL_RIGHT;
}

/* True: everything was as if nothing had been done. */
static bool try_it(uint64_t random, bool all)
{
	const struct rlimit limit = { CPU_S, CPU_S };
	int status;
	pid_t pid;

	hostile_done = told;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CPU, &limit);
		alarm(10 * CPU_S);
		_exit(child(random, all));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= SOME_ERROR,
	              "seed %" PRIu64 ": %s: wrong, a crash, or it does not end (status 0x%x)", seed,
	              told, (unsigned)status);
	return WEXITSTATUS(status) == ALL_RIGHT;
}

/* One thread does all of it, and each try takes the thread sanitizer a second: it gets a sample. */
static unsigned rounds(unsigned n)
{
#ifdef __SANITIZE_THREAD__
	n /= 10;
#endif
	return kit_rounds(n);
}

static void tries(bool good, unsigned n)
{
	const char *only = getenv("HOSTILE_TRY");
	uint64_t random = seed + good;
	uint8_t *bytes = malloc(sample.size);
	unsigned right = 0, done = 0;

	ck_assert_ptr_nonnull(bytes);
	hostile_anything = false;
	snprintf(told, sizeof told, "nothing");
	place(sample.bytes, sample.size);
	ck_assert(try_it(random, true));
	hostile_anything = good;
	for (unsigned i = 0; i < n; i++) {
		uint64_t r = kit_random(&random), more = r % 4 ? 1 : 1 + r / 4 % 4;
		uint64_t size = sample.size;
		size_t len = (size_t)snprintf(told, sizeof told, "try %u: ", i);

		if (only && strtoul(only, NULL, 10) != i)
			continue;
		memcpy(bytes, sample.bytes, size);
		for (uint64_t k = 0; k < more && size == sample.size && len < sizeof told; k++) {
			size = damage_some(&sample.map, bytes, size, good, &r, told + len,
			                   sizeof told - len);
			len += strlen(told + len);
			len += (size_t)snprintf(told + len, sizeof told - len, k + 1 < more ? "; " : "");
		}
		place(bytes, size);
		right += try_it(r, false);
		done++;
	}
	fprintf(stderr, "%u tries, %u of them of what nobody needs or looked at\n", done, right);
	ck_assert(only || right < done);
	free(bytes);
}

static void setup(void)
{
	seed = kit_seed();
	for (unsigned i = 0; i < sizeof words; i++)
		words[i] = (char)('a' + i * 7 % 26);
}

static void teardown(void)
{
	damage_map_free(&sample.map);
	free(sample.bytes);
	kit_clean();
}

START_TEST(damaged)
{
	sample_make("all");
	tries(false, rounds(60));
}
END_TEST

START_TEST(damaged_under_last_n)
{
	sample_make("last:4");
	tries(false, rounds(30));
}
END_TEST

START_TEST(changed_with_good_checksums)
{
	sample_make("all");
	tries(true, rounds(120));
}
END_TEST

START_TEST(changed_with_good_checksums_under_last_n)
{
	sample_make("last:4");
	tries(true, rounds(60));
}
END_TEST

/* ---- What must be noticed, and where ---- */

/* Maps of one leaf each, in each other; two chains that are the same. */
static void chain_make(dur_prefix *p)
{
	dur_view *txn = begin(p);
	char key[32];
	dur_coll c;

	for (unsigned chain = 0; chain < 2; chain++) {
		c = dur_root(txn);
		for (unsigned level = 0; level < 3; level++) {
			EXPECT(0, dur_make(c, level ? &DUR_STR("in") : &DUR_INT(chain), DUR_MAP, &c));
			for (unsigned i = 0; i < 40; i++) {
				snprintf(key, sizeof key, "key %u", i);
				EXPECT(0, dur_put(c, &DUR_STR(key), &DUR_STRN(words, 50)));
			}
		}
	}
	commit(txn);
}

/* The leaf that a leaf names after `at`; 0: none. */
static uint64_t next_named(uint64_t no, unsigned *at)
{
	const uint8_t *page = sample.bytes + no * PAGE_SIZE;
	uint64_t to;

	while (page[22] == PAGE_LEAF && ++*at + 14 <= PAGE_SIZE)
		if (damage_names(&sample.map, page + *at, &to) &&
		    sample.bytes[to * PAGE_SIZE + 22] == PAGE_LEAF)
			return to;
	return 0;
}

/* The second map of each chain becomes its own third one. */
static unsigned close_chains(void)
{
	unsigned n = 0;

	for (uint64_t top = PAGE_FIRST; top < sample.map.n; top++) {
		unsigned at = 24, in_first, in_second;
		uint64_t first, second;

		if (!sample.map.pages[top].reached)
			continue;
		while ((first = next_named(top, &at)) != 0) {
			in_first = in_second = 24;
			second = next_named(first, &in_first);
			if (!second || !next_named(second, &in_second))
				continue;
			uint8_t *page = sample.bytes + second * PAGE_SIZE;
			put_u64(page + in_second, sample.map.pages[second].birth);
			put_u48(page + in_second + 8, second);
			damage_seal(sample.bytes, second, sample.size);
			n++;
		}
	}
	return n;
}

static dur_prefix *sample_start(dur_workspace **ws)
{
	sample_paths();
	*ws = prefix_workspace(sample.root);
	return prefix_attach(*ws, NAME, "all");
}

/* Reading it goes down for ever, as a path of that length would; all that goes down by itself ends. */
START_TEST(a_map_in_itself)
{
	dur_workspace *ws;
	dur_prefix *p = sample_start(&ws);
	dur_view *v, *txn;
	dur_coll c[2];
	dur_change change;
	dur_value item;
	dur_iter *it;
	int fd;

	chain_make(p);
	EXPECT(0, dur_detach(p));
	sample_load(sample.path);
	ck_assert_uint_eq(close_chains(), 2);
	place(sample.bytes, sample.size);
	EXPECT(DUR_E_CORRUPT, dur_check(ws, NAME, 0, NULL, NULL, NULL));
	p = prefix_attach(ws, NAME, NULL);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	for (int i = 0; i < 2; i++)
		EXPECT(0, dur_enter(dur_root(v), &DUR_INT(i), &c[i]));

	EXPECT(0, dur_diff(c[0], c[1], NULL, &it));
	EXPECT(DUR_E_CORRUPT, dur_next_change(it, &change));
	dur_iter_close(it);
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	EXPECT(DUR_E_CORRUPT, dur_backup(v, 0, 0, fd, NULL));
	EXPECT(DUR_E_CORRUPT, dur_backup(v, 0, DUR_HISTORY, fd, NULL));
	close(fd);
	txn = begin(p);
	EXPECT(DUR_E_CORRUPT, dur_swap(dur_root(txn), &DUR_INT(0), &DUR_COLL(c[1]), &DUR_INT(1)));
	dur_close(txn);
	txn = begin(p);
	item = DUR_COLL(c[0]);
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("clone"), &item)); /* of what is there still */
	EXPECT(DUR_E_CORRUPT, dur_put(dur_root(txn), &DUR_STR("copy"), &DUR_NEW(DUR_LIST, &item, 1)));
	EXPECT(DUR_E_CORRUPT, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	txn = begin(p);
	EXPECT(0, dur_del(dur_root(txn), &DUR_INT(0)));
	EXPECT(DUR_E_CORRUPT, dur_restore(txn, v));
	dur_close(txn);
	txn = begin(p);
	EXPECT(0, dur_del(dur_root(txn), &DUR_INT(0))); /* it looks like a large one */
	EXPECT(DUR_E_CORRUPT, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	dur_close(v);
	EXPECT(DUR_E_CORRUPT, dur_compact(p, 0, NULL));
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

/* What a record says of the file's size: nobody notes as many pages, or asks for as much memory. */
START_TEST(a_file_of_many_pages)
{
	static const uint64_t sizes[] = { 0, 2, (uint64_t)1 << 40, (uint64_t)1 << 46, UINT64_MAX };
	dur_workspace *ws;
	dur_prefix *p = sample_start(&ws);

	prefix_put(p, "key", 1, false);
	EXPECT(0, dur_detach(p));
	sample_load(sample.path);
	for (uint64_t no = PAGE_FIRST; no < sample.map.n; no++) {
		if (sample.map.pages[no].kind != PAGE_RECORD || sample.map.pages[no].head != no)
			continue;
		put_u64(sample.bytes + no * PAGE_SIZE + 144, sizes[_i]);
		damage_seal(sample.bytes, no, sample.size);
	}
	place(sample.bytes, sample.size);
	EXPECT(DUR_E_CORRUPT, dur_check(ws, NAME, 0, NULL, NULL, NULL));
	EXPECT(DUR_E_CORRUPT, dur_attach(ws, NAME, 0, NULL, &p));
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

/* But free pages at its end may be missing: a flush that failed loses them. */
START_TEST(a_file_without_its_free_end)
{
	dur_workspace *ws;
	dur_prefix *p = sample_start(&ws);

	chain_make(p);
	EXPECT(0, dur_detach(p));
	sample_load(sample.path);
	ck_assert_uint_lt(sample.map.n * PAGE_SIZE, sample.size);
	place(sample.bytes, sample.map.n * PAGE_SIZE);
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	p = prefix_attach(ws, NAME, NULL);
	for (int i = 0; i < 20; i++)
		prefix_put(p, "key", i, false);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hostile_nested");
	TCase *tc = tcase_create("hostile_nested");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_map_in_itself);
	tcase_add_loop_test(tc, a_file_of_many_pages, 0, 5);
	tcase_add_test(tc, a_file_without_its_free_end);
	tcase_add_test(tc, damaged);
	tcase_add_test(tc, damaged_under_last_n);
	tcase_add_test(tc, changed_with_good_checksums);
	tcase_add_test(tc, changed_with_good_checksums_under_last_n);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
