/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rule.h"

#include <stdio.h>

const char *rule_format(const struct rule *rule, char buffer[RULE_TEXT_MAX])
{
	char host[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];

	(void)snprintf(buffer, RULE_TEXT_MAX, "%s/%s -> %s", address_format(&rule->host, host),
		       protocol_name(rule->protocol), address_format(&rule->container, container));
	return buffer;
}
