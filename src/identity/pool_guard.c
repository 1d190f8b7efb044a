/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pool_guard.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>

#define COMMANDS_MAX 2048
#define NAME_MAX_BYTES 48

/* "fairlead_240_0_0_0_4" */
static const char *name_of(const struct prefix *pool, char buffer[NAME_MAX_BYTES])
{
	(void)snprintf(buffer, NAME_MAX_BYTES, "fairlead_%u_%u_%u_%u_%u", pool->ip[0], pool->ip[1],
		       pool->ip[2], pool->ip[3], pool->length);
	return buffer;
}

/* Returns 0 or -1. What libnftables has to say of it goes to `said`, if that is not NULL. */
static int run(const char *commands, char *said, size_t size)
{
	struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);
	int r;

	if (!context)
		return -1;
	(void)nft_ctx_buffer_output(context);
	(void)nft_ctx_buffer_error(context);
	r = nft_run_cmd_from_buffer(context, commands);
	if (said)
		(void)snprintf(said, size, "%s", nft_ctx_get_error_buffer(context));
	nft_ctx_free(context);
	return r == 0 ? 0 : -1;
}

/*
 * Fragments behind the first have no port by which their socket could be found, and come to nothing
 * without the first, which has.
 */
static void format(const struct prefix *pool, char commands[COMMANDS_MAX])
{
	char name[NAME_MAX_BYTES], text[PREFIX_TEXT_MAX];

	(void)name_of(pool, name);
	(void)prefix_format(pool, text);
	(void)snprintf(commands, COMMANDS_MAX,
		       "table ip %s\n"
		       "delete table ip %s\n"
		       "table ip %s {\n"
		       "  comment \"pseudo-IPv4 addresses of Fairlead: fairlead-identity(7)\"\n"
		       "  chain guard {\n"
		       "    type filter hook prerouting priority raw; policy accept;\n"
		       "    ip daddr != %s accept\n"
		       "    socket wildcard 0 accept\n"
		       "    ip frag-off & 0x1fff != 0 accept\n"
		       "    icmp type { destination-unreachable, time-exceeded, parameter-problem,"
		       " echo-reply } accept\n"
		       "    counter drop\n"
		       "  }\n"
		       "}\n",
		       name, name, name, text);
}

int pool_guard_add(const struct prefix *pool, struct error *err)
{
	char commands[COMMANDS_MAX], said[160];

	format(pool, commands);
	if (run(commands, said, sizeof(said)) == 0)
		return 0;
	said[strcspn(said, "\n")] = '\0'; /* the rest shows the place in the commands */
	return error_set(
		err, -EOPNOTSUPP,
		"pseudo-ipv4 needs nftables with its socket expression (CONFIG_NFT_SOCKET), "
		"and CAP_NET_ADMIN: %.120s",
		said);
}

void pool_guard_remove(const struct prefix *pool)
{
	char commands[COMMANDS_MAX], name[NAME_MAX_BYTES];

	(void)snprintf(commands, sizeof(commands), "delete table ip %s\n", name_of(pool, name));
	(void)run(commands, NULL, 0);
}

bool pool_guard_is_there(const struct prefix *pool)
{
	char commands[COMMANDS_MAX], name[NAME_MAX_BYTES];

	(void)snprintf(commands, sizeof(commands), "list chain ip %s guard\n", name_of(pool, name));
	return run(commands, NULL, 0) == 0;
}
