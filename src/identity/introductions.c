/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/introductions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "identity/http_filter.h"
#include "net/socket.h"
#include "wire/proxy_header.h"
#include "wire/spp.h"

_Static_assert(PROXY_HEADER_OUT_MAX <= INTRODUCTION_BYTES_MAX,
	       "introductions: a PROXY header has room before a session");

/* Start of the process and number of the session, in hexadecimal. */
#define UNIQUE_ID_TEXT_MAX 40

static bool expects(const void *policy, const struct address *peer)
{
	const struct identity *identity = policy;

	return identity_prefixes_contain(&identity->accept_proxy_from, peer);
}

static ssize_t read_announcement(enum protocol protocol, const uint8_t *bytes, size_t length,
				 struct announcement *ret)
{
	struct proxy_header header;
	ssize_t taken;

	if (protocol == PROTOCOL_UDP && length > 0 && bytes[0] == 'P')
		return -EBADMSG; /* version 1 is for streams */
	taken = proxy_header_decode(bytes, length, &header);
	if (taken < 0)
		return taken;
	if (header.source.family != AF_UNSPEC && header.protocol != protocol)
		return -EBADMSG;
	*ret = (struct announcement){
		.client = header.source,
		.host = header.destination,
		.unique_id = header.unique_id,
		.unique_id_bytes = header.unique_id_bytes,
		.authority = header.authority,
		.authority_bytes = header.authority_bytes,
	};
	return taken;
}

static const struct address *client_of(const struct visitor *visitor)
{
	const struct announcement *announced = visitor->announced;

	return announced && announced->client.family != AF_UNSPEC ? &announced->client
								  : &visitor->peer;
}

/* What the client has dialled: what was announced with it, or what the socket says. */
static struct address host_of(const struct visitor *visitor)
{
	const struct announcement *announced = visitor->announced;
	struct address host = visitor->host;

	if (announced && announced->client.family != AF_UNSPEC)
		return announced->host;
	if (host.family == AF_UNSPEC && visitor->fd >= 0)
		socket_local_address(visitor->fd, &host);
	return host;
}

/* Pseudo-IPv4. */

/* Its own port would be that of a connection which the kernel path may have at the same time. */
static int add_source(struct introductions *introductions, const struct identity *identity,
		      struct introduction *ret)
{
	struct pseudo *pseudo = introductions->pseudo;
	int r;

	if (!pseudo)
		return -ENONET;
	r = pseudo_take(pseudo, &ret->client, &ret->source, &ret->lease);
	if (r == 0 && identity->path == PATH_RELAY)
		ret->source.port = ret->client.port;
	return r;
}

static void leave(void *context, uint32_t lease)
{
	struct introductions *introductions = context;

	pseudo_give(introductions->pseudo, lease);
}

/* PROXY. */

static void add_unique_id(const struct introductions *introductions, const struct visitor *visitor,
			  struct proxy_header *header, char buffer[UNIQUE_ID_TEXT_MAX])
{
	if (visitor->announced && visitor->announced->unique_id_bytes > 0) {
		header->unique_id = visitor->announced->unique_id;
		header->unique_id_bytes = visitor->announced->unique_id_bytes;
		return;
	}
	header->unique_id_bytes = (uint32_t)snprintf(buffer, UNIQUE_ID_TEXT_MAX,
						     "%016" PRIx64 "-%" PRIx64,
						     introductions->start, visitor->session_id);
	header->unique_id = (const uint8_t *)buffer;
}

static void add_tlvs(const struct introductions *introductions, const struct identity *identity,
		     const struct visitor *visitor, struct proxy_header *header,
		     char buffer[UNIQUE_ID_TEXT_MAX])
{
	header->has_crc32c = identity->proxy_tlvs & PROXY_TLV_CRC32C;
	if (identity->proxy_tlvs & PROXY_TLV_UNIQUE_ID)
		add_unique_id(introductions, visitor, header, buffer);
	if ((identity->proxy_tlvs & PROXY_TLV_AUTHORITY) && visitor->announced &&
	    visitor->announced->authority_bytes <= PROXY_AUTHORITY_MAX) {
		header->authority = visitor->announced->authority;
		header->authority_bytes = visitor->announced->authority_bytes;
	}
}

static int add_header(const struct introductions *introductions, const struct identity *identity,
		      const struct visitor *visitor, struct introduction *ret)
{
	struct proxy_header header = { .protocol = visitor->protocol,
				       .source = ret->client,
				       .destination = host_of(visitor) };
	char unique_id[UNIQUE_ID_TEXT_MAX];
	ssize_t length;

	if (identity->kinds & IDENTITY_PROXY_V1) {
		length = proxy_v1_encode(&header, ret->bytes, sizeof(ret->bytes));
	} else {
		add_tlvs(introductions, identity, visitor, &header, unique_id);
		length = proxy_v2_encode(&header, ret->bytes, sizeof(ret->bytes));
	}
	if (length < 0)
		return (int)length;
	ret->bytes_count = (uint32_t)length;
	return 0;
}

static int add_bytes(const struct introductions *introductions, const struct identity *identity,
		     const struct visitor *visitor, struct introduction *ret)
{
	if (visitor->protocol == PROTOCOL_UDP && identity->udp_proxy == UDP_PROXY_SPP) {
		struct address host = host_of(visitor);

		spp_encode(&ret->client, &host, ret->bytes);
		ret->bytes_count = SPP_BYTES;
		return 0;
	}
	ret->first_only = identity->udp_proxy == UDP_PROXY_FIRST;
	return add_header(introductions, identity, visitor, ret);
}

static size_t answers_with(const void *policy, const uint8_t *bytes, size_t length)
{
	const struct identity *identity = policy;
	struct address client, proxy;

	if (!(identity->kinds & IDENTITY_PROXY_V2) || identity->udp_proxy != UDP_PROXY_SPP)
		return 0;
	return spp_decode(bytes, length, &client, &proxy) ? SPP_BYTES : 0;
}

static bool edits_datagrams(const void *policy)
{
	const struct identity *identity = policy;

	return (identity->kinds & IDENTITY_PROXY_V2) || identity->accept_proxy_from.count > 0;
}

/* HTTP. */

static int add_filter(const struct identity *identity, struct introduction *ret)
{
	const struct http_filter_parties parties = {
		.client = ret->client,
		.is_trusted = identity_prefixes_contain(&identity->http_trust_from, &ret->client),
	};

	ret->filter = http_filter_new(identity, &parties);
	return ret->filter ? 0 : -ENOMEM;
}

static void take_back(struct introductions *introductions, struct introduction *introduction)
{
	if (introduction->filter)
		introduction->filter->ops->free(introduction->filter);
	if (introduction->lease != 0)
		leave(introductions, introduction->lease);
}

static int introduce(void *context, const void *policy, const struct visitor *visitor,
		     struct introduction *ret)
{
	struct introductions *introductions = context;
	const struct identity *identity = policy;
	int r = 0;

	ret->client = *client_of(visitor);
	ret->source = (struct address){ .family = AF_UNSPEC };
	ret->filter = NULL;
	ret->lease = ret->bytes_count = 0;
	ret->first_only = false;
	if (!identity_admits(identity, &ret->client))
		return -EACCES;
	if (identity->kinds & IDENTITY_PSEUDO_IPV4)
		r = add_source(introductions, identity, ret);
	if (r == 0 && (identity->kinds & (IDENTITY_PROXY_V1 | IDENTITY_PROXY_V2)))
		r = add_bytes(introductions, identity, visitor, ret);
	if (r == 0 && (identity->kinds & IDENTITY_HTTP))
		r = add_filter(identity, ret);
	if (r < 0)
		take_back(introductions, ret);
	return r;
}

void introductions_init(struct introductions *introductions)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*introductions = (struct introductions){
		.introducer = { .expects = expects,
				.read = read_announcement,
				.introduce = introduce,
				.leave = leave,
				.answers_with = answers_with,
				.edits_datagrams = edits_datagrams,
				.context = introductions },
		.start = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
	};
}
