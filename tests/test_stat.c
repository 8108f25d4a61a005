/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dur_stat() says of the file: the kinds add up to it exactly, whatever a random history does
 * (several writers, async commits, snapshots, retention), and are what they are called. That the
 * counters behind them are right is told by dur_check(), which counts the pages.
 */
#include "prefix_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char NAME[] = "stat";
static char text[40000];
static const char *root;
static dur_workspace *ws;
static uint64_t rng;

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

static void setup(void)
{
	rng = kit_seed();
	root = kit_path("root");
	ws = prefix_workspace(root);
}

static void teardown(void)
{
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

static void agree(dur_prefix *p)
{
	dur_prefix_stat s;
	struct stat st;
	char path[4096];

	EXPECT(0, dur_stat(p, &s));
	snprintf(path, sizeof path, "%s/%s.dur", root, NAME);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(s.file_bytes, (uint64_t)st.st_size);
	ck_assert_uint_gt(s.disk_bytes, s.live_bytes); /* what was never written is not of this */
	HOLDS(s.live_bytes + s.retained_bytes + s.packed_bytes + s.free_bytes +
	              s.metadata_bytes == s.file_bytes,
	      "live %" PRIu64 ", retained %" PRIu64 ", packed %" PRIu64 ", free %" PRIu64
	      ", metadata %" PRIu64 " of %" PRIu64, s.live_bytes, s.retained_bytes,
	      s.packed_bytes, s.free_bytes, s.metadata_bytes, s.file_bytes);
	ck_assert_uint_ge(s.metadata_bytes, 4 * 4096); /* superblock, slots, a record */
}

static void write_some(dur_prefix *p)
{
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (uint64_t n = 1 + below(40); n > 0; n--) {
		dur_value key = DUR_INT((int64_t)below(3000));
		if (below(4))
			EXPECT(0, dur_put(dur_root(txn), &key,
			                  &DUR_BYTES(text, below(below(20) ? 300 : sizeof text))));
		else
			MUST(dur_del(dur_root(txn), &key));
	}
	if (below(10) == 0)
		EXPECT(0, dur_clear(dur_root(txn), &(dur_range){ .from = &DUR_INT(1000) }, NULL));
	if (below(12))
		EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = below(2) ? DUR_ASYNC : 0 },
		                     NULL));
	dur_close(txn);
}

/* Two attachments, one of which holds the lock for a while, and snapshots that come and go. */
static void kinds(const char *keep)
{
	static const char *const policies[] = { "last:1", "last:7", "all" };
	dur_view *snaps[4] = { NULL };
	dur_prefix *a, *b;

	a = prefix_attach(ws, NAME, keep);
	EXPECT(0, dur_attach(ws, NAME, 0, NULL, &b));
	for (unsigned i = 0; i < kit_rounds(600); i++) {
		dur_prefix *p = below(2) ? a : b;
		unsigned at = (unsigned)below(4);
		switch (below(8)) {
		case 0:
			dur_close(snaps[at]);
			EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snaps[at]));
			break;
		case 1:
			dur_close(snaps[at]);
			snaps[at] = NULL;
			break;
		case 2:
			if (below(10) == 0)
				EXPECT(0, dur_keep(p, policies[below(3)]));
			break;
		default: write_some(p);
		}
		agree(below(2) ? a : b);
		if (below(60) == 0)
			prefix_check_sound(ws, NAME, 0);
	}
	for (unsigned i = 0; i < 4; i++)
		dur_close(snaps[i]);
	EXPECT(0, dur_detach(b));
	EXPECT(0, dur_detach(a));
	prefix_check_sound(ws, NAME, DUR_HISTORY);
}

START_TEST(kinds_keeping_all)
{
	kinds("all");
}
END_TEST

START_TEST(kinds_keeping_few)
{
	kinds("last:3");
}
END_TEST

/* A reader's figures, from the record alone, and the writer's add up alike. */
static int role_watch(int argc, char **argv)
{
	dur_workspace *own = prefix_workspace(argv[0]);
	dur_prefix *p = prefix_attach(own, NAME, NULL);
	dur_prefix_stat s;

	(void)argc;
	for (int i = 0; i < 300; i++) {
		EXPECT(0, dur_stat(p, &s));
		HOLDS(s.live_bytes + s.retained_bytes + s.packed_bytes + s.free_bytes +
		              s.metadata_bytes == s.file_bytes, "state %" PRIu64, s.newest);
	}
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(own));
	return 0;
}

START_TEST(kinds_as_others_see_them)
{
	dur_prefix *p;
	struct peer peer;

	EXPECT(0, dur_attach(ws, NAME, DUR_CREATE | DUR_HOLD_LOCK,
	                     &(dur_attach_options){ .keep = "last:5" }, &p));
	peer_start(&peer, "watch", root, NULL);
	for (int i = 0; i < 200; i++) {
		write_some(p);
		agree(p);
	}
	ck_assert_int_eq(peer_end(&peer), 0);
	EXPECT(0, dur_detach(p));
}
END_TEST

int main(int argc, char **argv)
{
	static const struct role roles[] = { { "watch", role_watch }, { 0 } };
	Suite *suite = suite_create("stat");
	TCase *tc = tcase_create("kinds");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, kinds_keeping_all);
	tcase_add_test(tc, kinds_keeping_few);
	tcase_add_test(tc, kinds_as_others_see_them);
	suite_add_tcase(suite, tc);
	return kit_main(argc, argv, roles, suite);
}
