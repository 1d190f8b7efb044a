/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a command that speaks to the daemon: options by a table, --socket and --help
 * among them for all, and the same sentences for what is wrong.
 */
#ifndef FAIRLEAD_APPS_CLI_COMMAND_LINE_H
#define FAIRLEAD_APPS_CLI_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct command_option {
	char letter; /* '\0': it has a long name only */
	const char *name;
	const char *value; /* the name of what it takes, such as "duration"; NULL: nothing */
	const char *meaning;
	bool *is_set;	   /* for one that takes nothing */
	const char **text; /* for one that takes a value */
};

struct command_line {
	const char *name;
	const char *arguments; /* as the usage line shows them; "" for none */
	const char *summary;
	const char *more; /* paragraphs between summary and options; may be NULL */
	const struct command_option *options;
	size_t options_count;
	int least, most; /* arguments */
};

/*
 * Parses it. Returns -1 to go on, with *ret_first the place of the first argument, else the exit
 * code. --socket goes to command_line_socket().
 */
int command_line_parse(const struct command_line *line, int argc, char **argv, int *ret_first);

/* A sentence about the command line, on standard error. Returns EXIT_USAGE. */
int command_line_error(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define COMMAND_LINE_SOCKET "/run/fairlead/fairlead.sock"

/* The daemon's socket: that of --socket, of FAIRLEAD_SOCKET, or the usual one. */
const char *command_line_socket(void);
void command_line_set_socket(const char *path);

#endif
