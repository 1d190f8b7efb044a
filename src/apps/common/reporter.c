/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/common/reporter.h"

#include "base/clock.h"
#include "base/log.h"

#define WINDOW_NS (10 * NS_PER_S)
#define LINES_PER_WINDOW 5

/* A shortage of which nothing was heard for so long is a new one. */
#define SHORTAGE_NS (60 * NS_PER_S)

/* Whether one more line may be written now. */
static bool may_write(struct reporter *reporter)
{
	uint64_t now_ns = reporter->loop->now_ns;

	if (now_ns - reporter->window_ns >= WINDOW_NS) {
		if (reporter->held_back > 0)
			log_write(LOG_LEVEL_NOTICE,
				  "left out, as there were too many at once: %u more",
				  reporter->held_back);
		reporter->window_ns = now_ns;
		reporter->written = 0;
		reporter->held_back = 0;
	}
	if (reporter->written >= LINES_PER_WINDOW) {
		reporter->held_back++;
		return false;
	}
	reporter->written++;
	return true;
}

static void session_ended(void *context, const struct session_end *end)
{
	struct reporter *reporter = context;
	char rule[RULE_TEXT_MAX], from[ADDRESS_TEXT_MAX];

	if (!end_reason_is_telling(end->reason) || !may_write(reporter))
		return;
	rule_format(&publisher_port_of(end->session.route)->rule, rule);
	address_format(&end->session.client, from);
	if (end->reason == END_UNREACHABLE)
		log_write(LOG_LEVEL_WARNING, "%s: client %s: %s (%s)", rule, from,
			  end_reason_sentence(end->reason), error_name(end->error));
	else
		log_write(LOG_LEVEL_WARNING, "%s: client %s: %s", rule, from,
			  end_reason_sentence(end->reason));
}

static void paused(void *context, const struct published_port *port, int error)
{
	struct reporter *reporter = context;
	uint64_t now_ns = reporter->loop->now_ns;
	bool is_known = reporter->paused_ns != 0 && now_ns - reporter->paused_ns < SHORTAGE_NS;
	char rule[RULE_TEXT_MAX];

	reporter->paused_ns = now_ns;
	if (!is_known && may_write(reporter))
		log_write(LOG_LEVEL_WARNING, "%s: new clients wait until others leave: %s",
			  rule_format(&port->rule, rule), error_name(error));
}

struct publisher_observer reporter_observer(struct reporter *reporter, struct loop *loop)
{
	*reporter = (struct reporter){ .loop = loop };
	return (struct publisher_observer){
		.session_ended = session_ended,
		.paused = paused,
		.context = reporter,
	};
}
