/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel_path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "identity/pool_route.h"
#include "kernel/forwarding.h"
#include "kernel/upcall.h"

/* What a fragment of IPv6 has besides (RFC 8200 section 4.5). */
#define FRAGMENT_HEADER_BYTES 8

/* Of links to clients, where there is none yet. */
#define MTU_USUAL 1500

#define TURN_MS 1000
#define SWEEP_TURNS 5

/* As connection tracking has them. */
#define TCP_IDLE_NS (5 * 24 * 3600 * NS_PER_S)
#define UDP_IDLE_NS (120 * NS_PER_S)

struct client {
	struct address address; /* port 0 */
	uint32_t lease;
	uint64_t sweep; /* the last one that has found a flow of it, or that it was new in */
};

void kernel_path_halve(const struct prefix *whole, struct prefix *ret_pool,
		       struct prefix *ret_transit)
{
	*ret_pool = *whole;
	ret_pool->length++;
	*ret_transit = *ret_pool;
	ret_transit->ip[whole->length / 8] |= (uint8_t)(0x80 >> whole->length % 8);
}

/* Clients. */

static int compare_clients(const void *a, const void *b)
{
	const struct client *one = a, *other = b;

	return memcmp(one->address.ip, other->address.ip, sizeof(one->address.ip));
}

static struct client *find_client(struct kernel_path *path, const struct address *address)
{
	struct client key = { .address = *address };
	struct client **found = tfind(&key, &path->clients, compare_clients);

	return found ? *found : NULL;
}

static struct client *add_client(struct kernel_path *path, const struct address *address)
{
	struct client *client = calloc(1, sizeof(*client));
	struct address pseudo;

	if (!client)
		return NULL;
	client->address = *address;
	if (pseudo_take(path->pseudo, address, &pseudo, &client->lease) < 0) {
		free(client);
		return NULL;
	}
	if (translator_add_client(&path->translator, address, &pseudo) < 0 ||
	    !tsearch(client, &path->clients, compare_clients)) {
		pseudo_give(path->pseudo, client->lease);
		free(client);
		return NULL;
	}
	return client;
}

static void forget_client(struct kernel_path *path, struct client *client)
{
	(void)translator_remove_client(&path->translator, &client->address);
	pseudo_give(path->pseudo, client->lease);
	free(client);
}

/* A client's first packet: it gets an address, and then the packet its translation. */
static void called_up(void *context, struct upcall *upcall)
{
	struct kernel_path *path = context;
	uint8_t frame[ETH_HLEN + UPCALL_BYTES_MAX];
	struct address address;
	struct client *client;

	if (!upcall_client(upcall, &address))
		return;
	client = find_client(path, &address);
	if (!client)
		client = add_client(path, &address);
	if (!client)
		return;
	client->sweep = path->sweep;
	upcall_complete(upcall);
	memcpy(frame, path->inside.mac, ETH_ALEN);
	memcpy(frame + ETH_ALEN, path->inside.outside_mac, ETH_ALEN);
	frame[2 * ETH_ALEN] = ETH_P_IPV6 >> 8;
	frame[2 * ETH_ALEN + 1] = ETH_P_IPV6 & 0xff;
	memcpy(frame + ETH_HLEN, upcall->packet, upcall->length);
	(void)send(path->packets, frame, ETH_HLEN + upcall->length, MSG_DONTWAIT);
}

static void goes_on(void *context, const struct address *address)
{
	struct kernel_path *path = context;
	struct client *client = find_client(path, address);

	if (client)
		client->sweep = path->sweep;
}

/* A walk must not change the tree, so those that go are collected. */
struct unused {
	struct client *clients[256];
	size_t count;
	uint64_t before;
};

static void collect(const void *node, VISIT visit, void *context)
{
	struct client *client = *(struct client *const *)node;
	struct unused *unused = context;

	if ((visit == postorder || visit == leaf) && client->sweep < unused->before &&
	    unused->count < sizeof(unused->clients) / sizeof(unused->clients[0]))
		unused->clients[unused->count++] = client;
}

static void sweep(struct kernel_path *path)
{
	const struct flow_limits limits = { .now_ns = clock_now_ns(),
					    .tcp_idle_ns = TCP_IDLE_NS,
					    .udp_idle_ns = UDP_IDLE_NS };
	struct unused unused = { .before = path->sweep };

	path->sweep++;
	translator_sweep(&path->translator, &limits, goes_on, path);
	twalk_r(path->clients, collect, &unused);
	for (size_t i = 0; i < unused.count; i++) {
		(void)tdelete(unused.clients[i], &path->clients, compare_clients);
		forget_client(path, unused.clients[i]);
	}
}

/* The host's addresses, and the links to clients and containers. */

static bool is_link_of_ours(const char *name)
{
	return strcmp(name, INSIDE_DEVICE) == 0 || strcmp(name, OUTSIDE_DEVICE) == 0;
}

static bool is_for_clients(const struct ifaddrs *entry)
{
	static const uint8_t link_local[8] = { 0xfe, 0x80 }; /* RFC 4291 section 2.5.6 */
	const struct sockaddr_in6 *ip = (const void *)entry->ifa_addr;

	return entry->ifa_addr && entry->ifa_addr->sa_family == AF_INET6 &&
	       (entry->ifa_flags & IFF_UP) && !(entry->ifa_flags & IFF_LOOPBACK) &&
	       memcmp(&ip->sin6_addr, link_local, sizeof(link_local)) != 0 &&
	       !is_link_of_ours(entry->ifa_name);
}

/* The least of all links to clients. */
static uint32_t find_mtu(void)
{
	OWNED_FD fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifaddrs *list;
	uint32_t least = MTU_USUAL;

	if (fd < 0 || getifaddrs(&list) < 0)
		return IPV6_MTU_LEAST;
	for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
		struct ifreq link = { 0 };

		if (!is_for_clients(entry))
			continue;
		(void)snprintf(link.ifr_name, sizeof(link.ifr_name), "%s", entry->ifa_name);
		if (ioctl(fd, SIOCGIFMTU, &link) == 0 && link.ifr_mtu < (int)least)
			least = (uint32_t)link.ifr_mtu;
	}
	freeifaddrs(list);
	return least > IPV6_MTU_LEAST ? least : IPV6_MTU_LEAST;
}

static bool is_wanted(const struct rule *rule, const struct address *host)
{
	static const uint8_t any[16];

	return rule->host.family == AF_INET6 && (memcmp(rule->host.ip, any, sizeof(any)) == 0 ||
						 memcmp(rule->host.ip, host->ip, sizeof(any)) == 0);
}

static void publish_at(struct kernel_path *path, const struct address *host)
{
	for (size_t i = 0; i < path->rules_count; i++) {
		const struct rule *rule = &path->rules[i].rule;
		struct address where = *host;

		where.port = rule->host.port;
		if (is_wanted(rule, host))
			(void)translator_publish(&path->translator, rule->protocol, &where,
						 &rule->container, &path->rules[i].aim,
						 (uint32_t)i);
	}
}

static bool has_ethernet_header(const struct ifaddrs *list, const char *name)
{
	for (; list; list = list->ifa_next)
		if (list->ifa_addr && list->ifa_addr->sa_family == AF_PACKET &&
		    strcmp(list->ifa_name, name) == 0)
			return ((const struct sockaddr_ll *)(const void *)list->ifa_addr)
				       ->sll_halen == ETH_ALEN;
	return false;
}

/* What there is now; what has gone meanwhile stays published, and nobody comes there. */
static void look_at_links(struct kernel_path *path)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
		struct address host = { .family = AF_INET6 };

		if (!is_for_clients(entry))
			continue;
		memcpy(host.ip,
		       &((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr,
		       sizeof(host.ip));
		publish_at(path, &host);
		(void)translator_attach_uplink(&path->translator, if_nametoindex(entry->ifa_name),
					       has_ethernet_header(list, entry->ifa_name));
	}
	freeifaddrs(list);
}

static void *run(void *context)
{
	struct kernel_path *path = context;
	struct pollfd waits[] = { { .fd = path->stop, .events = POLLIN },
				  { .fd = translator_upcall_fd(&path->translator),
				    .events = POLLIN } };
	uint64_t turn_ns = clock_now_ns(), turns = 0;

	while (waits[0].revents == 0) {
		(void)poll(waits, 2, TURN_MS);
		pthread_mutex_lock(&path->lock);
		translator_take_upcalls(&path->translator);
		if (clock_now_ns() - turn_ns >= TURN_MS * NS_PER_MS) {
			turn_ns = clock_now_ns();
			look_at_links(path);
			if (++turns % SWEEP_TURNS == 0)
				sweep(path);
		}
		pthread_mutex_unlock(&path->lock);
	}
	return NULL;
}

static int open_packets(const struct inside *inside)
{
	const struct sockaddr_ll outside = { .sll_family = AF_PACKET,
					     .sll_ifindex = (int)inside->outside_ifindex };
	OWNED_FD fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&outside, sizeof(outside)) < 0)
		return -errno;
	return fd_take(&fd);
}

static int start(struct kernel_path *path)
{
	int r;

	path->packets = open_packets(&path->inside);
	if (path->packets < 0)
		return path->packets;
	path->stop = eventfd(0, EFD_CLOEXEC);
	if (path->stop < 0)
		return -errno;
	r = pthread_create(&path->thread, NULL, run, path);
	if (r > 0)
		fd_close(&path->stop);
	return -r;
}

int kernel_path_open(struct kernel_path *path, struct pseudo *pseudo, const struct prefix *pool,
		     const struct prefix *transit, struct error *err)
{
	uint32_t mtu = find_mtu() - HEADER_GROWTH;
	struct translator_settings settings = { .pool = *pool,
						.transit = *transit,
						.mtu = mtu,
						.called_up = called_up,
						.context = path };
	int r;

	*path = (struct kernel_path){
		.pseudo = pseudo, .packets = -1, .stop = -1, .transit = *transit
	};
	pthread_mutex_init(&path->lock, NULL);
	r = inside_open(&path->inside, transit, mtu - FRAGMENT_HEADER_BYTES, err);
	if (r < 0)
		return r;
	settings.inside = path->inside;
	r = forwarding_open(pool, transit, err);
	if (r == 0)
		r = translator_open(&path->translator, &settings, err);
	if (r == 0) {
		r = start(path);
		if (r < 0)
			error_set(err, r, "the kernel path: %s%s", error_name(r),
				  r == -EPERM ? ": to send packets of clients once more, this "
						"process needs CAP_NET_RAW"
					      : "");
	}
	if (r < 0)
		kernel_path_close(path);
	return r;
}

static void free_client(void *client)
{
	free(client);
}

void kernel_path_close(struct kernel_path *path)
{
	uint64_t one = 1;

	if (path->stop >= 0) {
		(void)!write(path->stop, &one, sizeof(one));
		(void)pthread_join(path->thread, NULL);
		fd_close(&path->stop);
	}
	translator_close(&path->translator);
	forwarding_close();
	inside_close();
	fd_close(&path->packets);
	tdestroy(path->clients, free_client);
	free(path->rules);
	pthread_mutex_destroy(&path->lock);
}

/* Whether the host forwards what comes from a link. */
static bool is_forwarding(const char *link)
{
	char path[96], value[8] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%.15s/forwarding", link);
	file = fopen(path, "re");
	if (!file)
		return false;
	(void)!fgets(value, sizeof(value), file);
	(void)fclose(file);
	return value[0] == '1';
}

/* With an aim of its own, if it needs one: one of the transit range, that of no service. */
static int add_rule(struct kernel_path *path, const struct rule *rule, struct error *err)
{
	struct kernel_rule *rules = reallocarray(path->rules, path->rules_count + 1,
						 sizeof(*rules));
	struct kernel_rule *added;
	int r = 0;

	if (!rules)
		return error_set(err, -ENOMEM, "the kernel path: no memory for a rule");
	path->rules = rules;
	added = &rules[path->rules_count];
	*added = (struct kernel_rule){ .rule = *rule, .aim = rule->container };
	if (forwarding_needs_aims()) {
		memcpy(added->aim.ip, path->transit.ip, sizeof(added->aim.ip));
		added->aim.ip[2] |= (uint8_t)((path->rules_count + 1) >> 8);
		added->aim.ip[3] |= (uint8_t)(path->rules_count + 1);
		r = forwarding_add_aim(&added->aim, &rule->container, err);
	}
	if (r == 0)
		path->rules_count++;
	return r;
}

int kernel_path_add(struct kernel_path *path, const struct rule *rule, struct error *err)
{
	char text[ADDRESS_TEXT_MAX];
	struct pool_way way;
	uint32_t ifindex;
	int r = pool_route_find_way(&rule->container, &way);

	if (r < 0)
		return error_set(err, r, "the kernel path: there is no way to the container: %s",
				 error_name(r));
	ifindex = if_nametoindex(way.device);
	if (ifindex == 0 || way.is_local)
		return error_set(err, -EHOSTUNREACH,
				 "the kernel path leads to containers, and %s is this host's own",
				 address_format_ip(&rule->container, text));
	if (!is_forwarding(way.device) || !is_forwarding("default"))
		return error_set(err, -ENONET,
				 "the kernel path needs this host to forward IPv4: set "
				 "net.ipv4.ip_forward=1 with sysctl(8)");
	pthread_mutex_lock(&path->lock);
	r = add_rule(path, rule, err);
	if (r == 0) {
		r = translator_attach_containers(&path->translator, ifindex);
		if (r < 0)
			error_set(err, r, "the kernel path: %s: %s", way.device, error_name(r));
		look_at_links(path);
	}
	pthread_mutex_unlock(&path->lock);
	return r;
}
