/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a flow begins: from the accepted connection to the one with the container.
 *
 * Clients that speak first mostly have done so by the time they are accepted. What they have said
 * is read before the connection is begun (pump_read_ahead()) and sent at once behind it, since a
 * container on this host has answered before connect(2) returns: one turn of the loop is saved, and
 * with TCP's third packet, which then carries data, one packet. Ports whose clients wait for the
 * container to speak are found out, and are looked at now and then only.
 *
 * Where the route has an introducer, the client may first have to be announced by the proxy that it
 * is, and is then introduced, all before the container is connected to.
 *
 * relay_accept() is in relay/relay.h.
 */
#ifndef FAIRLEAD_RELAY_OPENING_H
#define FAIRLEAD_RELAY_OPENING_H

#include "relay/flow.h"

/* An event of the container's side, while it is being connected to. */
void opening_event(struct relay *relay, struct flow *flow, uint32_t events);

/*
 * Whether the client has said something for the container that is being connected to: it gets that
 * even if the client has gone meanwhile.
 */
bool opening_has_bytes(const struct flow *flow);

/* An event of a client that is to be announced. */
void opening_announced(struct relay *relay, struct flow *flow);

/* For relay.c: the handlers of timeouts. */
void opening_announcing_expired(void *context, struct timeout *timeout);
void opening_connect_expired(void *context, struct timeout *timeout);
void opening_retry_expired(void *context, struct timeout *timeout);

#endif
