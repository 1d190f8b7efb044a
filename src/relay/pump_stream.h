/* SPDX-License-Identifier: Apache-2.0 */
/* What the pump for filtered streams has of the one for streams. */
#ifndef FAIRLEAD_RELAY_PUMP_STREAM_H
#define FAIRLEAD_RELAY_PUMP_STREAM_H

#include <sys/types.h>

#include "relay/pump.h"

/* Writes what is held. PUMP_MORE: nothing is any more; PUMP_BLOCKED; PUMP_SINK_ERROR. */
enum pump_result pump_stream_flush(struct pump *pump, struct pump_resources *resources,
				   struct pump_ends *ends);

/* Writes these bytes, which do not count as moved, and holds what is left of them. The same. */
enum pump_result pump_stream_send(struct pump *pump, struct pump_resources *resources,
				  const uint8_t *bytes, size_t length, struct pump_ends *ends);

/*
 * Reads what there is, up to `room`. PUMP_MORE with *ret_got bytes; PUMP_END, PUMP_IDLE,
 * PUMP_SOURCE_ERROR.
 */
enum pump_result pump_stream_receive(struct pump *pump, struct pump_ends *ends, void *bytes,
				     size_t room, size_t *ret_got);

#endif
