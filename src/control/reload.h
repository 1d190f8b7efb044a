/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the configuration file again. */
#ifndef FAIRLEAD_CONTROL_RELOAD_H
#define FAIRLEAD_CONTROL_RELOAD_H

#include "control/endpoints.h"
#include "control/rules.h"

struct reloaded {
	struct rules_changed rules;
	/* The file has other settings than those in force: they are read at the start alone. */
	bool needs_restart;
};

/*
 * On a thread of its own or of HTTP: reads the file and has its rules replace those that came from
 * it before; and opens the access log's file anew, whatever comes of that. Returns 0, or -errno with
 * a sentence, and nothing has been changed.
 */
int control_reload(struct endpoints_context *context, struct reloaded *ret, struct error *err);

#endif
