/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kernel_follow.h"

#include <stdlib.h>

#include "base/clock.h"

/* Ports of an engine come one by one, and shall not be copied all for each. */
#define SOON_NS (20 * NS_PER_MS)

static bool is_for_kernel(const struct rule *rule)
{
	return rule->identity.path != PATH_RELAY;
}

static size_t count_rules(const struct rules *rules)
{
	size_t count = 0;

	for (size_t i = 0; i < rules->count; i++)
		count += is_for_kernel(&rules->ports[i]->rule);
	return count;
}

static void hand_over(void *context, struct timeout *timeout)
{
	struct kernel_follow *follow = context;
	const struct rules *rules = follow->rules;
	size_t most = count_rules(rules), count = 0;
	struct rule *wanted;

	(void)timeout;
	if (most == 0 && !follow->is_following)
		return;
	wanted = calloc(most + 1, sizeof(*wanted));
	if (!wanted) {
		timeout_start(&follow->soon, &follow->queue, follow->loop);
		return;
	}
	for (size_t i = 0; i < rules->count; i++)
		if (is_for_kernel(&rules->ports[i]->rule))
			wanted[count++] = rules->ports[i]->rule;
	kernel_path_set_rules(follow->path, wanted, count);
	follow->is_following = count > 0;
}

static void changed(void *context)
{
	struct kernel_follow *follow = context;

	timeout_start(&follow->soon, &follow->queue, follow->loop);
}

void kernel_follow_init(struct kernel_follow *follow, struct rules *rules, struct kernel_path *path,
			struct loop *loop)
{
	*follow = (struct kernel_follow){ .rules = rules, .path = path, .loop = loop };
	timeout_queue_init(&follow->queue, loop, SOON_NS, hand_over, follow);
	timeout_init(&follow->soon);
	rules->observer = (struct rules_observer){ .changed = changed, .context = follow };
}

void kernel_follow_fini(struct kernel_follow *follow)
{
	timeout_stop(&follow->soon);
	follow->rules->observer.changed = NULL;
}
