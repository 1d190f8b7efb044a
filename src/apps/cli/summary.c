/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/summary.h"

#include <inttypes.h>

#include "base/text.h"

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

static const char *plural(uint64_t number)
{
	return number == 1 ? "" : "s";
}

/* "2 refused, 1 connect-timeout": what did not end well, so that it is seen without a log. */
static void print_notes(FILE *out, const struct published_port *port)
{
	const struct relay_counters *counters = &port->route.counters;
	const char *separator = "";

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

static void print_port(FILE *out, const struct published_port *port)
{
	const struct relay_counters *counters = &port->route.counters;
	char host[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX], name[ADDRESS_TEXT_MAX + 8];
	char in[TEXT_SIZE_MAX], out_size[TEXT_SIZE_MAX];

	(void)snprintf(name, sizeof(name), "%s/%s", address_format(&port->rule.host, host),
		       protocol_name(port->rule.protocol));
	(void)fprintf(out, "%-28s %-22s %8" PRIu64 " %9s %9s   ", name,
		      address_format(&port->rule.container, container), counters->sessions,
		      text_format_size(counters->in_bytes, in),
		      text_format_size(counters->out_bytes, out_size));
	print_notes(out, port);
	(void)fputc('\n', out);
}

void summary_print(FILE *out, const struct publisher *publisher)
{
	uint32_t used = 0, unused = 0;

	for (struct published_port *port = publisher_next(publisher, NULL); port;
	     port = publisher_next(publisher, port)) {
		if (!was_used(&port->route.counters)) {
			unused++;
			continue;
		}
		if (used++ == 0)
			(void)fprintf(out, "%-28s %-22s %8s %9s %9s   %s\n", "PUBLISHED",
				      "CONTAINER", "SESSIONS", "IN", "OUT", "NOTES");
		print_port(out, port);
	}
	if (unused > 0)
		(void)fprintf(out, "%u %sport%s carried nothing\n", unused,
			      used > 0 ? "other " : "", plural(unused));
}
