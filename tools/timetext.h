/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points in time as text, both ways: RFC 3339 with up to nine decimals
 * ("2026-11-20T10:00:00.5+02:00"), without a zone for a local time that has none. What lies
 * outside the years 0 to 9999 is written as seconds since 1970: "@253402300800.5Z", with the same
 * zones.
 */
#ifndef DURAMEN_TOOLS_TIMETEXT_H
#define DURAMEN_TOOLS_TIMETEXT_H

#include <duramen.h>
#include <stdbool.h>
#include <stddef.h>

#define TIMETEXT_MAX 64

/* Returns false if text is not a point in time. */
bool timetext_parse(const char *text, size_t len, dur_value *v);
/* v is a DUR_TIME. Returns out. */
const char *timetext_format(const dur_value *v, char out[TIMETEXT_MAX]);
/* Nanoseconds since 1970 in UTC, always with nine decimals. Returns out. */
const char *timetext_format_ns(int64_t ns, char out[TIMETEXT_MAX]);

#endif
