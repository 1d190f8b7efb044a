/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of published ports, and the listeners behind it: the one place where connections come
 * in.
 *
 * A port accepts only while there are descriptors for a whole session. At the limit it stops
 * listening to its socket (clients wait in the kernel's backlog), says so through the observer, and
 * goes on when a session has ended. Nothing of this ends the process.
 */
#ifndef FAIRLEAD_PUBLISH_PUBLISHER_H
#define FAIRLEAD_PUBLISH_PUBLISHER_H

#include "base/error.h"
#include "base/slots.h"
#include "loop/loop.h"
#include "model/rule.h"
#include "model/settings.h"
#include "relay/relay.h"
#include "relay/udp.h"
#include "relay/workers.h"

struct published_port {
	struct slot slot;
	struct rule rule;
	struct relay_route route;
	struct udp_port udp;
	int fd;
	bool paused;
	/*
	 * The backlog was empty once: no connection in it is older than the options set on the
	 * socket, which the others inherit.
	 */
	bool backlog_is_tuned;
	uint32_t burst;	    /* connections to accept at an event */
	uint64_t last_turn; /* of the loop, in which some were accepted */
};

/* Any may be NULL. */
struct publisher_observer {
	void (*session_ended)(void *context, const struct published_port *port,
			      const struct address *client, enum end_reason reason, int error);
	/*
	 * New clients wait. error is the errno that said so, or EMFILE where the own budget is used
	 * up.
	 */
	void (*paused)(void *context, const struct published_port *port, int error);
	void *context;
};

struct publisher {
	struct loop *loop;
	struct publisher_observer observer;
	struct slots ports;
	uint8_t port_kind;
	struct timeout_queue resuming;
	struct timeout resume;
	struct budget budget;
	struct workers workers;
	struct relay relay; /* of this thread; last: it ends in a large buffer */
};

/* descriptors_max is the process's limit. The publisher does not move afterwards. */
void publisher_init(struct publisher *publisher, struct loop *loop, const struct settings *settings,
		    uint32_t descriptors_max, const struct publisher_observer *observer);

/* Withdraws every port: sessions are reset, sockets closed. */
void publisher_fini(struct publisher *publisher);

/*
 * Publishes a port. fd is a socket to take over (socket_adopt), or -1 to open one; on success it is
 * the publisher's. A host port of 0 is replaced by the one that the kernel chose. Returns the port,
 * or NULL with a sentence in err.
 */
struct published_port *publisher_add(struct publisher *publisher, const struct rule *rule, int fd,
				     struct error *err);

/* Withdraws a port: its sessions are reset, its socket is closed. */
void publisher_remove(struct publisher *publisher, struct published_port *port);

/* The ports in the order of their slots; NULL starts and ends. */
struct published_port *publisher_next(const struct publisher *publisher,
				      const struct published_port *port);

#endif
