/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay: sessions between clients and containers, in user space.
 *
 * One struct relay for each thread, on that thread's loop; nothing is shared between them, and
 * there are no globals. Streams are flows (relay/flow.h), UDP clients are in relay/udp.h. The relay
 * does not know listeners, rules or who is allowed in: that is `publish`.
 *
 * What all sessions of one published port share is a route (relay/route.h). How sessions are looked
 * at is in relay/sessions.h.
 */
#ifndef FAIRLEAD_RELAY_RELAY_H
#define FAIRLEAD_RELAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/siphash.h"
#include "base/slots.h"
#include "loop/loop.h"
#include "loop/timeout.h"
#include "net/address.h"
#include "net/datagram.h"
#include "relay/pump.h"
#include "relay/session.h"
#include "relay/shared.h"

/* Times in nanoseconds; 0 switches the thing off. */
struct relay_settings {
	uint64_t connect_timeout_ns;
	uint64_t connect_retry_ns; /* how long a refused connect is tried again */
	uint64_t half_closed_timeout_ns;
	uint64_t udp_idle_timeout_ns;
	uint32_t keepalive_s;
	uint32_t udp_clients_max;
	/* Whether ends are told with all addresses of the session, for two system calls each. */
	bool tells_addresses;
};

/* What the owner of the relay is told. Any may be NULL. Called on the relay's thread. */
struct relay_observer {
	/* A session has ended. Workers tell of those only that are worth telling (end_reason.h). */
	void (*session_ended)(void *context, const struct session_end *end);
	/* The same, of all of them, and always on the thread on which it happens. */
	void (*session_logged)(void *context, const struct session_end *end);
	/* Descriptors have been given back after relay_reserve() had said no. */
	void (*has_room)(void *context);
	void *context;
};

/* relay/handover.h */
struct handover {
	struct relay *to; /* NULL: none is under way */
	struct mailbox *mailbox;
	uint32_t permille;
	uint32_t sum; /* of permille, of the flows considered, less 1000 for each that was moved */
	uint8_t epoch;
};

struct udp_table {
	uint32_t *buckets; /* index + 1 of the first client, 0: none */
	uint32_t size;	   /* a power of two; 0: not mapped yet */
	uint32_t count;
	struct siphash_key key;
};

struct relay {
	struct loop *loop;
	struct relay_settings settings;
	struct relay_observer observer;
	struct relay_shared *shared;
	struct budget *budget; /* that of shared */

	struct slots flows; /* struct flow */
	struct list ready;  /* flows that have more to do this turn */
	uint32_t counted;   /* cursor of relay_count_open(), for whom counts now and then */
	struct handover handover;
	struct pump_resources pump_resources;
	uint8_t flow_kinds[2]; /* loop kinds of the two sides of a flow */

	struct slots udp_clients; /* struct udp_client */
	struct udp_table udp_table;
	struct datagram_batch *udp_batch; /* mapped with the first datagram */
	struct udp_port *udp_answering;	  /* whose answers are in the batch; NULL: nobody's */
	uint8_t udp_client_kind;

	struct timeout_queue announcing;
	struct timeout_queue connecting;
	struct timeout_queue retrying;
	struct timeout_queue settling;
	struct timeout_queue half_closed;
	struct timeout_queue draining;
	struct timeout_queue udp_idle;
	struct timeout_queue trimming;
	struct timeout trim;

	/* Last, so that the rest stays together on few pages while nothing is copied. */
	uint8_t scratch[PUMP_SCRATCH_BYTES];
};

/* Sets the relay up on a loop, with what all relays share. It does not move afterwards. */
void relay_init(struct relay *relay, struct loop *loop, const struct relay_settings *settings,
		struct relay_shared *shared, const struct relay_observer *observer);

/* Ends every session, the open ones with a reset, and frees all memory. */
void relay_fini(struct relay *relay);

/*
 * Ends the sessions of routes that have been withdrawn (or `all`), with a reset of each side that
 * has not been told the end yet. Their counters are complete then.
 */
void relay_drop_withdrawn(struct relay *relay, bool all);

/*
 * Takes the descriptors for one more connection from the budget. If there are not enough, returns
 * false, and observer.has_room will be called.
 */
bool relay_reserve(struct relay *relay);

/* Gives them back: no connection came. */
void relay_cancel(struct relay *relay);

/*
 * Takes over an accepted connection (TCP or SCTP, non-blocking) for which descriptors have been
 * reserved, and connects it to the route's target. The descriptor is the relay's from now on,
 * whatever happens.
 */
void relay_accept(struct relay *relay, struct relay_route *route, int client_fd,
		  const struct address *client);

/* The number of the next session. From any thread. */
uint64_t relay_next_id(struct relay *relay);

#endif
