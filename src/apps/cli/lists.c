/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead ls, sessions, clients: lists of what the daemon has. */
#include <stdio.h>
#include <stdlib.h>

#include "apps/cli/client.h"
#include "apps/cli/command.h"
#include "apps/cli/command_line.h"
#include "apps/cli/fields.h"
#include "apps/cli/table.h"

/* What the daemon gives with one answer at the most. */
#define PAGE "100000"

struct list {
	const char *key; /* of the array in the answer */
	void (*init)(struct table *table);
	void (*add)(struct table *table, const json_t *item);
};

static const struct list rules = { "rules", fields_rules_init, fields_rules_add };
static const struct list sessions = { "sessions", fields_sessions_init, fields_sessions_add };
static const struct list clients = { "clients", fields_clients_init, fields_clients_add };

static void print_table(const struct list *list, const json_t *items)
{
	struct table table;
	size_t i;
	json_t *item;

	list->init(&table);
	json_array_foreach(items, i, item)
	{
		list->add(&table, item);
	}
	table_print(&table, stdout);
	table_fini(&table);
}

/*
 * The whole list: answer by answer, as long as the daemon says that there is a next. With a limit,
 * which is part of the path then, what one answer has.
 */
static int fetch(const struct list *list, const char *path, bool is_limited, json_t *items,
		 struct error *err)
{
	char next[CLIENT_PATH_MAX];
	bool more = true;

	(void)snprintf(next, sizeof(next), "%s", path);
	while (more) {
		char after[FIELD_MAX];
		json_t *answer;
		int r = client_get(next, &answer, err);

		if (r != 0)
			return r;
		(void)json_array_extend(items, json_object_get(answer, list->key));
		more = !is_limited && json_is_integer(json_object_get(answer, "next"));
		(void)snprintf(next, sizeof(next), "%s", path);
		client_add_query(next, "after", field_count(answer, "next", after));
		json_decref(answer);
	}
	return 0;
}

static void print_ids(const json_t *items)
{
	size_t i;
	json_t *item;

	json_array_foreach(items, i, item)
	{
		printf("%s\n", field_text(item, "id"));
	}
}

enum form { AS_TABLE, AS_JSON, AS_IDS };

static int show(const char *command, const struct list *list, const char *path, bool is_limited,
		enum form form)
{
	json_t *items = json_array();
	struct error err;
	int r = fetch(list, path, is_limited, items, &err);

	if (r != 0)
		r = client_failed(command, &err, r);
	else if (form == AS_IDS)
		print_ids(items);
	else if (form == AS_JSON)
		field_print_json(items);
	else
		print_table(list, items);
	json_decref(items);
	return r;
}

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
	return show("ls", &rules, "/v1/rules", true, quiet ? AS_IDS : as_json ? AS_JSON : AS_TABLE);
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
	return show("sessions", &sessions, path, limit != NULL, as_json ? AS_JSON : AS_TABLE);
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
	return show("clients", &clients, path, true, as_json ? AS_JSON : AS_TABLE);
}
