/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/docker-proxy/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/drop_in.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

#define SOON_NS (100 * NS_PER_MS)
#define SOON_TRIES 50
#define LATER_NS (10 * NS_PER_S)

int lease_read_environment(const char **ret_path, struct error *err)
{
	const char *value = getenv("FAIRLEAD_HANDOVER");

	if (!value || *value == '\0' || strcmp(value, "on") == 0)
		*ret_path = DROP_IN_SOCKET;
	else if (strcmp(value, "off") == 0)
		*ret_path = NULL;
	else if (*value == '/')
		*ret_path = value;
	else
		return error_set(
			err, -EINVAL,
			"FAIRLEAD_HANDOVER=%.60s is none of on, off and the absolute path of a "
			"socket",
			value);
	return 0;
}

/* There is no daemon, or not any more, or it does not want the port. */
static void be_alone(struct lease *lease)
{
	bool soon = lease->tries++ < SOON_TRIES;

	fd_close(&lease->fd);
	lease->state = LEASE_ALONE;
	if (!lease->holds)
		publisher_release(lease->publisher, lease->port);
	timeout_start(&lease->timeout, soon ? &lease->soon : &lease->later, lease->loop);
}

static void offer(struct lease *lease)
{
	struct loop_ref ref = { .kind = lease->kind, .generation = ++lease->generation };

	lease->fd = drop_in_connect(lease->path);
	if (lease->fd < 0 || drop_in_offer(lease->fd, &lease->port->rule, lease->port->fd) < 0 ||
	    loop_watch(lease->loop, lease->fd, EPOLLIN, ref) < 0) {
		be_alone(lease);
		return;
	}
	lease->state = LEASE_OFFERED;
	publisher_hold(lease->publisher, lease->port);
	timeout_start(&lease->timeout, &lease->patience, lease->loop);
}

static void refused(struct lease *lease, const char *reason)
{
	if (!lease->was_refused)
		log_write(LOG_LEVEL_WARNING, "fairleadd does not take the port: %s", reason);
	lease->was_refused = true;
	lease->tries = SOON_TRIES; /* it is there, and will hardly think otherwise at once */
	be_alone(lease);
}

static void answered(struct lease *lease, const struct drop_in_answer *answer)
{
	lease->holds = answer->holds;
	if (!answer->accepted) {
		refused(lease, answer->reason);
		return;
	}
	timeout_stop(&lease->timeout);
	lease->state = LEASE_GIVEN;
	lease->was_refused = false;
	lease->tries = 0;
}

static void lease_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct lease *lease = context;
	struct drop_in_answer answer;
	int r;

	(void)events;
	if (lease->fd < 0 || ref.generation != lease->generation)
		return;
	r = drop_in_receive_answer(lease->fd, &answer);
	if (r == -EAGAIN)
		return;
	if (r == 0 && lease->state == LEASE_OFFERED)
		answered(lease, &answer);
	else
		be_alone(lease); /* it has gone, or says what is no answer */
}

static void patience_expired(void *context, struct timeout *timeout)
{
	struct lease *lease = context;

	(void)timeout;
	refused(lease, "it did not answer in time");
}

static void retry_expired(void *context, struct timeout *timeout)
{
	(void)timeout;
	offer(context);
}

void lease_init(struct lease *lease, struct loop *loop, struct publisher *publisher,
		struct published_port *port, const char *path)
{
	*lease = (struct lease){ .loop = loop,
				 .publisher = publisher,
				 .port = port,
				 .path = path,
				 .fd = -1,
				 .tries = SOON_TRIES };
	lease->kind = loop_add_kind(loop, lease_event, lease);
	timeout_queue_init(&lease->patience, loop, DROP_IN_PATIENCE_NS, patience_expired, lease);
	timeout_queue_init(&lease->soon, loop, SOON_NS, retry_expired, lease);
	timeout_queue_init(&lease->later, loop, LATER_NS, retry_expired, lease);
	timeout_init(&lease->timeout);
	offer(lease);
}

void lease_fini(struct lease *lease)
{
	if (!lease->loop)
		return;
	timeout_stop(&lease->timeout);
	fd_close(&lease->fd);
}
