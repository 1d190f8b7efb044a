/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes to the drop-ins' socket. The first byte says how many descriptors come along, and with
 * its highest bit that the message ends in what no corpus can have, this network namespace; the rest
 * is the message. An offer that is taken is sound, and has a socket; nothing stays open of others.
 */
#include "api/drop_in.h"

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define DESCRIPTORS_MAX 3

static void send_message(int fd, const uint8_t *data, size_t length, unsigned int descriptors)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)data, .iov_len = length };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int passed[DESCRIPTORS_MAX] = { 1, 1, 1 };

	if (descriptors > 0) {
		struct cmsghdr *header = &control.align;

		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
		memcpy(CMSG_DATA(header), passed, descriptors * sizeof(int));
	}
	assert(sendmsg(fd, &message, 0) == (ssize_t)length);
}

static void put_network(uint8_t *message, size_t length)
{
	struct stat status;
	uint64_t network;

	assert(stat("/proc/self/ns/net", &status) == 0);
	network = status.st_ino;
	if (length >= sizeof(network))
		memcpy(message + length - sizeof(network), &network, sizeof(network));
}

static unsigned int open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert(folder);
	while (readdir(folder))
		count++;
	(void)closedir(folder);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	unsigned int descriptors, before;
	int pair[2], listener = -1, r;
	uint8_t message[4096];
	struct rule rule;

	if (length < 1 || length > 4096)
		return 0;
	descriptors = data[0] % (DESCRIPTORS_MAX + 1);
	memcpy(message, data + 1, length - 1);
	if (data[0] & 0x80)
		put_network(message, length - 1);
	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0);
	send_message(pair[0], message, length - 1, descriptors);
	before = open_descriptors();
	r = drop_in_receive_offer(pair[1], &rule, &listener);
	if (r == 0) {
		assert(descriptors > 0 && listener >= 0);
		assert(address_is_sound(&rule.host) && address_is_sound(&rule.container));
		assert(rule.origin == RULE_FROM_DROP_IN && rule.name[0] == '\0');
		(void)close(listener);
	} else {
		assert(r == -EBADMSG || r == -ECONNRESET || r == -EXDEV);
	}
	assert(open_descriptors() == before);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return 0;
}
