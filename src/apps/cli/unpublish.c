/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead unpublish: takes rules away that came through the API. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/client.h"
#include "apps/cli/command.h"
#include "apps/cli/command_line.h"
#include "apps/cli/fields.h"

static const char *drain;

/* "8080/tcp", or "8080" for all protocols, of "[::]:8080" and "tcp". */
static bool is_port(const json_t *rule, const char *wanted)
{
	const char *host = field_text(rule, "host"), *port = strrchr(host, ':');
	const char *protocol = field_text(rule, "protocol");
	char text[4 * FIELD_MAX];

	if (!port)
		return false;
	(void)snprintf(text, sizeof(text), "%s/%s", host, protocol);
	if (strcmp(wanted, text) == 0 || strcmp(wanted, host) == 0)
		return true;
	return strcmp(wanted, strrchr(text, ':') + 1) == 0 ||
	       (isdigit((unsigned char)*wanted) && strcmp(wanted, port + 1) == 0);
}

/* Not by field_text(): the "-" of rules that have no name would mean all of them. */
static bool is_name(const json_t *rule, const char *wanted)
{
	const char *name = json_string_value(json_object_get(rule, "name"));

	return name && strcmp(wanted, name) == 0;
}

static bool matches(const json_t *rule, const char *wanted)
{
	return strcmp(wanted, field_text(rule, "id")) == 0 || is_name(rule, wanted) ||
	       is_port(rule, wanted);
}

static int remove_rule(const json_t *rule, struct error *err)
{
	char path[CLIENT_PATH_MAX];
	json_t *done;
	int r;

	(void)snprintf(path, sizeof(path), "/v1/rules/%.40s", field_text(rule, "id"));
	client_add_query(path, "drain", drain);
	r = client_request("DELETE", path, NULL, &done, err);
	if (r != 0)
		return r;
	printf("%s/%s\n", field_text(rule, "host"), field_text(rule, "protocol"));
	json_decref(done);
	return 0;
}

/* All rules that are meant, of which there must be one. */
static int unpublish(const json_t *rules, const char *wanted)
{
	int found = 0, result = EXIT_SUCCESS;
	struct error err;
	size_t i;
	json_t *rule;

	json_array_foreach(rules, i, rule)
	{
		int r;

		if (!matches(rule, wanted))
			continue;
		found++;
		r = remove_rule(rule, &err);
		if (r != 0)
			result = client_failed("unpublish", &err, r);
		if (r == EXIT_USAGE)
			break; /* it would be said of each */
	}
	if (found > 0)
		return result;
	(void)fprintf(stderr,
		      "fairlead unpublish: there is no rule '%.60s' (fairlead ls shows those that "
		      "there are)\n",
		      wanted);
	return EXIT_FAILURE;
}

int command_unpublish(int argc, char **argv)
{
	static const struct command_option options[] = {
		{ '\0', "drain", "duration", "Let open sessions go on for so long, as 30s", NULL,
		  &drain },
	};
	static const struct command_line line = {
		.name = "unpublish",
		.arguments = "RULE [RULE...]",
		.summary = "Take away rules that were published with 'fairlead publish -d'",
		.more = "RULE is an ID, a name, or a port as 8080, 8080/tcp or [::]:8080/tcp. Sessions "
			"that\nare open are reset, unless they are given time.",
		.options = options,
		.options_count = 1,
		.least = 1,
		.most = 1024,
	};
	json_t *answer;
	struct error err;
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	r = client_get("/v1/rules", &answer, &err);
	if (r != 0)
		return client_failed("unpublish", &err, r);
	for (r = EXIT_SUCCESS; first < argc; first++) {
		int one = unpublish(json_object_get(answer, "rules"), argv[first]);

		r = one != EXIT_SUCCESS ? one : r;
	}
	json_decref(answer);
	return r;
}
