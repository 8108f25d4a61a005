/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree: collections with how much is in them. One walk through everything adds the bytes up, with
 * an iterator for each level that is open; the lines are kept until the sums of all are known. So
 * memory grows with what is printed, not with what is there.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "columns.h"
#include "commands.h"
#include "context.h"
#include "document.h"
#include "json_read.h"
#include "message.h"
#include "output.h"
#include "plot.h"

#define SHOWN     10    /* entries of a collection, if --limit does not say */
#define UNCUT     10000 /* columns */
#define TEXT_SEEN 400   /* bytes of a long key or value that are looked at */

/* A line, and those of what is in it. */
struct node {
	struct node *outer, *next, *first, *last;
	char *text;                    /* "name" or "name: value" */
	uint32_t kind;                 /* of a collection */
	uint64_t bytes, entries, more; /* more: entries that have no line */
};

/* A collection that is open. */
struct level {
	dur_iter *it;
	struct node *node; /* NULL: it has no line */
	uint64_t bytes, shown;
	bool set, list, raw;
};

struct tree {
	const struct args *args;
	struct level *open;
	size_t n, cap;
	struct node *root;
};

static const char *kind_text(uint32_t kind)
{
	switch (kind) {
	case DUR_MAP: return "map";
	case DUR_RAW_MAP: return "raw map";
	case DUR_SET: return "set";
	case DUR_RAW_SET: return "raw set";
	case DUR_LIST: return "list";
	case DUR_ROPE: return "rope";
	default: return "object";
	}
}

/* ---- Lines ---- */

/* Of a long text its beginning, cut between characters. */
static dur_value shortened(const dur_value *v)
{
	dur_value cut = *v;
	if ((v->type == DUR_STR || v->type == DUR_BYTES || v->type == DUR_BIGINT ||
	     v->type == DUR_DECIMAL) &&
	    v->len > TEXT_SEEN) {
		cut.len = TEXT_SEEN;
		if (v->type == DUR_STR)
			cut.len = utf8_length(v->str, TEXT_SEEN);
	}
	return cut;
}

/* A string key stands as it is, unless it is empty, other keys and all values as JSON. */
static char *line_text(const dur_value *key, const dur_value *value)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	if (f == NULL)
		out_of_memory();
	if (key != NULL) {
		dur_value k = shortened(key);
		if (k.type == DUR_STR && k.len > 0)
			fwrite(k.str, 1, k.len, f);
		else
			json_write_value(f, &k);
	}
	if (value != NULL && value->type < DUR_MAP) {
		dur_value v = shortened(value);
		if (key != NULL)
			fputs(": ", f);
		json_write_value(f, &v);
	}
	if (fclose(f) != 0)
		out_of_memory();
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = '?';
	return text;
}

static struct node *add_node(struct node *outer, char *text)
{
	struct node *node = calloc(1, sizeof *node);
	if (node == NULL || text == NULL)
		out_of_memory();
	node->outer = outer;
	node->text = text;
	if (outer != NULL && outer->last != NULL)
		outer->last->next = node;
	else if (outer != NULL)
		outer->first = node;
	if (outer != NULL)
		outer->last = node;
	return node;
}

/* ---- The walk ---- */

/* Of a scalar, without what it takes to tell where it ends. */
static uint64_t scalar_bytes(const dur_value *v)
{
	uint64_t len = 0;
	switch (v->type) {
	case DUR_NULL:
	case DUR_BOOL: return 1;
	case DUR_STR:
	case DUR_BYTES:
	case DUR_BIGINT:
	case DUR_DECIMAL: return v->len;
	case DUR_UUID:
	case DUR_REF:
	case DUR_WEAK: return 16;
	case DUR_TIME: return 14;
	case DUR_TUPLE: dur_pack(v, 1, NULL, 0, &len); return len;
	default: return 8;
	}
}

static int begin(struct tree *t, dur_coll c, struct node *node)
{
	struct level l = {
		.node = node,
		.set = c.kind == DUR_SET || c.kind == DUR_RAW_SET,
		.list = c.kind == DUR_LIST || c.kind == DUR_ROPE,
		.raw = c.kind == DUR_RAW_MAP || c.kind == DUR_RAW_SET,
	};
	int rc = 0;

	if (node != NULL) {
		node->kind = c.kind;
		rc = dur_count(c, NULL, &node->entries);
	}
	if (rc == 0)
		rc = dur_scan(c, NULL, &l.it);
	if (rc < 0)
		return rc;
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->open = realloc(t->open, t->cap * sizeof *t->open);
		if (t->open == NULL)
			out_of_memory();
	}
	t->open[t->n++] = l;
	return 0;
}

static void end(struct tree *t)
{
	struct level *l = &t->open[--t->n];
	if (l->node != NULL)
		l->node->bytes = l->bytes;
	if (t->n > 0)
		t->open[t->n - 1].bytes += l->bytes;
	dur_iter_close(l->it);
}

static int step(struct tree *t)
{
	struct level *l = &t->open[t->n - 1];
	uint64_t limit = t->args->limit ? t->args->limit : SHOWN;
	struct node *node = NULL;
	dur_value key, value;
	int rc = dur_next(l->it, &key, &value);

	if (rc == DUR_NONE)
		end(t);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	key = document_key(&key, l->raw);
	if (!l->list)
		l->bytes += scalar_bytes(&key);
	if (!l->set && value.type < DUR_MAP)
		l->bytes += scalar_bytes(&value);
	if (l->node != NULL && l->node->kind != DUR_ROPE &&
	    (t->args->depth == 0 || t->n <= t->args->depth)) {
		if (l->shown++ < limit)
			node = add_node(l->node, line_text(&key, l->set ? NULL : &value));
		else
			l->node->more++;
	}
	return value.type >= DUR_MAP ? begin(t, value.coll, node) : 0;
}

/* ---- Printing ---- */

/* The line, cut to the width. */
static void print_cut(const char *line, unsigned width)
{
	unsigned columns;

	if (line[columns_fit(line, width, &columns)] == '\0')
		puts(line);
	else
		printf("%.*s…\n", (int)columns_fit(line, width - 1, &columns), line);
}

static void print_line(const char *indent, const char *branch, const struct node *node,
                       unsigned width)
{
	char *line, bytes[BYTES_TEXT];
	size_t len;
	FILE *f = open_memstream(&line, &len);
	if (f == NULL)
		out_of_memory();
	fprintf(f, "%s%s%s", indent, branch, node->text);
	if (node->kind == DUR_ROPE)
		fprintf(f, ": rope, %s", bytes_format(node->bytes, bytes));
	else if (node->kind != 0)
		fprintf(f, ": %s, %" PRIu64 " %s, %s", kind_text(node->kind), node->entries,
		        node->entries == 1 ? "entry" : "entries", bytes_format(node->bytes, bytes));
	if (fclose(f) != 0)
		out_of_memory();
	print_cut(line, width);
	free(line);
}

/* The indent of what is in a line; beyond the width nothing of it would be seen. */
static void indent_more(char *indent, size_t *len, size_t room, bool last)
{
	const char *part = last ? "   " : "│  ";
	if (*len + strlen(part) < room) {
		strcpy(indent + *len, part);
		*len += strlen(part);
	}
}

static void print_more(const char *indent, const struct node *node, unsigned width)
{
	char text[64];
	snprintf(text, sizeof text, "%" PRIu64 " more", node->more);
	struct node more = { .text = text };
	print_line(indent, "└─ ", &more, width);
}

/* All lines, from the root on, without a call for each level. */
static void print_tree(const struct node *root, unsigned width)
{
	size_t room = 4 * (size_t)width, depth = 0, cap = 64;
	size_t *lens = malloc(cap * sizeof *lens);
	char *indent = calloc(1, room);
	const struct node *node = root;

	if (lens == NULL || indent == NULL)
		out_of_memory();
	print_line("", "", root, width);
	lens[0] = 0;
	while (node != NULL) {
		if (node->first != NULL) {
			const bool last =
				node != root && node->next == NULL && node->outer->more == 0;
			size_t len = lens[depth];
			if (++depth == cap) {
				cap *= 2;
				lens = realloc(lens, cap * sizeof *lens);
				if (lens == NULL)
					out_of_memory();
			}
			if (node != root)
				indent_more(indent, &len, room, last);
			lens[depth] = len;
			node = node->first;
		} else {
			while (node != root && node->next == NULL) {
				node = node->outer;
				indent[lens[depth]] = '\0';
				if (node->more != 0)
					print_more(indent, node, width);
				depth--;
			}
			node = node == root ? NULL : node->next;
		}
		if (node != NULL) {
			indent[lens[depth]] = '\0';
			print_line(indent, node->next != NULL || node->outer->more ? "├─ " : "└─ ",
			           node, width);
		}
	}
	free(lens);
	free(indent);
}

static void free_tree(struct node *node)
{
	while (node != NULL) {
		struct node *next = node->first != NULL ? node->first : node->next;
		if (node->first != NULL) {
			node->first = NULL; /* when we are back here, those in it are gone */
			node = next;
			continue;
		}
		if (next == NULL)
			next = node->outer;
		free(node->text);
		free(node);
		node = next;
	}
}

/* What goes down a pipe is not cut, unless a width is asked for. */
static unsigned cut_at(void)
{
	return isatty(STDOUT_FILENO) == 1 || getenv("COLUMNS") != NULL ? plot_width() : UNCUT;
}

static int print_collection(const struct args *args, dur_coll c)
{
	struct tree t = { .args = args };
	const char *name = args->operand[1];
	int rc;

	if (name == NULL || *name == '\0')
		name = args->operand[0];
	t.root = add_node(NULL, strdup(name));
	rc = begin(&t, c, t.root);
	while (rc == 0 && t.n > 0)
		rc = step(&t);
	if (rc == 0)
		print_tree(t.root, cut_at());
	while (t.n > 0)
		dur_iter_close(t.open[--t.n].it);
	free(t.open);
	free_tree(t.root);
	return rc < 0 ? fail(rc) : EXIT_DONE;
}

static int run(const struct args *args)
{
	struct context s;
	dur_coll c;
	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0)
		status = context_snapshot(&s);
	if (status == 0)
		status = context_collection(&s, args->operand[1], &c);
	if (status == 0)
		status = print_collection(args, c);
	return context_close(&s, status);
}

static const struct option_row options[] = {
	NUMBER("depth", "N", depth, 1, UINT64_MAX - 1, "so many levels (default: all)"),
	NUMBER("limit", "N", limit, 1, UINT64_MAX - 1,
	       "so many entries of each collection (default\n10)"),
	OPTION_AT, OPTIONS_END
};

const struct command cmd_tree = {
	.name = "tree",
	.summary = "show what is in what, with counts and bytes",
	.operands = { "PREFIX", "PATH" },
	.required = 1,
	.about =
		"Prints the collection at PATH, or the whole prefix, and what is in it, level below\n"
		"level: of a collection its kind, how many entries it has, and the bytes of all\n"
		"keys and values in it. Lines are cut to the width of the terminal.",
	.options = options,
	.examples = "  duramen tree demo\n"
		    "  duramen tree demo /users --depth 1 --limit 100\n"
		    "  duramen tree demo --at -1",
	.run = run,
};
