/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/translator.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/pins.h"
#include "kernel/translate.skel.h"

/* Flows that are read by one system call. */
#define BATCH 4096

#define PROCESSORS_MAX 1024

static int report_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static __be32 ipv4_of(const uint8_t ip[16])
{
	__be32 value;

	memcpy(&value, ip, sizeof(value));
	return value;
}

static struct in6_addr in6_of(const uint8_t ip[16])
{
	struct in6_addr value;

	memcpy(&value, ip, sizeof(value));
	return value;
}

static uint8_t number_of(enum protocol protocol)
{
	return protocol == PROTOCOL_UDP ? IPPROTO_UDP : IPPROTO_TCP;
}

/* tc_index is for queueing disciplines to tell kinds of packets apart; 0 stands for none. */
#define ASKS_FORWARD 0xfa1

static void set_constants(struct translator *translator)
{
	const struct translator_settings *settings = &translator->settings;
	struct translate__rodata *constants = translator->programs->rodata;

	constants->pool = ipv4_of(settings->pool.ip);
	constants->pool_mask = htonl(UINT32_MAX << (32 - settings->pool.length));
	constants->transit = ipv4_of(settings->transit.ip);
	constants->inside_ifindex = settings->inside.ifindex;
	constants->outside_ifindex = settings->inside.outside_ifindex;
	constants->mtu_inside = settings->mtu;
	constants->recheck_ns = settings->recheck_ns;
	constants->asks_forward = ASKS_FORWARD;
	memcpy((void *)constants->inside_mac, settings->inside.mac, ETH_ALEN);
}

static int cannot_load(int r, struct error *err)
{
	if (r == -EACCES) /* the verifier's word, when it has not looked at capabilities */
		return error_set(err, r,
				 "the kernel path's programs cannot be loaded: this kernel's "
				 "verifier refuses them");
	if (r == -EPERM)
		return error_set(err, r,
				 "the kernel path's programs cannot be loaded: this process needs "
				 "CAP_BPF and CAP_NET_ADMIN");
	return error_set(err, r,
			 "the kernel path's programs cannot be loaded, which needs Linux 5.15 or "
			 "later: %s",
			 error_name(r));
}

static struct translator_link *find_link(struct translator *translator, uint32_t ifindex,
					 enum filter_place place)
{
	for (uint32_t i = 0; i < translator->links_count; i++)
		if (translator->links[i].ifindex == ifindex && translator->links[i].place == place)
			return &translator->links[i];
	return NULL;
}

/* Links come and go, as those of an engine's networks do. */
static void forget_gone_links(struct translator *translator)
{
	char name[IF_NAMESIZE];
	uint32_t kept = 0;

	for (uint32_t i = 0; i < translator->links_count; i++)
		if (if_indextoname(translator->links[i].ifindex, name))
			translator->links[kept++] = translator->links[i];
	translator->links_count = kept;
}

static int attach_link(struct translator *translator, uint32_t ifindex, enum filter_place place,
		       const struct bpf_program *program)
{
	struct translator_link *link = find_link(translator, ifindex, place);
	bool made_qdisc;
	int r;

	if (link && filter_is_attached(ifindex, place))
		return 0;
	if (!link && translator->links_count == TRANSLATOR_LINKS_MAX)
		forget_gone_links(translator);
	if (!link && translator->links_count == TRANSLATOR_LINKS_MAX)
		return -ENOSPC;
	r = filter_attach(ifindex, place, bpf_program__fd(program), &made_qdisc);
	if (r < 0)
		return r;
	if (!link)
		link = &translator->links[translator->links_count++];
	*link = (struct translator_link){ .ifindex = ifindex,
					  .place = place,
					  .made_qdisc = made_qdisc };
	return 0;
}

static void detach_link(const struct translator_link *link)
{
	filter_detach(link->ifindex, link->place, link->made_qdisc);
}

/* These go with their devices. */
static int attach_inside(const struct translator *translator)
{
	const struct inside *inside = &translator->settings.inside;
	const struct translate *programs = translator->programs;
	bool ignored;
	int r = filter_attach(inside->ifindex, FILTER_EGRESS,
			      bpf_program__fd(programs->progs.inside_egress), &ignored);

	if (r == 0)
		r = filter_attach(inside->ifindex, FILTER_FROM_CLIENTS,
				  bpf_program__fd(programs->progs.inside_ingress), &ignored);
	if (r == 0)
		r = filter_attach(inside->outside_ifindex, FILTER_FROM_CONTAINERS,
				  bpf_program__fd(programs->progs.outside_ingress), &ignored);
	return r;
}

static int take_upcall(void *context, void *data, size_t size)
{
	const struct translator *translator = context;
	struct upcall upcall; /* what is in the ring is the kernel's */

	if (size < sizeof(upcall))
		return 0;
	memcpy(&upcall, data, sizeof(upcall));
	translator->settings.called_up(translator->settings.context, &upcall);
	return 0;
}

/* What connections are made of, and so what the next run takes over. */
static int set_pins(struct translate *programs, const char *pins)
{
	struct bpf_map *kept[] = { programs->maps.clients, programs->maps.flows6,
				   programs->maps.flows4 };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		char path[PINS_PATH_MAX];
		int r = pins_path(pins, bpf_map__name(kept[i]), path);

		if (r == 0)
			r = bpf_map__set_pin_path(kept[i], path);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load(struct translator *translator)
{
	int r;

	translator->programs = translate__open();
	if (!translator->programs)
		return -errno;
	set_constants(translator);
	r = translator->settings.pins ? set_pins(translator->programs, translator->settings.pins)
				      : 0;
	return r == 0 ? translate__load(translator->programs) : r;
}

/* Pins of another version may not fit, and are of no use then. */
static int load_anyway(struct translator *translator)
{
	int r = load(translator);

	if (r == 0 || r == -EPERM || !translator->settings.pins)
		return r;
	translate__destroy(translator->programs);
	(void)pins_remove(translator->settings.pins);
	return load(translator);
}

static int take_upcalls(struct translator *translator)
{
	int ring = bpf_map__fd(translator->programs->maps.upcalls);

	translator->upcalls = ring_buffer__new(ring, take_upcall, translator, NULL);
	return translator->upcalls ? 0 : -errno;
}

int translator_open(struct translator *translator, const struct translator_settings *settings,
		    struct error *err)
{
	int r;

	libbpf_set_print(report_nothing);
	*translator = (struct translator){ .settings = *settings };
	translator->batch = malloc(BATCH * (sizeof(struct flow6_key) + sizeof(struct flow4)));
	if (!translator->batch)
		return error_set(err, -ENOMEM, "the kernel path: no memory to read flows into");
	r = load_anyway(translator);
	if (r == 0)
		r = take_upcalls(translator);
	if (r == 0)
		r = attach_inside(translator);
	return r == 0 ? 0 : cannot_load(r, err);
}

void translator_close(struct translator *translator, bool keeps)
{
	/* the other way round: a qdisc was made for the first one, and goes with it */
	while (translator->links_count-- > 0 && !keeps)
		detach_link(&translator->links[translator->links_count]);
	ring_buffer__free(translator->upcalls);
	translate__destroy(translator->programs);
	if (translator->settings.pins && !keeps)
		(void)pins_remove(translator->settings.pins);
	free(translator->batch);
	*translator = (struct translator){ .links_count = 0 };
}

int translator_attach_uplink(struct translator *translator, uint32_t ifindex, bool has_header)
{
	return attach_link(translator, ifindex, FILTER_FROM_CLIENTS,
			   has_header ? translator->programs->progs.uplink_ether
				      : translator->programs->progs.uplink_raw);
}

void translator_detach_uplink(struct translator *translator, uint32_t ifindex)
{
	struct translator_link *link = find_link(translator, ifindex, FILTER_FROM_CLIENTS);

	if (!link)
		return;
	detach_link(link);
	*link = translator->links[--translator->links_count];
}

int translator_attach_containers(struct translator *translator, uint32_t ifindex)
{
	int r = attach_link(translator, ifindex, FILTER_FROM_CONTAINERS,
			    translator->programs->progs.container_link);

	if (r < 0)
		return r;
	if (translator->settings.recheck_ns > 0)
		/* without it all packets go the way that is slower */
		(void)attach_link(translator, ifindex, FILTER_EGRESS,
				  translator->programs->progs.passed_forward);
	else
		/* an earlier run may have had another setting */
		filter_detach(ifindex, FILTER_EGRESS, false);
	return 0;
}

/* Services, filters, and clients. */

static struct published_key key_of(const struct translator_service *service)
{
	return (struct published_key){ .host = in6_of(service->host.ip),
				       .port = htons(service->host.port),
				       .protocol = number_of(service->protocol) };
}

int translator_publish(struct translator *translator, const struct translator_service *service)
{
	struct published_key key = key_of(service);
	struct published value = { .target = ipv4_of(service->container.ip),
				   .aim = ipv4_of(service->aim.ip),
				   .target_port = htons(service->container.port),
				   .filtered = service->filtered,
				   .has_relay = service->protocol == PROTOCOL_TCP,
				   .rule = service->number,
				   .link = service->link };

	return bpf_map_update_elem(bpf_map__fd(translator->programs->maps.published), &key, &value,
				   BPF_ANY);
}

void translator_withdraw(struct translator *translator, const struct translator_service *service)
{
	struct published_key key = key_of(service);

	(void)bpf_map_delete_elem(bpf_map__fd(translator->programs->maps.published), &key);
}

static struct filter_key filter_key_of(uint32_t number, const struct prefix *prefix)
{
	return (struct filter_key){ .prefixlen = 32u + prefix->length,
				    .rule = htonl(number),
				    .prefix = in6_of(prefix->ip) };
}

int translator_filter(struct translator *translator, uint32_t number, const struct prefix *prefix,
		      bool allows)
{
	struct filter_key key = filter_key_of(number, prefix);
	struct filter_value value = { .allows = allows };

	return bpf_map_update_elem(bpf_map__fd(translator->programs->maps.filters), &key, &value,
				   BPF_ANY);
}

void translator_unfilter(struct translator *translator, uint32_t number,
			 const struct prefix *prefix)
{
	struct filter_key key = filter_key_of(number, prefix);

	(void)bpf_map_delete_elem(bpf_map__fd(translator->programs->maps.filters), &key);
}

int translator_add_client(struct translator *translator, const struct address *client,
			  const struct address *pseudo)
{
	struct in6_addr key = in6_of(client->ip);
	struct client_value value = { .pseudo = pseudo->family == AF_INET ? ipv4_of(pseudo->ip)
									  : 0 };

	return bpf_map_update_elem(bpf_map__fd(translator->programs->maps.clients), &key, &value,
				   BPF_ANY);
}

void translator_remove_client(struct translator *translator, const struct address *client)
{
	struct in6_addr key = in6_of(client->ip);

	(void)bpf_map_delete_elem(bpf_map__fd(translator->programs->maps.clients), &key);
}

void translator_list_clients(struct translator *translator,
			     void (*take)(void *context, const struct address *client,
					  const struct address *pseudo),
			     void *context)
{
	int clients = bpf_map__fd(translator->programs->maps.clients);
	struct in6_addr key, next;
	bool more = bpf_map_get_next_key(clients, NULL, &key) == 0;

	while (more) {
		struct address client = { .family = AF_INET6 }, pseudo = { .family = AF_INET };
		struct client_value value;
		bool is_there = bpf_map_lookup_elem(clients, &key, &value) == 0;

		more = bpf_map_get_next_key(clients, &key, &next) == 0;
		memcpy(client.ip, &key, sizeof(key));
		memcpy(pseudo.ip, &value, sizeof(value));
		if (is_there)
			take(context, &client, &pseudo);
		key = next;
	}
}

int translator_upcall_fd(const struct translator *translator)
{
	return ring_buffer__epoll_fd(translator->upcalls);
}

void translator_take_upcalls(struct translator *translator)
{
	(void)ring_buffer__consume(translator->upcalls);
}

/* Flows. */

struct flow4_key translator_answers_of(const struct flow6_key *key, __be32 pseudo, __be32 target,
				       __be16 target_port)
{
	return (struct flow4_key){ .pseudo = pseudo,
				   .target = target,
				   .client_port = key->client_port,
				   .target_port = target_port,
				   .protocol = key->protocol };
}

/* What one system call has read: keys, and a value for each. */
typedef void take_batch(const struct translator_reader *reader, const void *keys,
			const void *values, uint32_t count);

static void take_from_clients(const struct translator_reader *reader, const void *keys,
			      const void *values, uint32_t count)
{
	const struct flow6_key *key = keys;
	const struct flow6 *flow = values;

	for (uint32_t i = 0; i < count; i++)
		reader->take_from_client(reader->context, &key[i], &flow[i]);
}

static void take_to_clients(const struct translator_reader *reader, const void *keys,
			    const void *values, uint32_t count)
{
	const struct flow4_key *answers = keys;
	const struct flow4 *flow = values;

	for (uint32_t i = 0; i < count; i++) {
		const struct flow6_key key = { .client = flow[i].client,
					       .host = flow[i].host,
					       .client_port = answers[i].client_port,
					       .host_port = flow[i].host_port,
					       .protocol = answers[i].protocol };

		reader->take_to_client(reader->context, &key, &flow[i]);
	}
}

static int read_all(const struct translator *translator, const struct bpf_map *map,
		    take_batch *take, const struct translator_reader *reader)
{
	uint8_t *keys = translator->batch;
	uint8_t *values = keys + BATCH * bpf_map__key_size(map);
	uint64_t place;
	bool is_first = true;
	int r = 0;

	while (r == 0) {
		uint32_t count = BATCH;

		r = bpf_map_lookup_batch(bpf_map__fd(map), is_first ? NULL : &place, &place, keys,
					 values, &count, NULL);
		if (r == 0 || r == -ENOENT)
			take(reader, keys, values, count);
		is_first = false;
	}
	return r == -ENOENT ? 0 : r; /* which says that there are no more */
}

int translator_read_flows(struct translator *translator, const struct translator_reader *reader)
{
	const struct translate *programs = translator->programs;
	int r = read_all(translator, programs->maps.flows6, take_from_clients, reader);

	return r < 0 ? r : read_all(translator, programs->maps.flows4, take_to_clients, reader);
}

void translator_forget_flow(struct translator *translator, const struct flow6_key *key,
			    const struct flow4_key *answers)
{
	(void)bpf_map_delete_elem(bpf_map__fd(translator->programs->maps.flows6), key);
	(void)bpf_map_delete_elem(bpf_map__fd(translator->programs->maps.flows4), answers);
}

void translator_stop_flow(struct translator *translator, const struct flow6_key *key,
			  const struct flow4_key *answers)
{
	int flows6 = bpf_map__fd(translator->programs->maps.flows6);
	int flows4 = bpf_map__fd(translator->programs->maps.flows4);
	struct flow6 from_client;
	struct flow4 to_client;

	if (bpf_map_lookup_elem(flows6, key, &from_client) == 0) {
		from_client.state |= FLOW_STOPPED;
		(void)bpf_map_update_elem(flows6, key, &from_client, BPF_EXIST);
	}
	if (bpf_map_lookup_elem(flows4, answers, &to_client) == 0) {
		to_client.state |= FLOW_STOPPED;
		(void)bpf_map_update_elem(flows4, answers, &to_client, BPF_EXIST);
	}
}

void translator_count(const struct translator *translator, uint64_t ret[TRANSLATOR_COUNTERS])
{
	int counters = bpf_map__fd(translator->programs->maps.counters);
	int processors = libbpf_num_possible_cpus();
	uint64_t values[PROCESSORS_MAX];

	memset(ret, 0, TRANSLATOR_COUNTERS * sizeof(*ret));
	if (processors < 1 || processors > PROCESSORS_MAX)
		return;
	for (uint32_t i = 0; i < TRANSLATOR_COUNTERS; i++) {
		if (bpf_map_lookup_elem(counters, &i, values) < 0)
			continue;
		for (int p = 0; p < processors; p++)
			ret[i] += values[p];
	}
}

int translator_cleanup(const char *pins)
{
	struct if_nameindex *links = if_nameindex();
	int count = 0;

	libbpf_set_print(report_nothing);
	for (const struct if_nameindex *link = links; link && link->if_index != 0; link++) {
		for (int place = FILTER_FROM_CLIENTS; place <= FILTER_EGRESS; place++) {
			if (!filter_is_attached(link->if_index, (enum filter_place)place))
				continue;
			filter_detach(link->if_index, (enum filter_place)place, false);
			count++;
		}
	}
	if_freenameindex(links);
	if (pins && pins_remove(pins) == 0)
		count++;
	return count;
}
