/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows: one TCP or SCTP session each.
 *
 * Theory of operation. Both sockets are registered with epoll once, edge-triggered, for everything;
 * from then on a side's readable and writable bits are set by events and cleared by what the pumps
 * find, so there are no further epoll_ctl calls. pumps[side] moves bytes from that side to the
 * other.
 *
 *	ANNOUNCING	the client is to be announced by the proxy that it is
 *	WAITING		no backend socket: refused or out of descriptors, a new try follows
 *	DIALING		connecting to the container
 *	OPEN		pumping
 *	DRAINING	one side has failed; the other gets what was written to it before its reset
 *
 * Ends and errors. End of file crosses as shutdown(2) once its pump is empty, each way on its own.
 * An error crosses as a reset. A side on which writing fails is `broken`, but what it had sent
 * before may still wait in its receive queue (an HTTP server that answers 413 and closes does
 * that), so it is read to its end before that reset, and what comes for it is dropped. Then the
 * flow is draining (relay/draining.h).
 *
 * SCTP has no half-closed state, but an end takes its time there too: shutdown(2) asks the peer,
 * who agrees when it has all messages. Until then its own are read, since a socket that is closed
 * with some unread aborts; the pump drops those that the ended side takes no more.
 */
#ifndef FAIRLEAD_RELAY_FLOW_H
#define FAIRLEAD_RELAY_FLOW_H

#include "relay/relay.h"

/* What a flow may open, all of it kept for the flow from its start to its end. */
#define FLOW_DESCRIPTORS 2

enum flow_state {
	FLOW_ANNOUNCING,
	FLOW_WAITING,
	FLOW_DIALING,
	FLOW_OPEN,
	FLOW_DRAINING,
};

enum {
	FLOW_CLIENT,
	FLOW_BACKEND,
};

struct flow_side {
	int fd;
	bool readable : 1;
	bool writable : 1;
	bool at_end : 1;     /* epoll told of the end of file */
	bool urgent : 1;     /* ... of urgent data */
	bool failed : 1;     /* ... of an error: it may show in SO_ERROR only */
	bool broken : 1;     /* writing to it has failed */
	bool ended : 1;	     /* its pump is done: the end was passed on, or no longer can be */
	bool bounded : 1;    /* its receive buffer is */
	bool delays_ack : 1; /* until it is connected */
};

struct flow {
	struct slot slot;
	struct flow_side sides[2];
	struct pump pumps[2];
	struct timeout timeout; /* of the state, from announcing to draining */
	struct list ready;
	struct relay_route *route;
	struct address client; /* as it was announced, if it was */
	struct address source; /* to connect from; AF_UNSPEC: the kernel's choice */
	struct filter *filter; /* NULL: none */
	uint32_t lease;	       /* the introducer's */
	uint64_t id;
	uint64_t started_ns;
	uint64_t counted_in, counted_out; /* of the bytes, what the route's counters have */
	struct session_meter meter;
	uint64_t checkpoint_bytes;  /* OPEN: moved when the half-closed timeout was started */
	uint64_t drained_until_ns;  /* DRAINING: when patience ends */
	uint32_t unconfirmed_bytes; /* DRAINING: when last asked */
	int error;		    /* DRAINING: of the side that failed */
	uint8_t reason;		    /* DRAINING: enum end_reason */
	uint8_t failed_side;	    /* DRAINING */
	uint8_t state;
	bool settled;	    /* OPEN: it has lasted, and keepalive is on */
	uint8_t considered; /* OPEN: the relay's handover.epoch in which it was */
	bool announced;	    /* the client is not the peer */
	bool half_closed;   /* OPEN: one side is over, and the timeout waits for the other */
};

/* For relay.c: the handlers of a flow's events and timeouts. */
void flow_client_event(void *context, struct loop_ref ref, uint32_t events);
void flow_backend_event(void *context, struct loop_ref ref, uint32_t events);
void flow_settling_expired(void *context, struct timeout *timeout);
void flow_half_closed_expired(void *context, struct timeout *timeout);

/* Pumps the flows that had not finished. Returns whether some still have not. */
bool flow_work(void *context);

/*
 * Ends the flow: in order for END_DONE, else with a reset of both sides. But a side that had been
 * told the end before END_STOPPED keeps it: what it has not confirmed still reaches it. error is
 * for the observer.
 */
void flow_end(struct relay *relay, struct flow *flow, enum end_reason reason, int error);

/* For opening.c, draining.c and handover.c. */

/* Moves nothing any more, and gives back what the pumps hold. */
void flow_stop_pumping(struct relay *relay, struct flow *flow);

/*
 * Drops what has come from a side of a TCP session and is not read, or a good part of it. Returns as
 * socket_discard() does.
 */
int flow_drop_unread(const struct flow *flow, int side);

/* Registers a side with epoll, once. Returns 0 or -errno. */
int flow_watch(struct relay *relay, struct flow *flow, int side);

/* Starts the timeout of an open flow. */
void flow_resume(struct relay *relay, struct flow *flow);

/* Moves what can be moved, both ways. May end the flow. */
void flow_pump(struct relay *relay, struct flow *flow);

/*
 * Writing to a side has failed: nothing more goes there, and what came from there is read to its
 * end. Returns false if the flow has ended, or only drains.
 */
bool flow_side_broke(struct relay *relay, struct flow *flow, int broken, int error);

/* Ends a flow that has no slot, for lack of memory for one. */
void flow_abandon(struct relay *relay, const struct flow *flow);

/* Resets a client for which there is no slot, and counts and tells that. */
void flow_refuse(struct relay *relay, struct relay_route *route, int client_fd,
		 const struct address *client);

/* For sessions.c. */

/* All but host, source and container, which cost system calls. */
void flow_describe(const struct flow *flow, struct session *ret);
void flow_add_addresses(const struct flow *flow, struct session *session);

/* Adds what has been moved since the last time to the route's counters. */
void flow_count_bytes(struct flow *flow);

#endif
