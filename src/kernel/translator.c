/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/translator.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "kernel/filter.h"
#include "kernel/translate.skel.h"

/* After its end, a connection's last packets may still come. */
#define ENDED_NS 10000000000ull

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

static struct in6_addr in6_of(const struct address *address)
{
	struct in6_addr value;

	memcpy(&value, address->ip, sizeof(value));
	return value;
}

static uint8_t number_of(enum protocol protocol)
{
	return protocol == PROTOCOL_UDP ? IPPROTO_UDP : IPPROTO_TCP;
}

static void set_constants(struct translator *translator)
{
	const struct translator_settings *settings = &translator->settings;
	struct translate__rodata *constants = translator->programs->rodata;

	constants->pool = ipv4_of(settings->pool.ip);
	constants->pool_mask = htonl(UINT32_MAX << (32 - settings->pool.length));
	constants->transit_bit = ipv4_of(settings->pool.ip) ^ ipv4_of(settings->transit.ip);
	constants->inside_ifindex = settings->inside.ifindex;
	constants->outside_ifindex = settings->inside.outside_ifindex;
	constants->mtu_inside = settings->mtu;
	memcpy((void *)constants->inside_mac, settings->inside.mac, ETH_ALEN);
}

static int cannot_load(int r, struct error *err)
{
	if (r == -EPERM || r == -EACCES)
		return error_set(err, r,
				 "the kernel path's programs cannot be loaded: this process needs "
				 "CAP_BPF and CAP_NET_ADMIN");
	return error_set(err, r,
			 "the kernel path's programs cannot be loaded, which needs Linux 5.15 or "
			 "later: %s",
			 error_name(r));
}

static struct translator_link *find_link(struct translator *translator, uint32_t ifindex)
{
	for (uint32_t i = 0; i < translator->links_count; i++)
		if (translator->links[i].ifindex == ifindex)
			return &translator->links[i];
	return NULL;
}

static int attach_link(struct translator *translator, uint32_t ifindex,
		       const struct bpf_program *program)
{
	struct translator_link *link = find_link(translator, ifindex);
	bool made_qdisc;
	int r;

	if (link && filter_is_attached(ifindex, FILTER_INGRESS))
		return 0;
	if (!link && translator->links_count == TRANSLATOR_LINKS_MAX)
		return -ENOSPC;
	r = filter_attach(ifindex, FILTER_INGRESS, bpf_program__fd(program), &made_qdisc);
	if (r < 0)
		return r;
	if (!link)
		link = &translator->links[translator->links_count++];
	*link = (struct translator_link){ .ifindex = ifindex, .made_qdisc = made_qdisc };
	return 0;
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
		r = filter_attach(inside->ifindex, FILTER_INGRESS,
				  bpf_program__fd(programs->progs.inside_ingress), &ignored);
	if (r == 0)
		r = filter_attach(inside->outside_ifindex, FILTER_INGRESS,
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

int translator_open(struct translator *translator, const struct translator_settings *settings,
		    struct error *err)
{
	int r = -ENOMEM;

	libbpf_set_print(report_nothing);
	*translator = (struct translator){ .settings = *settings };
	translator->programs = translate__open();
	if (translator->programs) {
		set_constants(translator);
		r = translate__load(translator->programs);
	}
	if (r == 0)
		r = attach_inside(translator);
	if (r == 0) {
		translator->upcalls = ring_buffer__new(bpf_map__fd(
							       translator->programs->maps.upcalls),
						       take_upcall, translator, NULL);
		r = translator->upcalls ? 0 : -errno;
	}
	return r == 0 ? 0 : cannot_load(r, err);
}

void translator_close(struct translator *translator)
{
	for (uint32_t i = 0; i < translator->links_count; i++)
		filter_detach(translator->links[i].ifindex, FILTER_INGRESS,
			      translator->links[i].made_qdisc);
	ring_buffer__free(translator->upcalls);
	translate__destroy(translator->programs);
	*translator = (struct translator){ .links_count = 0 };
}

int translator_attach_uplink(struct translator *translator, uint32_t ifindex, bool has_header)
{
	return attach_link(translator, ifindex,
			   has_header ? translator->programs->progs.uplink_ether
				      : translator->programs->progs.uplink_raw);
}

int translator_attach_containers(struct translator *translator, uint32_t ifindex)
{
	return attach_link(translator, ifindex, translator->programs->progs.container_link);
}

int translator_publish(struct translator *translator, enum protocol protocol,
		       const struct address *host, const struct address *container,
		       const struct address *aim, uint32_t rule)
{
	struct published_key key = { .host = in6_of(host),
				     .port = htons(host->port),
				     .protocol = number_of(protocol) };
	struct published value = { .target = ipv4_of(container->ip),
				   .aim = ipv4_of(aim->ip),
				   .target_port = htons(container->port),
				   .has_relay = protocol == PROTOCOL_TCP,
				   .rule = rule };

	return bpf_map_update_elem(bpf_map__fd(translator->programs->maps.published), &key, &value,
				   BPF_ANY);
}

int translator_add_client(struct translator *translator, const struct address *client,
			  const struct address *pseudo)
{
	struct in6_addr key = in6_of(client);
	struct client_value value = { .pseudo = ipv4_of(pseudo->ip) };

	return bpf_map_update_elem(bpf_map__fd(translator->programs->maps.clients), &key, &value,
				   BPF_ANY);
}

int translator_remove_client(struct translator *translator, const struct address *client)
{
	struct in6_addr key = in6_of(client);

	return bpf_map_delete_elem(bpf_map__fd(translator->programs->maps.clients), &key);
}

int translator_upcall_fd(const struct translator *translator)
{
	return ring_buffer__epoll_fd(translator->upcalls);
}

void translator_take_upcalls(struct translator *translator)
{
	(void)ring_buffer__consume(translator->upcalls);
}

static bool is_over(const struct flow6_key *key, const struct flow6 *flow, uint8_t answers,
		    uint64_t seen_ns, const struct flow_limits *limits)
{
	uint8_t state = flow->state | answers;
	uint64_t silent_ns = limits->now_ns > seen_ns ? limits->now_ns - seen_ns : 0;

	if (key->protocol == IPPROTO_UDP)
		return silent_ns > limits->udp_idle_ns;
	if ((state & FLOW_RESET) || (state & (FLOW_CLIENT_ENDED | FLOW_TARGET_ENDED)) ==
					    (FLOW_CLIENT_ENDED | FLOW_TARGET_ENDED))
		return silent_ns > ENDED_NS;
	return silent_ns > limits->tcp_idle_ns;
}

/* Looks at one flow. Returns whether it goes on; one that does not is removed. */
static bool sweep_one(struct translator *translator, const struct flow6_key *key,
		      const struct flow6 *flow, const struct flow_limits *limits)
{
	int flows4 = bpf_map__fd(translator->programs->maps.flows4);
	struct flow4_key back = { .target = flow->target,
				  .client_port = key->client_port,
				  .target_port = flow->target_port,
				  .protocol = key->protocol };
	struct flow4 answers = { 0 };

	back.pseudo = flow->transit & ~translator->programs->rodata->transit_bit;
	(void)bpf_map_lookup_elem(flows4, &back, &answers);
	if (!is_over(key, flow, answers.state,
		     flow->seen_ns > answers.seen_ns ? flow->seen_ns : answers.seen_ns, limits))
		return true;
	(void)bpf_map_delete_elem(bpf_map__fd(translator->programs->maps.flows6), key);
	(void)bpf_map_delete_elem(flows4, &back);
	return false;
}

void translator_sweep(struct translator *translator, const struct flow_limits *limits,
		      void (*goes_on)(void *context, const struct address *client), void *context)
{
	const struct translate *programs = translator->programs;
	int flows6 = bpf_map__fd(programs->maps.flows6);
	struct flow6_key key, next;
	bool more = bpf_map_get_next_key(flows6, NULL, &key) == 0;

	/* a key that has gone meanwhile leads back to the first one */
	for (uint32_t i = 0; more && i < bpf_map__max_entries(programs->maps.flows6); i++) {
		struct address client = { .family = AF_INET6 };
		struct flow6 flow;

		more = bpf_map_get_next_key(flows6, &key, &next) == 0;
		memcpy(client.ip, &key.client, sizeof(client.ip));
		if (bpf_map_lookup_elem(flows6, &key, &flow) == 0 &&
		    sweep_one(translator, &key, &flow, limits))
			goes_on(context, &client);
		key = next;
	}
}
