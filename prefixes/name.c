/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First the text as a whole, then its parts. Messages give bytes and code points, never the name
 * itself: it may hold what a terminal takes for a command.
 */
#include "prefixes/name.h"

#include "engine/utf8.h"
#include "include/duramen.h"
#include "include/internal/error.h"

#include <stdbool.h>
#include <string.h>

/* Characters that nobody sees, or that change how their neighbours are seen. */
static const struct {
	uint32_t first, last;
} hidden[] = {
	{ 0x00, 0x1f }, /* control characters */
	{ 0x7f, 0x9f },
	{ 0x200b, 0x200b },   /* zero width space; not the joiners, which some scripts need */
	{ 0x200e, 0x200f },   /* direction marks */
	{ 0x2028, 0x202e },   /* line and paragraph separators, embeddings, overrides */
	{ 0x2060, 0x206f },   /* word joiner, isolates */
	{ 0xfeff, 0xfeff },   /* byte order mark */
	{ 0xfff9, 0xfffb },   /* annotations */
	{ 0xe0000, 0xe007f }, /* tags */
};

static bool is_hidden(uint32_t c)
{
	if ((c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef))
		return true; /* no characters at all */
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		if (c >= hidden[i].first && c <= hidden[i].last)
			return true;
	return false;
}

static int check_characters(const char *name, size_t len)
{
	size_t valid = utf8_valid(name, len);

	if (valid != len)
		return error_set(DUR_E_NAME, "a prefix name is not UTF-8 at byte %zu", valid);
	for (const char *p = name; p < name + len;) {
		const char *from = p;
		uint32_t c = utf8_next(&p);
		if (c == '\\')
			return error_set(DUR_E_NAME,
			                 "a prefix name has a backslash at byte %td: parts are"
			                 " separated by /",
			                 from - name);
		if (is_hidden(c))
			return error_set(DUR_E_NAME,
			                 "a prefix name has the character U+%04X at byte %td, which"
			                 " cannot be printed",
			                 c, from - name);
	}
	return 0;
}

static bool ends_in(const char *part, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);
	return len >= n && memcmp(part + len - n, suffix, n) == 0;
}

static int check_part(const char *part, size_t len, size_t number)
{
	if (len == 0)
		return error_set(
			DUR_E_NAME,
			"part %zu of a prefix name is empty: a name neither begins nor ends"
			" with / and has no //",
			number);
	if (len > NAME_PART_MAX)
		return error_set(DUR_E_NAME,
		                 "part %zu of a prefix name is %zu bytes long: at most %d", number,
		                 len, NAME_PART_MAX);
	if (part[0] == '.' && (len == 1 || (len == 2 && part[1] == '.')))
		return error_set(DUR_E_NAME,
		                 "part %zu of a prefix name is \"%.*s\": a name stays below its"
		                 " workspace",
		                 number, (int)len, part);
	if (ends_in(part, len, ".dur") || ends_in(part, len, ".dur-coord"))
		return error_set(DUR_E_NAME,
		                 "part %zu of a prefix name ends in .dur or .dur-coord, as files of"
		                 " prefixes do: leave that out",
		                 number);
	return 0;
}

int name_check(const char *name)
{
	size_t len, number = 1;
	const char *part = name, *slash;
	int rc;

	if (!name)
		return error_set(DUR_E_MISUSE, "a prefix name is NULL");
	len = strlen(name);
	if (len == 0)
		return error_set(DUR_E_NAME, "a prefix name is empty");
	if (len > NAME_BYTES_MAX)
		return error_set(DUR_E_NAME, "a prefix name is %zu bytes long: at most %d", len,
		                 NAME_BYTES_MAX);
	rc = check_characters(name, len);
	for (; rc == 0; part = slash + 1, number++) {
		slash = strchr(part, '/');
		if (!slash)
			return check_part(part, strlen(part), number);
		rc = check_part(part, (size_t)(slash - part), number);
	}
	return rc;
}
