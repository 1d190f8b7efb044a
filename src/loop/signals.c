/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/signals.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/fd.h"

static void signals_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct signals *signals = context;
	struct signalfd_siginfo info;

	(void)ref;
	(void)events;
	if (read(signals->fd, &info, sizeof(info)) == sizeof(info))
		signals->received(signals->context, (int)info.ssi_signo);
}

static bool is_ignored(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int signals_init(struct signals *signals, struct loop *loop, signals_fn *received, void *context)
{
	struct loop_ref ref = { .generation = 0 };

	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals->set);
	sigaddset(&signals->set, SIGINT);
	sigaddset(&signals->set, SIGTERM);
	if (!is_ignored(SIGHUP)) /* nohup(1) */
		sigaddset(&signals->set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals->set, NULL) < 0)
		return -errno;
	signals->received = received;
	signals->context = context;
	signals->fd = signalfd(-1, &signals->set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals->fd < 0)
		return -errno;
	ref.kind = loop_add_kind(loop, signals_event, signals);
	return loop_watch(loop, signals->fd, EPOLLIN, ref);
}

int signals_add(struct signals *signals, int signal)
{
	sigaddset(&signals->set, signal);
	if (sigprocmask(SIG_BLOCK, &signals->set, NULL) < 0 ||
	    signalfd(signals->fd, &signals->set, SFD_NONBLOCK | SFD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

void signals_fini(struct signals *signals)
{
	fd_close(&signals->fd);
}
