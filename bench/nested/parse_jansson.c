/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "parse.h"

bool parse_jansson(const char *path, uint64_t lines)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	uint64_t n = 0;

	while (f && (len = getline(&line, &cap, f)) > 0) {
		json_t *value = json_loadb(line, (size_t)len, 0, NULL);
		if (!value)
			break;
		json_decref(value);
		n++;
	}
	free(line);
	if (f)
		fclose(f);
	return n == lines;
}
