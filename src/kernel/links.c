/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/links.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "kernel/inside.h"
#include "kernel/maps.h"

/* Where there is no link to clients yet. */
#define MTU_USUAL 1500

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

bool link_has_ethernet(const char *name)
{
	OWNED_FD fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq link = { 0 };

	(void)snprintf(link.ifr_name, sizeof(link.ifr_name), "%s", name);
	return fd >= 0 && ioctl(fd, SIOCGIFHWADDR, &link) == 0 &&
	       link.ifr_hwaddr.sa_family == ARPHRD_ETHER;
}

static bool has_ipv4(const struct ifaddrs *list, const char *name)
{
	for (; list; list = list->ifa_next)
		if (list->ifa_addr && list->ifa_addr->sa_family == AF_INET &&
		    strcmp(list->ifa_name, name) == 0)
			return true;
	return false;
}

static void describe(const struct ifaddrs *list, const struct ifaddrs *entry,
		     struct link_address *ret)
{
	const struct sockaddr_in6 *ip = (const void *)entry->ifa_addr;

	*ret = (struct link_address){ .host = { .family = AF_INET6 },
				      .ifindex = if_nametoindex(entry->ifa_name),
				      .has_header = link_has_ethernet(entry->ifa_name),
				      .has_ipv4 = has_ipv4(list, entry->ifa_name) };
	memcpy(ret->host.ip, &ip->sin6_addr, sizeof(ret->host.ip));
}

int links_read(struct link_address **ret)
{
	struct link_address *found = calloc(LINKS_ADDRESSES_MAX, sizeof(*found));
	struct ifaddrs *list;
	int count = 0;

	if (!found)
		return -ENOMEM;
	if (getifaddrs(&list) < 0) {
		free(found);
		return -errno;
	}
	for (const struct ifaddrs *entry = list; entry && count < LINKS_ADDRESSES_MAX;
	     entry = entry->ifa_next)
		if (is_for_clients(entry))
			describe(list, entry, &found[count++]);
	freeifaddrs(list);
	*ret = found;
	return count;
}

uint32_t links_mtu(void)
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
