/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pool_route.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BUFFER_BYTES 8192

/* A request, and who gets its answers. */
struct talk {
	struct mnl_socket *socket;
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	struct nlmsghdr *message;
};

static int talk_begin(struct talk *talk, uint16_t type, uint16_t flags)
{
	talk->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!talk->socket)
		return -errno;
	if (mnl_socket_bind(talk->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		(void)mnl_socket_close(talk->socket);
		return r;
	}
	talk->message = mnl_nlmsg_put_header(talk->buffer);
	talk->message->nlmsg_type = type;
	talk->message->nlmsg_flags = NLM_F_REQUEST | flags;
	talk->message->nlmsg_seq = (uint32_t)time(NULL);
	return 0;
}

/* Sends the request, and shows each answer. Ends the talk. */
static int talk_end(struct talk *talk, mnl_cb_t show, void *context)
{
	uint32_t sequence = talk->message->nlmsg_seq;
	uint32_t port = mnl_socket_get_portid(talk->socket);
	int r = 0, more = MNL_CB_OK;

	if (mnl_socket_sendto(talk->socket, talk->message, talk->message->nlmsg_len) < 0)
		r = -errno;
	while (r == 0 && more > MNL_CB_STOP) {
		ssize_t got = mnl_socket_recvfrom(talk->socket, talk->buffer, sizeof(talk->buffer));

		if (got < 0) {
			r = -errno;
			break;
		}
		more = mnl_cb_run(talk->buffer, (size_t)got, sequence, port, show, context);
		if (more < 0)
			r = -errno;
	}
	(void)mnl_socket_close(talk->socket);
	return r;
}

static int change(const struct prefix *pool, uint16_t type, uint16_t flags)
{
	unsigned int loopback = if_nametoindex("lo");
	struct talk talk;
	struct rtmsg *route;
	int r = talk_begin(&talk, type, NLM_F_ACK | flags);

	if (r < 0)
		return r;
	route = mnl_nlmsg_put_extra_header(talk.message, sizeof(*route));
	route->rtm_family = AF_INET;
	route->rtm_dst_len = pool->length;
	route->rtm_table = RT_TABLE_LOCAL;
	route->rtm_protocol = POOL_ROUTE_PROTOCOL;
	route->rtm_scope = RT_SCOPE_HOST;
	route->rtm_type = RTN_LOCAL;
	mnl_attr_put(talk.message, RTA_DST, 4, pool->ip);
	mnl_attr_put_u32(talk.message, RTA_OIF, loopback);
	return talk_end(&talk, NULL, NULL);
}

int pool_route_add(const struct prefix *pool)
{
	int r = change(pool, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);

	return r == -EEXIST ? 0 : r;
}

int pool_route_remove(const struct prefix *pool)
{
	int r = change(pool, RTM_DELROUTE, 0);

	return r == -ESRCH || r == -ENOENT ? 0 : r;
}

static int read_attribute(const struct nlattr *attribute, void *context)
{
	struct pool_route *route = context;

	switch (mnl_attr_get_type(attribute)) {
	case RTA_DST:
		if (mnl_attr_get_payload_len(attribute) == 4)
			memcpy(route->destination.ip, mnl_attr_get_payload(attribute), 4);
		break;
	case RTA_OIF:
		if (mnl_attr_get_payload_len(attribute) == 4)
			route->interface = mnl_attr_get_u32(attribute);
		break;
	case RTA_GATEWAY:
	case RTA_VIA:
	case RTA_MULTIPATH:
		route->is_via_gateway = true;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static bool read_route(const struct nlmsghdr *message, struct pool_route *ret)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);

	if (message->nlmsg_type != RTM_NEWROUTE || header->rtm_family != AF_INET)
		return false;
	*ret = (struct pool_route){
		.destination = { .length = header->rtm_dst_len, .family = AF_INET },
		.is_ours = header->rtm_protocol == POOL_ROUTE_PROTOCOL,
	};
	return mnl_attr_parse(message, sizeof(*header), read_attribute, ret) >= 0;
}

struct listing {
	bool (*show)(void *context, const struct pool_route *route);
	void *context;
	bool done;
};

static int show_route(const struct nlmsghdr *message, void *context)
{
	struct listing *listing = context;
	struct pool_route route;

	if (!listing->done && read_route(message, &route) && route.destination.length > 0)
		listing->done = !listing->show(listing->context, &route);
	return MNL_CB_OK; /* to the end of what the kernel has to say */
}

int pool_route_list(bool (*show)(void *context, const struct pool_route *route), void *context)
{
	struct listing listing = { .show = show, .context = context };
	struct talk talk;
	struct rtmsg *header;
	int r = talk_begin(&talk, RTM_GETROUTE, NLM_F_DUMP);

	if (r < 0)
		return r;
	header = mnl_nlmsg_put_extra_header(talk.message, sizeof(*header));
	header->rtm_family = AF_INET;
	return talk_end(&talk, show_route, &listing);
}

static int take_route(const struct nlmsghdr *message, void *context)
{
	(void)read_route(message, context);
	return MNL_CB_OK;
}

int pool_route_to(const struct address *address, struct pool_route *ret)
{
	struct talk talk;
	struct rtmsg *header;
	int r = talk_begin(&talk, RTM_GETROUTE, NLM_F_ACK);

	if (r < 0)
		return r;
	*ret = (struct pool_route){ .interface = 0 };
	header = mnl_nlmsg_put_extra_header(talk.message, sizeof(*header));
	header->rtm_family = AF_INET;
	header->rtm_dst_len = 32;
	mnl_attr_put(talk.message, RTA_DST, 4, address->ip);
	return talk_end(&talk, take_route, ret);
}

static int read_info(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND &&
	    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
		(void)snprintf(context, POOL_ROUTE_KIND_MAX, "%s", mnl_attr_get_str(attribute));
	return MNL_CB_OK;
}

static int read_link_attribute(const struct nlattr *attribute, void *context)
{
	if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
		(void)mnl_attr_parse_nested(attribute, read_info, context);
	return MNL_CB_OK;
}

static int take_kind(const struct nlmsghdr *message, void *context)
{
	if (message->nlmsg_type == RTM_NEWLINK)
		(void)mnl_attr_parse(message, sizeof(struct ifinfomsg), read_link_attribute,
				     context);
	return MNL_CB_OK;
}

int pool_route_interface_kind(unsigned int interface, char ret[POOL_ROUTE_KIND_MAX])
{
	struct talk talk;
	struct ifinfomsg *header;
	int r = talk_begin(&talk, RTM_GETLINK, NLM_F_ACK);

	if (r < 0)
		return r;
	ret[0] = '\0';
	header = mnl_nlmsg_put_extra_header(talk.message, sizeof(*header));
	header->ifi_index = (int)interface;
	return talk_end(&talk, take_kind, ret);
}
