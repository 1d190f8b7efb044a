/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GAP 3

void table_init(struct table *table, const struct table_column *columns, size_t columns_count)
{
	*table = (struct table){ .columns = columns, .columns_count = columns_count };
}

void table_fini(struct table *table)
{
	for (size_t i = 0; i < table->rows * table->columns_count; i++)
		free(table->cells[i]);
	free(table->cells);
}

static bool make_room(struct table *table)
{
	size_t room = table->room > 0 ? table->room * 2 : 64;
	char **cells;

	if (table->rows < table->room)
		return true;
	cells = reallocarray(table->cells, room * table->columns_count, sizeof(*cells));
	if (!cells)
		return false;
	table->cells = cells;
	table->room = room;
	return true;
}

void table_add(struct table *table, const char *const *cells)
{
	char **row;

	if (!make_room(table))
		return;
	row = table->cells + table->rows * table->columns_count;
	for (size_t i = 0; i < table->columns_count; i++)
		row[i] = strdup(cells[i]);
	table->rows++;
}

static const char *cell_at(const struct table *table, long row, size_t column)
{
	const char *cell = row < 0 ? table->columns[column].name
				   : table->cells[(size_t)row * table->columns_count + column];

	return cell ? cell : "";
}

void table_keep(struct table *table, const char *name)
{
	for (size_t i = 0; i < table->columns_count; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			table->kept[i] = true;
}

static int dispensable(const struct table *table, size_t column)
{
	return table->kept[column] ? 0 : table->columns[column].dispensable;
}

static int total_width(const struct table *table, const struct table_layout *layout)
{
	int total = 0;

	for (size_t i = 0; i < table->columns_count; i++)
		if (layout->widths[i] > 0)
			total += layout->widths[i] + (total > 0 ? GAP : 0);
	return total;
}

/* Leaves out what matters least of what is shown. Returns false where all of that must stay. */
static bool leave_one_out(const struct table *table, struct table_layout *layout)
{
	int most = 0;

	for (size_t i = 0; i < table->columns_count; i++)
		if (layout->widths[i] > 0 && dispensable(table, i) > most)
			most = dispensable(table, i);
	for (size_t i = 0; most > 0 && i < table->columns_count; i++)
		if (dispensable(table, i) == most)
			layout->widths[i] = 0;
	return most > 0;
}

void table_lay_out(const struct table *table, int width, struct table_layout *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (long row = -1; row < (long)table->rows; row++)
		for (size_t i = 0; i < table->columns_count; i++) {
			int length = (int)strlen(cell_at(table, row, i));

			if (length > ret->widths[i])
				ret->widths[i] = length;
		}
	while (width > 0 && total_width(table, ret) > width && leave_one_out(table, ret))
		;
}

static size_t last_shown(const struct table *table, const struct table_layout *layout)
{
	size_t last = 0;

	for (size_t i = 0; i < table->columns_count; i++)
		if (layout->widths[i] > 0)
			last = i;
	return last;
}

const char *table_format(const struct table *table, const struct table_layout *layout, long row,
			 char buffer[TABLE_LINE_MAX])
{
	size_t length = 0, last = last_shown(table, layout);

	buffer[0] = '\0';
	for (size_t i = 0; i <= last && length < TABLE_LINE_MAX; i++) {
		bool is_number = table->columns[i].is_number;
		int width = is_number || i < last ? layout->widths[i] : 0;

		if (layout->widths[i] > 0)
			length += (size_t)snprintf(buffer + length, TABLE_LINE_MAX - length,
						   "%*s%*s", length > 0 ? GAP : 0, "",
						   is_number ? width : -width,
						   cell_at(table, row, i));
	}
	return buffer;
}

void table_print(const struct table *table, FILE *out)
{
	bool is_bold = terminal_has_colours(out);
	struct table_layout layout;
	char line[TABLE_LINE_MAX];

	table_lay_out(table, terminal_width(out), &layout);
	(void)fprintf(out, "%s%s%s\n", is_bold ? "\033[1m" : "",
		      table_format(table, &layout, -1, line), is_bold ? "\033[0m" : "");
	for (size_t row = 0; row < table->rows; row++)
		(void)fprintf(out, "%s\n", table_format(table, &layout, (long)row, line));
}

int terminal_width(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)))
		return 0;
	return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool terminal_has_colours(FILE *out)
{
	const char *refused = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(fileno(out)) && (!refused || *refused == '\0') && terminal &&
	       strcmp(terminal, "dumb") != 0;
}
