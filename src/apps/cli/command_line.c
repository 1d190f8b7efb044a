/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/command_line.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/command.h"

#define OPTIONS_MAX 16

/* Of the long options, where they have no letter. */
#define FIRST_VALUE 256

static const char *socket_path;

static const struct command_option usual[] = {
	{ '\0', "socket", "path", "The daemon's socket (default " COMMAND_LINE_SOCKET ")", NULL,
	  &socket_path },
	{ 'h', "help", NULL, "Print this text and quit", NULL, NULL },
};

#define USUAL (sizeof(usual) / sizeof(usual[0]))

const char *command_line_socket(void)
{
	const char *path = socket_path ? socket_path : getenv("FAIRLEAD_SOCKET");

	return path && *path ? path : COMMAND_LINE_SOCKET;
}

void command_line_set_socket(const char *path)
{
	socket_path = path;
}

int command_line_error(const char *command, const char *format, ...)
{
	va_list arguments;

	(void)fprintf(stderr, "fairlead %s: ", command);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, "\nSee 'fairlead %s --help'.\n", command);
	return EXIT_USAGE;
}

/* The own options come first, then the usual ones. */
static const struct command_option *option_at(const struct command_line *line, size_t i)
{
	return i < line->options_count ? &line->options[i] : &usual[i - line->options_count];
}

static int name_width(const struct command_option *option)
{
	return (int)(strlen(option->name) + (option->value ? 1 + strlen(option->value) : 0));
}

static void print_help(const struct command_line *line)
{
	int width = 0;

	printf("Usage:  fairlead %s [OPTIONS]%s%s\n\n%s\n\n", line->name,
	       line->arguments[0] ? " " : "", line->arguments, line->summary);
	if (line->more)
		printf("%s\n\n", line->more);
	printf("Options:\n");
	for (size_t i = 0; i < line->options_count + USUAL; i++)
		if (name_width(option_at(line, i)) > width)
			width = name_width(option_at(line, i));
	for (size_t i = 0; i < line->options_count + USUAL; i++) {
		const struct command_option *option = option_at(line, i);
		char letter[5] = "    ";

		if (option->letter)
			(void)snprintf(letter, sizeof(letter), "-%c, ", option->letter);
		printf("  %s--%s%s%-*s   %s\n", letter, option->name, option->value ? " " : "",
		       width - (int)strlen(option->name) - (option->value != NULL),
		       option->value ? option->value : "", option->meaning);
	}
}

struct tables {
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 2];
};

static void make_tables(const struct command_line *line, struct tables *tables)
{
	char *next = tables->shorts;

	*next++ = ':';
	for (size_t i = 0; i < line->options_count + USUAL; i++) {
		const struct command_option *option = option_at(line, i);

		tables->longs[i] = (struct option){
			.name = option->name,
			.has_arg = option->value ? required_argument : no_argument,
			.val = option->letter ? option->letter : FIRST_VALUE + (int)i,
		};
		if (option->letter)
			*next++ = option->letter;
		if (option->letter && option->value)
			*next++ = ':';
	}
}

static const struct command_option *find(const struct command_line *line, int value)
{
	for (size_t i = 0; i < line->options_count + USUAL; i++) {
		const struct command_option *option = option_at(line, i);

		if (value == (option->letter ? option->letter : FIRST_VALUE + (int)i))
			return option;
	}
	return NULL;
}

/*
 * Which flag it was, as it was written. A letter that is unknown may stand before others, as in -xq:
 * getopt() has not passed the argument then, and the one before it has nothing to do with it.
 */
static int flag_error(const struct command_line *line, int value, char *const argv[])
{
	const char *argument = argv[optind - 1];
	bool is_known = optopt > 0 && find(line, optopt);
	bool is_long = is_known ? argument[0] == '-' && argument[1] == '-' : optopt == 0;
	const char *what = value == ':' ? "flag needs an argument"
			   : is_known	? "flag takes no argument"
					: "unknown flag";

	if (is_long)
		return command_line_error(line->name, "%s: %.60s", what, argument);
	return command_line_error(line->name, "%s: -%c", what, optopt);
}

static int check_count(const struct command_line *line, int argc, char **argv)
{
	int count = argc - optind;

	if (count < line->least)
		return command_line_error(line->name, "an argument is missing: %s",
					  line->arguments);
	if (count > line->most && line->most == 0)
		return command_line_error(line->name, "it takes no arguments but flags: %.60s",
					  argv[optind]);
	if (count > line->most)
		return command_line_error(line->name, "one argument too many: %.60s",
					  argv[optind + line->most]);
	return -1;
}

int command_line_parse(const struct command_line *line, int argc, char **argv, int *ret_first)
{
	struct tables tables = { .shorts = "" };
	int value;

	make_tables(line, &tables);
	opterr = 0;
	while ((value = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		const struct command_option *option = find(line, value);

		if (!option)
			return flag_error(line, value, argv);
		if (value == 'h') {
			print_help(line);
			return EXIT_SUCCESS;
		}
		if (option->value)
			*option->text = optarg;
		else
			*option->is_set = true;
	}
	*ret_first = optind;
	return check_count(line, argc, argv);
}
