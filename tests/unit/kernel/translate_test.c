/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translation, packet by packet, as the kernel runs it (BPF_PROG_TEST_RUN): what goes in, and
 * what comes out. Checksums are computed here once more, over all of a packet.
 */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <sys/resource.h>

#include <bpf/bpf.h>

#include "kernel/maps.h"
#include "kernel/translate.skel.h"

#define CLIENT "2001:db8::100"
#define HOST "2001:db8::2"
#define TARGET "172.17.0.2"
#define PSEUDO "240.1.2.3"
#define TRANSIT "248.1.2.3"
#define UPLINK 1 /* lo, which every namespace has */
#define RECHECK_NS (UINT64_C(3600) * 1000000000)

static struct translate *translate;

/* A packet as it is written and read here; what is behind its Ethernet header is aligned. */
static struct packet {
	_Alignas(8) uint8_t padding[2];
	uint8_t bytes[2048];
	size_t length;
} in, out;

static struct in6_addr in6(const char *text)
{
	struct in6_addr address;

	assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

static __be32 in4(const char *text)
{
	return inet_addr(text);
}

/* The sum of 16-bit words in network byte order, not folded. */
static uint64_t sum_of(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 == 0 ? (uint64_t)at[i] << 8 : at[i];
	return sum;
}

static uint16_t folded(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* 0xffff where the checksum in there is right. */
static uint16_t transport_sum(const void *source, const void *destination, size_t address_bytes,
			      uint8_t protocol, const void *transport, size_t length)
{
	return folded(sum_of(source, address_bytes) + sum_of(destination, address_bytes) +
		      protocol + length + sum_of(transport, length));
}

static uint16_t *check_of(uint8_t protocol, uint8_t *transport)
{
	return (uint16_t *)(void *)(transport + (protocol == IPPROTO_TCP ? 16 : 6));
}

static uint8_t payload_byte(size_t i)
{
	return (uint8_t)(i * 7 + 1);
}

/* Ports, and for TCP flags, then bytes. Returns the length. */
static size_t write_transport(uint8_t *at, uint8_t protocol, uint16_t from, uint16_t to,
			      uint8_t flags, size_t payload)
{
	size_t header = protocol == IPPROTO_TCP ? 20 : 8;

	memset(at, 0, header);
	at[0] = (uint8_t)(from >> 8);
	at[1] = (uint8_t)from;
	at[2] = (uint8_t)(to >> 8);
	at[3] = (uint8_t)to;
	if (protocol == IPPROTO_TCP) {
		at[12] = 5 << 4;
		at[13] = flags;
	} else {
		at[4] = (uint8_t)((header + payload) >> 8);
		at[5] = (uint8_t)(header + payload);
	}
	for (size_t i = 0; i < payload; i++)
		at[header + i] = payload_byte(i);
	return header + payload;
}

static uint8_t *write_ethernet(uint16_t type)
{
	memset(&in, 0, sizeof(in));
	memcpy(in.bytes, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
	if (type == 0x86dd)
		memset(in.bytes, 0, 6); /* for the host: the link is lo, which has no address */
	in.bytes[12] = (uint8_t)(type >> 8);
	in.bytes[13] = (uint8_t)type;
	return in.bytes + 14;
}

static struct ip6_hdr *write_ipv6(uint8_t protocol, uint16_t from, uint16_t to, uint8_t flags,
				  size_t payload)
{
	struct ip6_hdr *ip = (struct ip6_hdr *)(void *)write_ethernet(0x86dd);
	uint8_t *transport = (uint8_t *)(ip + 1);
	size_t length = write_transport(transport, protocol, from, to, flags, payload);

	*ip = (struct ip6_hdr){ .ip6_src = in6(CLIENT), .ip6_dst = in6(HOST) };
	ip->ip6_flow = htonl(6u << 28 | 0xb8u << 20 | 0x12345);
	ip->ip6_plen = htons((uint16_t)length);
	ip->ip6_nxt = protocol;
	ip->ip6_hlim = 61;
	*check_of(protocol,
		  transport) = htons((uint16_t)~transport_sum(&ip->ip6_src, &ip->ip6_dst, 16,
							      protocol, transport, length));
	in.length = 14 + 40 + length;
	return ip;
}

static struct iphdr *write_ipv4(uint8_t protocol, uint16_t from, uint16_t to, uint8_t flags,
				size_t payload)
{
	struct iphdr *ip = (struct iphdr *)(void *)write_ethernet(0x0800);
	uint8_t *transport = (uint8_t *)(ip + 1);
	size_t length = write_transport(transport, protocol, from, to, flags, payload);

	*ip = (struct iphdr){ .version = 4, .ihl = 5, .tos = 0xb8, .ttl = 63 };
	ip->tot_len = htons((uint16_t)(20 + length));
	ip->protocol = protocol;
	ip->saddr = in4(TARGET);
	ip->daddr = in4(PSEUDO);
	ip->check = htons((uint16_t)~folded(sum_of(ip, 20)));
	*check_of(protocol, transport) = htons(
		(uint16_t)~transport_sum(&ip->saddr, &ip->daddr, 4, protocol, transport, length));
	in.length = 14 + 20 + length;
	return ip;
}

/* By which link a packet has come in, of those that go out; 0: it is this host's own. */
static uint32_t ingress = UPLINK;

/* BPF_F_TEST_SKB_CHECKSUM_COMPLETE, for which the kernel looks at the sum afterwards, or 0. */
static uint32_t run_flags;

static int run_program(const struct bpf_program *program)
{
	struct __sk_buff context = { .ifindex = UPLINK, .ingress_ifindex = ingress };
	struct bpf_test_run_opts options = { .sz = sizeof(options),
					     .data_in = in.bytes,
					     .data_out = out.bytes,
					     .data_size_in = (uint32_t)in.length,
					     .data_size_out = sizeof(out.bytes),
					     .ctx_in = &context,
					     .ctx_size_in = sizeof(context),
					     .flags = run_flags,
					     .repeat = 1 };

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
	out.length = options.data_size_out;
	return (int)options.retval;
}

static const struct iphdr *out_ipv4(void)
{
	return (const struct iphdr *)(const void *)(out.bytes + 14);
}

static const struct ip6_hdr *out_ipv6(void)
{
	return (const struct ip6_hdr *)(const void *)(out.bytes + 14);
}

static void put(const struct bpf_map *map, const void *key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY), 0);
}

static void publish_by(const char *aim, uint8_t protocol, uint16_t port, bool filtered)
{
	struct published_key key = { .host = in6(HOST), .port = htons(port), .protocol = protocol };
	struct published value = {
		.target = in4(TARGET),
		.aim = in4(aim),
		.target_port = htons(80),
		.filtered = filtered,
		.rule = 7,
		.link = UPLINK,
	};

	put(translate->maps.published, &key, &value);
}

static void publish(uint8_t protocol, uint16_t port, bool filtered)
{
	publish_by(TARGET, protocol, port, filtered);
}

static void know_client(void)
{
	struct in6_addr client = in6(CLIENT);
	struct client_value value = { .pseudo = in4(PSEUDO) };

	put(translate->maps.clients, &client, &value);
}

static uint64_t counted(enum translator_counter which)
{
	int processors = libbpf_num_possible_cpus();
	uint64_t values[1024], sum = 0;
	uint32_t key = which;

	assert_in_range(processors, 1, 1024);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(translate->maps.counters), &key, values),
			 0);
	for (int i = 0; i < processors; i++)
		sum += values[i];
	return sum;
}

static int setup(void **state)
{
	(void)state;
	translate = translate__open();
	if (!translate)
		return -1;
	translate->rodata->pool = in4("240.0.0.0");
	translate->rodata->pool_mask = in4("248.0.0.0");
	translate->rodata->transit = in4("248.0.0.0");
	translate->rodata->inside_ifindex = 77;
	translate->rodata->mtu_inside = 1480;
	translate->rodata->recheck_ns = RECHECK_NS;
	ingress = UPLINK;
	if (translate__load(translate) != 0)
		return -1;
	publish(IPPROTO_TCP, 8080, false);
	publish(IPPROTO_UDP, 8080, false);
	know_client();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	translate__destroy(translate);
	return 0;
}

static void assert_payload(const uint8_t *payload, size_t length)
{
	for (size_t i = 0; i < length; i++)
		assert_int_equal(payload[i], payload_byte(i));
}

static void assert_left_alone(int verdict)
{
	assert_int_equal(verdict, TC_ACT_UNSPEC);
	assert_int_equal(out.length, in.length);
	assert_memory_equal(out.bytes, in.bytes, in.length);
}

static void know_route(uint8_t protocol);
static void assert_to_ipv6(uint8_t protocol, uint8_t flags, size_t payload);

/* From clients. */

/* What has become of a packet that write_ipv6() has written: all behind its link's addresses. */
static void assert_ipv4(uint8_t protocol, size_t payload, const char *source, uint8_t ttl)
{
	size_t header = protocol == IPPROTO_TCP ? 20 : 8;
	const struct iphdr *ip = out_ipv4();
	const uint8_t *transport = (const uint8_t *)(ip + 1);

	assert_int_equal(out.length, in.length - 20);
	assert_memory_equal(out.bytes + 12, "\x08\x00", 2);
	assert_int_equal(ip->version, 4);
	assert_int_equal(ip->ihl, 5);
	assert_int_equal(ip->tos, 0xb8);
	assert_int_equal(ntohs(ip->tot_len), 20 + header + payload);
	assert_int_equal(ip->ttl, ttl);
	assert_int_equal(ip->protocol, protocol);
	assert_int_equal(ip->saddr, in4(source));
	assert_int_equal(ip->daddr, in4(TARGET));
	assert_int_equal(folded(sum_of(ip, 20)), 0xffff);
	assert_memory_equal(transport, "\x9c\x40\x00\x50", 4);
	assert_int_equal(transport_sum(&ip->saddr, &ip->daddr, 4, protocol, transport,
				       header + payload),
			 0xffff);
	assert_payload(transport + header, payload);
}

static void assert_to_ipv4(uint8_t protocol, uint8_t flags, size_t payload)
{
	write_ipv6(protocol, 40000, 8080, flags, payload);
	assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_UNSPEC);
	assert_memory_equal(out.bytes, in.bytes, 12);
	assert_ipv4(protocol, payload, TRANSIT, 61);
}

static void tcp_becomes_ipv4(void **state)
{
	(void)state;
	assert_to_ipv4(IPPROTO_TCP, TH_SYN, 0);
	assert_to_ipv4(IPPROTO_TCP, TH_ACK, 1000);
	assert_to_ipv4(IPPROTO_TCP, TH_ACK, 999);
	assert_to_ipv4(IPPROTO_TCP, TH_FIN | TH_ACK, 1);
}

static void udp_becomes_ipv4(void **state)
{
	(void)state;
	assert_to_ipv4(IPPROTO_UDP, 0, 0);
	assert_to_ipv4(IPPROTO_UDP, 0, 1400);
}

/* RFC 7915 section 5.1: up to 1260 bytes may be fragmented, and so have an identification. */
static void large_packets_must_not_be_fragmented(void **state)
{
	(void)state;
	assert_to_ipv4(IPPROTO_UDP, 0, 1260 - 28);
	assert_int_equal(ntohs(out_ipv4()->frag_off), 0);
	assert_to_ipv4(IPPROTO_UDP, 0, 1260 - 27);
	assert_int_equal(ntohs(out_ipv4()->frag_off), IP_DF);
	assert_int_equal(out_ipv4()->id, 0);
}

/* Up to the table raw, another address stands for the container. */
static void what_stands_for_the_container_is_aimed_at(void **state)
{
	const struct iphdr *ip = out_ipv4();
	const uint8_t *transport = (const uint8_t *)(ip + 1);

	(void)state;
	publish_by("248.0.0.1", IPPROTO_TCP, 8080, false);
	write_ipv6(IPPROTO_TCP, 40000, 8080, TH_SYN, 10);
	assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_UNSPEC);
	assert_int_equal(ip->daddr, in4("248.0.0.1"));
	assert_int_equal(folded(sum_of(ip, 20)), 0xffff);
	assert_int_equal(transport_sum(&ip->saddr, &ip->daddr, 4, IPPROTO_TCP, transport, 30),
			 0xffff);
	know_route(IPPROTO_TCP);
	write_ipv4(IPPROTO_TCP, 80, 40000, TH_ACK, 10);
	assert_int_equal(run_program(translate->progs.container_link), TC_ACT_REDIRECT);
	assert_to_ipv6(IPPROTO_TCP, TH_ACK, 10);
}

static void links_without_headers_have_none_afterwards(void **state)
{
	(void)state;
	write_ipv6(IPPROTO_TCP, 40000, 8080, TH_SYN, 0);
	/* the test run always has one, before which the program does not look */
	assert_left_alone(run_program(translate->progs.uplink_raw));
}

static void others_are_left_alone(void **state)
{
	struct ip6_hdr *ip;

	(void)state;
	write_ipv6(IPPROTO_TCP, 40000, 8081, TH_SYN, 0);
	assert_left_alone(run_program(translate->progs.uplink_ether));

	ip = write_ipv6(IPPROTO_TCP, 40000, 8080, TH_SYN, 0);
	ip->ip6_dst = in6("2001:db8::3");
	assert_left_alone(run_program(translate->progs.uplink_ether));

	ip = write_ipv6(IPPROTO_TCP, 40000, 8080, TH_SYN, 0);
	ip->ip6_nxt = IPPROTO_HOPOPTS;
	assert_left_alone(run_program(translate->progs.uplink_ether));

	write_ipv4(IPPROTO_TCP, 40000, 8080, TH_SYN, 0);
	assert_left_alone(run_program(translate->progs.uplink_ether));

	write_ipv6(IPPROTO_TCP, 40000, 8080, TH_SYN, 0);
	for (in.length = 14 + 40; in.length < 14 + 40 + 20; in.length++)
		assert_left_alone(run_program(translate->progs.uplink_ether));
	assert_int_equal(counted(TRANSLATED_FROM_CLIENT), 0);
}

/* A rule's longest prefix decides; clients that are in none may not. */
static void denied_clients_are_left_to_the_relay(void **state)
{
	static const struct {
		const char *prefix;
		uint32_t length;
		bool allows, passes;
	} steps[] = {
		{ "::", 0, true, true },
		{ "2001:db8::", 32, false, false },
		{ "2001:db8::100", 128, true, true },
		{ "2001:db8::101", 128, false, true },
	};

	(void)state;
	publish(IPPROTO_UDP, 8443, true);
	for (size_t i = 0; i <= COUNT_OF(steps); i++) {
		uint16_t port = (uint16_t)(40000 + i);

		write_ipv6(IPPROTO_UDP, port, 8443, 0, 10);
		if (i == 0 || !steps[i - 1].passes)
			assert_left_alone(run_program(translate->progs.uplink_ether));
		else
			assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_UNSPEC);
		assert_int_equal(out_ipv4()->version, i > 0 && steps[i - 1].passes ? 4 : 6);
		if (i < COUNT_OF(steps)) {
			struct filter_key key = { .prefixlen = 32 + steps[i].length,
						  .rule = htonl(7),
						  .prefix = in6(steps[i].prefix) };
			struct filter_value value = { .allows = steps[i].allows };

			put(translate->maps.filters, &key, &value);
		}
	}
	assert_int_equal(counted(DENIED), 2);
}

/* Of a client without an address: the packet goes to the daemon, whole, if it begins something. */

static struct upcall called;
static int calls;

static int take_upcall(void *context, void *data, size_t size)
{
	(void)context;
	assert_int_equal(size, sizeof(called));
	memcpy(&called, data, sizeof(called));
	calls++;
	return 0;
}

static void new_clients_are_called_up(void **state)
{
	struct ring_buffer *ring;
	struct ip6_hdr *ip;

	(void)state;
	ring = ring_buffer__new(bpf_map__fd(translate->maps.upcalls), take_upcall, NULL, NULL);
	assert_non_null(ring);
	calls = 0;
	ip = write_ipv6(IPPROTO_UDP, 40000, 8080, 0, 333);
	ip->ip6_src = in6("2001:db8::101");
	assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_SHOT);
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(called.length, in.length - 14);
	assert_int_equal(called.ifindex, UPLINK);
	assert_memory_equal(called.packet, in.bytes + 14, called.length);

	ip = write_ipv6(IPPROTO_TCP, 40000, 8080, TH_SYN, 0);
	ip->ip6_src = in6("2001:db8::101");
	assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_SHOT);
	ip = write_ipv6(IPPROTO_TCP, 40000, 8080, TH_ACK, 0);
	ip->ip6_src = in6("2001:db8::101");
	assert_left_alone(run_program(translate->progs.uplink_ether));
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(calls, 2);
	ring_buffer__free(ring);
}

/* To clients. */

static void begin_flow(uint8_t protocol)
{
	write_ipv6(protocol, 40000, 8080, TH_SYN, 0);
	assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_UNSPEC);
	assert_int_equal(out_ipv4()->version, 4);
}

/* Where the client is, so that no route has to be found. */
static void know_route(uint8_t protocol)
{
	struct flow4_key key = { .pseudo = in4(PSEUDO),
				 .target = in4(TARGET),
				 .client_port = htons(40000),
				 .target_port = htons(80),
				 .protocol = protocol };
	struct flow4 flow;
	int fd = bpf_map__fd(translate->maps.flows4);

	assert_int_equal(bpf_map_lookup_elem(fd, &key, &flow), 0);
	flow.ifindex = UPLINK;
	flow.route_until_ns = UINT64_MAX;
	memcpy(flow.destination, "\x02\x00\x00\x00\x00\x0a", 6);
	memcpy(flow.source, "\x02\x00\x00\x00\x00\x0b", 6);
	assert_int_equal(bpf_map_update_elem(fd, &key, &flow, BPF_ANY), 0);
}

static void assert_to_ipv6(uint8_t protocol, uint8_t flags, size_t payload)
{
	size_t header = protocol == IPPROTO_TCP ? 20 : 8;
	const struct ip6_hdr *ip = out_ipv6();
	struct in6_addr client = in6(CLIENT), host = in6(HOST);
	const uint8_t *transport = (const uint8_t *)(ip + 1);

	assert_int_equal(out.length, in.length + 20);
	assert_memory_equal(out.bytes, "\x02\x00\x00\x00\x00\x0a\x02\x00\x00\x00\x00\x0b\x86\xdd",
			    14);
	assert_int_equal(ntohl(ip->ip6_flow), 6u << 28 | 0xb8u << 20);
	assert_int_equal(ntohs(ip->ip6_plen), header + payload);
	assert_int_equal(ip->ip6_nxt, protocol);
	assert_int_equal(ip->ip6_hlim, 62); /* one less: it is forwarded */
	assert_memory_equal(&ip->ip6_src, &host, 16);
	assert_memory_equal(&ip->ip6_dst, &client, 16);
	assert_memory_equal(transport, "\x1f\x90\x9c\x40", 4);
	if (protocol == IPPROTO_TCP)
		assert_int_equal(transport[13], flags);
	assert_int_equal(transport_sum(&ip->ip6_src, &ip->ip6_dst, 16, protocol, transport,
				       header + payload),
			 0xffff);
	assert_payload(transport + header, payload);
}

static void tcp_becomes_ipv6(void **state)
{
	static const size_t payloads[] = { 0, 1, 999, 1440 };

	(void)state;
	begin_flow(IPPROTO_TCP);
	know_route(IPPROTO_TCP);
	for (size_t i = 0; i < COUNT_OF(payloads); i++) {
		write_ipv4(IPPROTO_TCP, 80, 40000, TH_ACK, payloads[i]);
		assert_int_equal(run_program(translate->progs.container_link), TC_ACT_REDIRECT);
		assert_to_ipv6(IPPROTO_TCP, TH_ACK, payloads[i]);
	}
	assert_int_equal(counted(TRANSLATED_TO_CLIENT), COUNT_OF(payloads));
}

static void udp_becomes_ipv6(void **state)
{
	(void)state;
	begin_flow(IPPROTO_UDP);
	know_route(IPPROTO_UDP);
	write_ipv4(IPPROTO_UDP, 80, 40000, 0, 1400);
	assert_int_equal(run_program(translate->progs.container_link), TC_ACT_REDIRECT);
	assert_to_ipv6(IPPROTO_UDP, 0, 1400);
}

static void datagrams_without_a_checksum_get_one(void **state)
{
	static const size_t payloads[] = { 0, 1, 503, 504, 505, 1016, 1017, 1452 };

	(void)state;
	begin_flow(IPPROTO_UDP);
	know_route(IPPROTO_UDP);
	for (size_t i = 0; i < COUNT_OF(payloads); i++) {
		struct iphdr *ip = write_ipv4(IPPROTO_UDP, 80, 40000, 0, payloads[i]);

		*check_of(IPPROTO_UDP, (uint8_t *)(ip + 1)) = 0;
		assert_int_equal(run_program(translate->progs.container_link), TC_ACT_REDIRECT);
		assert_to_ipv6(IPPROTO_UDP, 0, payloads[i]);
	}
}

/* The stack parts it, or tells the container; its checksum is that of the pseudo address still. */
static void what_is_too_large_goes_by_the_stack(void **state)
{
	const struct iphdr *ip = out_ipv4();

	(void)state;
	begin_flow(IPPROTO_UDP);
	know_route(IPPROTO_UDP);
	write_ipv4(IPPROTO_UDP, 80, 40000, 0, 1480 - 28);
	assert_int_equal(run_program(translate->progs.container_link), TC_ACT_REDIRECT);
	write_ipv4(IPPROTO_UDP, 80, 40000, 0, 1480 - 27);
	assert_int_equal(run_program(translate->progs.container_link), TC_ACT_UNSPEC);
	assert_int_equal(out.length, in.length);
	assert_int_equal(ip->daddr, in4(TRANSIT));
	assert_int_equal(folded(sum_of(ip, 20)), 0xffff);
	assert_int_equal(counted(LEFT_TO_STACK), 1);
}

/* If it must not be parted: its container's kernel then sends smaller ones. */
static void what_is_too_large_and_whole_is_told(void **state)
{
	struct iphdr *sent;
	struct packet before;
	const struct iphdr *ip = out_ipv4();
	const uint8_t *icmp = (const uint8_t *)(ip + 1);

	(void)state;
	begin_flow(IPPROTO_TCP);
	know_route(IPPROTO_TCP);
	sent = write_ipv4(IPPROTO_TCP, 80, 40000, TH_ACK, 1441);
	sent->frag_off = htons(IP_DF);
	before = in;
	assert_int_equal(run_program(translate->progs.container_link), TC_ACT_REDIRECT);
	assert_int_equal(out.length, 14 + 20 + 8 + 40);
	assert_memory_equal(out.bytes, before.bytes + 6, 6);
	assert_memory_equal(out.bytes + 6, before.bytes, 6);
	assert_int_equal(folded(sum_of(ip, 20)), 0xffff);
	assert_int_equal(folded(sum_of(icmp, 48)), 0xffff);
	assert_int_equal(ip->saddr, in4(PSEUDO));
	assert_int_equal(ip->daddr, in4(TARGET));
	assert_memory_equal(icmp, "\x03\x04", 2);
	assert_int_equal(icmp[6] << 8 | icmp[7], 1480);
	assert_memory_equal(icmp + 8, before.bytes + 14, 40);
}

/* Fragments, of a datagram that was written whole. */

static void cut_fragment(const struct packet *whole, size_t from, size_t length, bool more,
			 const char *to)
{
	struct iphdr *ip = (struct iphdr *)(void *)(in.bytes + 14);

	in = *whole;
	memmove(in.bytes + 14 + 20, whole->bytes + 14 + 20 + from, length);
	in.length = 14 + 20 + length;
	ip->tot_len = htons((uint16_t)(20 + length));
	ip->id = htons(0x1234);
	ip->frag_off = htons((uint16_t)(from / 8 | (more ? IP_MF : 0)));
	ip->daddr = in4(to);
	ip->check = 0;
	ip->check = htons((uint16_t)~folded(sum_of(ip, 20)));
}

static void fragments_go_by_the_stack_and_then_to_the_client(void **state)
{
	const struct ip6_hdr *ip = out_ipv6();
	const uint8_t *fragment = (const uint8_t *)(ip + 1);
	uint8_t joined[1208];
	struct packet whole;

	(void)state;
	begin_flow(IPPROTO_UDP);
	know_route(IPPROTO_UDP);
	write_ipv4(IPPROTO_UDP, 80, 40000, 0, 1200);
	whole = in;
	for (size_t from = 0; from < sizeof(joined); from += 800) {
		size_t length = from == 0 ? 800 : sizeof(joined) - 800;

		cut_fragment(&whole, from, length, from == 0, PSEUDO);
		assert_int_equal(run_program(translate->progs.container_link), TC_ACT_UNSPEC);
		assert_int_equal(out_ipv4()->daddr, in4(TRANSIT));
		assert_int_equal(folded(sum_of(out_ipv4(), 20)), 0xffff);

		cut_fragment(&whole, from, length, from == 0, TRANSIT);
		assert_int_equal(run_program(translate->progs.inside_egress), TC_ACT_REDIRECT);
		assert_int_equal(out.length, in.length + 28);
		assert_int_equal(ip->ip6_nxt, 44);
		assert_int_equal(ntohs(ip->ip6_plen), 8 + length);
		assert_int_equal(fragment[0], IPPROTO_UDP);
		assert_int_equal(fragment[2] << 8 | fragment[3], from | (from == 0));
		assert_memory_equal(fragment + 4, "\x00\x00\x12\x34", 4);
		memcpy(joined + from, fragment + 8, length);
	}
	assert_memory_equal(joined, "\x1f\x90\x9c\x40", 4);
	assert_int_equal(transport_sum(&ip->ip6_src, &ip->ip6_dst, 16, IPPROTO_UDP, joined,
				       sizeof(joined)),
			 0xffff);
	assert_payload(joined + 8, 1200);
	assert_int_equal(counted(TRANSLATED_FRAGMENTS), 2);
}

static void fragments_that_cannot_be_translated_are_dropped(void **state)
{
	struct packet whole;

	(void)state;
	begin_flow(IPPROTO_UDP);
	know_route(IPPROTO_UDP);
	write_ipv4(IPPROTO_UDP, 80, 40000, 0, 1200);
	whole = in;
	/* not the first, and the first has not been seen */
	cut_fragment(&whole, 800, 408, false, PSEUDO);
	assert_left_alone(run_program(translate->progs.container_link));
	cut_fragment(&whole, 800, 408, false, TRANSIT);
	assert_int_equal(run_program(translate->progs.inside_egress), TC_ACT_SHOT);
	/* without a checksum, which nobody can make of one fragment */
	*check_of(IPPROTO_UDP, whole.bytes + 14 + 20) = 0;
	cut_fragment(&whole, 0, 800, true, TRANSIT);
	assert_int_equal(run_program(translate->progs.inside_egress), TC_ACT_SHOT);
	assert_int_equal(counted(DROPPED_FAILED), 1);
}

static void answers_of_no_flow_are_left_to_the_relay(void **state)
{
	struct iphdr *ip;

	(void)state;
	begin_flow(IPPROTO_TCP);
	know_route(IPPROTO_TCP);
	write_ipv4(IPPROTO_TCP, 80, 40001, TH_ACK, 10);
	assert_left_alone(run_program(translate->progs.container_link));
	write_ipv4(IPPROTO_TCP, 81, 40000, TH_ACK, 10);
	assert_left_alone(run_program(translate->progs.container_link));
	ip = write_ipv4(IPPROTO_TCP, 80, 40000, TH_ACK, 10);
	ip->daddr = in4("192.0.2.1");
	assert_left_alone(run_program(translate->progs.container_link));
	write_ipv4(IPPROTO_TCP, 80, 40001, TH_ACK, 10);
	assert_int_equal(run_program(translate->progs.inside_egress), TC_ACT_SHOT);
	assert_int_equal(counted(DROPPED_STRAY), 1);
}

static void flows_are_counted(void **state)
{
	struct flow6_key key = { .client = in6(CLIENT),
				 .host = in6(HOST),
				 .client_port = htons(40000),
				 .host_port = htons(8080),
				 .protocol = IPPROTO_TCP };
	struct flow6 flow;
	int fd = bpf_map__fd(translate->maps.flows6);

	(void)state;
	assert_to_ipv4(IPPROTO_TCP, TH_SYN, 0);
	assert_to_ipv4(IPPROTO_TCP, TH_ACK, 100);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &flow), 0);
	assert_int_equal(flow.packets, 2);
	assert_int_equal(flow.bytes, 100);
	assert_int_equal(flow.state, FLOW_BEGINS);
	assert_to_ipv4(IPPROTO_TCP, TH_FIN | TH_ACK, 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &flow), 0);
	assert_int_equal(flow.state, FLOW_CLIENT_ENDED);
	/* the same ports again, in a new connection */
	assert_to_ipv4(IPPROTO_TCP, TH_SYN, 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &flow), 0);
	assert_int_equal(flow.packets, 1);
	assert_int_equal(flow.state, FLOW_BEGINS);
}

static struct flow6_key key_of(uint8_t protocol)
{
	return (struct flow6_key){ .client = in6(CLIENT),
				   .host = in6(HOST),
				   .client_port = htons(40000),
				   .host_port = htons(8080),
				   .protocol = protocol };
}

static struct flow4_key answers_of(uint8_t protocol)
{
	return (struct flow4_key){ .pseudo = in4(PSEUDO),
				   .target = in4(TARGET),
				   .client_port = htons(40000),
				   .target_port = htons(80),
				   .protocol = protocol };
}

/* Those that were stopped get no further: the host knows of no such connection, and resets it. */
static void stopped_flows_are_left_to_the_host(void **state)
{
	struct flow6_key key = key_of(IPPROTO_TCP);
	struct flow4_key answers = answers_of(IPPROTO_TCP);
	int flows6 = bpf_map__fd(translate->maps.flows6),
	    flows4 = bpf_map__fd(translate->maps.flows4);
	struct flow6 from_client;
	struct flow4 to_client;

	(void)state;
	assert_to_ipv4(IPPROTO_TCP, TH_SYN, 0);
	know_route(IPPROTO_TCP);
	assert_int_equal(bpf_map_lookup_elem(flows6, &key, &from_client), 0);
	assert_int_equal(bpf_map_lookup_elem(flows4, &answers, &to_client), 0);
	from_client.state |= FLOW_STOPPED;
	to_client.state |= FLOW_STOPPED;
	put(translate->maps.flows6, &key, &from_client);
	put(translate->maps.flows4, &answers, &to_client);
	write_ipv6(IPPROTO_TCP, 40000, 8080, TH_ACK, 10);
	assert_left_alone(run_program(translate->progs.uplink_ether));
	write_ipv4(IPPROTO_TCP, 80, 40000, TH_ACK, 10);
	assert_left_alone(run_program(translate->progs.container_link));
	/* the same ports again, in a new connection */
	assert_to_ipv4(IPPROTO_TCP, TH_SYN, 0);
}

/* Two of the host's addresses, and one container, which would see one connection. */
static void a_port_that_is_in_use_is_left_to_the_relay(void **state)
{
	struct published_key other = { .host = in6("2001:db8::3"),
				       .port = htons(8080),
				       .protocol = IPPROTO_TCP };
	struct published value = {
		.target = in4(TARGET), .aim = in4(TARGET), .target_port = htons(80), .link = UPLINK
	};
	struct ip6_hdr *ip;

	(void)state;
	put(translate->maps.published, &other, &value);
	assert_to_ipv4(IPPROTO_TCP, TH_SYN, 0);
	ip = write_ipv6(IPPROTO_TCP, 40000, 8080, TH_SYN, 0);
	ip->ip6_dst = in6("2001:db8::3");
	assert_left_alone(run_program(translate->progs.uplink_ether));
	assert_int_equal(counted(LEFT_TO_RELAY), 1);
	ip = write_ipv6(IPPROTO_TCP, 40001, 8080, TH_SYN, 0);
	ip->ip6_dst = in6("2001:db8::3");
	assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_UNSPEC);
	assert_int_equal(out_ipv4()->version, 4);
}

/* The fast path. */

static struct iphdr *write_passed(uint8_t protocol)
{
	struct iphdr *ip = write_ipv4(protocol, 40000, 80, TH_SYN, 0);

	ip->saddr = in4(PSEUDO);
	ip->daddr = in4(TARGET);
	return ip;
}

static void assert_fast(uint8_t protocol, uint8_t flags, size_t payload)
{
	write_ipv6(protocol, 40000, 8080, flags, payload);
	assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_REDIRECT);
	assert_memory_equal(out.bytes, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02",
			    12);		    /* as the one had that has passed */
	assert_ipv4(protocol, payload, PSEUDO, 60); /* a hop less: it is forwarded */
}

static void what_has_passed_forward_opens_the_fast_path(void **state)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };

	(void)state;
	/* the address that stands for the container is of no matter here */
	publish_by("248.0.0.1", IPPROTO_TCP, 8080, false);
	for (size_t i = 0; i < COUNT_OF(protocols); i++) {
		begin_flow(protocols[i]);
		write_passed(protocols[i]);
		assert_left_alone(run_program(translate->progs.passed_forward));
		assert_fast(protocols[i], TH_ACK, 0);
		assert_fast(protocols[i], TH_ACK, 999);
		assert_fast(protocols[i], TH_ACK, 1400);
	}
	assert_int_equal(counted(TRANSLATED_FAST), 6);
	assert_int_equal(counted(TRANSLATED_FROM_CLIENT), 8);
}

/* It is asked again, and then for each packet until one has passed. */
static void forward_is_asked_again(void **state)
{
	struct flow6_key key = key_of(IPPROTO_UDP);
	int flows6 = bpf_map__fd(translate->maps.flows6);
	struct flow6 flow;

	(void)state;
	begin_flow(IPPROTO_UDP);
	write_passed(IPPROTO_UDP);
	assert_left_alone(run_program(translate->progs.passed_forward));
	assert_fast(IPPROTO_UDP, 0, 10);
	assert_int_equal(bpf_map_lookup_elem(flows6, &key, &flow), 0);
	flow.passed_ns = flow.seen_ns - RECHECK_NS;
	put(translate->maps.flows6, &key, &flow);
	assert_to_ipv4(IPPROTO_UDP, 0, 10);
	assert_to_ipv4(IPPROTO_UDP, 0, 10);
	write_passed(IPPROTO_UDP);
	assert_left_alone(run_program(translate->progs.passed_forward));
	assert_fast(IPPROTO_UDP, 0, 10);
}

static void others_do_not_open_the_fast_path(void **state)
{
	struct flow6_key key = key_of(IPPROTO_UDP);
	struct flow6 flow;
	struct iphdr *ip;

	(void)state;
	begin_flow(IPPROTO_UDP);
	ingress = 0; /* somebody on this host */
	write_passed(IPPROTO_UDP);
	assert_left_alone(run_program(translate->progs.passed_forward));
	ingress = UPLINK;
	write_passed(IPPROTO_TCP);
	assert_left_alone(run_program(translate->progs.passed_forward));
	ip = write_passed(IPPROTO_UDP);
	ip->saddr = in4("192.0.2.1");
	assert_left_alone(run_program(translate->progs.passed_forward));
	ip = write_passed(IPPROTO_UDP);
	ip->frag_off = htons(1);
	assert_left_alone(run_program(translate->progs.passed_forward));
	for (in.length = 14 + 20; in.length < 14 + 20 + 4; in.length++)
		assert_left_alone(run_program(translate->progs.passed_forward));
	assert_to_ipv4(IPPROTO_UDP, 0, 10);
	/* a container that the rule had before, as the entry of its answers is still there */
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(translate->maps.flows6), &key, &flow), 0);
	flow.target = in4("172.17.0.3");
	put(translate->maps.flows6, &key, &flow);
	write_passed(IPPROTO_UDP);
	assert_left_alone(run_program(translate->progs.passed_forward));
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(translate->maps.flows6), &key, &flow), 0);
	assert_int_equal(flow.passed_ns, 0);
}

/* FORWARD may have another opinion of clients that come by another link. */
static void the_fast_path_is_of_one_link(void **state)
{
	(void)state;
	begin_flow(IPPROTO_UDP);
	ingress = UPLINK + 1;
	write_passed(IPPROTO_UDP);
	assert_left_alone(run_program(translate->progs.passed_forward));
	assert_to_ipv4(IPPROTO_UDP, 0, 10);
	ingress = UPLINK;
	write_passed(IPPROTO_UDP);
	assert_left_alone(run_program(translate->progs.passed_forward));
	assert_fast(IPPROTO_UDP, 0, 10);
}

static bool can_test_sums(void)
{
	struct bpf_test_run_opts options = { .sz = sizeof(options),
					     .data_in = in.bytes,
					     .flags = BPF_F_TEST_SKB_CHECKSUM_COMPLETE,
					     .repeat = 1 };

	write_ipv6(IPPROTO_UDP, 40000, 9, 0, 10);
	options.data_size_in = (uint32_t)in.length;
	return bpf_prog_test_run_opts(bpf_program__fd(translate->progs.uplink_ether), &options) ==
	       0;
}

/* The sum of all behind the header of Ethernet, with which the packet goes on to the container. */
static void sums_that_a_card_has_made_stay_right(void **state)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };

	(void)state;
	if (!can_test_sums()) {
		print_message("this kernel cannot test it\n");
		skip();
	}
	for (size_t i = 0; i < COUNT_OF(protocols); i++) {
		begin_flow(protocols[i]);
		run_flags = BPF_F_TEST_SKB_CHECKSUM_COMPLETE;
		assert_to_ipv4(protocols[i], TH_ACK, 77);
		run_flags = 0;
		write_passed(protocols[i]);
		assert_left_alone(run_program(translate->progs.passed_forward));
		run_flags = BPF_F_TEST_SKB_CHECKSUM_COMPLETE;
		assert_fast(protocols[i], TH_ACK, 77);
		run_flags = 0;
	}
}

/* As where somebody captures at the link, or it is flooded. */
static void packets_for_others_are_left_alone(void **state)
{
	(void)state;
	begin_flow(IPPROTO_UDP);
	write_passed(IPPROTO_UDP);
	assert_left_alone(run_program(translate->progs.passed_forward));
	write_ipv6(IPPROTO_UDP, 40000, 8080, 0, 10);
	in.bytes[5] = 77;
	assert_left_alone(run_program(translate->progs.uplink_ether));
	memset(in.bytes, 0xff, 6);
	assert_left_alone(run_program(translate->progs.uplink_ether));
	assert_int_equal(counted(TRANSLATED_FAST), 0);
}

/* The stack says so to the client. */
static void what_cannot_be_sent_on_is_not_fast(void **state)
{
	struct flow6_key key = key_of(IPPROTO_UDP);
	struct ip6_hdr *ip;
	struct flow6 flow;

	(void)state;
	begin_flow(IPPROTO_UDP);
	write_passed(IPPROTO_UDP);
	assert_left_alone(run_program(translate->progs.passed_forward));
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(translate->maps.flows6), &key, &flow), 0);
	flow.mtu = 1000;
	put(translate->maps.flows6, &key, &flow);
	assert_fast(IPPROTO_UDP, 0, 1000 - 28);
	assert_to_ipv4(IPPROTO_UDP, 0, 1000 - 27);
	ip = write_ipv6(IPPROTO_UDP, 40000, 8080, 0, 10);
	ip->ip6_hlim = 1;
	assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_UNSPEC);
	assert_int_equal(out_ipv4()->ttl, 1);
}

static void the_last_hop_is_told(void **state)
{
	const struct iphdr *ip = out_ipv4();
	const uint8_t *icmp = (const uint8_t *)(ip + 1);
	struct iphdr *sent;

	(void)state;
	assert_to_ipv4(IPPROTO_UDP, 0, 10);
	know_route(IPPROTO_UDP);
	sent = write_ipv4(IPPROTO_UDP, 80, 40000, 0, 10);
	sent->ttl = 1;
	sent->check = 0;
	sent->check = htons((uint16_t)~folded(sum_of(sent, 20)));
	assert_int_equal(run_program(translate->progs.container_link), TC_ACT_REDIRECT);
	assert_int_equal(ip->daddr, in4(TARGET));
	assert_memory_equal(icmp, "\x0b\x00", 2);
	assert_int_equal(folded(sum_of(ip, 20)), 0xffff);
	assert_int_equal(folded(sum_of(icmp, 36)), 0xffff);
	assert_memory_equal(icmp + 8, in.bytes + 14, 28);
}

/* Errors, each with a packet in it that has been translated before. */

#define INNER_MAX 512

static struct packet inner;

/* Keeps what has come out, or gone in, without its Ethernet header. */
static void keep_inner(const struct packet *packet)
{
	inner.length = packet->length - 14 < INNER_MAX ? packet->length - 14 : INNER_MAX;
	memcpy(inner.bytes, packet->bytes + 14, inner.length);
}

/* Of a router on the way to the client, about an answer. */
static void write_error6(uint8_t type, uint8_t code, uint32_t mtu)
{
	struct ip6_hdr *ip = (struct ip6_hdr *)(void *)write_ethernet(0x86dd);
	uint8_t *icmp = (uint8_t *)(ip + 1);
	size_t length = 8 + inner.length;

	*ip = (struct ip6_hdr){ .ip6_src = in6("2001:db8::1"), .ip6_dst = in6(HOST) };
	ip->ip6_flow = htonl(6u << 28);
	ip->ip6_plen = htons((uint16_t)length);
	ip->ip6_nxt = IPPROTO_ICMPV6;
	ip->ip6_hlim = 60;
	icmp[0] = type;
	icmp[1] = code;
	*(uint32_t *)(void *)(icmp + 4) = htonl(mtu);
	memcpy(icmp + 8, inner.bytes, inner.length);
	in.length = 14 + 40 + length;
}

static void write_error4(const char *from, const char *to, uint8_t type, uint8_t code, uint16_t mtu)
{
	struct iphdr *ip = (struct iphdr *)(void *)write_ethernet(0x0800);
	uint8_t *icmp = (uint8_t *)(ip + 1);
	size_t length = 8 + inner.length;

	*ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 60, .protocol = IPPROTO_ICMP };
	ip->tot_len = htons((uint16_t)(20 + length));
	ip->saddr = in4(from);
	ip->daddr = in4(to);
	icmp[0] = type;
	icmp[1] = code;
	icmp[6] = (uint8_t)(mtu >> 8);
	icmp[7] = (uint8_t)mtu;
	memcpy(icmp + 8, inner.bytes, inner.length);
	in.length = 14 + 20 + length;
}

/* What the container has sent, and now is told of, is what it has sent. */
static void assert_error4(uint8_t type, uint8_t code, uint16_t mtu, const struct packet *sent)
{
	const struct iphdr *ip = out_ipv4(), *quoted = (const void *)(out.bytes + 14 + 28);
	const struct iphdr *before = (const void *)(sent->bytes + 14);
	const uint8_t *icmp = (const uint8_t *)(ip + 1);
	size_t length = ntohs(ip->tot_len) - 20u;

	assert_int_equal(out.length, in.length - 40);
	assert_int_equal(out.length, 14 + 20 + length);
	assert_int_equal(folded(sum_of(ip, 20)), 0xffff);
	assert_int_equal(folded(sum_of(icmp, length)), 0xffff);
	assert_int_equal(ip->protocol, IPPROTO_ICMP);
	assert_int_equal(ip->saddr, in4(TRANSIT));
	assert_int_equal(ip->daddr, in4(TARGET));
	assert_int_equal(ip->ttl, 60);
	assert_int_equal(icmp[0], type);
	assert_int_equal(icmp[1], code);
	assert_int_equal(icmp[6] << 8 | icmp[7], mtu);
	assert_int_equal(folded(sum_of(quoted, 20)), 0xffff);
	assert_int_equal(quoted->tot_len, before->tot_len);
	assert_int_equal(quoted->protocol, before->protocol);
	assert_int_equal(quoted->saddr, before->saddr);
	assert_int_equal(quoted->daddr, before->daddr);
	assert_memory_equal(quoted + 1, before + 1, length - 28);
}

static void answer_is_sent(uint8_t protocol, size_t payload, struct packet *ret_sent)
{
	begin_flow(protocol);
	know_route(protocol);
	write_ipv4(protocol, 80, 40000, TH_ACK, payload);
	*ret_sent = in;
	assert_int_equal(run_program(translate->progs.container_link), TC_ACT_REDIRECT);
	keep_inner(&out);
}

static void errors_of_clients_reach_the_container(void **state)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	static const struct {
		uint8_t type, code;
		uint32_t mtu;
		uint8_t type4, code4;
		uint16_t mtu4;
	} cases[] = {
		{ 2, 0, 1400, 3, 4, 1380 }, { 2, 0, 1280, 3, 4, 1260 }, { 2, 0, 68, 3, 4, 1260 },
		{ 1, 0, 0, 3, 1, 0 },	    { 1, 1, 0, 3, 10, 0 },	{ 1, 3, 0, 3, 1, 0 },
		{ 1, 4, 0, 3, 3, 0 },	    { 3, 0, 0, 11, 0, 0 },	{ 3, 1, 0, 11, 1, 0 },
		{ 4, 1, 0, 3, 2, 0 },
	};
	struct packet sent;

	(void)state;
	for (size_t p = 0; p < COUNT_OF(protocols); p++) {
		answer_is_sent(protocols[p], p == 0 ? 1300 : 100, &sent);
		for (size_t i = 0; i < COUNT_OF(cases); i++) {
			write_error6(cases[i].type, cases[i].code, cases[i].mtu);
			assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_UNSPEC);
			assert_error4(cases[i].type4, cases[i].code4, cases[i].mtu4, &sent);
		}
	}
	assert_int_equal(counted(TRANSLATED_ERRORS), 2 * COUNT_OF(cases));
}

/* Eight bytes of what is behind the header are the least that an error has. */
static void errors_may_have_little_of_the_packet(void **state)
{
	struct packet sent;

	(void)state;
	answer_is_sent(IPPROTO_TCP, 1300, &sent);
	inner.length = 40 + 8;
	write_error6(2, 0, 1400);
	assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_UNSPEC);
	assert_error4(3, 4, 1380, &sent);
	inner.length = 40 + 3;
	write_error6(2, 0, 1400);
	assert_left_alone(run_program(translate->progs.uplink_ether));
}

static void other_icmp_is_left_to_the_host(void **state)
{
	struct packet sent;

	(void)state;
	answer_is_sent(IPPROTO_UDP, 100, &sent);
	write_error6(128, 0, 0); /* an echo request */
	assert_left_alone(run_program(translate->progs.uplink_ether));
	write_error6(135, 0, 0); /* who is the neighbour */
	assert_left_alone(run_program(translate->progs.uplink_ether));
	write_error6(4, 0, 0);
	assert_left_alone(run_program(translate->progs.uplink_ether));
	inner.bytes[40]++; /* another port */
	write_error6(2, 0, 1400);
	assert_left_alone(run_program(translate->progs.uplink_ether));
}

static void assert_error6(uint8_t type, uint8_t code, uint32_t more, const struct packet *sent)
{
	const struct ip6_hdr *ip = out_ipv6(), *quoted = (const void *)(out.bytes + 14 + 48);
	const struct ip6_hdr *before = (const void *)(sent->bytes + 14);
	const uint8_t *icmp = (const uint8_t *)(ip + 1);
	size_t length = ntohs(ip->ip6_plen);

	assert_int_equal(out.length, in.length + 40);
	assert_int_equal(out.length, 14 + 40 + length);
	assert_int_equal(transport_sum(&ip->ip6_src, &ip->ip6_dst, 16, IPPROTO_ICMPV6, icmp,
				       length),
			 0xffff);
	assert_int_equal(ip->ip6_nxt, IPPROTO_ICMPV6);
	assert_memory_equal(&ip->ip6_src, &before->ip6_dst, 16);
	assert_memory_equal(&ip->ip6_dst, &before->ip6_src, 16);
	assert_int_equal(ip->ip6_hlim, 60);
	assert_int_equal(icmp[0], type);
	assert_int_equal(icmp[1], code);
	assert_int_equal(ntohl(*(const uint32_t *)(const void *)(icmp + 4)), more);
	assert_int_equal(quoted->ip6_plen, before->ip6_plen);
	assert_memory_equal(&quoted->ip6_src, &before->ip6_src, 32);
	assert_memory_equal(quoted + 1, before + 1, length - 48);
}

static void errors_of_containers_reach_the_client(void **state)
{
	static const struct {
		uint8_t type, code;
		uint16_t mtu;
		uint8_t type6, code6;
		uint32_t more;
	} cases[] = {
		{ 3, 4, 1380, 2, 0, 1400 }, { 3, 4, 0, 2, 0, 1280 }, { 3, 3, 0, 1, 4, 0 },
		{ 3, 1, 0, 1, 0, 0 },	    { 3, 0, 0, 1, 0, 0 },    { 3, 13, 0, 1, 1, 0 },
		{ 3, 10, 0, 1, 1, 0 },	    { 3, 2, 0, 4, 1, 6 },    { 11, 0, 0, 3, 0, 0 },
	};
	struct packet sent;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		begin_flow(IPPROTO_UDP);
		know_route(IPPROTO_UDP);
		write_ipv6(IPPROTO_UDP, 40000, 8080, 0, 200);
		sent = in;
		assert_int_equal(run_program(translate->progs.uplink_ether), TC_ACT_UNSPEC);
		keep_inner(&out);
		/* of this host's stack, to the transit address, which is what it has seen */
		write_error4("172.17.0.1", TRANSIT, cases[i].type, cases[i].code, cases[i].mtu);
		assert_int_equal(run_program(translate->progs.inside_egress), TC_ACT_REDIRECT);
		assert_error6(cases[i].type6, cases[i].code6, cases[i].more, &sent);
	}
	write_error4(TARGET, PSEUDO, 3, 14, 0);
	assert_int_equal(run_program(translate->progs.container_link), TC_ACT_SHOT);
	write_error4(TARGET, PSEUDO, 8, 0, 0);
	assert_int_equal(run_program(translate->progs.container_link), TC_ACT_SHOT);
}

int main(void)
{
#define LOADED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		LOADED(tcp_becomes_ipv4),
		LOADED(udp_becomes_ipv4),
		LOADED(large_packets_must_not_be_fragmented),
		LOADED(what_stands_for_the_container_is_aimed_at),
		LOADED(links_without_headers_have_none_afterwards),
		LOADED(others_are_left_alone),
		LOADED(denied_clients_are_left_to_the_relay),
		LOADED(new_clients_are_called_up),
		LOADED(tcp_becomes_ipv6),
		LOADED(udp_becomes_ipv6),
		LOADED(datagrams_without_a_checksum_get_one),
		LOADED(what_is_too_large_goes_by_the_stack),
		LOADED(what_is_too_large_and_whole_is_told),
		LOADED(fragments_go_by_the_stack_and_then_to_the_client),
		LOADED(fragments_that_cannot_be_translated_are_dropped),
		LOADED(answers_of_no_flow_are_left_to_the_relay),
		LOADED(flows_are_counted),
		LOADED(stopped_flows_are_left_to_the_host),
		LOADED(a_port_that_is_in_use_is_left_to_the_relay),
		LOADED(what_has_passed_forward_opens_the_fast_path),
		LOADED(forward_is_asked_again),
		LOADED(others_do_not_open_the_fast_path),
		LOADED(the_fast_path_is_of_one_link),
		LOADED(packets_for_others_are_left_alone),
		LOADED(sums_that_a_card_has_made_stay_right),
		LOADED(what_cannot_be_sent_on_is_not_fast),
		LOADED(the_last_hop_is_told),
		LOADED(errors_of_clients_reach_the_container),
		LOADED(errors_may_have_little_of_the_packet),
		LOADED(other_icmp_is_left_to_the_host),
		LOADED(errors_of_containers_reach_the_client),
	};

	if (setup(NULL) != 0) {
		printf("1..0 # SKIP programs cannot be loaded here: %s\n", strerror(errno));
		return 0;
	}
	teardown(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
