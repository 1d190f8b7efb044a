/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/fields.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/text.h"

const char *field_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : "-";
}

uint64_t field_number(const json_t *object, const char *key)
{
	double value = json_number_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

const char *field_size(const json_t *object, const char *key, char buffer[FIELD_MAX])
{
	char size[TEXT_SIZE_MAX];

	(void)snprintf(buffer, FIELD_MAX, "%s", text_format_size(field_number(object, key), size));
	return buffer;
}

const char *field_rate(const json_t *object, const char *key, char buffer[FIELD_MAX])
{
	char size[TEXT_SIZE_MAX];

	(void)snprintf(buffer, FIELD_MAX, "%s/s",
		       text_format_size(field_number(object, key), size));
	return buffer;
}

const char *field_age(const json_t *object, const char *key, char buffer[FIELD_MAX])
{
	char duration[TEXT_DURATION_MAX];

	/* whole seconds: nobody reads the rest, and it makes columns dance */
	(void)snprintf(buffer, FIELD_MAX, "%s",
		       text_format_duration(field_number(object, key) * NS_PER_S, duration));
	return field_number(object, key) == 0 ? "0s" : buffer;
}

const char *field_count(const json_t *object, const char *key, char buffer[FIELD_MAX])
{
	(void)snprintf(buffer, FIELD_MAX, "%" PRIu64, field_number(object, key));
	return buffer;
}

void field_print_json(const json_t *answer)
{
	(void)json_dumpf(answer, stdout, JSON_INDENT(2));
	(void)putchar('\n');
}

void fields_rules_init(struct table *table)
{
	static const struct table_column columns[] = {
		{ "ID", 7, false },	   { "NAME", 4, false },     { "PORT", 0, false },
		{ "CONTAINER", 1, false }, { "IDENTITY", 5, false }, { "ORIGIN", 9, false },
		{ "STATE", 8, false },	   { "SESSIONS", 2, true },  { "IN", 6, true },
		{ "OUT", 6, true },	   { "PATH", 3, false },
	};

	table_init(table, columns, sizeof(columns) / sizeof(columns[0]));
}

void fields_rules_note(FILE *out, const json_t *rule)
{
	const char *host = field_text(rule, "host");

	/* the kernel path is for IPv6 alone, which need not be said of each rule of IPv4 */
	if (json_object_get(rule, "carried_why") && host[0] == '[')
		(void)fprintf(out, "%s/%s is carried by the relay: %s\n", host,
			      field_text(rule, "protocol"), field_text(rule, "carried_why"));
}

void fields_rules_add(struct table *table, const json_t *rule)
{
	const json_t *counters = json_object_get(rule, "counters");
	char port[2 * FIELD_MAX], sessions[FIELD_MAX], in[FIELD_MAX], out[FIELD_MAX];
	const char *cells[] = { field_text(rule, "id"),
				field_text(rule, "name"),
				port,
				field_text(rule, "container"),
				field_text(rule, "identity"),
				field_text(rule, "origin"),
				field_text(rule, "state"),
				field_count(counters, "open", sessions),
				field_size(counters, "in_bytes", in),
				field_size(counters, "out_bytes", out),
				field_text(rule, "carried_by") };

	(void)snprintf(port, sizeof(port), "%s/%s", field_text(rule, "host"),
		       field_text(rule, "protocol"));
	table_add(table, cells);
}

void fields_sessions_init(struct table *table)
{
	static const struct table_column columns[] = {
		{ "ID", 6, true },	   { "PROTO", 5, false },  { "CLIENT", 0, false },
		{ "HOST", 8, false },	   { "SOURCE", 9, false }, { "CONTAINER", 1, false },
		{ "STATE", 4, false },	   { "AGE", 3, true },	   { "IN", 2, true },
		{ "OUT", 2, true },	   { "IN/S", 7, true },	   { "OUT/S", 7, true },
		{ "IDENTITY", 10, false }, { "PATH", 11, false },
	};

	table_init(table, columns, sizeof(columns) / sizeof(columns[0]));
}

void fields_sessions_add(struct table *table, const json_t *session)
{
	char id[FIELD_MAX], age[FIELD_MAX], in[FIELD_MAX], out[FIELD_MAX];
	char in_rate[FIELD_MAX], out_rate[FIELD_MAX];
	const char *cells[] = { field_count(session, "id", id),
				field_text(session, "protocol"),
				field_text(session, "client"),
				field_text(session, "host"),
				field_text(session, "source"),
				field_text(session, "container"),
				field_text(session, "state"),
				field_age(session, "age_s", age),
				field_size(session, "in_bytes", in),
				field_size(session, "out_bytes", out),
				field_rate(session, "in_bytes_s", in_rate),
				field_rate(session, "out_bytes_s", out_rate),
				field_text(session, "identity"),
				field_text(session, "path") };

	table_add(table, cells);
}

void fields_clients_init(struct table *table)
{
	static const struct table_column columns[] = {
		{ "CLIENT", 0, false }, { "PSEUDO-IPV4", 2, false }, { "SESSIONS", 0, true },
		{ "IN", 1, true },	{ "OUT", 1, true },	     { "IN/S", 0, true },
		{ "OUT/S", 0, true },
	};

	table_init(table, columns, sizeof(columns) / sizeof(columns[0]));
}

void fields_clients_add(struct table *table, const json_t *client)
{
	char sessions[FIELD_MAX], in[FIELD_MAX], out[FIELD_MAX];
	char in_rate[FIELD_MAX], out_rate[FIELD_MAX];
	const char *cells[] = { field_text(client, "ip"),
				field_text(client, "pseudo_ipv4"),
				field_count(client, "sessions", sessions),
				field_size(client, "in_bytes", in),
				field_size(client, "out_bytes", out),
				field_rate(client, "in_bytes_s", in_rate),
				field_rate(client, "out_bytes_s", out_rate) };

	table_add(table, cells);
}

void fields_assignments_init(struct table *table)
{
	static const struct table_column columns[] = {
		{ "PSEUDO-IPV4", 0, false }, { "CLIENT", 0, false },	{ "SESSIONS", 3, true },
		{ "SINCE", 2, false },	     { "LAST SEEN", 1, false },
	};

	table_init(table, columns, sizeof(columns) / sizeof(columns[0]));
}

void fields_assignments_add(struct table *table, const json_t *assignment)
{
	char sessions[FIELD_MAX];
	const char *cells[] = { field_text(assignment, "pseudo_ipv4"),
				field_text(assignment, "client"),
				field_count(assignment, "sessions", sessions),
				field_text(assignment, "since"),
				field_text(assignment, "last_seen") };

	table_add(table, cells);
}
