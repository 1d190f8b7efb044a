/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving open sessions from one thread's relay to another's, so that a thread that comes to help
 * has something to do, and one that ends leaves nothing behind.
 *
 * Both sides of a session always move together, and only between two moments of its life: while it
 * holds no rest. Its sockets leave one epoll instance before they enter the other, which then tells
 * of their state anew, so nothing is missed on the way.
 */
#ifndef FAIRLEAD_RELAY_HANDOVER_H
#define FAIRLEAD_RELAY_HANDOVER_H

#include "loop/mailbox.h"
#include "relay/flow.h"

/*
 * From now on, of the flows that there are and that have something to do, so many in a thousand
 * move to that relay, whose thread has the mailbox. Each is considered once. On the thread of
 * `relay`.
 */
void handover_begin(struct relay *relay, struct relay *to, struct mailbox *mailbox,
		    uint32_t permille);

void handover_stop(struct relay *relay);

/* Moves the flow if it is its turn: it is gone then. For those that have just been pumped. */
void handover_consider(struct relay *relay, struct flow *flow);

/* Moves all that can be moved at this moment. */
void handover_all(struct relay *relay, struct relay *to, struct mailbox *mailbox);

#endif
