/* SPDX-License-Identifier: Apache-2.0 */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"

static _Noreturn void serve_all(int listener, int report_fd, serve_fn *serve)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = sctp_accept(listener);

		if (fork() == 0) {
			struct report report;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(listener);
			report = serve(fd);
			if (write(report_fd, &report, sizeof(report)) != sizeof(report))
				fail("report: %s", strerror(errno));
			_exit(0);
		}
		close(fd);
	}
}

struct backend backend_start(serve_fn *serve)
{
	int listener = sctp_listen("127.0.0.1", 0);
	struct backend backend = { .port = sctp_port(listener) };
	int report[2];

	if (pipe2(report, O_CLOEXEC) < 0)
		fail("pipe: %s", strerror(errno));
	fflush(stdout);
	backend.pid = fork();
	if (backend.pid < 0)
		fail("fork: %s", strerror(errno));
	if (backend.pid == 0) {
		close(report[0]);
		serve_all(listener, report[1], serve);
	}
	close(listener);
	close(report[1]);
	backend.report = report[0];
	return backend;
}

void backend_stop(const struct backend *backend)
{
	kill(backend->pid, SIGKILL);
	waitpid(backend->pid, NULL, 0);
	close(backend->report);
}

struct report backend_report(const struct backend *backend)
{
	struct report report;

	if (read(backend->report, &report, sizeof(report)) != sizeof(report))
		fail("the backend died");
	return report;
}

uint16_t backend_refusing_port(void)
{
	int fd = sctp_listen("127.0.0.1", 0);
	uint16_t port = sctp_port(fd);

	close(fd);
	return port;
}

struct report serve_echo(int fd)
{
	struct report report = { 0 };
	struct message message;
	enum ending ending = ENDED_IN_ORDER;

	while (message_receive(fd, &message, &ending)) {
		report.messages++;
		report.bytes += message.length;
		/* The client may have ended meanwhile; the next receive tells how. */
		(void)message_send_again(fd, &message);
	}
	report.ending = ending;
	close(fd);
	return report;
}

struct report serve_sink(int fd)
{
	struct report report = { 0 };
	struct message message;
	enum ending ending = ENDED_IN_ORDER;

	while (message_receive(fd, &message, &ending)) {
		report.messages++;
		report.bytes += message.length;
	}
	report.ending = ending;
	close(fd);
	return report;
}
