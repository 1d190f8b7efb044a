/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sctp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Fewer are taken in than are asked for, so that some of a client can be too many for a backend. */
#define STREAMS_OUT 200
#define STREAMS_IN 64

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("# ");
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
	fflush(stdout);
	_exit(1);
}

static socklen_t parse(const char *host, uint16_t port, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, host, &ret->in.sin_addr) == 1) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(port);
		return sizeof(ret->in);
	}
	if (inet_pton(AF_INET6, host, &ret->in6.sin6_addr) != 1)
		fail("%s is no address", host);
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons(port);
	return sizeof(ret->in6);
}

static int sctp_socket(int family)
{
	struct sctp_initmsg streams = { .sinit_num_ostreams = STREAMS_OUT,
					.sinit_max_instreams = STREAMS_IN };
	int on = 1, send_bytes = MESSAGE_BYTES_MAX;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);

	if (fd < 0)
		fail("socket: %s", strerror(errno));
	if (setsockopt(fd, IPPROTO_SCTP, SCTP_INITMSG, &streams, sizeof(streams)) < 0 ||
	    /* a message must fit the send buffer: else EMSGSIZE */
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_bytes, sizeof(send_bytes)) < 0 ||
	    setsockopt(fd, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on)) < 0)
		fail("setsockopt: %s", strerror(errno));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	return fd;
}

int sctp_listen(const char *host, uint16_t port)
{
	union address address;
	socklen_t length = parse(host, port, &address);
	int fd = sctp_socket(address.any.sa_family);

	if (bind(fd, &address.any, length) < 0 || listen(fd, 128) < 0)
		fail("listen on %s port %u: %s", host, port, strerror(errno));
	return fd;
}

uint16_t sctp_port(int fd)
{
	union address address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, &address.any, &length) < 0)
		fail("getsockname: %s", strerror(errno));
	return ntohs(address.in.sin_port);
}

int sctp_try_connect(const char *host, uint16_t port)
{
	union address address;
	socklen_t length = parse(host, port, &address);
	int fd = sctp_socket(address.any.sa_family);

	if (connect(fd, &address.any, length) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

int sctp_connect(const char *host, uint16_t port)
{
	int fd = sctp_try_connect(host, port);

	if (fd < 0)
		fail("connect to %s port %u: %s", host, port, strerror(-fd));
	return fd;
}

int sctp_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		fail("accept: %s", strerror(errno));
	return fd;
}

void sctp_abort(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) < 0 || close(fd) < 0)
		fail("abort: %s", strerror(errno));
}

void message_fill(uint8_t *bytes, size_t length, uint32_t seed)
{
	uint32_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < length; i++) {
		state = state * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(state >> 24);
	}
}

int message_send_again(int fd, const struct message *message)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct sctp_sndinfo))];
	} control;
	struct sctp_sndinfo info = {
		.snd_sid = message->stream,
		.snd_flags = message->unordered ? SCTP_UNORDERED : 0,
		.snd_ppid = message->ppid,
	};
	struct iovec part = { .iov_base = message->bytes, .iov_len = message->length };
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);
	ssize_t sent;

	memset(&control, 0, sizeof(control));
	c->cmsg_level = IPPROTO_SCTP;
	c->cmsg_type = SCTP_SNDINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	sent = sendmsg(fd, &header, MSG_NOSIGNAL);
	if (sent < 0)
		return errno;
	if ((size_t)sent != message->length)
		fail("sent %zd bytes of a message of %zu", sent, message->length);
	return 0;
}

void message_send(int fd, uint16_t stream, uint32_t ppid, bool unordered, size_t length,
		  uint32_t seed)
{
	static uint8_t bytes[MESSAGE_BYTES_MAX];
	struct message message = { .stream = stream,
				   .ppid = ppid,
				   .unordered = unordered,
				   .length = length,
				   .bytes = bytes };
	int error;

	message_fill(bytes, length, seed);
	error = message_send_again(fd, &message);
	if (error)
		fail("send of %zu bytes on stream %u: %s", length, stream, strerror(error));
}

static void take_info(struct msghdr *header, struct message *ret)
{
	struct sctp_rcvinfo info;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != IPPROTO_SCTP || c->cmsg_type != SCTP_RCVINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		ret->stream = info.rcv_sid;
		ret->ppid = info.rcv_ppid;
		ret->unordered = info.rcv_flags & SCTP_UNORDERED;
	}
}

bool message_receive(int fd, struct message *ret, enum ending *ret_ending)
{
	static uint8_t bytes[MESSAGE_BYTES_MAX];
	char control[256];
	size_t length = 0;

	for (;;) {
		struct iovec part = { .iov_base = bytes + length,
				      .iov_len = sizeof(bytes) - length };
		struct msghdr header = {
			.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t got = recvmsg(fd, &header, 0);

		if (got <= 0) {
			if (length > 0)
				fail("the association ended within a message");
			if (got < 0 && errno != ECONNRESET)
				fail("receive: %s", strerror(errno));
			*ret_ending = got < 0 ? ENDED_BY_RESET : ENDED_IN_ORDER;
			return false;
		}
		length += (size_t)got;
		take_info(&header, ret);
		if (header.msg_flags & MSG_EOR)
			break;
		if (length == sizeof(bytes))
			fail("a message is longer than %d bytes", MESSAGE_BYTES_MAX);
	}
	ret->bytes = bytes;
	ret->length = length;
	return true;
}

void message_expect(const struct message *message, uint16_t stream, uint32_t ppid, bool unordered,
		    size_t length, uint32_t seed)
{
	static uint8_t wanted[MESSAGE_BYTES_MAX];

	if (message->length != length)
		fail("a message of %zu bytes came as one of %zu", length, message->length);
	if (message->stream != stream || message->ppid != ppid || message->unordered != unordered)
		fail("stream %u PPID %#x unordered %d came as stream %u PPID %#x unordered %d",
		     stream, ppid, unordered, message->stream, message->ppid, message->unordered);
	message_fill(wanted, length, seed);
	if (memcmp(message->bytes, wanted, length) != 0)
		fail("a message of %zu bytes has other content", length);
}
