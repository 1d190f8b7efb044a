/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/services.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/obstacles.h"

void services_init(struct services *services, struct translator *translator,
		   const struct kernel_rules *rules)
{
	*services = (struct services){ .translator = translator, .rules = rules };
}

void services_fini(struct services *services)
{
	free(services->links);
	free(services->published);
	*services = (struct services){ .links_count = 0 };
}

static int compare(const void *a, const void *b)
{
	const struct translator_service *one = a, *other = b;

	if (one->protocol != other->protocol)
		return one->protocol < other->protocol ? -1 : 1;
	return memcmp(&one->host, &other->host, sizeof(one->host));
}

/* Both are sorted. */
static void withdraw_others(struct services *services, const struct translator_service *wanted,
			    size_t count)
{
	for (size_t i = 0; i < services->published_count; i++)
		if (count == 0 ||
		    !bsearch(&services->published[i], wanted, count, sizeof(*wanted), compare))
			translator_withdraw(services->translator, &services->published[i]);
}

/* Two links may have the same address. */
static bool is_seen_before(const struct services *services, int place)
{
	for (int i = 0; i < place; i++)
		if (address_equal(&services->links[i].host, &services->links[place].host))
			return true;
	return false;
}

static size_t add(const struct services *services, const struct kernel_rule *rule,
		  struct translator_service *wanted, size_t count)
{
	const struct identity *identity = &rule->rule.identity;

	for (int i = 0; i < services->links_count; i++) {
		struct translator_service *service = &wanted[count];

		if (!kernel_rule_is_at(rule, &services->links[i].host) ||
		    is_seen_before(services, i))
			continue;
		*service = (struct translator_service){
			.protocol = rule->rule.protocol,
			.filtered = identity->allow.count > 0 || identity->deny.count > 0,
			.number = rule->number,
			.link = rule->link,
			.host = services->links[i].host,
			.container = rule->rule.container,
			.aim = rule->aim,
		};
		service->host.port = rule->rule.host.port;
		count++;
	}
	return count;
}

void services_publish(struct services *services)
{
	size_t most = services->rules->count * (size_t)services->links_count, count = 0;
	struct translator_service *wanted = calloc(most + 1, sizeof(*wanted));

	if (!wanted)
		return; /* what is published stays so */
	for (size_t i = 0; i < services->rules->count && !services->are_closed; i++)
		if (services->rules->rules[i]->is_carried)
			count = add(services, services->rules->rules[i], wanted, count);
	if (count > 0)
		qsort(wanted, count, sizeof(*wanted), compare);
	for (size_t i = 0; i < count; i++)
		(void)translator_publish(services->translator, &wanted[i]);
	withdraw_others(services, wanted, count);
	free(services->published);
	services->published = wanted;
	services->published_count = count;
}

static bool has_changed(const struct services *services, const struct link_address *links,
			int count)
{
	return count != services->links_count ||
	       (count > 0 && memcmp(links, services->links, (size_t)count * sizeof(*links)) != 0);
}

/* Clients that come by a link that drops, or keeps, what is to be sent on are left to the relay. */
static void look_at_link(struct services *services, const struct link_address *link)
{
	struct error ignored;

	if (obstacle_of_link(link, &ignored) == 0)
		(void)translator_attach_uplink(services->translator, link->ifindex,
					       link->has_header);
	else
		translator_detach_uplink(services->translator, link->ifindex);
}

void services_look(struct services *services)
{
	struct link_address *links;
	int count = links_read(&links);

	if (count < 0)
		return;
	for (int i = 0; i < count; i++)
		look_at_link(services, &links[i]);
	if (!has_changed(services, links, count)) {
		free(links);
		return;
	}
	free(services->links);
	services->links = links;
	services->links_count = count;
	services_publish(services);
}
