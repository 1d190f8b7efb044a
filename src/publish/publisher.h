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
	int fd;	     /* -1: it does not listen */
	bool paused; /* for lack of descriptors */
	bool held;   /* because its owner wants it */
	struct timeout drain;
	uint64_t drained_until_ns;
	/*
	 * The backlog was empty once: no connection in it is older than the options set on the
	 * socket, which the others inherit.
	 */
	bool backlog_is_tuned;
	uint32_t burst;	    /* connections to accept at an event */
	uint64_t last_turn; /* of the loop, in which some were accepted */
};

/* Any may be NULL. The port of a session is the owner of its route (publisher_port_of()). */
struct publisher_observer {
	void (*session_ended)(void *context, const struct session_end *end);
	/* On any thread: relay_observer.session_logged. */
	void (*session_logged)(void *context, const struct session_end *end);
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
	/* Tells containers who clients are. The owner sets it before the first port; NULL: nobody. */
	const struct introducer *introducer;
	struct slots ports;
	uint8_t port_kind;
	struct timeout_queue resuming;
	struct timeout resume;
	struct timeout_queue draining;
	struct relay_shared shared;
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

/* Withdraws a port, or some: sessions are reset, sockets closed. */
void publisher_remove(struct publisher *publisher, struct published_port *port);
void publisher_remove_all(struct publisher *publisher, struct published_port *const *ports,
			  size_t count);

/* Withdraws a port of TCP or SCTP once its sessions have ended, at the latest after that time. */
void publisher_drain(struct publisher *publisher, struct published_port *port, uint64_t drain_ns);

/*
 * Closes its socket. Sessions of TCP and SCTP go on, those of UDP end. Listening again, at the same
 * address, returns 0 or -errno with a sentence.
 */
void publisher_stop_listening(struct publisher *publisher, struct published_port *port);
int publisher_listen_again(struct publisher *publisher, struct published_port *port,
			   struct error *err);

/*
 * Takes nobody from the socket for a while: who comes waits in the kernel's backlog, if another
 * program does not take him. Both harmless where it is so already.
 */
void publisher_hold(struct publisher *publisher, struct published_port *port);
void publisher_release(struct publisher *publisher, struct published_port *port);

/*
 * Makes the rest of each port's rule like that of another with the same key. Open connections stay,
 * with the container that they have; UDP clients that would go elsewhere end.
 */
void publisher_change_all(struct publisher *publisher, struct published_port *const *ports,
			  const struct rule *const *rules, size_t count);

/* Whether any session is open. */
bool publisher_has_sessions(const struct publisher *publisher);

static inline const struct published_port *publisher_port_of(const struct relay_route *route)
{
	return route->owner;
}

/* The ports in the order of their slots; NULL starts and ends. */
struct published_port *publisher_next(const struct publisher *publisher,
				      const struct published_port *port);

#endif
