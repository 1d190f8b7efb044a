/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/udp.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/socket.h"
#include "relay/internal.h"
#include "relay/udp_table.h"

_Static_assert(sizeof(struct udp_client) <= 256,
	       "udp: a client in the process is at most 256 bytes");

/* Batches taken from one socket before others get their turn. */
#define ROUNDS_PER_TURN 4

/*
 * What may wait at a port while this thread is at something else: some milliseconds' worth of all
 * clients together. The kernel's own default is 208 KiB, or 200 datagrams of 512 bytes.
 */
#define PORT_RECEIVE_BYTES (2 * 1024 * 1024)

static void client_event(void *context, struct loop_ref ref, uint32_t events);
static void idle_expired(void *context, struct timeout *timeout);
static bool answer_work(void *context);
static void send_answers(struct relay *relay);

void udp_init(struct relay *relay)
{
	slots_init(&relay->udp_clients, sizeof(struct udp_client), sizeof(struct udp_client));
	relay->udp_table = (struct udp_table){ .size = 0 };
	relay->udp_batch = NULL;
	relay->udp_answering = NULL;
	loop_add_work(relay->loop, answer_work, relay);
	relay->udp_client_kind = loop_add_kind(relay->loop, client_event, relay);
	timeout_queue_init(&relay->udp_idle, relay->loop, relay->settings.udp_idle_timeout_ns,
			   idle_expired, relay);
}

void udp_port_init(struct udp_port *port, int fd, struct relay_route *route)
{
	struct address local;

	port->fd = fd;
	port->family = socket_family(fd);
	port->route = route;
	socket_local_address(fd, &local);
	port->number = local.port;
	datagram_want_gro(fd);
	socket_set_receive_buffer(fd, PORT_RECEIVE_BYTES);
}

/*
 * The batch to receive into from fd. Without memory for it, NULL, and what waits there is dropped:
 * left alone, it would keep the descriptor readable.
 */
static struct datagram_batch *batch_for(struct relay *relay, int fd, struct relay_route *route)
{
	if (!relay->udp_batch) {
		void *memory = mmap(NULL, sizeof(struct datagram_batch), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory != MAP_FAILED)
			relay->udp_batch = memory;
		else
			route->counters.dropped_datagrams += datagram_discard(fd, DATAGRAM_BATCH);
	}
	return relay->udp_batch;
}

void udp_trim(struct relay *relay)
{
	if (relay->udp_batch)
		(void)munmap(relay->udp_batch, sizeof(struct datagram_batch));
	relay->udp_batch = NULL;
	udp_table_fini(&relay->udp_table);
	slots_trim(&relay->udp_clients);
}

/* Clients. */

void udp_end_client(struct relay *relay, struct udp_client *client, enum end_reason reason)
{
	struct session_end end = { .reason = reason };

	udp_describe(client, &end.session);
	if (relay->settings.tells_addresses)
		udp_add_addresses(client, &end.session);
	timeout_stop(&client->idle);
	udp_table_remove(relay, client);
	fd_close(&client->fd);
	budget_give(relay->budget, 1);
	client->port->route->counters.open--;
	relay_tell_end(relay, &end);
	slots_give(&relay->udp_clients, client);
	relay_session_gone(relay);
}

static void idle_expired(void *context, struct timeout *timeout)
{
	udp_end_client(context, container_of(timeout, struct udp_client, idle), END_IDLE);
}

void udp_describe(const struct udp_client *client, struct session *ret)
{
	*ret = (struct session){
		.id = client->id,
		.route = client->port->route,
		.client = client->client,
		.host = client->local,
		.started_ns = client->started_ns,
		.in_bytes = client->in_bytes,
		.out_bytes = client->out_bytes,
		.state = SESSION_OPEN,
	};
	ret->host.port = client->port->number;
}

void udp_add_addresses(const struct udp_client *client, struct session *session)
{
	if (session->host.family == AF_UNSPEC) /* a socket that does not tell of it (PKTINFO) */
		socket_local_address(client->port->fd, &session->host);
	socket_local_address(client->fd, &session->source);
	session->container = client->port->route->target;
}

/* Those of the route; where there is none, those of withdrawn ones, or all. */
static void end_clients(struct relay *relay, const struct relay_route *route, bool all)
{
	struct udp_client *next = slots_next(&relay->udp_clients, NULL);

	send_answers(relay);
	while (next) {
		struct udp_client *client = next;

		next = slots_next(&relay->udp_clients, client);
		if (all || (route ? client->port->route == route : client->port->route->withdrawn))
			udp_end_client(relay, client, END_STOPPED);
	}
}

void udp_end_clients(struct relay *relay, const struct relay_route *route)
{
	end_clients(relay, route, false);
}

void udp_drop_withdrawn(struct relay *relay, bool all)
{
	end_clients(relay, NULL, all);
}

static bool take_room(struct relay *relay)
{
	return relay->udp_clients.used < relay->settings.udp_clients_max &&
	       relay_take_descriptors(relay, 1);
}

/*
 * Takes the descriptor for one more client, after the one that was idle longest has left if need
 * be.
 */
static bool make_room(struct relay *relay)
{
	struct timeout *oldest;

	if (take_room(relay))
		return true;
	oldest = timeout_oldest(&relay->udp_idle);
	if (!oldest)
		return false;
	udp_end_client(relay, container_of(oldest, struct udp_client, idle), END_EVICTED);
	return take_room(relay);
}

static int open_backend(const struct address *target)
{
	OWNED_FD fd = socket_open(PROTOCOL_UDP, target->family);
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(target, target->family, &storage);

	if (fd < 0)
		return fd;
	datagram_want_gro(fd);
	if (connect(fd, (struct sockaddr *)&storage, length) < 0)
		return -errno;
	return fd_take(&fd);
}

static struct udp_client *client_open(struct relay *relay, struct udp_port *port,
				      const struct datagram *datagram)
{
	OWNED_FD fd = open_backend(&port->route->target);
	struct udp_client *client = fd < 0 ? NULL : slots_take(&relay->udp_clients);

	if (!client)
		return NULL;
	client->port = port;
	client->client = datagram->peer;
	client->id = relay_next_id(relay);
	client->started_ns = relay->loop->now_ns;
	client->local = datagram->local;
	timeout_init(&client->idle);
	if (loop_watch(relay->loop, fd, EPOLLIN,
		       loop_ref_to(relay->udp_client_kind, &client->slot)) < 0 ||
	    udp_table_insert(relay, client) < 0) {
		slots_give(&relay->udp_clients, client);
		return NULL;
	}
	client->fd = fd_take(&fd);
	return client;
}

static struct udp_client *client_new(struct relay *relay, struct udp_port *port,
				     const struct datagram *datagram)
{
	struct udp_client *client;

	if (!make_room(relay))
		return NULL;
	client = client_open(relay, port, datagram);
	if (!client) {
		budget_give(relay->budget, 1);
		return NULL;
	}
	port->route->counters.sessions++;
	port->route->counters.open++;
	return client;
}

/* Towards the container. */

static void count_sent(struct relay_counters *counters, const struct datagram_sent *sent)
{
	counters->dropped_datagrams += sent->dropped;
	counters->refused_datagrams += sent->refused;
}

/* Sends datagrams of one client, which are neighbours in the batch. */
static void send_to_backend(struct relay *relay, struct udp_port *port, struct datagram *datagrams,
			    uint32_t count)
{
	struct relay_counters *counters = &port->route->counters;
	struct udp_client *client = udp_table_find(relay, port, &datagrams[0].peer,
						   &datagrams[0].local);
	struct datagram_sent sent;

	if (!client)
		client = client_new(relay, port, &datagrams[0]);
	if (!client) {
		for (uint32_t i = 0; i < count; i++)
			counters->dropped_datagrams += datagram_segments(&datagrams[i]);
		return;
	}
	timeout_start(&client->idle, &relay->udp_idle, relay->loop);
	/* the socket is connected, and its source is the kernel's choice */
	for (uint32_t i = 0; i < count; i++) {
		datagrams[i].peer.family = AF_UNSPEC;
		datagrams[i].local.family = AF_UNSPEC;
	}
	datagram_send(client->fd, port->route->target.family, datagrams, count, &sent);
	client->in_bytes += sent.sent_bytes;
	count_sent(counters, &sent);
	counters->in_datagrams += sent.sent;
	counters->in_bytes += sent.sent_bytes;
}

static bool same_client(const struct datagram *a, const struct datagram *b)
{
	return address_equal(&a->peer, &b->peer) && address_equal(&a->local, &b->local);
}

void udp_port_receive(struct relay *relay, struct udp_port *port)
{
	struct datagram_batch *in = batch_for(relay, port->fd, port->route);

	send_answers(relay);
	for (int round = 0; in && round < ROUNDS_PER_TURN; round++) {
		uint32_t first = 0;
		int received;

		in->count = 0;
		received = datagram_receive(port->fd, in, DATAGRAM_BATCH);

		if (received == -EAGAIN)
			return;
		for (uint32_t i = 1; i <= in->count; i++) {
			if (i < in->count && same_client(&in->datagrams[first], &in->datagrams[i]))
				continue;
			send_to_backend(relay, port, &in->datagrams[first], i - first);
			first = i;
		}
		if (received >= 0 && received < DATAGRAM_BATCH)
			return;
	}
}

/*
 * Towards the client. Answers of many clients are collected, each with where it goes to, and leave
 * together: when the batch is full, another port's come, or the turn of the loop ends.
 */

static void send_answers(struct relay *relay)
{
	const struct datagram_batch *batch = relay->udp_batch;
	struct udp_port *port = relay->udp_answering;
	struct datagram_sent sent;

	if (!port)
		return;
	relay->udp_answering = NULL;
	datagram_send(port->fd, port->family, batch->datagrams, batch->count, &sent);
	count_sent(&port->route->counters, &sent);
	port->route->counters.out_datagrams += sent.sent;
	port->route->counters.out_bytes += sent.sent_bytes;
}

static bool answer_work(void *context)
{
	send_answers(context);
	return false;
}

/* Returns whether there may be more. */
static bool collect_answers(struct relay *relay, struct udp_client *client)
{
	struct datagram_batch *batch = relay->udp_batch;
	uint32_t first, room;
	int received;

	if (relay->udp_answering != client->port || batch->count == DATAGRAM_BATCH) {
		send_answers(relay);
		batch->count = 0;
	}
	first = batch->count;
	room = DATAGRAM_BATCH - first;
	received = datagram_receive(client->fd, batch, room);
	if (received == -EAGAIN)
		return false;
	if (received < 0) {
		/* an ICMP error for something sent earlier; datagrams may be behind it */
		client->port->route->counters.refused_datagrams++;
		return true;
	}
	timeout_start(&client->idle, &relay->udp_idle, relay->loop);
	for (uint32_t i = first; i < batch->count; i++) {
		client->out_bytes += batch->datagrams[i].length;
		batch->datagrams[i].peer = client->client;
		batch->datagrams[i].local = client->local;
	}
	relay->udp_answering = client->port;
	return (uint32_t)received == room;
}

static void client_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct relay *relay = context;
	struct udp_client *client = slots_find(&relay->udp_clients, ref.index, ref.generation);

	(void)events;
	if (!client || !batch_for(relay, client->fd, client->port->route))
		return;
	for (int round = 0; round < ROUNDS_PER_TURN; round++)
		if (!collect_answers(relay, client))
			return;
}
