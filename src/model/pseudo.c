/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pseudo.h"

#include <errno.h>
#include <string.h>

/* A pool is to hold addresses that a container takes for a client's, and nobody's here. */
static bool is_special(const struct prefix *pool)
{
	uint8_t first = pool->ip[0];

	return first == 0 || first == 127 || (first >= 224 && first < 240) ||
	       (first == 169 && pool->ip[1] == 254);
}

static int parse(const char *key, const char *text, struct prefix *ret, struct error *err)
{
	int r = prefix_parse(text, ret);

	if (r == -ERANGE)
		return error_set(
			err, -EINVAL,
			"%s: '%.40s' has bits behind its length: write the first address of "
			"the network",
			key, text);
	if (r < 0 || ret->family != AF_INET || ret->length < PSEUDO_POOL_LENGTH_LEAST ||
	    ret->length > PSEUDO_POOL_LENGTH_MOST)
		return error_set(err, -EINVAL,
				 "%s: '%.40s' is no IPv4 network of length %d to %d, like "
				 "240.0.0.0/5 or 198.18.0.0/15",
				 key, text, PSEUDO_POOL_LENGTH_LEAST, PSEUDO_POOL_LENGTH_MOST);
	if (is_special(ret))
		return error_set(
			err, -EINVAL,
			"%s: '%.40s' are no addresses that clients can have: "
			"choose of 240.0.0.0/4, 198.18.0.0/15, 100.64.0.0/10 or 10.0.0.0/8",
			key, text);
	return 0;
}

int pseudo_parse_pool(const char *text, struct prefix *ret, struct error *err)
{
	return parse("pseudo_pool", text, ret, err);
}

int pseudo_parse_transit(const char *text, struct prefix *ret, struct error *err)
{
	return parse("pseudo_transit", text, ret, err);
}

int pseudo_transit_of(const struct prefix *pool, const struct prefix *network, struct prefix *ret,
		      struct error *err)
{
	char text[PREFIX_TEXT_MAX];

	*ret = *network;
	ret->length = pool->length;
	if (network->length > pool->length || memcmp(ret->ip, pool->ip, sizeof(ret->ip)) == 0)
		return error_set(err, -EINVAL,
				 "pseudo_transit: %s has to have as many addresses as pseudo_pool, "
				 "and not the same: change one of them",
				 prefix_format(network, text));
	return 0;
}
