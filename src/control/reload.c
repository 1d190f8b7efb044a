/* SPDX-License-Identifier: Apache-2.0 */
#include "control/reload.h"

#include <errno.h>
#include <string.h>

#include "control/access_log.h"

struct applying {
	struct control *control;
	struct config *config;
	struct reloaded *reloaded;
	struct error *err;
	int result;
};

static void call_apply(void *context)
{
	struct applying *applying = context;

	applying->result = rules_replace(applying->control->rules, RULE_FROM_FILE,
					 &applying->config->rules, &applying->reloaded->rules,
					 applying->err);
}

static bool same_settings(const struct config *a, const struct config *b)
{
	return daemon_settings_equal(&a->daemon, &b->daemon) &&
	       settings_equal(&a->settings, &b->settings);
}

/* From the environment, then the file, as at the start. */
static int read_again(const struct control *control, struct config *ret, struct error *err)
{
	int r = settings_from_environment(&ret->settings, err);

	return r < 0 ? r : config_read(ret, control->config_path, err);
}

int control_reload(struct endpoints_context *context, struct reloaded *ret, struct error *err)
{
	struct control *control = context->control;
	struct config config;
	struct applying applying = {
		.control = control, .config = &config, .reloaded = ret, .err = err
	};

	access_log_reopen(control->access_log);
	config_init(&config);
	applying.result = read_again(control, &config, err);
	if (applying.result == 0)
		applying.result = identities_prepare_all(control->identities, &config.rules, err);
	if (applying.result == 0) {
		pthread_mutex_lock(&context->changing);
		control_call(control, call_apply, &applying);
		pthread_mutex_unlock(&context->changing);
		ret->needs_restart = !same_settings(&config, &control->config);
	}
	if (applying.result == 0)
		events_tell(&control->events, EVENT_DAEMON, "reload",
			    json_pack("{s:I, s:I, s:I}", "added", (json_int_t)ret->rules.added,
				      "removed", (json_int_t)ret->rules.removed, "changed",
				      (json_int_t)ret->rules.changed));
	config_fini(&config);
	return applying.result;
}
