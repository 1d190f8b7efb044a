/* SPDX-License-Identifier: Apache-2.0 */
#include "control/access_entry.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-journal.h>

#include "base/timestamp.h"
#include "control/shown.h"

static const char *address_text(const struct address *address, char buffer[ADDRESS_TEXT_MAX])
{
	return address->family == AF_UNSPEC ? "-" : address_format(address, buffer);
}

static double seconds(const struct session_end *end)
{
	return (double)(end->ended_ns - end->session.started_ns) / 1e9;
}

char *access_entry_text(const struct access_entry *entry, const struct timespec *when)
{
	const struct session *session = &entry->end.session;
	char time[TIMESTAMP_MAX], client[ADDRESS_TEXT_MAX], host[ADDRESS_TEXT_MAX];
	char source[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];
	char announcer[ADDRESS_TEXT_MAX];
	bool is_announced = session->announcer.family != AF_UNSPEC;
	char *line = NULL;
	int length = asprintf(&line,
			      "%s %s %s %s %s %s in=%" PRIu64 " out=%" PRIu64
			      " duration=%.3f end=%s%s%s%s%s%s",
			      timestamp_format(when, time), protocol_name(entry->rule.protocol),
			      address_text(&session->client, client),
			      address_text(&session->host, host),
			      address_text(&session->source, source),
			      address_text(&session->container, container), session->in_bytes,
			      session->out_bytes, seconds(&entry->end),
			      end_reason_name(entry->end.reason),
			      entry->rule.name[0] ? " rule=" : "", entry->rule.name,
			      is_announced ? " announcer=" : "",
			      is_announced ? address_format(&session->announcer, announcer) : "",
			      session->by_kernel ? " path=kernel" : "");

	return length < 0 ? NULL : line;
}

json_t *access_entry_json(const struct access_entry *entry)
{
	const struct session *session = &entry->end.session;
	char id[RULE_ID_MAX];

	return json_pack("{s:I, s:s, s:s, s:s*, s:o, s:o, s:o, s:o, s:o*, s:I, s:I, s:f, s:s, s:s}",
			 "id", (json_int_t)session->id, "protocol",
			 protocol_name(entry->rule.protocol), "rule",
			 rule_label_id(&entry->rule, id), "name",
			 entry->rule.name[0] ? entry->rule.name : NULL, "client",
			 shown_address(&session->client), "host", shown_address(&session->host),
			 "source", shown_address(&session->source), "container",
			 shown_address(&session->container), "announcer", shown_announcer(session),
			 "in_bytes", (json_int_t)session->in_bytes, "out_bytes",
			 (json_int_t)session->out_bytes, "duration_s", seconds(&entry->end), "end",
			 end_reason_name(entry->end.reason), "path",
			 session->by_kernel ? "kernel" : "relay");
}

/* The time stands in front. */
char *access_entry_json_line(const struct access_entry *entry, const struct timespec *when)
{
	char time[TIMESTAMP_MAX];
	json_t *object = json_pack("{s:s}", "time", timestamp_format(when, time));
	json_t *rest = access_entry_json(entry);
	char *line = NULL;

	if (object && rest && json_object_update(object, rest) == 0)
		line = json_dumps(object, SHOWN_FLAGS);
	json_decref(rest);
	json_decref(object);
	return line;
}

bool access_entry_to_journal(const struct access_entry *entry, const char *line)
{
	char client[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];
	const struct session *session = &entry->end.session;

	return sd_journal_send("MESSAGE=%s", line, "PRIORITY=6", "SYSLOG_IDENTIFIER=fairleadd",
			       "FAIRLEAD_CLIENT=%s", address_text(&session->client, client),
			       "FAIRLEAD_CONTAINER=%s",
			       address_text(&session->container, container), "FAIRLEAD_END=%s",
			       end_reason_name(entry->end.reason), "FAIRLEAD_RULE=%s",
			       entry->rule.name, NULL) == 0;
}
