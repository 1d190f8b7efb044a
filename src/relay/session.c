/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/session.h"

#include "base/clock.h"

const char *session_state_name(enum session_state state)
{
	static const char *const names[] = {
		[SESSION_CONNECTING] = "connecting",
		[SESSION_OPEN] = "open",
		[SESSION_HALF_CLOSED] = "half-closed",
		[SESSION_CLOSING] = "closing",
	};

	return names[state];
}

void session_take_rates(struct session *session, struct session_meter *meter, uint64_t now_ns)
{
	uint64_t since_ns = meter->sampled_ns != 0 ? meter->sampled_ns : session->started_ns;
	uint64_t period_ms = (now_ns - since_ns) / NS_PER_MS;

	if (period_ms >= 1000 || (meter->sampled_ns == 0 && period_ms > 0)) {
		meter->in_bytes_s = (session->in_bytes - meter->sampled_in) * 1000 / period_ms;
		meter->out_bytes_s = (session->out_bytes - meter->sampled_out) * 1000 / period_ms;
		meter->sampled_in = session->in_bytes;
		meter->sampled_out = session->out_bytes;
		meter->sampled_ns = now_ns;
	}
	session->in_bytes_s = meter->in_bytes_s;
	session->out_bytes_s = meter->out_bytes_s;
}
