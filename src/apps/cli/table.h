/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for people, in docker's look: a line of names, columns three blanks apart. One that is wider
 * than the terminal leaves columns out, those first that matter least.
 */
#ifndef FAIRLEAD_APPS_CLI_TABLE_H
#define FAIRLEAD_APPS_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16
#define TABLE_LINE_MAX 1024

struct table_column {
	const char *name;
	int dispensable; /* the highest goes first; 0: it stays */
	bool is_number;	 /* stands at the right */
};

struct table {
	const struct table_column *columns;
	size_t columns_count;
	char **cells; /* row by row */
	size_t rows, room;
	bool kept[TABLE_COLUMNS_MAX];
};

/* Which columns are shown, and how wide. */
struct table_layout {
	int widths[TABLE_COLUMNS_MAX]; /* 0: left out */
};

void table_init(struct table *table, const struct table_column *columns, size_t columns_count);
void table_fini(struct table *table);

/* Appends a copy of as many texts as there are columns. Without memory the row is left out. */
void table_add(struct table *table, const char *const *cells);

/* Has the column of that name stay, however little it matters otherwise. */
void table_keep(struct table *table, const char *name);

/* For that many columns of a terminal; 0: as wide as it is. */
void table_lay_out(const struct table *table, int width, struct table_layout *ret);

/* A row as text without a line feed, or that of the names for row -1. Returns the buffer. */
const char *table_format(const struct table *table, const struct table_layout *layout, long row,
			 char buffer[TABLE_LINE_MAX]);

/* All of it, for the terminal if `out` is one. */
void table_print(const struct table *table, FILE *out);

/* Of the terminal that it is, 0 where it is none. */
int terminal_width(FILE *out);

/* Whether it is a terminal, and colours are wanted (no-color.org). */
bool terminal_has_colours(FILE *out);

#endif
