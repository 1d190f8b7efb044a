/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tc filters of ours at a link (tc-bpf(8)): one for each direction, known by its handle and priority.
 * Filters of others, and their qdisc, stay as they are.
 */
#ifndef FAIRLEAD_KERNEL_FILTER_H
#define FAIRLEAD_KERNEL_FILTER_H

#include <stdbool.h>
#include <stdint.h>

enum filter_side {
	FILTER_INGRESS,
	FILTER_EGRESS,
};

/*
 * Attaches a program, in place of one of ours that is there. *ret_made_qdisc: there was no qdisc for
 * it (clsact), and so one was made. Returns 0 or -errno.
 */
int filter_attach(uint32_t ifindex, enum filter_side side, int program, bool *ret_made_qdisc);

bool filter_is_attached(uint32_t ifindex, enum filter_side side);

/* Takes ours away; and the qdisc, if that was made for it and nobody else has a filter there. */
void filter_detach(uint32_t ifindex, enum filter_side side, bool made_qdisc);

#endif
