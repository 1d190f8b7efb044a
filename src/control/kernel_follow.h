/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel path follow the rules: tells it, a moment after some have changed, what there is for
 * it to carry. On the loop's thread.
 */
#ifndef FAIRLEAD_CONTROL_KERNEL_FOLLOW_H
#define FAIRLEAD_CONTROL_KERNEL_FOLLOW_H

#include "control/rules.h"
#include "kernel/kernel_path.h"
#include "loop/timeout.h"

struct kernel_follow {
	struct rules *rules;
	struct kernel_path *path;
	struct loop *loop;
	struct timeout_queue queue;
	struct timeout soon;
	bool is_following; /* there was a rule for it in the last set */
};

/* Becomes the observer of the rules. */
void kernel_follow_init(struct kernel_follow *follow, struct rules *rules, struct kernel_path *path,
			struct loop *loop);
void kernel_follow_fini(struct kernel_follow *follow);

#endif
