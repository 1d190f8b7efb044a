/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slots.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

struct slots_chunk {
	struct list room; /* on slots.with_room while a slot is free */
	uint32_t number;  /* index in slots.chunks */
	uint32_t used;
	uint32_t free_top; /* entries in free[] */
	uint32_t free[SLOTS_PER_CHUNK];
	_Alignas(16) unsigned char items[];
};

#define MORE_BYTES (SLOTS_CHUNKS_MAX * sizeof(struct slots_chunk *))

static size_t chunk_bytes(const struct slots *slots)
{
	return sizeof(struct slots_chunk) + SLOTS_PER_CHUNK * slots->item_bytes;
}

static struct slot *chunk_item(const struct slots *slots, struct slots_chunk *chunk,
			       uint32_t position)
{
	return (struct slot *)(void *)(chunk->items + position * slots->item_bytes);
}

void slots_init(struct slots *slots, size_t item_bytes, size_t zeroed_bytes)
{
	assert(item_bytes >= zeroed_bytes && zeroed_bytes >= sizeof(struct slot));
	slots->item_bytes = (item_bytes + 15) & ~(size_t)15;
	slots->zeroed_bytes = zeroed_bytes;
	slots->used = 0;
	slots->generation = 0;
	slots->chunks_end = 0;
	slots->chunk = NULL;
	slots->more = NULL;
	list_init(&slots->with_room);
}

/* Where the pointer to that chunk is kept. */
static struct slots_chunk **chunk_place(const struct slots *slots, uint32_t number)
{
	return number == 0 ? (struct slots_chunk **)&slots->chunk : &slots->more[number - 1];
}

static struct slots_chunk *chunk_at(const struct slots *slots, uint32_t number)
{
	return *chunk_place(slots, number);
}

static void chunk_free(struct slots *slots, struct slots_chunk *chunk)
{
	list_remove(&chunk->room);
	*chunk_place(slots, chunk->number) = NULL;
	(void)munmap(chunk, chunk_bytes(slots));
}

void slots_fini(struct slots *slots)
{
	for (uint32_t number = 0; number < slots->chunks_end; number++)
		if (chunk_at(slots, number))
			chunk_free(slots, chunk_at(slots, number));
	if (slots->more)
		(void)munmap(slots->more, MORE_BYTES);
	slots->more = NULL;
	slots->used = 0;
	slots->chunks_end = 0;
}

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);

	return memory == MAP_FAILED ? NULL : memory;
}

static struct slots_chunk *chunk_new(struct slots *slots)
{
	struct slots_chunk *chunk;
	uint32_t number = 0;

	while (number < slots->chunks_end && chunk_at(slots, number))
		number++;
	if (number == SLOTS_CHUNKS_MAX)
		return NULL;
	if (number > 0 && !slots->more)
		slots->more = map(MORE_BYTES);
	if (number > 0 && !slots->more)
		return NULL;
	chunk = map(chunk_bytes(slots));
	if (!chunk)
		return NULL;
	chunk->number = number;
	chunk->free_top = SLOTS_PER_CHUNK;
	for (uint32_t i = 0; i < SLOTS_PER_CHUNK; i++)
		chunk->free[i] = SLOTS_PER_CHUNK - 1 - i;
	if (number == slots->chunks_end)
		slots->chunks_end++;
	*chunk_place(slots, number) = chunk;
	list_append(&slots->with_room, &chunk->room);
	return chunk;
}

void *slots_take(struct slots *slots)
{
	struct list *room = list_first(&slots->with_room);
	struct slots_chunk *chunk = room ? container_of(room, struct slots_chunk, room)
					 : chunk_new(slots);
	struct slot *slot;
	uint32_t position;

	if (!chunk)
		return NULL;
	position = chunk->free[--chunk->free_top];
	if (chunk->free_top == 0)
		list_remove(&chunk->room);
	chunk->used++;
	slots->used++;
	slot = chunk_item(slots, chunk, position);
	memset(slot, 0, slots->zeroed_bytes);
	slot->index = chunk->number * SLOTS_PER_CHUNK + position;
	if (++slots->generation == 0)
		slots->generation = 1;
	slot->generation = slots->generation;
	return slot;
}

void slots_give(struct slots *slots, void *item)
{
	struct slot *slot = item;
	struct slots_chunk *chunk = chunk_at(slots, slot->index / SLOTS_PER_CHUNK);

	assert(slot->generation != 0);
	slot->generation = 0;
	if (chunk->free_top == 0)
		list_append(&slots->with_room, &chunk->room);
	chunk->free[chunk->free_top++] = slot->index % SLOTS_PER_CHUNK;
	chunk->used--;
	slots->used--;
	/*
	 * The last one stays, or every lone session would map and unmap a chunk: see slots_trim().
	 */
	if (chunk->used == 0 && slots->with_room.next != slots->with_room.previous)
		chunk_free(slots, chunk);
}

void slots_trim(struct slots *slots)
{
	if (slots->used == 0)
		slots_fini(slots);
}

void *slots_find(const struct slots *slots, uint32_t index, uint32_t generation)
{
	struct slots_chunk *chunk;
	struct slot *slot;

	if (index / SLOTS_PER_CHUNK >= slots->chunks_end)
		return NULL;
	chunk = chunk_at(slots, index / SLOTS_PER_CHUNK);
	if (!chunk || generation == 0)
		return NULL;
	slot = chunk_item(slots, chunk, index % SLOTS_PER_CHUNK);
	return slot->generation == generation ? slot : NULL;
}

void *slots_at(const struct slots *slots, uint32_t index)
{
	struct slot *slot = chunk_item(slots, chunk_at(slots, index / SLOTS_PER_CHUNK),
				       index % SLOTS_PER_CHUNK);

	assert(slot->generation != 0);
	return slot;
}

void *slots_from(const struct slots *slots, uint32_t index)
{
	for (; index / SLOTS_PER_CHUNK < slots->chunks_end; index++) {
		struct slots_chunk *chunk = chunk_at(slots, index / SLOTS_PER_CHUNK);
		struct slot *slot;

		if (!chunk) {
			index |= SLOTS_PER_CHUNK - 1;
			continue;
		}
		slot = chunk_item(slots, chunk, index % SLOTS_PER_CHUNK);
		if (slot->generation != 0)
			return slot;
	}
	return NULL;
}

void *slots_next(const struct slots *slots, const void *item)
{
	return slots_from(slots, item ? ((const struct slot *)item)->index + 1 : 0);
}
