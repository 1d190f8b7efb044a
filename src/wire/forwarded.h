/* SPDX-License-Identifier: Apache-2.0 */
/* The parameter of Forwarded (RFC 7239) that names a client. */
#ifndef FAIRLEAD_WIRE_FORWARDED_H
#define FAIRLEAD_WIRE_FORWARDED_H

#include "net/address.h"

#define FORWARDED_TEXT_MAX (ADDRESS_TEXT_MAX + 8)

/* for="[2001:db8::1]:4711" or for="192.0.2.1:4711"; returns the buffer. */
const char *forwarded_format(const struct address *client, char buffer[FORWARDED_TEXT_MAX]);

#endif
