/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 servers of the daemon: the API on a unix socket, and what everybody may read on TCP.
 *
 * Each is a thread of libmicrohttpd. Requests go by the table of endpoints (control/endpoints.h);
 * an error is always an object with a "message".
 */
#ifndef FAIRLEAD_CONTROL_SERVER_H
#define FAIRLEAD_CONTROL_SERVER_H

#include "control/endpoints.h"

struct server;

/*
 * Serves the listening socket, which is the server's from now on, also on failure. read_only: GET
 * and HEAD alone; and if the socket is of the loopback interface, nothing that a web page could have
 * a browser ask for under another name (DNS rebinding). group: who besides root may use a unix
 * socket; (gid_t)-1: nobody. NULL with a sentence where it cannot be.
 */
struct server *server_start(struct endpoints_context *context, int listener, bool read_only,
			    gid_t group, struct error *err);

/* Ends all connections, streams of events included. */
void server_stop(struct server *server);

#endif
