/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/list.h"

#include <stdio.h>

#include "apps/cli/client.h"
#include "apps/cli/fields.h"

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
	if (!list->note)
		return;
	json_array_foreach(items, i, item)
	{
		list->note(stdout, item);
	}
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

int list_show(const char *command, const struct list *list, const char *path, bool is_limited,
	      enum list_form form)
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
