/* SPDX-License-Identifier: Apache-2.0 */
/* Questions and orders to the kernel by netlink(7), one at a time. */
#ifndef FAIRLEAD_IDENTITY_NETLINK_H
#define FAIRLEAD_IDENTITY_NETLINK_H

#include <libmnl/libmnl.h>

/* Room for a request, and for a datagram of an answer: the least that libmnl calls enough. */
#define NETLINK_REQUEST_MAX 1024
#define NETLINK_ANSWER_MAX 8192

/* A request of that type, with a zeroed header of its family behind it. */
struct nlmsghdr *netlink_begin(void *buffer, uint16_t type, uint16_t flags, size_t header_bytes,
			       void **ret_header);

/*
 * Sends it to NETLINK_ROUTE or another of them, and shows each message of the answer to `take`,
 * which may be NULL and returns MNL_CB_OK for more. Returns 0 or -errno, the kernel's; -EINTR where
 * what was listed has changed meanwhile, so that it may be incomplete.
 */
int netlink_ask(int bus, struct nlmsghdr *request, mnl_cb_t take, void *context);

#endif
