/* SPDX-License-Identifier: Apache-2.0 */
#include "net/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* linux/udp.h, for libcs that lack them */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* Room for PKTINFO of both families and one UDP_SEGMENT or UDP_GRO. */
struct control {
	_Alignas(struct cmsghdr) unsigned char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
						     CMSG_SPACE(sizeof(struct in_pktinfo)) +
						     CMSG_SPACE(sizeof(int))];
};

void datagram_want_local_address(int fd, int family)
{
	int on = 1;

	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	else
		(void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
}

void datagram_want_gro(int fd, bool wanted)
{
	int on = wanted;

	(void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
}

/*
 * recvmmsg and sendmmsg are called directly: musl's sendmmsg is a loop around sendmsg, since POSIX
 * gives msg_iovlen and msg_controllen other widths than the kernel. On little-endian machines
 * zeroed padding makes them the same.
 */
static int receive_messages(int fd, struct mmsghdr *messages, unsigned int count)
{
	return (int)syscall(SYS_recvmmsg, fd, messages, count, MSG_DONTWAIT, NULL);
}

static int send_messages(int fd, struct mmsghdr *messages, unsigned int count)
{
	return (int)syscall(SYS_sendmmsg, fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void read_pktinfo(const struct cmsghdr *cmsg, struct address *local)
{
	struct in6_pktinfo info6;
	struct in_pktinfo info4;
	struct sockaddr_storage storage;

	memset(&storage, 0, sizeof(storage));
	if (cmsg->cmsg_level == IPPROTO_IPV6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;

		memcpy(&info6, CMSG_DATA(cmsg), sizeof(info6));
		in6->sin6_family = AF_INET6;
		in6->sin6_addr = info6.ipi6_addr;
		in6->sin6_scope_id = info6.ipi6_ifindex;
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&storage;

		memcpy(&info4, CMSG_DATA(cmsg), sizeof(info4));
		in->sin_family = AF_INET;
		in->sin_addr = info4.ipi_spec_dst; /* for a broadcast, the address to answer from */
	}
	address_from_sockaddr(&storage, local);
	if (address_is_multicast(local)) /* no source address can be multicast */
		memset(local, 0, sizeof(*local));
}

static void read_control(struct msghdr *header, struct datagram *datagram)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO) {
			read_pktinfo(cmsg, &datagram->local);
		} else if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_PKTINFO) {
			read_pktinfo(cmsg, &datagram->local);
		} else if (cmsg->cmsg_level == IPPROTO_UDP && cmsg->cmsg_type == UDP_GRO) {
			int segment_bytes;

			memcpy(&segment_bytes, CMSG_DATA(cmsg), sizeof(segment_bytes));
			if (segment_bytes > 0 && (uint32_t)segment_bytes < datagram->length)
				datagram->segment_bytes = (uint16_t)segment_bytes;
		}
	}
}

int datagram_receive(int fd, struct datagram_batch *batch, uint32_t most)
{
	struct mmsghdr messages[DATAGRAM_BATCH];
	struct iovec parts[DATAGRAM_BATCH];
	struct sockaddr_storage peers[DATAGRAM_BATCH];
	struct control controls[DATAGRAM_BATCH];
	uint32_t first = batch->count, room = DATAGRAM_BATCH - first;
	int received;

	if (most > room)
		most = room;
	memset(messages, 0, sizeof(messages[0]) * most);
	for (uint32_t i = 0; i < most; i++) {
		struct msghdr *header = &messages[i].msg_hdr;

		parts[i] = (struct iovec){ .iov_base = batch->buffers[first + i],
					   .iov_len = DATAGRAM_BYTES_MAX };
		header->msg_iov = &parts[i];
		header->msg_iovlen = 1;
		header->msg_name = &peers[i];
		header->msg_namelen = sizeof(peers[i]);
		header->msg_control = &controls[i];
		header->msg_controllen = sizeof(controls[i]);
		peers[i].ss_family = AF_UNSPEC;
	}
	received = receive_messages(fd, messages, most);
	if (received < 0)
		return -errno;
	for (int i = 0; i < received; i++) {
		struct datagram *datagram = &batch->datagrams[batch->count];

		memset(datagram, 0, sizeof(*datagram));
		datagram->bytes = batch->buffers[batch->count++];
		datagram->length = messages[i].msg_len;
		address_from_sockaddr(&peers[i], &datagram->peer);
		read_control(&messages[i].msg_hdr, datagram);
	}
	return received;
}

uint32_t datagram_discard(int fd, uint32_t most)
{
	uint32_t count = 0;

	while (count < most && (recv(fd, NULL, 0, MSG_DONTWAIT) >= 0 || errno == ECONNREFUSED))
		count++;
	return count;
}

static void *add_control(struct msghdr *header, int level, int type, size_t length)
{
	struct cmsghdr *cmsg = (void *)((unsigned char *)header->msg_control +
					header->msg_controllen);

	memset(cmsg, 0, CMSG_SPACE(length));
	cmsg->cmsg_level = level;
	cmsg->cmsg_type = type;
	cmsg->cmsg_len = (socklen_t)CMSG_LEN(length);
	header->msg_controllen += (socklen_t)CMSG_SPACE(length);
	return CMSG_DATA(cmsg);
}

static void add_source(struct msghdr *header, int family, const struct address *local)
{
	struct sockaddr_storage storage;

	address_to_sockaddr(local, family, &storage);
	if (family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&storage;
		struct in6_pktinfo info = { .ipi6_addr = in6->sin6_addr,
					    .ipi6_ifindex = local->scope };

		memcpy(add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(info)), &info,
		       sizeof(info));
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&storage;
		struct in_pktinfo info = { .ipi_spec_dst = in->sin_addr };

		memcpy(add_control(header, IPPROTO_IP, IP_PKTINFO, sizeof(info)), &info,
		       sizeof(info));
	}
}

/*
 * The datagrams of one message: more than one where they can leave together (UDP_SEGMENT), which
 * then pass the whole stack as one packet, and are parted as late as can be.
 */
struct outgoing {
	uint32_t count;
	uint32_t firsts[DATAGRAM_BATCH + 1]; /* of each message, and where the last one ends */
	struct mmsghdr messages[DATAGRAM_BATCH];
	uint32_t parts_count;
	struct iovec parts[2 * DATAGRAM_BATCH]; /* each perhaps with a head */
	struct sockaddr_storage peers[DATAGRAM_BATCH];
	struct control controls[DATAGRAM_BATCH];
};

/*
 * What is longer does not fit an Ethernet frame, and the kernel makes segments of whole packets
 * only. A route with a smaller MTU is found out: the message is refused.
 */
#define JOINED_BYTES_MAX 1472

static uint32_t whole_length(const struct datagram *datagram)
{
	return datagram->head_bytes + datagram->length;
}

static bool can_leave_together(const struct datagram *first, const struct datagram *next)
{
	return next->segment_bytes == 0 && next->length > 0 &&
	       whole_length(next) <= whole_length(first) &&
	       address_equal(&first->peer, &next->peer) &&
	       address_equal(&first->local, &next->local);
}

/*
 * How many, from the first on, can be one message. All have the length of the first, but for the
 * last, which may be shorter.
 */
static uint32_t count_joined(const struct datagram *datagrams, uint32_t count)
{
	const struct datagram *first = &datagrams[0];
	uint32_t length = whole_length(first), bytes = length, joined = 1;

	if (first->segment_bytes != 0 || first->length == 0 || length > JOINED_BYTES_MAX)
		return 1;
	while (joined < count && can_leave_together(first, &datagrams[joined]) &&
	       bytes + whole_length(&datagrams[joined]) <= DATAGRAM_IPV4_PAYLOAD_MAX) {
		bytes += whole_length(&datagrams[joined]);
		if (whole_length(&datagrams[joined++]) < length)
			break;
	}
	return joined;
}

/* Returns how many there are. */
static uint32_t add_parts(struct outgoing *out, const struct datagram *datagram)
{
	uint32_t before = out->parts_count;

	if (datagram->head_bytes > 0)
		out->parts[out->parts_count++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)datagram->head,
			.iov_len = datagram->head_bytes,
		};
	out->parts[out->parts_count++] = (struct iovec){ .iov_base = datagram->bytes,
							 .iov_len = datagram->length };
	return out->parts_count - before;
}

static void add_message(struct outgoing *out, int family, const struct datagram *datagrams,
			uint32_t joined)
{
	const struct datagram *first = &datagrams[out->firsts[out->count]];
	struct msghdr *header = &out->messages[out->count].msg_hdr;
	uint16_t segment_bytes = joined > 1 ? (uint16_t)whole_length(first) : first->segment_bytes;

	header->msg_iov = &out->parts[out->parts_count];
	for (uint32_t i = 0; i < joined; i++)
		header->msg_iovlen += add_parts(out, &first[i]);
	header->msg_control = &out->controls[out->count];
	if (first->peer.family != AF_UNSPEC) {
		header->msg_name = &out->peers[out->count];
		header->msg_namelen = address_to_sockaddr(&first->peer, family,
							  &out->peers[out->count]);
	}
	if (first->local.family != AF_UNSPEC)
		add_source(header, family, &first->local);
	if (joined > 1 || datagram_segments(first) > 1)
		memcpy(add_control(header, IPPROTO_UDP, UDP_SEGMENT, sizeof(segment_bytes)),
		       &segment_bytes, sizeof(segment_bytes));
	if (header->msg_controllen == 0)
		header->msg_control = NULL;
	out->firsts[out->count + 1] = out->firsts[out->count] + joined;
	out->count++;
}

static void fill_outgoing(struct outgoing *out, int family, const struct datagram *datagrams,
			  uint32_t count, bool join)
{
	memset(out->messages, 0, sizeof(out->messages[0]) * count);
	out->count = 0;
	out->parts_count = 0;
	out->firsts[0] = 0;
	while (out->firsts[out->count] < count) {
		uint32_t first = out->firsts[out->count];

		add_message(out, family, datagrams,
			    join ? count_joined(datagrams + first, count - first) : 1);
	}
}

uint32_t datagram_part(const struct datagram *datagram, uint32_t *offset,
		       struct datagram parts[DATAGRAM_BATCH])
{
	uint32_t count = 0;

	for (; *offset < datagram->length && count < DATAGRAM_BATCH;
	     *offset += datagram->segment_bytes) {
		struct datagram *part = &parts[count++];

		*part = *datagram;
		part->bytes = datagram->bytes + *offset;
		part->length = datagram->length - *offset;
		if (part->length > datagram->segment_bytes)
			part->length = datagram->segment_bytes;
		part->segment_bytes = 0;
	}
	return count;
}

static bool is_old_news(int error)
{
	/*
	 * What the kernel reports of an earlier datagram (sk_err, set by ICMP) instead of sending
	 * this one. Some of them may also be about this one: then they come again.
	 */
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
	       error == EHOSTDOWN || error == ENOPROTOOPT || error == EPROTO ||
	       error == EOPNOTSUPP || error == ENONET || error == EACCES || error == EMSGSIZE;
}

/*
 * Whether the kernel will not make segments of the message: they are longer than the path's MTU,
 * say, or the route is one of IPsec.
 */
static bool is_unsegmentable(int error)
{
	return error == EINVAL || error == EMSGSIZE || error == EIO;
}

static void send_batch(int fd, int family, const struct datagram *datagrams, uint32_t count,
		       bool join, struct datagram_sent *ret);

/* The datagrams of one buffer, one by one. */
static void send_segments(int fd, int family, const struct datagram *datagram,
			  struct datagram_sent *ret)
{
	struct datagram parts[DATAGRAM_BATCH];
	uint32_t offset = 0, count;

	while ((count = datagram_part(datagram, &offset, parts)) > 0)
		send_batch(fd, family, parts, count, false, ret);
}

static void count_sent(const struct datagram *datagrams, uint32_t count, struct datagram_sent *ret)
{
	for (uint32_t i = 0; i < count; i++) {
		ret->sent += datagram_segments(&datagrams[i]);
		ret->sent_bytes += datagrams[i].length;
	}
}

/* The message could not be sent; its datagrams perhaps can. */
static void message_failed(int fd, int family, const struct datagram *datagrams, uint32_t joined,
			   int error, struct datagram_sent *ret)
{
	if (joined > 1 && is_unsegmentable(error)) {
		send_batch(fd, family, datagrams, joined, false, ret);
	} else if (datagram_segments(datagrams) > 1 && is_unsegmentable(error)) {
		send_segments(fd, family, datagrams, ret);
	} else {
		for (uint32_t i = 0; i < joined; i++)
			ret->dropped += datagram_segments(&datagrams[i]);
		ret->last_error = error;
	}
}

static void send_batch(int fd, int family, const struct datagram *datagrams, uint32_t count,
		       bool join, struct datagram_sent *ret)
{
	struct outgoing out;
	uint32_t next = 0;
	bool retried = false;

	fill_outgoing(&out, family, datagrams, count, join);
	while (next < out.count) {
		int sent = send_messages(fd, &out.messages[next], out.count - next);
		int error = errno;
		uint32_t first = out.firsts[next];

		if (sent > 0) {
			next += (uint32_t)sent;
			ret->refused += retried;
			count_sent(datagrams + first, out.firsts[next] - first, ret);
			retried = false;
		} else if (is_old_news(error) && !retried) {
			retried = true;
		} else {
			next++;
			message_failed(fd, family, datagrams + first, out.firsts[next] - first,
				       error, ret);
			retried = false;
		}
	}
}

void datagram_send(int fd, int family, const struct datagram *datagrams, uint32_t count,
		   struct datagram_sent *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (uint32_t done = 0; done < count; done += DATAGRAM_BATCH)
		send_batch(fd, family, datagrams + done,
			   count - done < DATAGRAM_BATCH ? count - done : DATAGRAM_BATCH, true,
			   ret);
}
