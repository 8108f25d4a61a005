/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backup and receive: what arrives is what was there, state by state, whatever goes on meanwhile;
 * what is damaged, cut off or does not fit changes nothing; who is killed leaves nothing by halves.
 */
#include "backup_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/hash.h"
#include "engine/stream.h"
#include "internal/bytes.h"

static dur_workspace *ws;
static dur_prefix *source;
static uint64_t seed;
static char root[PATH_MAX], file[PATH_MAX], file2[PATH_MAX];

static void setup(void)
{
	snprintf(root, sizeof root, "%s", kit_path("root"));
	snprintf(file, sizeof file, "%s", kit_path("stream"));
	snprintf(file2, sizeof file2, "%s", kit_path("stream2"));
	ws = prefix_workspace(root);
	source = prefix_attach(ws, "source", NULL);
	seed = kit_seed();
}

static void teardown(void)
{
	MUST(dur_detach(source));
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static dur_prefix *open_copy(const char *name)
{
	dur_prefix *p;

	EXPECT(0, dur_attach(ws, name, 0, NULL, &p));
	return p;
}

/* The copy is sound and has so many states, all of them the source's. */
static void check_copy(const char *name, unsigned states)
{
	dur_prefix *copy;

	prefix_check_sound(ws, name, DUR_HISTORY);
	copy = open_copy(name);
	ck_assert_uint_eq(backup_same_states(source, copy), states);
	EXPECT(0, dur_detach(copy));
	prefix_check_sound(ws, name, DUR_HISTORY);
}

static void changes(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		backup_change(source, &seed, 1 + (unsigned)(kit_random(&seed) % 40),
		              i % 3 ? NULL : "third");
}

/* ---- What arrives ---- */

START_TEST(one_state)
{
	uint64_t state;

	changes(5);
	state = prefix_newest_state(source);
	backup_to(source, state, 0, 0, file);
	changes(2);
	EXPECT(0, backup_from(ws, "deep/below/copy", file));
	check_copy("deep/below/copy", 1);
	EXPECT(-EEXIST, backup_from(ws, "deep/below/copy", file));
	check_copy("deep/below/copy", 1);
}
END_TEST

START_TEST(empty_and_first)
{
	uint64_t state;

	backup_to(source, DUR_LATEST, 0, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	check_copy("copy", 1);
	changes(1);
	state = prefix_newest_state(source);
	backup_to(source, state, 1, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	check_copy("copy", 2);
}
END_TEST

START_TEST(all_states)
{
	changes(12);
	backup_to(source, DUR_LATEST, 0, DUR_HISTORY, file);
	EXPECT(0, backup_from(ws, "copy", file));
	check_copy("copy", 13);
	changes(9);
	backup_to(source, DUR_LATEST, prefix_newest_state(source) - 9, DUR_HISTORY, file);
	EXPECT(0, backup_from(ws, "copy", file));
	check_copy("copy", 22);
}
END_TEST

START_TEST(twenty_increments)
{
	uint64_t before, state;

	changes(3);
	before = prefix_newest_state(source);
	backup_to(source, before, 0, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	for (unsigned i = 1; i <= 20; i++) {
		changes(1 + i % 3);
		state = prefix_newest_state(source);
		backup_to(source, state, before, 0, file);
		EXPECT(0, backup_from(ws, "copy", file));
		if (i % 5 == 0)
			check_copy("copy", 1 + i);
		before = state;
	}
	check_copy("copy", 21);
}
END_TEST

/* Snapshots may be of states that hold no change: a name makes one, packing does. */
START_TEST(since_what_a_snapshot_showed)
{
	uint64_t before[2];
	dur_view *snap;

	changes(3);
	for (int i = 0; i < 2; i++) {
		EXPECT(0, dur_name(source, i ? "b" : "a", DUR_LATEST));
		EXPECT(0, dur_snapshot(source, DUR_LATEST, NULL, &snap));
		before[i] = dur_state(snap);
		dur_close(snap);
	}
	ck_assert_uint_gt(before[1], before[0]);
	backup_to(source, DUR_LATEST, 0, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	for (int i = 0; i < 2; i++) { /* nothing came since */
		backup_to(source, DUR_LATEST, before[i], 0, file);
		EXPECT(DUR_NONE, backup_from(ws, "copy", file));
	}
	changes(2);
	backup_to(source, DUR_LATEST, before[0], DUR_HISTORY, file);
	EXPECT(0, backup_from(ws, "copy", file));
	check_copy("copy", 3);
}
END_TEST

/* More states than one fold takes, labels, commits that change nothing, a policy. */
START_TEST(long_history)
{
	dur_prefix_stat stat, copied;
	dur_prefix *copy;
	dur_view *txn;

	for (int i = 0; i < 1200; i++)
		prefix_put(source, i % 7 ? "a" : "b", i, true);
	EXPECT(0, dur_begin(source, NULL, &txn));
	EXPECT(0, dur_commit(txn, &(dur_commit_options){ .label = "nothing changed" }, NULL));
	dur_close(txn);
	EXPECT(0, dur_keep(source, "last:1000"));
	backup_to(source, DUR_LATEST, 0, DUR_HISTORY, file);
	EXPECT(0, backup_from(ws, "copy", file));
	check_copy("copy", 1000);
	copy = open_copy("copy");
	EXPECT(0, dur_stat(source, &stat));
	EXPECT(0, dur_stat(copy, &copied));
	ck_assert_str_eq(copied.keep, "last:1000");
	ck_assert_uint_eq(copied.states, 1000);
	ck_assert_uint_eq(copied.oldest, stat.oldest);
	ck_assert_uint_eq(copied.commits, stat.commits);
	ck_assert(memcmp(copied.uuid, stat.uuid, 16) != 0);
	prefix_put(copy, "a", 1, false); /* it is a prefix like any other */
	prefix_put(copy, "a", 2, false);
	EXPECT(0, dur_detach(copy));
	prefix_check_sound(ws, "copy", DUR_HISTORY);
}
END_TEST

START_TEST(raw_keys)
{
	dur_prefix *raw, *copy;
	dur_view *txn;

	EXPECT(0, dur_attach(ws, "raw", DUR_CREATE | DUR_RAW, NULL, &raw));
	for (int i = 0; i < 3; i++) {
		EXPECT(0, dur_begin(raw, NULL, &txn));
		EXPECT(0, dur_put(dur_root(txn), &DUR_BYTES("\0\xff", 2), &DUR_INT(i)));
		EXPECT(0, dur_put(dur_root(txn), &DUR_BYTES("", 0), &DUR_NULL()));
		EXPECT(0, dur_commit(txn, NULL, NULL));
		dur_close(txn);
	}
	backup_to(raw, 3, 0, 0, file);
	backup_to(raw, 4, 3, 0, file2);
	EXPECT(0, backup_from(ws, "copy", file));
	EXPECT(0, backup_from(ws, "copy", file2));
	copy = open_copy("copy");
	backup_same_state(raw, 4, copy, 4);
	backup_same_state(raw, 3, copy, 3);
	EXPECT(0, dur_detach(copy));
	EXPECT(0, dur_detach(raw));
	prefix_check_sound(ws, "copy", DUR_HISTORY);
}
END_TEST

START_TEST(all_sizes)
{
	static const size_t sizes[] = {
		1,     100,   1899,  1900,    1990,          4096,
		65535, 65536, 65537, 1 << 20, (1 << 20) + 1, (3 << 20) + 5
	};
	size_t largest = getenv("DURAMEN_SLOW") ? 100 << 20 : 9 << 20;
	char *bytes = malloc(largest);
	dur_view *txn;

	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < largest; i++)
		bytes[i] = (char)(i * i >> 7);
	EXPECT(0, dur_begin(source, NULL, &txn));
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		EXPECT(0,
		       dur_put(dur_root(txn), &DUR_INT((int64_t)i), &DUR_BYTES(bytes, sizes[i])));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	EXPECT(0, dur_begin(source, NULL, &txn));
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i += 2)
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT((int64_t)i),
		                  &DUR_BYTES(bytes + 1, sizes[i])));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("largest"), &DUR_BYTES(bytes, largest)));
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	free(bytes);
	backup_to(source, DUR_LATEST, 0, 0, file);
	EXPECT(0, backup_from(ws, "newest", file));
	check_copy("newest", 1);
	backup_to(source, 2, 0, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	backup_to(source, 3, 2, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	check_copy("copy", 2);
}
END_TEST

/* A copy of a copy, and streams one after the other in one file. */
START_TEST(from_hand_to_hand)
{
	dur_prefix *copy;
	int fd;

	changes(4);
	backup_to(source, 3, 0, 0, file);
	EXPECT(0, backup_from(ws, "one", file));
	backup_to(source, 5, 3, 0, file2);
	EXPECT(0, backup_from(ws, "one", file2));
	copy = open_copy("one");
	backup_to(copy, 3, 0, 0, file);
	fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
	dur_view *snap;
	EXPECT(0, dur_snapshot(copy, 5, NULL, &snap));
	EXPECT(0, dur_backup(snap, 3, 0, fd, NULL));
	dur_close(snap);
	close(fd);
	EXPECT(0, dur_detach(copy));
	fd = open(file, O_RDONLY | O_CLOEXEC);
	EXPECT(0, dur_receive(ws, "two", fd, NULL));
	EXPECT(0, dur_receive(ws, "two", fd, NULL));
	close(fd);
	check_copy("two", 2);
	EXPECT(DUR_E_CONFLICT, backup_from(ws, "two", file2)); /* that one is the source's */
}
END_TEST

/* Names come with the states they keep, move and go; what they keep stays under any policy. */
START_TEST(names_and_policy)
{
	dur_prefix *copy;
	dur_view *snap;
	uint64_t state;

	EXPECT(0, dur_keep(source, "last:3"));
	changes(2);
	state = prefix_newest_state(source);
	EXPECT(0, dur_name(source, "one", state));
	EXPECT(0, dur_name(source, "two", state));
	EXPECT(0, dur_name(source, "moves", state));
	changes(6);
	EXPECT(0, dur_name(source, "goes", prefix_newest_state(source)));
	changes(6);
	backup_to(source, DUR_LATEST, 0, DUR_HISTORY, file);
	EXPECT(0, backup_from(ws, "copy", file));
	check_copy("copy", 5);
	copy = open_copy("copy");
	backup_same_names(source, copy);
	EXPECT(0, dur_snapshot(copy, state, NULL, &snap));
	dur_close(snap);
	EXPECT(0, dur_detach(copy));
	EXPECT(0, dur_compact(source, DUR_HISTORY, NULL));
	copy = open_copy("copy");
	ck_assert_uint_eq(backup_same_states(source, copy), 5);
	backup_same_names(source, copy);
	state = prefix_newest_state(copy);
	EXPECT(0, dur_detach(copy));

	EXPECT(0, dur_name(source, "state", state));
	changes(1);
	EXPECT(0, dur_name(source, "goes", prefix_newest_state(source)));
	changes(6);
	EXPECT(0, dur_unname(source, "goes"));
	EXPECT(0, dur_name(source, "moves", prefix_newest_state(source)));
	changes(1);
	EXPECT(0, dur_keep(source, "last:2"));
	backup_to(source, DUR_LATEST, state, DUR_HISTORY, file);
	EXPECT(0, backup_from(ws, "copy", file));
	copy = open_copy("copy");
	backup_same_names(source, copy);
	prefix_check_sound(ws, "copy", DUR_HISTORY);
	backup_same_state(source, state, copy, state);
	EXPECT(0, dur_detach(copy));
}
END_TEST

/* ---- While others write ---- */

/* ROOT: commits until it is killed, and packs what is behind it. */
static int role_write(int argc, char **argv)
{
	dur_workspace *mine = prefix_workspace(argv[0]);
	uint64_t random = 17;
	dur_prefix *p;

	(void)argc;
	EXPECT(0, dur_attach(mine, "source", 0, NULL, &p));
	test_say('!');
	for (unsigned i = 0; i < 1000000; i++) {
		backup_change(p, &random, 20, NULL);
		if (i % 32 == 0)
			MUST(dur_pack_history(p, 2));
	}
	return 0;
}

/* What `duramen dump` prints of a state, to a file. */
static void dump(const char *name, uint64_t state, const char *to)
{
	char command[3 * PATH_MAX];

	snprintf(command, sizeof command, "'%s' --root '%s' dump %s --at %" PRIu64 " > '%s'",
	         getenv("DURAMEN"), root, name, state, to);
	HOLDS(system(command) == 0, "%s", command);
}

static void same_dumps(uint64_t state)
{
	const char *a = kit_path("dump-source"), *b = kit_path("dump-copy");
	uint8_t *bytes[2];
	size_t n[2];

	dump("source", state, a);
	dump("copy", state, b);
	bytes[0] = backup_bytes(a, &n[0]);
	bytes[1] = backup_bytes(b, &n[1]);
	HOLDS(n[0] > 100 && n[0] == n[1] && memcmp(bytes[0], bytes[1], n[0]) == 0,
	      "state %" PRIu64 ": %zu and %zu bytes of dump", state, n[0], n[1]);
	free(bytes[0]);
	free(bytes[1]);
}

/* A state of maintenance does not travel: the one that it was made on is the same. */
static void copy_is(dur_view *snap)
{
	dur_prefix *copy = open_copy("copy");
	uint64_t copied = prefix_newest_state(copy);
	dur_view *v;

	ck_assert_uint_le(copied, dur_state(snap));
	EXPECT(0, dur_snapshot(copy, DUR_LATEST, NULL, &v));
	backup_same_coll(dur_root(snap), dur_root(v));
	dur_close(v);
	EXPECT(0, dur_detach(copy));
	same_dumps(copied);
}

/* All of it, then twenty increments. */
START_TEST(while_another_process_writes)
{
	struct peer peer;
	uint64_t before = 0, state = 0;

	changes(3);
	peer_start(&peer, "write", root, NULL);
	ck_assert_int_eq(peer_hear(&peer), '!');
	for (unsigned i = 0; i <= 20; i++) {
		dur_view *snap;
		int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		while ((state = prefix_newest_state(source)) == before) /* it is being packed, or swapped out */
			kit_sleep_ms(1);
		EXPECT(0, dur_snapshot(source, state, NULL, &snap));
		EXPECT(0, dur_backup(snap, before, i % 3 == 2 ? DUR_HISTORY : 0, fd, NULL));
		lseek(fd, 0, SEEK_SET);
		EXPECT(0, dur_receive(ws, "copy", fd, NULL));
		close(fd);
		copy_is(snap);
		dur_close(snap);
		before = state;
	}
	peer_kill(&peer);
	dur_prefix *copy = open_copy("copy");
	ck_assert_uint_ge(backup_same_states(source, copy), 21);
	EXPECT(0, dur_detach(copy));
	prefix_check_sound(ws, "copy", DUR_HISTORY);
}
END_TEST

struct pipe_end {
	int fd, rc;
};

static void *receive_all(void *arg)
{
	struct pipe_end *end = arg;

	end->rc = dur_receive(ws, "copy", end->fd, NULL);
	return NULL;
}

START_TEST(through_a_pipe)
{
	struct pipe_end end;
	pthread_t thread;
	dur_view *snap;
	int fds[2];

	changes(30);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	end.fd = fds[0];
	ck_assert_int_eq(pthread_create(&thread, NULL, receive_all, &end), 0);
	EXPECT(0, dur_snapshot(source, DUR_LATEST, NULL, &snap));
	EXPECT(0, dur_backup(snap, 0, DUR_HISTORY, fds[1], NULL));
	dur_close(snap);
	pthread_join(thread, NULL);
	ck_assert_int_eq(end.rc, 0);
	close(fds[0]);
	close(fds[1]);
	check_copy("copy", 31);
}
END_TEST

START_TEST(what_was_pinned_is_there)
{
	dur_view *newest, *old;
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	EXPECT(0, dur_keep(source, "last:2"));
	changes(4);
	EXPECT(0, dur_snapshot(source, DUR_LATEST, NULL, &newest));
	EXPECT(0, dur_snapshot(source, dur_state(newest) - 1, NULL, &old));
	for (int i = 0; i < 700; i++)
		prefix_put(source, "n", i, true); /* retention has left both behind */
	EXPECT(0, dur_backup(newest, 0, 0, fd, NULL));
	lseek(fd, 0, SEEK_SET);
	EXPECT(0, dur_receive(ws, "newest", fd, NULL));
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	lseek(fd, 0, SEEK_SET);
	EXPECT(0, dur_backup(old, 0, 0, fd, NULL));
	lseek(fd, 0, SEEK_SET);
	EXPECT(0, dur_receive(ws, "old", fd, NULL));
	EXPECT(DUR_E_GONE, dur_backup(newest, dur_state(old), 0, fd, NULL));
	close(fd);
	ck_assert_uint_eq(dur_state(newest), dur_state(old) + 1);
	dur_prefix *copy = open_copy("newest"), *copy2 = open_copy("old");
	ck_assert_uint_eq(prefix_newest_state(copy), dur_state(newest));
	ck_assert_uint_eq(prefix_newest_state(copy2), dur_state(old));
	EXPECT(0, dur_detach(copy));
	EXPECT(0, dur_detach(copy2));
	dur_close(newest);
	dur_close(old);
}
END_TEST

/* ---- What is refused ---- */

/* Both ways to receive it are refused and leave everything as it was. */
static void refused(const uint8_t *bytes, size_t n, const char *name, uint64_t digest,
                    const char *what)
{
	unsigned files = backup_files(root);
	int rc;

	backup_write(file2, bytes, n);
	rc = backup_from(ws, name, file2);
	HOLDS(rc == DUR_E_CORRUPT || rc == DUR_E_FORMAT, "%s: %d", what, rc);
	HOLDS(backup_files(root) == files, "%s: files were left behind", what);
	if (digest)
		HOLDS(backup_digest(ws, name) == digest, "%s: the copy has changed", what);
}

/* Cut, and flipped, at 200 places. */
static void damage_everywhere(const char *name, uint64_t digest)
{
	size_t n;
	uint8_t *bytes = backup_bytes(file, &n);
	char what[64];

	for (unsigned i = 0; i < 200; i++) {
		size_t at = i < 20 ? i * 5 % n : i < 60 ? n - 1 - (i - 20) : kit_random(&seed) % n;
		uint8_t bit = (uint8_t)(1 << kit_random(&seed) % 8);

		snprintf(what, sizeof what, "cut at %zu of %zu", at, n);
		refused(bytes, at, name, digest, what);
		snprintf(what, sizeof what, "flipped at %zu of %zu", at, n);
		bytes[at] ^= bit;
		refused(bytes, n, name, digest, what);
		bytes[at] ^= bit;
	}
	free(bytes);
}

START_TEST(damage_to_a_full_copy)
{
	changes(20);
	backup_to(source, DUR_LATEST, 0, DUR_HISTORY, file);
	damage_everywhere("never/there", 0);
	EXPECT(0, backup_from(ws, "never/there", file));
	check_copy("never/there", 21);
}
END_TEST

START_TEST(damage_to_an_increment)
{
	uint64_t state;

	changes(2);
	state = prefix_newest_state(source);
	backup_to(source, state, 0, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	changes(10);
	backup_to(source, DUR_LATEST, state, DUR_HISTORY, file);
	damage_everywhere("copy", backup_digest(ws, "copy"));
	check_copy("copy", 1);
	EXPECT(0, backup_from(ws, "copy", file));
	check_copy("copy", 11);
}
END_TEST

/* The blocks of a stream, by where they begin; the last one is its end. */
static size_t blocks_of(const uint8_t *bytes, size_t n, size_t *at, size_t cap)
{
	size_t k = 0, pos = STREAM_HEADER;

	for (; pos < n && k + 1 < cap; pos += 16 + get_u32(bytes + pos + 4))
		at[k++] = pos;
	at[k] = pos;
	return k;
}

START_TEST(blocks_out_of_place)
{
	size_t n, at[64], k;
	uint8_t *bytes, *other;

	for (int i = 0; i < 6; i++)
		changes(20);
	backup_to(source, DUR_LATEST, 0, DUR_HISTORY, file);
	bytes = backup_bytes(file, &n);
	k = blocks_of(bytes, n, at, 64);
	ck_assert_uint_ge(k, 4);
	other = malloc(n);
	for (size_t i = 0; i + 1 < k; i++) { /* left out */
		memcpy(other, bytes, at[i]);
		memcpy(other + at[i], bytes + at[i + 1], n - at[i + 1]);
		refused(other, n - (at[i + 1] - at[i]), "copy", 0, "a block is missing");
	}
	for (size_t i = 0; i + 2 < k; i++) { /* swapped with the next one */
		size_t a = at[i + 1] - at[i], b = at[i + 2] - at[i + 1];
		memcpy(other, bytes, n);
		memcpy(other + at[i], bytes + at[i + 1], b);
		memcpy(other + at[i] + b, bytes + at[i], a);
		refused(other, n, "copy", 0, "blocks have changed places");
	}
	free(other);
	free(bytes);
}
END_TEST

START_TEST(no_stream)
{
	struct stream_header header = { .last = 5 };
	struct stream_end end = { .fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600) };
	struct stream_out *out;
	size_t n;
	uint8_t *bytes;

	refused((const uint8_t *)"", 0, "copy", 0, "empty");
	refused((const uint8_t *)"{\"key\":1}\n", 10, "copy", 0, "text");
	EXPECT(0, stream_out_open(&end, &header, &out));
	EXPECT(0, stream_out_finish(out, &(struct stream_totals){ 0, 0 }));
	stream_out_free(out);
	bytes = backup_bytes(file, &n);
	refused(bytes, n, "copy", 0, "a stream without its state");
	put_u32(bytes + 12, 2);
	put_u64(bytes + STREAM_HEADER - 8, hash64(bytes, STREAM_HEADER - 8, 0));
	backup_write(file, bytes, n);
	EXPECT(DUR_E_FORMAT, backup_from(ws, "copy", file));
	ck_assert(strstr(dur_message(), "newer version") != NULL);
	free(bytes);
	close(end.fd);
	ck_assert_int_eq(backup_from(ws, "no such\x01name", file), DUR_E_NAME);
}
END_TEST

START_TEST(what_does_not_fit)
{
	dur_prefix *other, *copy;
	uint64_t digest;

	changes(6); /* states 2 to 7 */
	backup_to(source, 4, 0, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	digest = backup_digest(ws, "copy");
	backup_to(source, 7, 5, 0, file2);
	EXPECT(DUR_E_CONFLICT, backup_from(ws, "copy", file2)); /* base too new */
	ck_assert(strstr(dur_message(), "state 5") && strstr(dur_message(), " is 4 "));
	backup_to(source, 7, 3, 0, file2);
	EXPECT(DUR_E_CONFLICT, backup_from(ws, "copy", file2)); /* too old */
	backup_to(source, 3, 2, 0, file2);
	EXPECT(DUR_E_CONFLICT, backup_from(ws, "copy", file2)); /* behind it */
	EXPECT(-ENOENT, backup_from(ws, "nothing", file2));
	other = prefix_attach(ws, "other", NULL);
	for (int i = 0; i < 6; i++)
		backup_change(other, &seed, 10, NULL);
	backup_to(other, 5, 4, 0, file2);
	EXPECT(DUR_E_CONFLICT, backup_from(ws, "copy", file2)); /* of another prefix */
	EXPECT(0, dur_detach(other));
	EXPECT(DUR_E_CONFLICT, backup_from(ws, "other", file2)); /* no copy */
	ck_assert_uint_eq(backup_digest(ws, "copy"), digest);

	backup_to(source, 6, 4, 0, file2);
	EXPECT(0, backup_from(ws, "copy", file2));
	EXPECT(DUR_NONE, backup_from(ws, "copy", file2)); /* again */
	check_copy("copy", 2);
	copy = open_copy("copy");
	prefix_put(copy, "mine", 1, false);
	EXPECT(0, dur_detach(copy));
	backup_to(source, 7, 6, 0, file2);
	EXPECT(DUR_E_CONFLICT, backup_from(ws, "copy", file2)); /* a copy no more */
}
END_TEST

START_TEST(arguments)
{
	dur_view *snap, *txn;

	changes(1);
	EXPECT(0, dur_snapshot(source, DUR_LATEST, NULL, &snap));
	EXPECT(0, dur_begin(source, NULL, &txn));
	EXPECT(DUR_E_MISUSE, dur_backup(NULL, 0, 0, 1, NULL));
	EXPECT(DUR_E_MISUSE, dur_backup(txn, 0, 0, 1, NULL));
	EXPECT(DUR_E_MISUSE, dur_backup(snap, 0, DUR_RAW, 1, NULL));
	EXPECT(DUR_E_MISUSE, dur_backup(snap, 0, 0, -1, NULL));
	EXPECT(DUR_E_RANGE, dur_backup(snap, 3, 0, 1, NULL));
	EXPECT(DUR_E_MISUSE, dur_receive(NULL, NULL, 0, NULL));
	EXPECT(DUR_E_MISUSE, dur_receive(ws, "x", -1, NULL));
	EXPECT(DUR_E_MISUSE, dur_compact(NULL, 0, NULL));
	EXPECT(DUR_E_MISUSE, dur_compact(source, DUR_RAW, NULL));
	dur_close(txn);
	dur_close(snap);
}
END_TEST

static int cancel(void *ctx, uint64_t done, uint64_t total)
{
	(void)ctx, (void)done, (void)total;
	return 1;
}

START_TEST(no_reader_no_room)
{
	const dur_progress never = { cancel, NULL };
	int fds[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	dur_view *snap;

	signal(SIGPIPE, SIG_IGN);
	changes(3);
	EXPECT(0, dur_snapshot(source, DUR_LATEST, NULL, &snap));
	EXPECT(-ENOSPC, dur_backup(snap, 0, 0, full, NULL));
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	EXPECT(-EPIPE, dur_backup(snap, 0, 0, fds[1], NULL));
	close(fds[1]);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK),
	                 0); /* nobody reads: it waits, and asks */
	changes(30);
	dur_close(snap);
	EXPECT(0, dur_snapshot(source, DUR_LATEST, NULL, &snap));
	EXPECT(-ECANCELED, dur_backup(snap, 0, DUR_HISTORY, fds[1], &never));
	close(fds[0]);
	close(fds[1]);
	close(full);
	dur_close(snap);
}
END_TEST

/* ---- Streams that were made to deceive ---- */

static struct stream_out *forged;

static void forge(const void *bytes, size_t n)
{
	EXPECT(0, stream_out_put(forged, bytes, n));
}

/* Content of one state of n entries, changes as told, in a stream with sound checksums. */
static void forged_is_refused(const char *what, const void *content, size_t len, unsigned changed,
                              uint8_t entries)
{
	struct stream_header header = { .last = 5, .entries = entries };
	struct stream_end end = { .fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) };
	uint8_t state[] = { 'S', 5, 0, 0, 0, 0, 0, 0, 0, 0, 1, entries, 0, 3, 'a', 'l', 'l' };
	size_t n;
	uint8_t *bytes;

	EXPECT(0, stream_out_open(&end, &header, &forged));
	forge(state, sizeof state);
	forge(content, len);
	forge("E", 1);
	EXPECT(0, stream_out_finish(forged, &(struct stream_totals){ 1, changed }));
	stream_out_free(forged);
	close(end.fd);
	bytes = backup_bytes(file, &n);
	refused(bytes, n, "copy", 0, what);
	free(bytes);
}

START_TEST(forgeries)
{
#define FORGED(what, content, changed, entries) \
	forged_is_refused(what, content, sizeof content - 1, changed, entries)
	/* two keys, ints 1 and 2: "a" is 02 61 00, the cell of 5 is 03 05 */
	FORGED("keys out of order",
	       "P\x03\x02"
	       "b\0\x02\x03\x05P\x03\x02"
	       "a\0\x02\x03\x05",
	       2, 2);
	FORGED("a key twice",
	       "P\x03\x02"
	       "a\0\x02\x03\x05P\x03\x02"
	       "a\0\x02\x03\x05",
	       2, 1);
	FORGED("no key",
	       "P\x03\x7f"
	       "a\0\x02\x03\x05",
	       1, 1);
	FORGED("no value",
	       "P\x03\x02"
	       "a\0\x02\x3f\x05",
	       1, 1);
	FORGED("a value of no bytes",
	       "P\x03\x02"
	       "a\0\0",
	       1, 1);
	FORGED("a run in a cell",
	       "P\x03\x02"
	       "a\0\x17\x88\1\0\0\0\0\0\0\0\3\0\0\0\0\0\7\0\0\0\0\0\0\0",
	       1, 1);
	/* a run's cell: a type, birth 0, page 3, its length */
#define RUN(type, length) "P\x03\x02" "a\0\x17" type "\0\0\0\0\0\0\0\0\3\0\0\0\0\0" length
	FORGED("an int in a run", RUN("\x83", "\2\0\0\0\0\0\0\0") "Wxy", 1, 1);
	FORGED("a run that is too long", RUN("\x88", "\0\0\0\0\0\0\0\1") "W", 1, 1);
	FORGED("text that is not", RUN("\x87", "\2\0\0\0\0\0\0\0") "W\xff\xff", 1, 1);
	FORGED("a run without its bytes", RUN("\x88", "\2\0\0\0\0\0\0\0"), 1, 1);
	FORGED("the run that was there", RUN("\x88", "\2\0\0\0\0\0\0\0") "K\0", 1, 1);
#undef RUN
	/* a map's: placed in state 1, birth 0, page 3, n entries, depth 1 */
#define TREE(kind, placed, n) "P\x03\x02" "a\0\x1e" kind placed "\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0\3\0\0\0\0\0" n "\0\0\0\0\0\1"
#define ENTRY "P\x03\x02" "k\0\x02\x03\x07"
	FORGED("a map placed later", TREE("\xa0", "\6", "\1") "W" ENTRY "X", 2, 1);
	FORGED("a map with too few entries", TREE("\xa0", "\1", "\2") "W" ENTRY "X", 2, 1);
	FORGED("a map with too many entries", TREE("\xa0", "\1", "\1") "W" ENTRY
	       "P\x03\x02" "l\0\x02\x03\x07" "X", 3, 1);
	FORGED("a map's keys out of order", TREE("\xa0", "\1", "\2") "W" ENTRY ENTRY "X", 3, 1);
	FORGED("a map's key that is none", TREE("\xa0", "\1", "\1") "WP\x01\x7f\x02\x03\x07X", 2, 1);
	FORGED("a map without end", TREE("\xa0", "\1", "\1") "W" ENTRY, 2, 1);
	FORGED("a set with values", TREE("\xa2", "\1", "\1") "W" ENTRY "X", 2, 1);
	FORGED("a map that was there", TREE("\xa0", "\1", "\1") "K\0", 1, 1);
	FORGED("changes of a map that was not there", TREE("\xa0", "\1", "\1") "M\0" ENTRY "X", 2, 1);
	FORGED("changes of a list", TREE("\xa4", "\1", "\1") "M\0I\0\x02\x03\x07X", 2, 1);
	FORGED("an item set in a new list", TREE("\xa4", "\1", "\1") "WV\0\x02\x03\x07X", 2, 1);
	FORGED("a cut in a map", TREE("\xa0", "\1", "\1") "W" ENTRY "C\0\1X", 3, 1);
	FORGED("a list with too few items", TREE("\xa4", "\1", "\2") "WP\x02\x03\x07X", 2, 1);
	FORGED("a rope that is cut off", TREE("\xa5", "\1", "\x7f") "Wabc", 1, 1);
	FORGED("a removal from a new map", TREE("\xa0", "\1", "\1") "W" ENTRY "D\x03\x02" "k\0" "X", 3, 1);
	FORGED("a name in a map", TREE("\xa0", "\1", "\1") "WN\1\1x" ENTRY "X", 2, 1);
	FORGED("an end of nothing", "X", 0, 0);
	FORGED("a part of nothing", "W", 0, 0);
	FORGED("an unknown cell", "P\x03\x02" "a\0\x02\x26\x05", 1, 1);
#undef TREE
#undef ENTRY
	FORGED("a removal from nothing",
	       "D\x03\x02"
	       "a\0",
	       1, 0);
	FORGED("a key that is too long", "P\xff\x7f", 1, 1);
	FORGED("a kind nobody knows", "Q", 0, 0);
	FORGED("other totals",
	       "P\x03\x02"
	       "a\0\x02\x03\x05",
	       2, 1);
	FORGED("other entries",
	       "P\x03\x02"
	       "a\0\x02\x03\x05",
	       1, 2);
	FORGED("a number without end", "P\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1, 1);
#undef FORGED
}
END_TEST

/* ---- The format, as docs/format.md draws it ---- */

START_TEST(bytes_as_drawn)
{
	static const char content[] = "S\x03\xc0\xa8\x0f\x3b\xae\x5d\x82\x18\x02\x02\x03two\x03" "all"
				      "P\x07\x02" "alice\0\x02\x03\x19"
				      "P\x05\x02" "bob\0\x05\x07" "dark"
				      "E";
	uint8_t bytes[STREAM_HEADER + 16 + sizeof content - 1 + 16 + 32] = "\x89" "DURCOPY\r\n\x1a\n";
	uint8_t *at = bytes + STREAM_HEADER;
	const uint32_t n = sizeof content - 1;
	dur_prefix *copy;
	dur_state_info info;
	uint32_t found;
	uint64_t sum;

	put_u32(bytes + 12, 1);
	put_u64(bytes + 64, 3);
	put_u64(bytes + 72, 2);
	sum = hash64(bytes, 88, 0);
	put_u64(bytes + 88, sum);
	put_u32(at, n); /* one block, not compressed */
	put_u32(at + 4, n);
	memcpy(at + 16, content, n);
	sum = hash64(at + 16, n, hash64(at, 8, sum));
	put_u64(at + 8, sum);
	at += 16 + n;
	put_u32(at, 0);
	put_u32(at + 4, 32);
	put_u64(at + 16, n);
	put_u64(at + 24, hash64(content, n, 0));
	put_u64(at + 32, 1);
	put_u64(at + 40, 2);
	put_u64(at + 8, hash64(at + 16, 32, hash64(at, 8, sum)));
	backup_write(file, bytes, sizeof bytes);
	EXPECT(0, backup_from(ws, "copy", file));
	copy = open_copy("copy");
	EXPECT(0, dur_states(copy, 0, 0, &info, 1, &found));
	ck_assert_uint_eq(info.state, 3);
	ck_assert_str_eq(info.label, "two");
	ck_assert_int_eq(info.time_ns, INT64_C(0x18825dae3b0fa8c0));
	ck_assert_int_eq(prefix_int(copy, 3, "alice", 0), 25);
	EXPECT(0, dur_detach(copy));
	prefix_check_sound(ws, "copy", DUR_HISTORY);
}
END_TEST

/* ---- Numbers ---- */

/*
 * I5: a copy's own commits are durable before anybody sees them, so numbers can come from
 * outside.
 */
START_TEST(numbers_are_not_given_twice)
{
	dur_prefix_stat stat;
	dur_prefix *copy;
	dur_view *txn;

	changes(4);
	backup_to(source, 3, 0, 0, file);
	EXPECT(0, backup_from(ws, "copy", file));
	copy = open_copy("copy");
	for (int i = 0; i < 3; i++) { /* numbers that nobody ever saw a state of */
		EXPECT(0, dur_begin(copy, NULL, &txn));
		EXPECT(0, dur_put(dur_root(txn), &DUR_INT(1), &DUR_INT(2)));
		dur_close(txn);
	}
	backup_to(source, 5, 3, DUR_HISTORY, file);
	EXPECT(0, backup_from(ws, "copy", file));
	ck_assert_uint_eq(backup_same_states(source, copy), 3);
	EXPECT(0, dur_begin(copy, NULL, &txn));
	EXPECT(0, dur_put(dur_root(txn), &DUR_INT(1), &DUR_INT(2)));
	EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
	EXPECT(0, dur_stat(copy, &stat));
	ck_assert_uint_eq(stat.durable, dur_state(txn));
	ck_assert_uint_gt(dur_state(txn), 5);
	dur_close(txn);
	EXPECT(0, dur_detach(copy));
	prefix_check_sound(ws, "copy", DUR_HISTORY);
}
END_TEST

/* ---- Killed ---- */

/* ROOT NAME FILE: receives it. */
static int role_receive(int argc, char **argv)
{
	dur_workspace *mine = prefix_workspace(argv[0]);

	(void)argc;
	test_say('!');
	MUST(backup_from(mine, argv[1], argv[2]));
	test_say('.');
	test_hear();
	return 0;
}

/* Kills a receiver after some time; whether it was done by then. */
static void receive_killed(const char *name, const char *stream, unsigned us)
{
	struct peer peer;
	int status;

	peer_start(&peer, "receive", root, name, stream, NULL);
	ck_assert_int_eq(peer_hear(&peer), '!');
	usleep(us);
	ck_assert_msg(waitpid(peer.pid, &status, WNOHANG) == 0, "it could not receive");
	peer_kill(&peer);
}

START_TEST(killed_while_it_receives)
{
	unsigned files, rounds = kit_rounds(12);

	for (int i = 0; i < 3; i++)
		changes(20);
	backup_to(source, 30, 0, DUR_HISTORY, file);
	backup_to(source, DUR_LATEST, 30, DUR_HISTORY, file2);
	EXPECT(0, dur_detach(source));
	source = NULL;
	files = backup_files(root);
	for (unsigned i = 0; i < rounds; i++) {
		dur_prefix_info info[4];
		uint32_t n;
		receive_killed("new/copy", file, (unsigned)(kit_random(&seed) % 60000));
		EXPECT(0, dur_prefixes(ws, 0, info, 4, &n));
		HOLDS(n == 1 || n == 2, "%u prefixes", n);
		if (n == 1) {
			HOLDS(backup_files(root) == files, "something was left behind");
			continue;
		}
		source = open_copy("source");
		check_copy("new/copy", 30);
		EXPECT(0, dur_detach(source));
		EXPECT(0, dur_drop(ws, "new/copy"));
	}
	EXPECT(0, backup_from(ws, "new/copy", file));
	for (unsigned i = 0; i < rounds; i++) {
		dur_prefix *copy;
		uint64_t newest;
		receive_killed("new/copy", file2, (unsigned)(kit_random(&seed) % 60000));
		prefix_check_sound(ws, "new/copy", DUR_HISTORY);
		copy = open_copy("new/copy");
		newest = prefix_newest_state(copy);
		source = open_copy("source");
		ck_assert_uint_eq(backup_same_states(source, copy), newest);
		EXPECT(0, dur_detach(source));
		EXPECT(0, dur_detach(copy));
		if (newest == 61) {
			EXPECT(DUR_NONE, backup_from(ws, "new/copy", file2));
			break;
		}
	}
	MUST(backup_from(ws, "new/copy", file2));
	source = open_copy("source");
	check_copy("new/copy", 61);
}
END_TEST

/*
 * The last receiver was killed when its state was on disk and nobody had been told of it: shared memory
 * is as it was before. So the copy holds the stream already.
 */
START_TEST(killed_before_it_was_told)
{
	char coord[PATH_MAX + 16], before[PATH_MAX];
	dur_prefix *copy;
	dur_view *txn;

	snprintf(coord, sizeof coord, "%s/copy.dur-coord", root);
	snprintf(before, sizeof before, "%s", kit_path("coord-before"));
	changes(5);
	backup_to(source, 3, 0, 0, file);
	backup_to(source, DUR_LATEST, 3, DUR_HISTORY, file2);
	EXPECT(0, backup_from(ws, "copy", file));
	copy = open_copy("copy");
	EXPECT(0, dur_begin(copy, NULL, &txn));
	file_copy(coord, before);
	dur_close(txn);
	EXPECT(0, dur_detach(copy));
	EXPECT(0, backup_from(ws, "copy", file2));
	file_copy(before, coord);
	EXPECT(DUR_NONE, backup_from(ws, "copy", file2));
	check_copy("copy", 4);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("backup");
	TCase *tc = tcase_create("arrives"), *no = tcase_create("refused"),
	      *kill = tcase_create("killed");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_checked_fixture(no, setup, teardown);
	tcase_add_checked_fixture(kill, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_set_timeout(no, 300);
	tcase_set_timeout(kill, 600);
	tcase_add_test(tc, one_state);
	tcase_add_test(tc, empty_and_first);
	tcase_add_test(tc, all_states);
	tcase_add_test(tc, twenty_increments);
	tcase_add_test(tc, since_what_a_snapshot_showed);
	tcase_add_test(tc, long_history);
	tcase_add_test(tc, raw_keys);
	tcase_add_test(tc, all_sizes);
	tcase_add_test(tc, from_hand_to_hand);
	tcase_add_test(tc, names_and_policy);
	tcase_add_test(tc, while_another_process_writes);
	tcase_add_test(tc, through_a_pipe);
	tcase_add_test(tc, what_was_pinned_is_there);
	tcase_add_test(tc, bytes_as_drawn);
	tcase_add_test(tc, numbers_are_not_given_twice);
	tcase_add_test(no, damage_to_a_full_copy);
	tcase_add_test(no, damage_to_an_increment);
	tcase_add_test(no, blocks_out_of_place);
	tcase_add_test(no, no_stream);
	tcase_add_test(no, what_does_not_fit);
	tcase_add_test(no, arguments);
	tcase_add_test(no, no_reader_no_room);
	tcase_add_test(no, forgeries);
	tcase_add_test(kill, killed_while_it_receives);
	tcase_add_test(kill, killed_before_it_was_told);
	suite_add_tcase(s, tc);
	suite_add_tcase(s, no);
	suite_add_tcase(s, kill);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = { { "write", role_write },
		                             { "receive", role_receive },
		                             { 0 } };

	return kit_main(argc, argv, roles, suite());
}
