/* SPDX-License-Identifier: Apache-2.0 */
#include "control/drop_ins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/drop_in.h"
#include "base/fd.h"
#include "net/socket.h"

/* Connections taken in one turn; the others wait. */
#define ACCEPTED_PER_TURN 64

struct lease {
	struct slot slot;
	int fd;
	bool has_port;
	struct rule key; /* of the port */
};

static void listener_event(void *context, struct loop_ref ref, uint32_t events);
static void lease_event(void *context, struct loop_ref ref, uint32_t events);

int drop_ins_init(struct drop_ins *drop_ins, struct loop *loop, struct rules *rules,
		  const struct identity *identity, int listener)
{
	struct loop_ref ref = { .generation = 0 };

	drop_ins->loop = loop;
	drop_ins->rules = rules;
	drop_ins->identity = *identity;
	drop_ins->listener = listener;
	drop_ins->paused = false;
	slots_init(&drop_ins->leases, sizeof(struct lease), sizeof(struct lease));
	ref.kind = drop_ins->listener_kind = loop_add_kind(loop, listener_event, drop_ins);
	drop_ins->lease_kind = loop_add_kind(loop, lease_event, drop_ins);
	return loop_watch(loop, listener, EPOLLIN, ref);
}

static void lease_end(struct drop_ins *drop_ins, struct lease *lease)
{
	struct published_port *port = lease->has_port ? rules_find(drop_ins->rules, &lease->key)
						      : NULL;

	if (port)
		rules_remove(drop_ins->rules, port, 0);
	fd_close(&lease->fd);
	slots_give(&drop_ins->leases, lease);
}

void drop_ins_fini(struct drop_ins *drop_ins)
{
	struct lease *lease;

	for (lease = slots_next(&drop_ins->leases, NULL); lease;
	     lease = slots_next(&drop_ins->leases, lease))
		fd_close(&lease->fd);
	slots_fini(&drop_ins->leases);
	fd_close(&drop_ins->listener);
}

/* The kernel's own word for who is there: root, as engines are, or who runs this daemon. */
static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void accept_one(struct drop_ins *drop_ins, int accepted)
{
	OWNED_FD fd = accepted;
	struct lease *lease;

	if (!is_trusted(fd))
		return;
	lease = slots_take(&drop_ins->leases);
	if (!lease)
		return;
	if (loop_watch(drop_ins->loop, fd, EPOLLIN,
		       loop_ref_to(drop_ins->lease_kind, &lease->slot)) < 0) {
		slots_give(&drop_ins->leases, lease);
		return;
	}
	lease->fd = fd_take(&fd);
}

static void watch_listener(struct drop_ins *drop_ins, uint32_t events)
{
	struct loop_ref ref = { .generation = 0, .kind = drop_ins->listener_kind };

	(void)loop_rewatch(drop_ins->loop, drop_ins->listener, events, ref);
}

static void listener_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct drop_ins *drop_ins = context;

	(void)ref;
	(void)events;
	for (int i = 0; i < ACCEPTED_PER_TURN; i++) {
		int fd = accept4(drop_ins->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			accept_one(drop_ins, fd);
			continue;
		}
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
			drop_ins->paused = true; /* those who wait serve their ports themselves */
			watch_listener(drop_ins, 0);
		}
		return;
	}
}

/* The rule says what the drop-in was told; the socket is what there is. They are to be the same. */
static bool is_socket_of(int fd, const struct rule *rule)
{
	struct address local;

	socket_local_address(fd, &local);
	return address_equal(&local, &rule->host);
}

static void refuse(struct drop_in_answer *answer, const char *reason)
{
	(void)snprintf(answer->reason, sizeof(answer->reason), "%.*s", DROP_IN_REASON_MAX - 1,
		       reason);
}

static void answer_refusal(const struct lease *lease, const char *reason)
{
	struct drop_in_answer answer = { .accepted = false };

	refuse(&answer, reason);
	(void)drop_in_answer(lease->fd, &answer);
}

static void take_port(struct drop_ins *drop_ins, struct lease *lease, struct rule *rule,
		      int listener)
{
	struct drop_in_answer answer = { .accepted = false };
	OWNED_FD fd = listener;
	struct error err;

	if (rule->host.port == 0) { /* the kernel chose it */
		struct address local;

		socket_local_address(fd, &local);
		rule->host.port = local.port;
	}
	rule->identity = drop_ins->identity;
	if (!is_socket_of(fd, rule)) {
		refuse(&answer, "the socket is not that of the port");
	} else if (identity_check(&rule->identity, rule->protocol, &rule->container, &err) < 0) {
		refuse(&answer, err.text);
	} else if (!rules_adopt(drop_ins->rules, rule, fd, &err)) {
		refuse(&answer, err.text);
	} else {
		(void)fd_take(&fd);
		lease->has_port = true;
		lease->key = *rule;
		answer.accepted = true;
		/* nobody else could introduce its clients */
		answer.holds = rule->identity.kinds != 0;
	}
	if (drop_in_answer(lease->fd, &answer) < 0 || !answer.accepted)
		lease_end(drop_ins, lease);
}

static void lease_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct drop_ins *drop_ins = context;
	struct lease *lease = slots_find(&drop_ins->leases, ref.index, ref.generation);
	struct rule rule;
	int listener, r;

	(void)events;
	if (!lease)
		return;
	r = drop_in_receive_offer(lease->fd, &rule, &listener);
	if (r == -EAGAIN)
		return;
	if (r == 0 && !lease->has_port) {
		take_port(drop_ins, lease, &rule, listener);
		return;
	}
	if (r == 0) /* one lease is for one port */
		fd_close(&listener);
	if (r == -EXDEV)
		answer_refusal(lease, "it is in another network namespace");
	lease_end(drop_ins, lease);
	if (drop_ins->paused) {
		drop_ins->paused = false;
		watch_listener(drop_ins, EPOLLIN);
	}
}
