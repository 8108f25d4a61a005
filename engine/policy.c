/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part by part, from comma to comma; nothing is guessed: blanks, signs and doubled parts are
 * refused.
 */
#include "engine/policy.h"

#include "duramen.h"
#include "internal/error.h"

#include <stdio.h>
#include <string.h>

static const uint64_t LAST_MAX = 999999999999999, SPAN_MAX = 10000000000;

static const struct unit {
	char letter;
	uint32_t seconds;
} units[] = {
	{ 'w', 604800 }, { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 },
};
enum { UNITS = sizeof units / sizeof *units };

static int bad_part(const char *part, size_t len, const char *why)
{
	return error_set(DUR_E_MISUSE,
	                 "retention \"%.*s\": %s; use all, last:100, for:30d, every:1h,"
	                 " joined by commas",
	                 (int)(len < 80 ? len : 80), part, why);
}

/* Digits without a leading zero, at most `most`; gives how many, 0 if it is no such number. */
static size_t read_number(const char *text, size_t len, uint64_t most, uint64_t *number)
{
	size_t n = 0;

	*number = 0;
	if (len > 0 && text[0] == '0')
		return 0;
	for (; n < len && text[n] >= '0' && text[n] <= '9'; n++) {
		*number = *number * 10 + (uint64_t)(text[n] - '0');
		if (*number > most)
			return 0;
	}
	return n;
}

static bool read_span(const char *text, size_t len, uint64_t *seconds)
{
	uint64_t number;
	size_t n = read_number(text, len, SPAN_MAX, &number);

	if (n == 0 || n + 1 != len)
		return false;
	for (int i = 0; i < UNITS; i++)
		if (units[i].letter == text[n] && number <= SPAN_MAX / units[i].seconds) {
			*seconds = number * units[i].seconds;
			return true;
		}
	return false;
}

static bool begins_with(const char *part, size_t len, const char *word)
{
	size_t n = strlen(word);
	return len >= n && memcmp(part, word, n) == 0;
}

static int read_part(const char *part, size_t len, struct policy *p)
{
	static const char twice[] = "this kind of part is there twice";

	if (len == 3 && begins_with(part, len, "all")) {
		if (p->all)
			return bad_part(part, len, twice);
		p->all = true;
		return 0;
	}
	if (begins_with(part, len, "last:")) {
		if (p->last)
			return bad_part(part, len, twice);
		if (read_number(part + 5, len - 5, LAST_MAX, &p->last) != len - 5 || p->last == 0)
			return bad_part(part, len, "last: takes a number of states, 1 or more");
		return 0;
	}
	if (begins_with(part, len, "for:") || begins_with(part, len, "every:")) {
		size_t word = part[0] == 'f' ? 4 : 6;
		uint64_t *seconds = part[0] == 'f' ? &p->for_seconds : &p->every_seconds;
		if (*seconds)
			return bad_part(part, len, twice);
		if (!read_span(part + word, len - word, seconds))
			return bad_part(part, len,
			                "a span is a number from 1 on and s, m, h, d or w, as 90m");
		return 0;
	}
	return bad_part(part, len, len == 0 ? "a part is empty" : "no such part");
}

int policy_parse(const char *text, struct policy *out)
{
	struct policy p = { 0 };
	const char *part = text;

	if (!text)
		return error_set(DUR_E_MISUSE,
		                 "retention is NULL: use \"all\", or \"last:100\", ...");
	for (;;) {
		size_t len = strcspn(part, ",");
		int rc = read_part(part, len, &p);
		if (rc < 0)
			return rc;
		if (part[len] == 0)
			break;
		part += len + 1;
	}
	*out = p;
	return 0;
}

static size_t put_span(char *to, size_t room, const char *word, uint64_t seconds)
{
	int i = 0;

	while (seconds % units[i].seconds != 0)
		i++;
	return (size_t)snprintf(to, room, "%s%llu%c", word,
	                        (unsigned long long)(seconds / units[i].seconds), units[i].letter);
}

void policy_format(const struct policy *policy, char text[POLICY_TEXT])
{
	size_t n = 0;

	text[0] = 0;
	if (policy->all) {
		strcpy(text, "all");
		return;
	}
	if (policy->last)
		n = (size_t)snprintf(text, POLICY_TEXT, "last:%llu",
		                     (unsigned long long)policy->last);
	if (policy->for_seconds)
		n += put_span(text + n, POLICY_TEXT - n, n ? ",for:" : "for:", policy->for_seconds);
	if (policy->every_seconds)
		put_span(text + n, POLICY_TEXT - n,
		         n ? ",every:" : "every:", policy->every_seconds);
}
