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

int publish_detached(const char *const *ports, size_t ports_count, const char *container,
		     const char *name)
{
	json_t *body = json_array(), *answer;
	struct error err;
	int r;

	for (size_t i = 0; i < ports_count; i++)
		(void)json_array_append_new(body, json_pack("{s:s, s:s, s:s*}", "publish", ports[i],
							    "container", container, "name", name));
	r = client_request("POST", "/v1/rules", body, &answer, &err);
	json_decref(body);
	if (r != 0)
		return client_failed("publish", &err, r);
	print_published(json_object_get(answer, "rules"));
	json_decref(answer);
	return EXIT_SUCCESS;
}
