/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `-p` says, in docker's syntax:
 *
 *	[HOST-IP:]HOST-PORT[-END]:PORT[-END][/tcp|udp|sctp]
 *
 * An IPv6 HOST-IP stands in brackets. Without HOST-IP the port is published on 0.0.0.0 and [::]. A
 * range of host ports goes to a range of as many container ports, one to one, or to a single one,
 * which then gets the first host port of the range that is free.
 */
#ifndef FAIRLEAD_MODEL_PORT_SPEC_H
#define FAIRLEAD_MODEL_PORT_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/rule.h"

struct port_spec {
	enum protocol protocol;
	bool any_host;	     /* no HOST-IP was given */
	struct address host; /* port 0 */
	uint16_t host_first, host_last;
	uint16_t container_first, container_last;
};

/* Returns 0, or -EINVAL with a sentence that quotes the text. */
int port_spec_parse(const char *text, struct port_spec *ret, struct error *err);

/* Whether any one free port of the host range is meant. */
bool port_spec_is_choice(const struct port_spec *spec);

#endif
