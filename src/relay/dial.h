/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting to a container, without blocking, and what a failure means. */
#ifndef FAIRLEAD_RELAY_DIAL_H
#define FAIRLEAD_RELAY_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "net/address.h"
#include "net/protocol.h"
#include "relay/end_reason.h"

/*
 * Starts to connect, from `source` if that is one: from its port too, where it is free, else from
 * another. data_follows: there is something to be sent at once, which the container's
 * answer can be acknowledged with; once that is sent, see socket_delay_ack(). Returns 0 with the
 * descriptor in *ret_fd, of which epoll will tell when it is connected or has failed; else -errno:
 * -ENONET where `source` is no address of this host.
 */
int dial_start(enum protocol protocol, const struct address *target, const struct address *source,
	       bool data_follows, int *ret_fd);

/*
 * What became of it, once epoll has told of `events`: 0 or -errno. A socket that connected to
 * itself, as TCP can when a local target port lies in the range of ephemeral ports, counts as
 * refused; that much is known at once, with no events.
 */
int dial_finish(int fd, enum protocol protocol, const struct address *target, uint32_t events);

/* The end reason that stands for the error (-errno). */
enum end_reason dial_end_reason(int error);

/* Whether the error means that this process or host ran out of something that others give back. */
bool dial_is_shortage(int error);

#endif
