/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addressing the past: by time, by -N, by number, and state by state. The wall clock is this
 * program's own, so that commits can have the same time, lie a nanosecond or an age apart, or see
 * the clock go back.
 */
#include "engine/past.h"
#include "prefix_kit.h"
#include "prefixes/prefix.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LIST = 3000 };
static const int64_t SECOND = 1000000000, DAY = 86400 * (int64_t)1000000000;

static const char NAME[] = "past";
static _Atomic int64_t clock_ns;
static dur_workspace *ws;
static dur_prefix *p;
static uint64_t rng;
static struct {
	uint64_t state;
	int64_t time_ns;
} list[LIST]; /* retained, oldest first, but for the first `gone` */
static unsigned n_list, gone;

/* What the library reads the time with; of other clocks the true time. */
int clock_gettime(clockid_t id, struct timespec *t)
{
	if (id != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, id, t);
	int64_t now = clock_ns;
	*t = (struct timespec){ .tv_sec = now / SECOND, .tv_nsec = now % SECOND };
	return 0;
}

static uint64_t below(uint64_t n)
{
	return kit_random(&rng) % n;
}

/* 2026-11-20T10:00:00Z */
static const int64_t START_S = 1795168800;

static void setup(void)
{
	rng = kit_seed();
	clock_ns = START_S * SECOND;
	ws = prefix_workspace(kit_path("root"));
	p = prefix_attach(ws, NAME, "all");
	list[0].state = prefix_newest_state(p);
	list[0].time_ns = clock_ns;
	n_list = 1;
	gone = 0;
}

static void teardown(void)
{
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, NAME, 0);
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

/* A commit at what the clock says, which may not go back within a prefix. */
static void commit(void)
{
	dur_view *txn;

	HOLDS(n_list < LIST, "too many states");
	EXPECT(0, dur_begin(p, NULL, &txn));
	if (below(5) == 0) { /* burns a number */
		dur_close(txn);
		EXPECT(0, dur_begin(p, NULL, &txn));
	}
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR("n"), &DUR_INT(n_list)));
	EXPECT(0, dur_commit(txn, &(dur_commit_options){ .flags = below(10) ? DUR_ASYNC : 0 },
	                     &list[n_list].state));
	dur_close(txn);
	int64_t before = list[n_list - 1].time_ns;
	list[n_list++].time_ns = clock_ns > before ? clock_ns : before;
}

static void tick(void)
{
	const int64_t steps[] = { 0, 0, 0, 1, 2, SECOND / 2, SECOND, 3 * SECOND, -SECOND,
		                  -20 * SECOND, 100 * DAY };

	clock_ns += steps[below(below(20) ? 10 : 11)];
}

static void commits(unsigned n)
{
	while (n-- > 0) {
		tick();
		commit();
		if (below(90) == 0)
			EXPECT(0, dur_keep(p, "all")); /* a state that is not one of data */
	}
}

/* ---- By time ---- */

/* The time in one of its spellings. */
static void spell(int64_t ns, char text[80])
{
	int64_t sec = ns / SECOND, rest = ns % SECOND;
	int east = below(3) ? 0 : (int)below(2 * 1439) - 1439;
	char fraction[12];
	struct tm tm;
	time_t local;
	size_t n;

	if (rest < 0) {
		rest += SECOND;
		sec--;
	}
	local = sec + east * 60;
	gmtime_r(&local, &tm);
	n = strftime(text, 40, below(3) ? "%Y-%m-%dT%H:%M:%S" : below(2) ? "%Y-%m-%dt%H:%M:%S" :
	             "%Y-%m-%d %H:%M:%S", &tm);
	if (rest != 0 || below(4) == 0) {
		snprintf(fraction, sizeof fraction, ".%09d", (int)rest);
		for (size_t len = 10; len > 2 && fraction[len - 1] == '0' && below(8); len--)
			fraction[len - 1] = '\0';
		n += (size_t)snprintf(text + n, 80 - n, "%s", fraction);
	}
	if (east == 0 && below(4))
		snprintf(text + n, 80 - n, below(3) ? "Z" : "z");
	else
		snprintf(text + n, 80 - n, "%c%02d:%02d", east < 0 ? '-' : '+', abs(east) / 60,
		         abs(east) % 60);
}

/* The last commit at or before it, never one after it. */
static void resolves_time(int64_t ns)
{
	uint64_t state = 77, expected = 77;
	char text[80];
	int rc;

	for (unsigned i = gone; i < n_list && list[i].time_ns <= ns; i++)
		expected = list[i].state;
	spell(ns, text);
	rc = dur_resolve(p, text, &state);
	HOLDS(rc == (expected == 77 ? DUR_NONE : 0), "%s: %d", text, rc);
	HOLDS(state == expected, "%s: state %" PRIu64 ", not %" PRIu64, text, state, expected);
}

static void times_resolve(void)
{
	for (unsigned i = 0; i < 150; i++) {
		int64_t t = list[below(n_list)].time_ns;
		resolves_time(t);
		resolves_time(t + 1);
		resolves_time(t - 1);
		resolves_time(t + (int64_t)below(4 * (uint64_t)SECOND) - 2 * SECOND);
	}
	resolves_time(list[gone].time_ns);
	resolves_time(list[gone].time_ns - 1);
	resolves_time(list[0].time_ns - 1);
	resolves_time(list[n_list - 1].time_ns);
	resolves_time(list[n_list - 1].time_ns + 1000 * DAY);
	resolves_time(-5 * SECOND - 1);
}

START_TEST(by_time)
{
	for (unsigned round = 0; round < kit_rounds(5) && n_list < LIST - 500; round++) {
		commits(130);
		times_resolve();
	}
}
END_TEST

/* Of commits at one time the last one, though a fold stands between them. */
START_TEST(at_one_time)
{
	commit();
	for (unsigned i = 0; i < 700; i++)
		commit();
	resolves_time(clock_ns);
	resolves_time(clock_ns - 1);
	clock_ns += 1;
	commit();
	resolves_time(clock_ns - 1);
	resolves_time(clock_ns);
	commits(300);
	times_resolve();
}
END_TEST

START_TEST(spellings)
{
	const struct { const char *text; int64_t after_start; } good[] = {
		{ "2026-11-20T10:00:05Z", 5 * SECOND },
		{ "2026-11-20T10:00:05.0Z", 5 * SECOND },
		{ "2026-11-20T10:00:05.000000001Z", 5 * SECOND + 1 },
		{ "2026-11-20T10:00:04.999999999Z", 5 * SECOND - 1 },
		{ "2026-11-20T10:00:04.9Z", 5 * SECOND - 100000000 },
		{ "2026-11-20T11:00:05+01:00", 5 * SECOND },
		{ "2026-11-20T00:30:05-09:30", 5 * SECOND },
		{ "2026-11-21T09:59:05+23:59", 5 * SECOND },
		{ "2026-11-20T10:00:05-00:00", 5 * SECOND },
		{ "2026-11-20t10:00:05z", 5 * SECOND },
		{ "2026-11-20 10:00:05Z", 5 * SECOND },
	};
	static const char *const wrong[] = {
		"2026-11-20T10:00:05", "2026-11-20T10:00:05.Z", "2026-11-20T10:00:05.0000000001Z",
		"2026-11-20T10:00:60Z", "2026-11-20T24:00:00Z", "2026-11-20T10:00:05+1:00",
		"2026-11-20T10:00:05+24:00", "2026-11-31T10:00:05Z", "2026-11-20T10:00:05ZZ",
		"2026-11-20T10:00:05 Z", "20261120T100005Z",
	};
	uint64_t state, first, second, third;

	/* three commits: 5 s - 1 ns, 5 s, and 5 s + 1 ns after the start */
	clock_ns = START_S * SECOND + 5 * SECOND - 1;
	commit();
	first = list[n_list - 1].state;
	clock_ns += 1;
	commit();
	second = list[n_list - 1].state;
	clock_ns += 1;
	commit();
	third = list[n_list - 1].state;
	for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
		int64_t off = good[i].after_start - 5 * SECOND;
		uint64_t expected = off < -1 ? list[0].state : off < 0 ? first :
			off < 1 ? second : third;
		EXPECT(0, dur_resolve(p, good[i].text, &state));
		HOLDS(state == expected, "%s: state %" PRIu64 ", not %" PRIu64, good[i].text, state,
		      expected);
	}
	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
		HOLDS(dur_resolve(p, wrong[i], &state) == DUR_E_NAME, "%s", wrong[i]);
	EXPECT(DUR_NONE, dur_resolve(p, "2026-11-20T09:59:59.999999999Z", &state));
	EXPECT(DUR_NONE, dur_resolve(p, "0000-01-01T00:00:00Z", &state));
	EXPECT(0, dur_resolve(p, "9999-12-31T23:59:59.999999999-23:59", &state));
	ck_assert_uint_eq(state, third);
}
END_TEST

/* ---- By -N, with states gone ---- */

static void back_resolves(void)
{
	char text[32];
	uint64_t state;

	for (unsigned i = 0; i < 200; i++) {
		unsigned n = (unsigned)below(n_list - gone + 3);
		snprintf(text, sizeof text, "-%u", n);
		if (n >= n_list - gone) {
			EXPECT(DUR_NONE, dur_resolve(p, text, &state));
			continue;
		}
		EXPECT(0, dur_resolve(p, text, &state));
		HOLDS(state == list[n_list - 1 - n].state, "%s: %" PRIu64, text, state);
		snprintf(text, sizeof text, "%" PRIu64, state);
		EXPECT(0, dur_resolve(p, text, &state));
		ck_assert_uint_eq(state, list[n_list - 1 - n].state);
	}
}

/* Each state in turn, both ways, from numbers that are states and that are none. */
static void walked(void)
{
	struct coord_pin pin;
	struct state newest, s;
	struct past *past;

	EXPECT(0, prefix_newest(p, &pin, &newest));
	EXPECT(0, past_open(p->shared->store, &newest, &past));
	ck_assert_uint_eq(past_newest(past), newest.number);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t number = i == 0 ? 0 : below(list[n_list - 1].state + 3);
		if (i == 1)
			number = UINT64_MAX;
		unsigned at = gone;
		while (at < n_list && list[at].state < number)
			at++;
		EXPECT(at == gone, past_before(past, number, &s));
		if (at > gone) {
			ck_assert_uint_eq(s.number, list[at - 1].state);
			ck_assert_int_eq(s.time_ns, list[at - 1].time_ns);
			ck_assert_uint_eq(s.oldest, newest.oldest);
		}
		while (at < n_list && list[at].state == number)
			at++;
		EXPECT(at == n_list, past_after(past, number, &s));
		if (at < n_list) {
			ck_assert_uint_eq(s.number, list[at].state);
			ck_assert_int_eq(s.time_ns, list[at].time_ns);
		}
	}
	uint64_t number = UINT64_MAX;
	for (unsigned i = n_list; i-- > gone; number = s.number) {
		EXPECT(0, past_before(past, number, &s));
		ck_assert_uint_eq(s.number, list[i].state);
	}
	EXPECT(1, past_before(past, number, &s));
	past_close(past);
	coord_unpin(p->shared->coord, &pin);
}

START_TEST(by_distance)
{
	for (unsigned round = 0; round < kit_rounds(4) && n_list < LIST / 2; round++) {
		commits(1 + (unsigned)below(400));
		back_resolves();
		walked();
	}
	for (unsigned keep = 900; keep > 0; keep /= 3) {
		char policy[32];
		snprintf(policy, sizeof policy, "last:%u", keep);
		EXPECT(0, dur_keep(p, policy));
		if (n_list > keep && gone < n_list - keep)
			gone = n_list - keep;
		back_resolves();
		walked();
		times_resolve();
		EXPECT(0, dur_keep(p, "all"));
		for (unsigned i = (unsigned)below(200); i > 0; i--) {
			tick();
			commit();
		}
		back_resolves();
		walked();
		times_resolve();
	}
}
END_TEST

/* ---- States that a name or a series keeps below the range ---- */

/* What is retained, as dur_states() has it, for the look-ups that are held to it. */
static void list_again(void)
{
	static dur_state_info info[LIST];
	uint32_t n;

	EXPECT(0, dur_states(p, 0, DUR_REVERSE, info, LIST, &n));
	for (n_list = 0; n_list < n; n_list++) {
		list[n_list].state = info[n_list].state;
		list[n_list].time_ns = info[n_list].time_ns;
	}
}

START_TEST(sparse)
{
	static const char *const keeps[] = { "last:5", "last:30,every:10s", "last:300", "every:1s", "for:20s" };
	char name[16];

	for (unsigned round = 0; round < kit_rounds(12) && n_list < LIST / 2; round++) {
		EXPECT(0, dur_keep(p, keeps[below(5)]));
		for (unsigned i = (unsigned)below(150); i > 0; i--) {
			tick();
			commit();
			if (below(12) == 0) {
				snprintf(name, sizeof name, "n%u", (unsigned)below(40));
				EXPECT(0, dur_name(p, name, list[n_list - 1].state));
			}
		}
		list_again();
		HOLDS(n_list > 0, "nothing is retained");
		back_resolves();
		walked();
		times_resolve();
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("past");
	TCase *t = tcase_create("past");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, by_time);
	tcase_add_test(t, at_one_time);
	tcase_add_test(t, spellings);
	tcase_add_test(t, by_distance);
	tcase_add_test(t, sparse);
	suite_add_tcase(s, t);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
