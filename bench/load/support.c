/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* How long a blocking client waits for one answer. */
#define ANSWER_LIMIT_S 10

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

void refuse(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}

void *allocate(size_t count, size_t size)
{
	void *made = calloc(count, size);

	if (!made)
		fail("calloc");
	return made;
}

static socklen_t read_address(const char *text, long port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		return sizeof(*in6);
	}
	refuse("an address is no IP address");
}

int open_socket(const struct options *options, int kind, struct sockaddr_storage *address,
		socklen_t *length)
{
	int fd;

	*length = read_address(options->address, options->port, address);
	fd = socket(address->ss_family, kind | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("socket");
	return fd;
}

int connect_to(const struct options *options, int kind)
{
	const struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };
	struct sockaddr_storage address, source;
	socklen_t length, source_length;
	int fd = open_socket(options, kind, &address, &length);

	if (kind == SOCK_STREAM) {
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	}
	if (options->source) {
		source_length = read_address(options->source, options->source_port, &source);
		if (bind(fd, (struct sockaddr *)&source, source_length) != 0)
			fail("bind");
	}
	if (connect(fd, (struct sockaddr *)&address, length) != 0)
		fail("connect");
	return fd;
}

void set_option(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) != 0)
		fail("setsockopt");
}

void set_nonblocking(int fd)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		fail("fcntl");
}

void send_whole(int fd, const void *data, size_t bytes)
{
	if (send(fd, data, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
		fail("send");
}

void receive_whole(int fd, void *data, size_t bytes)
{
	ssize_t got = recv(fd, data, bytes, MSG_WAITALL);

	if (got == (ssize_t)bytes)
		return;
	if (got < 0)
		fail("recv");
	refuse("the connection ended before the answer");
}

void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		fail("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		fail("setrlimit");
}

void hold(void)
{
	char byte;

	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}
