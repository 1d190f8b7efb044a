/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of the PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt has them: what a
 * proxy says of a client before the client's own bytes.
 *
 * Addresses are those of net/address.h, where mapped IPv4 is IPv4; beside an IPv6 address it is
 * written in the mapped form again.
 */
#ifndef FAIRLEAD_WIRE_PROXY_HEADER_H
#define FAIRLEAD_WIRE_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/address.h"
#include "net/protocol.h"

#define PROXY_UNIQUE_ID_MAX 128 /* section 2.2.4 */
#define PROXY_AUTHORITY_MAX 255 /* a host name; longer ones that come are read, and not passed on */
#define PROXY_V1_MAX 107	/* section 2.1, with its CR and LF */

/* Signature and length, IPv6 addresses and ports, three TLVs. */
#define PROXY_HEADER_OUT_MAX (16 + 36 + 3 + PROXY_AUTHORITY_MAX + 3 + PROXY_UNIQUE_ID_MAX + 3 + 4)

struct proxy_header {
	bool is_local;		/* v2: the proxy's own connection; nothing below is set */
	bool has_crc32c;	/* v2: there is one; read, it was right */
	enum protocol protocol; /* TCP or UDP */
	struct address source;	/* AF_UNSPEC: not told, as that of a unix socket */
	struct address destination;
	const uint8_t *unique_id, *authority; /* v2; read, they point into the bytes; NULL: none */
	uint32_t unique_id_bytes, authority_bytes;
};

/* Both return how many bytes were written, -ENOBUFS, or -EINVAL where it cannot be said. */
ssize_t proxy_v1_encode(const struct proxy_header *header, uint8_t *out, size_t room);
ssize_t proxy_v2_encode(const struct proxy_header *header, uint8_t *out, size_t room);

/*
 * Returns the length of the header that these bytes begin with; -EAGAIN where they could be the begin
 * of one; -EBADMSG where they are none.
 */
ssize_t proxy_header_decode(const uint8_t *bytes, size_t length, struct proxy_header *ret);

/* The same for each version; for proxy_header_decode(). */
ssize_t proxy_v1_decode(const uint8_t *bytes, size_t length, struct proxy_header *ret);
ssize_t proxy_v2_decode(const uint8_t *bytes, size_t length, struct proxy_header *ret);

#endif
