/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/clock.h"
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

/*
 * What may be on its way to the clients, whose link is slower than the container: a full batch.
 * Where this is full, datagrams are dropped, as nothing waits for room.
 */
#define PORT_SEND_BYTES (4 * 1024 * 1024)

/* The same of one client, towards the container and from it. */
#define CLIENT_RECEIVE_BYTES (1024 * 1024)
#define CLIENT_SEND_BYTES (2 * 1024 * 1024)

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
	port->refusal_told_ns = 0;
	udp_port_changed(port);
	socket_raise_buffers(fd, PORT_RECEIVE_BYTES, PORT_SEND_BYTES);
}

void udp_port_changed(struct udp_port *port)
{
	const struct relay_route *route = port->route;

	port->edits = route->introduces && route->introducer->edits_datagrams(route->policy);
	/* never off again: what waits there already would come as one datagram, without a word */
	if (!port->edits)
		datagram_want_gro(port->fd, true);
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

/* Gives back what a client holds besides its slot. */
static void client_fini(struct udp_client *client)
{
	const struct introducer *introducer = client->key.port->route->introducer;

	fd_close(&client->fd);
	free(client->head);
	if (client->lease != 0)
		introducer->leave(introducer->context, client->lease);
}

void udp_end_client(struct relay *relay, struct udp_client *client, enum end_reason reason)
{
	struct session_end end = { .reason = reason };

	udp_describe(client, &end.session);
	if (relay->settings.tells_addresses)
		udp_add_addresses(client, &end.session);
	timeout_stop(&client->idle);
	udp_table_remove(relay, client);
	client_fini(client);
	budget_give(relay->budget, 1);
	client->key.port->route->counters.open--;
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
		.route = client->key.port->route,
		.client = client->key.client,
		.host = client->key.local,
		.started_ns = client->started_ns,
		.in_bytes = client->in_bytes,
		.out_bytes = client->out_bytes,
		.state = SESSION_OPEN,
	};
	ret->host.port = client->key.port->number;
	if (!address_equal(&client->key.peer, &client->key.client))
		ret->announcer = client->key.peer;
}

void udp_add_addresses(const struct udp_client *client, struct session *session)
{
	if (session->host.family == AF_UNSPEC) /* a socket that does not tell of it (PKTINFO) */
		socket_local_address(client->key.port->fd, &session->host);
	socket_local_address(client->fd, &session->source);
	session->container = client->key.port->route->target;
}

/* Those of the route; where there is none, those of withdrawn ones, or all. */
static void end_clients(struct relay *relay, const struct relay_route *route, bool all)
{
	struct udp_client *next = slots_next(&relay->udp_clients, NULL);

	send_answers(relay);
	while (next) {
		struct udp_client *client = next;

		next = slots_next(&relay->udp_clients, client);
		if (all ||
		    (route ? client->key.port->route == route : client->key.port->route->withdrawn))
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

static bool evict_oldest(struct relay *relay)
{
	struct timeout *oldest = timeout_oldest(&relay->udp_idle);

	if (oldest)
		udp_end_client(relay, container_of(oldest, struct udp_client, idle), END_EVICTED);
	return oldest;
}

/* For a client that has its slot already. */
static bool take_room(struct relay *relay)
{
	return relay->udp_clients.used <= relay->settings.udp_clients_max &&
	       relay_take_descriptors(relay, 1);
}

/*
 * Takes the descriptor for one more client, after the one that was idle longest has left if need
 * be.
 */
static bool make_room(struct relay *relay)
{
	return take_room(relay) || (evict_oldest(relay) && take_room(relay));
}

static int open_backend(const struct udp_port *port, const struct address *source)
{
	const struct address *target = &port->route->target;
	OWNED_FD fd = socket_open(PROTOCOL_UDP, target->family);
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(target, target->family, &storage);
	int r = fd;

	if (r >= 0 && source->family != AF_UNSPEC)
		r = socket_bind_source(fd, source);
	if (r < 0)
		return r;
	datagram_want_gro(fd, !port->edits);
	socket_raise_buffers(fd, CLIENT_RECEIVE_BYTES, CLIENT_SEND_BYTES);
	if (connect(fd, (struct sockaddr *)&storage, length) < 0)
		return -errno;
	return fd_take(&fd);
}

/* Who a datagram is from, and what it was sent to, whoever has brought it. */
static void key_of(struct udp_port *port, const struct datagram *datagram,
		   const struct announcement *announced, struct udp_key *ret)
{
	*ret = (struct udp_key){
		.peer = datagram->peer,
		.local = datagram->local,
		.client = datagram->peer,
		.port = port,
	};
	if (!announced || announced->client.family == AF_UNSPEC)
		return;
	ret->client = announced->client;
	ret->host = announced->host;
}

static struct udp_head *head_new(const struct introduction *introduction)
{
	struct udp_head *head = malloc(sizeof(*head) + introduction->bytes_count);

	if (!head)
		return NULL;
	head->first_only = introduction->first_only;
	head->length = (uint16_t)introduction->bytes_count;
	memcpy(head->bytes, introduction->bytes, introduction->bytes_count);
	return head;
}

/* Introduces the client, if the route does that. Returns 0 or -errno. */
static int introduce(struct udp_client *client, const struct announcement *announced,
		     struct address *ret_source)
{
	const struct relay_route *route = client->key.port->route;
	struct visitor visitor = { .protocol = PROTOCOL_UDP,
				   .session_id = client->id,
				   .peer = client->key.peer,
				   .host = client->key.local,
				   .fd = -1,
				   .announced = announced };
	struct introduction introduction;
	int r;

	*ret_source = (struct address){ .family = AF_UNSPEC };
	if (!route->introduces)
		return 0;
	visitor.host.port = client->key.port->number;
	r = route->introducer->introduce(route->introducer->context, route->policy, &visitor,
					 &introduction);
	if (r < 0)
		return r;
	client->lease = introduction.lease;
	*ret_source = introduction.source;
	if (introduction.bytes_count > 0)
		client->head = head_new(&introduction);
	return introduction.bytes_count > 0 && !client->head ? -ENOMEM : 0;
}

static void client_init(struct relay *relay, struct udp_client *client, const struct udp_key *key)
{
	client->fd = -1;
	client->key = *key;
	client->id = relay_next_id(relay);
	client->started_ns = relay->loop->now_ns;
	timeout_init(&client->idle);
}

/* Each datagram of such a client comes here: one in a second is told, and all are counted. */
static void tell_refusal(struct relay *relay, const struct udp_client *client,
			 enum end_reason reason)
{
	struct udp_port *port = client->key.port;
	struct session_end end = { .reason = reason };

	if (port->refusal_told_ns != 0 && client->started_ns - port->refusal_told_ns < NS_PER_S)
		return;
	port->refusal_told_ns = client->started_ns;
	udp_describe(client, &end.session);
	relay_tell_end(relay, &end);
}

/* Connects it to the container. Its descriptor is taken from the budget already. */
static bool client_connect(struct relay *relay, struct udp_client *client,
			   const struct address *source)
{
	client->fd = open_backend(client->key.port, source);
	if (client->fd >= 0 &&
	    loop_watch(relay->loop, client->fd, EPOLLIN,
		       loop_ref_to(relay->udp_client_kind, &client->slot)) == 0 &&
	    udp_table_insert(relay, client) == 0)
		return true;
	budget_give(relay->budget, 1);
	return false;
}

/* One who may not come is no reason for another to leave, so room is made for those who may. */
static struct udp_client *client_new(struct relay *relay, const struct udp_key *key,
				     const struct announcement *announced)
{
	struct relay_counters *counters = &key->port->route->counters;
	struct udp_client *client = slots_take(&relay->udp_clients);
	struct address source;
	bool connected = false;
	int r;

	if (!client && evict_oldest(relay))
		client = slots_take(&relay->udp_clients);
	if (!client)
		return NULL;
	client_init(relay, client, key);
	r = introduce(client, announced, &source);
	if (r < 0)
		tell_refusal(relay, client, end_reason_of_introduction(r));
	else if (make_room(relay))
		connected = client_connect(relay, client, &source);
	if (!connected) {
		client_fini(client);
		slots_give(&relay->udp_clients, client);
		return NULL;
	}
	counters->sessions++;
	counters->open++;
	return client;
}

/* Towards the container. */

static void count_sent(struct relay_counters *counters, const struct datagram_sent *sent)
{
	counters->dropped_datagrams += sent->dropped;
	counters->refused_datagrams += sent->refused;
}

/* A container that was not there, or has begun anew, has not had the head of the first datagram. */
static bool has_had_head(struct udp_client *client)
{
	int error = client->is_introduced ? socket_take_error(client->fd) : 0;

	if (error != 0)
		client->key.port->route->counters.refused_datagrams++;
	if (error == ECONNREFUSED)
		client->is_introduced = false;
	return client->is_introduced;
}

/* Of datagrams that shall have one: each, or the first of the client. */
static void add_heads(struct udp_client *client, struct datagram *datagrams, uint32_t count)
{
	const struct udp_head *head = client->head;

	if (!head || (head->first_only && has_had_head(client)))
		return;
	for (uint32_t i = 0; i < (head->first_only ? 1 : count); i++) {
		datagrams[i].head = head->bytes;
		datagrams[i].head_bytes = head->length;
	}
}

/* Sends datagrams of one client, which are neighbours in the batch. */
static void send_to_backend(struct relay *relay, struct udp_port *port, struct datagram *datagrams,
			    uint32_t count, const struct announcement *announced)
{
	struct relay_counters *counters = &port->route->counters;
	struct udp_client *client;
	struct datagram_sent sent;
	struct udp_key key;

	key_of(port, &datagrams[0], announced, &key);
	client = udp_table_find(relay, &key);
	if (!client)
		client = client_new(relay, &key, announced);
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
	add_heads(client, datagrams, count);
	datagram_send(client->fd, port->route->target.family, datagrams, count, &sent);
	client->in_bytes += sent.sent_bytes;
	client->in_datagrams += sent.sent;
	client->is_introduced = client->is_introduced || sent.sent > 0;
	count_sent(counters, &sent);
	counters->in_datagrams += sent.sent;
	counters->in_bytes += sent.sent_bytes;
}

static bool same_client(const struct datagram *a, const struct datagram *b)
{
	return address_equal(&a->peer, &b->peer) && address_equal(&a->local, &b->local);
}

/* A datagram of a proxy that says whose it is. Those that do not are dropped. */
static void receive_announced(struct relay *relay, struct udp_port *port, struct datagram *datagram)
{
	struct announcement announcement;
	ssize_t length = port->route->introducer->read(PROTOCOL_UDP, datagram->bytes,
						       datagram->length, &announcement);

	if (length < 0) {
		port->route->counters.dropped_datagrams++;
		return;
	}
	datagram->bytes += length;
	datagram->length -= (uint32_t)length;
	send_to_backend(relay, port, datagram, 1, &announcement);
}

static bool is_announcing(const struct udp_port *port, const struct datagram *datagram)
{
	const struct relay_route *route = port->route;

	return port->edits && route->introducer->expects(route->policy, &datagram->peer);
}

/* Such come where the port has not always edited. */
static bool is_to_be_parted(const struct udp_port *port, const struct datagram *datagram)
{
	return port->edits && datagram->segment_bytes != 0;
}

/* Deals with the first datagrams, and returns how many. */
static uint32_t receive_some(struct relay *relay, struct udp_port *port, struct datagram *datagrams,
			     uint32_t count)
{
	uint32_t same = 1;

	if (is_announcing(port, &datagrams[0])) {
		receive_announced(relay, port, &datagrams[0]);
		return 1;
	}
	while (same < count && same_client(&datagrams[0], &datagrams[same]) &&
	       !is_to_be_parted(port, &datagrams[same]))
		same++;
	send_to_backend(relay, port, datagrams, same, NULL);
	return same;
}

/* Several that came in one buffer, each of which is to be looked at. */
static void receive_segments(struct relay *relay, struct udp_port *port,
			     const struct datagram *datagram)
{
	struct datagram parts[DATAGRAM_BATCH];
	uint32_t offset = 0, count;

	while ((count = datagram_part(datagram, &offset, parts)) > 0)
		for (uint32_t first = 0; first < count;)
			first += receive_some(relay, port, &parts[first], count - first);
}

static void receive_batch(struct relay *relay, struct udp_port *port, struct datagram_batch *in)
{
	for (uint32_t first = 0; first < in->count;) {
		struct datagram *datagrams = &in->datagrams[first];

		if (is_to_be_parted(port, datagrams)) {
			receive_segments(relay, port, datagrams);
			first++;
		} else {
			first += receive_some(relay, port, datagrams, in->count - first);
		}
	}
}

void udp_port_receive(struct relay *relay, struct udp_port *port)
{
	struct datagram_batch *in = batch_for(relay, port->fd, port->route);

	send_answers(relay);
	for (int round = 0; in && round < ROUNDS_PER_TURN; round++) {
		int received;

		in->count = 0;
		received = datagram_receive(port->fd, in, DATAGRAM_BATCH);

		if (received == -EAGAIN)
			return;
		receive_batch(relay, port, in);
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

/* What the container has put before an answer, since it was asked that way. */
static void strip_answer(const struct relay_route *route, struct datagram *datagram)
{
	size_t length = route->introducer->answers_with(route->policy, datagram->bytes,
							datagram->length);

	datagram->bytes += length;
	datagram->length -= (uint32_t)length;
}

/* Returns whether there may be more. */
static bool collect_answers(struct relay *relay, struct udp_client *client)
{
	struct datagram_batch *batch = relay->udp_batch;
	uint32_t first, room;
	int received;

	if (relay->udp_answering != client->key.port || batch->count == DATAGRAM_BATCH) {
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
		client->key.port->route->counters.refused_datagrams++;
		if (received == -ECONNREFUSED)
			client->is_introduced = false;
		return true;
	}
	timeout_start(&client->idle, &relay->udp_idle, relay->loop);
	for (uint32_t i = first; i < batch->count; i++) {
		if (client->key.port->edits)
			strip_answer(client->key.port->route, &batch->datagrams[i]);
		client->out_bytes += batch->datagrams[i].length;
		batch->datagrams[i].peer = client->key.peer;
		batch->datagrams[i].local = client->key.local;
	}
	relay->udp_answering = client->key.port;
	return (uint32_t)received == room;
}

static void client_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct relay *relay = context;
	struct udp_client *client = slots_find(&relay->udp_clients, ref.index, ref.generation);

	(void)events;
	if (!client || !batch_for(relay, client->fd, client->key.port->route))
		return;
	for (int round = 0; round < ROUNDS_PER_TURN; round++)
		if (!collect_answers(relay, client))
			return;
}
