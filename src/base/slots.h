/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of slots with generations.
 *
 * Sessions live in slots. Whoever must find one later (epoll, above all) keeps no pointer but an
 * index and a generation: a slot that was given back and taken again has another generation, so an
 * event that outlived its session finds nothing instead of somebody else's session.
 *
 * Memory comes in chunks, straight from the kernel, when it is needed, and returns to it when
 * chunks are empty: a process that has served nobody for a while holds none.
 */
#ifndef FAIRLEAD_BASE_SLOTS_H
#define FAIRLEAD_BASE_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

/* An index must fit the 24 bits that a loop_ref has for it. */
#define SLOTS_PER_CHUNK 128u
#define SLOTS_CHUNKS_MAX 2048u
#define SLOTS_MAX (SLOTS_PER_CHUNK * SLOTS_CHUNKS_MAX)

/* The first member of everything that is kept in slots. */
struct slot {
	uint32_t index;
	uint32_t generation; /* 0: free */
};

struct slots_chunk;

struct slots {
	size_t item_bytes;   /* size of an item, its struct slot included */
	size_t zeroed_bytes; /* of each one that is taken */
	uint32_t used;	     /* slots taken */
	uint32_t generation;
	uint32_t chunks_end;	   /* no chunk of this number or above was ever used */
	struct list with_room;	   /* chunks that have a free slot */
	struct slots_chunk *chunk; /* number 0: most tables never have another */
	struct slots_chunk **more; /* the chunks from 1 on, mapped with the first of them */
};

/*
 * item_bytes is the size of the items' struct; it must begin with a struct slot. Of an item that is
 * taken the first zeroed_bytes are zero; the rest, as of a buffer, is as it was left.
 */
void slots_init(struct slots *slots, size_t item_bytes, size_t zeroed_bytes);

/* Frees all memory. Items are not looked at. */
void slots_fini(struct slots *slots);

/* Frees the memory that is kept for sessions to come, when no slot is taken. */
void slots_trim(struct slots *slots);

/*
 * An item with its struct slot filled, or NULL when there is no memory or SLOTS_MAX are
 * taken.
 */
void *slots_take(struct slots *slots);

/* Gives an item back. References to it go stale at once. */
void slots_give(struct slots *slots, void *item);

/* The item of that index and generation, or NULL where it is no longer the same. */
void *slots_find(const struct slots *slots, uint32_t index, uint32_t generation);

/* The item at an index that is known to be taken. */
void *slots_at(const struct slots *slots, uint32_t index);

/* The first item taken at that index or behind it, NULL if there is none. */
void *slots_from(const struct slots *slots, uint32_t index);

/*
 * Walks all items taken: NULL starts; returns NULL at the end. The one returned may be given back.
 */
void *slots_next(const struct slots *slots, const void *item);

#endif
