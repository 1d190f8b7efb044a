/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webapp: a small web application, as one might run it in a container, that tells who is calling.
 *
 *	/		the host it runs on, and the address its client has, as it sees them
 *	/headers	the headers of the request, one a line
 *	/large		500 MB of zeros, to see how fast they come
 *
 * It exists to be published: what it answers as "Remote IP" is the whole point of the demo. It is
 * an application over libmicrohttpd as any other is, and shares no code with Fairlead.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#define USAGE "usage: webapp [PORT] [--address ADDRESS]      by default port 80 on 0.0.0.0"

/* Ends an exchange with a client that sends nothing, or takes nothing. */
#define IDLE_TIMEOUT_S 60

#define LARGE_BYTES 500000000u
#define LARGE_BLOCK_BYTES (256 * 1024)

typedef void write_page(FILE *page, struct MHD_Connection *connection);

static void write_who(FILE *page, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *client = info ? info->client_addr : NULL;
	char host[256] = "", ip[NI_MAXHOST] = "unknown";

	(void)gethostname(host, sizeof(host) - 1);
	if (client) {
		socklen_t length = client->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
								 : sizeof(struct sockaddr_in);

		(void)getnameinfo(client, length, ip, sizeof(ip), NULL, 0, NI_NUMERICHOST);
	}
	(void)fprintf(page, "Hostname: %s\nRemote IP: %s\n", host, ip);
}

static enum MHD_Result write_header(void *page, enum MHD_ValueKind kind, const char *name,
				    const char *value)
{
	(void)kind;
	(void)fprintf(page, "%s: %s\n", name, value ? value : "");
	return MHD_YES;
}

static void write_headers(FILE *page, struct MHD_Connection *connection)
{
	(void)MHD_get_connection_values(connection, MHD_HEADER_KIND, write_header, page);
}

static void write_not_found(FILE *page, struct MHD_Connection *connection)
{
	(void)connection;
	(void)fputs("404: there are /, /headers and /large\n", page);
}

static write_page *find_page(const char *path)
{
	if (strcmp(path, "/") == 0)
		return write_who;
	if (strcmp(path, "/headers") == 0)
		return write_headers;
	return NULL;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned int status, char *text,
				 size_t length)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(length, text,
									MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		free(text);
		return MHD_NO;
	}
	(void)MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static ssize_t write_zeros(void *context, uint64_t place, char *block, size_t room)
{
	(void)context;
	if (place >= LARGE_BYTES)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (room > LARGE_BYTES - place)
		room = (size_t)(LARGE_BYTES - place);
	memset(block, 0, room);
	return (ssize_t)room;
}

static enum MHD_Result send_large(struct MHD_Connection *connection)
{
	struct MHD_Response *response = MHD_create_response_from_callback(LARGE_BYTES,
									  LARGE_BLOCK_BYTES,
									  write_zeros, NULL, NULL);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type", "application/octet-stream");
	result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

/*
 * Called when the head of a request has come, for each piece of its body, and when it is complete.
 * Only then may it be answered, or the connection would not be kept for the next request.
 */
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *body,
			      size_t *body_length, void **request)
{
	static int seen;
	write_page *write = find_page(path);
	char *text = NULL;
	size_t length = 0;
	FILE *page;

	(void)context;
	(void)method;
	(void)version;
	(void)body;
	if (*request != &seen || *body_length > 0) {
		*request = &seen;
		*body_length = 0;
		return MHD_YES;
	}
	if (strcmp(path, "/large") == 0)
		return send_large(connection);
	page = open_memstream(&text, &length);
	if (!page)
		return MHD_NO;
	(write ? write : write_not_found)(page, connection);
	if (fclose(page) != 0) {
		free(text);
		return MHD_NO;
	}
	return send_text(connection, write ? MHD_HTTP_OK : MHD_HTTP_NOT_FOUND, text, length);
}

/* getaddrinfo() takes 99999 for a port, and listens on another. */
static bool is_port(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	return *end == '\0' && end != text && *text != '-' && port <= 65535;
}

/* The address to listen on, or NULL with a sentence said. The caller frees it: freeaddrinfo(). */
static struct addrinfo *parse_address(const char *ip, const char *port)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *address;
	int fault;

	if (!is_port(port)) {
		(void)fprintf(stderr, "webapp: port %s is not a number from 0 to 65535\n", port);
		return NULL;
	}
	fault = getaddrinfo(ip, port, &hints, &address);
	if (fault) {
		(void)fprintf(stderr, "webapp: address %s, port %s: %s\n", ip, port,
			      gai_strerror(fault));
		return NULL;
	}
	return address;
}

static struct MHD_Daemon *start(const char *ip, const char *port)
{
	struct addrinfo *address = parse_address(ip, port);
	struct MHD_Daemon *daemon;
	unsigned int flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD;

	if (!address)
		return NULL;
	if (address->ai_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	daemon = MHD_start_daemon(flags, 0, NULL, NULL, answer, NULL, MHD_OPTION_SOCK_ADDR,
				  address->ai_addr, MHD_OPTION_CONNECTION_TIMEOUT,
				  (unsigned int)IDLE_TIMEOUT_S, MHD_OPTION_END);
	if (!daemon)
		(void)fprintf(stderr, "webapp: cannot listen on %s, port %s: %s\n", ip, port,
			      strerror(errno));
	freeaddrinfo(address);
	return daemon;
}

/*
 * Waits for the word to end: SIGTERM as from `docker stop`, SIGINT as from Ctrl-C. They are blocked, as
 * the kernel drops signals with their default action that are for process 1 of a container.
 */
static void wait_for_end(const sigset_t *signals)
{
	int signal;

	(void)sigwait(signals, &signal);
}

int main(int argc, char **argv)
{
	const char *ip = "0.0.0.0", *port = "80";
	struct MHD_Daemon *daemon;
	sigset_t signals;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return puts(USAGE) < 0;
		if (strcmp(argv[i], "--address") == 0 && i + 1 < argc)
			ip = argv[++i];
		else if (argv[i][0] != '-')
			port = argv[i];
		else
			return (void)fprintf(stderr, "webapp: %s\n%s\n", argv[i], USAGE), 2;
	}

	/* Before any thread is started, so that all of them leave the signals to main. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);

	daemon = start(ip, port);
	if (!daemon)
		return 1;
	(void)printf("webapp: http://%s:%s/\n", ip, port);
	(void)fflush(stdout);
	wait_for_end(&signals);
	MHD_stop_daemon(daemon);
	return 0;
}
