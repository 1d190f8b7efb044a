/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/opening.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/socket.h"
#include "relay/dial.h"
#include "relay/internal.h"

/* Clients in a row that had said nothing yet, after which only one of so many is looked at. */
#define EARLY_MISSES_MAX 4
#define EARLY_ONE_OF 16

static void opened(struct relay *relay, struct flow *flow)
{
	struct flow_side *backend = &flow->sides[FLOW_BACKEND];

	flow->state = FLOW_OPEN;
	histogram_add(&flow->route->counters.connecting, &relay_connecting_bounds,
		      clock_now_ns() - flow->started_ns);
	flow_resume(relay, flow);
	flow->sides[FLOW_CLIENT].writable = true;
	backend->writable = true;
	if (backend->delays_ack)
		socket_delay_ack(backend->fd, false);
	backend->delays_ack = false;
}

static void wait_for_retry(struct relay *relay, struct flow *flow)
{
	flow->state = FLOW_WAITING;
	timeout_start(&flow->timeout, &relay->retrying, relay->loop);
}

static void dial_failed(struct relay *relay, struct flow *flow, int error)
{
	struct flow_side *backend = &flow->sides[FLOW_BACKEND];
	uint64_t waited_ns = clock_now_ns() - flow->started_ns;

	fd_close(&backend->fd);
	*backend = (struct flow_side){ .fd = -1 }; /* the next socket is well */
	if (flow->sides[FLOW_CLIENT].failed)
		flow_end(relay, flow, END_CLIENT_RESET, 0);
	else if ((error == -ECONNREFUSED && waited_ns < relay->settings.connect_retry_ns) ||
		 (dial_is_shortage(error) && waited_ns < relay->settings.connect_timeout_ns))
		wait_for_retry(relay, flow);
	else
		flow_end(relay, flow, dial_end_reason(error), -error);
}

/*
 * Reads what the client has said by now. Returns false if the flow has ended: the client has reset
 * its connection.
 */
static bool read_ahead(struct relay *relay, struct flow *flow)
{
	struct flow_side *client = &flow->sides[FLOW_CLIENT];
	struct pump_ends ends = { .source = client->fd, .sink = -1 };

	switch (pump_read_ahead(&flow->pumps[FLOW_CLIENT], &relay->pump_resources, &ends)) {
	case PUMP_SOURCE_ERROR:
		flow_end(relay, flow, END_CLIENT_RESET, ends.error);
		return false;
	case PUMP_IDLE:
		if (flow->route->early_misses < EARLY_MISSES_MAX)
			flow->route->early_misses++;
		return true;
	default:
		flow->route->early_misses = 0;
		return true;
	}
}

/* What was read ahead could not be sent. */
static void send_ahead_failed(struct relay *relay, struct flow *flow, int error)
{
	if (error != ECONNRESET && error != EPIPE) {
		dial_failed(relay, flow, -error);
		return;
	}
	/* it was connected, and may have said something before its reset */
	opened(relay, flow);
	(void)flow_side_broke(relay, flow, FLOW_BACKEND, error);
}

/* Sends what was read ahead, in the hope that the container has answered already. */
static void send_ahead(struct relay *relay, struct flow *flow)
{
	const struct relay_route *route = flow->route;
	struct pump_ends ends = { .source = flow->sides[FLOW_CLIENT].fd,
				  .sink = flow->sides[FLOW_BACKEND].fd };
	int r = dial_finish(ends.sink, route->protocol, &route->target, 0);

	if (r < 0) {
		dial_failed(relay, flow, r);
		return;
	}
	switch (pump_run(&flow->pumps[FLOW_CLIENT], &relay->pump_resources, &ends)) {
	case PUMP_BLOCKED:
		break;
	case PUMP_SINK_ERROR:
		send_ahead_failed(relay, flow, ends.error);
		break;
	default:
		opened(relay, flow);
		break;
	}
}

/* Whether it is likely enough that the client has said something already. */
static bool expects_early_data(const struct flow *flow)
{
	const struct relay_route *route = flow->route;

	if (flow->pumps[FLOW_CLIENT].kind != PUMP_STREAM)
		return false;
	return route->early_misses < EARLY_MISSES_MAX ||
	       route->counters.sessions % EARLY_ONE_OF == 0;
}

/* reads: the client has probably said something that is not read yet. */
static void go_ahead(struct relay *relay, struct flow *flow, bool reads)
{
	struct flow_side *backend = &flow->sides[FLOW_BACKEND];
	const struct pump *pump = &flow->pumps[FLOW_CLIENT];

	if (reads && !read_ahead(relay, flow))
		return;
	if (pump->held_bytes > 0) {
		send_ahead(relay, flow);
	} else {
		socket_delay_ack(backend->fd, false);
		backend->delays_ack = false;
	}
}

static void dial(struct relay *relay, struct flow *flow)
{
	struct flow_side *backend = &flow->sides[FLOW_BACKEND];
	const struct relay_route *route = flow->route;
	const struct pump *pump = &flow->pumps[FLOW_CLIENT];
	bool reads = pump->held_bytes == pump->added_bytes && expects_early_data(flow);
	bool early = reads || pump->held_bytes > 0;
	int r = dial_start(route->protocol, &route->target, &flow->source, early, &backend->fd);

	if (r < 0) {
		dial_failed(relay, flow, r);
		return;
	}
	backend->delays_ack = early;
	flow->state = FLOW_DIALING;
	timeout_start(&flow->timeout, &relay->connecting, relay->loop);
	r = flow_watch(relay, flow, FLOW_BACKEND);
	if (r < 0)
		dial_failed(relay, flow, r);
	else if (early)
		go_ahead(relay, flow, reads);
}

/* Introducing the client. */

static void take_filter(struct flow *flow, struct filter *filter)
{
	flow->filter = filter;
	for (int side = FLOW_CLIENT; side <= FLOW_BACKEND; side++) {
		flow->pumps[side].kind = PUMP_FILTERED;
		flow->pumps[side].direction = side == FLOW_CLIENT ? FILTER_IN : FILTER_OUT;
		flow->pumps[side].filter = filter;
	}
}

static int take_introduction(struct relay *relay, struct flow *flow,
			     const struct introduction *introduction)
{
	flow->client = introduction->client;
	flow->source = introduction->source;
	flow->lease = introduction->lease;
	if (introduction->filter)
		take_filter(flow, introduction->filter);
	if (introduction->bytes_count == 0)
		return 0;
	return pump_add(&flow->pumps[FLOW_CLIENT], &relay->pump_resources, introduction->bytes,
			introduction->bytes_count);
}

/* Returns false if the flow has ended. */
static bool introduce(struct relay *relay, struct flow *flow, const struct announcement *announced)
{
	const struct introducer *introducer = flow->route->introducer;
	const struct visitor visitor = { .protocol = flow->route->protocol,
					 .session_id = flow->id,
					 .peer = flow->client,
					 .fd = flow->sides[FLOW_CLIENT].fd,
					 .announced = announced };
	struct introduction introduction;
	int r;

	if (!flow->route->introduces)
		return true;
	r = introducer->introduce(introducer->context, flow->route->policy, &visitor,
				  &introduction);
	if (r == 0)
		r = take_introduction(relay, flow, &introduction);
	if (r == 0)
		return true;
	flow_end(relay, flow, end_reason_of_introduction(r), -r);
	return false;
}

/* The announcement is looked at before it is taken out of the socket, so that no more is. */
static ssize_t read_announcement(struct relay *relay, struct flow *flow, struct announcement *ret)
{
	int client = flow->sides[FLOW_CLIENT].fd;
	ssize_t got = recv(client, relay->scratch, ANNOUNCEMENT_BYTES_MAX, MSG_PEEK | MSG_DONTWAIT);
	ssize_t length;

	if (got == 0)
		return -ECONNRESET;
	if (got < 0)
		return -errno;
	length = flow->route->introducer->read(flow->route->protocol, relay->scratch, (size_t)got,
					       ret);
	if (length == -EAGAIN && got == ANNOUNCEMENT_BYTES_MAX)
		return -EBADMSG;
	if (length > 0 && recv(client, relay->scratch, (size_t)length, MSG_DONTWAIT) != length)
		return -EBADMSG;
	return length;
}

void opening_announced(struct relay *relay, struct flow *flow)
{
	struct announcement announcement = { .client = { .family = AF_UNSPEC } };
	ssize_t length = read_announcement(relay, flow, &announcement);

	if (length == -EAGAIN)
		return;
	if (length < 0) {
		flow_end(relay, flow, length == -EBADMSG ? END_NOT_ANNOUNCED : END_CLIENT_RESET,
			 (int)-length);
		return;
	}
	timeout_stop(&flow->timeout);
	flow->announced = announcement.client.family != AF_UNSPEC;
	if (introduce(relay, flow, &announcement))
		dial(relay, flow);
}

static void wait_for_announcement(struct relay *relay, struct flow *flow)
{
	flow->state = FLOW_ANNOUNCING;
	timeout_start(&flow->timeout, &relay->announcing, relay->loop);
	opening_announced(relay, flow); /* it may have come with the connection */
}

void opening_announcing_expired(void *context, struct timeout *timeout)
{
	flow_end(context, container_of(timeout, struct flow, timeout), END_NOT_ANNOUNCED,
		 ETIMEDOUT);
}

static void flow_init(struct relay *relay, struct flow *flow, struct relay_route *route,
		      int client_fd, const struct address *client)
{
	flow->route = route;
	flow->client = *client;
	flow->id = relay_next_id(relay);
	flow->started_ns = clock_now_ns(); /* not the turn's: most connect within theirs */
	flow->considered = relay->handover.epoch;
	flow->sides[FLOW_CLIENT].fd = client_fd;
	flow->sides[FLOW_BACKEND].fd = -1;
	timeout_init(&flow->timeout);
	list_init(&flow->ready);
	for (int side = FLOW_CLIENT; side <= FLOW_BACKEND; side++)
		flow->pumps[side].kind = route->protocol == PROTOCOL_SCTP ? PUMP_MESSAGE
									  : PUMP_STREAM;
}

void relay_accept(struct relay *relay, struct relay_route *route, int client_fd,
		  const struct address *client)
{
	struct flow *flow = slots_take(&relay->flows);
	int r;

	route->counters.sessions++;
	if (!flow) {
		flow_refuse(relay, route, client_fd, client);
		return;
	}
	route->counters.open++;
	flow_init(relay, flow, route, client_fd, client);
	r = flow_watch(relay, flow, FLOW_CLIENT);
	if (r < 0)
		flow_end(relay, flow, END_NO_MEMORY, -r);
	else if (route->introduces && route->introducer->expects(route->policy, client))
		wait_for_announcement(relay, flow);
	else if (introduce(relay, flow, NULL))
		dial(relay, flow);
}

bool opening_has_bytes(const struct flow *flow)
{
	char byte;

	return flow->state == FLOW_DIALING &&
	       (flow->pumps[FLOW_CLIENT].held_bytes > 0 ||
		recv(flow->sides[FLOW_CLIENT].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

void opening_event(struct relay *relay, struct flow *flow, uint32_t events)
{
	int r;

	if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return;
	r = dial_finish(flow->sides[FLOW_BACKEND].fd, flow->route->protocol, &flow->route->target,
			events);
	if (r < 0) {
		dial_failed(relay, flow, r);
		return;
	}
	opened(relay, flow);
	flow_pump(relay, flow);
}

void opening_connect_expired(void *context, struct timeout *timeout)
{
	flow_end(context, container_of(timeout, struct flow, timeout), END_CONNECT_TIMEOUT,
		 ETIMEDOUT);
}

void opening_retry_expired(void *context, struct timeout *timeout)
{
	dial(context, container_of(timeout, struct flow, timeout));
}
