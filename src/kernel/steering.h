/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rules the kernel carries, and which are left to the relay, and why. One thread at a time.
 */
#ifndef FAIRLEAD_KERNEL_STEERING_H
#define FAIRLEAD_KERNEL_STEERING_H

#include "kernel/carrier.h"

struct steering {
	struct carrier carrier;
	struct error failure; /* why that could not be opened; code 0: nothing failed */
	bool takes_aims;
	uint32_t last_number; /* of a rule's filters */
	uint64_t considered_ns;
};

/* Sets the rules that there are from now on, and considers each. The array stays the caller's. */
void steering_set_rules(struct steering *steering, const struct rule *wanted, size_t count);

/* Looks once more at what is for and against each rule, and has it carried accordingly. */
void steering_consider(struct steering *steering);

/* Puts the table of nftables there again, if somebody has taken it away. */
void steering_check_forwarding(struct steering *steering);

/* After a sweep: a rule that gets no answers at all is left to the relay, if that was left to us. */
void steering_look_for_answers(struct steering *steering);

#endif
