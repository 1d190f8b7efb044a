/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd calls handle() again and again for one request: first with nothing but the head,
 * then with pieces of the body, then without any more. What lives that long is a struct exchange.
 */
#include "control/server.h"

#include <errno.h>
#include <malloc.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/processors.h"
#include "control/shown.h"
#include "control/streams.h"
#include "net/socket.h"

/* Requests under way at a time; a stream of events is one. */
#define CONNECTIONS_MAX 64

/* A client that says nothing for so long is left, but for streams. */
#define IDLE_LIMIT_S 30

/* Longer ones than any that there is are cut, and not found. */
#define ID_MAX 64

/* Of an answer, after which memory is given back to the system. */
#define LARGE_BYTES ((size_t)256 * 1024)

struct server {
	struct MHD_Daemon *daemon;
	struct endpoints_context *context;
	bool read_only;
	bool is_loopback;
	bool is_unix;
	gid_t group;
	struct streams streams;
};

struct exchange {
	const struct endpoint *endpoint; /* NULL: an error is to be told */
	bool has_id;
	char id[ID_MAX]; /* a copy: the path ends with the head of the request */
	char allowed[ENDPOINT_METHODS_MAX];
	char *body;
	size_t length, room;
	struct answer error;
};

/* Who may. */

static bool is_in_group(int fd, gid_t group)
{
	gid_t groups[256];
	socklen_t length = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) < 0)
		return false;
	for (size_t i = 0; i < length / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* The file's mode says the same; this holds, too, if somebody has changed that. */
static bool is_allowed_peer(const struct server *server, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (!server->is_unix)
		return true;
	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	return server->group != (gid_t)-1 &&
	       (peer.gid == server->group || is_in_group(info->connect_fd, server->group));
}

/* Whether it is an IP address, or the loopback's own name, with or without a port. */
static bool is_plain_host(const char *host)
{
	char ip[ADDRESS_TEXT_MAX];
	struct address address;
	size_t length = strlen(host);

	if (address_parse(host, &address) == 0)
		return true;
	if (strncmp(host, "localhost", 9) == 0 && (host[9] == '\0' || host[9] == ':'))
		return true;
	if (length >= sizeof(ip))
		return false;
	if (host[0] == '[' && host[length - 1] == ']') {
		memcpy(ip, host + 1, length - 2);
		ip[length - 2] = '\0';
	} else {
		memcpy(ip, host, length + 1);
	}
	return address_parse_ip(ip, &address) == 0;
}

static bool is_rebound(const struct server *server, struct MHD_Connection *connection)
{
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");

	return server->is_loopback && host && !is_plain_host(host);
}

/* Answering. */

static enum MHD_Result queue(struct MHD_Connection *connection, const struct answer *answer,
			     struct MHD_Response *response)
{
	enum MHD_Result result = MHD_NO;

	if (!response)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type",
				      answer->type ? answer->type : "application/json");
	if (answer->policy)
		(void)MHD_add_response_header(response, "Content-Security-Policy", answer->policy);
	if (answer->allowed)
		(void)MHD_add_response_header(response, "Allow", answer->allowed);
	(void)MHD_add_response_header(response, "Cache-Control", "no-store");
	(void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	result = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

/* Thousands of rules are megabytes of small pieces, which the heap would keep for the next. */
static void give_back(json_t *json, size_t length)
{
	json_decref(json);
	if (length >= LARGE_BYTES)
		(void)malloc_trim(0);
}

static enum MHD_Result queue_json(struct MHD_Connection *connection, const struct answer *answer)
{
	char *text = json_dumps(answer->json, SHOWN_FLAGS), *line;
	size_t length = text ? strlen(text) : 0;

	give_back(answer->json, length);
	if (!text)
		return MHD_NO;
	line = realloc(text, length + 1);
	if (!line) {
		free(text);
		return MHD_NO;
	}
	line[length] = '\n'; /* for those who read it on a terminal; not a string any more */
	return queue(connection, answer,
		     MHD_create_response_from_buffer(length + 1, line, MHD_RESPMEM_MUST_FREE));
}

static enum MHD_Result queue_answer(struct server *server, struct MHD_Connection *connection,
				    struct answer *answer)
{
	if (answer->events != 0)
		return queue(connection, answer,
			     streams_open(&server->streams, connection, answer->events));
	if (answer->json)
		return queue_json(connection, answer);
	if (answer->text)
		return queue(connection, answer,
			     MHD_create_response_from_buffer(strlen(answer->text), answer->text,
							     MHD_RESPMEM_MUST_FREE));
	return queue(connection, answer,
		     MHD_create_response_from_buffer(answer->constant_bytes,
						     (void *)(uintptr_t)answer->constant,
						     MHD_RESPMEM_PERSISTENT));
}

/* Requests. */

static struct exchange *exchange_new(const struct server *server, struct MHD_Connection *connection,
				     const char *method, const char *path)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	const char *id;

	if (!exchange)
		return NULL;
	if (!is_allowed_peer(server, connection)) {
		answer_error(&exchange->error, MHD_HTTP_FORBIDDEN,
			     "only root and the group of this socket may use it");
		return exchange;
	}
	if (is_rebound(server, connection)) {
		answer_error(&exchange->error, MHD_HTTP_FORBIDDEN,
			     "ask for it by an IP address or as localhost");
		return exchange;
	}
	if (server->read_only && !reads) {
		answer_error(&exchange->error, MHD_HTTP_FORBIDDEN,
			     "this listener is for reading; changes go to the unix socket");
		return exchange;
	}
	exchange->endpoint = endpoint_find(reads ? "GET" : method, path, &id, exchange->allowed);
	exchange->has_id = exchange->endpoint && id;
	if (exchange->has_id)
		(void)snprintf(exchange->id, sizeof(exchange->id), "%s", id);
	if (!exchange->endpoint && exchange->allowed[0]) {
		answer_error(&exchange->error, MHD_HTTP_METHOD_NOT_ALLOWED,
			     "%.40s has no %.10s, but %s", path, method, exchange->allowed);
		exchange->error.allowed = exchange->allowed;
	} else if (!exchange->endpoint) {
		answer_error(&exchange->error, MHD_HTTP_NOT_FOUND, "there is no %.60s", path);
	}
	return exchange;
}

static bool collect_body(struct exchange *exchange, const char *data, size_t length)
{
	if (exchange->error.status != 0)
		return true; /* what is refused need not be kept */
	if (exchange->length + length > REQUEST_BODY_MAX) {
		answer_error(&exchange->error, MHD_HTTP_CONTENT_TOO_LARGE,
			     "the request has more than %d MiB", REQUEST_BODY_MAX / 1024 / 1024);
		return true;
	}
	if (exchange->length + length > exchange->room) {
		size_t room = 2 * (exchange->length + length);
		char *body = realloc(exchange->body, room);

		if (!body)
			return false;
		exchange->body = body;
		exchange->room = room;
	}
	memcpy(exchange->body + exchange->length, data, length);
	exchange->length += length;
	return true;
}

static const char *query_value(void *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

/* Returns false where the body is no JSON; the answer says so. */
static bool parse_body(const struct exchange *exchange, json_t **ret, struct answer *answer)
{
	json_error_t error;

	*ret = NULL;
	if (exchange->length == 0)
		return true;
	*ret = json_loadb(exchange->body, exchange->length,
			  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!*ret)
		answer_error(answer, MHD_HTTP_BAD_REQUEST,
			     "the body is not JSON: line %d, column %d: %.120s", error.line,
			     error.column, error.text);
	return *ret;
}

static enum MHD_Result respond(struct server *server, struct MHD_Connection *connection,
			       struct exchange *exchange)
{
	struct answer answer = exchange->error;
	struct request request = {
		.context = server->context,
		.id = exchange->has_id ? exchange->id : NULL,
		.query = query_value,
		.query_of = connection,
	};
	json_t *body = NULL;

	exchange->error.json = NULL; /* it is the answer's now */
	if (answer.status == 0 && parse_body(exchange, &body, &answer)) {
		request.body = body;
		exchange->endpoint->handle(&request, &answer);
	}
	json_decref(body);
	return queue_answer(server, connection, &answer);
}

/* The library has threads of its own, and tells when one begins by nothing but a request. */
static void give_way(void)
{
	static _Thread_local bool done;

	if (!done)
		processors_give_way();
	done = true;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *length, void **state)
{
	struct server *server = context;
	struct exchange *exchange = *state;

	(void)version;
	if (!exchange) {
		give_way();
		*state = exchange_new(server, connection, method, url);
		return *state ? MHD_YES : MHD_NO;
	}
	if (*length > 0) {
		bool kept = collect_body(exchange, data, *length);

		*length = 0;
		return kept ? MHD_YES : MHD_NO;
	}
	return respond(server, connection, exchange);
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
		      enum MHD_RequestTerminationCode how)
{
	struct exchange *exchange = *state;

	(void)context;
	(void)connection;
	(void)how;
	if (!exchange)
		return;
	json_decref(exchange->error.json);
	free(exchange->body);
	free(exchange);
	*state = NULL;
}

/* The library would write to standard error. */
static void ignore_messages(void *context, const char *format, va_list arguments)
{
	(void)context;
	(void)format;
	(void)arguments;
}

static bool is_loopback_socket(int fd)
{
	struct address local;

	socket_local_address(fd, &local);
	return address_is_loopback(&local);
}

struct server *server_start(struct endpoints_context *context, int listener, bool read_only,
			    gid_t group, struct error *err)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server) {
		fd_close(&listener);
		error_set(err, -ENOMEM, "no memory for an HTTP server");
		return NULL;
	}
	server->context = context;
	server->read_only = read_only;
	server->group = group;
	server->is_unix = socket_family(listener) == AF_UNIX;
	server->is_loopback = is_loopback_socket(listener);
	streams_init(&server->streams, &context->control->events);
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
		NULL, NULL, handle, server, MHD_OPTION_EXTERNAL_LOGGER, ignore_messages, NULL,
		MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_LIMIT_S, MHD_OPTION_END);
	if (server->daemon)
		return server;
	fd_close(&listener);
	streams_fini(&server->streams);
	free(server);
	error_set(err, -EIO, "the HTTP server does not start");
	return NULL;
}

void server_stop(struct server *server)
{
	if (!server)
		return;
	streams_end(&server->streams);
	MHD_stop_daemon(server->daemon);
	streams_fini(&server->streams);
	free(server);
}
