/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a proxy, and the environment variables they come from. */
#ifndef FAIRLEAD_MODEL_SETTINGS_H
#define FAIRLEAD_MODEL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"

struct settings {
#define DURATION(field, variable, standard, least, most, meaning) uint64_t field;
#define NUMBER(field, variable, standard, least, most, meaning) uint64_t field;
#include "model/settings.def"
#undef DURATION
#undef NUMBER
	enum log_target log; /* FAIRLEAD_LOG: auto, journal, syslog, stderr, off */
};

/* The defaults. */
void settings_init(struct settings *settings);

/*
 * Overrides with what the environment has; an empty variable counts as unset. Returns 0, or -EINVAL
 * with a sentence that names the variable, its value and what is allowed. On failure *settings is
 * unchanged.
 */
int settings_from_environment(struct settings *settings, struct error *err);

/*
 * Sets one by its key: that of its variable in small letters, without FAIRLEAD_, as
 * "connect_timeout". Returns 0, -ENOENT where there is no such key, or -EINVAL with a sentence that
 * names the value and what is allowed, and not the key.
 */
int settings_set(struct settings *settings, const char *key, const char *text, struct error *err);

/* Whether they go together. Returns 0, or -EINVAL with a sentence. */
int settings_check(const struct settings *settings, struct error *err);

bool settings_equal(const struct settings *a, const struct settings *b);

/* Writes a table of variables, defaults and meanings, for --help. */
void settings_describe(int fd);

#endif
