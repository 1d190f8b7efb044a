/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon itself: version, health, sums, events, reloading, and the page. */
#include <string.h>

#include "base/clock.h"
#include "base/timestamp.h"
#include "control/handlers.h"
#include "control/page.h"
#include "control/reload.h"
#include "control/shown.h"

void handle_version(const struct request *request, struct answer *answer)
{
	(void)request;
	answer_json(answer,
		    json_pack("{s:s, s:s, s:s}", "version", request->context->control->version,
			      "commit", request->context->control->commit, "api", "v1"));
}

struct health {
	struct control *control;
	bool ends;
	size_t waiting; /* ports that accept nobody for now */
};

static void call_health(void *context)
{
	struct health *health = context;
	const struct rules *rules = health->control->rules;

	health->ends = health->control->ends;
	for (size_t i = 0; i < rules->count; i++)
		health->waiting += rules->ports[i]->paused;
}

/* That the loop's thread has answered is the most of it. */
void handle_health(const struct request *request, struct answer *answer)
{
	struct health health = { .control = request->context->control };

	control_call(health.control, call_health, &health);
	if (health.ends)
		answer_json(answer, json_pack("{s:s}", "status", "ending"));
	else if (health.waiting > 0)
		answer_json(answer, json_pack("{s:s, s:I}", "status", "short-of-descriptors",
					      "waiting_rules", (json_int_t)health.waiting));
	else
		answer_json(answer, json_pack("{s:s}", "status", "healthy"));
	if (health.ends || health.waiting > 0)
		answer->status = 503;
}

void handle_stats(const struct request *request, struct answer *answer)
{
	struct control *control = request->context->control;
	struct relay_counts sum = { .sessions = 0 };
	struct ports_shown shown;
	char now[TIMESTAMP_MAX], started[TIMESTAMP_MAX];
	uint64_t uptime_ms = (clock_now_ns() - control->started_ns) / NS_PER_MS;

	if (snapshot_ports(control, &shown) < 0) {
		answer_error(answer, 500, "no memory to sum up all rules");
		return;
	}
	for (size_t i = 0; i < shown.count; i++)
		relay_counts_add(&sum, &shown.ports[i].counts);
	answer_json(answer,
		    json_pack("{s:s, s:s, s:f, s:I, s:I, s:{s:I, s:I}, s:o, s:I}", "time",
			      timestamp_now(now), "started",
			      timestamp_format(&control->started, started), "uptime_s",
			      (double)uptime_ms / 1e3, "rules", (json_int_t)shown.count, "threads",
			      (json_int_t)shown.threads, "descriptors", "used",
			      (json_int_t)shown.descriptors_used, "most",
			      (json_int_t)shown.descriptors_most, "counters", shown_counts(&sum),
			      "access_log_dropped", (json_int_t)control->log_dropped));
	ports_shown_free(&shown);
}

void handle_history(const struct request *request, struct answer *answer)
{
	struct history_sample samples[HISTORY_SAMPLES];
	size_t count = history_copy(&request->context->control->history, samples);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(list, json_pack("{s:I, s:I, s:I}", "in_bytes_s",
							    (json_int_t)samples[i].in_bytes_s,
							    "out_bytes_s",
							    (json_int_t)samples[i].out_bytes_s,
							    "open", (json_int_t)samples[i].open));
	answer_json(answer, json_pack("{s:f, s:o}", "period_s", (double)HISTORY_PERIOD_NS / 1e9,
				      "samples", list));
}

static unsigned int find_type(const char *name)
{
	if (strcmp(name, "rule") == 0)
		return EVENT_RULE;
	if (strcmp(name, "daemon") == 0)
		return EVENT_DAEMON;
	if (strcmp(name, "session") == 0)
		return EVENT_SESSION;
	return strcmp(name, "all") == 0 ? EVENT_TYPES_USUAL | EVENT_SESSION : 0;
}

void handle_events(const struct request *request, struct answer *answer)
{
	const char *type = request->query(request->query_of, "type");
	unsigned int types = type ? find_type(type) : EVENT_TYPES_USUAL;

	if (types == 0)
		answer_error(answer, 400, "type=%.40s is none of rule, daemon, session, all", type);
	answer->status = types == 0 ? answer->status : 200;
	answer->type = types == 0 ? NULL : "application/x-ndjson";
	answer->events = types;
}

void handle_reload(const struct request *request, struct answer *answer)
{
	struct reloaded reloaded;
	struct error err;
	json_t *changed;

	if (control_reload(request->context, &reloaded, &err) < 0) {
		answer_failure(answer, &err);
		return;
	}
	changed = shown_changed(&reloaded.rules);
	(void)json_object_set_new(changed, "needs_restart", json_boolean(reloaded.needs_restart));
	answer_json(answer, changed);
}

void handle_page(const struct request *request, struct answer *answer)
{
	(void)request;
	answer->status = 200;
	answer->constant = (const char *)page_html;
	answer->constant_bytes = page_html_bytes;
	answer->type = "text/html; charset=utf-8";
	answer->policy = page_html_policy;
}
