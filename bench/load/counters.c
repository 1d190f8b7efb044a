/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(struct counters) == 64, "a cache line each");

struct counters *counters_map(const char *path, bool create)
{
	size_t bytes = WORKERS_MAX * sizeof(struct counters);
	int fd = open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0), 0600);
	void *mapped;

	if (fd < 0 || (create && ftruncate(fd, (off_t)bytes) != 0))
		fail(path);
	mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		fail("mmap");
	close(fd);
	return mapped;
}

void counters_sum(const struct counters *all, uint64_t *ret_bytes, uint64_t *ret_datagrams)
{
	*ret_bytes = *ret_datagrams = 0;
	for (size_t i = 0; i < WORKERS_MAX; i++) {
		*ret_bytes += atomic_load_explicit(&all[i].bytes, memory_order_relaxed);
		*ret_datagrams += atomic_load_explicit(&all[i].datagrams, memory_order_relaxed);
	}
}
