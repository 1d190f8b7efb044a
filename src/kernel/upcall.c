/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/upcall.h"

#include <netinet/in.h>
#include <string.h>

/* Of the header of IPv6 (RFC 8200 section 3). */
#define HEADER_BYTES 40
#define NEXT_HEADER 6
#define SOURCE 8
#define ADDRESSES_BYTES 32

#define TCP_CHECKSUM 16
#define UDP_CHECKSUM 6

/* Of TCP and UDP alike, the ports and what follows up to UDP's end. */
#define TRANSPORT_LEAST 8

bool upcall_client(const struct upcall *upcall, struct address *ret)
{
	if (upcall->length < HEADER_BYTES + TRANSPORT_LEAST || upcall->length > UPCALL_BYTES_MAX)
		return false;
	*ret = (struct address){ .family = AF_INET6 };
	memcpy(ret->ip, upcall->packet + SOURCE, sizeof(ret->ip));
	return true;
}

static uint16_t sum_of(const uint8_t *bytes, size_t length, uint32_t sum)
{
	for (size_t i = 0; i < length; i++)
		sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

void upcall_complete(struct upcall *upcall)
{
	uint8_t protocol = upcall->packet[NEXT_HEADER], *transport = upcall->packet + HEADER_BYTES;
	size_t length = upcall->length - HEADER_BYTES;
	size_t at = protocol == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
	uint16_t pseudo_header = sum_of(upcall->packet + SOURCE, ADDRESSES_BYTES,
					(uint32_t)(protocol + length));
	uint16_t whole;

	if (length < at + 2 || (transport[at] << 8 | transport[at + 1]) != pseudo_header)
		return;
	whole = (uint16_t)~sum_of(transport, length, 0);
	if (whole == 0) /* which would say that there is none */
		whole = 0xffff;
	transport[at] = (uint8_t)(whole >> 8);
	transport[at + 1] = (uint8_t)whole;
}
