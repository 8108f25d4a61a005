/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page files that are not what they were: other files, cut off ones, ones with a byte flipped, ones
 * with a field changed and every checksum made good again. What comes out is right or an error, and
 * what dur_check() calls sound gives no error; after a change with good checksums data may be
 * wrong, but nothing crashes or hangs. Each try is a process of its own, with an alarm.
 *
 * A few hundred tries, with DURAMEN_SLOW=1 ten times as many.
 */
#include "damage.h"
#include "prefix_kit.h"

#include "engine/hash.h"
#include "engine/page.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char NAME[] = "hostile";

enum {
	KEYS = 3000,
	STATES_MAX = 64,
	ALARM_S = 60, /* a hang, not a slow machine */
};

/* ---- The sample: a prefix whose every state is known ---- */

struct known {
	uint64_t state, entries, sum;
};

static struct {
	char root[PATH_MAX], path[PATH_MAX + 32], coord[PATH_MAX + 40];
	uint8_t *bytes;
	uint64_t size, used; /* used: up to the last byte that is not zero */
	struct known states[STATES_MAX];
	unsigned n;
	uint64_t keys[KEYS]; /* of the newest state: what value_sum() says, 0: absent */
} sample;

static uint64_t value_sum(const dur_value *value)
{
	if (value->type == DUR_INT)
		return (uint64_t)value->i * 2 + 1;
	return hash64(value->ptr, value->len, value->type) | 1;
}

/* Does not depend on the order. */
static uint64_t entry_sum(const dur_value *key, const dur_value *value)
{
	uint64_t pair[2] = { (uint64_t)key->i, value_sum(value) };

	return hash64(pair, sizeof pair, key->type);
}

static void sample_step(dur_prefix *p, unsigned step, uint64_t *random)
{
	static char bytes[200000];
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (unsigned i = step ? 200 : 2 * KEYS; i > 0; i--) {
		uint64_t r = kit_random(random), size = r >> 32;
		dur_value key = DUR_INT((int64_t)(r % KEYS));

		if (r >> 20 & 1 && step) {
			MUST(dur_del(dur_root(txn), &key));
			continue;
		}
		size = size % 300 == 0 ? 5000 + size / 300 % 150000 : size % 40;
		memset(bytes, (int)(r >> 24), size);
		memcpy(bytes, &r, size < 8 ? size : 8);
		EXPECT(0, dur_put(dur_root(txn), &key,
		                  r >> 21 & 1 ? &DUR_INT((int64_t)r) : &DUR_BYTES(bytes, size)));
	}
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
}

static void sample_note(dur_prefix *p)
{
	static dur_state_info infos[STATES_MAX];
	dur_value key, value;
	uint32_t n;

	EXPECT(0, dur_states(p, 0, DUR_REVERSE, infos, STATES_MAX, &n));
	sample.n = n;
	memset(sample.keys, 0, sizeof sample.keys);
	for (unsigned i = 0; i < n; i++) {
		struct known *known = &sample.states[i];
		dur_iter *it;
		dur_view *v;

		*known = (struct known){ .state = infos[i].state };
		EXPECT(0, dur_snapshot(p, known->state, NULL, &v));
		EXPECT(0, dur_scan(dur_root(v), NULL, &it));
		while (MUST(dur_next(it, &key, &value)) == 0) {
			known->entries++;
			known->sum += entry_sum(&key, &value);
			if (i == n - 1)
				sample.keys[key.i] = value_sum(&value);
		}
		dur_close(v);
	}
}

static void sample_read(void)
{
	int fd = open(sample.path, O_RDONLY | O_CLOEXEC);

	sample.size = file_bytes(sample.path);
	sample.bytes = malloc(sample.size);
	HOLDS(sample.bytes && pread(fd, sample.bytes, sample.size, 0) == (ssize_t)sample.size, "%s",
	      strerror(errno));
	close(fd);
	for (sample.used = sample.size; sample.used && !sample.bytes[sample.used - 1];)
		sample.used--;
}

/* confirmed: as after a clean detach; else as it lies there while its writer is at work. */
static void sample_make(const char *keep, bool confirmed, unsigned steps, uint64_t *random)
{
	dur_workspace *ws;
	dur_prefix *p;

	snprintf(sample.root, sizeof sample.root, "%s", kit_path("root"));
	mount_memory(sample.root, (uint64_t)64 << 20); /* each try flushes, and needs no disk */
	snprintf(sample.path, sizeof sample.path, "%s/%s.dur", sample.root, NAME);
	snprintf(sample.coord, sizeof sample.coord, "%s-coord", sample.path);
	ws = prefix_workspace(sample.root);
	p = prefix_attach(ws, NAME, keep);
	for (unsigned step = 0; step < steps; step++)
		sample_step(p, step, random);
	sample_note(p);
	if (!confirmed)
		sample_read();
	EXPECT(0, dur_detach(p));
	if (confirmed)
		sample_read();
	EXPECT(0, dur_workspace_close(ws));
}

/*
 * Puts a file of these bytes in place, which nobody on this boot has attached. Writes only what
 * differs: it may be on a disk, and each try flushes it.
 */
static void place(const uint8_t *bytes, uint64_t size)
{
	enum { PIECE = 16 * PAGE_SIZE };
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

/* ---- Looking: right, or an error, and nothing else ---- */

/* What a child found; its exit status. */
enum { ALL_RIGHT = 0, SOME_ERROR = 1, WRONG = 2 };

static const char *try_text; /* what was done to the file */
static bool may_be_wrong;    /* checksums were made good again */

#define WRONG_IF(truth, ...)                                                                   \
	do {                                                                                   \
		if ((truth) && !may_be_wrong) {                                                \
			fprintf(stderr, "%s:%d: after %s: %s: ", __FILE__, __LINE__, try_text, \
			        #truth);                                                       \
			fprintf(stderr, __VA_ARGS__);                                          \
			fprintf(stderr, "\n");                                                 \
			_exit(WRONG);                                                          \
		}                                                                              \
	} while (0)

static bool errors;

/* An error is fine if it says that the file is damaged. */
static bool failed(int rc, const char *call)
{
	if (rc >= 0)
		return false;
	WRONG_IF(rc != DUR_E_CORRUPT && rc != DUR_E_FORMAT, "%s: %d: %s", call, rc, dur_message());
	errors = true;
	return true;
}
#define FAILED(call) failed(call, #call)

static void look_scan(dur_view *v, const struct known *known, uint32_t flags)
{
	uint64_t entries = 0, sum = 0;
	dur_value key, value;
	dur_iter *it;
	int rc;

	if (FAILED(dur_scan(dur_root(v), &(dur_range){ .flags = flags }, &it)))
		return;
	while ((rc = dur_next(it, &key, &value)) == 0 && entries <= 2 * KEYS) {
		entries++;
		sum += entry_sum(&key, &value);
	}
	dur_iter_close(it);
	if (failed(rc, "dur_next()"))
		return;
	WRONG_IF(entries != known->entries || sum != known->sum,
	         "state %" PRIu64 ", flags %u: %" PRIu64 " entries, not %" PRIu64, known->state,
	         flags, entries, known->entries);
}

static void look_gets(dur_view *v)
{
	dur_value key, value;
	uint64_t n = 0, got;
	int rc;

	for (int64_t i = 0; i < KEYS; n += sample.keys[i++] != 0) {
		rc = dur_get(dur_root(v), &DUR_INT(i), &value);
		if (failed(rc, "dur_get()"))
			continue;
		WRONG_IF((rc == 0) != (sample.keys[i] != 0) ||
		                 (rc == 0 && value_sum(&value) != sample.keys[i]),
		         "key %" PRId64, i);
		if (i % 50 == 0 && (rc = dur_rank(dur_root(v), &DUR_INT(i), &got)) >= 0)
			WRONG_IF(got != n || (rc == 0) != (sample.keys[i] != 0),
			         "rank %" PRIu64 " of %" PRId64 ", not %" PRIu64, got, i, n);
		failed(rc, "dur_rank()");
		if (i % 50 == 0 && sample.keys[i] &&
		    (rc = dur_nth(dur_root(v), (int64_t)n, &key, &value)) >= 0)
			WRONG_IF(rc != 0 || key.i != i || value_sum(&value) != sample.keys[i],
			         "entry %" PRIu64 " is key %" PRId64 ", not %" PRId64, n, key.i, i);
		failed(rc, "dur_nth()");
	}
}

static const struct known *known_state(uint64_t state)
{
	for (unsigned i = 0; i < sample.n; i++)
		if (sample.states[i].state == state)
			return &sample.states[i];
	return NULL;
}

static void look_state(dur_prefix *p, const struct known *known)
{
	dur_view *v;
	uint64_t n;

	if (FAILED(dur_snapshot(p, known->state, NULL, &v)))
		return;
	look_scan(v, known, 0);
	look_scan(v, known, DUR_REVERSE);
	if (!FAILED(dur_count(dur_root(v), NULL, &n)))
		WRONG_IF(n != known->entries,
		         "state %" PRIu64 ": %" PRIu64 " entries, not %" PRIu64, known->state, n,
		         known->entries);
	if (known == &sample.states[sample.n - 1])
		look_gets(v);
	dur_close(v);
}

static void look_states(dur_prefix *p, uint64_t newest)
{
	static dur_state_info infos[2 * STATES_MAX];
	uint32_t n, i = 0, seen = 0;

	if (FAILED(dur_states(p, 0, DUR_REVERSE, infos, 2 * STATES_MAX, &n)))
		return;
	for (; i < n; i++)
		seen += known_state(infos[i].state) != NULL && infos[i].state <= newest;
	for (i = 0; i < sample.n && sample.states[i].state <= newest; i++)
		look_state(p, &sample.states[i]);
	WRONG_IF(seen != i, "%u states are listed, not %u", seen, i);
}

static void write_on(dur_prefix *p)
{
	dur_view *txn;
	int rc;

	if (FAILED(dur_begin(p, NULL, &txn)))
		return;
	rc = dur_put(dur_root(txn), &DUR_STR("new"), &DUR_INT(1));
	if (!failed(rc, "dur_put()"))
		FAILED(dur_commit(txn, NULL, NULL));
	dur_close(txn);
}

/* All a user can do with it. fallen: an older state may be the newest. */
static int child_looks(bool fallen, bool writes)
{
	dur_workspace *ws = prefix_workspace(sample.root);
	bool sound, attached;
	const struct known *known;
	dur_prefix *p;
	dur_view *v;

	alarm(ALARM_S);
	sound = !FAILED(dur_check(ws, NAME, DUR_HISTORY, NULL, NULL, NULL));
	errors = false;
	attached = !FAILED(dur_attach(ws, NAME, 0, NULL, &p));
	if (attached && !FAILED(dur_snapshot(p, DUR_LATEST, NULL, &v))) {
		uint64_t newest = dur_state(v);

		known = known_state(newest);
		WRONG_IF(!known || (known != &sample.states[sample.n - 1] && !fallen),
		         "state %" PRIu64 " is the newest", newest);
		look_scan(v, known ? known : &sample.states[0], 0);
		dur_close(v);
		look_states(p, newest);
	}
	if (attached && writes) {
		write_on(p);
		if (!errors)
			WRONG_IF(dur_check(ws, NAME, DUR_HISTORY, NULL, NULL, NULL) < 0 && sound,
			         "%s", dur_message());
	}
	if (attached)
		FAILED(dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	WRONG_IF(sound && errors, "dur_check() called it sound: %s", dur_message());
	return errors || !sound ? SOME_ERROR : ALL_RIGHT;
}

/* One try in a process of its own. True: everything was as if nothing had been done. */
static bool try_it(const char *text, bool fallen, bool writes)
{
	int status;
	pid_t child;

	try_text = text;
	fflush(NULL);
	child = fork();
	if (child == 0)
		_exit(child_looks(fallen, writes));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) <= SOME_ERROR,
	              "%s: wrong, or a crash (status 0x%x)", text, (unsigned)status);
	return WEXITSTATUS(status) == ALL_RIGHT;
}

static uint64_t seed;
static char text[200];

static void setup(void)
{
	seed = kit_seed();
	may_be_wrong = false;
}

static void teardown(void)
{
	free(sample.bytes);
	kit_clean();
}

/* The sample itself is all right, so that the tries show something. */
static void sample_holds(void)
{
	place(sample.bytes, sample.size);
	ck_assert(try_it("nothing", false, true));
}

/* ---- Cut off, flipped ---- */

START_TEST(cut_off)
{
	unsigned tries = kit_rounds(100), right = 0;
	uint64_t random = seed;

	sample_make("all", true, 12, &random);
	sample_holds();
	for (unsigned i = 0; i < tries; i++) {
		uint64_t at = kit_random(&random) % sample.used;

		if (i < 4)
			at = (uint64_t[]){ 0, 1, PAGE_SIZE, 3 * PAGE_SIZE }[i];
		else if (i % 4 == 0)
			at &= ~(uint64_t)(PAGE_SIZE - 1);
		snprintf(text, sizeof text, "cutting it off at %" PRIu64 " of %" PRIu64, at,
		         sample.used);
		place(sample.bytes, at);
		right += try_it(text, false, i % 2);
	}
	ck_assert_uint_eq(right, 0);
}
END_TEST

static void flip_some(bool fallen, unsigned tries)
{
	uint64_t random = seed + 1;
	unsigned right = 0;

	sample_holds();
	for (unsigned i = 0; i < tries; i++) {
		uint64_t r = kit_random(&random), at = kit_random(&random) % sample.used;
		unsigned was, is;

		if (i % 8 == 0)
			at %= PAGE_FIRST * PAGE_SIZE; /* superblock and slots */
		was = sample.bytes[at];
		is = r >> 8 & 1 ? was ^ 1u << (r & 7) : (was + 1 + (unsigned)r % 255) & 0xff;
		snprintf(text, sizeof text,
		         "changing byte %" PRIu64 " (page %" PRIu64 " + %" PRIu64
		         ") from 0x%02x to 0x%02x",
		         at, at >> PAGE_SHIFT, at % PAGE_SIZE, was, is);
		sample.bytes[at] = (uint8_t)is;
		place(sample.bytes, sample.size);
		sample.bytes[at] = (uint8_t)was;
		right += try_it(text, fallen, r >> 9 & 1);
	}
	fprintf(stderr, "%u flips, %u of them in bytes that nobody needs\n", tries, right);
	ck_assert_uint_lt(right, tries);
}

START_TEST(flipped)
{
	uint64_t random = seed;

	sample_make("all", true, 12, &random);
	flip_some(false, kit_rounds(100));
}
END_TEST

START_TEST(flipped_under_last_n)
{
	uint64_t random = seed;

	sample_make("last:3", true, 12, &random);
	flip_some(false, kit_rounds(40));
}
END_TEST

/*
 * The newest state is not confirmed: damage there may be a crash's doing, and it falls back. Then
 * dur_check() may call it sound, as after a crash.
 */
START_TEST(flipped_before_confirmation)
{
	uint64_t random = seed;

	sample_make("all", false, 12, &random);
	flip_some(true, kit_rounds(60));
}
END_TEST

/* A process that has met all pages before finds in a check what one finds that has met none. */
START_TEST(flipped_under_those_who_have_it)
{
	unsigned tries = kit_rounds(40), found = 0;
	uint64_t random = seed + 2;
	dur_workspace *ws;
	dur_prefix *p;
	int fd;

	sample_make("all", true, 12, &random);
	ws = prefix_workspace(sample.root);
	p = prefix_attach(ws, NAME, NULL);
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	for (unsigned i = 0; i < sample.n; i++)
		look_state(p, &sample.states[i]);
	ck_assert(!errors);
	fd = open(sample.path, O_RDWR | O_CLOEXEC);
	for (unsigned i = 0; i < tries; i++) {
		uint64_t from = PAGE_FIRST * PAGE_SIZE;
		off_t at = (off_t)(from + kit_random(&random) % (sample.used - from));
		uint8_t was, is;
		int mine, status;
		pid_t child;

		ck_assert_int_eq(pread(fd, &was, 1, at), 1);
		is = was ^ 0x10;
		ck_assert_int_eq(pwrite(fd, &is, 1, at), 1);
		mine = dur_check(ws, NAME, DUR_HISTORY, NULL, NULL, NULL);
		child = fork();
		if (child == 0) {
			ws = prefix_workspace(sample.root);
			_exit(dur_check(ws, NAME, DUR_HISTORY, NULL, NULL, NULL) < 0);
		}
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_msg(WIFEXITED(status) && (mine < 0) == WEXITSTATUS(status),
		              "byte %jd: %d here, status 0x%x there", (intmax_t)at, mine,
		              (unsigned)status);
		ck_assert_int_eq(pwrite(fd, &was, 1, at), 1);
		found += mine < 0;
	}
	ck_assert_uint_gt(found, 0);
	close(fd);
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

/* ---- Changed, with good checksums ---- */

START_TEST(changed_with_good_checksums)
{
	unsigned tries = kit_rounds(150);
	uint64_t random = seed, size;
	uint8_t *bytes;
	char what[150];

	sample_make("all", true, 8, &random);
	sample_holds();
	size = sample.size;
	bytes = malloc(size);
	ck_assert_ptr_nonnull(bytes);
	may_be_wrong = true;
	for (unsigned i = 0; i < tries; i++) {
		uint64_t no =
			i % 6 == 0 ? i / 6 % 3 : kit_random(&random) % (sample.used >> PAGE_SHIFT);

		memcpy(bytes, sample.bytes, size);
		damage_field(bytes, no, &random, what, sizeof what);
		snprintf(text, sizeof text, "%s, checksums made good", what);
		damage_seal(bytes, no, size);
		place(bytes, size);
		try_it(text, true, i % 2);
	}
	free(bytes);
}
END_TEST

/* ---- Other files ---- */

static void put_file(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	HOLDS(fd >= 0 && write(fd, bytes, len) == (ssize_t)len, "%s: %s", path, strerror(errno));
	close(fd);
}

/* Refused by every call, listed by none, and as it was. */
static void refused(dur_workspace *ws, const char *name, const char *path, int error)
{
	dur_prefix_info info;
	struct stat before, after;
	dur_prefix *p;
	uint32_t n;

	ck_assert_int_eq(lstat(path, &before), 0);
	EXPECT(error, dur_attach(ws, name, 0, NULL, &p));
	ck_assert_ptr_null(p);
	ck_assert_str_ne(dur_message(), "");
	EXPECT(error, dur_attach(ws, name, DUR_CREATE, NULL, &p));
	EXPECT(-EEXIST, dur_attach(ws, name, DUR_CREATE | DUR_EXCLUSIVE, NULL, &p));
	EXPECT(error, dur_attach(ws, name, DUR_READ_ONLY, NULL, &p));
	EXPECT(error, dur_check(ws, name, 0, NULL, NULL, NULL));
	ck_assert_int_lt(dur_drop(ws, name), 0);
	EXPECT(0, dur_prefixes(ws, 0, &info, 1, &n));
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(lstat(path, &after), 0);
	ck_assert(before.st_ino == after.st_ino && before.st_size == after.st_size &&
	          before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
	          before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
}

START_TEST(no_page_file)
{
	char path[PATH_MAX + 32];
	static uint8_t page[64 * PAGE_SIZE];
	uint64_t random = seed;
	dur_workspace *ws = prefix_workspace(kit_path("root"));

	snprintf(path, sizeof path, "%s/%s.dur", kit_path("root"), NAME);
	alarm(ALARM_S);
	put_file(path, "", 0);
	refused(ws, NAME, path, DUR_E_FORMAT);
	put_file(path, "Dear Duramen,\n", 14);
	refused(ws, NAME, path, DUR_E_FORMAT);
	for (size_t i = 0; i < sizeof page; i++)
		page[i] = (uint8_t)kit_random(&random);
	put_file(path, page, sizeof page);
	refused(ws, NAME, path, DUR_E_FORMAT);
	memset(page, 0, sizeof page);
	put_file(path, page, sizeof page);
	refused(ws, NAME, path, DUR_E_FORMAT);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	refused(ws, NAME, path, DUR_E_FORMAT);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	refused(ws, NAME, path, DUR_E_FORMAT);
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

/* A page file of the format to come, and one that needs a feature that is not known here. */
START_TEST(newer_format)
{
	static const struct {
		unsigned at, bytes;
		const char *said;
	} newer[] = { { 12, 4, "format version" },
		      { 16, 8, "newer program" },
		      { 32, 4, "pages of" } };
	uint64_t random = seed, was = 0, is;
	dur_workspace *ws;

	sample_make("all", true, 2, &random);
	memcpy(&was, sample.bytes + newer[_i].at, newer[_i].bytes);
	is = was + 1;
	memcpy(sample.bytes + newer[_i].at, &is, newer[_i].bytes);
	damage_seal(sample.bytes, PAGE_SUPER, sample.size);
	place(sample.bytes, sample.size);
	ws = prefix_workspace(sample.root);
	refused(ws, NAME, sample.path, DUR_E_FORMAT);
	ck_assert_int_lt(dur_check(ws, NAME, 0, NULL, NULL, NULL), 0);
	ck_assert_msg(strstr(dur_message(), newer[_i].said), "%s", dur_message());
	EXPECT(0, dur_workspace_close(ws));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hostile");
	TCase *tc = tcase_create("hostile");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, cut_off);
	tcase_add_test(tc, flipped);
	tcase_add_test(tc, flipped_under_last_n);
	tcase_add_test(tc, flipped_before_confirmation);
	tcase_add_test(tc, flipped_under_those_who_have_it);
	tcase_add_test(tc, changed_with_good_checksums);
	tcase_add_test(tc, no_page_file);
	tcase_add_loop_test(tc, newer_format, 0, 3);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
