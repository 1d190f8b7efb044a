/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay.h"

#include "base/clock.h"
#include "relay/draining.h"
#include "relay/flow.h"
#include "relay/internal.h"
#include "relay/opening.h"
#include "relay/udp.h"

/* For the PROXY header of a proxy that is trusted, and so is in no need of patience. */
#define ANNOUNCING_NS (5 * NS_PER_S)

/* Between two tries of a refused connect, or of one that found no descriptor. */
#define RETRY_NS (100 * NS_PER_MS)

/*
 * After which a session is worth three more system calls, for keepalive towards the container. Most
 * are over before.
 */
#define SETTLING_NS (1 * NS_PER_S)

/* How often the side that is to be reset is asked what it has confirmed. */
#define DRAINING_NS (50 * NS_PER_MS)

/*
 * After the last session has gone: long enough that a busy port does not give back what it needs
 * again.
 */
#define TRIM_NS (5 * NS_PER_S)

static bool is_idle(const struct relay *relay)
{
	return relay->flows.used == 0 && relay->udp_clients.used == 0;
}

/* Nobody has been here for a while: the process becomes as small as it was at the start. */
static void trim_expired(void *context, struct timeout *timeout)
{
	struct relay *relay = context;

	(void)timeout;
	if (!is_idle(relay))
		return;
	pump_resources_trim(&relay->pump_resources);
	slots_trim(&relay->flows);
	udp_trim(relay);
}

void relay_init(struct relay *relay, struct loop *loop, const struct relay_settings *settings,
		struct relay_shared *shared, const struct relay_observer *observer)
{
	relay->loop = loop;
	relay->settings = *settings;
	relay->observer = *observer;
	relay->shared = shared;
	relay->budget = &shared->budget;
	slots_init(&relay->flows, sizeof(struct flow), sizeof(struct flow));
	list_init(&relay->ready);
	relay->counted = 0;
	relay->handover = (struct handover){ .to = NULL };
	pump_resources_init(&relay->pump_resources, relay->budget, relay->scratch);
	relay->flow_kinds[FLOW_CLIENT] = loop_add_kind(loop, flow_client_event, relay);
	relay->flow_kinds[FLOW_BACKEND] = loop_add_kind(loop, flow_backend_event, relay);
	loop_add_work(loop, flow_work, relay);
	udp_init(relay);

	timeout_queue_init(&relay->announcing, loop, ANNOUNCING_NS, opening_announcing_expired,
			   relay);
	timeout_queue_init(&relay->connecting, loop, settings->connect_timeout_ns,
			   opening_connect_expired, relay);
	timeout_queue_init(&relay->retrying, loop, RETRY_NS, opening_retry_expired, relay);
	timeout_queue_init(&relay->settling, loop, SETTLING_NS, flow_settling_expired, relay);
	timeout_queue_init(&relay->half_closed, loop, settings->half_closed_timeout_ns,
			   flow_half_closed_expired, relay);
	timeout_queue_init(&relay->draining, loop, DRAINING_NS, draining_expired, relay);
	timeout_queue_init(&relay->trimming, loop, TRIM_NS, trim_expired, relay);
	timeout_init(&relay->trim);
}

void relay_drop_withdrawn(struct relay *relay, bool all)
{
	struct flow *next = slots_next(&relay->flows, NULL);

	while (next) {
		struct flow *flow = next;

		next = slots_next(&relay->flows, flow);
		if (all || flow->route->withdrawn)
			flow_end(relay, flow, END_STOPPED, 0);
	}
	udp_drop_withdrawn(relay, all);
}

void relay_fini(struct relay *relay)
{
	relay_drop_withdrawn(relay, true);
	timeout_stop(&relay->trim);
	udp_trim(relay);
	slots_fini(&relay->flows);
	slots_fini(&relay->udp_clients);
	pump_resources_fini(&relay->pump_resources);
}

bool relay_take_descriptors(struct relay *relay, uint32_t descriptors)
{
	if (budget_try(relay->budget, descriptors))
		return true;
	pipe_pool_trim(&relay->pump_resources.pipes);
	return budget_try(relay->budget, descriptors);
}

bool relay_reserve(struct relay *relay)
{
	bool room = relay_take_descriptors(relay, FLOW_DESCRIPTORS);

	relay->budget->wanted = !room;
	return room;
}

void relay_cancel(struct relay *relay)
{
	budget_give(relay->budget, FLOW_DESCRIPTORS);
}

uint64_t relay_next_id(struct relay *relay)
{
	return atomic_fetch_add_explicit(&relay->shared->last_session_id, 1, memory_order_relaxed) +
	       1;
}

void relay_tell_end(struct relay *relay, struct session_end *end)
{
	struct relay_counters *counters = &end->session.route->counters;
	const struct relay_observer *observer = &relay->observer;

	end->ended_ns = clock_now_ns();
	counters->ended[end->reason]++;
	histogram_add(&counters->lasting, &relay_lasting_bounds,
		      end->ended_ns - end->session.started_ns);
	if (observer->session_ended)
		observer->session_ended(observer->context, end);
	if (observer->session_logged)
		observer->session_logged(observer->context, end);
}

static bool has_room_again(struct budget *budget)
{
	return budget->wanted && budget->used + FLOW_DESCRIPTORS <= budget->most &&
	       atomic_exchange(&budget->wanted, false);
}

void relay_session_gone(struct relay *relay)
{
	if (has_room_again(relay->budget) && relay->observer.has_room)
		relay->observer.has_room(relay->observer.context);
	if (is_idle(relay))
		timeout_start(&relay->trim, &relay->trimming, relay->loop);
}
