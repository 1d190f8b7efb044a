/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY version 2: a signature, command and version, family and transport, the length of the rest
 * (all numbers big endian), then addresses and ports, then TLVs.
 *
 * The checksum of a header is made with its own four bytes as zeros, and written big endian, as
 * HAProxy and nginx do it.
 */
#include <errno.h>
#include <string.h>

#include "wire/bytes.h"
#include "wire/crc32c.h"
#include "wire/proxy_header.h"

#define FIXED_BYTES 16
#define TLV_HEAD_BYTES 3
#define CRC32C_BYTES 4

enum {
	COMMAND_LOCAL = 0x20,
	COMMAND_PROXY = 0x21,
	FAMILY_UNSPEC = 0x0,
	FAMILY_IPV4 = 0x1,
	FAMILY_IPV6 = 0x2,
	FAMILY_UNIX = 0x3,
	TRANSPORT_STREAM = 0x1,
	TRANSPORT_DATAGRAM = 0x2,
};

enum {
	TLV_AUTHORITY = 0x02,
	TLV_CRC32C = 0x03,
	TLV_UNIQUE_ID = 0x05,
};

static const uint8_t signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
				       0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

/* Writing. */

struct writer {
	uint8_t *out;
	size_t length, room;
	bool is_full;
};

static uint8_t *reserve(struct writer *writer, size_t bytes)
{
	uint8_t *at = writer->out + writer->length;

	if (writer->is_full || bytes > writer->room - writer->length) {
		writer->is_full = true;
		return NULL;
	}
	writer->length += bytes;
	return at;
}

static void put_ip(uint8_t *to, const struct address *address, size_t ip_bytes)
{
	if (ip_bytes == 4)
		memcpy(to, address->ip, 4);
	else
		bytes_put_ipv6(to, address);
}

static void put_addresses(struct writer *writer, const struct proxy_header *header)
{
	bool as_ipv6 = header->source.family == AF_INET6 || header->destination.family == AF_INET6;
	size_t ip_bytes = as_ipv6 ? 16 : 4;
	uint8_t *at = reserve(writer, 2 * ip_bytes + 4);

	if (!at)
		return;
	put_ip(at, &header->source, ip_bytes);
	put_ip(at + ip_bytes, &header->destination, ip_bytes);
	bytes_put16(at + 2 * ip_bytes, header->source.port);
	bytes_put16(at + 2 * ip_bytes + 2, header->destination.port);
}

static uint8_t *put_tlv(struct writer *writer, uint8_t type, const uint8_t *value, size_t length)
{
	uint8_t *at = reserve(writer, TLV_HEAD_BYTES + length);

	if (!at)
		return NULL;
	at[0] = type;
	bytes_put16(at + 1, (uint16_t)length);
	memcpy(at + TLV_HEAD_BYTES, value, length);
	return at + TLV_HEAD_BYTES;
}

static uint8_t family_of(const struct proxy_header *header)
{
	uint8_t transport = header->protocol == PROTOCOL_UDP ? TRANSPORT_DATAGRAM
							     : TRANSPORT_STREAM;

	if (header->is_local || header->source.family == AF_UNSPEC ||
	    header->destination.family == AF_UNSPEC)
		return FAMILY_UNSPEC;
	if (header->source.family == AF_INET6 || header->destination.family == AF_INET6)
		return FAMILY_IPV6 << 4 | transport;
	return FAMILY_IPV4 << 4 | transport;
}

ssize_t proxy_v2_encode(const struct proxy_header *header, uint8_t *out, size_t room)
{
	static const uint8_t no_crc32c[CRC32C_BYTES];
	struct writer writer = { .out = out, .room = room };
	uint8_t *fixed = reserve(&writer, FIXED_BYTES), *checksum = NULL;
	uint8_t family = family_of(header);

	if (header->protocol == PROTOCOL_SCTP || header->unique_id_bytes > PROXY_UNIQUE_ID_MAX ||
	    header->authority_bytes > PROXY_AUTHORITY_MAX)
		return -EINVAL;
	if (family != FAMILY_UNSPEC)
		put_addresses(&writer, header);
	/* first of them, as HAProxy has it: some readers see no TLV in the last 16 bytes */
	if (header->has_crc32c)
		checksum = put_tlv(&writer, TLV_CRC32C, no_crc32c, sizeof(no_crc32c));
	if (header->authority)
		(void)put_tlv(&writer, TLV_AUTHORITY, header->authority, header->authority_bytes);
	if (header->unique_id)
		(void)put_tlv(&writer, TLV_UNIQUE_ID, header->unique_id, header->unique_id_bytes);
	if (writer.is_full)
		return -ENOBUFS;
	memcpy(fixed, signature, sizeof(signature));
	fixed[12] = header->is_local ? COMMAND_LOCAL : COMMAND_PROXY;
	fixed[13] = family;
	bytes_put16(fixed + 14, (uint16_t)(writer.length - FIXED_BYTES));
	if (checksum)
		bytes_put32(checksum, crc32c(0, out, writer.length));
	return (ssize_t)writer.length;
}

/* Reading. */

static bool is_right(const uint8_t *bytes, size_t length, const uint8_t *checksum)
{
	static const uint8_t zeros[CRC32C_BYTES];
	size_t before = (size_t)(checksum - bytes);
	uint32_t value = crc32c(0, bytes, before);

	value = crc32c(value, zeros, sizeof(zeros));
	value = crc32c(value, checksum + CRC32C_BYTES, length - before - CRC32C_BYTES);
	return value == bytes_get32(checksum);
}

static bool take_tlv(uint8_t type, const uint8_t *value, size_t length, struct proxy_header *ret,
		     const uint8_t **ret_checksum)
{
	switch (type) {
	case TLV_AUTHORITY:
		ret->authority = value;
		ret->authority_bytes = (uint32_t)length;
		return true;
	case TLV_UNIQUE_ID:
		ret->unique_id = value;
		ret->unique_id_bytes = (uint32_t)length;
		return length <= PROXY_UNIQUE_ID_MAX;
	case TLV_CRC32C:
		if (*ret_checksum || length != CRC32C_BYTES)
			return false;
		*ret_checksum = value;
		return true;
	default:
		return true;
	}
}

static bool read_tlvs(const uint8_t *bytes, size_t at, size_t length, struct proxy_header *ret)
{
	const uint8_t *checksum = NULL;

	while (at < length) {
		size_t value_bytes;

		if (length - at < TLV_HEAD_BYTES)
			return false;
		value_bytes = bytes_get16(bytes + at + 1);
		if (value_bytes > length - at - TLV_HEAD_BYTES ||
		    !take_tlv(bytes[at], bytes + at + TLV_HEAD_BYTES, value_bytes, ret, &checksum))
			return false;
		at += TLV_HEAD_BYTES + value_bytes;
	}
	ret->has_crc32c = checksum;
	return !checksum || is_right(bytes, length, checksum);
}

/* How many bytes the addresses have; -EBADMSG for a family that there is not. */
static ssize_t address_bytes(uint8_t family)
{
	switch (family) {
	case FAMILY_UNSPEC:
		return 0;
	case FAMILY_IPV4:
		return 12;
	case FAMILY_IPV6:
		return 36;
	case FAMILY_UNIX:
		return 216;
	default:
		return -EBADMSG;
	}
}

static void read_addresses(const uint8_t *at, uint8_t family, struct proxy_header *ret)
{
	if (family == FAMILY_IPV4) {
		bytes_get_ipv4(at, bytes_get16(at + 8), &ret->source);
		bytes_get_ipv4(at + 4, bytes_get16(at + 10), &ret->destination);
	} else if (family == FAMILY_IPV6) {
		bytes_get_ipv6(at, bytes_get16(at + 32), &ret->source);
		bytes_get_ipv6(at + 16, bytes_get16(at + 34), &ret->destination);
	}
}

static bool read_rest(const uint8_t *bytes, size_t length, struct proxy_header *ret)
{
	uint8_t family = bytes[13] >> 4, transport = bytes[13] & 15;
	ssize_t addresses = address_bytes(family);

	if (addresses < 0 || transport > TRANSPORT_DATAGRAM ||
	    length - FIXED_BYTES < (size_t)addresses)
		return false;
	ret->protocol = transport == TRANSPORT_DATAGRAM ? PROTOCOL_UDP : PROTOCOL_TCP;
	if (transport != 0)
		read_addresses(bytes + FIXED_BYTES, family, ret);
	return read_tlvs(bytes, FIXED_BYTES + (size_t)addresses, length, ret);
}

ssize_t proxy_v2_decode(const uint8_t *bytes, size_t length, struct proxy_header *ret)
{
	size_t known = length < sizeof(signature) ? length : sizeof(signature), whole;

	*ret = (struct proxy_header){ .protocol = PROTOCOL_TCP };
	if (memcmp(bytes, signature, known) != 0)
		return -EBADMSG;
	if (length > 12 && bytes[12] != COMMAND_LOCAL && bytes[12] != COMMAND_PROXY)
		return -EBADMSG;
	if (length < FIXED_BYTES)
		return -EAGAIN;
	whole = FIXED_BYTES + bytes_get16(bytes + 14);
	if (length < whole)
		return -EAGAIN;
	ret->is_local = bytes[12] == COMMAND_LOCAL;
	/* what else there is with LOCAL is to be ignored (section 2.2) */
	if (!ret->is_local && !read_rest(bytes, whole, ret))
		return -EBADMSG;
	return (ssize_t)whole;
}
