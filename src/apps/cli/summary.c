/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/summary.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"

#define NAME_TEXT_MAX (ADDRESS_TEXT_MAX + 8) /* with "/" and the protocol */

static bool was_used(const struct relay_counters *counters)
{
	return counters->sessions > 0 || counters->dropped_datagrams > 0;
}

/*
 * Whether sessions that ended so deserve a note: UDP knows no good end, so those that were open
 * just stop.
 */
static bool is_notable(const struct published_port *port, enum end_reason reason)
{
	if (reason == END_DONE || reason == END_IDLE)
		return false;
	return reason != END_STOPPED || port->rule.protocol != PROTOCOL_UDP;
}

const char *plural(uint64_t number)
{
	return number == 1 ? "" : "s";
}

/* "2 refused, 1 connect-timeout": what did not end well, so that it is seen without a log. */
static void print_notes(FILE *out, const struct published_port *port)
{
	const struct relay_counters *counters = &port->route.counters;
	const char *separator = "   ";

	for (int reason = 0; reason < END_REASONS; reason++) {
		if (counters->ended[reason] == 0 || !is_notable(port, (enum end_reason)reason))
			continue;
		(void)fprintf(out, "%s%" PRIu64 " %s", separator, counters->ended[reason],
			      end_reason_name((enum end_reason)reason));
		separator = ", ";
	}
	if (counters->dropped_datagrams > 0) {
		(void)fprintf(out, "%s%" PRIu64 " datagram%s dropped", separator,
			      counters->dropped_datagrams, plural(counters->dropped_datagrams));
		separator = ", ";
	}
	if (counters->refused_datagrams > 0)
		(void)fprintf(out, "%s%" PRIu64 " datagram%s refused", separator,
			      counters->refused_datagrams, plural(counters->refused_datagrams));
}

/* Widths of the two columns of addresses, so that a table of short ones fits 80 columns. */
struct widths {
	int name, container;
};

static void format_name(const struct published_port *port, char name[NAME_TEXT_MAX])
{
	char host[ADDRESS_TEXT_MAX];

	(void)snprintf(name, NAME_TEXT_MAX, "%s/%s", address_format(&port->rule.host, host),
		       protocol_name(port->rule.protocol));
}

static void widen(struct widths *widths, const struct published_port *port)
{
	char name[NAME_TEXT_MAX], container[ADDRESS_TEXT_MAX];
	int length;

	format_name(port, name);
	length = (int)strlen(name);
	if (length > widths->name)
		widths->name = length;
	length = (int)strlen(address_format(&port->rule.container, container));
	if (length > widths->container)
		widths->container = length;
}

static void print_port(FILE *out, const struct published_port *port, const struct widths *widths)
{
	const struct relay_counters *counters = &port->route.counters;
	char name[NAME_TEXT_MAX], container[ADDRESS_TEXT_MAX];
	char in[TEXT_SIZE_MAX], out_size[TEXT_SIZE_MAX];

	format_name(port, name);
	(void)fprintf(out, "%-*s   %-*s   %8" PRIu64 "   %6s   %6s", widths->name, name,
		      widths->container, address_format(&port->rule.container, container),
		      counters->sessions, text_format_size(counters->in_bytes, in),
		      text_format_size(counters->out_bytes, out_size));
	print_notes(out, port);
	(void)fputc('\n', out);
}

void summary_print(FILE *out, const struct publisher *publisher,
		   bool (*is_carried_otherwise)(const struct published_port *port))
{
	struct widths widths = { .name = sizeof("PUBLISHED") - 1,
				 .container = sizeof("CONTAINER") - 1 };
	uint32_t used = 0, unused = 0;

	for (struct published_port *port = publisher_next(publisher, NULL); port;
	     port = publisher_next(publisher, port)) {
		if (was_used(&port->route.counters)) {
			used++;
			widen(&widths, port);
		} else {
			unused += !is_carried_otherwise || !is_carried_otherwise(port);
		}
	}
	if (used > 0)
		(void)fprintf(out, "%-*s   %-*s   %8s   %6s   %6s   %s\n", widths.name, "PUBLISHED",
			      widths.container, "CONTAINER", "SESSIONS", "IN", "OUT", "NOTES");
	for (struct published_port *port = publisher_next(publisher, NULL); port;
	     port = publisher_next(publisher, port))
		if (was_used(&port->route.counters))
			print_port(out, port, &widths);
	if (unused > 0)
		(void)fprintf(out, "%u %sport%s carried nothing\n", unused,
			      used > 0 ? "other " : "", plural(unused));
}
