/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"

/* Below this, copying through the scratch buffer is as good. */
#define PIPE_BYTES_LEAST (64 * 1024)

/* Bounds what stuck sessions can hold in pipes: 512 * 256 KiB. */
#define PIPES_MAX 512

/* Kept empty, for pumps to come. More than this many are rarely moving bytes in one turn. */
#define PIPES_IDLE_MAX 32

void pipe_pool_init(struct pipe_pool *pool, struct budget *budget)
{
	slots_init(&pool->pipes, sizeof(struct pipe), sizeof(struct pipe));
	list_init(&pool->idle);
	pool->idle_count = 0;
	pool->budget = budget;
}

void pipe_pool_fini(struct pipe_pool *pool)
{
	pipe_pool_trim(pool);
	slots_fini(&pool->pipes);
}

static void pipe_close(struct pipe_pool *pool, struct pipe *pipe)
{
	fd_close(&pipe->read_fd);
	fd_close(&pipe->write_fd);
	budget_give(pool->budget, 2);
	slots_give(&pool->pipes, pipe);
}

static struct pipe *pipe_open(struct pipe_pool *pool)
{
	struct pipe *pipe;
	int ends[2], capacity;

	if (pool->pipes.used >= PIPES_MAX || !budget_try_spare(pool->budget, 2))
		return NULL;
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) {
		budget_give(pool->budget, 2);
		return NULL;
	}
	capacity = fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	if (capacity < 0)
		capacity = fcntl(ends[0], F_GETPIPE_SZ);
	pipe = capacity >= PIPE_BYTES_LEAST ? slots_take(&pool->pipes) : NULL;
	if (!pipe) {
		(void)close(ends[0]);
		(void)close(ends[1]);
		budget_give(pool->budget, 2);
		return NULL;
	}
	list_init(&pipe->node);
	pipe->read_fd = ends[0];
	pipe->write_fd = ends[1];
	pipe->capacity_bytes = (uint32_t)capacity;
	return pipe;
}

struct pipe *pipe_pool_take(struct pipe_pool *pool)
{
	struct list *first = list_first(&pool->idle);

	if (!first)
		return pipe_open(pool);
	list_remove(first);
	pool->idle_count--;
	return container_of(first, struct pipe, node);
}

void pipe_pool_give(struct pipe_pool *pool, struct pipe *pipe, uint32_t held_bytes)
{
	if (held_bytes > 0 || pool->idle_count >= PIPES_IDLE_MAX ||
	    !budget_has_spare(pool->budget)) {
		pipe_close(pool, pipe);
		return;
	}
	list_append(&pool->idle, &pipe->node);
	pool->idle_count++;
}

void pipe_pool_trim(struct pipe_pool *pool)
{
	struct list *first;

	while ((first = list_first(&pool->idle))) {
		list_remove(first);
		pipe_close(pool, container_of(first, struct pipe, node));
	}
	pool->idle_count = 0;
	slots_trim(&pool->pipes);
}
