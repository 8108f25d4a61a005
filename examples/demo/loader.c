/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader ROOT PREFIX TIMES < PACKAGES: loads a Debian package index, 500 packages a commit, and
 * keeps the totals in the same commit. Writes a line a commit to the file TIMES: the state, and the
 * time in ns just before dur_commit() was called and just after it had returned.
 */
#include "demo.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define BATCH 500

enum { NAME, VERSION, SECTION, SIZE, DESCRIPTION, FIELDS };

static const char *const titles[FIELDS] = { "Package: ", "Version: ", "Section: ",
	                                    "Installed-Size: ", "Description" };

/* One paragraph of the index. */
struct package {
	char *text[FIELDS]; /* "" where the field is missing */
};

struct index {
	FILE *file;
	char *line;
	size_t cap;
};

static void set_field(struct package *p, int field, const char *text)
{
	free(p->text[field]);
	p->text[field] = strdup(text);
	if (p->text[field] == NULL)
		abort();
}

/* "Description-en: ..." is a description too; "Description-md5: ..." is none. */
static void take_line(struct package *p, char *line)
{
	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < FIELDS; i++) {
		size_t n = strlen(titles[i]);
		const char *colon = strstr(line, ": ");
		if (strncmp(line, titles[i], n) != 0 || colon == NULL ||
		    strncmp(line, "Description-md5", 15) == 0)
			continue;
		set_field(p, i, colon + 2);
	}
}

/* The next paragraph that names a package. */
static bool next_package(struct index *in, struct package *p)
{
	for (int i = 0; i < FIELDS; i++)
		set_field(p, i, "");
	while (getline(&in->line, &in->cap, in->file) > 0) {
		if (in->line[0] != '\n')
			take_line(p, in->line);
		else if (p->text[NAME][0] != '\0')
			return true;
	}
	return p->text[NAME][0] != '\0';
}

struct totals {
	int64_t packages, size;
};

/* The first record of a package wins: others are further versions of it. */
static int put_package(dur_coll root, const struct package *p, struct totals *totals)
{
	int64_t size = strtoll(p->text[SIZE], NULL, 10);
	dur_value fields[PACKAGE_FIELDS] = {
		[PACKAGE_VERSION] = DUR_STR(p->text[VERSION]),
		[PACKAGE_SECTION] = DUR_STR(p->text[SECTION]),
		[PACKAGE_SIZE] = DUR_INT(size),
		[PACKAGE_DESCRIPTION] = DUR_STR(p->text[DESCRIPTION]),
	};
	int rc = dur_swap(root, &DUR_STR(p->text[NAME]), NULL, &DUR_TUPLE(fields, PACKAGE_FIELDS));
	if (rc == 0) {
		totals->packages++;
		totals->size += size;
	}
	return rc < 0 ? rc : 0;
}

static int put_totals(dur_coll root, const struct totals *totals, bool last)
{
	dur_value fields[TOTALS] = {
		[TOTAL_PACKAGES] = DUR_INT(totals->packages),
		[TOTAL_SIZE] = DUR_INT(totals->size),
		[TOTAL_LAST] = DUR_BOOL(last),
	};
	return dur_put(root, &DUR_NULL(), &DUR_TUPLE(fields, TOTALS));
}

/* One commit: up to BATCH packages from *next on; *more is whether the index goes on. */
static int load_batch(dur_prefix *prefix, struct index *in, struct package *next, bool *more,
                      struct totals *totals, FILE *times)
{
	dur_view *txn;
	uint64_t state;
	int rc = dur_begin(prefix, NULL, &txn);
	if (rc < 0)
		return rc;
	for (int i = 0; rc == 0 && *more && i < BATCH; i++) {
		rc = put_package(dur_root(txn), next, totals);
		*more = next_package(in, next);
	}
	if (rc == 0)
		rc = put_totals(dur_root(txn), totals, !*more);
	int64_t begun = now_ns();
	if (rc == 0)
		rc = dur_commit(txn, NULL, &state);
	if (rc == 0)
		fprintf(times, "%" PRIu64 "\t%" PRId64 "\t%" PRId64 "\n", state, begun, now_ns());
	dur_close(txn);
	return rc;
}

static int load(dur_prefix *prefix, FILE *times)
{
	struct index in = { .file = stdin };
	struct package next = { { NULL } };
	struct totals totals = { 0, 0 };
	int64_t start = now_ns();
	uint64_t commits = 0;
	int rc = 0;

	bool more = next_package(&in, &next);
	for (; more && rc == 0; commits++)
		rc = load_batch(prefix, &in, &next, &more, &totals, times);
	if (rc < 0)
		fprintf(stderr, "loader: %s\n", dur_message());
	else if (commits == 0)
		fprintf(stderr, "loader: there is no package on standard input\n");
	else
		printf("%" PRId64 " packages, %" PRIu64 " commits, %.3f seconds\n", totals.packages,
		       commits, (double)(now_ns() - start) / 1e9);
	for (int i = 0; i < FIELDS; i++)
		free(next.text[i]);
	free(in.line);
	return rc < 0 || commits == 0;
}

int main(int argc, char **argv)
{
	dur_workspace *ws = NULL;
	dur_prefix *prefix = NULL;
	int failed = 1;

	if (argc != 4) {
		fprintf(stderr, "usage: loader ROOT PREFIX TIMES < PACKAGES\n");
		return 2;
	}
	FILE *times = fopen(argv[3], "w");
	if (times == NULL)
		perror(argv[3]);
	else if (demo_attach(argv[1], argv[2], 0, &ws, &prefix) == 0)
		failed = load(prefix, times);
	if (times != NULL && fclose(times) != 0)
		failed = 1;
	if (dur_detach(prefix) < 0 || dur_workspace_close(ws) < 0) {
		fprintf(stderr, "loader: %s\n", dur_message());
		failed = 1;
	}
	return failed;
}
