/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/flow.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/socket.h"
#include "relay/draining.h"
#include "relay/handover.h"
#include "relay/internal.h"
#include "relay/opening.h"

/*
 * A container that takes 4 KiB of kernel memory for its two sockets should not cost more than a
 * tenth of it here.
 */
_Static_assert(sizeof(struct flow) <= 400, "flow: a session in the process is at most 400 bytes");

/*
 * What a container that sends without end has on its way here, unread because the client is slow.
 * The container is near: at 1 ms from it, half of this, the window that it makes, is 16 Gbit/s.
 * The client may be far, and its buffer stays the kernel's to size.
 */
#define BACKEND_RECEIVE_BYTES (4 * 1024 * 1024)

/* All of it, so that nothing ever has to be changed. */
#define EVENTS (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static int other(int side)
{
	return !side;
}

int flow_drop_unread(const struct flow *flow, int side)
{
	return flow->route->protocol == PROTOCOL_TCP
		       ? socket_discard(flow->sides[side].fd, PUMP_BUDGET_BYTES)
		       : 0;
}

/* Closing a socket with something unread resets it, and what was sent there may be lost. */
static void close_side(struct flow *flow, int side, bool reset)
{
	struct flow_side *it = &flow->sides[side];

	if (reset) {
		socket_reset(&it->fd);
		return;
	}
	if (!it->ended)
		(void)flow_drop_unread(flow, side);
	fd_close(&it->fd);
}

static uint64_t in_bytes(const struct flow *flow)
{
	return flow->pumps[FLOW_CLIENT].moved_bytes;
}

static uint64_t out_bytes(const struct flow *flow)
{
	return flow->pumps[FLOW_BACKEND].moved_bytes;
}

void flow_count_bytes(struct flow *flow)
{
	struct relay_counters *counters = &flow->route->counters;

	counters->in_bytes += in_bytes(flow) - flow->counted_in;
	counters->out_bytes += out_bytes(flow) - flow->counted_out;
	flow->counted_in = in_bytes(flow);
	flow->counted_out = out_bytes(flow);
}

static void tell_end(struct relay *relay, struct session_end *end, enum end_reason reason,
		     int error)
{
	end->reason = reason;
	end->error = error;
	relay_tell_end(relay, end);
}

/* Whether the end of the flow is none in order for that side. */
static bool is_cut_off(const struct flow *flow, int side, enum end_reason reason)
{
	bool was_told = flow->sides[other(side)].ended && !flow->sides[side].broken;

	return reason != END_DONE && !(reason == END_STOPPED && was_told);
}

void flow_stop_pumping(struct relay *relay, struct flow *flow)
{
	list_remove(&flow->ready);
	for (int side = FLOW_CLIENT; side <= FLOW_BACKEND; side++)
		pump_release(&flow->pumps[side], &relay->pump_resources);
}

/* Closes it, and counts and tells that. */
static void end_sides(struct relay *relay, struct flow *flow, enum end_reason reason, int error)
{
	struct session_end end;

	flow_describe(flow, &end.session);
	if (relay->settings.tells_addresses)
		flow_add_addresses(flow, &end.session);
	for (int side = FLOW_CLIENT; side <= FLOW_BACKEND; side++)
		close_side(flow, side, is_cut_off(flow, side, reason));
	if (flow->filter)
		flow->filter->ops->free(flow->filter);
	if (flow->lease != 0)
		flow->route->introducer->leave(flow->route->introducer->context, flow->lease);
	budget_give(relay->budget, FLOW_DESCRIPTORS);
	flow_count_bytes(flow);
	flow->route->counters.open--;
	tell_end(relay, &end, reason, error);
}

void flow_abandon(struct relay *relay, const struct flow *flow)
{
	struct flow copy = *flow;

	end_sides(relay, &copy, END_NO_MEMORY, ENOMEM);
}

void flow_end(struct relay *relay, struct flow *flow, enum end_reason reason, int error)
{
	timeout_stop(&flow->timeout);
	flow_stop_pumping(relay, flow);
	end_sides(relay, flow, reason, error);
	slots_give(&relay->flows, flow);
	relay_session_gone(relay);
}

void flow_refuse(struct relay *relay, struct relay_route *route, int client_fd,
		 const struct address *client)
{
	struct session_end end = { .session = { .id = relay_next_id(relay),
						.route = route,
						.client = *client,
						.started_ns = relay->loop->now_ns } };

	socket_reset(&client_fd);
	relay_cancel(relay);
	tell_end(relay, &end, END_NO_MEMORY, ENOMEM);
}

/* Nothing comes any more from a side, and nothing can be sent there. */
static void side_failed(struct relay *relay, struct flow *flow, int failed, int error)
{
	draining_begin(relay, flow, failed,
		       failed == FLOW_CLIENT ? END_CLIENT_RESET : END_BACKEND_RESET, error);
}

/* The filter has ended the session, and the client is told why. */
static void refuse(struct relay *relay, struct flow *flow, const struct filter_refusal *refusal)
{
	int client = flow->sides[FLOW_CLIENT].fd;

	if (refusal->reply) {
		if (refusal->reply_bytes > 0)
			(void)send(client, refusal->reply, refusal->reply_bytes,
				   MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)shutdown(client, SHUT_WR);
		flow->sides[FLOW_BACKEND].ended = true;
	}
	draining_begin(relay, flow, FLOW_BACKEND, refusal->reason, 0);
}

/* Pumping. The functions that may end the flow, or start to, return false if they did. */

static bool side_ended(struct relay *relay, struct flow *flow, int from)
{
	struct flow_side *source = &flow->sides[from], *sink = &flow->sides[other(from)];
	/* a reset that has followed the end of file is told by nothing else */
	int error = source->failed ? socket_take_error(source->fd) : 0;

	if (source->broken || error != 0) {
		side_failed(relay, flow, from, error);
		return false;
	}
	source->ended = true;
	if (!sink->ended) /* else both will be closed at once */
		(void)shutdown(sink->fd, SHUT_WR);
	return true;
}

bool flow_side_broke(struct relay *relay, struct flow *flow, int broken, int error)
{
	struct flow_side *side = &flow->sides[broken];

	if (error == ENOMEM) {
		flow_end(relay, flow, END_NO_MEMORY, error);
		return false;
	}
	if (side->ended) {
		side_failed(relay, flow, broken, error);
		return false;
	}
	pump_release(&flow->pumps[other(broken)], &relay->pump_resources);
	flow->sides[other(broken)].ended = true;
	side->broken = true;
	side->readable = true;
	return true;
}

/* A socket that has brought little keeps the small buffer it began with. */
static void bound_backend(struct flow *flow)
{
	struct flow_side *backend = &flow->sides[FLOW_BACKEND];

	if (!flow->pumps[FLOW_BACKEND].was_bulk || backend->bounded)
		return;
	socket_set_receive_buffer(backend->fd, BACKEND_RECEIVE_BYTES);
	backend->bounded = true;
}

/* What comes for a side that takes nothing more is dropped, as in draining. */
static bool drop_from(struct relay *relay, struct flow *flow, int from)
{
	struct flow_side *source = &flow->sides[from];
	int r;

	if (!source->readable)
		return true;
	r = flow_drop_unread(flow, from);
	if (r < 0) {
		side_failed(relay, flow, from, -r);
		return false;
	}
	source->readable = r > 0;
	if (r > 0 && list_is_empty(&flow->ready))
		list_append(&relay->ready, &flow->ready);
	return true;
}

/* Whether reading may stop before the end of what has come. */
static bool is_troubled(const struct flow_side *source)
{
	return source->urgent || source->failed || source->broken;
}

static bool pump_from(struct relay *relay, struct flow *flow, int from)
{
	struct flow_side *source = &flow->sides[from], *sink = &flow->sides[other(from)];
	struct pump *pump = &flow->pumps[from];
	struct pump_ends ends = { .source = source->fd,
				  .sink = sink->fd,
				  .readable = source->readable,
				  .stops_short = source->at_end || is_troubled(source),
				  .ending = source->at_end && !is_troubled(source) };

	if (sink->broken)
		return drop_from(relay, flow, from);
	if (source->ended || !sink->writable || (!source->readable && !pump_has_rest(pump)))
		return true;
	switch (pump_run(pump, &relay->pump_resources, &ends)) {
	case PUMP_IDLE:
		source->readable = false;
		return true;
	case PUMP_BLOCKED:
		sink->writable = false;
		return true;
	case PUMP_MORE:
		if (list_is_empty(&flow->ready))
			list_append(&relay->ready, &flow->ready);
		return true;
	case PUMP_END:
		return side_ended(relay, flow, from);
	case PUMP_SOURCE_ERROR:
		side_failed(relay, flow, from, ends.error);
		return false;
	case PUMP_SINK_ERROR:
		return flow_side_broke(relay, flow, other(from), ends.error);
	case PUMP_WAITING:
		if (source->failed || source->broken) /* it reads no more, so would never meet it */
			side_failed(relay, flow, from, socket_take_error(source->fd));
		else if (sink->ended) /* what it waits for does not come any more */
			draining_begin(relay, flow, other(from), END_DONE, 0);
		else
			return true;
		return false;
	case PUMP_REFUSED:
		if (flow->pumps[other(from)].held_bytes > 0) /* which come before */
			return true;
		refuse(relay, flow, &ends.refusal);
		return false;
	case PUMP_LIMIT:
		break;
	}
	return true;
}

/* Whether what came from the container may let the client's bytes go on. */
static bool waits_for_backend(const struct flow *flow)
{
	const struct filter_side *side = flow->filter ? &flow->filter->sides[FILTER_IN] : NULL;

	return side && (side->waits || side->refuses);
}

static uint64_t moved_bytes(const struct flow *flow)
{
	return flow->pumps[FLOW_CLIENT].moved_bytes + flow->pumps[FLOW_BACKEND].moved_bytes;
}

/* A side that has failed counts, though what it had sent is still being passed on. */
static bool is_over(const struct flow_side *side)
{
	return side->ended || side->failed;
}

static bool is_half_closed(const struct flow *flow)
{
	return is_over(&flow->sides[FLOW_CLIENT]) || is_over(&flow->sides[FLOW_BACKEND]);
}

static void start_half_closed(struct relay *relay, struct flow *flow)
{
	flow->half_closed = true;
	flow->checkpoint_bytes = moved_bytes(flow);
	timeout_start(&flow->timeout, &relay->half_closed, relay->loop);
}

void flow_pump(struct relay *relay, struct flow *flow)
{
	const struct flow_side *client = &flow->sides[FLOW_CLIENT],
			       *backend = &flow->sides[FLOW_BACKEND];

	if (!pump_from(relay, flow, FLOW_CLIENT) || !pump_from(relay, flow, FLOW_BACKEND))
		return;
	bound_backend(flow);
	/* What the one has shown may be what the other waits for, or be its end. */
	if ((client->broken || backend->broken || waits_for_backend(flow)) &&
	    (!pump_from(relay, flow, FLOW_CLIENT) || !pump_from(relay, flow, FLOW_BACKEND)))
		return;
	if (client->ended && backend->ended)
		flow_end(relay, flow, END_DONE, 0);
	else if (flow->settled && !flow->half_closed && is_half_closed(flow))
		start_half_closed(relay, flow);
	else
		handover_consider(relay, flow);
}

bool flow_work(void *context)
{
	struct relay *relay = context;
	struct list turn;
	struct list *first;

	/*
	 * Those that are ready now, each once: who needs more is queued behind them for the next
	 * turn.
	 */
	list_init(&turn);
	while ((first = list_first(&relay->ready))) {
		list_remove(first);
		list_append(&turn, first);
	}
	while ((first = list_first(&turn))) {
		list_remove(first);
		flow_pump(relay, container_of(first, struct flow, ready));
	}
	return !list_is_empty(&relay->ready);
}

/* Events. */

/*
 * An error on a side that has nothing left to be read. It would never be met by reading, and the
 * other side may have nothing to write, so it is asked for.
 */
static bool late_error(struct relay *relay, struct flow *flow, int side, uint32_t events)
{
	int error;

	if (!(events & EPOLLERR) || !flow->sides[side].ended)
		return false;
	error = socket_take_error(flow->sides[side].fd);
	if (error == 0)
		return false;
	side_failed(relay, flow, side, error);
	return true;
}

static void side_event(struct relay *relay, struct flow *flow, int side, uint32_t events)
{
	struct flow_side *it = &flow->sides[side];

	if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		it->readable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP))
		it->at_end = true;
	if (events & EPOLLPRI)
		it->urgent = true;
	if (events & EPOLLERR)
		it->failed = true;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		it->writable = true;

	if (flow->state == FLOW_OPEN) {
		if (!late_error(relay, flow, side, events))
			flow_pump(relay, flow);
	} else if (flow->state == FLOW_DRAINING) {
		/*
		 * The side that failed is closed, but this turn may have had an event of it already.
		 * EPOLLHUP alone is both ends in order, and says nothing of what is on its way.
		 */
		if (side != flow->failed_side)
			draining_go_on(relay, flow);
	} else if (flow->state == FLOW_ANNOUNCING) {
		opening_announced(relay, flow);
	} else if (side == FLOW_BACKEND) {
		opening_event(relay, flow, events);
	} else if ((events & (EPOLLERR | EPOLLHUP)) && !opening_has_bytes(flow)) {
		/* the client is gone before the container could answer */
		flow_end(relay, flow, END_CLIENT_RESET, 0);
	}
}

void flow_client_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct relay *relay = context;
	struct flow *flow = slots_find(&relay->flows, ref.index, ref.generation);

	if (flow)
		side_event(relay, flow, FLOW_CLIENT, events);
}

void flow_backend_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct relay *relay = context;
	struct flow *flow = slots_find(&relay->flows, ref.index, ref.generation);

	if (flow)
		side_event(relay, flow, FLOW_BACKEND, events);
}

/* Looking at it. */

static enum session_state state_of(const struct flow *flow)
{
	if (flow->state == FLOW_OPEN)
		return is_half_closed(flow) ? SESSION_HALF_CLOSED : SESSION_OPEN;
	return flow->state == FLOW_DRAINING ? SESSION_CLOSING : SESSION_CONNECTING;
}

void flow_describe(const struct flow *flow, struct session *ret)
{
	*ret = (struct session){
		.id = flow->id,
		.route = flow->route,
		.client = flow->client,
		.started_ns = flow->started_ns,
		.in_bytes = in_bytes(flow),
		.out_bytes = out_bytes(flow),
		.state = state_of(flow),
	};
}

void flow_add_addresses(const struct flow *flow, struct session *session)
{
	const struct flow_side *client = &flow->sides[FLOW_CLIENT];
	const struct flow_side *backend = &flow->sides[FLOW_BACKEND];

	if (client->fd >= 0)
		socket_local_address(client->fd, &session->host);
	if (client->fd >= 0 && flow->announced)
		socket_peer_address(client->fd, &session->announcer);
	if (backend->fd < 0)
		return;
	socket_local_address(backend->fd, &session->source);
	if (flow->route->has_moved)
		socket_peer_address(backend->fd, &session->container);
	else
		session->container = flow->route->target;
}

int flow_watch(struct relay *relay, struct flow *flow, int side)
{
	return loop_watch(relay->loop, flow->sides[side].fd, EVENTS,
			  loop_ref_to(relay->flow_kinds[side], &flow->slot));
}

void flow_resume(struct relay *relay, struct flow *flow)
{
	if (!flow->settled)
		timeout_start(&flow->timeout, &relay->settling, relay->loop);
	else if (is_half_closed(flow))
		start_half_closed(relay, flow);
}

/* Timeouts. */

void flow_settling_expired(void *context, struct timeout *timeout)
{
	struct relay *relay = context;
	struct flow *flow = container_of(timeout, struct flow, timeout);

	flow->settled = true;
	/* the client's side has inherited it */
	socket_keep_alive(flow->sides[FLOW_BACKEND].fd, flow->route->protocol,
			  relay->settings.keepalive_s);
	if (is_half_closed(flow))
		start_half_closed(relay, flow);
}

void flow_half_closed_expired(void *context, struct timeout *timeout)
{
	struct flow *flow = container_of(timeout, struct flow, timeout);

	if (flow->checkpoint_bytes != moved_bytes(flow))
		start_half_closed(context, flow);
	else
		flow_end(context, flow, END_HALF_CLOSED_TIMEOUT, ETIMEDOUT);
}
