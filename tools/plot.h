/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charts of plain characters: columns of '#' over an axis, one beside the other, in the width of
 * the terminal. As many values as there is room for are drawn as they are; more fall into buckets.
 */
#ifndef DURAMEN_TOOLS_PLOT_H
#define DURAMEN_TOOLS_PLOT_H

#include <stdint.h>
#include <stdio.h>

/* Columns of the terminal: $COLUMNS, else what the terminal on stdout says, else 80. */
unsigned plot_width(void);

enum plot_unit { PLOT_NUMBER, PLOT_BYTES };

struct plot {
	unsigned width;     /* of the lines, at least PLOT_WIDTH_MIN */
	unsigned columns;   /* that are drawn: one a value, or one a bucket */
	unsigned thickness; /* characters of each */
	uint64_t n;         /* values */
};
enum { PLOT_WIDTH_MIN = 40 };

/* How n values (at least 1) are laid out in lines of so many characters. */
void plot_init(struct plot *p, uint64_t n, unsigned width);
/* The first value of a column; of column p->columns: n. */
uint64_t plot_first(const struct plot *p, unsigned column);
/* One chart of p->columns values, under a title. */
void plot_chart(const struct plot *p, FILE *f, const char *title, const uint64_t *values,
                enum plot_unit unit);
/* A line below the axis: texts under its left end, its middle (may be NULL) and its right end. */
void plot_marks(const struct plot *p, FILE *f, const char *left, const char *middle,
                const char *right);

#endif
