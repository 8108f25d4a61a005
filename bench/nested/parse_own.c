/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "parse.h"
#include "tools/entries.h"

enum { BATCH = 1000 }; /* as `duramen load` has it */

bool parse_values(const char *path, uint64_t lines)
{
	FILE *f = fopen(path, "re");
	struct entry_reader r;
	struct arena arena = { 0 };
	dur_value key, value;
	uint64_t n = 0;
	int rc;

	if (!f)
		return false;
	entry_reader_init(&r, f, FORMAT_NDJSON);
	while ((rc = entry_read(&r, &arena, &key, &value)) == 0)
		if (++n % BATCH == 0)
			arena_reset(&arena);
	entry_reader_free(&r);
	arena_free(&arena);
	fclose(f);
	return rc == 1 && n == lines;
}

bool parse_events(const char *path, uint64_t lines)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct json_reader r;
	enum json_event event;
	uint64_t n = 0;

	if (fd < 0)
		return false;
	json_read_file(&r, fd, JSON_LINES);
	while ((event = json_next(&r)) > JSON_END)
		n += event == JSON_OBJECT_END && r.depth == 0;
	json_read_close(&r);
	close(fd);
	return event == JSON_END && n == lines;
}
