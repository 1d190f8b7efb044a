/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds UDP clients by their addresses: a hash table with chains through the clients' slots, keyed with
 * SipHash, since clients choose their addresses. It doubles when it has as many clients as buckets.
 */
#ifndef FAIRLEAD_RELAY_UDP_TABLE_H
#define FAIRLEAD_RELAY_UDP_TABLE_H

#include "relay/udp.h"

/* NULL: there is none. */
struct udp_client *udp_table_find(struct relay *relay, const struct udp_key *key);

/* Returns 0, or -ENOMEM when there is no table and no memory for one. */
int udp_table_insert(struct relay *relay, struct udp_client *client);

void udp_table_remove(struct relay *relay, struct udp_client *client);

/* Frees the memory. The table must be empty. */
void udp_table_fini(struct udp_table *table);

#endif
