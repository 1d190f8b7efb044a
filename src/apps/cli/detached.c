/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/detached.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/cli/client.h"
#include "apps/cli/fields.h"

static void print_published(const json_t *rules)
{
	size_t i;
	json_t *rule;

	json_array_foreach(rules, i, rule)
	{
		printf("Listening on %s/%s -> %s\n", field_text(rule, "host"),
		       field_text(rule, "protocol"), field_text(rule, "container"));
	}
}

static json_t *encode(const struct publish_options *options, size_t i)
{
	json_t *rule = json_pack("{s:s, s:s, s:s*}", "publish", options->texts[i], "container",
				 options->container_text, "name", options->name);
	char buffer[IDENTITY_TEXT_MAX];

	for (size_t key = 0; identity_keys[key]; key++) {
		const char *text = identity_format(&options->identity, identity_keys[key], buffer);

		if (text)
			(void)json_object_set_new(rule, identity_keys[key], json_string(text));
	}
	return rule;
}

int publish_detached(const struct publish_options *options)
{
	json_t *body = json_array(), *answer;
	struct error err;
	int r;

	for (size_t i = 0; i < options->specs_count; i++)
		(void)json_array_append_new(body, encode(options, i));
	r = client_request("POST", "/v1/rules", body, &answer, &err);
	json_decref(body);
	if (r != 0)
		return client_failed("publish", &err, r);
	print_published(json_object_get(answer, "rules"));
	json_decref(answer);
	return EXIT_SUCCESS;
}
