/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the coordination file: whatever lies at its path is joined, reset, replaced or refused.
 */
#include "ipc_kit.h"

#include "internal/error.h"
#include "ipc/layout_private.h"

#include <duramen.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * A second descriptor in the process that has the file open would drop its locks: only when it has
 * not.
 */
static void patch(const char *path, off_t at, const void *data, size_t n)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert(pwrite(fd, data, n, at) == (ssize_t)n);
	close(fd);
}

static int open_as(const char *path, unsigned n, struct coord **coord, bool *fresh)
{
	struct coord_identity id = kit_identity(n);

	return coord_open(path, 0600, &id, coord, fresh);
}

static uint64_t visible(const struct coord *coord)
{
	struct coord_published p;

	coord_load(coord, &p);
	return p.state;
}

/* A file with state 7 published in it, closed again. */
static void make(const char *path)
{
	struct coord *coord = kit_open(path, 0);

	coord_publish(coord, 7, 70, true);
	coord_close(coord);
}

static void expect_joined(const char *path, unsigned n)
{
	struct coord *coord;
	bool fresh;

	ck_assert_int_eq(open_as(path, n, &coord, &fresh), 0);
	ck_assert(!fresh);
	ck_assert_uint_eq(visible(coord), 7);
	coord_close(coord);
}

static void expect_reset(const char *path, unsigned n)
{
	struct coord *coord;
	struct stat st;
	bool fresh = false;
	int rc = open_as(path, n, &coord, &fresh);

	ck_assert_msg(rc == 0, "%d: %s", rc, error_text());
	ck_assert(fresh);
	ck_assert_uint_eq(visible(coord), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, LAYOUT_BYTES);
	coord_publish(coord, 7, 70, true);
	coord_close(coord);
	expect_joined(path, n);
}

/* ---- Peers ---- */

/*
 * open PATH IDENTITY: says + when it has it open, - when not; on L tries the writer lock of
 * PATH.pages.
 */
static int role_open(int argc, char **argv)
{
	char pages[4096];
	struct coord *coord;
	struct coord_published p;
	struct coord_pin pin;
	bool fresh;
	int fd;

	(void)argc;
	snprintf(pages, sizeof pages, "%s.pages", argv[0]);
	fd = open(pages, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (open_as(argv[0], (unsigned)atoi(argv[1]), &coord, &fresh) != 0) {
		test_say('-');
		return 1;
	}
	if (fresh)
		coord_publish(coord, 7, 70, true);
	test_say(coord_pin_latest(coord, &pin, &p) == 0 ? '+' : '?');
	for (;;) {
		switch (test_hear()) {
		case 'L': test_say(coord_lock(coord, fd, 0) == -ESTALE ? 'S' : '0'); break;
		case 'V': test_say(visible(coord) == 7 ? '7' : '?'); break;
		case 'A': test_say(coord_claim_alone(coord) == 0 ? '+' : '-'); break;
		case 'C':
			coord_close(coord);
			test_say('.');
			return 0;
		}
	}
}

/* openloop PATH: opens and closes for ever, as one of three identities. */
static int role_openloop(int argc, char **argv)
{
	uint64_t random = (uint64_t)getpid();

	(void)argc;
	for (bool said = false;; said = true) {
		struct coord *coord;
		bool fresh;

		if (open_as(argv[0], (unsigned)(kit_random(&random) % 3), &coord, &fresh) == 0)
			coord_close(coord);
		else
			return 1;
		if (!said)
			test_say('+');
	}
}

/* ---- Cases ---- */

START_TEST(made_then_joined)
{
	const char *path = kit_path("c");
	struct coord *coord;
	struct stat st;
	bool fresh = false;
	int fd;

	ck_assert_int_eq(open_as(path, 0, &coord, &fresh), 0);
	ck_assert(fresh);
	ck_assert_uint_eq(visible(coord), 0);
	coord_publish(coord, 7, 70, true);
	coord_close(coord);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, LAYOUT_BYTES);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(lseek(fd, 0, SEEK_HOLE), LAYOUT_BYTES);
	close(fd);
	expect_joined(path, 0);
}
END_TEST

START_TEST(made_but_never_published_is_fresh)
{
	const char *path = kit_path("c");
	struct coord *coord;
	bool fresh = false;

	coord_close(kit_open(path, 0));
	ck_assert_int_eq(open_as(path, 0, &coord, &fresh), 0);
	ck_assert(fresh);
	coord_close(coord);
}
END_TEST

START_TEST(anonymous)
{
	struct coord_identity id = kit_identity(0);
	struct coord *a, *b;
	struct coord_pin pin;
	struct coord_published p;
	bool fresh;

	ck_assert_int_eq(coord_open(NULL, 0, &id, &a, &fresh), 0);
	ck_assert(fresh);
	ck_assert_int_eq(coord_open(NULL, 0, &id, &b, &fresh), 0);
	coord_publish(a, 3, 4, true);
	ck_assert_int_eq(coord_pin_latest(a, &pin, &p), 0);
	ck_assert_uint_eq(p.record, 4);
	ck_assert_uint_eq(visible(b), 0);
	coord_close(a);
	coord_close(b);
	coord_close(NULL);
}
END_TEST

/* Each field of the stamp in turn; nobody has it open, so the file stays the same one. */
START_TEST(reset_in_place_when_stamp_differs)
{
	static const struct {
		off_t at;
		size_t n;
	} fields[] = {
		{ offsetof(struct layout_stamp, uuid), 16 },
		{ offsetof(struct layout_stamp, device), 8 },
		{ offsetof(struct layout_stamp, inode), 8 },
		{ offsetof(struct layout_stamp, boot), 16 },
		{ offsetof(struct layout_stamp, magic), 8 },
		{ offsetof(struct layout_stamp, bytes), 4 },
	};
	const char *path = kit_path("c");
	struct stat before, after;

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		uint8_t byte = 0xa5;

		make(path);
		ck_assert_int_eq(stat(path, &before), 0);
		patch(path, fields[i].at + (off_t)(fields[i].n - 1), &byte, 1);
		expect_reset(path, 0);
		ck_assert_int_eq(stat(path, &after), 0);
		ck_assert_uint_eq(before.st_ino, after.st_ino);
		unlink(path);
	}
	make(path);
	expect_reset(path, 1); /* the caller is another one */
}
END_TEST

START_TEST(any_size_and_garbage_is_reset)
{
	const char *path = kit_path("c");
	uint64_t random = kit_seed();

	for (unsigned round = 0; round < kit_rounds(30); round++) {
		off_t size = (off_t)(kit_random(&random) % (LAYOUT_BYTES * 5 / 4));
		uint64_t garbage[64];

		make(path);
		for (unsigned i = 0; i < 64; i++)
			garbage[i] = kit_random(&random);
		if (round % 3 == 0)
			patch(path, 0, garbage, sizeof garbage);
		if (round % 3 == 1)
			size %= 200;
		if (size == LAYOUT_BYTES)
			size++;
		ck_assert_int_eq(truncate(path, size), 0);
		expect_reset(path, 0);
		unlink(path);
	}
}
END_TEST

/* The stamp is right and all else is noise: calls fail or succeed, but they end. */
START_TEST(garbage_behind_a_good_stamp)
{
	const char *path = kit_path("c");
	uint64_t random = kit_seed();

	for (unsigned round = 0; round < 5; round++) {
		static uint64_t garbage[(LAYOUT_BYTES - LAYOUT_STAMP_BYTES) / 8];
		struct coord_pins pins = { 0 };
		struct coord_reader readers[4];
		struct coord_published p;
		struct coord_holder holder;
		struct coord_pin pin;
		struct coord *coord;
		uint32_t n;
		bool fresh;

		make(path);
		for (size_t i = 0; i < sizeof garbage / 8; i++)
			garbage[i] = round == 0 ? UINT64_MAX : kit_random(&random);
		patch(path, LAYOUT_STAMP_BYTES, garbage, sizeof garbage);
		ck_assert_int_eq(open_as(path, 0, &coord, &fresh), 0);
		/*
		 * All ones agree with each other: nothing to see here, the record's page will tell.
		 */
		ck_assert_int_eq(coord_pin_latest(coord, &pin, &p), round ? DUR_E_CORRUPT : 0);
		ck_assert_uint_eq(pin.kind != 0, round == 0);
		ck_assert(visible(coord) == (round ? 0 : UINT64_MAX));
		coord_unpin(coord, &pin);
		ck_assert_int_eq(coord_readers(coord, 0, readers, 4, &n), 0);
		ck_assert_uint_eq(n, 0);
		/*
		 * Nobody holds the slots' locks, so their pins are wiped: 32 slots a scan, and 512
		 * slots.
		 */
		for (unsigned i = 0; i < 20; i++)
			ck_assert_int_eq(coord_scan(coord, &pins), 0);
		ck_assert_uint_eq(pins.n, 0);
		ck_assert(!pins.everything);
		coord_holder_get(coord, &holder);
		ck_assert_uint_lt(strlen(holder.name), sizeof holder.name);
		coord_publish(coord, 9, 90, true); /* a writer mends it */
		ck_assert_int_eq(coord_pin_latest(coord, &pin, &p), 0);
		ck_assert_uint_eq(p.state, 9);
		coord_pins_free(&pins);
		coord_close(coord);
	}
}
END_TEST

START_TEST(newer_layout_is_refused)
{
	const char *path = kit_path("c");
	uint32_t version = LAYOUT_VERSION + 1, still = 0;
	struct coord *coord;
	bool fresh;
	int fd;

	make(path);
	patch(path, offsetof(struct layout_stamp, version), &version, sizeof version);
	ck_assert_int_eq(open_as(path, 0, &coord, &fresh), DUR_E_FORMAT);
	ck_assert_ptr_nonnull(strstr(error_text(), "newer version"));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(pread(fd, &still, 4, offsetof(struct layout_stamp, version)), 4);
	close(fd);
	ck_assert_uint_eq(still, version);
}
END_TEST

START_TEST(second_open_is_refused_without_harm)
{
	const char *path = kit_path("c");
	struct coord *coord = kit_open(path, 0), *second;
	struct coord_published p;
	struct coord_pin pin;
	struct peer peer;
	bool fresh;

	coord_publish(coord, 7, 70, true);
	ck_assert_int_eq(coord_pin_latest(coord, &pin, &p), 0);
	ck_assert_int_eq(open_as(path, 0, &second, &fresh), DUR_E_MISUSE);
	ck_assert_int_eq(open_as(path, 1, &second, &fresh), DUR_E_MISUSE);
	/*
	 * Had it opened and closed the file, our claim would be gone and the peer would be alone.
	 */
	peer_start(&peer, "open", path, "0", NULL);
	ck_assert_int_eq(peer_hear(&peer), '+');
	peer_say(&peer, 'A');
	ck_assert_int_eq(peer_hear(&peer), '-');
	peer_kill(&peer);
	coord_close(coord);
	expect_joined(path, 0);
}
END_TEST

/* The page file is replaced under a process: it keeps its file, the others get a new one. */
START_TEST(replaced_page_file)
{
	const char *path = kit_path("c");
	struct peer old;
	struct stat before, after;
	struct coord *coord;
	bool fresh;

	peer_start(&old, "open", path, "0", NULL);
	ck_assert_int_eq(peer_hear(&old), '+');
	ck_assert_int_eq(stat(path, &before), 0);
	ck_assert_int_eq(chmod(path, 0640), 0);
	ck_assert_int_eq(open_as(path, 1, &coord, &fresh), 0);
	ck_assert(fresh);
	ck_assert_uint_eq(visible(coord), 0);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_uint_ne(before.st_ino, after.st_ino);
	ck_assert_uint_eq(after.st_mode & 0777, 0640);
	ck_assert_int_eq(access(kit_path("c.new"), F_OK), -1);
	peer_say(&old, 'V');
	ck_assert_int_eq(peer_hear(&old), '7');
	peer_say(&old, 'L'); /* but it writes no more */
	ck_assert_int_eq(peer_hear(&old), 'S');
	coord_publish(coord, 7, 70, true);
	peer_kill(&old);
	coord_close(coord);
	expect_joined(path, 1);
}
END_TEST

/* Whoever has it open may use our page file: no second coordination file beside that one. */
START_TEST(damaged_while_in_use_is_refused)
{
	const char *path = kit_path("c");
	struct layout_stamp stamp;
	struct coord *coord;
	struct peer peer;
	bool fresh;
	int fd;

	peer_start(&peer, "open", path, "0", NULL);
	ck_assert_int_eq(peer_hear(&peer), '+');
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(pread(fd, &stamp, sizeof stamp, 0), sizeof stamp);
	close(fd);
	patch(path, 0, "garbage", 7);
	ck_assert_int_eq(open_as(path, 0, &coord, &fresh), -EBUSY);
	ck_assert_ptr_nonnull(strstr(error_text(), "damaged"));
	stamp.boot[3] ^= 1;
	patch(path, 0, &stamp, sizeof stamp);
	ck_assert_int_eq(open_as(path, 0, &coord, &fresh), -EBUSY);
	ck_assert_ptr_nonnull(strstr(error_text(), "another boot"));
	peer_kill(&peer);
	expect_reset(path, 0);
}
END_TEST

START_TEST(not_a_file)
{
	const char *path = kit_path("c");
	struct coord *coord;
	bool fresh;

	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(open_as(path, 0, &coord, &fresh), DUR_E_FORMAT);
	rmdir(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(open_as(path, 0, &coord, &fresh), DUR_E_FORMAT);
	unlink(path);
	ck_assert_int_eq(open_as(kit_path("no/such/folder"), 0, &coord, &fresh), -ENOENT);
}
END_TEST

/* root may write everything, so the test must not be root; it runs in a process of its own. */
START_TEST(no_permission)
{
	struct coord *coord;
	bool fresh;

	/* From within: the folders above may be closed to others. */
	ck_assert_int_eq(chdir(kit_path(".")), 0);
	make("c");
	ck_assert_int_eq(chmod("c", 0444), 0);
	ck_assert_int_eq(chmod(".", 0755), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(open_as("c", 0, &coord, &fresh), -EACCES);
	ck_assert_ptr_nonnull(strstr(error_text(), "readers need it too"));
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* A limit on file sizes stands in for a full disk. */
START_TEST(no_space)
{
	const char *path = kit_path("c");
	struct rlimit limit, small;
	struct coord *coord;
	struct stat st;
	bool fresh;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 100000;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_int_eq(open_as(path, 0, &coord, &fresh), -EFBIG);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	expect_reset(path, 0);
}
END_TEST

START_TEST(alone)
{
	const char *path = kit_path("c");
	struct coord *coord = kit_open(path, 0);
	struct peer peer;

	peer_start(&peer, "open", path, "0", NULL);
	ck_assert_int_eq(peer_hear(&peer), '+');
	ck_assert_int_eq(coord_claim_alone(coord), -EBUSY);
	ck_assert_ptr_nonnull(strstr(error_text(), "detach them first"));
	peer_say(&peer, 'C');
	ck_assert_int_eq(peer_hear(&peer), '.');
	ck_assert_int_eq(coord_claim_alone(coord), 0);
	ck_assert_int_eq(peer_end(&peer), 0);
	/* Another one that opens now waits until we close. */
	peer_start(&peer, "open", path, "0", NULL);
	kit_sleep_ms(30);
	coord_publish(coord, 7, 70, true);
	coord_close(coord);
	ck_assert_int_eq(peer_hear(&peer), '+');
	peer_kill(&peer);
}
END_TEST

START_TEST(killed_while_opening)
{
	const char *path = kit_path("c");
	uint64_t random = kit_seed();

	for (unsigned round = 0; round < kit_rounds(10); round++) {
		struct peer peers[4];

		for (unsigned i = 0; i < 4; i++)
			peer_start(&peers[i], "openloop", path, NULL);
		for (unsigned i = 0; i < 4; i++)
			ck_assert_int_eq(peer_hear(&peers[i]), '+');
		kit_sleep_ms(5 + (unsigned)(kit_random(&random) % 30));
		for (unsigned i = 0; i < 4; i++)
			peer_kill(&peers[i]);
		expect_reset(path, 5);
	}
	ck_assert_int_eq(access(kit_path("c.new"), F_OK), -1);
}
END_TEST

/* ---- fork ---- */

static int forked_calls(struct coord *coord, struct coord_pin *pin)
{
	struct coord_published p;
	struct coord_pin other;
	struct coord_pins pins = { 0 };
	struct coord_reader reader;
	struct coord_writer words = { .next = 5 };
	struct coord_holder holder;
	uint64_t after = 0;
	uint32_t n;
	int fd, bad = 0;

	coord_forked(coord);
	bad += coord_pin_latest(coord, &other, &p) != DUR_E_FORKED;
	bad += coord_pin_state(coord, &other, 3) != DUR_E_FORKED;
	bad += coord_scan(coord, &pins) != DUR_E_FORKED;
	bad += coord_readers(coord, 0, &reader, 1, &n) != DUR_E_FORKED;
	bad += coord_attached(coord, &n) != DUR_E_FORKED;
	bad += coord_lock(coord, 0, 0) != DUR_E_FORKED;
	bad += coord_claim_alone(coord) != DUR_E_FORKED;
	bad += coord_wait(&coord, &after, 1, COORD_VISIBLE, 0) != DUR_E_FORKED;
	bad += coord_poll_fd(coord, &fd) != DUR_E_FORKED;
	coord_unpin(coord, pin);
	coord_load(coord, &p);
	bad += p.state != 0;
	coord_publish(coord, 100, 100, true);
	coord_set_durable(coord, 100);
	coord_writer_set(coord, &words);
	coord_writer_get(coord, &words);
	coord_unlock(coord, 0);
	coord_holder_get(coord, &holder);
	bad += holder.pid != 0 || coord_wanted(coord);
	coord_poll_seen(coord, 5);
	coord_close(coord);
	return bad;
}

START_TEST(forked_child)
{
	const char *path = kit_path("c");
	struct coord *coord = kit_open(path, 0);
	struct coord_published p;
	struct coord_pins pins = { 0 };
	struct coord_pin pin;
	int status, fd;
	pid_t child;

	coord_publish(coord, 7, 70, true);
	ck_assert_int_eq(coord_poll_fd(coord, &fd), 0);
	ck_assert_int_eq(coord_pin_latest(coord, &pin, &p), 0);
	child = fork();
	if (child == 0) {
		int bad = forked_calls(coord, &pin);

		coord = kit_open(path, 0); /* anew */
		bad += visible(coord) != 7;
		coord_close(coord);
		_exit(bad);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	/* Nothing that the child did touched us. */
	ck_assert_uint_eq(visible(coord), 7);
	ck_assert_int_eq(coord_scan(coord, &pins), 0);
	ck_assert_uint_eq(pins.n, 1);
	coord_pins_free(&pins);
	coord_unpin(coord, &pin);
	coord_close(coord);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ipc_open");
	TCase *t = tcase_create("all");

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, NULL, kit_clean);
	tcase_add_test(t, made_then_joined);
	tcase_add_test(t, made_but_never_published_is_fresh);
	tcase_add_test(t, anonymous);
	tcase_add_test(t, reset_in_place_when_stamp_differs);
	tcase_add_test(t, any_size_and_garbage_is_reset);
	tcase_add_test(t, garbage_behind_a_good_stamp);
	tcase_add_test(t, newer_layout_is_refused);
	tcase_add_test(t, second_open_is_refused_without_harm);
	tcase_add_test(t, replaced_page_file);
	tcase_add_test(t, damaged_while_in_use_is_refused);
	tcase_add_test(t, not_a_file);
	tcase_add_test(t, no_permission);
	tcase_add_test(t, no_space);
	tcase_add_test(t, alone);
	tcase_add_test(t, killed_while_opening);
	tcase_add_test(t, forked_child);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = { { "open", role_open },
		                             { "openloop", role_openloop },
		                             { NULL, NULL } };

	return kit_main(argc, argv, roles, suite());
}
