/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/forwarding.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "identity/nftables.h"
#include "kernel/maps.h"

#define NAME "fairlead_kernel"
#define TABLE "ip " NAME
#define DELETE "add table " TABLE "\ndelete table " TABLE "\n"

/* Each of our packets meets one rule here: it costs a twentieth of its way through the host. */
static const char begin[] =
	"  chain prerouting {\n"
	"    type filter hook prerouting priority raw; policy accept;\n"
	"    meta mark %#x ip saddr %s notrack return comment \"answers go another way\"\n"
	"    ip saddr %s drop comment \"forged\"\n"
	"  }\n";

/* Where there are containers that something stands for. */
static const char aiming[] =
	"  chain aim {\n"
	"    type filter hook prerouting priority raw + 10; policy accept;\n"
	"    meta mark %#x ip daddr set ip daddr map @aims comment \"the container\"\n"
	"  }\n";

static const char end[] =
	"  chain forward {\n"
	"    type filter hook forward priority filter - 10; policy accept;\n"
	"    meta mark %#x meta mark set 0 ip saddr set ip saddr & %s | %s"
	" comment \"the pseudo-IPv4 address\"\n"
	"  }\n"
	"  chain output {\n"
	"    type route hook output priority mangle; policy accept;\n"
	"    ip daddr %s meta l4proto icmp ip daddr set ip daddr & %s | %s comment \"refusals\"\n"
	"    ip daddr %s tcp flags & rst == rst ip daddr set ip daddr & %s | %s\n"
	"  }\n"
	"}\n";

void forwarding_init(struct forwarding *forwarding, const struct prefix *pool,
		     const struct prefix *transit)
{
	*forwarding = (struct forwarding){ .pool = *pool, .transit = *transit };
}

static int run(const char *commands, struct error *err)
{
	int r = nftables_find_table(NFPROTO_IPV4, NAME);
	char said[NFTABLES_SAID_MAX];
	struct nft_ctx *nft;

	if (r < 0 && r != -ENOENT)
		return error_set(err, r, "the kernel path's table in nftables: %s", error_name(r));
	r = 0;
	nft = nftables_new();
	if (!nft)
		return error_set(err, -ENOMEM, "nftables: no memory");
	if (nft_run_cmd_from_buffer(nft, commands) != 0)
		r = error_set(err, -EOPNOTSUPP,
			      "the kernel path's table cannot be set in nftables: %s",
			      nftables_said(nft, said));
	nft_ctx_free(nft);
	return r;
}

void forwarding_fini(struct forwarding *forwarding, bool keeps)
{
	struct error ignored;

	if (forwarding->is_set && !keeps)
		(void)run(DELETE, &ignored);
	free(forwarding->aims);
	*forwarding = (struct forwarding){ .is_set = false };
}

/* iptables-legacy(8) has tables of its own, which nftables does not show. */
static bool has_legacy_raw(void)
{
	FILE *file = fopen("/proc/net/ip_tables_names", "re");
	char line[64];
	bool found = false;

	while (file && fgets(line, sizeof(line), file))
		found = found || strcmp(line, "raw\n") == 0;
	if (file)
		(void)fclose(file);
	return found;
}

bool forwarding_needs_aims(void)
{
	return nftables_find_table(NFPROTO_IPV4, "raw") == 0 || has_legacy_raw();
}

/* Aims. */

static uint32_t hosts_of(const struct prefix *prefix)
{
	return UINT32_MAX >> prefix->length;
}

static struct address aim_of(const struct forwarding *forwarding, uint32_t host)
{
	struct address aim = { .family = AF_INET };
	uint32_t network;

	memcpy(&network, forwarding->transit.ip, sizeof(network));
	network |= htonl(host & hosts_of(&forwarding->transit));
	memcpy(aim.ip, &network, sizeof(network));
	return aim;
}

static const struct forwarding_aim *find_aim(const struct forwarding *forwarding,
					     const struct address *container,
					     const struct address *aim)
{
	for (size_t i = 0; i < forwarding->aims_count; i++)
		if ((container && address_equal(&forwarding->aims[i].container, container)) ||
		    (aim && address_equal(&forwarding->aims[i].aim, aim)))
			return &forwarding->aims[i];
	return NULL;
}

static int add_aim(struct forwarding *forwarding, const struct address *container,
		   const struct address *aim)
{
	struct forwarding_aim *aims = reallocarray(forwarding->aims, forwarding->aims_count + 1,
						   sizeof(*aims));

	if (!aims)
		return -ENOMEM;
	forwarding->aims = aims;
	aims[forwarding->aims_count++] = (struct forwarding_aim){ *container, *aim };
	forwarding->is_set = false;
	return 0;
}

/* By its address: connections that an earlier run has left have packets on their way there. */
int forwarding_aim_at(struct forwarding *forwarding, const struct address *container,
		      struct address *ret)
{
	static const struct siphash_key known = { .k0 = 0, .k1 = 0 };
	struct address plain = *container;
	const struct forwarding_aim *found;
	uint32_t host, tries = 0;
	int r;

	plain.port = 0;
	found = find_aim(forwarding, &plain, NULL);
	if (found) {
		*ret = found->aim;
		return 0;
	}
	host = (uint32_t)siphash(&known, plain.ip, 4);
	*ret = aim_of(forwarding, host);
	while (find_aim(forwarding, NULL, ret) && tries++ < hosts_of(&forwarding->transit))
		*ret = aim_of(forwarding, ++host);
	r = find_aim(forwarding, NULL, ret) ? -ENOSPC : 0;
	return r == 0 ? add_aim(forwarding, &plain, ret) : r;
}

/* The table. */

static void write_aims(const struct forwarding *forwarding, FILE *out)
{
	char aim[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];

	(void)fprintf(out, "  map aims {\n    type ipv4_addr : ipv4_addr\n");
	for (size_t i = 0; i < forwarding->aims_count; i++)
		(void)fprintf(out, "%s%s : %s", i == 0 ? "    elements = { " : ", ",
			      address_format_ip(&forwarding->aims[i].aim, aim),
			      address_format_ip(&forwarding->aims[i].container, container));
	(void)fprintf(out, "%s  }\n", forwarding->aims_count > 0 ? " }\n" : "");
}

static void write_table(const struct forwarding *forwarding, FILE *out)
{
	char range[PREFIX_TEXT_MAX], pool_range[PREFIX_TEXT_MAX];
	char mask[INET_ADDRSTRLEN], pool[INET_ADDRSTRLEN], transit[INET_ADDRSTRLEN];
	uint32_t bits = htonl(hosts_of(&forwarding->pool));

	prefix_format(&forwarding->transit, range);
	(void)inet_ntop(AF_INET, &bits, mask, sizeof(mask));
	(void)inet_ntop(AF_INET, forwarding->pool.ip, pool, sizeof(pool));
	(void)inet_ntop(AF_INET, forwarding->transit.ip, transit, sizeof(transit));
	prefix_format(&forwarding->pool, pool_range);
	(void)fprintf(out, DELETE "table " TABLE " {\n");
	write_aims(forwarding, out);
	(void)fprintf(out, begin, TRANSIT_MARK, range, range);
	if (forwarding->aims_count > 0)
		(void)fprintf(out, aiming, TRANSIT_MARK);
	(void)fprintf(out, end, TRANSIT_MARK, mask, pool, pool_range, mask, transit, pool_range,
		      mask, transit);
}

int forwarding_set(struct forwarding *forwarding, struct error *err)
{
	char *commands = NULL;
	size_t length;
	FILE *out = open_memstream(&commands, &length);
	int r = -ENOMEM;

	if (out) {
		write_table(forwarding, out);
		r = fclose(out) == 0 && commands ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = run(commands, err);
	else
		(void)error_set(err, r, "nftables: no memory");
	free(commands);
	forwarding->is_set = r == 0;
	return r;
}

bool forwarding_is_set(void)
{
	return nftables_find_table(NFPROTO_IPV4, NAME) == 0;
}

int forwarding_cleanup(void)
{
	struct error ignored;

	return forwarding_is_set() && run("delete table " TABLE, &ignored) == 0 ? 1 : 0;
}
