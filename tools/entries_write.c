/* SPDX-License-Identifier: Apache-2.0 */
/* One entry at a time, straight to the stream. */
#include <string.h>

#include "entries.h"
#include "json_write.h"
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

static void write_column(FILE *f, const dur_value *v)
{
	static const char from[] = "\t\n\r\\", to[] = "tnr\\";
	if (v->type != DUR_STR || v->tag != 0) {
		fputs("\\=", f);
		json_write_value(f, v);
		return;
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
}

void entry_write(struct entry_writer *w, const dur_value *key, const dur_value *value)
{
	dur_value readable = *key;
	if (w->raw && key->type == DUR_BYTES && utf8_length(key->ptr, key->len) == key->len)
		readable.type = DUR_STR;
	if (w->format == FORMAT_TSV) {
		write_column(w->file, &readable);
		fputc('\t', w->file);
		write_column(w->file, value);
		fputc('\n', w->file);
		return;
	}
	if (w->format == FORMAT_JSON)
		fputs(w->begun ? ",\n" : "[\n", w->file);
	w->begun = true;
	struct json_writer json = { .file = w->file };
	json_begin(&json, '{');
	json_name(&json, "key");
	json_value(&json, &readable);
	json_name(&json, "value");
	json_value(&json, value);
	json_end(&json, '}');
	if (w->format == FORMAT_NDJSON)
		fputc('\n', w->file);
}

void entry_write_end(struct entry_writer *w)
{
	if (w->format == FORMAT_JSON)
		fputs(w->begun ? "\n]\n" : "[]\n", w->file);
}
