/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead stats, health, reload, disconnect: the daemon as a whole. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli/client.h"
#include "apps/cli/command.h"
#include "apps/cli/command_line.h"
#include "apps/cli/fields.h"

/* Whoever asks for it in turns gives up soon; a daemon that is well answers at once. */
#define HEALTH_LIMIT_S 5

static bool as_json;

static const struct command_option json_option[] = {
	{ '\0', "json", NULL, "Print JSON", &as_json, NULL },
};

static void print_stats(const json_t *stats)
{
	const json_t *counters = json_object_get(stats, "counters");
	const json_t *descriptors = json_object_get(stats, "descriptors");
	char a[FIELD_MAX], b[FIELD_MAX];
	const char *reason;
	json_t *ended, *count;

	printf("Uptime:       %s\n", field_age(stats, "uptime_s", a));
	printf("Rules:        %s\n", field_count(stats, "rules", a));
	printf("Sessions:     %s open, %s in all\n", field_count(counters, "open", a),
	       field_count(counters, "sessions", b));
	printf("Bytes:        %s in, %s out\n", field_size(counters, "in_bytes", a),
	       field_size(counters, "out_bytes", b));
	printf("Datagrams:    %s in, %s out\n", field_count(counters, "in_datagrams", a),
	       field_count(counters, "out_datagrams", b));
	printf("  not sent:   %s dropped, %s refused\n",
	       field_count(counters, "dropped_datagrams", a),
	       field_count(counters, "refused_datagrams", b));
	printf("Threads:      %s\n", field_count(stats, "threads", a));
	printf("Descriptors:  %s of %s\n", field_count(descriptors, "used", a),
	       field_count(descriptors, "most", b));
	printf("Access log:   %s lines left out\n", field_count(stats, "access_log_dropped", a));
	printf("Ended:\n");
	ended = json_object_get(counters, "ended");
	json_object_foreach(ended, reason, count)
	{
		printf("  %-20s %" PRIu64 "\n", reason, field_number(ended, reason));
	}
}

int command_stats(int argc, char **argv)
{
	static const struct command_line line = { .name = "stats",
						  .arguments = "",
						  .summary = "Show what the daemon has carried",
						  .options = json_option,
						  .options_count = 1 };
	json_t *stats;
	struct error err;
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	r = client_get("/v1/stats", &stats, &err);
	if (r != 0)
		return client_failed("stats", &err, r);
	if (as_json)
		field_print_json(stats);
	else
		print_stats(stats);
	json_decref(stats);
	return EXIT_SUCCESS;
}

static void print_health(const json_t *health)
{
	char waiting[FIELD_MAX];

	printf("%s", field_text(health, "status"));
	if (json_object_get(health, "waiting_rules"))
		printf(": %s rules take no new clients until sessions end (raise LimitNOFILE of "
		       "fairleadd)",
		       field_count(health, "waiting_rules", waiting));
	(void)putchar('\n');
}

int command_health(int argc, char **argv)
{
	static const struct command_line line = {
		.name = "health",
		.arguments = "",
		.summary = "Say whether the daemon is well",
		.more = "The exit status is 0 if it is, 1 if it is not, 3 if it does not run.",
		.options = json_option,
		.options_count = 1,
	};
	json_t *health;
	struct error err;
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	client_set_limit(HEALTH_LIMIT_S);
	r = client_get("/v1/health", &health, &err);
	if (r != 0)
		return client_failed("health", &err, r);
	r = strcmp(field_text(health, "status"), "healthy") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	if (as_json)
		field_print_json(health);
	else
		print_health(health);
	json_decref(health);
	return r;
}

int command_reload(int argc, char **argv)
{
	static const struct command_line line = {
		.name = "reload",
		.arguments = "",
		.summary = "Have the daemon read its configuration again",
		.more = "What differs is carried out as a whole or, if anything of it cannot be, not at "
			"all.",
		.options = json_option,
		.options_count = 1,
	};
	char added[FIELD_MAX], removed[FIELD_MAX], changed[FIELD_MAX], kept[FIELD_MAX];
	json_t *done;
	struct error err;
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	r = client_request("POST", "/v1/reload", NULL, &done, &err);
	if (r != 0)
		/* what is wrong is the file, and not the command line */
		return client_failed("reload", &err, r == EXIT_USAGE ? EXIT_FAILURE : r);
	if (as_json)
		field_print_json(done);
	else
		printf("Rules: %s added, %s removed, %s changed, %s kept\n",
		       field_count(done, "added", added), field_count(done, "removed", removed),
		       field_count(done, "changed", changed), field_count(done, "kept", kept));
	if (!as_json && json_is_true(json_object_get(done, "needs_restart")))
		printf("Settings have changed, too: they need a restart of fairleadd.\n");
	json_decref(done);
	return EXIT_SUCCESS;
}

static bool is_session(const char *id)
{
	return *id != '\0' && strspn(id, "0123456789") == strlen(id);
}

static int disconnect(const char *id)
{
	char path[CLIENT_PATH_MAX];
	json_t *done;
	struct error err;
	int r;

	(void)snprintf(path, sizeof(path), "/v1/sessions/%.40s", id);
	r = client_request("DELETE", path, NULL, &done, &err);
	if (r != 0)
		return client_failed("disconnect", &err, r);
	printf("%s\n", id);
	json_decref(done);
	return EXIT_SUCCESS;
}

int command_disconnect(int argc, char **argv)
{
	static const struct command_line line = {
		.name = "disconnect",
		.arguments = "SESSION [SESSION...]",
		.summary = "End sessions, with a reset of both sides",
		.least = 1,
		.most = 1024
	};
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	for (int i = first; i < argc; i++) /* all of them before the first is ended */
		if (!is_session(argv[i]))
			return command_line_error("disconnect", "'%.40s' is no number of a session",
						  argv[i]);
	for (r = EXIT_SUCCESS; first < argc; first++) {
		int one = disconnect(argv[first]);

		r = one != EXIT_SUCCESS ? one : r;
	}
	return r;
}
