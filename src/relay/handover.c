/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/handover.h"

#include "net/socket.h"
#include "relay/internal.h"

_Static_assert(sizeof(struct flow) <= MAILBOX_BYTES_MAX, "handover: a flow must fit a message");

static bool can_move(const struct flow *flow)
{
	return flow->state == FLOW_OPEN && pump_is_empty(&flow->pumps[FLOW_CLIENT]) &&
	       pump_is_empty(&flow->pumps[FLOW_BACKEND]) && list_is_empty(&flow->ready);
}

static int watch_both(struct relay *relay, struct flow *flow)
{
	int r = flow_watch(relay, flow, FLOW_CLIENT);

	return r < 0 ? r : flow_watch(relay, flow, FLOW_BACKEND);
}

static void unwatch_both(struct relay *relay, const struct flow *flow)
{
	(void)loop_unwatch(relay->loop, flow->sides[FLOW_CLIENT].fd);
	(void)loop_unwatch(relay->loop, flow->sides[FLOW_BACKEND].fd);
}

/* On the thread that gets it. */
static void receive(void *context, const void *message)
{
	struct relay *relay = context;
	const struct flow *moved = message;
	struct flow *flow = slots_take(&relay->flows);
	struct slot slot;
	int r;

	if (!flow) {
		flow_abandon(relay, moved);
		return;
	}
	slot = flow->slot;
	*flow = *moved;
	flow->slot = slot;
	flow->considered = relay->handover.epoch;
	timeout_init(&flow->timeout);
	list_init(&flow->ready);
	r = watch_both(relay, flow);
	if (r < 0)
		flow_end(relay, flow, END_NO_MEMORY, -r);
	else
		flow_resume(relay, flow);
}

/* Returns false if it stays. */
static bool move(struct relay *relay, struct flow *flow, struct relay *to, struct mailbox *mailbox)
{
	unwatch_both(relay, flow);
	if (!mailbox_post(mailbox, receive, to, flow, sizeof(*flow))) {
		int r = watch_both(relay, flow);

		if (r < 0)
			flow_end(relay, flow, END_NO_MEMORY, -r);
		return false;
	}
	timeout_stop(&flow->timeout);
	slots_give(&relay->flows, flow);
	relay_session_gone(relay);
	return true;
}

void handover_begin(struct relay *relay, struct relay *to, struct mailbox *mailbox,
		    uint32_t permille)
{
	relay->handover.to = to;
	relay->handover.mailbox = mailbox;
	relay->handover.permille = permille;
	relay->handover.sum = 0;
	relay->handover.epoch++;
}

void handover_stop(struct relay *relay)
{
	relay->handover.to = NULL;
}

void handover_consider(struct relay *relay, struct flow *flow)
{
	struct handover *handover = &relay->handover;

	if (!handover->to || flow->considered == handover->epoch || !can_move(flow))
		return;
	flow->considered = handover->epoch;
	handover->sum += handover->permille;
	if (handover->sum < 1000)
		return;
	handover->sum -= 1000;
	(void)move(relay, flow, handover->to, handover->mailbox);
}

void handover_all(struct relay *relay, struct relay *to, struct mailbox *mailbox)
{
	struct flow *next = slots_next(&relay->flows, NULL);

	while (next) {
		struct flow *flow = next;

		next = slots_next(&relay->flows, flow);
		if (can_move(flow) && !move(relay, flow, to, mailbox))
			return;
	}
}
