/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead: the command. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/command.h"
#include "apps/version.h"
#include "base/error.h"
#include "base/processors.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *meaning;
} commands[] = {
	{ "publish", command_publish,
	  "Publish ports of a container, in the foreground or the daemon" },
	{ "unpublish", command_unpublish, "Take away rules that the daemon was told to publish" },
	{ "ls", command_ls, "List the rules of the daemon" },
	{ "sessions", command_sessions, "List the sessions that are open" },
	{ "clients", command_clients, "List the clients that have sessions" },
	{ "whois", command_whois, "Show who stands behind a pseudo-IPv4 address" },
	{ "disconnect", command_disconnect, "End sessions" },
	{ "top", command_top, "Show sessions, rules or clients live" },
	{ "stats", command_stats, "Show what the daemon has carried" },
	{ "events", command_events, "Show what happens, as it happens" },
	{ "reload", command_reload, "Have the daemon read its configuration again" },
	{ "health", command_health, "Say whether the daemon is well" },
	{ "doctor", command_doctor, "Say what of Fairlead this host can use, and what is missing" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
	printf("Usage:  fairlead COMMAND\n\n"
	       "IPv6 (and all other) access to the published ports of IPv4-only containers\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %-11s %s\n", commands[i].name, commands[i].meaning);
	printf("\nOptions:\n"
	       "  -h, --help      Print this text and quit\n"
	       "  -v, --version   Print version information and quit\n\n"
	       "All commands but 'doctor', and 'publish' without -d, ask the daemon, fairleadd.\n"
	       "Run 'fairlead COMMAND --help' for more information on a command.\n");
}

/* What has not been written to the end is not done: a full disk, say. */
static int finish(const char *name, int exit_code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return exit_code;
	(void)fprintf(stderr, "fairlead %s: standard output cannot be written: %s\n", name,
		      error_name(errno));
	return exit_code == EXIT_SUCCESS ? EXIT_FAILURE : exit_code;
}

/* Whoever looks gives way to what carries; a list of 9,000 sessions computes for some time. */
static int run(const struct command *command, int argc, char **argv)
{
	if (command->run != command_publish)
		processors_give_way();
	return finish(command->name, command->run(argc, argv));
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";

	if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
		print_help();
		return EXIT_SUCCESS;
	}
	if (strcmp(name, "-v") == 0 || strcmp(name, "--version") == 0 ||
	    strcmp(name, "version") == 0) {
		printf("fairlead version %s, build %s\n", FAIRLEAD_VERSION, FAIRLEAD_COMMIT);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			return run(&commands[i], argc - 1, argv + 1);
	if (name[0] == '-')
		(void)fprintf(stderr, "fairlead: unknown flag: %.60s\nSee 'fairlead --help'.\n",
			      name);
	else
		(void)fprintf(
			stderr,
			"fairlead: '%.60s' is not a fairlead command.\nSee 'fairlead --help'.\n",
			name);
	return EXIT_USAGE;
}
