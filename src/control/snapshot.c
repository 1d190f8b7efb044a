/* SPDX-License-Identifier: Apache-2.0 */
#include "control/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/rules.h"
#include "relay/sessions.h"

/*
 * How much is done in one piece: less than a millisecond, on a thread that has data to carry. For a
 * session that is asked its addresses it takes two system calls.
 */
#define SESSIONS_PER_PIECE 128
#define PORTS_PER_PIECE 128

/* How far one has come with each of the relays, which come and go. */
struct progress {
	struct {
		const struct relay *relay;
		uint32_t cursor;
		bool done;
	} of[WORKERS_MAX + 1];
	size_t count;
	bool more;
};

/* NULL: it is done, or there are more relays than there can be. */
static uint32_t *cursor_of(struct progress *progress, const struct relay *relay, bool **ret_done)
{
	size_t i = 0;

	while (i < progress->count && progress->of[i].relay != relay)
		i++;
	if (i == WORKERS_MAX + 1)
		return NULL;
	if (i == progress->count) {
		progress->of[i].relay = relay;
		progress->of[i].cursor = 0;
		progress->of[i].done = false;
		progress->count++;
	}
	*ret_done = &progress->of[i].done;
	return progress->of[i].done ? NULL : &progress->of[i].cursor;
}

/* Counting what open sessions have moved. */

struct counting {
	struct control *control;
	struct progress progress;
};

static void count_piece(void *context, struct relay *relay)
{
	struct counting *counting = context;
	bool *done;
	uint32_t *cursor = cursor_of(&counting->progress, relay, &done);

	if (!cursor)
		return;
	*done = !relay_count_open(relay, cursor, SESSIONS_PER_PIECE);
	counting->progress.more = counting->progress.more || !*done;
}

static void call_count_piece(void *context)
{
	struct counting *counting = context;

	counting->progress.more = false;
	workers_for_each(&counting->control->publisher->workers, count_piece, counting);
}

static void count_open(struct control *control)
{
	struct counting counting = { .control = control };

	do
		control_call(control, call_count_piece, &counting);
	while (counting.progress.more);
}

/* Ports. */

struct copying {
	struct control *control;
	struct ports_shown *shown;
	size_t room;
	struct rule last; /* of the last piece */
	bool more;
};

static void copy_port(const struct published_port *port, struct port_shown *ret)
{
	ret->rule = port->rule;
	ret->paused = port->paused;
	relay_counters_read(&port->route.counters, &ret->counts);
}

static void call_copy_piece(void *context)
{
	struct copying *copying = context;
	const struct rules *rules = copying->control->rules;
	struct ports_shown *shown = copying->shown;
	size_t i = shown->count > 0 ? rules_after(rules, &copying->last) : 0;
	size_t end = i + PORTS_PER_PIECE;

	for (; i < rules->count && i < end && shown->count < copying->room; i++)
		copy_port(rules->ports[i], &shown->ports[shown->count++]);
	if (shown->count > 0)
		copying->last = shown->ports[shown->count - 1].rule;
	copying->more = i < rules->count;
	shown->threads = copying->control->publisher->workers.count;
	shown->descriptors_used = copying->control->publisher->shared.budget.used;
	shown->descriptors_most = copying->control->publisher->shared.budget.most;
}

static int make_room(void **array, size_t *room, size_t count, size_t more, size_t item_bytes)
{
	size_t wanted = *room;
	void *grown;

	while (wanted < count + more)
		wanted = wanted > 0 ? wanted * 2 : more;
	if (wanted == *room)
		return 0;
	grown = reallocarray(*array, wanted, item_bytes);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = wanted;
	return 0;
}

/* What the kernel has carried of them, which is not the loop's business. */
static void add_kernel(struct control *control, struct ports_shown *shown)
{
	for (size_t i = 0; i < shown->count; i++) {
		struct port_shown *port = &shown->ports[i];

		port->by_kernel.is_carried = false;
		if (port->rule.identity.path == PATH_RELAY)
			continue;
		if (kernel_path_describe(control->kernel_path, &port->rule, &port->by_kernel))
			relay_counts_add(&port->counts, &port->by_kernel.counts);
		else
			error_set(&port->by_kernel.obstacle, -EAGAIN, PATH_NOT_KNOWN);
	}
}

int snapshot_ports(struct control *control, struct ports_shown *ret)
{
	struct ports_shown shown = { .ports = NULL };
	struct copying copying = { .control = control, .shown = &shown };

	count_open(control);
	do {
		if (make_room((void **)&shown.ports, &copying.room, shown.count, PORTS_PER_PIECE,
			      sizeof(shown.ports[0])) < 0) {
			ports_shown_free(&shown);
			return -ENOMEM;
		}
		control_call(control, call_copy_piece, &copying);
	} while (copying.more);
	add_kernel(control, &shown);
	*ret = shown;
	return 0;
}

void ports_shown_free(struct ports_shown *ports)
{
	free(ports->ports);
	ports->ports = NULL;
	ports->count = 0;
}

/* Sessions. */

struct listing {
	struct control *control;
	const struct session_filter *filter;
	struct sessions_shown *shown;
	size_t room;
	struct progress progress;
	bool out_of_memory;
};

/* Nobody changes it while a relay is being asked. */
static const struct rule *rule_of(const struct session *session)
{
	return &publisher_port_of(session->route)->rule;
}

static bool matches_rule(const struct rule *rule, const char *wanted)
{
	return !wanted || strcmp(wanted, rule->name) == 0 || rule_has_id(rule, wanted);
}

static bool matches(const struct session_filter *filter, const struct session *session,
		    const struct rule *rule)
{
	return (filter->protocol < 0 || (int)rule->protocol == filter->protocol) &&
	       (filter->state < 0 || (int)session->state == filter->state) &&
	       (filter->client.family == AF_UNSPEC ||
		prefix_contains(&filter->client, &session->client)) &&
	       matches_rule(rule, filter->rule);
}

static bool wants(void *context, const struct session *session)
{
	const struct listing *listing = context;

	return matches(listing->filter, session, rule_of(session));
}

static bool take(void *context, const struct session *session)
{
	struct listing *listing = context;
	struct session_shown *shown = &listing->shown->sessions[listing->shown->count++];

	shown->session = *session;
	rule_label(rule_of(session), &shown->rule);
	return true;
}

static void list_piece(void *context, struct relay *relay)
{
	struct listing *listing = context;
	struct session_lister lister = { .wants = wants, .take = take, .context = listing };
	bool *done;
	uint32_t *cursor = cursor_of(&listing->progress, relay, &done);

	if (!cursor)
		return;
	if (listing->room - listing->shown->count < SESSIONS_PER_PIECE) {
		listing->progress.more = true; /* with more room */
		return;
	}
	*done = !relay_list(relay, cursor, SESSIONS_PER_PIECE, &lister);
	listing->progress.more = listing->progress.more || !*done;
}

static void call_list_piece(void *context)
{
	struct listing *listing = context;

	listing->progress.more = false;
	workers_for_each(&listing->control->publisher->workers, list_piece, listing);
}

static int compare_sessions(const void *a, const void *b)
{
	const struct session_shown *first = a, *second = b;

	if (first->session.id == second->session.id)
		return 0;
	return first->session.id < second->session.id ? -1 : 1;
}

/* One that has moved from one thread to another may have been met twice. */
static void sort_sessions(struct sessions_shown *shown)
{
	size_t kept = 0;

	if (shown->count > 0)
		qsort(shown->sessions, shown->count, sizeof(shown->sessions[0]), compare_sessions);
	for (size_t i = 0; i < shown->count; i++)
		if (kept == 0 ||
		    shown->sessions[i].session.id != shown->sessions[kept - 1].session.id)
			shown->sessions[kept++] = shown->sessions[i];
	shown->count = kept;
}

static void take_of_kernel(void *context, const struct session *session,
			   const struct kernel_rule *rule)
{
	struct listing *listing = context;
	struct sessions_shown *shown = listing->shown;

	if (listing->out_of_memory || !matches(listing->filter, session, &rule->rule))
		return;
	if (make_room((void **)&shown->sessions, &listing->room, shown->count, 1,
		      sizeof(shown->sessions[0])) < 0) {
		listing->out_of_memory = true;
		return;
	}
	shown->sessions[shown->count].session = *session;
	rule_label(&rule->rule, &shown->sessions[shown->count].rule);
	shown->count++;
}

int snapshot_sessions(struct control *control, const struct session_filter *filter,
		      struct sessions_shown *ret)
{
	struct sessions_shown shown = { .sessions = NULL };
	struct listing listing = { .control = control, .filter = filter, .shown = &shown };

	do {
		if (make_room((void **)&shown.sessions, &listing.room, shown.count,
			      (WORKERS_MAX + 1) * SESSIONS_PER_PIECE,
			      sizeof(shown.sessions[0])) < 0) {
			sessions_shown_free(&shown);
			return -ENOMEM;
		}
		control_call(control, call_list_piece, &listing);
	} while (listing.progress.more);
	kernel_path_list(control->kernel_path, take_of_kernel, &listing);
	if (listing.out_of_memory) {
		sessions_shown_free(&shown);
		return -ENOMEM;
	}
	sort_sessions(&shown);
	*ret = shown;
	return 0;
}

void sessions_shown_free(struct sessions_shown *sessions)
{
	free(sessions->sessions);
	sessions->sessions = NULL;
	sessions->count = 0;
}
