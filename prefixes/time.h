/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as text: RFC 3339, "2026-11-20T10:00:00.25+01:00". A time of day without a zone is a local
 * time whose zone nobody said (DUR_NO_ZONE). Years that have no four digits are written as seconds
 * since 1970 UTC behind an "@": "@253402300800.5Z", "@-62167222801+01:00", "@253402300800" with no
 * zone.
 *
 * A dur_value counts seconds since 1970 in UTC; of a local time with no zone, as if it were UTC.
 */
#ifndef DURAMEN_PREFIXES_TIME_H
#define DURAMEN_PREFIXES_TIME_H

#include <stddef.h>
#include <stdint.h>

enum { TIME_TEXT = 48 }; /* characters of the longest text that time_format() makes, NUL included */

struct time_stamp {
	int64_t sec; /* since 1970 UTC, downward: 0.25 s before 1970 is -1 and 750000000 */
	uint32_t nsec;
	int16_t zone_min; /* minutes east of UTC, or DUR_NO_ZONE */
};

/*
 * Reads all of the text. Letters of either case, a blank in place of T. DUR_E_MISUSE: not a time;
 * DUR_E_RANGE: one that is not in the calendar, a leap second, or finer than nanoseconds. The
 * message says which, and at what byte.
 */
int time_parse(const char *text, size_t len, struct time_stamp *out);

/*
 * The one text of a time, with no more fraction than it needs; gives its length. A NUL is behind
 * it.
 */
size_t time_format(const struct time_stamp *t, char text[TIME_TEXT]);

/* Nanoseconds since 1970; DUR_E_RANGE outside the years 1678 to 2261. */
int time_to_ns(const struct time_stamp *t, int64_t *ns);
/* In UTC. */
struct time_stamp time_from_ns(int64_t ns);

#endif
