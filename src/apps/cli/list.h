/* SPDX-License-Identifier: Apache-2.0 */
/* A list of the daemon's, fetched whole and shown. */
#ifndef FAIRLEAD_APPS_CLI_LIST_H
#define FAIRLEAD_APPS_CLI_LIST_H

#include <jansson.h>
#include <stdbool.h>

#include "apps/cli/table.h"

struct list {
	const char *key; /* of the array in the answer */
	void (*init)(struct table *table);
	void (*add)(struct table *table, const json_t *item);
	void (*note)(FILE *out, const json_t *item); /* below the table; NULL: there is none */
};

enum list_form { AS_TABLE, AS_JSON, AS_IDS };

/*
 * Fetches the list at that path, page after page unless is_limited, and prints it. Returns the exit
 * code; what failed has been said.
 */
int list_show(const char *command, const struct list *list, const char *path, bool is_limited,
	      enum list_form form);

#endif
