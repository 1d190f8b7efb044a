/* SPDX-License-Identifier: Apache-2.0 */
#include "model/port_spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define TEXT_MAX 128

static int bad(const char *text, struct error *err, const char *what)
{
	return error_set(err, -EINVAL, "invalid port %.60s: %s", text, what);
}

static int parse_port(const char *begin, size_t length, uint16_t *ret)
{
	uint64_t number;

	if (text_parse_number(begin, length, 65535, &number) < 0 || number == 0)
		return -EINVAL;
	*ret = (uint16_t)number;
	return 0;
}

/* "80" or "8000-8010" */
static int parse_range(const char *begin, uint16_t *ret_first, uint16_t *ret_last)
{
	const char *dash = strchr(begin, '-');
	size_t length = dash ? (size_t)(dash - begin) : strlen(begin);

	if (parse_port(begin, length, ret_first) < 0)
		return -EINVAL;
	if (!dash)
		*ret_last = *ret_first;
	else if (parse_port(dash + 1, strlen(dash + 1), ret_last) < 0 || *ret_last < *ret_first)
		return -EINVAL;
	return 0;
}

/* Cuts "/udp" off. */
static int take_protocol(char *parts, enum protocol *ret)
{
	char *slash = strchr(parts, '/');

	*ret = PROTOCOL_TCP;
	if (!slash)
		return 0;
	*slash = '\0';
	return protocol_parse(slash + 1, ret);
}

/* Cuts the last ":..." off and returns it, NULL if there is none. */
static char *take_last(char *parts)
{
	char *colon = strrchr(parts, ':');

	if (!colon)
		return NULL;
	*colon = '\0';
	return colon + 1;
}

static int parse_host(const char *text, char *host, struct port_spec *spec, struct error *err)
{
	size_t length = strlen(host);

	if (host[0] == '[' && length > 2 && host[length - 1] == ']') {
		host[length - 1] = '\0';
		if (address_parse_ip(host + 1, &spec->host) < 0 || !strchr(host + 1, ':'))
			return bad(text, err,
				   "what stands in brackets is no IPv6 address of this host");
		return 0;
	}
	if (strchr(host, ':'))
		return bad(text, err,
			   "an IPv6 address must stand in brackets, like [2001:db8::2]:8080:80");
	if (address_parse_ip(host, &spec->host) < 0)
		return bad(text, err, "the host part is no IP address");
	return 0;
}

int port_spec_parse(const char *text, struct port_spec *ret, struct error *err)
{
	struct port_spec spec = { .any_host = false };
	char parts[TEXT_MAX];
	char *container, *host;

	if (strlen(text) >= sizeof(parts))
		return bad(text, err, "too long");
	(void)snprintf(parts, sizeof(parts), "%s", text);
	if (take_protocol(parts, &spec.protocol) < 0)
		return bad(text, err, "the protocol must be tcp, udp or sctp");

	container = take_last(parts);
	if (!container)
		return bad(text, err, "expected [HOST-IP:]HOST-PORT:PORT, like 8080:80");
	if (parse_range(container, &spec.container_first, &spec.container_last) < 0)
		return bad(
			text, err,
			"the container's port must be a number from 1 to 65535 or a rising range");

	host = take_last(parts);
	if (parse_range(host ? host : parts, &spec.host_first, &spec.host_last) < 0)
		return bad(text, err,
			   "the host's port must be a number from 1 to 65535 or a rising range");
	if (!host)
		spec.any_host = true;
	else if (parse_host(text, parts, &spec, err) < 0)
		return err->code;

	if (spec.host_last - spec.host_first != spec.container_last - spec.container_first &&
	    spec.container_first != spec.container_last)
		return bad(text, err, "the ranges differ in length");
	*ret = spec;
	return 0;
}

bool port_spec_is_choice(const struct port_spec *spec)
{
	return spec->container_first == spec->container_last && spec->host_first != spec->host_last;
}
