/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions as their owner sees them, whatever their protocol: what is told of one that ends, and of
 * those that are open.
 */
#ifndef FAIRLEAD_RELAY_SESSION_H
#define FAIRLEAD_RELAY_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "net/address.h"
#include "relay/route.h"

enum session_state {
	SESSION_CONNECTING,
	SESSION_OPEN,
	SESSION_HALF_CLOSED, /* one side has ended */
	SESSION_CLOSING,     /* one side has failed, and the other gets the rest before its reset */
};

const char *session_state_name(enum session_state state);

/* All addresses, the times and the bytes: a session's pair of connections on one line. */
struct session {
	uint64_t id; /* of this process, rising */
	struct relay_route *route;
	struct address client;
	struct address announcer; /* the proxy that has said who the client is; AF_UNSPEC: none */
	struct address host;	  /* what the client has connected to */
	struct address source;	  /* ours, towards the container */
	struct address container; /* AF_UNSPEC while there is no connection to it, as source is */
	uint64_t started_ns;	  /* on the monotonic clock */
	uint64_t in_bytes;	  /* client to container */
	uint64_t out_bytes;
	uint64_t in_bytes_s; /* rates, see session_take_rates() */
	uint64_t out_bytes_s;
	uint64_t in_packets, out_packets; /* of the kernel path; else 0 */
	enum session_state state;
	bool by_kernel; /* the kernel carries it, and its route is NULL */
};

/* What rates are made of. */
struct session_meter {
	uint64_t sampled_ns; /* 0: never */
	uint64_t sampled_in, sampled_out;
	uint64_t in_bytes_s, out_bytes_s;
};

/*
 * The rates of a session that is shown: of the time since it was last shown, but of a second at
 * least; asked earlier, they are those of before. A meter is zero at first.
 */
void session_take_rates(struct session *session, struct session_meter *meter, uint64_t now_ns);

/* One that has ended. */
struct session_end {
	struct session session;
	uint64_t ended_ns;
	enum end_reason reason;
	int error; /* a positive errno where one caused it, else 0 */
};

#endif
