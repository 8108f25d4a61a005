/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One writer moves amounts between accounts in random transactions, readers look at snapshots: the
 * sum is the same in each of them, in those held open for long, and in old ones opened by number.
 * Quick runs go by counts, with DURAMEN_SLOW=1 each case takes 30 s.
 */
#include "prefix_kit.h"

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum {
	ACCOUNTS = 1000,
	EACH = 1000,
	SUM = ACCOUNTS * EACH,
	READERS = 8,
	QUICK_COMMITS = 400,
	QUICK_LOOKS = 60,
	SLOW_S = 30,
	OLD_STATES = 1000,
	KEPT = 4, /* snapshots a reader keeps open beside the one it looks at */
};

struct ledger {
	_Atomic uint64_t commits;
	_Atomic uint64_t looks[READERS];
	_Atomic uint64_t gone; /* states no longer retained when a reader came */
};

static dur_value account(uint64_t n, char name[32])
{
	snprintf(name, 32, "account/%03u/%s", (unsigned)n, n % 7 ? "current" : "savings account");
	return DUR_STR(name);
}

static bool input_ended(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };

	return poll(&input, 1, 0) > 0;
}

/* ---- The writer ---- */

static void add(dur_coll root, uint64_t n, int64_t amount)
{
	char name[32];
	dur_value key = account(n, name), balance;

	EXPECT(0, dur_get(root, &key, &balance));
	EXPECT(0, dur_put(root, &key, &DUR_INT(balance.i + amount)));
}

/* ROOT SEED ASYNC LEDGER: pays until its input ends. */
static int role_pay(int argc, char **argv)
{
	dur_workspace *ws = prefix_workspace(argv[0]);
	uint64_t random = strtoull(argv[1], NULL, 10), last = 0, state;
	bool async = argv[2][0] == '1';
	struct ledger *ledger = shared_memory(argv[3], sizeof *ledger);
	dur_prefix *p = prefix_attach(ws, "bank", NULL);

	(void)argc;
	while (!input_ended()) {
		uint64_t choice = kit_random(&random);
		dur_commit_options o = { .flags = async && choice & 1 ? DUR_ASYNC : 0 };
		dur_view *txn;

		EXPECT(0, dur_begin(p, NULL, &txn));
		for (uint64_t n = 1 + (choice >> 8) % 20; n > 0; n--) {
			int64_t amount = (int64_t)(kit_random(&random) % 100000);

			add(dur_root(txn), kit_random(&random) % ACCOUNTS, -amount);
			if (choice % 16 == 6 && n == 1)
				break; /* half of a payment, and no commit */
			add(dur_root(txn), kit_random(&random) % ACCOUNTS, amount);
		}
		if (choice % 16 != 6) {
			EXPECT(0, dur_commit(txn, &o, &state));
			HOLDS(state > last, "state %" PRIu64 " after %" PRIu64, state, last);
			last = state;
			atomic_fetch_add(&ledger->commits, 1);
		}
		dur_close(txn);
	}
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

/* ---- Readers ---- */

static int64_t sum_of_range(dur_view *v, const dur_range *range, uint64_t *n)
{
	dur_value key, value;
	int64_t sum = 0;
	dur_iter *it;

	EXPECT(0, dur_scan(dur_root(v), range, &it));
	for (; MUST(dur_next(it, &key, &value)) == 0; ++*n)
		sum += value.i;
	dur_iter_close(it);
	return sum;
}

static int64_t sum_of_gets(dur_view *v, uint64_t *n)
{
	static char names[ACCOUNTS][32];
	static dur_value keys[ACCOUNTS], values[ACCOUNTS];
	int64_t sum = 0;

	for (uint64_t i = 0; i < ACCOUNTS; i++)
		keys[i] = account(i, names[i]);
	EXPECT(0, dur_get_many(dur_root(v), keys, ACCOUNTS, values));
	for (uint64_t i = 0; i < ACCOUNTS; i++) {
		*n += values[i].type == DUR_INT;
		sum += values[i].i;
	}
	return sum;
}

static int64_t sum_of_ranks(dur_view *v, uint64_t *n)
{
	dur_value key, value;
	int64_t sum = 0;

	for (; MUST(dur_nth(dur_root(v), (int64_t)*n, &key, &value)) == 0; ++*n)
		sum += value.i;
	return sum;
}

/* Adds up in one of several ways. */
static void audit(dur_view *v, uint64_t way)
{
	uint64_t n = 0, count;
	int64_t sum = 0;

	EXPECT(0, dur_count(dur_root(v), NULL, &count));
	switch (way % 5) {
	case 0: sum = sum_of_range(v, NULL, &n); break;
	case 1: sum = sum_of_range(v, &(dur_range){ .flags = DUR_REVERSE }, &n); break;
	case 2:
		for (uint32_t i = 0; i < 3; i++)
			sum += sum_of_range(v, &(dur_range){ .part = i, .parts = 3 }, &n);
		break;
	case 3: sum = sum_of_gets(v, &n); break;
	default: sum = sum_of_ranks(v, &n); break;
	}
	HOLDS(count == ACCOUNTS && n == ACCOUNTS && sum == SUM,
	      "state %" PRIu64 ": %" PRIu64 " accounts, %" PRIu64 " read in way %" PRIu64
	      ", sum %" PRId64,
	      dur_state(v), count, n, way % 5, sum);
}

/* A state of the last few, by number. */
static void audit_old(dur_prefix *p, struct ledger *ledger, uint64_t choice)
{
	char at[16];
	uint64_t state;
	dur_view *v;
	int rc;

	snprintf(at, sizeof at, "-%u", (unsigned)(choice % 30));
	if (MUST(dur_resolve(p, at, &state)) == DUR_NONE)
		return;
	rc = dur_snapshot(p, state, NULL, &v);
	if (rc == DUR_E_GONE) {
		atomic_fetch_add(&ledger->gone, 1);
		return;
	}
	MUST(rc);
	HOLDS(dur_state(v) == state, "state %" PRIu64 " for %" PRIu64, dur_state(v), state);
	uint64_t accounts;
	EXPECT(0, dur_count(dur_root(v), NULL, &accounts));
	if (accounts != 0) /* else it is the empty prefix, state 1 */
		audit(v, choice >> 8);
	dur_close(v);
}

/* ROOT SEED INDEX LEDGER: looks until its input ends. */
static int role_audit(int argc, char **argv)
{
	dur_workspace *ws = prefix_workspace(argv[0]);
	uint64_t random = strtoull(argv[1], NULL, 10), last = 0;
	struct ledger *ledger = shared_memory(argv[3], sizeof *ledger);
	dur_view *kept[KEPT] = { NULL };
	dur_prefix *p;

	(void)argc;
	EXPECT(0, dur_attach(ws, "bank", DUR_READ_ONLY, NULL, &p));
	while (!input_ended()) {
		uint64_t choice = kit_random(&random);
		unsigned place = (unsigned)(choice >> 8) % (KEPT * 8);
		dur_view *v;

		EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &v));
		HOLDS(dur_state(v) >= last, "state %" PRIu64 " after %" PRIu64, dur_state(v), last);
		last = dur_state(v);
		audit(v, choice >> 16);
		if (place < KEPT) {
			if (kept[place])
				audit(kept[place], choice >> 24);
			dur_close(kept[place]);
			kept[place] = v;
		} else {
			dur_close(v);
		}
		if (choice >> 60 == 0)
			audit_old(p, ledger, choice >> 32);
		atomic_fetch_add(&ledger->looks[strtoul(argv[2], NULL, 10)], 1);
	}
	for (unsigned i = 0; i < KEPT; i++) {
		if (kept[i])
			audit(kept[i], i);
		dur_close(kept[i]);
	}
	EXPECT(0, dur_detach(p));
	EXPECT(0, dur_workspace_close(ws));
	return 0;
}

/* ---- The whole ---- */

static void open_bank(dur_workspace *ws, const char *keep)
{
	dur_prefix *p = prefix_attach(ws, "bank", keep);
	dur_view *txn;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (uint64_t i = 0; i < ACCOUNTS; i++) {
		char name[32];
		dur_value key = account(i, name);

		EXPECT(0, dur_put(dur_root(txn), &key, &DUR_INT(EACH)));
	}
	EXPECT(0, dur_commit(txn, NULL, NULL));
	dur_close(txn);
	EXPECT(0, dur_detach(p));
}

static bool enough(const struct ledger *ledger, time_t begun)
{
	if (getenv("DURAMEN_SLOW"))
		return time(NULL) - begun >= SLOW_S;
	for (unsigned i = 0; i < READERS; i++)
		if (atomic_load(&ledger->looks[i]) < QUICK_LOOKS)
			return false;
	return atomic_load(&ledger->commits) >= QUICK_COMMITS;
}

/* Random ones of all retained states, each with the right sum. */
static void audit_history(dur_workspace *ws, uint64_t commits, uint64_t *random)
{
	static dur_state_info infos[100];
	uint64_t *states = malloc((commits + 2) * sizeof *states), from = 0, n = 0;
	dur_prefix *p = prefix_attach(ws, "bank", NULL);
	uint32_t got;

	do {
		EXPECT(0, dur_states(p, from, 0, infos, 100, &got));
		for (uint32_t i = from != 0; i < got && infos[i].entries != 0; i++) {
			HOLDS(n < commits + 2, "more states than commits");
			states[n++] = infos[i].state;
		}
		from = infos[got - 1].state;
	} while (got == 100);
	HOLDS(n > 0, "no states");
	for (unsigned i = 0; i < OLD_STATES; i++) {
		dur_view *v;

		EXPECT(0, dur_snapshot(p, states[kit_random(random) % n], NULL, &v));
		audit(v, i % 4);
		dur_close(v);
	}
	free(states);
	EXPECT(0, dur_detach(p));
}

static void play(const char *keep, bool async)
{
	uint64_t random = kit_seed(), looks = 0;
	const char *root = kit_path("root"), *path = kit_path("ledger");
	struct ledger *ledger = shared_memory(path, sizeof *ledger);
	dur_workspace *ws = prefix_workspace(root);
	struct peer writer, readers[READERS];
	time_t begun = time(NULL);
	char seed[24], index[24];
	int status;

	open_bank(ws, keep);
	for (unsigned i = 0; i < READERS; i++) {
		snprintf(seed, sizeof seed, "%" PRIu64, kit_random(&random));
		snprintf(index, sizeof index, "%u", i);
		peer_start(&readers[i], "audit", root, seed, index, path, NULL);
	}
	snprintf(seed, sizeof seed, "%" PRIu64, kit_random(&random));
	peer_start(&writer, "pay", root, seed, async ? "1" : "0", path, NULL);
	while (!enough(ledger, begun)) {
		ck_assert_int_eq(waitpid(-1, &status, WNOHANG), 0);
		kit_sleep_ms(5);
	}
	ck_assert_int_eq(peer_end(&writer), 0);
	for (unsigned i = 0; i < READERS; i++) {
		ck_assert_int_eq(peer_end(&readers[i]), 0);
		looks += atomic_load(&ledger->looks[i]);
	}
	fprintf(stderr, "%" PRIu64 " commits, %" PRIu64 " looks, %" PRIu64 " gone\n",
	        atomic_load(&ledger->commits), looks, atomic_load(&ledger->gone));
	if (strcmp(keep, "all") == 0)
		ck_assert_uint_eq(atomic_load(&ledger->gone), 0);
	audit_history(ws, atomic_load(&ledger->commits), &random);
	prefix_check_sound(ws, "bank", DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
}

START_TEST(sum_is_constant)
{
	play("all", false);
}
END_TEST

START_TEST(sum_is_constant_under_last_n)
{
	play("last:20", true);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("accounts");
	TCase *tc = tcase_create("accounts");

	tcase_add_checked_fixture(tc, NULL, kit_clean);
	tcase_add_test(tc, sum_is_constant);
	tcase_add_test(tc, sum_is_constant_under_last_n);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{ "pay", role_pay },
		{ "audit", role_audit },
		{ 0 },
	};

	return kit_main(argc, argv, roles, suite());
}
