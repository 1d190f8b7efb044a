/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pool_reach.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "identity/pool_route.h"

/* How much later than the other answer one may come that takes the same way back. */
#define LATER_MS 150

/* What an echo request carries, and its answer has to. */
struct echo {
	struct icmphdr header;
	uint8_t token[16];
};

struct question {
	int fd;
	bool is_raw;
	struct echo echo;
	bool is_answered;
};

/* RFC 1071. */
static uint16_t checksum_of(const void *data, size_t length)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i += 2) {
		uint16_t word;

		memcpy(&word, bytes + i, sizeof(word));
		sum += word;
	}
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t) ~(sum + (sum >> 16));
}

static int open_socket(bool *ret_is_raw)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);

	*ret_is_raw = fd >= 0;
	if (fd < 0)
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);
	return fd;
}

/* Returns false where it cannot be asked. */
static bool ask(struct question *question, const struct address *container,
		const struct address *source)
{
	struct sockaddr_storage to, from;
	socklen_t to_length = address_to_sockaddr(container, AF_INET, &to);
	OWNED_FD fd = open_socket(&question->is_raw);

	if (fd < 0 || getrandom(question->echo.token, sizeof(question->echo.token), 0) < 0)
		return false;
	if (source) {
		socklen_t from_length = address_to_sockaddr(source, AF_INET, &from);

		if (bind(fd, (struct sockaddr *)&from, from_length) < 0)
			return false;
	}
	question->echo.header = (struct icmphdr){ .type = ICMP_ECHO };
	memcpy(&question->echo.header.un.echo.id, question->echo.token, 2);
	question->echo.header.checksum = checksum_of(&question->echo, sizeof(question->echo));
	if (connect(fd, (struct sockaddr *)&to, to_length) < 0 ||
	    send(fd, &question->echo, sizeof(question->echo), MSG_NOSIGNAL) < 0)
		return false;
	question->fd = fd_take(&fd);
	return true;
}

/* Reads what has come, which may be the answer. */
static void read_answers(struct question *question)
{
	uint8_t packet[256];
	ssize_t got;

	while (!question->is_answered &&
	       (got = recv(question->fd, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		size_t skipped = question->is_raw ? (size_t)(packet[0] & 15) * 4 : 0;
		struct echo answer;

		if ((size_t)got < skipped + sizeof(answer))
			continue;
		memcpy(&answer, packet + skipped, sizeof(answer));
		question->is_answered = answer.header.type == ICMP_ECHOREPLY &&
					memcmp(answer.token, question->echo.token,
					       sizeof(answer.token)) == 0;
	}
}

static void wait_for_answers(struct question questions[2], int timeout_ms)
{
	uint64_t now_ns = clock_now_ns(), until_ns = now_ns + (uint64_t)timeout_ms * NS_PER_MS;
	bool is_later = false;

	while (now_ns < until_ns && !questions[0].is_answered) {
		struct pollfd entries[2] = { { .fd = questions[0].fd, .events = POLLIN },
					     { .fd = questions[1].fd, .events = POLLIN } };

		if (questions[1].is_answered)
			entries[1].fd = -1;
		(void)poll(entries, 2, (int)((until_ns - now_ns) / NS_PER_MS) + 1);
		read_answers(&questions[0]);
		read_answers(&questions[1]);
		now_ns = clock_now_ns();
		if (questions[1].is_answered && !is_later) {
			is_later = true;
			until_ns = now_ns + LATER_MS * NS_PER_MS;
		}
	}
}

static int none_error(const struct address *container, const struct pool_route *route,
		      struct error *err)
{
	char text[ADDRESS_TEXT_MAX], kind[POOL_ROUTE_KIND_MAX] = "";
	const char *cause =
		"an --internal network, or one of several networks, of which another has "
		"the default route";

	(void)pool_route_interface_kind(route->interface, kind);
	if (route->is_via_gateway)
		cause = "it is behind a gateway";
	else if (strcmp(kind, "macvlan") == 0 || strcmp(kind, "ipvlan") == 0)
		cause = "a network of the kind macvlan or ipvlan";
	return error_set(
		err, -EHOSTUNREACH,
		"container %s answers to this host, but not to pseudo-IPv4 addresses, as its "
		"default route is not this host (%s): choose another identity for it",
		address_format_ip(container, text), cause);
}

enum pool_reach pool_reach_check(const struct address *container, const struct address *source,
				 int timeout_ms, struct error *err)
{
	struct question questions[2] = { { .fd = -1 }, { .fd = -1 } };
	enum pool_reach reach = POOL_REACH_UNKNOWN;
	struct pool_route route;

	if (container->family != AF_INET || pool_route_to(container, &route) < 0)
		return POOL_REACH_UNKNOWN;
	if (route.interface == if_nametoindex("lo"))
		return POOL_REACH_GOOD; /* it is this host */
	if (ask(&questions[0], container, source) && ask(&questions[1], container, NULL)) {
		wait_for_answers(questions, timeout_ms);
		if (questions[0].is_answered)
			reach = POOL_REACH_GOOD;
		else if (questions[1].is_answered)
			reach = POOL_REACH_NONE;
	}
	fd_close(&questions[0].fd);
	fd_close(&questions[1].fd);
	if (reach == POOL_REACH_NONE)
		(void)none_error(container, &route, err);
	return reach;
}
