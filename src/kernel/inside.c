/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/inside.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "identity/netlink.h"

/* For any packet that is not larger than those of Ethernet. */
#define LINK_MTU 9000

/* Made up, and local (IEEE 802: bit 1 of the first byte). */
static const uint8_t inside_mac[ETH_ALEN] = { 0x02, 0xfa, 0x1e, 0xad, 0x00, 0x00 };
static const uint8_t outside_mac[ETH_ALEN] = { 0x02, 0xfa, 0x1e, 0xad, 0x00, 0x01 };

static int cannot(int r, const char *what, struct error *err)
{
	if (r == -EPERM)
		return error_set(err, r,
				 "the kernel path needs a device of its own, and to make it this "
				 "process needs CAP_NET_ADMIN");
	return error_set(err, r, "the kernel path: %s: %s", what, error_name(r));
}

/* Every packet is one, not many in one piece. A half of a pair cannot be up before it is whole. */
static void put_link(struct nlmsghdr *request, struct ifinfomsg *link, const char *name,
		     const uint8_t mac[ETH_ALEN])
{
	link->ifi_family = AF_UNSPEC;
	link->ifi_flags = link->ifi_change = IFF_NOARP;
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	mnl_attr_put(request, IFLA_ADDRESS, ETH_ALEN, mac);
	mnl_attr_put_u32(request, IFLA_MTU, LINK_MTU);
	mnl_attr_put_u32(request, IFLA_GSO_MAX_SEGS, 1);
}

static int make_pair(void)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct ifinfomsg *header;
	struct nlmsghdr *request = netlink_begin(buffer, RTM_NEWLINK,
						 NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
						 sizeof(*header), (void **)&header);
	struct nlattr *info, *data, *peer;

	put_link(request, header, INSIDE_DEVICE, inside_mac);
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(request, VETH_INFO_PEER);
	header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	put_link(request, header, OUTSIDE_DEVICE, outside_mac);
	mnl_attr_nest_end(request, peer);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	return netlink_ask(NETLINK_ROUTE, request, NULL, NULL);
}

static int bring_up(uint32_t ifindex)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct ifinfomsg *header;
	struct nlmsghdr *request = netlink_begin(buffer, RTM_NEWLINK, NLM_F_ACK, sizeof(*header),
						 (void **)&header);

	header->ifi_family = AF_UNSPEC;
	header->ifi_index = (int)ifindex;
	header->ifi_flags = header->ifi_change = IFF_UP;
	return netlink_ask(NETLINK_ROUTE, request, NULL, NULL);
}

static int remove_pair(void)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct ifinfomsg *header;
	struct nlmsghdr *request = netlink_begin(buffer, RTM_DELLINK, NLM_F_ACK, sizeof(*header),
						 (void **)&header);

	header->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(request, IFLA_IFNAME, INSIDE_DEVICE);
	return netlink_ask(NETLINK_ROUTE, request, NULL, NULL);
}

/* The MTU is the route's: a link of less than 1280 bytes could not have IPv6. */
static int add_route(const struct prefix *transit, uint32_t ifindex, uint32_t mtu, uint16_t flag)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct rtmsg *header;
	struct nlmsghdr *request = netlink_begin(buffer, RTM_NEWROUTE,
						 NLM_F_CREATE | flag | NLM_F_ACK, sizeof(*header),
						 (void **)&header);
	struct nlattr *metrics;

	header->rtm_family = AF_INET;
	header->rtm_dst_len = transit->length;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = INSIDE_ROUTE_PROTOCOL;
	header->rtm_scope = RT_SCOPE_LINK;
	header->rtm_type = RTN_UNICAST;
	mnl_attr_put(request, RTA_DST, 4, transit->ip);
	mnl_attr_put_u32(request, RTA_OIF, ifindex);
	metrics = mnl_attr_nest_start(request, RTA_METRICS);
	mnl_attr_put_u32(request, RTAX_MTU, mtu);
	mnl_attr_nest_end(request, metrics);
	return netlink_ask(NETLINK_ROUTE, request, NULL, NULL);
}

/* Of the device inside alone: the host's own stay what they are. */
static int set_option(const char *family, const char *name, const char *value)
{
	char path[128];
	FILE *file;
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/" INSIDE_DEVICE "/%s", family,
		       name);
	file = fopen(path, "we");
	if (!file)
		return -errno;
	if (fputs(value, file) < 0 || fflush(file) != 0)
		r = -errno;
	(void)fclose(file);
	return r;
}

static int set_options(void)
{
	static const char *const options[][3] = {
		{ "ipv4", "forwarding", "1" },	 /* of what comes from there */
		{ "ipv4", "accept_local", "1" }, /* the pool is this host's */
		{ "ipv4", "rp_filter", "0" },	 { "ipv6", "disable_ipv6", "0" },
		{ "ipv6", "forwarding", "1" }, /* else no route is found for what comes from there */
		{ "ipv6", "accept_ra", "0" },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int r = set_option(options[i][0], options[i][1], options[i][2]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Each step may have been done by an earlier run. */
static int set_up(struct inside *inside, struct error *err)
{
	int r = set_options();

	if (r < 0)
		return cannot(r, "options of " INSIDE_DEVICE " in /proc/sys", err);
	inside->ifindex = if_nametoindex(INSIDE_DEVICE);
	inside->outside_ifindex = if_nametoindex(OUTSIDE_DEVICE);
	memcpy(inside->mac, inside_mac, ETH_ALEN);
	memcpy(inside->outside_mac, outside_mac, ETH_ALEN);
	r = bring_up(inside->ifindex);
	if (r == 0)
		r = bring_up(inside->outside_ifindex);
	if (r < 0)
		return cannot(r, "the devices " INSIDE_DEVICE " and " OUTSIDE_DEVICE, err);
	return 0;
}

/* Whether the route is there is what tells that an earlier run had the same range. */
static bool is_there(const struct prefix *transit, uint32_t mtu)
{
	uint32_t ifindex = if_nametoindex(INSIDE_DEVICE);

	return ifindex > 0 && if_nametoindex(OUTSIDE_DEVICE) > 0 &&
	       add_route(transit, ifindex, mtu, NLM_F_EXCL) == -EEXIST &&
	       add_route(transit, ifindex, mtu, NLM_F_REPLACE) == 0;
}

static int make_anew(const struct prefix *transit, uint32_t mtu, struct inside *inside,
		     struct error *err)
{
	int r = remove_pair();

	if (r == 0 || r == -ENODEV)
		r = make_pair();
	if (r < 0)
		return cannot(r, "the devices " INSIDE_DEVICE " and " OUTSIDE_DEVICE, err);
	r = set_up(inside, err);
	if (r < 0)
		return r;
	r = add_route(transit, inside->ifindex, mtu, NLM_F_EXCL);
	return r < 0 ? cannot(r, "the route of its transit addresses", err) : 0;
}

int inside_open(struct inside *inside, const struct prefix *transit, uint32_t mtu,
		struct error *err)
{
	int r;

	if (is_there(transit, mtu) && set_up(inside, err) == 0)
		return 0;
	r = make_anew(transit, mtu, inside, err);
	if (r < 0)
		(void)inside_close();
	return r;
}

int inside_close(void)
{
	return remove_pair();
}
