/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAIRLEAD_RELAY_END_REASON_H
#define FAIRLEAD_RELAY_END_REASON_H

#include <stdbool.h>

enum end_reason {
#define END_REASON(symbol, name, telling, sentence) END_##symbol,
#include "relay/end_reason.def"
#undef END_REASON
	END_REASONS
};

/* "connect-timeout": for logs and counters. */
const char *end_reason_name(enum end_reason reason);

/* "the container did not answer in time": for people. */
const char *end_reason_sentence(enum end_reason reason);

/* Why a session ends whose client could not be introduced (introducer.h), for that error. */
enum end_reason end_reason_of_introduction(int error);

/* Whether an operator wants to know of a single case. */
bool end_reason_is_telling(enum end_reason reason);

#endif
