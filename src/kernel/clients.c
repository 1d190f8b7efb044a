/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/clients.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct client {
	struct address address; /* port 0 */
	struct address pseudo;
	uint32_t lease;
	uint64_t sweep; /* the last one that it was in use in, or new */
};

static int compare(const void *a, const void *b)
{
	const struct client *one = a, *other = b;

	return memcmp(one->address.ip, other->address.ip, sizeof(one->address.ip));
}

void clients_init(struct clients *clients, struct pseudo *pseudo, struct translator *translator)
{
	*clients = (struct clients){ .pseudo = pseudo, .translator = translator };
}

static void give(struct clients *clients, const struct client *client)
{
	if (client->lease != 0)
		pseudo_give(clients->pseudo, client->lease);
}

static void visit_to_give(const void *node, VISIT visit, void *context)
{
	const struct client *client = *(struct client *const *)node;
	struct clients *clients = context;

	if (visit == postorder || visit == leaf)
		give(clients, client);
}

void clients_fini(struct clients *clients)
{
	twalk_r(clients->tree, visit_to_give, clients);
	tdestroy(clients->tree, free);
	clients->tree = NULL;
}

static struct client *find(struct clients *clients, const struct address *address)
{
	struct client key = { .address = *address };
	struct client **found = tfind(&key, &clients->tree, compare);

	return found ? *found : NULL;
}

static struct client *add(struct clients *clients, const struct address *address)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->address = *address;
	if (pseudo_take(clients->pseudo, address, &client->pseudo, &client->lease) < 0)
		client->pseudo.family = AF_UNSPEC;
	if (translator_add_client(clients->translator, address, &client->pseudo) < 0 ||
	    !tsearch(client, &clients->tree, compare)) {
		give(clients, client);
		free(client);
		return NULL;
	}
	return client;
}

static void forget(struct clients *clients, struct client *client)
{
	translator_remove_client(clients->translator, &client->address);
	give(clients, client);
	free(client);
}

const struct address *clients_admit(struct clients *clients, const struct address *address)
{
	struct client *client = find(clients, address);

	if (!client)
		client = add(clients, address);
	if (!client)
		return NULL;
	client->sweep = clients->sweep;
	return &client->pseudo; /* where it has none, the relay says so to the client */
}

const struct address *clients_find(struct clients *clients, const struct address *address)
{
	const struct client *client = find(clients, address);

	return client ? &client->pseudo : NULL;
}

void clients_begin_sweep(struct clients *clients)
{
	clients->sweep++;
}

void clients_use(struct clients *clients, const struct address *address)
{
	struct client *client = find(clients, address);

	if (client)
		client->sweep = clients->sweep;
}

/* A walk must not change the tree, so those that go are collected. */
struct unused {
	struct client *clients[1024];
	size_t count;
	uint64_t before;
};

#define UNUSED_MAX (sizeof(((struct unused *)NULL)->clients) / sizeof(struct client *))

static void collect(const void *node, VISIT visit, void *context)
{
	struct client *client = *(struct client *const *)node;
	struct unused *unused = context;

	if ((visit == postorder || visit == leaf) && client->sweep < unused->before &&
	    unused->count < UNUSED_MAX)
		unused->clients[unused->count++] = client;
}

/* One that came since the last sweep began may have no flow yet, and has its number. */
void clients_end_sweep(struct clients *clients)
{
	struct unused unused = { .before = clients->sweep - 1 };

	do {
		unused.count = 0;
		twalk_r(clients->tree, collect, &unused);
		for (size_t i = 0; i < unused.count; i++) {
			(void)tdelete(unused.clients[i], &clients->tree, compare);
			forget(clients, unused.clients[i]);
		}
	} while (unused.count == UNUSED_MAX);
}
