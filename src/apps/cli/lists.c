/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead ls, sessions, clients: lists of what the daemon has. */
#include <stdio.h>
#include <stdlib.h>

#include "apps/cli/client.h"
#include "apps/cli/command.h"
#include "apps/cli/command_line.h"
#include "apps/cli/fields.h"
#include "apps/cli/list.h"

/* What the daemon gives with one answer at the most. */
#define PAGE "100000"

static const struct list rules = { "rules", fields_rules_init, fields_rules_add,
				   fields_rules_note };
static const struct list sessions = { "sessions", fields_sessions_init, fields_sessions_add, NULL };
static const struct list clients = { "clients", fields_clients_init, fields_clients_add, NULL };

int command_ls(int argc, char **argv)
{
	static bool quiet, as_json;
	static const struct command_option options[] = {
		{ 'q', "quiet", NULL, "Only show rule IDs", &quiet, NULL },
		{ '\0', "json", NULL, "Print JSON", &as_json, NULL },
	};
	static const struct command_line line = { .name = "ls",
						  .arguments = "",
						  .summary = "List the rules of the daemon",
						  .options = options,
						  .options_count = 2 };
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	return list_show("ls", &rules, "/v1/rules", true,
			 quiet	   ? AS_IDS
			 : as_json ? AS_JSON
				   : AS_TABLE);
}

/* What both lists of sessions can be narrowed by. */
static const char *rule, *client, *protocol, *state, *limit;
static bool as_json;

#define FILTERS                                                                                       \
	{ '\0', "rule", "rule", "Of that rule, by ID or name", NULL, &rule },                         \
		{ '\0', "client", "prefix", "Of clients there, as 2001:db8::/32", NULL, &client },    \
		{ '\0', "protocol", "protocol", "tcp, udp or sctp", NULL, &protocol },                \
		{ '\0', "state", "state", "connecting, open, half-closed or closing", NULL, &state }, \
		{ 'n', "limit", "number", "At the most so many", NULL, &limit },                      \
	{                                                                                             \
		'\0', "json", NULL, "Print JSON", &as_json, NULL                                      \
	}

static void add_filters(char path[CLIENT_PATH_MAX])
{
	client_add_query(path, "rule", rule);
	client_add_query(path, "client", client);
	client_add_query(path, "protocol", protocol);
	client_add_query(path, "state", state);
	client_add_query(path, "limit", limit ? limit : PAGE);
}

int command_sessions(int argc, char **argv)
{
	static const struct command_option options[] = { FILTERS };
	static const struct command_line line = {
		.name = "sessions",
		.arguments = "",
		.summary = "List the sessions that are open",
		.more = "A session is a client's connection to the host and the one from there to the\n"
			"container, or a client of UDP. Columns that do not fit the terminal are left out.",
		.options = options,
		.options_count = sizeof(options) / sizeof(options[0]),
	};
	char path[CLIENT_PATH_MAX] = "/v1/sessions";
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	add_filters(path);
	return list_show("sessions", &sessions, path, limit != NULL, as_json ? AS_JSON : AS_TABLE);
}

int command_clients(int argc, char **argv)
{
	static const struct command_option options[] = { FILTERS };
	static const struct command_line line = {
		.name = "clients",
		.arguments = "",
		.summary = "List the clients that have sessions, the busiest first",
		.options = options,
		.options_count = sizeof(options) / sizeof(options[0]),
	};
	char path[CLIENT_PATH_MAX] = "/v1/clients";
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	add_filters(path);
	return list_show("clients", &clients, path, true, as_json ? AS_JSON : AS_TABLE);
}
