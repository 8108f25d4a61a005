/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries as text, read by load, written by dump and scan. Three formats:
 *
 *	ndjson  {"key":KEY,"value":VALUE} a line, in the JSON of json_value.h
 *	json    an array of such entries; read also as one object, {"KEY":VALUE,...}
 *	tsv     KEY, a tab, VALUE a line. A column is a string, with \t \n \r \\ for these four;
 *	        one that begins with \= is the JSON that follows: \=42, \={"~x":"00ff"}
 *
 * Whatever is written is read back as exactly the same entries. The keys of a raw prefix are
 * bytes; they are written as strings where they are UTF-8, and a string means its bytes there.
 */
#ifndef DURAMEN_TOOLS_ENTRIES_H
#define DURAMEN_TOOLS_ENTRIES_H

#include <duramen.h>
#include <stdbool.h>
#include <stdio.h>

#include "arena.h"
#include "json_value.h"

enum format { FORMAT_NDJSON, FORMAT_TSV, FORMAT_JSON };

/* text as --format takes it, NULL: ndjson. False, with a message, if it is none. */
bool format_parse(const char *text, enum format *format);

enum { ENTRY_ERROR = 320 };

struct entry_reader {
	FILE *file;
	enum format format;
	uint64_t bytes;        /* read so far */
	uint64_t line, column; /* where the entry began, from 1 */
	char error[ENTRY_ERROR]; /* "line 3, column 7: ..." after a failure */
	/* private; tsv: the line at hand */
	char *text;
	size_t len, cap;
	/* ndjson and json */
	struct json_reader json;
	struct json_builder builder;
	bool begun, members;
	const dur_value *key; /* of the entry whose value is read; NULL: it did not come yet */
};

/* The file stays the caller's; it is read ahead. */
void entry_reader_init(struct entry_reader *r, FILE *file, enum format format);
/*
 * The next entry, its memory from the arena. 0; 1: at the end; -1: see r->error, unless the
 * builder's status says that a message was printed. The builder may be given a begin of its own
 * (json_value.h) for values larger than memory: their key is *r->key, and they come as DUR_ABSENT.
 */
int entry_read(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value);
void entry_reader_free(struct entry_reader *r);

struct entry_writer {
	FILE *file;
	enum format format;
	bool raw;  /* the keys are those of a raw collection */
	bool text; /* the values are bytes of one, or pieces of a rope */
	bool begun;
};

/* 0, or the library's error. */
int entry_write(struct entry_writer *w, const dur_value *key, const dur_value *value);
/* After the last entry. */
void entry_write_end(struct entry_writer *w);

#endif
