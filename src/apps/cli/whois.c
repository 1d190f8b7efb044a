/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead whois: who stands behind a pseudo-IPv4 address, and which address a client has. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apps/cli/client.h"
#include "apps/cli/command.h"
#include "apps/cli/command_line.h"
#include "apps/cli/fields.h"
#include "apps/cli/list.h"
#include "apps/cli/table.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "net/address.h"

static const char *at;
static bool quiet, as_json;

/* A day and a time of day as this host's clock shows it, or a time of today. */
static bool parse_local(const char *text, uint64_t *ret_s)
{
	static const char *const formats[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M",
					       "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d",
					       "%H:%M:%S",	    "%H:%M" };
	time_t now = time(NULL), then;

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm parts;
		const char *rest;

		localtime_r(&now, &parts);
		parts.tm_sec = 0;
		if (formats[i][1] == 'Y')
			parts.tm_hour = parts.tm_min = 0;
		rest = strptime(text, formats[i], &parts);
		if (!rest || *rest)
			continue;
		parts.tm_isdst = -1;
		then = mktime(&parts);
		*ret_s = then < 0 ? 0 : (uint64_t)then;
		return then >= 0;
	}
	return false;
}

static bool parse_time(const char *text, uint64_t *ret_s)
{
	uint64_t ago_ns, now_s = (uint64_t)time(NULL);

	if (timestamp_parse(text, ret_s) == 0 || parse_local(text, ret_s))
		return true;
	if (text_parse_number(text, strlen(text), INT64_MAX, ret_s) == 0)
		return true;
	if (text_parse_duration(text, &ago_ns) < 0 || ago_ns / NS_PER_S > now_s)
		return false;
	*ret_s = now_s - ago_ns / NS_PER_S;
	return true;
}

/* The other one of both. */
static void print_quiet(const struct address *asked, const json_t *assignment)
{
	struct address pseudo;

	if (address_parse_ip(field_text(assignment, "pseudo_ipv4"), &pseudo) == 0 &&
	    address_equal(&pseudo, asked))
		printf("%s\n", field_text(assignment, "client"));
	else
		printf("%s\n", field_text(assignment, "pseudo_ipv4"));
}

static int ask(const struct address *address)
{
	char path[CLIENT_PATH_MAX], ip[ADDRESS_TEXT_MAX], seconds[24];
	struct table table;
	uint64_t at_s = 0;
	struct error err;
	json_t *answer;
	int r;

	if (at && !parse_time(at, &at_s))
		return command_line_error("whois",
					  "--at: '%.40s' is no time, like '2026-11-23 09:00', "
					  "2026-11-23T09:00:00Z, 09:00 or 2h (ago)",
					  at);
	(void)snprintf(path, sizeof(path), "/v1/whois/%.70s", address_format_ip(address, ip));
	(void)snprintf(seconds, sizeof(seconds), "%" PRIu64, at_s);
	client_add_query(path, "at", at ? seconds : NULL);
	r = client_get(path, &answer, &err);
	if (r != 0)
		return client_failed("whois", &err, r);
	if (as_json) {
		field_print_json(answer);
	} else if (quiet) {
		print_quiet(address, answer);
	} else {
		fields_assignments_init(&table);
		fields_assignments_add(&table, answer);
		table_print(&table, stdout);
		table_fini(&table);
	}
	json_decref(answer);
	return EXIT_SUCCESS;
}

static const struct list assignments = { "assignments", fields_assignments_init,
					 fields_assignments_add, NULL };

int command_whois(int argc, char **argv)
{
	static const struct command_option options[] = {
		{ '\0', "at", "time", "Then, and not now: '2026-11-23 09:00', or 2h (ago)", NULL,
		  &at },
		{ 'q', "quiet", NULL, "Only show the other address", &quiet, NULL },
		{ '\0', "json", NULL, "Print JSON", &as_json, NULL },
	};
	static const struct command_line line = {
		.name = "whois",
		.arguments = "[ADDRESS]",
		.summary =
			"Show who stands behind a pseudo-IPv4 address, or which one a client has",
		.more = "Without an address, all clients that have one are listed.",
		.options = options,
		.options_count = 3,
		.most = 1,
	};
	struct address address;
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	if (first == argc && (at || quiet))
		return command_line_error("whois", "%s needs an address", at ? "--at" : "--quiet");
	if (first == argc)
		return list_show("whois", &assignments, "/v1/pseudo-ipv4?limit=100000", false,
				 as_json ? AS_JSON : AS_TABLE);
	if (address_parse_ip(argv[first], &address) < 0)
		return command_line_error("whois", "'%.60s' is no IP address", argv[first]);
	return ask(&address);
}
