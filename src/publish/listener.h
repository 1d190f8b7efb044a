/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting connections on a published port. */
#ifndef FAIRLEAD_PUBLISH_LISTENER_H
#define FAIRLEAD_PUBLISH_LISTENER_H

#include "publish/publisher.h"

/*
 * Accepts what waits on the port, up to its burst, and gives it to the workers. The burst adapts: one
 * at a time costs a lone connection no second accept4, and grows while there are always more.
 * Returns 0, or -errno of a shortage (-EMFILE also where the relay has no room), upon which
 * accepting should be paused.
 */
int listener_accept(struct publisher *publisher, struct published_port *port);

#endif
