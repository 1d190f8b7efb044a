/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of the daemon alone; those that it shares with the proxies are model/settings.h. */
#ifndef FAIRLEAD_MODEL_DAEMON_SETTINGS_H
#define FAIRLEAD_MODEL_DAEMON_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/identity.h"

enum access_log_format {
	ACCESS_LOG_TEXT,
	ACCESS_LOG_JSON,
};

struct daemon_settings {
#define TEXT(field, size, standard, meaning) char field[size];
#define CHOICE(field, type, standard, meaning) type field;
#define DURATION(field, key, standard, least, most, meaning) uint64_t field;
#define NUMBER(field, standard, least, most, meaning) uint64_t field;
#include "model/daemon_settings.def"
#undef TEXT
#undef CHOICE
#undef DURATION
#undef NUMBER
};

/* The defaults. */
void daemon_settings_init(struct daemon_settings *settings);

/*
 * Sets one by its key, as "drain_timeout". Returns 0, -ENOENT where there is no such key, or -EINVAL
 * with a sentence that names the value and what is allowed.
 */
int daemon_settings_set(struct daemon_settings *settings, const char *key, const char *text,
			struct error *err);

/* What ports have that drop-ins hand over. Returns 0, or -EINVAL where the two do not go together. */
int daemon_settings_drop_in_identity(const struct daemon_settings *settings, struct identity *ret,
				     struct error *err);

/* Whether those go together that belong together. Returns 0, or -EINVAL with a sentence. */
int daemon_settings_check(const struct daemon_settings *settings, struct error *err);

bool daemon_settings_equal(const struct daemon_settings *a, const struct daemon_settings *b);

/* Whether the text of a setting says that the thing is not wanted. */
bool daemon_settings_is_off(const char *text);

#endif
