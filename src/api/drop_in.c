/* SPDX-License-Identifier: Apache-2.0 */
#include "api/drop_in.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"

/* The last byte is the version of all that follows. */
static const char offer_magic[8] = { 'F', 'L', 'o', 'f', 'f', 'e', 'r', 1 };
static const char answer_magic[8] = { 'F', 'L', 'a', 'n', 's', 'w', 'r', 1 };

struct offer {
	char magic[8];
	uint32_t protocol;
	uint32_t unused; /* 0 */
	struct address host;
	struct address container;
	uint64_t network; /* the inode of the network namespace */
};

struct answer {
	char magic[8];
	uint32_t accepted;
	uint32_t holds;
	char reason[DROP_IN_REASON_MAX];
};

_Static_assert(sizeof(struct offer) == 72, "drop_in: an offer has no holes");

/* 0 where it cannot be told. */
static uint64_t network(void)
{
	struct stat status;

	return stat("/proc/self/ns/net", &status) < 0 ? 0 : status.st_ino;
}

/* A message of an offer and a descriptor. */
struct envelope {
	struct iovec part;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct msghdr message;
};

static void envelope_init(struct envelope *envelope, struct offer *offer)
{
	*envelope = (struct envelope){
		.part = { .iov_base = offer, .iov_len = sizeof(*offer) },
		.message = { .msg_iov = &envelope->part,
			     .msg_iovlen = 1,
			     .msg_control = envelope->control,
			     .msg_controllen = sizeof(envelope->control) },
	};
}

int drop_in_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	OWNED_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return fd_take(&fd);
}

int drop_in_offer(int fd, const struct rule *rule, int listener)
{
	struct offer offer = { .protocol = rule->protocol,
			       .host = rule->host,
			       .container = rule->container,
			       .network = network() };
	struct envelope envelope;
	struct cmsghdr *cmsg;

	memcpy(offer.magic, offer_magic, sizeof(offer.magic));
	envelope_init(&envelope, &offer);
	cmsg = CMSG_FIRSTHDR(&envelope.message);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &listener, sizeof(int));
	return sendmsg(fd, &envelope.message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int drop_in_receive_answer(int fd, struct drop_in_answer *ret)
{
	struct answer answer;
	ssize_t got = recv(fd, &answer, sizeof(answer), 0);

	if (got < 0)
		return -errno;
	if (got == 0)
		return -ECONNRESET;
	if (got != sizeof(answer) || memcmp(answer.magic, answer_magic, sizeof(answer_magic)) != 0)
		return -EBADMSG;
	ret->accepted = answer.accepted;
	ret->holds = answer.holds;
	memcpy(ret->reason, answer.reason, sizeof(ret->reason));
	ret->reason[sizeof(ret->reason) - 1] = '\0';
	return 0;
}

/*
 * The descriptor that came with the message, or -1. There is room for one only, but what alignment
 * adds to it is room, too: any others are closed.
 */
static int passed_descriptor(struct msghdr *message)
{
	int passed = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			OWNED_FD fd = -1;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (passed < 0)
				passed = fd_take(&fd);
		}
	}
	return passed;
}

static bool is_offer(const struct offer *offer, ssize_t length)
{
	return length == sizeof(*offer) &&
	       memcmp(offer->magic, offer_magic, sizeof(offer_magic)) == 0 &&
	       (offer->protocol == PROTOCOL_TCP || offer->protocol == PROTOCOL_UDP ||
		offer->protocol == PROTOCOL_SCTP) &&
	       address_is_sound(&offer->host) && address_is_sound(&offer->container);
}

int drop_in_receive_offer(int fd, struct rule *ret_rule, int *ret_listener)
{
	struct offer offer;
	struct envelope envelope;
	OWNED_FD listener = -1;
	ssize_t got;

	envelope_init(&envelope, &offer);
	got = recvmsg(fd, &envelope.message, MSG_CMSG_CLOEXEC);
	if (got < 0)
		return -errno;
	listener = passed_descriptor(&envelope.message);
	if (got == 0)
		return -ECONNRESET;
	if (listener < 0 || !is_offer(&offer, got))
		return -EBADMSG;
	if (offer.network != network())
		return -EXDEV;
	*ret_rule = (struct rule){ .protocol = (enum protocol)offer.protocol,
				   .origin = RULE_FROM_DROP_IN,
				   .host = offer.host,
				   .container = offer.container };
	*ret_listener = fd_take(&listener);
	return 0;
}

int drop_in_answer(int fd, const struct drop_in_answer *from)
{
	struct answer answer = { .accepted = from->accepted, .holds = from->holds };

	memcpy(answer.magic, answer_magic, sizeof(answer.magic));
	memcpy(answer.reason, from->reason, sizeof(answer.reason));
	return send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) < 0 ? -errno : 0;
}
