/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/publisher.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/processors.h"
#include "net/socket.h"
#include "publish/listener.h"

/* When to try again after a shortage that no session of ours can end (ENFILE, ENOMEM). */
#define RESUME_NS (100 * NS_PER_MS)

static void pause_port(struct publisher *publisher, struct published_port *port, int error)
{
	port->paused = true;
	(void)loop_rewatch(publisher->loop, port->fd, 0,
			   loop_ref_to(publisher->port_kind, &port->slot));
	timeout_start(&publisher->resume, &publisher->resuming, publisher->loop);
	if (publisher->observer.paused)
		publisher->observer.paused(publisher->observer.context, port, error);
}

static void resume_ports(struct publisher *publisher)
{
	for (struct published_port *port = publisher_next(publisher, NULL); port;
	     port = publisher_next(publisher, port)) {
		if (!port->paused)
			continue;
		port->paused = false;
		(void)loop_rewatch(publisher->loop, port->fd, EPOLLIN,
				   loop_ref_to(publisher->port_kind, &port->slot));
	}
}

static void resume_expired(void *context, struct timeout *timeout)
{
	(void)timeout;
	resume_ports(context);
}

static void port_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct publisher *publisher = context;
	struct published_port *port = slots_find(&publisher->ports, ref.index, ref.generation);
	int r;

	(void)events;
	if (!port || port->paused)
		return;
	if (port->rule.protocol == PROTOCOL_UDP) {
		udp_port_receive(&publisher->relay, &port->udp);
		return;
	}
	r = listener_accept(publisher, port);
	if (r < 0)
		pause_port(publisher, port, -r);
}

static void on_room(void *context)
{
	resume_ports(context);
}

static void on_session_ended(void *context, const struct relay_route *route,
			     const struct address *client, enum end_reason reason, int error)
{
	struct publisher *publisher = context;

	if (publisher->observer.session_ended)
		publisher->observer.session_ended(publisher->observer.context, route->owner, client,
						  reason, error);
}

/* One for each processor that this process may use, unless the operator knows better. */
static uint32_t threads_most(const struct settings *settings)
{
	uint64_t most = settings->threads_most > 0 ? settings->threads_most : processors_count();

	return (uint32_t)(most > settings->threads_least ? most : settings->threads_least);
}

void publisher_init(struct publisher *publisher, struct loop *loop, const struct settings *settings,
		    uint32_t descriptors_max, const struct publisher_observer *observer)
{
	const struct relay_settings relay_settings = {
		.connect_timeout_ns = settings->connect_timeout_ns,
		.connect_retry_ns = settings->connect_retry_ns,
		.half_closed_timeout_ns = settings->half_closed_timeout_ns,
		.udp_idle_timeout_ns = settings->udp_idle_timeout_ns,
		.keepalive_s = (uint32_t)((settings->keepalive_ns + NS_PER_S - 1) / NS_PER_S),
		.udp_clients_max = (uint32_t)settings->udp_clients_max,
	};
	const struct relay_observer relay_observer = {
		.session_ended = on_session_ended,
		.has_room = on_room,
		.context = publisher,
	};

	publisher->loop = loop;
	publisher->observer = *observer;
	slots_init(&publisher->ports, sizeof(struct published_port), sizeof(struct published_port));
	publisher->port_kind = loop_add_kind(loop, port_event, publisher);
	timeout_queue_init(&publisher->resuming, loop, RESUME_NS, resume_expired, publisher);
	timeout_init(&publisher->resume);
	budget_init(&publisher->budget, descriptors_max);
	relay_init(&publisher->relay, loop, &relay_settings, &publisher->budget, &relay_observer);
	workers_init(&publisher->workers, &publisher->relay, (uint32_t)settings->threads_least,
		     threads_most(settings));
}

void publisher_fini(struct publisher *publisher)
{
	struct published_port *port;

	timeout_stop(&publisher->resume);
	for (port = publisher_next(publisher, NULL); port; port = publisher_next(publisher, port))
		fd_close(&port->fd);
	workers_fini(&publisher->workers);
	relay_fini(&publisher->relay);
	slots_fini(&publisher->ports);
}

/*
 * The socket to serve: the one that was handed over, or one of our own, which is then also in
 * *opened.
 */
static int take_socket(const struct rule *rule, int fd, int *opened, struct error *err)
{
	if (fd >= 0)
		return socket_adopt(fd, rule->protocol, err) < 0 ? -1 : fd;
	*opened = socket_listen(rule->protocol, &rule->host, err);
	return *opened;
}

static void port_init(struct publisher *publisher, struct published_port *port,
		      const struct rule *rule, int fd)
{
	struct address local;

	port->fd = fd;
	port->rule = *rule;
	port->route.protocol = rule->protocol;
	port->route.target = rule->container;
	port->route.owner = port;
	port->burst = 1;
	if (rule->host.port == 0) {
		socket_local_address(fd, &local);
		port->rule.host.port = local.port;
	}
	if (rule->protocol == PROTOCOL_UDP) {
		udp_port_init(&port->udp, fd, &port->route);
		return;
	}
	/* inherited by every connection that comes from now on */
	socket_tune_stream(fd, rule->protocol);
	socket_keep_alive(fd, rule->protocol, publisher->relay.settings.keepalive_s);
}

struct published_port *publisher_add(struct publisher *publisher, const struct rule *rule, int fd,
				     struct error *err)
{
	OWNED_FD opened = -1;
	struct published_port *port;
	int r;

	fd = take_socket(rule, fd, &opened, err);
	if (fd < 0)
		return NULL;
	port = slots_take(&publisher->ports);
	if (!port) {
		error_set(err, -ENOMEM, "too many published ports: %u are the most", SLOTS_MAX);
		return NULL;
	}
	port_init(publisher, port, rule, fd);
	r = loop_watch(publisher->loop, fd, EPOLLIN,
		       loop_ref_to(publisher->port_kind, &port->slot));
	if (r < 0) {
		slots_give(&publisher->ports, port);
		error_set(err, r, "epoll_ctl: %s", error_name(r));
		return NULL;
	}
	(void)fd_take(&opened);
	budget_take(&publisher->budget, 1);
	return port;
}

void publisher_remove(struct publisher *publisher, struct published_port *port)
{
	workers_drop_route(&publisher->workers, &port->route);
	fd_close(&port->fd);
	budget_give(&publisher->budget, 1);
	slots_give(&publisher->ports, port);
}

struct published_port *publisher_next(const struct publisher *publisher,
				      const struct published_port *port)
{
	return slots_next(&publisher->ports, port);
}
