/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fairlead top: sessions, clients or rules, live.
 *
 * Each turn asks the daemon for what is shown, sorts and filters it here, and draws a head, a table
 * and a line of keys. Between two turns keys are waited for. When the daemon cannot be asked, what
 * was there stays, under a sentence that says so.
 */
#include <limits.h>
#include <locale.h>
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/client.h"
#include "apps/cli/command.h"
#include "apps/cli/command_line.h"
#include "apps/cli/fields.h"
#include "apps/cli/table.h"
#include "base/text.h"

#define HEAD_LINES 3 /* and the table's own */
#define FILTER_MAX 64
#define KEY_ESCAPE 27

/* Keys wait for as long as an answer does. */
#define ASK_LIMIT_S 5

struct order {
	int key; /* that chooses it */
	const char *name;
	const char *fields[2]; /* of numbers that are summed up, the most first; or one of a text */
	bool is_text;
	const char *columns[2]; /* where it is seen, and which stay therefore */
};

struct view {
	const char *name, *path, *array;
	void (*init)(struct table *table);
	void (*add)(struct table *table, const json_t *item);
	struct order orders[4];
};

static const struct view views[] = {
	{ "sessions",
	  "/v1/sessions?limit=100000",
	  "sessions",
	  fields_sessions_init,
	  fields_sessions_add,
	  { { 'r', "rate", { "in_bytes_s", "out_bytes_s" }, false, { "IN/S", "OUT/S" } },
	    { 'b', "bytes", { "in_bytes", "out_bytes" }, false, { "IN", "OUT" } },
	    { 'a', "age", { "age_s" }, false, { "AGE" } },
	    { 'c', "client", { "client" }, true, { "CLIENT" } } } },
	{ "clients",
	  "/v1/clients?limit=100000",
	  "clients",
	  fields_clients_init,
	  fields_clients_add,
	  { { 'r', "rate", { "in_bytes_s", "out_bytes_s" }, false, { "IN/S", "OUT/S" } },
	    { 'b', "bytes", { "in_bytes", "out_bytes" }, false, { "IN", "OUT" } },
	    { 'n', "sessions", { "sessions" }, false, { "SESSIONS" } },
	    { 'c', "client", { "ip" }, true, { "CLIENT" } } } },
	{ "rules",
	  "/v1/rules",
	  "rules",
	  fields_rules_init,
	  fields_rules_add,
	  { { 'n', "sessions", { "counters.open" }, false, { "SESSIONS" } },
	    { 'b', "bytes", { "counters.in_bytes", "counters.out_bytes" }, false, { "IN", "OUT" } },
	    { 'm', "name", { "name" }, true, { "NAME" } },
	    { 'p', "port", { "host" }, true, { "PORT" } } } },
};

#define VIEWS (sizeof(views) / sizeof(views[0]))
#define ORDERS 4

static struct top {
	size_t view;
	size_t orders[VIEWS]; /* the one chosen in each */
	char filter[FILTER_MAX];
	bool typing; /* the filter */
	long offset; /* of the first row that is shown */
	json_t *answer, *stats;
	uint64_t in_bytes, out_bytes; /* when last asked, in all */
	double uptime_s;
	uint64_t in_rate, out_rate;
	struct error err; /* code 0: none */
} top;

static const struct view *view(void)
{
	return &views[top.view];
}

static const struct order *order(void)
{
	return &view()->orders[top.orders[top.view]];
}

/* Asking. */

/* Rates of the whole daemon, from what it has carried since the last turn. */
static void take_rates(void)
{
	const json_t *counters = json_object_get(top.stats, "counters");
	double uptime_s = json_number_value(json_object_get(top.stats, "uptime_s"));
	uint64_t in = field_number(counters, "in_bytes"), out = field_number(counters, "out_bytes");
	double period_s = uptime_s - top.uptime_s;

	if (top.uptime_s > 0 && period_s > 0 && in >= top.in_bytes && out >= top.out_bytes) {
		top.in_rate = (uint64_t)((double)(in - top.in_bytes) / period_s);
		top.out_rate = (uint64_t)((double)(out - top.out_bytes) / period_s);
	}
	top.in_bytes = in;
	top.out_bytes = out;
	top.uptime_s = uptime_s;
}

static void replace(json_t **old, json_t *new)
{
	json_decref(*old);
	*old = new;
}

static void ask(void)
{
	json_t *answer, *stats;

	top.err.code = 0;
	if (client_get("/v1/stats", &stats, &top.err) != 0)
		return;
	replace(&top.stats, stats);
	take_rates();
	if (client_get(view()->path, &answer, &top.err) == 0)
		replace(&top.answer, answer);
}

/* Sorting and filtering. */

/* A member of the item or, behind a dot, of one of its members. */
static const json_t *member(const json_t *item, const char *path)
{
	const char *dot = strchr(path, '.');
	char first[FIELD_MAX];

	if (!dot)
		return json_object_get(item, path);
	(void)snprintf(first, sizeof(first), "%.*s", (int)(dot - path), path);
	return json_object_get(json_object_get(item, first), dot + 1);
}

static double sum(const json_t *item)
{
	double total = 0;

	for (size_t i = 0; i < 2 && order()->fields[i]; i++)
		total += json_number_value(member(item, order()->fields[i]));
	return total;
}

static const char *text_of(const json_t *item)
{
	const char *text = json_string_value(member(item, order()->fields[0]));

	return text ? text : "";
}

static int compare(const void *a, const void *b)
{
	const json_t *first = *(json_t *const *)a, *second = *(json_t *const *)b;
	double difference;

	if (order()->is_text)
		return strcmp(text_of(first), text_of(second));
	difference = sum(second) - sum(first);
	return difference > 0 ? 1 : difference < 0 ? -1 : 0;
}

/* By its row in full width, whatever of it fits the screen. */
static bool is_wanted(const json_t *item)
{
	struct table table;
	struct table_layout layout;
	char line[TABLE_LINE_MAX];
	bool found;

	if (top.filter[0] == '\0')
		return true;
	view()->init(&table);
	view()->add(&table, item);
	table_lay_out(&table, 0, &layout);
	found = strcasestr(table_format(&table, &layout, 0, line), top.filter);
	table_fini(&table);
	return found;
}

/* What is to be seen, in its order. */
static void make_table(struct table *ret)
{
	const json_t *items = json_object_get(top.answer, view()->array);
	size_t count = json_array_size(items), i;
	json_t **sorted = calloc(count + 1, sizeof(json_t *)), *item;

	view()->init(ret);
	for (i = 0; i < 2 && order()->columns[i]; i++)
		table_keep(ret, order()->columns[i]);
	if (!sorted)
		return;
	json_array_foreach(items, i, item)
	{
		sorted[i] = item;
	}
	qsort(sorted, count, sizeof(json_t *), compare);
	for (i = 0; i < count; i++)
		if (is_wanted(sorted[i]))
			view()->add(ret, sorted[i]);
	free(sorted);
}

/* Drawing. */

static void draw_head(size_t shown)
{
	const json_t *counters = json_object_get(top.stats, "counters");
	char up[FIELD_MAX], rules[FIELD_MAX], open[FIELD_MAX];
	char in[TEXT_SIZE_MAX], out[TEXT_SIZE_MAX], line[TABLE_LINE_MAX];

	(void)snprintf(line, sizeof(line),
		       "fairlead top   up %s   %s rules   %s sessions   %s/s in   %s/s out",
		       field_age(top.stats, "uptime_s", up), field_count(top.stats, "rules", rules),
		       field_count(counters, "open", open), text_format_size(top.in_rate, in),
		       text_format_size(top.out_rate, out));
	mvprintw(0, 0, "%.*s", COLS, line);
	if (top.err.code != 0) {
		attron(A_BOLD);
		mvprintw(1, 0, "%.*s", COLS, top.err.text);
		attroff(A_BOLD);
	} else if (top.typing || top.filter[0] != '\0') {
		mvprintw(1, 0, "filter: %s%s   %zu shown", top.filter, top.typing ? "_" : "",
			 shown);
	} else {
		mvprintw(1, 0, "%s by %s", view()->name, order()->name);
	}
}

static void draw_keys(void)
{
	move(LINES - 1, 0);
	attron(A_REVERSE);
	if (top.typing) {
		printw(" Enter keep   Esc clear ");
	} else {
		printw(" q quit   Tab view   / filter   sort:");
		for (size_t i = 0; i < ORDERS; i++)
			printw(" %c %s", view()->orders[i].key, view()->orders[i].name);
		printw(" ");
	}
	attroff(A_REVERSE);
}

static long page(void)
{
	return LINES > HEAD_LINES + 2 ? LINES - HEAD_LINES - 1 : 1;
}

static void draw(void)
{
	struct table table;
	struct table_layout layout;
	char line[TABLE_LINE_MAX];
	long last;

	make_table(&table);
	table_lay_out(&table, COLS, &layout);
	last = (long)table.rows - page();
	if (top.offset > last)
		top.offset = last;
	if (top.offset < 0)
		top.offset = 0;
	erase();
	draw_head(table.rows);
	attron(A_BOLD);
	mvprintw(HEAD_LINES - 1, 0, "%.*s", COLS, table_format(&table, &layout, -1, line));
	attroff(A_BOLD);
	for (long i = 0; i < page() && top.offset + i < (long)table.rows; i++)
		mvprintw(HEAD_LINES + (int)i, 0, "%.*s", COLS,
			 table_format(&table, &layout, top.offset + i, line));
	draw_keys();
	refresh();
	table_fini(&table);
}

/* Keys. */

static void type(int key)
{
	size_t length = strlen(top.filter);

	if (key == KEY_ESCAPE)
		top.filter[0] = '\0';
	if (key == KEY_ESCAPE || key == '\n' || key == KEY_ENTER)
		top.typing = false;
	else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length > 0)
		top.filter[length - 1] = '\0';
	else if (key >= ' ' && key < 127 && length + 1 < sizeof(top.filter))
		(void)snprintf(top.filter + length, 2, "%c", key);
	top.offset = 0;
}

static void choose_order(int key)
{
	for (size_t i = 0; i < ORDERS; i++)
		if (view()->orders[i].key == key)
			top.orders[top.view] = i;
}

/* Returns false to end. What is shown is asked for anew where it is another view's. */
static bool press(int key)
{
	switch (key) {
	case 'q':
		return false;
	case '\t':
		top.view = (top.view + 1) % VIEWS;
		top.offset = 0;
		ask();
		break;
	case '/':
		top.typing = true;
		break;
	case KEY_DOWN:
	case 'j':
		top.offset++;
		break;
	case KEY_UP:
	case 'k':
		top.offset--;
		break;
	case KEY_NPAGE:
	case ' ':
		top.offset += page();
		break;
	case KEY_PPAGE:
		top.offset -= page();
		break;
	case KEY_HOME:
		top.offset = 0;
		break;
	case KEY_END:
		top.offset = LONG_MAX; /* which draw() takes back to the last page */
		break;
	default:
		choose_order(key);
		break;
	}
	return true;
}

static void run(int delay_ms)
{
	bool goes_on = true;

	while (goes_on) {
		int key;

		draw();
		timeout(delay_ms);
		key = getch();
		if (key == ERR)
			ask();
		else if (top.typing && key != KEY_RESIZE)
			type(key);
		else if (key != KEY_RESIZE)
			goes_on = press(key);
	}
}

static bool read_delay(const char *text, int *ret_ms)
{
	char *end = NULL;
	double seconds = text ? strtod(text, &end) : 1;

	if (text && (end == text || *end != '\0' || !(seconds >= 0.1 && seconds <= 3600)))
		return false;
	*ret_ms = (int)(seconds * 1000);
	return true;
}

int command_top(int argc, char **argv)
{
	static const char *delay;
	static const struct command_option options[] = {
		{ 'd', "delay", "seconds", "Between two looks (default 1)", NULL, &delay },
	};
	static const struct command_line line = {
		.name = "top",
		.arguments = "",
		.summary = "Show sessions, clients or rules live",
		.more = "Keys: q ends, Tab shows sessions, clients or rules, / filters, the arrows and\n"
			"Page Up and Down move, and letters sort as the last line says.",
		.options = options,
		.options_count = 1,
	};
	int first, delay_ms, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	if (!read_delay(delay, &delay_ms))
		return command_line_error("top", "'%.40s' is no number of seconds from 0.1 to 3600",
					  delay);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return command_line_error("top", "it needs a terminal; fairlead sessions does not");
	client_set_limit(ASK_LIMIT_S);
	ask();
	if (top.err.code != 0)
		return client_failed("top", &top.err, EXIT_UNREACHABLE);
	(void)setlocale(LC_ALL, "");
	if (!newterm(NULL, stdout, stdin))
		return command_line_error("top", "the terminal is not known: set TERM");
	(void)cbreak();
	(void)noecho();
	(void)curs_set(0);
	(void)keypad(stdscr, TRUE);
	(void)set_escdelay(50);
	run(delay_ms);
	(void)endwin();
	return EXIT_SUCCESS;
}
