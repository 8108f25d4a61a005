/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chart is ROWS lines high. The topmost character of a column tells thirds of a line apart:
 * '.', ':' and '#'. What is not zero shows.
 */
#include "plot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "output.h"

enum {
	ROWS = 6,
	STEPS = 3,          /* that one character tells apart */
	LABEL = 10,         /* characters left of the axis */
	THICKEST = 8,       /* of a column, when there are few */
	WIDTH_MAX = 10000,
};

unsigned plot_width(void)
{
	const char *text = getenv("COLUMNS");
	struct winsize size;
	unsigned long columns = 0;

	if (text != NULL && *text >= '0' && *text <= '9')
		columns = strtoul(text, NULL, 10);
	if (columns == 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		columns = size.ws_col;
	if (columns == 0)
		columns = 80;
	if (columns < PLOT_WIDTH_MIN)
		return PLOT_WIDTH_MIN;
	return columns > WIDTH_MAX ? WIDTH_MAX : (unsigned)columns;
}

void plot_init(struct plot *p, uint64_t n, unsigned width)
{
	unsigned room = width - LABEL - 2;

	*p = (struct plot){ .width = width, .columns = room, .thickness = 1, .n = n };
	if (n < room) {
		p->columns = (unsigned)n;
		p->thickness = room / p->columns < THICKEST ? room / p->columns : THICKEST;
	}
}

uint64_t plot_first(const struct plot *p, unsigned column)
{
	return (uint64_t)((unsigned __int128)p->n * column / p->columns);
}

/* The height of a column in steps. */
static unsigned height(uint64_t value, uint64_t most)
{
	unsigned h;

	if (value == 0)
		return 0;
	h = (unsigned)((unsigned __int128)value * (ROWS * STEPS) / most);
	return h > 0 ? h : 1;
}

static void print_label(FILE *f, uint64_t value, enum plot_unit unit)
{
	char text[BYTES_TEXT];

	if (unit == PLOT_BYTES)
		bytes_format(value, text);
	else
		snprintf(text, sizeof text, "%" PRIu64, value);
	fprintf(f, "%*s", LABEL, text);
}

/* A line without blanks at its end. */
static void print_line(FILE *f, char *line, unsigned len)
{
	while (len > 0 && line[len - 1] == ' ')
		len--;
	fprintf(f, "%.*s\n", (int)len, line);
}

void plot_chart(const struct plot *p, FILE *f, const char *title, const uint64_t *values,
                enum plot_unit unit)
{
	static const char marks[] = " .:#";
	/* thick columns stand apart */
	unsigned thick = p->thickness > 2 ? p->thickness - 1 : p->thickness;
	uint64_t most = 0;
	char line[WIDTH_MAX];

	for (unsigned c = 0; c < p->columns; c++)
		if (values[c] > most)
			most = values[c];
	fprintf(f, "%s\n", title);
	for (unsigned row = ROWS; row-- > 0;) {
		unsigned len = p->columns * p->thickness;
		memset(line, ' ', len);
		for (unsigned c = 0; c < p->columns; c++) {
			unsigned h = height(values[c], most), below = row * STEPS;
			unsigned part = h <= below ? 0 : h - below < STEPS ? h - below : STEPS;
			memset(line + c * p->thickness, marks[part], thick);
		}
		if (row == ROWS - 1)
			print_label(f, most, unit);
		else
			fprintf(f, "%*s", LABEL, "");
		fputs(" |", f);
		print_line(f, line, len);
	}
	print_label(f, 0, unit);
	fputs(" +", f);
	memset(line, '-', p->columns * p->thickness);
	print_line(f, line, p->columns * p->thickness);
}

void plot_marks(const struct plot *p, FILE *f, const char *left, const char *middle,
                const char *right)
{
	char line[WIDTH_MAX];
	unsigned axis = p->columns * p->thickness, room = p->width - LABEL - 2;
	unsigned l = (unsigned)strlen(left), m = middle ? (unsigned)strlen(middle) : 0;
	unsigned r = (unsigned)strlen(right), end = axis;

	if (end < l + 2 + r) /* a short axis: side by side all the same */
		end = l + 2 + r;
	if (end > room) {
		fprintf(f, "%*s%s\n%*s%s\n", LABEL + 2, "", left, LABEL + 2, "", right);
		return;
	}
	memset(line, ' ', end);
	memcpy(line, left, l);
	memcpy(line + end - r, right, r);
	if (m > 0 && l + m + r + 8 <= end)
		memcpy(line + (end - m) / 2, middle, m);
	fprintf(f, "%*s", LABEL + 2, "");
	print_line(f, line, end);
}
