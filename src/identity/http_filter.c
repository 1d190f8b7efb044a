/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/http_filter.h"

#include <stdio.h>
#include <stdlib.h>

#include "identity/http_state.h"

_Static_assert(HTTP_HEAD_MAX + HTTP_ADDED_MAX <= FILTER_OUT_MAX && HTTP_HEAD_MAX < FILTER_SEEN_MAX,
	       "http_filter: the longest head has room, with what is added");

static enum filter_verdict edit(struct filter *filter, enum filter_direction direction,
				struct filter_io *io)
{
	struct http_filter *http = (struct http_filter *)(void *)filter;

	return direction == FILTER_IN ? http_edit_request(http, io)
				      : http_follow_response(http, io);
}

static void filter_free(struct filter *filter)
{
	free(filter);
}

static const struct filter_ops ops = { .edit = edit, .free = filter_free };

/* All that is asked of llhttp is what it makes of the head. */
static int headers_complete(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED;
}

static const llhttp_settings_t llhttp_settings = { .on_headers_complete = headers_complete };

struct filter *http_filter_new(const struct identity *identity,
			       const struct http_filter_parties *parties)
{
	struct http_filter *http = calloc(1, sizeof(*http));
	struct address client = parties->client;

	if (!http)
		return NULL;
	client.scope = 0;
	http->filter.ops = &ops;
	http->headers = identity_http_headers(identity);
	http->other = identity->http_other;
	http->is_trusted = parties->is_trusted;
	(void)address_format_ip(&client, http->ip);
	(void)forwarded_format(&client, http->forwarded);
	llhttp_init(&http->parser, HTTP_REQUEST, &llhttp_settings);
	return &http->filter;
}

uint64_t http_filter_requests(const struct filter *filter)
{
	return ((const struct http_filter *)(const void *)filter)->requests;
}
