/* SPDX-License-Identifier: Apache-2.0 */
/* What is accepted is a sound port specification, and written out again means the same. */
#include "model/port_spec.h"

#include <errno.h>
#include <stdio.h>

#include "fuzz.h"

static int format_range(char *buffer, size_t room, uint16_t first, uint16_t last)
{
	if (first == last)
		return snprintf(buffer, room, "%u", first);
	return snprintf(buffer, room, "%u-%u", first, last);
}

static void format(const struct port_spec *spec, char *buffer, size_t room)
{
	char host_range[16], container_range[16], host[ADDRESS_TEXT_MAX], ip[ADDRESS_TEXT_MAX] = "";

	format_range(host_range, sizeof(host_range), spec->host_first, spec->host_last);
	format_range(container_range, sizeof(container_range), spec->container_first,
		     spec->container_last);
	address_format_ip(&spec->host, host);
	if (!spec->any_host)
		(void)snprintf(ip, sizeof(ip),
			       spec->host.family == AF_INET6 ? "[%.70s]:" : "%.70s:", host);
	(void)snprintf(buffer, room, "%s%s:%s/%s", ip, host_range, container_range,
		       protocol_name(spec->protocol));
}

static void check_sound(const struct port_spec *spec)
{
	unsigned int host_ports = spec->host_last - spec->host_first;
	unsigned int container_ports = spec->container_last - spec->container_first;

	assert(spec->host_first >= 1 && spec->host_first <= spec->host_last);
	assert(spec->container_first >= 1 && spec->container_first <= spec->container_last);
	assert(host_ports == container_ports || container_ports == 0);
	assert(port_spec_is_choice(spec) == (host_ports > 0 && container_ports == 0));
	assert(spec->host.port == 0);
	assert(spec->any_host == (spec->host.family == AF_UNSPEC));
}

static void check_same(const struct port_spec *a, const struct port_spec *b)
{
	assert(a->protocol == b->protocol);
	assert(a->any_host == b->any_host);
	assert(address_equal(&a->host, &b->host));
	assert(a->host_first == b->host_first && a->host_last == b->host_last);
	assert(a->container_first == b->container_first);
	assert(a->container_last == b->container_last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	struct port_spec spec, again, untouched;
	struct error err;
	char written[256];

	memset(&spec, 0x5a, sizeof(spec));
	untouched = spec;
	if (port_spec_parse(text, &spec, &err) < 0) {
		fuzz_check_error(&err, -EINVAL);
		assert(memcmp(&spec, &untouched, sizeof(spec)) == 0);
	} else {
		check_sound(&spec);
		format(&spec, written, sizeof(written));
		assert(port_spec_parse(written, &again, &err) == 0);
		check_same(&spec, &again);
	}
	free(text);
	return 0;
}
