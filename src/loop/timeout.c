/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/timeout.h"

void timeout_queue_init(struct timeout_queue *queue, struct loop *loop, uint64_t duration_ns,
			timeout_fn *expired, void *context)
{
	list_init(&queue->entries);
	list_append(&loop->timeout_queues, &queue->node);
	queue->duration_ns = duration_ns;
	queue->expired = expired;
	queue->context = context;
}

void timeout_init(struct timeout *timeout)
{
	list_init(&timeout->node);
	timeout->due_ns = 0;
}

void timeout_start(struct timeout *timeout, struct timeout_queue *queue, const struct loop *loop)
{
	list_remove(&timeout->node);
	timeout->due_ns = loop->now_ns + queue->duration_ns;
	if (queue->duration_ns > 0)
		list_append(&queue->entries, &timeout->node);
}

void timeout_stop(struct timeout *timeout)
{
	list_remove(&timeout->node);
}

struct timeout *timeout_oldest(const struct timeout_queue *queue)
{
	struct list *first = list_first(&queue->entries);

	return first ? container_of(first, struct timeout, node) : NULL;
}

static void expire_queue(struct timeout_queue *queue, uint64_t now_ns)
{
	struct timeout *first;

	while ((first = timeout_oldest(queue)) && first->due_ns <= now_ns) {
		timeout_stop(first);
		queue->expired(queue->context, first);
	}
}

static uint64_t time_left(const struct timeout_queue *queue, uint64_t now_ns)
{
	const struct timeout *first = timeout_oldest(queue);

	if (!first)
		return UINT64_MAX;
	return first->due_ns > now_ns ? first->due_ns - now_ns : 0;
}

uint64_t timeout_expire(struct list *queues, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;

	for (struct list *node = queues->next; node != queues; node = node->next)
		expire_queue(container_of(node, struct timeout_queue, node), now_ns);
	/* only now: what has expired may have started others, on any queue */
	for (struct list *node = queues->next; node != queues; node = node->next) {
		uint64_t left_ns = time_left(container_of(node, struct timeout_queue, node),
					     now_ns);

		if (left_ns < next_ns)
			next_ns = left_ns;
	}
	return next_ns;
}
