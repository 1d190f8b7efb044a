/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a rule says of its clients: how its container is told who they are, who may speak for others,
 * who may come, and by which path.
 */
#ifndef FAIRLEAD_MODEL_IDENTITY_H
#define FAIRLEAD_MODEL_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "net/prefix.h"
#include "net/protocol.h"

/* Of identity.kinds; none is 0. */
enum identity_kind {
	IDENTITY_PSEUDO_IPV4 = 1 << 0, /* an address of its own as the source of its connections */
	IDENTITY_PROXY_V1 = 1 << 1,    /* a PROXY header before all else */
	IDENTITY_PROXY_V2 = 1 << 2,    /* the same in binary; with UDP too */
	IDENTITY_HTTP = 1 << 3,	       /* headers of each HTTP/1 request */
};

/* Of identity.proxy_tlvs. */
enum identity_proxy_tlv {
	PROXY_TLV_CRC32C = 1 << 0,
	PROXY_TLV_UNIQUE_ID = 1 << 1, /* that which was announced, or one made here */
	PROXY_TLV_AUTHORITY = 1 << 2, /* that which was announced, or none */
};

enum identity_udp_proxy {
	UDP_PROXY_EVERY,
	UDP_PROXY_FIRST,
	UDP_PROXY_SPP,
};

/* Of identity.http_headers. */
enum identity_http_header {
	HTTP_X_FORWARDED_FOR = 1 << 0,
	HTTP_X_REAL_IP = 1 << 1,
	HTTP_FORWARDED = 1 << 2,
};

enum identity_http_other {
	HTTP_OTHER_REFUSE,
	HTTP_OTHER_PASS,
};

/* Why the relay carries a rule of which is not known yet whether the kernel can. */
#define PATH_NOT_KNOWN "it is being set up"

/* Of identity.path. */
enum identity_path {
	PATH_RELAY,
	PATH_KERNEL, /* whatever filters this host has for IPv6 */
	PATH_AUTO,
};

#define IDENTITY_PREFIXES_MAX 16

struct identity_prefixes {
	uint8_t count;
	struct prefix prefixes[IDENTITY_PREFIXES_MAX];
};

/* All zero is all default: identity none. */
struct identity {
	uint8_t kinds;
	uint8_t proxy_tlvs;
	uint8_t udp_proxy;
	uint8_t http_headers; /* 0: all; see identity_http_headers() */
	uint8_t http_other;
	uint8_t path;
	struct identity_prefixes http_trust_from;
	struct identity_prefixes accept_proxy_from;
	struct identity_prefixes allow, deny;
};

/*
 * Sets one by its key, as "proxy_tlvs". Returns 0, -ENOENT where there is no such key, or -EINVAL
 * with a sentence that names the value and what is allowed.
 */
int identity_set(struct identity *identity, const char *key, const char *text, struct error *err);

/*
 * Whether all of it can be done for that protocol and container, and together. Returns 0, or -EINVAL
 * with a sentence.
 */
int identity_check(const struct identity *identity, enum protocol protocol,
		   const struct address *container, struct error *err);

static inline uint8_t identity_http_headers(const struct identity *identity)
{
	return identity->http_headers != 0 ? identity->http_headers
					   : HTTP_X_FORWARDED_FOR | HTTP_X_REAL_IP | HTTP_FORWARDED;
}

/* Whether it is none in every respect, so that a session is carried as it is. */
static inline bool identity_is_none(const struct identity *identity)
{
	return identity->kinds == 0 && identity->accept_proxy_from.count == 0 &&
	       identity->allow.count == 0 && identity->deny.count == 0;
}

/* Inline, as the drop-in compares rules, and has nothing else of this. */
static inline bool identity_prefixes_equal(const struct identity_prefixes *a,
					   const struct identity_prefixes *b)
{
	for (uint8_t i = 0; i < IDENTITY_PREFIXES_MAX; i++)
		if (a->prefixes[i].family != b->prefixes[i].family ||
		    a->prefixes[i].length != b->prefixes[i].length ||
		    memcmp(a->prefixes[i].ip, b->prefixes[i].ip, sizeof(a->prefixes[i].ip)) != 0)
			return false;
	return a->count == b->count;
}

static inline bool identity_equal(const struct identity *a, const struct identity *b)
{
	return a->kinds == b->kinds && a->proxy_tlvs == b->proxy_tlvs &&
	       a->udp_proxy == b->udp_proxy && a->http_headers == b->http_headers &&
	       a->http_other == b->http_other && a->path == b->path &&
	       identity_prefixes_equal(&a->http_trust_from, &b->http_trust_from) &&
	       identity_prefixes_equal(&a->accept_proxy_from, &b->accept_proxy_from) &&
	       identity_prefixes_equal(&a->allow, &b->allow) &&
	       identity_prefixes_equal(&a->deny, &b->deny);
}

/* The value of a key as identity_set() takes it, or NULL for the default. Returns the buffer. */
#define IDENTITY_TEXT_MAX (IDENTITY_PREFIXES_MAX * PREFIX_TEXT_MAX)
const char *identity_format(const struct identity *identity, const char *key,
			    char buffer[IDENTITY_TEXT_MAX]);

/* All keys, ending with NULL; what each means, and its default. */
extern const char *const identity_keys[];
const char *identity_meaning(const char *key);
const char *identity_standard(const char *key);

bool identity_prefixes_contain(const struct identity_prefixes *prefixes,
			       const struct address *address);

/*
 * Whether that client may come. Of all prefixes of allow and deny in which it is, the longest counts,
 * and of two that are alike that of deny; where it is in none, it may if there is no allow.
 */
bool identity_admits(const struct identity *identity, const struct address *client);

#endif
