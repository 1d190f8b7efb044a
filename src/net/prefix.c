/* SPDX-License-Identifier: Apache-2.0 */
#include "net/prefix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static uint32_t bits_of(uint16_t family)
{
	return family == AF_INET ? 32 : 128;
}

/* Whether the first `length` bits are the same. */
static bool same_bits(const uint8_t *a, const uint8_t *b, uint32_t length)
{
	uint32_t bytes = length / 8, rest = length % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

static bool has_bits_behind(const uint8_t ip[16], uint32_t length)
{
	for (uint32_t bit = length; bit < 128; bit++)
		if (ip[bit / 8] & (0x80u >> (bit % 8)))
			return true;
	return false;
}

int prefix_parse(const char *text, struct prefix *ret)
{
	const char *slash = strchr(text, '/');
	size_t ip_length = slash ? (size_t)(slash - text) : strlen(text);
	char ip[ADDRESS_TEXT_MAX];
	struct address address;
	uint64_t length;

	if (ip_length >= sizeof(ip))
		return -EINVAL;
	memcpy(ip, text, ip_length);
	ip[ip_length] = '\0';
	if (address_parse_ip(ip, &address) < 0 || address.scope != 0)
		return -EINVAL;
	length = bits_of(address.family);
	if (slash && text_parse_number(slash + 1, strlen(slash + 1), length, &length) < 0)
		return -EINVAL;
	if (has_bits_behind(address.ip, (uint32_t)length))
		return -ERANGE;
	memcpy(ret->ip, address.ip, sizeof(ret->ip));
	ret->length = (uint8_t)length;
	ret->family = address.family;
	return 0;
}

bool prefix_contains(const struct prefix *prefix, const struct address *address)
{
	return prefix->family == address->family &&
	       same_bits(prefix->ip, address->ip, prefix->length);
}

const char *prefix_format(const struct prefix *prefix, char buffer[PREFIX_TEXT_MAX])
{
	struct address address = { .family = prefix->family };
	char ip[ADDRESS_TEXT_MAX];

	memcpy(address.ip, prefix->ip, sizeof(address.ip));
	(void)snprintf(buffer, PREFIX_TEXT_MAX, "%.46s/%u", address_format_ip(&address, ip),
		       prefix->length);
	return buffer;
}
