/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables have columns of fixed width and what may be long in the last one, so they need not be
 * collected.
 */
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "json_write.h"
#include "message.h"
#include "progress.h"
#include "timetext.h"

void print_titles(const char *titles)
{
	if (isatty(STDOUT_FILENO) == 1)
		puts(titles);
}

void print_last_column(const char *text)
{
	for (const char *s = text; *s != '\0'; s++)
		putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
	putchar('\n');
}

const char *bytes_format(uint64_t bytes, char out[BYTES_TEXT])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double n = (double)bytes / 1024;
	unsigned u = 0;
	if (bytes < 1024) {
		snprintf(out, BYTES_TEXT, "%u B", (unsigned)bytes);
		return out;
	}
	for (; n >= 1023.95 && u < 5; u++)
		n /= 1024;
	snprintf(out, BYTES_TEXT, "%.1f %s", n, units[u]);
	return out;
}

void print_state_titles(void)
{
	print_titles("     STATE  TIME                               ENTRIES     WRITTEN  LABEL");
}

static void print_json_state(const dur_state_info *s, const dur_state_name *names, size_t n)
{
	struct json_writer w = json_line();
	char when[TIMETEXT_MAX];

	json_member_int(&w, "state", s->state);
	json_member_text(&w, "time", timetext_format_ns(s->time_ns, when));
	json_member_int(&w, "entries", s->entries);
	json_member_int(&w, "written_bytes", s->written_bytes);
	json_member_bool(&w, "on_disk", (s->flags & DUR_ON_DISK) != 0);
	json_member_text(&w, "label", s->label);
	json_name(&w, "names");
	json_begin(&w, '[');
	for (size_t i = 0; i < n && s->names; i++)
		if (names[i].state == s->state)
			json_string(&w, names[i].name, strlen(names[i].name));
	json_end(&w, ']');
	json_line_end(&w);
}

void print_state(const dur_state_info *s, const dur_state_name *names, size_t n, bool json)
{
	char when[TIMETEXT_MAX], written[BYTES_TEXT];
	if (json) {
		print_json_state(s, names, n);
		return;
	}
	printf("%10" PRIu64 "  %s  %10" PRIu64 "  %10s  ", s->state,
	       timetext_format_ns(s->time_ns, when), s->entries,
	       bytes_format(s->written_bytes, written));
	for (size_t i = 0; i < n && s->names; i++)
		if (names[i].state == s->state)
			printf("[%s] ", names[i].name);
	print_last_column(s->label);
}

const dur_value *range_bound(struct arena *a, const char *text, dur_value *path)
{
	if (text == NULL)
		return NULL;
	if (text[0] != '/') {
		size_t len = strlen(text);
		char *with_slash = arena_alloc(a, len + 2);
		with_slash[0] = '/';
		memcpy(with_slash + 1, text, len + 1);
		text = with_slash;
	}
	*path = DUR_PATH(text);
	return path;
}

int print_entries(dur_coll c, const dur_range *r, enum format format, const char *what)
{
	struct entry_writer w = {
		.file = stdout,
		.format = format,
		.raw = c.kind == DUR_RAW_MAP || c.kind == DUR_RAW_SET,
		.text = c.kind == DUR_RAW_SET || c.kind == DUR_ROPE,
	};
	struct progress progress = { .shown = false };
	dur_iter *it;
	dur_value key, value;
	uint64_t done = 0, total = 0;

	int rc = what != NULL ? dur_count(c, r, &total) : 0;
	if (rc == 0)
		rc = dur_scan(c, r, &it);
	if (rc < 0)
		return fail(rc);
	if (what != NULL && isatty(STDOUT_FILENO) == 0)
		progress_start(&progress, what, "entries", total);
	while ((rc = dur_next(it, &key, &value)) == 0 && !ferror(stdout)) {
		rc = entry_write(&w, &key, &value);
		if (rc < 0)
			break;
		done++;
		progress_step(&progress, done, done);
	}
	progress_clear();
	dur_iter_close(it);
	if (rc < 0)
		return fail(rc);
	entry_write_end(&w);
	return EXIT_DONE;
}

bool output_gone(void)
{
	struct pollfd fd = { .fd = STDOUT_FILENO };
	return poll(&fd, 1, 0) == 1 && (fd.revents & POLLERR) != 0;
}

int output_finish(int status)
{
	errno = 0;
	bool lost = fflush(stdout) != 0 || ferror(stdout);
	/* `duramen scan ... | head` is no failure. */
	if (!lost || errno == EPIPE || output_gone())
		return status;
	return refuse(EXIT_FAILED, "cannot write the output: %s",
	              errno != 0 ? strerror(errno) : "some of it was lost");
}
