/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lease: while fairleadd runs, it serves the port, and this process only waits for its signals.
 *
 * The port is offered (api/drop_in.h) once the engine has been told that it is served, so however
 * slow the daemon is, the engine does not wait. Until the answer, which is waited for 200 ms, and
 * for as long as the daemon has the port, this process takes nobody from its socket. The connection
 * to the daemon tells when that ends: from then on it serves the port itself, and offers it again,
 * soon at first, since a daemon that was restarted is back within seconds, and then every 10 s.
 *
 *	ALONE		serves; the next offer follows
 *	OFFERED		holds the port and waits for an answer
 *	GIVEN		the daemon serves
 */
#ifndef FAIRLEAD_APPS_DOCKER_PROXY_LEASE_H
#define FAIRLEAD_APPS_DOCKER_PROXY_LEASE_H

#include "publish/publisher.h"

enum lease_state {
	LEASE_ALONE,
	LEASE_OFFERED,
	LEASE_GIVEN,
};

struct lease {
	struct loop *loop;
	struct publisher *publisher;
	struct published_port *port;
	const char *path; /* of the daemon's socket */
	int fd;
	uint32_t generation; /* of the descriptor: events of the one before are not for this one */
	uint8_t kind;
	enum lease_state state;
	bool holds;	  /* the last answer: without a daemon the port is held, and not served */
	bool was_refused; /* which is said once */
	uint32_t tries;	  /* since there was a daemon */
	struct timeout_queue patience, soon, later;
	struct timeout timeout;
};

/*
 * The path of the daemon's socket, as FAIRLEAD_HANDOVER says: "on" (as where it is not set) for the
 * usual one, NULL for "off". Returns 0, or -EINVAL with a sentence.
 */
int lease_read_environment(const char **ret_path, struct error *err);

/* Makes the first offer. path must not be NULL. */
void lease_init(struct lease *lease, struct loop *loop, struct publisher *publisher,
		struct published_port *port, const char *path);

/* Gives the lease up: the daemon withdraws the port. Harmless where lease_init() was not called. */
void lease_fini(struct lease *lease);

#endif
