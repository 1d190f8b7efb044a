/* SPDX-License-Identifier: Apache-2.0 */
/* SCTP is not carried yet: every session is reset. */
#include "relay/pump.h"
static enum pump_result run(struct pump *pump, struct pump_resources *resources, struct pump_ends *ends)
{
	(void)pump; (void)resources; (void)ends;
	return PUMP_SINK_ERROR;
}
static void release(struct pump *pump, struct pump_resources *resources)
{
	(void)pump; (void)resources;
}
const struct pump_ops pump_message_ops = { .run = run, .release = release };
