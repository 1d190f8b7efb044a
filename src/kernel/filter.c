/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/filter.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "identity/netlink.h"

#define NUMBER_FROM_CLIENTS 0xfa1
#define NUMBER_FROM_CONTAINERS 0xfa2

static struct bpf_tc_hook hook_of(uint32_t ifindex, enum filter_place place)
{
	return (struct bpf_tc_hook){ .sz = sizeof(struct bpf_tc_hook),
				     .ifindex = (int)ifindex,
				     .attach_point = place == FILTER_EGRESS ? BPF_TC_EGRESS
									    : BPF_TC_INGRESS };
}

static struct bpf_tc_opts filter_of(enum filter_place place)
{
	unsigned number = place == FILTER_FROM_CONTAINERS ? NUMBER_FROM_CONTAINERS
							  : NUMBER_FROM_CLIENTS;

	return (struct bpf_tc_opts){ .sz = sizeof(struct bpf_tc_opts),
				     .handle = number,
				     .priority = number };
}

int filter_attach(uint32_t ifindex, enum filter_place place, int program, bool *ret_made_qdisc)
{
	struct bpf_tc_hook hook = hook_of(ifindex, place);
	struct bpf_tc_opts filter = filter_of(place);
	int r = bpf_tc_hook_create(&hook);

	filter.prog_fd = program;
	filter.flags = BPF_TC_F_REPLACE;
	*ret_made_qdisc = r == 0;
	return r < 0 && r != -EEXIST ? r : bpf_tc_attach(&hook, &filter);
}

bool filter_is_attached(uint32_t ifindex, enum filter_place place)
{
	struct bpf_tc_hook hook = hook_of(ifindex, place);
	struct bpf_tc_opts filter = filter_of(place);

	return bpf_tc_query(&hook, &filter) == 0;
}

static int find_filter(const struct nlmsghdr *message, void *context)
{
	bool *found = context;

	*found = *found || message->nlmsg_type == RTM_NEWTFILTER;
	return MNL_CB_OK;
}

/* Whether anybody has a filter there; if that cannot be found out, somebody may. */
static bool has_filters(uint32_t ifindex, uint16_t side)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct tcmsg *header;
	struct nlmsghdr *request = netlink_begin(buffer, RTM_GETTFILTER, NLM_F_DUMP,
						 sizeof(*header), (void **)&header);
	bool found = false;

	header->tcm_family = AF_UNSPEC;
	header->tcm_ifindex = (int)ifindex;
	header->tcm_parent = TC_H_MAKE(TC_H_CLSACT, side);
	return netlink_ask(NETLINK_ROUTE, request, find_filter, &found) < 0 || found;
}

void filter_detach(uint32_t ifindex, enum filter_place place, bool made_qdisc)
{
	struct bpf_tc_hook hook = hook_of(ifindex, place);
	struct bpf_tc_opts filter = filter_of(place);

	(void)bpf_tc_detach(&hook, &filter);
	if (!made_qdisc || has_filters(ifindex, TC_H_MIN_INGRESS) ||
	    has_filters(ifindex, TC_H_MIN_EGRESS))
		return;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* that is, the qdisc */
	(void)bpf_tc_hook_destroy(&hook);
}
