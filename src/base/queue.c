/* SPDX-License-Identifier: Apache-2.0 */
#include "base/queue.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The place of number n is free for it while its turn is n, and filled when that is n + 1; whoever
 * has taken it out sets it to n + room, the next number that is to have this place.
 */
struct place {
	_Atomic uint32_t turn;
	_Alignas(max_align_t) uint8_t item[];
};

static struct place *place_of(const struct queue *queue, uint32_t number)
{
	return (struct place *)(void *)(queue->places +
					(number & (queue->room - 1)) * queue->place_bytes);
}

int queue_init(struct queue *queue, uint32_t room, size_t item_bytes)
{
	size_t align = _Alignof(max_align_t);

	*queue = (struct queue){ .room = room };
	queue->place_bytes = sizeof(struct place) + (item_bytes + align - 1) / align * align;
	queue->places = calloc(room, queue->place_bytes);
	if (!queue->places)
		return -ENOMEM;
	for (uint32_t i = 0; i < room; i++)
		atomic_init(&place_of(queue, i)->turn, i);
	return 0;
}

void queue_fini(struct queue *queue)
{
	free(queue->places);
}

void *queue_claim(struct queue *queue, uint32_t *ret_number)
{
	uint32_t number = atomic_load_explicit(&queue->put, memory_order_relaxed);

	for (;;) {
		struct place *place = place_of(queue, number);
		uint32_t turn = atomic_load_explicit(&place->turn, memory_order_acquire);

		if (turn == number) {
			if (atomic_compare_exchange_weak_explicit(&queue->put, &number, number + 1,
								  memory_order_relaxed,
								  memory_order_relaxed)) {
				*ret_number = number;
				return place->item;
			}
		} else if ((int32_t)(turn - number) < 0) {
			return NULL; /* it still holds what was put a whole round before */
		} else {
			number = atomic_load_explicit(&queue->put, memory_order_relaxed);
		}
	}
}

void queue_put(struct queue *queue, uint32_t number)
{
	atomic_store_explicit(&place_of(queue, number)->turn, number + 1, memory_order_release);
}

const void *queue_first(const struct queue *queue)
{
	struct place *place = place_of(queue, queue->taken);
	uint32_t turn = atomic_load_explicit(&place->turn, memory_order_acquire);

	return turn == queue->taken + 1 ? place->item : NULL;
}

void queue_release(struct queue *queue)
{
	struct place *place = place_of(queue, queue->taken);

	atomic_store_explicit(&place->turn, queue->taken + queue->room, memory_order_release);
	queue->taken++;
}
