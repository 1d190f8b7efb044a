/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pool_route.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "identity/netlink.h"

/* A list that has changed while it was read is read again, this often. */
#define TRIES 8

/* Ours, found at a time; there is one, but after a crash and a change of settings. */
#define STALE_MAX 16

/*
 * Prefixes shorter than this are not some network's, but a share of the default route, as the halves
 * 0.0.0.0/1 and 128.0.0.0/1 that VPNs set.
 */
#define NETWORK_LENGTH_LEAST 8

/* What is wanted of a route's attributes. */
struct route {
	uint8_t type, protocol;
	struct prefix to;
	uint32_t interface;
	struct address gateway;
};

static void read_ip(const struct nlattr *attribute, uint8_t ip[16])
{
	if (mnl_attr_validate2(attribute, MNL_TYPE_UNSPEC, 4) == 0)
		memcpy(ip, mnl_attr_get_payload(attribute), 4);
}

static int read_route_attribute(const struct nlattr *attribute, void *context)
{
	struct route *route = context;

	switch (mnl_attr_get_type(attribute)) {
	case RTA_DST:
		read_ip(attribute, route->to.ip);
		break;
	case RTA_OIF:
		if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
			route->interface = mnl_attr_get_u32(attribute);
		break;
	case RTA_GATEWAY:
		route->gateway.family = AF_INET;
		read_ip(attribute, route->gateway.ip);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

/* False where it is none of the table, but learned on the way (RTM_F_CLONED). */
static bool read_route(const struct nlmsghdr *message, struct route *ret)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);

	*ret = (struct route){ 0 };
	if (message->nlmsg_type != RTM_NEWROUTE || header->rtm_family != AF_INET)
		return false;
	ret->type = header->rtm_type;
	ret->protocol = header->rtm_protocol;
	ret->to.family = AF_INET;
	ret->to.length = header->rtm_dst_len;
	(void)mnl_attr_parse(message, sizeof(*header), read_route_attribute, ret);
	return !(header->rtm_flags & RTM_F_CLONED);
}

static bool is_ours(const struct route *route)
{
	return route->type == RTN_LOCAL && route->protocol == POOL_ROUTE_PROTOCOL;
}

static bool is_same(const struct prefix *a, const struct prefix *b)
{
	return a->length == b->length && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* Whether a whole prefix is in another one. */
static bool is_within(const struct prefix *inner, const struct prefix *outer)
{
	struct address first = { .family = inner->family };

	memcpy(first.ip, inner->ip, sizeof(first.ip));
	return inner->length >= outer->length && prefix_contains(outer, &first);
}

static bool is_in_the_way(const struct route *route, const struct prefix *pool)
{
	if (is_ours(route) || (route->type != RTN_UNICAST && route->type != RTN_LOCAL))
		return false;
	return is_within(&route->to, pool) ||
	       (route->to.length >= NETWORK_LENGTH_LEAST && is_within(pool, &route->to));
}

/* Lists all routes of IPv4, of all tables. */
static int list_routes(mnl_cb_t take, void *context)
{
	char buffer[NETLINK_REQUEST_MAX];
	void *header;
	struct nlmsghdr *request = netlink_begin(buffer, RTM_GETROUTE, NLM_F_DUMP,
						 sizeof(struct rtmsg), &header);

	((struct rtmsg *)header)->rtm_family = AF_INET;
	return netlink_ask(NETLINK_ROUTE, request, take, context);
}

static int cannot_list(int r, struct error *err)
{
	if (r == -EAFNOSUPPORT)
		return error_set(err, r,
				 "pseudo-IPv4 addresses need a route, and this process may not use "
				 "netlink: add AF_NETLINK to RestrictAddressFamilies of its unit");
	return error_set(err, r, "pseudo-IPv4 addresses: the host's routes cannot be read: %s",
			 error_name(r));
}

struct search {
	const struct prefix *pool;
	struct route found;
	bool has_found;
};

static int find_in_the_way(const struct nlmsghdr *message, void *context)
{
	struct search *search = context;
	struct route route;

	if (!search->has_found && read_route(message, &route) &&
	    is_in_the_way(&route, search->pool)) {
		search->has_found = true;
		search->found = route;
	}
	return MNL_CB_OK;
}

static int refuse(const struct search *search, struct error *err)
{
	char pool[PREFIX_TEXT_MAX], to[PREFIX_TEXT_MAX], device[IF_NAMESIZE];
	const struct route *route = &search->found;
	bool is_address = route->type == RTN_LOCAL && route->to.length == 32;

	if (!if_indextoname(route->interface, device))
		(void)snprintf(device, sizeof(device), "several");
	return error_set(err, -EADDRINUSE,
			 "pseudo-IPv4 addresses cannot be %s: this host has %s %s on interface %s; "
			 "choose another pseudo_pool, like 198.18.0.0/15",
			 prefix_format(search->pool, pool),
			 is_address ? "the address" : "a route to", prefix_format(&route->to, to),
			 device);
}

int pool_route_check_free(const struct prefix *pool, struct error *err)
{
	struct search search = { .pool = pool };
	int r = -EINTR;

	for (int i = 0; i < TRIES && r == -EINTR && !search.has_found; i++)
		r = list_routes(find_in_the_way, &search);
	if (search.has_found)
		return refuse(&search, err);
	return r < 0 ? cannot_list(r, err) : 0;
}

/* Adds or removes ours. The kernel removes none of another protocol (fib_table_delete()). */
static int change(uint16_t type, uint16_t flags, const struct prefix *pool)
{
	char buffer[NETLINK_REQUEST_MAX];
	void *header;
	struct nlmsghdr *request = netlink_begin(buffer, type, NLM_F_ACK | flags,
						 sizeof(struct rtmsg), &header);

	*(struct rtmsg *)header = (struct rtmsg){
		.rtm_family = AF_INET,
		.rtm_dst_len = pool->length,
		.rtm_table = RT_TABLE_LOCAL,
		.rtm_protocol = POOL_ROUTE_PROTOCOL,
		.rtm_scope = RT_SCOPE_HOST,
		.rtm_type = RTN_LOCAL,
	};
	mnl_attr_put(request, RTA_DST, 4, pool->ip);
	mnl_attr_put_u32(request, RTA_OIF, if_nametoindex("lo"));
	return netlink_ask(NETLINK_ROUTE, request, NULL, NULL);
}

static int cannot_change(int r, const struct prefix *pool, struct error *err)
{
	char text[PREFIX_TEXT_MAX];

	prefix_format(pool, text);
	if (r == -EPERM)
		return error_set(err, r,
				 "pseudo-IPv4 addresses need the route 'local %s dev lo', and to "
				 "change routes this process needs CAP_NET_ADMIN",
				 text);
	return error_set(err, r, "pseudo-IPv4 addresses: the route 'local %s dev lo': %s", text,
			 error_name(r));
}

int pool_route_add(const struct prefix *pool, struct error *err)
{
	int r = change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, pool);

	return r < 0 && r != -EEXIST ? cannot_change(r, pool, err) : r;
}

struct stale {
	const struct prefix *kept;
	struct prefix found[STALE_MAX];
	int count;
};

static int find_stale(const struct nlmsghdr *message, void *context)
{
	struct stale *stale = context;
	struct route route;

	if (stale->count < STALE_MAX && read_route(message, &route) && is_ours(&route) &&
	    !(stale->kept && is_same(&route.to, stale->kept)))
		stale->found[stale->count++] = route.to;
	return MNL_CB_OK;
}

int pool_route_remove_others(const struct prefix *pool, struct error *err)
{
	int removed = 0, r = -EINTR;

	for (int tries = 0; tries < TRIES; tries++) {
		struct stale stale = { .kept = pool };

		r = list_routes(find_stale, &stale);
		if (r < 0 && r != -EINTR)
			return cannot_list(r, err);
		for (int i = 0; i < stale.count; i++, removed++) {
			int changed = change(RTM_DELROUTE, 0, &stale.found[i]);

			if (changed < 0 && changed != -ESRCH)
				return cannot_change(changed, &stale.found[i], err);
		}
		if (r == 0 && stale.count < STALE_MAX)
			break;
	}
	return r < 0 ? cannot_list(r, err) : removed;
}

/* Ways. */

static int take_route(const struct nlmsghdr *message, void *context)
{
	(void)read_route(message, context);
	return MNL_CB_OK;
}

static int read_kind(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND &&
	    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
		(void)snprintf(context, IF_NAMESIZE, "%s", mnl_attr_get_str(attribute));
	return MNL_CB_OK;
}

static int read_link_attribute(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
		(void)mnl_attr_parse_nested(attribute, read_kind, context);
	return MNL_CB_OK;
}

static int take_link(const struct nlmsghdr *message, void *context)
{
	(void)mnl_attr_parse(message, sizeof(struct ifinfomsg), read_link_attribute, context);
	return MNL_CB_OK;
}

static void find_device(uint32_t interface, struct pool_way *way)
{
	char buffer[NETLINK_REQUEST_MAX];
	void *header;
	struct nlmsghdr *request = netlink_begin(buffer, RTM_GETLINK, NLM_F_ACK,
						 sizeof(struct ifinfomsg), &header);

	((struct ifinfomsg *)header)->ifi_index = (int)interface;
	(void)netlink_ask(NETLINK_ROUTE, request, take_link, way->kind);
	if (!if_indextoname(interface, way->device))
		way->device[0] = '\0';
}

int pool_route_find_way(const struct address *to, struct pool_way *ret)
{
	char buffer[NETLINK_REQUEST_MAX];
	void *header;
	struct nlmsghdr *request = netlink_begin(buffer, RTM_GETROUTE, NLM_F_ACK,
						 sizeof(struct rtmsg), &header);
	struct route route = { 0 };
	int r;

	((struct rtmsg *)header)->rtm_family = AF_INET;
	((struct rtmsg *)header)->rtm_dst_len = 32;
	mnl_attr_put(request, RTA_DST, 4, to->ip);
	r = netlink_ask(NETLINK_ROUTE, request, take_route, &route);
	if (r < 0)
		return r;
	*ret = (struct pool_way){ .is_local = route.type == RTN_LOCAL, .gateway = route.gateway };
	find_device(route.interface, ret);
	return 0;
}
