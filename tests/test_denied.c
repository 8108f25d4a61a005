/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the system or the rules do not allow: folders and files without the needed permissions,
 * names that cannot be, disks that are full. Each gets the error that the header tells, and nothing
 * has changed.
 */
#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char NAME[] = "box/denied";
static const char *root;
static dur_workspace *ws;
static char folder[PATH_MAX + 8], page_file[PATH_MAX + 32], coord_file[PATH_MAX + 64];

static void setup(void)
{
	root = kit_path("root");
	ws = prefix_workspace(root);
	snprintf(folder, sizeof folder, "%s/box", root);
	snprintf(page_file, sizeof page_file, "%s/%s.dur", root, NAME);
	snprintf(coord_file, sizeof coord_file, "%s-coord", page_file);
}

static void teardown(void)
{
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

/* ---- Permissions ---- */

/* Gives up what lets root pass permissions. False: this process keeps passing them. */
static bool obey_permissions(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	uint32_t pass = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;

	if (syscall(SYS_capget, &header, data) != 0)
		return false;
	data[0].effective &= ~pass;
	data[0].permitted &= ~pass;
	if (syscall(SYS_capset, &header, data) == 0)
		return true;
	fprintf(stderr, "skipped: this process cannot give up its rights\n");
	return false;
}

static void make_prefix(void)
{
	dur_prefix *p = prefix_attach(ws, NAME, NULL);

	prefix_put(p, "n", 1, false);
	EXPECT(0, dur_detach(p));
}

static void denied(uint32_t flags)
{
	dur_prefix *p;

	EXPECT(-EACCES, dur_attach(ws, NAME, flags, NULL, &p));
	ck_assert_ptr_null(p);
	ck_assert_str_ne(dur_message(), "");
}

START_TEST(folder_that_may_not_be_written)
{
	dur_workspace *other;
	char below[PATH_MAX + 32];
	dur_prefix *p;

	if (!obey_permissions())
		return;
	make_prefix();
	ck_assert_int_eq(chmod(folder, 0555), 0);
	EXPECT(-EACCES, dur_attach(ws, "box/new", DUR_CREATE, NULL, &p));
	EXPECT(-EACCES, dur_attach(ws, "box/deeper/new", DUR_CREATE, NULL, &p));
	EXPECT(-EACCES, dur_attach(ws, "box/new", DUR_CREATE | DUR_MEMORY, NULL, &p));
	EXPECT(-ENOENT, dur_attach(ws, "box/new", 0, NULL, &p));
	EXPECT(-EACCES, dur_drop(ws, NAME));
	snprintf(below, sizeof below, "%s/workspace", folder);
	EXPECT(-EACCES, dur_workspace_open(below, NULL, &other));
	ck_assert_ptr_null(other);
	EXPECT(0, dur_attach(ws, NAME, 0, NULL, &p)); /* its files are there and may be written */
	prefix_put(p, "n", 2, false);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 2);
	EXPECT(0, dur_detach(p));

	ck_assert_int_eq(chmod(folder, 0755), 0);
	ck_assert_int_eq(unlink(coord_file), 0);
	ck_assert_int_eq(chmod(folder, 0555), 0);
	denied(0);
	denied(DUR_READ_ONLY);
	ck_assert_msg(strstr(dur_message(), "coord"), "%s", dur_message());
	ck_assert_int_eq(chmod(folder, 0000), 0);
	denied(0);
	ck_assert_int_eq(chmod(folder, 0755), 0);
	prefix_check_sound(ws, NAME, DUR_HISTORY);
}
END_TEST

START_TEST(files_that_may_not_be_written)
{
	dur_prefix *p, *writer;
	dur_view *txn;
	struct peer other;

	if (!obey_permissions())
		return;
	make_prefix();
	ck_assert_int_eq(chmod(page_file, 0444), 0);
	denied(0);
	denied(DUR_CREATE);
	EXPECT(0, dur_attach(ws, NAME, DUR_READ_ONLY, NULL, &p)); /* what was published stays */
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 1);
	EXPECT(DUR_E_READ_ONLY, dur_begin(p, NULL, &txn));
	EXPECT(-EACCES, dur_attach(ws, NAME, 0, NULL, &writer));
	ck_assert_int_eq(chmod(page_file, 0600), 0);
	remote_start(&other, root, NAME, 0); /* reads on beside a writer that may write */
	EXPECT(0, (int)remote_do(&other, REMOTE_BEGIN, -1));
	EXPECT(0, (int)remote_do(&other, REMOTE_PUT, 2));
	ck_assert_int_gt(remote_do(&other, REMOTE_COMMIT, 0), 0);
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 2);
	ck_assert_int_eq(peer_end(&other), 0);
	EXPECT(0, dur_detach(p));

	ck_assert_int_eq(chmod(coord_file, 0444), 0);
	denied(0);
	denied(DUR_READ_ONLY);
	ck_assert_msg(strstr(dur_message(), "coord"), "%s", dur_message());
	ck_assert_int_eq(chmod(coord_file, 0600), 0);
	ck_assert_int_eq(chmod(page_file, 0000), 0);
	denied(0);
	denied(DUR_READ_ONLY);
	EXPECT(-EACCES, dur_check(ws, NAME, 0, NULL, NULL, NULL));
	ck_assert_int_eq(chmod(page_file, 0444), 0);
	ck_assert_int_eq(unlink(coord_file), 0); /* as after a reboot: nothing is published */
	denied(DUR_READ_ONLY);
	EXPECT(0, dur_check(ws, NAME, DUR_HISTORY, NULL, NULL, NULL));
	ck_assert_int_eq(chmod(page_file, 0600), 0);
	EXPECT(0, dur_attach(ws, NAME, 0, NULL, &p));
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 2);
	EXPECT(0, dur_detach(p));
}
END_TEST

START_TEST(modes_of_new_files)
{
	dur_workspace *open_to_all;
	struct stat st;
	dur_prefix *p;

	umask(0);
	EXPECT(0, dur_workspace_open(root, &(dur_workspace_options){ .mode = 0640 }, &open_to_all));
	EXPECT(0, dur_attach(open_to_all, NAME, DUR_CREATE, NULL, &p));
	EXPECT(0, dur_detach(p));
	ck_assert_int_eq(stat(page_file, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	ck_assert_int_eq(stat(coord_file, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	EXPECT(0, dur_drop(open_to_all, NAME));
	make_prefix();
	ck_assert_int_eq(stat(page_file, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	EXPECT(0, dur_workspace_close(open_to_all));
}
END_TEST

/* ---- Names ---- */

static unsigned entries;

static int count_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)path, (void)st, (void)kind, (void)ftw;
	entries++;
	return 0;
}

static unsigned entries_below(const char *path)
{
	entries = 0;
	ck_assert_int_eq(nftw(path, count_entry, 16, FTW_PHYS), 0);
	return entries;
}

START_TEST(bad_names)
{
	static char part[242], whole[301], just_over[257];
	static const char *const names[] = {
		"",
		"/",
		"//",
		"/x",
		"x/",
		"x//y",
		".",
		"..",
		"./x",
		"../x",
		"x/..",
		"x/../y",
		"x/.",
		"x\ny",
		"x\ty",
		"\x01",
		"x\x7f",
		"x\\y",
		"\xff\xfe",
		"x\xc0\xaf",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"x\xc3",
		"x.dur",
		"x.dur/y",
		"x.dur-coord",
		"y/x.dur-coord",
		part,
		whole,
		just_over,
	};
	dur_prefix *p;
	unsigned before;

	memset(part, 'p', sizeof part - 1);
	memset(whole, 'w', sizeof whole - 1);
	memset(just_over, 'j', sizeof just_over - 1);
	just_over[128] = '/';
	before = entries_below(kit_path("."));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		HOLDS(dur_attach(ws, names[i], DUR_CREATE, NULL, &p) == DUR_E_NAME, "\"%s\": %s",
		      names[i], dur_message());
		EXPECT(DUR_E_NAME, dur_attach(ws, names[i], DUR_CREATE | DUR_MEMORY, NULL, &p));
		EXPECT(DUR_E_NAME, dur_attach(ws, names[i], 0, NULL, &p));
		EXPECT(DUR_E_NAME, dur_drop(ws, names[i]));
		EXPECT(DUR_E_NAME, dur_check(ws, names[i], 0, NULL, NULL, NULL));
		ck_assert_str_ne(dur_message(), "");
	}
	ck_assert_uint_eq(entries_below(kit_path(".")), before);
}
END_TEST

START_TEST(good_names)
{
	static char part[241], whole[256];
	static const char *const names[] = {
		"x",
		"...",
		"..x",
		"x y",
		"-",
		"~",
		"x.durable",
		"dur",
		".hidden",
		"Zo\xc3\xab/\xe6\xa0\x91",
		"a/b/c/d/e/f/g/h",
		"x:*?\"<>|",
		part,
		whole,
	};
	dur_prefix *p;

	memset(part, 'p', sizeof part - 1);
	memset(whole, 'w', sizeof whole - 1);
	whole[128] = '/';
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		EXPECT(0, dur_attach(ws, names[i], DUR_CREATE | DUR_EXCLUSIVE, NULL, &p));
		prefix_put(p, "n", (int64_t)i, false);
		EXPECT(0, dur_detach(p));
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		dur_prefix_info info;
		bool listed = false;
		uint32_t n;

		EXPECT(0, dur_attach(ws, names[i], 0, NULL, &p));
		ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), (int64_t)i);
		EXPECT(0, dur_detach(p));
		for (uint64_t k = 0; EXPECT(0, dur_prefixes(ws, k, &info, 1, &n)) == 0 && n; k++)
			listed |= strcmp(info.name, names[i]) == 0;
		ck_assert_msg(listed, "%s", names[i]);
		EXPECT(0, dur_drop(ws, names[i]));
	}
	ck_assert_uint_eq(entries_below(root), 1); /* the folder itself */
}
END_TEST

/* ---- A full disk ---- */

enum { VALUE = 100 * 1024, DISK = 24 << 20, FILL_MAX = 2000 };

static char ballast[PATH_MAX];
static bool by_limit; /* the file may not grow, else the file system is full */

/* False: there is no small disk to be had. */
static bool disk_open(void)
{
	if (by_limit) {
		signal(SIGXFSZ, SIG_IGN);
		return true;
	}
	snprintf(ballast, sizeof ballast, "%s/ballast", root);
	if (mount_memory(root, DISK))
		return true;
	fprintf(stderr, "skipped: no small file system can be mounted\n");
	return false;
}

/* No byte more for the page file than it has. */
static void disk_fill(void)
{
	static char bytes[4096];
	struct rlimit limit;
	int fd;

	if (by_limit) {
		ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
		limit.rlim_cur = file_bytes(page_file);
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
		return;
	}
	fd = open(ballast, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	while (write(fd, bytes, sizeof bytes) > 0)
		;
	ck_assert_int_eq(errno, ENOSPC);
	close(fd);
}

static void disk_free(void)
{
	struct rlimit limit;

	if (by_limit) {
		ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
		limit.rlim_cur = limit.rlim_max;
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	} else {
		ck_assert_int_eq(unlink(ballast), 0);
	}
}

static bool is_full(int rc)
{
	if (rc < 0)
		HOLDS(rc == (by_limit ? -EFBIG : -ENOSPC), "%d: %s", rc, dur_message());
	return rc < 0;
}

/* One transaction: sets key i, once as one large value, once as many small ones. */
static int put_value(dur_prefix *p, int64_t i, bool large, uint64_t memory)
{
	static char bytes[VALUE];
	dur_view *txn;
	int rc = 0;

	memset(bytes, (int)('a' + i % 26), sizeof bytes);
	EXPECT(0, dur_begin(p, &(dur_view_options){ .memory_bytes = memory }, &txn));
	if (large)
		rc = dur_put(dur_root(txn), &DUR_INT(i), &DUR_BYTES(bytes, sizeof bytes));
	for (int64_t k = 0; !large && k < 100 && rc == 0; k++) {
		dur_value key[2] = { DUR_INT(i), DUR_INT(k) };
		rc = dur_put(dur_root(txn), &DUR_TUPLE(key, 2), &DUR_BYTES(bytes, 1000));
	}
	if (rc < 0)
		EXPECT(rc, dur_commit(txn, NULL, NULL)); /* a failed write bars it */
	else
		rc = dur_commit(txn, NULL, NULL);
	dur_close(txn);
	return rc;
}

/* Of n tries those that are set in `made` are there whole, the others not at all. */
static void values_hold(dur_prefix *p, const bool *made, int64_t n)
{
	dur_value value;
	dur_view *v;

	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	for (int64_t i = 0; i < n; i++) {
		dur_value first = DUR_INT(i);
		uint64_t small;
		int large = MUST(dur_get(dur_root(v), &first, &value));

		EXPECT(0,
		       dur_count(dur_root(v),
		                 &(dur_range){ .from = &DUR_TUPLE(&first, 1), .flags = DUR_STARTS },
		                 &small));
		HOLDS(made[i] ? (large == 0) + (small == 100) == 1
		              : large == DUR_NONE && small == 0,
		      "try %" PRId64 ", which %s: %d, %" PRIu64, i, made[i] ? "was made" : "failed",
		      large, small);
		for (uint64_t k = 0; large == 0 && k < value.len; k += 97)
			HOLDS(value.str[k] == (char)('a' + i % 26), "try %" PRId64, i);
	}
	dur_close(v);
}

START_TEST(full_in_the_middle_of_commits)
{
	static bool made[FILL_MAX];
	int64_t n = 0, failed = 0, state;
	struct peer reader;
	dur_prefix *p;

	by_limit = _i % 2;
	if (!disk_open())
		return;
	p = prefix_attach(ws, NAME, _i / 2 ? "last:2" : NULL);
	prefix_put(p, "n", 1, false);
	remote_start(&reader, root, NAME, DUR_READ_ONLY);
	state = remote_do(&reader, REMOTE_SNAPSHOT, DUR_LATEST);
	disk_fill();
	for (; failed < 8; n++) {
		int rc = put_value(p, n, n % 3 == 0, n % 4 == 1);

		HOLDS(n < FILL_MAX - 20, "it is never full");
		made[n] = rc == 0;
		failed += is_full(rc);
	}
	values_hold(p, made, n);
	if (_i / 2 == 0)
		ck_assert_int_eq(prefix_int(p, (uint64_t)state, "n", -1), 1);
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	ck_assert_int_eq(remote_do(&reader, REMOTE_READ, 0), 1);

	disk_free();
	for (int i = 0; i < 6; i++, n++) {
		EXPECT(0, put_value(p, n, n % 2, 0));
		made[n] = true;
	}
	values_hold(p, made, n);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
	p = prefix_attach(ws, NAME, NULL);
	values_hold(p, made, n);
	EXPECT(0, dur_detach(p));
	ck_assert_int_eq(remote_do(&reader, REMOTE_READ, 0), 1);
	ck_assert_int_eq(peer_end(&reader), 0);
}
END_TEST

/* The commit that failed is tried again, with space. */
START_TEST(full_and_tried_again)
{
	static const char bytes[1010];
	dur_prefix *p;
	dur_view *txn;
	uint64_t state, n;
	int rc;

	by_limit = _i;
	if (!disk_open())
		return;
	p = prefix_attach(ws, NAME, NULL);
	prefix_put(p, "n", 1, false);
	disk_fill();
	EXPECT(0, dur_begin(p, NULL, &txn));
	for (uint64_t i = 0; i < 10000; i++) /* more than the file has room for */
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT((int64_t)i),
		                  &DUR_BYTES(bytes, 1000 + i % 7)));
	rc = dur_commit(txn, NULL, NULL);
	ck_assert(is_full(rc));
	rc = dur_commit(txn, NULL, NULL);
	ck_assert(is_full(rc));
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 1);
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(2)));
	disk_free();
	EXPECT(0, dur_commit(txn, NULL, &state));
	dur_close(txn);
	ck_assert_int_eq(prefix_int(p, state, "n", -1), 2);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &txn));
	EXPECT(0, dur_count(dur_root(txn), NULL, &n));
	ck_assert_uint_eq(n, 10001);
	dur_close(txn);
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
}
END_TEST

/* Neither a page file nor a coordination file is made by halves. */
START_TEST(full_when_attaching)
{
	dur_prefix *p;
	unsigned before;
	struct rlimit limit;

	by_limit = _i;
	if (!disk_open())
		return;
	make_prefix();
	ck_assert_int_eq(unlink(coord_file), 0);
	disk_fill();
	if (by_limit) {
		ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
		limit.rlim_cur = 100000;
		ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	}
	before = entries_below(root);
	ck_assert(is_full(dur_attach(ws, "box/new", DUR_CREATE, NULL, &p)));
	ck_assert_ptr_null(p);
	ck_assert(is_full(dur_attach(ws, NAME, 0, NULL, &p)));
	ck_assert_ptr_null(p);
	/* an empty coordination file may stay: others may have opened it meanwhile */
	ck_assert_uint_eq(entries_below(root), before + (access(coord_file, F_OK) == 0));
	disk_free();
	EXPECT(0, dur_attach(ws, NAME, 0, NULL, &p));
	ck_assert_int_eq(prefix_int(p, DUR_LATEST, "n", -1), 1);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_attach(ws, "box/new", DUR_CREATE | DUR_EXCLUSIVE, NULL, &p));
	EXPECT(0, dur_detach(p));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("denied");
	TCase *tc = tcase_create("denied");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, folder_that_may_not_be_written);
	tcase_add_test(tc, files_that_may_not_be_written);
	tcase_add_test(tc, modes_of_new_files);
	tcase_add_test(tc, bad_names);
	tcase_add_test(tc, good_names);
	tcase_add_loop_test(tc, full_in_the_middle_of_commits, 0, 4);
	tcase_add_loop_test(tc, full_and_tried_again, 0, 2);
	tcase_add_loop_test(tc, full_when_attaching, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = { { REMOTE_ROLE, remote_role }, { 0 } };

	return kit_main(argc, argv, roles, suite());
}
