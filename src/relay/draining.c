/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/draining.h"

#include "base/clock.h"
#include "net/socket.h"

/* How long a side that is to be reset may confirm nothing of what was written to it. */
#define PATIENCE_NS (30 * NS_PER_S)

/* What the side has not confirmed; nothing, where it takes no more anyway. */
static uint32_t unconfirmed_bytes(const struct flow_side *side)
{
	return side->broken || side->failed ? 0 : socket_unconfirmed_bytes(side->fd);
}

void draining_go_on(struct relay *relay, struct flow *flow)
{
	int left = !flow->failed_side;
	struct flow_side *side = &flow->sides[left];
	uint32_t bytes;

	if (flow_drop_unread(flow, left) < 0)
		side->failed = true;
	bytes = unconfirmed_bytes(side);
	if (bytes < flow->unconfirmed_bytes)
		flow->drained_until_ns = relay->loop->now_ns + PATIENCE_NS;
	flow->unconfirmed_bytes = bytes;
	if (bytes == 0 || relay->loop->now_ns >= flow->drained_until_ns)
		flow_end(relay, flow, (enum end_reason)flow->reason, flow->error);
	else
		timeout_start(&flow->timeout, &relay->draining, relay->loop);
}

void draining_begin(struct relay *relay, struct flow *flow, int failed, enum end_reason reason,
		    int error)
{
	flow_stop_pumping(relay, flow);
	socket_reset(&flow->sides[failed].fd);
	flow->state = FLOW_DRAINING;
	flow->failed_side = (uint8_t)failed;
	flow->reason = (uint8_t)reason;
	flow->error = error;
	flow->unconfirmed_bytes = UINT32_MAX;
	draining_go_on(relay, flow);
}

void draining_expired(void *context, struct timeout *timeout)
{
	draining_go_on(context, container_of(timeout, struct flow, timeout));
}
