/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/listener.h"

#include <errno.h>
#include <sys/socket.h>

#include "net/socket.h"

#define BURST_MAX 64

/*
 * Not of the listener but of a connection that ended before it was accepted: accept(2), "Error
 * handling".
 */
static bool concerns_one_connection(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EINTR:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case EPERM: /* a firewall rule forbade it */
		return true;
	default:
		return false;
	}
}

/* 1: accepted, or one was given up; 0: nobody waits; -errno: a shortage. */
static int accept_one(struct publisher *publisher, struct published_port *port, bool first)
{
	struct relay *relay = &publisher->relay;
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	struct address client;
	int fd;

	if (!relay_reserve(relay))
		return -EMFILE;
	fd = accept4(port->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		relay_cancel(relay);
	if (fd < 0 && errno == EAGAIN) {
		port->backlog_is_tuned = true;
		return 0;
	}
	if (fd < 0)
		return concerns_one_connection(errno) ? 1 : -errno;
	if (!port->backlog_is_tuned) {
		socket_tune_stream(fd, port->route.protocol);
		socket_keep_alive(fd, port->route.protocol, relay->settings.keepalive_s);
	}
	address_from_sockaddr(&peer, &client);
	workers_accept(&publisher->workers, &port->route, fd, &client, first);
	return 1;
}

/*
 * One client at a time, as they mostly come, is not worth a call that only says that there is no
 * other. They come faster where they come in one turn after the other.
 */
static void adapt_burst(const struct loop *loop, struct published_port *port)
{
	uint64_t turn = loop->turn;

	if (turn - port->last_turn > 1)
		port->burst = 1;
	else if (port->burst < BURST_MAX)
		port->burst *= 2;
	if (!port->backlog_is_tuned && port->burst < 2)
		port->burst = 2; /* to find its end */
	port->last_turn = turn;
}

int listener_accept(struct publisher *publisher, struct published_port *port)
{
	adapt_burst(publisher->loop, port);
	for (uint32_t i = 0; i < port->burst; i++) {
		int r = accept_one(publisher, port, i == 0);

		if (r <= 0) {
			port->burst = 1;
			return r;
		}
	}
	return 0;
}
