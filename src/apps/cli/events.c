/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead events: what happens in the daemon, as it happens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/client.h"
#include "apps/cli/command.h"
#include "apps/cli/command_line.h"
#include "apps/cli/fields.h"

static bool as_json;

/* A value as it stands behind its name; texts without quotes. */
static void print_value(const char *key, json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		printf(" %s=%s", key, json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
	if (text && !json_is_null(value))
		printf(" %s=%s", key, text);
	free(text);
}

static void print_members(json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (json_is_object(value))
			print_members(value); /* the rule that it is about */
		else if (strcmp(key, "time") != 0 && strcmp(key, "type") != 0 &&
			 strcmp(key, "action") != 0)
			print_value(key, value);
	}
}

/* Ends with the reader: head(1), say. */
static bool print_line(void *context, const char *text)
{
	json_t *event = as_json ? NULL : json_loads(text, 0, NULL);

	(void)context;
	if (event) {
		printf("%s %s %s", field_text(event, "time"), field_text(event, "type"),
		       field_text(event, "action"));
		print_members(event);
		(void)putchar('\n');
	} else {
		printf("%s\n", text);
	}
	json_decref(event);
	return fflush(stdout) == 0;
}

int command_events(int argc, char **argv)
{
	static const char *type;
	static const struct command_option options[] = {
		{ '\0', "type", "type", "rule, daemon, session or all (default: all but session)",
		  NULL, &type },
		{ '\0', "json", NULL, "Print each event as a line of JSON", &as_json, NULL },
	};
	static const struct command_line line = { .name = "events",
						  .arguments = "",
						  .summary = "Show what happens, until Ctrl-C",
						  .options = options,
						  .options_count = 2 };
	char path[CLIENT_PATH_MAX] = "/v1/events";
	struct error err;
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	client_add_query(path, "type", type);
	r = client_stream(path, print_line, NULL, &err);
	return r != 0 ? client_failed("events", &err, r) : EXIT_SUCCESS;
}
