/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining: one side of a flow has failed, or is not to be heard any more, and is closed; the other
 * gets what was written to it before its own end.
 *
 * A reset makes the kernel forget what it has not sent, so it waits until the other side has
 * confirmed all, which may take its time as long as something is confirmed. What that side still
 * sends has nowhere to go. It is read and dropped all the same: a client that sends all before it
 * reads would never get to what it is to confirm.
 */
#ifndef FAIRLEAD_RELAY_DRAINING_H
#define FAIRLEAD_RELAY_DRAINING_H

#include "relay/flow.h"

/* Closes the side that failed, with a reset. The flow ends with that reason and error, perhaps now. */
void draining_begin(struct relay *relay, struct flow *flow, int failed, enum end_reason reason,
		    int error);

/* The other side has an event. May end the flow. */
void draining_go_on(struct relay *relay, struct flow *flow);

/* For relay.c: it is time to look again. */
void draining_expired(void *context, struct timeout *timeout);

#endif
