/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts and stops proxies as dockerd does: one after the other, each with a status pipe as
 * descriptor 3, which says "0\n" once it serves; SIGINT ends it. In C, because starting processes
 * from an interpreter costs more than starting the proxy.
 */
#include "load.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_FD 3
#define BACKEND_PORT "80"

/* Between fork and exec; the child shares nothing but these descriptors. */
static _Noreturn void become_proxy(const struct options *options, const char *port, int status)
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (status == STATUS_FD)
		fcntl(status, F_SETFD, 0);
	else
		dup2(status, STATUS_FD);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (null > STATUS_FD)
		close(null);
	execl(options->program, options->program, "-proto", options->proto, "-host-ip",
	      options->listen, "-host-port", port, "-container-ip", options->address,
	      "-container-port", BACKEND_PORT, NULL);
	_exit(127);
}

static pid_t publish(const struct options *options, long number)
{
	int ends[2];
	char port[16], said[2];
	pid_t pid;

	snprintf(port, sizeof(port), "%ld", number);
	if (pipe2(ends, O_CLOEXEC) != 0)
		fail("pipe2");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0)
		become_proxy(options, port, ends[1]);
	close(ends[1]);
	if (read(ends[0], said, 2) != 2 || memcmp(said, "0\n", 2) != 0)
		refuse("a proxy did not start");
	close(ends[0]);
	return pid;
}

int ports_run(const struct options *options)
{
	pid_t *pids = allocate((size_t)options->count, sizeof(*pids));
	uint64_t begin_ns, published_ns, held_ns, withdrawn_ns;

	if (!options->program || options->count < 1)
		refuse("ports needs program=FILE and count=N");
	begin_ns = now_ns();
	for (long i = 0; i < options->count; i++)
		pids[i] = publish(options, options->port + i);
	published_ns = now_ns();
	hold();
	held_ns = now_ns();
	for (long i = 0; i < options->count; i++) {
		int status = 0;

		kill(pids[i], SIGINT);
		if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			refuse("a proxy did not end well");
	}
	withdrawn_ns = now_ns();
	printf("{\"publish_s\": %.6f, \"withdraw_s\": %.6f}\n",
	       (double)(published_ns - begin_ns) / 1e9, (double)(withdrawn_ns - held_ns) / 1e9);
	free(pids);
	return 0;
}
