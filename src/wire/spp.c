/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/spp.h"

#include "wire/bytes.h"

/* Magic number, two addresses, two ports. */
enum {
	CLIENT_AT = 2,
	PROXY_AT = 18,
	CLIENT_PORT_AT = 34,
	PROXY_PORT_AT = 36,
};

static const uint8_t magic[2] = { 0x56, 0xec };

void spp_encode(const struct address *client, const struct address *proxy, uint8_t out[SPP_BYTES])
{
	memcpy(out, magic, sizeof(magic));
	bytes_put_ipv6(out + CLIENT_AT, client);
	bytes_put_ipv6(out + PROXY_AT, proxy);
	bytes_put16(out + CLIENT_PORT_AT, client->port);
	bytes_put16(out + PROXY_PORT_AT, proxy->port);
}

bool spp_decode(const uint8_t *bytes, size_t length, struct address *ret_client,
		struct address *ret_proxy)
{
	if (length < SPP_BYTES || memcmp(bytes, magic, sizeof(magic)) != 0)
		return false;
	bytes_get_ipv6(bytes + CLIENT_AT, bytes_get16(bytes + CLIENT_PORT_AT), ret_client);
	bytes_get_ipv6(bytes + PROXY_AT, bytes_get16(bytes + PROXY_PORT_AT), ret_proxy);
	return true;
}
