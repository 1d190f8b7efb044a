/* SPDX-License-Identifier: Apache-2.0 */
/* Who has, or had, which pseudo-IPv4 address. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/timestamp.h"
#include "control/handlers.h"
#include "control/shown.h"

/* What is looked at of the map in one piece, which keeps new clients waiting meanwhile. */
#define ASSIGNMENTS_PER_PIECE 256

static json_t *encode(const struct pseudo_assignment *assignment)
{
	char pseudo[ADDRESS_TEXT_MAX], client[PREFIX_TEXT_MAX];
	char since[TIMESTAMP_MAX], seen[TIMESTAMP_MAX];
	const struct timespec times[] = { { .tv_sec = (time_t)assignment->since_s },
					  { .tv_sec = (time_t)assignment->last_seen_s } };

	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:I}", "pseudo_ipv4",
			 address_format_ip(&assignment->pseudo, pseudo), "client",
			 shown_client_prefix(&assignment->client, client), "since",
			 timestamp_format(&times[0], since), "last_seen",
			 timestamp_format(&times[1], seen), "current", assignment->is_current,
			 "sessions", (json_int_t)assignment->sessions);
}

/* A time of the query: seconds since 1970, or RFC 3339 in UTC. */
static bool read_time(const struct request *request, uint64_t *ret, bool *ret_given,
		      struct answer *answer)
{
	const char *text = request_query(request, "at");

	*ret_given = text;
	if (!*ret_given || text_parse_number(text, strlen(text), INT64_MAX, ret) == 0 ||
	    timestamp_parse(text, ret) == 0)
		return true;
	answer_error(
		answer, 400,
		"at=%.40s is no time: write it as 2026-11-25T09:00:00Z, or in seconds since 1970",
		text);
	return false;
}

static int find(struct pseudo *pseudo, const struct address *address, const uint64_t *at_s,
		struct pseudo_assignment *ret, struct error *err)
{
	if (at_s)
		return pseudo_find_at(pseudo, address, *at_s, ret, err);
	return pseudo_find(pseudo, address, ret);
}

static void answer_unknown(struct answer *answer, const char *text, const struct address *address,
			   bool has_time)
{
	bool is_client = address->family == AF_INET6;

	if (has_time)
		answer_error(answer, 404, "%.60s %s then, as far as is known", text,
			     is_client ? "had no pseudo-IPv4 address" : "stood for nobody");
	else
		answer_error(answer, 404,
			     "%.60s %s now; ask with a time (--at, or at=) about before", text,
			     is_client ? "has no pseudo-IPv4 address" : "stands for nobody");
}

void handle_whois(const struct request *request, struct answer *answer)
{
	struct pseudo *pseudo = identities_pseudo(request->context->control->identities);
	struct pseudo_assignment assignment;
	struct address address;
	struct error err;
	uint64_t at_s;
	bool has_time;
	int r = -ENOENT;

	if (address_parse_ip(request->id, &address) < 0) {
		answer_error(answer, 400, "'%.60s' is no IP address", request->id);
		return;
	}
	if (!read_time(request, &at_s, &has_time, answer))
		return;
	if (pseudo)
		r = find(pseudo, &address, has_time ? &at_s : NULL, &assignment, &err);
	if (r == 0)
		answer_json(answer, encode(&assignment));
	else if (r == -ENOENT && !pseudo)
		answer_error(answer, 404, "%.60s: no rule has had identity pseudo-ipv4",
			     request->id);
	else if (r == -ENOENT)
		answer_unknown(answer, request->id, &address, has_time);
	else
		answer_failure(answer, &err);
}

struct collecting {
	struct answer_list *list;
	uint64_t left;
};

static void collect(void *context, const struct pseudo_assignment *assignment)
{
	struct collecting *collecting = context;

	answer_list_add(collecting->list, encode(assignment));
	collecting->left--;
}

void handle_assignments(const struct request *request, struct answer *answer)
{
	struct pseudo *pseudo = identities_pseudo(request->context->control->identities);
	struct answer_list list;
	struct collecting collecting = {
		.list = &list,
	};
	uint64_t after;
	uint32_t cursor;
	bool more = pseudo;

	if (!request_number(request, "limit", LIST_LIMIT_MOST, LIST_LIMIT_USUAL, &collecting.left,
			    answer) ||
	    !request_number(request, "after", UINT32_MAX, 0, &after, answer))
		return;
	cursor = (uint32_t)after;
	answer_list_begin(&list, answer, "assignments");
	while (more && collecting.left > 0)
		more = pseudo_list(pseudo, &cursor,
				   collecting.left < ASSIGNMENTS_PER_PIECE
					   ? (uint32_t)collecting.left
					   : ASSIGNMENTS_PER_PIECE,
				   collect, &collecting);
	answer_list_end(&list,
			json_pack("{s:o}", "next", more ? json_integer(cursor) : json_null()));
}
