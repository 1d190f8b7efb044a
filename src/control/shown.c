/* SPDX-License-Identifier: Apache-2.0 */
#include "control/shown.h"

#include <string.h>

#include "api/rules.h"
#include "base/clock.h"
#include "base/timestamp.h"

static json_t *shown_ends(const struct relay_counts *counts)
{
	json_t *ends = json_object();

	for (int reason = 0; ends && reason < END_REASONS; reason++)
		if (counts->ended[reason] > 0)
			(void)json_object_set_new(ends, end_reason_name((enum end_reason)reason),
						  json_integer((json_int_t)counts->ended[reason]));
	return ends;
}

json_t *shown_counts(const struct relay_counts *counts)
{
	json_t *object = json_object();

#define COUNTER(field, kind, metric, label, help) \
	(void)json_object_set_new(object, #field, json_integer((json_int_t)counts->field));
#include "relay/counters.def"
#undef COUNTER
	(void)json_object_set_new(object, "ended", shown_ends(counts));
	return object;
}

json_t *shown_changed(const struct rules_changed *changed)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "added", (json_int_t)changed->added, "removed",
			 (json_int_t)changed->removed, "changed", (json_int_t)changed->changed,
			 "kept", (json_int_t)changed->kept);
}

json_t *shown_port(const struct port_shown *port)
{
	json_t *object = rules_encode(&port->rule);

	(void)json_object_set_new(object, "state",
				  json_string(port->paused ? "waiting" : "listening"));
	(void)json_object_set_new(object, "carried_by",
				  json_string(port->by_kernel.is_carried ? "kernel" : "relay"));
	if (port->rule.identity.path != PATH_RELAY && !port->by_kernel.is_carried)
		(void)json_object_set_new(object, "carried_why",
					  json_string(port->by_kernel.obstacle.text));
	(void)json_object_set_new(object, "counters", shown_counts(&port->counts));
	return object;
}

json_t *shown_address(const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	return address->family == AF_UNSPEC ? json_null()
					    : json_string(address_format(address, text));
}

const char *shown_client_prefix(const struct prefix *client, char buffer[PREFIX_TEXT_MAX])
{
	uint8_t whole = client->family == AF_INET ? 32 : 128;

	(void)prefix_format(client, buffer);
	if (client->length == whole)
		buffer[strcspn(buffer, "/")] = '\0';
	return buffer;
}

json_t *shown_announcer(const struct session *session)
{
	return session->announcer.family == AF_UNSPEC ? NULL : shown_address(&session->announcer);
}

static const char *kinds_text(uint8_t kinds, char buffer[IDENTITY_TEXT_MAX])
{
	const struct identity identity = { .kinds = kinds };
	const char *text = identity_format(&identity, "identity", buffer);

	return text ? text : "none";
}

static const char *started_text(const struct session *session, uint64_t offset_ns,
				char buffer[TIMESTAMP_MAX])
{
	struct timespec when = clock_timespec(session->started_ns + offset_ns);

	return timestamp_format(&when, buffer);
}

json_t *shown_session(const struct session_shown *shown, uint64_t offset_ns, uint64_t now_ns)
{
	const struct session *session = &shown->session;
	char id[RULE_ID_MAX], time[TIMESTAMP_MAX], kinds[IDENTITY_TEXT_MAX];
	uint64_t age_ms = now_ns > session->started_ns ? (now_ns - session->started_ns) / NS_PER_MS
						       : 0;
	json_t *object = json_pack(
		"{s:I, s:s, s:s, s:s*, s:o, s:o, s:o, s:o, s:o*, s:s, s:s, s:f, s:I, s:I, s:I, s:I, "
		"s:s, s:s}",
		"id", (json_int_t)session->id, "protocol", protocol_name(shown->rule.protocol),
		"rule", rule_label_id(&shown->rule, id), "name",
		shown->rule.name[0] ? shown->rule.name : NULL, "client",
		shown_address(&session->client), "host", shown_address(&session->host), "source",
		shown_address(&session->source), "container", shown_address(&session->container),
		"announcer", shown_announcer(session), "state", session_state_name(session->state),
		"started", started_text(session, offset_ns, time), "age_s", (double)age_ms / 1e3,
		"in_bytes", (json_int_t)session->in_bytes, "out_bytes",
		(json_int_t)session->out_bytes, "in_bytes_s", (json_int_t)session->in_bytes_s,
		"out_bytes_s", (json_int_t)session->out_bytes_s, "identity",
		kinds_text(shown->rule.identity_kinds, kinds), "path",
		session->by_kernel ? "kernel" : "relay");
	if (object && session->by_kernel)
		(void)json_object_update_new(object, json_pack("{s:I, s:I}", "in_packets",
							       (json_int_t)session->in_packets,
							       "out_packets",
							       (json_int_t)session->out_packets));
	return object;
}
