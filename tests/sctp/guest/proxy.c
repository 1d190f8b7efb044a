/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"

#define STATUS_FD 3
#define LISTENER_FD 4

const char *proxy_program;

static uint16_t free_port(const char *host)
{
	int fd = sctp_listen(host, 0);
	uint16_t port = sctp_port(fd);

	close(fd);
	return port;
}

/* In the child: descriptors 3 and 4 in their places, all others closed. */
static _Noreturn void execute(const char *host, uint16_t port, uint16_t backend_port, int status,
			      int listener)
{
	char port_text[8], backend_text[8];
	const char *arguments[] = {
		proxy_program, "-proto",
		"sctp",	       "-host-ip",
		host,	       "-host-port",
		port_text,     "-container-ip",
		"127.0.0.1",   "-container-port",
		backend_text,  listener >= 0 ? "-use-listen-fd" : NULL,
		NULL,
	};

	snprintf(port_text, sizeof(port_text), "%u", port);
	snprintf(backend_text, sizeof(backend_text), "%u", backend_port);
	/* Both could sit where the other belongs: move them away first. */
	status = fcntl(status, F_DUPFD_CLOEXEC, 10);
	listener = listener >= 0 ? fcntl(listener, F_DUPFD_CLOEXEC, 10) : -1;
	dup2(status, STATUS_FD);
	if (listener >= 0)
		dup2(listener, LISTENER_FD);
	else
		close(LISTENER_FD);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(proxy_program, (char **)arguments);
	_exit(126);
}

static void spawn(const char *host, int listener, uint16_t backend_port, struct proxy *proxy)
{
	int status[2];
	size_t length = 0;
	ssize_t got;

	if (pipe2(status, O_CLOEXEC) < 0)
		fail("pipe: %s", strerror(errno));
	fflush(stdout);
	proxy->pid = fork();
	if (proxy->pid < 0)
		fail("fork: %s", strerror(errno));
	if (proxy->pid == 0)
		execute(host, proxy->port, backend_port, status[1], listener);
	close(status[1]);
	while ((got = read(status[0], proxy->status + length, sizeof(proxy->status) - 1 - length)) >
	       0)
		length += (size_t)got;
	proxy->status[length] = '\0';
	close(status[0]);
}

static struct proxy start(const char *host, uint16_t port, int listener, uint16_t backend_port)
{
	struct proxy proxy = {
		.port = port,
		.client_host = strchr(host, ':') ? "::1" : "127.0.0.1",
	};

	spawn(host, listener, backend_port, &proxy);
	if (strcmp(proxy.status, "0\n") != 0)
		fail("the proxy did not start: descriptor 3 says \"%s\"", proxy.status);
	return proxy;
}

struct proxy proxy_start_with(int listener, const char *host, uint16_t backend_port)
{
	struct proxy proxy = start(host, sctp_port(listener), listener, backend_port);

	close(listener);
	return proxy;
}

struct proxy proxy_start(const char *host, enum listener listener, uint16_t backend_port)
{
	if (listener == PASSED_LISTENER)
		return proxy_start_with(sctp_listen(host, 0), host, backend_port);
	return start(host, free_port(host), -1, backend_port);
}

static int exit_code(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %s", strerror(errno));
	if (!WIFEXITED(status))
		fail("the proxy was ended by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

int proxy_try(const char *host, uint16_t port, struct proxy *ret)
{
	*ret = (struct proxy){ .port = port };
	spawn(host, -1, 1, ret);
	return exit_code(ret->pid);
}

void proxy_stop(const struct proxy *proxy)
{
	int code;

	if (kill(proxy->pid, SIGINT) < 0)
		fail("kill: %s", strerror(errno));
	code = exit_code(proxy->pid);
	if (code != 0)
		fail("the proxy exited with %d", code);
}

long proxy_resident_kib(const struct proxy *proxy)
{
	char path[64], line[256];
	long kib = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)proxy->pid);
	file = fopen(path, "re");
	if (!file)
		fail("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file))
		sscanf(line, "Rss: %ld", &kib);
	fclose(file);
	return kib;
}

int proxy_descriptors(const struct proxy *proxy)
{
	char path[64];
	int count = 0;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)proxy->pid);
	directory = opendir(path);
	if (!directory)
		fail("%s: %s", path, strerror(errno));
	for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}
