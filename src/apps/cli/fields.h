/* SPDX-License-Identifier: Apache-2.0 */
/* Members of the daemon's answers, as people read them. */
#ifndef FAIRLEAD_APPS_CLI_FIELDS_H
#define FAIRLEAD_APPS_CLI_FIELDS_H

#include <jansson.h>
#include <stdint.h>

#include "apps/cli/table.h"

#define FIELD_MAX 64

/* The text of a member; "-" where it is null or there is none. */
const char *field_text(const json_t *object, const char *key);

/* A number of a member, 0 where there is none; also of one that has a fraction. */
uint64_t field_number(const json_t *object, const char *key);

/* As "1.2kB", "1.2kB/s", "1m5s", "17". All return the buffer. */
const char *field_size(const json_t *object, const char *key, char buffer[FIELD_MAX]);
const char *field_rate(const json_t *object, const char *key, char buffer[FIELD_MAX]);
const char *field_age(const json_t *object, const char *key, char buffer[FIELD_MAX]);
const char *field_count(const json_t *object, const char *key, char buffer[FIELD_MAX]);

/* An answer as it is, for --json. */
void field_print_json(const json_t *answer);

/* A row of each kind; the tables have the columns of fields.c. */
void fields_rules_init(struct table *table);
void fields_rules_add(struct table *table, const json_t *rule);
/* Why the relay carries one that was to be carried by the kernel. */
void fields_rules_note(FILE *out, const json_t *rule);
void fields_sessions_init(struct table *table);
void fields_sessions_add(struct table *table, const json_t *session);
void fields_clients_init(struct table *table);
void fields_clients_add(struct table *table, const json_t *client);

void fields_assignments_init(struct table *table);
void fields_assignments_add(struct table *table, const json_t *assignment);

#endif
