/* SPDX-License-Identifier: Apache-2.0 */
/* What flows and UDP clients have in common, within the relay. */
#ifndef FAIRLEAD_RELAY_INTERNAL_H
#define FAIRLEAD_RELAY_INTERNAL_H

#include "relay/relay.h"

/*
 * A session has given its slot and descriptors back: tells who waits for room, and plans the
 * tidying up.
 */
void relay_session_gone(struct relay *relay);

/* Takes so many from the budget, or returns false. Gives up idle pipes for it. */
bool relay_take_descriptors(struct relay *relay, uint32_t descriptors);

/* Counts the end of a session, and tells the observer. */
void relay_tell_end(struct relay *relay, struct session_end *end);

#endif
