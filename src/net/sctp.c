/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sctp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/sctp.h> /* relies on those above */

#define STREAMS_MAX 0xffff

void sctp_set_streams(int fd)
{
	struct sctp_initmsg init = { .sinit_num_ostreams = STREAMS_MAX };

	(void)setsockopt(fd, IPPROTO_SCTP, SCTP_INITMSG, &init, sizeof(init));
}

/* The kernel refuses messages that are larger than the send buffer (EMSGSIZE). */
static void make_room_to_send(int fd)
{
	int bytes = 0;
	socklen_t length = sizeof(bytes);

	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &length) < 0 ||
	    bytes >= SCTP_MESSAGE_BYTES_MAX)
		return;
	bytes = SCTP_MESSAGE_BYTES_MAX / 2; /* which the kernel doubles: socket(7) */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

void sctp_tune(int fd)
{
	struct sctp_event ends = { .se_type = SCTP_ASSOC_CHANGE, .se_on = 1 };
	int on = 1;

	(void)setsockopt(fd, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_SCTP, SCTP_EVENT, &ends, sizeof(ends));
	make_room_to_send(fd);
}

/*
 * A socket that has shut its own side down learns only by a notification that the peer agreed:
 * recv goes on to say EAGAIN. The same holds for a lost association once its error has been told
 * to somebody else, a send for instance.
 */
static ssize_t notified(const void *bytes, size_t length)
{
	struct sctp_assoc_change change;

	if (length < sizeof(change))
		return -EAGAIN;
	memcpy(&change, bytes, sizeof(change));
	if (change.sac_type != SCTP_ASSOC_CHANGE)
		return -EAGAIN;
	switch (change.sac_state) {
	case SCTP_SHUTDOWN_COMP:
		return 0;
	case SCTP_COMM_LOST:
		return -ECONNRESET;
	default:
		return -EAGAIN;
	}
}

static void take_attributes(struct msghdr *message, struct sctp_attributes *ret)
{
	struct sctp_rcvinfo info;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != IPPROTO_SCTP || c->cmsg_type != SCTP_RCVINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		ret->stream = info.rcv_sid;
		ret->unordered = info.rcv_flags & SCTP_UNORDERED;
		ret->ppid = info.rcv_ppid;
	}
}

ssize_t sctp_receive(int fd, void *bytes, size_t room, struct sctp_attributes *ret_attributes,
		     bool *ret_complete)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(struct sctp_rcvinfo))];
	} control;
	struct iovec part = { .iov_base = bytes, .iov_len = room };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t got;

	do {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		message.msg_flags = 0;
		got = recvmsg(fd, &message, MSG_DONTWAIT);
		if (got < 0)
			got = -errno;
		else if (message.msg_flags & MSG_NOTIFICATION)
			got = notified(bytes, (size_t)got);
		else
			break;
	} while (got == -EINTR || (got == -EAGAIN && message.msg_flags & MSG_NOTIFICATION));

	if (got > 0) {
		take_attributes(&message, ret_attributes);
		*ret_complete = message.msg_flags & MSG_EOR;
	}
	return got;
}

int sctp_send(int fd, const void *bytes, size_t length, const struct sctp_attributes *attributes)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(struct sctp_sndinfo))];
	} control;
	struct sctp_sndinfo sndinfo = {
		.snd_sid = attributes->stream,
		.snd_flags = attributes->unordered ? SCTP_UNORDERED : 0,
		.snd_ppid = attributes->ppid,
	};
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = length };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	ssize_t sent;

	memset(&control, 0, sizeof(control));
	c->cmsg_level = IPPROTO_SCTP;
	c->cmsg_type = SCTP_SNDINFO;
	c->cmsg_len = CMSG_LEN(sizeof(sndinfo));
	memcpy(CMSG_DATA(c), &sndinfo, sizeof(sndinfo));
	do
		sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}
