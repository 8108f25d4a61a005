/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Days are counted in eras of 400 years that begin on a first of March, so that the leap day is the
 * last of its year and months have a regular length. No use is made of the C library's calendar: it
 * depends on locale and environment.
 */
#include "prefixes/time.h"

#include "include/duramen.h"
#include "include/internal/error.h"

#include <stdbool.h>
#include <stdio.h>

enum { DAY = 86400, BILLION = 1000000000 };

/* The first second of the year 0, and the first one of the year 10000. */
static const int64_t YEARS_FROM = -62167219200, YEARS_TO = 253402300800;

static int64_t days_of(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static void date_of(int64_t days, int *year, int *month, int *day)
{
	int64_t d = days + 719468;
	int64_t era = (d >= 0 ? d : d - 146096) / 146097;
	int64_t day_of_era = d - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t m = (5 * day_of_year + 2) / 153;

	*day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(year_of_era + era * 400 + (*month <= 2));
}

/* ---- Reading ---- */

struct reader {
	const char *start, *at, *end;
};

static int no_time(const struct reader *r, const char *expected)
{
	return error_set(DUR_E_MISUSE,
	                 "not a time at byte %td: expected %s, as in"
	                 " 2026-11-20T10:00:00Z",
	                 r->at - r->start, expected);
}

static bool take(struct reader *r, char c)
{
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

/* Exactly n digits. */
static bool take_number(struct reader *r, int n, int *number)
{
	*number = 0;
	if (r->end - r->at < n)
		return false;
	for (int i = 0; i < n; i++) {
		if (r->at[i] < '0' || r->at[i] > '9')
			return false;
		*number = *number * 10 + (r->at[i] - '0');
	}
	r->at += n;
	return true;
}

static int read_date(struct reader *r, int64_t *days)
{
	static const int lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year, month, day;
	bool leap;

	if (!take_number(r, 4, &year) || !take(r, '-') || !take_number(r, 2, &month) ||
	    !take(r, '-') || !take_number(r, 2, &day))
		return no_time(r, "a date, YYYY-MM-DD");
	leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	if (month < 1 || month > 12)
		return error_set(DUR_E_RANGE, "not a time: there is no month %d", month);
	if (day < 1 || day > lengths[month - 1] || (month == 2 && day == 29 && !leap))
		return error_set(DUR_E_RANGE, "not a time: month %d of %04d has no day %d", month,
		                 year, day);
	*days = days_of(year, month, day);
	return 0;
}

static int read_clock(struct reader *r, int *seconds)
{
	int hour, minute, second;

	if (!take_number(r, 2, &hour) || !take(r, ':') || !take_number(r, 2, &minute) ||
	    !take(r, ':') || !take_number(r, 2, &second))
		return no_time(r, "a time of day, hh:mm:ss");
	if (second == 60 && minute <= 59 && hour <= 23)
		return error_set(DUR_E_RANGE,
		                 "a leap second has no number: use the second before or behind it");
	if (hour > 23 || minute > 59 || second > 59)
		return error_set(DUR_E_RANGE, "not a time: no day has %02d:%02d:%02d", hour, minute,
		                 second);
	*seconds = (hour * 60 + minute) * 60 + second;
	return 0;
}

static int read_fraction(struct reader *r, uint32_t *nsec)
{
	uint32_t unit = BILLION;

	*nsec = 0;
	if (!take(r, '.'))
		return 0;
	if (r->at == r->end || *r->at < '0' || *r->at > '9')
		return no_time(r, "a digit behind the point");
	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
		unit /= 10;
		if (unit == 0)
			return error_set(DUR_E_RANGE,
			                 "a time has at most nine digits behind the point");
		*nsec += (uint32_t)(*r->at - '0') * unit;
	}
	return 0;
}

static int read_zone(struct reader *r, int16_t *zone_min)
{
	int hours, minutes, sign;

	*zone_min = DUR_NO_ZONE;
	if (r->at == r->end)
		return 0;
	if (take(r, 'Z') || take(r, 'z')) {
		*zone_min = 0;
	} else {
		sign = take(r, '-') ? -1 : 1;
		if ((sign > 0 && !take(r, '+')) || !take_number(r, 2, &hours) || !take(r, ':') ||
		    !take_number(r, 2, &minutes))
			return no_time(r, "a zone, Z or +hh:mm or -hh:mm");
		if (hours > 23 || minutes > 59)
			return error_set(DUR_E_RANGE, "not a time: no zone is %02d:%02d from UTC",
			                 hours, minutes);
		*zone_min = (int16_t)(sign * (hours * 60 + minutes));
	}
	return r->at == r->end ? 0 : no_time(r, "the end");
}

/* The digits behind "@": whole seconds. A fraction goes on upward, also before 1970. */
static int read_seconds(struct reader *r, int64_t *sec)
{
	bool negative = take(r, '-');
	uint64_t most = (uint64_t)INT64_MAX + negative, magnitude = 0;

	if (r->at == r->end || *r->at < '0' || *r->at > '9')
		return no_time(r, "a number of seconds");
	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
		uint64_t digit = (uint64_t)(*r->at - '0');
		if (magnitude > (most - digit) / 10)
			return error_set(DUR_E_RANGE, "a time's seconds do not fit 64 bits");
		magnitude = magnitude * 10 + digit;
	}
	*sec = (int64_t)(negative ? 0 - magnitude : magnitude);
	return 0;
}

int time_parse(const char *text, size_t len, struct time_stamp *out)
{
	struct reader r = { text, text, text + len };
	struct time_stamp t = { 0, 0, DUR_NO_ZONE };
	int64_t days = 0;
	int clock = 0, rc;
	bool counted = take(&r, '@');

	if (counted) {
		rc = read_seconds(&r, &t.sec);
	} else {
		rc = read_date(&r, &days);
		if (rc == 0 && !take(&r, 'T') && !take(&r, 't') && !take(&r, ' '))
			rc = no_time(&r, "T");
		if (rc == 0)
			rc = read_clock(&r, &clock);
	}
	if (rc == 0)
		rc = read_fraction(&r, &t.nsec);
	if (rc == 0)
		rc = read_zone(&r, &t.zone_min);
	if (rc < 0)
		return rc;
	if (!counted) {
		t.sec = days * DAY + clock;
		if (t.zone_min != DUR_NO_ZONE)
			t.sec -= t.zone_min * 60;
	}
	*out = t;
	return 0;
}

/* ---- Writing ---- */

static size_t put_zone(char *to, size_t room, int zone_min)
{
	int east = zone_min < 0 ? -zone_min : zone_min, n = 0;

	if (zone_min == 0)
		n = snprintf(to, room, "Z");
	else if (zone_min != DUR_NO_ZONE)
		n = snprintf(to, room, "%c%02d:%02d", zone_min < 0 ? '-' : '+', east / 60,
		             east % 60);
	return (size_t)n;
}

static size_t put_fraction(char *to, size_t room, uint32_t nsec)
{
	size_t n;

	if (nsec == 0)
		return 0;
	n = (size_t)snprintf(to, room, ".%09u", nsec);
	while (to[n - 1] == '0')
		n--;
	return n;
}

size_t time_format(const struct time_stamp *t, char text[TIME_TEXT])
{
	int64_t east = t->zone_min == DUR_NO_ZONE ? 0 : t->zone_min * 60, local, days;
	int year, month, day, clock;
	size_t n;

	if (t->sec < YEARS_FROM - east || t->sec >= YEARS_TO - east) {
		n = (size_t)snprintf(text, TIME_TEXT, "@%lld", (long long)t->sec);
	} else {
		local = t->sec + east;
		days = (local >= 0 ? local : local - (DAY - 1)) / DAY;
		clock = (int)(local - days * DAY);
		date_of(days, &year, &month, &day);
		n = (size_t)snprintf(text, TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", year, month,
		                     day, clock / 3600, clock / 60 % 60, clock % 60);
	}
	n += put_fraction(text + n, TIME_TEXT - n, t->nsec);
	n += put_zone(text + n, TIME_TEXT - n, t->zone_min);
	text[n] = 0;
	return n;
}

/* ---- Nanoseconds ---- */

int time_to_ns(const struct time_stamp *t, int64_t *ns)
{
	int64_t scaled;

	/*
	 * Downward sums can be out of range at the scale and in it with the rest: not worth two
	 * cases.
	 */
	if (__builtin_mul_overflow(t->sec, (int64_t)BILLION, &scaled) ||
	    __builtin_add_overflow(scaled, (int64_t)t->nsec, ns))
		return error_set(DUR_E_RANGE, "a time outside the years 1678 to 2261");
	return 0;
}

struct time_stamp time_from_ns(int64_t ns)
{
	int64_t sec = ns / BILLION, rest = ns % BILLION;

	if (rest < 0) {
		sec--;
		rest += BILLION;
	}
	return (struct time_stamp){ sec, (uint32_t)rest, 0 };
}
