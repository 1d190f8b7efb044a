/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses stay the same through text and through both kinds of sockaddr. */
#include "net/address.h"

#include <errno.h>
#include <netinet/in.h>

#include "fuzz.h"

static void check_sockaddr(const struct address *address, int family)
{
	struct sockaddr_storage storage;
	struct address back;
	socklen_t length;

	memset(&storage, 0xa5, sizeof(storage));
	length = address_to_sockaddr(address, family, &storage);
	assert(storage.ss_family == family);
	assert(length ==
	       (family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
	address_from_sockaddr(&storage, &back);
	assert(address_equal(address, &back));
}

static void check_address(const struct address *address)
{
	char ip[ADDRESS_TEXT_MAX], whole[ADDRESS_TEXT_MAX];
	struct address back;

	assert(address->scope == 0 || address_is_link_local(address));
	assert(address_format_ip(address, ip) == ip);
	assert(address_parse_ip(ip, &back) == 0 || address->scope != 0);
	if (address->scope == 0) {
		back.port = address->port;
		assert(address_equal(address, &back));
	}
	assert(address_format(address, whole) == whole);
	assert(strstr(whole, ip));
	assert(strlen(whole) >= strlen(ip) + 2);

	check_sockaddr(address, AF_INET6);
	if (address->family == AF_INET)
		check_sockaddr(address, AF_INET);
}

static void try_text(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	struct address address, untouched;

	memset(&address, 0x5a, sizeof(address));
	untouched = address;
	if (address_parse_ip(text, &address) == 0) {
		assert(address.family == AF_INET || address.family == AF_INET6);
		assert(address.port == 0);
		check_address(&address);
	} else {
		assert(address_equal(&address, &untouched));
	}
	free(text);
}

static void try_sockaddr(const uint8_t *data, size_t size)
{
	struct sockaddr_storage storage = { .ss_family = AF_UNSPEC };
	char text[ADDRESS_TEXT_MAX];
	struct address address;

	memcpy(&storage, data, size < sizeof(storage) ? size : sizeof(storage));
	address_from_sockaddr(&storage, &address);
	if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) {
		assert(address.family == AF_UNSPEC);
		assert(strcmp(address_format_ip(&address, text), "unknown") == 0);
		return;
	}
	check_address(&address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_text(data, size);
	try_sockaddr(data, size);
	return 0;
}
