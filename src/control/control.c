/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include "base/clock.h"

int control_init(struct control *control, struct loop *loop, struct publisher *publisher,
		 struct config *config)
{
	int r = mailbox_init(&control->mailbox, loop);

	if (r < 0)
		return r;
	control->loop = loop;
	control->publisher = publisher;
	control->config = *config;
	config_init(config);
	clock_gettime(CLOCK_REALTIME, &control->started);
	control->started_ns = clock_now_ns();
	control->ends = false;
	control->log_dropped = 0;
	events_init(&control->events);
	history_init(&control->history, publisher);
	return 0;
}

void control_fini(struct control *control)
{
	history_fini(&control->history);
	events_fini(&control->events);
	mailbox_fini(&control->mailbox);
	config_fini(&control->config);
}

struct call {
	void (*call)(void *context);
	void *context;
};

static void receive_call(void *context, const void *message)
{
	const struct call *call = context;

	(void)message;
	call->call(call->context);
}

void control_call(struct control *control, void (*call)(void *context), void *context)
{
	struct call it = { call, context };

	mailbox_call(&control->mailbox, receive_call, &it);
}
