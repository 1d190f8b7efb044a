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

/* How often a port that is being withdrawn is asked whether its last session has gone. */
#define DRAIN_CHECK_NS (100 * NS_PER_MS)

static void drain_expired(void *context, struct timeout *timeout);

/* What epoll is to tell of the port follows from its state. */
static void watch_again(struct publisher *publisher, struct published_port *port)
{
	if (port->fd >= 0)
		(void)loop_rewatch(publisher->loop, port->fd,
				   port->paused || port->held ? 0 : EPOLLIN,
				   loop_ref_to(publisher->port_kind, &port->slot));
}

static void pause_port(struct publisher *publisher, struct published_port *port, int error)
{
	port->paused = true;
	watch_again(publisher, port);
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
		watch_again(publisher, port);
	}
}

void publisher_hold(struct publisher *publisher, struct published_port *port)
{
	if (port->held)
		return;
	port->held = true;
	watch_again(publisher, port);
}

void publisher_release(struct publisher *publisher, struct published_port *port)
{
	if (!port->held)
		return;
	port->held = false;
	watch_again(publisher, port);
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
	if (!port || port->paused || port->held || port->fd < 0)
		return;
	if (port->rule.protocol == PROTOCOL_UDP) {
		udp_port_receive(&publisher->relay, &port->udp);
		return;
	}
	r = listener_accept(publisher, port);
	if (r < 0)
		pause_port(publisher, port, -r);
}

static void on_session_ended(void *context, const struct session_end *end)
{
	const struct publisher *publisher = context;

	publisher->observer.session_ended(publisher->observer.context, end);
}

static void on_session_logged(void *context, const struct session_end *end)
{
	const struct publisher *publisher = context;

	publisher->observer.session_logged(publisher->observer.context, end);
}

static void on_room(void *context)
{
	resume_ports(context);
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
		.tells_addresses = observer->session_logged,
	};
	const struct relay_observer relay_observer = {
		.session_ended = observer->session_ended ? on_session_ended : NULL,
		.session_logged = observer->session_logged ? on_session_logged : NULL,
		.has_room = on_room,
		.context = publisher,
	};

	publisher->loop = loop;
	publisher->observer = *observer;
	publisher->introducer = NULL;
	slots_init(&publisher->ports, sizeof(struct published_port), sizeof(struct published_port));
	publisher->port_kind = loop_add_kind(loop, port_event, publisher);
	timeout_queue_init(&publisher->resuming, loop, RESUME_NS, resume_expired, publisher);
	timeout_init(&publisher->resume);
	timeout_queue_init(&publisher->draining, loop, DRAIN_CHECK_NS, drain_expired, publisher);
	relay_shared_init(&publisher->shared, descriptors_max);
	relay_init(&publisher->relay, loop, &relay_settings, &publisher->shared, &relay_observer);
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

static void socket_init(struct publisher *publisher, struct published_port *port, int fd)
{
	enum protocol protocol = port->rule.protocol;

	if (protocol == PROTOCOL_UDP) {
		udp_port_init(&port->udp, fd, &port->route);
		return;
	}
	/* inherited by every connection that comes from now on */
	socket_tune_stream(fd, protocol);
	socket_keep_alive(fd, protocol, publisher->relay.settings.keepalive_s);
	port->backlog_is_tuned = false;
}

static bool introduces(const struct publisher *publisher, const struct rule *rule)
{
	return publisher->introducer && !identity_is_none(&rule->identity);
}

static void port_init(struct publisher *publisher, struct published_port *port,
		      const struct rule *rule, int fd)
{
	struct address local;

	port->fd = fd;
	port->rule = *rule;
	relay_route_init(&port->route, rule->protocol, &rule->container, port);
	port->route.introducer = publisher->introducer;
	port->route.policy = &port->rule.identity;
	port->route.introduces = introduces(publisher, rule);
	timeout_init(&port->drain);
	port->burst = 1;
	if (rule->host.port == 0) {
		socket_local_address(fd, &local);
		port->rule.host.port = local.port;
	}
	socket_init(publisher, port, fd);
}

static int watch(struct publisher *publisher, struct published_port *port, int fd,
		 struct error *err)
{
	int r = loop_watch(publisher->loop, fd, EPOLLIN,
			   loop_ref_to(publisher->port_kind, &port->slot));

	return r < 0 ? error_set(err, r, "epoll_ctl: %s", error_name(r)) : 0;
}

struct published_port *publisher_add(struct publisher *publisher, const struct rule *rule, int fd,
				     struct error *err)
{
	OWNED_FD opened = -1;
	struct published_port *port;

	fd = take_socket(rule, fd, &opened, err);
	if (fd < 0)
		return NULL;
	port = slots_take(&publisher->ports);
	if (!port) {
		error_set(err, -ENOMEM, "too many published ports: %u are the most", SLOTS_MAX);
		return NULL;
	}
	port_init(publisher, port, rule, fd);
	if (watch(publisher, port, fd, err) < 0) {
		slots_give(&publisher->ports, port);
		return NULL;
	}
	(void)fd_take(&opened);
	budget_take(&publisher->shared.budget, 1);
	return port;
}

void publisher_stop_listening(struct publisher *publisher, struct published_port *port)
{
	if (port->fd < 0)
		return;
	if (port->rule.protocol == PROTOCOL_UDP)
		udp_end_clients(&publisher->relay, &port->route);
	fd_close(&port->fd);
	budget_give(&publisher->shared.budget, 1);
}

int publisher_listen_again(struct publisher *publisher, struct published_port *port,
			   struct error *err)
{
	OWNED_FD fd = socket_listen(port->rule.protocol, &port->rule.host, err);

	if (fd < 0 || watch(publisher, port, fd, err) < 0)
		return err->code;
	socket_init(publisher, port, fd);
	port->fd = fd_take(&fd);
	budget_take(&publisher->shared.budget, 1);
	return 0;
}

static void give_port(struct publisher *publisher, struct published_port *port)
{
	timeout_stop(&port->drain);
	if (port->fd >= 0)
		budget_give(&publisher->shared.budget, 1);
	fd_close(&port->fd);
	slots_give(&publisher->ports, port);
}

void publisher_remove_all(struct publisher *publisher, struct published_port *const *ports,
			  size_t count)
{
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		ports[i]->route.withdrawn = true;
	workers_drop_withdrawn(&publisher->workers, false);
	for (size_t i = 0; i < count; i++)
		give_port(publisher, ports[i]);
}

void publisher_remove(struct publisher *publisher, struct published_port *port)
{
	publisher_remove_all(publisher, &port, 1);
}

/* Its number of sessions is looked at again and again: they end on any thread. */
static void drain_expired(void *context, struct timeout *timeout)
{
	struct publisher *publisher = context;
	struct published_port *port = container_of(timeout, struct published_port, drain);

	if (port->route.counters.open == 0 || publisher->loop->now_ns >= port->drained_until_ns)
		publisher_remove(publisher, port);
	else
		timeout_start(timeout, &publisher->draining, publisher->loop);
}

void publisher_drain(struct publisher *publisher, struct published_port *port, uint64_t drain_ns)
{
	publisher_stop_listening(publisher, port);
	port->drained_until_ns = publisher->loop->now_ns + drain_ns;
	timeout_start(&port->drain, &publisher->draining, publisher->loop);
}

static bool moves(const struct published_port *port, const struct rule *rule)
{
	return !address_equal(&port->rule.container, &rule->container);
}

/* Whether a client of UDP is another one to the container from then on. */
static bool concerns_clients(const struct published_port *port, const struct rule *rule)
{
	return moves(port, rule) || !identity_equal(&port->rule.identity, &rule->identity);
}

static void change(const struct publisher *publisher, struct published_port *port,
		   const struct rule *rule)
{
	port->route.has_moved = port->route.has_moved || moves(port, rule);
	port->route.target = rule->container;
	port->rule = *rule;
	port->route.introduces = introduces(publisher, rule);
	if (rule->protocol == PROTOCOL_UDP && port->fd >= 0)
		udp_port_changed(&port->udp);
}

void publisher_change_all(struct publisher *publisher, struct published_port *const *ports,
			  const struct rule *const *rules, size_t count)
{
	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (rules[i]->protocol == PROTOCOL_UDP && concerns_clients(ports[i], rules[i]))
			udp_end_clients(&publisher->relay, &ports[i]->route);
	workers_pause(&publisher->workers);
	for (size_t i = 0; i < count; i++)
		change(publisher, ports[i], rules[i]);
	workers_resume(&publisher->workers);
}

bool publisher_has_sessions(const struct publisher *publisher)
{
	for (struct published_port *port = publisher_next(publisher, NULL); port;
	     port = publisher_next(publisher, port))
		if (port->route.counters.open > 0)
			return true;
	return false;
}

struct published_port *publisher_next(const struct publisher *publisher,
				      const struct published_port *port)
{
	return slots_next(&publisher->ports, port);
}
