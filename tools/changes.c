/* SPDX-License-Identifier: Apache-2.0 */
#include "changes.h"

#include <inttypes.h>
#include <stdio.h>

#include "document.h"
#include "output.h"
#include "timetext.h"

void print_change_titles(void)
{
	print_titles("     STATE  TIME                            CHANGE");
}

void print_change_members(const dur_change *c)
{
	static const char *const kinds[] = { "", "added", "removed", "changed" };
	dur_value path = c->path;
	char when[TIMETEXT_MAX];

	putchar('{');
	if (c->state != 0)
		printf("\"state\":%" PRIu64 ",\"time\":\"%s\",", c->state,
		       timetext_format_ns(c->time_ns, when));
	printf("\"kind\":\"%s\",\"path\":", c->kind <= DUR_CHANGED ? kinds[c->kind] : "");
	path.type = DUR_STR;
	json_write_value(stdout, &path);
	if (c->old.type != DUR_ABSENT) {
		fputs(",\"old\":", stdout);
		document_print(&c->old);
	}
	if (c->now.type != DUR_ABSENT) {
		fputs(",\"now\":", stdout);
		document_print(&c->now);
	}
}

void print_change(const dur_change *c, bool json)
{
	char when[TIMETEXT_MAX];

	if (json) {
		print_change_members(c);
		fputs("}\n", stdout);
		return;
	}
	if (c->state != 0)
		printf("%10" PRIu64 "  %s  ", c->state, timetext_format_ns(c->time_ns, when));
	/* a path is one line: control characters have a form of their own in it */
	printf("%c %.*s  ", c->kind <= DUR_CHANGED ? "?+-~"[c->kind] : '?', (int)c->path.len,
	       c->path.str);
	if (c->old.type != DUR_ABSENT)
		document_print(&c->old);
	if (c->kind == DUR_CHANGED)
		fputs(" -> ", stdout);
	if (c->now.type != DUR_ABSENT)
		document_print(&c->now);
	putchar('\n');
}
