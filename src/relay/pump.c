/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/pump.h"

#include <stddef.h>

static const struct pump_ops *const kinds[] = {
	[PUMP_STREAM] = &pump_stream_ops,
	[PUMP_MESSAGE] = &pump_message_ops,
	[PUMP_FILTERED] = &pump_filter_ops,
};

void pump_resources_init(struct pump_resources *resources, struct budget *budget, uint8_t *scratch)
{
	pipe_pool_init(&resources->pipes, budget);
	slots_init(&resources->buffers, sizeof(struct pump_buffer),
		   offsetof(struct pump_buffer, bytes));
	resources->scratch = scratch;
	resources->spare_message = NULL;
}

void pump_resources_fini(struct pump_resources *resources)
{
	pipe_pool_fini(&resources->pipes);
	slots_fini(&resources->buffers);
	pump_message_trim(resources);
}

void pump_resources_trim(struct pump_resources *resources)
{
	pipe_pool_trim(&resources->pipes);
	slots_trim(&resources->buffers);
	pump_message_trim(resources);
}

enum pump_result pump_run(struct pump *pump, struct pump_resources *resources,
			  struct pump_ends *ends)
{
	return kinds[pump->kind]->run(pump, resources, ends);
}

void pump_release(struct pump *pump, struct pump_resources *resources)
{
	kinds[pump->kind]->release(pump, resources);
}
