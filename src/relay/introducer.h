/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An introducer tells containers who their clients are, in ways the relay knows nothing of: it
 * asks, at the begin of a session, for the address to connect from, for what is to be sent before
 * all else, and for a filter. And it says who a client is that another proxy has announced.
 *
 * A route that has none (NULL) is transparent. All functions are called on the threads that carry
 * the sessions, several at a time.
 */
#ifndef FAIRLEAD_RELAY_INTRODUCER_H
#define FAIRLEAD_RELAY_INTRODUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/address.h"
#include "net/protocol.h"
#include "relay/filter.h"

/* A PROXY header (version 2) with its addresses, an authority, a unique id and a checksum. */
#define INTRODUCTION_BYTES_MAX 512

/* The longest announcement that is read; those of proxies that tell of certificates are long. */
#define ANNOUNCEMENT_BYTES_MAX (16 * 1024)

/* What a proxy in front has said of a client. */
struct announcement {
	struct address client, host; /* AF_UNSPEC: it did not say */
	const uint8_t *unique_id, *authority;
	uint32_t unique_id_bytes, authority_bytes;
};

/* A client, at the begin of its session. */
struct visitor {
	enum protocol protocol;
	uint64_t session_id;
	struct address peer;		      /* who is connected with us */
	struct address host;		      /* what it has sent to; AF_UNSPEC: ask the socket */
	int fd;				      /* TCP's; else -1 */
	const struct announcement *announced; /* NULL: nothing */
};

struct introduction {
	struct address client; /* who it is */
	struct address source; /* to connect from, with its port if that is free; AF_UNSPEC: any */
	struct filter *filter; /* NULL: none. Its owner is the session */
	uint32_t lease;	       /* given back at the end; 0: there is none */
	bool first_only;       /* UDP: the bytes stand before the first datagram only */
	uint32_t bytes_count;
	uint8_t bytes[INTRODUCTION_BYTES_MAX]; /* before all else; UDP: before each datagram */
};

/* policy is what the owner of the route has put there (relay_route.policy). */
struct introducer {
	/* Whether this peer's sessions (UDP: its datagrams) have to begin with an announcement. */
	bool (*expects)(const void *policy, const struct address *peer);

	/*
	 * Returns the length of the announcement that these bytes begin with, -EAGAIN where more are
	 * needed to say so, -EBADMSG where it is none, or one of another protocol. *ret points into
	 * the bytes.
	 */
	ssize_t (*read)(enum protocol protocol, const uint8_t *bytes, size_t length,
			struct announcement *ret);

	/*
	 * Introduces the client. Returns 0, or -errno: -EACCES where it may not come, -ENOSPC where no
	 * address is free, -ENOMEM, or another, where it cannot be introduced now.
	 */
	int (*introduce)(void *context, const void *policy, const struct visitor *visitor,
			 struct introduction *ret);
	void (*leave)(void *context, uint32_t lease);

	/* UDP: how many bytes at the begin of an answer are for us, and not for the client. */
	size_t (*answers_with)(const void *policy, const uint8_t *bytes, size_t length);

	/* UDP: whether datagrams get, or bring, anything; if not, they may be carried in one piece. */
	bool (*edits_datagrams)(const void *policy);

	void *context;
};

#endif
