/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/flow_table.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/siphash.h"

/* Where there is no memory, a connection is not told of; it goes on all the same. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* What is silent for so long has ended; of TCP as connection tracking has it. */
#define TCP_IDLE_NS (5 * 24 * 3600 * NS_PER_S)
#define TCP_CONNECTING_NS (120 * NS_PER_S)

/* What has ended is kept for a while, since its last packets may still come. */
#define LINGER_NS (4 * NS_PER_S)
#define STOPPED_LINGER_NS (60 * NS_PER_S)

/* A handshake that was begun twice, or datagrams that somebody should have answered. */
#define UNANSWERED_PACKETS 2

/* For so long, connections of an earlier run wait for their rules. */
#define ADOPTING_NS (30 * NS_PER_S)

struct tracked {
	struct flow6_key key;
	struct kernel_rule *rule;
	uint64_t id;
	uint64_t begun_ns, seen_ns;
	uint64_t in_bytes, out_bytes, in_packets, out_packets;
	struct session_meter meter;
	uint64_t sweep;
	__be32 pseudo, target, aim;
	__be16 target_port;
	uint8_t client_state, target_state; /* enum flow_state */
	bool is_told;			    /* that it has ended */
	bool is_adopted;		    /* what was sent to the client is not known yet */
	UT_hash_handle hh;
};

int flow_table_init(struct flow_table *table, const struct flow_table *like)
{
	*table = *like;
	table->flows = NULL;
	table->count = 0;
	table->sweep = 0;
	table->opened_ns = clock_now_ns();
	return siphash_key_init(&table->key);
}

/* uthash is all macros, of which analyzers think what they like. NOLINTBEGIN */

static struct tracked *find(const struct flow_table *table, const struct flow6_key *key)
{
	unsigned hash = (unsigned)siphash(&table->key, key, sizeof(*key));
	struct tracked *found;

	HASH_FIND_BYHASHVALUE(hh, table->flows, key, sizeof(*key), hash, found);
	return found;
}

static struct tracked *add(struct flow_table *table, const struct flow6_key *key)
{
	unsigned hash = (unsigned)siphash(&table->key, key, sizeof(*key));
	struct tracked *flow = calloc(1, sizeof(*flow));

	if (!flow)
		return NULL;
	flow->key = *key;
	HASH_ADD_BYHASHVALUE(hh, table->flows, key, sizeof(flow->key), hash, flow);
	if (!flow->hh.tbl) {
		free(flow);
		return NULL;
	}
	return flow;
}

static void drop(struct flow_table *table, struct tracked *flow)
{
	HASH_DEL(table->flows, flow);
	free(flow);
}

static struct tracked *next_of(const struct tracked *flow)
{
	return flow->hh.next;
}

/* NOLINTEND */

void flow_table_fini(struct flow_table *table)
{
	while (table->flows)
		drop(table, table->flows);
}

static enum protocol protocol_of(const struct flow6_key *key)
{
	return key->protocol == IPPROTO_UDP ? PROTOCOL_UDP : PROTOCOL_TCP;
}

static struct address address6(const struct in6_addr *ip, __be16 port)
{
	struct address address = { .family = AF_INET6, .port = ntohs(port) };

	memcpy(address.ip, ip, sizeof(*ip));
	return address;
}

static struct address address4(__be32 ip, __be16 port)
{
	struct address address = { .family = AF_INET, .port = ntohs(port) };

	memcpy(address.ip, &ip, sizeof(ip));
	return address;
}

static struct flow4_key answers_of(const struct tracked *flow)
{
	return translator_answers_of(&flow->key, flow->pseudo, flow->target, flow->target_port);
}

static enum session_state state_of(const struct tracked *flow)
{
	if (flow->out_packets == 0 && flow->key.protocol == IPPROTO_TCP)
		return SESSION_CONNECTING;
	return (flow->client_state | flow->target_state) & (FLOW_CLIENT_ENDED | FLOW_TARGET_ENDED)
		       ? SESSION_HALF_CLOSED
		       : SESSION_OPEN;
}

static struct session session_of(const struct tracked *flow)
{
	return (struct session){
		.id = flow->id,
		.by_kernel = true,
		.client = address6(&flow->key.client, flow->key.client_port),
		.host = address6(&flow->key.host, flow->key.host_port),
		.source = address4(flow->pseudo, flow->key.client_port),
		.container = address4(flow->target, flow->target_port),
		.started_ns = flow->begun_ns,
		.in_bytes = flow->in_bytes,
		.out_bytes = flow->out_bytes,
		.in_packets = flow->in_packets,
		.out_packets = flow->out_packets,
		.state = state_of(flow),
	};
}

/* Ends, each of which is told once. */

static void tell_end(struct flow_table *table, struct tracked *flow, enum end_reason reason)
{
	struct session_end end = { .session = session_of(flow), .reason = reason };
	struct relay_counters *counters = &flow->rule->counters;

	if (flow->is_told)
		return;
	flow->is_told = true;
	table->count--;
	end.ended_ns = flow->seen_ns > flow->begun_ns ? flow->seen_ns : flow->begun_ns;
	counters->open--;
	counters->ended[reason]++;
	histogram_add(&counters->lasting, &relay_lasting_bounds, end.ended_ns - flow->begun_ns);
	if (table->observer.ended)
		table->observer.ended(table->observer.context, &end, &flow->rule->rule);
}

static bool has_closed(const struct tracked *flow)
{
	const uint8_t both = FLOW_CLIENT_ENDED | FLOW_TARGET_ENDED;

	return ((flow->client_state | flow->target_state) & both) == both;
}

static bool has_reset(const struct tracked *flow)
{
	return (flow->client_state | flow->target_state) & FLOW_RESET;
}

static enum end_reason reason_of_reset(const struct tracked *flow)
{
	if (has_closed(flow))
		return END_DONE;
	if (flow->client_state & FLOW_RESET)
		return END_CLIENT_RESET;
	return flow->out_packets <= 1 && flow->out_bytes == 0 ? END_REFUSED : END_BACKEND_RESET;
}

/* Looks at one that is there. Returns whether the maps may forget it. */
static bool is_over(struct flow_table *table, struct tracked *flow, uint64_t now_ns)
{
	uint64_t silent_ns = now_ns > flow->seen_ns ? now_ns - flow->seen_ns : 0;

	if (flow->client_state & FLOW_STOPPED)
		return silent_ns > STOPPED_LINGER_NS;
	if (flow->key.protocol == IPPROTO_UDP) {
		if (silent_ns > table->udp_idle_ns)
			tell_end(table, flow, END_IDLE);
		return flow->is_told;
	}
	if (has_reset(flow) || has_closed(flow)) {
		tell_end(table, flow, reason_of_reset(flow));
		return silent_ns > LINGER_NS;
	}
	if (flow->out_packets == 0 && silent_ns > TCP_CONNECTING_NS)
		tell_end(table, flow, END_CONNECT_TIMEOUT);
	else if (silent_ns > TCP_IDLE_NS)
		tell_end(table, flow, END_IDLE);
	return flow->is_told;
}

static void forget(struct flow_table *table, struct tracked *flow)
{
	struct flow4_key answers = answers_of(flow);

	translator_forget_flow(table->translator, &flow->key, &answers);
	drop(table, flow);
}

/* Reading the maps. */

/* What an earlier run has left goes on if all that it is made of is still as it was. */
static bool can_be_adopted(const struct flow_table *table, const struct flow6_key *key,
			   const struct flow6 *flow, __be32 pseudo, const struct kernel_rule *rule)
{
	struct address client = address6(&key->client, 0);
	const struct address *has = clients_find(table->clients, &client);

	return has && memcmp(has->ip, &pseudo, sizeof(pseudo)) == 0 &&
	       (flow->aim == flow->target || memcmp(rule->aim.ip, &flow->aim, 4) == 0);
}

static __be32 pseudo_of(const struct flow_table *table, __be32 transit)
{
	const struct prefix *pool = &table->translator->settings.pool;
	__be32 mask = htonl(UINT32_MAX << (32 - pool->length)), network;

	memcpy(&network, pool->ip, sizeof(network));
	return (transit & ~mask) | network;
}

static struct tracked *track(struct flow_table *table, const struct flow6_key *key,
			     const struct flow6 *seen)
{
	struct address host = address6(&key->host, key->host_port);
	struct kernel_rule *rule = kernel_rules_find_at(table->rules, protocol_of(key), &host);
	__be32 pseudo = pseudo_of(table, seen->transit);
	struct flow4_key answers = translator_answers_of(key, pseudo, seen->target,
							 seen->target_port);
	bool is_adopted = seen->begun_ns < table->opened_ns;
	struct tracked *flow;

	if (!rule && is_adopted && clock_now_ns() - table->opened_ns < ADOPTING_NS)
		return NULL; /* a drop-in may bring it yet */
	if (!rule || (is_adopted && !can_be_adopted(table, key, seen, pseudo, rule))) {
		translator_forget_flow(table->translator, key, &answers);
		return NULL;
	}
	flow = add(table, key);
	if (!flow)
		return NULL;
	flow->rule = rule;
	flow->id = table->observer.next_id(table->observer.context);
	flow->begun_ns = seen->begun_ns;
	flow->pseudo = pseudo;
	flow->target = seen->target;
	flow->target_port = seen->target_port;
	flow->is_adopted = is_adopted;
	if (is_adopted) { /* what it has carried by now is not counted again */
		flow->in_bytes = seen->bytes;
		flow->in_packets = seen->packets;
	}
	rule->counters.sessions++;
	rule->counters.open++;
	table->count++;
	return flow;
}

static uint64_t growth(uint64_t *value, uint64_t now)
{
	uint64_t more = now > *value ? now - *value : 0;

	*value = now;
	return more;
}

/* The network of its container was made anew, and has another link now. */
static bool has_moved(const struct tracked *flow, const struct flow6 *seen)
{
	const struct kernel_rule *rule = flow->rule;

	return rule->is_carried && rule->link != seen->link &&
	       rule->rule.container.port == ntohs(seen->target_port) &&
	       memcmp(rule->rule.container.ip, &seen->target, sizeof(seen->target)) == 0;
}

static void take_from_client(void *context, const struct flow6_key *key, const struct flow6 *seen)
{
	struct flow_table *table = context;
	struct tracked *flow = find(table, key);
	uint64_t bytes, packets;

	if (flow && flow->begun_ns != seen->begun_ns) { /* its ports are another connection's now */
		tell_end(table, flow, has_reset(flow) ? reason_of_reset(flow) : END_DONE);
		drop(table, flow);
		flow = NULL;
	}
	if (!flow)
		flow = track(table, key, seen);
	if (!flow)
		return;
	if (has_moved(flow, seen)) { /* its client begins anew with the next packet */
		tell_end(table, flow, END_UNREACHABLE);
		forget(table, flow);
		return;
	}
	bytes = growth(&flow->in_bytes, seen->bytes);
	packets = growth(&flow->in_packets, seen->packets);
	flow->rule->counters.in_bytes += bytes;
	table->in_bytes += bytes;
	flow->rule->in_packets += packets;
	if (key->protocol == IPPROTO_UDP)
		flow->rule->counters.in_datagrams += packets;
	flow->client_state = seen->state;
	flow->seen_ns = seen->seen_ns;
	flow->sweep = table->sweep;
}

static void take_to_client(void *context, const struct flow6_key *key, const struct flow4 *seen)
{
	struct flow_table *table = context;
	struct tracked *flow = find(table, key);
	uint64_t bytes, packets;

	if (!flow)
		return;
	if (flow->is_adopted) {
		flow->is_adopted = false;
		flow->out_bytes = seen->bytes;
		flow->out_packets = seen->packets;
	}
	bytes = growth(&flow->out_bytes, seen->bytes);
	packets = growth(&flow->out_packets, seen->packets);
	flow->rule->counters.out_bytes += bytes;
	table->out_bytes += bytes;
	flow->rule->out_packets += packets;
	if (key->protocol == IPPROTO_UDP)
		flow->rule->counters.out_datagrams += packets;
	flow->target_state = seen->state;
	if (seen->seen_ns > flow->seen_ns)
		flow->seen_ns = seen->seen_ns;
}

static void look_for_answers(struct tracked *flow)
{
	struct kernel_rule *rule = flow->rule;

	if (flow->out_packets > 0)
		rule->has_answered = true;
	else if (flow->in_packets >= UNANSWERED_PACKETS && !flow->is_told)
		rule->unanswered++;
}

static void look_at_all(struct flow_table *table, uint64_t now_ns)
{
	for (struct tracked *flow = table->flows, *next; flow; flow = next) {
		next = next_of(flow);
		look_for_answers(flow);
		if (flow->sweep != table->sweep) { /* somebody has taken it out of the map */
			tell_end(table, flow, END_STOPPED);
			drop(table, flow);
		} else if (is_over(table, flow, now_ns)) {
			forget(table, flow);
		} else {
			struct address client = address6(&flow->key.client, 0);

			clients_use(table->clients, &client);
		}
	}
}

void flow_table_sweep(struct flow_table *table)
{
	uint64_t now_ns = clock_now_ns();
	const struct translator_reader reader = { .take_from_client = take_from_client,
						  .take_to_client = take_to_client,
						  .context = table };

	table->sweep++;
	clients_begin_sweep(table->clients);
	for (size_t i = 0; i < table->rules->count; i++)
		table->rules->rules[i]->unanswered = 0;
	if (translator_read_flows(table->translator, &reader) < 0)
		return;
	table->swept_ns = now_ns;
	look_at_all(table, now_ns);
	clients_end_sweep(table->clients);
	table->sweep_cost_ns = clock_now_ns() - now_ns;
}

void flow_table_list(struct flow_table *table,
		     void (*take)(void *context, const struct session *session,
				  const struct kernel_rule *rule),
		     void *context)
{
	uint64_t now_ns = clock_now_ns();

	for (struct tracked *flow = table->flows; flow; flow = next_of(flow)) {
		struct session session = session_of(flow);

		if (flow->is_told)
			continue;
		session_take_rates(&session, &flow->meter, now_ns);
		take(context, &session, flow->rule);
	}
}

static void stop(struct flow_table *table, struct tracked *flow, enum end_reason reason)
{
	struct flow4_key answers = answers_of(flow);

	tell_end(table, flow, reason);
	if (flow->key.protocol == IPPROTO_UDP) { /* its next datagram begins anew */
		forget(table, flow);
		return;
	}
	translator_stop_flow(table->translator, &flow->key, &answers);
	flow->client_state |= FLOW_STOPPED;
}

bool flow_table_end(struct flow_table *table, uint64_t id)
{
	for (struct tracked *flow = table->flows; flow; flow = next_of(flow)) {
		if (flow->id != id || flow->is_told)
			continue;
		stop(table, flow, END_ADMINISTRATIVE);
		return true;
	}
	return false;
}

void flow_table_end_udp(struct flow_table *table)
{
	for (struct tracked *flow = table->flows, *next; flow; flow = next) {
		next = next_of(flow);
		if (flow->key.protocol == IPPROTO_UDP)
			stop(table, flow, END_STOPPED);
	}
}

/* The rule goes: nothing may point to it. What is left in the maps is found by nobody. */
void flow_table_end_rule(struct flow_table *table, struct kernel_rule *rule)
{
	for (struct tracked *flow = table->flows, *next; flow; flow = next) {
		next = next_of(flow);
		if (flow->rule != rule)
			continue;
		tell_end(table, flow, END_STOPPED);
		forget(table, flow);
	}
}

void flow_table_hand_over(struct flow_table *table, struct kernel_rule *from,
			  struct kernel_rule *to, bool moves)
{
	for (struct tracked *flow = table->flows, *next; flow; flow = next) {
		next = next_of(flow);
		if (flow->rule != from)
			continue;
		flow->rule = to;
		if (moves && flow->key.protocol == IPPROTO_UDP)
			stop(table, flow, END_STOPPED);
	}
}

void flow_table_forget_unanswered(struct flow_table *table, const struct kernel_rule *rule)
{
	for (struct tracked *flow = table->flows, *next; flow; flow = next) {
		next = next_of(flow);
		if (flow->rule != rule || flow->out_packets > 0)
			continue;
		tell_end(table, flow, END_UNREACHABLE);
		forget(table, flow);
	}
}
