/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, and the clients that have them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "control/handlers.h"
#include "control/shown.h"
#include "relay/sessions.h"

static int find_state(const char *name)
{
	for (int state = SESSION_CONNECTING; state <= SESSION_CLOSING; state++)
		if (strcmp(name, session_state_name((enum session_state)state)) == 0)
			return state;
	return -1;
}

static bool read_filter(const struct request *request, struct session_filter *ret,
			struct answer *answer)
{
	const char *client = request_query(request, "client");
	const char *protocol = request_query(request, "protocol");
	const char *state = request_query(request, "state");
	enum protocol found;

	*ret = (struct session_filter){ .rule = request_query(request, "rule"),
					.protocol = -1,
					.state = -1 };
	if (client && prefix_parse(client, &ret->client) < 0) {
		answer_error(
			answer, 400,
			"client=%.60s is neither an IP address nor a prefix like 2001:db8::/32",
			client);
		return false;
	}
	if (protocol && protocol_parse(protocol, &found) < 0) {
		answer_error(answer, 400, "protocol=%.40s is none of tcp, udp, sctp", protocol);
		return false;
	}
	if (protocol)
		ret->protocol = (int)found;
	if (state)
		ret->state = find_state(state);
	if (state && ret->state < 0) {
		answer_error(answer, 400,
			     "state=%.40s is none of connecting, open, half-closed, closing",
			     state);
		return false;
	}
	return true;
}

static uint64_t rate_of(const struct session_shown *shown)
{
	return shown->session.in_bytes_s + shown->session.out_bytes_s;
}

static int compare_rates(const void *a, const void *b)
{
	uint64_t first = rate_of(a), second = rate_of(b);

	return first < second ? 1 : first > second ? -1 : 0;
}

static bool is_rate(const struct request *request)
{
	const char *sort = request_query(request, "sort");

	return sort && strcmp(sort, "rate") == 0;
}

/* By number, as they come, or the busiest first. */
static bool sort_as_asked(const struct request *request, struct sessions_shown *shown,
			  struct answer *answer)
{
	const char *sort = request_query(request, "sort");

	if (!sort || strcmp(sort, "id") == 0)
		return true;
	if (!is_rate(request)) {
		answer_error(answer, 400, "sort=%.40s is neither id nor rate", sort);
		return false;
	}
	if (request_query(request, "after")) {
		answer_error(answer, 400, "after is of use with sort=id alone");
		return false;
	}
	if (shown->count > 0)
		qsort(shown->sessions, shown->count, sizeof(shown->sessions[0]), compare_rates);
	return true;
}

/* Those behind the number `after`, at most `limit`. */
static void answer_page(const struct sessions_shown *shown, uint64_t after, uint64_t limit,
			bool is_sorted, struct answer *answer)
{
	uint64_t offset_ns = clock_wall_offset_ns(), now_ns = clock_now_ns();
	json_t *next = json_null();
	struct answer_list list;
	size_t i = 0;

	while (i < shown->count && !is_sorted && shown->sessions[i].session.id <= after)
		i++;
	answer_list_begin(&list, answer, "sessions");
	for (; i < shown->count && limit > 0; i++, limit--)
		answer_list_add(&list, shown_session(&shown->sessions[i], offset_ns, now_ns));
	if (i < shown->count && i > 0 && !is_sorted)
		next = json_integer((json_int_t)shown->sessions[i - 1].session.id);
	answer_list_end(&list,
			json_pack("{s:I, s:o}", "total", (json_int_t)shown->count, "next", next));
}

void handle_sessions(const struct request *request, struct answer *answer)
{
	struct sessions_shown shown;
	struct session_filter filter;
	uint64_t limit, after;

	if (!read_filter(request, &filter, answer) ||
	    !request_number(request, "limit", LIST_LIMIT_MOST, LIST_LIMIT_USUAL, &limit, answer) ||
	    !request_number(request, "after", INT64_MAX, 0, &after, answer))
		return;
	if (snapshot_sessions(request->context->control, &filter, &shown) < 0) {
		answer_error(answer, 500, "no memory for a list of all sessions");
		return;
	}
	if (sort_as_asked(request, &shown, answer))
		answer_page(&shown, after, limit, is_rate(request), answer);
	sessions_shown_free(&shown);
}

struct ending {
	struct control *control;
	uint64_t id;
	bool found;
};

static void end_on(void *context, struct relay *relay)
{
	struct ending *ending = context;

	if (!ending->found)
		ending->found = relay_end_session(relay, ending->id);
}

static void call_end(void *context)
{
	struct ending *ending = context;

	workers_for_each(&ending->control->publisher->workers, end_on, ending);
}

void handle_session_end(const struct request *request, struct answer *answer)
{
	struct ending ending = { .control = request->context->control };

	if (text_parse_number(request->id, strlen(request->id), INT64_MAX, &ending.id) == 0)
		control_call(ending.control, call_end, &ending);
	if (!ending.found && ending.id > 0)
		ending.found = kernel_path_end_session(ending.control->kernel_path, ending.id);
	if (!ending.found) {
		answer_error(answer, 404, "there is no session %.40s", request->id);
		return;
	}
	answer_json(answer, json_pack("{s:I}", "ended", (json_int_t)ending.id));
}

/* Clients. */

struct client {
	struct address ip; /* port 0 */
	uint64_t sessions, in_bytes, out_bytes, in_bytes_s, out_bytes_s;
};

static int compare_ips(const struct address *first, const struct address *second)
{
	if (first->family != second->family)
		return first->family < second->family ? -1 : 1;
	if (first->scope != second->scope)
		return first->scope < second->scope ? -1 : 1;
	return memcmp(first->ip, second->ip, sizeof(first->ip));
}

static int compare_by_client(const void *a, const void *b)
{
	const struct session_shown *first = a, *second = b;

	return compare_ips(&first->session.client, &second->session.client);
}

static int compare_clients(const void *a, const void *b)
{
	const struct client *first = a, *second = b;
	uint64_t rates[2] = { first->in_bytes_s + first->out_bytes_s,
			      second->in_bytes_s + second->out_bytes_s };

	if (rates[0] != rates[1])
		return rates[0] > rates[1] ? -1 : 1;
	if (first->sessions != second->sessions)
		return first->sessions > second->sessions ? -1 : 1;
	return memcmp(&first->ip, &second->ip, sizeof(first->ip));
}

/* Sums the sessions up by client. Returns how many there are; the array has room for all. */
static size_t sum_up(struct sessions_shown *shown, struct client *clients)
{
	size_t count = 0;

	if (shown->count > 0)
		qsort(shown->sessions, shown->count, sizeof(shown->sessions[0]), compare_by_client);
	for (size_t i = 0; i < shown->count; i++) {
		const struct session *session = &shown->sessions[i].session;
		struct client *client;

		if (count == 0 || compare_ips(&clients[count - 1].ip, &session->client) != 0) {
			clients[count] = (struct client){ .ip = session->client };
			clients[count++].ip.port = 0;
		}
		client = &clients[count - 1];
		client->sessions++;
		client->in_bytes += session->in_bytes;
		client->out_bytes += session->out_bytes;
		client->in_bytes_s += session->in_bytes_s;
		client->out_bytes_s += session->out_bytes_s;
	}
	if (count > 0)
		qsort(clients, count, sizeof(clients[0]), compare_clients);
	return count;
}

/* Its pseudo-IPv4 address, if it has one. */
static const char *pseudo_of(const struct client *client, struct pseudo *pseudo,
			     char buffer[ADDRESS_TEXT_MAX])
{
	struct pseudo_assignment assignment;

	if (!pseudo || pseudo_find(pseudo, &client->ip, &assignment) < 0)
		return NULL;
	return address_format_ip(&assignment.pseudo, buffer);
}

static json_t *encode_client(const struct client *client, struct pseudo *pseudo)
{
	char ip[ADDRESS_TEXT_MAX], pseudo_ip[ADDRESS_TEXT_MAX];

	return json_pack("{s:s, s:s*, s:I, s:I, s:I, s:I, s:I}", "ip",
			 address_format_ip(&client->ip, ip), "pseudo_ipv4",
			 pseudo_of(client, pseudo, pseudo_ip), "sessions",
			 (json_int_t)client->sessions, "in_bytes", (json_int_t)client->in_bytes,
			 "out_bytes", (json_int_t)client->out_bytes, "in_bytes_s",
			 (json_int_t)client->in_bytes_s, "out_bytes_s",
			 (json_int_t)client->out_bytes_s);
}

void handle_clients(const struct request *request, struct answer *answer)
{
	struct pseudo *pseudo = identities_pseudo(request->context->control->identities);
	struct sessions_shown shown;
	struct session_filter filter;
	struct answer_list list;
	struct client *clients;
	uint64_t limit;
	size_t count;

	if (!read_filter(request, &filter, answer) ||
	    !request_number(request, "limit", LIST_LIMIT_MOST, LIST_LIMIT_USUAL, &limit, answer))
		return;
	if (snapshot_sessions(request->context->control, &filter, &shown) < 0) {
		answer_error(answer, 500, "no memory for a list of all sessions");
		return;
	}
	clients = calloc(shown.count + 1, sizeof(*clients));
	count = clients ? sum_up(&shown, clients) : 0;
	sessions_shown_free(&shown);
	if (!clients) {
		answer_error(answer, 500, "no memory for a list of all clients");
		return;
	}
	answer_list_begin(&list, answer, "clients");
	for (size_t i = 0; i < count && i < limit; i++)
		answer_list_add(&list, encode_client(&clients[i], pseudo));
	answer_list_end(&list, json_pack("{s:I}", "total", (json_int_t)count));
	free(clients);
}
