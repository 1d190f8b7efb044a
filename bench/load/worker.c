/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the backend had received at a time. */
struct sample {
	uint64_t ns;
	uint64_t bytes;
	uint64_t datagrams;
};

void worker_count(struct worker *worker, uint64_t now, uint64_t took_ns)
{
	worker->result->total++;
	if (now < worker->begin_ns || now >= worker->end_ns)
		return;
	worker->result->counted++;
	histogram_add(&worker->result->times, took_ns);
}

static void sleep_until(uint64_t ns)
{
	struct timespec when = { .tv_sec = (time_t)(ns / 1000000000),
				 .tv_nsec = (long)(ns % 1000000000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
		;
}

static struct sample take_sample(const struct counters *counters)
{
	struct sample sample = { .ns = now_ns() };

	if (counters)
		counters_sum(counters, &sample.bytes, &sample.datagrams);
	return sample;
}

static double rate(uint64_t from, uint64_t to, const struct sample *begin, const struct sample *end)
{
	return (double)(to - from) * 1e9 / (double)(end->ns - begin->ns);
}

static void print_result(const struct result *result, const struct sample samples[4])
{
	const struct sample *start = &samples[0], *begin = &samples[1], *end = &samples[2];
	const struct sample *last = &samples[3];
	const struct histogram *times = &result->times;

	printf("{\"total\": %" PRIu64 ", \"rate\": %.3f, \"failed\": %" PRIu64 ", ", result->total,
	       rate(0, result->counted, begin, end), result->failed);
	printf("\"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f, \"max_us\": %.3f, ",
	       (double)histogram_at(times, 0.5) / 1e3, (double)histogram_at(times, 0.99) / 1e3,
	       (double)histogram_at(times, 0.999) / 1e3, (double)histogram_at(times, 1) / 1e3);
	printf("\"backend_bytes\": %" PRIu64 ", \"backend_bytes_s\": %.0f, ",
	       last->bytes - start->bytes, rate(begin->bytes, end->bytes, begin, end));
	printf("\"backend_datagrams\": %" PRIu64 ", \"backend_datagrams_s\": %.1f}\n",
	       last->datagrams - start->datagrams,
	       rate(begin->datagrams, end->datagrams, begin, end));
}

static pid_t start_worker(struct worker *worker, void (*client)(struct worker *worker))
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	client(worker);
	exit(0);
}

int workers_run(const struct options *options, void (*client)(struct worker *worker))
{
	long count = options->workers < options->connections ? options->workers
							     : options->connections;
	struct counters *counters = NULL;
	struct result *results, *sum = allocate(1, sizeof(*sum));
	struct sample samples[4];
	bool failed = false;
	uint64_t begin_ns, end_ns;
	pid_t pids[WORKERS_MAX];

	results = mmap(NULL, (size_t)count * sizeof(*results), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		fail("mmap");
	if (options->counters)
		counters = counters_map(options->counters, false);
	samples[0] = take_sample(counters);
	begin_ns = samples[0].ns + (uint64_t)(options->warmup * 1e9);
	end_ns = begin_ns + (uint64_t)(options->seconds * 1e9);
	for (long i = 0; i < count; i++) {
		struct worker worker = {
			.options = options,
			.result = &results[i],
			.connections = options->connections / count +
				       (i < options->connections % count),
			.begin_ns = begin_ns,
			.end_ns = end_ns,
		};

		pids[i] = start_worker(&worker, client);
	}
	sleep_until(begin_ns);
	samples[1] = take_sample(counters);
	sleep_until(end_ns);
	samples[2] = take_sample(counters);
	for (long i = 0; i < count; i++) {
		int status;

		if (waitpid(pids[i], &status, 0) < 0 || status != 0)
			failed = true;
	}
	samples[3] = take_sample(counters);
	for (long i = 0; i < count; i++) {
		sum->total += results[i].total;
		sum->counted += results[i].counted;
		sum->failed += results[i].failed;
		histogram_merge(&sum->times, &results[i].times);
	}
	if (!failed)
		print_result(sum, samples);
	free(sum);
	return failed ? 1 : 0;
}
