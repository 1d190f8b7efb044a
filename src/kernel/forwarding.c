/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/forwarding.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "identity/nftables.h"

#define TABLE "ip fairlead_kernel"
#define DELETE "add table " TABLE "\ndelete table " TABLE "\n"

static const char rules[] = DELETE
	"table " TABLE " {\n"
	"  map aims {\n"
	"    type ipv4_addr : ipv4_addr\n"
	"  }\n"
	"  chain prerouting {\n"
	"    type filter hook prerouting priority raw; policy accept;\n"
	"    ip saddr %s notrack comment \"answers go another way\"\n"
	"  }\n"
	"  chain aim {\n"
	"    type filter hook prerouting priority raw + 10; policy accept;\n"
	"    ip saddr %s ip daddr set ip daddr map @aims comment \"the container\"\n"
	"  }\n"
	"  chain forward {\n"
	"    type filter hook forward priority filter - 10; policy accept;\n"
	"    ip saddr %s ip saddr set ip saddr & %s comment \"the pseudo-IPv4 address\"\n"
	"  }\n"
	"}\n";

static int run(const char *commands, struct error *err)
{
	struct nft_ctx *nft = nftables_new();
	char said[NFTABLES_SAID_MAX];
	int r = 0;

	if (!nft)
		return error_set(err, -ENOMEM, "nftables: no memory");
	if (nft_run_cmd_from_buffer(nft, commands) != 0)
		r = error_set(err, -EOPNOTSUPP,
			      "the kernel path's table cannot be set in nftables: %s",
			      nftables_said(nft, said));
	nft_ctx_free(nft);
	return r;
}

int forwarding_open(const struct prefix *pool, const struct prefix *transit, struct error *err)
{
	char commands[1024], range[PREFIX_TEXT_MAX], mask[INET_ADDRSTRLEN];
	uint8_t bits[4];

	for (int i = 0; i < 4; i++)
		bits[i] = (uint8_t) ~(pool->ip[i] ^ transit->ip[i]);
	(void)inet_ntop(AF_INET, bits, mask, sizeof(mask));
	prefix_format(transit, range);
	(void)snprintf(commands, sizeof(commands), rules, range, range, range, mask);
	return run(commands, err);
}

bool forwarding_needs_aims(void)
{
	struct error ignored;

	return run("list table ip raw", &ignored) == 0;
}

int forwarding_add_aim(const struct address *aim, const struct address *container,
		       struct error *err)
{
	char commands[256], from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];

	(void)snprintf(commands, sizeof(commands), "add element " TABLE " aims { %s : %s }\n",
		       address_format_ip(aim, from), address_format_ip(container, to));
	return run(commands, err);
}

void forwarding_close(void)
{
	struct error ignored;

	(void)run(DELETE, &ignored);
}
