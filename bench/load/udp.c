/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams. Each client is a socket, thus a source port, of its own. Those that it sends at a time
 * are handed to the kernel as one (UDP_SEGMENT), so that the processors are left to the proxy; the
 * link of the client is set up so that they part before they leave it, as those of a remote client
 * would come.
 *
 * Without replies, as many are sent as can be, and the backend counts what arrives. With replies,
 * each client has `window` datagrams under way, and counts the answers.
 */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#define EVENTS 128
#define TICK_MS 5
/* Datagrams that are not answered for that long are lost. */
#define LOST_NS 50000000
#define HOLD_TRIES 50
#define HOLD_WAIT_US 100000
/* The first of those that udp-open has its flows from. */
#define OPEN_PORT 5000
/* What the kernel takes at a time. */
#define DATAGRAMS_BYTES_MAX 65000
/* Of one client in a row, when there are more. */
#define TURN 4

struct client {
	int fd;
	long under_way;
	uint64_t last_ns; /* when it last sent or received */
};

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec out[BATCH];
	struct iovec in;
	char data[DATAGRAM_MAX_BYTES];
	char scratch[DATAGRAM_MAX_BYTES];
};

static struct batch *new_batch(const struct options *options, char kind)
{
	struct batch *batch = allocate(1, sizeof(*batch));

	batch->data[0] = kind;
	for (size_t i = 0; i < BATCH; i++)
		batch->out[i] = (struct iovec){ batch->data, (size_t)options->size };
	/* All go to the same place, as nobody reads them. */
	batch->in = (struct iovec){ batch->scratch, sizeof(batch->scratch) };
	return batch;
}

/* Returns how many were sent. */
static int send_batch(struct batch *batch, int fd, long count)
{
	long most = DATAGRAMS_BYTES_MAX / (long)batch->out[0].iov_len, sent = 0;

	while (sent < count) {
		long part = count - sent < most ? count - sent : most;
		struct msghdr message = { .msg_iov = batch->out, .msg_iovlen = (size_t)part };

		if (sendmsg(fd, &message, MSG_DONTWAIT) < 0)
			break;
		sent += part;
	}
	return (int)sent;
}

static int receive_batch(struct batch *batch, int fd)
{
	for (size_t i = 0; i < BATCH; i++)
		batch->messages[i].msg_hdr = (struct msghdr){ .msg_iov = &batch->in,
							      .msg_iovlen = 1 };
	return recvmmsg(fd, batch->messages, BATCH, 0, NULL);
}

static struct client *open_clients(struct worker *worker)
{
	struct client *clients = allocate((size_t)worker->connections, sizeof(*clients));

	for (long i = 0; i < worker->connections; i++) {
		clients[i].fd = connect_to(worker->options, SOCK_DGRAM);
		set_nonblocking(clients[i].fd);
		set_option(clients[i].fd, IPPROTO_UDP, UDP_SEGMENT, (int)worker->options->size);
	}
	return clients;
}

static void flood(struct worker *worker)
{
	struct batch *batch = new_batch(worker->options, SINK);
	struct client *clients = open_clients(worker);
	long turn = worker->connections > 1 ? TURN : BATCH;

	while (now_ns() < worker->end_ns)
		for (long i = 0; i < worker->connections; i++) {
			int sent = send_batch(batch, clients[i].fd, turn);

			if (sent > 0)
				worker->result->total += (uint64_t)sent;
		}
	free(clients);
	free(batch);
}

/* Sends as many as fill the client's window. */
static void fill_window(struct worker *worker, struct batch *batch, struct client *client)
{
	int sent = send_batch(batch, client->fd, worker->options->window - client->under_way);

	if (sent > 0)
		client->under_way += sent;
	client->last_ns = now_ns();
}

static void receive_replies(struct worker *worker, struct batch *batch, struct client *client)
{
	int got = receive_batch(batch, client->fd);
	uint64_t now = now_ns();

	if (got <= 0)
		return;
	worker->result->total += (uint64_t)got;
	if (now >= worker->begin_ns && now < worker->end_ns)
		worker->result->counted += (uint64_t)got;
	/* Some may have been given up before. */
	client->under_way = got < client->under_way ? client->under_way - got : 0;
	fill_window(worker, batch, client);
}

static void give_up_lost(struct worker *worker, struct batch *batch, struct client *clients)
{
	uint64_t now = now_ns();

	for (long i = 0; i < worker->connections; i++) {
		if (now - clients[i].last_ns < LOST_NS)
			continue;
		worker->result->failed += (uint64_t)clients[i].under_way;
		clients[i].under_way = 0;
		fill_window(worker, batch, &clients[i]);
	}
}

static void exchange(struct worker *worker)
{
	struct batch *batch = new_batch(worker->options, ECHO);
	struct client *clients = open_clients(worker);
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t checked_ns = now_ns();

	for (long i = 0; i < worker->connections; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &clients[i] };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event) != 0)
			fail("epoll_ctl");
		fill_window(worker, batch, &clients[i]);
	}
	while (now_ns() < worker->end_ns) {
		int count = epoll_wait(epoll, events, EVENTS, TICK_MS);

		for (int i = 0; i < count; i++)
			receive_replies(worker, batch, events[i].data.ptr);
		if (now_ns() - checked_ns < LOST_NS)
			continue;
		give_up_lost(worker, batch, clients);
		checked_ns = now_ns();
	}
	free(clients);
	free(batch);
}

int udp_run(const struct options *options)
{
	return workers_run(options, options->window > 0 ? exchange : flood);
}

/* Has an answer, so the proxy knows the client. */
static void ask_once(int fd)
{
	const struct timeval wait = { .tv_usec = HOLD_WAIT_US };
	char message = ECHO;
	int tries = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	do {
		if (tries++ == HOLD_TRIES)
			refuse("a datagram is never answered");
		send(fd, &message, 1, 0);
	} while (recv(fd, &message, 1, 0) != 1);
}

int udp_hold_run(const struct options *options)
{
	for (long i = 0; i < options->connections; i++)
		ask_once(connect_to(options, SOCK_DGRAM));
	hold();
	return 0;
}

/* One after the other, so that there may be more of them than descriptors. */
int udp_open_run(const struct options *options)
{
	struct options own = *options;

	for (long i = 0; i < options->count; i++) {
		int fd;

		own.source_port = OPEN_PORT + i;
		fd = connect_to(&own, SOCK_DGRAM);
		ask_once(fd);
		close(fd);
	}
	hold();
	return 0;
}
