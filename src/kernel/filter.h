/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tc filters of ours at a link (tc-bpf(8)), known by handle and priority. Filters of others, and their
 * qdisc, stay as they are, and see what ours leave alone.
 */
#ifndef FAIRLEAD_KERNEL_FILTER_H
#define FAIRLEAD_KERNEL_FILTER_H

#include <stdbool.h>
#include <stdint.h>

/* A link may lead to clients and to containers. */
enum filter_place {
	FILTER_FROM_CLIENTS,
	FILTER_FROM_CONTAINERS,
	FILTER_EGRESS,
};

/*
 * Attaches a program, in place of one of ours that is there. *ret_made_qdisc: there was no qdisc for
 * it (clsact), and so one was made. Returns 0 or -errno.
 */
int filter_attach(uint32_t ifindex, enum filter_place place, int program, bool *ret_made_qdisc);

bool filter_is_attached(uint32_t ifindex, enum filter_place place);

/* Takes ours away; and the qdisc, if that was made for it and nobody else has a filter there. */
void filter_detach(uint32_t ifindex, enum filter_place place, bool made_qdisc);

#endif
