/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/forwarded.h"

#include <stdio.h>

const char *forwarded_format(const struct address *client, char buffer[FORWARDED_TEXT_MAX])
{
	struct address without_scope = *client;
	char text[ADDRESS_TEXT_MAX];

	/* an interface of this host means nothing to anybody else */
	without_scope.scope = 0;
	/* a colon is no part of a token: both forms are quoted (section 6) */
	(void)snprintf(buffer, FORWARDED_TEXT_MAX, "for=\"%s\"",
		       address_format(&without_scope, text));
	return buffer;
}
