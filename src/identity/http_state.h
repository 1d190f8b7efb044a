/* SPDX-License-Identifier: Apache-2.0 */
/* The state of an HTTP filter, which its two directions share. */
#ifndef FAIRLEAD_IDENTITY_HTTP_STATE_H
#define FAIRLEAD_IDENTITY_HTTP_STATE_H

#include <llhttp.h>

#include "identity/http_filter.h"
#include "wire/forwarded.h"
#include "wire/http_head.h"

/* Requests whose answers have not come yet; a client that sends more of them waits. */
#define HTTP_OUTSTANDING_MAX 64

enum http_kind {
	HTTP_KIND_PLAIN,
	HTTP_KIND_HEAD,
	HTTP_KIND_CONNECT,
	HTTP_KIND_UPGRADE,
};

enum http_request_state {
	HTTP_AT_BEGIN, /* of the connection: it need not be HTTP/1 */
	HTTP_AT_REQUEST,
	HTTP_AT_CHUNK,
	HTTP_BEHIND_CHUNK, /* at the CR LF that ends it */
	HTTP_AT_TRAILERS,
	HTTP_AT_SWITCH, /* behind a request for another protocol */
	HTTP_REFUSING,
};

enum http_response_state {
	HTTP_AT_RESPONSE,
	HTTP_AT_RESPONSE_CHUNK,
	HTTP_AT_RESPONSE_TRAILERS,
	HTTP_LOST, /* nothing that comes is followed any more */
};

enum http_switch {
	HTTP_SWITCH_OPEN, /* it is not answered yet */
	HTTP_SWITCH_TAKEN,
	HTTP_SWITCH_DECLINED,
};

struct http_filter {
	struct filter filter;
	uint8_t headers; /* enum identity_http_header */
	uint8_t other;	 /* enum identity_http_other */
	bool is_trusted;
	char ip[ADDRESS_TEXT_MAX];
	char forwarded[FORWARDED_TEXT_MAX];

	uint8_t request_state, response_state;
	uint8_t switching; /* enum http_switch */
	bool switches;	   /* once the body is over */
	bool refuses_body; /* of a request that has passed, up to there */
	uint8_t kinds[HTTP_OUTSTANDING_MAX];
	uint8_t first_kind, outstanding;
	uint64_t requests;
	struct filter_refusal refusal;
	llhttp_t parser; /* the second opinion */
};

/* Passes the first bytes as they are, and skips some behind them. */
static inline enum filter_verdict http_pass(struct filter_io *io, size_t length,
					    uint64_t skip_bytes)
{
	io->skip_bytes = length + skip_bytes;
	return FILTER_SKIPS;
}

/* http_request.c */
enum filter_verdict http_edit_request(struct http_filter *filter, struct filter_io *io);

/* http_response.c */
enum filter_verdict http_follow_response(struct http_filter *filter, struct filter_io *io);

/*
 * http_rewrite.c: writes the head with our fields, and without those that are not to pass. Returns
 * the length, which is at most that of the head and HTTP_ADDED_MAX.
 */
#define HTTP_ADDED_MAX 512
size_t http_rewrite(const struct http_filter *filter, const uint8_t *bytes,
		    const struct http_head *head, bool drops_upgrade, uint8_t *out);

#endif
