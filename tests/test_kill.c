/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers killed with SIGKILL at random moments. After each kill another process finds every commit
 * that was acknowledged, with exactly its content, and none in part; readers that were there before
 * the kill read on through it, and see what the next writer commits.
 *
 * Rounds: a few, with DURAMEN_SLOW=1 300 of the plain case, of those with names and of that with
 * everything, and 60 of each other; KILL_ROUNDS=n: n.
 */
#include "stream.h"

#include "prefixes/prefix.h"

#include <inttypes.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char PREFIX[] = "deep/under/kill";

enum {
	WRITERS_MAX = 2,
	ROUNDS_A_PREFIX = 50, /* then a new one: all that was ever written is looked at again and
	                           again */
};

/* ---- Peers ---- */

static unsigned number_of(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

static bool input_ended(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };

	return poll(&input, 1, 0) > 0;
}

struct writing {
	dur_prefix *p;
	struct board *board;
	unsigned stream, mode;
	uint64_t random;
};

static void *write_on(void *arg)
{
	struct writing *w = arg;

	for (;;)
		stream_step(w->p, w->board, w->stream, w->mode, &w->random);
	return NULL;
}

/*
 * Free space goes back to the file system all the time, far more of it than would be worthwhile: what
 * the commits around it need next is a hole as often as not.
 */
static void *give_back_on(void *arg)
{
	const struct writing *w = arg;
	uint64_t random = w->random, given;

	for (;;) {
		struct give_back how = { .run = 1 + kit_random(&random) % 8,
			.reserve = kit_random(&random) % 200, .pages = kit_random(&random) % 400 };
		int rc = store_give_back(w->p->shared->store, &how, &given);
		HOLDS(rc == 0 || rc == DUR_E_LOCKED, "%d: %s", rc, dur_message());
		usleep((useconds_t)(kit_random(&random) % 3000));
	}
	return NULL;
}

/* What has died is packed as soon as it may be, not only when a batch is worth it. */
static void *pack_on(void *arg)
{
	const struct writing *w = arg;
	uint64_t random = w->random;

	for (;;) {
		int rc = dur_pack_history(w->p, (int)(kit_random(&random) % 5));
		HOLDS(rc >= 0 || rc == DUR_E_LOCKED, "%d: %s", rc, dur_message());
		usleep((useconds_t)(kit_random(&random) % 20000));
	}
	return NULL;
}

static void *name_on(void *arg)
{
	struct writing *w = arg;

	stream_names_settle(w->p, w->board);
	for (;;) {
		stream_name_step(w->p, w->board, &w->random);
		usleep((useconds_t)(kit_random(&w->random) % 5000));
	}
	return NULL;
}

/* ROOT BOARD FIRST THREADS MODE SEED: writes streams from FIRST on, until it is killed. */
static int role_write(int argc, char **argv)
{
	struct writing threads[STREAMS_MAX];
	dur_workspace *ws = prefix_workspace(argv[0]);
	struct board *board = board_open(argv[1], 0);
	uint64_t random = strtoull(argv[5], NULL, 10);
	unsigned n = number_of(argv[3]);
	struct writing giving, packing, naming;
	pthread_t giver, packer, namer;
	dur_prefix *p;

	(void)argc;
	EXPECT(0, dur_attach(ws, PREFIX, 0, &(dur_attach_options){ .async_ms = 5 }, &p));
	giving = (struct writing){ .p = p, .random = kit_random(&random) };
	EXPECT(0, pthread_create(&giver, NULL, give_back_on, &giving));
	packing = (struct writing){ .p = p, .random = kit_random(&random) };
	EXPECT(0, pthread_create(&packer, NULL, pack_on, &packing));
	naming = (struct writing){ .p = p, .board = board, .random = kit_random(&random) };
	if (number_of(argv[4]) & STREAM_NAMED)
		EXPECT(0, pthread_create(&namer, NULL, name_on, &naming));
	for (unsigned i = 0; i < n; i++) {
		pthread_t thread;

		threads[i] = (struct writing){ p, board, number_of(argv[2]) + i, number_of(argv[4]),
			                       kit_random(&random) };
		if (i + 1 == n)
			write_on(&threads[i]);
		EXPECT(0, pthread_create(&thread, NULL, write_on, &threads[i]));
	}
	return 0;
}

struct kept {
	dur_view *view;
	struct stream_look looks[STREAMS_MAX];
};

static void look_all(dur_view *v, const struct board *board, unsigned streams,
                     struct stream_look *looks)
{
	for (unsigned s = 0; s < streams; s++)
		looks[s] = stream_look(v, board, s);
}

/* A snapshot that was open for long is as it was. */
static void kept_end(struct kept *kept, const struct board *board, unsigned streams)
{
	struct stream_look looks[STREAMS_MAX];

	if (!kept->view)
		return;
	look_all(kept->view, board, streams, looks);
	HOLDS(memcmp(looks, kept->looks, streams * sizeof *looks) == 0,
	      "state %" PRIu64 " has changed", dur_state(kept->view));
	dur_close(kept->view);
	kept->view = NULL;
}

/* ROOT BOARD INDEX STREAMS: follows the newest state until its input ends. */
static int role_follow(int argc, char **argv)
{
	dur_workspace *ws = prefix_workspace(argv[0]);
	struct board *board = board_open(argv[1], 0);
	struct board_reader *me = &board->readers[number_of(argv[2])];
	unsigned streams = number_of(argv[3]);
	struct stream_look seen[STREAMS_MAX] = { 0 };
	struct kept kept = { 0 };
	uint64_t last = 0, told;
	dur_prefix *p;

	(void)argc;
	EXPECT(0, dur_attach(ws, PREFIX, DUR_READ_ONLY, NULL, &p));
	while (!input_ended()) {
		struct stream_look looks[STREAMS_MAX];
		dur_view *v;

		if (MUST(dur_wait(p, last, 50, &told)) == DUR_NONE)
			continue;
		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
		HOLDS(dur_state(v) >= told && told > last,
		      "state %" PRIu64 " after %" PRIu64 ", told of %" PRIu64, dur_state(v), last,
		      told);
		last = dur_state(v);
		look_all(v, board, streams, looks);
		for (unsigned s = 0; s < streams; s++)
			HOLDS(looks[s].commits >= seen[s].commits,
			      "stream %u went back from %" PRIu64 " to %" PRIu64, s,
			      seen[s].commits, looks[s].commits);
		memcpy(seen, looks, sizeof seen);
		atomic_store(&me->state, last);
		if (atomic_fetch_add(&me->looks, 1) % 16 == 0) {
			kept_end(&kept, board, streams);
			kept.view = v;
			memcpy(kept.looks, looks, sizeof looks);
		} else {
			dur_close(v);
		}
	}
	kept_end(&kept, board, streams);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

static void raise_to(_Atomic uint64_t *word, uint64_t value)
{
	uint64_t was = atomic_load(word);

	while (was < value && !atomic_compare_exchange_weak(word, &was, value))
		;
}

/* The newest state holds all that was acknowledged, and exactly the commits that it says. */
static void verify_newest(dur_prefix *p, struct board *board, unsigned streams)
{
	uint64_t acked[STREAMS_MAX], commits;
	dur_view *v;

	for (unsigned s = 0; s < streams; s++)
		acked[s] = atomic_load(&board->streams[s].acked);
	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
	for (unsigned s = 0; s < streams; s++) {
		commits = stream_compare(v, board, s);
		HOLDS(commits >= acked[s] && commits <= atomic_load(&board->streams[s].begun),
		      "stream %u: %" PRIu64 " commits, acknowledged %" PRIu64 ", begun %" PRIu64, s,
		      commits, acked[s], atomic_load(&board->streams[s].begun));
		raise_to(&board->streams[s].acked, commits);
	}
	raise_to(&board->verified, dur_state(v));
	dur_close(v);
}

/* Some retained states, opened by number. */
static void verify_old(dur_prefix *p, const struct board *board, unsigned streams, uint64_t *random)
{
	dur_prefix_stat stat;
	dur_state_info info;
	uint32_t n;

	EXPECT(0, dur_stat(p, &stat));
	for (unsigned i = 0; i < 3; i++) {
		uint64_t from = stat.oldest + kit_random(random) % (stat.newest - stat.oldest + 1);
		dur_view *v;
		int rc;

		EXPECT(0, dur_states(p, from, 0, &info, 1, &n));
		if (n == 0)
			continue; /* last:N moved on */
		rc = dur_snapshot(p, info.state, NULL, &v);
		if (rc == DUR_E_GONE && strcmp(stat.keep, "all") != 0)
			continue;
		MUST(rc);
		for (unsigned s = 0; s < streams; s++)
			stream_compare(v, board, s);
		dur_close(v);
	}
}

/* A killed writer's lock stays until the kernel has ended its last write. */
static void check_after_kill(dur_workspace *ws, uint32_t flags)
{
	while (dur_check(ws, PREFIX, flags, NULL, NULL, NULL) == DUR_E_LOCKED)
		kit_sleep_ms(1);
	prefix_check_sound(ws, PREFIX, flags);
}

/* ROOT BOARD STREAMS RECOVER SEED MODE: all that must hold after a kill. */
static int role_verify(int argc, char **argv)
{
	dur_workspace *ws = prefix_workspace(argv[0]);
	struct board *board = board_open(argv[1], 0);
	unsigned streams = number_of(argv[2]);
	uint64_t random = strtoull(argv[4], NULL, 10);
	dur_prefix_stat stat;
	dur_prefix *p;
	dur_view *txn;

	(void)argc;
	check_after_kill(ws, kit_random(&random) % 4 ? 0 : DUR_HISTORY);
	EXPECT(0, dur_attach(ws, PREFIX, 0, NULL, &p));
	verify_newest(p, board, streams);
	if (number_of(argv[3])) { /* else it is left to the next writer */
		EXPECT(0, dur_begin(p, NULL, &txn));
		dur_close(txn);
		verify_newest(p, board, streams);
		prefix_check_sound(ws, PREFIX, 0);
	}
	verify_old(p, board, streams, &random);
	if (number_of(argv[5]) & STREAM_NAMED)
		stream_names_verify(p, board, streams);
	EXPECT(0, dur_stat(p, &stat));
	if (strcmp(stat.keep, "all") == 0)
		stream_history(p, streams);
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

/* ---- Rounds ---- */

struct kind {
	const char *keep;
	unsigned writers, threads, mode;
	bool ring; /* through io_uring, where it is to be had */
	bool cold;  /* nobody is attached after the kill, and shared memory is lost */
};

struct play {
	const struct kind *kind;
	char root[PATH_MAX], board_path[PATH_MAX], coord_path[PATH_MAX + 32];
	struct board *board;
	uint64_t random;
	unsigned streams, readers;
	uint64_t commits, looks, packed; /* of all prefixes so far */
	struct peer writer[WRITERS_MAX], reader[STREAM_READERS_MAX];
};

static const char *text_of(uint64_t n)
{
	static char text[6][24];
	static unsigned turn;

	snprintf(text[turn++ % 6], sizeof text[0], "%" PRIu64, n);
	return text[(turn - 1) % 6];
}

static void writer_start(struct play *play, unsigned w)
{
	peer_start(&play->writer[w], "write", play->root, play->board_path,
	           text_of(w * play->kind->threads), text_of(play->kind->threads),
	           text_of(play->kind->mode), text_of(kit_random(&play->random)), NULL);
}

static void play_open(struct play *play, const struct kind *kind, unsigned part)
{
	char name[32];
	dur_workspace *ws;

	play->kind = kind;
	play->streams = kind->writers * kind->threads;
	play->readers = kind->cold ? 0 : 2;
	snprintf(name, sizeof name, "root%u", part);
	snprintf(play->root, sizeof play->root, "%s", kit_path(name));
	snprintf(name, sizeof name, "board%u", part);
	snprintf(play->board_path, sizeof play->board_path, "%s", kit_path(name));
	snprintf(play->coord_path, sizeof play->coord_path, "%s/%s.dur-coord", play->root, PREFIX);
	play->board = board_open(play->board_path, kit_random(&play->random) | 1);
	play->board->nested = kind->mode & STREAM_NESTED;
	ws = prefix_workspace(play->root);
	EXPECT(0, dur_detach(prefix_attach(ws, PREFIX, kind->keep)));
	EXPECT(0, dur_workspace_close(ws));
	for (unsigned i = 0; i < play->readers; i++)
		peer_start(&play->reader[i], "follow", play->root, play->board_path, text_of(i),
		           text_of(play->streams), NULL);
}

static uint64_t acked_by(const struct play *play, unsigned w)
{
	uint64_t acked = 0;

	for (unsigned i = 0; i < play->kind->threads; i++)
		acked += atomic_load(&play->board->streams[w * play->kind->threads + i].acked);
	return acked;
}

static void play_close(struct play *play)
{
	for (unsigned w = 0; w < play->kind->writers; w++)
		if (play->writer[w].pid)
			peer_kill(&play->writer[w]);
	memset(play->writer, 0, sizeof play->writer);
	for (unsigned i = 0; i < play->readers; i++) {
		ck_assert_int_eq(peer_end(&play->reader[i]), 0);
		play->looks += atomic_load(&play->board->readers[i].looks);
	}
	for (unsigned w = 0; w < play->kind->writers; w++)
		play->commits += acked_by(play, w);
	play->packed += atomic_load(&play->board->packed);
}

static void still_runs(const struct peer *peer, const char *what)
{
	int status;

	ck_assert_msg(waitpid(peer->pid, &status, WNOHANG) == 0, "the %s has ended", what);
}

static void wait_for_commit(const struct play *play, unsigned w)
{
	uint64_t before = acked_by(play, w);

	while (acked_by(play, w) == before) {
		still_runs(&play->writer[w], "writer");
		kit_sleep_ms(1);
	}
}

static void wait_for_readers(const struct play *play)
{
	uint64_t newest = atomic_load(&play->board->verified);

	for (unsigned i = 0; i < play->readers; i++)
		while (atomic_load(&play->board->readers[i].state) < newest) {
			still_runs(&play->reader[i], "reader");
			kit_sleep_ms(1);
		}
}

/* The others go on: the lock that the victim held is theirs. */
static void play_round(struct play *play, unsigned victim)
{
	uint64_t choice = kit_random(&play->random);
	struct peer verifier;

	for (unsigned w = 0; w < play->kind->writers; w++)
		if (!play->writer[w].pid)
			writer_start(play, w);
	if (choice % 4) /* else while it attaches, or recovers */
		wait_for_commit(play, victim);
	usleep((useconds_t)(choice >> 8) % 50000);
	peer_kill(&play->writer[victim]);
	play->writer[victim].pid = 0;
	if (play->kind->cold)
		unlink(play->coord_path);
	peer_start(&verifier, "verify", play->root, play->board_path, text_of(play->streams),
	           text_of(choice >> 40 & 1), text_of(kit_random(&play->random)),
	           text_of(play->kind->mode), NULL);
	ck_assert_int_eq(peer_end(&verifier), 0);
	wait_for_readers(play);
	for (unsigned w = 0; w < play->kind->writers; w++)
		if (w != victim)
			wait_for_commit(play, w);
}

static bool ring_to_be_had(void)
{
	struct io_uring_params params = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	return fd >= 0 && close(fd) == 0;
}

static void rounds(const struct kind *kind, unsigned quick, unsigned slow)
{
	const char *given = getenv("KILL_ROUNDS");
	unsigned n = given ? number_of(given) : getenv("DURAMEN_SLOW") ? slow : quick;
	struct play play = { .random = kit_seed() };

	if (kind->ring && ring_to_be_had())
		setenv("DURAMEN_IO", "io_uring", 1);
	for (unsigned i = 0; i < n; i++) {
		if (i % ROUNDS_A_PREFIX == 0)
			play_open(&play, kind, i);
		play_round(&play, i % kind->writers);
		if (i % ROUNDS_A_PREFIX == ROUNDS_A_PREFIX - 1 || i == n - 1) {
			play_close(&play);
			kit_clean();
		}
	}
	fprintf(stderr, "%u kills, %" PRIu64 " commits, %" PRIu64 " looks by readers, %" PRIu64
	                " looks at packed states\n", n, play.commits, play.looks, play.packed);
	if (kind->mode & STREAM_NESTED && n >= ROUNDS_A_PREFIX)
		ck_assert_uint_gt(play.packed, 0);
}

START_TEST(writer_killed)
{
	rounds(&(struct kind){ .keep = "all", .writers = 1, .threads = 1 }, 15, 300);
}
END_TEST

/* On the same boot nothing that was visible is lost. */
START_TEST(async_writer_killed)
{
	rounds(&(struct kind){ .keep = "all", .writers = 1, .threads = 1, .mode = STREAM_ASYNC }, 5,
	       60);
}
END_TEST

START_TEST(writer_killed_under_last_n)
{
	static const char *const keep[] = { "last:1", "last:7" };

	rounds(&(struct kind){ .keep = keep[_i], .writers = 1, .threads = 1, .mode = (unsigned)_i },
	       5, 60);
}
END_TEST

/* What is packed is dropped again soon after, or kept states need some of it. */
START_TEST(writer_killed_while_packs_are_dropped)
{
	rounds(&(struct kind){ .keep = _i ? "for:1s,every:1s" : "for:1s",
	                       .writers = 1,
	                       .threads = 2,
	                       .mode = STREAM_ASYNC },
	       5, 60);
}
END_TEST

/* Names that were given, and the states they keep, outlive it, whatever else retention drops. */
START_TEST(writer_killed_while_names_change)
{
	rounds(&(struct kind){ .keep = "last:7",
	                       .writers = 1,
	                       .threads = 1 + (unsigned)_i,
	                       .mode = STREAM_NAMED | STREAM_ASYNC },
	       10, 300);
}
END_TEST

/*
 * Everything at once: packing, punching, policies and names that change, collections in collections
 * and copies of them, commits that share flushes. Every state that is retained is looked at after
 * each kill.
 */
START_TEST(writer_killed_with_collections)
{
	rounds(&(struct kind){ .keep = "last:20000",
	                       .writers = 1,
	                       .threads = 2,
	                       .mode = STREAM_NAMED | STREAM_ASYNC | STREAM_NESTED },
	       8, 300);
}
END_TEST

START_TEST(writer_killed_with_io_uring)
{
	rounds(&(struct kind){ .keep = "last:3", .writers = 1, .threads = 1, .ring = true }, 5,
	       60);
}
END_TEST

/* Several commits share a flush. */
START_TEST(writer_with_threads_killed)
{
	rounds(&(struct kind){ .keep = _i ? "last:2" : "all", .writers = 1, .threads = 4 }, 5, 60);
}
END_TEST

START_TEST(writers_taking_over)
{
	rounds(&(struct kind){ .keep = _i ? "last:2" : "all",
	                       .writers = 2,
	                       .threads = 2,
	                       .mode = (unsigned)_i },
	       5, 60);
}
END_TEST

/* As after a reboot, but for what the disk lost: only the file tells which state is the newest. */
START_TEST(writer_killed_and_shared_memory_lost)
{
	rounds(&(struct kind){ .keep = _i ? "last:2" : "all",
	                       .writers = 1,
	                       .threads = 1 + (unsigned)_i,
	                       .cold = true },
	       5, 60);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("kill");
	TCase *tc = tcase_create("kill");

	tcase_add_checked_fixture(tc, NULL, kit_clean);
	tcase_add_test(tc, writer_killed);
	tcase_add_test(tc, async_writer_killed);
	tcase_add_loop_test(tc, writer_killed_under_last_n, 0, 2);
	tcase_add_loop_test(tc, writer_killed_while_packs_are_dropped, 0, 2);
	tcase_add_loop_test(tc, writer_killed_while_names_change, 0, 2);
	tcase_add_test(tc, writer_killed_with_collections);
	tcase_add_test(tc, writer_killed_with_io_uring);
	tcase_add_loop_test(tc, writer_with_threads_killed, 0, 2);
	tcase_add_loop_test(tc, writers_taking_over, 0, 2);
	tcase_add_loop_test(tc, writer_killed_and_shared_memory_lost, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{ "write", role_write },
		{ "follow", role_follow },
		{ "verify", role_verify },
		{ 0 },
	};

	return kit_main(argc, argv, roles, suite());
}
