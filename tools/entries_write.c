/* SPDX-License-Identifier: Apache-2.0 */
/* One entry at a time, straight to the stream. */
#include <string.h>

#include "document.h"
#include "entries.h"
#include "message.h"

bool format_parse(const char *text, enum format *format)
{
	static const char *const names[] = { "ndjson", "tsv", "json" };
	*format = FORMAT_NDJSON;
	if (text == NULL)
		return true;
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(text, names[i]) == 0) {
			*format = (enum format)i;
			return true;
		}
	}
	complain("--format takes ndjson, tsv or json, not '%s'", text);
	return false;
}

static int write_column(FILE *f, const dur_value *v)
{
	static const char from[] = "\t\n\r\\", to[] = "tnr\\";
	if (v->type != DUR_STR || v->tag != 0) {
		fputs("\\=", f);
		return document_write(&(struct json_writer){ .file = f }, v);
	}
	for (uint64_t i = 0; i < v->len; i++) {
		const char *found = memchr(from, v->str[i], sizeof from - 1);
		if (found != NULL) {
			fputc('\\', f);
			fputc(to[found - from], f);
		} else {
			fputc(v->str[i], f);
		}
	}
	return 0;
}

static int write_tsv(FILE *f, const dur_value *key, const dur_value *value)
{
	int rc = write_column(f, key);
	fputc('\t', f);
	if (rc == 0)
		rc = write_column(f, value);
	fputc('\n', f);
	return rc;
}

int entry_write(struct entry_writer *w, const dur_value *key, const dur_value *value)
{
	struct json_writer json = { .file = w->file };
	dur_value readable = document_key(key, w->raw), text = document_key(value, w->text);
	int rc;

	if (w->format == FORMAT_TSV)
		return write_tsv(w->file, &readable, &text);
	if (w->format == FORMAT_JSON)
		fputs(w->begun ? ",\n" : "[\n", w->file);
	w->begun = true;
	json_begin(&json, '{');
	json_name(&json, "key");
	json_value(&json, &readable);
	json_name(&json, "value");
	rc = document_write(&json, &text);
	json_end(&json, '}');
	if (w->format == FORMAT_NDJSON)
		fputc('\n', w->file);
	return rc;
}

void entry_write_end(struct entry_writer *w)
{
	if (w->format == FORMAT_JSON)
		fputs(w->begun ? "\n]\n" : "[]\n", w->file);
}
