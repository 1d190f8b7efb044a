/* SPDX-License-Identifier: Apache-2.0 */
/* What there is, as JSON. Each returns a new object, or NULL without memory. */
#ifndef FAIRLEAD_CONTROL_SHOWN_H
#define FAIRLEAD_CONTROL_SHOWN_H

#include <jansson.h>

#include "control/rules.h"
#include "control/snapshot.h"

/* How it is written: a number as it is meant, 0.64, and not the nearest that there is. */
#define SHOWN_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(15))

/* null where there is no such address. */
json_t *shown_address(const struct address *address);

/* A client that has a pseudo-IPv4 address: a prefix, or an address where it is a single one. */
const char *shown_client_prefix(const struct prefix *client, char buffer[PREFIX_TEXT_MAX]);

/* The proxy that has said who a session's client is; NULL where there is none. */
json_t *shown_announcer(const struct session *session);

/* The counters, and the ends by reason, of which those that never happened are left out. */
json_t *shown_counts(const struct relay_counts *counts);

json_t *shown_changed(const struct rules_changed *changed);

json_t *shown_port(const struct port_shown *port);

/* offset_ns: of the wall clock, ahead of the monotonic one. */
json_t *shown_session(const struct session_shown *shown, uint64_t offset_ns, uint64_t now_ns);

#endif
