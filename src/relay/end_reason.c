/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/end_reason.h"

#include <errno.h>

static const struct {
	const char *name;
	const char *sentence;
	bool telling;
} reasons[END_REASONS] = {
#define END_REASON(symbol, name, telling, sentence) [END_##symbol] = { name, sentence, telling },
#include "relay/end_reason.def"
#undef END_REASON
};

const char *end_reason_name(enum end_reason reason)
{
	return reasons[reason].name;
}

const char *end_reason_sentence(enum end_reason reason)
{
	return reasons[reason].sentence;
}

enum end_reason end_reason_of_introduction(int error)
{
	return error == -ENOSPC	  ? END_POOL_FULL
	       : error == -ENOMEM ? END_NO_MEMORY
	       : error == -EACCES ? END_DENIED
				  : END_NO_IDENTITY;
}

bool end_reason_is_telling(enum end_reason reason)
{
	return reasons[reason].telling;
}
