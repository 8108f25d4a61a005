/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader ROOT PREFIX TIMES < PACKAGES: loads a Debian package index, 500 packages a commit, and
 * keeps the totals in the same commit. Then it lets the first package grow, 100 times, each time
 * once no reader has a snapshot open, so that they sleep when the commit comes; these commits are
 * async, which leaves the disk out of the time until a reader is awake.
 *
 * Writes a line a commit to the file TIMES: "load" or "update", the state, and the time in ns just
 * before dur_commit() was called and just after it had returned.
 */
#include "demo.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define BATCH     500
#define UPDATES   100
#define PAUSE_NS  5000000
#define PAUSES    400         /* that many at most, should a reader hang */
#define ENOUGH_NS 20000000000 /* a busy machine gets fewer updates */

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
	for (int i = 0; i < FIELDS; i++) {
		if (strncmp(line, titles[i], strlen(titles[i])) != 0)
			continue;
		char *text = strstr(line, ": ");
		if (text == NULL || strncmp(line, "Description-md5", 15) == 0)
			return;
		text[strcspn(text, "\n")] = '\0';
		set_field(p, i, text + 2);
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

struct loader {
	dur_prefix *prefix;
	FILE *times;
	struct index index;
	struct package first, next;
	bool more; /* next is a package */
	int64_t packages, size;
};

/* The totals go into every commit. */
static int commit(struct loader *l, dur_view *txn, uint32_t flags, bool last)
{
	dur_value fields[TOTALS] = {
		[TOTAL_PACKAGES] = DUR_INT(l->packages),
		[TOTAL_SIZE] = DUR_INT(l->size),
		[TOTAL_LAST] = DUR_BOOL(last),
	};
	dur_commit_options o = { .flags = flags };
	uint64_t state;
	int rc = dur_put(dur_root(txn), &DUR_NULL(), &DUR_TUPLE(fields, TOTALS));
	int64_t begun = now_ns();
	if (rc == 0)
		rc = dur_commit(txn, &o, &state);
	if (rc == 0)
		fprintf(l->times, "%s %" PRIu64 " %" PRId64 " %" PRId64 "\n",
		        flags & DUR_ASYNC ? "update" : "load", state, begun, now_ns());
	return rc;
}

/*
 * The first record of a package wins, others are further versions of it; unless again, which
 * replaces it.
 */
static int put_package(struct loader *l, dur_view *txn, const struct package *p, int64_t size,
                       bool again)
{
	dur_value name = DUR_STR(p->text[NAME]), fields[PACKAGE_FIELDS] = {
		[PACKAGE_VERSION] = DUR_STR(p->text[VERSION]),
		[PACKAGE_SECTION] = DUR_STR(p->text[SECTION]),
		[PACKAGE_SIZE] = DUR_INT(size),
		[PACKAGE_DESCRIPTION] = DUR_STR(p->text[DESCRIPTION]),
	};
	if (again)
		return dur_put(dur_root(txn), &name, &DUR_TUPLE(fields, PACKAGE_FIELDS));
	int rc = dur_swap(dur_root(txn), &name, NULL, &DUR_TUPLE(fields, PACKAGE_FIELDS));
	if (rc == 0) {
		l->packages++;
		l->size += size;
	}
	return rc < 0 ? rc : 0;
}

static int64_t package_size(const struct package *p)
{
	return strtoll(p->text[SIZE], NULL, 10);
}

static int load_batch(struct loader *l)
{
	dur_view *txn;
	int rc = dur_begin(l->prefix, NULL, &txn);
	if (rc < 0)
		return rc;
	for (int i = 0; rc == 0 && l->more && i < BATCH; i++) {
		rc = put_package(l, txn, &l->next, package_size(&l->next), false);
		l->more = next_package(&l->index, &l->next);
	}
	if (rc == 0)
		rc = commit(l, txn, 0, false);
	dur_close(txn);
	return rc;
}

static int load(struct loader *l)
{
	int64_t start = now_ns();
	uint64_t commits = 0;
	int rc = 0;

	l->more = next_package(&l->index, &l->next);
	for (int i = 0; i < FIELDS; i++)
		set_field(&l->first, i, l->next.text[i]);
	for (; l->more && rc == 0; commits++)
		rc = load_batch(l);
	if (rc == 0)
		printf("%" PRId64 " packages, %" PRIu64 " commits, %.3f seconds\n", l->packages,
		       commits, (double)(now_ns() - start) / 1e9);
	return rc;
}

/* Until every reader is done with the state before. */
static int let_them_sleep(struct loader *l)
{
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	dur_reader reader;
	uint32_t n = 1;
	int rc = 0;
	for (int i = 0; n > 0 && i < PAUSES && rc == 0; i++) {
		nanosleep(&pause, NULL);
		rc = dur_readers(l->prefix, 0, &reader, 1, &n);
	}
	return rc;
}

static int update(struct loader *l)
{
	int64_t start = now_ns();
	bool last = false;
	int rc = 0, i;
	for (i = 0; rc == 0 && !last; i++) {
		dur_view *txn;
		rc = let_them_sleep(l);
		if (rc == 0)
			rc = dur_begin(l->prefix, NULL, &txn);
		if (rc < 0)
			return rc;
		rc = put_package(l, txn, &l->first, package_size(&l->first) + i + 1, true);
		l->size++;
		last = i + 1 == UPDATES || now_ns() - start > ENOUGH_NS;
		if (rc == 0)
			rc = commit(l, txn, DUR_ASYNC, last);
		dur_close(txn);
	}
	if (rc == 0)
		printf("%d updates, %.3f seconds\n", i, (double)(now_ns() - start) / 1e9);
	return rc;
}

static int run(struct loader *l)
{
	int rc = load(l);
	if (rc == 0 && l->packages == 0) {
		fprintf(stderr, "loader: there is no package on standard input\n");
		return -1;
	}
	if (rc == 0)
		rc = update(l);
	if (rc < 0)
		fprintf(stderr, "loader: %s\n", dur_message());
	return rc;
}

int main(int argc, char **argv)
{
	struct loader l = { .index = { .file = stdin } };
	dur_workspace *ws = NULL;
	int failed = 1;

	if (argc != 4) {
		fprintf(stderr, "usage: loader ROOT PREFIX TIMES < PACKAGES\n");
		return 2;
	}
	l.times = fopen(argv[3], "w");
	if (l.times == NULL)
		perror(argv[3]);
	else if (demo_attach(argv[1], argv[2], 0, &ws, &l.prefix) == 0)
		failed = run(&l) != 0;
	if (l.times != NULL && fclose(l.times) != 0)
		failed = 1;
	for (int i = 0; i < FIELDS; i++) {
		free(l.first.text[i]);
		free(l.next.text[i]);
	}
	free(l.index.line);
	if (dur_detach(l.prefix) < 0 || dur_workspace_close(ws) < 0) {
		fprintf(stderr, "loader: %s\n", dur_message());
		failed = 1;
	}
	return failed;
}
