/* SPDX-License-Identifier: Apache-2.0 */
/* A rule: one port of the host, published to one port of a container. */
#ifndef FAIRLEAD_MODEL_RULE_H
#define FAIRLEAD_MODEL_RULE_H

#include "net/address.h"
#include "net/protocol.h"

struct rule {
	enum protocol protocol;
	struct address host;
	struct address container;
};

/* "[::]:8080/tcp -> 172.17.0.2:80"; returns the buffer. */
#define RULE_TEXT_MAX (2 * ADDRESS_TEXT_MAX + 16)
const char *rule_format(const struct rule *rule, char buffer[RULE_TEXT_MAX]);

#endif
