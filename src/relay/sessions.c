/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sessions.h"

#include "base/clock.h"
#include "net/socket.h"
#include "relay/flow.h"
#include "relay/udp.h"

/* Cursors at or above this one are among the UDP clients. */
#define UDP_CURSOR SLOTS_MAX

/* A session in either table. */
struct found {
	struct flow *flow;
	struct udp_client *client;
};

/* The first at the cursor or behind it; false at the end. Moves the cursor behind it. */
static bool find_next(struct relay *relay, uint32_t *cursor, struct found *ret)
{
	*ret = (struct found){ .flow = NULL };
	if (*cursor < UDP_CURSOR) {
		ret->flow = slots_from(&relay->flows, *cursor);
		*cursor = ret->flow ? ret->flow->slot.index + 1 : UDP_CURSOR;
		if (ret->flow)
			return true;
	}
	ret->client = slots_from(&relay->udp_clients, *cursor - UDP_CURSOR);
	if (ret->client)
		*cursor = UDP_CURSOR + ret->client->slot.index + 1;
	return ret->client;
}

static struct session_meter *meter_of(const struct found *found)
{
	return found->flow ? &found->flow->meter : &found->client->meter;
}

static void describe(const struct found *found, struct session *ret)
{
	if (found->flow)
		flow_describe(found->flow, ret);
	else
		udp_describe(found->client, ret);
}

static void add_addresses(const struct found *found, struct session *session)
{
	if (found->flow)
		flow_add_addresses(found->flow, session);
	else
		udp_add_addresses(found->client, session);
}

bool relay_list(struct relay *relay, uint32_t *cursor, uint32_t most,
		const struct session_lister *lister)
{
	struct found found;
	struct session session;

	for (uint32_t i = 0; i < most; i++) {
		if (!find_next(relay, cursor, &found))
			return false;
		describe(&found, &session);
		if (!lister->wants(lister->context, &session))
			continue;
		session_take_rates(&session, meter_of(&found), clock_now_ns());
		add_addresses(&found, &session);
		if (!lister->take(lister->context, &session))
			return true;
	}
	return true;
}

bool relay_count_open(struct relay *relay, uint32_t *cursor, uint32_t most)
{
	for (uint32_t i = 0; i < most && *cursor < UDP_CURSOR; i++) {
		struct flow *flow = slots_from(&relay->flows, *cursor);

		*cursor = flow ? flow->slot.index + 1 : UDP_CURSOR;
		if (flow)
			flow_count_bytes(flow);
	}
	return *cursor < UDP_CURSOR; /* UDP is counted as it comes */
}

bool relay_end_session(struct relay *relay, uint64_t id)
{
	struct found found;
	uint32_t cursor = 0;

	while (find_next(relay, &cursor, &found)) {
		if (found.flow && found.flow->id == id) {
			flow_end(relay, found.flow, END_ADMINISTRATIVE, 0);
			return true;
		}
		if (found.client && found.client->id == id) {
			udp_end_client(relay, found.client, END_ADMINISTRATIVE);
			return true;
		}
	}
	return false;
}
