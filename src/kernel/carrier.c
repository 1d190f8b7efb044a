/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/carrier.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "kernel/pins.h"
#include "kernel/upcall.h"
#include "model/pseudo.h"

/* What a fragment of IPv6 has besides (RFC 8200 section 4.5). */
#define FRAGMENT_HEADER_BYTES 8

void carrier_init(struct carrier *carrier, const struct carrier_settings *settings)
{
	*carrier = (struct carrier){ .settings = *settings, .packets = -1 };
}

/* A client's first packet: it gets an address, and then the packet its translation. */
static void called_up(void *context, struct upcall *upcall)
{
	struct carrier *carrier = context;
	uint8_t frame[ETH_HLEN + UPCALL_BYTES_MAX];
	struct address address;

	if (!upcall_client(upcall, &address) || !clients_admit(&carrier->clients, &address))
		return;
	upcall_complete(upcall);
	memcpy(frame, carrier->inside.mac, ETH_ALEN);
	memcpy(frame + ETH_ALEN, carrier->inside.outside_mac, ETH_ALEN);
	frame[2 * ETH_ALEN] = ETH_P_IPV6 >> 8;
	frame[2 * ETH_ALEN + 1] = ETH_P_IPV6 & 0xff;
	memcpy(frame + ETH_HLEN, upcall->packet, upcall->length);
	(void)send(carrier->packets, frame, ETH_HLEN + upcall->length, MSG_DONTWAIT);
}

void carrier_tell(struct carrier *carrier, const struct error *err)
{
	if (!carrier->settings.told || strcmp(carrier->told.text, err->text) == 0)
		return;
	carrier->told = *err;
	carrier->settings.told(carrier->settings.context, err);
}

/* Opening and closing. */

static int open_packets(const struct inside *inside, struct error *err)
{
	const struct sockaddr_ll outside = { .sll_family = AF_PACKET,
					     .sll_ifindex = (int)inside->outside_ifindex };
	OWNED_FD fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&outside, sizeof(outside)) == 0)
		return fd_take(&fd);
	return error_set(err, -errno, "the kernel path: %s%s", error_name(errno),
			 errno == EPERM ? ": to send packets of clients once more, this process "
					  "needs CAP_NET_RAW"
					: "");
}

void carrier_close(struct carrier *carrier, bool keeps)
{
	services_fini(&carrier->services);
	flow_table_fini(&carrier->flows);
	clients_fini(&carrier->clients);
	translator_close(&carrier->translator, keeps);
	forwarding_fini(&carrier->forwarding, keeps);
	fd_close(&carrier->packets);
	if (!keeps)
		(void)inside_close();
	carrier->is_open = false;
}

/* Clients of an earlier run keep the address that they have, if the store says the same. */
static void adopt_client(void *context, const struct address *client, const struct address *pseudo)
{
	struct carrier *carrier = context;

	(void)pseudo;
	if (!clients_admit(&carrier->clients, client))
		translator_remove_client(&carrier->translator, client);
}

static const char *find_pins(struct carrier *carrier)
{
	struct error err;

	if (!carrier->settings.pins || pins_can_be(carrier->settings.pins))
		return carrier->settings.pins;
	error_set(&err, 0,
		  "the kernel path's connections will not outlive this process: %.100s is not in a "
		  "BPF file system that it may write to",
		  carrier->settings.pins);
	carrier_tell(carrier, &err);
	return NULL;
}

static int open_translator(struct carrier *carrier, uint32_t mtu, struct error *err)
{
	const struct translator_settings settings = {
		.pool = carrier->settings.identities->settings.pool,
		.transit = carrier->forwarding.transit,
		.inside = carrier->inside,
		.mtu = mtu,
		.recheck_ns = carrier->settings.recheck_ns,
		.pins = find_pins(carrier),
		.called_up = called_up,
		.context = carrier,
	};

	return translator_open(&carrier->translator, &settings, err);
}

static int open_flows(struct carrier *carrier, struct error *err)
{
	const struct flow_table like = { .translator = &carrier->translator,
					 .clients = &carrier->clients,
					 .rules = &carrier->rules,
					 .observer = carrier->settings.observer,
					 .udp_idle_ns = carrier->settings.udp_idle_ns };
	int r = flow_table_init(&carrier->flows, &like);

	return r < 0 ? error_set(err, r, "the kernel path: %s", error_name(r)) : 0;
}

static int open_parts(struct carrier *carrier, struct error *err)
{
	uint32_t mtu = links_mtu() - HEADER_GROWTH;
	int r = inside_open(&carrier->inside, &carrier->forwarding.transit,
			    mtu - FRAGMENT_HEADER_BYTES, err);

	if (r == 0) {
		carrier->packets = open_packets(&carrier->inside, err);
		r = carrier->packets < 0 ? carrier->packets : 0;
	}
	if (r == 0)
		r = open_translator(carrier, mtu, err);
	return r == 0 ? open_flows(carrier, err) : r;
}

int carrier_open(struct carrier *carrier, struct error *err)
{
	struct identities *identities = carrier->settings.identities;
	const struct prefix *pool = &identities->settings.pool;
	struct prefix transit;
	int r;

	if (identities->settings.client_length != 128)
		return error_set(err, -EINVAL,
				 "the kernel path tells clients by their whole address: leave "
				 "pseudo_client_length at 128");
	r = pseudo_transit_of(pool, &carrier->settings.transit, &transit, err);
	if (r < 0)
		return r;
	forwarding_init(&carrier->forwarding, pool, &transit);
	clients_init(&carrier->clients, identities_pseudo(identities), &carrier->translator);
	services_init(&carrier->services, &carrier->translator, &carrier->rules);
	r = open_parts(carrier, err);
	if (r < 0) {
		carrier_close(carrier, false);
		return r;
	}
	carrier->is_open = true;
	translator_list_clients(&carrier->translator, adopt_client, carrier);
	return 0;
}

int carrier_cleanup(const char *pins)
{
	int count = translator_cleanup(pins) + forwarding_cleanup();

	return count + (inside_close() == 0 ? 1 : 0);
}
