/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file of the daemon: JSON, with rules in the shapes of the API.
 *
 *	{
 *	  "daemon": { "access_log": "journal" },
 *	  "settings": { "connect_timeout": "5s" },
 *	  "rules": [ { "publish": "8080:80", "container": "172.17.0.2" } ]
 *	}
 *
 * The keys of "settings" are those of model/settings.def, without FAIRLEAD_ and in small letters.
 */
#ifndef FAIRLEAD_API_CONFIG_H
#define FAIRLEAD_API_CONFIG_H

#include "model/daemon_settings.h"
#include "model/ruleset.h"
#include "model/settings.h"

/* A file with RULESET_MAX rules, written out, is smaller. */
#define CONFIG_BYTES_MAX (32 * 1024 * 1024)

struct config {
	struct daemon_settings daemon;
	struct settings settings;
	struct ruleset rules; /* sorted */
};

/* Defaults, and no rules. */
void config_init(struct config *config);
void config_fini(struct config *config);

/*
 * Reads the file over what is there, which has been initialised. Returns 0, or -errno with a
 * sentence that begins with FILE:LINE. *config is unchanged then.
 */
int config_read(struct config *config, const char *path, struct error *err);

/* The same with a text; `name` stands for the file in errors. */
int config_parse(struct config *config, const char *name, const char *text, size_t length,
		 struct error *err);

#endif
