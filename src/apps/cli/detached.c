/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/detached.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/client.h"
#include "apps/cli/fields.h"

#define LOOKS_MAX 20
#define LOOK_AGAIN_US 100000

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

/* Whether it is known by now who carries a port, which is found out a moment after it was published. */
static bool is_considered(const json_t *rule)
{
	return strcmp(field_text(rule, "carried_why"), PATH_NOT_KNOWN) != 0;
}

/* The rule as it is now. The caller gives it back; NULL where it has gone, or cannot be had. */
static json_t *look(const char *id)
{
	char path[CLIENT_PATH_MAX];
	json_t *answer;
	struct error err;

	(void)snprintf(path, sizeof(path), "/v1/rules/%.40s", id);
	return client_get(path, &answer, &err) == 0 ? answer : NULL;
}

/* Where the relay carries what was to be the kernel's, its user is told why. */
static void tell_who_carries(const json_t *published)
{
	size_t i;
	json_t *rule;

	json_array_foreach(published, i, rule)
	{
		json_t *now = look(field_text(rule, "id"));

		for (int tries = 0; now && !is_considered(now) && tries < LOOKS_MAX; tries++) {
			usleep(LOOK_AGAIN_US);
			json_decref(now);
			now = look(field_text(rule, "id"));
		}
		if (now)
			fields_rules_note(stderr, now);
		json_decref(now);
	}
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
	if (options->identity.path != PATH_RELAY)
		tell_who_carries(json_object_get(answer, "rules"));
	json_decref(answer);
	return EXIT_SUCCESS;
}
