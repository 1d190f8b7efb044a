/* SPDX-License-Identifier: Apache-2.0 */
#include "base/processors.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

uint32_t processors_count(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (uint32_t)CPU_COUNT(&set);
}

uint64_t processors_idle_ns(void)
{
	OWNED_FD fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	unsigned long long idle = 0;
	char text[256]; /* the first line is what is of interest */
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	long ticks_s = sysconf(_SC_CLK_TCK);

	if (got <= 0 || ticks_s <= 0)
		return 0;
	text[got] = '\0';
	if (sscanf(text, "cpu %*u %*u %*u %llu", &idle) != 1)
		return 0;
	return idle * (NS_PER_S / (uint64_t)ticks_s);
}

/* A tenth or so of the processor time of a thread that wants as much. */
#define NICE_OF_OTHERS 10

void processors_give_way(void)
{
	(void)setpriority(PRIO_PROCESS, 0, NICE_OF_OTHERS);
}

void processors_pause(void)
{
	(void)sched_yield();
}
