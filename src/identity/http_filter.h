/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter (relay/filter.h) that says who the client is in each HTTP/1 request of a connection.
 *
 * Theory of operation. Requests are read strictly (wire/http_head.h), and once more by llhttp, as
 * both have to agree on how a request is framed; their heads are passed with our fields in the place
 * of the client's. Bodies are skipped, so the pump splices them. Answers pass unchanged; they are
 * followed only to know which request they answer, because a connection that was upgraded is no
 * longer HTTP, and because a refusal must not overtake an answer that is still on its way. Where they
 * cannot be followed, they pass all the same; but then nothing can be upgraded.
 */
#ifndef FAIRLEAD_IDENTITY_HTTP_FILTER_H
#define FAIRLEAD_IDENTITY_HTTP_FILTER_H

#include "model/identity.h"
#include "net/address.h"
#include "relay/filter.h"

/* The longest head; what is added to it has room in what a filter may put out. */
#define HTTP_HEAD_MAX (15 * 1024)

struct http_filter_parties {
	struct address client; /* whom the fields name */
	bool is_trusted;       /* its own fields are kept, and added to */
};

/* NULL without memory. */
struct filter *http_filter_new(const struct identity *identity,
			       const struct http_filter_parties *parties);

/* How many requests have been passed; for tests. */
uint64_t http_filter_requests(const struct filter *filter);

#endif
