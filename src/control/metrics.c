/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics in the text format of Prometheus (exposition format 0.0.4), with names and units by its
 * conventions.
 *
 * All series of one metric stand together. A rule that nobody has used yet has none, but for
 * fairlead_rule_info: a host that publishes thousands of ports would else be asked for a hundred
 * thousand zeros every few seconds.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/handlers.h"
#include "control/snapshot.h"

#define LABELS_MAX 512

/* Values of labels need no escapes: addresses and names have neither quotes nor backslashes. */
static const char *labels_of(const struct port_shown *port, char buffer[LABELS_MAX])
{
	char host[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];

	(void)snprintf(buffer, LABELS_MAX,
		       "listen=\"%s\",protocol=\"%s\",container=\"%s\",name=\"%s\"",
		       address_format(&port->rule.host, host), protocol_name(port->rule.protocol),
		       address_format(&port->rule.container, container), port->rule.name);
	return buffer;
}

static bool is_used(const struct port_shown *port)
{
	return port->counts.sessions > 0 || port->counts.dropped_datagrams > 0;
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	(void)fprintf(out, "# HELP fairlead_%s %s\n# TYPE fairlead_%s %s\n", name, help, name,
		      type);
}

static void number(FILE *out, const char *name, const char *type, const char *help, double value)
{
	head(out, name, type, help);
	(void)fprintf(out, "fairlead_%s %.15g\n", name, value);
}

static void write_daemon(FILE *out, const struct control *control, const struct ports_shown *shown)
{
	head(out, "build_info", "gauge", "1, with the version as a label");
	(void)fprintf(out, "fairlead_build_info{version=\"%s\",commit=\"%s\"} 1\n",
		      control->version, control->commit);
	number(out, "start_time_seconds", "gauge", "When the daemon was started, in Unix time",
	       (double)control->started.tv_sec + (double)control->started.tv_nsec / 1e9);
	number(out, "threads", "gauge", "Threads that carry data", shown->threads);
	number(out, "descriptors_used", "gauge", "Descriptors of sessions, pipes and listeners",
	       shown->descriptors_used);
	number(out, "descriptors_limit", "gauge", "The most that those may be",
	       shown->descriptors_most);
	number(out, "access_log_dropped_total", "counter",
	       "Lines of the access log that were left out", (double)control->log_dropped);
}

/* None where no rule has ever wanted such addresses. */
static void write_identities(FILE *out, const struct control *control)
{
	struct pseudo *pseudo = identities_pseudo(control->identities);
	struct pseudo_counts counts;

	if (!pseudo)
		return;
	pseudo_count(pseudo, &counts);
	number(out, "pseudo_ipv4_pool_addresses", "gauge", "Pseudo-IPv4 addresses that there are",
	       (double)counts.pool_size);
	number(out, "pseudo_ipv4_assignments", "gauge", "Clients that have such an address",
	       (double)counts.assignments);
	number(out, "pseudo_ipv4_in_use", "gauge", "Clients with such an address and open sessions",
	       (double)counts.in_use);
	number(out, "pseudo_ipv4_assigned_total", "counter", "Addresses given to new clients",
	       (double)counts.assigned_total);
	number(out, "pseudo_ipv4_reassigned_total", "counter",
	       "Of those, addresses that had been another client's",
	       (double)counts.reassigned_total);
	head(out, "pseudo_ipv4_refused_total", "counter",
	     "Clients that got none: all were in use, or the store was behind");
	(void)fprintf(out, "fairlead_pseudo_ipv4_refused_total{reason=\"full\"} %" PRIu64 "\n",
		      counts.refused_full_total);
	(void)fprintf(out, "fairlead_pseudo_ipv4_refused_total{reason=\"behind\"} %" PRIu64 "\n",
		      counts.refused_behind_total);
	number(out, "pseudo_ipv4_store_errors_total", "counter",
	       "Failed writes of the store, which are tried again",
	       (double)counts.store_errors_total);
}

static void write_packets(FILE *out, const struct ports_shown *shown)
{
	char labels[LABELS_MAX];

	head(out, "kernel_packets_total", "counter",
	     "Packets of the kernel path, from clients (in) and to them (out)");
	for (size_t i = 0; i < shown->count; i++) {
		const struct kernel_path_state *state = &shown->ports[i].by_kernel;

		if (shown->ports[i].rule.identity.path == PATH_RELAY || state->in_packets == 0)
			continue;
		(void)labels_of(&shown->ports[i], labels);
		(void)fprintf(out,
			      "fairlead_kernel_packets_total{%s,direction=\"in\"} %" PRIu64 "\n"
			      "fairlead_kernel_packets_total{%s,direction=\"out\"} %" PRIu64 "\n",
			      labels, state->in_packets, labels, state->out_packets);
	}
}

/* None while no rule wants the kernel path. */
static void write_kernel_path(FILE *out, const struct control *control,
			      const struct ports_shown *shown)
{
	struct kernel_path_counts counts;

	kernel_path_count(control->kernel_path, &counts);
	if (!counts.is_open)
		return;
	number(out, "kernel_flows", "gauge", "Sessions that the kernel carries",
	       (double)counts.flows);
	head(out, "kernel_events_total", "counter",
	     "What the translating programs met besides packets of known sessions");
#define EVENT(name, counter)                                                                 \
	(void)fprintf(out, "fairlead_kernel_events_total{event=\"" name "\"} %" PRIu64 "\n", \
		      counts.packets[counter])
	EVENT("fast-path", TRANSLATED_FAST);
	EVENT("new-client", UPCALLS);
	EVENT("new-client-lost", UPCALLS_LOST);
	EVENT("denied", DENIED);
	EVENT("left-to-relay", LEFT_TO_RELAY);
	EVENT("too-large", LEFT_TO_STACK);
	EVENT("icmp-error", TRANSLATED_ERRORS);
	EVENT("fragment", TRANSLATED_FRAGMENTS);
	EVENT("stray", DROPPED_STRAY);
	EVENT("failed", DROPPED_FAILED);
#undef EVENT
	write_packets(out, shown);
}

static void write_rules(FILE *out, const struct ports_shown *shown)
{
	char labels[LABELS_MAX];

	head(out, "rule_info", "gauge", "1 for each rule");
	for (size_t i = 0; i < shown->count; i++)
		(void)fprintf(out, "fairlead_rule_info{%s,origin=\"%s\"} 1\n",
			      labels_of(&shown->ports[i], labels),
			      rule_origin_name(shown->ports[i].rule.origin));
	head(out, "rule_waiting", "gauge", "1 while new clients wait for descriptors");
	for (size_t i = 0; i < shown->count; i++)
		if (is_used(&shown->ports[i]) || shown->ports[i].paused)
			(void)fprintf(out, "fairlead_rule_waiting{%s} %d\n",
				      labels_of(&shown->ports[i], labels), shown->ports[i].paused);
}

enum kind { TOTAL, LEVEL };

/* One row of counters.def. */
struct counter {
	size_t offset; /* in struct relay_counts */
	enum kind kind;
	const char *metric, *label, *help;
};

static const struct counter counters[] = {
#define COUNTER(field, kind, metric, label, help) \
	{ offsetof(struct relay_counts, field), kind, metric, label, help },
#include "relay/counters.def"
#undef COUNTER
};

static uint64_t value_of(const struct port_shown *port, const struct counter *counter)
{
	return *(const uint64_t *)(const void *)((const char *)&port->counts + counter->offset);
}

static void write_counters(FILE *out, const struct ports_shown *shown)
{
	char labels[LABELS_MAX];

	for (size_t c = 0; c < sizeof(counters) / sizeof(counters[0]); c++) {
		const struct counter *counter = &counters[c];

		/* rows of one metric follow each other, and only the first gives the head */
		if (c == 0 || strcmp(counters[c - 1].metric, counter->metric) != 0)
			head(out, counter->metric, counter->kind == TOTAL ? "counter" : "gauge",
			     counter->help);
		for (size_t i = 0; i < shown->count; i++)
			if (is_used(&shown->ports[i]))
				(void)fprintf(out, "fairlead_%s{%s%s%s} %" PRIu64 "\n",
					      counter->metric, labels_of(&shown->ports[i], labels),
					      counter->label[0] ? "," : "", counter->label,
					      value_of(&shown->ports[i], counter));
	}
}

/* Reasons that a rule has not met are left out, but for the usual one. */
static void write_ends(FILE *out, const struct ports_shown *shown)
{
	char labels[LABELS_MAX];

	head(out, "sessions_ended_total", "counter", "Sessions that have ended, by reason");
	for (size_t i = 0; i < shown->count; i++) {
		const struct port_shown *port = &shown->ports[i];

		for (int reason = 0; is_used(port) && reason < END_REASONS; reason++)
			if (port->counts.ended[reason] > 0 || reason == END_DONE)
				(void)fprintf(out,
					      "fairlead_sessions_ended_total{%s,reason=\"%s\"} "
					      "%" PRIu64 "\n",
					      labels_of(port, labels),
					      end_reason_name((enum end_reason)reason),
					      port->counts.ended[reason]);
	}
}

static void write_histogram(FILE *out, const char *name, const char *labels,
			    const struct histogram_bounds *bounds,
			    const struct histogram_counts *counts)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < bounds->count; i++) {
		sum += counts->counts[i];
		(void)fprintf(out, "fairlead_%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
			      (double)bounds->ns[i] / 1e9, sum);
	}
	sum += counts->counts[bounds->count];
	(void)fprintf(out,
		      "fairlead_%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\nfairlead_%s_sum{%s} %.9g\n"
		      "fairlead_%s_count{%s} %" PRIu64 "\n",
		      name, labels, sum, name, labels, (double)counts->sum_ns / 1e9, name, labels,
		      sum);
}

static void write_histograms(FILE *out, const struct ports_shown *shown)
{
	char labels[LABELS_MAX];

	head(out, "connect_duration_seconds", "histogram",
	     "From accepting a client to the container's answer");
	for (size_t i = 0; i < shown->count; i++)
		if (is_used(&shown->ports[i]) && shown->ports[i].rule.protocol != PROTOCOL_UDP)
			write_histogram(out, "connect_duration_seconds",
					labels_of(&shown->ports[i], labels),
					&relay_connecting_bounds,
					&shown->ports[i].counts.connecting);
	head(out, "session_duration_seconds", "histogram", "How long sessions lasted");
	for (size_t i = 0; i < shown->count; i++)
		if (is_used(&shown->ports[i]))
			write_histogram(out, "session_duration_seconds",
					labels_of(&shown->ports[i], labels), &relay_lasting_bounds,
					&shown->ports[i].counts.lasting);
}

void handle_metrics(const struct request *request, struct answer *answer)
{
	struct control *control = request->context->control;
	struct ports_shown shown;
	size_t length;
	FILE *out = open_memstream(&answer->text, &length);

	if (!out || snapshot_ports(control, &shown) < 0) {
		if (out)
			(void)fclose(out);
		free(answer->text);
		answer->text = NULL;
		answer_error(answer, 500, "no memory for the metrics");
		return;
	}
	write_daemon(out, control, &shown);
	write_identities(out, control);
	write_kernel_path(out, control, &shown);
	write_rules(out, &shown);
	write_counters(out, &shown);
	write_ends(out, &shown);
	write_histograms(out, &shown);
	ports_shown_free(&shown);
	(void)fclose(out);
	answer->status = 200;
	answer->type = "text/plain; version=0.0.4; charset=utf-8";
}
