/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams over real sockets on the loopback interface. */
#include "support.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "net/datagram.h"
#include "net/socket.h"

static struct datagram_batch in;
static uint8_t bytes[128 * 1024];
static int server, client;
static struct address server_address, client_address;

static void open_pair(const char *server_ip, const char *client_ip)
{
	server = listen_on(PROTOCOL_UDP, server_ip, &server_address);
	client = listen_on(PROTOCOL_UDP, client_ip, &client_address);
}

static int setup_ipv4(void **state)
{
	(void)state;
	open_pair("127.0.0.1", "127.0.0.1");
	return 0;
}

/* Bound to all addresses, as published ports mostly are. */
static int setup_any_ipv4(void **state)
{
	(void)state;
	open_pair("0.0.0.0", "127.0.0.1");
	server_address = address_of("127.0.0.2", server_address.port);
	return 0;
}

static int setup_any_ipv6(void **state)
{
	(void)state;
	open_pair("::", "::1");
	server_address = address_of("::1", server_address.port);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(server);
	close(client);
	return 0;
}

static struct datagram datagram_to(const struct address *peer, uint32_t length)
{
	return (struct datagram){ .peer = *peer, .bytes = bytes, .length = length };
}

static struct datagram_sent send_one(int fd, const struct datagram *datagram)
{
	struct datagram_sent sent;

	datagram_send(fd, datagram->peer.family, datagram, 1, &sent);
	return sent;
}

/* Receives one message, which must come. */
static const struct datagram *receive_one(int fd)
{
	assert_true(wait_for(fd, POLLIN, COMES_MS));
	in.count = 0;
	assert_int_equal(datagram_receive(fd, &in, 1), 1);
	assert_int_equal(in.count, 1);
	return &in.datagrams[0];
}

static void fill_pattern(void)
{
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
}

/* The address that was sent to is told, and an answer leaves from it. */
static void local_address_is_told_and_used(void **state)
{
	struct datagram question = datagram_to(&server_address, 8), answer;
	const struct datagram *got;

	(void)state;
	send_one(client, &question);
	got = receive_one(server);
	assert_true(address_equal(&got->peer, &client_address));
	assert_int_equal(got->local.family, server_address.family);
	assert_memory_equal(got->local.ip, server_address.ip, 16);

	answer = datagram_to(&got->peer, 3);
	answer.local = got->local;
	assert_int_equal(send_one(server, &answer).sent, 1);
	got = receive_one(client);
	assert_true(address_equal(&got->peer, &server_address));
	assert_int_equal(got->length, 3);
}

static void empty_datagrams_cross(void **state)
{
	struct datagram empty = datagram_to(&server_address, 0);
	struct datagram_sent sent = send_one(client, &empty);

	(void)state;
	assert_int_equal(sent.sent, 1);
	assert_int_equal(sent.dropped, 0);
	assert_int_equal(receive_one(server)->length, 0);
	assert_int_equal(datagram_segments(&in.datagrams[0]), 1);
}

static void nothing_there_is_eagain(void **state)
{
	(void)state;
	in.count = 7;
	assert_int_equal(datagram_receive(server, &in, DATAGRAM_BATCH), -EAGAIN);
	assert_int_equal(in.count, 7);
}

/* A batch can take the datagrams of several sockets, until it is full. */
static void further_datagrams_come_behind(void **state)
{
	struct datagram datagram = datagram_to(&server_address, 0);

	(void)state;
	fill_pattern();
	for (datagram.length = 1; datagram.length <= 4; datagram.length++)
		send_one(client, &datagram);
	receive_one(server);
	assert_int_equal(datagram_receive(server, &in, 2), 2);
	assert_int_equal(in.count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(in.datagrams[i].length, i + 1);
		assert_memory_equal(in.datagrams[i].bytes, bytes, i + 1);
	}
	in.count = DATAGRAM_BATCH - 1;
	assert_int_equal(datagram_receive(server, &in, DATAGRAM_BATCH), 1);
	assert_int_equal(in.count, DATAGRAM_BATCH);
}

static void discarded_datagrams_are_gone(void **state)
{
	struct datagram datagram = datagram_to(&server_address, 0);

	(void)state;
	for (datagram.length = 0; datagram.length < 5; datagram.length++)
		send_one(client, &datagram);
	assert_int_equal(datagram_discard(server, 3), 3);
	assert_int_equal(receive_one(server)->length, 3);
	assert_int_equal(datagram_discard(server, 3), 1);
	assert_int_equal(datagram_discard(server, 3), 0);
}

static void batch_keeps_order_and_lengths(void **state)
{
	enum { COUNT = 70 }; /* more than two batches */
	struct datagram many[COUNT];
	struct datagram_sent sent;
	uint32_t next = 0;

	(void)state;
	fill_pattern();
	for (uint32_t i = 0; i < COUNT; i++) {
		many[i] = datagram_to(&server_address, i + 1);
		many[i].bytes = bytes + i;
	}
	datagram_send(client, AF_INET, many, COUNT, &sent);
	assert_int_equal(sent.sent, COUNT);
	assert_true(sent.sent_bytes == COUNT * (COUNT + 1) / 2);
	while (next < COUNT) {
		assert_true(wait_for(server, POLLIN, COMES_MS));
		in.count = 0;
		assert_true(datagram_receive(server, &in, 1000) >
			    0); /* taken for the batch's most */
		assert_true(in.count <= DATAGRAM_BATCH);
		for (uint32_t i = 0; i < in.count; i++, next++) {
			assert_int_equal(in.datagrams[i].length, next + 1);
			assert_memory_equal(in.datagrams[i].bytes, bytes + next, next + 1);
		}
	}
}

static void longest_datagram_crosses_whole(void **state)
{
	struct datagram longest = datagram_to(&server_address, DATAGRAM_IPV4_PAYLOAD_MAX);

	(void)state;
	fill_pattern();
	assert_int_equal(send_one(client, &longest).sent, 1);
	assert_int_equal(receive_one(server)->length, DATAGRAM_IPV4_PAYLOAD_MAX);
	assert_memory_equal(in.datagrams[0].bytes, bytes, DATAGRAM_IPV4_PAYLOAD_MAX);
}

/* It is left out and counted, and its neighbours still cross. */
static void too_long_datagram_is_dropped_alone(void **state)
{
	struct datagram three[3] = {
		datagram_to(&server_address, 1),
		datagram_to(&server_address, DATAGRAM_IPV4_PAYLOAD_MAX + 1),
		datagram_to(&server_address, 3),
	};
	struct datagram_sent sent;

	(void)state;
	datagram_send(client, AF_INET, three, 3, &sent);
	assert_int_equal(sent.sent, 2);
	assert_int_equal(sent.dropped, 1);
	assert_int_equal(sent.last_error, EMSGSIZE);
	assert_int_equal(receive_one(server)->length, 1);
	assert_int_equal(receive_one(server)->length, 3);
}

/* What came in one buffer leaves as the datagrams it was, the last one shorter. */
static void segments_cross_one_by_one(void **state)
{
	struct datagram segmented = datagram_to(&server_address, 2500);
	struct datagram_sent sent;

	(void)state;
	fill_pattern();
	segmented.segment_bytes = 1000;
	assert_int_equal(datagram_segments(&segmented), 3);
	sent = send_one(client, &segmented);
	assert_int_equal(sent.sent, 3);
	assert_true(sent.sent_bytes == 2500);
	assert_int_equal(receive_one(server)->length, 1000);
	assert_int_equal(receive_one(server)->length, 1000);
	assert_memory_equal(in.datagrams[0].bytes, bytes + 1000, 1000);
	assert_int_equal(receive_one(server)->length, 500);
	assert_memory_equal(in.datagrams[0].bytes, bytes + 2000, 500);
}

/* The kernel segments 64 (128 later) at the most, and none where its limits are passed. */
static void more_segments_than_the_kernel_takes_cross_too(void **state)
{
	enum { COUNT = 140 }; /* all fit the receive buffer */
	struct datagram segmented = datagram_to(&server_address, COUNT);
	struct datagram_sent sent;

	(void)state;
	fill_pattern();
	segmented.segment_bytes = 1;
	sent = send_one(client, &segmented);
	assert_int_equal(sent.sent + sent.dropped, COUNT);
	assert_int_equal(sent.dropped, 0);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(receive_one(server)->length, 1);
		assert_int_equal(in.datagrams[0].bytes[0], bytes[i]);
	}
}

/* Sends datagrams of these lengths at once. */
static struct datagram_sent send_lengths(const uint32_t *lengths, uint32_t count)
{
	struct datagram datagrams[DATAGRAM_BATCH];
	struct datagram_sent sent;
	uint32_t offset = 0;

	fill_pattern();
	for (uint32_t i = 0; i < count; i++) {
		datagrams[i] = datagram_to(&server_address, lengths[i]);
		datagrams[i].bytes = bytes + offset;
		offset += lengths[i];
	}
	datagram_send(client, server_address.family, datagrams, count, &sent);
	return sent;
}

/* They pass the kernel in one piece, which a receiver that wants such pieces gets. */
static void equal_datagrams_leave_together(void **state)
{
	static const uint32_t lengths[] = { 100, 100, 100, 100, 70 };

	(void)state;
	datagram_want_gro(server, true);
	assert_int_equal(send_lengths(lengths, COUNT_OF(lengths)).sent, 5);
	assert_int_equal(receive_one(server)->length, 470);
	assert_int_equal(in.datagrams[0].segment_bytes, 100);
	assert_memory_equal(in.datagrams[0].bytes, bytes, 470);
}

static void assert_each_crosses(const uint32_t *lengths, uint32_t count)
{
	uint32_t offset = 0, total = 0;
	struct datagram_sent sent = send_lengths(lengths, count);

	for (uint32_t i = 0; i < count; i++)
		total += lengths[i];
	assert_int_equal(sent.sent, count);
	assert_int_equal(sent.dropped, 0);
	assert_true(sent.sent_bytes == total);
	for (uint32_t i = 0; i < count; offset += lengths[i++]) {
		assert_int_equal(receive_one(server)->length, lengths[i]);
		assert_memory_equal(in.datagrams[0].bytes, bytes + offset, lengths[i]);
	}
}

static void datagrams_that_left_together_arrive_one_by_one(void **state)
{
	static const uint32_t lengths[] = { 100,  100,	50,   50,   100, 0, 0,	  100,
					    100,  101,	1472, 1472, 1,	 1, 1473, 1473,
					    9000, 9000, 1,    1,    0,	 2, 2,	  1 };

	(void)state;
	assert_each_crosses(lengths, COUNT_OF(lengths));
}

/* As over a route that takes less than such a packet, or on a socket without checksums. */
static void datagrams_that_cannot_leave_together_cross_alone(void **state)
{
	static const uint32_t lengths[] = { 100, 100, 100, 20, 30, 30, 5 };
	int on = 1;

	(void)state;
	assert_int_equal(setsockopt(client, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)), 0);
	assert_each_crosses(lengths, COUNT_OF(lengths));
}

/* Whether the kernel joins them or not, the datagrams are the same. */
static void received_segments_can_be_told_apart(void **state)
{
	struct datagram segmented = datagram_to(&server_address, 2500);
	uint32_t segments = 0, total = 0;

	(void)state;
	datagram_want_gro(server, true);
	segmented.segment_bytes = 1000;
	assert_int_equal(send_one(client, &segmented).sent, 3);
	while (total < 2500) {
		const struct datagram *got = receive_one(server);

		if (got->segment_bytes != 0)
			assert_int_equal(got->segment_bytes, 1000);
		segments += datagram_segments(got);
		total += got->length;
	}
	assert_int_equal(segments, 3);
	assert_int_equal(total, 2500);
}

/* One alone comes without a segment size, also with UDP_GRO. */
static void lone_datagram_has_no_segments(void **state)
{
	struct datagram lone = datagram_to(&server_address, 1000);

	(void)state;
	datagram_want_gro(server, true);
	send_one(client, &lone);
	assert_int_equal(receive_one(server)->segment_bytes, 0);
	assert_int_equal(datagram_segments(&in.datagrams[0]), 1);
}

/* An ICMP error tells of an earlier datagram; the one that is being sent must not pay for it. */
static void refusal_costs_no_later_datagram(void **state)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(&server_address, AF_INET, &storage);
	struct datagram datagram = { .bytes = bytes, .length = 4 };
	struct datagram_sent sent;

	(void)state;
	assert_int_equal(connect(client, (struct sockaddr *)&storage, length), 0);
	close(server);
	datagram_send(client, AF_INET, &datagram, 1, &sent);
	assert_int_equal(sent.sent, 1);
	assert_true(wait_for(client, POLLERR, COMES_MS));
	server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(server, (struct sockaddr *)&storage, length), 0);

	datagram_send(client, AF_INET, &datagram, 1, &sent);
	assert_int_equal(sent.refused, 1);
	assert_int_equal(sent.sent, 1);
	assert_int_equal(receive_one(server)->length, 4);
}

static void refusal_is_told_when_receiving(void **state)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(&server_address, AF_INET, &storage);

	(void)state;
	assert_int_equal(connect(client, (struct sockaddr *)&storage, length), 0);
	close(server);
	assert_int_equal(send(client, bytes, 1, 0), 1);
	assert_true(wait_for(client, POLLERR, COMES_MS));
	assert_int_equal(datagram_receive(client, &in, DATAGRAM_BATCH), -ECONNREFUSED);
	assert_int_equal(datagram_receive(client, &in, DATAGRAM_BATCH), -EAGAIN);
	server = -1;
}

static uint16_t checksum(const void *of, size_t length)
{
	const uint16_t *words = of;
	uint32_t sum = 0;

	for (size_t i = 0; i < length / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static int home = -1; /* the network that the test came from */

/* In a network of its own, since the kernel remembers what it is told of a path. */
static int setup_own_network(void **state)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET) < 0) { /* it is root's to do */
		close(home);
		home = -1;
		return setup_ipv4(state);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	close(fd);
	return setup_ipv4(state);
}

static int teardown_own_network(void **state)
{
	if (home >= 0) {
		assert_int_equal(setns(home, CLONE_NEWNET), 0);
		close(home);
	}
	return teardown(state);
}

/* Tells the client's socket that something it had sent to the server needs fragments, as a router
 * does. */
static void tell_of_a_smaller_mtu(int raw)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		struct udphdr udp;
	} news = {
		.icmp = { .type = ICMP_DEST_UNREACH, .code = ICMP_FRAG_NEEDED },
		.ip = { .version = 4,
			.ihl = 5,
			.tot_len = htons(1500),
			.frag_off = htons(IP_DF),
			.ttl = 64,
			.protocol = IPPROTO_UDP,
			.saddr = htonl(INADDR_LOOPBACK),
			.daddr = htonl(INADDR_LOOPBACK) },
		.udp = { .source = htons(client_address.port), .dest = htons(server_address.port) },
	};
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };

	news.icmp.un.frag.mtu = htons(1400);
	news.icmp.checksum = checksum(&news, sizeof(news));
	assert_int_equal(sendto(raw, &news, sizeof(news), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(news));
	assert_true(wait_for(client, POLLERR, COMES_MS));
}

/* The kernel says it in place of sending what comes next, which is small enough. */
static void smaller_mtu_costs_no_later_datagram(void **state)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(&server_address, AF_INET, &storage);
	struct datagram datagram = { .bytes = bytes, .length = 5 };
	struct datagram_sent sent;
	int raw;

	(void)state;
	if (home < 0)
		skip();
	raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	assert_true(raw >= 0);
	assert_int_equal(connect(client, (struct sockaddr *)&storage, length), 0);
	tell_of_a_smaller_mtu(raw);
	datagram_send(client, AF_INET, &datagram, 1, &sent);
	assert_int_equal(sent.sent, 1);
	assert_int_equal(sent.dropped, 0);
	assert_int_equal(receive_one(server)->length, 5);
	close(raw);
}

int main(void)
{
#define WITH(pair, test) cmocka_unit_test_setup_teardown(test, setup_##pair, teardown)
	const struct CMUnitTest tests[] = {
		WITH(any_ipv4, local_address_is_told_and_used),
		WITH(any_ipv6, local_address_is_told_and_used),
		WITH(ipv4, empty_datagrams_cross),
		WITH(any_ipv6, empty_datagrams_cross),
		WITH(ipv4, nothing_there_is_eagain),
		WITH(ipv4, further_datagrams_come_behind),
		WITH(ipv4, discarded_datagrams_are_gone),
		WITH(ipv4, batch_keeps_order_and_lengths),
		WITH(ipv4, longest_datagram_crosses_whole),
		WITH(ipv4, too_long_datagram_is_dropped_alone),
		WITH(ipv4, segments_cross_one_by_one),
		WITH(any_ipv6, segments_cross_one_by_one),
		WITH(ipv4, more_segments_than_the_kernel_takes_cross_too),
		WITH(ipv4, equal_datagrams_leave_together),
		WITH(any_ipv6, equal_datagrams_leave_together),
		WITH(ipv4, datagrams_that_left_together_arrive_one_by_one),
		WITH(any_ipv6, datagrams_that_left_together_arrive_one_by_one),
		WITH(ipv4, datagrams_that_cannot_leave_together_cross_alone),
		WITH(ipv4, received_segments_can_be_told_apart),
		WITH(any_ipv6, received_segments_can_be_told_apart),
		WITH(ipv4, lone_datagram_has_no_segments),
		WITH(ipv4, refusal_costs_no_later_datagram),
		WITH(ipv4, refusal_is_told_when_receiving),
		cmocka_unit_test_setup_teardown(smaller_mtu_costs_no_later_datagram,
						setup_own_network, teardown_own_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
