/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <unistd.h>
#include "parse.h"
#include "tools/json_read.h"

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
