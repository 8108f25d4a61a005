/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Days from and to civil dates by counting in 400-year eras that begin on 1 March, so that the
 * leap day comes last in its year. mktime and strftime would bring the zone of the machine in.
 */
#include "timetext.h"

#include <stdio.h>
#include <string.h>

#define DAY        86400
#define YEAR_0     (-62167219200) /* 0000-01-01T00:00:00 */
#define YEAR_10000 253402300800   /* 10000-01-01T00:00:00 */

static int64_t days_from_civil(int64_t y, int m, int d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t z, int *y, int *m, int *d)
{
	z += 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp + (mp < 10 ? 3 : -9));
	*y = (int)(yoe + era * 400 + (*m <= 2));
}

static int days_in_month(int64_t y, int m)
{
	static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return days[m - 1] + (m == 2 && leap);
}

struct cursor {
	const char *p, *end;
};

/* Exactly n digits, at most max. */
static bool take_digits(struct cursor *c, int n, int max, int *out)
{
	int v = 0;
	for (int i = 0; i < n; i++, c->p++) {
		if (c->p == c->end || *c->p < '0' || *c->p > '9')
			return false;
		v = v * 10 + (*c->p - '0');
	}
	*out = v;
	return v <= max;
}

static bool take_char(struct cursor *c, const char *any)
{
	if (c->p == c->end || strchr(any, *c->p) == NULL || *c->p == '\0')
		return false;
	c->p++;
	return true;
}

static bool take_fraction(struct cursor *c, uint32_t *nsec)
{
	*nsec = 0;
	if (!take_char(c, "."))
		return true;
	uint32_t unit = 100000000;
	const char *start = c->p;
	for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++, unit /= 10)
		*nsec += (uint32_t)(*c->p - '0') * unit;
	return c->p > start && c->p - start <= 9;
}

/* "Z", "+hh:mm", "-hh:mm" or nothing, and then the end. */
static bool take_zone(struct cursor *c, int16_t *zone)
{
	int h, m;
	if (c->p == c->end) {
		*zone = DUR_NO_ZONE;
		return true;
	}
	if (take_char(c, "Zz")) {
		*zone = 0;
		return c->p == c->end;
	}
	bool west = *c->p == '-';
	if (!take_char(c, "+-") || !take_digits(c, 2, 23, &h) || !take_char(c, ":") ||
	    !take_digits(c, 2, 59, &m) || c->p != c->end)
		return false;
	*zone = (int16_t)(west ? -(h * 60 + m) : h * 60 + m);
	return true;
}

static bool take_seconds(struct cursor *c, int64_t *sec)
{
	bool negative = take_char(c, "-");
	const char *start = c->p;
	int64_t v = 0;
	for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
		int digit = *c->p - '0';
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, negative ? -digit : digit, &v))
			return false;
	}
	*sec = v;
	return c->p > start;
}

static bool take_civil(struct cursor *c, int64_t *sec)
{
	int y, mo, d, h, mi, s;
	if (!take_digits(c, 4, 9999, &y) || !take_char(c, "-") || !take_digits(c, 2, 12, &mo) ||
	    !take_char(c, "-") || !take_digits(c, 2, 31, &d) || !take_char(c, "Tt ") ||
	    !take_digits(c, 2, 23, &h) || !take_char(c, ":") || !take_digits(c, 2, 59, &mi) ||
	    !take_char(c, ":") || !take_digits(c, 2, 59, &s))
		return false;
	if (mo < 1 || d < 1 || d > days_in_month(y, mo))
		return false;
	*sec = days_from_civil(y, mo, d) * DAY + h * 3600 + mi * 60 + s;
	return true;
}

bool timetext_parse(const char *text, size_t len, dur_value *v)
{
	struct cursor c = { text, text + len };
	int64_t sec;
	uint32_t nsec;
	int16_t zone;
	bool count = take_char(&c, "@");

	if (count ? !take_seconds(&c, &sec) : !take_civil(&c, &sec))
		return false;
	if (!take_fraction(&c, &nsec) || !take_zone(&c, &zone))
		return false;
	if (!count && zone != DUR_NO_ZONE)
		sec -= zone * 60;
	*v = DUR_TIME(sec, nsec, zone);
	return true;
}

/* ".5", or nothing for 0. */
static size_t format_fraction(char *out, size_t cap, uint32_t nsec)
{
	if (nsec == 0)
		return 0;
	int n = snprintf(out, cap, ".%09u", (unsigned)nsec);
	while (out[n - 1] == '0')
		out[--n] = '\0';
	return (size_t)n;
}

static void format_zone(char *out, size_t cap, int zone)
{
	int east = zone < 0 ? -zone : zone;
	if (zone == DUR_NO_ZONE)
		out[0] = '\0';
	else if (zone == 0)
		snprintf(out, cap, "Z");
	else
		snprintf(out, cap, "%c%02d:%02d", zone < 0 ? '-' : '+', east / 60, east % 60);
}

/* sec as a wall clock of the zone shows it, 0000-01-01 to 9999-12-31. */
static size_t format_civil(char *out, size_t cap, int64_t sec)
{
	int64_t days = (sec - (sec < 0 ? DAY - 1 : 0)) / DAY;
	int rest = (int)(sec - days * DAY), y, m, d;
	civil_from_days(days, &y, &m, &d);
	return (size_t)snprintf(out, cap, "%04d-%02d-%02dT%02d:%02d:%02d", y, m, d, rest / 3600,
	                        rest / 60 % 60, rest % 60);
}

const char *timetext_format(const dur_value *v, char out[TIMETEXT_MAX])
{
	int64_t sec = v->time.sec, east = v->zone_min == DUR_NO_ZONE ? 0 : v->zone_min * 60;
	size_t n;

	if (sec >= YEAR_0 - east && sec < YEAR_10000 - east)
		n = format_civil(out, TIMETEXT_MAX, sec + east);
	else
		n = (size_t)snprintf(out, TIMETEXT_MAX, "@%lld", (long long)sec);
	n += format_fraction(out + n, TIMETEXT_MAX - n, v->time.nsec);
	format_zone(out + n, TIMETEXT_MAX - n, v->zone_min);
	return out;
}

const char *timetext_format_ns(int64_t ns, char out[TIMETEXT_MAX])
{
	int64_t sec = (ns - (ns < 0 ? 999999999 : 0)) / 1000000000;
	size_t n = format_civil(out, TIMETEXT_MAX, sec);
	snprintf(out + n, TIMETEXT_MAX - n, ".%09dZ", (int)(ns - sec * 1000000000));
	return out;
}
