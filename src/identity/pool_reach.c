/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pool_reach.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "identity/pool_route.h"

/* How often it is asked within the timeout: an echo may be lost, or wait for ARP. */
#define ROUNDS 3

/* Which answers are ours; a socket for raw ICMP is shown those of others, too. */
#define TOKEN_BYTES 16

struct echo {
	struct icmphdr header;
	uint8_t token[TOKEN_BYTES];
};

/* Asks from one address. */
struct probe {
	int fd;
	bool is_raw; /* answers begin with their IP header; the kernel fills nothing in */
	bool is_answered;
	struct echo echo;
};

static int open_socket(bool *ret_is_raw)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);

	*ret_is_raw = fd < 0;
	if (fd >= 0)
		return fd;
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP);
	return fd < 0 ? -errno : fd;
}

/* RFC 1071. */
static uint16_t checksum(const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return htons((uint16_t)~sum);
}

static void fill_echo(struct echo *echo)
{
	*echo = (struct echo){ .header = { .type = ICMP_ECHO } };
	(void)!getrandom(echo->token, sizeof(echo->token), 0);
	memcpy(&echo->header.un.echo.id, echo->token, sizeof(echo->header.un.echo.id));
	echo->header.checksum = checksum(echo, sizeof(*echo));
}

static int connect_from(int fd, const struct address *source, const struct address *to)
{
	struct sockaddr_storage storage;
	socklen_t length;

	if (source) {
		length = address_to_sockaddr(source, AF_INET, &storage);
		if (bind(fd, (struct sockaddr *)&storage, length) < 0)
			return -errno;
	}
	length = address_to_sockaddr(to, AF_INET, &storage);
	return connect(fd, (struct sockaddr *)&storage, length) < 0 ? -errno : 0;
}

/* Without a source, from what this host takes for that container. */
static int probe_open(struct probe *probe, const struct address *source,
		      const struct address *container)
{
	struct address to = *container;
	int r;

	to.port = 0;
	*probe = (struct probe){ .is_answered = false };
	probe->fd = open_socket(&probe->is_raw);
	if (probe->fd < 0)
		return probe->fd;
	fill_echo(&probe->echo);
	r = connect_from(probe->fd, source, &to);
	if (r < 0)
		fd_close(&probe->fd);
	return r;
}

static bool is_answer(const struct probe *probe, const uint8_t *data, size_t bytes)
{
	size_t skipped = probe->is_raw && bytes > 0 ? (data[0] & 0x0fu) * 4 : 0;
	struct echo echo;

	if (bytes < skipped + sizeof(echo))
		return false;
	memcpy(&echo, data + skipped, sizeof(echo));
	return echo.header.type == ICMP_ECHOREPLY &&
	       memcmp(echo.token, probe->echo.token, sizeof(echo.token)) == 0;
}

static void probe_receive(struct probe *probe)
{
	uint8_t data[256];
	ssize_t n;

	/* errors, as that of a host which is not there, are no answer */
	while ((n = recv(probe->fd, data, sizeof(data), 0)) >= 0)
		if (is_answer(probe, data, (size_t)n))
			probe->is_answered = true;
}

static void ask(struct probe probes[2])
{
	for (int i = 0; i < 2; i++)
		if (!probes[i].is_answered)
			(void)send(probes[i].fd, &probes[i].echo, sizeof(probes[i].echo), 0);
}

/* Returns true once both are answered. */
static bool wait_until(struct probe probes[2], uint64_t end_ns)
{
	uint64_t now_ns = clock_now_ns();

	while (now_ns < end_ns && !(probes[0].is_answered && probes[1].is_answered)) {
		struct pollfd entries[2];

		for (int i = 0; i < 2; i++)
			entries[i] = (struct pollfd){ probes[i].is_answered ? -1 : probes[i].fd,
						      POLLIN, 0 };
		(void)poll(entries, 2, (int)((end_ns - now_ns) / NS_PER_MS) + 1);
		for (int i = 0; i < 2; i++)
			if (entries[i].revents)
				probe_receive(&probes[i]);
		now_ns = clock_now_ns();
	}
	return probes[0].is_answered && probes[1].is_answered;
}

static enum pool_reach ask_both(const struct address *container, const struct address *source,
				int timeout_ms)
{
	struct probe probes[2];
	uint64_t start_ns = clock_now_ns(), all_ns = (uint64_t)timeout_ms * NS_PER_MS;
	bool is_done = false;

	if (probe_open(&probes[0], NULL, container) < 0)
		return POOL_REACH_UNKNOWN;
	if (probe_open(&probes[1], source, container) < 0) {
		fd_close(&probes[0].fd);
		return POOL_REACH_UNKNOWN;
	}
	for (unsigned int i = 1; i <= ROUNDS && !is_done; i++) {
		ask(probes);
		is_done = wait_until(probes, start_ns + all_ns * i / ROUNDS);
	}
	fd_close(&probes[0].fd);
	fd_close(&probes[1].fd);
	if (probes[1].is_answered)
		return POOL_REACH_GOOD;
	return probes[0].is_answered ? POOL_REACH_NONE : POOL_REACH_UNKNOWN;
}

/* What is the cause in all likelihood. */
static int explain(const struct address *container, const struct pool_way *way, struct error *err)
{
	static const char said[] = "answers this host, but not pseudo-IPv4 addresses";
	char ip[ADDRESS_TEXT_MAX], gateway[ADDRESS_TEXT_MAX];

	address_format_ip(container, ip);
	if (way->gateway.family == AF_INET)
		return error_set(
			err, -EHOSTUNREACH,
			"%s %s: it is behind the gateway %s, which does not lead them here", ip,
			said, address_format_ip(&way->gateway, gateway));
	if (strcmp(way->kind, "macvlan") == 0 || strcmp(way->kind, "ipvlan") == 0)
		return error_set(err, -EHOSTUNREACH,
				 "%s %s: it is on a %s network (%s), where this host is not its "
				 "default route",
				 ip, said, way->kind, way->device);
	return error_set(err, -EHOSTUNREACH,
			 "%s %s: its default route is not this host (an --internal, macvlan or "
			 "ipvlan network, or another network of its that has the default route)",
			 ip, said);
}

enum pool_reach pool_reach_check(const struct address *container, const struct address *source,
				 int timeout_ms, struct error *err)
{
	struct pool_way way;
	enum pool_reach reach;

	if (container->family != AF_INET || pool_route_find_way(container, &way) < 0)
		return POOL_REACH_UNKNOWN;
	if (way.is_local)
		return POOL_REACH_GOOD;
	reach = ask_both(container, source, timeout_ms);
	if (reach == POOL_REACH_NONE)
		(void)explain(container, &way, err);
	return reach;
}
