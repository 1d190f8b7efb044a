/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes for splice(2), lent to a pump while bytes are in them.
 *
 * Making a pipe costs more than a transfer through it, so empty ones are kept for the next pump. A
 * pipe that still holds bytes is closed, never kept. Unprivileged users share 64 MiB of pipe
 * buffers (pipe(7), pipe-user-pages-soft); past that the kernel gives pipes of a page or two, which
 * are slower than copying and are not used.
 */
#ifndef FAIRLEAD_RELAY_PIPE_POOL_H
#define FAIRLEAD_RELAY_PIPE_POOL_H

#include <stdint.h>

#include "base/list.h"
#include "base/slots.h"
#include "relay/budget.h"

/*
 * Large enough that a round trip through the pipe moves several GRO packets, small enough to stay
 * in a core's cache with its neighbours.
 */
#define PIPE_BYTES (256 * 1024)

struct pipe {
	struct slot slot;
	struct list node; /* on pipe_pool.idle */
	int read_fd;
	int write_fd;
	uint32_t capacity_bytes; /* the most to put in: a slot can hold far more than its page */
};

struct pipe_pool {
	struct slots pipes;
	struct list idle;
	uint32_t idle_count;
	struct budget *budget;
};

void pipe_pool_init(struct pipe_pool *pool, struct budget *budget);
void pipe_pool_fini(struct pipe_pool *pool);

/* An empty pipe, or NULL: then copy. */
struct pipe *pipe_pool_take(struct pipe_pool *pool);

/* Gives it back; held_bytes is what is still in it. */
void pipe_pool_give(struct pipe_pool *pool, struct pipe *pipe, uint32_t held_bytes);

/* Closes the pipes that are kept for later. */
void pipe_pool_trim(struct pipe_pool *pool);

#endif
